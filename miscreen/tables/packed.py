"""Pieces of a file that are packed one by one, unpacked many at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

PIECE_BYTES = 1 << 20  # of values decoded at a time: packed and unpacked beside them in the second-level cache

# Unpacks what is at positions spans[:, 0] of some bytes, of spans[:, 1] bytes, to spans[:, 2] bytes each. Returns the
# address of each, and what holds them; `ValueError` when one is damaged.
Unpacker = Callable[[NDArray[np.uint8], NDArray[np.int64]], tuple[Any, Any]]

_local = threading.local()


def unpack_zstd(raw: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Any, Any]:
    """An `Unpacker`."""
    unpacker = getattr(_local, "unpacker", None)
    if unpacker is None:
        unpacker = _local.unpacker = zstandard.ZstdDecompressor()
    frames = zstandard.BufferWithSegments(raw.data, spans[:, :2].astype("<u8").tobytes())
    sizes = spans[:, 2].astype("<u8").tobytes()
    try:
        unpacked: Any = unpacker.multi_decompress_to_buffer(frames, decompressed_sizes=sizes, threads=0)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    return [pa.py_buffer(body).address for body in unpacked], unpacked


def unpack_snappy(raw: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Any, Any]:
    """An `Unpacker`."""
    from miscreen.kernels import snappy

    return _unpack(snappy.unpack_snappy, raw, spans)


def unpack_lz4(raw: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Any, Any]:
    """An `Unpacker`."""
    from miscreen.kernels import lz4

    return _unpack(lz4.unpack_lz4, raw, spans)


def _unpack(kernel: Callable[..., int], raw: NDArray[np.uint8], spans: NDArray[np.int64]) -> tuple[Any, Any]:
    ends = np.cumsum(spans[:, 2])
    out = np.empty(int(ends[-1]), dtype=np.uint8)
    if kernel(raw, spans[:, 0].copy(), spans[:, 0] + spans[:, 1], ends, out) < len(spans):
        raise ValueError("a piece is damaged")
    return out.ctypes.data + ends - spans[:, 2], out

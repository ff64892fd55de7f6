"""What snappy packed (google/snappy, format_description.txt), many pieces at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.matches import put, repeat
from miscreen.kernels.varint import varint


@inner
def _unpack(raw: NDArray[np.uint8], at: int, stop: int, out: NDArray[np.uint8]) -> bool:
    """Unpack bytes `at` to `stop` to fill `out`; False when they are unsound."""
    base, into = raw.ctypes.data, out.ctypes.data
    size, after = varint(base + at, base + stop, 32)
    if after < 0 or size != len(out):
        return False
    at = after - base
    done = 0
    while at < stop:
        tag = int(raw[at])
        at += 1
        kind, length = tag & 3, (tag >> 2) + 1
        extra = kind if kind < 3 else 4  # bytes that tell how far back it is, or how long a long literal is
        if kind == 0:
            extra = max(0, length - 60)
        if extra > stop - at:
            return False
        number = 0
        for b in range(extra):
            number |= int(raw[at + b]) << (8 * b)
        at += extra
        if kind == 0:
            if extra:
                length = number + 1
            if length > stop - at or length > size - done:
                return False
            put(into + done, base + at, length, size - done, base + stop)
            at += length
        else:
            if kind == 1:
                length = ((tag >> 2) & 7) + 4
                number |= (tag >> 5) << 8
            if number == 0 or number > done or length > size - done:
                return False
            repeat(into + done, number, length, size - done)
        done += length
    return done == size


@kernel
def unpack_snappy(
    raw: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], ends: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:  # fmt: skip
    """Unpack bytes starts[i] to stops[i] of `raw` to fill `out` up to ends[i], one after another.

    Returns how many are sound before one that is not. O(bytes).
    """
    first = 0
    for i in range(len(starts)):
        if not _unpack(raw, starts[i], stops[i], out[first : ends[i]]):
            return i
        first = ends[i]
    return len(starts)

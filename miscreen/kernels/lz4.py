"""What LZ4 packed (lz4/lz4, lz4_Frame_format.md and lz4_Block_format.md), many pieces at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import byte_at, copy_bytes, half_word_at, inner, kernel
from miscreen.kernels.matches import put, repeat

_MAGIC = 0x184D2204
_HEADER = 7  # bytes of a frame before its first block, at least
_HAS_DICTIONARY, _HAS_CHECKSUM, _HAS_SIZE, _HAS_BLOCK_CHECKSUMS = 1, 4, 8, 16  # flags; the highest two are the version
_LEFT_TO_OTHERS = _HAS_DICTIONARY | _HAS_CHECKSUM | _HAS_BLOCK_CHECKSUMS
_LEAST_MATCH = 4


@inner
def _length(at: int, stop: int, nibble: int) -> tuple[int, int]:
    """A length that begins in four bits of a token, and the address after it; -1 beyond the end."""
    length, more = nibble, 255 if nibble == 15 else 0
    while more == 255:
        if at >= stop:
            return 0, -1
        more = byte_at(at)
        length += more
        at += 1
    return length, at


@inner
def _unpack_block(at: int, stop: int, out: NDArray[np.uint8], done: int) -> int:
    """Unpack the bytes at addresses `at` to `stop` into `out`, of which so much is done; how much is then, or -1."""
    base, size = out.ctypes.data, len(out)
    while at < stop:
        token = byte_at(at)
        length, at = _length(at + 1, stop, token >> 4)
        if at < 0 or length > stop - at or length > size - done:
            return -1
        put(base + done, at, length, size - done, stop)
        at += length
        done += length
        if at == stop:
            return done
        if stop - at < 2:
            return -1
        back = byte_at(at) | byte_at(at + 1) << 8
        length, at = _length(at + 2, stop, token & 15)
        length += _LEAST_MATCH
        if at < 0 or back == 0 or back > done or length > size - done:
            return -1
        repeat(base + done, back, length, size - done)
        done += length
    return -1


@inner
def _unpack(at: int, stop: int, out: NDArray[np.uint8]) -> bool:
    """Unpack the frame at addresses `at` to `stop` to fill `out`; False when it is unsound or left to others."""
    if stop - at < _HEADER or half_word_at(at) != _MAGIC:
        return False
    flags = byte_at(at + 4)
    if flags >> 6 != 1 or flags & _LEFT_TO_OTHERS:
        return False
    at += _HEADER + (8 if flags & _HAS_SIZE else 0)
    done = 0
    while stop - at >= 4:
        head = int(np.int64(half_word_at(at)))
        if head == 0:
            return done == len(out) and stop - at == 4  # a size that is damaged may lead to zeros before the end
        size = head & 0x7FFFFFFF
        at += 4
        if size > stop - at:
            return False
        if head == size:
            done = _unpack_block(at, at + size, out, done)
            if done < 0:
                return False
        else:  # it is not packed
            if size > len(out) - done:
                return False
            copy_bytes(out.ctypes.data + done, at, size)
            done += size
        at += size
    return False


@kernel
def unpack_lz4(
    raw: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], ends: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:  # fmt: skip
    """Unpack frames, bytes starts[i] to stops[i] of `raw`, to fill `out` up to ends[i], one after another.

    Returns how many are sound before one that is not, or has a dictionary or checksums, for others to verify. O(bytes).
    """
    first, base = 0, raw.ctypes.data
    for i in range(len(starts)):
        if not _unpack(base + starts[i], base + stops[i], out[first : ends[i]]):
            return i
        first = ends[i]
    return len(starts)

"""Whole numbers of as many bytes as they need, as Thrift, Parquet and snappy write them."""

from __future__ import annotations

from miscreen.kernels._jit import byte_at, inner


@inner
def varint(at: int, stop: int, bits: int) -> tuple[int, int]:
    """An unsigned integer of 7 bits a byte, and the address after it, or -1. O(1).

    -1 where its last byte is not before `stop`, or would hold only bits beyond the first `bits`.
    """
    value, shift = 0, 0
    while at < stop and shift < bits:
        byte = byte_at(at)
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    return 0, -1

"""Columns put together from chunks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import byte_at, half_word_at, inner, kernel, word_at

FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, BOOLEAN = range(10)  # kinds of numbers

_TILE_COLUMNS = 16  # whose ends stay in the first-level cache


@kernel
def gather(
    bases: NDArray[np.int64],
    heights: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.float64],
    first_row: int,
) -> None:
    """Fill rows of `out`, shape (n_columns, n_rows), from `first_row` on, with one chunk after another.

    Chunk c is float64 at address bases[c], column by column, heights[c] rows each; out[j] is its column
    places[j]. O(values).
    """
    n_columns = len(out)
    for left in range(0, n_columns, _TILE_COLUMNS):
        right = min(left + _TILE_COLUMNS, n_columns)
        row = first_row
        for c in range(len(heights)):
            height = heights[c]
            for j in range(left, right):
                source = bases[c] + 8 * height * places[j]
                for i in range(height):
                    out[j, row + i] = np.uint64(word_at(source + 8 * i)).view(np.float64)
            row += height


@inner
def _fill(part: NDArray[Any], address: int, item: int) -> None:
    """Write numbers at an address, or truth values, of which a byte has eight. O(values), in vectors."""
    if item == FLOAT32:
        for i in range(len(part)):
            part[i] = np.uint32(half_word_at(address + 4 * i)).view(np.float32)
    elif item == FLOAT64:
        for i in range(len(part)):
            part[i] = np.uint64(word_at(address + 8 * i)).view(np.float64)
    elif item == INT64:
        for i in range(len(part)):
            part[i] = np.int64(word_at(address + 8 * i))
    elif item == INT32:
        for i in range(len(part)):
            part[i] = np.int32(half_word_at(address + 4 * i))
    elif item == UINT32:
        for i in range(len(part)):
            part[i] = half_word_at(address + 4 * i)
    elif item == BOOLEAN:
        for i in range(len(part)):
            part[i] = byte_at(address + (i >> 3)) >> (i & 7) & 1
    elif item == INT16 or item == UINT16:
        whole = 0 if item == UINT16 else 0x10000
        for i in range(len(part)):
            number = byte_at(address + 2 * i) | byte_at(address + 2 * i + 1) << 8
            part[i] = number - (whole if number >= 0x8000 else 0)
    else:
        whole = 0 if item == UINT8 else 0x100
        for i in range(len(part)):
            number = byte_at(address + i)
            part[i] = number - (whole if number >= 0x80 else 0)


@kernel
def gather_numbers(
    items: NDArray[np.int64],
    places: NDArray[np.int64],
    bits: NDArray[np.int64],
    heights: NDArray[np.int64],
    rows: NDArray[np.int64],
    out: NDArray[Any],
) -> None:
    """Fill row rows[j] of `out`, float32 or float64 (n, n_rows), with column j of one chunk after another.

    That of chunk c begins at the address places[c, j] and has heights[c] numbers of the kind items[j], of which
    those are NaN whose bit is 0: the first is bit bits[c, j] % 8, from the lowest, of the byte at bits[c, j] // 8; all
    are there where that is -1. O(values), in vectors.
    """
    for j in range(len(rows)):
        first = 0
        for c in range(len(heights)):
            height = heights[c]
            part = out[rows[j], first : first + height]
            _fill(part, places[c, j], items[j])
            if bits[c, j] >= 0:
                for i in range(height):
                    bit = bits[c, j] + i
                    if byte_at(bit >> 3) >> (bit & 7) & 1 == 0:
                        part[i] = np.nan
            first += height

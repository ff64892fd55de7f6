"""Columns put together from chunks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import kernel, word_at

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


@kernel
def gather_numbers(
    numbers: NDArray[Any],
    starts: NDArray[np.int64],
    file: NDArray[np.uint8],
    bitmaps: NDArray[np.int64],
    heights: NDArray[np.int64],
    rows: NDArray[np.int64],
    out: NDArray[Any],
) -> None:
    """Fill row rows[j] of `out`, float32 or float64 (n, n_rows), with column j of one chunk after another.

    That of chunk c begins at numbers[starts[c, j]] and has heights[c] values, of which those are NaN whose bit, from
    the lowest of file[bitmaps[c, j]] on, is 0; all are there where that place is -1. O(values), in vectors.
    """
    for j in range(len(rows)):
        first = 0
        for c in range(len(heights)):
            height = heights[c]
            part = out[rows[j], first : first + height]
            found = numbers[starts[c, j] : starts[c, j] + height]
            for i in range(height):
                part[i] = found[i]
            bits = bitmaps[c, j]
            if bits >= 0:
                for i in range(height):
                    if file[np.uint64(bits + i // 8)] >> np.uint8(i % 8) & np.uint8(1) == 0:
                        part[i] = np.nan
            first += height

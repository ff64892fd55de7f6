"""Where the pages of Parquet column chunks stand, and what their headers say.

Nothing that a file says is trusted: positions and sizes are held against the bytes there are, and a column whose
pages are not exactly what `miscreen.kernels.encodings` decodes is marked, for another reader to take or refuse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.thrift import (
    DEEPEST,
    FALSE,
    I32,
    I64,
    STRUCT,
    TRUE,
    field,
    integer,
    skip_value,
)

# What is noted of a column chunk.
START, STOP, CODEC, PHYSICAL, N_ROWS = range(5)
CHUNK_FIELDS = 5

# What is noted of a page. LEVELS, BODY: positions. A page that is not PACKED has SIZE bytes at BODY.
COLUMN, TYPE, ENCODING, N_VALUES, LEVELS, LEVELS_SIZE, BODY, PACKED_SIZE, SIZE, PACKED = range(10)
PAGE_FIELDS = 10

DATA, _INDEX, DICTIONARY, DATA_V2 = range(4)  # PageType in parquet.thrift
_HEADERS = (5, 6, 7, 8)  # which field of a PageHeader describes a page of each type
RLE = 3  # Encoding in parquet.thrift
OTHER_LEVELS = -2  # LEVELS_SIZE of a page whose levels are not RLE

_MOST_BYTES = 16  # of a value and its definition level, in the worst of encodings
_SPARE_BYTES = 1024


@inner
def _metadata(at: int, stop: int, siblings: NDArray[np.int64], chunk: NDArray[np.int64]) -> int:
    """Note what a ColumnMetaData says; the address after it, or -1."""
    number, first, dictionary, size = 0, -1, 0, -1
    while True:
        kind, number, at = field(at, stop, number)
        if at < 0:
            return -1
        if kind == 0:
            chunk[START] = dictionary if 0 < dictionary < first else first
            chunk[STOP] = chunk[START] + size if size >= 0 else -1
            return at
        if kind == I32 and (number == 1 or number == 4):
            found, at = integer(at, stop)
            chunk[PHYSICAL if number == 1 else CODEC] = found
        elif kind == I64 and number == 5:
            chunk[N_ROWS], at = integer(at, stop)
        elif kind == I64 and number == 7:
            size, at = integer(at, stop)
        elif kind == I64 and number == 9:
            first, at = integer(at, stop)
        elif kind == I64 and number == 11:
            dictionary, at = integer(at, stop)
        else:
            at = skip_value(at, stop, kind, siblings)
        if at < 0:
            return -1


@kernel
def read_chunks(footer: NDArray[np.uint8], spans: NDArray[np.int64], chunks: NDArray[np.int64]) -> None:
    """Note what ColumnChunk i, bytes spans[i, 0] to spans[i, 1] of `footer`, says in chunks[i]; its START is -1 if
    that is malformed, or if its data are in another file or encrypted. O(bytes)."""
    base = footer.ctypes.data
    siblings = np.empty(DEEPEST, dtype=np.int64)
    for i in range(len(spans)):
        at, stop = base + spans[i, 0], base + spans[i, 1]
        for f in range(CHUNK_FIELDS):  # a slice takes Numba seconds to compile
            chunks[i, f] = -1
        number, elsewhere = 0, False
        while True:
            kind, number, at = field(at, stop, number)
            if at < 0 or kind == 0:
                break
            if number == 3 and kind == STRUCT:
                at = _metadata(at, stop, siblings, chunks[i])
            else:
                elsewhere |= number == 1 or number == 8 or number == 9
                at = skip_value(at, stop, kind, siblings)
            if at < 0:
                break
        if at < 0 or elsewhere:
            chunks[i, START] = -1


@inner
def _header(at: int, stop: int, siblings: NDArray[np.int64], page: NDArray[np.int64]) -> int:
    """Note what a PageHeader says; the address after it, or -1. LEVELS_SIZE is negative where they are in the body."""
    for f in range(PAGE_FIELDS):
        page[f] = -1
    page[PACKED] = 1
    number, described = 0, 0
    while True:
        kind, number, at = field(at, stop, number)
        if at < 0:
            return -1
        if kind == 0:
            return at if 0 <= page[TYPE] <= DATA_V2 and described == _HEADERS[page[TYPE]] else -1
        if kind == I32 and 1 <= number <= 3:
            found, at = integer(at, stop)
            page[TYPE if number == 1 else SIZE if number == 2 else PACKED_SIZE] = found
        elif kind == STRUCT and (number == 5 or number == 7 or number == 8):
            inside, described = 0, described * 10 + number
            while True:
                kind, inside, at = field(at, stop, inside)
                if at < 0:
                    return -1
                if kind == 0:
                    break
                found = 0
                if kind == I32:
                    found, at = integer(at, stop)
                elif kind != TRUE and kind != FALSE:
                    at = skip_value(at, stop, kind, siblings)
                if at < 0:
                    return -1
                if inside == 1 and kind == I32:
                    page[N_VALUES] = found
                elif inside == (4 if number == 8 else 2) and kind == I32:
                    page[ENCODING] = found
                elif number == 5 and inside == 3 and found != RLE:
                    page[LEVELS_SIZE] = OTHER_LEVELS
                elif number == 8 and inside == 5:
                    page[LEVELS_SIZE] = found
                elif number == 8 and inside == 6 and found != 0:
                    return -1  # repetition, which a plain column has not
                elif number == 8 and inside == 7 and kind == FALSE:
                    page[PACKED] = 0
        else:
            at = skip_value(at, stop, kind, siblings)
            if at < 0:
                return -1


@inner
def _settle(page: NDArray[np.int64], body: int, stop: int, n_rows: int, is_packed: bool) -> int:
    """Find levels and values of a page whose bytes begin at position `body`; the position after it, or -1."""
    kind, count, packed_size, size = page[TYPE], page[N_VALUES], page[PACKED_SIZE], page[SIZE]
    if count < 0 or count > n_rows or packed_size < 0 or packed_size > stop - body:
        return -1
    if size < 0 or size > _MOST_BYTES * count + _SPARE_BYTES:
        return -1
    after = body + packed_size
    page[LEVELS], page[BODY] = body, body
    if kind == DATA_V2:
        levels = page[LEVELS_SIZE]
        if levels < 0 or levels > packed_size or levels > size:
            return -1
        page[BODY] += levels
        page[PACKED_SIZE] -= levels
        page[SIZE] -= levels
    if not is_packed or page[SIZE] == 0:
        page[PACKED] = 0
    return after if page[PACKED] or page[SIZE] == page[PACKED_SIZE] or page[SIZE] == 0 else -1


@kernel
def read_pages(
    raw: NDArray[np.uint8],
    chunks: NDArray[np.int64],
    n_rows: int,
    taken: NDArray[np.bool_],
    pages: NDArray[np.int64],
) -> int:
    """Note the pages of column chunks in `raw`, in order; a column that has others is no longer `taken`.

    The chunks' START and STOP are positions in `raw`. Returns how many pages there are: of more than `pages` has
    room for, the last are not noted. O(bytes of the headers).
    """
    base = raw.ctypes.data
    siblings = np.empty(DEEPEST, dtype=np.int64)
    page = np.empty(PAGE_FIELDS, dtype=np.int64)
    found = 0
    for c in range(len(chunks)):
        if not taken[c]:
            continue
        at, stop, seen, before = chunks[c, START], chunks[c, STOP], 0, found
        while seen < n_rows:
            body = _header(base + at, base + stop, siblings, page)
            if body >= 0:
                at = _settle(page, body - base, stop, n_rows - seen, chunks[c, CODEC] != 0)
            if body < 0 or at < 0:
                taken[c] = False
                break
            if page[TYPE] != DICTIONARY:
                seen += page[N_VALUES]
            page[COLUMN] = c
            if found < len(pages):
                for f in range(PAGE_FIELDS):
                    pages[found, f] = page[f]
            found += 1
        if not taken[c]:
            found = before
    return found

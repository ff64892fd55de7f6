"""Rows of delimited text (RFC 4180) to columns of numbers.

A cell that is no number is left to the caller: it is *boxed*, a NaN whose payload says where the cell stands
in the text. So kernels need no lists of events, and a table of nothing but labels takes no more memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import inlined, inner, kernel
from miscreen.kernels.decimal import FRACTION, NOT_A_NUMBER, UNSETTLED, read_number

# Where a scan stands in its row.
START, PLAIN, QUOTED, CLOSING = 0, 1, 2, 3

# What `parse_rows` notes of a column: the kinds of its numbers, and whether cells are boxed.
HAS_NUMBER, HAS_FRACTION, HAS_BOXED = 1, 2, 4

MISSING_BITS = np.uint64(0x7FF8 << 48)  # the only other NaN that is ever stored
BOX = np.uint64(0xFFF8 << 48)
LENGTH_BITS = 20
MAX_CELL = (1 << LENGTH_BITS) - 1  # longest cell that can be boxed, bytes
MAX_TEXT = (1 << 31) - 1  # longest text whose positions can be boxed, bytes

_U_LENGTH_BITS = np.uint64(LENGTH_BITS)
_LF, _CR, _QUOTE, _SPACE, _TAB = 10, 13, 34, 32, 9
_GROUP_ROWS = 64  # rows taken apart side by side; a run of a column is then whole cache lines
_TILE_CELLS = 4096  # 32 KB of results: a tile stays in the first-level cache


@inner
def _next_state(state: int, byte: int, delimiter: int) -> int:
    """One step of a scan that knows where quotes count."""
    if state == QUOTED:
        return CLOSING if byte == _QUOTE else QUOTED
    if byte == delimiter or byte == _LF:
        return START
    if byte == _QUOTE and state != PLAIN:
        return QUOTED  # at the start of a cell, or doubled
    return PLAIN


@kernel
def scan_rows(text: NDArray[np.uint8], delimiter: int, state: int, first_only: bool) -> tuple[int, int, int]:
    """Find the last line feed that ends a row (or the first), where a quote last opened, and the end state.

    Positions are -1 where there is none; `state` is where the text before this one left off. O(bytes).
    """
    end, opened = -1, -1
    for i in range(len(text)):
        byte = text[i]
        before = state
        state = _next_state(state, byte, delimiter)
        if state == QUOTED and before == START:
            opened = i
        elif byte == _LF and state == START:
            end = i
            if first_only:
                break
    return end, opened, state


@kernel
def row_starts(text: NDArray[np.uint8], delimiter: int, quotes: bool, most: int) -> NDArray[np.int64]:
    """Where the first `most` rows start, blank lines left out; the text ends in a line feed.

    quotes: whether the text has any, so that a line feed may stand inside a cell. O(bytes).
    """
    starts = np.empty(most, dtype=np.int64)
    n_rows = 0
    start = 0
    state = START
    i = 0
    size = len(text)
    while i < size and n_rows < most:
        if not quotes and i + 64 <= size:
            found = 0
            for k in range(i, i + 64):
                found += text[k] == _LF
            if found == 0:
                i += 64
                continue
        for k in range(i, min(i + 64, size)):
            if quotes:
                state = _next_state(state, text[k], delimiter)
            if text[k] == _LF and state == START:
                blank = k == start or (k == start + 1 and text[start] == _CR)
                if not blank and n_rows < most:
                    starts[n_rows] = start
                    n_rows += 1
                start = k + 1
        i += 64
    return starts[:n_rows]


@inner
def _skip_blanks(text: Any, p: int, stop: int) -> int:
    """The position after spaces and tabs; `stop` is the byte that ends the cell."""
    byte = text[np.uint64(p)]
    while (byte == _SPACE or byte == _TAB) and byte != stop:
        p += 1
        byte = text[np.uint64(p)]
    return p


@inner
def _at_cell_end(text: Any, p: int, delimiter: int) -> bool:
    byte = text[np.uint64(p)]
    return byte == delimiter or byte == _LF or (byte == _CR and text[np.uint64(p + 1)] == _LF)


@inner
def _cell_end(text: Any, p: int, delimiter: int) -> int:
    """The position after a cell that starts at p; -1 when a closing quote is followed by text."""
    if text[np.uint64(p)] == _QUOTE:
        p += 1
        while True:
            if text[np.uint64(p)] == _QUOTE:
                if text[np.uint64(p + 1)] != _QUOTE:
                    break
                p += 1
            p += 1
        return p + 1 if _at_cell_end(text, p + 1, delimiter) else -1
    while not _at_cell_end(text, p, delimiter):
        p += 1
    return p


@kernel
def count_cells(text: NDArray[np.uint8], start: int, delimiter: int) -> int:
    """How many cells the row at `start` has; the negative of the first one with text after its quote. O(row)."""
    count = 0
    p = start
    while True:
        count += 1
        p = _cell_end(text, p, delimiter)
        if p < 0:
            return -count
        if text[p] != delimiter:
            return count
        p += 1


@inner
def _is_null(text: Any, p: int, end: int, nulls: Any, bounds: Any) -> bool:
    for k in range(len(bounds) - 1):
        length = bounds[k + 1] - bounds[k]
        if length == end - p:
            same = True
            for i in range(length):
                same &= text[np.uint64(p + i)] == nulls[np.uint64(bounds[k] + i)]
            if same:
                return True
    return False


@inner
def _word(text: Any, p: int, end: int) -> float:
    """NaN or infinity if that is what text[p:end] spells, in any case and with any sign; else 0."""
    negative = p < end and text[np.uint64(p)] == 45
    if negative or (p < end and text[np.uint64(p)] == 43):
        p += 1
    if end - p != 3 and end - p != 8:
        return 0.0
    packed = np.uint64(0)
    for i in range(p, end):
        packed = (packed << np.uint64(8)) | np.uint64(text[np.uint64(i)] | 32)
    if packed == np.uint64(0x6E616E):  # nan
        return np.nan
    if packed == np.uint64(0x696E66) or packed == np.uint64(0x696E66696E697479):  # inf, infinity
        return -np.inf if negative else np.inf
    return 0.0


@inner
def _read_word(text: Any, p: int, end: int, label: bool, nulls: Any, bounds: Any) -> Any:
    """What the cell text[p:end] says beside numbers, and its note: missing, infinite, or boxed."""
    first, last = p, end
    if text[np.uint64(p)] == _QUOTE:
        first += 1
        last -= 1
    while first < last and (text[np.uint64(first)] == _SPACE or text[np.uint64(first)] == _TAB):
        first += 1
    while first < last and (text[np.uint64(last - 1)] == _SPACE or text[np.uint64(last - 1)] == _TAB):
        last -= 1
    word = _word(text, first, last)
    if word != word or _is_null(text, first, last, nulls, bounds):
        return np.nan, NOT_A_NUMBER
    if word != 0.0 and not label:
        return word, FRACTION
    box = BOX | (np.uint64(p) << _U_LENGTH_BITS) | np.uint64(end - p)
    return np.uint64(box).view(np.float64), HAS_BOXED


@inlined
def _read_cell(
    text: Any, p: int, delimiter: int, label: bool, numeric_nulls: bool, nulls: Any, bounds: Any
) -> Any:
    """The value of the cell at p, the position after it (-1: it cannot be read) and its note."""
    value, q, kind = 0.0, p, NOT_A_NUMBER
    if not label:
        quoted = text[np.uint64(p)] == _QUOTE
        stop = _QUOTE if quoted else delimiter
        value, q, kind = read_number(text, _skip_blanks(text, p + quoted, stop))
        if kind != NOT_A_NUMBER:
            q = _skip_blanks(text, q, stop)
            if quoted:
                closed = text[np.uint64(q)] == _QUOTE
                q += 1
            else:
                closed = True
            if not closed or not _at_cell_end(text, q, delimiter):
                kind = NOT_A_NUMBER
    if kind == NOT_A_NUMBER or kind == UNSETTLED or numeric_nulls:
        q = _cell_end(text, p, delimiter)
        if q < 0 or q - p > MAX_CELL:
            return 0.0, -1, NOT_A_NUMBER
        word, note = _read_word(text, p, q, label, nulls, bounds)
        if kind == NOT_A_NUMBER or note == NOT_A_NUMBER:
            value, kind = word, note
        elif kind == UNSETTLED:
            value = word
    return value, q, kind


@kernel
def parse_rows(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    delimiter: int,
    labels: NDArray[np.bool_],
    nulls: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    numeric_nulls: bool,
    out: NDArray[np.float64],
    notes: NDArray[np.uint8],
) -> int:
    """Take rows apart into `out`, shape (n_columns, n_rows), and what columns hold into `notes`.

    `labels` marks columns whose cells are all boxed; nulls[bounds[k]:bounds[k + 1]] is a null token. Returns
    the first row that is ragged or has an unreadable cell, or -1; rows after it are unfinished. O(bytes).
    """
    n_columns, n_rows = out.shape
    group = min(_GROUP_ROWS, n_rows)
    width = _TILE_CELLS // max(1, group)
    position = np.empty(group, dtype=np.int64)  # of the next cell; -1 in a broken row
    for top in range(0, n_rows, group):
        height = min(group, n_rows - top)
        position[:height] = starts[top : top + height]
        for left in range(0, n_columns, width):
            right = min(left + width, n_columns)
            for k in range(height):
                p = position[k]
                for column in range(left, right):
                    if p < 0:
                        break
                    value, p, note = _read_cell(
                        text, p, delimiter, labels[column], numeric_nulls, nulls, bounds
                    )
                    out[column, top + k] = value
                    notes[column] |= note
                    if p >= 0:
                        more = text[np.uint64(p)] == delimiter
                        if more != (column < n_columns - 1):
                            p = -1
                        elif more:
                            p += 1
                position[k] = p
        for k in range(height):
            if position[k] < 0:
                return top + k
    return -1

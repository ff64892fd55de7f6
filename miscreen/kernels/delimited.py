"""Rows of delimited text (RFC 4180) to columns of numbers.

A cell that is no number is left to the caller: it is *boxed*, a NaN whose payload says where the cell stands
in the text. So kernels need no lists of events, and a table of nothing but labels takes no more memory. The
caller numbers the labels of a column; short ones that have a number already are told to the kernel, *packed*
into a word, and need not be boxed again. The character of quotes is a number, `NO_QUOTE` where nothing quotes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import (
    byte_at,
    call_pread,
    equal_bytes,
    has_wide_vectors,
    inlined,
    inner,
    kernel,
    ones,
    read_eight_numbers,
    trailing_zeros,
    word_at,
)
from miscreen.kernels.decimal import (
    FIVE_TO_0,
    FIVES,
    FRACTION,
    INTEGER,
    NOT_A_NUMBER,
    TENS,
    UNSETTLED,
    read_number,
)

# Where a scan stands in its row.
START, PLAIN, QUOTED, CLOSING = 0, 1, 2, 3

# What `parse_rows` notes of a column: the kinds of its numbers, and whether cells are boxed.
HAS_NUMBER, HAS_FRACTION, HAS_BOXED = 1, 2, 4

NO_QUOTE = 256  # no byte equals it

MISSING_BITS = np.uint64(0x7FF8 << 48)  # the only other NaN that is ever stored
BOX = np.uint64(0xFFF8 << 48)
LENGTH_BITS = 20
MAX_CELL = (1 << LENGTH_BITS) - 1  # longest cell that can be boxed, bytes
MAX_TEXT = (1 << 31) - 1  # longest text whose positions can be boxed, bytes

KNOWN = 8  # labels of a column that the kernel is told
MAX_PACKED = 7  # longest label that can be packed, bytes

_U_LENGTH_BITS = np.uint64(LENGTH_BITS)
_LF, _CR, _SPACE, _TAB = 10, 13, 32, 9
_STRIDE = 64  # bytes looked at together
_U0, _U1, _U32 = np.uint64(0), np.uint64(1), np.uint64(32)
_HASH_START, _HASH_STEP = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # of Fowler, Noll & Vo
_LANES = 8  # of `read_eight_numbers`
_LEAST_TEXT = 64  # bytes: it reads beyond short cells
_WORTH = 3  # cells that it must read to be worth its time
_CREDIT = 8  # such cells that it may miss in a column before it is no longer asked
_TILE_COLUMNS = 32  # that are read in eight rows before the next eight: the ends of rows stay in the nearest cache
_GROUP_ROWS = 64  # that are taken apart before the next: a run of a column is then whole cache lines


@inner
def _next_state(state: int, byte: int, delimiter: int, quote: int) -> int:
    """One step of a scan that knows where quotes count."""
    if state == QUOTED:
        return CLOSING if byte == quote else QUOTED
    if byte == delimiter or byte == _LF:
        return START
    if byte == quote and state != PLAIN:
        return QUOTED  # at the start of a cell, or doubled
    return PLAIN


@kernel
def scan_rows(
    text: NDArray[np.uint8], delimiter: int, quote: int, state: int, first_only: bool
) -> tuple[int, int, int]:
    """Find the last line feed that ends a row (or the first), where a quote last opened, and the end state.

    Positions are -1 where there is none; `state` is where the text before this one left off. O(bytes).
    """
    end, opened = -1, -1
    for i in range(len(text)):
        byte = text[i]
        before = state
        state = _next_state(state, byte, delimiter, quote)
        if state == QUOTED and before == START:
            opened = i
        elif byte == _LF and state == START:
            end = i
            if first_only:
                break
    return end, opened, state


@inner
def _end_row(base: int, start: int, end: int, starts: NDArray[np.int64], n_rows: int) -> int:
    """Note the start of a row that ends in a line feed, unless it is blank; returns how many there are."""
    blank = end == start or (end == start + 1 and byte_at(base + start) == _CR)
    if blank or n_rows == len(starts):
        return n_rows
    starts[n_rows] = start
    return n_rows + 1


@kernel
def row_starts(text: NDArray[np.uint8], delimiter: int, quote: int, quotes: bool, starts: NDArray[np.int64]) -> int:
    """Find where rows start, as many as `starts` takes, leaving out blank lines; returns how many.

    quotes: whether the text has any, so that a line feed may stand inside a cell. It ends in one. O(bytes).
    """
    base = text.ctypes.data
    n_rows, start, state, i = 0, 0, START, 0
    while not quotes and i + _STRIDE <= len(text):
        ends = equal_bytes(base + i, _LF)
        while ends != _U0:
            end = i + trailing_zeros(ends)
            n_rows = _end_row(base, start, end, starts, n_rows)
            start = end + 1
            ends &= ends - _U1
        i += _STRIDE
    while i < len(text):
        byte = byte_at(base + i)
        if quotes:
            state = _next_state(state, byte, delimiter, quote)
        if byte == _LF and state == START:
            n_rows = _end_row(base, start, i, starts, n_rows)
            start = i + 1
        i += 1
    return n_rows


@kernel
def index_cells(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    delimiter: int,
    n_columns: int,
    every: int,
    places: NDArray[np.uint32],
) -> int:
    """Note in `places`, shape (n_rows, parts + 1), where in its row each `every`-th cell starts, last where one would.

    No quote counts. Returns the first row that has not `n_columns` cells, or -1; later rows are unfinished. O(bytes).
    """
    base, n_rows, most = text.ctypes.data, len(starts), n_columns - 1
    last = base + len(text)
    for row in range(n_rows):
        start = base + starts[row]
        stop = base + starts[row + 1] if row + 1 < n_rows else last
        places[row, 0] = 0
        part, count = 1, 0
        p = block = start  # p: the cell after the last delimiter that was counted
        while count < most and block < stop:
            if block + _STRIDE <= last:
                found = equal_bytes(block, delimiter)
            else:
                found = _U0
                for k in range(last - block):
                    found |= np.uint64(byte_at(block + k) == delimiter) << np.uint64(k)
            if stop - block < _STRIDE:
                found &= (_U1 << np.uint64(stop - block)) - _U1
            wanted = min(part * every, most)
            while count < most and count + ones(found) >= wanted:
                for _ in range(wanted - count - 1):
                    found &= found - _U1
                p = block + trailing_zeros(found) + 1
                found &= found - _U1
                count = wanted
                if count == part * every:
                    places[row, part] = p - start
                    part += 1
                wanted = min(part * every, most)
            count += ones(found)
            block += _STRIDE
        if count < most:
            return row
        while p < stop and byte_at(p) != _LF and byte_at(p) != delimiter:
            p += 1
        if p >= stop or byte_at(p) == delimiter:
            return row
        end = p - start
        places[row, part] = end + 1 - (end > 0 and byte_at(p - 1) == _CR)
    return -1


@kernel
def pread_spans(
    pread: int,
    descriptor: int,
    offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    into: NDArray[np.uint8],
) -> int:
    """Read spans of an open file, each from its offset, to where they start and stop in `into`.

    pread: address of the system's function. Returns the first span that was not read in one go, or -1. A call from
    Python for each would be half as long again as the reading, and wait for the GIL after it. O(bytes).
    """
    for k in range(len(offsets)):
        size = stops[k] - starts[k]
        if call_pread(pread, descriptor, into.ctypes.data + starts[k], size, offsets[k]) != size:
            return k
    return -1


# Below, positions are addresses: an array handed to a callee costs it counted references at every cell.


@inner
def _skip_blanks(p: int, stop: int) -> int:
    """The position after spaces and tabs; `stop` is the byte that ends the cell."""
    byte = byte_at(p)
    while (byte == _SPACE or byte == _TAB) and byte != stop:
        p += 1
        byte = byte_at(p)
    return p


@inner
def _at_cell_end(p: int, delimiter: int) -> bool:
    byte = byte_at(p)
    return byte == delimiter or byte == _LF or (byte == _CR and byte_at(p + 1) == _LF)


@inner
def _cell_end(p: int, delimiter: int, quote: int) -> int:
    """The position after the cell at p; -1 when a closing quote is followed by text."""
    if byte_at(p) != quote:
        while not _at_cell_end(p, delimiter):
            p += 1
        return p
    p += 1
    while byte_at(p) != quote or byte_at(p + 1) == quote:
        p += 1 + (byte_at(p) == quote)
    return p + 1 if _at_cell_end(p + 1, delimiter) else -1


@kernel
def count_cells(text: NDArray[np.uint8], start: int, delimiter: int, quote: int) -> int:
    """How many cells the row at `start` has; the negative of the first one with text after its quote. O(row)."""
    count = 1
    p = _cell_end(text.ctypes.data + start, delimiter, quote)
    while p >= 0 and byte_at(p) == delimiter:
        p = _cell_end(p + 1, delimiter, quote)
        count += 1
    return count if p >= 0 else -count


@inner
def _alike(one: int, other: int, length: int) -> bool:
    """Whether so many bytes at two addresses are the same. O(length)."""
    for k in range(length):
        if byte_at(one + k) != byte_at(other + k):
            return False
    return True


@inner
def _is_null(p: int, end: int, nulls: int) -> bool:
    """Whether [p, end) is one of the tokens at `nulls`, each after its length, the last before a 255."""
    length = byte_at(nulls)
    while length != 255:
        if length == end - p and _alike(p, nulls + 1, length):
            return True
        nulls += 1 + length
        length = byte_at(nulls)
    return False


@inner
def _word(p: int, end: int) -> float:
    """NaN or infinity if that is what [p, end) spells, in any case and with any sign; else 0."""
    negative = p < end and byte_at(p) == 45
    if p < end and (negative or byte_at(p) == 43):
        p += 1
    if end - p != 3 and end - p != 8:
        return 0.0
    packed = 0
    while p < end:
        packed = (packed << 8) | byte_at(p) | 32
        p += 1
    if packed == 0x6E616E:  # nan
        return np.nan
    if packed == 0x696E66 or packed == 0x696E66696E697479:  # inf, infinity
        return -np.inf if negative else np.inf
    return 0.0


@inner
def _code(p: int, end: int, quoted: bool, quote: int, known: int) -> int:
    """The place among the packed labels at `known` of the label [p, end), or -1."""
    if end - p > MAX_PACKED:
        return -1
    packed = end - p + 1
    while p < end:
        if quoted and byte_at(p) == quote:  # doubled
            return -1
        packed = (packed << 8) | byte_at(p)
        p += 1
    for code in range(KNOWN):
        if np.int64(word_at(known + 8 * code)) == packed:
            return code
    return -1


@inner
def _read_word(text: int, p: int, end: int, quote: int, nulls: int, known: int) -> Any:
    """What the cell [p, end) says beside numbers, and its note: missing, infinite, a label or boxed.

    known: address of the packed labels of a column of text; 0 in others.
    """
    quoted = byte_at(p) == quote
    first = p + quoted
    last = end - quoted
    if known != 0:  # among which is nothing that means missing
        code = _code(first, last, quoted, quote, known)
        if code >= 0:
            return np.float64(code), NOT_A_NUMBER
    while first < last and (byte_at(first) == _SPACE or byte_at(first) == _TAB):
        first += 1
    while first < last and (byte_at(last - 1) == _SPACE or byte_at(last - 1) == _TAB):
        last -= 1
    word = _word(first, last)
    if word != word or _is_null(first, last, nulls):
        return np.nan, NOT_A_NUMBER
    if known == 0 and word != 0.0:
        return word, FRACTION
    box = BOX | (np.uint64(p - text) << _U_LENGTH_BITS) | np.uint64(end - p)
    return np.uint64(box).view(np.float64), HAS_BOXED


@inlined
def _read_cell(
    text: int,
    p: int,
    last: int,
    delimiter: int,
    quote: int,
    nulls: int,
    null_numbers: NDArray[np.float64],
    known: int,
) -> Any:
    """The value of the cell at p, the position after it (-1: it cannot be read) and its note; texts end at `last`."""
    value, q, kind = 0.0, p, NOT_A_NUMBER
    if known == 0:
        # Quotes and blanks are left to branches, since where the next cell starts must be known soon.
        first = byte_at(p)
        quoted = first == quote
        stop = quote if quoted else delimiter
        if quoted or first == _SPACE or first == _TAB:
            q = _skip_blanks(p + quoted, stop)
        value, q, kind = read_number(q, last)
        if kind != NOT_A_NUMBER:
            q = _skip_blanks(q, stop)
            closed = True
            if quoted:
                closed = byte_at(q) == quote
                q += 1
            if not closed or not _at_cell_end(q, delimiter):
                kind = NOT_A_NUMBER
    if kind == NOT_A_NUMBER or kind == UNSETTLED:
        q = _cell_end(p, delimiter, quote)
        if q < 0 or q - p > MAX_CELL:
            return 0.0, -1, NOT_A_NUMBER
        word, note = _read_word(text, p, q, quote, nulls, known)
        value = word
        if kind == NOT_A_NUMBER or note == NOT_A_NUMBER:
            kind = note
    if known == 0:
        for k in range(len(null_numbers)):
            if value == null_numbers[k]:
                value, kind = np.nan, NOT_A_NUMBER
    return value, q, kind


@inner
def _leave_out(numbers: NDArray[np.float64], null_numbers: NDArray[np.float64]) -> int:
    """Make those numbers NaN that mean missing, and tell which they were: a bit each, from the lowest."""
    found = 0
    for k in range(len(numbers)):
        for null in null_numbers:
            if numbers[k] == null:
                numbers[k] = np.nan
                found |= 1 << k
    return found


@kernel
def parse_rows(
    text: NDArray[np.uint8],
    starts: NDArray[np.int64],
    delimiter: int,
    quote: int,
    labels: NDArray[np.int64],
    known: NDArray[np.uint64],
    nulls: NDArray[np.uint8],
    null_numbers: NDArray[np.float64],
    out: NDArray[np.float64],
    notes: NDArray[np.uint8],
) -> int:
    """Take rows apart into `out`, shape (n_columns, n_rows), and what columns hold into `notes`.

    labels[c] is -1, or for a column of text the row of `known`, shape (n_text, KNOWN), with its packed labels,
    in order of code, 0 where there is none; `nulls` has each null token after its length, then 255;
    cells of the numbers in `null_numbers` are missing, too, however they are spelled.
    Returns the first row that is ragged or has an unreadable cell, or -1; later rows are unfinished. O(bytes).
    """
    n_columns, n_rows = out.shape
    base, tokens, table = text.ctypes.data, nulls.ctypes.data, known.ctypes.data
    last = base + len(text)
    tens, fives = TENS.ctypes.data, FIVES.ctypes.data + 16 * FIVE_TO_0
    position = np.empty(_GROUP_ROWS, dtype=np.int64)  # of the next cell; -1 in a broken row
    together = np.empty(_LANES)
    credit, words = np.full(n_columns, _CREDIT), np.full(n_columns, 2)
    if len(text) < _LEAST_TEXT or not has_wide_vectors():
        credit[:] = 0
    for column in range(n_columns):
        if labels[column] >= 0:
            credit[column] = 0
    for top in range(0, n_rows, _GROUP_ROWS):
        height = min(_GROUP_ROWS, n_rows - top)
        position[:] = -1
        for k in range(height):
            position[k] = base + starts[top + k]
        for left in range(0, n_columns, _TILE_COLUMNS):
            right = min(left + _TILE_COLUMNS, n_columns)
            hope = 0
            for column in range(left, right):
                hope = max(hope, credit[column])
            first = 0
            while first < height:
                lanes = min(_LANES, height - first)
                if hope <= 0 or lanes < _LANES // 2:
                    lanes = 1  # one row after the other
                all_lanes = (1 << lanes) - 1
                cells = position.ctypes.data + 8 * first
                for column in range(left, right):
                    rest, is_last = all_lanes, column == n_columns - 1
                    if lanes > 1 and credit[column] > 0:
                        into = together.ctypes.data
                        if lanes == _LANES:
                            into = out.ctypes.data + 8 * (column * n_rows + top + first)
                        end = _LF if is_last else delimiter
                        found = read_eight_numbers(cells, last, end, words[column], tens, fives, into)
                        rest = found & all_lanes
                        counted = all_lanes & ~rest  # as numbers
                        if counted != 0:
                            words[column] = found >> 2 * _LANES
                            if len(null_numbers) > 0:
                                read = out[column, top + first : top + height] if lanes == _LANES else together
                                counted &= ~_leave_out(read[:lanes], null_numbers)
                        if counted != 0:
                            notes[column] |= FRACTION if found >> _LANES & counted else INTEGER
                        credit[column] = min(_CREDIT, credit[column] + lanes - _WORTH - ones(np.uint64(rest)))
                        if lanes < _LANES:
                            for k in range(lanes):
                                out[column, top + first + k] = together[k]
                    label = labels[column]
                    packed = 0 if label < 0 else table + 8 * KNOWN * label
                    while rest != 0:
                        k = first + trailing_zeros(np.uint64(rest))
                        rest &= rest - 1
                        p = position[k]
                        if p < 0:
                            continue
                        value, p, note = _read_cell(base, p, last, delimiter, quote, tokens, null_numbers, packed)
                        out[column, top + k] = value
                        notes[column] |= note
                        if p >= 0:
                            more = byte_at(p) == delimiter
                            p = -1 if more == is_last else p + more
                        position[k] = p
                first += lanes
        for k in range(height):
            if position[k] < 0:
                return top + k
    return -1


@inner
def _unboxed(base: int, box: np.uint64) -> Any:
    """The address and the bytes of a boxed cell of the text at `base`."""
    return base + np.int64(box >> _U_LENGTH_BITS & np.uint64(MAX_TEXT)), np.int64(box & np.uint64(MAX_CELL))


@kernel
def first_alike(
    text: NDArray[np.uint8], columns: NDArray[np.int64], boxes: NDArray[np.uint64], first: NDArray[np.int64]
) -> None:
    """Write for each boxed cell the first one of its column that says the same: its number, int64.

    columns, int64, ascend. Cells are the same whose bytes are, by a table of their hashes for each column. O(bytes).
    """
    base, start = text.ctypes.data, 0
    table = np.empty(1, np.int64)
    while start < len(columns):
        stop = start
        while stop < len(columns) and columns[stop] == columns[start]:
            stop += 1
        slots = 1
        while slots < 2 * (stop - start):
            slots *= 2
        if slots > len(table):
            table = np.empty(slots, np.int64)
        for slot in range(slots):
            table[slot] = -1
        for i in range(start, stop):
            place, length = _unboxed(base, boxes[i])
            state = _HASH_START
            for k in range(length):
                state = (state ^ np.uint64(byte_at(place + k))) * _HASH_STEP
            slot = int(state ^ state >> _U32) & (slots - 1)
            first[i] = i
            while table[slot] >= 0:
                other, other_length = _unboxed(base, boxes[table[slot]])
                if other_length == length and _alike(place, other, length):
                    first[i] = table[slot]
                    break
                slot = (slot + 1) & (slots - 1)
            if first[i] == i:
                table[slot] = i
        start = stop

"""Numbers from the pages of Parquet columns (Apache Parquet format, Encodings.md).

Every read is held against the end of its page. A column that is not sound in every respect is marked and left to
another reader, which says what is wrong with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import byte_at, half_word_at, inner, kernel, word_at
from miscreen.kernels.pages import (
    COLUMN,
    DATA,
    DICTIONARY,
    ENCODING,
    LEVELS,
    LEVELS_SIZE,
    N_VALUES,
    OTHER_LEVELS,
    RLE,
    SIZE,
    TYPE,
)
from miscreen.kernels.varint import varint

FLOAT, DOUBLE, INT8, INT16, INT32, UINT8, UINT16, UINT32, INT64, UINT64, BOOLEAN = range(11)

_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY, _BYTE_STREAM_SPLIT = 0, 2, 8, 9


@inner
def _number(bits: Any, kind: int) -> float:
    """The number that the bits of a value, low ones first, stand for."""
    low = np.uint32(bits)
    if kind == FLOAT:
        return np.float64(low.view(np.float32))
    if kind == DOUBLE:
        return np.uint64(bits).view(np.float64)
    if kind == INT64:
        return np.float64(np.int64(bits))
    if kind == UINT64:
        return np.float64(np.uint64(bits))
    if kind == INT32:
        return np.float64(np.int32(low))
    if kind == INT16:
        return np.float64(np.int16(low))
    if kind == INT8:
        return np.float64(np.int8(low))
    if kind == UINT16:
        return np.float64(np.uint16(low))
    if kind == UINT8:
        return np.float64(np.uint8(low))
    return np.float64(low)


@inner
def _hybrid(at: int, stop: int, width: int, out: NDArray[np.uint32], count: int) -> bool:
    """Fill `out` with `count` numbers of `width` bits, in runs of one number or of packed ones."""
    mask = np.uint64((1 << width) - 1)
    n_bytes = (width + 7) // 8
    done = 0
    while done < count:
        head, at = varint(at, stop, 32)
        size = head >> 1
        if at < 0 or size == 0:
            return False
        if head & 1:
            if size * width > stop - at:
                return False
            here = min(8 * size, count - done)
            for i in range(here):
                place = at + ((i * width) >> 3)
                if stop - place >= 8:
                    word = np.uint64(word_at(place))
                else:
                    word = np.uint64(0)
                    for b in range(stop - place):
                        word |= np.uint64(byte_at(place + b)) << np.uint64(8 * b)
                out[done + i] = np.uint32((word >> np.uint64((i * width) & 7)) & mask)
            at += size * width
        else:
            if n_bytes > stop - at:
                return False
            here = min(size, count - done)
            number = 0
            for b in range(n_bytes):
                number |= byte_at(at + b) << (8 * b)
            at += n_bytes
            if np.uint64(number) > mask:
                return False
            for i in range(here):
                out[done + i] = np.uint32(number)
        done += here
    return True


@inner
def _one_run(at: int, stop: int, count: int) -> bool:
    """Whether the levels are a single run of ones, as they mostly are: then they need not be written out."""
    head, at = varint(at, stop, 32)
    return at >= 0 and head & 1 == 0 and head >> 1 >= count and at < stop and byte_at(at) == 1


@inner
def _plain(at: int, stop: int, kind: int, count: int, out: NDArray[Any]) -> bool:
    """Fill the first of `out` with values that stand side by side."""
    if kind == BOOLEAN:
        if (count + 7) // 8 > stop - at:
            return False
        for i in range(count):
            out[i] = (byte_at(at + (i >> 3)) >> (i & 7)) & 1
        return True
    wide = kind == DOUBLE or kind == INT64 or kind == UINT64
    if count * (8 if wide else 4) > stop - at:
        return False
    if kind == FLOAT:
        for i in range(count):
            out[i] = np.uint32(half_word_at(at + 4 * i)).view(np.float32)
    elif kind == DOUBLE:
        for i in range(count):
            out[i] = np.uint64(word_at(at + 8 * i)).view(np.float64)
    elif wide:
        for i in range(count):
            out[i] = _number(np.uint64(word_at(at + 8 * i)), kind)
    else:
        for i in range(count):
            out[i] = _number(np.uint64(half_word_at(at + 4 * i)), kind)
    return True


@inner
def _split(at: int, stop: int, kind: int, count: int, out: NDArray[Any]) -> bool:
    """Fill the first of `out` with values of which all first bytes stand side by side, then all second ones."""
    size = 8 if kind == DOUBLE or kind == INT64 or kind == UINT64 else 4
    if kind == BOOLEAN or count * size != stop - at:
        return False
    for i in range(count):
        bits = np.uint64(0)
        for b in range(size):
            bits |= np.uint64(byte_at(at + b * count + i)) << np.uint64(8 * b)
        out[i] = _number(bits, kind)
    return True


@inner
def _looked_up(
    at: int, stop: int, dictionary: NDArray[np.float64], count: int, codes: NDArray[np.uint32], out: NDArray[Any]
) -> bool:
    """Fill the first of `out` with those of a dictionary whose places are given."""
    if count == 0:
        return True
    if at >= stop or byte_at(at) > 32 or not _hybrid(at + 1, stop, byte_at(at), codes, count):
        return False
    for i in range(count):
        if codes[i] >= len(dictionary):
            return False
        out[i] = dictionary[codes[i]]
    return True


@inner
def _spread(present: NDArray[np.uint32], n_present: int, out: NDArray[Any]) -> None:
    """Move the first of `out` to where values are present; the others become NaN."""
    j = n_present
    for i in range(len(out) - 1, -1, -1):
        if present[i]:
            j -= 1
            out[i] = out[j]
        else:
            out[i] = np.nan


@kernel
def decode(
    raw: NDArray[np.uint8],
    pages: NDArray[np.int64],
    bodies: NDArray[np.int64],
    kinds: NDArray[np.int64],
    nullable: NDArray[np.bool_],
    out: NDArray[Any],
    taken: NDArray[np.bool_],
) -> None:
    """Fill out[c], shape (n_columns, n_rows), of each column `taken` from its pages; NaN where a value is missing.

    What is packed in page p has been unpacked to address bodies[p]. A column that does not hold exactly the values
    of its kind is no longer `taken`. O(values).
    """
    n_columns, n_rows = out.shape
    codes = np.empty(n_rows, dtype=np.uint32)
    present = np.empty(n_rows, dtype=np.uint32)
    dictionary = np.empty(n_rows)
    filled = np.zeros(n_columns, dtype=np.int64)
    base = raw.ctypes.data
    n_entries, column = -1, -1
    for p in range(len(pages)):
        c, count, encoding = pages[p, COLUMN], pages[p, N_VALUES], pages[p, ENCODING]
        if not taken[c]:
            continue
        if c != column:
            n_entries, column = -1, c
        at = bodies[p]
        stop = at + pages[p, SIZE]
        if pages[p, TYPE] == DICTIONARY:
            sound = encoding == _PLAIN or encoding == _PLAIN_DICTIONARY
            sound = sound and n_entries < 0 and filled[c] == 0 and kinds[c] != BOOLEAN
            taken[c] = sound and _plain(at, stop, kinds[c], count, dictionary)
            n_entries = count
            continue
        n_present, sound = count, True
        if nullable[c]:
            if pages[p, LEVELS_SIZE] == OTHER_LEVELS:
                taken[c] = False
                continue
            if pages[p, TYPE] == DATA:
                size = np.int64(half_word_at(at)) if stop - at >= 4 else stop - at
                at += 4
                sound = size <= stop - at
                levels = at
                at += size
            else:
                levels, size = base + pages[p, LEVELS], pages[p, LEVELS_SIZE]
            whole = sound and _one_run(levels, levels + size, count)
            sound = whole or (sound and _hybrid(levels, levels + size, 1, present, count))
            if sound and not whole:
                n_present = np.int64(0)
                for i in range(count):
                    n_present += np.int64(present[i])
        elif pages[p, TYPE] != DATA and pages[p, LEVELS_SIZE] != 0:
            sound = False
        row = out[c, filled[c] : filled[c] + count]
        if not sound:
            pass
        elif encoding == _PLAIN:
            sound = _plain(at, stop, kinds[c], n_present, row)
        elif (encoding == _RLE_DICTIONARY or encoding == _PLAIN_DICTIONARY) and n_entries >= 0:
            sound = _looked_up(at, stop, dictionary[:n_entries], n_present, codes, row)
        elif encoding == _BYTE_STREAM_SPLIT:
            sound = _split(at, stop, kinds[c], n_present, row)
        elif encoding == RLE and kinds[c] == BOOLEAN and stop - at >= 4:
            size = np.int64(half_word_at(at))
            sound = size <= stop - at - 4 and _hybrid(at + 4, at + 4 + size, 1, codes, n_present)
            if sound:
                for i in range(n_present):
                    row[i] = codes[i]
        else:
            sound = False
        if not sound:
            taken[c] = False
            continue
        if n_present < count:
            _spread(present, n_present, row)
        filled[c] += count
    for c in range(n_columns):
        taken[c] &= filled[c] == n_rows

"""The order of the samples of each feature, by radix: the same on every processor, ties and all."""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import bits_of, inner, kernel, unsigned
from miscreen.kernels.ranks import present_count

_SIGN = np.uint64(1 << 63)
_NAN = np.uint64(0xFFF8 << 48)  # above infinity, and like it without low bits
_BYTE = np.uint64(0xFF)
_HALF = np.uint64(32)
_SAMPLE = np.uint64(0xFFFFFFFF)
_LAST, _MISSING = 4294967294.0, 4294967295.0  # the place of the largest value, and of NaN
_TWO_52 = 4503599627370496.0  # 2^52: added to a whole number, it leaves that in the mantissa
_PARTED = 1 << 14  # samples that are sorted at once
_NEAR = 1 << 18  # samples whose values are looked up in little time: beyond, they do not fit the second-level cache
_FEW = 32  # values that are put in order one by one
_MOVES = 2  # a sample, at most, before all bits are sorted instead


@inner
def _sort_key(value):
    """An unsigned integer that sorts as the float64 does, NaN last; low bits that are 0 stay 0. O(1)."""
    if np.isnan(value):
        return _NAN
    bits = np.uint64(bits_of(value + 0.0))  # which makes -0 and 0 the same
    return _SIGN - (bits - _SIGN) if bits >= _SIGN else _SIGN + bits


@inner
def extremes(row):
    """The least and the largest float64 value, NaN apart; four at a time, since each look waits for the last. O(n)."""
    low = low1 = low2 = low3 = np.inf
    high = high1 = high2 = high3 = -np.inf
    whole = len(row) - len(row) % 4
    for i in range(0, whole, 4):  # of NaN and what went before, each of these gives what went before
        low, high = min(low, row[i]), max(high, row[i])
        low1, high1 = min(low1, row[i + 1]), max(high1, row[i + 1])
        low2, high2 = min(low2, row[i + 2]), max(high2, row[i + 2])
        low3, high3 = min(low3, row[i + 3]), max(high3, row[i + 3])
    for i in range(whole, len(row)):
        low, high = min(low, row[i]), max(high, row[i])
    return min(min(low, low1), min(low2, low3)), max(max(high, high1), max(high2, high3))


@inner
def _distribute(words, shift, counters, distributed):
    """Write words in the order of a digit, stable; counters: how many words have each. O(n + digits)."""
    before = np.uint32(0)
    for digit in range(len(counters)):
        count = counters[digit]
        counters[digit] = before
        before += count
    for word in words:
        digit = word >> shift & np.uint64(len(counters) - 1)
        place = np.uint64(counters[digit])
        counters[digit] += np.uint32(1)
        distributed[place] = word


@inner
def _settle(words, row, moves, repeats):
    """Move words out of order, by their values where places are equal, and tell which repeat the value before.

    words: of one part, of which few are out of order. Returns how many of the moves allowed are left, or gives up with
    less than none. O(n + moves).
    """
    before = words[0]
    repeats[0] = False
    for i in range(1, len(words)):
        word = words[np.uint64(i)]
        repeats[i] = False
        if word >> _HALF <= before >> _HALF:
            value = row[word & _SAMPLE]
            j = i
            while j > 0:
                other = words[np.uint64(j - 1)]
                if other >> _HALF < word >> _HALF:
                    break
                if other >> _HALF == word >> _HALF:
                    there = row[other & _SAMPLE]
                    if not there > value:
                        repeats[j] = there == value
                        break
                words[np.uint64(j)] = other
                repeats[j] = repeats[j - 1]
                repeats[j - 1] = False
                j -= 1
            words[np.uint64(j)] = word
            moves -= i - j
            if moves < 0:
                return moves
            word = words[np.uint64(i)]
        before = word
    return moves


@inner
def _order_by_place(row, spare, parts, lower, upper, order, repeats):
    """Write the stable ascending order of a row by where its values lie in their range, or give up: return False.

    Words of many samples are first set apart by their highest bits in parts that fit into the nearest cache, each of
    which is sorted by two digits more; parts, lower and upper count words. That leaves few out of order, which are
    moved one by one, unless most values lie close together beside a range that is far wider. O(n + counters).
    """
    n = len(row)
    words = unsigned(order) if len(parts) > 1 else spare[n:]  # long columns are sorted where their order is left
    made = spare if len(parts) > 1 else words
    low, high = extremes(row)
    scale = _LAST / (high - low) if high > low else 0.0
    if not (high - low < np.inf and scale < np.inf):
        return False
    part_bits, digit_bits = 0, 0
    while 1 << part_bits < len(parts):
        part_bits += 1
    while 1 << digit_bits < len(lower):
        digit_bits += 1
    middle = np.uint64(64 - part_bits - digit_bits)
    last = middle - np.uint64(digit_bits)
    for i in range(n):
        place = (row[i] - low) * scale  # as every step is rounded, larger values never have a lower place
        place = place if place == place else _MISSING
        made[i] = np.uint64(bits_of(place + _TWO_52)) << _HALF | np.uint64(i)
    parts[:] = 0
    shift = np.uint64(64 - part_bits) if part_bits > 0 else np.uint64(0)
    if part_bits > 0:
        for word in spare:
            parts[word >> shift] += np.uint32(1)
    else:
        parts[0] = n
    crowding = 0.0  # moves there would be, even if the words of each part were spread evenly
    for count in parts:
        crowding += float(count) * float(count) / (4.0 * len(lower) * len(lower))
    if crowding > 4.0 * n:
        return False
    if part_bits > 0:
        _distribute(spare, shift, parts, words)  # whose beginning is enough from now on, and stays in a near cache
    digit = np.uint64(len(lower) - 1)
    moves = _MOVES * n
    start = 0
    for stop in parts:
        if stop == start:
            continue
        some, other = words[start:stop], spare[: stop - start]
        lower[:] = 0
        upper[:] = 0
        for word in some:
            lower[word >> last & digit] += np.uint32(1)
            upper[word >> middle & digit] += np.uint32(1)
        _distribute(some, last, lower, other)
        _distribute(other, middle, upper, some)
        moves = _settle(some, row, moves, repeats[start:stop])
        if moves < 0:
            return False
        for i in range(len(some)):
            order[start + i] = some[i] & _SAMPLE
        start = stop
    return True


@inner
def _order_by_bits(row, words, order):
    """Write the stable ascending order of a row by all bits of its values, eight at a time, lowest first. O(n).

    A word is one half of the bits and the sample. Digits in which no two values differ are passed over.
    """
    n = len(row)
    keys, spare, counters = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty((4, 256), np.uint32)
    any_set, all_set = np.uint64(0), ~np.uint64(0)
    for i in range(n):
        key = _sort_key(row[i])
        keys[i] = key
        any_set |= key
        all_set &= key
        order[i] = i
    for half in range(2):
        differing = (any_set ^ all_set) >> np.uint64(32 * half) & _SAMPLE
        if differing == 0:
            continue
        for i in range(n):
            words[i] = keys[order[i]] >> np.uint64(32 * half) << _HALF | np.uint64(order[i])
        counters[:] = 0
        for word in words:
            counters[0, word >> np.uint64(32) & _BYTE] += np.uint32(1)
            counters[1, word >> np.uint64(40) & _BYTE] += np.uint32(1)
            counters[2, word >> np.uint64(48) & _BYTE] += np.uint32(1)
            counters[3, word >> np.uint64(56) & _BYTE] += np.uint32(1)
        for byte in range(4):
            if differing >> np.uint64(8 * byte) & _BYTE != 0:
                _distribute(words, np.uint64(32 + 8 * byte), counters[byte], spare)
                words, spare = spare, words
        for i in range(n):
            order[i] = words[i] & _SAMPLE


@kernel
def argsort_rows(values, order, repeats):
    """Write the stable ascending order of each row of float64 values, NaN last: order (intp), of the same shape.

    repeats (bool, same shape): whether the value at a place of the order is that at the place before; never of NaN.
    By `_order_by_place`, or where values are too unevenly spread by `_order_by_bits`: O(n) a row; 24 n bytes at most.
    """
    n = values.shape[1]
    n_parts, width = 1, 8
    part, places = (1024, 32) if n <= _NEAR else (4096, 256)  # more places, fewer values out of order to be looked up
    if n > _PARTED:
        while n > part * n_parts and n_parts < 4096:
            n_parts *= 2
    while n_parts << 2 * width < places * n and width < 12:
        width += 1
    parts, words = np.empty(n_parts, np.uint32), np.empty(n if n_parts > 1 else 2 * n, np.uint64)
    lower, upper = np.empty(1 << width, np.uint32), np.empty(1 << width, np.uint32)
    for f in range(len(values)):
        if not _order_by_place(values[f], words, parts, lower, upper, order[f], repeats[f]):
            _order_by_bits(values[f], words[:n], order[f])
            for i in range(n):
                repeats[f, i] = i > 0 and values[f, order[f, i]] == values[f, order[f, i - 1]]


@inner
def ascending_order(values):
    """The stable ascending order of some float64 values: intp. O(n), or O(n^2) for a few."""
    n = len(values)
    order = np.empty((1, n), np.intp)
    if n > _FEW:
        rows = np.empty((1, n))
        for i in range(n):
            rows[0, i] = values[i]
        argsort_rows(rows, order, np.empty((1, n), np.bool_))
        return order[0]
    for i in range(n):
        j = i
        while j > 0 and values[order[0, j - 1]] > values[i]:
            order[0, j] = order[0, j - 1]
            j -= 1
        order[0, j] = i
    return order[0]


@kernel
def count_present(values, order, repeats, n_present, n_levels):
    """Count in each row of float64 values what is not NaN, and how many different ones (int64), by `argsort_rows`.

    O(n) a row, in vectors.
    """
    for f in range(len(values)):
        n = present_count(values[f], order[f])
        repeated = 0
        for i in range(n):
            repeated += repeats[f, i]
        n_present[f] = n
        n_levels[f] = n - repeated

"""One margin of a pair: its scale, its ties, and how many of its values lie within a distance.

Every nearest-neighbour estimate is made of such whole numbers, gathered in histograms and weighed once at the
end. So it depends neither on the order of the samples nor on how a search is laid out, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import count_closer, inlined, inner, kernel, word_at
from miscreen.kernels.ranks import normal_score_table

RAW, STANDARD, RANK = range(3)
KSG, ROSS, GAO, COMBINED = range(4)  # what an estimate was made by
PAD = 16  # values compared at once by strides
LOOK = 8  # values compared at once where an edge should be, as by `count_closer`; less than PAD
FEW = 16  # strides before galloping


@inner
def is_tied(ascending):
    """Whether any two neighbours in an ascending float array are equal. O(n), in vectors."""
    ties = 0
    for i in range(1, len(ascending)):
        ties += ascending[i] == ascending[i - 1]
    return ties > 0


@inner
def score_ranks(ascending, table):
    """Replace an ascending float64 array by normal scores, ties sharing one; table: its `normal_score_table`. O(n)."""
    n = len(ascending)
    if not is_tied(ascending):
        for i in range(n):
            ascending[i] = table[i]
        return
    start = 0
    while start < n:
        value = ascending[start]
        stop = start + 1
        while stop < n and ascending[stop] == value:
            stop += 1
        score = _shared_score(start, stop, table, n)
        for i in range(start, stop):
            ascending[i] = score
        start = stop


@inner
def _shared_score(start, stop, table, n):
    """What a `normal_score_table` gives ties from place `start` to before `stop`: that of their average rank. O(1)."""
    twice = start + stop - 1
    return table[twice // 2] if twice % 2 == 0 else table[n + twice // 2]


@inner
def score_places(repeats, table, scores):
    """Write what `score_ranks` does, given which places of an order repeat the value before (bool, of a byte). O(n).

    As ties are mostly few, eight places without any are passed over at once.
    """
    n = len(scores)
    for i in range(n):
        scores[i] = table[i]
    first = repeats.ctypes.data
    i = 1
    while i < n:
        if i + 8 <= n and word_at(first + i) == 0:
            i += 8
            continue
        if repeats[i]:
            start = i - 1
            while i < n and repeats[i]:
                i += 1
            score = _shared_score(start, i, table, n)
            for place in range(start, i):
                scores[place] = score
        i += 1


@inner
def any_repeats(repeats, n):
    """Whether any of the first n places of an order repeats the value before. O(n), in vectors."""
    count = 0
    for i in range(n):
        count += repeats[i]
    return count > 0


@kernel
def ascending_scores(values, order, table):
    """Values (float64) in the order of the samples listed, none missing. O(n).

    As ranks or normal scores if `table` is such a table as `score_ranks` reads, as they are if it is empty.
    """
    ascending = np.empty(len(order))
    for i in range(len(order)):
        ascending[i] = values[np.uint64(order[i])]
    if len(table) > 0:
        score_ranks(ascending, table)
    return ascending


@kernel
def rescale(ascending, scale):
    """Put an ascending float64 array on a scale: RAW, STANDARD or RANK; return what its distances weigh there.

    RANK writes normal scores, ties sharing one. STANDARD writes nothing and returns 1 / SD (ddof 0), so that
    equal distances, as between whole numbers, stay equal. O(n); RANK takes 16 n bytes of scratch.
    """
    n = len(ascending)
    if scale == STANDARD:
        # in ascending order the sums have the same bits for any order of the samples
        mean = 0.0
        for i in range(n):
            mean += ascending[i]
        mean /= n
        squares = rest = 0.0
        for i in range(n):
            off = ascending[i] - mean
            squares += off * off
            rest += off
        squares -= rest * rest / n  # since the mean is rounded
        return 1.0 / math.sqrt(squares / n) if squares > 0.0 else 1.0
    if scale == RANK:
        score_ranks(ascending, normal_score_table(n))
    return 1.0


@inner
def has_extent(ascending, weight):
    """Whether the distance from the first to the last value is neither 0 nor beyond the numbers. O(1)."""
    return len(ascending) > 0 and 0.0 < (ascending[-1] - ascending[0]) * weight < np.inf


@inner
def leap(padded, at, sign, stride, value, weight, radius):
    """Gallop from `at`, which is closer to `value` than `radius`, towards `sign`, to less than `stride` of the edge.

    With a stride of 1, to the last place that is closer. O(log distance).
    """
    step = stride
    while 0 <= at + sign * step < len(padded) and abs(padded[at + sign * step] - value) * weight < radius:
        at += sign * step
        step *= 2
    while step > stride:
        step //= 2
        if 0 <= at + sign * step < len(padded) and abs(padded[at + sign * step] - value) * weight < radius:
            at += sign * step
    return at


@inner
def _count_by_strides(padded, position, weight, radius):
    """What `count_within` counts, by strides of PAD values and one vector comparison. O(log count).

    Faster than bisection, which mispredicts.
    """
    value = padded[position + PAD]
    high = low = position + PAD
    strides = 0
    while (padded[high + PAD] - value) * weight < radius:
        high += PAD
        strides += 1
        if strides == FEW:
            high = leap(padded, high, 1, PAD, value, weight, radius)
    strides = 0
    while (value - padded[low - PAD]) * weight < radius:
        low -= PAD
        strides += 1
        if strides == FEW:
            low = leap(padded, low, -1, PAD, value, weight, radius)
    count = high - low
    for i in range(PAD):
        count += (padded[high + 1 + i] - value) * weight < radius
    for i in range(PAD):
        count += (value - padded[low - PAD + i]) * weight < radius
    return count


@inner
def pad(ascending):
    """Set PAD infinities on either side of an ascending float64 array, so that searches need no bounds."""
    n = len(ascending)
    padded = np.empty(n + 2 * PAD)
    for i in range(PAD):
        padded[i] = -np.inf
        padded[PAD + n + i] = np.inf
    for i in range(n):
        padded[PAD + i] = ascending[i]
    return padded


@inner
def index_margin(ascending):
    """Prepare an ascending float64 array for `count_within`. O(n).

    Cells of equal width cut up its middle, so that what lies far out makes them no wider: two for each value.
    """
    n = len(ascending)
    low, high = (ascending[n // 64], ascending[n - 1 - n // 64]) if n > 0 else (0.0, 0.0)
    scale = 2.0 * n / (high - low) if high > low else 0.0
    if not scale < np.inf:
        scale = 0.0
    firsts = np.zeros(2 * n + 2, np.uint32)  # where the look into a cell begins: one place before its first value
    for value in ascending:
        firsts[_cell(value, low, scale, 2 * n) + np.uint64(1)] += np.uint32(1)
    before = np.uint32(PAD - 1)
    for cell in range(len(firsts)):
        before += firsts[cell]
        firsts[cell] = before
    padded = pad(ascending)
    return padded, padded.ctypes.data, firsts, low, scale


@inner
def _cell(value, low, scale, last):
    """The cell of a value, from 0 to `last`, and 0 of NaN. O(1)."""
    at = (value - low) * scale
    at = at if at > 0.0 else 0.0
    return np.uint64(np.int64(at if at < last else float(last)))


@inlined
def count_within(margin, position, weight, reach, radius):
    """How many other values lie closer than `radius` to the one at `position` of an array, given its `index_margin`.

    A distance is a difference times `weight`; reach: radius / weight, be it rounded. Looked up where the edges should
    be and compared there. O(1), O(log count) far out; a sample's own place among its ties does not matter.
    """
    padded, address, firsts, low, scale = margin
    value = padded[np.uint64(position + PAD)]
    last = len(firsts) - 2
    up = firsts[_cell(value + reach, low, scale, last)]
    down = firsts[_cell(value - reach, low, scale, last)]
    above = count_closer(address + 8 * np.int64(up), value, weight, radius)
    below = count_closer(address + 8 * np.int64(down), value, -weight, radius)
    if 0 < above < LOOK and 0 < below < LOOK:
        return np.int64(up) + above - (np.int64(down) + LOOK - below) - 1
    return _count_by_strides(padded, position, weight, radius)


@inner
def weigh(histogram, table):
    """Sum of table values weighted by a histogram (int64) of their index, empty classes skipped. O(n)."""
    total = 0.0
    for i in range(len(histogram)):
        if histogram[i] != 0:
            total += histogram[i] * table[i]
    return total

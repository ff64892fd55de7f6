"""One margin of a pair: its scale, its ties, and how many of its values lie within a distance.

Every nearest-neighbour estimate is made of such whole numbers, gathered in histograms and weighed once at the
end. So it depends neither on the order of the samples nor on how a search is laid out, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.ranks import normal_score_table

RAW, STANDARD, RANK = 0, 1, 2
PAD = 16  # values compared at once
FEW = 16  # strides before galloping


@kernel
def is_tied(ascending):
    """Whether any two neighbours in an ascending float array are equal. O(n)."""
    for i in range(1, len(ascending)):
        if ascending[i] == ascending[i - 1]:
            return True
    return False


@inner
def score_ranks(ascending, table):
    """Replace an ascending float64 array by normal scores, ties sharing one; table: its `normal_score_table`. O(n)."""
    n = len(ascending)
    start = 0
    while start < n:
        value = ascending[start]
        stop = start + 1
        while stop < n and ascending[stop] == value:
            stop += 1
        for i in range(start, stop):
            ascending[i] = table[start + stop - 1]
        start = stop


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
        squares = 0.0
        for i in range(n):
            squares += (ascending[i] - mean) ** 2
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
def count_within(padded, position, weight, radius):
    """How many other values lie closer than `radius` to the one at `position` of a `pad`ded ascending array.

    A distance is a difference times `weight`. Strides of PAD, then one vector comparison: faster than
    bisection, which mispredicts. O(log count); a sample's own place among its ties does not matter.
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


@kernel
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
def weigh(histogram, table):
    """Sum of table values weighted by a histogram (int64) of their index, empty classes skipped. O(n)."""
    total = 0.0
    for i in range(len(histogram)):
        if histogram[i] != 0:
            total += histogram[i] * table[i]
    return total

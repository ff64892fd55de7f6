"""How many bins: the rules of NumPy's histograms, and that of Birge & Rozenholc."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.spread import quartile, squared_deviations

FIXED, CUBE_ROOT, BIRGE_ROZENHOLC, FREEDMAN_DIACONIS, DOANE, SCOTT, STURGES, SQUARE_ROOT, RICE = range(9)
BY_COUNT = FIXED, CUBE_ROOT  # without a look at the values
MAX_BINS = 1024
_FEWEST, _MOST = 2, 8  # by the cube root: more would find finer structure, and their noise hide what is weak


@kernel
def n_log_n(n):
    """The products c ln c for c = 0, 1, ..., n, with 0 ln 0 = 0: float64. O(n)."""
    table = np.zeros(n + 1)
    for c in range(2, n + 1):
        table[c] = c * math.log(c)
    return table


@inner
def cube_root_bins(n):
    """The cube root of the number of samples, rounded, from 2 to 8; in whole numbers, so nothing is rounded. O(1)."""
    bins = _MOST
    while bins > _FEWEST and (2 * bins - 1) * (2 * bins - 1) * (2 * bins - 1) > 8 * n:
        bins -= 1
    return bins


@inner
def _bin_width(ascending, rule):
    """Width of bins by a rule as numpy.histogram_bin_edges defines it; 0 asks for a single bin. O(n)."""
    n = len(ascending)
    span = ascending[n - 1] - ascending[0]
    if rule == SQUARE_ROOT:
        return span / math.sqrt(n)
    if rule == RICE:
        return 0.5 * span / n ** (1.0 / 3.0)
    if rule == STURGES:
        return span / (math.log2(n) + 1.0)
    if rule == FREEDMAN_DIACONIS:
        return 2.0 * (quartile(ascending, 3) - quartile(ascending, 1)) / n ** (1.0 / 3.0)
    mean, squares = squared_deviations(ascending)
    deviation = math.sqrt(squares / n)
    if rule == SCOTT:
        return (24.0 * math.pi**0.5 / n) ** (1.0 / 3.0) * deviation
    if n < 3 or deviation == 0.0:
        return 0.0
    skewness = 0.0
    for value in ascending:
        off = (value - mean) / deviation
        skewness += off * (off * off)
    skewness /= n
    unit = math.sqrt(6.0 * (n - 2) / ((n + 1.0) * (n + 3.0)))
    return span / (1.0 + math.log2(n) + math.log2(1.0 + abs(skewness) / unit))


@inner
def _place_edges(n_bins, fine, u, below, upto, edges, places, counts):
    """How many samples lie below each edge j / n_bins, j = 1, ..., n_bins - 1: write counts (uint32). O(n_bins).

    u: distinct values in [0, 1], ascending; below: how many of them lie below each of `fine` cells; upto: how
    many samples lie below each. A look at the two next values settles nearly every edge without a branch, and
    the rest is bisected. Indices are unsigned, since a check for negative ones would break the pipeline.
    """
    unsettled = False
    for j in range(n_bins):
        edges[j] = j / n_bins
        places[j] = np.uint32(np.int32(edges[j] * fine))
    for j in range(1, n_bins):
        edge = edges[j]
        at = np.uint64(below[np.uint64(places[j])])
        at += np.uint64(u[at] < edge)
        at += np.uint64(u[at] < edge)
        unsettled |= u[at] < edge
        counts[j] = upto[at]
    if unsettled:
        for j in range(1, n_bins):
            low, high = np.int64(below[places[j]]), np.int64(below[places[j] + 1])
            if high - low > 2:
                while low < high:
                    middle = (low + high) // 2
                    low, high = (middle + 1, high) if u[middle] < edges[j] else (low, middle)
                counts[j] = upto[low]


@inner
def _birge_rozenholc(ascending, table):
    """Number of equal bins that maximises the penalised likelihood of Birge & Rozenholc, at most MAX_BINS.

    Cells are those of u in [j / D, (j + 1) / D), u = (x - min) / range. Edges of D bins are also those of D / 2,
    so that only the upper half of the numbers is laid out, each for all its halves. O(n + (n / ln n)^2).
    """
    n = len(ascending)
    low, span = ascending[0], ascending[n - 1] - ascending[0]
    most = min(int(n / math.log(n)), MAX_BINS)
    fine = 1024
    while fine < 8 * n:
        fine *= 2
    u = np.empty(n + 2)
    upto = np.empty(n + 2, np.uint32)
    below = np.zeros(fine + 2, np.uint32)
    distinct = 0
    for i in range(n):
        value = (ascending[i] - low) / span
        if distinct == 0 or value != u[distinct - 1]:
            u[distinct] = value
            upto[distinct] = i
            below[int(value * fine) + 1] += np.uint32(1)
            distinct += 1
    u[distinct:] = np.inf
    for k in range(fine + 1):
        below[k + 1] += below[k]
    edges = np.empty(most)
    places, counts = np.empty(most, np.uint32), np.zeros(most + 1, np.uint32)
    best, chosen = table[n], 1
    for laid in range(most // 2 + 1, most + 1):
        _place_edges(laid, fine, u, below, upto, edges, places, counts)
        counts[laid] = n
        n_bins, stride = laid, 1
        while True:
            likelihood, other = 0.0, 0.0  # two sums, since each addition waits for the one before
            for j in range(stride, laid, 2 * stride):
                likelihood += table[np.uint64(counts[j] - counts[j - stride])]
                other += table[np.uint64(counts[j + stride] - counts[j])]
            if n_bins % 2 == 1:
                likelihood += table[np.uint64(counts[laid] - counts[laid - stride])]
            log_bins = math.log(n_bins)
            score = likelihood + other + n * log_bins - (n_bins - 1.0 + log_bins**2.5)
            if score > best or (score == best and n_bins < chosen):
                best, chosen = score, n_bins
            if n_bins % 2 == 1:
                break
            n_bins //= 2
            stride *= 2
    return chosen


@kernel
def bin_count(ascending, rule, table):
    """Number of equal bins that a rule gives sorted, not constant float64 values, from 1 to MAX_BINS.

    table: `n_log_n` of at least their number, for the rule of Birge & Rozenholc. O(n), or O(n + (n / ln n)^2).
    """
    if rule == BIRGE_ROZENHOLC:
        return _birge_rozenholc(ascending, table)
    width = _bin_width(ascending, rule)
    if width == 0.0:
        return 1
    bins = (ascending[len(ascending) - 1] - ascending[0]) / width
    return MAX_BINS if bins >= MAX_BINS else max(1, math.ceil(bins))  # 0 where a deviation overflows

"""Bins: how many, where each sample falls, and the mutual information of two binned margins."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.counts import joint_counts, level_codes, miller_madow, plugin_mi
from miscreen.kernels.ranks import compact, compact_target

FIXED, BIRGE_ROZENHOLC, FREEDMAN_DIACONIS, DOANE, SCOTT, STURGES, SQUARE_ROOT = range(7)
MAX_BINS = 1024


@kernel
def n_log_n(n):
    """The products c ln c for c = 0, 1, ..., n, with 0 ln 0 = 0: float64. O(n)."""
    table = np.zeros(n + 1)
    for c in range(2, n + 1):
        table[c] = c * math.log(c)
    return table


@inner
def _deviation(ascending):
    """Mean and standard deviation (ddof 0) of float64 values. O(n)."""
    n = len(ascending)
    mean = 0.0
    for value in ascending:
        mean += value
    mean /= n
    squares = 0.0
    for value in ascending:
        squares += (value - mean) ** 2
    return mean, math.sqrt(squares / n)


@inner
def _quartile(ascending, quarter):
    """Quartile 1 or 3 of sorted float64 values, linearly interpolated as numpy.percentile does. O(1)."""
    at = (len(ascending) - 1) * quarter * 0.25
    below = int(at)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (at - below)


@inner
def _bin_width(ascending, rule):
    """Width of bins by a rule as numpy.histogram_bin_edges defines it; 0 asks for a single bin. O(n)."""
    n = len(ascending)
    span = ascending[n - 1] - ascending[0]
    if rule == SQUARE_ROOT:
        return span / math.sqrt(n)
    if rule == STURGES:
        return span / (math.log2(n) + 1.0)
    if rule == FREEDMAN_DIACONIS:
        return 2.0 * (_quartile(ascending, 3) - _quartile(ascending, 1)) / n ** (1.0 / 3.0)
    mean, deviation = _deviation(ascending)
    if rule == SCOTT:
        return (24.0 * math.pi**0.5 / n) ** (1.0 / 3.0) * deviation
    if n < 3 or deviation == 0.0:
        return 0.0
    skewness = 0.0
    for value in ascending:
        skewness += ((value - mean) / deviation) ** 3
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
            low, high = below[places[j]], below[places[j] + 1]
            if high - low > 2:
                counts[j] = upto[low + np.searchsorted(u[low:high], edges[j])]


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


@kernel
def width_cells(values, low, high, bins, cells):
    """Put float64 values from `low` to `high` into equal bins, the last one closed: cells (int64).

    The edges are those of numpy.linspace, and the bins those of numpy.histogram2d, also on an edge. O(n + bins).
    """
    edges = np.empty(bins + 1)
    span = high - low
    step = span / bins
    for j in range(bins):
        edges[j] = (j * step if step > 0.0 else j / bins * span) + low
    edges[bins] = high
    scale = bins / span
    for i in range(len(values)):
        value = values[i]
        cell = min(max(int((value - low) * scale), 0), bins - 1)
        while value < edges[cell]:
            cell -= 1
        while cell < bins - 1 and value >= edges[cell + 1]:
            cell += 1
        cells[i] = cell


@kernel
def frequency_cells(values, order, bins, cells):
    """Put float64 values into bins of equal frequency by their average ranks: cells (int64).

    Bin (rank - 1/2) bins / n rounded down, in whole numbers, so that ties stay together. O(n).
    """
    n = len(values)
    start = 0
    while start < n:
        value = values[order[start]]
        stop = start + 1
        while stop < n and values[order[stop]] == value:
            stop += 1
        cell = (start + stop) * bins // (2 * n)
        for i in range(start, stop):
            cells[order[i]] = cell
        start = stop


@kernel
def margin_cells(values, order, discrete, bins, rule, by_width, table, cells):
    """Bin a margin without missing values (float64): write its cells (int64) and return how many bins there are.

    0 for a constant margin, and where a range that is needed overflows. A discrete margin keeps its levels. The
    order, an argsort, is not read when bins of fixed number and equal width are asked for.
    """
    n = len(values)
    if discrete:
        levels = level_codes(values, order, cells)
        return levels if levels > 1 else 0
    if rule == FIXED and by_width:
        low = high = values[0]
        for value in values:
            low = min(low, value)
            high = max(high, value)
    else:
        low, high = values[order[0]], values[order[n - 1]]
    if not low < high or (high - low == np.inf and (by_width or rule != FIXED)):
        return 0
    if rule != FIXED:
        ascending = np.empty(n)
        for i in range(n):
            ascending[i] = values[order[i]]
        bins = bin_count(ascending, rule, table)
    if by_width:
        width_cells(values, low, high, bins, cells)
    else:
        frequency_cells(values, order, bins, cells)
    return bins


@kernel
def binned_mi(
    values, order, target, target_order, target_cells, n_target_cells, discrete, target_discrete,
    bins, rule, by_width, correct, mi,
):  # fmt: skip
    """Plug-in mutual information, in nats, of binned features (n_features, n_samples) and a binned target.

    NaN = missing, deleted pair by pair; target_cells, n_target_cells: `margin_cells` of the whole target; order,
    target_order: argsorts; correct: whether to add `miller_madow`; mi: float64 (n_features,). O(n + cells) each.
    """
    full = len(target)
    table = n_log_n(full)
    cells, kept_cells = np.empty(full, np.int64), np.empty(full, np.int64)
    kept, kept_order = np.empty(full), np.empty(full, np.intp)
    unordered = np.arange(full)
    for f in range(len(values)):
        row_order = order[f] if order.shape[1] > 0 else unordered
        missing = 0
        for value in values[f]:
            missing += np.isnan(value)
        if missing == 0:
            x_bins = margin_cells(values[f], row_order, discrete, bins, rule, by_width, table, cells)
            y_bins = n_target_cells
            y_cells = target_cells
        else:
            n = compact(values[f], row_order, kept, kept_order)
            x_bins = margin_cells(kept[:n], kept_order[:n], discrete, bins, rule, by_width, table, cells[:n])
            compact_target(values[f], target, target_order, kept, kept_order)
            y_cells = kept_cells[:n]
            y_bins = margin_cells(kept[:n], kept_order[:n], target_discrete, bins, rule, by_width, table, y_cells)
        if x_bins == 0 or y_bins == 0:
            mi[f] = np.nan
            continue
        counts = joint_counts(cells[: full - missing], y_cells, x_bins, y_bins)
        mi[f] = plugin_mi(counts) + (miller_madow(counts) if correct else 0.0)

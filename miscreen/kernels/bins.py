"""Bins: where each sample falls, and the mutual information of two binned margins."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.bin_rules import FIXED, RICE, bin_count
from miscreen.kernels.counts import joint_counts, level_codes, miller_madow, plugin_mi
from miscreen.kernels.ranks import compact, compact_target
from miscreen.kernels.sorting import extremes


@inner
def _width_edges(low, high, bins):
    """Edges of equal bins, those of numpy.linspace, but infinity for the last: float64 (bins + 1,). O(bins)."""
    edges = np.empty(bins + 1)
    span = high - low
    step = span / bins
    for j in range(bins):
        edges[j] = (j * step if step > 0.0 else j / bins * span) + low
    edges[bins] = np.inf
    return edges


@inner
def _width_cell(value, edges, scale):
    """The bin of a value, given bins / range: that of numpy.histogram2d, also on an edge. O(1)."""
    cell = min(max(int((value - edges[0]) * scale), 0), len(edges) - 2)
    while value < edges[np.uint64(cell)]:
        cell -= 1
    while value >= edges[np.uint64(cell + 1)]:
        cell += 1
    return cell


@kernel
def width_cells(values, low, high, bins, cells):
    """Put float64 values from `low` to `high` into equal bins, the last one closed: cells (int64).

    The edges are those of numpy.linspace, and the bins those of numpy.histogram2d, also on an edge. O(n + bins).
    """
    edges = _width_edges(low, high, bins)
    scale = bins / (high - low)
    for i in range(len(values)):
        cells[i] = _width_cell(values[i], edges, scale)


@inner
def _width_counts(values, low, high, bins, y_cells, y_bins):
    """The `joint_counts` of `width_cells` and other cells, in one pass. O(n + bins y_bins)."""
    counts = np.zeros((bins, y_bins), np.int64)
    edges = _width_edges(low, high, bins)
    scale = bins / (high - low)
    for i in range(len(values)):
        counts[np.uint64(_width_cell(values[i], edges, scale)), np.uint64(y_cells[i])] += 1
    return counts


@inner
def _counted_mi(counts, table):
    """The `plugin_mi` of a table of counts, from a `n_log_n` of their sum or more: without logarithms. O(kx ky)."""
    kx, ky = counts.shape
    columns = np.zeros(ky, np.int64)
    terms = np.zeros(ky)  # added up side by side, since every addition waits for the one before
    joint, rows, others = 0.0, 0.0, 0.0
    n = 0
    for a in range(kx):
        row = 0
        for b in range(ky):
            count = counts[a, b]
            terms[b] += table[np.uint64(count)]
            columns[b] += count
            row += count
        rows += table[row]
        n += row
    for b in range(ky):
        joint += terms[b]
        others += table[columns[b]]
    return ((joint - rows) - (others - table[n])) / n  # so 0 where either has but one bin


@kernel
def frequency_cells(values, order, bins, cells):
    """Put the float64 values that an order lists into bins of equal frequency by their average ranks: cells (integers).

    Bin (rank - 1/2) bins / n rounded down, in whole numbers, so that ties stay together. O(n).
    """
    n = len(order)
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
        low, high = extremes(values)
    else:
        low, high = values[order[0]], values[order[n - 1]]
    if not low < high or (high - low == np.inf and (by_width or rule not in (FIXED, RICE))):
        return 0
    if rule == RICE and not by_width:  # whatever the values are, however far apart
        bins = math.ceil(2.0 * n ** (1.0 / 3.0))
    elif rule != FIXED:
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
    bins, rule, by_width, correct, table, mi,
):  # fmt: skip
    """Plug-in mutual information, in nats, of binned features (n_features, n_samples) and a binned target.

    NaN = missing, deleted pair by pair; target_cells, n_target_cells: `margin_cells` of the whole target; order,
    target_order: argsorts; correct: whether to add `miller_madow`; table: `n_log_n` of the samples; mi: float64
    (n_features,). O(n + cells) each, where the rule does not cost more.
    """
    full = len(target)
    cells, kept_cells = np.empty(full, np.int64), np.empty(full, np.int64)
    kept, kept_order = np.empty(full), np.empty(full, np.intp)
    unordered = np.arange(full)
    for f in range(len(values)):
        row_order = order[f] if order.shape[1] > 0 else unordered
        missing = 0
        for value in values[f]:
            missing += np.isnan(value)
        n = full - missing
        if missing == 0:
            x, y_cells, y_bins = values[f], target_cells, n_target_cells
        else:
            compact_target(values[f], target, target_order, kept, kept_order)
            y_cells = kept_cells[:n]
            y_bins = margin_cells(kept[:n], kept_order[:n], target_discrete, bins, rule, by_width, table, y_cells)
            compact(values[f], row_order, kept, kept_order)
            x, row_order = kept[:n], kept_order[:n]
        at_once = rule == FIXED and by_width and not discrete
        if at_once:
            low, high = extremes(x)
            x_bins = bins if low < high and high - low < np.inf else 0
        else:
            x_bins = margin_cells(x, row_order, discrete, bins, rule, by_width, table, cells[:n])
        if x_bins == 0 or y_bins == 0:
            mi[f] = np.nan
            continue
        if at_once:
            counts = _width_counts(x, low, high, bins, y_cells, y_bins)
        else:
            counts = joint_counts(cells[:n], y_cells, x_bins, y_bins)
        mi[f] = plugin_mi(counts) if discrete and target_discrete else _counted_mi(counts, table)
        mi[f] += miller_madow(counts) if correct else 0.0

"""Bins: where each sample falls, and the mutual information of two binned margins."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import kernel
from miscreen.kernels.bin_rules import FIXED, RICE, bin_count
from miscreen.kernels.counts import joint_counts, level_codes, miller_madow, plugin_mi
from miscreen.kernels.ranks import compact, compact_target


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
        low = high = values[0]
        for value in values:
            low = min(low, value)
            high = max(high, value)
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

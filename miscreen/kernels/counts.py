"""Contingency tables: levels to codes, counts, mutual information."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel

_NEGLIGIBLE = 1e-18  # odds of a count, against the likeliest


@inner
def code_count(codes):
    """One more than the largest of codes (integers, negative = missing): 0 where there is none. O(n)."""
    count = 0
    for code in codes:
        count = max(count, code + 1)
    return count


@inner
def renumber(codes, n_levels):
    """Renumber codes (int64, below n_levels, negative = missing) in order of first appearance, in place.

    Returns how many levels do appear. O(n + n_levels), as much scratch.
    """
    number_of = np.empty(n_levels, np.int64)
    for level in range(n_levels):
        number_of[level] = -1
    count = 0
    for i in range(len(codes)):
        if codes[i] >= 0:
            if number_of[codes[i]] < 0:
                number_of[codes[i]] = count
                count += 1
            codes[i] = number_of[codes[i]]
    return count


@kernel
def level_codes(values, order, codes):
    """Number the levels of a feature in order of first appearance among its samples; return how many.

    values: float array, NaN = missing; order: intp array, ascending with NaN last; codes: int64 array, filled
    with 0, 1, ... and -1 where missing. O(n). Renaming the levels leaves the codes as they are, bit for bit.
    """
    n = len(values)
    level = -1
    previous = 0.0
    for i in range(n):
        sample = order[i]
        value = values[sample]
        if np.isnan(value):
            codes[sample] = -1
            continue
        if level < 0 or value != previous:
            level += 1
            previous = value
        codes[sample] = level
    return renumber(codes, level + 1)


@kernel
def joint_counts(x_codes, y_codes, kx, ky):
    """Contingency table, int64 of shape (kx, ky), of two integer arrays of codes; negative codes are missing.

    Samples in which either code is missing are left out. O(n + kx ky).
    Scratch: none besides the table.
    """
    counts = np.zeros((kx, ky), np.int64)
    for i in range(len(x_codes)):
        if x_codes[i] >= 0 and y_codes[i] >= 0:
            counts[x_codes[i], y_codes[i]] += 1
    return counts


@kernel
def plugin_mi(counts):
    """Plug-in mutual information, in nats, of a contingency table (integers, shape (kx, ky)).

    Sum of p log(p / (p_x p_y)) over occupied cells; biased upwards by about (kx - 1)(ky - 1) / 2n. O(kx ky).
    NaN when the table is empty.
    """
    kx, ky = counts.shape
    columns = np.zeros(ky, np.int64)
    n = 0
    for a in range(kx):
        for b in range(ky):
            columns[b] += counts[a, b]
            n += counts[a, b]
    total = 0.0
    for a in range(kx):
        row = 0
        for b in range(ky):
            row += counts[a, b]
        for b in range(ky):
            count = counts[a, b]
            if count > 0:
                total += count * math.log((float(count) * n) / (float(row) * columns[b]))
    return total / n


@kernel
def miller_madow(counts):
    """Bias correction, in nats, to add to the plug-in mutual information of a contingency table.

    (Kx + Ky - Kxy - 1) / 2n with K the number of occupied rows, columns and cells: Miller (1955). O(kx ky).
    Usually negative. The table must not be empty.
    """
    kx, ky = counts.shape
    occupied_columns = np.zeros(ky, np.int64)
    occupied = 0
    n = 0
    for a in range(kx):
        row = 0
        for b in range(ky):
            if counts[a, b] > 0:
                n += counts[a, b]
                row = 1
                occupied_columns[b] = 1
                occupied -= 1
        occupied += row
    for b in range(ky):
        occupied += occupied_columns[b]
    return (occupied - 1) / (2.0 * n)


@kernel
def count_terms(n):
    """What a cell of k = 0, ..., n samples adds to n times the jackknife's estimate of information: float64 (n + 1,).

    k (k ln k - (k - 1) ln(k - 1)), less k, which comes to n in every table: k ln k less 1 for a single sample, and less
    1/2, which is what Miller & Madow take off, for many. O(n).
    """
    terms = np.zeros(n + 1)
    for k in range(1, n + 1):
        without = (k - 1.0) * math.log1p(-1.0 / k) if k > 1 else 0.0
        terms[k] = k * math.log(k) - k * (1.0 + without)
    return terms


@inner
def _mean_term(row, column, n, terms):
    """Mean of a cell's term over all arrangements, in which its count is hypergeometric. O(sqrt n).

    From the likeliest count up and down, each by its odds against the one before, until they matter no more.
    """
    likeliest = (row + 1) * (column + 1) // (n + 2)
    weights, weighted = 1.0, terms[likeliest]
    odds, k = 1.0, likeliest
    while odds > _NEGLIGIBLE and k < min(row, column):
        odds *= float(row - k) * (column - k) / (float(k + 1) * (n - row - column + k + 1))
        k += 1
        weights += odds
        weighted += odds * terms[k]
    odds, k = 1.0, likeliest
    while odds > _NEGLIGIBLE and k > max(0, row + column - n):
        odds *= float(k) * (n - row - column + k) / (float(row - k + 1) * (column - k + 1))
        k -= 1
        weights += odds
        weighted += odds * terms[k]
    return weighted / weights


@inner
def _mean_of_terms(sums, kx, n, terms, units):
    """Mean of the sum of the cells' terms over all tables with these sums (int64, ascending): kx of rows, then columns.

    In whole numbers of those units. O(sums + r sqrt n), r the pairs of rows and columns of different sums.
    """
    total = 0
    above = 0
    while above < kx:
        below = above + 1
        while below < kx and sums[below] == sums[above]:
            below += 1
        left = kx
        while left < len(sums):
            right = left + 1
            while right < len(sums) and sums[right] == sums[left]:
                right += 1
            alike = (below - above) * (right - left)
            total += np.int64(alike * _mean_term(sums[above], sums[left], n, terms) * units)
            left = right
        above = below
    return total


@inner
def _sort(counts):
    """Sort integers in place, by Shell's method: a small piece of machine code for what are mostly few. O(n^1.5)."""
    gap = 1
    while 3 * gap < len(counts):
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, len(counts)):
            count = counts[i]
            j = i
            while j >= gap and counts[j - gap] > count:
                counts[j] = counts[j - gap]
                j -= gap
            counts[j] = count
        gap //= 3


@inner
def unbiased_mi(counts, terms, margins, mean):
    """Mutual information, in nats, of a table of counts (int64, shape (kx, ky)), of mean 0 for independent columns.

    The jackknife's estimate less its mean over all tables with these margins; terms: `count_terms` of their sum.
    margins: int64 (kx + ky + 2,) or longer, of -1 to begin with, and mean: int64 (1,), keep those of the table before,
    which arrangements of a column and columns without ties share. NaN when the table is empty, 0 where one side has one
    level alone or no level twice. O(kx ky) besides the mean. Neither another order of rows or columns nor their
    exchange changes a bit.
    """
    kx, ky = counts.shape
    n = 0
    sums = np.zeros(kx + ky, np.int64)
    for a in range(kx):
        for b in range(ky):
            sums[a] += counts[a, b]
            sums[kx + b] += counts[a, b]
            n += counts[a, b]
    if n == 0:
        return np.nan
    _sort(sums[:kx])
    _sort(sums[kx:])
    most = sums[kx - 1], sums[-1]
    if 1 in most or n in most:  # so that all arrangements have the same table, whose mean is not to be rounded
        return 0.0
    known = margins[0] == kx and margins[1] == ky
    margins[0], margins[1] = kx, ky
    for i in range(kx + ky):
        known = known and margins[2 + i] == sums[i]
        margins[2 + i] = sums[i]
    units = 2.0**56  # whole numbers of them have a sum below 2^62, which no order of the cells changes
    size = 1
    while size < n:
        size *= 2
        units *= 0.5
    if not known:
        mean[0] = _mean_of_terms(sums, kx, n, terms, units)
    total = 0
    for a in range(kx):
        for b in range(ky):
            total += np.int64(terms[np.uint64(counts[a, b])] * units)
    return (total - mean[0]) / (units * n)


@kernel
def level_pairs(values, order, target_codes, levels, codes):
    """Number the levels of features and of the target beside each, in order of first appearance.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target_codes: int64. Writes levels and
    codes, int64 as values, -1 where missing. O(n) a feature.
    """
    most = code_count(target_codes)
    for f in range(len(values)):
        level_codes(values[f], order[f], levels[f])
        for i in range(len(target_codes)):
            codes[f, i] = target_codes[i] if levels[f, i] >= 0 else -1
        renumber(codes[f], most)


@kernel
def binned_pairs(values, order, target_values, target_order, target_codes, most, per_cell, coarseness, cells, labels):
    """Put what has an order into bins of equal frequency, ties together, beside classes: see `mixed_mi`.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last. The classes are those of the target,
    target_codes, int64 (n,), or where it is empty the levels of each feature, and the target has the order. most: int64
    (n_features,), bins, no more than leave per_cell samples for each and each class, over coarseness, or the groups of
    ties. Writes cells and labels, int64 as values, numbered in order of first appearance; all -1 where either has one
    value alone. O(n) a feature.
    """
    n_samples = len(target_values)
    classes = len(target_codes) == 0
    among = np.empty(n_samples, np.int64)
    for f in range(len(values)):
        cells[f] = -1
        if classes:
            n_classes = level_codes(values[f], order[f], labels[f])
            n = 0
            for sample in target_order:
                if labels[f, sample] >= 0:
                    among[n] = sample
                    n += 1
        else:
            n = 0
            while n < n_samples and not np.isnan(values[f, order[f, n]]):
                among[n] = order[f, n]
                n += 1
            for i in range(n_samples):
                labels[f, i] = -1 if np.isnan(values[f, i]) else target_codes[i]
            n_classes = renumber(labels[f], code_count(target_codes))
        ordered = target_values if classes else values[f]
        groups = 0
        for i in range(n):
            groups += i == 0 or ordered[among[i]] != ordered[among[i - 1]]
        if groups < 2 or n_classes < 2:
            labels[f] = -1
            continue
        bins = max(2, min(most[f], n // (per_cell * n_classes)) // coarseness)
        below, group = 0, 0
        while below < n:
            through = below + 1
            while through < n and ordered[among[through]] == ordered[among[below]]:
                through += 1
            cell = group if groups <= bins else (below + through) * bins // (2 * n)  # by the average rank, less a half
            for i in range(below, through):
                cells[f, among[i]] = cell
            below = through
            group += 1
        renumber(cells[f], max(bins, groups))


@kernel
def paired_mi(rows, columns, terms, mi):
    """Mutual information, in nats, of pairs of codes (int64, (n_features, n), negative = missing), by `unbiased_mi`.

    terms: `count_terms` of the samples. Writes mi, float64. O(n + kx ky) a feature, scratch 8 kx ky bytes.
    """
    margins, mean = np.full(2 * rows.shape[1] + 2, -1), np.empty(1, np.int64)
    for f in range(len(rows)):
        counts = joint_counts(rows[f], columns[f], code_count(rows[f]), code_count(columns[f]))
        mi[f] = unbiased_mi(counts, terms, margins, mean)


@kernel
def cell_terms(rows, columns, of_count, terms, least):
    """What a table of terms has for the count of each sample's cell, less that for its row and column.

    rows, columns: int64 (n_features, n), codes, -1 in both where missing; of_count: float64 (n + 1,). Writes terms,
    float64, 0 where missing, and least, (Kx - 1)(Ky - 1) / 2n, the variance of terms of the information of independent
    columns, NaN without samples. O(n + kx ky) a feature, scratch 8 kx ky bytes.
    """
    for f in range(len(rows)):
        counts = joint_counts(rows[f], columns[f], code_count(rows[f]), code_count(columns[f]))
        of_rows, of_columns = np.zeros(counts.shape[0], np.int64), np.zeros(counts.shape[1], np.int64)
        n = 0
        for a in range(counts.shape[0]):
            for b in range(counts.shape[1]):
                of_rows[a] += counts[a, b]
                of_columns[b] += counts[a, b]
                n += counts[a, b]
        least[f] = np.nan if n == 0 else (len(of_rows) - 1) * (len(of_columns) - 1) / (2 * n)
        for i in range(rows.shape[1]):
            a, b = rows[f, i], columns[f, i]
            terms[f, i] = 0.0 if a < 0 else of_count[counts[a, b]] - of_count[of_rows[a]] - of_count[of_columns[b]]

"""Contingency tables: levels to codes, counts, mutual information."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.sorting import ascending_order

_NEGLIGIBLE = 1e-18  # odds of a count, against the likeliest


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
def _mean_of_terms(rows, columns, n, terms):
    """Mean of the sum of the cells' terms over all tables with these sums (float64, ascending).

    O(sums + r sqrt n), r the pairs of rows and columns of different sums.
    """
    total = 0.0
    above = 0
    while above < len(rows):
        below = above + 1
        while below < len(rows) and rows[below] == rows[above]:
            below += 1
        left = 0
        while left < len(columns):
            right = left + 1
            while right < len(columns) and columns[right] == columns[left]:
                right += 1
            term = _mean_term(np.int64(rows[above]), np.int64(columns[left]), n, terms)
            total += (below - above) * (right - left) * term
            left = right
        above = below
    return total


@inner
def _ascending(counts):
    """Counts above 0 in ascending order, so that what is made of them is the same for any order of levels: float64.

    O(counts + m log m), m those above 0.
    """
    occupied = np.empty(len(counts))
    n = 0
    for count in counts:
        if count > 0:
            occupied[n] = count
            n += 1
    occupied = occupied[:n]
    return occupied[ascending_order(occupied)]


@inner
def unbiased_mi(counts, terms, kept):
    """Mutual information, in nats, of a table of counts (int64, shape (kx, ky)), of mean 0 for independent columns.

    The jackknife's estimate less its mean over all tables with these margins; terms: `count_terms` of their sum. kept:
    float64 (kx + ky + 3,) or longer, of -1 to begin with, keeps the margins of the table before and that mean, which
    arrangements of a column and columns without ties share. NaN when the table is empty, 0 where one side has one level
    alone or no level twice. O(kx ky) besides the mean, scratch 24 kx ky bytes. Another order of rows or columns changes
    no bit.
    """
    kx, ky = counts.shape
    n = 0
    rows, columns = np.zeros(kx), np.zeros(ky)
    for a in range(kx):
        for b in range(ky):
            rows[a] += counts[a, b]
            columns[b] += counts[a, b]
            n += counts[a, b]
    if n == 0:
        return np.nan
    rows, columns = _ascending(rows), _ascending(columns)
    most = rows[-1], columns[-1]
    if 1 in most or n in most:  # so that all arrangements have the same table, whose mean is not to be rounded
        return 0.0
    shape = len(rows), len(columns)
    known = kept[1] == shape[0] and kept[2] == shape[1]
    for a in range(shape[0]):
        known = known and kept[3 + a] == rows[a]
        kept[3 + a] = rows[a]
    for b in range(shape[1]):
        known = known and kept[3 + shape[0] + b] == columns[b]
        kept[3 + shape[0] + b] = columns[b]
    if not known:
        kept[0], kept[1], kept[2] = _mean_of_terms(rows, columns, n, terms), shape[0], shape[1]
    total = 0.0
    for count in _ascending(counts.reshape(kx * ky)):
        total += terms[np.int64(count)]
    return (total - kept[0]) / n


@kernel
def level_mi(values, order, target_codes, n_levels, terms, mi):
    """Mutual information, in nats, of features of levels with a target of levels, by `unbiased_mi`.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target_codes: int64, below n_levels;
    terms: `count_terms` of the samples. Writes mi, float64. O(n + kx ky) a feature, scratch 32 kx ky bytes. Neither
    other names of the levels nor another order of the samples changes a bit.
    """
    n_samples = len(target_codes)
    x_codes, y_codes = np.empty(n_samples, np.int64), np.empty(n_samples, np.int64)
    kept = np.full(2 * n_samples + 3, -1.0)
    for f in range(len(values)):
        kx = level_codes(values[f], order[f], x_codes)
        for i in range(n_samples):
            y_codes[i] = target_codes[i] if x_codes[i] >= 0 else -1
        ky = renumber(y_codes, n_levels)
        mi[f] = unbiased_mi(joint_counts(x_codes, y_codes, kx, ky), terms, kept)

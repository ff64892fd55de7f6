"""Contingency tables: levels to codes, counts, plug-in mutual information."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel


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
def level_mi(values, order, target_codes, n_levels, mi):
    """Mutual information, in nats, of each feature of levels with a target of levels: plug-in, Miller-Madow.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target_codes: int64, below n_levels.
    Writes mi, float64. O(n + kx ky) a feature, scratch 8 kx ky bytes. Renaming levels keeps every bit.
    """
    n_samples = len(target_codes)
    x_codes = np.empty(n_samples, np.int64)
    y_codes = np.empty(n_samples, np.int64)
    for f in range(len(values)):
        kx = level_codes(values[f], order[f], x_codes)
        for i in range(n_samples):
            y_codes[i] = target_codes[i] if x_codes[i] >= 0 else -1
        ky = renumber(y_codes, n_levels)
        counts = joint_counts(x_codes, y_codes, kx, ky)
        mi[f] = plugin_mi(counts) + miller_madow(counts)

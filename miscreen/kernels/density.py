"""Kernel densities on a grid: kernels, bandwidths, and the mutual information of one density per class."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.classes import classes_to_deal, deal_classes
from miscreen.kernels.counts import code_count, level_codes
from miscreen.kernels.logarithm import xlogx
from miscreen.kernels.margins import score_ranks
from miscreen.kernels.ranks import by_presence, normal_score_table, present_count
from miscreen.kernels.spread import spread

KERNELS = ("gaussian", "exponential", "box", "tri", "epa", "biweight", "triweight", "tricube", "cosine")
EDGE = 3.0  # bandwidths between the outermost sample and the edge of the grid


@inner
def kernel_shape(which, distance):
    """Kernel number `which` of `KERNELS` at a distance in standard deviations, up to a factor. O(1)."""
    if which == 0:
        return math.exp(-0.5 * distance * distance)
    if which == 1:
        return math.exp(-math.sqrt(2.0) * distance)
    variances = (0.0, 0.0, 1 / 3, 1 / 6, 1 / 5, 1 / 7, 1 / 9, 35 / 243, 1 - 8 / math.pi**2)
    t = distance * math.sqrt(variances[which])
    if t >= 1.0:
        return 0.0
    if which == 2:
        return 1.0
    if which == 3:
        return 1.0 - t
    if which == 7:
        return (1.0 - t * t * t) ** 3
    if which == 8:
        return math.cos(0.5 * math.pi * t)
    return (1.0 - t * t) ** (which - 3)


@inner
def sum_xlogx(values, scratch):
    """Sum of x ln x: the terms in vector instructions, their sum in order. O(len(values))."""
    for i in range(len(values)):
        scratch[i] = xlogx(values[i])
    total = 0.0
    for i in range(len(values)):
        total += scratch[i]
    return total


@inner
def _smooth(histogram, first, last, mirrored, smoothed):
    """Convolve a histogram, empty outside cells `first` to `last`, with mirrored taps. O(points (last - first)).

    Four cells at a time, so that every sum that is loaded is used four times.
    """
    points = len(histogram)
    smoothed[:] = 0.0
    for s in range(first // 4 * 4, last + 1, 4):
        a, b, c, d = histogram[s], histogram[s + 1], histogram[s + 2], histogram[s + 3]
        at = mirrored[points - 4 - s :]
        for j in range(points):
            smoothed[j] += (a * at[j + 3] + b * at[j + 2]) + (c * at[j + 1] + d * at[j])


@inner
def class_density_mi(ascending, codes, n_classes, bandwidth, factor, multiplier, shape, points):
    """Mutual information, in nats, of sorted values and their classes: one density per class on a common grid.

    ascending: float64; codes: int64; bandwidth: of all classes alike, NaN = factor sigma (n / classes)^(-1/5)
    with sigma the root mean square of the classes' spreads. Sum of p_c f_c ln(f_c / f), f the sum of p_c f_c.
    NaN when values or classes are constant. O(n + classes points^2).
    """
    n = len(ascending)
    sizes = np.zeros(n_classes, np.int64)
    for i in range(n):
        sizes[codes[i]] += 1
    starts = np.zeros(n_classes + 1, np.int64)
    for c in range(n_classes):
        starts[c + 1] = starts[c] + sizes[c]
    grouped = np.empty(n)
    for i in range(n):
        c = codes[i]
        grouped[starts[c + 1] - sizes[c]] = ascending[i]
        sizes[c] -= 1
    squares = 0.0
    occupied = 0
    for c in range(n_classes):
        size = starts[c + 1] - starts[c]
        if size > 0:
            occupied += 1
            of_class = spread(grouped[starts[c] : starts[c + 1]])
            squares += size * (of_class * of_class)
    if np.isnan(bandwidth):
        bandwidth = factor * math.sqrt(squares / n) * (n / occupied) ** (-1.0 / 5.0)
    width = multiplier * bandwidth
    low = ascending[0] - EDGE * width
    step = (ascending[n - 1] + EDGE * width - low) / (points - 1)
    if occupied < 2 or not (0.0 < step < np.inf and ascending[0] < ascending[n - 1]):
        return np.nan
    histogram = np.empty(points)
    mirrored = np.empty(2 * points - 1)
    density = np.empty(points)
    terms = np.empty(points)
    pooled = np.zeros(points)
    if width > 0.0:
        for i in range(points):
            tap = kernel_shape(shape, i * (step / width))
            mirrored[points - 1 + i] = mirrored[points - 1 - i] = tap
    total = 0.0
    for c in range(n_classes):
        size = starts[c + 1] - starts[c]
        if size == 0:
            continue
        histogram[:] = 0.0
        places = grouped[starts[c] : starts[c + 1]]
        for i in range(size):
            places[i] = (places[i] - low) / step  # a loop of its own, for vectors
        for place in places:
            cell = min(int(place), points - 2)
            histogram[cell] += 1.0 - (place - cell)
            histogram[cell + 1] += place - cell
        first, last = min(int(places[0]), points - 2), min(int(places[size - 1]), points - 2) + 1
        if width > 0.0:
            _smooth(histogram, first, last, mirrored, density)
        else:
            for j in range(len(density)):  # element by element: Numba compiles 2 s for a slice that may not fit
                density[j] = histogram[j]
        mass = 0.0
        for j in range(points):
            mass += density[j]
        share = size / n
        for j in range(points):
            density[j] /= mass
            pooled[j] += share * density[j]
        total += share * sum_xlogx(density, terms)
    return total - sum_xlogx(pooled, terms)


@kernel
def class_kde(
    values, order, target, target_order, target_codes, features_are_classes, full_table,
    bandwidths, factor, multiplier, shape, points, mi,
):  # fmt: skip
    """Mutual information, in nats, of features and a target of which one is continuous, the other of classes.

    values: float64 (n_features, n_samples), NaN = missing; order: its argsort; target, target_order: values and
    argsort; target_codes: int64, its levels in order of first appearance; full_table: `normal_score_table` of the
    samples, empty for the raw scale; bandwidths, mi: float64 (n_features,).
    By `class_density_mi`: O(n + classes points^2) each.
    """
    full = len(target)
    table = full_table
    codes = np.empty(full, np.int64)
    masked = np.empty(full)
    n_levels = code_count(target_codes)
    for f in by_presence(values, order):
        n = present_count(values[f], order[f])
        if features_are_classes:
            n_classes = level_codes(values[f], order[f], codes)
        elif n < full:
            for i in range(full):
                masked[i] = np.nan if np.isnan(values[f, i]) else target[i]
            n_classes = level_codes(masked, target_order, codes)
        ascending = np.empty(n)
        classes = np.empty(n, np.int64)
        if n == full and not features_are_classes:
            n_classes = n_levels
            for i in range(n):
                ascending[i] = values[f, order[f, i]]
                classes[i] = target_codes[order[f, i]]
        else:
            place = 0
            for i in range(full):
                sample = target_order[i] if features_are_classes else order[f, i]
                if codes[sample] >= 0:
                    ascending[place] = target[sample] if features_are_classes else values[f, sample]
                    classes[place] = codes[sample]
                    place += 1
        if len(full_table) > 0:
            if len(table) != 2 * n - 1:
                table = full_table if n == full else normal_score_table(n)
            score_ranks(ascending, table)
        mi[f] = class_density_mi(ascending, classes, n_classes, bandwidths[f], factor, multiplier, shape, points)


@kernel
def arranged_class_kde(
    values, order, target, target_order, features_are_classes, full_table, bandwidth, factor, multiplier, shape, points,
    samples, starts, dealt, key, first, orders, observed, enough, mi,
):  # fmt: skip
    """Mutual information, in nats, of arrangements of a feature, as `class_kde` has it; bandwidth: of all of them.

    values, order: of the feature, float64 with NaN = missing and its argsort; target, target_order: likewise; samples,
    starts, dealt, key: as `deal_out` takes them; mi: float64 (n_arrangements,); orders, observed, enough: as
    `arranged_correlations` takes them. Returns how many there are. O(n + classes points^2) each.
    """
    ascending, n_classes, work = classes_to_deal(
        values, order, target, target_order, features_are_classes, samples, starts, dealt
    )
    n = len(ascending)
    if len(full_table) > 0:
        score_ranks(ascending, full_table if len(full_table) == 2 * n - 1 else normal_score_table(n))
    classes = np.empty(n, np.int64)
    count = reached = 0
    for r in range(len(mi)):
        deal_classes(r, samples, starts, dealt, key, first, orders, features_are_classes, work, classes)
        mi[r] = class_density_mi(ascending, classes, n_classes, bandwidth, factor, multiplier, shape, points)
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count

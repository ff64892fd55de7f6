"""Mutual information of two continuous margins from their smoothed joint density on a grid.

A product kernel smooths along each axis by a symmetric Toeplitz matrix. Such a matrix maps even vectors to
even ones and odd to odd ones, so that the joint is folded into four quarters (even or odd along each axis)
and each is multiplied by matrices of half the size: the work falls to a half, and nothing has to be unfolded
but the cells whose logarithm is needed.
"""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.density import EDGE, kernel_shape, sum_xlogx
from miscreen.kernels.logarithm import logarithm, xlogx
from miscreen.kernels.ranks import compact, compact_target, normal_score_table, normal_scores, present_count, untied
from miscreen.kernels.spread import spread


@kernel
def margin(scores, ascending, given, multiplier, shape, grid):
    """Lay one axis of a joint density: where its samples fall, and the folded smoothing matrices.

    scores, ascending: float64, the same values by sample and sorted; given: a bandwidth, NaN = the reference
    rule sigma n^(-1/6). Returns cells, weights of the next cell, even and odd matrix, first occupied cell, and
    whether the axis can be laid at all. O(n + grid^2).
    """
    n = len(scores)
    half = grid // 2
    cells = np.empty(n, np.int64)
    weights = np.empty(n)
    even = np.empty((half, half))
    odd = np.empty((half, half))
    bandwidth = multiplier * (spread(ascending) * n ** (-1.0 / 6.0) if np.isnan(given) else given)
    low = ascending[0] - EDGE * bandwidth
    step = (ascending[n - 1] + EDGE * bandwidth - low) / (grid - 1)
    if not (bandwidth > 0.0 and 0.0 < step < np.inf and ascending[0] < ascending[n - 1]):
        return cells, weights, even, odd, 0, False
    first, last = half, half
    for i in range(n):
        position = (scores[i] - low) / step
        cell = min(int(position), grid - 2)
        cells[i] = cell
        weights[i] = position - cell
        first = min(first, cell)
        last = max(last, cell + 1)
    taps = np.empty(grid)
    for i in range(grid):
        taps[i] = kernel_shape(shape, i * (step / bandwidth))
    for i in range(half):
        for j in range(half):
            even[i, j] = taps[abs(i - j)] + taps[grid - 1 - i - j]
            odd[i, j] = taps[abs(i - j)] - taps[grid - 1 - i - j]
    return cells, weights, even, odd, min(first, grid - 1 - last), True


@inner
def _multiply(a, b, first, out):
    """out = a @ b for float64 matrices whose terms before `first` are zero; all sizes are multiples of 4.

    Four rows by four terms at a time, so that what is loaded is used four times. O(rows half columns).
    """
    rows, columns = out.shape
    for i in range(0, rows, 4):
        for c in range(columns):
            out[i, c] = out[i + 1, c] = out[i + 2, c] = out[i + 3, c] = 0.0
        for s in range(first // 4 * 4, len(b), 4):
            p0, p1, p2, p3 = a[i, s], a[i, s + 1], a[i, s + 2], a[i, s + 3]
            q0, q1, q2, q3 = a[i + 1, s], a[i + 1, s + 1], a[i + 1, s + 2], a[i + 1, s + 3]
            r0, r1, r2, r3 = a[i + 2, s], a[i + 2, s + 1], a[i + 2, s + 2], a[i + 2, s + 3]
            t0, t1, t2, t3 = a[i + 3, s], a[i + 3, s + 1], a[i + 3, s + 2], a[i + 3, s + 3]
            for c in range(columns):
                b0, b1, b2, b3 = b[s, c], b[s + 1, c], b[s + 2, c], b[s + 3, c]
                out[i, c] += (p0 * b0 + p1 * b1) + (p2 * b2 + p3 * b3)
                out[i + 1, c] += (q0 * b0 + q1 * b1) + (q2 * b2 + q3 * b3)
                out[i + 2, c] += (r0 * b0 + r1 * b1) + (r2 * b2 + r3 * b3)
                out[i + 3, c] += (t0 * b0 + t1 * b1) + (t2 * b2 + t3 * b3)


@inner
def _folded_mi(products, margins, scratch):
    """Mutual information, in nats, of a density folded into four quarters. O(grid^2)."""
    grid, half = products.shape[1:]
    fx, fy = margins[0], margins[1]
    cells, terms = scratch[:2].reshape(2 * grid), scratch[2:4].reshape(2 * grid)
    fx[:] = 0.0
    fy[:] = 0.0
    terms[:] = 0.0
    for i in range(half):
        for c in range(half):
            even, odd = products[0, i, c] + products[1, i, c], products[0, half + i, c] + products[1, half + i, c]
            cells[c], cells[half + c] = even + odd, even - odd
            fy[c] += even
        for c in range(half):
            even, odd = products[0, i, c] - products[1, i, c], products[0, half + i, c] - products[1, half + i, c]
            cells[grid + c], cells[grid + half + c] = even + odd, even - odd
            fy[half + c] += even
        for c in range(2 * grid):
            terms[c] += xlogx(cells[c])
        even, odd = 0.0, 0.0
        for c in range(half):
            even += products[0, i, c]
            odd += products[0, half + i, c]
        fx[i], fx[half + i] = even + odd, even - odd
    total, joint = 0.0, 0.0
    for c in range(grid):
        fx[c] *= 2.0
        fy[c] *= 2.0
        total += fx[c]
    for c in range(2 * grid):
        joint += terms[c]
    return (joint - sum_xlogx(fx, terms) - sum_xlogx(fy, terms)) / total + logarithm(total)


@kernel
def joint_mi(x, y, counts, folded, smoothed, sides, products):
    """Mutual information, in nats, of the smoothed density of two margins laid by `margin`.

    Scratch, float64: counts (grid, grid), folded and smoothed (2, half, grid), sides and products (2, grid,
    half). With S the sum of v ln v over cells that add up to G: (S(f) - S(fx) - S(fy)) / G + ln G.
    O(n + grid^3 / 2).
    """
    x_cells, x_weights, x_even, x_odd, x_first, x_laid = x
    y_cells, y_weights, y_even, y_odd, y_first, y_laid = y
    if not (x_laid and y_laid):
        return np.nan
    grid = len(counts)
    half = grid // 2
    counts[:] = 0.0
    for k in range(len(x_cells)):
        i, j, a, b = x_cells[k], y_cells[k], x_weights[k], y_weights[k]
        counts[i, j] += (1.0 - a) * (1.0 - b)
        counts[i, j + 1] += (1.0 - a) * b
        counts[i + 1, j] += a * (1.0 - b)
        counts[i + 1, j + 1] += a * b
    for i in range(half):
        for c in range(grid):
            folded[0, i, c] = counts[i, c] + counts[grid - 1 - i, c]
            folded[1, i, c] = counts[i, c] - counts[grid - 1 - i, c]
    _multiply(x_even, folded[0], x_first, smoothed[0])
    _multiply(x_odd, folded[1], x_first, smoothed[1])
    for parity in range(2):
        for i in range(half):
            for c in range(half):
                near, far = smoothed[parity, i, c], smoothed[parity, i, grid - 1 - c]
                sides[0, parity * half + i, c] = near + far
                sides[1, parity * half + i, c] = near - far
    _multiply(sides[0], y_even, y_first, products[0])
    _multiply(sides[1], y_odd, y_first, products[1])
    return _folded_mi(products, folded[0], folded[1])


@kernel
def scored(values, order, table):
    """Values without missing ones (float64), by sample and ascending. O(n).

    As normal scores if `table` is the `normal_score_table` of their number, as they are if it is empty.
    """
    n = len(values)
    scores = values.copy()
    ascending = np.empty(n)
    if len(table) > 0:
        normal_scores(values, order, n, table, scores)
    for i in range(n):
        ascending[i] = scores[order[i]]
    return scores, ascending


@kernel
def joint_kde(
    values, order, target, target_order, full_table, target_margin, rank_margin, bandwidths, multiplier, shape, grid, mi
):
    """Mutual information, in nats, of continuous features with a continuous target, by `joint_mi`.

    values: float64 (n_features, n_samples), NaN = missing; order: its argsort; full_table: `normal_score_table`
    of the samples, empty for the raw scale; target_margin, rank_margin: the `margin` of the whole target and of
    untied ranks; bandwidths: float64 (n_features, 2), of feature and target, NaN = the reference rule; mi:
    float64 (n_features,). O(n + grid^3 / 2) each.
    """
    full = len(target)
    half = grid // 2
    on_ranks = len(full_table) > 0
    table = full_table
    counts = np.empty((grid, grid))
    folded, smoothed = np.empty((2, half, grid)), np.empty((2, half, grid))
    sides, products = np.empty((2, grid, half)), np.empty((2, grid, half))
    kept, kept_order = np.empty(full), np.empty(full, np.intp)
    cells, weights = np.empty(full, np.int64), np.empty(full)
    for f in range(len(values)):
        n = present_count(values[f], order[f])
        y = target_margin
        if n == full and on_ranks and untied(values[f], order[f]):
            for i in range(n):
                cells[order[f, i]] = rank_margin[0][i]
                weights[order[f, i]] = rank_margin[1][i]
            x = (cells, weights, rank_margin[2], rank_margin[3], rank_margin[4], rank_margin[5])
        else:
            if on_ranks and len(table) != 2 * n - 1:
                table = full_table if n == full else normal_score_table(n)
            compact(values[f], order[f], kept, kept_order)
            scores, ascending = scored(kept[:n], kept_order[:n], table)
            x = margin(scores, ascending, bandwidths[f, 0], multiplier, shape, grid)
            if n < full:
                compact_target(values[f], target, target_order, kept, kept_order)
                scores, ascending = scored(kept[:n], kept_order[:n], table)
                y = margin(scores, ascending, bandwidths[f, 1], multiplier, shape, grid)
        mi[f] = joint_mi(x, y, counts, folded, smoothed, sides, products)

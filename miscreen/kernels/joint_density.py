"""Mutual information of two continuous margins from their smoothed joint density on a grid.

A product kernel smooths along each axis by a symmetric Toeplitz matrix. Such a matrix maps even vectors to
even ones and odd to odd ones, so that the joint is folded into four quarters (even or odd along each axis)
and each is multiplied by matrices of half the size: the work falls to a half, and nothing has to be unfolded
but the cells whose logarithm is needed.
"""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import add_tile, inner, kernel
from miscreen.kernels.density import EDGE, kernel_shape, sum_xlogx
from miscreen.kernels.logarithm import logarithm, xlogx
from miscreen.kernels.margins import any_repeats, ascending_scores, score_places
from miscreen.kernels.ranks import by_presence, normal_score_table, present_count, present_order
from miscreen.kernels.shuffling import arrangement
from miscreen.kernels.spread import spread

_STRIP = 512  # samples looked up together


@kernel
def margin(ascending, given, multiplier, shape, grid, positions):
    """Lay one axis of a joint density: where its samples fall, and the folded smoothing matrices.

    ascending: float64; given: a bandwidth, NaN = the reference rule sigma n^(-1/6); positions: float64, as long, are
    written: cells, and how far on to the next. Returns even and odd matrix, first occupied cell, and whether the axis
    can be laid at all. O(n + grid^2).
    """
    n = len(ascending)
    half = grid // 2
    even = np.empty((half, half))
    odd = np.empty((half, half))
    bandwidth = multiplier * (spread(ascending) * n ** (-1.0 / 6.0) if np.isnan(given) else given)
    low = ascending[0] - EDGE * bandwidth
    step = (ascending[n - 1] + EDGE * bandwidth - low) / (grid - 1)
    if not (bandwidth > 0.0 and 0.0 < step < np.inf and ascending[0] < ascending[n - 1]):
        return even, odd, 0, False
    for i in range(n):
        positions[i] = (ascending[i] - low) / step
    first, last = _cell(positions[0], grid), _cell(positions[n - 1], grid) + 1
    taps = np.empty(grid)
    for i in range(grid):
        taps[i] = kernel_shape(shape, i * (step / bandwidth))
    for i in range(half):
        for j in range(half):
            even[i, j] = taps[abs(i - j)] + taps[grid - 1 - i - j]
            odd[i, j] = taps[abs(i - j)] - taps[grid - 1 - i - j]
    return even, odd, min(first, grid - 1 - last, half), True


@inner
def _cell(position, grid):
    """The cell of a position on an axis: its whole part, but for the end. O(1)."""
    return min(np.int64(position), grid - 2)


@kernel
def margin_by_sample(ascending, order, given, multiplier, shape, grid, by_sample):
    """A `margin` whose positions are written by sample, float64, for those that an order lists. O(n + grid^2)."""
    positions = np.empty(len(order))
    laid = margin(ascending, given, multiplier, shape, grid, positions)
    for i in range(len(order)):
        by_sample[np.uint64(order[i])] = positions[i]
    return laid


@inner
def _multiply(a, b, first, out):
    """out = a @ b for float64 matrices whose terms before `first` are zero. O(rows terms columns).

    In tiles, so rows are a multiple of 4; columns are of 4 and 8 or more, and the last tile may write some twice.
    """
    rows, columns = out.shape
    terms = len(b)
    strides = (8 * columns, 8 * terms, 8, 8 * columns)
    into, left, right = out.ctypes.data, a.ctypes.data + 8 * first, b.ctypes.data + 8 * columns * first
    for i in range(0, rows, 4):
        for column in range(0, columns, 8):
            c = min(column, columns - 8)
            add_tile(into + 8 * (i * columns + c), left + 8 * i * terms, right + 8 * c, strides, terms - first, True)


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


@inner
def _share_out(x, y, order, counts):
    """Share out samples linearly among the points of a grid: counts, float64 (grid, grid).

    x: positions along the first axis, in an order of the samples; y: along the second, by sample. As x ascends, so do
    the rows of the grid, and only y is looked up far apart. O(n + grid^2).
    """
    grid = len(counts)
    counts[:] = 0.0
    cells = counts.reshape(grid * grid)
    below = np.uint64(grid)
    firsts, x_weights, y_weights = np.empty(_STRIP, np.int64), np.empty(_STRIP), np.empty(_STRIP)
    for start in range(0, len(x), _STRIP):
        samples, positions = order[start : start + _STRIP], x[start : start + _STRIP]
        for k in range(len(positions)):  # in a loop of its own, so that many are on their way at once
            y_weights[k] = y[np.uint64(samples[k])]
        for k in range(len(positions)):  # and this for vectors
            i, j = _cell(positions[k], grid), _cell(y_weights[k], grid)
            firsts[k] = i * grid + j
            x_weights[k] = positions[k] - np.float64(i)
            y_weights[k] -= np.float64(j)
        for k in range(len(positions)):
            a, b = x_weights[k], y_weights[k]
            cell = np.uint64(firsts[k])
            cells[cell] += (1.0 - a) * (1.0 - b)
            cells[cell + np.uint64(1)] += (1.0 - a) * b
            cells[cell + below] += a * (1.0 - b)
            cells[cell + below + np.uint64(1)] += a * b


@inner
def _joint_mi(counts, x, y, folded, smoothed, sides, products):
    """Mutual information, in nats, of counts on a grid, smoothed along two axes as `margin` says.

    Scratch, float64: folded and smoothed (2, half, grid), sides and products (2, grid, half). With S the sum of
    v ln v over cells that add up to G: (S(f) - S(fx) - S(fy)) / G + ln G. O(grid^3 / 2).
    """
    x_even, x_odd, x_first, _ = x
    y_even, y_odd, y_first, _ = y
    grid = len(counts)
    half = grid // 2
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
def joint_kde(
    values, order, repeats, target, target_order, full_table, target_margin, target_positions,
    rank_margin, rank_positions, bandwidths, multiplier, shape, grid, mi,
):  # fmt: skip
    """Mutual information, in nats, of continuous features with a continuous target: smoothed counts on a grid.

    values: float64 (n_features, n_samples), NaN = missing; order, repeats: by `argsort_rows`; full_table:
    `normal_score_table` of the samples, empty for the raw scale; target_margin, target_positions: `margin_by_sample`
    of the whole target; rank_margin, rank_positions: `margin` of untied ranks; bandwidths: float64 (n_features, 2), of
    feature and target, NaN = the reference rule; mi: float64 (n_features,). O(n + grid^3 / 2) each.
    """
    full = len(target)
    half = grid // 2
    on_ranks = len(full_table) > 0
    table = full_table
    counts = np.empty((grid, grid))
    folded, smoothed = np.empty((2, half, grid)), np.empty((2, half, grid))
    sides, products = np.empty((2, grid, half)), np.empty((2, grid, half))
    ascending, positions = np.empty(full), np.empty(full)  # apart, since in place LLVM would make no vectors
    kept_order, kept_positions = np.empty(full, np.intp), np.empty(full)
    for f in by_presence(values, order):
        n = present_count(values[f], order[f])
        if on_ranks and len(table) != 2 * n - 1:
            table = full_table if n == full else normal_score_table(n)
        y, y_positions = target_margin, target_positions
        if n < full:
            present_order(values[f], target_order, kept_order)
            y = margin_by_sample(
                ascending_scores(target, kept_order[:n], table), kept_order[:n],
                bandwidths[f, 1], multiplier, shape, grid, kept_positions,
            )  # fmt: skip
            y_positions = kept_positions
        x, x_positions = rank_margin, rank_positions
        if n < full or not on_ranks or any_repeats(repeats[f], n):
            if on_ranks:
                score_places(repeats[f], table, ascending[:n])
            else:
                for i in range(n):
                    ascending[i] = values[f, np.uint64(order[f, i])]
            x = margin(ascending[:n], bandwidths[f, 0], multiplier, shape, grid, positions)
            x_positions = positions
        if not (x[3] and y[3]):
            mi[f] = np.nan
            continue
        _share_out(x_positions[:n], y_positions, order[f], counts)
        mi[f] = _joint_mi(counts, x, y, folded, smoothed, sides, products)


@kernel
def arranged_joint_kde(
    values, order, target, target_order, full_table, bandwidths, multiplier, shape, grid,
    samples, starts, dealt, key, first, orders, observed, enough, mi,
):  # fmt: skip
    """Mutual information, in nats, of arrangements of a feature, as `joint_kde` has it.

    values, order: of the feature, float64 with NaN = missing and its argsort; target, target_order: likewise;
    bandwidths: float64 (2,); samples, starts, dealt, key: as `deal_out` takes them; mi: float64 (n_arrangements,);
    orders, observed, enough: as `arranged_correlations` takes them. Returns how many there are. O(n + grid^3 / 2) each.
    """
    n, half = len(samples), grid // 2
    table = full_table if len(full_table) in (0, 2 * n - 1) else normal_score_table(n)
    kept_order, x_by_sample, y_positions = np.empty(n, np.intp), np.empty(len(values)), np.empty(len(values))
    present_order(values, target_order, kept_order)
    y = margin_by_sample(
        ascending_scores(target, kept_order, table), kept_order, bandwidths[1], multiplier, shape, grid, y_positions
    )
    x = margin_by_sample(
        ascending_scores(values, order[:n], table), order[:n], bandwidths[0], multiplier, shape, grid, x_by_sample
    )
    x_positions, dealt_order = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        x_positions[i] = x_by_sample[samples[i]]
    counts = np.empty((grid, grid))
    folded, smoothed = np.empty((2, half, grid)), np.empty((2, half, grid))
    sides, products = np.empty((2, grid, half)), np.empty((2, grid, half))
    count = reached = 0
    for r in range(len(mi)):
        mi[r] = np.nan
        if x[3] and y[3]:
            arrangement(r, samples, starts, dealt, key, first, orders, dealt_order)
            _share_out(x_positions, y_positions, dealt_order, counts)
            mi[r] = _joint_mi(counts, x, y, folded, smoothed, sides, products)
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count

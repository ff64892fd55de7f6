"""Mutual information from counts in boxes about the samples, which are too large for neighbours to be found one by one.

Boxes end at lines of a grid of ranks, so that any of them is counted by four sums.
"""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner

FINE = 2.0  # columns of the grid, over sqrt(n)
MIDDLE, FAR = 2.0, 3.0  # how far boxes reach to either side, over the distance to the k-th neighbour
SNAP = 0.2  # over a count: what its digamma lacks, since boxes that end at lines do not grow evenly with distances
NOISE = 0.5  # over n: twice the variance of a difference of two sizes where all find the same
BEYOND_NOISE = 16.0  # over n: so many times the variance of what lies beyond
UNITS = 2.0**57  # to be summed in whole numbers, whose order does not matter: a mean of up to 64 nats


@inner
def grid_lines(scores):
    """Lines of a grid with the same number of samples in each column, for ascending scores without ties. O(n).

    Returns the place at each line; for cells of equal width along the scores the last line before what is in a cell
    and the first after it; and the first score and the scale of these cells.
    """
    n = len(scores)
    size = max(1, int(FINE * math.sqrt(n)))
    place_at = np.empty(size + 1, np.int64)
    for line in range(size + 1):
        place_at[line] = (line * n + size - 1) // size
    low, scale = scores[0], (2 * n - 1) / (scores[-1] - scores[0])
    before, after = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    place = 0
    for cell in range(2 * n):
        before[cell] = min(place, n - 1) * size // n
        while place < n and (scores[place] - low) * scale < cell + 1:
            place += 1
        after[cell] = (place - 1) * size // n + 1
    return place_at, before, after, low, scale


@inner
def grid_sums(size, x_rank, y_rank):
    """How many samples, of ranks from 0, lie before line i of x and line j of y: int32 at [i, j]. O(n + size^2)."""
    n = len(x_rank)
    sums = np.zeros((size + 1, size + 1), np.int32)
    for i in range(n):
        sums[np.int64(x_rank[i]) * size // n + 1, np.int64(y_rank[i]) * size // n + 1] += np.int32(1)
    for i in range(1, size + 1):
        in_column = np.int32(0)
        for j in range(1, size + 1):
            in_column += sums[i, j]
            sums[i, j] = sums[i - 1, j] + in_column
    return sums


@inner
def _cell(value, low, scale, last):
    at = (value - low) * scale
    at = at if at > 0.0 else 0.0
    return np.uint64(np.int64(at if at < last else last))


@inner
def _log_share(count, both, psi):
    """Digamma of a count, raised by 1 but for what of it is in the box: so its mean is a logarithm. O(1)."""
    return psi[count] + (1.0 - both / count) / count


@inner
def box_mi(lines, sums, x, y, x_rank, y_rank, radii, times, psi):
    """Mutual information, in nats, from the samples in boxes that reach so many times as far as the k-th neighbours.

    lines: `grid_lines` of either margin; sums: `grid_sums` of both; x, y: scores, x_rank, y_rank: their places;
    radii: distances to the k-th neighbours; psi: digamma, to n. O(n), without scratch.
    """
    place_at, before, after, low, scale = lines
    n = len(x)
    last = float(len(before) - 1)
    total = 0
    for i in range(n):
        reach = times * radii[i]
        left, right = before[_cell(x[i] - reach, low, scale, last)], after[_cell(x[i] + reach, low, scale, last)]
        lower, upper = before[_cell(y[i] - reach, low, scale, last)], after[_cell(y[i] + reach, low, scale, last)]
        both = sums[right, upper] - sums[left, upper] - sums[right, lower] + sums[left, lower] - 1  # without itself
        n_x = place_at[right] - place_at[left] - 1
        n_y = place_at[upper] - place_at[lower] - 1
        term = psi[both] + SNAP / both - (_log_share(n_x, both, psi) + _log_share(n_y, both, psi))
        total += np.int64((psi[n] + term) * (UNITS / n))
    return total / UNITS


@inner
def _damped(change, noise):
    return change * (change * change / (change * change + noise))


@inner
def extrapolated_mi(near, lines, x, y, x_rank, y_rank, radii, psi):
    """What nearest neighbours and two sizes of boxes find, drawn to neighbourhoods of no size. O(n).

    near: mutual information by k-th neighbours. Scratch about 16 n bytes; other arguments are those of `box_mi`.
    """
    n = len(x)
    sums = grid_sums(len(lines[0]) - 1, x_rank, y_rank)
    middle = box_mi(lines, sums, x, y, x_rank, y_rank, radii, MIDDLE, psi)
    change = near - middle
    beyond = 2.0 * change - (middle - box_mi(lines, sums, x, y, x_rank, y_rank, radii, FAR, psi))
    beyond = min(max(beyond, 0.0), max(change, 0.0))
    return middle + _damped(change, NOISE / n) + (_damped(beyond, BEYOND_NOISE / n) if beyond > 0.0 else 0.0)

"""Slow, obvious references straight from the papers. Nothing here imports miscreen."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from statistics import NormalDist

import numpy as np

# ---- bins and kernel densities -----------------------------------------------------------------------------


def cell_mi(x_cells, y_cells, miller_madow=False):
    """Plug-in mutual information of two sequences of labels, from counts in dictionaries."""
    n = len(x_cells)
    joint = Counter(zip(x_cells, y_cells, strict=True))
    x_counts, y_counts = Counter(x_cells), Counter(y_cells)
    mi = sum(c / n * math.log(c * n / (x_counts[a] * y_counts[b])) for (a, b), c in joint.items())
    return mi + (len(x_counts) + len(y_counts) - len(joint) - 1) / (2 * n) * miller_madow


def frequency_cells(values, bins):
    """Bin of each value: its average rank less one half, in parts of n, exactly."""
    cells = []
    for v in values:
        below, equal = sum(w < v for w in values), sum(w == v for w in values)
        rank = below + Fraction(equal + 1, 2)
        cells.append(int((rank - Fraction(1, 2)) * bins / len(values)))
    return cells


def birge_rozenholc(values):
    """Number of equal bins by Birge & Rozenholc (2006), section 3, trying every one."""
    n = len(values)
    u = [(v - min(values)) / (max(values) - min(values)) for v in values]
    scores = {}
    for bins in range(1, int(n / math.log(n)) + 1):
        counts = [0] * bins
        for v in u:
            counts[max(j for j in range(bins) if j / bins <= v)] += 1
        likelihood = sum(c * math.log(c) for c in counts if c > 0) + n * math.log(bins)
        scores[bins] = likelihood - (bins - 1 + math.log(bins) ** 2.5)
    return max(scores, key=lambda bins: (scores[bins], -bins))


# Each with its variance: kernels are used at a distance in their own standard deviations.
DENSITY_KERNELS = {
    "gaussian": (lambda t: math.exp(-t * t / 2), 1.0),
    "exponential": (lambda t: math.exp(-t), 2.0),
    "box": (lambda t: float(t < 1), 1 / 3),
    "tri": (lambda t: max(1 - t, 0.0), 1 / 6),
    "epa": (lambda t: max(1 - t**2, 0.0), 1 / 5),
    "biweight": (lambda t: max(1 - t**2, 0.0) ** 2, 1 / 7),
    "triweight": (lambda t: max(1 - t**2, 0.0) ** 3, 1 / 9),
    "tricube": (lambda t: max(1 - t**3, 0.0) ** 3, 35 / 243),
    "cosine": (lambda t: math.cos(math.pi * t / 2) if t < 1 else 0.0, 1 - 8 / math.pi**2),
}


def normal_scores(values):
    """Normal quantile of the average rank over n + 1."""
    quantile = NormalDist().inv_cdf
    n = len(values)
    return [quantile((sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2) / (n + 1)) for v in values]


def kde_spread(values):
    """The lesser of SD and IQR / 1.349, or SD where the quartiles coincide."""
    n, ascending = len(values), sorted(values)
    if ascending[0] == ascending[-1]:
        return 0.0
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    quartiles = []
    for share in (0.25, 0.75):
        at = share * (n - 1)
        low, high = ascending[math.floor(at)], ascending[math.ceil(at)]
        quartiles.append(low + (high - low) * (at - math.floor(at)))
    robust = (quartiles[1] - quartiles[0]) / 1.3489795003921634
    return min(deviation, robust) if robust > 0 else deviation


def share_out(values, low, step, points):
    """Linear binning: each value gives its two neighbouring grid points weights that sum to 1."""
    shares = []
    for v in values:
        cell = min(math.floor((v - low) / step), points - 2)
        weight = (v - low) / step - cell
        shares.append({cell: 1 - weight, cell + 1: weight})
    return shares


def kde_joint_mi(x, y, kernel="gaussian", x_bandwidth=None, y_bandwidth=None, multiplier=1.0, grid=64):
    """Sum of f ln(f / (fx fy)) of a product-kernel density on a grid 3 bandwidths wider than the data."""
    shape, variance = DENSITY_KERNELS[kernel]
    shares, smoothers = [], []
    for values, given in ((x, x_bandwidth), (y, y_bandwidth)):
        h = multiplier * (kde_spread(values) * len(values) ** (-1 / 6) if given is None else given)
        low = min(values) - 3 * h
        step = (max(values) + 3 * h - low) / (grid - 1)
        shares.append(share_out(values, low, step, grid))
        smoothers.append(
            [[shape(abs(i - j) * step / h * math.sqrt(variance)) for j in range(grid)] for i in range(grid)]
        )
    counts = np.zeros((grid, grid))
    for a, b in zip(*shares, strict=True):
        for i, p in a.items():
            for j, q in b.items():
                counts[i, j] += p * q
    f = np.einsum("ik,kl,jl->ij", smoothers[0], counts, smoothers[1])
    f /= f.sum()
    fx, fy = f.sum(axis=1), f.sum(axis=0)
    return sum(f[i, j] * math.log(f[i, j] / (fx[i] * fy[j])) for i in range(grid) for j in range(grid) if f[i, j] > 0)


def kde_class_mi(values, labels, kernel="gaussian", bandwidth=None, factor=(4 / 3) ** 0.2, multiplier=1.0, points=256):
    """Sum over classes of p_c f_c ln(f_c / f), one density per class on a common grid."""
    shape, variance = DENSITY_KERNELS[kernel]
    classes = {}
    for v, c in zip(values, labels, strict=True):
        classes.setdefault(c, []).append(v)
    widths = {
        c: multiplier * (factor * kde_spread(vs) * len(vs) ** (-1 / 5) if bandwidth is None else bandwidth)
        for c, vs in classes.items()
    }
    low = min(values) - 3 * max(widths.values())
    step = (max(values) + 3 * max(widths.values()) - low) / (points - 1)
    densities = {}
    for c, vs in classes.items():
        counts = np.zeros(points)
        for share in share_out(vs, low, step, points):
            for i, p in share.items():
                counts[i] += p
        density = counts
        if widths[c] > 0:
            taps = [shape(i * step / widths[c] * math.sqrt(variance)) for i in range(points)]
            density = np.array([sum(counts[j] * taps[abs(i - j)] for j in range(points)) for i in range(points)])
        densities[c] = density / density.sum()
    weights = {c: len(vs) / len(values) for c, vs in classes.items()}
    pooled = sum(weights[c] * densities[c] for c in classes)
    return sum(
        weights[c] * densities[c][i] * math.log(densities[c][i] / pooled[i])
        for c in classes
        for i in range(points)
        if densities[c][i] > 0
    )

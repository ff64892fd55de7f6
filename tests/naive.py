"""Slow, obvious references straight from the papers. Nothing here imports miscreen."""

from __future__ import annotations

import itertools
import math
import struct
from collections import Counter
from fractions import Fraction
from functools import cache
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


def jackknife_mi(x, y):
    """Zahl (1977): n times the plug-in estimate, less n - 1 times its mean over the samples but one."""

    def last(k):  # what the last of k samples adds to k ln k
        return k * math.log(k) - ((k - 1) * math.log(k - 1) if k > 1 else 0.0)

    n = len(x)
    cells, rows, columns = (Counter(codes).values() for codes in (zip(x, y, strict=True), x, y))
    return (
        last(n)
        + (
            math.fsum(k * last(k) for k in cells)
            - math.fsum(k * last(k) for k in rows)
            - math.fsum(k * last(k) for k in columns)
        )
        / n
    )


def unbiased_mi(x, y):
    """The jackknife's estimate less its mean over all arrangements of y, by hypergeometric counts."""
    n = len(x)
    rows, columns = (sorted(Counter(codes).values()) for codes in (x, y))

    def gain(k):
        return k * (k * math.log(k) - ((k - 1) * math.log(k - 1) if k > 1 else 0.0)) if k else 0.0

    def mean(row, column):
        return math.fsum(
            math.comb(row, k) * math.comb(n - row, column - k) / math.comb(n, column) * gain(k)
            for k in range(max(0, row + column - n), min(row, column) + 1)
        )

    cells = Counter(zip(x, y, strict=True)).values()
    by_chance = math.fsum(mean(row, column) for row in rows for column in columns)
    return (math.fsum(gain(k) for k in cells) - by_chance) / n


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


def kde_class_mi(values, labels, kernel="gaussian", bandwidth=None, factor=(4 / 3) ** 0.2, multiplier=1.0, points=128):
    """Sum over classes of p_c f_c ln(f_c / f), one density per class on a common grid, all of one bandwidth."""
    shape, variance = DENSITY_KERNELS[kernel]
    classes = {}
    for v, c in zip(values, labels, strict=True):
        classes.setdefault(c, []).append(v)
    if bandwidth is None:
        sigma = math.sqrt(sum(len(vs) * kde_spread(vs) ** 2 for vs in classes.values()) / len(values))
        bandwidth = factor * sigma * (len(values) / len(classes)) ** (-1 / 5)
    width = multiplier * bandwidth
    low = min(values) - 3 * width
    step = (max(values) + 3 * width - low) / (points - 1)
    densities = {}
    for c, vs in classes.items():
        counts = np.zeros(points)
        for share in share_out(vs, low, step, points):
            for i, p in share.items():
                counts[i] += p
        density = counts
        if width > 0:
            taps = [shape(i * step / width * math.sqrt(variance)) for i in range(points)]
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


# ---- nearest neighbours ------------------------------------------------------------------------------------


@cache
def harmonic_digamma(m):
    """Digamma of a whole number, exactly but for the last sum: harmonic numbers less Euler's constant."""
    return float(sum((Fraction(1, i) for i in range(1, m)), Fraction(0))) - 0.57721566490153286


def _distances(values, weight=1.0):
    return [[abs(v - w) * weight for w in values] for v in values]


def _kth_smallest_other(row, i, k):
    return sorted(d for j, d in enumerate(row) if j != i)[k - 1]


def _mean(values):
    return math.fsum(values) / len(values)


def ksg_terms(x, y, k, weights=(1.0, 1.0)):
    """Kraskov, Stögbauer & Grassberger (2004), what eq. 8 averages; weights multiply distances along x and y."""
    n = len(x)
    dx, dy = _distances(x, weights[0]), _distances(y, weights[1])
    terms = []
    for i in range(n):
        radius = _kth_smallest_other([max(a, b) for a, b in zip(dx[i], dy[i], strict=True)], i, k)
        n_x = sum(j != i and dx[i][j] < radius for j in range(n))
        n_y = sum(j != i and dy[i][j] < radius for j in range(n))
        both = harmonic_digamma(n_x + 1) + harmonic_digamma(n_y + 1)
        terms.append(harmonic_digamma(k) + harmonic_digamma(n) - both)
    return terms


def ksg_mi(*arguments):
    return _mean(ksg_terms(*arguments))


def _together(x, classes):
    """The samples that are not alone in their class."""
    kept = [i for i, c in enumerate(classes) if list(classes).count(c) > 1]
    return [x[i] for i in kept], [classes[i] for i in kept]


def ross_terms(x, classes, k):
    """Ross (2014): neighbours in the same class, counted among all; of the samples that are not alone in theirs."""
    x, classes = _together(x, classes)
    n = len(x)
    terms = []
    for i in range(n):
        size = classes.count(classes[i])
        k_i = min(k, size - 1)
        radius = sorted(abs(x[i] - x[j]) for j in range(n) if j != i and classes[j] == classes[i])[k_i - 1]
        m = 1 + sum(j != i and abs(x[i] - x[j]) < radius for j in range(n))
        terms.append(harmonic_digamma(n) + harmonic_digamma(k_i) - harmonic_digamma(size) - harmonic_digamma(m))
    return terms


def ross_mi(*arguments):
    return _mean(ross_terms(*arguments))


def gao_terms(x, y, k, weights=(1.0, 1.0)):
    """Gao, Kannan, Oh & Viswanath (2017) as their code has it; weights multiply the distances along x and y."""
    n = len(x)
    dx, dy = _distances(x, weights[0]), _distances(y, weights[1])
    terms = []
    for i in range(n):
        d = [max(a, b) for a, b in zip(dx[i], dy[i], strict=True)]
        radius = _kth_smallest_other(d, i, k)
        if radius > 0:
            near, n_x, n_y = k, sum(v < radius for v in dx[i]), sum(v < radius for v in dy[i])
        else:
            near, n_x, n_y = d.count(0), dx[i].count(0), dy[i].count(0)
        terms.append(harmonic_digamma(near) + math.log(n) - harmonic_digamma(n_x) - harmonic_digamma(n_y))
    return terms


def gao_mi(*arguments):
    return _mean(gao_terms(*arguments))


def combined_mi(x, y, series, tied, large=500):
    """By 4 neighbours weak, strong or medium: drawn towards the series, as it is, or by 8 and drawn.

    x, y: whose distances are compared as they are. Of large samples without ties one in four is enough to tell.
    """
    few = gao_terms(x, y, 4) if tied else ksg_terms(x, y, 4)
    ranks = [[sum(w < v for w in column) for v in column] for column in (x, y)]
    look = few
    if len(x) >= large and not tied:
        look = [term for term, *places in zip(few, *ranks, strict=True) if sum(places) % 4 == 0]
    mi, error = _mean(look), 1.25 / math.sqrt(4 * len(look))
    if mi > min(0.4, series + 0.15):
        return _mean(few)
    if max(mi, series) > 1.5 * error:
        mi, error = _mean(gao_terms(x, y, 8) if tied else ksg_terms(x, y, 8)), 1.25 / math.sqrt(8 * len(x))
    off = max(mi, series) / 4
    return (error**2 * series + off**2 * mi) / (error**2 + off**2)


def gao_class_terms(x, classes, k):
    """The same where classes are 0 apart or infinitely far, and k at most what the class has to offer."""
    x, classes = _together(x, classes)
    n = len(x)
    terms = []
    for i in range(n):
        d = [abs(x[i] - v) for v in x]
        own = [v for v, c in zip(d, classes, strict=True) if c == classes[i]]
        k_i = min(k, len(own) - 1)
        radius = sorted(own)[k_i]  # its own distance, 0, comes first
        if radius > 0:
            near, n_x = k_i, sum(v < radius for v in d)
        else:
            near, n_x = own.count(0), d.count(0)
        terms.append(harmonic_digamma(near) + math.log(n) - harmonic_digamma(n_x) - harmonic_digamma(len(own)))
    return terms


def gao_class_mi(*arguments):
    return _mean(gao_class_terms(*arguments))


# ---- correlations ------------------------------------------------------------------------------------------


def average_ranks(values):
    """Rank of each value from 1, the mean of its ties' places."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def pearson_r(x, y):
    """Pearson's correlation, exactly but for the last square root and quotient."""
    x, y = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    xy = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    xx, yy = sum((a - x_mean) ** 2 for a in x), sum((b - y_mean) ** 2 for b in y)
    return math.copysign(math.sqrt(xy * xy / (xx * yy)), xy)


def correlation_ratio(values, classes):
    """Eta: root of the share of the squares that lies between the means of classes."""
    mean = _mean(values)
    between = 0.0
    for c in set(classes):
        members = [v for v, d in zip(values, classes, strict=True) if d == c]
        between += len(members) * (_mean(members) - mean) ** 2
    return math.sqrt(between / math.fsum((v - mean) ** 2 for v in values))


# ---- significance ------------------------------------------------------------------------------------------


def deal_out(samples, starts, dealt, key, number):
    """A random order: Fisher & Yates, by Lemire's whole numbers (2019) of the words of SplitMix64 (Steele 2014)."""
    words = 2**64

    def mixed(state):
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % words
        word = (word ^ word >> 27) * 0x94D049BB133111EB % words
        return word ^ word >> 31

    order = list(samples)
    state = mixed((key[0] + number * 0x9E3779B97F4A7C15) % words)
    for start, end, count in zip(starts, starts[1:], dealt, strict=False):
        for i in range(start, start + count):
            while True:
                state = (state + (key[1] | 1)) % words
                product = (mixed(state) >> 32) * (end - i)
                if product % 2**32 >= 2**32 % (end - i):
                    break
            other = i + (product >> 32)
            order[i], order[other] = order[other], order[i]
    return order


def laid_out(values, samples, order):
    """A column of which each sample in an order has what another of the samples had."""
    rows = [math.nan] * len(values)
    for sample, to in zip(samples, order, strict=True):
        rows[to] = values[sample]
    return rows


def permutation_p(values, statistic, draws, rng, strata=None):
    """Share of random rearrangements, of the values that are there, whose statistic reaches that of the values."""
    values = list(values)
    labels = [0] * len(values) if strata is None else list(strata)
    observed = statistic(values)
    reached = 0
    for _ in range(draws):
        dealt = list(values)
        for label in sorted(set(labels)):
            places = [i for i, v in enumerate(values) if labels[i] == label and v == v]
            for i, j in zip(places, rng.permutation(places), strict=True):
                dealt[i] = values[j]
        reached += statistic(dealt) >= observed - 1e-9
    return reached / draws


def step_up_q(p, factor=1.0):
    """The least of p_(j) m / j over all j no better than i, for each i in turn."""
    ranked = sorted(p)
    return [
        min(1.0, min(factor * q * len(p) / j for j, q in enumerate(ranked, 1) if q >= one))
        for one in p
    ]  # fmt: skip


# ---- selection ---------------------------------------------------------------------------------------------


def select_codes(values, discrete, bins, most=16):
    """Bins of equal frequency, or levels of which the rarest become one; None where a value is missing."""
    present = [v for v in values if not math.isnan(v)]
    if not discrete:
        cells = iter(frequency_cells(present, bins))
        return [None if math.isnan(v) else next(cells) for v in values]
    frequent = [v for v, _ in Counter(present).most_common()]  # of equally frequent ones the first to appear
    kept = frequent if len(frequent) <= most else frequent[: most - 1]
    return [None if math.isnan(v) else v if v in kept else "other" for v in values]


def miller_entropy(*columns, corrected=True):
    """Joint entropy of columns of labels, and Miller's (1955) correction (K - 1) / 2n."""
    counts = Counter(zip(*columns, strict=True))
    n = len(columns[0])
    return -sum(c / n * math.log(c / n) for c in counts.values()) + corrected * (len(counts) - 1) / (2 * n)


def _complete(*columns):
    rows = [row for row in zip(*columns, strict=True) if None not in row]
    return [list(column) for column in zip(*rows, strict=True)]


def select_mi(x, z, corrected=True):
    """I(x;z) = H(x) + H(z) - H(x,z) of the samples that both have."""
    x, z = _complete(x, z)
    return sum(miller_entropy(v, corrected=corrected) for v in (x, z)) - miller_entropy(x, z, corrected=corrected)


def select_share(*columns):
    """The share of the samples that all columns have."""
    return len(_complete(*columns)[0]) / len(columns[0]) if _complete(*columns) else 0.0


def select_worth(x, z, corrected=True):
    """I(x;z) where a missing value tells nothing."""
    return select_share(x, z) * select_mi(x, z, corrected) if select_share(x, z) else 0.0


def select_triple(x, z, y):
    """I(x;y|z) and I(x,z;y), where a missing value tells nothing, and H(z,y) + H(x|z,y) of those that have each."""
    new = select_worth(x, y)
    entropy = miller_entropy(*_complete(z, y)) if select_share(z, y) else 0.0
    if select_share(x, z, y):
        a, b, c = _complete(x, z, y)
        all_three, both = miller_entropy(a, b, c), miller_entropy(b, c)
        entropy += all_three - both
        within = miller_entropy(a, b) + both - miller_entropy(b) - all_three
        without = select_share(x, y) - select_share(x, z, y)
        new = select_share(x, z, y) * within + without * select_mi(x, y)
    return new, select_worth(z, y) + new, entropy


SELECTION_CRITERIA = {
    "mrmr": lambda x, chosen, y: select_worth(x, y) - _mean([select_worth(x, s) for s in chosen]),
    "mrmr-quotient": lambda x, chosen, y: select_worth(x, y, False) / _mean([select_mi(x, s, False) for s in chosen]),
    "jmi": lambda x, chosen, y: _mean([select_triple(x, s, y)[1] for s in chosen]),
    "cmim": lambda x, chosen, y: min(select_triple(x, s, y)[0] for s in chosen),
    "jmim": lambda x, chosen, y: min(select_triple(x, s, y)[1] for s in chosen),
    "disr": lambda x, chosen, y: _mean([j / h for _, j, h in (select_triple(x, s, y) for s in chosen)]),
}


def greedy_select(strategy, columns, y, count, given=()):
    """One column after the other, each that of the largest criterion, with that criterion."""
    steps, values = [], []
    for _ in range(count):
        chosen = [*given, *(columns[i] for i in steps)]
        scores = {}
        for i in range(len(columns)):
            if i not in steps:
                first = select_worth(columns[i], y, strategy != "mrmr-quotient")
                scores[i] = SELECTION_CRITERIA[strategy](columns[i], chosen, y) if chosen else first
        steps.append(max(scores, key=lambda i: (scores[i], -i)))
        values.append(scores[steps[-1]])
    return steps, values


def clump_select(columns, threshold, count=None, given=()):
    """Kept columns in order, and for each dropped one the first, of those given and then of those kept, that it
    shares too much with; those given are numbered after the columns."""
    kept, fell_to = [], {}
    for i, x in enumerate(columns):
        like = next((len(columns) + g for g, z in enumerate(given) if select_mi(x, z) > threshold), None)
        if like is None:
            like = next((j for j in kept if select_mi(x, columns[j]) > threshold), None)
        if like is not None:
            fell_to[i] = like
        elif count is None or len(kept) < count:
            kept.append(i)
    return kept, fell_to


def cover_select(columns, y, count, given=()):
    """Facility location by plain greedy, in whole numbers of 2^-24 nats: steps and gains."""

    def whole(mi):
        return round(max(mi, 0.0) * 2**24)

    worth = [whole(select_worth(v, y)) for v in columns]
    cover = [[min(whole(select_worth(v, s)), w) for v, w in zip(columns, worth, strict=True)] for s in columns]
    begin = [[min(whole(select_worth(v, g)), w) for v, w in zip(columns, worth, strict=True)] for g in given]

    def total(chosen):
        rows = [*begin, *(cover[j] for j in chosen)]
        return sum(max(row[i] for row in rows) for i in range(len(columns))) if rows else 0

    steps, gains = [], []
    for _ in range(count):
        found = {j: total([*steps, j]) - total(steps) for j in range(len(columns)) if j not in steps}
        steps.append(max(found, key=lambda j: (found[j], -j)))
        gains.append(found[steps[-1]] / 2**24)
    return steps, gains


def _described(values: list[float], labels: bool, cosines: bool) -> dict[int, list[list[float]]]:
    """Orthonormal functions of a column's average ranks by their order, or of order 1 the indicators of its classes."""
    n = len(values)
    if labels:
        shares = {level: values.count(level) / n for level in sorted(set(values))}
        return {1: [[(v == level) / math.sqrt(share) for v in values] for level, share in shares.items()]}
    below = [sum(w < v for w in values) for v in values]
    through = [sum(w <= v for w in values) for v in values]
    scores = [NormalDist().inv_cdf((b + t + 1) / (2 * (n + 1))) for b, t in zip(below, through, strict=True)]
    middles = [(b + t) / (2 * n) for b, t in zip(below, through, strict=True)]
    waves = [[math.cos(math.pi * j * u) for u in middles] for j in range(1, 13)]
    raw = waves if cosines else [scores, [s * s for s in scores], [s**3 for s in scores], *waves[3:]]
    commonest = max(values.count(v) for v in values)
    most = min(len(set(values)) - 1, max(1, (n - commonest) // 10))
    found: dict[int, list[list[float]]] = {}
    for order, function in enumerate(raw, start=1):
        rest = [f - sum(function) / n for f in function]
        whole = sum(r * r for r in rest)
        for (other,) in [*found.values()] * 2:  # twice, for what rounding leaves
            share = sum(r * o for r, o in zip(rest, other, strict=True)) / n
            rest = [r - share * o for r, o in zip(rest, other, strict=True)]
        size = sum(r * r for r in rest)
        if len(found) < most and size > 1e-4 * whole:
            found[order] = [[r / math.sqrt(size / n) for r in rest]]
    return found


def evidence(x: list[float], y: list[float], x_labels: bool, y_labels: bool, variance: float = 4.0) -> float:
    """Log Bayes factor, in nats, for dependence of few functions in either family, or of classes in few or all."""
    return evidence_and_series(x, y, x_labels, y_labels, variance)[0]


def evidence_and_series(
    x: list[float], y: list[float], x_labels: bool, y_labels: bool, variance: float = 4.0
) -> tuple[float, float]:
    """The same, and half the sum of squared correlations, each times the probability that it is one."""
    n = len(x)

    def shape(function: list[float]) -> tuple[float, float]:
        """Skewness, and the largest size in standard deviations."""
        mean = sum(function) / n
        deviation = math.sqrt(sum((f - mean) ** 2 for f in function) / n)
        scaled = [(f - mean) / deviation for f in function]
        return sum(f**3 for f in scaled) / n, max(map(abs, scaled))

    def deviate(f: list[float], g: list[float], drawn_in: bool) -> tuple[float, float, float]:
        """What a covariance is in standard deviations, drawn in; its variance by chance; what one sample can add."""
        means = sum(f) / n, sum(g) / n
        spread = (sum(v * v for v in f) / n - means[0] ** 2) * (sum(v * v for v in g) / n - means[1] ** 2)
        z = math.sqrt(n - 1) * (sum(a * b for a, b in zip(f, g, strict=True)) / n - means[0] * means[1])
        z /= math.sqrt(spread)
        lean, of_one = (a * b / math.sqrt(n) for a, b in zip(shape(f), shape(g), strict=True))
        if drawn_in and of_one >= 2:
            lean = math.copysign(max(abs(lean), of_one), z)
        if lean * z > 0 and abs(lean) > 1e-4:
            lean, size = abs(lean), abs(z)
            z = min(size, 6 / lean * ((1 + lean * size / 2) ** (1 / 3) - 1) + lean / 6)
        return z, spread, of_one

    logs, series, at_once = [], 0.0, 0.0
    classes = x_labels or y_labels or 1 in (len(_described(x, False, False)), len(_described(y, False, False)))
    for cosines in (False, True):
        x_functions, y_functions = _described(x, x_labels, cosines), _described(y, y_labels, cosines)
        total = 0.0
        for (j, fs), (k, gs) in itertools.product(x_functions.items(), y_functions.items()):
            deviates = [deviate(f, g, not (x_labels and y_labels)) for f in fs for g in gs]
            kept = [(z, spread) for z, spread, of_one in deviates if of_one < 2 or (j, k) == (1, 1)]
            degrees = sum(spread for _, spread in kept)
            q = sum(spread * z * z for z, spread in kept)
            falling = variance * 0.7 ** (j + k - 2)
            if classes:
                prior = 1.0 if cosines else {2: 0.45, 3: 0.11, 4: 0.03}.get(j + k, 0.1 / (j + k - 1) ** 3)
            else:
                named = {(1, 1): 0.5, (1, 2): 0.065, (2, 2): 0.065, (1, 3): 0.025}
                prior = named.get((min(j, k), max(j, k)), 0.4 / (j * k) ** 3)
                at_once += cosines * 0.5 * (q * falling / (1 + falling) - degrees * math.log(1 + falling))
            v = falling if classes and cosines else variance
            log_factor = 0.5 * (q * v / (1 + v) - degrees * math.log(1 + v))
            weight = log_factor if prior == 1.0 else math.log(1 + prior * (math.exp(log_factor) - 1))
            total += weight
            if not cosines and not x_labels and not y_labels and kept:
                correlation = sum(a * b for a, b in zip(fs[0], gs[0], strict=True)) / n
                series += 0.5 * correlation**2 * prior * math.exp(log_factor - weight)
        logs.append(total)
    share = 0.1 if classes else 0.15
    mixed = math.log((1 - share) * math.exp(logs[0]) + share * math.exp(logs[1]))
    if not classes:
        mixed = math.log(0.95 * math.exp(mixed) + 0.05 * math.exp(at_once))
    return mixed, math.nan if x_labels or y_labels else series


# ---- fingerprints ------------------------------------------------------------------------------------------


def fingerprint(values):
    """A hash of floats as 64-bit words: four chains that take turns, the first one taking what is left over."""
    first, second = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F

    def stir(state, word):
        state = (state ^ word) * first % 2**64
        return state ^ (state >> 29)

    words = [struct.unpack("<Q", struct.pack("<d", math.nan if math.isnan(v) else v))[0] for v in values]
    chains = [first, second, first ^ (2**64 - 1), second ^ (2**64 - 1)]
    for i, word in enumerate(words):
        chain = i % 4 if i < len(words) - len(words) % 4 else 0
        chains[chain] = stir(chains[chain], word)
    state = second
    for chain in chains:
        state = stir(state, chain)
    return state

"""Intervals for mutual information: what each sample adds to a hardly biased estimate, and the bias that may remain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from miscreen.estimators.ksg import SHARED, TIED, Ksg, KsgOptions
from miscreen.estimators.mixed import mixed_mi, mixed_with_errors
from miscreen.estimators.plugin import plugin_with_errors, row_variances
from miscreen.inference.permutation import generator
from miscreen.model import Batch, Floats, Kind, Scores, Target, samples_per_class
from miscreen.pipeline import check_wanted

_HALVES_BYTES = 1 << 20  # random halves of one feature that are looked at together
COLUMNS = ("ci_low", "ci_high")
PLANE = (3, 16)  # neighbours near and far, for two continuous columns
LINES = {128: (8, 32), 32: (3, 8), 0: (1, 3)}  # beside classes of so many samples and more, so that far ones lie within
FEWEST = 16  # samples, which have no interval
VARIANCE_INFLATION = {
    PLANE: 1.6,
    LINES[128]: 1.35,
    LINES[32]: 1.5,
    LINES[0]: 1.5,
}  # of a mean of local terms, over independent ones


class Intervals:
    """Intervals, in nats, for the mutual information of features with a target.

    Parameters
    ----------
    target : Target
    level : float
        Such as 0.95.
    replicates : int, optional
        Half-samples that give the standard error; otherwise the local terms do.
    seed : int
        Together with a feature's name the key of the half-samples.

    Notes
    -----
    A correlation r (methods ``pearson``, ``spearman``, ``copula``) has the interval of Fisher's z = atanh r, of
    standard error 1 / sqrt(n - 3), for Spearman's times sqrt(1 + r^2 / 2) (Bonett & Wright 2000,
    doi:10.1007/BF02294183), and the mutual information is that of the ends, or from 0 where these have unlike signs.
    It covers the information of a Gaussian copula (``pearson``: of a Gaussian pair), whatever else there is.

    All other methods share an interval for the mutual information itself, not for what their own estimate would be of
    endless samples: smoothing and bins may put ``mi`` far outside. Its centre I_k is the estimate of `Ksg` on the rank
    scale with k = 3 neighbours, or the plug-in of two discrete columns. Beside classes k is 8, 3 or 1, where these have
    at least 128 of a column's samples on average, 32, or fewer. Ties in steps are told apart at random, as for `auto`;
    beside classes, columns with further ties are put into bins, as by `mixed_mi`, and half as many bins show the bias.

    - Standard error: I_k is a mean of local terms, each an estimate of log f / (f_x f_y) at a sample, which is the
      influence function of mutual information but for a constant. So it is their standard deviation over sqrt n, were
      they independent (for the plug-in `plugin_with_errors`). Terms of nearest neighbours are correlated, since near
      samples share neighbours: the variance of their mean is 1.2 to 1.8 times that of independent terms in the plane,
      at k = 3, and 1.0 to 1.7 times with classes, at k = 8, over 38 distributions at n = 1,000. 1.6 and 1.35 are taken,
      1.5 for k = 3 and 1 with classes. Student's quantiles allow for its own error. Classes that hardly overlap may do
      so in no sample, whose terms are all alike then: the lower end allows for one more that lies amid another class,
      which would take about log(n) / n.
      With `replicates`, the standard deviation over random halves of the samples, drawn without replacement since
      ties would be taken for information: the delete-half jackknife, up to 1.4 times larger. Halves without an
      estimate are left out, unless they are most.
    - Bias: I_k - I_m, m = 16, beside classes 32, 8 or 3: with an m as large as a class I_m would fall off. The
      distance to the k-th neighbour grows as sqrt(k / n) in the plane. The difference slightly exceeds the bias of I_k
      where bias is proportional to that distance (sharp edges), and bounds it for smooth densities. The end that the
      difference points to is moved by it, as in intervals that allow for the worst bias (Armstrong & Kolesar 2018,
      doi:10.3982/ECTA14434). Few neighbours have little bias: with four, intervals are a tenth shorter, and edges and
      folds fall out of them. Of two discrete columns both ends are moved, by what the jackknife changes.

    Two estimates of nearest neighbours a feature, O(n log n) each, in the plane from one search; 8 n bytes of scratch.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.standard_normal(500)
    >>> target = Target("y", y, Kind.CONTINUOUS, False, np.arange(500))
    >>> x = (0.8 * y + 0.6 * rng.standard_normal(500))[np.newaxis]  # truth: -0.5 log(1 - 0.8^2) = 0.51
    >>> batch = Batch(x, Kind.CONTINUOUS, np.zeros(1, bool))
    >>> low, high = Intervals(target, 0.95).around(batch, ["x"], Scores(np.array([0.4]), "kde"))
    >>> bool(low[0] < 0.51 < high[0])
    True
    """

    def __init__(self, target: Target, level: float, replicates: int | None = None, seed: int = 0) -> None:
        self._target = target
        self._level = level
        self._quantile = NormalDist().inv_cdf(0.5 + level / 2)
        self._replicates = replicates
        self._seed = seed
        # Made when needed, as few of them are: each describes the target anew.
        self._estimate = cache(lambda k, shared: Ksg(target, KsgOptions(k=k, scale="rank"), TIED, shared))

    def around(self, batch: Batch, names: Sequence[str], scores: Scores) -> tuple[Floats, Floats]:
        """Lower and upper ends for features of these names, whose `scores` are known.

        Returns
        -------
        tuple of float64 arrays, shape (n_features,)
            NaN where there is no interval, such as for 16 samples and fewer, and without a score.
        """
        low, high = np.full((2, len(names)), np.nan)
        linear = np.zeros(len(names), dtype=np.bool_)
        if scores.correlation is not None:
            linear = np.isfinite(scores.correlation)
            n = np.count_nonzero(~np.isnan(batch.values[linear]), axis=1)
            ends = _of_correlations(scores.correlation[linear], n, scores.of_ranks, self._quantile)
            low[linear], high[linear] = ends
        others = np.flatnonzero(~linear & ~np.isnan(scores.mi if scores.score is None else scores.score))
        for neighbors, some in self._by_neighbors(batch.take(others), others) if len(others) else ():
            low[some], high[some] = self._by_terms(batch.take(some), [names[f] for f in some.tolist()], neighbors)
        return low, high

    def _by_neighbors(
        self, part: Batch, features: NDArray[np.intp]
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.intp]]]:
        """How many neighbours the intervals of which features take."""
        if part.kind == self._target.kind:
            yield PLANE, features
            return
        sizes, below = samples_per_class(self._target, part), np.inf
        for least, neighbors in LINES.items():
            those = (least <= sizes) & (sizes < below)
            if those.any():
                yield neighbors, features[those]
            below = least

    def _by_terms(self, part: Batch, names: Sequence[str], neighbors: tuple[int, int]) -> tuple[Floats, Floats]:
        """Ends for features, from so many neighbours near and far."""
        near, far = (self._estimate(k, SHARED if neighbors == PLANE else 0) for k in neighbors)
        tied = np.empty(0, dtype=np.intp)
        drift, doubt = np.zeros((2, len(names)))
        if part.kind == self._target.kind == Kind.DISCRETE:
            center, doubt, error = plugin_with_errors(self._target, part)
        else:
            if neighbors == PLANE:
                away, center, terms = far.local_by_fewer(part, neighbors[0])
            else:
                (center, terms), further = near.local(part), far.score(part)
                away = further.mi
                tied = np.flatnonzero((np.asarray(further.method) == "gao") & np.isfinite(away))
            drift = center - away
            error = math.sqrt(VARIANCE_INFLATION[neighbors]) * _standard_errors(terms)
            if len(tied):
                some = part.take(tied)
                center[tied], error[tied] = mixed_with_errors(self._target, some)
                drift[tied] = center[tied] - mixed_mi(self._target, some, coarseness=2)
        if self._replicates is not None:
            estimates = (lambda some: near.score(some).mi), (lambda some: mixed_mi(self._target, some))
            error = np.array([self._over_halves(estimates[f in tied], part, f, name) for f, name in enumerate(names)])
        present = np.count_nonzero(~np.isnan(part.values), axis=1)
        n = np.where(present > FEWEST, present, np.nan)
        quantile = stdtrit(n - 1, 0.5 + self._level / 2)
        unseen = np.log(n) / n if part.kind != self._target.kind else 0.0
        low = center - quantile * np.hypot(error, unseen) - doubt + np.minimum(0.0, drift)
        return low, center + quantile * error + doubt + np.maximum(0.0, drift)

    def _over_halves(self, estimate: Callable[[Batch], Floats], batch: Batch, f: int, name: str) -> float:
        """Standard deviation of a feature's estimates from random halves of the samples."""
        present = np.flatnonzero(~np.isnan(batch.values[f]))
        random = generator(f"interval {self._seed} {name}".encode())
        found = []
        remaining = self._replicates or 0
        while remaining:
            check_wanted()
            halves = np.tile(batch.values[f], (min(remaining, max(1, _HALVES_BYTES // (8 * len(batch.values[f])))), 1))
            for row in halves:
                row[random.permutation(present)[: len(present) // 2]] = np.nan
            found.append(estimate(Batch(halves, batch.kind, np.full(len(halves), batch.nominal[f]))))
            remaining -= len(halves)
        estimates = np.concatenate(found)
        kept = estimates[np.isfinite(estimates)]
        return float(kept.std(ddof=1)) if 2 * len(kept) > len(estimates) else math.nan


def _standard_errors(terms: Floats) -> Floats:
    """Of the means of independent terms, row by row; NaN where there are none."""
    present = ~np.isnan(terms)
    errors: Floats = np.sqrt(row_variances(terms, present)) / np.sqrt(np.maximum(1, present.sum(axis=1)))
    return errors


def _of_correlations(r: Floats, n: NDArray[np.intp], of_ranks: bool, quantile: float) -> tuple[Floats, Floats]:
    """Ends of the information of Gaussian pairs, by Fisher's z."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (np.sqrt(1 + r * r / 2) if of_ranks else 1.0) / np.sqrt(np.where(n > 3, n - 3.0, np.nan))
        z = np.arctanh(r)
        step = quantile * error
        ends = []
        for end in (z - step, z + step):
            bound = np.tanh(end)
            if of_ranks:
                bound = np.where(np.abs(bound) < 1, 2 * np.sin(np.pi / 6 * bound), bound)
            ends.append(np.where(np.isnan(bound), np.nan, -0.5 * np.log1p(-np.minimum(bound * bound, 1.0))))
        low = np.where((z - step < 0) & (z + step > 0), 0.0, np.minimum(*ends))
    return np.where(np.isnan(error), np.nan, low), np.maximum(*ends)

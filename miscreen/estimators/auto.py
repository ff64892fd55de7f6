"""The default method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import truth_value
from miscreen.estimators.binning import Binning, BinningOptions
from miscreen.estimators.estimator import Estimator
from miscreen.estimators.ksg import SHARED, TIED, Ksg, KsgOptions
from miscreen.estimators.mixed import mixed_mi
from miscreen.estimators.plugin import plugin_scores
from miscreen.kernels.evidence import (
    CLASSES_AT_ONCE,
    FUNCTIONS,
    MOMENTS,
    evidence,
    function_table,
    label_evidence,
    score_functions,
)
from miscreen.model import Batch, Dealing, Floats, Kind, Scores, Target, samples_per_class

# The first three, and the priors below, were settled on the designs of tests/designs.py that are not held out.
VARIANCE = 4.0  # of a correlation that is not 0, in units of the variance that chance gives it
FALL = 0.7  # of that variance from one cosine to the next, where all are correlated
SHARES = (0.15, 0.1, 0.05)  # of further hypotheses: cosines for scores, classes in all cosines, all pairs of cosines
NEIGHBORS = 8  # of two continuous columns, for the information
TOGETHER = 0.4  # nats, from which telling large groups of ties apart costs more than it gains
CLASS_NEIGHBORS = 10  # of a continuous column within a class
FEW_NEIGHBORS = 5  # in small classes, and where there is more to be lost by bias than by variance:
SMALL, STRONG = 16, 0.25  # samples of a class on average, or fewer; nats, or more
SAMPLES_PER_CELL = 5  # of every bin and class, on average, at least
_FEWEST_RANKS, _RANKS_BYTES = 2, 16 << 20  # kept, for so many numbers of samples at least
_NONE = np.empty(0, dtype=np.int64)
_NOT_DEALT = _NONE, _NONE, _NONE, np.empty(0, dtype=np.uint64), 0, _NONE.reshape(0, 0), np.inf, 0


@dataclass(frozen=True)
class AutoOptions:
    """Whether the mutual information is estimated beside the score.

    Attributes
    ----------
    mi : bool
        False leaves `mi_nats` empty, which takes less time.
    """

    mi: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "mi", truth_value("mi", self.mi))


def priors() -> Floats:
    """Probability that function j of one margin is correlated with function k of the other, at [j - 1, k - 1].

    It falls with the orders, since coarse dependence is likelier than fine. Where the spread of one side goes along
    with that of the other, as about a cross, a ring or in clusters, the squares are correlated; where the spread or the
    skewness of one goes along with the other, its square or cube and the other's score.
    """
    order = np.arange(1.0, FUNCTIONS + 1)
    found: Floats = 0.4 / np.outer(order, order) ** 3
    found[:3, 0] = found[0, :3] = 0.5, 0.065, 0.025
    found[1, 1] = 0.065
    return found


def class_priors() -> Floats:
    """Probability that classes differ in function j of the other margin: location, spread, skewness, or more finely."""
    found: Floats = 0.1 / np.arange(1.0, FUNCTIONS + 1) ** 3
    found[:3] = 0.45, 0.11, 0.03
    return found


def _margin(values: Floats, order: NDArray[np.intp], table: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Places in the table and moments of a margin with an order."""
    places, moments = np.empty(len(values), np.int64), np.empty((2, MOMENTS, table.shape[1]))
    score_functions(values, order, table, places, moments)
    return places, moments


def _ranks(n: int) -> tuple[Floats, Floats]:
    """The functions of the ranks of n samples, and the moments of those without ties."""
    table = function_table(n)
    return table, _margin(np.arange(float(n)), np.arange(n), table)[1]


def _weights(variance: Floats) -> Floats:
    """What the log of a Bayes factor takes of the variance of an effect, by the last axis."""
    return np.stack((variance / (1 + variance), np.log1p(variance)), axis=-1)


class Auto(Estimator):
    """Evidence of dependence of any shape, in nats, by which to rank; beside it the mutual information.

    The score is the logarithm of a Bayes factor: how much more likely the samples are if the columns may depend
    on each other than if they are independent. 0 is a draw; columns that are independent of the target score -0.8 to
    0.5, whatever their kind, and one in a hundred of them above 1.5.

    Parameters
    ----------
    target : Target
    options : AutoOptions

    Notes
    -----
    A column with an order is described by up to twelve functions of its average ranks: the normal score, its square and
    its cube, by which columns depend on each other in location, spread and skewness, then the cosines of order 4 and
    up, made orthonormal under the ties of the column itself (Mukhopadhyay & Parzen 2014,
    arXiv:1405.2601, take polynomials of ranks). Labels are described by their classes. For every pair of
    functions, (n - 1) times their squared correlation has mean 1 under independence, exactly, and is about
    chi-squared; the class of labels and one function give a sum of such. With z a correlation so scaled, the Bayes
    factor of an effect of variance v = 4 against none is B = (1 + v)^(-d/2) exp(z^2 v / (2 (1 + v))), d the degrees
    of freedom, and the evidence is the sum of ln(1 + p (B - 1)) over all pairs, with the probability p of `priors`: a
    spike-and-slab prior of independent effects (George & McCulloch 1993, doi:10.1080/01621459.1993.10476353). A
    second hypothesis, with prior probability 0.15, has the cosines of order 1 to 3 for the scores, which heavy tails
    leave more of. By a third, with 0.05, all pairs of cosines are correlated, as where a dependence is of no simple
    shape, the variance v falling by 0.7 from order to order. The Bayes factor is the mean of the three so weighted.

    Classes are labels, two levels, or a column with hardly any samples beside its commonest value. They differ in the
    functions of the other column with the probabilities of `class_priors`, and by the other hypothesis, with prior
    probability 0.1, in all cosines at once, as classes of several modes do, v falling likewise. Two
    columns of labels have but one term, Pearson's chi-squared, in both hypotheses.

    The mean of exp(score) is 1 under independence, so that P(score > t) < exp(-t) for columns of all kinds, as far
    as z is normal. Where few samples decide it is skewed, and shrunk by the cube root of Wilson & Hilferty. A pair of
    functions is left out when a single sample could contribute 2 standard deviations (for labels: that class is). The
    first pair is kept, but shrunk as if it were that skewed. A margin has one function for every ten samples outside of
    its commonest value, one at least.

    The mutual information beside the score comes from the estimator that errs least for such a pair, by its root mean
    square error over distributions of known information, and `Scores.method` names it:

    - Two continuous columns, ``combined``: the mean of two estimates, weighted by their errors. One is `Ksg` on the
      rank scale with k = 8, whose error at independence is 1.25 / sqrt(k n) and hardly less for weak dependence. The
      other is half the sum of the squared correlations of the functions above, each times its posterior probability of
      not being 0: 0 for independent columns, and else off by a quarter of the information or so. Where both are within
      1.5 errors of 0, k = 4 and one in four samples are enough. ``ksg`` or ``gao``, alone and with k = 4, above 0.4
      nats or 0.15 above the functions': there bias counts more than variance.
      Ties of less than 15 % of the samples, as in steps, are told apart at random, and where several groups are larger
      up to 0.4 nats those of less than sqrt(20 n); kept together they would raise the estimate by 0.1 and more. Larger
      groups, such as zeros, stay.
    - Target of classes, continuous feature, ``bin``: `Binning` with 2 n^(1/3) bins of equal frequency (Terrell & Scott
      1985, doi:10.2307/2288074), without bias for independent columns.
    - Fewer than 5 samples for each of these bins and classes on average, or 1 in the smallest class, or a discrete
      feature, ``ross``: `Ksg` on the rank scale with k = 10, or 5 where a class has 16 samples or fewer on average:
      beyond the ends of a class neighbours find far too little. Also 5 where 10 find more than 0.25 nats: bias counts
      more than variance then. With ties ``bin`` again, by `mixed_mi`.
    - Two discrete columns: ``plug-in``.

    Where too few samples are left for neighbours, ``bin`` again. With 1,000 samples the mean is within 0.003 of 0 for
    independent columns, 0.01 where one has 20 to 100 levels; bias down to -0.07 where a density has sharp edges.

    O(n log n + 196 n) a feature, and that of `Ksg` for the information. Blind to what no function of order 12 sees,
    such as a sine of seven periods. The score is no p-value, since correlations of a column with one's target are not
    normal in the far tail, nor is it an estimate of mutual information.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.standard_normal(500)
    >>> target = Target("y", y, Kind.CONTINUOUS, False, np.arange(500))
    >>> features = np.stack([y**2 + rng.standard_normal(500), rng.standard_normal(500)])
    >>> batch = Batch(features, Kind.CONTINUOUS, np.zeros(2, bool))
    >>> Auto(target, AutoOptions()).statistic(batch).round(1)
    array([110.8,  -0.5])
    """

    Options: ClassVar[type[Any]] = AutoOptions
    score_alone: ClassVar[Mapping[str, Any]] = {"mi": False}
    by_order = True
    table_order = "chi-square"

    def __init__(self, target: Target, options: AutoOptions) -> None:
        n = len(target.values)
        self._target = target
        self._options = options
        self._labels = target.kind == Kind.DISCRETE and target.nominal
        # Arrangements of columns with missing values are scored in many calls, and others lack as many.
        self._ranks = lru_cache(max(_FEWEST_RANKS, _RANKS_BYTES // (256 * max(1, n))))(_ranks)
        table = self._ranks(n)[0]
        self._target_margin = _margin(target.values, target.order, table)
        self._priors = priors()
        self._class_priors = class_priors()
        self._effect = _weights(np.array(VARIANCE))
        self._effects = _weights(VARIANCE * np.power(FALL, np.arange(2 * FUNCTIONS - 1)))
        self._shares = np.array(SHARES)
        self._neighbors = Ksg(target, KsgOptions(k=NEIGHBORS, scale="rank"), TIED, SHARED)
        self._class_neighbors = Ksg(target, KsgOptions(k=CLASS_NEIGHBORS, scale="rank"), TIED)

    @property
    def margin_free(self) -> bool:
        return True

    @cached_property
    def _bins(self) -> Binning:
        """Made when first needed, which few tables ever do: its kernels take seconds to compile."""
        return Binning(self._target, BinningOptions(bins="rice"))

    @cached_property
    def _together(self) -> Ksg:
        """Made when first needed, since it describes the target anew."""
        return Ksg(self._target, KsgOptions(k=NEIGHBORS, scale="rank"), TIED)

    @cached_property
    def _few_neighbors(self) -> Ksg:
        """Made when first needed, since it describes the target anew."""
        return Ksg(self._target, KsgOptions(k=FEW_NEIGHBORS, scale="rank"), TIED)

    def statistic(self, batch: Batch) -> Floats:
        return self._evidence(batch)[0]

    def _evidence(self, batch: Batch) -> tuple[Floats, Floats]:
        """The score, and of columns with an order the information that the same correlations make."""
        scores, series = np.empty((2, len(batch.values)))
        labelled = batch.nominal | self._labels
        for labels in (False, True):
            some = np.flatnonzero(labelled == labels)
            if len(some):
                found = np.full((2, len(some)), np.nan)
                self._weigh(batch.take(some), labels, (found[0], found[1]), _NOT_DEALT)
                scores[some], series[some] = found
        return scores, series

    def _weigh(self, batch: Batch, labels: bool, found: tuple[Floats, Floats], dealing: Sequence[Any]) -> int:
        """Write scores and series of features of which one side has `labels` or none has, or of arrangements of one.

        Returns how many there are.
        """
        target = self._target
        table, rank_moments = self._ranks(len(dealing[0]) or len(target.values))
        margins = table, *self._target_margin, rank_moments
        count: int
        if labels:
            count = label_evidence(
                batch.values, batch.order, batch.nominal, target.values, target.order, self._labels, *margins,
                self._class_priors, self._effect, self._effects, SHARES[CLASSES_AT_ONCE], found[0], *dealing,
            )  # fmt: skip
        else:
            count = evidence(
                batch.values, batch.order, target.values, target.order, *margins, self._priors, self._class_priors,
                self._effect, self._effects, self._shares, *found, *dealing,
            )  # fmt: skip
        return count

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int:
        labels = bool(dealing.template.nominal[0]) or self._labels
        *dealt, scores = asked
        return self._weigh(dealing.template, labels, (scores, np.empty(len(scores))), dealt)

    def score(self, batch: Batch) -> Scores:
        scores, series = self._evidence(batch)
        if not self._options.mi:
            return Scores(np.full(len(scores), np.nan), "evidence", score=scores)
        found = self._information(batch, series)
        return Scores(found.mi, found.method, score=scores)

    def _information(self, batch: Batch, series: Floats) -> Scores:
        """Mutual information, by the estimator that is most accurate for these kinds."""
        discrete = batch.kind == Kind.DISCRETE
        if discrete and self._target.kind == Kind.DISCRETE:
            return plugin_scores(self._target, batch)
        if not discrete and self._target.kind == Kind.CONTINUOUS:
            mi, method = self._of_two_orders(batch, series)
            instead = np.isnan(mi)
        else:
            mi, method, instead = self._beside_classes(batch)
        few = np.flatnonzero(instead)
        if len(few):
            mi[few] = self._bins.score(batch.take(few)).mi
            for f in few:
                method[f] = "bin"
        return Scores(mi, method)

    def _of_two_orders(self, batch: Batch, series: Floats) -> tuple[Floats, list[str]]:
        """Estimates for two columns with an order, and by what: with ties together again where they tell much."""
        found = self._neighbors.combine(batch, series)
        mi, method = found.mi, list(found.method)
        n = len(self._target.values)
        strong = np.flatnonzero(mi > TOGETHER)
        if not len(strong) or TIED**2 * n >= SHARED:  # none was told apart that is kept together otherwise
            return mi, method
        tied = len(np.unique(self._target.values)) < n
        again = strong[tied | batch.repeats[strong].any(axis=1)]
        if len(again):
            found = self._together.combine(batch.take(again), series[again])
            mi[again] = found.mi
            for f, word in zip(again.tolist(), found.method, strict=True):
                method[f] = word
        return mi, method

    def _beside_classes(self, batch: Batch) -> tuple[Floats, list[str], NDArray[np.bool_]]:
        """Estimates for a column with an order and one of classes, by what, and where there are to be bins instead."""
        mi, method = np.full(len(batch.values), np.nan), ["bin"] * len(batch.values)
        instead = np.zeros(len(mi), dtype=np.bool_)
        if self._target.kind == Kind.DISCRETE:
            instead = self._fills_bins(batch)
        rest = np.flatnonzero(~instead)
        small = samples_per_class(self._target, batch.take(rest)) <= SMALL
        many = rest[~small]
        if len(many):
            self._find_by_neighbors(self._class_neighbors, batch, many, mi, method)
        strong = [f for f in many.tolist() if method[f] == "ross" and mi[f] > STRONG]
        few = np.sort(np.concatenate((rest[small], np.array(strong, dtype=np.intp))))
        if len(few):
            self._find_by_neighbors(self._few_neighbors, batch, few, mi, method)
        return mi, method, instead | np.isnan(mi)

    def _find_by_neighbors(
        self, neighbors: Ksg, batch: Batch, some: NDArray[np.intp], mi: Floats, method: list[str]
    ) -> None:
        """Write estimates of some features, and by what: those with ties in bins all the same."""
        part = batch.take(some)
        found = neighbors.score(part)
        mi[some] = found.mi
        tied = np.flatnonzero([word == "gao" for word in found.method])
        if len(tied):
            mi[some[tied]] = mixed_mi(self._target, part.take(tied))
        for f, word in zip(some.tolist(), found.method, strict=True):
            if word != "gao":
                method[f] = word

    def _fills_bins(self, batch: Batch) -> NDArray[np.bool_]:
        """Whether classes have enough samples for bins: `SAMPLES_PER_CELL` on average, and in the smallest 1 a bin."""
        last = batch.values[np.arange(len(batch.values)), batch.order[:, -1]]  # missing ones come last
        present = ~np.isnan(batch.values if np.isnan(last).any() else batch.values[:1])
        shape = len(present), self._target.n_levels
        at = np.arange(shape[0])[:, np.newaxis] * shape[1] + self._target.codes
        sizes = np.bincount(at[present], minlength=shape[0] * shape[1]).reshape(shape)
        n, levels = sizes.sum(axis=1), np.count_nonzero(sizes, axis=1)
        smallest = np.where(sizes > 0, sizes, np.inf).min(axis=1)
        bins = 2 * np.cbrt(n)
        found = (SAMPLES_PER_CELL * levels * bins <= n) & (smallest >= bins)
        return np.broadcast_to(found, len(batch.values))

"""The Gaussian measures: Pearson's and Spearman's correlation and the Gaussian copula."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.estimator import Estimator, NoOptions
from miscreen.estimators.plugin import PLUG_IN, arranged_plugin, plugin_scores
from miscreen.kernels.moments import (
    RANKS,
    SCORES,
    VALUES,
    arranged_correlations,
    arranged_ratios,
    center,
    label_correlations,
    rank_correlations,
    stage_by_sample,
    stage_table,
    value_correlations,
)
from miscreen.measures import linfoot as linfoot_of
from miscreen.model import Batch, Dealing, Floats, Kind, Scores, Target


class _Correlation(Estimator):
    """What the three share: a correlation of values, ranks or normal scores, or what labels allow instead."""

    extra_columns: ClassVar[tuple[str, ...]] = ("r", "linfoot")
    by_order = True
    _stage: ClassVar[int]
    _name: ClassVar[str]

    def __init__(self, target: Target, options: NoOptions) -> None:
        self._target = target
        values = target.values
        self._staged = np.empty(len(values))
        if self._stage == VALUES:
            self._rest, self._squares = center(values, self._staged)
        else:
            self._table = stage_table(len(values), self._stage)
            stage_by_sample(values, target.order, self._table, self._staged)

    @property
    def margin_free(self) -> bool:
        """Whether features are seen by their ranks alone."""
        return self._stage != VALUES

    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats; `r` and `linfoot` beside."""
        labelled = batch.nominal | self._target.nominal
        if not labelled.any():
            mi, r, linfoot = self._numbers(batch, slice(None))
            return self._scores(mi, r, linfoot, self._name)
        mi, r, linfoot = np.empty((3, len(labelled)))
        method = np.full(len(labelled), self._name, dtype=object)
        numbers = np.flatnonzero(~labelled)
        if len(numbers):
            mi[numbers], r[numbers], linfoot[numbers] = self._numbers(batch, numbers)
        labels = np.flatnonzero(labelled)
        mi[labels], r[labels], linfoot[labels], method[labels] = self._labels(
            batch.values[labels], batch.order[labels], batch.nominal[labels]
        )
        return self._scores(mi, r, linfoot, list(method))

    def _scores(self, mi: Floats, r: Floats, linfoot: Floats, method: str | list[str]) -> Scores:
        extras = {"r": r, "linfoot": linfoot}
        return Scores(mi, method, extras=extras, correlation=r, of_ranks=self._stage == RANKS)

    def _numbers(self, batch: Batch, chosen: slice | NDArray[np.intp]) -> NDArray[np.float64]:
        values, target = batch.values[chosen], self._target
        mi, r, linfoot = out = np.empty((3, len(values)))
        if self._stage == VALUES:
            value_correlations(values, target.values, self._staged, self._rest, self._squares, mi, r, linfoot)
        else:
            rank_correlations(
                values, batch.order[chosen], batch.repeats[chosen], target.values, target.order,
                self._table, self._staged, self._stage, mi, r, linfoot,
            )  # fmt: skip
        return out

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int | None:
        target, template = self._target, dealing.template
        labels, target_labels = bool(template.nominal[0]), target.nominal
        table = np.empty(0) if self._stage == VALUES else self._table
        columns = template.values[0], template.order[0], target.values, target.order
        count: int
        if labels or target_labels:
            n = len(dealing.samples)
            many = labels and n - np.count_nonzero(template.repeats[0, :n]) > 2
            target_many = target_labels and np.count_nonzero(np.bincount(target.codes[dealing.samples])) > 2
            if many and target_many:
                return arranged_plugin(target, dealing, asked)
            if many != labels or target_many != target_labels:
                return None  # two labels are numbers
            count = arranged_ratios(*columns, labels, table, self._stage, *asked)
        else:
            count = arranged_correlations(*columns, table, self._stage, *asked)
        return count

    def _labels(
        self, values: NDArray[np.float64], order: NDArray[np.intp], nominal: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.object_]]:
        mi, r, linfoot = np.empty((3, len(values)))
        method = np.empty(len(values), dtype=np.int64)
        target = self._target
        label_correlations(
            values, order, nominal, target.values, target.order, target.nominal, self._stage, mi, r, linfoot, method
        )
        names = np.array([self._name, "correlation ratio", PLUG_IN], dtype=object)  # by the kernel's codes
        tables = np.flatnonzero(names[method] == PLUG_IN)
        if len(tables):
            labelled = Batch(values[tables], Kind.DISCRETE, nominal[tables])
            mi[tables] = plugin_scores(target, labelled).mi
            linfoot[tables] = linfoot_of(mi[tables])
        return mi, r, linfoot, names[method]


class Pearson(_Correlation):
    """Mutual information, in nats, of a Gaussian pair with the correlation of the samples.

    Extras are the signed ``r`` and Linfoot's coefficient ``linfoot``, sqrt(1 - exp(-2 I)), which is abs(r) here.

    Parameters
    ----------
    target : Target
    options : NoOptions

    Notes
    -----
    I = -0.5 log(1 - r^2): Gelfand & Yaglom (1957); exact for Gaussian pairs, blind to dependence without a
    linear part. Biased upwards by about 1 / 2n under independence. Infinite when r is 1 or -1. Linfoot (1957),
    doi:10.1016/S0019-9958(57)90116-X.

    Labels that have no order (`nominal`): two levels are the numbers 0 and 1, in order of first appearance.
    More than two give the correlation ratio eta of the other column over the classes in place of r, method
    ``correlation ratio``: I = -0.5 log(1 - eta^2), biased upwards by about (levels - 1) / 2n, r is NaN and
    linfoot is eta. Where both columns are such labels, method ``plug-in``: see `plugin_scores`; linfoot is that
    of max(I, 0), while I itself is left as it is.

    Two passes over the deviations, so that a mean far from 0 costs no digits. O(n) a feature in time, 8 n bytes
    of scratch a thread; with missing values 24 n.

    Examples
    --------
    >>> import numpy as np
    >>> from miscreen.model import Kind
    >>> target = Target("y", np.array([1.0, 2.0, 3.0, 5.0]), Kind.CONTINUOUS, False, np.arange(4))
    >>> batch = Batch(np.array([[4.0, 3.0, 2.0, 1.0]]), Kind.CONTINUOUS, np.zeros(1, dtype=bool))
    >>> scores = Pearson(target, NoOptions()).score(batch)
    >>> print(scores.method, scores.extras["r"].round(4), scores.mi.round(4))
    pearson [-0.9827] [1.6865]
    """

    _stage = VALUES
    _name = "pearson"


class Spearman(_Correlation):
    """Mutual information, in nats, of a Gaussian pair with the rank correlation of the samples.

    Extras are the signed rank correlation ``r`` and Linfoot's coefficient ``linfoot``.

    Parameters
    ----------
    target : Target
    options : NoOptions

    Notes
    -----
    r is Pearson's correlation of the average ranks, rho. A Gaussian pair of rank correlation rho has the
    correlation 2 sin(pi rho / 6) (Pearson 1907), of which I = -0.5 log(1 - r^2) and linfoot is the size.
    Invariant under increasing transforms of either column, bit for bit. Biased upwards by about 1 / 2n under
    independence. Ties, which average ranks share, lower it.

    Labels with more than two levels: the correlation ratio of the ranks, or the plug-in; see `Pearson`.

    O(n log n) a feature in time for the sorting; 16 n bytes of scratch a thread, with missing values 48 n.

    Examples
    --------
    >>> import numpy as np
    >>> from miscreen.model import Kind
    >>> target = Target("y", np.array([1.0, 2.0, 3.0, 5.0]), Kind.CONTINUOUS, False, np.arange(4))
    >>> batch = Batch(np.array([[4.0, 2.0, 3.0, 9.0]]), Kind.CONTINUOUS, np.zeros(1, dtype=bool))
    >>> scores = Spearman(target, NoOptions()).score(batch)
    >>> print(scores.method, scores.extras["r"].round(4), scores.mi.round(4))
    spearman [0.4] [0.0949]
    """

    _stage = RANKS
    _name = "spearman"


class Copula(_Correlation):
    """Mutual information, in nats, of a Gaussian copula: the correlation of normal scores, corrected for bias.

    Extras are the signed correlation of the scores, ``r``, and its size, ``linfoot``: both without correction.

    Parameters
    ----------
    target : Target
    options : NoOptions

    Notes
    -----
    Average ranks are mapped to normal scores, the normal quantiles of rank / (n + 1), and I = -0.5 log(1 - r^2)
    less the bias of Gaussian entropies of n samples: Ince et al. (2017), doi:10.1002/hbm.23471, whose terms
    for two columns and for the pair leave 0.5 (psi((n - 1) / 2) - psi((n - 2) / 2)), about 1 / 2n. Unbiased
    under independence; for strongly dependent Gaussian values the scores, whose tails are short, lower it by up
    to about 5 / n. Otherwise a lower bound of the mutual information, blind to symmetric dependence. May be
    negative. Invariant under increasing transforms, bit for bit.

    Labels with K > 2 levels: the correlation ratio of the scores, less 0.5 (psi((n - 1) / 2) - psi((n - K) / 2)),
    its expectation under independence of Gaussian scores; or the plug-in; see `Pearson`.

    O(n log n) a feature in time for the sorting; 32 n bytes of scratch a thread, with missing values 64 n.

    Examples
    --------
    >>> import numpy as np
    >>> from miscreen.model import Kind
    >>> target = Target("y", np.arange(50.0), Kind.CONTINUOUS, False, np.arange(50))
    >>> batch = Batch((np.arange(50.0) % 7)[None, :], Kind.CONTINUOUS, np.zeros(1, dtype=bool))
    >>> scores = Copula(target, NoOptions()).score(batch)
    >>> print(scores.method, scores.extras["r"].round(4), scores.mi.round(4))
    copula [0.0965] [-0.0058]
    """

    _stage = SCORES
    _name = "copula"

"""Mutual information from nearest neighbours: Kraskov, Ross and Gao, as the data of each pair ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import check_choice
from miscreen.estimators.estimator import Estimator, settle_number
from miscreen.estimators.plugin import arranged_plugin, plugin_scores
from miscreen.kernels.class_neighbors import arranged_class_mi, class_feature_mi, class_target_mi
from miscreen.kernels.digamma import digamma_table
from miscreen.kernels.margins import COMBINED, GAO, KSG, RANK, RAW, ROSS, STANDARD, rescale
from miscreen.kernels.neighbors import FEWER, neighbor_mi
from miscreen.kernels.ranks import normal_score_table, spread_ties
from miscreen.model import Batch, Dealing, Floats, Kind, Scores, Target

SCALES = {"raw": RAW, "standard": STANDARD, "rank": RANK}
METHODS = {KSG: "ksg", ROSS: "ross", GAO: "gao", COMBINED: "combined"}
TIED = 0.15  # share of the samples below which ties raise estimates more than telling them apart changes
SHARED = 20  # samples in common of two groups of ties: with fewer, k-th neighbours are beyond, in the next groups


@dataclass(frozen=True)
class KsgOptions:
    """What can be set of the nearest-neighbour estimators.

    Attributes
    ----------
    k : int
        Neighbours: more of them lower the variance and raise the bias.
    scale : str
        ``standard`` divides each column by its standard deviation, ``rank`` replaces it by its normal scores,
        ``raw`` leaves it alone. It matters where distances along two columns are compared.

    Raises
    ------
    InputError
        When k is not a whole number, 1 or more, or there is no such scale.

    Examples
    --------
    >>> KsgOptions(k=10)
    KsgOptions(k=10, scale='standard')
    """

    k: int = 3
    scale: str = "standard"

    def __post_init__(self) -> None:
        settle_number(self, "k", range(1, 2**31))
        check_choice("scale", self.scale, SCALES)


class Ksg(Estimator):
    """Mutual information, in nats, from the distances to the k nearest neighbours.

    Which estimator is used follows from the samples in which both columns are present, and is named in
    `Scores.method`:

    - ``ksg``: two continuous columns, neither with ties. Kraskov, Stögbauer & Grassberger (2004), eq. 8.
    - ``ross``: a continuous column without ties and a discrete one. Ross (2014).
    - ``gao``: ties in a continuous column, such as many zeros. Gao, Kannan, Oh & Viswanath (2017).
    - ``plug-in``: two discrete columns. See `plugin_scores`.

    Parameters
    ----------
    target : Target
    options : KsgOptions
    untied : float
        Share of the samples. Ties in a continuous column that are fewer are told apart at random, the same for all
        features: a coordinate that is independent of everything leaves the information as it is, and ties raise
        estimates. 0 leaves all together.
    shared : int
        Samples. Where a column has several larger groups of ties, as in steps, so are those that would have fewer in
        common with a group as large in another column. A single one, such as of zeros, stays: it may tell much.

    Notes
    -----
    With the max-norm, n samples, and psi the digamma function:

    ``ksg``, doi:10.1103/PhysRevE.69.066138: psi(k) + psi(n) - <psi(n_x + 1) + psi(n_y + 1)>, where n_x and n_y
    count the others that are closer along one column than the k-th neighbour in the plane (strictly). Bias at
    n = 500 and k = 5: within 0.015 for Gaussian pairs, down to -0.06 where a density has edges, long tails or
    runs along a curve; it falls as n grows.

    ``ross``, doi:10.1371/journal.pone.0087357: psi(n) + <psi(k_i)> - <psi(N_i)> - <psi(m_i)>, where N_i is the
    size of the sample's class, k_i = min(k, N_i - 1), and m_i counts the samples of any class, itself
    included, closer than its k-th neighbour of the same class. Samples alone in their class are left out.
    Bias within 0.015 at n = 500 and k = 5. In both of these scikit-learn does the same; ennemi, which demands
    more than k samples of every class, is not followed there.

    ``gao``, arXiv:1709.06212: <psi(k~) + log n - psi(n_x) - psi(n_y)>, where n_x and n_y count the samples,
    itself included, that are closer along one column than the k-th neighbour (strictly), and k~ is k. When that
    neighbour is at distance 0, n_x, n_y and k~ count the samples, itself included, at distance 0 along x, along
    y, and in both. A discrete partner is at distance 0 within a class and infinitely far between classes; k is
    then cut to the class as above, since a k-th neighbour infinitely far away would say nothing but log n. No
    noise is added. This is the authors' published code, github.com/wgao9/mixed_KSG, not the formula printed in
    the paper: that one takes logarithms of counts that include the k-th neighbour, which lowers estimates by
    0.2 to 0.3, at most 0.5, for tied columns at k = 3. With no k-th neighbour at distance 0 it equals ``ksg`` with
    log n in place of psi(n).
    Bias: upwards where a k-th neighbour shares its distance with others, of which k~ has some but n_x and n_y
    none. At n = 500 and k = 5 up to 0.09 where half of the samples are 0, in the midst of the others, and down
    to -0.015 for a staircase; within 0.005 for such zeros on the rank scale. Largest for values in steps that
    hold few samples each: for independent columns at n = 1,000 and k = 3, 0.26 if one has steps of a tenth of
    its standard deviation and 0.45 if both have (0.14 and 0.23 on the rank scale). It falls as n grows, though
    not before the steps fill; a larger k does not lower it for zeros.

    Digamma is accurate to 1e-15. (ennemi 1.5 uses a series that is off by 1e-5 at 2 and 5e-7 at 3.)
    Nothing is clamped at 0. Pairs with no more than k samples, or a column that is constant or so wide that
    distances overflow, have NaN.

    O(n log n) a feature for the sorting and counting; the search takes about sqrt(k) n steps while neighbours
    are spread evenly, n sqrt(n) at worst. Scratch about 150 n bytes. Results do not depend on the order of the
    samples, nor on which of two continuous columns is the target.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=500)
    >>> x = 0.8 * y + 0.6 * rng.normal(size=500)  # truth: -0.5 log(1 - 0.8^2) = 0.51
    >>> target = Target("y", y, Kind.CONTINUOUS, False, np.arange(500))
    >>> batch = Batch(x[None, :], Kind.CONTINUOUS, np.zeros(1, dtype=bool))
    >>> scores = Ksg(target, KsgOptions(k=5)).score(batch)
    >>> print(scores.method[0], scores.mi.round(2))
    ksg [0.45]
    """

    Options: ClassVar[type[Any]] = KsgOptions

    def __init__(self, target: Target, options: KsgOptions, untied: float = 0.0, shared: int = 0) -> None:
        n = len(target.values)
        self._untied, self._shared = untied, shared
        if untied:
            random = np.random.default_rng(0)
            self._shuffled = random.permutation(n)
            if target.kind == Kind.CONTINUOUS:  # in another order than the features
                alone = Batch(target.values[np.newaxis], target.kind, np.zeros(1, dtype=np.bool_))
                places, _ = self._told_apart(alone, random.permutation(n))
                target = Target(target.name, places[0], target.kind, target.nominal, target.rows)
        self._target = target
        self._k = options.k
        self._scale = SCALES[options.scale]
        self._psi = digamma_table(n)
        self._rank_table = normal_score_table(n if self._scale == RANK else 0)
        self._ascending = target.values[target.order]
        self._scaled = self._ascending.copy()
        self._weight = rescale(self._scaled, self._scale)

    @property
    def margin_free(self) -> bool:
        """Whether features are seen by their ranks alone."""
        return self._scale == RANK

    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats."""
        if batch.kind == self._target.kind == Kind.DISCRETE:
            return plugin_scores(self._target, batch)
        mi, _, method = self._found(batch, np.empty((len(batch.values), 0)))
        return Scores(mi, method)

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int | None:
        target, template = self._target, dealing.template
        if template.kind == target.kind == Kind.DISCRETE:
            return arranged_plugin(target, dealing, asked)
        if template.kind == target.kind or self._untied:
            return None
        count: int = arranged_class_mi(
            template.values[0], template.order[0], target.values, target.order, template.kind == Kind.DISCRETE,
            self._k, self._scale, self._psi, *asked,
        )  # fmt: skip
        return count

    def combine(self, batch: Batch, series: Floats) -> Scores:
        """Estimate the information of two continuous columns, given another estimate that errs less where it is weak.

        Parameters
        ----------
        batch : Batch
        series : float64 array of shape (n_features,)
            Half the sum of squared correlations of functions, in nats: off by a share of the information, where an
            estimate from neighbours is off by as much for independent columns as for weakly dependent ones. NaN:
            there is none.

        Returns
        -------
        Scores
            Method ``combined``: the mean of both, weighted by their errors, 1.25 / sqrt(k n) for independent columns by
            k neighbours and a quarter of the information for the series. 4 neighbours, of every fourth sample if there
            are 500 or more without ties, tell how much there is: below 1.5 errors they are enough. Above 0.4 nats, or
            where they find 0.15 more than the series, the estimate by 4 neighbours alone: bias is what counts then.
        """
        assert self._k >= FEWER, "with fewer samples than that there is no estimate by so many neighbours"
        mi, _, method = self._found(batch, np.empty((len(batch.values), 0)), series)
        return Scores(mi, method)

    def local(self, batch: Batch) -> tuple[Floats, Floats]:
        """The estimates, and what each sample adds to them: local terms, in nats. Not for two discrete columns.

        Returns
        -------
        tuple of float64 arrays, shapes (n_features,) and (n_features, n_samples)
            The mean of a feature's terms differs from its estimate by a constant. NaN where a sample is left out.
        """
        assert not batch.kind == self._target.kind == Kind.DISCRETE, "counts have no neighbours"
        terms = np.full(batch.values.shape, np.nan)
        return self._found(batch, terms)[0], terms

    def local_by_fewer(self, batch: Batch, fewer: int) -> tuple[Floats, Floats, Floats]:
        """The estimates, and those by fewer neighbours than k, which are found on the way, with local terms.

        For two continuous columns. Estimates, estimates by fewer neighbours, and the terms of these, as in `local`.
        """
        assert batch.kind == self._target.kind == Kind.CONTINUOUS, "elsewhere k depends on the class"
        terms = np.full(batch.values.shape, np.nan)
        mi, of_fewer, _ = self._found(batch, terms, fewer=fewer)
        return mi, of_fewer, terms

    def _found(
        self, batch: Batch, terms: Floats, series: Floats | None = None, fewer: int = 0
    ) -> tuple[Floats, Floats, list[str]]:
        """Estimates, for two orders those by fewer neighbours, and methods."""
        target = self._target
        values, order = batch.values, batch.order
        if self._untied and batch.kind == Kind.CONTINUOUS and batch.repeats.any():
            values, order = self._told_apart(batch, self._shuffled)
        mi, of_fewer = np.empty((2, len(values)))
        method = np.empty(len(values), dtype=np.int64)
        if batch.kind == target.kind:
            if series is None:
                series = np.full(len(values), np.nan)
            neighbor_mi(
                values, order, self._ascending, target.order, self._scaled, self._weight, self._rank_table, self._k,
                fewer, self._scale, self._psi, mi, of_fewer, method, terms, series,
            )  # fmt: skip
        else:
            tail = (self._k, self._scale, self._psi, mi, method, terms)
            if target.kind == Kind.DISCRETE:
                class_target_mi(values, order, target.codes, target.n_levels, *tail)
            else:
                class_feature_mi(values, order, self._ascending, target.order, *tail)
        return mi, of_fewer, [METHODS[code] for code in method.tolist()]

    def _told_apart(self, batch: Batch, shuffled: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
        places, places_order = np.empty_like(batch.values), np.empty_like(batch.order)
        apart = self._untied, self._shared
        spread_ties(batch.values, batch.order, batch.repeats, shuffled, *apart, places, places_order)
        return places, places_order

"""Plug-in estimates of mutual information on bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from miscreen.errors import InputError, check_choice
from miscreen.estimators.estimator import Estimator, settle_number
from miscreen.estimators.plugin import PLUG_IN, plugin_scores, terms_of_cells
from miscreen.kernels import bin_rules
from miscreen.kernels.bins import ADJUSTED, MILLER_MADOW, NONE, arranged_bins, binned_mi, margin_cells
from miscreen.model import Batch, Dealing, Kind, Scores, Target

RULES = {
    "cube-root": bin_rules.CUBE_ROOT,
    "birge-rozenholc": bin_rules.BIRGE_ROZENHOLC,
    "fd": bin_rules.FREEDMAN_DIACONIS,
    "doane": bin_rules.DOANE,
    "scott": bin_rules.SCOTT,
    "sturges": bin_rules.STURGES,
    "sqrt": bin_rules.SQUARE_ROOT,
    "rice": bin_rules.RICE,
}
BINNINGS = ("frequency", "width")
CORRECTIONS = {"adjusted": ADJUSTED, "miller-madow": MILLER_MADOW, "none": NONE}


@dataclass(frozen=True)
class BinningOptions:
    """How margins are cut into bins.

    Attributes
    ----------
    bins : int or str
        Bins a continuous margin, from 2 to 1024, or the rule that finds their number for each margin:
        ``cube-root`` (of the samples, from 2 to 8), ``birge-rozenholc``, ``fd`` (Freedman & Diaconis), ``doane``,
        ``scott``, ``sturges``, ``sqrt`` or ``rice``.
    binning : str
        Bins of equal ``frequency``, ties staying together, or of equal ``width``.
    correction : str
        ``adjusted`` takes off the bias of independent columns, ``miller-madow`` its first order, ``none`` nothing.
    """

    bins: int | str = "cube-root"
    binning: str = "frequency"
    correction: str = "adjusted"

    def __post_init__(self) -> None:
        if isinstance(self.bins, str):
            if self.bins not in RULES:
                raise InputError(
                    f"there is no rule {self.bins!r} for the number of bins",
                    f"Choose {', '.join(RULES)} or a whole number",
                )
        else:
            settle_number(self, "bins", range(2, bin_rules.MAX_BINS + 1), ", ".join(RULES))
        check_choice("binning", self.binning, BINNINGS)
        check_choice("correction", self.correction, CORRECTIONS)


class Binning(Estimator):
    """Mutual information in nats between binned margins; a discrete margin keeps its levels.

    Parameters
    ----------
    target : Target
    options : BinningOptions

    Notes
    -----
    The sum of p ln(p / (p_x p_y)) over the cells of the table of counts, whose bias is about (K_x - 1)(K_y - 1) / 2n
    nats upwards, K the occupied rows, columns and cells. Miller (1955) adds (K_x + K_y - K_xy - 1) / 2n, which leaves
    0.001 or less where every cell expects 10 samples or more. With fewer, and for two discrete columns always,
    ``adjusted`` is the estimate of `plugin_scores`, of mean 0 for independent columns. Bins that are coarser than the
    dependence bias downwards.

    ``cube-root`` makes n^(1/3) bins, rounded, of the n samples present in both columns, from 2 to 8: more rank weak
    dependence worse, and where most cells are empty no first-order correction mends the bias. The other rules find the
    number from the values, as `numpy.histogram_bin_edges` does, and at most 1024. Birge & Rozenholc (2006,
    doi:10.1051/ps:2006001) maximise the sum of N_j ln N_j plus n ln D less the penalty D - 1 + (ln D)^2.5 over
    D = 1, ..., n / ln n equal bins. A rule may find a single bin, and the estimate is then 0.

    Equal widths give the counts of `numpy.histogram2d`, also for values on an edge. Equal frequencies put a
    sample into bin (rank - 1/2) K / n rounded down, by its average rank.

    Numbers of bins that do not depend on the values cost O(n + K^2) a feature; equal frequencies sort no more than
    the values about the edges of bins. The other rules cost O(n log n) besides, and that of Birge & Rozenholc
    O((n / ln n)^2).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.standard_normal(500)
    >>> target = Target("y", y, Kind.CONTINUOUS, False, np.arange(500))
    >>> features = np.stack([y**2 + rng.standard_normal(500), rng.standard_normal(500)])
    >>> batch = Batch(features, Kind.CONTINUOUS, np.zeros(2, bool))
    >>> Binning(target, BinningOptions()).score(batch).mi.round(2)
    array([ 0.23, -0.01])
    """

    Options: ClassVar[type[Any]] = BinningOptions

    def __init__(self, target: Target, options: BinningOptions) -> None:
        self._target = target
        self._fixed = 0 if isinstance(options.bins, str) else options.bins
        self._rule = RULES[options.bins] if isinstance(options.bins, str) else bin_rules.FIXED
        self._by_width = options.binning == "width"
        self._correction = CORRECTIONS[options.correction]
        self.table_order = {ADJUSTED: "jackknife", MILLER_MADOW: "miller-madow", NONE: "plug-in"}[self._correction]
        n, discrete = len(target.values), target.kind == Kind.DISCRETE
        self._table = bin_rules.n_log_n(n)
        self._terms = terms_of_cells(n) if self._correction == ADJUSTED else np.empty(0)
        sorting = discrete or not self._by_width or self._rule not in bin_rules.BY_COUNT
        self._order = target.order if sorting else np.empty(0, dtype=np.intp)
        self._cells = np.empty(n, dtype=np.int64)
        self._n_cells = margin_cells(
            target.values, self._order, discrete, self._fixed, self._rule, self._by_width, self._table, self._cells
        )

    @property
    def margin_free(self) -> bool:
        """Whether features are seen by their ranks alone: other rules for the number of bins look at the values."""
        return not self._by_width and self._rule in bin_rules.BY_COUNT

    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats.

        Parameters
        ----------
        batch : Batch
            Missing values (NaN) are deleted pair by pair.

        Returns
        -------
        Scores
            Of method ``bin``, or ``plug-in`` when both are discrete. NaN where the target has but one value
            among the samples of a feature.
        """
        target = self._target
        discrete = batch.kind == Kind.DISCRETE
        if discrete and target.kind == Kind.DISCRETE and self._correction == ADJUSTED:
            return plugin_scores(target, batch)
        sorting = discrete or self._rule not in bin_rules.BY_COUNT
        mi, as_untied = np.empty(len(batch.values)), np.zeros(len(batch.values), dtype=np.bool_)
        binned_mi(
            batch.values, batch.order if sorting else np.empty((len(mi), 0), dtype=np.intp),
            target.values, self._order, self._cells, self._n_cells, discrete, target.kind == Kind.DISCRETE,
            self._fixed, self._rule, self._by_width, self._correction, self._table, self._terms, mi, as_untied,
        )  # fmt: skip
        method = PLUG_IN if discrete and target.kind == Kind.DISCRETE else "bin"
        return Scores(mi, method, as_untied=as_untied)

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int:
        template, target = dealing.template, self._target
        discrete, target_discrete = template.kind == Kind.DISCRETE, target.kind == Kind.DISCRETE
        count: int = arranged_bins(
            template.values[0], template.order[0], target.values, target.order, discrete, target_discrete, self._fixed,
            self._rule, self._by_width, self._correction, self._table, self._terms, *asked,
        )  # fmt: skip
        return count

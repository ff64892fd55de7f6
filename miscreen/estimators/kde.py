"""Kernel density estimates of mutual information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from miscreen.errors import InputError, check_choice
from miscreen.estimators.estimator import Estimator, settle_number
from miscreen.estimators.isj import isj_bandwidth, isj_bandwidths
from miscreen.estimators.plugin import arranged_plugin, plugin_scores
from miscreen.kernels.density import KERNELS, arranged_class_kde, class_kde
from miscreen.kernels.joint_density import arranged_joint_kde, joint_kde, margin, margin_by_sample
from miscreen.kernels.margins import ascending_scores
from miscreen.kernels.ranks import normal_score_table
from miscreen.model import Batch, Dealing, Floats, Kind, Scores, Target

BANDWIDTHS = ("silverman", "scott", "isj")
SCALES = ("rank", "raw")
POINTS_PER_GRID = 2  # a density per class is one-dimensional, so a finer grid costs little
_FACTORS = {"silverman": (4 / 3) ** 0.2, "scott": 1.0, "isj": (4 / 3) ** 0.2}  # of sigma n^(-1/5)


@dataclass(frozen=True)
class KdeOptions:
    """How densities are estimated.

    Attributes
    ----------
    kernel : str
        ``gaussian``, ``exponential``, ``box``, ``tri``, ``epa``, ``biweight``, ``triweight``, ``tricube`` or
        ``cosine``, each scaled so that the bandwidth is its standard deviation.
    bandwidth : str or float
        ``silverman``, ``scott``, ``isj``, or a number in units of the scale: of the data when raw, of normal
        scores when rank.
    bandwidth_multiplier : float
        Multiplies the bandwidth, however it was found. More than 1 ranks better, less estimates closer.
    grid : int
        Points along each axis of a joint density: a multiple of 8 from 16 to 512. A density per class has
        twice as many.
    scale : str
        ``rank`` replaces values by the normal scores of their ranks; ``raw`` takes them as they are.
    """

    kernel: str = "gaussian"
    bandwidth: str | float = "silverman"
    bandwidth_multiplier: float = 1.0
    grid: int = 64
    scale: str = "rank"

    def __post_init__(self) -> None:
        check_choice("kernel", self.kernel, KERNELS)
        if isinstance(self.bandwidth, str):
            if self.bandwidth not in BANDWIDTHS:
                raise InputError(
                    f"there is no bandwidth {self.bandwidth!r}", f"Choose {', '.join(BANDWIDTHS)} or a number"
                )
        else:
            settle_number(self, "bandwidth", otherwise=", ".join(BANDWIDTHS))
        settle_number(self, "bandwidth_multiplier")
        settle_number(self, "grid", range(16, 513, 8))
        check_choice("scale", self.scale, SCALES)


class Kde(Estimator):
    """Mutual information in nats from kernel density estimates on a grid.

    Parameters
    ----------
    target : Target
    options : KdeOptions

    Notes
    -----
    Continuous pairs: samples are shared out linearly among the points of a grid that spans each margin and three
    bandwidths more on either side, then smoothed along both axes (Silverman 1982, doi:10.2307/2347084), so that
    the joint is the estimate by a product kernel. For the Gaussian that is the kernel of the Euclidean norm, as
    in KDEpy; for the others it differs from it, and makes the margins estimates by the same kernel in one
    dimension. The density f is normalised over the grid, f_x and f_y are its sums, and the estimate is the sum
    of f ln(f / (f_x f_y)). Silverman's bandwidth is that of a density in two dimensions, sigma n^(-1/6) along
    each axis (Silverman 1986, Density Estimation, eq. 4.14), and so is Scott's; sigma is the lesser of the
    standard deviation and IQR / 1.349, as in KDEpy, or the standard deviation when the quartiles coincide.
    O(n log n + grid^3 / 2) a feature. Smoothing biases downwards, more so the stronger the dependence: a normal
    pair of correlation r is seen as one of r / (1 + h^2), h the bandwidth in standard deviations. The chance
    that is left unsmoothed biases upwards, by at most about (6 / (2 sqrt(pi) h))^2 / 2n nats.

    One side discrete: a density per class, all on one grid and of one bandwidth, and the sum of p_c f_c ln(f_c / f)
    with f = sum p_c f_c. One bandwidth passes every class through the same noise, which cannot add information;
    densities of unlike smoothness would differ where the classes do not, most of all where many values are equal.
    It is (4/3)^(1/5) sigma m^(-1/5) (Silverman 1986, eq. 3.28) or sigma m^(-1/5) (Scott 1992), sigma the root
    mean square of the spreads within the classes and m their mean size. O(n log n + classes grid^2) a feature.
    Both sides discrete: see `plugin_scores`.

    ISJ is the bandwidth of Botev, Grotowski & Kroese (2010, doi:10.1214/10-AOS799) for each continuous margin
    alone, at about 1 ms each; where it does not converge Silverman's is used, and the method says so.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.standard_normal(500)
    >>> target = Target("y", y, Kind.CONTINUOUS, False, np.arange(500))
    >>> features = np.stack([y**2 + rng.standard_normal(500), rng.standard_normal(500)])
    >>> batch = Batch(features, Kind.CONTINUOUS, np.zeros(2, bool))
    >>> Kde(target, KdeOptions()).score(batch).mi.round(2)
    array([0.22, 0.01])
    """

    Options: ClassVar[type[Any]] = KdeOptions

    def __init__(self, target: Target, options: KdeOptions) -> None:
        self._target = target
        self._options = options
        self._table = normal_score_table(len(target.values) if options.scale == "rank" else 0)
        self._shape = KERNELS.index(options.kernel)
        given = options.bandwidth
        self._given = np.nan if isinstance(given, str) else given
        self._factor = _FACTORS[given] if isinstance(given, str) else 1.0
        if target.kind == Kind.CONTINUOUS:
            n = len(target.values)
            laying = (options.bandwidth_multiplier, self._shape, options.grid)
            scores = ascending_scores(target.values, target.order, self._table)
            self._target_positions = np.empty(n)
            self._target_margin = margin_by_sample(
                scores, target.order, self._bandwidth(scores), *laying, self._target_positions
            )
            scores = ascending_scores(np.arange(float(n)), np.arange(n), self._table)
            self._rank_positions = np.empty(n)
            self._rank_margin = margin(scores, self._bandwidth(scores), *laying, self._rank_positions)

    @property
    def margin_free(self) -> bool:
        """Whether features are seen by their ranks alone."""
        return self._options.scale == "rank"

    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats.

        Parameters
        ----------
        batch : Batch
            Missing values (NaN) are deleted pair by pair.

        Returns
        -------
        Scores
            Of method ``kde``, ``kde per class`` or ``plug-in``, with ``(silverman)`` where ISJ failed. NaN where
            the target has but one value among the samples of a feature.
        """
        target, options = self._target, self._options
        if batch.kind == target.kind == Kind.DISCRETE:
            return plugin_scores(target, batch)
        mi = np.empty(len(batch.values))
        if options.bandwidth == "isj":
            bandwidths = isj_bandwidths(batch, target, on_ranks=len(self._table) > 0)
        else:
            bandwidths = np.full((len(mi), 2 if batch.kind == target.kind else 1), self._given)
        if batch.kind == target.kind:
            method = "kde"
            joint_kde(
                batch.values, batch.order, batch.repeats, target.values, target.order, self._table,
                self._target_margin, self._target_positions, self._rank_margin, self._rank_positions,
                bandwidths, options.bandwidth_multiplier, self._shape, options.grid, mi,
            )  # fmt: skip
        else:
            method = "kde per class"
            codes = target.codes if target.kind == Kind.DISCRETE else np.empty(0, np.int64)
            class_kde(
                batch.values, batch.order, target.values, target.order, codes, batch.kind == Kind.DISCRETE,
                self._table, bandwidths[:, 0].copy(), self._factor, options.bandwidth_multiplier, self._shape,
                POINTS_PER_GRID * options.grid, mi,
            )  # fmt: skip
        if options.bandwidth != "isj":
            return Scores(mi, method)
        return Scores(mi, [f"{method} (silverman)" if np.isnan(b).any() else method for b in bandwidths])

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int:
        target, template, options = self._target, dealing.template, self._options
        alike = template.kind == target.kind
        if alike and target.kind == Kind.DISCRETE:
            return arranged_plugin(target, dealing, asked)
        if options.bandwidth == "isj":  # of margins that have an order, whose values stay what they are
            bandwidths = isj_bandwidths(template, target, on_ranks=len(self._table) > 0)[0]
        else:
            bandwidths = np.full(2, self._given)
        count: int
        if alike:
            count = arranged_joint_kde(
                template.values[0], template.order[0], target.values, target.order, self._table, bandwidths,
                options.bandwidth_multiplier, self._shape, options.grid, *asked,
            )  # fmt: skip
        else:
            count = arranged_class_kde(
                template.values[0], template.order[0], target.values, target.order, template.kind == Kind.DISCRETE,
                self._table, float(bandwidths[0]), self._factor, options.bandwidth_multiplier, self._shape,
                POINTS_PER_GRID * options.grid, *asked,
            )  # fmt: skip
        return count

    def _bandwidth(self, ascending: Floats) -> float:
        return isj_bandwidth(ascending) if self._options.bandwidth == "isj" else self._given

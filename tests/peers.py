"""The table of function x library: what other packages offer for the same job, and how far they agree.

The agreement tests and the benchmarks both walk through `COMPARISONS`, so that nothing is timed that is not
also checked. Every function takes features of shape (n_features, n_samples) and a target, both float64, and
returns a value for each feature. Libraries are imported when they are called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pairs import batch_of, target_of

from miscreen.estimators import estimator_class
from miscreen.model import Batch, Kind
from miscreen.pipeline import SLICE_BYTES

Floats = NDArray[np.float64]
Function = Callable[[Floats, Floats], Floats]

CONTINUOUS = ("gaussian, r = 0", "gaussian, r = -0.6", "gaussian, r = 0.9", "sum of uniforms", "quadratic")
CLASSES = ("two classes", "three uneven classes", "classes without effect")


@dataclass(frozen=True)
class Comparison:
    """One of our methods beside a function of another library.

    Attributes
    ----------
    method : str
        What we call it, with its options.
    library : str
        The package to import.
    function : str
        What the package calls it.
    ours, theirs : callable
    rtol, atol : float
        How closely the two agree; `rtol` NaN where they compute different things.
    note : str
        What both compute, or in what they differ.
    classes : bool
        Whether the target is discrete.
    comparable : callable, optional
        Marks the features for which both are defined alike.
    """

    method: str
    library: str
    function: str
    ours: Function
    theirs: Function
    rtol: float
    atol: float
    note: str
    classes: bool = False
    comparable: Callable[[Floats, Floats], NDArray[np.bool_]] | None = None

    @property
    def name(self) -> str:
        """Method and function in a few words."""
        return f"{self.method} | {self.library}: {self.function}"

    @property
    def agrees(self) -> bool:
        """Whether the two are meant to give the same numbers."""
        return not math.isnan(self.rtol)


def largest_difference(comparison: Comparison, features: Floats, target: Floats) -> float:
    """Check that both sides agree as they claim; AssertionError if not, or if there is nothing to compare."""
    chosen = np.ones(len(features), dtype=bool)
    if comparison.comparable is not None:
        chosen = comparison.comparable(features, target)
    assert chosen.any(), f"{comparison.name}: no feature can be compared"
    features = np.ascontiguousarray(features[chosen])
    ours, theirs = comparison.ours(features, target), np.asarray(comparison.theirs(features, target))
    np.testing.assert_allclose(ours, theirs, rtol=comparison.rtol, atol=comparison.atol, err_msg=comparison.name)
    return float(np.abs(ours - theirs).max())


# ---- ours --------------------------------------------------------------------------------------------------


def batches(features: Floats) -> list[Batch]:
    """Slices of continuous features, as large as a run hands them to an estimator."""
    step = max(1, SLICE_BYTES // (8 * features.shape[1]))
    parts = [features[i : i + step] for i in range(0, len(features), step)]
    return [batch_of(part) for part in parts]


def estimate(method: str, *, classes: bool = False, extra: str = "", clip: bool = False, **options: Any) -> Function:
    """A function that scores features with one of our methods; `clip` does to ours what theirs does to theirs."""

    def scored(features: Floats, target: Floats) -> Floats:
        kind = Kind.DISCRETE if classes else Kind.CONTINUOUS
        cls = estimator_class(method)
        bound = cls(target_of(target, kind), cls.make_options(options))
        found = [bound.score(batch) for batch in batches(features)]
        values = np.concatenate([f.extras[extra] if extra else f.mi for f in found])
        return np.maximum(values, 0.0) if clip else values

    return scored


def bin_counts(features: Floats, target: Floats) -> Floats:
    """Bins that the rule of Birge and Rozenholc gives each feature."""
    from miscreen.kernels.bin_rules import BIRGE_ROZENHOLC, bin_count, n_log_n

    table = n_log_n(features.shape[1])
    return np.array([bin_count(np.sort(x), BIRGE_ROZENHOLC, table) for x in features], dtype=np.float64)


def _in_reach_of_fasthdmi(features: Floats, target: Floats) -> NDArray[np.bool_]:
    """fastHDMI tries 2 to 99 bins; we try 1 to n / ln n, which holds those from n = 700 on."""
    ours = bin_counts(features, target)
    return (ours >= 2) & (ours <= 99)


def _both_in_reach_of_fasthdmi(features: Floats, target: Floats) -> NDArray[np.bool_]:
    return _in_reach_of_fasthdmi(features, target) & _in_reach_of_fasthdmi(target[np.newaxis], target)


# ---- theirs ------------------------------------------------------------------------------------------------


def fasthdmi_binning(features: Floats, target: Floats) -> Floats:
    from fastHDMI.mi_estimation import _binning_MI

    return np.array([_binning_MI(x, target) for x in features])


def fasthdmi_bin_counts(features: Floats, target: Floats) -> Floats:
    from fastHDMI.mi_estimation import _num_of_bins

    return np.array([_num_of_bins(x) for x in features], dtype=np.float64)


def fasthdmi_classes(features: Floats, target: Floats) -> Floats:
    from fastHDMI import MI_binary_continuous

    return np.array([MI_binary_continuous(target, x, 1.0) for x in features])


def fasthdmi_kde(points: int) -> Function:
    def scored(features: Floats, target: Floats) -> Floats:
        from fastHDMI import MI_continuous_continuous

        return np.array([MI_continuous_continuous(x, target, 1.0, a_N=points, b_N=points) for x in features])

    return scored


def kdepy_kde(features: Floats, target: Floats) -> Floats:
    """The density that ours estimates, by KDEpy's FFT: Gaussian, Silverman's bandwidth in two dimensions."""
    from KDEpy import FFTKDE

    def in_bandwidths(values: Floats) -> Floats:
        low, high = np.percentile(values, (25, 75))
        spread = min(values.std(ddof=1), (high - low) / 1.349)
        return values / (spread * len(values) ** (-1 / 6))

    def mi(x: Floats, y: Floats) -> float:
        _, density = FFTKDE(kernel="gaussian", bw=1.0).fit(np.stack((x, y), axis=1)).evaluate((64, 64))
        p = np.maximum(density, 0.0).reshape(64, 64)
        p /= p.sum()
        product = np.outer(p.sum(axis=1), p.sum(axis=0))
        seen = p > 0
        return float(np.sum(p[seen] * np.log(p[seen] / product[seen])))

    y = in_bandwidths(target)
    return np.array([mi(in_bandwidths(x), y) for x in features])


def numpy_histogram(features: Floats, target: Floats) -> Floats:
    """Plug-in estimate from NumPy's counts on 16 x 16 equal widths."""

    def mi(x: Floats) -> float:
        p = np.histogram2d(x, target, bins=16)[0] / len(target)
        product = np.outer(p.sum(axis=1), p.sum(axis=0))
        seen = p > 0
        return float(np.sum(p[seen] * np.log(p[seen] / product[seen])))

    return np.array([mi(x) for x in features])


def sklearn_regression(features: Floats, target: Floats) -> Floats:
    from sklearn.feature_selection import mutual_info_regression

    return mutual_info_regression(features.T, target, discrete_features=False, n_neighbors=3, random_state=0)


def sklearn_classes(features: Floats, target: Floats) -> Floats:
    from sklearn.feature_selection import mutual_info_classif

    return mutual_info_classif(features.T, target, discrete_features=False, n_neighbors=3, random_state=0)


def sklearn_pearson(features: Floats, target: Floats) -> Floats:
    """The size of r, from the F statistic of a regression on one feature."""
    from sklearn.feature_selection import f_regression

    f, _ = f_regression(features.T, target)
    return np.sqrt(f / (f + len(target) - 2))


def ennemi_mi(*, classes: bool) -> Function:
    def scored(features: Floats, target: Floats) -> Floats:
        from ennemi import estimate_mi

        return estimate_mi(target, features.T, k=3, discrete_y=classes, max_threads=1)[0]

    return scored


def _correlations(features: Floats, target: Floats) -> Floats:
    """Pearson's r of each row with the target by one matrix product."""
    rows = features - features.mean(axis=1, keepdims=True)
    centred = target - target.mean()
    return rows @ centred / np.sqrt(np.einsum("ij,ij->i", rows, rows) * (centred @ centred))


def scipy_spearman(features: Floats, target: Floats) -> Floats:
    from scipy.stats import rankdata

    return _correlations(rankdata(features, axis=1), rankdata(target))


def scipy_copula(features: Floats, target: Floats) -> Floats:
    from scipy.special import ndtri
    from scipy.stats import rankdata

    n = len(target)
    return _correlations(ndtri(rankdata(features, axis=1) / (n + 1)), ndtri(rankdata(target) / (n + 1)))


# ---- the table ---------------------------------------------------------------------------------------------

_SAME = 1e-10  # the same algorithm in another order
_NOISE = 1e-9  # scikit-learn adds noise of 1e-10 to break ties
_DIGAMMA = 2e-6  # an estimate holds three digammas, and ennemi's is off by 6e-7 at 3
_OTHER = math.nan

_BIN16 = estimate("bin", bins=16, binning="width", correction="none")
_RULE = estimate("bin", bins="birge-rozenholc", binning="width", correction="none")
_KDE = "fastHDMI smooths with bandwidth 1 whatever the data, and its joint density is not normalised"
_BANDWIDTH = "the same kernel, bandwidth and number of points on another grid; a test holds ours to a direct sum"

COMPARISONS = (
    Comparison(
        "bin, 16 x 16", "fastHDMI", "binning", _BIN16, fasthdmi_binning, _OTHER, 0.0,
        "fastHDMI has no fixed number of bins: it searches for one, for the target again with every column",
    ),
    Comparison(
        "bin, 16 x 16", "numpy", "histogram2d", _BIN16, numpy_histogram, _SAME, 1e-12, "the same counts",
    ),
    Comparison(
        "bin, Birge-Rozenholc", "fastHDMI", "binning", _RULE, fasthdmi_binning, _SAME, 1e-12,
        "the same bins; fastHDMI tries 2 to 99 of them and searches again for the target with every column",
        comparable=_both_in_reach_of_fasthdmi,
    ),
    Comparison(
        "number of bins, Birge-Rozenholc", "fastHDMI", "number of bins", bin_counts, fasthdmi_bin_counts, 0.0, 0.0,
        "the same numbers", comparable=_in_reach_of_fasthdmi,
    ),
    Comparison(
        "kde, rank scale", "fastHDMI", "KDE, 300 x 300", estimate("kde"), fasthdmi_kde(300), _OTHER, 0.0, _KDE,
    ),
    Comparison(
        "kde, rank scale", "fastHDMI", "KDE, 64 x 64", estimate("kde"), fasthdmi_kde(64), _OTHER, 0.0,
        f"{_KDE}; its default is 300 x 300 points",
    ),
    Comparison(
        "kde, raw scale", "fastHDMI", "KDE, 300 x 300", estimate("kde", scale="raw"), fasthdmi_kde(300), _OTHER, 0.0,
        _KDE,
    ),
    Comparison(
        "kde, raw scale", "KDEpy", "FFTKDE, 64 x 64", estimate("kde", scale="raw"), kdepy_kde, _OTHER, 0.0, _BANDWIDTH,
    ),
    Comparison(
        "kde, binary target", "fastHDMI", "binary target", estimate("kde", classes=True), fasthdmi_classes, _OTHER, 0.0,
        "fastHDMI has no density estimate for classes: it bins", classes=True,
    ),
    Comparison(
        "bin, Birge-Rozenholc, binary target", "fastHDMI", "binary target",
        estimate("bin", classes=True, bins="birge-rozenholc", binning="width", correction="none"), fasthdmi_classes,
        _SAME, 1e-12, "the same bins", classes=True, comparable=_in_reach_of_fasthdmi,
    ),
    Comparison(
        "ksg, k = 3", "sklearn", "mutual_info_regression", estimate("ksg", k=3, clip=True), sklearn_regression,
        0.0, _NOISE, "the same estimate; scikit-learn sets those below 0 to 0",
    ),
    Comparison(
        "ksg, k = 3", "ennemi", "estimate_mi", estimate("ksg", k=3), ennemi_mi(classes=False), 0.0, _DIGAMMA,
        "the same estimate, but for the series that ennemi takes for the digamma function",
    ),
    Comparison(
        "ksg, k = 3, binary target", "sklearn", "mutual_info_classif", estimate("ksg", k=3, classes=True, clip=True),
        sklearn_classes, 0.0, _NOISE, "the same estimate (Ross); scikit-learn sets those below 0 to 0", classes=True,
    ),
    Comparison(
        "ksg, k = 3, binary target", "ennemi", "estimate_mi, discrete_y", estimate("ksg", k=3, classes=True),
        ennemi_mi(classes=True), 0.0, _DIGAMMA, "the same estimate (Ross), but for the digamma function", classes=True,
    ),
    Comparison(
        "pearson", "sklearn", "f_regression", estimate("pearson", extra="linfoot"), sklearn_pearson, _SAME, 1e-12,
        "the same r; scikit-learn also computes p-values, we mutual information",
    ),
    Comparison(
        "spearman", "scipy", "rankdata and a product", estimate("spearman", extra="r"), scipy_spearman, _SAME, 1e-12,
        "the same rank correlation",
    ),
    Comparison(
        "copula", "scipy", "rankdata, ndtri and a product", estimate("copula", extra="r"), scipy_copula, _SAME, 1e-12,
        "the same correlation of normal scores",
    ),
)  # fmt: skip

"""Plug-in mutual information of two columns of levels, which several estimators fall back on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels.bin_rules import FIXED, n_log_n
from miscreen.kernels.bins import ADJUSTED, arranged_bins
from miscreen.kernels.counts import cell_terms, count_terms, level_pairs, paired_mi
from miscreen.model import Batch, Dealing, Floats, Scores, Target

PLUG_IN = "plug-in"


def plugin_scores(target: Target, batch: Batch) -> Scores:
    """Mutual information, in nats, of discrete features with a discrete target, from counts of their levels.

    Parameters
    ----------
    target : Target
        Discrete.
    batch : Batch
        Discrete features, values of shape (n_features, n_samples). NaN means missing: the pair is left out.

    Returns
    -------
    Scores
        `mi` of shape (n_features,) and the method ``plug-in``.

    Notes
    -----
    The sum of p log(p / (p_x p_y)) over the occupied cells of the contingency table is biased upwards by about
    (Kx - 1)(Ky - 1) / 2n, and by any amount where cells have few samples. The jackknife (Quenouille 1956,
    doi:10.1093/biomet/43.3-4.353; of entropies Zahl 1977, doi:10.2307/1936227) takes off more of it than the
    correction of Miller & Madow, and from that is taken its mean over all arrangements of the columns, in which the
    count of a cell is hypergeometric (Vinh et al. 2010, JMLR 11:2837, do so with the plug-in estimate). So independent
    columns have a mean of exactly 0, whatever their levels and samples, and none is favoured for having many levels.
    What bias remains for dependent ones is upwards, by up to 0.1 nats, where cells have half a sample to four on
    average, and downwards where they have fewer. Estimates may be negative.
    O(n + Kx Ky + r sqrt n) a feature in time, r the pairs of levels with other numbers of samples, no more than Kx Ky;
    8 Kx Ky bytes of scratch, and 16 n a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from miscreen.model import Kind
    >>> y = np.repeat([0.0, 1.0], 50)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(100))
    >>> batch = Batch(np.array([y, np.tile([0.0, 1.0], 50)]), Kind.DISCRETE, np.zeros(2, dtype=bool))
    >>> plugin_scores(target, batch).mi.round(3)  # log 2 and 0, less and plus the corrections
    array([ 0.698, -0.005])
    """
    return Scores(mi_of_pairs(*_pairs(target, batch)), PLUG_IN)


def arranged_plugin(target: Target, dealing: Dealing, asked: tuple[Any, ...]) -> int:
    """`plugin_scores` of arrangements of a discrete feature: see `Estimator._in_one_pass`."""
    template, unused = dealing.template, np.empty(0)
    count: int = arranged_bins(
        template.values[0], template.order[0], target.values, target.order, True, True, 0, FIXED, False, ADJUSTED,
        unused, terms_of_cells(len(target.values)), *asked,
    )  # fmt: skip
    return count


def plugin_with_errors(target: Target, batch: Batch) -> tuple[Floats, Floats, Floats]:
    """`plugin_scores`, how far they lie from what they are without the jackknife, and standard errors, in nats.

    Parameters
    ----------
    target : Target
        Discrete.
    batch : Batch
        Discrete features, values of shape (n_features, n_samples). NaN means missing: the pair is left out.

    Returns
    -------
    tuple of float64 arrays, shape (n_features,)
        Errors are NaN for fewer than two samples.

    Notes
    -----
    Without the jackknife: the plug-in estimate less its mean over all arrangements (Vinh et al. 2010, JMLR 11:2837) is
    0 for independent columns, too. Of dependent ones whose cells have few samples it takes off too much, by more than
    `plugin_scores` are too high; where hardly any cell has two, these are too low by no more than that. The two agree
    where cells have many.

    Errors are the jackknife's (Tukey 1958, doi:10.1214/aoms/1177706647): the root of V / n, V the variance over samples
    of what n times the estimate loses without them. In large tables that is log(p / (p_x p_y)) of their cell, as by the
    delta method (Basharin 1959, doi:10.1137/1104033), whose error is half of the true one for cells of a sample. At
    least that of independent columns, (Kx - 1)(Ky - 1) / 2n^2, since 2 n times the estimate is then chi-square
    distributed (Wilks 1938, doi:10.1214/aoms/1177732360). Up to 1.4 times too large there, and a quarter too small for
    dependent columns of a few samples a cell. O(n log n) a feature, and twice the time of `plugin_scores`.

    Examples
    --------
    >>> import numpy as np
    >>> from miscreen.model import Kind
    >>> y = np.repeat([0.0, 1.0], 50)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(100))
    >>> batch = Batch(np.tile([0.0, 1.0], 50)[np.newaxis], Kind.DISCRETE, np.zeros(1, dtype=bool))
    >>> plugin_with_errors(target, batch)[2].round(4)  # sqrt(1 / 2) / 100
    array([0.0071])
    >>> for n in (50, 500):
    ...     y = np.arange(float(n)) % 10
    ...     target = Target("y", y, Kind.DISCRETE, False, np.arange(n))
    ...     batch = Batch(y[np.newaxis], Kind.DISCRETE, np.zeros(1, dtype=bool))
    ...     print(plugin_with_errors(target, batch)[1].round(2))
    [0.68]
    [0.1]
    """
    pairs = _pairs(target, batch)
    mi, without = mi_of_pairs(*pairs), np.empty(len(batch.values))
    paired_mi(*pairs, n_log_n(len(target.values)), without)
    return mi, np.abs(mi - without), errors_of_pairs(*pairs)


def _pairs(target: Target, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Levels of features and of the target beside each, by number: see `level_pairs`."""
    levels, codes = np.empty((2, *batch.values.shape), dtype=np.int64)
    level_pairs(batch.values, batch.order, target.codes, levels, codes)
    return levels, codes


@lru_cache(maxsize=1)
def terms_of_cells(n: int) -> Floats:
    """`count_terms`, kept for the next call."""
    return count_terms(n)


def mi_of_pairs(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """Mutual information, in nats, of pairs of codes: see `plugin_scores`.

    Arrays of shape (n_features, n_samples), -1 in both where missing.
    """
    mi = np.empty(len(rows))
    paired_mi(rows, columns, terms_of_cells(rows.shape[1]), mi)
    return mi


def errors_of_pairs(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """Standard errors, in nats, of the plug-in estimates of pairs of codes: see `plugin_with_errors`.

    Arrays of shape (n_features, n_samples), -1 in both where missing.
    """
    n_samples = rows.shape[1]
    lost = np.diff(n_log_n(n_samples), prepend=0.0)  # by a count of 0, 1, ... that is one less
    terms, least = np.empty(rows.shape), np.empty(len(rows))
    cell_terms(rows, columns, lost, terms, least)
    present = rows >= 0
    found: Floats = np.sqrt(np.maximum(least, row_variances(terms, present)) / np.maximum(1, present.sum(axis=1)))
    return found


def row_variances(terms: Floats, present: NDArray[np.bool_]) -> Floats:
    """Variances of independent terms, row by row, of those that are present; NaN for fewer than two.

    Rows with as many are taken together, since NumPy takes longer for a call than for some hundred terms.
    """
    n = np.count_nonzero(present, axis=1)
    found = np.full(len(terms), np.nan)
    for count in np.unique(n[n > 1]).tolist():
        some = np.flatnonzero(n == count)
        part = terms if len(some) == len(terms) else terms[some]
        if count < terms.shape[1]:
            part = part[present[some]].reshape(len(some), count)
        found[some] = part.var(axis=1, ddof=1)
    return found

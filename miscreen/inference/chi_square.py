"""Tests of independence of two columns of levels by their table of counts alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Floats

CHI_SQUARE, EXACT = "chi-square", "exact"
LEAST_EXPECTED = 10.0  # in every cell, for the approximation to hold
_IN_TAIL, _TAIL = 50.0, 1e-3  # and where p is smaller than that


def table_test(values: Floats, codes: NDArray[np.int64], order: str) -> tuple[float, str]:
    """Probability under independence of a table of counts that is as far from it, and how it was found.

    Parameters
    ----------
    values : float64 array, shape (n_samples,)
        Levels of a feature. NaN means missing: the sample is left out.
    codes : int64 array, shape (n_samples,)
        Levels of the target.
    order : str
        What says which of two tables of two by two is farther: ``chi-square``, ``plug-in`` for the plug-in estimate, or
        ``miller-madow`` for that with the correction, which is less by 1 / 2n for a cell that is not empty, or
        ``jackknife`` for that of `plugin_scores`, which is less by up to twice as much.

    Returns
    -------
    tuple of float and str
        NaN where a cell of the table expects fewer than 10 samples, or 50 and p is below 0.001, or there is one row or
        column.

    Notes
    -----
    Two by two: the share of all tables with the same sums that are as far, as `Tables` has it (Fisher 1922,
    doi:10.2307/2340521). Others: G = 2 n I, I the plug-in estimate in nats, follows a chi-square distribution of
    (K_x - 1)(K_y - 1) degrees of freedom as n grows (Wilks 1938, doi:10.1214/aoms/1177732360); divided by
    1 + (n sum 1/n_x - 1)(n sum 1/n_y - 1) / 6 n df its mean agrees to order 1/n (Williams 1976,
    doi:10.1093/biomet/63.1.33). O(n log n).

    Examples
    --------
    >>> x, y = np.repeat([0.0, 1.0], 50), np.tile([0, 1], 50)
    >>> table_test(x, y, "plug-in")
    (1.0, 'exact')
    """
    from scipy.special import gammaincc

    present = ~np.isnan(values)
    n = int(np.count_nonzero(present))
    rows, columns = (np.unique(of[present], return_inverse=True)[1] for of in (values, codes))
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    of_rows, of_columns = counts.sum(1), counts.sum(0)
    expected = np.outer(of_rows, of_columns) / n
    freedom = (shape[0] - 1) * (shape[1] - 1)
    if freedom == 1:
        return _two_by_two(int(counts[0, 0]), of_rows, of_columns, order), EXACT
    if not freedom or expected.min() < LEAST_EXPECTED:
        return math.nan, ""
    seen = counts > 0
    g = 2.0 * float(np.sum(counts[seen] * np.log(counts[seen] / expected[seen])))
    williams = 1.0 + (n * np.sum(1.0 / of_rows) - 1.0) * (n * np.sum(1.0 / of_columns) - 1.0) / (6.0 * n * freedom)
    p = float(gammaincc(freedom / 2.0, max(g, 0.0) / williams / 2.0))
    return (p, CHI_SQUARE) if p >= _TAIL or expected.min() >= _IN_TAIL else (math.nan, "")


def _two_by_two(count: int, rows: NDArray[np.int64], columns: NDArray[np.int64], order: str) -> float:
    """The share of tables with these sums that are as far from independence as the one with a count first."""
    from scipy.special import gammaln, xlog1py, xlogy

    n, row, column = int(rows.sum()), int(rows[0]), int(columns[0])
    first = np.arange(max(0, row + column - n), min(row, column) + 1, dtype=np.float64)
    cells = np.array([first, row - first, column - first, n - row - column + first])
    far = np.abs(first - row * column / n) if order == "chi-square" else xlogy(cells, cells).sum(axis=0)
    if order == "miller-madow":
        far -= 0.5 * np.count_nonzero(cells, axis=0)
    if order == "jackknife":
        some = np.maximum(cells, 1.0)
        far -= np.where(cells > 0, some * (1.0 + xlog1py(some - 1.0, -1.0 / some)), 0.0).sum(axis=0)
    logs = -gammaln(cells + 1.0).sum(axis=0)
    shares = np.exp(logs - logs.max())
    least = far[count - int(first[0])]
    return float(shares[far >= least - 1e-12 * abs(least)].sum() / shares.sum())

"""The G test of independence of two columns of levels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Floats

CHI_SQUARE = "chi-square"
LEAST_EXPECTED = 10.0  # in every cell, for the approximation to hold in the tail


def g_test(values: Floats, codes: NDArray[np.int64]) -> float:
    """Probability of a plug-in estimate of mutual information as large as this one under independence.

    Parameters
    ----------
    values : float64 array, shape (n_samples,)
        Levels of a feature. NaN means missing: the sample is left out.
    codes : int64 array, shape (n_samples,)
        Levels of the target.

    Returns
    -------
    float
        NaN where a cell of the table of counts expects fewer than 10 samples, or there is one row or column.

    Notes
    -----
    G = 2 n I, I the plug-in estimate in nats, follows a chi-square distribution of (K_x - 1)(K_y - 1) degrees of
    freedom as n grows (Wilks 1938, doi:10.1214/aoms/1177732360); divided by 1 + (n sum 1/n_x - 1)(n sum 1/n_y - 1) /
    6 n df its mean agrees to order 1/n (Williams 1976, doi:10.1093/biomet/63.1.33). O(n log n).

    Examples
    --------
    >>> x, y = np.repeat([0.0, 1.0], 50), np.tile([0, 1], 50)
    >>> g_test(x, y)
    1.0
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
    if not freedom or expected.min() < LEAST_EXPECTED:
        return math.nan
    seen = counts > 0
    g = 2.0 * float(np.sum(counts[seen] * np.log(counts[seen] / expected[seen])))
    williams = 1.0 + (n * np.sum(1.0 / of_rows) - 1.0) * (n * np.sum(1.0 / of_columns) - 1.0) / (6.0 * n * freedom)
    return float(gammaincc(freedom / 2.0, max(g, 0.0) / williams / 2.0))

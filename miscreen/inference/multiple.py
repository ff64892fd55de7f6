"""Many p-values at once: false discovery rates and family-wise p-values."""

from __future__ import annotations

import numpy as np

from miscreen.inference.options import FDR_METHODS
from miscreen.model import Floats


def q_values(p: Floats, method: str = "bh") -> Floats:
    """The least false discovery rate at which each hypothesis is rejected, between 0 and 1.

    Parameters
    ----------
    p : float64 array, shape (n_features,)
        p-values. NaN means none: it stays NaN, and does not count.
    method : str
        ``bh``, which holds the rate for independent and positively dependent p-values, or ``by``, which holds it for
        any.

    Returns
    -------
    float64 array, shape (n_features,)

    Notes
    -----
    Benjamini & Hochberg (1995, doi:10.1111/j.2517-6161.1995.tb02031.x): with m p-values in ascending order, the
    least of p_j m / j over j >= i. Benjamini & Yekutieli (2001, doi:10.1214/aos/1013699998): the same times
    1 + 1/2 + ... + 1/m. O(m log m).

    Examples
    --------
    >>> q_values(np.array([0.01, 0.04, np.nan, 0.02])).round(3)
    array([0.03, 0.04,  nan, 0.03])
    """
    assert method in FDR_METHODS
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if not len(known):
        return q
    ascending = known[np.argsort(p[known], kind="stable")]
    places = np.arange(1, len(known) + 1)
    factor = len(known) * (np.sum(1.0 / places) if method == "by" else 1.0)
    raised = p[ascending] * (factor / places)
    q[ascending] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q


def max_t_p_values(observed: Floats, maxima: Floats) -> Floats:
    """Family-wise p-values: the share of permutations whose largest statistic reaches that of each feature.

    Parameters
    ----------
    observed : float64 array, shape (n_features,)
        Statistics, comparable among features. NaN means none.
    maxima : float64 array, shape (n_permutations,)
        The largest statistic of all features in each permutation.

    Returns
    -------
    float64 array, shape (n_features,)
        (b + 1) / (B + 1) for b of B maxima that reach the statistic; NaN where there is none.

    Notes
    -----
    Single-step max T, Westfall & Young (1993): holds the family-wise error rate under any dependence among features.
    O((m + B) log B).

    Examples
    --------
    >>> max_t_p_values(np.array([0.5, 3.0, np.nan]), np.array([2.0, 1.0, 3.0, 0.7])).round(2)
    array([1. , 0.4, nan])
    """
    lowered = np.minimum(observed, 1e100)
    lowered -= 1e-9 * np.abs(lowered) + 1e-12  # sums in another order may differ in the last digits
    reached = len(maxima) - np.searchsorted(np.sort(maxima), lowered)
    return np.where(np.isnan(observed), np.nan, (reached + 1) / (len(maxima) + 1))

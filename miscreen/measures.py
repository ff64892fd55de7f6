"""Mutual information on other scales."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from miscreen.errors import check_choice
from miscreen.model import Batch, Floats, Kind, Target

MEASURES = ("linfoot", "normalized")


def check_measures(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once; `InputError` when there is no such measure."""
    names = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (names,)
    for name in names:
        check_choice("extra column", name, MEASURES)
    return tuple(dict.fromkeys(names))


def linfoot(mi: Floats) -> Floats:
    """Linfoot's coefficient of correlation, between 0 and 1.

    Parameters
    ----------
    mi : float64 array, shape (n_features,)
        Mutual information in nats; NaN stays NaN, and less than 0 counts as 0.

    Returns
    -------
    float64 array, shape (n_features,)

    Notes
    -----
    sqrt(1 - exp(-2 I)), the size of the correlation of a Gaussian pair with that mutual information (Linfoot 1957,
    doi:10.1016/S0019-9958(57)90116-X).

    Examples
    --------
    >>> linfoot(np.array([-0.01, 0.0, 0.5108256])).round(3)
    array([0. , 0. , 0.8])
    """
    return np.sqrt(-np.expm1(-2.0 * np.maximum(mi, 0.0)))


def normalized(mi: Floats, batch: Batch, target: Target) -> Floats:
    """Mutual information as a share of the entropy of a discrete target: the part of it that is told.

    Parameters
    ----------
    mi : float64 array, shape (n_features,)
        Mutual information in nats, as estimated: it may be below 0, and above the entropy.
    batch : Batch
        The features, since the entropy is that of the samples in which a feature is present.
    target : Target

    Returns
    -------
    float64 array, shape (n_features,)
        NaN for a continuous target, whose entropy is no bound.

    Notes
    -----
    I / H(y), H the entropy in nats as `plugin_scores` finds it of two discrete columns, the target and itself, so that
    a copy of the target has 1 where I is found so, too. O(n) a feature with missing values.

    Examples
    --------
    >>> y = np.repeat([0.0, 1.0], 10)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(20))
    >>> normalized(np.array([np.log(2) / 4]), Batch(y[None, :], Kind.DISCRETE, np.zeros(1, bool)), target).round(3)
    array([0.24])
    """
    from miscreen.estimators.plugin import plugin_scores

    if target.kind == Kind.CONTINUOUS:
        return np.full(len(mi), np.nan)

    def entropies(copies: Floats) -> Floats:
        found: Floats = plugin_scores(target, Batch(copies, Kind.DISCRETE, np.ones(len(copies), dtype=np.bool_))).mi
        return found

    codes = target.codes.astype(np.float64)
    found = np.repeat(entropies(codes[np.newaxis]), len(mi))
    incomplete = np.flatnonzero(np.isnan(batch.values).any(axis=1))
    found[incomplete] = entropies(np.where(np.isnan(batch.values[incomplete]), np.nan, codes))
    return np.divide(mi, found, out=np.full(len(mi), np.nan), where=found > 0.0)


def further_measures(wanted: Sequence[str], mi: Floats, batch: Batch, target: Target) -> dict[str, Floats]:
    """The columns of the result that were asked for."""
    found = {"linfoot": lambda: linfoot(mi), "normalized": lambda: normalized(mi, batch, target)}
    return {name: found[name]() for name in wanted}

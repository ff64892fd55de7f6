"""Plug-in mutual information of two columns of levels, which several estimators fall back on."""

from __future__ import annotations

import numpy as np

from miscreen.kernels.counts import level_mi
from miscreen.model import Batch, Scores, Target

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
    The sum of p log(p / (p_x p_y)) over the occupied cells of the contingency table, which is biased upwards
    by about (Kx - 1)(Ky - 1) / 2n, plus the correction of Miller (1955), (Kx + Ky - Kxy - 1) / 2n, with K the
    number of occupied rows, columns and cells. What bias remains is of order 1/n^2 while every cell expects
    several samples, and downwards for sparse tables. Estimates may be negative. O(n + Kx Ky) a feature in
    time; 8 Kx Ky + 16 n bytes of scratch.

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
    mi = np.empty(len(batch.values))
    level_mi(batch.values, batch.order, target.codes, target.n_levels, mi)
    return Scores(mi, PLUG_IN)

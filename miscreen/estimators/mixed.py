"""Mutual information of a column with an order and ties, and one of classes, by bins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.plugin import errors_of_pairs, mi_of_pairs
from miscreen.kernels.counts import binned_pairs
from miscreen.model import Batch, Floats, Kind, Target

SAMPLES_PER_CELL = 6  # of every bin and class, on average
MOST_BINS = 6  # times the cube root of the samples
_NO_CODES = np.empty(0, dtype=np.int64)


def mixed_mi(target: Target, batch: Batch, coarseness: int = 1) -> Floats:
    """Mutual information, in nats, of columns with an order and ties and one of classes.

    For where a class has few samples of each group of ties: its nearest neighbours are in the next group then, and
    estimates from them far too high.

    Parameters
    ----------
    target : Target
    batch : Batch
        Features; either they or the target are discrete. NaN means missing: the pair is left out.
    coarseness : int
        What the number of bins is divided by: fewer of them show how much the bins leave out.

    Returns
    -------
    float64 array, shape (n_features,)
        NaN where either column has one value alone.

    Notes
    -----
    What has an order is put into bins of equal frequency, ties staying together, or into its groups of ties if these
    are no more: 6 samples for every bin and class, at most 6 n^(1/3) bins (three times those of Terrell & Scott 1985,
    doi:10.2307/2288074, since many stay empty), two at least. The estimate is that of `plugin_scores`, which is 0 on
    average for independent columns, whatever the samples. O(n) a feature once it is sorted; scratch 16 n bytes
    for each feature of the batch.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([0.0, 1.0], 50)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(100))
    >>> batch = Batch(np.array([y, np.tile([0.0, 1.0], 50)]), Kind.CONTINUOUS, np.zeros(2, dtype=bool))
    >>> mixed_mi(target, batch).round(3)  # log 2 and 0
    array([ 0.698, -0.005])
    """
    return mi_of_pairs(*_binned(target, batch, coarseness))


def mixed_with_errors(target: Target, batch: Batch) -> tuple[Floats, Floats]:
    """`mixed_mi`, and standard errors, in nats: see `plugin_with_errors`. NaN where there is no estimate."""
    pairs = _binned(target, batch, 1)
    return mi_of_pairs(*pairs), errors_of_pairs(*pairs)


def _binned(target: Target, batch: Batch, coarseness: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What has an order in bins, and the classes, as codes; -1 where missing or where either has one value alone."""
    cells, labels = np.empty((2, *batch.values.shape), dtype=np.int64)
    n = np.count_nonzero(~np.isnan(batch.values), axis=1)
    most = np.array([math.ceil(MOST_BINS * float(count) ** (1 / 3)) for count in n.tolist()], dtype=np.int64)
    discrete = target.kind == Kind.DISCRETE
    binned_pairs(
        batch.values, batch.order, target.values, target.order, target.codes if discrete else _NO_CODES,
        most, SAMPLES_PER_CELL, coarseness, cells, labels,
    )  # fmt: skip
    return cells, labels

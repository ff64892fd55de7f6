"""Mutual information of a column with an order and ties, and one of classes, by bins."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.plugin import plugin_errors, plugin_scores
from miscreen.model import Batch, Floats, Kind, Target

SAMPLES_PER_CELL = 6  # of every bin and class, on average
MOST_BINS = 6  # times the cube root of the samples


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
    average for independent columns, whatever the samples. O(n) a feature once it is sorted; scratch about 50 n bytes
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
    mi = np.empty(len(batch.values))
    for some, classes, binned in _binned(target, batch, coarseness):
        mi[some] = plugin_scores(classes, binned).mi
    return mi


def mixed_errors(target: Target, batch: Batch) -> Floats:
    """Standard errors of `mixed_mi`, in nats: see `plugin_errors`. NaN where there is no estimate."""
    errors = np.empty(len(batch.values))
    for some, classes, binned in _binned(target, batch, 1):
        errors[some] = plugin_errors(classes, binned)
    return errors


def _binned(target: Target, batch: Batch, coarseness: int) -> Iterator[tuple[slice, Target, Batch]]:
    """What has an order in bins, as discrete features beside the classes; missing where either has one value alone."""
    if not len(batch.values):
        return
    cells = np.full(batch.values.shape, np.nan)
    present = ~np.isnan(batch.values)
    n = np.count_nonzero(present, axis=1)
    below, through, group = _groups(batch.order, batch.repeats, n)
    if target.kind == Kind.DISCRETE:
        codes = np.broadcast_to(target.codes, present.shape)
    else:
        codes = group
        below, through, group = _groups_of_target(target, present, n)
    for f, here in enumerate(present):
        labels = codes[f][here]
        doubled = (below[f] + through[f])[here]  # the average rank, less one half
        if not len(labels) or doubled.min() == doubled.max() or labels.min() == labels.max():
            continue
        n_classes = np.count_nonzero(np.bincount(labels))
        bins = min(math.ceil(MOST_BINS * float(n[f]) ** (1 / 3)), n[f] // (SAMPLES_PER_CELL * n_classes))
        bins = max(2, bins // coarseness)
        place = group[f][here]
        cells[f, here] = place if place.max() < bins else doubled * bins // (2 * n[f])
    binned = Batch(cells, Kind.DISCRETE, np.zeros(len(cells), dtype=np.bool_))
    if target.kind == Kind.DISCRETE:
        yield slice(None), target, binned
        return
    for f, labels in enumerate(codes):  # as targets, since what is binned differs from feature to feature
        classes = Target(target.name, labels.astype(np.float64), Kind.DISCRETE, True, target.rows)
        yield slice(f, f + 1), classes, binned.take(np.array([f]))


def _groups(
    order: NDArray[np.intp], repeats: NDArray[np.bool_], n: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each sample of each feature, how many are below its group of ties, how many with it, and the group's number.

    order, repeats: of a `Batch`; n: samples present, the first of the order. Others have any values.
    """
    place = np.arange(order.shape[1])
    first = ~repeats | (place == 0)
    below = np.maximum.accumulate(np.where(first, place, 0), axis=1)
    last = np.ones_like(first)
    last[:, :-1] = first[:, 1:]
    last |= place == n[:, None] - 1
    through = np.minimum.accumulate(np.where(last, place + 1, len(place))[:, ::-1], axis=1)[:, ::-1]
    number = np.cumsum(first, axis=1) - 1
    number[place >= n[:, None]] = 0
    found = np.empty((3, *order.shape), dtype=np.int64)
    for of_samples, in_order in zip(found, (below, through, number), strict=True):
        np.put_along_axis(of_samples, order, in_order, axis=1)
    return found[0], found[1], found[2]


def _groups_of_target(
    target: Target, present: NDArray[np.bool_], n: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The same of a target among the samples of each feature."""
    if np.all(n == len(target.values)):
        alone = Batch(target.values[np.newaxis], Kind.CONTINUOUS, np.zeros(1, dtype=np.bool_))
        below, through, number = (np.broadcast_to(a, present.shape) for a in _groups(alone.order, alone.repeats, n[:1]))
        return below, through, number
    each = Batch(np.where(present, target.values, np.nan), Kind.CONTINUOUS, np.zeros(len(present), dtype=np.bool_))
    return _groups(each.order, each.repeats, n)

"""Mutual information of a column with an order and ties, and one of classes, by bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.plugin import table_errors
from miscreen.model import Batch, Floats, Kind, Target

CELL = 5  # samples for every bin and class, at least


def mixed_mi(target: Target, batch: Batch, coarser: int = 1) -> tuple[Floats, Floats]:
    """Mutual information, in nats, of columns with an order and ties and one of classes, and standard errors.

    For where a class has few samples of each group of ties: its nearest neighbours are in the next group then, and
    estimates from them far too high.

    Parameters
    ----------
    target : Target
    batch : Batch
        Features; either they or the target are discrete. NaN means missing: the pair is left out.
    coarser : int
        What the number of bins is divided by.

    Returns
    -------
    tuple of float64 arrays, shape (n_features,)
        Estimates, and errors by `table_errors`.

    Notes
    -----
    What has an order is put into bins of equal frequency, ties staying together: 5 samples for every bin and class, at
    most 2 n^(1/3) bins (Terrell & Scott 1985, doi:10.2307/2288074), two at least; or it keeps its levels if they are
    no more. The bias of the plug-in estimate is taken off by the jackknife (Quenouille 1956,
    doi:10.1093/biomet/43.3-4.353; of entropies Zahl 1977, doi:10.2307/1936227). Where cells expect five samples it
    leaves less than the correction of Miller & Madow: 0.002 of 0.013, for counts in ten bins and 20 classes that they
    depend on, with 1,000 samples; for independent ones -0.004 and 0.004. O(n log n) a feature.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([0.0, 1.0], 50)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(100))
    >>> batch = Batch(np.array([y, np.tile([0.0, 1.0], 50)]), Kind.CONTINUOUS, np.zeros(2, dtype=bool))
    >>> mixed_mi(target, batch)[0].round(3)  # log 2 and 0
    array([ 0.698, -0.005])
    """
    if not len(batch.values):
        return np.empty(0), np.empty(0)
    present = ~np.isnan(batch.values)
    n = np.count_nonzero(present, axis=1)
    below, through, levels = _groups(batch.order, batch.repeats, n)
    if target.kind == Kind.DISCRETE:
        labels = np.where(present, target.codes, -1)
        n_levels, n_classes = levels.max(axis=1) + 1, np.array([len(np.unique(row[row >= 0])) for row in labels])
    else:
        labels, n_classes = levels, levels.max(axis=1) + 1
        below, through, levels = _groups_of_target(target, present, n)
        n_levels = levels.max(axis=1) + 1
    bins = np.maximum(2, np.minimum(np.ceil(2 * np.cbrt(n)).astype(np.int64), n // (CELL * n_classes)) // coarser)
    cells = np.where((n_levels > bins)[:, None], (below + through) * bins[:, None] // (2 * n[:, None]), levels)
    shape = len(batch.values), int(cells.max()) + 1, int(labels.max()) + 1
    at = (np.arange(shape[0])[:, None] * shape[1] + cells) * shape[2] + labels
    counts = np.bincount(at[present], minlength=int(np.prod(shape))).reshape(shape)
    return _corrected(counts), table_errors(counts)


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
        found = _groups(alone.order, alone.repeats, n[:1])
        return tuple(np.broadcast_to(one, present.shape) for one in found)  # type: ignore[return-value]
    each = Batch(np.where(present, target.values, np.nan), Kind.CONTINUOUS, np.zeros(len(present), dtype=np.bool_))
    return _groups(each.order, each.repeats, n)


def _corrected(counts: NDArray[np.int64]) -> Floats:
    """Plug-in estimates of tables of counts less their bias, by leaving out each sample in turn; in nats."""
    rows, columns = counts.sum(axis=2, keepdims=True), counts.sum(axis=1, keepdims=True)
    n = counts.sum(axis=(1, 2))
    of_cell, of_row, of_column, of_all = (_k_log_k(k) - _k_log_k(k - 1) for k in (counts, rows, columns, n))
    found: Floats = of_all + (counts * (of_cell - of_row - of_column)).sum(axis=(1, 2)) / n
    return found


def _k_log_k(k: NDArray[np.int64]) -> Floats:
    number = k.astype(np.float64)
    return number * np.log(np.maximum(number, 1.0))

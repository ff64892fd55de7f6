"""Mutual information of a column with an order and ties, and one of classes, by bins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Batch, Floats, Kind, Target

SAMPLES_PER_CELL = 6  # of every bin and class, on average
MOST_BINS = 6  # times the cube root of the samples


def mixed_mi(target: Target, batch: Batch) -> tuple[Floats, Floats, Floats]:
    """Mutual information, in nats, of columns with an order and ties and one of classes.

    For where a class has few samples of each group of ties: its nearest neighbours are in the next group then, and
    estimates from them far too high.

    Parameters
    ----------
    target : Target
    batch : Batch
        Features; either they or the target are discrete. NaN means missing: the pair is left out.

    Returns
    -------
    tuple of three float64 arrays, shape (n_features,)
        Estimates, those by half as many bins, and the standard errors of the first: see `plugin_errors`. NaN where
        either column has one value alone.

    Notes
    -----
    What has an order is put into bins of equal frequency, ties staying together: 6 samples for every bin and class, at
    most 6 n^(1/3) bins (three times those of Terrell & Scott 1985, doi:10.2307/2288074, since many stay empty), two at
    least. The bias of the plug-in estimate is taken off by the jackknife (Quenouille 1956,
    doi:10.1093/biomet/43.3-4.353; of entropies Zahl 1977, doi:10.2307/1936227). Where cells expect five samples it
    leaves less than the correction of Miller & Madow: 0.002 of 0.013, for counts in ten bins and 20 classes that they
    depend on, with 1,000 samples; for independent ones -0.004 and 0.004. Sums are exact, so that neither the other
    features nor the order of the samples change them. O(n) a feature once it is sorted; scratch about 40 n bytes for
    each feature of the batch.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.repeat([0.0, 1.0], 50)
    >>> target = Target("y", y, Kind.DISCRETE, False, np.arange(100))
    >>> batch = Batch(np.array([y, np.tile([0.0, 1.0], 50)]), Kind.CONTINUOUS, np.zeros(2, dtype=bool))
    >>> mixed_mi(target, batch)[0].round(3)  # log 2 and 0
    array([ 0.698, -0.005])
    """
    found = np.full((3, len(batch.values)), np.nan)
    if not len(batch.values):
        return found[0], found[1], found[2]
    present = ~np.isnan(batch.values)
    n = np.count_nonzero(present, axis=1)
    below, through, number = _groups(batch.order, batch.repeats, n)
    if target.kind == Kind.CONTINUOUS:
        below, through = _groups_of_target(target, present, n)
    for f, here in enumerate(present):
        labels = (target.codes if target.kind == Kind.DISCRETE else number[f])[here]
        doubled = (below[f] + through[f])[here]  # the average rank, less one half
        if not len(labels) or doubled.min() == doubled.max() or labels.min() == labels.max():
            continue
        n_classes = np.count_nonzero(np.bincount(labels))
        bins = max(2, min(math.ceil(MOST_BINS * float(n[f]) ** (1 / 3)), n[f] // (SAMPLES_PER_CELL * n_classes)))
        found[0, f], found[2, f] = _estimate(doubled * bins // (2 * n[f]), labels)
        found[1, f] = _estimate(doubled * max(2, bins // 2) // (2 * n[f]), labels)[0]
    return found[0], found[1], found[2]


def _estimate(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[float, float]:
    """Plug-in estimate of two columns of codes, less its bias, found by leaving out each sample in turn, and error."""
    n, width = len(rows), int(columns.max()) + 1
    counts = np.bincount(rows * width + columns)
    cells = np.flatnonzero(counts)
    counts = counts[cells]
    of_rows, of_columns = np.bincount(rows), np.bincount(columns)
    row, column = of_rows[cells // width], of_columns[cells % width]
    whole, less = _k_log_k(np.array([n, n - 1]))
    gains = counts * (_last(counts) - _last(row) - _last(column))
    ratios = np.log(counts * float(n) / (row * column))
    mean = math.fsum(counts * ratios) / n
    spread = math.fsum(counts * (ratios - mean) ** 2) / max(1, n - 1)
    degrees = (np.count_nonzero(of_rows) - 1) * (np.count_nonzero(of_columns) - 1)
    return float(whole - less) + math.fsum(gains) / n, math.sqrt(max(degrees / (2 * n), spread) / n)


def _last(k: NDArray[np.int64]) -> Floats:
    """What the last of k samples adds to k log k."""
    return _k_log_k(k) - _k_log_k(k - 1)


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
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first two of a target among the samples of each feature."""
    if np.all(n == len(target.values)):
        alone = Batch(target.values[np.newaxis], Kind.CONTINUOUS, np.zeros(1, dtype=np.bool_))
        below, through, _ = _groups(alone.order, alone.repeats, n[:1])
        return np.broadcast_to(below, present.shape), np.broadcast_to(through, present.shape)
    each = Batch(np.where(present, target.values, np.nan), Kind.CONTINUOUS, np.zeros(len(present), dtype=np.bool_))
    return _groups(each.order, each.repeats, n)[:2]


def _k_log_k(k: NDArray[np.int64]) -> Floats:
    number = k.astype(np.float64)
    return number * np.log(np.maximum(number, 1.0))

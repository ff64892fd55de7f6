"""Classes along an order, where either the classes or what has the order is dealt out anew."""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import inner
from miscreen.kernels.counts import level_codes
from miscreen.kernels.ranks import present_order
from miscreen.kernels.shuffling import arrangement


@inner
def by_sample(values, kept):
    """What samples have that are present, one after another in `kept`, by sample; -1 where missing. O(n)."""
    found = np.empty(len(values), kept.dtype)
    place = 0
    for i in range(len(values)):
        found[i] = -1
        if not np.isnan(values[i]):
            found[i] = kept[place]
            place += 1
    return found


@inner
def cells_to_deal(samples, starts, dealt, cells):
    """The cells that are dealt out, by place, and that of the commonest value, which all `cells` become but -1. O(n).

    samples, starts, dealt: as `deal_out` takes them; cells: int64, by sample, -1 where missing.
    """
    of_places = np.empty(len(samples), np.int64)
    for i in range(len(samples)):
        of_places[i] = cells[samples[i]]
    commonest = 0
    for g in range(len(dealt)):
        if starts[g] + dealt[g] < starts[g + 1]:
            commonest = of_places[starts[g] + dealt[g]]
    for sample in samples:
        cells[sample] = commonest
    return of_places, commonest


@inner
def lay_out_levels(order, starts, dealt, levels, codes):
    """Write the levels of places by the sample that an order has there, but for those of the commonest. O(dealt)."""
    for g in range(len(dealt)):
        for i in range(starts[g], starts[g] + dealt[g]):
            codes[order[i]] = levels[i]


@inner
def take_back_levels(order, starts, dealt, commonest, codes):
    """Make codes those of the commonest level where `lay_out_levels` wrote others. O(dealt)."""
    for g in range(len(dealt)):
        for i in range(starts[g], starts[g] + dealt[g]):
            codes[order[i]] = commonest


@inner
def number_by_appearance(codes, numbers):
    """Number levels (int64, -1 = missing), all of which are there, in the order in which they appear. O(n) at most."""
    for level in range(len(numbers)):
        numbers[level] = -1
    count = 0
    for level in codes:
        if level >= 0 and numbers[level] < 0:
            numbers[level] = count
            count += 1
            if count == len(numbers):
                break


@inner
def classes_to_deal(values, order, target, target_order, features_are_classes, samples, starts, dealt):
    """Prepare `deal_classes`: what has an order, ascending, how many classes there are, and what it works with. O(n).

    values: float64 of the feature, NaN = missing; target: float64; order, target_order: their argsorts.
    """
    n = len(samples)
    ascending, along = np.empty(n), np.empty(len(target), np.int64)
    if features_are_classes:
        codes = np.empty(len(values), np.int64)
        n_classes = level_codes(values, order, codes)
        levels, commonest = cells_to_deal(samples, starts, dealt, codes)
        present_order(values, target_order, along)
        for i in range(n):
            ascending[i] = target[along[i]]
    else:
        masked, codes = np.empty(len(target)), np.empty(len(target), np.int64)
        for i in range(len(target)):
            masked[i] = np.nan if np.isnan(values[i]) else target[i]
        n_classes = level_codes(masked, target_order, codes)
        levels, commonest = np.empty(len(target), np.int64), 0
        for i in range(n):
            levels[samples[i]] = i
        for i in range(n):
            ascending[i] = values[order[i]]
            along[i] = levels[order[i]]
    return ascending, n_classes, (along[:n], codes, levels, commonest, np.empty(n_classes, np.int64), samples.copy())


@inner
def deal_classes(r, samples, starts, dealt, key, first, orders, features_are_classes, work, classes):
    """Write the classes of an arrangement, by `arrangement`, along what has an order: int64 (n,). O(n).

    Numbered in the order in which they appear among the samples, as `level_codes` has them. work: by `classes_to_deal`.
    """
    along, codes, levels, commonest, numbers, order = work
    arrangement(r, samples, starts, dealt, key, first, orders, order)
    if features_are_classes:
        lay_out_levels(order, starts, dealt, levels, codes)
        number_by_appearance(codes, numbers)
        for i in range(len(classes)):
            classes[i] = numbers[codes[along[i]]]
        take_back_levels(order, starts, dealt, commonest, codes)
    else:
        for i in range(len(classes)):
            classes[i] = codes[order[along[i]]]

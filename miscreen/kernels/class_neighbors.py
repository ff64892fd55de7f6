"""Nearest neighbours within classes: mutual information of a column with an order and one with levels."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.classes import classes_to_deal, deal_classes
from miscreen.kernels.counts import level_codes
from miscreen.kernels.margins import GAO, ROSS, has_extent, is_tied, leap, rescale, weigh
from miscreen.kernels.ranks import present_count


@inner
def class_neighbor_mi(ascending, classes, n_classes, k, mixed, psi, terms):
    """Mutual information, in nats, of an ascending column and the class of each sample: Ross's, or Gao's.

    classes: int64, below n_classes; samples alone in their class are left out. Writes into terms, unless it is empty,
    what each place adds to n times the result, up to a constant. O(n) besides counting.
    Scratch about 60 n bytes. NaN when no class has two samples, either side is constant, distances overflow, or
    n <= k.
    """
    if len(ascending) <= k or not has_extent(ascending, 1.0):
        return np.nan
    sizes = np.zeros(n_classes, np.int64)
    for i in range(len(classes)):
        sizes[classes[i]] += 1
    first_of = np.zeros(n_classes + 1, np.int64)
    for c in range(n_classes):
        first_of[c + 1] = first_of[c] + (sizes[c] if sizes[c] > 1 else 0)
        if sizes[c] == len(classes):
            return np.nan
    n = first_of[n_classes]
    if n == 0:
        return np.nan
    together = np.empty(n)  # ascending, those alone left out
    kept = np.empty(n, np.int64)  # their places in `ascending`
    place_of = np.empty(n, np.int64)  # places in `together`, class after class
    own = np.empty(n)  # what is there
    filled = first_of[:n_classes].copy()
    place = 0
    for i in range(len(classes)):
        c = classes[i]
        if sizes[c] > 1:
            together[place] = ascending[i]
            kept[place] = i
            place_of[filled[c]] = place
            own[filled[c]] = ascending[i]
            filled[c] += 1
            place += 1
    margins = np.zeros(n + 1, np.int64)
    nearest = np.zeros(n + 1, np.int64)
    own_class = np.zeros(n + 1, np.int64)
    for c in range(n_classes):
        first, last = first_of[c], first_of[c + 1]
        if first == last:
            continue
        own_class[last - first] += last - first
        k_class = min(k, last - first - 1)
        low = first  # the k nearest are k + 1 consecutive samples of the class, which move up with i
        run, run_end = first, first
        within = count = 0
        before, radius_before = np.nan, np.nan
        for i in range(first, last):
            x = own[i]
            while low + k_class < i or (low + k_class + 1 < last and own[low + k_class + 1] - x < x - own[low]):
                low += 1
            radius = max(x - own[low], own[low + k_class] - x)
            if x != before or radius != radius_before:  # else ties have the same about them
                before, radius_before = x, radius
                within = k_class
                if radius == 0.0:
                    if i >= run_end:
                        run = run_end = i
                        while run_end < last and own[run_end] == x:
                            run_end += 1
                    within = run_end - run
                    radius = np.nextafter(0.0, np.inf)  # closer than this is at distance 0
                # From its neighbours in the class, the edges of the ball are near.
                left, right = place_of[low], place_of[low + k_class]
                while x - together[left] >= radius and left < place_of[i]:
                    left += 1
                while together[right] - x >= radius and right > place_of[i]:
                    right -= 1
                left = leap(together, left, -1, 1, x, 1.0, radius)
                right = leap(together, right, 1, 1, x, 1.0, radius)
                count = right - left + 1
            nearest[within] += 1
            margins[count] += 1
            if len(terms):
                terms[kept[place_of[i]]] = psi[within] - psi[last - first] - psi[count]
    sums = weigh(nearest, psi) - weigh(own_class, psi) - weigh(margins, psi)
    return (math.log(n) if mixed else psi[n]) + sums / n


@kernel
def class_target_mi(values, order, target_codes, n_classes, k, scale, psi, mi, method, terms):
    """Mutual information, in nats, of each feature that has an order with a target of classes.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target_codes: int64, below n_classes;
    psi: table to n. Writes mi, method, and into terms (n_features, n or 0) what each sample adds to n mi, up to a
    constant. Ross (2014) for features without ties, else Gao (2017).
    """
    local = np.empty(terms.shape[1])
    for f in range(len(values)):
        n = present_count(values[f], order[f])
        ascending = np.empty(n)
        classes = np.empty(n, np.int64)
        for i in range(n):
            ascending[i] = values[f, order[f, i]]
            classes[i] = target_codes[order[f, i]]
        mixed = is_tied(ascending)
        rescale(ascending, scale)
        local[:] = np.nan
        mi[f] = class_neighbor_mi(ascending, classes, n_classes, k, mixed, psi, local)
        for i in range(min(n, len(local))):
            terms[f, order[f, i]] = local[i]
        method[f] = GAO if mixed else ROSS


@kernel
def class_feature_mi(values, order, target, target_order, k, scale, psi, mi, method, terms):
    """Mutual information, in nats, of each feature of levels with a target that has an order.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target: float64, ascending along
    target_order; psi: table to n. Writes mi, method, and terms as above. Ross (2014) for a target without ties, else
    Gao.
    """
    local = np.empty(terms.shape[1])
    sample = np.empty(len(target), np.int64)
    n_samples = len(target)
    codes = np.empty(n_samples, np.int64)
    ascending = np.empty(n_samples)
    classes = np.empty(n_samples, np.int64)
    for f in range(len(values)):
        n_classes = level_codes(values[f], order[f], codes)
        n = 0
        for i in range(n_samples):
            if codes[target_order[i]] >= 0:
                ascending[n] = target[i]
                classes[n] = codes[target_order[i]]
                sample[n] = target_order[i]
                n += 1
        mixed = is_tied(ascending[:n])
        rescale(ascending[:n], scale)
        local[:] = np.nan
        mi[f] = class_neighbor_mi(ascending[:n], classes[:n], n_classes, k, mixed, psi, local)
        for i in range(min(n, len(local))):
            terms[f, sample[i]] = local[i]
        method[f] = GAO if mixed else ROSS


@kernel
def arranged_class_mi(
    values, order, target, target_order, features_are_classes, k, scale, psi, samples, starts, dealt, key, first,
    orders, observed, enough, mi,
):  # fmt: skip
    """Mutual information, in nats, of arrangements of a feature, as `class_target_mi` or `class_feature_mi` have it.

    values, order: of the feature, float64 with NaN = missing and its argsort; target, target_order: likewise; samples,
    starts, dealt, key: as `deal_out` takes them; mi: float64 (n_arrangements,); orders, observed, enough: as
    `arranged_correlations` takes them. Returns how many there are. O(n) each besides counting.
    """
    ascending, n_classes, work = classes_to_deal(
        values, order, target, target_order, features_are_classes, samples, starts, dealt
    )
    mixed = is_tied(ascending)
    rescale(ascending, scale)
    classes, no_terms = np.empty(len(ascending), np.int64), np.empty(0)
    count = reached = 0
    for r in range(len(mi)):
        deal_classes(r, samples, starts, dealt, key, first, orders, features_are_classes, work, classes)
        mi[r] = class_neighbor_mi(ascending, classes, n_classes, k, mixed, psi, no_terms)
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count

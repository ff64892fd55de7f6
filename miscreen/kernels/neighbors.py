"""Nearest neighbours in the plane: mutual information of two columns with an order."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import (
    inner,
    kernel,
    pasted,
    scan_lanes,
    scan_lanes_for_eight,
    scan_lanes_for_many,
    scan_lanes_for_sixteen,
)
from miscreen.kernels.margins import (
    COMBINED,
    GAO,
    KSG,
    RANK,
    count_within,
    has_extent,
    index_margin,
    is_tied,
    rescale,
    score_ranks,
    weigh,
)
from miscreen.kernels.ranks import present_count

LANES = 4  # samples that are looked at side by side
SHORT, LONG = 8, 16  # rows of distances that are kept in registers
ALL, PART, REST = 0, 1, 2  # of the samples, by which neighbours are looked for; PART is about every fourth
LARGE = 500  # samples, of which a part tells what the dependence is like
FEWER = 4  # neighbours, for that and where the dependence is strong
STRONG = 0.4  # nats
FINE = 0.15  # nats more than the series: the dependence is finer than its functions
WEAK = 1.5  # errors of such an estimate, up to which more neighbours are not worth their time
CHANCE = 1.25  # standard deviation of an estimate for independent columns, times the root of k and of the samples
SHARE = 0.25  # of the information that an expansion in products of functions is off by
_STRIPES = 16  # of as many samples, by which it is told how evenly a margin is spread
_MORE = 2  # times as many different values: the other margin has far more ties
_TURNED = 2.0  # times as many visits, from which the other margin is laid out in columns


@inner
def distinct_count(ascending):
    """Number of different values in an ascending array. O(n)."""
    count = 1
    for i in range(1, len(ascending)):
        if ascending[i] != ascending[i - 1]:
            count += 1
    return count


@inner
def _visits(xs, x_weight, ys, y_weight):
    """How many columns of x neighbours are looked for in, up to a factor that x and y share: see `lay_columns`. O(1).

    A neighbour is about as far as the square root of what a sample has to itself, the widths of a column about it in x
    and in y multiplied; divided by the width in x, that leaves the root of the ratio of the two.
    """
    narrow = wide = 0.0
    for stripe in range(_STRIPES):
        first = len(xs) * stripe // _STRIPES
        last = max(first, len(xs) * (stripe + 1) // _STRIPES - 1)
        narrow += 1.0 / math.sqrt(max((xs[last] - xs[first]) * x_weight, np.finfo(np.float64).tiny))
        wide += math.sqrt((ys[last] - ys[first]) * y_weight)
    return narrow * wide


@inner
def duplicate_counts(xs, x_place, ys, y_order):
    """For each place in the order of y, how many samples, itself included, have the same x and y. O(n)."""
    n = len(xs)
    group = np.empty(n, np.intp)
    for i in range(n):
        group[i] = group[i - 1] if i > 0 and xs[i] == xs[i - 1] else i
    filled = np.zeros(n, np.intp)
    places = np.empty(n, np.intp)  # places in the order of y, sorted by x and then y
    for j in range(n):
        g = group[x_place[y_order[j]]]
        places[g + filled[g]] = j
        filled[g] += 1
    duplicates = np.empty(n, np.intp)
    start = 0
    for i in range(1, n + 1):
        if i == n or group[i] != group[start] or ys[places[i]] != ys[places[start]]:
            for m in range(start, i):
                duplicates[places[m]] = i - start
            start = i
    return duplicates


@inner
def lay_columns(xs, x_order, ys, y_order, n_samples, k):
    """Lay samples out in columns of neighbouring x, in each by ascending y, and find the way into them. O(n).

    xs, ys: ascending; x_order, y_order: their samples, numbers below n_samples. Returns where columns begin, where in
    each column the bins of the order of y begin, and in the new order x, y, their places and the bin.
    """
    n = len(xs)
    n_bins = max(1, int(math.sqrt(n / k)))  # a few of them hold the neighbours
    # Equal x share a column: a search among them would visit many columns for a few samples each.
    column_of = np.empty(n_samples, np.int32)
    x_place = np.empty(n_samples, np.int32)
    first_of = np.empty(n_bins + 1, np.intp)
    n_columns = 0
    group = 0
    reached = 0  # the columns that begin up to the group: ceil(group n_bins / n), which need not be divided each time
    for i in range(n):
        if xs[i] != xs[group]:
            group = i
        if group * n_bins >= reached * n:
            reached = group * n_bins // n + 1
            first_of[n_columns] = i
            n_columns += 1
        column_of[x_order[i]] = n_columns - 1
        x_place[x_order[i]] = i
    first_of[n_columns] = n
    filled = first_of.copy()
    entry = np.empty((n_columns, n_bins), np.intp)
    x, y = np.empty(n), np.empty(n)
    x_rank, y_rank, bin_of = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    y_bin = -1
    for j in range(n):
        while (y_bin + 1) * n <= j * n_bins and y_bin + 1 < n_bins:
            y_bin += 1
            for c in range(n_columns):
                entry[c, y_bin] = filled[c]
        sample = y_order[j]
        column = column_of[sample]
        i = filled[column]
        filled[column] += 1
        x[i] = xs[x_place[sample]]
        y[i] = ys[j]
        x_rank[i] = x_place[sample]
        y_rank[i] = j
        bin_of[i] = y_bin
    return first_of[: n_columns + 1], entry, x, y, x_rank, y_rank, bin_of


@pasted
def _scan(first, stop, step, points, x_weight, y_weight, slots):
    """Enter points among the nearest of four others: see `scan_lanes`, of which `points` holds the addresses."""
    x, y, lanes, places, least = points
    if slots == FEWER:
        scan_lanes(first, stop, step, x, y, lanes, places, x_weight, y_weight, least)
    elif slots == SHORT:
        scan_lanes_for_eight(first, stop, step, x, y, lanes, places, x_weight, y_weight, least)
    elif slots == LONG:
        scan_lanes_for_sixteen(first, stop, step, x, y, lanes, places, x_weight, y_weight, least)
    else:
        scan_lanes_for_many(first, stop, step, x, y, lanes, places, x_weight, y_weight, least, slots)


@pasted
def _find_nearest(columns, xs, column, lanes, places, looking, x_weight, y_weight, k, least):
    """Find how near the k-th neighbours are of up to four samples of a column, the lanes, ascending. O(k) a candidate.

    They share what is looked at, which is much the same for all: one column after another, up and down in y, only as
    far as the k-th distance of any of them reaches. lanes: float64 (2, LANES), x and y; places: int64 (LANES,);
    looking: bool (LANES,), those in question. least: float64 (slots, LANES); the last row is the answer.
    """
    first_of, entry, x, y, _, _, bin_of = columns
    n_columns = len(first_of) - 1
    slots = len(least)
    points = (x.ctypes.data, y.ctypes.data, lanes.ctypes.data, places.ctypes.data, least.ctypes.data)
    for lane in range(LANES):
        for m in range(slots):
            least[m, lane] = np.inf if looking[lane] and m >= slots - k else -np.inf
    visited, middle, bin_here = column, places[0], bin_of[places[0]]
    left, right = column - 1, column + 1
    while True:
        _scan(middle, first_of[visited + 1], 1, points, x_weight, y_weight, slots)
        _scan(middle - 1, first_of[visited] - 1, -1, points, x_weight, y_weight, slots)
        left_edge = xs[first_of[left + 1] - 1] if left >= 0 else -np.inf
        right_edge = xs[first_of[right]] if right < n_columns else np.inf
        to_left = to_right = False
        for lane in range(LANES):
            left_gap = (lanes[0, lane] - left_edge) * x_weight if left >= 0 else np.inf
            right_gap = (right_edge - lanes[0, lane]) * x_weight if right < n_columns else np.inf
            within = not min(left_gap, right_gap) >= least[slots - 1, lane]
            to_left |= within and left_gap < right_gap
            to_right |= within and not left_gap < right_gap
        if left >= 0 and (to_left or (to_right and right == n_columns)):
            visited = left
            left -= 1
        elif right < n_columns and (to_left or to_right):
            visited = right
            right += 1
        else:
            break
        middle = entry[visited, bin_here]


@inner
def count_neighbors(columns, margins, tallies, k, part, fewer):
    """Count, for ALL samples or a `part`, those nearer in x and in y than its k-th neighbour in the plane (max-norm).

    columns: by `lay_columns`. margins: x ascending, then of x what `index_margin` makes of it and the factor from a
    difference of values to a distance, and of y the same with the order of its samples in between.

    tallies: psi and duplicates, which are read, and what is written. marginals[m] is increased for every margin with m
    samples nearer, the sample itself among them, and nearest[k] for every sample. Where there are duplicates and the
    k-th neighbour is at distance 0: for m samples at distance 0, and nearest[t] for t there in both. If radii are not
    empty they get, by places in the order of y, how near the neighbour is whose number is `fewer`; otherwise terms, if
    those are not empty, get psi[nearest] - psi[m] - psi[m'] of every sample.
    """
    first_of, _, x, y, x_rank, y_rank, _ = columns
    xs, x_margin, x_weight, y_margin, y_order, y_weight = margins
    psi, duplicates, marginals, nearest, terms, radii = tallies
    least = np.empty((FEWER if k <= FEWER else SHORT if k <= SHORT else max(k, LONG), LANES))
    lanes, places, looking = np.zeros((2, LANES)), np.empty(LANES, np.int64), np.zeros(LANES, np.bool_)
    x_unit, y_unit = 1.0 / x_weight, 1.0 / y_weight
    count = 0
    for column in range(len(first_of) - 1):
        last = first_of[column + 1] - 1
        for i in range(first_of[column], last + 1):
            if part == ALL or ((x_rank[i] + y_rank[i]) % 4 == 0) == (part == PART):
                lanes[0, count], lanes[1, count], places[count] = x[i], y[i], i
                looking[count] = len(duplicates) == 0 or duplicates[y_rank[i]] <= k
                count += 1
            if count < LANES and (count == 0 or i < last):
                continue
            _find_nearest(columns, xs, column, lanes, places, looking, x_weight, y_weight, k, least)
            for lane in range(count):
                x_place, y_place = x_rank[places[lane]], y_rank[places[lane]]
                within, radius = k, least[len(least) - 1, lane]
                if not looking[lane]:
                    within, radius = duplicates[y_place], np.nextafter(0.0, np.inf)  # closer is at distance 0
                n_x = count_within(x_margin, x_place, x_weight, radius * x_unit, radius) + 1
                n_y = count_within(y_margin, y_place, y_weight, radius * y_unit, radius) + 1
                nearest[within] += 1
                marginals[n_x] += 1
                marginals[n_y] += 1
                if len(radii):
                    radii[y_place] = least[len(least) - 1 - k + fewer, lane]
                elif len(terms):
                    terms[y_order[y_place]] = psi[within] - psi[n_x] - psi[n_y]
            count = 0
            looking[:] = False


@inner
def count_by_radii(columns, margins, tallies, k, part):
    """What `count_neighbors` does, when it is known already how near the k-th neighbour of each sample is. O(n).

    The counting stands in both: in a piece of its own it makes the search 6 % slower.
    """
    _, _, _, _, x_rank, y_rank, _ = columns
    _, x_margin, x_weight, y_margin, y_order, y_weight = margins
    psi, duplicates, marginals, nearest, terms, radii = tallies
    x_unit, y_unit = 1.0 / x_weight, 1.0 / y_weight
    for i in range(len(x_rank)):
        x_place, y_place = x_rank[i], y_rank[i]
        if part != ALL and ((x_place + y_place) % 4 == 0) != (part == PART):
            continue
        within, radius = k, radii[y_place]
        if len(duplicates) and duplicates[y_place] > k:
            within, radius = duplicates[y_place], np.nextafter(0.0, np.inf)
        n_x = count_within(x_margin, x_place, x_weight, radius * x_unit, radius) + 1
        n_y = count_within(y_margin, y_place, y_weight, radius * y_unit, radius) + 1
        nearest[within] += 1
        marginals[n_x] += 1
        marginals[n_y] += 1
        if len(terms):
            terms[y_order[y_place]] = psi[within] - psi[n_x] - psi[n_y]


@inner
def _sum(counts):
    """Numba's own takes longer to compile. O(n)."""
    total = 0
    for count in counts:
        total += count
    return total


@inner
def _estimate(whole, marginals, nearest, psi):
    """The estimate that counts of neighbours make: see `count_neighbors`. O(n)."""
    return whole + (weigh(nearest, psi) - weigh(marginals, psi)) / _sum(nearest)


@inner
def _error(k, n):
    """Standard deviation of an estimate by k neighbours for n independent samples, in nats. O(1)."""
    return CHANCE / math.sqrt(k * n)


@inner
def _combined(mi, series, error):
    """Mean of an estimate with an error in nats and of a series, whose error is in proportion; weights by both. O(1).

    Of the pair's information the larger estimate is taken, so that what a series does not see counts against it.
    """
    off = SHARE * max(series, mi)
    weight = error * error / (error * error + off * off)
    return weight * series + (1.0 - weight) * mi


@inner
def pair_mi(
    xs, x_order, x_margin, x_weight, ys, y_order, y_margin, y_weight, n_samples, k, fewer, mixed, psi, terms, series
):  # fmt: skip
    """Mutual information, in nats, of two ascending columns: Kraskov's first, or Gao's when `mixed`.

    Also by `fewer` neighbours if that is more than 0. With a `series` that is no NaN, `fewer` is 0 and k at least
    FEWER; a first estimate by FEWER neighbours, on a quarter of the samples if there are LARGE or more, then tells
    what the dependence is like. Weak: that estimate is combined with the series. Strong, or finer than the series, so
    that bias counts more than variance: FEWER neighbours of all samples, without the series. Otherwise: k neighbours of
    all, combined. Where the series makes this last likely, one search finds both distances; the result is the same.

    O(n sqrt k) after sorting while neighbours are spread evenly, O(n sqrt n) at worst. Scratch about
    140 n + 32 k bytes. NaN where a margin is constant or its distances overflow, or n <= k. Arguments are those of
    `lay_columns` and `count_neighbors`. Returns the estimate, that by `fewer`, or the same, and whether they are
    combined.
    """
    n = len(xs)
    if n <= k or not (has_extent(xs, x_weight) and has_extent(ys, y_weight)):
        return np.nan, np.nan, False
    duplicates = np.empty(0, np.intp)
    x_count, y_count = (distinct_count(xs), distinct_count(ys)) if mixed else (n, n)
    if _MORE * min(x_count, y_count) < max(x_count, y_count):
        turned = y_count < x_count  # columns of many ties are searched fastest
    else:
        turned = _visits(xs, x_weight, ys, y_weight) > _TURNED * _visits(ys, y_weight, xs, x_weight)
    if turned:
        xs, x_order, x_margin, x_weight, ys, y_order, y_margin, y_weight = (
            ys, y_order, y_margin, y_weight, xs, x_order, x_margin, x_weight
        )  # fmt: skip
    columns = lay_columns(xs, x_order, ys, y_order, n_samples, k)
    if mixed:
        x_place = np.empty(n_samples, np.intp)
        for i in range(n):
            x_place[x_order[i]] = i
        duplicates = duplicate_counts(xs, x_place, ys, y_order)
    margins = (xs, x_margin, x_weight, y_margin, y_order, y_weight)
    whole = math.log(n) if mixed else psi[n]
    alone, part = np.isnan(series), ALL
    if not (alone or mixed) and n >= LARGE:  # ties have no order to choose by
        part = PART
    at_once = not alone and WEAK * _error(FEWER, n if part == ALL else n // 4) < series < STRONG
    if at_once:
        fewer = FEWER
    marginals, nearest, radii = np.zeros(n + 1, np.int64), np.zeros(n, np.int64), np.empty(n if fewer > 0 else 0)
    tallies = (psi, duplicates, marginals, nearest, terms, radii)
    for_first, of_first = (k, ALL) if alone or at_once else (FEWER, part)
    count_neighbors(columns, margins, tallies, for_first, of_first, fewer)
    mi = of_fewer = _estimate(whole, marginals, nearest, psi)
    if fewer > 0:
        marginals[:] = 0
        nearest[:] = 0
        count_by_radii(columns, margins, tallies, fewer, part)
        of_fewer = _estimate(whole, marginals, nearest, psi)
    if alone:
        return mi, of_fewer, False
    if of_fewer > min(STRONG, series + FINE):
        if part == PART:
            part = REST
            if at_once:
                count_by_radii(columns, margins, tallies, fewer, part)
            else:
                count_neighbors(columns, margins, tallies, for_first, part, fewer)
        of_fewer = _estimate(whole, marginals, nearest, psi)
        return of_fewer, of_fewer, False
    error = _error(FEWER, _sum(nearest))
    if max(series, of_fewer) <= WEAK * error:
        mi = of_fewer
    else:
        error = _error(k, n)
        if not at_once:
            marginals[:] = 0
            nearest[:] = 0
            part = ALL
            count_neighbors(columns, margins, tallies, k, part, fewer)
            mi = _estimate(whole, marginals, nearest, psi)
    mi = _combined(mi, series, error)
    return mi, mi, True


@kernel
def neighbor_mi(
    values, order, target, target_order, scaled_target, target_weight, rank_table, k, fewer, scale, psi, mi, of_fewer,
    method, terms, series,
):  # fmt: skip
    """Mutual information, in nats, of each feature with a target that has an order, from k nearest neighbours.

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last; target: float64, finite, ascending
    along target_order; scaled_target, target_weight: the same after `rescale`; rank_table: `normal_score_table` of the
    samples, read if the scale is RANK; psi: table to n; series: float64 (n_features,), estimates to combine with, or
    NaN. Writes mi, method, and into of_fewer (n_features,) the estimates by `fewer` neighbours, or mi again where that
    is 0; into terms (n_features, n or 0) what each sample adds to n of_fewer, up to a constant, where there is no
    series. Kraskov (2004) eq. 8 when neither margin is tied, else Gao (2017).
    """
    n_samples = len(target)
    target_tied = is_tied(target)
    target_margin = index_margin(scaled_target)
    kept = np.empty(n_samples)
    kept_order = np.empty(n_samples, np.intp)
    untied = rank_table[: n_samples if scale == RANK else 0]  # what all columns without ties are like
    untied_margin = index_margin(untied)
    for f in range(len(values)):
        n = present_count(values[f], order[f])
        xs = np.empty(n)
        for i in range(n):
            xs[i] = values[f, order[f, i]]
        mixed = is_tied(xs)
        x_weight = 1.0
        whole = n == n_samples and scale == RANK
        if whole and not mixed:
            xs, x_margin = untied, untied_margin
        else:
            if whole:
                score_ranks(xs, rank_table)
            else:
                x_weight = rescale(xs, scale)
            x_margin = index_margin(xs)
        if n == n_samples:
            mixed = mixed or target_tied
            ys, y_order, y_margin, y_weight = scaled_target, target_order, target_margin, target_weight
        else:
            place = 0
            for i in range(n_samples):
                if not np.isnan(values[f, target_order[i]]):
                    kept[place] = target[i]
                    kept_order[place] = target_order[i]
                    place += 1
            ys, y_order = kept[:n], kept_order[:n]
            mixed = mixed or is_tied(ys)
            y_weight = rescale(ys, scale)
            y_margin = index_margin(ys)
        mi[f], of_fewer[f], combined = pair_mi(
            xs, order[f], x_margin, x_weight, ys, y_order, y_margin, y_weight, n_samples, k, fewer, mixed, psi,
            terms[f], series[f],
        )  # fmt: skip
        method[f] = COMBINED if combined else GAO if mixed else KSG

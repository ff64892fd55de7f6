"""Bins: where each sample falls, and the mutual information of two binned margins."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import bits_of, inner, kernel
from miscreen.kernels.bin_rules import BY_COUNT, CUBE_ROOT, FIXED, MAX_BINS, RICE, bin_count, cube_root_bins
from miscreen.kernels.classes import by_sample, cells_to_deal, lay_out_levels, number_by_appearance, take_back_levels
from miscreen.kernels.counts import joint_counts, level_codes, miller_madow, plugin_mi, unbiased_mi
from miscreen.kernels.ranks import compact, compact_target
from miscreen.kernels.shuffling import arrangement
from miscreen.kernels.sorting import ascending_order, extremes

NONE, MILLER_MADOW, ADJUSTED = range(3)  # corrections of the bias
_SPARSE = 10  # samples that a cell expects: with more in each, Miller & Madow leave 0.001 nats at most
_STRIP = 512  # values placed together
_OCTAVES = 64  # of distances from an end that are told apart
_MUCH = 4  # one in so many values to be sorted is worth another look at all of them
_END = 16  # parts in one of so many ends, where half of the values lie


@inner
def _width_edges(low, high, bins):
    """Edges of equal bins, those of numpy.linspace, but infinity for the last: float64 (bins + 1,). O(bins)."""
    edges = np.empty(bins + 1)
    span = high - low
    step = span / bins
    for j in range(bins):
        edges[j] = (j * step if step > 0.0 else j / bins * span) + low
    edges[bins] = np.inf
    return edges


@inner
def _width_cell(value, edges, scale):
    """The bin of a value, given bins / range: that of numpy.histogram2d, also on an edge. O(1)."""
    cell = min(max(int((value - edges[0]) * scale), 0), len(edges) - 2)
    while value < edges[np.uint64(cell)]:
        cell -= 1
    while value >= edges[np.uint64(cell + 1)]:
        cell += 1
    return cell


@kernel
def width_cells(values, low, high, bins, cells):
    """Put float64 values from `low` to `high` into equal bins, the last one closed: cells (int64).

    The edges are those of numpy.linspace, and the bins those of numpy.histogram2d, also on an edge. O(n + bins).
    """
    edges = _width_edges(low, high, bins)
    scale = bins / (high - low)
    for i in range(len(values)):
        cells[i] = _width_cell(values[i], edges, scale)


@inner
def _width_counts(values, low, high, bins, y_cells, y_bins):
    """The `joint_counts` of `width_cells` and other cells, in one pass. O(n + bins y_bins)."""
    counts = np.zeros((bins, y_bins), np.int64)
    edges = _width_edges(low, high, bins)
    scale = bins / (high - low)
    for i in range(len(values)):
        counts[np.uint64(_width_cell(values[i], edges, scale)), np.uint64(y_cells[i])] += 1
    return counts


@inner
def _counted_mi(counts, table):
    """The `plugin_mi` of a table of counts, from a `n_log_n` of their sum or more: without logarithms. O(kx ky)."""
    kx, ky = counts.shape
    columns = np.zeros(ky, np.int64)
    terms = np.zeros(ky)  # added up side by side, since every addition waits for the one before
    joint, rows, others = 0.0, 0.0, 0.0
    n = 0
    for a in range(kx):
        row = 0
        for b in range(ky):
            count = counts[a, b]
            terms[b] += table[np.uint64(count)]
            columns[b] += count
            row += count
        rows += table[row]
        n += row
    for b in range(ky):
        joint += terms[b]
        others += table[columns[b]]
    return ((joint - rows) - (others - table[n])) / n  # so 0 where either has but one bin


@kernel
def frequency_cells(values, order, bins, cells):
    """Put the float64 values that an order lists into bins of equal frequency by their average ranks: cells (integers).

    Bin (rank - 1/2) bins / n rounded down, in whole numbers, so that ties stay together. O(n).
    """
    n = len(order)
    start = 0
    while start < n:
        value = values[order[start]]
        stop = start + 1
        while stop < n and values[order[stop]] == value:
            stop += 1
        cell = (start + stop) * bins // (2 * n)
        for i in range(start, stop):
            cells[order[i]] = cell
        start = stop


@inner
def _first_edge(j, n, bins):
    """Where bin j of equal frequency begins among n values, in twice the rank less one. O(1)."""
    return -(-2 * n * j // bins)


@inner
def _place(value, ruler):
    """Which of many parts of a range a value lies in: by its distance from an origin, or by the bits of that.

    These are about its logarithm. Monotone. O(1).
    """
    origin, side, least, first, scale = ruler
    distance = side * (value - origin)
    if least > 0.0:
        distance = np.float64(np.int64(bits_of(max(distance, least))))
    return np.int64(first + distance * scale)


@inner
def _even_ruler(low, high, parts):
    """Equal parts of a range, for `_place`; the scale is infinite or 0 where there are none."""
    return low, 1.0, 0.0, 0.0, (parts - 0.5) / (high - low) if high - low < np.inf else 0.0


@inner
def _uneven_ruler(low, high, parts, from_high):
    """Parts for `_place` that are as many to every octave of the distance from one end."""
    least = (high - low) * 2.0**-_OCTAVES
    base, far = np.float64(np.int64(bits_of(least))), np.float64(np.int64(bits_of(high - low)))
    scale = (parts - 1.0) / (far - base)
    if from_high:
        return high, -1.0, least, 0.5 + far * scale, -scale
    return low, 1.0, least, 0.5 - base * scale, scale


@inner
def _places(values, start, ruler, places):
    """Write `_place` of as many values as there is room for, from `start` on, in vectors; return how many. O(n)."""
    count = min(len(places), len(values) - start)
    some = values[start : start + count]
    for i in range(count):
        places[i] = _place(some[i], ruler)
    return count


@inner
def _count_parts(values, ruler, edges, bins, upto, places, bin_of):
    """Count how many values lie in the parts before each (uint32), and find the bin of each: `bins` if it is torn.

    edges: where bins begin, in twice the rank less one. Returns how many values lie in torn parts. O(n + parts).
    """
    upto[:] = 0
    for start in range(0, len(values), len(places)):
        for i in range(_places(values, start, ruler, places)):
            upto[np.uint64(places[i] + 1)] += np.uint32(1)
    torn = current = first = 0
    for part in range(len(bin_of)):
        last = first + np.int64(upto[part + 1])
        upto[part + 1] = last
        while 2 * first + 1 >= edges[current + 1]:
            current += 1
        bin_of[part] = current
        if last > first + 1 and 2 * last - 1 >= edges[current + 1]:
            bin_of[part] = bins
            torn += last - first
        first = last
    return torn


@inner
def _frequency_counts(values, low, high, bins, y_cells, y_bins):
    """The `joint_counts` of `frequency_cells` and other cells, without sorting but what lies about their edges. O(n).

    Values are counted in many parts of their range. The average ranks of a part, from its least value to its largest,
    mostly give one bin; where they do not, its values are sorted.
    """
    n = len(values)
    parts = 512
    while parts < n // 16 and parts < 4096:  # counters that stay in the nearest cache
        parts *= 2
    ruler = _even_ruler(low, high, parts)
    if not 0.0 < ruler[4] < np.inf:
        ruler, parts = (0.0, 1.0, 0.0, 0.0, 0.0), 1
    upto, bin_of, places = np.empty(parts + 1, np.uint32), np.empty(parts, np.int64), np.empty(_STRIP, np.int64)
    edges = np.empty(bins + 1, np.int64)  # where bins begin, in twice the rank less one
    for j in range(bins + 1):
        edges[j] = _first_edge(j, n, bins)
    torn = _count_parts(values, ruler, edges, bins, upto, places, bin_of)
    near, far = np.int64(upto[parts // _END]), np.int64(upto[parts - parts // _END])
    if _MUCH * torn > n and 2 * max(near, n - far) > n and (high - low) * 2.0**-_OCTAVES > 0.0:
        ruler = _uneven_ruler(low, high, parts, near < n - far)  # they are skewed
        torn = _count_parts(values, ruler, edges, bins, upto, places, bin_of)
    counts = np.zeros((bins + 1, y_bins), np.int64)
    left, samples = np.empty(torn), np.empty(torn, np.intp)
    place = 0
    for start in range(0, n, _STRIP):
        others = y_cells[start : start + _STRIP]
        for i in range(_places(values, start, ruler, places)):
            cell = bin_of[np.uint64(places[i])]
            counts[np.uint64(cell), np.uint64(others[i])] += 1
            if cell == bins:
                left[place] = values[start + i]
                samples[place] = start + i
                place += 1
    order = ascending_order(left)
    start = 0
    while start < torn:
        value = left[order[start]]
        stop = start + 1
        while stop < torn and left[order[stop]] == value:
            stop += 1
        part = _place(value, ruler)
        if start == 0 or part != _place(left[order[start - 1]], ruler):
            below = np.int64(upto[part]) - start  # values in parts that are not torn
        cell = (2 * below + start + stop) * bins // (2 * n)
        for i in range(start, stop):
            counts[cell, y_cells[samples[order[i]]]] += 1
        start = stop
    return counts[:bins]


@inner
def _full_as_untied(counts, n):
    """Whether each row of joint counts adds up to what `frequency_cells` puts there of n untied values. O(kx ky)."""
    start = 0
    for a in range(len(counts)):
        stop = _first_edge(a + 1, n, len(counts)) // 2
        row = 0
        for count in counts[a]:
            row += count
        if row != stop - start:
            return False
        start = stop
    return True


@inner
def _least_expected(counts):
    """Least number of samples that a cell expects of independent columns, but for empty rows and columns. O(kx ky)."""
    kx, ky = counts.shape
    columns = np.zeros(ky, np.int64)
    least, n = np.int64(0), 0
    for a in range(kx):
        row = 0
        for b in range(ky):
            row += counts[a, b]
            columns[b] += counts[a, b]
        n += row
        least = row if least == 0 or 0 < row < least else least
    least_column = n
    for column in columns:
        least_column = column if 0 < column < least_column else least_column
    return float(least) * least_column / n


@inner
def _biased_mi(counts, discrete, correction, table):
    """Plug-in of a table of counts, of two discrete columns or not, and what Miller & Madow add to it. O(kx ky)."""
    mi = plugin_mi(counts) if discrete else _counted_mi(counts, table)
    return mi + (miller_madow(counts) if correction != NONE else 0.0)


@kernel
def margin_cells(values, order, discrete, bins, rule, by_width, table, cells):
    """Bin a margin without missing values (float64): write its cells (int64) and return how many bins there are.

    0 for a constant margin, and where a range that is needed overflows. A discrete margin keeps its levels. The
    order, an argsort, is not read for bins of equal width whose number does not depend on the values.
    """
    n = len(values)
    if discrete:
        levels = level_codes(values, order, cells)
        return levels if levels > 1 else 0
    if rule in BY_COUNT and by_width:
        low, high = extremes(values)
    else:
        low, high = values[order[0]], values[order[n - 1]]
    if not low < high or (high - low == np.inf and (by_width or rule not in (FIXED, CUBE_ROOT, RICE))):
        return 0
    if rule == CUBE_ROOT:
        bins = cube_root_bins(n)
    elif rule == RICE and not by_width:  # whatever the values are, however far apart
        bins = math.ceil(2.0 * n ** (1.0 / 3.0))
    elif rule != FIXED:
        ascending = np.empty(n)
        for i in range(n):
            ascending[i] = values[order[i]]
        bins = bin_count(ascending, rule, table)
    if by_width:
        width_cells(values, low, high, bins, cells)
    else:
        frequency_cells(values, order, bins, cells)
    return bins


@kernel
def binned_mi(
    values, order, target, target_order, target_cells, n_target_cells, discrete, target_discrete,
    bins, rule, by_width, correction, table, terms, mi, as_untied,
):  # fmt: skip
    """Plug-in mutual information, in nats, of binned features (n_features, n_samples) and a binned target.

    NaN = missing, deleted pair by pair; target_cells, n_target_cells: `margin_cells` of the whole target; order: of
    each feature, not read where bins of continuous ones are as many whatever the values; target_order: empty where
    that holds of the target, and they are of equal width;
    correction: NONE, MILLER_MADOW or ADJUSTED, which is `unbiased_mi` where a cell expects fewer than 10 samples;
    table, terms: `n_log_n` and `count_terms` of the samples; mi: float64 (n_features,); as_untied: bool
    (n_features,), is set where such bins of equal frequency are as full as those of values that all differ.
    O(n + cells) each, where the rule does not cost more.
    """
    full = len(target)
    cells, kept_cells = np.empty(full, np.int64), np.empty(full, np.int64)
    kept, kept_order = np.empty(full), np.empty(full, np.intp)
    margins, mean = np.full(2 * max(full, MAX_BINS) + 2, -1), np.empty(1, np.int64)
    at_once = rule in BY_COUNT and not discrete
    for f in range(len(values)):
        row_order = order[f]
        missing = 0
        for value in values[f]:
            missing += np.isnan(value)
        n = full - missing
        if missing == 0:
            x, y_cells, y_bins = values[f], target_cells, n_target_cells
        else:
            if len(target_order) == 0:
                place = 0
                for i in range(full):
                    if values[f, i] == values[f, i]:
                        kept[place] = target[i]
                        place += 1
            else:
                compact_target(values[f], target, target_order, kept, kept_order)
            y_cells = kept_cells[:n]
            y_bins = margin_cells(kept[:n], kept_order[:n], target_discrete, bins, rule, by_width, table, y_cells)
            if at_once:
                place = 0
                for value in values[f]:
                    if value == value:
                        kept[place] = value
                        place += 1
            else:
                compact(values[f], row_order, kept, kept_order)
            x, row_order = kept[:n], kept_order[:n]
        if at_once:
            low, high = extremes(x)
            x_bins = cube_root_bins(n) if rule == CUBE_ROOT else bins
            x_bins = x_bins if low < high and (high - low < np.inf or not by_width) else 0
        else:
            x_bins = margin_cells(x, row_order, discrete, bins, rule, by_width, table, cells[:n])
        if x_bins == 0 or y_bins == 0:
            mi[f] = np.nan
            continue
        if at_once and by_width:
            counts = _width_counts(x, low, high, x_bins, y_cells, y_bins)
        elif at_once:
            counts = _frequency_counts(x, low, high, x_bins, y_cells, y_bins)
            as_untied[f] = missing == 0 and _full_as_untied(counts, n)
        else:
            counts = joint_counts(cells[:n], y_cells, x_bins, y_bins)
        if correction == ADJUSTED and _least_expected(counts) < _SPARSE:
            mi[f] = unbiased_mi(counts, terms, margins, mean)
        else:
            mi[f] = _biased_mi(counts, discrete and target_discrete, correction, table)


@kernel
def arranged_bins(
    values, order, target, target_order, discrete, target_discrete, bins, rule, by_width, correction, table, terms,
    samples, starts, dealt, key, first, orders, observed, enough, mi,
):  # fmt: skip
    """Mutual information, in nats, of arrangements of a feature, as `binned_mi` has it; ADJUSTED of two discrete
    columns is always `unbiased_mi`.

    values, order: of the feature, float64 with NaN = missing and its argsort; target, target_order: likewise; samples,
    starts, dealt, key: as `deal_out` takes them; mi: float64 (n_arrangements,); orders, observed, enough: as
    `arranged_correlations` takes them. Returns how many there are. Bins stay what they are, so that values are put into
    them once, and what is dealt out is counted: O(n + cells) each.
    """
    full, n = len(target), len(samples)
    kept, kept_order, cells = np.empty(full), np.empty(full, np.intp), np.empty(full, np.int64)
    compact_target(values, target, target_order, kept, kept_order)
    y_bins = margin_cells(kept[:n], kept_order[:n], target_discrete, bins, rule, by_width, table, cells[:n])
    y_cells = by_sample(values, cells)
    compact(values, order, kept, kept_order)
    x_bins = margin_cells(kept[:n], kept_order[:n], discrete, bins, rule, by_width, table, cells[:n])
    x_cells = by_sample(values, cells)
    if x_bins == 0 or y_bins == 0:
        for r in range(len(mi)):
            mi[r] = np.nan
        return len(mi)
    dealt_cells, commonest = cells_to_deal(samples, starts, dealt, x_cells)
    totals = np.zeros(y_bins, np.int64)
    for sample in samples:
        totals[y_cells[sample]] += 1
    counts, numbered = np.empty((x_bins, y_bins), np.int64), np.empty((x_bins, y_bins), np.int64)
    numbers, dealt_order = np.empty(x_bins, np.int64), np.empty(n, np.int64)
    margins, mean = np.full(x_bins + y_bins + 2, -1), np.empty(1, np.int64)
    unbiased = correction == ADJUSTED and discrete and target_discrete
    count = reached = 0
    for r in range(len(mi)):
        arrangement(r, samples, starts, dealt, key, first, orders, dealt_order)
        counts[:] = 0
        for g in range(len(dealt)):
            for i in range(starts[g], starts[g] + dealt[g]):
                counts[np.uint64(dealt_cells[i]), np.uint64(y_cells[np.uint64(dealt_order[i])])] += 1
        for b in range(y_bins):
            left = totals[b]
            for a in range(x_bins):
                left -= counts[a, b]
            counts[commonest, b] += left
        if r == 0 and correction == ADJUSTED:  # as the margins stay what they are, of all or none
            unbiased |= _least_expected(counts) < _SPARSE
        if unbiased:
            mi[r] = unbiased_mi(counts, terms, margins, mean)
        elif discrete:  # rows in the order in which sums of one table are rounded alike
            lay_out_levels(dealt_order, starts, dealt, dealt_cells, x_cells)
            number_by_appearance(x_cells, numbers)
            take_back_levels(dealt_order, starts, dealt, commonest, x_cells)
            for a in range(x_bins):
                for b in range(y_bins):
                    numbered[numbers[a], b] = counts[a, b]
            mi[r] = _biased_mi(numbered, target_discrete, correction, table)
        else:
            mi[r] = _biased_mi(counts, False, correction, table)
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count

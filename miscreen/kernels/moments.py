"""Correlation and correlation ratio, of values, ranks or normal scores, and the information they imply."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.classes import by_sample, cells_to_deal, lay_out_levels, number_by_appearance, take_back_levels
from miscreen.kernels.counts import level_codes
from miscreen.kernels.digamma import digamma
from miscreen.kernels.margins import any_repeats, ascending_scores, score_places
from miscreen.kernels.ranks import (
    by_presence,
    compact,
    compact_target,
    normal_score_table,
    present_count,
    present_order,
)
from miscreen.kernels.shuffling import arrangement

VALUES, RANKS, SCORES = 0, 1, 2
CORRELATION, RATIO, PLUG_IN = 0, 1, 2
_STRIP = 512  # samples looked up together
_EXACT = 200_000  # samples, below which sums of squares and products of ranks less their mean are exact
_SMALLEST = 2.0**-511  # square root of the least number with all its digits


@inner
def mean_of(x):
    """Mean of a float array, by eight interleaved sums that need not wait for one another. O(n)."""
    a = b = c = d = e = f = g = h = 0.0
    n = len(x) - len(x) % 8
    for i in range(0, n, 8):
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
        e += x[i + 4]
        f += x[i + 5]
        g += x[i + 6]
        h += x[i + 7]
    for i in range(n, len(x)):
        a += x[i]
    return (((a + b) + (c + d)) + ((e + f) + (g + h))) / len(x)


@inner
def deviation_sums(x, mean, y):
    """Sums of x - mean, of its square, and of its product with y, each by four interleaved sums. O(n)."""
    s0 = s1 = s2 = s3 = q0 = q1 = q2 = q3 = p0 = p1 = p2 = p3 = 0.0
    n = len(x) - len(x) % 4
    for i in range(0, n, 4):
        d0, d1, d2, d3 = x[i] - mean, x[i + 1] - mean, x[i + 2] - mean, x[i + 3] - mean
        s0 += d0
        s1 += d1
        s2 += d2
        s3 += d3
        q0 += d0 * d0
        q1 += d1 * d1
        q2 += d2 * d2
        q3 += d3 * d3
        p0 += d0 * y[i]
        p1 += d1 * y[i + 1]
        p2 += d2 * y[i + 2]
        p3 += d3 * y[i + 3]
    for i in range(n, len(x)):
        d0 = x[i] - mean
        s0 += d0
        q0 += d0 * d0
        p0 += d0 * y[i]
    return (s0 + s1) + (s2 + s3), (q0 + q1) + (q2 + q3), (p0 + p1) + (p2 + p3)


@kernel
def center(values, centered):
    """Write deviations from the mean; return their sum, which rounding leaves, and the sum of squares about it.

    values, centered: float64 arrays. O(n), two passes.
    """
    mean = mean_of(values)
    for i in range(len(values)):
        centered[i] = values[i] - mean
    rest, squares, _ = deviation_sums(centered, 0.0, centered)
    return rest, squares - rest * rest / len(values)


@inner
def correlation(x, mean, y, y_rest, y_squares):
    """Pearson's r of x, whose mean is given, with a `center`ed y; NaN when either is constant or overflows. O(n)."""
    x_rest, x_squares, product = deviation_sums(x, mean, y)
    n = len(x)
    return quotient(x_squares - x_rest * x_rest / n, y_squares, product - x_rest * y_rest / n)


@inner
def quotient(x_squares, y_squares, product):
    """Pearson's r from sums of squares and products of deviations; NaN when a square is 0 or overflows. O(1).

    Of two passes with what rounding left in the means put right: Chan, Golub & LeVeque (1983),
    doi:10.1080/00031305.1983.10483115, eq. 1.7. Cut to [-1, 1], which rounding alone can leave.
    """
    if not (0.0 < x_squares < np.inf and 0.0 < y_squares < np.inf):
        return np.nan
    size = math.sqrt(x_squares * y_squares)  # exact for a column and itself, which then have r = 1
    if not _SMALLEST < size < np.inf:  # for columns in units so far from 1 that the product leaves the numbers
        size = math.sqrt(x_squares) * math.sqrt(y_squares)
    r = product / size
    return max(-1.0, min(1.0, r))


@inner
def gaussian_mi(squared):
    """Mutual information, in nats, of Gaussians of that squared correlation, 0 to 1; infinite at 1."""
    return -0.5 * math.log1p(-squared) if squared < 1.0 else np.inf if squared >= 1.0 else np.nan


@inner
def gaussian_bias(n, n_groups):
    """Bias, in nats, of `gaussian_mi` of n independent samples in so many groups (2 for a correlation).

    Half of psi((n - 1) / 2) - psi((n - groups) / 2): what remains of the terms of Ince et al. (2017).
    """
    return 0.5 * (digamma(0.5 * (n - 1)) - digamma(0.5 * (n - n_groups))) if n > n_groups else np.nan


@inner
def report(f, n, r, stage, mi, correlations, linfoot):
    """Write what a correlation of the values, ranks or scores of n samples says of feature f."""
    # The sine of pi / 6 is rounded to less than a half, and a monotone relation would look like a noisy one.
    gaussian_r = 2.0 * math.sin(math.pi / 6.0 * r) if stage == RANKS and abs(r) != 1.0 else r
    correlations[f] = r
    linfoot[f] = abs(gaussian_r)
    mi[f] = gaussian_mi(gaussian_r * gaussian_r)
    if stage == SCORES:
        mi[f] -= gaussian_bias(n, 2)


@kernel
def value_correlations(values, target, centered, rest, squares, mi, correlations, linfoot):
    """Pearson's r of each feature with the target, Gaussian mutual information in nats, Linfoot's coefficient.

    values: float64 (n_features, n), NaN = missing; target: float64, finite; centered, rest, squares: `center` of
    it. Writes mi, correlations, linfoot. O(n) a feature.
    """
    n_samples = len(target)
    x, y, deviations = np.empty(n_samples), np.empty(n_samples), np.empty(n_samples)
    for f in range(len(values)):
        mean = mean_of(values[f])
        n = n_samples
        if not np.isnan(mean):
            r = correlation(values[f], mean, centered, rest, squares)
        else:
            n = 0
            for i in range(n_samples):
                if not np.isnan(values[f, i]):
                    x[n], y[n] = values[f, i], target[i]
                    n += 1
            rest_n, squares_n = center(y[:n], deviations[:n])
            r = correlation(x[:n], mean_of(x[:n]), deviations[:n], rest_n, squares_n)
        report(f, n, r, VALUES, mi, correlations, linfoot)


@kernel
def stage_table(n, stage):
    """What `score_ranks` reads for n samples: normal SCORES, or RANKS less their mean; empty for VALUES. O(n)."""
    if stage == SCORES:
        return normal_score_table(n)
    table = np.empty(max(0, 2 * n - 1) if stage == RANKS else 0)
    for i in range(len(table)):
        table[i] = i - 0.5 * (n - 1) if i < n else i + 0.5 - n - 0.5 * (n - 1)
    return table


@kernel
def stage_by_sample(values, order, table, staged):
    """Write the ranks or scores (`stage_table`) of the samples listed in ascending order, by sample. O(n).

    values, staged: float64, of all samples; those not listed are left alone.
    """
    ascending = ascending_scores(values, order, table)
    for i in range(len(order)):
        staged[np.uint64(order[i])] = ascending[i]


@inner
def _ordered_correlation(x, y, order):
    """Pearson's r of ranks or scores, x in the order of the samples listed and y by sample. O(n).

    Their means are 0 but for ties in scores. All sums are in that order, so that y alone is looked up, samples may
    come in any without changing a bit, and r is 1 or -1 of monotone relations.
    """
    x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = xy0 = xy1 = xy2 = xy3 = 0.0
    xx0 = xx1 = xx2 = xx3 = yy0 = yy1 = yy2 = yy3 = 0.0
    n = len(order)
    strip = np.empty(_STRIP)
    for start in range(0, n, _STRIP):
        samples, xs = order[start : start + _STRIP], x[start : start + _STRIP]
        for i in range(len(samples)):
            strip[i] = y[np.uint64(samples[i])]  # in a loop of its own, so that many are on their way at once
        whole = len(samples) - len(samples) % 4
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = xs[i], xs[i + 1], xs[i + 2], xs[i + 3]
            b0, b1, b2, b3 = strip[i], strip[i + 1], strip[i + 2], strip[i + 3]
            x0 += a0
            x1 += a1
            x2 += a2
            x3 += a3
            y0 += b0
            y1 += b1
            y2 += b2
            y3 += b3
            xx0 += a0 * a0
            xx1 += a1 * a1
            xx2 += a2 * a2
            xx3 += a3 * a3
            yy0 += b0 * b0
            yy1 += b1 * b1
            yy2 += b2 * b2
            yy3 += b3 * b3
            xy0 += a0 * b0
            xy1 += a1 * b1
            xy2 += a2 * b2
            xy3 += a3 * b3
        for i in range(whole, len(samples)):
            a0, b0 = xs[i], strip[i]
            x0 += a0
            y0 += b0
            xx0 += a0 * a0
            yy0 += b0 * b0
            xy0 += a0 * b0
    x_rest, y_rest = (x0 + x1) + (x2 + x3), (y0 + y1) + (y2 + y3)
    return quotient(
        ((xx0 + xx1) + (xx2 + xx3)) - x_rest * x_rest / n,
        ((yy0 + yy1) + (yy2 + yy3)) - y_rest * y_rest / n,
        ((xy0 + xy1) + (xy2 + xy3)) - x_rest * y_rest / n,
    )


@inner
def _looked_up_product(x, y, order):
    """Sum of products of x, in the order of the samples listed, and y, by sample, by four interleaved sums. O(n)."""
    p0 = p1 = p2 = p3 = 0.0
    whole = len(order) - len(order) % 4
    for i in range(0, whole, 4):
        p0 += x[i] * y[np.uint64(order[i])]
        p1 += x[i + 1] * y[np.uint64(order[i + 1])]
        p2 += x[i + 2] * y[np.uint64(order[i + 2])]
        p3 += x[i + 3] * y[np.uint64(order[i + 3])]
    for i in range(whole, len(order)):
        p0 += x[i] * y[np.uint64(order[i])]
    return (p0 + p1) + (p2 + p3)


@kernel
def rank_correlations(
    values, order, repeats, target, target_order, full_table, staged, stage, mi, correlations, linfoot
):
    """Like `value_correlations`, of average RANKS or normal SCORES; staged: the target's, by `stage_by_sample`.

    order, repeats: by `argsort_rows`; target_order: argsort of the target; full_table: the samples' `stage_table`.
    O(n) a feature, also where values are missing.
    """
    n_samples = len(target)
    x, y_order, y = np.empty(n_samples), np.empty(n_samples, np.intp), np.empty(n_samples)
    table = full_table
    for f in by_presence(values, order):
        n = present_count(values[f], order[f])
        if len(table) != 2 * n - 1:
            table = full_table if n == n_samples else stage_table(n, stage)
        if n < n_samples:
            present_order(values[f], target_order, y_order)
            stage_by_sample(target, y_order[:n], table, y)
        scores = table[:n]
        if any_repeats(repeats[f], n):
            scores = x[:n]
            score_places(repeats[f], table, scores)
        r = _ordered_correlation(scores, staged if n == n_samples else y, order[f, :n])
        report(f, n, r, stage, mi, correlations, linfoot)


@kernel
def arranged_correlations(
    values, order, target, target_order, full_table, stage, samples, starts, dealt, key, first, orders, observed,
    enough, mi,
):  # fmt: skip
    """Gaussian mutual information of arrangements of a feature, as `rank_correlations` or `value_correlations` have it.

    values, order: of the feature, float64 with NaN = missing and its argsort; samples, starts, dealt, key: as
    `deal_out` takes them; mi: float64 (n_arrangements,); orders: int64 (n_arrangements, n_present), or (0, n_present)
    for random ones from number `first` on, of which there are no more once `enough` are `observed` or more. Returns how
    many there are. O(n) each.
    """
    n = len(samples)
    x, y, y_order = np.empty(len(target)), np.empty(len(target)), np.empty(len(target), np.intp)
    scores, dealt_order = np.empty(n), np.empty(n, np.int64)
    table = full_table
    if stage != VALUES and len(table) != 2 * n - 1:
        table = stage_table(n, stage)
    if stage == VALUES:
        for i in range(n):
            scores[i], x[i] = values[samples[i]], target[samples[i]]
        center(scores, scores)
        center(x[:n], x[:n])
        for i in range(n):
            y[samples[i]] = x[i]
    else:
        stage_by_sample(values, order[:n], table, x)
        for i in range(n):
            scores[i] = x[samples[i]]
        present_order(values, target_order, y_order)
        stage_by_sample(target, y_order[:n], table, y)
    exact = stage == RANKS and n < _EXACT
    x_squares = y_squares = 0.0
    if exact:  # whatever order they are added up in
        rest = 0.0
        for g in range(len(dealt)):
            if starts[g] + dealt[g] < starts[g + 1]:
                rest = scores[starts[g] + dealt[g]]
        for i in range(n):
            x_squares += scores[i] * scores[i]
            y_squares += y[samples[i]] * y[samples[i]]
            x[i] = scores[i] - rest  # so that those that are not dealt out add nothing, as all y add up to 0
    unused = np.empty((2, 1))
    count = reached = 0
    for r in range(len(mi)):
        arrangement(r, samples, starts, dealt, key, first, orders, dealt_order)
        if exact:
            product = 0.0
            for g in range(len(dealt)):
                start, stop = starts[g], starts[g] + dealt[g]
                product += _looked_up_product(x[start:stop], y, dealt_order[start:stop])
            r_value = quotient(x_squares, y_squares, product)
        else:
            r_value = _ordered_correlation(scores, y, dealt_order)
        report(0, n, r_value, stage, mi[r:], unused[0], unused[1])
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count


@inner
def correlation_ratio(values, classes, n_classes):
    """Squared correlation ratio: the share of the squares about the mean that lies between classes. O(n).

    NaN when it is constant or overflows. Pearson (1905); cut to at most 1, which rounding alone can pass.
    """
    mean = mean_of(values)
    rest, squares, _ = deviation_sums(values, mean, values)
    squares -= rest * rest / len(values)
    if not 0.0 < squares < np.inf:
        return np.nan
    sums, sizes = np.zeros(n_classes), np.zeros(n_classes)
    for i in range(len(values)):
        sums[classes[i]] += values[i] - mean
        sizes[classes[i]] += 1.0
    between = 0.0
    for c in range(n_classes):
        between += sums[c] * sums[c] / sizes[c]
    between -= rest * rest / len(values)  # since the mean is rounded
    return max(0.0, min(1.0, between / squares))


@inner
def number_levels(values, order, codes):
    """Code the levels of complete labels; if there are at most two, make the codes the values, in order. O(n)."""
    count = level_codes(values, order, codes)
    if count <= 2:
        zero, one = 0, 0
        for code in codes:
            one += code == 0
        for i in range(len(codes)):
            values[i] = codes[i]
            if codes[i] == 0:
                order[zero] = i
                zero += 1
            else:
                order[one] = i
                one += 1
    return count


@kernel
def label_correlations(
    values, order, labels, target, target_order, target_labels, stage, mi, correlations, linfoot, method
):
    """The same for pairs with labels on either side: codes of two levels, or the correlation ratio.

    labels: bool (n_features,), target_labels: bool: which have no order. Two levels are numbers 0 and 1.
    Writes method too: CORRELATION, RATIO, or PLUG_IN for two columns of more levels, which have NaN.
    O(n + levels) a feature.
    """
    n_samples = len(target)
    x, y, staged = np.empty(n_samples), np.empty(n_samples), np.empty(n_samples)
    x_order, y_order = np.empty(n_samples, np.intp), np.empty(n_samples, np.intp)
    x_codes, y_codes = np.empty(n_samples, np.int64), np.empty(n_samples, np.int64)
    table = stage_table(n_samples, stage)
    for f in range(len(values)):
        n = compact(values[f], order[f], x, x_order)
        compact_target(values[f], target, target_order, y, y_order)
        if stage != VALUES and len(table) != 2 * n - 1:
            table = stage_table(n, stage)
        kx = number_levels(x[:n], x_order[:n], x_codes[:n]) if labels[f] else 0
        ky = number_levels(y[:n], y_order[:n], y_codes[:n]) if target_labels else 0
        if kx > 2 and ky > 2:
            mi[f], correlations[f], linfoot[f] = np.nan, np.nan, np.nan
            method[f] = PLUG_IN
            continue
        if kx > 2 or ky > 2:
            numbers, ascending = (y[:n], y_order[:n]) if kx > 2 else (x[:n], x_order[:n])
            if stage != VALUES:
                stage_by_sample(numbers, ascending, table, staged)
                numbers = staged[:n]
            ratio = correlation_ratio(numbers, x_codes if kx > 2 else y_codes, max(kx, ky))
            mi[f] = gaussian_mi(ratio)
            if stage == SCORES:
                mi[f] -= gaussian_bias(n, max(kx, ky))
            correlations[f] = np.nan
            linfoot[f] = math.sqrt(ratio)
            method[f] = RATIO
            continue
        if stage == VALUES:
            rest, squares = center(y[:n], staged[:n])
            r = correlation(x[:n], mean_of(x[:n]), staged[:n], rest, squares)
        else:
            stage_by_sample(y[:n], y_order[:n], table, staged)
            r = _ordered_correlation(ascending_scores(x, x_order[:n], table), staged, x_order[:n])
        report(f, n, r, stage, mi, correlations, linfoot)
        method[f] = CORRELATION


@kernel
def arranged_ratios(
    values, order, target, target_order, features_are_classes, full_table, stage, samples, starts, dealt, key, first,
    orders, observed, enough, mi,
):  # fmt: skip
    """Gaussian mutual information of arrangements of a feature beside labels, or of labels, by the correlation ratio.

    values, order, target, target_order, full_table, stage, samples, starts, dealt, key, first, orders, observed,
    enough, mi: as `arranged_correlations` takes them. As `label_correlations` has it where either has three labels and
    more and the other has none. Returns how many there are. O(n) each.
    """
    full, n = len(target), len(samples)
    kept, kept_order, codes = np.empty(full), np.empty(full, np.intp), np.empty(full, np.int64)
    staged, classes = np.empty(n), np.empty(n, np.int64)
    table = full_table if stage == VALUES or len(full_table) == 2 * n - 1 else stage_table(n, stage)
    if features_are_classes:
        compact_target(values, target, target_order, kept, kept_order)
    else:
        compact(values, order, kept, kept_order)
    if stage == VALUES:
        for i in range(n):
            staged[i] = kept[i]
    else:
        stage_by_sample(kept[:n], kept_order[:n], table, staged)
    position = by_sample(values, np.arange(n))  # of each sample among those present
    numbers, dealt_order, scores = np.empty(0, np.int64), np.empty(n, np.int64), np.empty(n)
    if features_are_classes:
        n_classes = level_codes(values, order, codes)
        levels, commonest = cells_to_deal(samples, starts, dealt, codes)
        numbers = np.empty(n_classes, np.int64)
    else:
        compact_target(values, target, target_order, kept, kept_order)
        n_classes = level_codes(kept[:n], kept_order[:n], classes)
        levels, commonest = codes, 0
        for i in range(n):
            scores[i] = staged[position[samples[i]]]
    count = reached = 0
    for r in range(len(mi)):
        arrangement(r, samples, starts, dealt, key, first, orders, dealt_order)
        if features_are_classes:
            lay_out_levels(dealt_order, starts, dealt, levels, codes)
            number_by_appearance(codes, numbers)
            for i in range(full):
                if codes[i] >= 0:
                    classes[position[i]] = numbers[codes[i]]
            take_back_levels(dealt_order, starts, dealt, commonest, codes)
        else:
            for i in range(n):
                staged[position[dealt_order[i]]] = scores[i]
        mi[r] = gaussian_mi(correlation_ratio(staged, classes, n_classes))
        if stage == SCORES:
            mi[r] -= gaussian_bias(n, n_classes)
        count += 1
        reached += mi[r] >= observed
        if reached >= enough:
            break
    return count

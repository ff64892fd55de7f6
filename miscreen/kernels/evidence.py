"""Evidence of dependence: correlations of score functions of two margins, each weighed against chance.

A margin with an order is described by functions of its ranks, orthonormal under its own ties, of two families that
share most of them; one of labels by its classes. Under independence (n - 1) times a squared correlation of two such
functions has mean 1 exactly, whatever the ties, and about a chi-squared distribution; so columns of every kind are
compared on one scale.
"""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import add_sixteen, add_tile, bits_of, copy_bytes, float_of, inlined, inner, kernel
from miscreen.kernels.classes import by_sample
from miscreen.kernels.counts import level_codes
from miscreen.kernels.ranks import by_presence, compact, compact_target, normal_quantile, untied
from miscreen.kernels.shuffling import arrangement
from miscreen.kernels.sorting import extremes

FUNCTIONS = 12  # of a margin, in each family
_SCORES, _COSINES = 0, 1  # the families, which differ in their first three functions
_COLUMNS = FUNCTIONS + 3  # of the table: the first family, then what is the second's alone
_WIDTH = 16  # of its rows, whole vectors; the rest is 0
# Moments of a margin are float64 (2, MOMENTS, _WIDTH): for each family the Cholesky factor of its covariance, a row a
# function, then what its functions have once they are orthonormal, and the means of all columns of the table.
_SKEW, _LARGEST, _MEANS = FUNCTIONS, FUNCTIONS + 1, FUNCTIONS + 2
MOMENTS = FUNCTIONS + 3
_SAMPLES_EACH = 10  # outside of the commonest value, for every function
_STRIP = 256  # levels side by side
_BLOCK = 64  # samples or levels whose functions are multiplied at once: two copies of 8 KB
_MOST_OF_ONE = 2.0  # standard deviations that one sample may add: of untied ranks it is 1.5 at most
_LEAST_LEAN = 1e-4  # less skewness draws in nothing
_MOST_LOG = 36.0  # of a Bayes factor beside which 1 is nothing
_FEW_TIED = 8  # one in so many samples at the commonest value are worth leaving out
_LARGE = 1e280  # times e^36 can still be held
FEW_COSINES, CLASSES_AT_ONCE, ALL_AT_ONCE = 0, 1, 2  # hypotheses beside the first, whose shares are given
_SHAPES = 4  # numbers for each function and class
_DEPENDENT = 1e-4  # share of a function's variance below which the others are taken to hold it: less is rounding


@inner
def _function_values(below, through, n, row):
    """Write the functions of samples tied at the places `below` to `through` - 1 of n, ascending. O(functions).

    The normal score, its square, by which Gaussian columns depend, and its cube, by which they lean; then cosines of
    the rank, which are bounded; at the end the three cosines that the first three stand for.
    """
    score = normal_quantile((below + through + 1) / (2.0 * (n + 1)))
    row[0] = score
    row[1] = score * score
    row[2] = score * score * score
    step = 2.0 * math.cos(math.pi * (below + through) / (2.0 * n))
    before, now = 1.0, 0.5 * step
    row[FUNCTIONS] = now
    for j in range(1, FUNCTIONS):
        before, now = now, step * now - before
        row[j if j > 2 else FUNCTIONS + j] = now


@inner
def _column(family, j):
    """Where a function of a family stands in the table. O(1)."""
    return FUNCTIONS + j if family == _COSINES and j < 3 else j


@kernel
def function_table(n):
    """Functions of the ranks 1, 1.5, 2, ..., n: float64 (2n - 1, _WIDTH), read at 2 rank - 2. O(n)."""
    table = np.zeros((2 * n - 1, _WIDTH))
    for i in range(n):
        low, high = table[i], table[2 * n - 2 - i]
        _function_values(i // 2, (i + 1) // 2 + 1, n, low)
        for j in range(_COLUMNS):
            high[j] = low[j] if j % 2 == 1 else -low[j]
    return table


@inner
def _add_products(left, right, count, products):
    """Add the sums of products over the first `count` rows of two blocks, float64 (_BLOCK, _WIDTH). O(count)."""
    row = 8 * _WIDTH
    for j in range(0, _WIDTH, 4):
        for k in range(0, _WIDTH, 8):
            add_tile(
                products.ctypes.data + row * j + 8 * k, left.ctypes.data + 8 * j, right.ctypes.data + 8 * k,
                (row, 8, row, row), count, False,
            )  # fmt: skip


@inner
def _whiten(factor, most):
    """From a covariance in `factor` (FUNCTIONS, FUNCTIONS) to its Cholesky factor, of rank `most`, in place.

    A function that the ones before it hold already gets a 0 on the diagonal. O(FUNCTIONS^3).
    """
    rank = 0
    for j in range(FUNCTIONS):
        whole = factor[j, j]
        rest = whole
        for m in range(j):
            rest -= factor[j, m] * factor[j, m]
        if rank == most or not rest > _DEPENDENT * whole:
            for k in range(j, FUNCTIONS):
                factor[k, j] = 0.0
            continue
        rank += 1
        factor[j, j] = math.sqrt(rest)
        for k in range(j + 1, FUNCTIONS):
            rest = factor[k, j]
            for m in range(j):
                rest -= factor[k, m] * factor[j, m]
            factor[k, j] = rest / factor[j, j]


@kernel
def score_functions(values, order, table, places, moments):
    """Describe an ordered margin without missing values: where it reads `function_table`, and its own moments.

    values: float64; order: its argsort; places: int64, one a sample; moments: float64 (2, MOMENTS, _WIDTH), of each
    family the lower Cholesky factor of the covariance, then skewness and largest absolute value of the functions once
    they are orthonormal, and means. O(n FUNCTIONS^2).
    """
    n = len(values)
    level_places, shares = np.empty(n, np.int64), np.empty(n)
    start, levels, commonest = 0, 0, 0
    while start < n:
        value = values[order[start]]
        stop = start + 1
        while stop < n and values[order[stop]] == value:
            stop += 1
        place = start + stop - 1
        for i in range(start, stop):
            places[order[i]] = place
        level_places[levels] = place
        shares[levels] = (stop - start) / n
        levels += 1
        commonest = max(commonest, stop - start)
        start = stop
    products, means = np.zeros((_WIDTH, _WIDTH)), np.zeros(_WIDTH)
    rows, weighted = np.empty((_BLOCK, _WIDTH)), np.empty((_BLOCK, _WIDTH))
    for start in range(0, levels, _BLOCK):
        count = min(_BLOCK, levels - start)
        for i in range(count):
            copy_bytes(rows[i].ctypes.data, table[level_places[start + i]].ctypes.data, 8 * _WIDTH)
            for j in range(_WIDTH):
                weighted[i, j] = shares[start + i] * rows[i, j]
                means[j] += weighted[i, j]
        _add_products(weighted, rows, count, products)
    most = min(levels - 1, max(1, (n - commonest) // _SAMPLES_EACH))
    for family in range(2):
        own = moments[family]
        for j in range(FUNCTIONS):
            for k in range(FUNCTIONS):
                a, b = _column(family, j), _column(family, k)
                own[j, k] = products[a, b] - means[a] * means[b]
        for j in range(_WIDTH):
            own[_SKEW, j] = own[_LARGEST, j] = 0.0
            own[_MEANS, j] = means[j]
        _whiten(own, most)
        _shapes(table, level_places, shares, levels, family, own)


@inner
def _shapes(table, places, shares, levels, family, moments):
    """Write skewness and largest size of a family's functions once they are orthonormal. O(levels FUNCTIONS^2).

    Levels of a strip side by side, in vectors.
    """
    strip, cubes = np.empty((FUNCTIONS, _STRIP)), np.empty(_STRIP)
    for start in range(0, levels, _STRIP):
        count = min(_STRIP, levels - start)
        some, weights = places[start : start + count], shares[start : start + count]
        for j in range(FUNCTIONS):
            function = strip[j]
            if moments[j, j] == 0.0:
                for i in range(count):
                    function[i] = 0.0
                continue
            a = _column(family, j)
            for i in range(count):
                function[i] = table[some[i], a] - moments[_MEANS, a]
            for m in range(j):
                share, other = moments[j, m], strip[m]
                for i in range(count):
                    function[i] -= share * other[i]
            for i in range(count):
                function[i] /= moments[j, j]
                cubes[i] = weights[i] * function[i] * function[i] * function[i]
            whole = count - count % 4
            s0 = s1 = s2 = s3 = 0.0  # since each addition waits for the one before
            for i in range(0, whole, 4):
                s0 += cubes[i]
                s1 += cubes[i + 1]
                s2 += cubes[i + 2]
                s3 += cubes[i + 3]
            for i in range(whole, count):
                s0 += cubes[i]
            moments[_SKEW, j] += (s0 + s1) + (s2 + s3)
            low, high = extremes(function[:count])
            moments[_LARGEST, j] = max(moments[_LARGEST, j], max(-low, high))


@inner
def _ordered_margin(values, order, table, untied_moments, places, moments):
    """Describe a margin like `score_functions`, with the moments of untied ranks where it has no ties. O(n) then."""
    if not untied(values, order):
        score_functions(values, order, table, places, moments)
        return
    for i in range(len(order)):
        places[order[i]] = 2 * i
    copy_bytes(moments.ctypes.data, untied_moments.ctypes.data, 8 * moments.size)


@inner
def _solve(factor, products):
    """Forward substitution along the first axis, in place; rows of functions that were dropped become 0."""
    for j in range(len(products)):
        if factor[j, j] == 0.0:
            for k in range(products.shape[1]):
                products[j, k] = 0.0
            continue
        for m in range(j):
            for k in range(products.shape[1]):
                products[j, k] -= factor[j, m] * products[m, k]
        for k in range(products.shape[1]):
            products[j, k] /= factor[j, j]


@inlined
def _drawn_in(size, lean):
    """The size of a deviate on its long tail, drawn in by the skewness, which is at least `_LEAST_LEAN`. O(1)."""
    u = 0.5 * lean * size
    cube = 1.0 + u
    root = float_of(((bits_of(cube) >> 32) * 1431655766 >> 32) + 715094163 << 32)  # a third of its logarithm
    for _ in range(2):  # Halley's method, whose error becomes less than its cube
        root *= (root * root * root + 2.0 * cube) / (2.0 * root * root * root + cube)
    grown = u / (root * root + root + 1.0)  # the cube root of 1 + u, less 1: all digits count
    return min(size, 6.0 / lean * grown + lean / 6.0)


@inner
def _normalised(z, skew, of_one):
    """A deviate of mean 0 and variance 1 whose long tail, by its skewness, is drawn in to that of a normal one. O(1).

    The cube root of a gamma: Wilson & Hilferty (1931), doi:10.1073/pnas.17.12.684. Where few samples decide, chance
    is skewed, and its long tail would pass for evidence. Towards the short tail, and near 0, z stays as it is.
    of_one: what one sample can add; where that is much, both tails are long, even if they are alike.
    """
    if of_one >= _MOST_OF_ONE:
        skew = math.copysign(max(abs(skew), of_one), z)
    if skew * z <= 0.0 or abs(skew) < _LEAST_LEAN:
        return z
    return math.copysign(_drawn_in(abs(z), abs(skew)), z)


@inner
def _indicator_skew(share):
    return (1.0 - 2.0 * share) / math.sqrt(share * (1.0 - share))


@inner
def _indicator_largest(share):
    return math.sqrt(max(share, 1.0 - share) / min(share, 1.0 - share))


@inner
def _log_factor(q, degrees, effect):
    """Log of the Bayes factor of an effect against none; `effect` holds v / (1 + v) and ln (1 + v), v its variance."""
    return 0.5 * (q * effect[0] - degrees * effect[1])


@inner
def _weigh(log_factor, prior):
    """Log of 1 + prior (B - 1) from the log of B. O(1)."""
    if log_factor > _MOST_LOG:
        return log_factor + math.log(prior)
    return math.log1p(prior * math.expm1(log_factor))


@inner
def _mix(first, second, share):
    """Log of the mean of two Bayes factors given as logs, the second of which has that share. O(1)."""
    most = max(first, second)
    return most + math.log((1.0 - share) * math.exp(first - most) + share * math.exp(second - most))


@inner
def _functions_used(factor):
    """How many functions a margin with an order has, with those before the last that were dropped. O(FUNCTIONS).

    One of two levels, or of a few samples beside a value.
    """
    for j in range(FUNCTIONS - 1, 0, -1):
        if factor[j, j] > 0.0:
            return j + 1
    return 1


@inner
def _subtract(rows, count, rest):
    """Take the first rows of a block from a row. O(count)."""
    for i in range(count):
        add_sixteen(rest.ctypes.data, -1.0, rows[i].ctypes.data)


@inner
def _add_rows(table, places, samples, total):
    """Add the functions of some samples, whose places in the table are given by sample, to a row, one by one. O(n)."""
    for sample in samples:
        add_sixteen(total.ctypes.data, 1.0, table[places[sample]].ctypes.data)


@inner
def _ordered_pair(
    n, table, x_along, x_moments, y_places, y_moments, order, first, priors, class_priors, effect, effects, shares,
):  # fmt: skip
    """Evidence between two margins with an order, and an estimate of their mutual information. O(n FUNCTIONS^2).

    Samples are taken in the order of x, along the table, where x_along has their places; those that follow the first so
    many are tied. The information is half the sum of squared correlations of the first family, each times the
    probability that it is not 0 (chance).
    """
    products, rest = np.zeros((_WIDTH, _WIDTH)), np.empty(_WIDTH)
    x_rows, y_rows = np.empty((_BLOCK, _WIDTH)), np.empty((_BLOCK, _WIDTH))
    for j in range(_WIDTH):
        rest[j] = n * y_moments[0, _MEANS, j]
    count = start = 0
    while start < first:
        place, stop = x_along[start], start + 1
        while stop < first and x_along[stop] == place:
            stop += 1
        if count == _BLOCK:
            _add_products(x_rows, y_rows, count, products)
            _subtract(y_rows, count if first < n else 0, rest)
            count = 0
        copy_bytes(x_rows[count].ctypes.data, table[place].ctypes.data, 8 * _WIDTH)
        copy_bytes(y_rows[count].ctypes.data, table[y_places[order[start]]].ctypes.data, 8 * _WIDTH)
        if stop - start > 1:  # tied samples have their functions in common
            _add_rows(table, y_places, order[start + 1 : stop], y_rows[count])
        count += 1
        start = stop
    _add_products(x_rows, y_rows, count, products)
    if first < n:
        _subtract(y_rows, count, rest)
        copy_bytes(x_rows.ctypes.data, table[x_along[first]].ctypes.data, 8 * _WIDTH)
        copy_bytes(y_rows.ctypes.data, rest.ctypes.data, 8 * _WIDTH)
        _add_products(x_rows, y_rows, 1, products)
    totals = np.zeros(2)
    information = at_once = 0.0
    classes = _functions_used(x_moments[_SCORES]) == 1 or _functions_used(y_moments[_SCORES]) == 1
    for family in range(2):
        x, y = x_moments[family], y_moments[family]
        n_x, n_y = _functions_used(x), _functions_used(y)
        covariance, turned = np.empty((n_x, n_y)), np.empty((n_y, n_x))
        for j in range(n_x):
            for k in range(n_y):
                a, b = _column(family, j), _column(family, k)
                covariance[j, k] = products[a, b] / n - x[_MEANS, a] * y[_MEANS, b]
        _solve(x, covariance)
        for j in range(n_x):
            for k in range(n_y):
                turned[k, j] = covariance[j, k]
        _solve(y, turned)
        product = 1.0  # of what several pairs make of the odds, since a logarithm takes long
        for j in range(n_x):
            for k in range(n_y):
                if x[j, j] > 0.0 and y[k, k] > 0.0:
                    of_one = x[_LARGEST, j] * y[_LARGEST, k] / math.sqrt(n)
                    if of_one >= _MOST_OF_ONE and j + k > 0:
                        continue
                    skew = x[_SKEW, j] * y[_SKEW, k] / math.sqrt(n)
                    r = turned[k, j]
                    z = _normalised(math.sqrt(n - 1.0) * r, skew, of_one)
                    if classes and family == _COSINES:
                        totals[family] += _log_factor(z * z, 1, effects[j + k])
                        continue
                    if family == _COSINES:
                        at_once += _log_factor(z * z, 1, effects[j + k])
                    prior = class_priors[j + k] if classes else priors[j, k]
                    log_factor = _log_factor(z * z, 1, effect)
                    bayes = prior * math.exp(min(log_factor, _MOST_LOG))
                    odds = (1.0 - prior) + bayes
                    product *= odds
                    totals[family] += max(0.0, log_factor - _MOST_LOG)
                    if product > _LARGE:
                        totals[family] += math.log(product)
                        product = 1.0
                    if family == _SCORES:
                        information += 0.5 * (bayes / odds) * (r * r)
        totals[family] += math.log(product)
    if classes:
        return _mix(totals[_SCORES], totals[_COSINES], shares[CLASSES_AT_ONCE]), information
    few = _mix(totals[_SCORES], totals[_COSINES], shares[FEW_COSINES])
    return _mix(few, at_once, shares[ALL_AT_ONCE]), information


@inner
def _label_shapes(n, moments, codes, n_classes, sizes, shapes):
    """Write what `_labelled_pair` needs of both margins but for the order: O(n + FUNCTIONS classes).

    sizes: float64 (>= n_classes,), samples of each class; shapes: float64 (2, FUNCTIONS, _SHAPES, >= n_classes), for
    each family, function and class what takes a correlation to a deviate, its skewness and that it has at least, and
    its weight, which is 0 where it is left out.
    """
    for c in range(n_classes):
        sizes[c] = 0.0
    for i in range(n):
        sizes[codes[i]] += 1.0
    for c in range(n_classes):
        share = sizes[c] / n
        rest = 1.0 - share
        scale, skew, largest = math.sqrt((n - 1.0) / rest), _indicator_skew(share), _indicator_largest(share)
        for family in range(2):
            for j in range(FUNCTIONS):
                of_one = moments[family, _LARGEST, j] * largest / math.sqrt(n)
                much = of_one >= _MOST_OF_ONE
                shapes[family, j, 0, c] = scale
                shapes[family, j, 1, c] = moments[family, _SKEW, j] * skew / math.sqrt(n)
                shapes[family, j, 2, c] = of_one if much else 0.0
                shapes[family, j, 3, c] = 0.0 if much and j > 0 else rest


@inner
def _levelled(along, count, n_classes):
    """Whether places along an order are so few that samples had better be counted by them. O(count)."""
    changes = 0
    for i in range(1, count):
        changes += along[i] != along[i - 1]
    return 2 * n_classes * changes < count


@inner
def _add_levels(table, along, classes, order, first, levelled, left, sums):
    """Add to each class the functions of the first so many samples, and take these from those left. O(first)."""
    if not levelled:
        for i in range(first):
            c = classes[order[i]]
            add_sixteen(sums[c].ctypes.data, 1.0, table[along[i]].ctypes.data)
            left[c] -= 1.0
        return
    before, start = np.empty_like(left), 0
    while start < first:
        for c in range(len(left)):
            before[c] = left[c]
        stop = start
        while stop < first and along[stop] == along[start]:
            left[classes[order[stop]]] -= 1.0
            stop += 1
        for c in range(len(left)):
            add_sixteen(sums[c].ctypes.data, before[c] - left[c], table[along[start]].ctypes.data)
        start = stop


@inner
def _labelled_pair(
    n, table, x_along, x_labelled, levelled, moments, of_target, order, first, n_classes, sizes, shapes, sums, priors,
    effect, effects, share,
):  # fmt: skip
    """Evidence between a margin with an order and one of classes, in few scores or in all cosines. O(n FUNCTIONS).

    Samples are taken in this order, along which x has its classes if it is labelled, or places in the table, as the
    target has by sample; those that follow the first so many are tied. sums: scratch of float64 (>= n_classes, _WIDTH).
    """
    left = np.empty(n_classes)  # samples yet to come
    for c in range(n_classes):
        left[c] = sizes[c]
        for j in range(_WIDTH):
            sums[c, j] = 0.0
    if x_labelled:
        for i in range(first):
            add_sixteen(sums[x_along[i]].ctypes.data, 1.0, table[of_target[order[i]]].ctypes.data)
    else:
        _add_levels(table, x_along, of_target, order, first, levelled, left, sums)
    if first < n:
        for c in range(n_classes):
            add_sixteen(sums[c].ctypes.data, left[c], table[x_along[first]].ctypes.data)
    squares = np.empty(n_classes)
    totals = np.zeros(2)
    for family in range(2):
        own = moments[family]
        scaled = np.empty((_functions_used(own), n_classes))
        for c in range(n_classes):
            root = math.sqrt(sizes[c] * n)
            for j in range(len(scaled)):
                a = _column(family, j)
                scaled[j, c] = (sums[c, a] - sizes[c] * own[_MEANS, a]) / root
        _solve(own, scaled)
        for j in range(len(scaled)):
            if own[j, j] > 0.0:
                scale, skews, least, weights = shapes[family, j]
                for c in range(n_classes):
                    z = scaled[j, c] * scale[c]  # which `_normalised` takes, here without branches
                    size, lean = abs(z), max(abs(skews[c]), least[c])
                    drawn = _drawn_in(size, max(lean, _LEAST_LEAN))
                    long = (least[c] > 0.0) | (skews[c] * z > 0.0) & (lean >= _LEAST_LEAN)
                    size = drawn if long else size
                    squares[c] = weights[c] * (size * size)
                q = degrees = 0.0
                for c in range(n_classes):
                    q += squares[c]
                    degrees += weights[c]
                if family == _COSINES:
                    totals[family] += _log_factor(q, degrees, effects[j])
                else:
                    totals[family] += _weigh(_log_factor(q, degrees, effect), priors[j])
    return _mix(totals[_SCORES], totals[_COSINES], share)


@inner
def _classes_pair(n, x_along, kx, y_codes, ky, order, prior, effect):
    """Evidence between two margins of classes, one of them along an order: Pearson's chi-squared. O(n + kx ky)."""
    counts, xs, ys = np.zeros((kx, ky)), np.zeros(kx), np.zeros(ky)
    for i in range(n):
        a, b = x_along[i], y_codes[order[i]]
        counts[a, b] += 1.0
        xs[a] += 1.0
        ys[b] += 1.0
    q = 0.0
    for a in range(kx):
        for b in range(ky):
            expected = xs[a] * ys[b] / n
            rest = (1.0 - xs[a] / n) * (1.0 - ys[b] / n)
            skew = _indicator_skew(xs[a] / n) * _indicator_skew(ys[b] / n) / math.sqrt(n)
            z = (counts[a, b] - expected) * math.sqrt((n - 1.0) / (n * expected * rest))
            z = _normalised(z, skew, 0.0)
            q += rest * (z * z)
    return _weigh(_log_factor(q, (kx - 1) * (ky - 1), effect), prior)


@inner
def _workspace(n):
    """What `_describe` writes to, for up to n samples: values, order, places or codes, and moments. O(n).

    Of the feature and the target, moments of untied ranks besides.
    """
    return np.empty((2, n)), np.empty((2, n), np.intp), np.empty((2, n), np.int64), np.empty((3, 2, MOMENTS, _WIDTH))


@inner
def _describe(
    values, order, labelled, target, target_order, target_labels, table, target_places, target_moments, rank_moments,
    work, held, ranks, ky,
):  # fmt: skip
    """Write to `work` the margins of a feature and of the target where the feature is present.

    values, order: of the feature; work: by `_workspace`; held: how many samples the margins there have; ranks: the
    `function_table` of so many; ky: the classes of that target. Returns these three for this feature, and the number of
    its own classes. That is 0 of a margin with an order, and -1 for the feature where either margin is constant.
    O(n FUNCTIONS^2) with ties, else O(n).
    """
    kept, orders, places, moments = work
    full = len(target)
    n = compact(values, order, kept[0], orders[0])
    x, x_order = kept[0, :n], orders[0, :n]
    if n == 0 or x[x_order[0]] == x[x_order[n - 1]]:
        return held, ranks, ky, -1
    if n != held and len(table) == 2 * n - 1:
        ranks = table
        copy_bytes(moments[2].ctypes.data, rank_moments.ctypes.data, 8 * rank_moments.size)
    elif n != held:
        ranks = function_table(n)
        in_order, ascending = np.empty(n, np.intp), np.empty(n)
        for i in range(n):
            in_order[i] = ascending[i] = i
        score_functions(ascending, in_order, ranks, np.empty(n, np.int64), moments[2])
    if n < full or held < full:  # else the target is there, and whole
        compact_target(values, target, target_order, kept[1], orders[1])
        y, y_order = kept[1, :n], orders[1, :n]
        if y[y_order[0]] == y[y_order[n - 1]]:
            return n, ranks, ky, -1
        if target_labels:
            ky = level_codes(y, y_order, places[1, :n])
        elif n == full:
            copy_bytes(places[1].ctypes.data, target_places.ctypes.data, 8 * n)
            copy_bytes(moments[1].ctypes.data, target_moments.ctypes.data, 8 * target_moments.size)
        else:
            _ordered_margin(y, y_order, ranks, moments[2], places[1], moments[1])
    kx = 0
    if labelled:
        kx = level_codes(x, x_order, places[0, :n])
    else:
        _ordered_margin(x, x_order, ranks, moments[2], places[0], moments[0])
    return n, ranks, ky, kx


@inner
def _lay_along(values, places, order, samples, along, of_target):
    """Write what the margins of `_describe` have along an order, of the feature, and by sample, of the target. O(n).

    Of a feature that is dealt out along its samples, which are among all; without, among those that are present.
    """
    if len(samples) > 0:
        of_feature, found = by_sample(values, places[0]), by_sample(values, places[1])
        for i in range(len(samples)):
            along[i] = of_feature[samples[i]]
        for i in range(len(values)):
            of_target[i] = found[i]
        return
    for i in range(len(order)):
        along[i] = places[0, order[i]]
        of_target[i] = places[1, i]


@inner
def _first_tied(full, samples, dealt):
    """The place in an arrangement from which all samples are tied, or past its end where these are not many."""
    if len(dealt) == 1 and dealt[0] < len(samples) - len(samples) // _FEW_TIED:
        return dealt[0]
    return full


@kernel
def evidence(
    values, order, target, target_order, table, target_places, target_moments, rank_moments, priors, class_priors,
    effect, effects, shares, scores, series, samples, starts, dealt, key, first, orders, observed, enough,
):  # fmt: skip
    """Log of the Bayes factor, in nats, for dependence of each feature on the target, and of two orders the series.

    values: float64 (n_features, n_samples), NaN = missing; order: its argsort; table: `function_table` of the samples,
    or of those that most features have; target_places, target_moments, rank_moments: by `score_functions`, of the
    target and of as many untied ranks as the table has; priors:
    float64 (FUNCTIONS, FUNCTIONS), of functions of two orders, and class_priors: float64 (FUNCTIONS,), of those beside
    classes or a single function; effect: float64 (2,), the weights v / (1 + v) and ln (1 + v) of their variance v, and
    effects: float64 (2 FUNCTIONS - 1, 2), those of cosines when all are correlated, by the sum of their places; shares:
    float64 (3,), of the hypotheses beside the first; scores, series: float64 (n_features,).
    NaN where either side is constant. O(n FUNCTIONS^2) each.

    Or of arrangements of one feature, whose margin is the same for all: samples: int64, not empty; starts, dealt, key:
    as `deal_out` takes them; scores, series: float64 (n_arrangements,); orders: int64 (n_arrangements, n_present), or
    (0, n_present) for random ones from number `first` on, of which there are no more once `enough` of the scores are
    `observed` or more. Returns how many there are.
    """
    full = len(target)
    work = _workspace(full)
    _, in_order, places, moments = work
    x_order, along, of_target = in_order[0], np.empty(full, np.int64), np.empty(full, np.int64)
    dealing = len(samples) > 0
    turns = len(scores) if dealing else 1  # of each feature
    first_tied = _first_tied(full, samples, dealt)
    ranks, held, ky = table, 0, 0
    count = reached = 0
    for f in by_presence(values, order):
        held, ranks, ky, kx = _describe(
            values[f], order[f], False, target, target_order, False, table, target_places, target_moments,
            rank_moments, work, held, ranks, ky,
        )  # fmt: skip
        if kx < 0:
            for r in range(turns):
                scores[f + r] = series[f + r] = np.nan
            count += turns
            continue
        _lay_along(values[f], places, x_order[:held], samples, along, of_target)
        for r in range(turns):
            if dealing:
                arrangement(r, samples, starts, dealt, key, first, orders, x_order)
            scores[f + r], series[f + r] = _ordered_pair(
                held, ranks, along, moments[0], of_target, moments[1], x_order, min(held, first_tied), priors,
                class_priors, effect, effects, shares,
            )  # fmt: skip
            count += 1
            reached += scores[f + r] >= observed
            if reached >= enough:
                break
    return count


@kernel
def label_evidence(
    values, order, labels, target, target_order, target_labels, table, target_places, target_moments, rank_moments,
    class_priors, effect, effects, class_share, scores, samples, starts, dealt, key, first, orders, observed, enough,
):  # fmt: skip
    """Like `evidence`, where the feature, the target or both have no order: labels: bool (n_features,), target_labels.

    O(n FUNCTIONS) each, of two columns of labels O(n).
    """
    full = len(target)
    work = _workspace(full)
    _, in_order, places, moments = work
    x_order, along, of_target = in_order[0], np.empty(full, np.int64), np.empty(full, np.int64)
    dealing = len(samples) > 0
    turns = len(scores) if dealing else 1  # of each feature
    first_tied = _first_tied(full, samples, dealt)
    sizes, shapes, sums = np.empty(full), np.empty((2, FUNCTIONS, _SHAPES, 0)), np.empty((0, _WIDTH))
    ranks, held, ky = table, 0, 0
    count = reached = 0
    for f in by_presence(values, order):
        held, ranks, ky, kx = _describe(
            values[f], order[f], labels[f], target, target_order, target_labels, table, target_places, target_moments,
            rank_moments, work, held, ranks, ky,
        )  # fmt: skip
        if kx < 0:
            for r in range(turns):
                scores[f + r] = np.nan
            count += turns
            continue
        _lay_along(values[f], places, x_order[:held], samples, along, of_target)
        a, b = (1, 0) if kx > 0 else (0, 1)  # which has an order, and which has classes, unless both have
        if kx == 0 or ky == 0:
            if max(kx, ky) > len(sums):
                sums, shapes = np.empty((max(kx, ky), _WIDTH)), np.empty((2, FUNCTIONS, _SHAPES, max(kx, ky)))
            _label_shapes(held, moments[a], places[b], max(kx, ky), sizes, shapes)
        apart = held if b == 0 else min(held, first_tied)  # samples that may differ
        levelled = b == 1 and _levelled(along, apart, max(kx, ky))
        for r in range(turns):
            if dealing:
                arrangement(r, samples, starts, dealt, key, first, orders, x_order)
            if kx > 0 and ky > 0:  # of one function both hypotheses are the same
                prior = (1.0 - class_share) * class_priors[0] + class_share
                scores[f + r] = _classes_pair(held, along, kx, of_target, ky, x_order, prior, effect)
            else:
                scores[f + r] = _labelled_pair(
                    held, ranks, along, b == 0, levelled, moments[a], of_target, x_order, apart, max(kx, ky), sizes,
                    shapes, sums, class_priors, effect, effects, class_share,
                )  # fmt: skip
            count += 1
            reached += scores[f + r] >= observed
            if reached >= enough:
                break
    return count

"""Normal scores of ranks, ties that are told apart, and samples that are missing."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel

# Rational approximations of the normal quantile: Wichura (1988), algorithm AS 241, routine PPND16.
_A = (
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
_B = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
_C = (
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
_D = (
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684e-9,
)  # fmt: skip
_E = (
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813e-7,
)  # fmt: skip
_F = (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993979e-15,
)  # fmt: skip


@inner
def _ratio(p, q, x):
    """Quotient of two polynomials of degree 7, by Horner's rule."""
    above, below = p[7], q[7]
    for i in range(6, -1, -1):
        above = above * x + p[i]
        below = below * x + q[i]
    return above / below


@kernel
def normal_quantile(p):
    """Quantile of the standard normal distribution at a probability (float64, inside 0 and 1).

    Wichura (1988), AS 241 PPND16, doi:10.2307/2347330; relative error about 1e-16. O(1).
    Odd about 1/2 bit for bit wherever ``1 - p`` is exact.
    """
    centre = p - 0.5
    if abs(centre) <= 0.425:
        return centre * _ratio(_A, _B, 0.180625 - centre * centre)
    tail = math.sqrt(-math.log(min(p, 1.0 - p)))
    size = _ratio(_C, _D, tail - 1.6) if tail <= 5.0 else _ratio(_E, _F, tail - 5.0)
    return size if centre > 0.0 else -size


@kernel
def present_count(values, order):
    """How many of the values (float, NaN = missing) are present, given an order that puts NaN last.

    O(log n), without scratch. An empty array has none.
    """
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if np.isnan(values[order[middle]]):
            high = middle
        else:
            low = middle + 1
    return low


@inner
def by_presence(values, order):
    """Features in the order of how many samples they have, those with as many as they come: int64. O(features + n).

    values: float64 (n_features, n), NaN = missing; order: argsort, NaN last. What follows from the number of samples
    alone, such as a table of scores, is then worked out once for all that have as many.
    """
    starts, features = np.zeros(values.shape[1] + 2, np.int64), np.empty(len(values), np.int64)
    for f in range(len(values)):
        starts[present_count(values[f], order[f]) + 1] += 1
    for n in range(len(starts) - 1):
        starts[n + 1] += starts[n]
    for f in range(len(values)):
        n = present_count(values[f], order[f])
        features[starts[n]] = f
        starts[n] += 1
    return features


@inner
def present_order(values, order, kept_order):
    """Write those samples of an order whose values (float64, by sample) are not NaN, as they come. O(n)."""
    place = 0
    for sample in order:
        if not np.isnan(values[sample]):
            kept_order[place] = sample
            place += 1


@kernel
def normal_score_table(n):
    """Normal scores of the ranks 1, 2, ..., n, and after them of 1.5, 2.5, ...: a float64 array of 2n - 1 values.

    Van der Waerden's scores: the normal quantile of rank / (n + 1). O(n), half of it mirrored.
    """
    table = np.zeros(max(0, 2 * n - 1))
    for i in range(n - 1):  # rank 1 + i / 2, and that as far from the other end
        score = normal_quantile((i + 2) / (2.0 * (n + 1)))
        if i % 2 == 0:
            table[i // 2], table[n - 1 - i // 2] = score, -score
        else:
            table[n + i // 2], table[2 * n - 2 - i // 2] = score, -score
    return table


@inner
def untied(values, order):
    """Whether no two neighbours in an order of values are equal. O(n), less where two are."""
    for i in range(1, len(order)):
        if values[order[i]] == values[order[i - 1]]:
            return False
    return True


@kernel
def spread_ties(values, order, repeats, shuffled, share, shared, places, places_order):
    """Replace features (n_features, n) by places in their order, where only large groups of ties stay together.

    Ties of less than that share of the samples present follow one another as in `shuffled`, a permutation of the
    samples, and where several groups are larger so do those that would have fewer than `shared` in common with an
    independent one as large. values: float, NaN = missing; order, repeats: by `argsort_rows`; written are places,
    float64, NaN where missing, and places_order, intp, their argsort. O(n) each; features without ties are copied.
    """
    group, following = np.empty(len(shuffled), np.intp), np.empty(len(shuffled), np.intp)
    for f in range(len(values)):
        for i in range(len(shuffled)):
            places[f, i] = values[f, i]
        for i in range(len(shuffled)):
            places_order[f, i] = order[f, i]
        n_repeats = 0
        for repeated in repeats[f]:
            n_repeats += repeated
        if n_repeats == 0:
            continue
        n = present_count(values[f], order[f])
        start = 0
        for i in range(n):
            if not repeats[f, i]:
                start = i
            group[order[f, i]] = start
            following[i] = i
        for sample in shuffled:
            if not np.isnan(values[f, sample]):
                start = group[sample]
                places_order[f, following[start]] = sample
                following[start] += 1
        large = 0
        for i in range(n):
            large += group[places_order[f, i]] == i and following[i] - i >= share * n
        for i in range(n):
            start = group[places_order[f, i]]
            size = following[start] - start
            few = size < share * n or (large > 1 and size * size < shared * n)
            places[f, places_order[f, i]] = i if few else start


@inner
def _complete(values):
    """Whether none of the values is NaN. O(n), in vectors."""
    present = 0
    for value in values:
        present += value == value
    return present == len(values)


@kernel
def compact(values, order, kept, kept_order):
    """Drop missing samples: write the present values, and their order renumbered; return how many they are.

    values: float array, NaN = missing; order: intp array, ascending with NaN last; kept, kept_order: as long.
    O(n); an order of ties is kept as it is.
    """
    n = len(values)
    if _complete(values):
        for i in range(n):
            kept[i] = values[i]
            kept_order[i] = order[i]
        return n
    position = np.empty(n, np.intp)
    count = 0
    for i in range(n):
        position[i] = count
        if not np.isnan(values[i]):
            kept[count] = values[i]
            count += 1
    for i in range(count):
        kept_order[i] = position[order[i]]
    return count


@kernel
def compact_target(values, target, target_order, kept, kept_order):
    """Keep the target where the feature is present: write its values and their order; return how many.

    values: float array, NaN = missing; target: any array; target_order: intp array; kept, kept_order:
    as long. O(n): the target's order is walked, not sorted again.
    """
    n = len(values)
    if _complete(values):
        for i in range(n):
            kept[i] = target[i]
            kept_order[i] = target_order[i]
        return n
    position = np.empty(n, np.intp)
    count = 0
    for i in range(n):
        position[i] = count
        if not np.isnan(values[i]):
            kept[count] = target[i]
            count += 1
    place = 0
    for i in range(n):
        sample = target_order[i]
        if not np.isnan(values[sample]):
            kept_order[place] = position[sample]
            place += 1
    return count

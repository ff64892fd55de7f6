"""One look at each column before it is scored: what is missing, constant, infinite; and a fingerprint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import bits_of, inner, kernel, ones, stir_lanes

_M1 = np.uint64(0x9E3779B97F4A7C15)
_M2 = np.uint64(0xC2B2AE3D27D4EB4F)
_NAN = np.uint64(0x7FF8000000000000)
_SHIFT = np.uint64(29)
_LARGE, _SMALL = 2.0**300, 2.0**-300
_NEAR = 32  # whole steps from the first level, up and down, for which a word has a bit each


_START = (_M1, _M2, ~_M1, ~_M2)


@inner
def _stir(state: Any, bits: Any) -> Any:
    state = (state ^ bits) * _M1
    return state ^ (state >> _SHIFT)


@inner
def _hash(a: Any, b: Any, c: Any, d: Any, rest: NDArray[np.float64]) -> Any:
    """What four chains end in, once the values that are left of a row have gone into the first."""
    for value in rest:
        a = _stir(a, np.uint64(bits_of(value)) if value == value else _NAN)
    return _stir(_stir(_stir(_stir(_M2, a), b), c), d)


# What follows counts what it looks for, since sums of whole numbers are what LLVM vectorises, and then looks closer.


@kernel
def mask_infinities(values: NDArray[np.float64], n_infinite: NDArray[np.int64]) -> None:
    """Turn infinities in `values` (n_features, n_samples) into NaN; count them in `n_infinite` (n_features,).

    O(values), in vectors.
    """
    n_features, n = values.shape
    for f in range(n_features):
        found = 0
        for i in range(n):
            found += abs(values[f, i]) == np.inf
        n_infinite[f] = found
        if found > 0:
            for i in range(n):
                if abs(values[f, i]) == np.inf:
                    values[f, i] = np.nan


@kernel
def rescale_extremes(values: NDArray[np.float64]) -> None:
    """Scale rows of `values` (n_features, n_samples) whose largest magnitude is beyond 2^300 or below 2^-300.

    By a power of two, so that squares and sums of them stay finite and above zero. Small ones come to 1, and large ones
    to 2^300, no farther, so that no digit changes of values down to 2^-1300 times the largest. O(values), in vectors
    where nothing is scaled.
    """
    n_features, n = values.shape
    for f in range(n_features):
        n_large, n_small = 0, 0
        for i in range(n):
            size = abs(values[f, i])
            n_large += size > _LARGE
            n_small += not size >= _SMALL  # NaN is as good as small
        if n_large == 0 and n_small < n:
            continue
        most = 0.0
        for i in range(n):
            most = max(most, abs(values[f, i]))  # NaN compares as not larger
        if most > 0.0:
            exponent = math.frexp(most)[1] - (300 if n_large else 0)
            half = exponent // 2  # in two steps: one factor could itself overflow
            for i in range(n):
                values[f, i] = math.ldexp(math.ldexp(values[f, i], -half), half - exponent)


@kernel
def presence(values: NDArray[np.float64], n_present: NDArray[np.int64], constant: NDArray[np.bool_]) -> None:
    """Count what is not NaN in each row of `values` (n_features, n_samples); tell which rows have one value.

    A row without any value is not constant; it has `n_present` 0. O(values), in vectors.
    """
    n_features, n = values.shape
    for f in range(n_features):
        found, same, first = 0, 0, 0
        while first < n - 1 and values[f, first] != values[f, first]:
            first += 1
        for i in range(n):
            found += values[f, i] == values[f, i]
            same += values[f, i] == values[f, first]
        n_present[f] = found
        constant[f] = found > 0 and same == found


@kernel
def survey(
    values: NDArray[np.float64],
    fingerprints: NDArray[np.uint64],
    n_infinite: NDArray[np.int64],
    n_present: NDArray[np.int64],
    constant: NDArray[np.bool_],
) -> None:
    """Do the above with `values` in one go, and fill `fingerprints` (n_features,) with a 64-bit hash of each row.

    The hash is of the row as it came; every NaN counts as the same. Two rows at a time, as `stir_lanes` likes it.
    O(values): a pass to hash and one to count, and three more over rows with what is infinite or out of range.
    """
    n_features, n = values.shape
    whole = n - n % 4
    base = values.ctypes.data
    for f in range(0, n_features, 2):
        g = min(f + 1, n_features - 1)
        ends = stir_lanes(_START + _START, (base + 8 * n * f, base + 8 * n * g), whole // 4, _M1, _SHIFT, _NAN)
        fingerprints[f] = _hash(ends[0], ends[1], ends[2], ends[3], values[f, whole:])
        fingerprints[g] = _hash(ends[4], ends[5], ends[6], ends[7], values[g, whole:])
        for row in range(f, g + 1):
            found, same, large, first, fair = 0, 0, 0, 0, 0
            while first < n - 1 and values[row, first] != values[row, first]:
                first += 1
            while fair < n and not abs(values[row, fair]) >= _SMALL:
                fair += 1
            for i in range(n):
                found += values[row, i] == values[row, i]
                same += values[row, i] == values[row, first]
                large += abs(values[row, i]) > _LARGE
            n_infinite[row], n_present[row], constant[row] = 0, found, found > 0 and same == found
            if large > 0 or fair == n:
                one = slice(row, row + 1)
                mask_infinities(values[one], n_infinite[one])
                rescale_extremes(values[one])
                presence(values[one], n_present[one], constant[one])


@kernel
def count_levels(values: NDArray[np.float64], most: int, n_levels: NDArray[np.int64]) -> None:
    """Count the distinct values of each row of `values` (n_features, n), NaN aside, giving up at `most` + 1.

    Writes `n_levels` (n_features,). O(n most) a row, and O(n) where they are near each other, as of genotypes.
    """
    levels = np.empty(most + 1)
    for f in range(len(values)):
        first, found, near = np.nan, 0, np.uint64(0)
        for v in values[f]:
            if first != first:
                first = v
            if abs(v - first) < _NEAR:
                step = np.int64(v - first)
                if first + step == v:
                    near |= np.uint64(1) << np.uint64(_NEAR + step)
                    continue
            known = v != v
            for j in range(found):
                known |= levels[j] == v
            if not known:
                levels[found] = v
                found += 1
                if found > most:
                    break
        n_levels[f] = min(found + ones(near), most + 1)

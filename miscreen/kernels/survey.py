"""One look at each column before it is scored: what is missing, constant, infinite; and a fingerprint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import bits_of, inner, kernel

_M1 = np.uint64(0x9E3779B97F4A7C15)
_M2 = np.uint64(0xC2B2AE3D27D4EB4F)
_NAN = np.uint64(0x7FF8000000000000)
_SHIFT = np.uint64(29)


@inner
def _stir(state: Any, bits: Any) -> Any:
    state = (state ^ bits) * _M1
    return state ^ (state >> _SHIFT)


@inner
def _mix(state: Any, value: float) -> Any:
    return _stir(state, np.uint64(bits_of(value)) if value == value else _NAN)


@kernel
def fingerprints(values: NDArray[np.float64], out: NDArray[np.uint64]) -> None:
    """Fill `out` (n_features,) with a 64-bit hash of each row of `values` (n_features, n_samples).

    Every NaN counts as the same; four interleaved chains hide the latency of the multiplication.
    """
    n_features, n = values.shape
    for f in range(n_features):
        a, b, c, d = _M1, _M2, ~_M1, ~_M2
        for i in range(0, n - 3, 4):
            a = _mix(a, values[f, i])
            b = _mix(b, values[f, i + 1])
            c = _mix(c, values[f, i + 2])
            d = _mix(d, values[f, i + 3])
        for i in range(n - n % 4, n):
            a = _mix(a, values[f, i])
        out[f] = _stir(_stir(_stir(_stir(_M2, a), b), c), d)


# What follows counts what it looks for, since sums of whole numbers are what LLVM vectorises, and then looks closer.


@kernel
def mask_infinities(values: NDArray[np.float64], n_infinite: NDArray[np.int64]) -> None:
    """Turn infinities in `values` (n_features, n_samples) into NaN; count them in `n_infinite` (n_features,)."""
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
def tame(values: NDArray[np.float64]) -> None:
    """Scale rows of `values` (n_features, n_samples) whose largest magnitude is beyond 2^300 or below 2^-300.

    By a power of two, so that no digit changes but squares and sums of them stay finite and above zero.
    """
    n_features, n = values.shape
    for f in range(n_features):
        n_large, n_small = 0, 0
        for i in range(n):
            size = abs(values[f, i])
            n_large += size > 2.0**300
            n_small += not size >= 2.0**-300  # NaN is as good as small
        if n_large == 0 and n_small < n:
            continue
        most = 0.0
        for i in range(n):
            most = max(most, abs(values[f, i]))  # NaN compares as not larger
        if most > 0.0:
            exponent = math.frexp(most)[1]
            half = exponent // 2  # in two steps: one factor could itself overflow
            for i in range(n):
                values[f, i] = math.ldexp(math.ldexp(values[f, i], -half), half - exponent)


@kernel
def presence(values: NDArray[np.float64], n_present: NDArray[np.int64], constant: NDArray[np.bool_]) -> None:
    """Count what is not NaN in each row of `values` (n_features, n_samples); tell which rows have one value.

    A row without any value is not constant; it has `n_present` 0.
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
def count_levels(values: NDArray[np.float64], most: int) -> int:
    """Count the distinct values of `values` (n,), NaN aside, giving up at `most` + 1."""
    levels = np.empty(most + 1)
    found = 0
    for i in range(len(values)):
        v = values[i]
        if v != v:
            continue
        known = False
        for j in range(found):
            if levels[j] == v:
                known = True
                break
        if not known:
            levels[found] = v
            found += 1
            if found > most:
                break
    return found

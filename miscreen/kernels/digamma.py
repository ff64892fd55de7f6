"""The digamma function, for positive arguments."""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import kernel


@kernel
def digamma(x):
    """Logarithmic derivative of the gamma function at x > 0 (float64).

    Abramowitz & Stegun 6.3.18 for x >= 10, reached by 6.3.5; absolute error about 1e-15. O(1).
    Arguments up to 0 are not meant.
    """
    shift = 0.0
    while x < 10.0:
        shift += 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
    return math.log(x) - 0.5 / x - series - shift


@kernel
def digamma_table(n):
    """Digamma of 0, 1, ..., n: a float64 array whose first value, a pole, is NaN.

    Each value on its own, so that a longer table begins with the same bits. O(n).
    """
    table = np.empty(n + 1)
    table[0] = np.nan
    for i in range(1, n + 1):
        table[i] = digamma(float(i))
    return table

"""How far sorted values spread: quartiles, deviations and the sigma of bandwidth rules."""

from __future__ import annotations

import math

from miscreen.kernels._jit import inner, kernel

IQR_OF_NORMAL = 1.3489795003921634


@inner
def quartile(ascending, which):
    """Quartile 1, 2 or 3 of sorted values (float64), linearly interpolated as numpy.percentile does. O(1)."""
    at = (len(ascending) - 1) * which * 0.25
    below = int(at)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (at - below)


@inner
def squared_deviations(values):
    """Mean of the values (float64), and the sum of their squared deviations from it, in two passes. O(n).

    Four sums each, since every addition waits for the one before.
    """
    n = len(values)
    whole = n - n % 4
    s0 = s1 = s2 = s3 = 0.0
    for i in range(0, whole, 4):
        s0 += values[i]
        s1 += values[i + 1]
        s2 += values[i + 2]
        s3 += values[i + 3]
    for i in range(whole, n):
        s0 += values[i]
    mean = ((s0 + s1) + (s2 + s3)) / n
    s0 = s1 = s2 = s3 = 0.0
    for i in range(0, whole, 4):
        a, b, c, d = values[i] - mean, values[i + 1] - mean, values[i + 2] - mean, values[i + 3] - mean
        s0 += a * a
        s1 += b * b
        s2 += c * c
        s3 += d * d
    for i in range(whole, n):
        a = values[i] - mean
        s0 += a * a
    return mean, (s0 + s1) + (s2 + s3)


@kernel
def spread(ascending):
    """The lesser of the standard deviation and IQR / 1.349 of sorted values (float64), as in KDEpy.

    The standard deviation alone when the quartiles coincide; 0 for a single value. O(n), without scratch.
    """
    n = len(ascending)
    if n < 2 or ascending[0] == ascending[n - 1]:
        return 0.0
    _, squares = squared_deviations(ascending)
    deviation = math.sqrt(squares / (n - 1))
    quartiles = (quartile(ascending, 3) - quartile(ascending, 1)) / IQR_OF_NORMAL
    return min(deviation, quartiles) if quartiles > 0.0 else deviation

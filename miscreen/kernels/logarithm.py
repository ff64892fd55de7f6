"""A natural logarithm that LLVM turns into vector instructions, which a call of the C library's never is."""

from __future__ import annotations

from miscreen.kernels._jit import bits_of, float_of, inner

_MANTISSA = 0x000FFFFFFFFFFFFF
_MAGNITUDE = 0x7FFFFFFFFFFFFFFF
_ONE = 0x3FF0000000000000
_ROOT_HALF = 0x3FE6A09E00000000  # just below sqrt(1/2): the reduced argument lies in [sqrt(1/2), sqrt(2))
_TWO_52 = 0x4330000000000000  # 2^52 as a float: an integer put into its mantissa converts without an instruction
_TWO_52_AND_BIAS = 4503599627370496.0 + 1023.0
_LN2_HIGH = 0.6931471803691238  # ln 2 in 33 bits, so that its product with an exponent is exact
_LN2_LOW = 1.9082149292705877e-10

# (2 atanh(s) / s - 2) / s^2 as a polynomial in s^2, interpolated at the Chebyshev nodes of [0, 0.0295]: 1e-17
_SERIES = (
    0.666666666666667,
    0.39999999999899444,
    0.2857142862600327,
    0.22222211130259878,
    0.18182889455674947,
    0.15331710618210773,
    0.14616585424888623,
)


@inner
def logarithm(x):
    """Natural logarithm of the magnitude of a normal float64, to a relative error below 1e-15.

    ln x = k ln 2 + 2 atanh((m - 1) / (m + 1)) with x = 2^k m. About 2 ns in a loop, O(1).
    Zero and subnormal numbers give some finite number near -709, so that x logarithm(x) is 0 at 0.
    """
    shifted = (bits_of(x) & _MAGNITUDE) + (_ONE - _ROOT_HALF)
    exponent = float_of((shifted >> 52) | _TWO_52) - _TWO_52_AND_BIAS
    m = float_of((shifted & _MANTISSA) + _ROOT_HALF)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = _SERIES[6]
    for i in range(5, -1, -1):
        series = series * z + _SERIES[i]
    return exponent * _LN2_HIGH + (2.0 * s + (s * (z * series) + exponent * _LN2_LOW))


@inner
def xlogx(x):
    """x ln |x|, which is 0 at 0. O(1); see `logarithm`."""
    return x * logarithm(x)

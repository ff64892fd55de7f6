"""Decimal text to float64, exactly rounded: Clinger's fast path, then the Eisel-Lemire algorithm.

Lemire (2021), Number parsing at a gigabyte per second, doi:10.1002/spe.2984; Clinger (1990), How to read
floating point numbers accurately, doi:10.1145/93542.93557. What neither settles
(one in a thousand of the numbers with 20 or more digits; of others none that is known) is for Python's
``float``, which the caller asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import byte_at, inlined, inner, trailing_zeros, word_at

# What `read_number` found, as sets of bits: what a column holds is then the union of its cells.
NOT_A_NUMBER, INTEGER, FRACTION, UNSETTLED = 0, 1, 3, 7

_LOWEST, _HIGHEST = -342, 308  # below, even 2^64 x 10^q rounds to zero; above, even 1 x 10^q is infinite


def _powers_of_five() -> NDArray[np.uint64]:
    """The leading 128 bits of 5^q, first bit set: shape (651, 2), high word first."""
    table = np.empty((_HIGHEST - _LOWEST + 1, 2), dtype=np.uint64)
    for q in range(_LOWEST, _HIGHEST + 1):
        power = 5 ** abs(q)
        if q < 0:
            # Rounded up where the exact product can come out even, so that a tie is seen as one.
            leading = (1 << (power.bit_length() + 127)) // power + (q >= -27)
        else:
            leading = (power << 128) >> power.bit_length()
        table[q - _LOWEST] = leading >> 64, leading & (2**64 - 1)
    return table


FIVES = _powers_of_five()
FIVE_TO_0 = -_LOWEST  # where it stands in FIVES
TENS = np.array([float(10**k) for k in range(23)])  # all exact

_U1 = np.uint64(1)
_U9 = np.uint64(9)
_U10 = np.uint64(10)
_U32 = np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
_ALL_ONES = np.uint64(2**64 - 1)
_LOW_9 = np.uint64(0x1FF)
_U3 = np.uint64(3)
_TOP = np.uint64(1 << 63)
_HIDDEN = np.uint64(1 << 52)
_TWO_53 = np.uint64(1 << 53)
_U0 = np.uint64(0)
_U52 = np.uint64(52)
_U63 = np.uint64(63)

# Eight digits at a time, each a byte of a word: what turns digits into 0 to 9, then what lifts 10 to 128.
_EIGHT_0, _EIGHT_118, _EIGHT_128 = (np.uint64(k * 0x0101010101010101) for k in (48, 118, 128))
_U8, _U16 = np.uint64(8), np.uint64(16)
_PAIRS, _FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_BY_1, _BY_2, _BY_4 = (np.uint64((10**k << 8 * k) + 1) for k in (1, 2, 4))
_POWERS = np.array([10**k for k in range(9)], dtype=np.uint64)

_MANY_DIGITS = 19  # so many always fit into 64 bits
_HUGE_EXPONENT = 100_000_000  # beyond what any number of digits in a cell can make good


@inner
def _product(a: Any, b: Any) -> Any:
    """The 128-bit product of two 64-bit words, high word first."""
    a0, a1 = a & _LOW_HALF, a >> _U32
    b0, b1 = b & _LOW_HALF, b >> _U32
    first = a1 * b0 + ((a0 * b0) >> _U32)
    second = a0 * b1 + (first & _LOW_HALF)
    return a1 * b1 + (first >> _U32) + (second >> _U32), a * b


@inner
def nearest_float64(w: Any, q: int) -> float:
    """The float64 nearest to w x 10^q, ties to even; NaN when 128 bits do not settle it.

    w: uint64; q: int64. Eisel-Lemire, steps as in section 5 of doi:10.1002/spe.2984. O(1).
    """
    if w == _U0 or q < _LOWEST:
        return 0.0
    if q > _HIGHEST:
        return np.inf
    shift = 0
    while w < _TOP:
        w <<= _U1
        shift += 1
    high, low = _product(w, FIVES[q - _LOWEST, 0])
    if high & _LOW_9 == _LOW_9:  # the second word of the power may carry into the bits that are kept
        more, _ = _product(w, FIVES[q - _LOWEST, 1])
        low += more
        if low < more:
            high += _U1
    if low == _ALL_ONES and (q < -27 or q > 55):
        return np.nan
    upper = high >> _U63
    mantissa = high >> (upper + _U9)  # 53 bits and one for rounding
    exponent = ((217706 * q) >> 16) + 63 + np.int64(upper) - shift + 1023
    if exponent <= 0:  # subnormal
        if exponent <= -63:
            return 0.0
        mantissa >>= np.uint64(1 - exponent)
        mantissa = (mantissa + (mantissa & _U1)) >> _U1
        return np.uint64(mantissa).view(np.float64)  # rounding up to 2^52 is the smallest normal number, bit for bit
    if low <= _U1 and -4 <= q <= 23 and mantissa & _U3 == _U1 and mantissa << (upper + _U9) == high:
        mantissa -= _U1  # exactly half way, and the even neighbour is below
    mantissa = (mantissa + (mantissa & _U1)) >> _U1
    if mantissa >= _TWO_53:
        mantissa >>= _U1
        exponent += 1
    if exponent >= 0x7FF:
        return np.inf
    return np.uint64((mantissa & ~_HIDDEN) | (np.uint64(exponent) << _U52)).view(np.float64)


@inner
def _leading_digits(p: int, end: int) -> Any:
    """The first 19 significant digits in [p, end), how many follow, and whether a later one is not 0."""
    w = _U0
    taken = 0
    dropped = 0
    inexact = False
    while p < end:
        digit = byte_at(p) - 48
        p += 1
        if digit < 0:  # the point
            continue
        if taken == _MANY_DIGITS:
            dropped += 1
            inexact |= digit > 0
        elif taken > 0 or digit > 0:
            w = w * _U10 + np.uint64(digit)
            taken += 1
    return w, dropped, inexact


@inner
def _append_digits(w: Any, p: int, end: int) -> Any:
    """Digits from address p on, after those that w is made of, eight at a time; w with them, the address after them.

    The text ends at `end`, in a byte that is no digit. O(length).
    """
    while end - p >= 8:
        digits = word_at(p) ^ _EIGHT_0  # the first of them in the lowest byte
        n = trailing_zeros(((digits + _EIGHT_118) | digits) & _EIGHT_128) >> 3  # how many, before another byte
        half = np.uint64(4 * (8 - n))
        digits = (digits << half) << half  # zeros in front of them, in place of what follows
        digits = (digits * _BY_1) >> _U8
        digits = ((digits & _PAIRS) * _BY_2) >> _U16
        digits = ((digits & _FOURS) * _BY_4) >> _U32
        w = w * _POWERS[n] + digits
        p += n
        if n < 8:
            return w, p
    digit = byte_at(p) - 48
    while 0 <= digit <= 9:
        w = w * _U10 + np.uint64(digit)
        p += 1
        digit = byte_at(p) - 48
    return w, p


@inlined
def read_number(p: int, stop: int) -> Any:
    """Read ``[+-]? (digits [. digits*] | . digits) ([eE] [+-]? digits)?`` from address p on.

    Returns the value, the address after it and one of NOT_A_NUMBER, INTEGER (a literal up to 2^53),
    FRACTION, UNSETTLED. The text ends at `stop`, in a byte that no number contains. O(length).
    """
    first = byte_at(p)
    negative = first == 45
    p += negative | (first == 43)
    start = p
    w: Any = _U0
    digit = byte_at(p) - 48
    while 0 <= digit <= 9:
        w = w * _U10 + np.uint64(digit)
        p += 1
        digit = byte_at(p) - 48
    n_digits = p - start
    q = 0
    literal = True
    if digit == -2:  # a point
        p += 1
        literal = False
        point = p
        w, p = _append_digits(w, p, stop)
        digit = byte_at(p) - 48
        q = point - p
        n_digits -= q
    if n_digits == 0:
        return 0.0, p, NOT_A_NUMBER
    end = p
    if digit == 21 or digit == 53:  # E or e
        p += 1
        literal = False
        sign = byte_at(p)
        if sign == 45 or sign == 43:
            p += 1
        exponent = 0
        mark = p
        digit = byte_at(p) - 48
        while 0 <= digit <= 9:
            if exponent < _HUGE_EXPONENT:
                exponent = exponent * 10 + digit
            p += 1
            digit = byte_at(p) - 48
        if p == mark:
            return 0.0, p, NOT_A_NUMBER
        q += -exponent if sign == 45 else exponent
    inexact = False
    if n_digits > _MANY_DIGITS:  # w has overflowed, unless the digits begin with zeros
        w, dropped, inexact = _leading_digits(start, end)
        q += dropped
        literal = literal and dropped == 0
    if w <= _TWO_53 and -22 <= q <= 22 and not inexact:
        value: float = np.float64(np.int64(w))
        if q < 0:
            value /= TENS[-q]
        elif q > 0:
            value *= TENS[q]
    else:
        literal = literal and w <= _TWO_53
        value = nearest_float64(w, q)
        if value != value or (inexact and value != nearest_float64(w + _U1, q)):
            return 0.0, p, UNSETTLED
    return -value if negative else value, p, INTEGER if literal else FRACTION

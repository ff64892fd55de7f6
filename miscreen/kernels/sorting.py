"""The order of the samples of each feature, by radix: the same on every processor, ties and all."""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import bits_of, inner, kernel

_SIGN = np.uint64(1 << 63)
_NAN = np.uint64(0xFFF8 << 48)  # above infinity, and like it without low bits
_DIGIT = np.uint64(0xFF)


@inner
def _sort_key(value):
    """An unsigned integer that sorts as the float64 does, NaN last; low bits that are 0 stay 0. O(1)."""
    if np.isnan(value):
        return _NAN
    bits = np.uint64(bits_of(value + 0.0))  # which makes -0 and 0 the same
    return _SIGN - (bits - _SIGN) if bits >= _SIGN else _SIGN + bits


@kernel
def argsort_rows(values, order):
    """Write the stable ascending order of each row of float64 values, NaN last: order (intp), of the same shape.

    Least significant digit first, eight bits at a time; digits in which no two values differ are passed over,
    so that numbers of single precision take five passes, not eight. O(n) a row; 24 n bytes of scratch.
    """
    n = values.shape[1]
    keys, next_keys = np.empty(n, np.uint64), np.empty(n, np.uint64)
    samples, next_samples = np.empty(n, np.uint32), np.empty(n, np.uint32)
    starts = np.empty(256, np.uint32)
    for f in range(len(values)):
        any_set, all_set = np.uint64(0), ~np.uint64(0)
        for i in range(n):
            key = _sort_key(values[f, i])
            keys[i] = key
            samples[i] = i
            any_set |= key
            all_set &= key
        for byte in range(8):
            shift = np.uint64(8 * byte)
            if ((any_set ^ all_set) >> shift) & _DIGIT == 0:
                continue
            starts[:] = 0
            for i in range(n):
                starts[(keys[i] >> shift) & _DIGIT] += np.uint32(1)
            before = np.uint32(0)
            for digit in range(256):
                count = starts[digit]
                starts[digit] = before
                before += count
            for i in range(n):
                digit = (keys[i] >> shift) & _DIGIT
                place = np.uint64(starts[digit])
                starts[digit] += np.uint32(1)
                next_keys[place] = keys[i]
                next_samples[place] = samples[i]
            keys, next_keys = next_keys, keys
            samples, next_samples = next_samples, samples
        for i in range(n):
            order[f, i] = samples[i]


@kernel
def count_present(values, order, n_present, n_levels):
    """Count in each row of float64 values what is not NaN, and how many different ones (int64), by ascending order.

    O(n) a row.
    """
    for f in range(len(values)):
        row = values[f]
        last = np.nan
        present, levels = 0, 0
        for i in range(len(row)):
            value = row[order[f, i]]
            if np.isnan(value):
                break
            present += 1
            if value != last:
                levels += 1
                last = value
        n_present[f] = present
        n_levels[f] = levels

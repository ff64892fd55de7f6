"""Mutual information of many coded features with one, from counts; sums are of whole numbers, so in any order the same.

The entropies of tables are sums of c ln c over counts c. Here they are taken from a table of those numbers as
multiples of a power of two, so that equal counts make equal information to the last bit, however levels are named.
"""

from __future__ import annotations

import math

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.counts import code_count

_LANES = 4  # tables counted side by side: a store to a counter delays the next load of the same one


def scaled_logs(n):
    """Table of c ln c for c = 0 to n, as int64 multiples of a power of two, and that power (float64).

    Any sum over counts that sum to n stays below 2^60. O(n).
    """
    counts = np.arange(n + 1, dtype=np.float64)
    logs = counts * np.log(np.maximum(counts, 1.0))
    bits = min(50, 60 - math.frexp(logs[-1])[1])
    return np.rint(np.ldexp(logs, bits)).astype(np.int64), math.ldexp(1.0, -bits)


@inner
def _count(x, z, width, cells, lanes, counts):
    """Count pairs of codes (uint8 x, integer z below `width`) into counts[: cells] (int32). O(n + cells)."""
    n = len(x)
    lanes[: _LANES * cells] = 0
    for i in range(0, n - 3, 4):
        lanes[x[i] * width + z[i]] += 1
        lanes[cells + x[i + 1] * width + z[i + 1]] += 1
        lanes[2 * cells + x[i + 2] * width + z[i + 2]] += 1
        lanes[3 * cells + x[i + 3] * width + z[i + 3]] += 1
    for i in range(n - n % 4, n):
        lanes[x[i] * width + z[i]] += 1
    for c in range(cells):
        counts[c] = lanes[c] + lanes[cells + c] + lanes[2 * cells + c] + lanes[3 * cells + c]


@kernel
def pair_information(codes, sizes, z, z_size, logs, unit, correct, of_all, mi):
    """Plug-in mutual information I(x;z), in nats, of each coded feature x (uint8, (n_features, n)) and one more, z.

    sizes: codes of each; samples with a code of that size (missing) are left out; correct: whether to add Miller's
    term; of_all: whether those left out count as telling nothing; logs, unit: `scaled_logs`. Writes mi, float64
    (n_features,), 0 without samples. O(n + cells) each.
    """
    width = z_size + 1
    largest = code_count(sizes) * width
    lanes, counts = np.empty(_LANES * largest, np.int32), np.empty(largest, np.int32)
    columns = np.empty(z_size, np.int64)
    for f in range(len(codes)):
        size = sizes[f]
        _count(codes[f], z, width, (size + 1) * width, lanes, counts)
        columns[:] = 0
        total, n, occupied = np.int64(0), 0, -1
        for a in range(size):
            row = 0
            for b in range(z_size):
                count = counts[a * width + b]
                total += logs[count]
                row += count
                columns[b] += count
                occupied -= count > 0
            total -= logs[row]
            n += row
            occupied += row > 0
        for b in range(z_size):
            total -= logs[columns[b]]
            occupied += columns[b] > 0
        mi[f] = 0.0
        if n > 0:
            samples = len(z) if of_all else n
            mi[f] = (total + logs[n]) * unit / samples + (occupied / (2.0 * samples) if correct else 0.0)


@kernel
def triple_information(codes, sizes, zy, z_size, y_size, logs, unit, out):
    """I(x;y|z), how many samples have all three, and H(x|y,z), of each coded feature x (uint8, (n_features, n)).

    zy: z y_size + y (uint16), or z_size y_size where either is missing; the rest as in `pair_information`, in nats,
    with Miller's term. Samples that lack one of the three count as telling nothing; the entropy is that of the others.
    Writes out, float64 (3, n_features), 0 without samples. O(n + cells) each.
    """
    width = z_size * y_size + 1
    largest = code_count(sizes) * width
    lanes, counts = np.empty(_LANES * largest, np.int32), np.empty(largest, np.int32)
    of_zy = np.empty(z_size * y_size, np.int64)
    for f in range(len(codes)):
        size = sizes[f]
        _count(codes[f], zy, width, (size + 1) * width, lanes, counts)
        of_zy[:] = 0
        n = 0
        all_three, with_z = np.int64(0), np.int64(0)  # sums of c ln c over the tables of x, y, z and of x, z
        k_all, k_xz, k_zy, k_z = 0, 0, 0, 0  # occupied cells
        for a in range(size):
            for b in range(z_size):
                pair = 0
                for c in range(y_size):
                    at = b * y_size + c
                    count = counts[a * width + at]
                    all_three += logs[count]
                    k_all += count > 0
                    pair += count
                    of_zy[at] += count
                with_z += logs[pair]
                k_xz += pair > 0
                n += pair
        both, alone = np.int64(0), np.int64(0)
        for b in range(z_size):
            level = 0
            for c in range(y_size):
                count = of_zy[b * y_size + c]
                both += logs[count]
                k_zy += count > 0
                level += count
            alone += logs[level]
            k_z += level > 0
        out[:, f] = 0.0
        if n > 0:
            within = (all_three + alone - with_z - both) * unit
            out[0, f] = within / len(zy) + (k_xz + k_zy - k_z - k_all) * 0.5 / len(zy)
            out[1, f] = n
            out[2, f] = (both - all_three) * unit / n + (k_all - k_zy) * 0.5 / n

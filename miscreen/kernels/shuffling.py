"""Random orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import kernel

_U1, _U32 = np.uint64(1), np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
_FACTOR, _TERM = np.uint64(6364136223846793005), np.uint64(1442695040888963407)  # Knuth, MMIX


@kernel
def shuffle(rows: NDArray[np.float64], places: NDArray[np.int64], words: NDArray[np.uint64]) -> None:
    """Deal out what every row has at some places anew among these, every order as likely as any other.

    rows: shape (n, n_columns), written to. places: shape (m,), m < 2^32. words: random, shape (n, ceil(m / 2)); each
    half decides one exchange of Fisher & Yates, as a number below a bound after Lemire (2019), doi:10.1145/3230636.
    O(n m).
    """
    for r in range(len(rows)):
        further = np.uint64(r)  # where a word is rejected, hardly ever
        for i in range(len(places) - 1, 0, -1):
            count = np.uint64(i + 1)
            product = (words[r, i >> 1] >> np.uint64(32 * (i & 1)) & _LOW_HALF) * count
            if product & _LOW_HALF < count:
                least = ((_U1 << _U32) - count) % count
                while product & _LOW_HALF < least:
                    further = (further ^ product) * _FACTOR + _TERM
                    product = (further >> _U32) * count
            one, other = places[i], places[np.int64(product >> _U32)]
            rows[r, one], rows[r, other] = rows[r, other], rows[r, one]

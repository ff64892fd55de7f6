"""Features as small whole numbers, one byte a sample: what mutual information between features is counted on."""

from __future__ import annotations

import numpy as np

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels.bins import frequency_cells
from miscreen.kernels.counts import level_codes
from miscreen.kernels.ranks import present_count


@inner
def _pool_rare(codes, n_levels, most):
    """Keep the `most` - 1 most frequent levels and make one of the others, in place; return how many are left.

    codes: int64, negative = missing. Of equally frequent levels the lower is kept. O(n + levels most).
    """
    if n_levels <= most:
        return n_levels
    counts = np.zeros(n_levels, np.int64)
    for code in codes:
        if code >= 0:
            counts[code] += 1
    for _ in range(most - 1):
        commonest = 0
        for level in range(n_levels):
            if counts[level] > counts[commonest]:
                commonest = level
        counts[commonest] = -1
    kept = 0
    for level in range(n_levels):
        if counts[level] < 0:
            counts[level] = kept
            kept += 1
        else:
            counts[level] = most - 1
    for i in range(len(codes)):
        if codes[i] >= 0:
            codes[i] = counts[codes[i]]
    return most


@kernel
def feature_codes(values, order, discrete, bins, most, codes, sizes):
    """Code features, float64 (n_features, n), NaN = missing: codes (uint8, same shape) below sizes (int64) each.

    A missing value has the code sizes[f]. Continuous features get `bins` bins of equal frequency; discrete ones keep
    their levels, of which the rarest become one where there are more than `most`. order: argsort, NaN last. O(n).
    """
    n = values.shape[1]
    levels = np.empty(n, np.int64)
    for f in range(len(values)):
        if discrete[f]:
            size = _pool_rare(levels, level_codes(values[f], order[f], levels), most)
            for i in range(n):
                codes[f, i] = levels[i] if levels[i] >= 0 else size
            sizes[f] = size
        else:
            codes[f] = bins
            frequency_cells(values[f], order[f][: present_count(values[f], order[f])], bins, codes[f])
            sizes[f] = bins

"""Our methods beside what other libraries offer: the same numbers wherever both claim to compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES
from peers import CLASSES, COMPARISONS, CONTINUOUS, Comparison, largest_difference

N_SAMPLES = 1000
PAIRS = [
    pytest.param(comparison, case, id=f"{comparison.name} | {case}")
    for comparison in COMPARISONS
    if comparison.agrees
    for case in (CLASSES if comparison.classes else CONTINUOUS)
]


@pytest.mark.parametrize(("comparison", "case"), PAIRS)
def test_libraries_agree(comparison: Comparison, case: str) -> None:
    pytest.importorskip(comparison.library)
    features, target = CASES[case].sample(1, N_SAMPLES)
    independent = np.random.default_rng(2).normal(size=N_SAMPLES)
    largest_difference(comparison, np.stack((features, independent)), target)


def test_a_disagreement_is_found() -> None:
    """What the test above leans on does compare: features against others that are close by."""
    comparison = next(c for c in COMPARISONS if c.library == "numpy")
    features, target = CASES["gaussian, r = 0.9"].sample(1, N_SAMPLES)
    shifted = Comparison(**{**vars(comparison), "theirs": lambda f, t: comparison.theirs(f, t) + 1e-6})
    with pytest.raises(AssertionError, match="histogram2d"):
        largest_difference(shifted, features[np.newaxis], target)

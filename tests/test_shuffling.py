"""Random orders, held to a slow reference and to the number of times that each should come."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from miscreen.kernels.shuffling import shuffle


def slowly(row: list[float], places: list[int], words: list[int]) -> list[float]:
    """Fisher & Yates, from the last place on; each half of a word is a fraction of what may be exchanged."""
    row = list(row)
    for i in range(len(places) - 1, 0, -1):
        half = words[i // 2] >> 32 * (i % 2) & (2**32 - 1)
        j = half * (i + 1) // 2**32
        row[places[i]], row[places[j]] = row[places[j]], row[places[i]]
    return row


@pytest.mark.parametrize("n_places", [0, 1, 2, 7, 50])
def test_the_slow_reference(n_places: int) -> None:
    rng = np.random.default_rng(n_places)
    rows = rng.standard_normal((20, 50))
    places = rng.permutation(50)[:n_places]
    words = rng.integers(0, 2**64, (20, (n_places + 1) // 2), dtype=np.uint64)
    expected = [slowly(*three) for three in zip(rows.tolist(), itertools.repeat(places.tolist()), words.tolist())]
    shuffle(rows, places, words)
    assert rows.tolist() == expected


@pytest.mark.parametrize("rejected", [False, True])
def test_every_order_comes_as_often(*, rejected: bool) -> None:
    """Words of 0 are rejected where 2^32 is no multiple of the number of places that are left."""
    n = 120_000
    rows = np.tile(np.arange(5.0), (n, 1))
    words = np.random.default_rng(0).integers(0, 2**64, (n, 2), dtype=np.uint64)
    if rejected:
        words[:, 1] = 0  # both the choice among four, which then is the first, and that among three
    shuffle(rows, np.array([4, 1, 2, 0]), words)
    assert np.all(rows[:, 3] == 3.0)
    counts = Counter(map(tuple, rows.tolist()))
    assert len(counts) == (6 if rejected else 24)
    assert stats.chisquare(list(counts.values())).pvalue > 0.001
    if rejected:
        assert set(rows[:, 0].tolist()) == {4.0}

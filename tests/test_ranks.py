"""Ranks, normal scores and digamma, against SciPy and exact sums."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from miscreen.kernels.digamma import digamma, digamma_table
from miscreen.kernels.margins import ascending_scores
from miscreen.kernels.moments import RANKS, SCORES, stage_table
from miscreen.kernels.ranks import (
    compact,
    compact_target,
    normal_quantile,
    normal_score_table,
    present_count,
    spread_ties,
)
from miscreen.kernels.sorting import argsort_rows


def test_normal_quantile_has_full_precision():
    p = np.concatenate(
        [np.linspace(1e-6, 1 - 1e-6, 4001), 10.0 ** -np.arange(1, 308, 3.0), 1 - 2.0 ** -np.arange(2, 53)]
    )
    ours = np.array([normal_quantile(v) for v in p])
    np.testing.assert_allclose(ours, stats.norm.ppf(p), rtol=4e-15, atol=4e-16)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1001])
def test_score_table_holds_the_quantiles_of_half_ranks(n):
    table = normal_score_table(n)
    assert table.shape == (2 * n - 1,)
    ranks = np.concatenate([np.arange(1, n + 1), np.arange(1, n) + 0.5])
    np.testing.assert_allclose(table, stats.norm.ppf(ranks / (n + 1)), rtol=4e-15, atol=4e-16)
    for part in (table[:n], table[n:]):
        assert np.array_equal(part, -part[::-1])
        assert np.all(np.diff(part) > 0)


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from([np.nan, -1.5, -0.0, 0.0, 2.0, 2.5, 1e300]), min_size=1, max_size=40))
def test_ranks_and_scores_of_tied_and_missing_values(values):
    x = np.array(values)
    present = ~np.isnan(x)
    order = np.argsort(x)
    n = present_count(x, order)
    assert n == present.sum()
    ranks, scores = np.full((2, len(x)), -7.0)
    ranks[order[:n]] = ascending_scores(x, order[:n], stage_table(n, RANKS)) + (n + 1) / 2
    scores[order[:n]] = ascending_scores(x, order[:n], stage_table(n, SCORES))
    assert np.array_equal(ranks[present], stats.rankdata(x[present]))
    assert np.array_equal(ranks[present], naive.average_ranks(x[present]))
    np.testing.assert_allclose(scores[present], stats.norm.ppf(ranks[present] / (n + 1)), rtol=4e-15, atol=4e-16)


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_compaction_is_deletion_by_hand(values, seed):
    x = np.array(values)
    y = np.random.default_rng(seed).integers(0, 5, len(x)).astype(float)
    present = ~np.isnan(x)
    kept, kept_order = np.empty(len(x)), np.empty(len(x), np.intp)
    n = compact(x, np.argsort(x), kept, kept_order)
    assert np.array_equal(kept[:n], x[present])
    assert np.array_equal(kept[:n][kept_order[:n]], np.sort(x[present]))
    assert np.array_equal(np.sort(kept_order[:n]), np.arange(n))
    assert compact_target(x, y, np.argsort(y, kind="stable"), kept, kept_order) == n
    assert np.array_equal(kept[:n], y[present])
    assert np.array_equal(kept_order[:n], np.argsort(y[present], kind="stable"))


def test_digamma_is_exact_to_rounding():
    x = np.concatenate([np.arange(0.5, 60, 0.5), [1e3, 1e6 + 0.5]])
    np.testing.assert_allclose([digamma(v) for v in x], special.digamma(x), rtol=2e-15, atol=2e-15)
    table = digamma_table(300)
    assert np.isnan(table[0]) and len(table) == 301
    np.testing.assert_allclose(table[1:], [naive.harmonic_digamma(m) for m in range(1, 301)], rtol=2e-15, atol=2e-15)
    assert np.array_equal(table[:51], digamma_table(50), equal_nan=True)


@pytest.mark.parametrize("shared", [0, 5, 20])
def test_small_groups_of_ties_are_spread_and_large_ones_kept(shared):
    rng = np.random.default_rng(3)
    n = 60
    x = np.where(rng.random((4, n)) < 0.4, 0.0, np.round(4 * rng.standard_normal((4, n))))
    x[1] = rng.standard_normal(n)
    x[2, rng.random(n) < 0.3] = np.nan
    x[3] = np.clip(x[3], -1, 1)
    order, repeats = np.empty(x.shape, np.intp), np.empty(x.shape, np.bool_)
    argsort_rows(x, order, repeats)
    shuffled = rng.permutation(n)
    places, places_order = np.empty_like(x), np.empty_like(order)
    spread_ties(x, order, repeats, shuffled, 0.15, shared, places, places_order)
    np.testing.assert_array_equal(places[1], x[1])
    np.testing.assert_array_equal(np.isnan(places), np.isnan(x))
    position = np.argsort(shuffled)
    for f in (0, 2, 3):
        count = np.count_nonzero(~np.isnan(x[f]))
        np.testing.assert_array_equal(np.sort(places_order[f]), np.arange(n))
        assert (np.diff(places[f, places_order[f, :count]]) >= 0).all()
        sizes = np.unique(x[f][~np.isnan(x[f])], return_counts=True)[1]
        several = np.count_nonzero(sizes >= 0.15 * count) > 1
        assert several == (f == 3)
        for a in range(n):
            for b in range(n):
                ties = np.count_nonzero(x[f] == x[f, a])
                if x[f, a] < x[f, b]:
                    assert places[f, a] < places[f, b]
                elif x[f, a] == x[f, b] and a != b:
                    if ties < 0.15 * count or (several and ties**2 / count < shared):
                        assert (places[f, a] < places[f, b]) == (position[a] < position[b])
                    else:
                        assert places[f, a] == places[f, b]

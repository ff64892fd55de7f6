"""p-values where a handful of samples decide: outliers that meet, and the few values of a column that are not 0."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from pairs import target_of
from scipy import stats

import miscreen
from miscreen.inference.meetings import Meetings
from miscreen.inference.null import MEETINGS
from miscreen.inference.permutation import Pattern, Permuter, remoteness
from miscreen.model import Floats, Kind


def pattern_of(values: Floats, target: Floats, strata: Any = None) -> Pattern:
    y = target_of(target)
    return Permuter(y, False, 0, strata).pattern(values, Kind.CONTINUOUS, False)


def p_of(x: Floats, y: Floats, method: str, seed: int = 0, **options: Any) -> tuple[float, str]:
    table = np.column_stack([x, y])
    ranking = miscreen.rank(table, "y", method, names=["x", "y"], p_values=True, seed=seed, **options).to_polars()
    return ranking["p_value"][0], ranking["p_method"][0]


@pytest.mark.parametrize("n_groups", [1, 2])
def test_the_share_in_which_outliers_meet(n_groups: int) -> None:
    """Of the m most remote values of either side k meet as the hypergeometric distribution says."""
    n = 3000
    rng = np.random.default_rng(1)
    x, y = (rng.permutation(np.arange(1.0, n + 1) ** 3) for _ in range(2))
    strata = np.arange(n) % n_groups
    pattern = pattern_of(x, y, strata if n_groups > 1 else None)
    for m in (1, 3, 10):
        of_x, of_y = (v >= np.sort(v)[-m] for v in (x, y))
        values = np.isin(pattern.dealing.values, x[of_x])

        def met(orders: Any, values: Any = values, rows: Any = of_y) -> Floats:
            return np.array([np.count_nonzero(rows[order[values]]) for order in orders], dtype=float)

        found = Meetings(pattern, met, 0).least(np.arange(1.0, 4.0), beyond=True)
        counts = np.ones(1)
        for g in range(n_groups):
            here = strata == g
            one = stats.hypergeom(here.sum(), np.sum(of_x & here), np.sum(of_y & here)).pmf(np.arange(m + 1))
            counts = np.convolve(counts, one)
        truth = counts[::-1].cumsum()[::-1][1:4]
        for k in range(1, min(m, 3) + 1):
            if k > 1 or m < 10:
                assert 0.5 * truth[k - 1] <= found[k - 1] <= 1.6 * truth[k - 1], (m, k)


def test_remote_values() -> None:
    values = np.array([0.0, 0.0, 0.0, 5.0, -7.0, 1.0])
    assert remoteness(values, False, False).tolist() == [0, 0, 0, 5, 7, 1]
    assert remoteness(values, False, True).tolist() == [0, 0, 0, 3, 2, 2]
    assert remoteness(np.array([1.0, 1, 1, 2, 2, 3]), True, True).argmax() == 5
    assert remoteness(np.array([-1.7e308, 0.0, 1.0, 1.7e308]), False, False)[0] > 1e308


def test_an_outlier_is_dealt_out_and_not_taken_for_the_commonest_value() -> None:
    x = np.array([-1000.0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    dealing = pattern_of(x, x).dealing
    assert dealing.values[: dealing.dealt[0]].min() == -1000


@pytest.mark.parametrize("size", [100.0, 10_000.0])
@pytest.mark.parametrize("seed", range(3))
def test_one_outlier_that_meets_another(size: float, seed: int) -> None:
    """They meet in one of n arrangements, and the rest decides how large the correlation is then."""
    n = 3000
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    x[17] = y[17] = size
    r = abs(np.corrcoef(x, y)[0, 1])
    rest = np.arange(n) != 17
    hits = 0
    for _ in range(400):
        shuffled = x.copy()
        shuffled[rest] = rng.permutation(x[rest])
        hits += abs(np.corrcoef(shuffled, y)[0, 1]) >= r - 1e-12
    found = [p_of(x, y, "pearson", 10 * seed + other)[0] for other in range(5)]
    assert hits > 10
    assert 0.5 < np.exp(np.mean(np.log(found))) / (hits / 400 / n) < 3  # the largest of several estimates is taken


@pytest.mark.parametrize("method", ["spearman", "copula", "auto"])
def test_a_few_values_that_are_not_zero(method: str) -> None:
    """Of 8 such values on either side 3 coincide: hypergeometric, times what the three make of the statistic."""
    n, k, c = 2000, 8, 3
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        x, y = np.zeros((2, n))
        x[:k] = rng.exponential(size=k)
        y[k - c : 2 * k - c] = rng.exponential(size=k)
        p, how = p_of(x, y, method)
        most = stats.hypergeom(n, k, k).sf(c - 1)
        assert 0.01 * most < p < 3 * most, (seed, how)


def test_heavy_tails_make_no_discoveries() -> None:
    rng = np.random.default_rng(3)
    n, m = 1500, 400
    x, y = rng.standard_cauchy((n, m)), rng.standard_cauchy(n)
    names = [*(f"x{i}" for i in range(m)), "y"]
    p = miscreen.rank(np.column_stack([x, y]), "y", "pearson", names=names, p_values=True).to_polars()["p_value"]
    assert p.min() > 1e-5
    assert stats.kstest(p, "uniform", alternative="greater").pvalue > 1e-3


def test_dependence_of_all_samples_is_left_as_it_is() -> None:
    """Nothing remote decides here: the exact distribution of a correlation, with missing values."""
    rng = np.random.default_rng(2)
    n = 400
    y = rng.normal(size=n)
    for exponent in (6, 9):
        x = rng.normal(size=n)
        x[rng.random(n) < 0.1] = np.nan
        kept = ~np.isnan(x)
        free = kept.sum() - 2
        t = stats.t.isf(10.0**-exponent / 2, free)
        r = t / math.sqrt(free + t * t)
        rest, along = x[kept] - x[kept].mean(), y[kept] - y[kept].mean()
        along /= np.linalg.norm(along)
        rest -= along * (rest @ along)
        x[kept] = r * along + math.sqrt(1 - r * r) * rest / np.linalg.norm(rest)
        p, _ = p_of(x, y, "pearson")
        assert abs(math.log10(p) + exponent) < 1.5


def test_p_values_fall_as_the_statistic_rises() -> None:
    rng = np.random.default_rng(4)
    n = 500
    y = rng.standard_cauchy(n)
    x = rng.permutation(y)
    from miscreen.estimators import estimator_class
    from miscreen.inference.null import OWN, Null

    target = target_of(y)
    of = estimator_class("pearson")
    estimator = of(target, of.make_options({}))
    null = Null(Permuter(target, False, 0, None).pattern(x, Kind.CONTINUOUS, False), estimator, OWN)
    observed = np.linspace(0, 3, 200)
    p, how = null.p_values(observed)
    assert MEETINGS in set(how)
    assert all(a >= b for a, b in itertools.pairwise(p[np.flatnonzero(how != "permutation")]))

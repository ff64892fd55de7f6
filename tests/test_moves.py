"""The tail of nulls that chains would not move in by themselves: small strata, rare classes, sparse columns."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from pairs import target_of
from scipy import stats

from miscreen.estimators import estimator_class
from miscreen.estimators.estimator import Estimator
from miscreen.inference.chi_square import EXACT
from miscreen.inference.moves import FEW, Moves
from miscreen.inference.null import OWN, SHARED, Effort, Null
from miscreen.inference.permutation import Pattern, Permuter, generator
from miscreen.inference.tables import Tables, _least_tables, _tables
from miscreen.model import Batch, Floats, Kind, Scores, Target


class SizeOfSum(Estimator):
    """An estimator of nothing but the size of the sum of products."""

    def __init__(self, target: Target, options: Any) -> None:
        self._centered = target.values - target.values.mean()

    def score(self, batch: Batch) -> Scores:
        return Scores(np.abs(batch.values @ self._centered).round(9), "given")


def pattern_of(values: Any, target: Target, *, by_rank: bool = False, strata: Any = None, seed: int = 0) -> Pattern:
    return Permuter(target, by_rank, seed, strata).pattern(np.array(values, float), Kind.CONTINUOUS, False)


def p_values(
    x: Floats, target: Target, method: str, effort: Effort, observed: Floats, seeds: int, strata: Any = None
) -> Floats:
    """One row a seed."""
    cls = estimator_class(method)
    estimator = cls(target, cls.make_options({}))
    found = []
    for seed in range(seeds):
        pattern = pattern_of(x, target, by_rank=estimator.margin_free, strata=strata, seed=seed)
        found.append(Null(pattern, estimator, effort).p_values(observed)[0])
    return np.array(found)


def every_order(n: int) -> Any:
    return np.array(list(itertools.permutations(range(n))))


STEPS = {
    "a share": lambda moves, orders, random: moves.deal_anew(orders, 0.5, random),
    "hardly any": lambda moves, orders, random: moves.deal_anew(orders, 0.01, random),
    "an exchange": lambda moves, orders, random: moves.exchange(orders, random),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_move_is_as_likely_as_the_way_back(step: str) -> None:
    y = np.array([1.0, 0.0, 2.0, 0.0, 2.0])
    moves = Moves(pattern_of([3.0, 1.0, 1.0, 2.0, 5.0], target_of(y)))
    orders, random = every_order(5), generator(b"moves")
    place = {order: i for i, order in enumerate(map(tuple, orders.tolist()))}
    counts = np.zeros((120, 120))
    for _ in range(1500):
        moved = STEPS[step](moves, orders, random)
        np.add.at(counts, (np.arange(120), [place[order] for order in map(tuple, moved.tolist())]), 1)
    there, back = counts[np.triu_indices(120, 1)], counts.T[np.triu_indices(120, 1)]
    some = there + back > 20
    assert some.sum() > 300
    assert stats.chi2(some.sum()).sf(np.sum((there - back)[some] ** 2 / (there + back)[some])) > 1e-3
    assert counts.trace() < 0.8 * counts.sum()


def test_moves_keep_to_groups_and_all_groups_are_moved() -> None:
    strata = np.array([0, 0, 1, 1, 1, 2, 3, 3])
    pattern = pattern_of(np.arange(8.0), target_of(np.arange(8.0)), strata=strata)
    moves, random = Moves(pattern), generator(b"groups")
    orders = pattern.dealing.orders(np.arange(4))
    for share in (0.001, 0.3, 1.0):
        seen = np.zeros(8, dtype=bool)
        for _ in range(200):
            moved = moves.deal_anew(orders, share, random)
            assert np.array_equal(strata[moved], strata[orders])
            assert np.array_equal(np.sort(moved, axis=1), np.sort(orders, axis=1))
            seen |= (moved != orders).any(axis=0)
            if share < 0.01:
                assert np.all((moved != orders).sum(axis=1) <= 2)
        assert np.array_equal(seen, np.bincount(strata)[strata[orders[0]]] > 1)
    alone = Moves(pattern_of(np.arange(3.0), target_of(np.arange(3.0)), strata=np.arange(3)))
    assert alone.deal_anew(np.array([[0, 1, 2]]), 0.5, random).tolist() == [[0, 1, 2]]


def test_what_is_few() -> None:
    rng = np.random.default_rng(0)
    n = 400
    normal, classes = rng.standard_normal(n), np.repeat([0.0, 1.0], n // 2)
    sparse = np.where(np.arange(n) < FEW - 1, normal, 0.0)
    rare = np.where(np.arange(n) < FEW - 1, 2.0, classes)
    heavy = np.where(np.arange(n) == 7, 1000.0, normal)

    def few(values: Any, target: Any, **options: Any) -> bool:
        return Moves(pattern_of(values, target_of(target), **options)).among_few

    assert not few(normal, normal) and not few(classes, normal) and not few(normal, classes)
    assert few(sparse, normal) and few(rare, normal) and few(normal, rare)
    assert few(heavy, normal) and few(normal, heavy) and not few(heavy, heavy, by_rank=True)
    assert few(heavy * 1.7e305, normal)  # whose distance from the middle has no square
    labels = Permuter(target_of(normal), False, 0, None).pattern(np.arange(n) % 3.0, Kind.DISCRETE, True)
    assert not Moves(labels).among_few


@pytest.mark.parametrize(("size", "slope"), [(2, 0.7), (3, 0.5), (4, 0.55)])
def test_small_strata(size: int, slope: float) -> None:
    """Pairs and the like: the distribution of a sum of products over strata is a convolution."""
    rng = np.random.default_rng(5)
    n = 200 // size * size
    y = rng.standard_normal(n)
    x = rng.standard_normal(n) + slope * y
    products = x - x.mean(), y - y.mean()
    total = abs(products[0] @ products[1])
    step = total / 20_000
    shares, least = np.ones(1), 0
    for start in range(0, n, size):
        a, b = (of[start : start + size] for of in products)
        sums = np.round([a[list(order)] @ b for order in itertools.permutations(range(size))] / np.array(step))
        of_group = np.bincount((sums - sums.min()).astype(int)) / len(sums)
        shares, least = np.convolve(shares, of_group), least + int(sums.min())
    truth = shares[np.abs((np.arange(len(shares)) + least) * step) >= total].sum()
    assert 1e-11 < truth < 1e-5
    target = target_of(y)
    cls = estimator_class("pearson")
    score = cls(target, cls.make_options({})).statistic(Batch(x[np.newaxis], Kind.CONTINUOUS, np.zeros(1, dtype=bool)))
    found = np.log10(p_values(x, target, "pearson", OWN, score, 6, np.arange(n) // size) / truth)
    assert abs(found.mean()) < 0.5 and np.abs(found).max() < 1.5


def rank_sums(n: int, k: int) -> Floats:
    """How often each sum of k of the ranks 1 to n comes up."""
    counts = np.zeros((k + 1, k * n + 1))
    counts[0, 0] = 1.0
    for rank in range(1, n + 1):
        for j in range(min(k, rank), 0, -1):
            counts[j, rank:] += counts[j - 1, : k * n + 1 - rank]
    shares: Floats = counts[k] / counts[k].sum()
    return shares


@pytest.mark.parametrize(("n", "k"), [(200, 6), (500, 5), (1000, 30)])
@pytest.mark.parametrize("side", ["rare class", "sparse column"])
def test_few_samples_of_a_class_or_few_values(side: str, n: int, k: int) -> None:
    """Spearman's correlation with two levels is the sum of k ranks, whose distribution is counted."""
    if side == "rare class":
        target, x, effort = target_of(np.arange(n) < k, Kind.DISCRETE), np.arange(float(n)), SHARED
    else:
        target, x, effort = target_of(np.arange(n)), (np.arange(n) < k).astype(float), OWN
    shares = rank_sums(n, k)
    far = np.abs(np.arange(len(shares)) - k * (n + 1) / 2)
    farther = np.array([shares[far >= distance].sum() for distance in far.tolist()])
    largest = k * (n - k) / 2
    top = np.corrcoef(np.arange(n) >= n - k, np.arange(n))[0, 1]
    observed, truth = [], []
    for level in (1e-5, 1e-7, 1e-9):
        i = int(np.argmin(np.abs(np.log(np.maximum(farther, 1e-300)) - math.log(level))))
        r = top * far[i] / largest
        observed.append(-0.5 * math.log1p(-((2 * math.sin(math.pi * r / 6)) ** 2)))
        truth.append(farther[i])
    found = np.log10(p_values(x, target, "spearman", effort, np.array(observed), 8) / np.array(truth))
    assert np.all(np.abs(found.mean(axis=0)) < (0.2, 0.3, 0.5))
    assert np.abs(found).max() < 1.5


@pytest.mark.parametrize(("rows", "columns"), [([5, 40], [20, 15, 10]), ([3, 2, 25], [18, 12]), ([30, 30], [1, 59])])
def test_all_tables_of_two_columns_of_levels(rows: list[int], columns: list[int]) -> None:
    x, y = (np.repeat(np.arange(float(len(of))), of) for of in (rows, columns))
    target = target_of(y)
    pattern, estimator = pattern_of(x, target, by_rank=True), SizeOfSum(target, None)

    def size_of_sum(orders: Any) -> Floats:
        return estimator.arranged(pattern.dealing, orders)

    drawn = size_of_sum(pattern.dealing.orders(np.arange(200_000)))
    observed = np.unique(drawn)
    p = Tables(pattern, size_of_sum).p_values(observed)
    assert p is not None
    assert p[0] == pytest.approx(1, abs=1e-12)
    shares = 1 - np.searchsorted(np.sort(drawn), observed) / len(drawn)
    assert np.all(np.abs(p - shares) <= 5 * np.sqrt(p * (1 - p) / len(drawn)) + 1e-9)
    p_null, how = Null(pattern, estimator, OWN).p_values(observed[-1:])
    if p[-1] < 1e-4:
        assert how[0] == EXACT and p_null[0] == pytest.approx(p[-1])


def test_what_surely_are_too_many_tables_is_seen_at_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, columns = (rng.multinomial(14, rng.dirichlet(np.ones(rng.integers(2, 4)))) for _ in range(2))
        rows, columns = rows[rows > 0], columns[columns > 0]
        if len(rows) > 1 < len(columns):
            number = sum(1 for _ in _tables(rows.tolist(), columns.tolist()))
            least = _least_tables(rows, columns)
            assert 1 <= least <= number
            assert least == number or min(len(rows), len(columns)) > 2
    assert _least_tables(np.full(50, 14), np.full(10, 70)) > 1000


@pytest.mark.parametrize(("x", "strata"), [(np.arange(60.0), None), (np.arange(60.0) < 5, np.arange(60) % 2)])
def test_tables_are_too_many_without_ties_and_with_strata(x: Any, strata: Any) -> None:
    pattern = pattern_of(x, target_of(np.arange(60) < 20), strata=strata)
    assert Tables(pattern, lambda orders: np.zeros(len(orders))).p_values(np.zeros(1)) is None

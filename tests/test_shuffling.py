"""Random orders, held to the number of times that each should come."""

from __future__ import annotations

import math
from collections import Counter

import naive
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from miscreen.kernels.shuffling import deal, lay_out_values, stir

KEY = np.array([3, 4], dtype=np.uint64)


def dealt(samples: list[int], starts: list[int], counts: list[int], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    orders = np.empty((len(numbers), len(samples)), dtype=np.int64)
    deal(np.array(samples), np.array(starts), np.array(counts), KEY, numbers, orders)
    return orders


def evenly(orders: NDArray[np.int64], n_possible: int) -> bool:
    counts = Counter(map(tuple, orders.tolist()))
    assert len(counts) == n_possible
    return bool(stats.chisquare(list(counts.values())).pvalue > 0.001)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_every_order_comes_as_often(n: int) -> None:
    orders = dealt(list(range(n)), [0, n], [n], np.arange(50_000))
    assert np.all(np.sort(orders) == np.arange(n))
    assert evenly(orders, math.factorial(n))


def test_the_first_places_alone_matter_where_no_more_are_dealt() -> None:
    orders = dealt([4, 1, 2, 0, 7], [0, 5], [2], np.arange(50_000))
    assert np.all(np.sort(orders) == [0, 1, 2, 4, 7])
    assert evenly(orders[:, :2], 20)


def test_groups_keep_their_samples() -> None:
    orders = dealt([5, 3, 0, 1, 2], [0, 2, 5], [2, 3], np.arange(50_000))
    assert np.all(np.sort(orders[:, :2]) == [3, 5])
    assert evenly(orders, 2 * 6)


def test_an_arrangement_is_that_of_its_number_and_key() -> None:
    whole = dealt(list(range(30)), [0, 30], [30], np.arange(20))
    assert dealt(list(range(30)), [0, 30], [30], np.array([7, 3])).tolist() == whole[[7, 3]].tolist()
    assert len(set(map(tuple, whole.tolist()))) == 20
    other = np.empty_like(whole)
    deal(np.arange(30), np.array([0, 30]), np.array([30]), KEY + np.uint64(2), np.arange(20), other)
    assert not np.any(np.all(other == whole, axis=1))


@pytest.mark.parametrize(
    ("starts", "counts"), [([0, 1], [1]), ([0, 63, 64, 300], [63, 0, 230]), ([0, 300_000], [300_000])]
)
def test_orders_are_those_of_the_slow_reference(starts: list[int], counts: list[int]) -> None:
    """Among 300,000 samples some words are thrown away."""
    samples = list(range(starts[-1]))[::-1]
    order = dealt(samples, starts, counts, np.array([5]))[0]
    assert order.tolist() == naive.deal_out(samples, starts, counts, KEY.tolist(), 5)


def test_values_go_to_the_samples_of_an_order() -> None:
    rows = np.full((2, 4), np.nan)
    lay_out_values(np.array([1.0, 2.0, 9.0]), np.array([[0, 1, 3], [3, 0, 1]]), rows)
    assert np.array_equal(rows, [[1.0, 2.0, np.nan, 9.0], [2.0, 9.0, np.nan, 1.0]], equal_nan=True)


def test_some_places_are_dealt_out_among_themselves() -> None:
    orders = np.tile(np.arange(5), (50_000, 1))
    stir(orders, np.array([0, 5]), np.array([4]), KEY)
    moved = (orders != np.arange(5)).any(axis=0)
    assert np.count_nonzero(moved) == 4  # the same in all
    assert evenly(orders, 24)
    orders = np.tile(np.arange(7), (50_000, 1))
    stir(orders, np.array([0, 3, 4, 7]), np.array([2, 0, 3]), KEY)
    assert np.all(np.sort(orders[:, :3]) == [0, 1, 2])
    assert np.all(orders[:, 3] == 3)
    assert np.all(np.sort(orders[:, 4:]) == [4, 5, 6])
    assert evenly(orders, 12)


def test_places_are_chosen_evenly() -> None:
    chosen = np.zeros((2000, 4), dtype=np.int64)
    for i in range(len(chosen)):
        orders = np.tile(np.arange(4), (50, 1))
        stir(orders, np.array([0, 4]), np.array([2]), np.array([i, 1], dtype=np.uint64))
        chosen[i] = (orders != np.arange(4)).any(axis=0)
    assert np.all(chosen.sum(axis=1) == 2)
    assert evenly(chosen, 6)

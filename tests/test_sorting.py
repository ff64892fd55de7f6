"""The order of samples, held to NumPy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from miscreen.kernels.sorting import argsort_rows, count_present


def check(values):
    order, repeats = np.empty(values.shape, dtype=np.intp), np.empty(values.shape, dtype=bool)
    argsort_rows(values, order, repeats)
    np.testing.assert_array_equal(order, np.argsort(values, axis=1, kind="stable"))
    ascending = np.take_along_axis(values, order, axis=1)
    assert not repeats[:, 0].any()
    np.testing.assert_array_equal(repeats[:, 1:], ascending[:, 1:] == ascending[:, :-1])


@settings(deadline=None)  # the first call may compile
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 40)),
        elements=st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324]),
    )
)
def test_any_floats_are_ordered_as_a_stable_sort_does(values):
    check(values)


def test_wide_rows_of_every_sort():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(3000)
    rows = [x, x.astype(np.float32), x.round(1), 1 + 1e-16 * x, np.exp(150 * x), np.where(x > 1, np.nan, x), 0 * x, -x]
    check(np.array(rows, dtype=np.float64))


@pytest.mark.parametrize("n", [1, 2, 255, 1000, 2049, 9000, 20_000, 140_000])
def test_values_that_are_spread_unevenly(n):
    rng = np.random.default_rng(1)
    x, steps = rng.standard_normal(n), rng.permutation(n)
    rows = [
        1 + 1e-12 * steps,
        5e-324 * steps,  # a range whose inverse is no number
        np.where(steps % 2, 1e308, -1e308) * (1 + 1e-9 * x),  # a range that is no number
        np.where(x > 0, 1.0, 0.0) + 1e-9 * x,
        np.where(steps == 0, 1e12, x),
        np.where(steps == 0, np.inf, np.where(steps == 1, -np.inf, x)),
        np.exp(3 * x),
        np.floor(3 * rng.random(n)),
        np.maximum(x, 0),
    ]
    check(np.array(rows))


def test_what_is_present_and_how_many_differ():
    values = np.array([[2.0, np.nan, 1.0, 2.0], [np.nan] * 4, [0.0, -0.0, 3.0, np.inf], [4.0, 3.0, 2.0, 1.0]])
    order, repeats = np.empty(values.shape, dtype=np.intp), np.empty(values.shape, dtype=bool)
    argsort_rows(values, order, repeats)
    present, levels = np.empty(4, np.int64), np.empty(4, np.int64)
    count_present(values, order, repeats, present, levels)
    assert present.tolist() == [3, 0, 4, 4]
    assert levels.tolist() == [2, 0, 3, 4]

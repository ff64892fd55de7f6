"""Kernels as Python calls them: what they take and give, and that nothing they call is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from miscreen.kernels._jit import inner, kernel
from miscreen.kernels._machine import _provide


@inner
def halved(value: Any) -> Any:
    return 0.5 * value


@kernel
def several(values: Any, pair: Any, scale: Any, twice: Any) -> Any:
    made = np.empty((2, len(values)))
    for i in range(len(values)):
        made[0, i] = halved(values[i]) * scale
        made[1, i] = pair[0][i] + pair[1]
    return made, made.size + twice, twice


@kernel
def total(values: Any) -> Any:
    found = 0.0
    for row in values:
        for value in row:
            found += value
    return found


@kernel
def same(number: Any) -> Any:
    return number


@kernel
def nothing(values: Any) -> None:
    values[:] = 7


@kernel
def too_much(n: Any) -> Any:
    return np.empty(n)


def test_arrays_tuples_and_numbers_go_in_and_come_out() -> None:
    values, others = np.arange(5.0), np.arange(5)
    made, size, twice = several(values, (others, 3), 4.0, True)
    np.testing.assert_array_equal(made, [values * 2, others + 3])
    assert (size, twice) == (11, True)
    assert made.flags.writeable
    assert made.flags.owndata


@pytest.mark.parametrize("number", [True, 3, 0.5, np.True_, np.int64(-3), np.uint64(2**64 - 1), np.float64(0.5)])
def test_numbers_of_numpy_are_as_good_as_those_of_python(number: Any) -> None:
    assert same(number) == number


def test_arrays_need_not_be_contiguous_and_may_be_empty() -> None:
    whole = np.arange(24.0).reshape(4, 6)
    assert total(whole) == whole.sum()
    assert total(whole[::2, ::-3]) == whole[::2, ::-3].sum()
    assert total(whole.T) == whole.sum()
    assert total(np.empty((0, 3))) == 0.0


def test_what_gives_nothing_gives_none() -> None:
    values = np.zeros(3, np.uint8)
    assert nothing(values) is None  # type: ignore[func-returns-value]
    assert values.tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    "wrong", ["text", None, [1.0], np.zeros(2, ">f8"), np.zeros(9, np.uint8)[1:].view(np.float64), np.zeros(2, "M8[s]")]
)
def test_what_no_kernel_takes_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="no kernel takes"):
        nothing(wrong)


def test_memory_that_is_not_there_is_an_error_of_memory() -> None:
    assert len(too_much(3)) == 3
    with pytest.raises(MemoryError, match="too_much"):
        too_much(1 << 59)


def test_what_a_processor_lacks_is_found_or_refused() -> None:
    import llvmlite.binding as llvm

    _provide("__udivti3")  # division of 128 bits, which LLVM takes for granted
    assert llvm.address_of_symbol("__udivti3")
    with pytest.raises(ValueError, match="__no_such_thing"):
        _provide("__no_such_thing")

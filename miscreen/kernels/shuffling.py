"""Random orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import inner, kernel

_U1, _U32 = np.uint64(1), np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
_STRIP = 64  # numbers drawn together
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MIX, _SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@inner
def _mixed(state):
    """A random word for each state: the finaliser of SplitMix64, Steele et al. (2014), doi:10.1145/2660193.2660195."""
    word = (state ^ (state >> np.uint64(30))) * _FIRST_MIX
    word = (word ^ (word >> np.uint64(27))) * _SECOND_MIX
    return word ^ (word >> np.uint64(31))


@inner
def _below(count, state, step):
    """A number from 0 to count - 1, each as likely (count < 2^32, uint64), and the state after it. O(1).

    Lemire (2019), doi:10.1145/3230636.
    """
    state += step
    product = (_mixed(state) >> _U32) * count
    if product & _LOW_HALF < count:
        least = ((_U1 << _U32) - count) % count
        while product & _LOW_HALF < least:
            state += step
            product = (_mixed(state) >> _U32) * count
    return product >> _U32, state


@inner
def deal_out(samples, starts, dealt, key, number, order):
    """Write a random order of the samples of each group: arrangement `number` of those that the key has.

    samples: int64, group by group; starts: int64, where groups begin, and the end; dealt: int64, how many places of
    each group matter, from its first on: what comes after is in no order. Fisher & Yates; O(samples).
    """
    for i in range(len(samples)):
        order[i] = samples[i]
    state, step = _mixed(key[0] + np.uint64(number) * _GOLDEN), key[1] | _U1
    further = np.empty(_STRIP, np.uint64)
    for g in range(len(dealt)):
        left = np.uint64(starts[g + 1] - starts[g])
        for start in range(starts[g], starts[g] + dealt[g], _STRIP):
            count = min(_STRIP, starts[g] + dealt[g] - start)
            again = np.uint64(0)
            for i in range(count):  # what `_below` does, in vectors
                product = (_mixed(state + np.uint64(i + 1) * step) >> _U32) * (left - np.uint64(i))
                again |= np.uint64(product & _LOW_HALF < left - np.uint64(i))
                further[i] = product >> _U32
            if again == 0:
                state += np.uint64(count) * step
            else:  # of these numbers one may be thrown away, which moves all that follow it
                for i in range(count):
                    further[i], state = _below(left - np.uint64(i), state, step)
            for i in range(count):
                one, other = np.uint64(start + i), np.uint64(start + i) + further[i]
                order[one], order[other] = order[other], order[one]
            left -= np.uint64(count)


@inner
def arrangement(r, samples, starts, dealt, key, first, orders, order):
    """Write an arrangement: row r of those given, or where there are none the random one of number `first` + r."""
    if len(orders) > 0:
        for i in range(len(samples)):
            order[i] = orders[r, i]
    else:
        deal_out(samples, starts, dealt, key, first + r, order)


@kernel
def deal(
    samples: NDArray[np.int64],
    starts: NDArray[np.int64],
    dealt: NDArray[np.int64],
    key: NDArray[np.uint64],
    numbers: NDArray[np.int64],
    orders: NDArray[np.int64],
) -> None:
    """Write the arrangements of some numbers, one a row; see `deal_out`. O(samples) each."""
    for r in range(len(numbers)):
        deal_out(samples, starts, dealt, key, numbers[r], orders[r])


@kernel
def lay_out_values(values: NDArray[np.float64], orders: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
    """Write value i to the sample that each order has at place i. O(orders)."""
    for r in range(len(orders)):
        for i in range(len(values)):
            rows[r, orders[r, i]] = values[i]


@kernel
def stir(
    orders: NDArray[np.int64], starts: NDArray[np.int64], counts: NDArray[np.int64], key: NDArray[np.uint64]
) -> None:
    """Deal out what every order has at some places anew among these, every way as likely as any other.

    starts: where groups of places begin, and the end; counts: of how many in each, the same for all orders, and all
    choices as likely. O(places) once, and O(counts) for every order.
    """
    state, step = _mixed(key[0]), key[1] | _U1
    places = np.empty(starts[len(counts)], np.int64)
    for i in range(len(places)):
        places[i] = i
    for g in range(len(counts)):
        for i in range(starts[g], starts[g] + counts[g]):
            further, state = _below(np.uint64(starts[g + 1] - i), state, step)
            other = i + np.int64(further)
            places[i], places[other] = places[other], places[i]
    for r in range(len(orders)):
        for g in range(len(counts)):
            start = starts[g]
            for i in range(start + counts[g] - 1, start, -1):
                further, state = _below(np.uint64(i - start + 1), state, step)
                one, other = places[i], places[start + np.int64(further)]
                orders[r, one], orders[r, other] = orders[r, other], orders[r, one]

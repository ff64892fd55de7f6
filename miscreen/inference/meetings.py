"""Arrangements in which some of the most remote values of a feature meet some of the most remote of the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.inference.permutation import Orders, Pattern, generator
from miscreen.inference.tail import exponential_shares
from miscreen.model import Floats

_SETS = ((1, 1), (3, 1), (10, 1), (30, 1), (3, 2), (10, 2), (30, 2), (3, 3), (10, 3))  # values of each side, meetings
_DRAWS = 100  # arrangements for each
_TOGETHER = 50
_SELDOM = 0.02  # what comes up more often is drawn anyway
_TOLD = 3  # of them that reach a statistic tell its share; of fewer the best _TAIL do
_TAIL = 10
_MARGIN = 0.5  # on the mean of their exceedances, since the largest of several estimates is taken
_STREAM = 1 << 32  # beyond the counters of other random numbers of a pattern


class Meetings:
    """What chance makes of a statistic when some remote values meet, however seldom they do.

    One outlier of a feature that falls on one of the target can make a correlation of 0.9. It does so in one of n
    arrangements, which a few thousand draws, and small steps from the best of them, may miss; the tail they show then
    ends far below, and what is extrapolated from it is too small by any number of powers of ten.

    Parameters
    ----------
    pattern : Pattern
    evaluate : callable
        Statistics of arrangements, one a row.
    first : int
        Number of the first of the random arrangements to use.

    Notes
    -----
    Of m values of each side, k are paired at random; all others are dealt out at random. An arrangement in which c of
    the m meet so comes up in proportion to binomial(c, k), and the share of all arrangements that reach a statistic is
    the mean over those drawn of 1 / binomial(c, k) if they do, times the expected number of such pairings (importance
    sampling). Where fewer than k meet is left out: each share is at most the whole. Up to 900 statistics, and O(n)
    beside each; 50 arrangements are held at a time.
    """

    def __init__(self, pattern: Pattern, evaluate: Callable[[Orders], Floats], first: int) -> None:
        self._shares: list[tuple[Floats, Floats]] = []  # statistics, ascending, and of the best 1, 2, ... the share
        values, samples = _remotest(pattern)
        for m, k in _SETS:
            if k > min(len(values), len(samples)):
                continue
            if _pairings(values[:m], samples[:m], k) > _SELDOM * math.perm(len(samples), k):
                continue
            random = generator(pattern.key, m, k, _STREAM)
            parts: list[tuple[Floats, Floats]] = []
            for _ in range(0, _DRAWS, _TOGETHER):
                orders, weights = _draw(pattern, values[:m], samples[:m], k, first, random)
                parts.append((evaluate(orders), weights))
                first += _TOGETHER
            found, weights = (np.concatenate(of) for of in zip(*parts, strict=True))
            if len(found) < _TAIL:
                continue
            order = np.argsort(found, kind="stable")
            self._shares.append((found[order], np.cumsum(weights[order[::-1]]) / _DRAWS))

    def least(self, observed: Floats, *, beyond: bool) -> Floats:
        """The share of all arrangements that reach each statistic, at least; 0 where nothing is known.

        `beyond` the best that were drawn it is that of an exponential tail, or nothing.
        """
        found = np.zeros(len(observed))
        for statistics, shares in self._shares:
            reached = len(statistics) - np.searchsorted(statistics, observed)
            share = np.concatenate(([0.0], shares))[reached]
            few = reached < _TOLD
            threshold = statistics[-_TAIL]
            tail = exponential_shares(statistics[-_TAIL:] - threshold, observed[few] - threshold, _MARGIN)
            # At most the share that is told, so that it falls as the statistic rises.
            share[few] = np.minimum(shares[_TAIL - 1] * tail, shares[_TOLD - 1]) if beyond else 0.0
            found = np.fmax(found, share)  # NaN tells nothing
        return np.minimum(found, 1.0)


def _remotest(pattern: Pattern) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Places of values other than the commonest, and samples, those first that are the most remote."""
    dealing = pattern.dealing
    ranges = zip(dealing.starts[:-1].tolist(), dealing.dealt.tolist(), strict=True)
    places = np.concatenate([np.arange(start, start + dealt) for start, dealt in ranges])
    places = places[np.argsort(-pattern.remote_values[places], kind="stable")]
    return places, dealing.samples[np.argsort(-pattern.remote_targets[dealing.samples], kind="stable")]


def _pairings(values: NDArray[np.intp], samples: NDArray[np.int64], k: int) -> int:
    """How many ways there are for k of the values to meet k of the samples."""
    return math.comb(len(values), k) * math.comb(len(samples), k) * math.factorial(k)


def _draw(
    pattern: Pattern, values: NDArray[np.intp], samples: NDArray[np.int64], k: int, first: int, random: Any
) -> tuple[Orders, Floats]:
    """Arrangements in which at least k of the values at some places meet some samples, and what each counts for.

    Fewer where there are groups, of which values do not leave theirs.
    """
    dealing = pattern.dealing
    orders, rows = dealing.orders(np.arange(first, first + _TOGETHER)), np.arange(_TOGETHER)
    some = random.permuted(np.tile(values, (_TOGETHER, 1)), axis=1)[:, :k]
    others = random.permuted(np.tile(samples, (_TOGETHER, 1)), axis=1)[:, :k]
    place_of = np.full(dealing.template.values.shape[1], -1)
    place_of[dealing.samples] = np.arange(len(dealing.samples))
    group, other_group = (np.searchsorted(dealing.starts, of, side="right") for of in (some, place_of[others]))
    weights = np.full(_TOGETHER, float(_pairings(values, samples, k)))
    for j in range(k):  # the chance of each pair, after those before it
        sizes = np.diff(dealing.starts)[group[:, j] - 1]
        weights /= sizes - np.count_nonzero(group[:, :j] == group[:, j : j + 1], axis=1)
        place, sample = some[:, j], others[:, j]
        instead = np.argmax(orders == sample[:, np.newaxis], axis=1)
        orders[rows, instead], orders[rows, place] = orders[rows, place], sample
    kept = np.flatnonzero((group == other_group).all(axis=1))
    orders = orders[kept]
    met = np.isin(orders[:, values], samples).sum(axis=1)
    return orders, weights[kept] / [math.comb(c, k) for c in met.tolist()]

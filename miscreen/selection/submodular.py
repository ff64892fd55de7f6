"""Columns that stand for all others: facility location, aimed at a target."""

from __future__ import annotations

import heapq
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import ResourceError
from miscreen.model import Floats
from miscreen.resources import format_bytes
from miscreen.selection.strategy import Choice, Pool, Strategy

_NAT = 1 << 24  # whole numbers of these make sums exact, so that a bound on a gain is one


class Submodular(Strategy):
    """The columns S that maximise the sum over all candidates x of min(max over s in S of I(x;s), I(x;y)).

    A candidate is covered as far as a column chosen tells about it, but for no more than it tells about the target y.

    Notes
    -----
    The facility location form of submodular mutual information with the target as the query: Iyer, Khargonkar, Bilmes
    and Asnani (2021), Proceedings of ALT, PMLR 132:722. The sum is monotone and submodular, so that greedy choice
    reaches at least 1 - 1/e of the largest possible: Nemhauser, Wolsey and Fisher (1978), doi:10.1007/BF01588971; gains
    are worked out anew only where an earlier one, which bounds them, says that they might be the largest: Minoux
    (1978), doi:10.1007/BFb0006528. Estimates below 0 count as 0 here, since a cover cannot be negative.
    O(candidates^2 (n + cells)) in time, and 4 candidates^2 bytes.
    """

    axes: ClassVar[int] = 2
    needs_target: ClassVar[bool] = True
    most_candidates: ClassVar[int] = 2_000

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes

    def choose(self, pool: Pool, count: int | None) -> Choice:
        """Choose `count` candidates by lazy greedy."""
        information = pool.known
        size = len(information)
        if 4 * size**2 > self._memory_bytes:
            raise ResourceError(
                f"what {size:,} candidates tell about each other takes {format_bytes(4 * size**2)}, and "
                f"{format_bytes(self._memory_bytes)} can be used for it",
                "Lower --pool, or give more --memory",
            )
        worth = _whole(information.relevance)
        covers = np.empty((size, size), dtype=np.int32)  # row j: how much of each candidate j covers
        for j in range(size):
            mi = _whole(information.with_column(information.candidates[j], first=j))
            covers[j, j:] = covers[j:, j] = mi
        np.minimum(covers, worth, out=covers)
        covered = np.zeros(size, dtype=np.int32)
        for z in pool.given:
            np.maximum(covered, np.minimum(_whole(information.with_column(z)), worth), out=covered)

        def gain(j: int) -> int:
            return int(np.maximum(covers[j] - covered, 0).sum(dtype=np.int64))

        alone = covers.sum(axis=1, dtype=np.int64)
        bounds = [(-gain(j), j, 0) for j in range(size)]  # less its gain, a candidate, and when that was the gain
        heapq.heapify(bounds)
        steps: list[int] = []
        gains: list[int] = []
        while bounds and len(steps) < (count or size):
            bound, j, when = heapq.heappop(bounds)
            if when < len(steps):
                heapq.heappush(bounds, (-gain(j), j, len(steps)))
                continue
            steps.append(j)
            gains.append(-bound)
            np.maximum(covered, covers[j], out=covered)
        told = np.array(gains, dtype=np.float64) / _NAT
        columns = {
            "criterion": told,
            "relevance_nats": information.relevance[steps],
            "redundancy_nats": alone[steps] / _NAT - told,
        }
        return Choice(steps, columns)


def _whole(mi: Floats) -> NDArray[np.int32]:
    return np.rint(np.maximum(mi, 0.0) * _NAT).astype(np.int32)

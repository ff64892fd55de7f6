"""All tables of counts that two columns of levels can have, and what share of the arrangements has each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from miscreen.inference.permutation import Orders, Pattern
from miscreen.model import Floats

MOST_TABLES = 1000
_TOGETHER = 50


class Tables:
    """The exact null of a statistic of two columns whose levels and counts leave few tables.

    Parameters
    ----------
    pattern : Pattern
    evaluate : callable
        Statistics of arrangements, one a row: equal for arrangements of one table.

    Notes
    -----
    A table with cells n_ij comes up in a share of prod n_i! prod n_j! / (n! prod n_ij!) of all arrangements (Fisher
    1922, doi:10.2307/2340521; Freeman & Halton 1951, doi:10.1093/biomet/38.1-2.141). One arrangement of each is scored.
    Strata have too many. O(n) for each of at most 1,000 tables.
    """

    def __init__(self, pattern: Pattern, evaluate: Callable[[Orders], Floats]) -> None:
        self._statistics = np.empty(0)
        dealing = pattern.dealing
        if len(dealing.dealt) > 1:
            return
        levels = np.unique(dealing.values, return_inverse=True)[1]
        classes = np.unique(pattern.target_levels[dealing.samples], return_inverse=True)[1]
        rows, columns = np.bincount(levels), np.bincount(classes)
        if len(rows) * len(columns) > MOST_TABLES or _least_tables(rows, columns) > MOST_TABLES:
            return
        tables = np.array(list(islice(_tables(rows.tolist(), columns.tolist()), MOST_TABLES + 1)))
        if len(tables) > MOST_TABLES:
            return
        log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1.0, len(levels) + 1)))))
        logs = log_factorial[rows].sum() + log_factorial[columns].sum() - log_factorial[-1]
        shares = np.exp(logs - log_factorial[tables].sum(axis=(1, 2)))
        places = np.argsort(levels, kind="stable")  # of the values, level by level
        samples = dealing.samples[np.argsort(classes, kind="stable")]
        found: list[Floats] = []
        for start in range(0, len(tables), _TOGETHER):
            some = tables[start : start + _TOGETHER]
            orders = np.empty((len(some), len(samples)), dtype=np.int64)
            for order, table in zip(orders, some, strict=True):
                classes_of_values = np.repeat(np.tile(np.arange(len(columns)), len(rows)), table.ravel())
                order[places[np.argsort(classes_of_values, kind="stable")]] = samples
            found.append(evaluate(orders))
        statistics = np.concatenate(found)
        order = np.argsort(statistics, kind="stable")
        self._statistics = statistics[order]
        self._shares = np.minimum(np.cumsum(shares[order][::-1])[::-1], 1.0)

    def p_values(self, observed: Floats) -> Floats | None:
        """The share of arrangements that reach each statistic; None where there are too many tables."""
        if not len(self._statistics):
            return None
        reached = np.searchsorted(self._statistics, observed)
        found: Floats = np.concatenate((self._shares, [0.0]))[reached]
        return found


def _least_tables(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> float:
    """Fewer tables than have these sums: those with two columns, or two rows, once the others are added to these."""
    return max(_ways(int(np.sort(columns)[::2].sum()), rows), _ways(int(np.sort(rows)[::2].sum()), columns))


def _ways(count: int, most: NDArray[np.intp]) -> float:
    """How many ways there are to split a count into parts of at most these sizes, or fewer where these are very many.

    O(count) for each part, unless two of them leave ways enough.
    """
    count = min(count, int(most.sum()) - count)  # what is left is split as well
    two = min(count, int(np.sort(most)[-2]) if len(most) > 1 else 0)
    if two >= MOST_TABLES:
        return two + 1.0
    ways = np.zeros(count + 1)
    ways[0] = 1.0
    for size in most.tolist():
        up_to = np.cumsum(ways)
        ways = up_to.copy()
        ways[size + 1 :] -= up_to[: -size - 1]
        np.minimum(ways, 1e6, out=ways)
    return float(ways[count])


def _tables(rows: list[int], columns: list[int]) -> Iterator[list[list[int]]]:
    """Tables of counts with these sums."""
    if len(rows) == 1:
        yield [columns]
        return
    for row in _splits(rows[0], columns):
        for others in _tables(rows[1:], [c - n for c, n in zip(columns, row, strict=True)]):
            yield [row, *others]


def _splits(count: int, most: list[int]) -> Iterator[list[int]]:
    """Ways to split a count into parts of at most these sizes."""
    if len(most) == 1:
        yield [count]
        return
    for first in range(max(0, count - sum(most[1:])), min(count, most[0]) + 1):
        for others in _splits(count - first, most[1:]):
            yield [first, *others]

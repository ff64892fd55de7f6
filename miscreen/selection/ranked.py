"""Strategies that see nothing but the ranking."""

from __future__ import annotations

from typing import ClassVar

from miscreen.selection.strategy import Choice, Pool, Strategy


class Top(Strategy):
    """The best so many candidates, by rank."""

    def choose(self, pool: Pool, count: int | None) -> Choice:
        """Take them in the order of their ranks; O(count)."""
        return Choice(range(pool.n_candidates if count is None else min(count, pool.n_candidates)))


class Threshold(Top):
    """Every candidate: what passes the thresholds is one."""

    needs_count: ClassVar[bool] = False

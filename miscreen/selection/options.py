"""What is asked of a selection."""

from __future__ import annotations

from dataclasses import dataclass

from miscreen.errors import InputError, check_choice, real_number, whole_number
from miscreen.selection import strategy_class

ORDERS = ("score", "p_value", "q_value")


@dataclass(frozen=True)
class SelectionSpec:
    """What is to be chosen, checked before any data are touched.

    Attributes
    ----------
    strategy : str
        A name in `miscreen.selection.STRATEGIES`.
    top : int, optional
        How many columns at most.
    min_mi, min_score, fdr : float, optional
        Thresholds that every candidate must pass, on columns of the ranking.
    by : str
        The column that candidates are ordered by, one of `ORDERS`.
    clump_mi : float, optional
        Threshold of clumping, in the ranking's unit.
    pool : int, optional
        How many of the best are candidates.
    given : tuple of str
        Names and globs of columns that are in the model already.
    stability : int
        On how many subsamples the choice is repeated.
    """

    strategy: str
    top: int | None = None
    min_mi: float | None = None
    min_score: float | None = None
    fdr: float | None = None
    by: str = ORDERS[0]
    clump_mi: float | None = None
    pool: int | None = None
    given: tuple[str, ...] = ()
    stability: int = 0

    def __post_init__(self) -> None:
        kind = strategy_class(self.strategy)
        for name, least in (("top", 1), ("pool", 1), ("stability", 0)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, whole_number(name, value, least))
        for name in ("min_mi", "min_score", "clump_mi"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, real_number(name, value))
        check_choice("order by", self.by, ORDERS)
        if self.stability == 1:
            raise InputError(f"--stability must be at least 2 subsamples, not {self.stability}")
        if kind.needs_count and self.top is None:
            raise InputError(f"the strategy {self.strategy} needs to know how many columns to choose", "Give --top")
        if self.strategy == "threshold" and not self.thresholds():
            found = "there is no threshold" if self.top else "nothing says how many features to select"
            raise InputError(
                found, f"Give --min-mi, --min-score or --fdr, or {'--strategy top' if self.top else '--top'}"
            )
        if self.clump_mi is not None and self.strategy != "clump":
            raise InputError(f"--clump-mi has no effect with the strategy {self.strategy}", "Leave it out")
        if self.clump_mi is not None and not self.clump_mi > 0:
            raise InputError(f"--clump-mi must be a positive number, not {self.clump_mi}", "Leave it out")
        if kind.axes == 0 and (self.pool is not None or self.given):
            raise InputError(
                f"the strategy {self.strategy} looks at the ranking alone, so --pool and --given have no effect",
                "Choose another --strategy, or leave them out",
            )
        if self.pool is not None and self.top is not None and self.pool < self.top:
            raise InputError(f"{self.top} columns cannot be chosen from {self.pool} candidates", "Raise --pool")

    def thresholds(self) -> dict[str, float]:
        """What was given of the thresholds, by the names of their options."""
        wanted = {"--min-mi": self.min_mi, "--min-score": self.min_score, "--fdr": self.fdr}
        return {option: value for option, value in wanted.items() if value is not None}

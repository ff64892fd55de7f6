"""What a strategy is: it chooses among candidates, which come in the order of a ranking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from miscreen.model import Floats

if TYPE_CHECKING:
    from miscreen.selection.codes import Column
    from miscreen.selection.information import Information


@dataclass(frozen=True)
class Choice:
    """What a strategy chose.

    Attributes
    ----------
    steps : sequence of int
        Positions of the candidates chosen, in the order of choosing.
    columns : dict of str to float64 array, shape (n_steps,)
        What is told of every step; NaN where there is nothing to tell.
    fell_to : dict of int to (int, float)
        For candidates that were dropped because of one chosen or given: its position, where those given follow the
        candidates, and the two's mutual information in nats.
    """

    steps: Sequence[int]
    columns: dict[str, Floats] = field(default_factory=dict)
    fell_to: dict[int, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """What a strategy has to choose from.

    Attributes
    ----------
    n_candidates : int
        They are numbered in the order of their ranks.
    information : Information, optional
        Of the candidates with each other and the target; None for strategies that look at the ranking alone.
    given : sequence of Column
        Columns that are in the model already.
    """

    n_candidates: int
    information: Information | None = None
    given: Sequence[Column] = ()

    @property
    def known(self) -> Information:
        """The information, for strategies that are never without."""
        assert self.information is not None
        return self.information


class Strategy(ABC):
    """A way to choose among candidates. Ties go to the better rank.

    Attributes
    ----------
    axes : int
        The largest tables of counts that are looked at have so many axes: 0 for strategies that see the ranking
        alone, 2 for pairs of columns, 3 for pairs and the target.
    needs_target, needs_count : bool
        Whether it must be known what to explain, and how many to choose.
    most_candidates : int
        How many of the best are candidates unless the user says otherwise; 0 for all.
    """

    axes: ClassVar[int] = 0
    needs_target: ClassVar[bool] = False
    needs_count: ClassVar[bool] = True
    most_candidates: ClassVar[int] = 0

    @abstractmethod
    def choose(self, pool: Pool, count: int | None) -> Choice:
        """Choose at most `count` candidates, or as many as there are reasons to."""

"""Strategies that add one column at a time: the one that then does best by a criterion.

S is the set of columns chosen so far, those given among them, x a candidate and y the target. The first column is the
one of largest I(x;y), unless some were given. Everything is estimated on the same codes (see `Information`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from miscreen.model import Floats
from miscreen.selection.codes import Column
from miscreen.selection.information import Information
from miscreen.selection.strategy import Choice, Pool, Strategy


class Greedy(Strategy):
    """One column at a time. An instance serves one choice: it gathers what the columns chosen say of the candidates."""

    axes: ClassVar[int] = 3
    needs_target: ClassVar[bool] = True
    most_candidates: ClassVar[int] = 5_000

    @abstractmethod
    def begin(self, relevance: Floats) -> None:
        """Before any column is chosen, with the relevance of each candidate."""

    @abstractmethod
    def add(self, information: Information, z: Column) -> None:
        """Take note of a column chosen or given."""

    @abstractmethod
    def judge(self, n_chosen: int) -> tuple[Floats, Floats]:
        """The criterion of each candidate, and what of its relevance the columns chosen tell already, in nats."""

    def relevance(self, information: Information) -> Floats:
        """I(x;y) of each candidate, in nats."""
        return information.relevance

    def choose(self, pool: Pool, count: int | None) -> Choice:
        """Choose `count` candidates; O(count candidates (n + cells)) in time, some numbers a candidate in memory."""
        information = pool.known
        relevance = self.relevance(information)
        self.begin(relevance)
        for z in pool.given:
            self.add(information, z)
        open_ = np.ones(len(information), dtype=bool)
        steps: list[int] = []
        told: list[tuple[float, float, float]] = []
        for n_chosen in range(len(pool.given), len(pool.given) + min(count or len(information), len(information))):
            if steps:
                self.add(information, information.candidates[steps[-1]])
            if n_chosen:
                criterion, redundancy = self.judge(n_chosen)
            else:
                criterion, redundancy = relevance, np.full(len(information), np.nan)
            best = int(np.argmax(np.where(open_, criterion, -np.inf)))  # the first, so the best rank, of equal ones
            steps.append(best)
            told.append((criterion[best], relevance[best], redundancy[best]))
            open_[best] = False
        names = ("criterion", "relevance_nats", "redundancy_nats")
        return Choice(steps, dict(zip(names, np.array(told).reshape(-1, 3).T, strict=True)))


class Mrmr(Greedy):
    """Minimal redundancy, maximal relevance: the difference I(x;y) - mean over s in S of I(x;s).

    Notes
    -----
    Peng, Long and Ding (2005), IEEE TPAMI 27:1226, doi:10.1109/TPAMI.2005.159.
    """

    axes: ClassVar[int] = 2

    def begin(self, relevance: Floats) -> None:
        self._relevance, self._shared = relevance, np.zeros(len(relevance))

    def add(self, information: Information, z: Column) -> None:
        self._shared += self.shared(information, z)

    def shared(self, information: Information, z: Column) -> Floats:
        """I(x;s) of each candidate with a column chosen."""
        return information.with_column(z)

    def judge(self, n_chosen: int) -> tuple[Floats, Floats]:
        redundancy = self._shared / n_chosen
        return self._relevance - redundancy, redundancy


class MrmrQuotient(Mrmr):
    """Minimal redundancy, maximal relevance: the quotient I(x;y) / mean over s in S of I(x;s).

    Notes
    -----
    Ding and Peng (2005), J. Bioinform. Comput. Biol. 3:185, doi:10.1142/S0219720005001004. A quotient needs numbers
    above 0, so this one criterion takes plug-in estimates without the correction of their bias. I(x;s) is that of the
    samples that have both, since a share of the rows above and below the line would cancel.
    """

    def relevance(self, information: Information) -> Floats:
        return information.with_column(information.target, corrected=False)

    def shared(self, information: Information, z: Column) -> Floats:
        return information.with_column(z, corrected=False, of_all=False)

    def judge(self, n_chosen: int) -> tuple[Floats, Floats]:
        redundancy = self._shared / n_chosen
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = self._relevance / redundancy
        return np.where(redundancy > 0, quotient, np.where(self._relevance > 0, np.inf, 0.0)), redundancy


class Jmi(Greedy):
    """Joint mutual information: mean over s in S of I(x,s;y).

    Notes
    -----
    Yang and Moody (1999), Advances in Neural Information Processing Systems 12:687. The mean ranks as their sum does.
    """

    def begin(self, relevance: Floats) -> None:
        self._relevance = relevance
        self._total, self._new = np.zeros((2, len(relevance)))

    def add(self, information: Information, z: Column) -> None:
        new, joint, entropy = information.with_target_and(z)
        self._total += self.term(joint, entropy)
        self._new += new

    def term(self, joint: Floats, entropy: Floats) -> Floats:
        """What one column chosen adds to the criterion."""
        return joint

    def judge(self, n_chosen: int) -> tuple[Floats, Floats]:
        return self._total / n_chosen, self._relevance - self._new / n_chosen


class Disr(Jmi):
    """Double input symmetrical relevance: mean over s in S of I(x,s;y) / H(x,s,y).

    Notes
    -----
    Meyer and Bontempi (2006), EvoWorkshops 2006, LNCS 3907:91, doi:10.1007/11732242_9. The mean ranks as their sum.
    """

    def term(self, joint: Floats, entropy: Floats) -> Floats:
        return np.divide(joint, entropy, out=np.zeros_like(joint), where=entropy > 0)


class Cmim(Greedy):
    """Conditional mutual information maximisation: min over s in S of I(x;y|s).

    Notes
    -----
    Fleuret (2004), Journal of Machine Learning Research 5:1531.
    """

    def begin(self, relevance: Floats) -> None:
        self._relevance = relevance
        self._least, self._new = np.full(len(relevance), np.inf), np.zeros(len(relevance))

    def add(self, information: Information, z: Column) -> None:
        new, joint, _ = information.with_target_and(z)
        term = self.term(new, joint)
        self._new = np.where(term < self._least, new, self._new)
        self._least = np.minimum(term, self._least)

    def term(self, new: Floats, joint: Floats) -> Floats:
        """What the least of is taken of all columns chosen."""
        return new

    def judge(self, n_chosen: int) -> tuple[Floats, Floats]:
        return self._least, self._relevance - self._new


class Jmim(Cmim):
    """Joint mutual information maximisation: min over s in S of I(x,s;y).

    Notes
    -----
    Bennasar, Hicks and Setchi (2015), Expert Systems with Applications 42:8520, doi:10.1016/j.eswa.2015.07.007.
    """

    def term(self, new: Floats, joint: Floats) -> Floats:
        return joint

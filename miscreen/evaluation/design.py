"""Which rows a model learns from and which it is tested on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError
from miscreen.evaluation.models import Split
from miscreen.model import ColumnType, Floats, Kind, Target, codes_by_appearance
from miscreen.request import Request
from miscreen.roles import choose_columns, read_levels, read_target
from miscreen.tables.columns import NameIndex
from miscreen.tables.source import TableSource

_LOG = logging.getLogger("miscreen")
INNER_FOLDS = 5


@dataclass(frozen=True)
class Design:
    """A target, and the rows of every fold.

    Attributes
    ----------
    target : Target
    held : ColumnType
        Of the target's column.
    groups : str, optional
        Name of the column that says which rows belong together.
    splits : list of splits
        Rows to learn from and to test on, as positions among the rows of the target.
    n_samples, n_features : int
        Rows of the table, and columns to choose from.
    seed : int
    """

    target: Target
    held: ColumnType
    groups: str | None
    splits: list[Split]
    n_samples: int
    n_features: int
    seed: int
    _members: NDArray[np.int64] | None

    @classmethod
    def make(cls, table: TableSource, request: Request, groups: str | None, folds: int, seed: int) -> Design:
        """Divide the rows that have the target; `DataError` when there are too few for so many folds."""
        together = None if groups is None else NameIndex(table.names, table.label).one(groups, "the groups")
        roles, spec = choose_columns(table, request), request.spec
        outcome, forced = table.column(roles.targets[0]), int(roles.forced[roles.targets[0]])
        target = read_target(outcome, forced, spec)
        guessed = spec.target_kind is None and forced < 0
        if guessed and target.kind == Kind.CONTINUOUS and len(np.unique(target.values)) == 2:  # floats, as of pandas
            _LOG.info(
                "the two values of %r are taken as numbers: --target-kind discrete makes them classes", target.name
            )
        members = None
        if together is not None:
            members = read_levels(f"the groups {groups!r}", table.column(together), target)
        _check_folds(target, members, folds)
        splits = _split(target.values, target.kind, members, folds, seed)
        for train, test in splits:
            if _most_folds(target.values[train], target.kind, members if members is None else members[train]) < 2:
                raise DataError(
                    "a training fold has a single group, or a single row of a class",
                    "Raise --folds, which leaves more rows to learn from, or choose a target of larger classes",
                )
            if np.all(target.values[test] == target.values[test[0]]):
                raise DataError("the target is the same in all rows of a test fold", "Lower --folds")
        return cls(target, outcome.type, groups, splits, table.n_samples, len(roles.features), seed, members)

    @property
    def metric(self) -> str:
        """``r2`` or ``roc_auc``."""
        return "r2" if self.target.kind == Kind.CONTINUOUS else "roc_auc"

    @property
    def y(self) -> Floats:
        """The outcome as models take it: numbers, or codes of classes."""
        return self.target.values if self.target.kind == Kind.CONTINUOUS else self.target.codes.astype(np.float64)

    def masked(self, rows: NDArray[np.intp]) -> Floats:
        """The target as a column of the table that is missing everywhere but in some of its rows."""
        column = np.full(self.n_samples, np.nan)
        values = self.target.values[rows]
        column[self.target.rows[rows]] = codes_by_appearance(values) if self.held == ColumnType.TEXT else values
        return column

    def inner(self, train: NDArray[np.intp]) -> list[Split]:
        """Folds of training rows, by which models are tuned."""
        y, kind = self.target.values[train], self.target.kind
        for members in (self._members, None):
            together = None if members is None else members[train]
            splits = _split(y, kind, together, min(INNER_FOLDS, _most_folds(y, kind, together)), self.seed)
            if kind == Kind.CONTINUOUS or all(len(np.unique(y[part])) == len(np.unique(y)) for part, _ in splits):
                break  # else a class is all in one fold: only to tune, its groups may be divided
        return splits


def _split(y: Floats, kind: Kind, members: NDArray[Any] | None, n_folds: int, seed: int) -> list[Split]:
    """Classes are shared out evenly, groups stay together."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    plain, grouped = (StratifiedKFold, StratifiedGroupKFold) if kind == Kind.DISCRETE else (KFold, GroupKFold)
    splitter = (plain if members is None else grouped)(n_folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((len(y), 1)), y, members))


def _most_folds(y: Floats, kind: Kind, members: NDArray[Any] | None) -> int:
    """How many folds the rows can be divided into."""
    most = len(y) if members is None else len(np.unique(members))
    return min(most, int(np.unique(y, return_counts=True)[1].min())) if kind == Kind.DISCRETE else most


def _check_folds(target: Target, members: NDArray[Any] | None, folds: int) -> None:
    if members is not None and folds > (most := len(np.unique(members))):
        raise DataError(f"{most} groups, too few for {folds} folds", "Lower --folds")
    if folds > (most := _most_folds(target.values, target.kind, None)):
        what = "in the smallest class" if target.kind == Kind.DISCRETE else f"with the target {target.name!r}"
        smaller = "Choose a target of larger classes, or --target-kind continuous if its values are numbers"
        hint = f"Lower --folds to {most}" if most > 2 else smaller  # of two rows each fold would learn from one
        raise DataError(f"{most} row{'s' * (most != 1)} {what}, too few for {folds} folds", hint)

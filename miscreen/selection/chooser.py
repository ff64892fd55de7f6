"""From one ranking to the steps of a strategy: candidates, codes, choice, stability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError, in_short
from miscreen.inference.permutation import generator
from miscreen.model import ColumnType, Floats, Kind, ScreenSpec, Target
from miscreen.ranking import UNITS, Ranking, arrow_column, measured
from miscreen.request import Request
from miscreen.resources import BYTES_PER_COLUMN
from miscreen.roles import decide_kinds, forced_kinds, read_alike, read_target
from miscreen.screening import screen
from miscreen.selection import strategy_class
from miscreen.selection.options import ORDERS, SelectionSpec
from miscreen.selection.strategy import Choice, Pool, Strategy
from miscreen.tables import Progress
from miscreen.tables.columns import NameIndex, name_matcher
from miscreen.tables.extended import ExtendedTable
from miscreen.tables.source import TableSource

if TYPE_CHECKING:
    import pyarrow as pa

    from miscreen.selection.codes import Column


@dataclass(frozen=True)
class Candidates:
    """Rows of a ranking that may be chosen, best first."""

    names: list[str]
    ranks: NDArray[np.int64]
    scores: Floats
    kinds: NDArray[np.uint8]


class NoCandidateError(DataError):
    """No column of a target's ranking may be chosen; those of other targets may."""


class Chooser:
    """Chooses columns of an open table.

    Parameters
    ----------
    table : TableSource
    request : Request
        What the run may use; and, for subsamples, how they are ranked.
    spec : ScreenSpec
        How the ranking came about: kinds of columns.
    unit : str
        Of the ranking.
    asked : SelectionSpec
    """

    def __init__(self, table: TableSource, request: Request, spec: ScreenSpec, unit: str, asked: SelectionSpec) -> None:
        self._table = table
        self._request = request
        self._spec = spec
        self._unit = unit
        self._asked = asked
        self._strategy = strategy_class(asked.strategy)
        self._index = NameIndex(table.names, table.label)
        self._given = _positions(self._index, asked.given, "--given")
        self._given_names = [table.names[g] for g in self._given]

    def choose(self, ranking: Ranking, target: str | None) -> pa.Table:
        """The steps of one target, as `Steps` describes them; `NoCandidateError` when there is none.

        Parameters
        ----------
        ranking : Ranking
            Of that target.
        target : str, optional
            Not needed by every strategy.
        """
        if target is not None and target in self._given_names:
            raise InputError(f"the target {target!r} is among the columns given", "Leave it out of --given")
        # A table in which an earlier ranking's columns are taken need not have the target.
        needed = self._strategy.needs_target or self._asked.stability
        known = self._read_target(target) if needed and target is not None else None
        candidates = self._candidates(ranking)
        choice = self._choose(candidates, known if self._strategy.needs_target else None, self._tell)
        frequency = self._repeat(known) if self._asked.stability and known is not None else None
        return self._tabulate(candidates, choice, frequency)

    def _candidates(self, ranking: Ranking) -> Candidates:
        scored = ranking.scored()
        table = scored.to_arrow()
        if self._asked.by != ORDERS[0]:
            table = table.take(scored.order_by(self._asked.by))
        passing = np.ones(len(table), dtype=bool)
        for option, bound in self._asked.thresholds().items():
            values = _threshold_values(table, option)
            passing &= values <= bound if option == "--fdr" else values >= bound
        if not passing.any():
            if not len(table):
                raise NoCandidateError("no feature of the ranking has a score", "See the status column of the ranking")
            limits = ", ".join(f"{option} {bound:g}" for option, bound in self._asked.thresholds().items())
            raise NoCandidateError(f"no feature passes {limits}", "Loosen it, or use --top")
        if len(self._given):
            given = set(self._given_names)
            passing &= np.array([name not in given for name in table.column("feature").to_pylist()])
            if not passing.any():
                raise NoCandidateError("every candidate is given already", "Leave out --given")
        rows = np.flatnonzero(passing)
        most = self._asked.pool or max(self._strategy.most_candidates, self._asked.top or 0)
        if self._strategy.most_candidates:
            rows = rows[:most]
        table = table.take(rows)
        kinds = table.column("kind").to_pylist() if "kind" in table.column_names else [None] * len(rows)
        return Candidates(
            names=table.column("feature").to_pylist(),
            ranks=table.column("rank").to_numpy(),
            scores=table.column("score").to_numpy(),
            kinds=np.array([k == Kind.DISCRETE.label for k in kinds], dtype=np.uint8),
        )

    def _choose(self, candidates: Candidates, target: Target | None, on_progress: Progress | None = None) -> Choice:
        table, count = self._table, self._asked.top
        if self._strategy.axes == 0:
            return self._make().choose(Pool(len(candidates.names)), count)
        from miscreen.selection.codes import code_columns, code_target, count_bins, most_levels
        from miscreen.selection.information import Information

        resources, rows = self._request.resources, None if target is None else target.rows
        classes = target.n_levels if target is not None and target.kind == Kind.DISCRETE else 0
        n_samples, axes = table.n_samples if rows is None else len(rows), self._strategy.axes
        bins = count_bins(n_samples, axes, classes)
        levels = most_levels(n_samples, axes, bins, classes)
        columns = locate(self._index, candidates.names, table.label)
        nominal = self._nominal(columns)
        coded = code_columns(table, columns, candidates.kinds, nominal, rows, bins, levels, resources, on_progress)
        given: list[Column] = []
        if len(self._given):
            kinds, nominal = self._kinds_of_given(), self._nominal(self._given)
            also = code_columns(table, self._given, kinds, nominal, rows, bins, levels, resources, None)
            given = [also[i] for i in range(len(also))]
        outcome = None if target is None else code_target(target, bins)
        with ThreadPoolExecutor(resources.threads) as workers:
            information = Information(coded, outcome, workers, on_progress)
            return self._make().choose(Pool(len(candidates.names), information, given), count)

    def _make(self) -> Strategy:
        options: dict[str, Any] = {}
        if self._asked.clump_mi is not None:
            options["threshold"] = self._asked.clump_mi / UNITS[self._unit]
        if self._asked.strategy == "submodular":
            options["memory_bytes"] = (self._request.resources.memory_bytes - self._table.held_bytes) // 2
        return self._strategy(**options)

    def _tell(self, phase: str, done: int, total: int | None) -> None:
        if self._request.on_progress is not None:
            self._request.on_progress("code" if phase == "score" else phase, done, total)

    def _read_target(self, name: str) -> Target:
        """The target as it was ranked."""
        at = self._index.one(name, "the target")
        forced = forced_kinds(self._table, self._index, self._spec)
        return read_target(self._table.column(at), int(forced[at]), self._spec)

    def _nominal(self, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether the levels of columns have no order. The table may lack others that were named in the ranking."""
        named = name_matcher(self._spec.discrete)(self._table.names)[columns]
        return named | (self._table.types[columns] == ColumnType.TEXT)

    def _kinds_of_given(self) -> NDArray[np.uint8]:
        forced = forced_kinds(self._table, self._index, self._spec)
        values = self._table.values(self._given).astype(np.float64)
        return decide_kinds(values, self._table.types[self._given], forced[self._given], self._spec.max_levels)

    # ---- stability -----------------------------------------------------------------------------------------

    def _repeat(self, target: Target) -> Mapping[str, float]:
        """In which share of subsamples each feature is chosen that ever is; ranked and chosen anew in each.

        A subsample is the target with the other half of its values missing, so that several are ranked in one pass
        over the table.
        """
        asked, request = self._asked, self._request
        whole = ColumnType(self._table.types[self._index.one(target.name, "the target")])
        held = read_alike(target, whole)
        chosen: Counter[str] = Counter()
        at_once = max(1, request.resources.memory_bytes // 2 // (BYTES_PER_COLUMN * len(self._table.names)))
        done = 0
        for first in range(0, asked.stability, at_once):
            draws = range(first, min(first + at_once, asked.stability))
            values = np.full((len(draws), self._table.n_samples), np.nan)
            for row, draw in zip(values, draws, strict=True):
                half = generator(f"{request.spec.seed}".encode(), draw).permutation(len(target.rows))
                kept = np.sort(half[: len(half) // 2])
                row[target.rows[kept]] = target.values[kept]
            extended = ExtendedTable(self._table, values, "subsample", held)
            subsampled = replace(
                request,
                targets=extended.further,
                exclude=(*request.exclude, *request.targets),
                spec=replace(request.spec, target_kind=target.kind),
            )
            try:
                ranking = screen(extended, subsampled)
                for name, row in zip(extended.further, values, strict=True):
                    rows = np.flatnonzero(~np.isnan(row))
                    part = replace(target, values=row[rows], rows=rows)
                    candidates = self._candidates(ranking.for_target(name))
                    chosen.update(candidates.names[i] for i in self._choose(candidates, part).steps)
                    done += 1
                    self._tell("subsample", done, asked.stability)
            except DataError as error:
                raise DataError(
                    f"in one of {asked.stability} subsamples, each of half of the rows: {error.message}",
                    "Leave out --stability, or loosen what is asked",
                ) from error
        return {name: count / asked.stability for name, count in chosen.items()}

    # ---- the table of steps --------------------------------------------------------------------------------

    def _tabulate(self, candidates: Candidates, choice: Choice, frequency: Mapping[str, float] | None) -> pa.Table:
        import pyarrow as pa

        steps, fallen = list(choice.steps), sorted(choice.fell_to)
        others = [] if frequency is None else self._others(candidates, choice, frequency)
        at = np.array(steps + fallen + others, dtype=np.intp)
        size, n_steps = len(at), len(steps)
        columns: dict[str, NDArray[Any]] = {
            "feature": np.array([candidates.names[i] for i in at], dtype=object),
            "rank": candidates.ranks[at],
            "score": candidates.scores[at],
        }
        for name, values in choice.columns.items():
            columns[name] = np.full(size, np.nan)
            columns[name][:n_steps] = values
        if fallen:
            columns["redundancy_nats"][n_steps : n_steps + len(fallen)] = [choice.fell_to[i][1] for i in fallen]
        if frequency is not None:
            columns["frequency"] = np.array([frequency.get(name, 0.0) for name in columns["feature"]])
        made = {"step": pa.array([*range(1, n_steps + 1), *[None] * (size - n_steps)], type=pa.int64())}
        made |= {name: arrow_column(values) for name, values in columns.items()}
        if self._asked.strategy == "clump":
            kept = [*candidates.names, *self._given_names]
            to = [None] * n_steps + [kept[choice.fell_to[i][0]] for i in fallen] + [None] * len(others)
            made["fell_to"] = pa.array(to, type=pa.string())
        return pa.table(made)

    @staticmethod
    def _others(candidates: Candidates, choice: Choice, frequency: Mapping[str, float]) -> list[int]:
        """Candidates that were chosen in subsamples alone, the most frequent first."""
        told = {*choice.steps, *choice.fell_to}
        found = [i for i, name in enumerate(candidates.names) if name in frequency and i not in told]
        return sorted(found, key=lambda i: -frequency[candidates.names[i]])


def _threshold_values(table: pa.Table, option: str) -> Floats:
    column = measured(table, {"--min-mi": "mi_", "--min-score": "score", "--fdr": "q_value"}[option])
    if option == "--min-mi" and len(table) and column.null_count == len(table):
        raise DataError(
            "the ranking holds no mutual information",
            "Give --min-score, or rank the table again so that it is estimated",
        )
    values: Floats = column.cast("float64").to_numpy()
    return values


def _positions(index: NameIndex, patterns: Sequence[str], role: str) -> NDArray[np.intp]:
    """Where the columns are that patterns name, also several in one text with commas between them."""
    single = [part for p in patterns for part in ([p] if "," not in p or index.has(p) else p.split(","))]
    return index.many(single, role)


def locate(index: NameIndex, names: Sequence[str], label: str) -> NDArray[np.intp]:
    """Where columns are that were chosen before; `DataError` when the table lacks some."""
    missing = [name for name in names if not index.has(name)]
    if missing:
        some = ", ".join(map(in_short, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{len(missing):,} of the {len(names):,} chosen features are not in {label}: {some}",
            "Use a ranking or selection of this table, or of one that has the same columns",
        )
    return np.array([index.one(name, "the selection") for name in names], dtype=np.intp)

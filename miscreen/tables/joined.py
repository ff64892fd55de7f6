"""Several files as one table: stacked (they share their columns) or side by side (they share their rows)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import DataError, as_typed
from miscreen.model import ColumnType
from miscreen.tables.columns import ColumnTest
from miscreen.tables.encoding import encode, kind_of_time
from miscreen.tables.source import TableSource

_LOG = logging.getLogger("miscreen")
_AT_ONCE = 256  # columns looked at for values


def join_sources(sources: Sequence[TableSource], label: str, ignored_columns: ColumnTest) -> TableSource:
    """Join files by what they share; of columns that nobody will read, the types do not matter.

    Files with the same columns (in any order) are stacked in the order given. Files with the same number of
    rows are set side by side; a column that several have, such as an identifier, must be the same in all, row by
    row, and is kept once. Which of the two is logged.

    Raises
    ------
    DataError
        When the files share neither.
    """
    first = sources[0]
    if all(len(s.names) == len(first.names) and set(s.names) == set(first.names) for s in sources[1:]):
        _LOG.info("%s: %d files with the same columns, taken one below the other", label, len(sources))
        return StackedSource(sources, label, ignored_columns)
    for other in sources[1:]:
        if other.n_samples != first.n_samples:
            raise DataError(
                f"{label} holds files that share neither their columns nor their rows: {first.label} has "
                f"{first.n_samples:,} rows x {len(first.names):,} columns, {other.label} has "
                f"{other.n_samples:,} x {len(other.names):,}",
                "Give files with the same columns (they are stacked) or the same rows (they are set side by side); a "
                "quoted glob, such as 'data/*.csv', leaves others out",
            )
    _LOG.info("%s: %d files with the same rows, taken side by side", label, len(sources))
    return SideBySideSource(sources, label, ignored_columns)


class _JoinedSource(TableSource):
    """What both ways to join files have in common."""

    def __init__(self, sources: Sequence[TableSource], label: str) -> None:
        self.label = label
        self._sources = sources
        self.value_bytes = max(s.value_bytes for s in sources)
        self.grain_bytes = max(s.grain_bytes for s in sources)
        self.held_bytes = sum(s.held_bytes for s in sources)

    def close(self) -> None:
        """See `TableSource.close`."""
        for source in self._sources:
            source.close()


class StackedSource(_JoinedSource):
    """Files with the same columns, one below the other."""

    def __init__(self, sources: Sequence[TableSource], label: str, ignored_columns: ColumnTest) -> None:
        super().__init__(sources, label)
        first = sources[0]
        self.names = first.names
        self.n_samples = sum(s.n_samples for s in sources)
        self.types = first.types.copy()
        position = {name: i for i, name in enumerate(self.names)}
        self._columns: list[NDArray[np.intp]] = []
        ignored = ignored_columns(self.names)
        first_times: dict[int, tuple[str, str]] = {}  # of columns of times: what kind, and in which file
        for source in sources:
            where = np.empty(len(self.names), dtype=np.intp)
            where[[position[name] for name in source.names]] = np.arange(len(self.names))
            self._columns.append(where)
            types = source.types[where]
            unlike = (types != self.types) & ~ignored
            here = len(self._columns) - 1
            untyped = self._missing(np.flatnonzero(unlike & _may_be_untyped(self.types, types)), range(here))
            self.types[untyped] = types[untyped]  # cells that are all missing have no type
            unlike[untyped] = False
            unlike[self._missing(np.flatnonzero(unlike & _may_be_untyped(types, self.types)), [here])] = False
            for i in np.flatnonzero(unlike).tolist():
                self.types[i] = self._common_type(i, int(types[i]), source)
            times = np.flatnonzero((types == ColumnType.TEMPORAL) & ~ignored)
            for i, found in zip(times.tolist(), _kinds_of_time(source, where[times]), strict=True):
                expected, where_first = first_times.setdefault(i, (found, source.label))
                if found == expected:
                    continue
                if len(self._missing(np.array([i]), range(here))):
                    first_times[i] = found, source.label
                elif not len(self._missing(np.array([i]), [here])):
                    raise self._clash(i, found, source.label, expected, where_first)

    def _common_type(self, column: int, found: int, source: TableSource) -> int:
        """The type of a column that has another one in a further file; `DataError` when there is none."""
        expected = self.types[column]
        if max(found, expected) <= ColumnType.DECIMAL:  # numbers, some of which may be rounded
            return int(ColumnType.FLOAT)
        names = ColumnType(found).label, ColumnType(expected).label
        raise self._clash(column, names[0], source.label, names[1], self._sources[0].label)

    def _clash(self, column: int, found: str, here: str, expected: str, there: str) -> DataError:
        name = self.names[column]
        return DataError(
            f"column {name!r} is {found} in {here} but {expected} in {there}",
            f"Give the column the same type in every file, or leave it out: --exclude {as_typed(name)}",
        )

    def _missing(self, columns: NDArray[np.intp], numbers: Sequence[int]) -> NDArray[np.intp]:
        """Those of the columns that have no value in any of the files of these numbers."""
        for number in numbers:
            parts = [columns[:0]]
            for first in range(0, len(columns), _AT_ONCE):
                some = columns[first : first + _AT_ONCE]
                values = self._sources[number].values(self._columns[number][some])
                parts.append(some[np.isnan(values).all(axis=1)])
            columns = np.concatenate(parts)
        return columns

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        out = np.empty((len(columns), self.n_samples), dtype=np.float32 if self.value_bytes == 4 else np.float64)
        text = self.types[columns] == ColumnType.TEXT
        row = 0
        for source, where in zip(self._sources, self._columns, strict=True):
            out[~text, row : row + source.n_samples] = source.values(where[columns[~text]])
            row += source.n_samples
        if text.any():  # labels are numbered over all files together
            out[text] = encode(self.table(columns[text]))
        return out

    def pieces(self, columns: NDArray[np.intp]) -> list[pa.Table]:
        """See `TableSource.pieces`."""
        pairs = zip(self._sources, self._columns, strict=True)
        return [_without_untyped(source, where[columns], self.types[columns]) for source, where in pairs]

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        tables = self.pieces(columns)
        types = zip(*(table.schema.types for table in tables), strict=True)
        unlike = np.array([any(other != first for other in others) for first, *others in types], dtype=np.bool_)
        try:
            if unlike.any():
                text = self.types[columns] == ColumnType.TEXT
                tables = [_with_types_to_merge(table, unlike, text) for table in tables]
            return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
        except pa.ArrowException as error:  # such as times with and without a zone
            raise DataError(
                f"the files of {self.label} cannot be put into one table: {error}",
                "Give each column the same type in every file",
            ) from error


def _may_be_untyped(types: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether columns are to be looked at for values, since their types do not go together with the others."""
    has_values = types != ColumnType.UNSUPPORTED  # of which none is read
    return has_values & ((types == ColumnType.FLOAT) | (types > ColumnType.DECIMAL) | (others != ColumnType.FLOAT))


def _without_untyped(source: TableSource, columns: NDArray[np.intp], types: NDArray[np.uint8]) -> pa.Table:
    """A file's columns; nulls where they are of another type than all files together, having no values."""
    table = source.table(columns)
    own = source.types_of(columns)
    arrays = table.columns  # all put back together, since putting one into a table takes time for each that it has
    for i in np.flatnonzero((own != types) & _may_be_untyped(own, types)).tolist():
        arrays[i] = pa.nulls(len(table))
    return pa.Table.from_arrays(arrays, table.column_names)


def _with_types_to_merge(table: pa.Table, unlike: NDArray[np.bool_], text: NDArray[np.bool_]) -> pa.Table:
    """A file's columns; of those that other files have in another type, text is plain, and all missing is null."""
    arrays = table.columns
    for i in np.flatnonzero(unlike).tolist():
        if text[i]:  # such as categories
            arrays[i] = arrays[i].cast(pa.large_string())
        elif arrays[i].null_count == len(table):
            arrays[i] = pa.nulls(len(table))
    return pa.Table.from_arrays(arrays, table.column_names)


def _kinds_of_time(source: TableSource, columns: NDArray[np.intp]) -> list[str]:
    """What columns of times count seconds of: those since midnight are none since 1970."""
    kinds: list[str] = []
    for first in range(0, len(columns), _AT_ONCE):
        kinds += map(kind_of_time, source.table(columns[first : first + _AT_ONCE]).schema.types)
    return kinds


class SideBySideSource(_JoinedSource):
    """Files with the same rows, one beside the other."""

    def __init__(self, sources: Sequence[TableSource], label: str, ignored_columns: ColumnTest) -> None:
        super().__init__(sources, label)
        self.n_samples = sources[0].n_samples
        where: dict[str, tuple[int, int]] = {}
        for number, source in enumerate(sources):
            ignored = ignored_columns(source.names).tolist()
            for position, name in enumerate(source.names):
                if name not in where:
                    where[name] = number, position
                elif not ignored[position]:
                    _check_same_rows(sources[where[name][0]], where[name][1], source, position)
        self.names = list(where)
        self._owner, self._local = np.array(list(where.values()), dtype=np.intp).T
        self.types = np.array([sources[i].types[c] for i, c in where.values()], dtype=np.uint8)

    def _parts(self, columns: NDArray[np.intp]) -> list[tuple[TableSource, NDArray[np.intp], NDArray[np.intp]]]:
        """For each file that is needed: itself, which of the columns asked for it has, and where it has them."""
        owner = self._owner[columns]
        parts = []
        for i in np.unique(owner):
            asked = np.flatnonzero(owner == i)
            parts.append((self._sources[i], asked, self._local[columns[asked]]))
        return parts

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        out = np.empty((len(columns), self.n_samples), dtype=np.float32 if self.value_bytes == 4 else np.float64)
        for source, asked, local in self._parts(columns):
            out[asked] = source.values(local)
        return out

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        arrays: list[Any] = [None] * len(columns)
        for source, asked, local in self._parts(columns):
            for i, column in zip(asked, source.table(local).columns, strict=True):
                arrays[i] = column
        return pa.Table.from_arrays(arrays, names=[self.names[c] for c in columns])


def _check_same_rows(first: TableSource, column: int, other: TableSource, other_column: int) -> None:
    """Raise `DataError` at the first row in which a column that two files share differs."""
    name = first.names[column]
    one, two = (t.table(np.array([c])).column(0).to_pylist() for t, c in ((first, column), (other, other_column)))
    for row, (a, b) in enumerate(zip(one, two, strict=True), start=1):
        if a != b and not (_is_missing(a) and _is_missing(b)):
            raise DataError(
                f"{first.label} and {other.label} share the column {name!r}, but row {row:,} has {a!r} in one and "
                f"{b!r} in the other",
                "Put the rows of all files into the same order, or rename the column",
            )


def _is_missing(value: Any) -> bool:
    return bool(value is None or value != value)

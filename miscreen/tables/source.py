"""What every table looks like to the rest of the program, whatever its format."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError
from miscreen.model import EXACT_INTEGERS, ColumnType, FeatureBlock, Floats

if TYPE_CHECKING:
    import pyarrow as pa

_T = TypeVar("_T")


def members(everything: Sequence[_T], columns: NDArray[np.intp]) -> Sequence[_T]:
    """What a list has at some places: a slice where these follow one another, in a tenth of the time. O(columns)."""
    if len(columns) and np.all(columns[1:] - columns[:-1] == 1):
        return everything[columns[0] : columns[-1] + 1]
    return [everything[c] for c in columns.tolist()]


class Column(NamedTuple):
    """One column of a table.

    Attributes
    ----------
    name : str
    values : float64 array, shape (n_samples,)
        Encoded as `FeatureBlock` says.
    type : ColumnType
    rounded : callable
        Tells whether values that differ may have become one, which takes reading the column again.
    """

    name: str
    values: Floats
    type: ColumnType
    rounded: Callable[[], bool]


class TableSource(ABC):
    """A table whose columns can be read a few at a time, by several threads at once. Use it in a ``with`` statement.

    Attributes
    ----------
    label : str
        What messages call the table, such as its path.
    n_samples : int
        Number of rows.
    names : sequence of str
        All columns in file order, without duplicates.
    types : uint8 array, shape (n_columns,)
        `ColumnType` of each column.
    value_bytes : int
        4 or 8: size of the widest value that `values` returns.
    held_bytes : int
        What of the run's memory the table takes for as long as it is open.
    grain_bytes : int
        Size of a block above which reading a column gets no cheaper.
    files : sequence of (str, os.stat_result)
        What columns are still read from: each path, and the state of the file when it was opened.
    """

    label: str
    n_samples: int
    names: Sequence[str]
    types: NDArray[np.uint8]
    value_bytes: int
    held_bytes: int = 0
    grain_bytes: int = 4 << 20
    files: Sequence[tuple[str, os.stat_result]] = ()

    @abstractmethod
    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """Read columns as numbers, in the order asked for.

        Returns a C-contiguous float32 or float64 array of shape (len(columns), n_samples) that the caller
        owns, encoded as `FeatureBlock` says.
        """

    @abstractmethod
    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """Read columns as the file has them: types, text and missing values as they stand."""

    def pieces(self, columns: NDArray[np.intp]) -> Sequence[pa.Table]:
        """What `table` puts together, of files that are stacked: a column need not have the same type in all."""
        return [self.table(columns)]

    def block(self, columns: NDArray[np.intp], first: int) -> FeatureBlock:
        """Read columns as features `first` and so on."""
        return FeatureBlock(
            first=first,
            names=members(self.names, columns),
            values=self.values(columns),
            types=self.types_of(columns),
        )

    def column(self, at: int) -> Column:
        """Read one column."""
        columns = np.array([at])
        values = self.values(columns)[0].astype(np.float64)

        @cache
        def rounded() -> bool:
            return bool(self.rounded(columns, values[np.newaxis])[0])

        return Column(self.names[at], values, ColumnType(self.types_of(columns)[0]), rounded)

    def rounded(self, columns: NDArray[np.intp], values: Floats) -> NDArray[np.bool_]:
        """Whether values of columns that differ may have become one in what `values` made of them."""
        from miscreen.tables.encoding import are_rounded_together

        types = self.types_of(columns)
        found = (types == ColumnType.INTEGER) & np.any(np.abs(values) >= EXACT_INTEGERS, axis=1)
        doubtful = np.flatnonzero((types == ColumnType.DECIMAL) | (types == ColumnType.TEMPORAL))
        if len(doubtful):
            parts = zip(*(piece.columns for piece in self.pieces(columns[doubtful])), strict=True)
            found[doubtful] = [are_rounded_together(*both) for both in zip(values[doubtful], parts, strict=True)]
        return found

    def types_of(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """`ColumnType` of some columns, which costs less than that of all where it takes looking at their cells."""
        return self.types[columns]

    def check_unchanged(self) -> None:
        """`DataError` when a file was written to since it was opened: what was read of it may be a mixture.

        A file that was removed or replaced by another is read to its end as it was.
        """
        for path, before in self.files:
            try:
                now = Path(path).stat()
            except OSError:
                continue
            if os.path.samestat(before, now) and (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                raise DataError(
                    f"the input changed during the run: {path!r} was written to", "Start anew when nobody writes to it"
                )

    def close(self) -> None:  # noqa: B027  (a table in memory has nothing to let go of)
        """Let go of files and scratch space."""

    def __enter__(self) -> TableSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None or issubclass(kind, DataError):  # which may have come of the change
            self.check_unchanged()

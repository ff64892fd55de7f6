"""What every table looks like to the rest of the program, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from miscreen.model import FeatureBlock

if TYPE_CHECKING:
    import pyarrow as pa

_T = TypeVar("_T")


def members(everything: Sequence[_T], columns: NDArray[np.intp]) -> Sequence[_T]:
    """What a list has at some places: a slice where these follow one another, in a tenth of the time. O(columns)."""
    if len(columns) and np.all(columns[1:] - columns[:-1] == 1):
        return everything[columns[0] : columns[-1] + 1]
    return [everything[c] for c in columns.tolist()]


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
    """

    label: str
    n_samples: int
    names: Sequence[str]
    types: NDArray[np.uint8]
    value_bytes: int
    held_bytes: int = 0
    grain_bytes: int = 4 << 20

    @abstractmethod
    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """Read columns as numbers, in the order asked for.

        Returns a C-contiguous float32 or float64 array of shape (len(columns), n_samples) that the caller
        owns, encoded as `FeatureBlock` says.
        """

    @abstractmethod
    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """Read columns as the file has them: types, text and missing values as they stand."""

    def block(self, columns: NDArray[np.intp], first: int) -> FeatureBlock:
        """Read columns as features `first` and so on."""
        return FeatureBlock(
            first=first,
            names=members(self.names, columns),
            values=self.values(columns),
            types=self.types_of(columns),
        )

    def types_of(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """`ColumnType` of some columns, which costs less than that of all where it takes looking at their cells."""
        return self.types[columns]

    def close(self) -> None:  # noqa: B027  (a table in memory has nothing to let go of)
        """Let go of files and scratch space."""

    def __enter__(self) -> TableSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

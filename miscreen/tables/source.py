"""What every table looks like to the rest of the program, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.model import FeatureBlock
from miscreen.resources import BlockPlan

if TYPE_CHECKING:
    import pyarrow as pa


class TableSource(ABC):
    """A table whose columns can be read a few at a time. Use it in a ``with`` statement.

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
    """

    label: str
    n_samples: int
    names: Sequence[str]
    types: NDArray[np.uint8]
    value_bytes: int
    held_bytes: int = 0

    @abstractmethod
    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """Read columns as numbers, in the order asked for.

        Returns a C-contiguous float32 or float64 array of shape (len(columns), n_samples) that the caller
        owns, encoded as `FeatureBlock` says.
        """

    @abstractmethod
    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """Read columns as the file has them: types, text and missing values as they stand."""

    def blocks(self, columns: NDArray[np.intp], plan: BlockPlan) -> Iterator[FeatureBlock]:
        """Read the chosen columns block by block."""
        for positions in plan.ranges():
            chosen = columns[positions.start : positions.stop]
            yield FeatureBlock(
                first=positions.start,
                names=[self.names[c] for c in chosen],
                values=self.values(chosen),
                types=self.types[chosen],
            )

    def close(self) -> None:  # noqa: B027  (a table in memory has nothing to let go of)
        """Let go of files and scratch space."""

    def __enter__(self) -> TableSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

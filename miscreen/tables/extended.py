"""A table with columns of numbers beside it that no file has, such as an outcome given apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.model import ColumnType, Floats
from miscreen.tables.source import TableSource


class ExtendedTable(TableSource):
    """A table and further columns, which come last.

    Parameters
    ----------
    table : TableSource
        Left open: whoever opened it closes it.
    values : float64 array, shape (n_further, n_samples)
        The further columns, encoded as `FeatureBlock` says.
    stem : str
        What the further columns are called; those of several get a number, and underscores where the table has
        that name already. See `further`.
    held : ColumnType
        What the further columns hold.

    Attributes
    ----------
    further : tuple of str
        Names of the further columns.
    """

    def __init__(self, table: TableSource, values: Floats, stem: str, held: ColumnType) -> None:
        taken = set(table.names)
        wanted = [stem] if len(values) == 1 else [f"{stem} {i}" for i in range(1, len(values) + 1)]
        while any(name in taken for name in wanted):
            wanted = [f"{name}_" for name in wanted]
        self.further = tuple(wanted)
        self.label = table.label
        self.n_samples = table.n_samples
        self.names: Sequence[str] = [*table.names, *wanted]
        self.types = np.concatenate([table.types, np.full(len(values), int(held), dtype=np.uint8)])
        self.value_bytes = table.value_bytes  # of blocks, which have none of the further columns
        self.grain_bytes = table.grain_bytes
        self.held_bytes = table.held_bytes + values.nbytes
        self._table = table
        self._values = values

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        own = columns < len(self._table.names)
        if own.all():
            return self._table.values(columns)
        out = np.empty((len(columns), self.n_samples))
        if own.any():
            out[own] = self._table.values(columns[own])
        out[~own] = self._values[columns[~own] - len(self._table.names)]
        return out

    def rounded(self, columns: NDArray[np.intp], values: Floats) -> NDArray[np.bool_]:
        """See `TableSource.rounded`; the further columns are taken as they are."""
        own = columns < len(self._table.names)
        found = np.zeros(len(columns), dtype=np.bool_)
        found[own] = self._table.rounded(columns[own], values[own])
        return found

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`; of the table itself alone."""
        return self._table.table(columns)

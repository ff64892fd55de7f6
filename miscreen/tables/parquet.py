"""Parquet: the footer is parsed once and the file stays open."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from miscreen.errors import DataError
from miscreen.tables import Opening
from miscreen.tables.encoding import check_names, encode, schema_types, widest_value
from miscreen.tables.source import TableSource


def _leaves(arrow_type: pa.DataType) -> int:
    """How many physical Parquet columns a column of that type takes."""
    return sum(_leaves(arrow_type.field(i).type) for i in range(arrow_type.num_fields)) or 1


class ParquetSource(TableSource):
    """One Parquet file, with any number of row groups."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self.label = label
        self._input = file
        try:
            # The footer of a million columns exceeds Arrow's default limits; none is larger than its file.
            limit = min(file.seek(0, os.SEEK_END), 2**31 - 1)
            self._file = pq.ParquetFile(file, thrift_string_size_limit=limit, thrift_container_size_limit=limit)
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise _damaged(label, error) from error
        self.n_samples = self._file.metadata.num_rows
        self.names = schema.names
        self.types = schema_types(schema)
        self.value_bytes = widest_value(schema)
        self._row_groups = list(range(self._file.num_row_groups))
        counts = [_leaves(t) if t.num_fields else 1 for t in schema.types]
        self._leaf_stop = np.cumsum(counts)
        self._leaf_start = self._leaf_stop - counts
        check_names(self.names, label)

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        return encode(self.table(columns))

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        chosen = np.unique(columns)  # the reader gives columns in file order, each once
        leaves = np.concatenate([np.arange(self._leaf_start[c], self._leaf_stop[c]) for c in chosen] or [chosen])
        try:
            read = self._file.reader.read_row_groups(self._row_groups, column_indices=leaves.tolist(), use_threads=True)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.label, error) from error
        if not self._row_groups:
            read = self._file.schema_arrow.empty_table().select(chosen.tolist())
        if len(chosen) == len(columns) and np.array_equal(chosen, columns):
            return read
        return read.select(np.searchsorted(chosen, columns).tolist())

    def close(self) -> None:
        """See `TableSource.close`."""
        self._file.close(force=True)
        self._input.close()


def _damaged(label: str, error: Exception) -> DataError:
    return DataError(
        f"{label} cannot be read as Parquet: {str(error).splitlines()[0]}",
        "The file is damaged or was not written to its end; write or copy it again",
    )


def open_parquet(opening: Opening) -> ParquetSource:
    """Open a Parquet file for `miscreen.tables.open_table`."""
    return ParquetSource(opening.file, opening.label)

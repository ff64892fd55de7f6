"""A table in which some values mean missing, such as -999, where the format has no say in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from miscreen.model import ColumnType
from miscreen.tables.encoding import encode, kind_of_time, plain_text
from miscreen.tables.labels import interpret, read_number
from miscreen.tables.source import TableSource

_NUMBERS = (ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.DECIMAL)


class MaskedSource(TableSource):
    """Another table without the values that mean missing; types are as they were.

    Numbers are compared as numbers, with a fraction such as -9.99 and what single precision makes of it; dates and
    times by the time; text and categories by their text, without the spaces around it, and as numbers where they spell
    one.

    Parameters
    ----------
    whole : TableSource
        It is closed with this one.
    null_values : sequence of str
        See `miscreen.tables.delimited.ReadOptions`.

    Notes
    -----
    A pass over the values that are read for each number; text, dates and times are read twice.
    """

    def __init__(self, whole: TableSource, null_values: Sequence[str]) -> None:
        self._whole = whole
        self.label, self.names, self.types = whole.label, whole.names, whole.types
        self.n_samples, self.value_bytes = whole.n_samples, whole.value_bytes
        self.held_bytes, self.grain_bytes, self.files = whole.held_bytes, whole.grain_bytes, whole.files
        self._words = {word.strip(" \t") for word in null_values}
        self._numbers = {number[0] for number in map(read_number, self._words) if number is not None}
        self._times = []
        for meaning in (interpret([word], numbers=False) for word in self._words):
            if meaning.type == ColumnType.TEMPORAL and meaning.values is not None:
                self._times.append((kind_of_time(meaning.arrow_type), float(meaning.values[0])))
        with np.errstate(over="ignore"):
            rounded = {number: float(np.float32(number)) for number in self._numbers}
        single = {near for number, near in rounded.items() if number == near or number % 1}  # integers are not rounded
        self._sought = {4: sorted(single), 8: sorted(self._numbers | single)}  # by the bytes of a number

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        values = self._whole.values(columns)
        numbers = np.isin(self._whole.types_of(columns), _NUMBERS)
        if numbers.all():
            values[self._found(values)] = np.nan
        else:
            values[numbers] = np.where(self._found(values[numbers]), np.nan, values[numbers])
            values[~numbers] = encode(self.table(columns[~numbers]))
        return values

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        return self._masked(self._whole.table(columns), columns)

    def pieces(self, columns: NDArray[np.intp]) -> Sequence[pa.Table]:
        """See `TableSource.pieces`."""
        return [self._masked(piece, columns) for piece in self._whole.pieces(columns)]

    def types_of(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """See `TableSource.types_of`."""
        return self._whole.types_of(columns)

    def close(self) -> None:
        """See `TableSource.close`."""
        self._whole.close()

    def _found(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Which numbers mean missing."""
        found = np.zeros(numbers.shape, dtype=np.bool_)
        for sought in self._sought[numbers.itemsize]:
            found |= numbers == sought
        return found

    def _masked(self, table: pa.Table, columns: NDArray[np.intp]) -> pa.Table:
        """A table read from the whole, with nulls for what means missing."""
        arrays = table.columns
        for i, kind in enumerate(self._whole.types_of(columns).tolist()):
            if kind in _NUMBERS:
                missing = self._found(encode(table.select([i]))[0])
            elif kind == ColumnType.TEMPORAL:
                seconds = encode(table.select([i]))[0]
                missing = np.isin(
                    seconds, [at for counted, at in self._times if counted == kind_of_time(arrays[i].type)]
                )
            elif kind == ColumnType.TEXT:
                arrays[i] = plain_text(arrays[i]) if pt.is_string_view(arrays[i].type) else arrays[i]
                missing = self._missing_labels(arrays[i])
            else:
                continue
            if missing.any():
                kept = pa.array(np.arange(len(missing)), mask=missing)
                arrays[i] = arrays[i].take(kept)
        return pa.Table.from_arrays(arrays, names=table.column_names)

    def _missing_labels(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Which cells of a column of text or categories mean missing."""
        codes = encode(pa.table([column], [""]))[0]
        levels, first = np.unique(codes[~np.isnan(codes)], return_index=True)
        labels = column.take(pa.array(np.flatnonzero(~np.isnan(codes))[first])).to_pylist()
        return np.isin(codes, [level for level, label in zip(levels, labels, strict=True) if self._is_missing(label)])

    def _is_missing(self, label: Any) -> bool:
        word = str(label).strip(" \t")
        number = read_number(word)
        return word in self._words or (number is not None and number[0] in self._numbers)

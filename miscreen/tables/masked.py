"""A table in which some values mean missing, such as -999, where the format has no say in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from miscreen.model import ColumnType
from miscreen.tables.encoding import column_type, encode, kind_of_time, plain_text
from miscreen.tables.labels import interpret, read_number
from miscreen.tables.source import TableSource

_NUMBERS = (ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.DECIMAL)


class MaskedSource(TableSource):
    """Another table without the values that mean missing; types are as they were.

    Numbers are compared as numbers, floats also with what single precision spells like the number given, as -9.99 and
    1e20; dates and times by the time; text by what it says, without the spaces around it, and as a number where it
    spells one; categories as what they hold.

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
            single = [np.float32(number) for number in self._numbers]
        exact = self._numbers.intersection(map(float, single))
        self._exact = {4: exact, 8: self._numbers}  # by the bytes of a number
        # What single precision spells otherwise is another number, such as 100000000 for 99999999.
        self._spelled = {float(near) for near in single if float(str(near)) in self._numbers} - exact

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        values = self._whole.values(columns)
        types = self._whole.types_of(columns)
        numbers = np.isin(types, _NUMBERS)
        if numbers.all():
            values[self._found(values, types)] = np.nan
        else:
            values[numbers] = np.where(self._found(values[numbers], types[numbers]), np.nan, values[numbers])
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

    def _found(self, numbers: NDArray[Any], types: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which numbers mean missing, in rows that each are of a `ColumnType`."""
        found = np.zeros(numbers.shape, dtype=np.bool_)
        for sought in self._exact[numbers.itemsize]:
            found |= numbers == sought
        for sought in self._spelled:
            found |= (numbers == sought) & (types == ColumnType.FLOAT)[:, np.newaxis]
        return found

    def _masked(self, table: pa.Table, columns: NDArray[np.intp]) -> pa.Table:
        """A table read from the whole, with nulls for what means missing."""
        arrays = table.columns
        for i, kind in enumerate(self._whole.types_of(columns).tolist()):
            missing = self._missing(arrays[i], kind)
            if missing.any():
                kept = pa.array(np.arange(len(missing)), mask=missing)
                arrays[i] = _taken(arrays[i], kept)
        return pa.Table.from_arrays(arrays, names=table.column_names)

    def _missing(self, column: pa.ChunkedArray, kind: int) -> NDArray[np.bool_]:
        """Which cells of a column of that `ColumnType` mean missing."""
        if kind not in (*_NUMBERS, ColumnType.TEMPORAL, ColumnType.TEXT):
            return np.zeros(len(column), dtype=np.bool_)
        values = encode(pa.table([column], [""]))[0]
        if kind in _NUMBERS:
            return self._found(values[np.newaxis], np.array([kind], dtype=np.uint8))[0]
        if kind == ColumnType.TEMPORAL:
            return np.isin(values, [at for counted, at in self._times if counted == kind_of_time(column.type)])
        present = np.flatnonzero(~np.isnan(values))
        levels, first = np.unique(values[present], return_index=True)
        labels = _taken(column, pa.array(present[first]))
        if pt.is_dictionary(labels.type):
            held = column_type(labels.type.value_type)
            if held not in (ColumnType.TEXT, ColumnType.UNSUPPORTED):
                plain = labels.cast(labels.type.value_type)
                return np.isin(values, levels[self._missing(plain, held)])
        return np.isin(values, levels[[self._is_missing(str(label)) for label in labels.to_pylist()]])

    def _is_missing(self, label: str) -> bool:
        word = label.strip(" \t")
        number = read_number(word)
        return word in self._words or (number is not None and number[0] in self._numbers)


def _taken(column: pa.ChunkedArray, rows: pa.Array) -> pa.ChunkedArray:
    """Some rows of a column, in its type; null where a row is."""
    if not pt.is_string_view(column.type):
        return column.take(rows)
    return plain_text(column).take(rows).cast(column.type)

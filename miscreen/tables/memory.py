"""Tables that are in memory already: Polars, pandas and pyarrow tables, NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError, check_utf8, first_of
from miscreen.model import ColumnType
from miscreen.tables.encoding import check_names, column_types, encode, names_and_types, widest_value
from miscreen.tables.source import TableSource, members

# What Arrow says to data that it has no type for, and what to do about it.
_NOT_ARROW = (pa.ArrowException, ValueError, TypeError, OverflowError)
_ONE_TYPE = "a single type that is not sparse, whole numbers no more than 64 bits"
_RUN = 256  # columns of pandas that are taken together


class ArrowTableSource(TableSource):
    """A pyarrow table, or whatever exports itself as one through the Arrow C interface.

    Parameters
    ----------
    table : pyarrow.Table
    amiss : mapping of int to str
        What is wrong with columns that Arrow has no type for, by position: the table has nulls without one there.
    """

    label = "the table"

    def __init__(self, table: pa.Table, amiss: Mapping[int, str] = MappingProxyType({})) -> None:
        self.n_samples = len(table)
        self.names, self._arrow_types = names_and_types(table.schema)
        self.types = column_types(self._arrow_types)
        self.value_bytes = widest_value(self._arrow_types)
        self._table = table
        self._amiss = amiss
        check_names(self.names, self.label)

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        return encode(self._table.select(columns.tolist()), members(self._arrow_types, columns))

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`; `DataError` for a column that Arrow has no type for."""
        for i in columns.tolist() if self._amiss else ():
            if i in self._amiss:
                raise DataError(
                    f"column {self.names[i]!r} cannot be read as Arrow data: {self._amiss[i]}",
                    f"Give it {_ONE_TYPE}, or leave it out",
                )
        return self._table.select(columns.tolist())


def _from_pandas(frame: Any) -> ArrowTableSource:
    """A pandas table, but for its index; a column that Arrow has no type for, such as of mixed objects, has none here.

    Where it has one for none of them, it says so of the first.
    """
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names):  # Arrow's own way to name them takes time for each
        names = pa.Table.from_pandas(frame.iloc[:0].astype(object), preserve_index=False).column_names
    dtypes = frame.dtypes.tolist()
    columns, amiss = [], {}
    for first, stop in _runs(dtypes):
        if _is_plain(dtypes[first]):  # of a column by itself pandas makes an object, in ten times as long
            columns += [pa.array(column, from_pandas=True) for column in frame.iloc[:, first:stop].to_numpy().T]
            continue
        for i in range(first, stop):
            try:
                columns.append(pa.Array.from_pandas(frame.iloc[:, i]))
            except _NOT_ARROW as error:
                columns.append(pa.nulls(len(frame), pa.binary()))
                amiss[i] = f"{error} ({dtypes[i]})"
    if amiss and len(amiss) == len(names):
        raise pa.ArrowTypeError(f"column {first_of(names)}: {amiss[0]}")
    return ArrowTableSource(pa.Table.from_arrays(columns, names=names), amiss)


def _runs(dtypes: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Where runs of columns of one type begin and end: short ones, since what pandas keeps apart is copied together."""
    first = 0
    for i in range(1, len(dtypes) + 1):
        if i == len(dtypes) or i - first == _RUN or dtypes[i] is not dtypes[first]:
            yield first, i
            first = i


def _is_plain(dtype: Any) -> bool:
    """Whether NumPy has numbers or truth values of that type, and Arrow has the same."""
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.isnative


class MatrixSource(TableSource):
    """A NumPy array with one sample a row, and names for its columns."""

    label = "the array"

    def __init__(self, matrix: NDArray[Any], names: Sequence[str]) -> None:
        self.n_samples, n_columns = matrix.shape
        self.names = list(names)
        self._matrix = matrix.astype(matrix.dtype.newbyteorder("="), copy=False)  # the only one that Arrow has
        kind = matrix.dtype.kind
        code = {
            "f": ColumnType.FLOAT,
            "i": ColumnType.INTEGER,
            "u": ColumnType.INTEGER,
            "b": ColumnType.BOOLEAN,
        }[kind]
        self.types = np.full(n_columns, int(code), dtype=np.uint8)
        exact = kind == "b" or matrix.dtype.itemsize <= (4 if kind == "f" else 2)
        self.value_bytes = 4 if exact else 8
        check_names(self.names, self.label)

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        dtype = np.float32 if self.value_bytes == 4 else np.float64
        return np.array(self._matrix[:, columns].T, dtype=dtype, order="C")

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        arrays = [pa.array(self._matrix[:, c]) for c in columns]
        return pa.Table.from_arrays(arrays, names=[self.names[c] for c in columns])


def open_column(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """One column as a dataframe would hold it: categories stay such; null, NaN, NaT and NA are missing.

    Raises
    ------
    InputError
        When it is none, or of several types.
    """
    column = None
    try:
        if isinstance(values, np.ndarray):
            dtype = values.dtype.newbyteorder("=")  # the only one that Arrow has, nor has it hours
            dtype = np.promote_types(dtype, f"{dtype.kind}8[s]") if dtype.kind in "mM" else dtype
            values = values.astype(dtype, copy=False)
        if hasattr(values, "__arrow_c_stream__"):
            column = pa.chunked_array(values)
        elif not isinstance(values, str):
            column = pa.array(values, from_pandas=True)
    except _NOT_ARROW as error:
        if getattr(values, "ndim", 1) == 1:
            raise InputError(
                f"{name} cannot be read as a column: {error}", "Give a 1-D array or a list of a single type"
            ) from error
    if column is None or pt.is_nested(column.type):
        raise InputError(f"{name} is not one-dimensional", "Give one column; to rank many use miscreen.rank")
    return column


def filled(data: Any) -> Any:
    """A masked array with NaN where it is masked, and whatever else as it is; `InputError` where NaN has no place."""
    if not isinstance(data, np.ma.MaskedArray):
        return data
    if data.dtype.kind != "f":
        raise InputError(f"the array is masked and of type {data.dtype}", "Convert it to floats, or use a dataframe")
    return data.filled(np.nan)


def open_object(data: Any, names: Sequence[str] | None) -> TableSource:
    """Wrap a dataframe or an array.

    Raises
    ------
    InputError
        When it is neither, or when an array comes without a name for each column.
    """
    data = filled(data)
    if isinstance(data, np.ndarray):
        if data.ndim != 2 or data.dtype.kind not in "fiub":
            raise InputError(
                f"the array has shape {data.shape} and type {data.dtype}",
                "Give a 2-D array of numbers or booleans, one sample a row; for other columns use a dataframe",
            )
        if data.dtype.kind == "f" and data.dtype.itemsize > 8:
            raise InputError(f"arrays of {data.dtype} are not supported", "Convert it to float64 or float32")
        if names is not None and (
            isinstance(names, str)
            or not isinstance(names, Sized)
            or not all(issubclass(kind, str) for kind in set(map(type, names)))  # there may be a million
        ):
            raise InputError("names= is no list of text", "Give names=, a text for each column")
        if names is None or len(names) != data.shape[1]:
            found = "no names" if names is None else f"{len(names):,} names"
            raise InputError(f"the array has {data.shape[1]:,} columns and {found}", "Give names=, one a column")
        check_utf8(names)
        return MatrixSource(data, names)
    if names is not None:
        raise InputError(
            f"names= goes with a NumPy array only, and this is a {type(data).__name__}",
            "Leave it out for a dataframe, which has names of its own; make an array of anything else",
        )
    try:
        if isinstance(data, pa.RecordBatch):
            return ArrowTableSource(pa.Table.from_batches([data]))
        if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
            return _from_pandas(data)
        if isinstance(data, pa.Table):
            return ArrowTableSource(data)
        if hasattr(data, "__arrow_c_stream__") and len(getattr(data, "shape", (0, 0))) == 2:  # no single column
            # pa.table would do, after it has imported pandas to see whether it is from there.
            return ArrowTableSource(pa.RecordBatchReader.from_stream(data).read_all())
    except _NOT_ARROW as error:
        check_names([str(name) for name in getattr(data, "columns", ())], "the table")
        raise DataError(
            f"the table cannot be read as Arrow data: {error}",
            f"Give each column {_ONE_TYPE}",
        ) from error
    raise InputError(
        f"cannot read a table from {type(data).__name__}",
        "Collect it first"
        if type(data).__name__ == "LazyFrame"
        else "Give a path, a Polars, pandas or pyarrow table, or a NumPy array with names=",
    )

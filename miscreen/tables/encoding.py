"""From Arrow columns to rows of numbers: what each type means to a screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from miscreen.errors import DataError, in_short
from miscreen.model import EXACT_INTEGERS, ColumnType

_EXACT_POWERS = 22  # up to which doubles hold those of ten
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def column_type(arrow_type: pa.DataType) -> ColumnType:
    """What a column of that Arrow type holds."""
    if pt.is_floating(arrow_type) or pt.is_null(arrow_type):
        return ColumnType.FLOAT
    if pt.is_integer(arrow_type):
        return ColumnType.INTEGER
    if pt.is_decimal(arrow_type):
        return ColumnType.DECIMAL
    if pt.is_boolean(arrow_type):
        return ColumnType.BOOLEAN
    if pt.is_temporal(arrow_type) and not pt.is_interval(arrow_type):
        return ColumnType.TEMPORAL
    held = arrow_type.value_type if pt.is_dictionary(arrow_type) else arrow_type
    if pt.is_string(held) or pt.is_large_string(held) or pt.is_string_view(held):
        return ColumnType.TEXT
    if pt.is_dictionary(arrow_type) and (_is_extension(held) or column_type(held) != ColumnType.UNSUPPORTED):
        return ColumnType.TEXT
    return ColumnType.UNSUPPORTED


def kind_of_time(arrow_type: pa.DataType) -> str:
    """What a column of `ColumnType.TEMPORAL` counts seconds of: see `_seconds`."""
    if pt.is_time(arrow_type):
        return "time of day"
    return "duration" if pt.is_duration(arrow_type) else "date or datetime"


def _is_extension(arrow_type: pa.DataType) -> bool:
    return isinstance(arrow_type, pa.BaseExtensionType)


# A schema makes lists of its names and types anew each time it is asked, in 0.15 us a column; its text takes a third.

_MIXED = 100  # columns at the start, such as identifiers, that may well be of other types than the many behind them


def names_and_types(schema: pa.Schema) -> tuple[list[str], list[pa.DataType]]:
    """Each column's name and type: one and the same type for all but the first, where the schema's text says so."""
    n = len(schema)
    if n > _MIXED and pt.is_primitive((last := schema.field(n - 1)).type):  # others may differ and have the same text
        text, end = (
            one.to_string(show_field_metadata=False, show_schema_metadata=False) + "\n"
            for one in (schema, pa.schema([last.with_name("")]))
        )
        rest = text.split("\n", _MIXED)[-1]
        names = rest.split(end)
        # No nested types nor names of several lines, and those behind the first alike; other bytes than UTF-8 raise,
        # and of names of more than 100 bytes the text leaves out the middle.
        alike = text.count("\n") == n and len(names) == n - _MIXED + 1 and "\ufffd" not in text
        if alike and max(map(len, names)) <= (100 if text.isascii() else 25):
            first = [schema.field(i) for i in range(_MIXED)]
            return [f.name for f in first] + names[:-1], [f.type for f in first] + [last.type] * (n - _MIXED)
    return schema.names, schema.types


def type_ids(arrow_types: Sequence[pa.DataType]) -> NDArray[np.intp]:
    """What Arrow numbers the type of each column by."""
    if len(arrow_types) > _MIXED and arrow_types[_MIXED] is (last := arrow_types[-1]):
        rest = arrow_types[_MIXED:]
        if rest.count(last) == len(rest):  # which takes a tenth of the time that asking each does
            ids = np.full(len(arrow_types), last.id, dtype=np.intp)
            ids[:_MIXED] = [arrow_type.id for arrow_type in arrow_types[:_MIXED]]
            return ids
    return np.array([arrow_type.id for arrow_type in arrow_types], dtype=np.intp)


def column_types(arrow_types: Sequence[pa.DataType]) -> NDArray[np.uint8]:
    """`ColumnType` of columns of these types."""
    ids = type_ids(arrow_types)
    types = np.empty(len(ids), dtype=np.uint8)
    for key in np.unique(ids).tolist():
        here = np.flatnonzero(ids == key)
        types[here] = int(column_type(arrow_types[int(here[0])]))
    for i in np.flatnonzero(ids == pa.lib.Type_DICTIONARY).tolist():  # which may hold anything
        types[i] = int(column_type(arrow_types[i]))
    return types


_NARROW = frozenset(
    t.id for t in (pa.float32(), pa.float16(), pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.bool_())
)


def widest_value(arrow_types: Sequence[pa.DataType]) -> int:
    """4 when columns of all these types fit float32 exactly, else 8."""
    return 4 if _NARROW.issuperset(np.unique(type_ids(arrow_types)).tolist()) else 8


def float_type(arrow_types: Sequence[pa.DataType]) -> np.dtype[Any]:
    """That of a block of such columns."""
    return np.dtype(np.float32 if widest_value(arrow_types) == 4 else np.float64)


def check_names(names: Sequence[str], label: str) -> None:
    """Raise `DataError` when columns share a name."""
    if len(set(names)) == len(names):
        return
    seen: dict[str, int] = {}
    doubled: list[str] = []
    for position, name in enumerate(names, start=1):
        if name in seen and len(doubled) < 3:
            doubled.append(f"{in_short(name)} (columns {seen[name]} and {position})")
        seen.setdefault(name, position)
    raise DataError(
        f"{label} has columns with the same name: {', '.join(doubled)}", "Rename them, so that each is unique"
    )


def encode(table: pa.Table, arrow_types: Sequence[pa.DataType] | None = None) -> NDArray[Any]:
    """Turn the columns of an Arrow table into rows of numbers, NaN where missing.

    Parameters
    ----------
    table : pyarrow.Table
    arrow_types : sequence of pyarrow.DataType, optional
        Those of its columns, where they are known: see `column_types`.

    Returns
    -------
    float32 or float64 array, shape (n_columns, n_rows), C-contiguous
        Encoded as `miscreen.model.FeatureBlock` says; float32 only if no column needs more.
    """
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        return _encode(table, table.schema.types if arrow_types is None else arrow_types)


def _encode(table: pa.Table, arrow_types: Sequence[pa.DataType]) -> NDArray[Any]:
    groups = _alike(arrow_types)
    dtype = float_type(list(groups))
    whole = len(groups) == 1
    values = None
    for arrow_type, members in groups.items():
        rows = _encode_alike(table if whole else table.select(members), arrow_type)
        if whole:
            return np.ascontiguousarray(rows, dtype=dtype)
        if values is None:
            values = np.empty((table.num_columns, len(table)), dtype=dtype)
        values[members] = rows
    return np.empty((0, len(table)), dtype=dtype) if values is None else values


def are_rounded_together(numbers: NDArray[np.float64], parts: Sequence[pa.ChunkedArray]) -> bool:
    """Whether values of a column of decimals or times that differ are one as numbers.

    Parameters
    ----------
    numbers : float64 array, shape (n,)
        What `encode` makes of the rows that matter, NaN where missing.
    parts : sequence of pyarrow.ChunkedArray
        The column, in each of several files: decimals, times of one kind, or nulls.
    """
    most = np.fmax.reduce(np.abs(numbers), initial=0.0)
    if np.spacing(most) < min(_step(part.type) for part in parts):  # each value has a number of its own
        return False
    encoded = np.concatenate([encode(pa.table([part], [""]))[0] for part in parts])
    exact = {value for part in parts for value in _exact(part)}
    return len(np.unique(encoded[~np.isnan(encoded)])) < len(exact)


def _step(arrow_type: pa.DataType) -> float:
    """By how much values of decimals or times differ at least, as numbers."""
    if pt.is_decimal(arrow_type):
        return float(10.0**-arrow_type.scale)
    return math.inf if pt.is_null(arrow_type) else 1 / _per_second(arrow_type)


def _exact(column: pa.ChunkedArray) -> list[Any]:
    """The values of decimals or times that are present, in Python's numbers; of times those are nanoseconds."""
    present = column.drop_null()
    if pt.is_temporal(column.type) and len(present):
        ticks = np.unique(_ticks(present, column.type)).astype(object)  # which no product is too large for
        return list(ticks * (_PER_SECOND["ns"] // _per_second(column.type)))
    return list(present.to_pylist())


def _alike(arrow_types: Sequence[pa.DataType]) -> dict[pa.DataType, list[int]]:
    """The positions of each type."""
    if len(arrow_types) and arrow_types.count(arrow_types[0]) == len(arrow_types):
        return {arrow_types[0]: list(range(len(arrow_types)))}
    groups: dict[pa.DataType, list[int]] = {}
    before, members = None, []
    for i, arrow_type in enumerate(arrow_types):
        if arrow_type is not before and (before is None or arrow_type != before):  # hashing takes eight times as long
            before, members = arrow_type, groups.setdefault(arrow_type, [])
        members.append(i)
    return groups


def _numeric_rows(table: pa.Table) -> NDArray[Any]:
    """All columns of one numeric type, transposed in one compiled pass a batch."""
    batches = table.to_batches() if len(table) else []
    if len(batches) > 8:  # many row groups: one copy to a single batch is cheaper than many narrow transposes
        batches = table.combine_chunks().to_batches()
    parts = [b.to_tensor(null_to_nan=True, row_major=False).to_numpy().T for b in batches]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _encode_alike(table: pa.Table, arrow_type: pa.DataType) -> NDArray[Any]:
    """Columns of one type, in one piece as far as Arrow has them as numbers: one by one that takes twice as long."""
    if (pt.is_integer(arrow_type) or pt.is_floating(arrow_type)) and not pt.is_float16(arrow_type) and len(table):
        return _numeric_rows(table)  # before columns are asked for, each an object of its own
    kind, columns = column_type(arrow_type), table.columns
    # Arrow unifies no dictionaries of nulls.
    held = arrow_type.value_type if pt.is_dictionary(arrow_type) else arrow_type
    if not len(table) or kind == ColumnType.UNSUPPORTED or pt.is_null(held):
        return np.full((len(columns), len(table)), np.nan)
    if kind == ColumnType.TEMPORAL:
        return np.stack([_seconds(column, arrow_type) for column in columns])
    if kind == ColumnType.DECIMAL:
        return np.stack([_decimals(column, arrow_type) for column in columns])
    if pt.is_float16(arrow_type):  # before version 25 Arrow makes tensors of them with zeros where they are missing
        return np.stack([_floats(column) for column in columns])
    if kind == ColumnType.TEXT:
        coded = [_labels(column, arrow_type).dictionary_encode().indices for column in columns]
    else:
        coded = [column.cast(pa.uint8()) for column in columns]  # truth values
    return _numeric_rows(pa.Table.from_arrays(coded, names=[""] * len(coded)))


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    floats = column.cast(pa.float64(), safe=False)
    row: NDArray[np.float64] = _numeric_rows(pa.Table.from_arrays([floats], names=[""]))[0]
    return row


def _decimals(column: pa.ChunkedArray, arrow_type: pa.DataType) -> NDArray[np.float64]:
    """Decimals correctly rounded, as the same digits in text are; Arrow's own cast errs in one of seven."""
    if pt.is_decimal128(arrow_type) and 0 <= arrow_type.scale <= _EXACT_POWERS:
        whole = pa.decimal128(38, 0)
        digits = [pa.Array.from_buffers(whole, len(c), c.buffers(), offset=c.offset) for c in column.chunks]
        row = _floats(pa.chunked_array(digits, whole))
        if not (np.abs(row) >= EXACT_INTEGERS).any():  # both are exact, so that it is rounded once
            return row / 10.0**arrow_type.scale
    return _floats(column.cast(pa.string()))


def _labels(column: pa.ChunkedArray, arrow_type: pa.DataType) -> pa.Array:
    """Text as one plain array, or what stands for it: not every Arrow function supports views and dictionaries."""
    if not pt.is_dictionary(arrow_type):
        if column.num_chunks == 1 and not pt.is_string_view(arrow_type):
            return column.chunk(0)
        return plain_text(column).combine_chunks()
    if pt.is_string_view(arrow_type.value_type) or _is_extension(arrow_type.value_type):
        column = pa.chunked_array([_with_plain_labels(chunk) for chunk in column.chunks])
    if column.num_chunks > 1:
        if any(chunk.dictionary.null_count for chunk in column.chunks):  # Arrow unifies none that have nulls
            column = pa.chunked_array([chunk.dictionary_decode().dictionary_encode() for chunk in column.chunks])
        column = column.unify_dictionaries()
    coded = column.combine_chunks()
    labels = coded.dictionary
    if pt.is_floating(labels.type):
        labels = pc.replace_with_mask(labels, pc.fill_null(pc.is_nan(labels), False), pa.scalar(None, labels.type))
    if len(labels) <= len(coded) and not labels.null_count and len(labels.unique()) == len(labels):
        return coded.indices  # which are as good as what they stand for, and numbered in a third of the time
    return labels.take(coded.indices)


def plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text as one of large strings: not every Arrow function supports views."""
    if pt.is_string_view(column.type):
        column = pa.chunked_array([_without_stray_views(chunk) for chunk in column.chunks], column.type)
    return column.cast(pa.large_string())


def _with_plain_labels(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    """Categories as text: of views, or of a type that Arrow cannot compare, such as the intervals of pandas.cut."""
    labels = chunk.dictionary
    if _is_extension(labels.type):
        texts = [None if label is None else repr(label) for label in labels.storage.to_pylist()]
        plain = pa.array(texts, pa.large_string())
    else:
        plain = _without_stray_views(labels).cast(pa.large_string())
    return pa.DictionaryArray.from_arrays(chunk.indices, plain)


def _without_stray_views(chunk: pa.Array) -> pa.Array:
    """Text views without what a damaged file may hold where values are missing: casting, Arrow adds up its lengths."""
    if not chunk.null_count:
        return chunk
    validity, views, *texts = chunk.buffers()
    first, end = chunk.offset, chunk.offset + len(chunk)
    slots = np.frombuffer(views, dtype=np.uint8, count=16 * end).reshape(-1, 16).copy()
    present = np.unpackbits(np.frombuffer(validity, dtype=np.uint8), count=end, bitorder="little")
    slots[:first] = 0
    slots[present == 0] = 0
    return pa.Array.from_buffers(chunk.type, len(chunk), [validity, pa.py_buffer(slots), *texts], offset=first)


def _integers(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of integers without nulls; `to_numpy` would do, but it imports pandas."""
    whole = column.combine_chunks()
    return np.from_dlpack(pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole)


def _seconds(column: pa.ChunkedArray, arrow_type: pa.DataType) -> NDArray[np.float64]:
    """Seconds since 1970-01-01 UTC (dates, timestamps), since midnight (times), or of a duration."""
    present = _integers(column.is_valid().cast(pa.uint8())) == 1
    return np.where(present, seconds(_ticks(column, arrow_type), _per_second(arrow_type)), np.nan)


def _per_second(arrow_type: pa.DataType) -> int:
    """How many ticks a second has."""
    return 1 if pt.is_date(arrow_type) else _PER_SECOND[arrow_type.unit]


def _ticks(column: pa.ChunkedArray, arrow_type: pa.DataType) -> NDArray[np.int64]:
    """Dates in seconds, other times in their unit; 0 where missing."""
    if pt.is_date(arrow_type):
        column = column.cast(pa.date32())
    narrow = pa.int32() if column.type.bit_width == 32 else pa.int64()
    ticks: NDArray[np.int64] = _integers(pc.fill_null(column.cast(narrow).cast(pa.int64()), 0))
    return ticks * 86400 if pt.is_date(arrow_type) else ticks


def seconds(ticks: NDArray[np.int64], per_second: int) -> NDArray[np.float64]:
    """Ticks of at most a second as seconds."""
    if per_second > 1_000_000:  # microseconds are exact in a float64 where nanoseconds are not
        return np.where(ticks % 1000 == 0, (ticks // 1000) / 1e6, ticks / 1e9)
    return ticks / np.float64(per_second)

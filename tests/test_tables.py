"""Tables of every format give the same values, and damaged ones a clear error."""

from __future__ import annotations

import bz2
import datetime
import errno
import gzip
import io
import itertools
import lzma
import math
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import miscreen
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.model import ColumnType, FeatureBlock
from miscreen.pipeline import run_blocks
from miscreen.resources import Resources, plan_blocks
from miscreen.tables import batches, encoding, open_table
from miscreen.tables.arrow import ArrowSource
from miscreen.tables.batches import batch_head
from miscreen.tables.columns import NameIndex, expand_patterns, is_named, name_matcher
from miscreen.tables.encoding import column_type, encode, names_and_types
from miscreen.tables.flatbuffers import follow, table_field
from miscreen.tables.loading import Loader

CODES = [0, 1, 0, np.nan, 2, 3, 4, 1, np.nan, 5, 0, 2]


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=5)


def write_arrow(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


def write_feather(table: pa.Table, path: Path) -> None:
    feather.write_feather(table, path, compression="zstd", chunksize=5)


WRITERS = {
    "t.parquet": write_parquet,
    "t.arrow": write_arrow,
    "t.feather": write_feather,
    "t.arrows": write_stream,
}


def expected_values(table: pa.Table) -> dict[str, np.ndarray]:
    """What the encoding rules say, one Python object at a time."""
    rows = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        codes: dict[Any, int] = {}
        row = []
        for scalar in column:
            v = scalar.as_py()
            if v is None or name in ("list", "binary", "struct.with.dots"):
                row.append(np.nan)
            elif name in ("string", "large_string", "category"):
                row.append(codes.setdefault(v, len(codes)))
            elif name.startswith("date"):
                row.append(scalar.cast(pa.date32()).cast(pa.int32()).as_py() * 86400)
            elif name.startswith("timestamp"):
                row.append(pd.Timestamp(v).value / 1e9)
            elif name.startswith("time"):
                row.append(v.hour * 3600 + v.minute * 60 + v.second + v.microsecond / 1e6)
            elif name == "duration":
                row.append(v.total_seconds())
            else:
                row.append(float(v))
        rows[name] = np.array(row, dtype=np.float64)
    return rows


@pytest.mark.parametrize("name", WRITERS)
def test_every_type_is_encoded_as_documented(
    name: str, typed_table: pa.Table, tmp_path: Path, resources: Resources
) -> None:
    WRITERS[name](typed_table, tmp_path / name)
    expected = expected_values(typed_table)
    np.testing.assert_array_equal(expected["string"], CODES)
    with open_table(tmp_path / name, resources=resources) as table:
        assert list(table.names) == typed_table.column_names
        assert table.n_samples == 12
        values = table.values(np.arange(len(table.names)))
        for column, row in zip(table.names, values, strict=True):
            if column.startswith("time"):  # sums of fractions in the expectation round differently
                np.testing.assert_allclose(row, expected[column], rtol=1e-15)
            else:
                np.testing.assert_array_equal(row, expected[column], err_msg=column)


def test_types_are_recognised(typed_table: pa.Table, resources: Resources) -> None:
    with open_table(typed_table, resources=resources) as table:
        types = {name: ColumnType(t) for name, t in zip(table.names, table.types, strict=True)}
    assert types["int8"] == types["uint16"] == ColumnType.INTEGER
    assert types["float16"] == types["null"] == ColumnType.FLOAT
    assert types["bool"] == ColumnType.BOOLEAN
    assert types["string"] == types["large_string"] == types["category"] == ColumnType.TEXT
    assert types["date32"] == types["time64"] == types["duration"] == ColumnType.TEMPORAL
    assert types["list"] == types["binary"] == types["struct.with.dots"] == ColumnType.UNSUPPORTED


@pytest.mark.parametrize("last", [pa.float32(), pa.int64(), pa.list_(pa.int8()), pa.timestamp("s", "UTC")])
@pytest.mark.parametrize(
    "other", [None, pa.field("x", pa.string()), pa.field("x\nx149: float", pa.float32(), nullable=False)]
)
@pytest.mark.parametrize("place", [0, 99, 100, 148])
def test_types_of_many_columns_are_those_of_each(last: pa.DataType, other: pa.Field | None, place: int) -> None:
    fields = [pa.field(f"x{i}", last, metadata={"unit": "m\nx1: float"}) for i in range(150)]
    if other is not None:
        fields[place] = other
    schema = pa.schema(fields, metadata={"x2": "float"})
    assert names_and_types(schema) == (schema.names, schema.types)


def test_names_of_many_columns_are_those_of_each() -> None:
    odd = ["", "a: float", ": float not null", "é", "a\\nb", "\t", "\r", "\u2028", "\ufffd", "a: float\nb", "\n"]
    for nullable in (True, False):
        for lines in (odd[:8], odd[8:9], odd[9:10], odd, ["x" * 100], ["x" * 101], ["é" * 51]):
            for first in (50, 120):
                names = [f"x{i}" for i in range(150)]
                names[first : first + len(lines)] = lines
                schema = pa.schema([pa.field(name, pa.float32(), nullable) for name in names])
                assert names_and_types(schema) == (names, schema.types)


def test_dataframes_agree_with_files(typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
    plain = typed_table.drop_columns(["null", "list", "struct.with.dots", "float16", "time32", "date64", "binary"])
    write_parquet(plain, tmp_path / "t.parquet")
    everything = np.arange(plain.num_columns)
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        expected = table.values(everything)
    polars_frame = pl.from_arrow(plain)
    pandas_frame = polars_frame.to_pandas(use_pyarrow_extension_array=True)
    for frame in (plain, polars_frame, pandas_frame):
        with open_table(frame, resources=resources) as table:
            assert list(table.names) == plain.column_names
            np.testing.assert_array_equal(table.values(everything), expected)


def test_numbers_of_pandas_are_taken_many_columns_at_once(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(5).standard_normal((20, 600))
    values[values > 1.5] = np.nan
    frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(600)])
    frame.insert(0, "flag", frame["x0"] > 0)
    frame.insert(300, "count", np.arange(20, dtype=np.int16))
    expected = pa.Table.from_pandas(frame, preserve_index=False)

    def one_by_one(*_: Any) -> Any:
        raise AssertionError("a column was asked for by itself")

    monkeypatch.setattr(pd.DataFrame, "__getitem__", one_by_one)
    with open_table(frame, resources=resources) as table:
        assert table.table(np.arange(602)).equals(expected)


def test_a_frame_of_polars_is_read_without_pandas() -> None:
    code = (
        "import sys, polars, miscreen\n"
        "frame = polars.DataFrame({'x': range(100), 'y': [i * i % 7 for i in range(100)]})\n"
        "miscreen.rank(frame, 'y', 'pearson')\n"
        "print('pandas' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_columns_come_in_the_order_asked_for(typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
    wanted = np.array([26, 0, 11, 8, 11, 25, 3])
    for name, write in WRITERS.items():
        write(typed_table, tmp_path / name)
        with open_table(tmp_path / name, resources=resources) as table:
            everything = table.values(np.arange(len(table.names)))
            np.testing.assert_array_equal(table.values(wanted), everything[wanted])
            assert table.table(wanted).equals(typed_table.select(wanted.tolist())), name


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_files_of_polars(compression: Any, typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
    unknown = ["float16", "time32", "list", "struct.with.dots", "null"]
    frame = pl.from_arrow(typed_table.drop_columns(unknown))
    assert isinstance(frame, pl.DataFrame)
    frame.write_ipc(tmp_path / "t.arrow", compression=compression, record_batch_size=5)
    frame.write_ipc_stream(tmp_path / "t.arrows", compression=compression)
    frame.write_parquet(tmp_path / "t.parquet", compression=compression, row_group_size=5)
    columns = np.arange(frame.width)
    with open_table(frame, resources=resources) as table:
        expected = table.values(columns)
    for name in ("t.arrow", "t.arrows", "t.parquet"):
        with open_table(tmp_path / name, resources=resources) as table:
            assert table.names == frame.columns
            np.testing.assert_array_equal(table.values(columns), expected, err_msg=name)


@pytest.mark.parametrize(
    "arrow_type",
    [
        pa.decimal128(12, 3), pa.decimal128(38, 0), pa.decimal128(38, 3), pa.decimal128(38, 22), pa.decimal128(38, 23),
        pa.decimal128(20, -2), pa.decimal256(60, 3), pa.decimal64(12, 3), pa.decimal32(9, 3),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("digits", [5, 16, 18])
def test_decimals_are_rounded_correctly(arrow_type: pa.DataType, digits: int) -> None:
    whole = np.random.default_rng(digits).integers(-(10**digits), 10**digits, 500).tolist()
    if digits > arrow_type.precision:
        whole = [v % 10**arrow_type.precision for v in whole]
    decimals = [None if i % 7 == 0 else Decimal(v).scaleb(-arrow_type.scale) for i, v in enumerate(whole)]
    array = pa.array(decimals, arrow_type)
    found = encode(pa.table({"x": pa.chunked_array([array[:100], array[100:]])}).slice(3))[0]
    expected = [np.nan if v is None else float(v) for v in decimals[3:]]
    np.testing.assert_array_equal(found, expected)


def test_decimals_are_the_same_in_every_format(tmp_path: Path) -> None:
    prices = [Decimal(i).scaleb(-3) for i in range(0, 10**6, 997)]
    made = pl.DataFrame({"x": pl.Series(prices, dtype=pl.Decimal(20, 3))})
    made.write_parquet(tmp_path / "t.parquet")
    made.write_csv(tmp_path / "t.csv")
    made.write_ipc(tmp_path / "t.arrow")
    resources = Resources(1, 1 << 26, tmp_path)
    found = []
    for source in (made, *(tmp_path / f"t.{ending}" for ending in ("parquet", "csv", "arrow"))):
        with open_table(source, resources=resources) as table:
            found.append(table.values(np.arange(1)).tobytes())
    assert len(set(found)) == 1


_PLAIN = [pa.float32(), pa.float64(), pa.int8(), pa.int32(), pa.int64(),
          pa.int16(), pa.uint8(), pa.uint16(), pa.uint32(), pa.bool_()]  # fmt: skip
_OTHERS = [pa.uint64(), pa.float16(), pa.null(),
           pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
           pa.date32(), pa.timestamp("us"), pa.decimal128(20, 2)]  # fmt: skip


def table_of(types: list[pa.DataType], n: int, random: np.random.Generator) -> pa.Table:
    """Columns of these types, half of them with values missing."""
    columns = []
    for arrow_type in types:
        cells: list[Any] = random.integers(0, 100, n).tolist()
        if random.random() < 0.5:
            cells = [None if random.random() < 0.3 else cell for cell in cells]
        if pa.types.is_null(arrow_type):
            columns.append(pa.nulls(n))
        elif pa.types.is_boolean(arrow_type):
            columns.append(pa.array([None if cell is None else cell > 50 for cell in cells], arrow_type))
        elif pa.types.is_integer(arrow_type):
            least, most = (getattr(np.iinfo(str(arrow_type)), end) for end in ("min", "max"))
            some = [least, least + 1, least // 2, most // 2, most // 2 + 1, most - 1, most]
            columns.append(
                pa.array([None if c is None else some[c] if c < len(some) else c for c in cells], arrow_type)
            )
        elif pa.types.is_floating(arrow_type):
            columns.append(pa.array(cells, pa.int64()).cast(pa.float64()).cast(arrow_type))
        elif pa.types.is_temporal(arrow_type):
            columns.append(pa.array(cells, pa.int32() if pa.types.is_date(arrow_type) else pa.int64()).cast(arrow_type))
        elif pa.types.is_decimal(arrow_type):
            columns.append(pa.array(cells, pa.int32()).cast(arrow_type))
        else:
            columns.append(pa.array([None if cell is None else f"level {cell:09}" for cell in cells]).cast(arrow_type))
    return pa.table(columns, names=[f"c{i}" for i in range(len(types))])


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("seed", range(40))
def test_plain_numbers_of_an_arrow_file_are_what_arrow_reads(
    seed: int, new: Any, compression: Any, tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PIECE_BYTES", 1000)
    random = np.random.default_rng(seed)
    pool = _PLAIN if seed % 4 == 0 else _PLAIN[:1] if seed % 4 == 1 else _PLAIN + _OTHERS
    types = [pool[i] for i in random.integers(len(pool), size=random.integers(1, 30))]
    table = table_of(types, int(random.integers(0, 40)), random)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(str(tmp_path / "t.arrow"), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=int(random.integers(1, 50)))
    columns = random.integers(len(types), size=12)
    with open_table(tmp_path / "t.arrow", resources=resources) as found:
        assert isinstance(found, ArrowSource) and found._plain is not None
        np.testing.assert_array_equal(found._plain.has, [one in _PLAIN for one in types])
        if found._plain.has.all():
            monkeypatch.setattr(found, "table", None)
        values = found.values(columns)
    expected = encode(table.select(columns.tolist()))
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_damage_in_compressed_numbers_of_an_arrow_file_is_found_or_harmless(
    compression: str, tmp_path: Path, resources: Resources
) -> None:
    values = np.repeat(np.random.default_rng(0).integers(0, 9, 16), 5)
    table = pa.table({"a": pa.array(values, mask=values == 3), "b": values * 0.1, "c": np.zeros(80)})
    whole = io.BytesIO()
    with pa.ipc.new_file(whole, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    content, refused = whole.getvalue(), 0
    start = content.index(b"\x04\x22\x4d\x18" if compression == "lz4" else b"\x28\xb5\x2f\xfd") - 8
    for position in range(start, len(content) - 300):
        for flip in (0x01, 0xFF):
            changed = bytearray(content)
            changed[position] ^= flip
            (tmp_path / "t.arrow").write_bytes(changed)
            try:
                with open_table(tmp_path / "t.arrow", resources=resources) as found:
                    assert found.values(np.arange(3)).shape == (3, 80)
            except DataError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("rows", [101, 1 << 40, 1 << 60, (1 << 63) - 1])
@pytest.mark.parametrize("random", [True, False])  # too random to be packed, or not
def test_no_room_is_made_for_more_rows_than_a_compressed_batch_has(
    random: bool, rows: int, tmp_path: Path, resources: Resources
) -> None:
    numbers = np.random.default_rng(0).normal(size=100) if random else np.zeros(100)
    whole = io.BytesIO()
    table = pa.table({"a": numbers, "b": pa.array(numbers, mask=numbers > 1)})
    with pa.ipc.new_stream(whole, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    content = whole.getvalue()
    places = [i for i in range(0, len(content), 8) if content[i : i + 8] == (100).to_bytes(8, "little")]
    assert len(places) == 3  # of the batch, and of each column
    changed = bytearray(content)
    for place in places:
        changed[place : place + 8] = rows.to_bytes(8, "little")
    (tmp_path / "t.arrow").write_bytes(changed)
    with pytest.raises(DataError, match="a batch has fewer numbers than rows"):
        open_table(tmp_path / "t.arrow", resources=resources)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_compressed_numbers_of_arrow_0_17_are_what_arrow_reads(
    new: Any, compression: str, tmp_path: Path, resources: Resources
) -> None:
    """It told of the codec in the metadata of each batch, not where there is a place for it now."""
    table = pa.table({"a": np.random.default_rng(0).normal(size=100), "b": np.zeros(100)})
    options = pa.ipc.IpcWriteOptions(compression=compression, metadata_version=pa.ipc.MetadataVersion.V4)
    whole = io.BytesIO()
    with new(whole, table.schema, options=options) as writer:
        for batch in table.to_batches(max_chunksize=60):
            writer.write_batch(batch, custom_metadata={"ARROW:experimental_compression": compression.upper()})
    content = bytearray(whole.getvalue())
    start = 0
    while (start := content.find(b"\xff" * 4, start) + 4) >= 4:
        metadata = memoryview(content)[start + 4 :]
        if content[start : start + 4] == bytes(4):  # the end
            continue
        root = struct.unpack_from("<I", metadata)[0]
        if metadata[table_field(metadata, root, 1) or 0] == 3:
            record = follow(metadata, root, 2)
            vtable = record - struct.unpack_from("<i", metadata, record)[0]
            struct.pack_into("<H", metadata, vtable + 4 + 2 * 3, 0)
    (tmp_path / "t.arrow").write_bytes(content)
    with open_table(tmp_path / "t.arrow", resources=resources) as found:
        np.testing.assert_array_equal(found.values(np.arange(2)), encode(table))


def test_the_largest_integers_are_rounded_as_arrow_does(tmp_path: Path, resources: Resources) -> None:
    signed = [2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 9007199254740993, None]
    table = pa.table(
        {"i": pa.array(signed, pa.int64()), "u": pa.array([2**64 - 1, 2**63 + 1, 0, 1, 2, None], pa.uint64())}
    )
    write_arrow(table, tmp_path / "t.arrow")
    with open_table(tmp_path / "t.arrow", resources=resources) as found:
        np.testing.assert_array_equal(found.values(np.arange(2)), encode(table))


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_nested_columns_leave_all_to_arrow(compression: Any, tmp_path: Path, resources: Resources) -> None:
    table = pa.table({"a": [1.0, None], "list": [[1.0], [2.0, 3.0]], "b": [3.0, 4.0]})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema, options=options) as writer:
        writer.write_table(table)
    with open_table(tmp_path / "t.arrow", resources=resources) as found:
        np.testing.assert_array_equal(found.values(np.array([2, 0])), [[3.0, 4.0], [1.0, np.nan]])


def test_numbers_that_reach_beyond_an_arrow_file_are_refused(tmp_path: Path, resources: Resources) -> None:
    """Every number in the metadata of a batch is made larger, and smaller than 0, in turn."""
    whole = io.BytesIO()
    table = pa.table({"a": np.arange(64.0), "b": pa.array([1, None] * 32, pa.int32())})
    with pa.ipc.new_file(whole, table.schema) as writer:
        writer.write_table(table)
    content = whole.getvalue()
    view = memoryview(content)
    end = len(view) - 10
    footer = view[end - int.from_bytes(view[end : end + 4], "little") : end]
    blocks = follow(footer, int.from_bytes(footer[:4], "little"), 3)
    offset, length = struct.unpack_from("<qi", footer, blocks + 4)
    head = batch_head(view[offset + 8 : offset + length])
    assert head is not None
    refused = 0
    for numbers in (head.nodes, head.buffers):
        start = numbers.__array_interface__["data"][0] - np.frombuffer(view, np.uint8).__array_interface__["data"][0]
        for i in range(numbers.size):
            for wrong in (1 << 40, -8, (1 << 63) - 8):
                changed = bytearray(content)
                changed[start + 8 * i : start + 8 * i + 8] = wrong.to_bytes(8, "little", signed=True)
                (tmp_path / "t.arrow").write_bytes(changed)
                try:
                    with open_table(tmp_path / "t.arrow", resources=resources) as found:
                        assert found.values(np.arange(2)).shape == (2, 64)  # a bitmap where no value is missing, say
                except DataError:
                    refused += 1
    assert refused == 27  # all but the number of nulls in one column, and a bitmap that the other has no use for


def test_types_that_are_not_of_arrow_itself_leave_all_to_arrow(tmp_path: Path, resources: Resources) -> None:
    """They share a number, whatever they are made of: the buffers of two may be as many as of two others."""
    text = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array([f'"item {i:05}"' for i in range(16)]))
    nothing = pa.ExtensionArray.from_storage(pa.opaque(pa.null(), "geo", "there"), pa.nulls(16))
    columns: dict[str, Any] = {"p": text, "q": text, "a": np.arange(16.0), "o": nothing, "r": nothing}
    for names in ("pqaor", "paqor", "opaqr"):
        table = pa.table({name: columns[name] for name in names})
        write_arrow(table, tmp_path / "t.arrow")
        with open_table(tmp_path / "t.arrow", resources=resources) as found:
            np.testing.assert_array_equal(found.values(np.array([names.index("a")])), [np.arange(16.0)])


@pytest.mark.parametrize("of", [slice(None), slice(1, 5), slice(2, 3)])
def test_text_views_that_lead_astray_where_values_are_missing_are_not_followed(of: slice) -> None:
    words = ["a text longer than a view", None, "short", None, "a text longer than a view", "another"]
    validity, views, *texts = pa.array(words, pa.string_view()).buffers()
    slots = np.frombuffer(views, dtype=np.int32).reshape(-1, 4).copy()
    slots[[1, 3]] = -1711276032  # bytes, which Arrow adds up before it looks at what is missing
    damaged = pa.Array.from_buffers(pa.string_view(), 6, [validity, pa.py_buffer(slots), *texts])[of]
    expected = encode(pa.table({"text": pa.array(words)[of]}))
    np.testing.assert_array_equal(encode(pa.table({"text": damaged})), expected)


def test_truth_values_alone_take_a_bit_each(tmp_path: Path, resources: Resources) -> None:
    truths = np.arange(1000) % 3 == 0
    table = pa.table({"a": truths, "b": ~truths})
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    with open_table(tmp_path / "t.arrow", resources=resources) as found:
        np.testing.assert_array_equal(found.values(np.arange(2)), [truths, ~truths])


def test_batches_of_fewer_rows_than_none_are_refused(tmp_path: Path, resources: Resources) -> None:
    for column in (np.arange(96.0), [f"{i}" for i in range(96)]):
        table, whole = pa.table({"a": column}), io.BytesIO()
        with pa.ipc.new_file(whole, table.schema) as writer:
            writer.write_table(table, max_chunksize=77)
        fewer = whole.getvalue().replace((19).to_bytes(8, "little"), (-19).to_bytes(8, "little", signed=True))
        (tmp_path / "t.arrow").write_bytes(fewer)
        with pytest.raises(DataError, match="-19 rows"):
            open_table(tmp_path / "t.arrow", resources=resources)


def test_rows_whose_bytes_cannot_be_counted_are_refused(tmp_path: Path, resources: Resources) -> None:
    table, whole = pa.table({"a": np.arange(64.0)}), io.BytesIO()
    with pa.ipc.new_file(whole, table.schema) as writer:
        writer.write_table(table)
    more = (2**61 + 8).to_bytes(8, "little")  # times 8 bytes, 64 again
    (tmp_path / "t.arrow").write_bytes(whole.getvalue().replace((64).to_bytes(8, "little"), more))
    with pytest.raises(DataError, match="reaches beyond"):
        open_table(tmp_path / "t.arrow", resources=resources)


def test_floats_keep_their_width(tmp_path: Path, resources: Resources) -> None:
    for dtype in (np.float32, np.float64):
        data = np.random.default_rng(1).standard_normal((7, 3)).astype(dtype)
        pq.write_table(pa.table(list(data.T), names=list("abc")), tmp_path / "t.parquet")
        with open_table(tmp_path / "t.parquet", resources=resources) as table:
            values = table.values(np.arange(3))
        assert values.dtype == dtype and values.flags.c_contiguous
        np.testing.assert_array_equal(values, data.T)


def test_numpy_arrays(resources: Resources) -> None:
    data = np.arange(12, dtype=np.int64).reshape(4, 3)
    with open_table(data, names=["a", "b", "c"], resources=resources) as table:
        assert set(table.types) == {ColumnType.INTEGER}
        np.testing.assert_array_equal(table.values(np.array([2, 0])), data[:, [2, 0]].T)
        assert table.table(np.array([1])).to_pydict() == {"b": [1, 4, 7, 10]}
    with pytest.raises(InputError, match="3 columns and no names"):
        open_table(data, resources=resources)
    with pytest.raises(InputError, match="3 columns and 2 names"):
        open_table(data, names=["a", "b"], resources=resources)
    with pytest.raises(InputError, match="type object"):
        open_table(data.astype(object), names=["a", "b", "c"], resources=resources)
    with pytest.raises(DataError, match=r"same name: 'a' \(columns 1 and 3\)"):
        open_table(data, names=["a", "b", "a"], resources=resources)
    with pytest.raises(InputError, match="cannot read a table from dict"):
        open_table({"a": [1]}, resources=resources)


def test_standard_input_takes_every_format(
    typed_table: pa.Table, tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, write in WRITERS.items():
        write(typed_table, tmp_path / name)

        class Pipe(io.RawIOBase):
            def __init__(self, content: bytes) -> None:
                self.rest = content

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                piece = self.rest[: min(len(buffer), 1000)]
                self.rest = self.rest[len(piece) :]
                buffer[: len(piece)] = piece
                return len(piece)

        piped = io.TextIOWrapper(io.BufferedReader(Pipe((tmp_path / name).read_bytes())))
        monkeypatch.setattr(sys, "stdin", piped)
        with open_table("-", resources=resources) as table:
            assert table.table(np.arange(3)).equals(typed_table.select([0, 1, 2])), name


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block_features", [1, 4, 100])
def test_blocks_cover_the_columns_once(
    threads: int, block_features: int, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(2).standard_normal((5, 11))
    columns = np.array([9, 1, 2, 3, 5, 7])
    seen: dict[int, tuple[str, list[float]]] = {}

    def look(block: FeatureBlock, start: int, stop: int) -> None:
        for i in range(start, stop):
            seen[block.first + i] = block.names[i], block.values[i].tolist()

    with open_table(data, names=[f"x{i}" for i in range(11)], resources=resources) as table:
        run_blocks(table, columns, block_features, look, threads, None)
    assert seen == {i: (f"x{c}", data[:, c].tolist()) for i, c in enumerate(columns)}


def test_progress_is_told_within_a_block(resources: Resources) -> None:
    told = [0]

    def look(block: FeatureBlock, start: int, stop: int) -> None:
        until = time.monotonic() + 20
        while told[-1] < block.first + start:  # until the slice before has been told of
            assert time.monotonic() < until
            time.sleep(0.001)

    def note(phase: str, done: int, total: int | None) -> None:
        told.append(done)

    data, columns = np.ones((8_000, 24)), np.arange(24)
    with open_table(data, names=[f"x{i}" for i in columns], resources=resources) as table:
        run_blocks(table, columns, 24, look, 1, note)
    assert told[-1] == 24


class TestSeveralFiles:
    def test_stacked(self, typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
        flat = typed_table.drop_columns(["category", "float64"])  # NaN equals nothing
        write_parquet(flat.slice(0, 5), tmp_path / "a.parquet")
        shuffled = flat.select(list(reversed(flat.column_names)))
        write_arrow(shuffled.slice(5), tmp_path / "b.arrow")
        (tmp_path / "_SUCCESS").write_bytes(b"")
        columns = np.arange(flat.num_columns)
        with open_table(flat, resources=resources) as whole:
            expected = whole.values(columns)
        for source in (tmp_path, f"{tmp_path}/*.*"):
            with open_table(source, resources=resources) as table:
                assert table.n_samples == 12
                np.testing.assert_array_equal(table.values(columns), expected)
                assert table.table(columns).to_pydict() == flat.to_pydict()

    def test_side_by_side(self, tmp_path: Path, resources: Resources) -> None:
        data = np.random.default_rng(3).standard_normal((6, 5)).astype(np.float32)
        pq.write_table(pa.table(list(data[:, :2].T), names=["a", "b"]), tmp_path / "1.parquet")
        pq.write_table(pa.table(list(data[:, 2:].T), names=["c", "d", "e"]), tmp_path / "2.parquet")
        with open_table(str(tmp_path), resources=resources) as table:
            assert list(table.names) == list("abcde")
            wanted = np.array([4, 0, 3])
            np.testing.assert_array_equal(table.values(wanted), data[:, wanted].T)
            assert table.table(wanted).column_names == ["e", "a", "d"]

    def test_neither(self, tmp_path: Path, resources: Resources) -> None:
        pq.write_table(pa.table({"a": [1, 2], "b": [1, 2]}), tmp_path / "1.parquet")
        pq.write_table(pa.table({"c": [1, 2, 3]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"share neither their columns nor their rows: .*2 rows x.*quoted glob"):
            open_table(str(tmp_path), resources=resources)
        pq.write_table(pa.table({"b": [1, 3], "c": [3, 4]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match="share the column 'b', but row 2 has 2 in one and 3 in the other"):
            open_table(str(tmp_path), resources=resources)
        pq.write_table(pa.table({"b": [1, 2], "c": [3, 4]}), tmp_path / "2.parquet")
        (tmp_path / ".hidden.parquet").write_bytes(b"nothing")
        with open_table(str(tmp_path), resources=resources) as table:
            assert table.names == ["a", "b", "c"]
            np.testing.assert_array_equal(table.values(np.array([2, 1])), [[3, 4], [1, 2]])
        pq.write_table(pa.table({"a": ["x"], "b": [1]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"column 'a' is text in .* but integer in"):
            open_table(str(tmp_path), resources=resources)

    def test_shared_columns_side_by_side(self, tmp_path: Path, resources: Resources) -> None:
        pq.write_table(pa.table({"id": [1.5, None, np.nan, None], "a": [1, 2, 3, 4]}), tmp_path / "1.parquet")
        pq.write_table(pa.table({"id": [1.5, np.nan, None, None], "b": [1, 2, 3, 4]}), tmp_path / "2.parquet")
        with open_table(str(tmp_path), resources=resources) as table:
            assert table.names == ["id", "a", "b"]
        pq.write_table(pa.table({"id": [1.5, 2.5, None, None], "b": [1, 2, 3, 4]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"share the column 'id', but row 2 has None in one and 2\.5 in the other"):
            open_table(str(tmp_path), resources=resources)
        with open_table(str(tmp_path), resources=resources, ignored_columns=is_named(["id"])) as table:
            np.testing.assert_array_equal(table.values(np.array([1, 2])), [[1, 2, 3, 4]] * 2)

    def test_nothing_there(self, tmp_path: Path, resources: Resources) -> None:
        with pytest.raises(InputError, match=r"holds no table\. Known: .*\.tab$"):
            open_table(str(tmp_path), resources=resources)
        (tmp_path / "year=2020").mkdir()
        with pytest.raises(InputError, match=r"holds no table.*take a quoted glob, such as 'data/\*/\*\.parquet'"):
            open_table(str(tmp_path), resources=resources)
        with pytest.raises(InputError, match="no file matches"):
            open_table(f"{tmp_path}/*.parquet", resources=resources)


class TestBadFiles:
    def test_missing_with_a_near_name(self, tmp_path: Path, resources: Resources) -> None:
        (tmp_path / "data.parquet").write_bytes(b"")
        with pytest.raises(InputError, match=r"no file .*data\.parqet") as error:
            open_table(tmp_path / "data.parqet", resources=resources)
        assert "Did you mean data.parquet?" in error.value.hint
        with pytest.raises(InputError, match=r"directory .*nowhere' does not exist"):
            open_table(tmp_path / "nowhere" / "t.csv", resources=resources)

    @pytest.mark.parametrize("name", WRITERS)
    def test_wrong_magic_and_empty(self, name: str, tmp_path: Path, resources: Resources) -> None:
        (tmp_path / name).write_bytes(b"a,b\n1,2\n")
        with pytest.raises(DataError, match=r"no such file: it begins with b'a,b"):
            open_table(tmp_path / name, resources=resources)
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DataError, match="is empty"):
            open_table(tmp_path / name, resources=resources)
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x00 and so on")
        with pytest.raises(DataError, match="compressed") as error:
            open_table(tmp_path / name, resources=resources)
        assert "Decompress" in error.value.hint

    @pytest.mark.parametrize(
        ("content", "found", "hint"),
        [
            (bz2.compress(b"a,b\n1,2\n"), "compressed with bzip2", "bzcat FILE | miscreen rank - "),
            (bz2.compress(b""), "compressed with bzip2", "bzcat"),
            (lzma.compress(b"a,b\n1,2\n"), "compressed with xz", "xzcat FILE |"),
            (b"PK\x03\x04\x14\x00", "compressed with zip", "unzip -p FILE |"),
            (b"7z\xbc\xaf\x27\x1c\x00\x04", "compressed with 7z", "7z x -so FILE |"),
            (pa.Codec("lz4").compress(b"a,b\n1,2\n", asbytes=True), "compressed with lz4", "lz4cat FILE |"),
            (b"FEA1\x00\x00\x00\x00\x01\x00", "Feather version 1, which is not read", "Feather 2"),
            (b"\x89HDF\r\n\x1a\n\x00", "HDF5, which is not read", "in Python"),
            (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'", "a NumPy array", "in Python"),
            (pickle.dumps({"a": [1.5]}), "a Python pickle", "in Python"),
            (b'[{"a": 1, "b": 2}]', "JSON, which is not read", "CSV or Parquet"),
            (b'{"a": 1}\n{"a": 2}\n', "JSON, which is not read", "CSV or Parquet"),
            (b"\xef\xbb\xbf\n{\n  'a': 1", "JSON, which is not read", "CSV or Parquet"),
            (b"[\r\n  [1, 2],", "JSON, which is not read", "CSV or Parquet"),
        ],
    )
    @pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t", "-"])
    def test_formats_that_nobody_reads(
        self,
        name: str,
        content: bytes,
        found: str,
        hint: str,
        tmp_path: Path,
        resources: Resources,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        source: str | Path = "-" if name == "-" else tmp_path / name
        if isinstance(source, Path):
            source.write_bytes(content)
        else:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
        with pytest.raises(DataError, match=f"^{'standard input' if name == '-' else source} is {found}") as error:
            open_table(source, resources=resources)
        assert hint in error.value.hint

    @pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson", "t.json.gz"])
    def test_json_by_name(self, name: str, tmp_path: Path, resources: Resources) -> None:
        (tmp_path / name).write_bytes(gzip.compress(b"[1]") if name.endswith(".gz") else b"[1, 2]")
        with pytest.raises(DataError, match=f"{name} is JSON, which is not read"):
            open_table(tmp_path / name, resources=resources)

    @pytest.mark.parametrize(
        "header", ["BZh,PK", "BZh91AY,x", "FEA1,FEA2", "7z,PAR1", "{a},b", "[1],[2]", "[a,b]", "{a,b"]
    )
    def test_headers_that_look_like_marks(self, header: str, tmp_path: Path, resources: Resources) -> None:
        (tmp_path / "t.csv").write_text(f"{header}\n1,2\n")
        with open_table(tmp_path / "t.csv", resources=resources) as table:
            assert table.names == header.split(",")

    @pytest.mark.parametrize("name", WRITERS)
    def test_truncated_anywhere(self, name: str, typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
        WRITERS[name](typed_table, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        rows = set()
        for length in np.linspace(1, len(whole) - 1, 60, dtype=int):
            (tmp_path / name).write_bytes(whole[:length])
            try:
                with open_table(tmp_path / name, resources=resources) as table:
                    table.values(np.arange(len(table.names)))
                    rows.add((length, table.n_samples))
            except DataError as error:
                assert str(tmp_path / name) in str(error)
        # A stream has no footer: cut between two batches, or just before its end mark, it looks complete.
        assert not rows or name == "t.arrows", rows

    def test_two_million_rows_of_memory(self, resources: Resources) -> None:
        from miscreen.errors import ResourceError

        with pytest.raises(ResourceError, match=r"one column of 2,000,000 rows takes 15.3 MB") as error:
            plan_blocks(10, 2_000_000, 8, memory_bytes=32 << 20)
        assert "--memory 61.1MB" in error.value.hint
        assert plan_blocks(10, 2_000_000, 8, memory_bytes=65_100_000) == 1


def test_stacked_files_may_lack_a_type_where_cells_are_missing(tmp_path: Path, resources: Resources) -> None:
    (tmp_path / "1.csv").write_text("y,t,u\n1.5,a,\n2.5,b,\n")
    (tmp_path / "2.csv").write_text("y,t,u\n3.5,NA,c\n4.5,,d\n")
    with open_table(str(tmp_path), resources=resources) as table:
        assert [ColumnType(t) for t in table.types] == [ColumnType.FLOAT, ColumnType.TEXT, ColumnType.TEXT]
        np.testing.assert_array_equal(table.values(np.array([1, 2])), [[0, 1, np.nan, np.nan], [np.nan, np.nan, 0, 1]])
        assert table.table(np.array([1, 2])).to_pydict() == {"t": ["a", "b", None, None], "u": [None, None, "c", "d"]}


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["b", "a"]),
        pa.array(["b", "a"]).dictionary_encode(),
        pa.array([True, False]),
        pa.array([datetime.date(2020, 1, 2), None]),
        pa.array([datetime.timedelta(1), None]),
        pa.array([2, None]),
        pa.array([Decimal("2.5"), None]),
        pa.array([[1], None]),
    ],
    ids=lambda cells: str(cells.type),
)
@pytest.mark.parametrize("untyped", [pa.array([np.nan, None]), pa.nulls(2, pa.int64()), pa.nulls(2, pa.string())])
def test_what_is_missing_in_all_of_a_stacked_file_is_null(
    cells: pa.Array, untyped: pa.Array, tmp_path: Path, resources: Resources
) -> None:
    parts = [untyped, cells, untyped]
    for number, part in enumerate(parts):
        pq.write_table(pa.table({"u": part, "x": [1.5, 2.5]}), tmp_path / f"{number}.parquet")
    with open_table(str(tmp_path), resources=resources) as table:
        found = table.table(np.array([0])).column(0)
        assert found.to_pylist() == [None, None, *cells.to_pylist(), None, None]
        assert column_type(found.type) == table.types[0] == column_type(cells.type)
        np.testing.assert_array_equal(table.values(np.array([0]))[0, 2:4], encode(pa.table([cells], ["u"]))[0])
    miscreen.convert(tmp_path, tmp_path / "all.arrow")
    assert pa.ipc.open_file(tmp_path / "all.arrow").read_all().column("u").null_count == 4 + cells.null_count


@pytest.mark.parametrize(
    ("cells", "untyped"),
    [
        (pa.array([datetime.datetime(2020, 1, 2, 3), None]), pa.nulls(2, pa.date32())),
        (pa.array([1, None]).cast(pa.timestamp("ms", "UTC")), pa.nulls(2, pa.timestamp("us"))),
        (pa.array([datetime.date(2020, 1, 2), None]), pa.nulls(2, pa.time64("us"))),
        (pa.array([[1], None]), pa.nulls(2, pa.binary())),
    ],
    ids=lambda cells: str(cells.type),
)
def test_what_is_missing_in_all_of_a_stacked_file_goes_with_others_of_its_kind(
    cells: pa.Array, untyped: pa.Array, tmp_path: Path
) -> None:
    for number, part in enumerate([untyped, cells, untyped]):
        pq.write_table(pa.table({"u": part, "x": [1.5, 2.5]}), tmp_path / f"{number}.parquet")
    miscreen.convert(tmp_path, tmp_path / "all.arrow")
    found = pa.ipc.open_file(tmp_path / "all.arrow").read_all().column("u")
    assert found.type == cells.type and found.to_pylist() == [None, None, *cells.to_pylist(), None, None]


def test_many_stacked_columns_that_are_all_missing_or_unlike_take_no_time_for_each_other(
    tmp_path: Path, resources: Resources
) -> None:
    """Put into the table one by one, which copies all of them each time, they would take minutes."""
    names = [f"c{i}" for i in range(20_000)]
    words = pa.array(["a", "b"])
    for number, cells in enumerate((pa.array([np.nan, None]), pa.array([3, 4]))):
        text = words.dictionary_encode() if number else words
        write_arrow(pa.table([cells, text] * 10_000, names), tmp_path / f"{number}.arrow")
    with open_table(str(tmp_path), resources=resources) as table:
        found = table.table(np.arange(20_000))
    assert found.column(19_998).to_pylist() == [None, None, 3, 4]
    assert found.column(19_999).to_pylist() == ["a", "b", "a", "b"]


def test_stacked_columns_of_unlike_times_are_refused(tmp_path: Path, resources: Resources) -> None:
    moment, day = datetime.datetime(2020, 1, 2, 3), datetime.date(2020, 1, 2)
    kinds = {"date or datetime": [moment, day], "time of day": [moment.time()], "duration": [moment - moment]}
    for (one, first), (two, second) in itertools.permutations(kinds.items(), 2):
        for name, value in (("1.parquet", first[0]), ("2.parquet", second[-1])):
            pq.write_table(pa.table({"x": [1.0, 2.0], "t": [value, None]}), tmp_path / name)
        with pytest.raises(DataError, match=rf"'t' is {two} in .*2.parquet but {one} in .*1.parquet"):
            open_table(str(tmp_path), resources=resources)
        with open_table(str(tmp_path), resources=resources, ignored_columns=is_named(["t"])) as table:
            assert table.n_samples == 4
    for name, value in (("1.parquet", moment), ("2.parquet", day)):
        pq.write_table(pa.table({"t": [value, None]}), tmp_path / name)
    with open_table(str(tmp_path), resources=resources) as table:
        assert table.values(np.array([0]))[0, 0] - table.values(np.array([0]))[0, 2] == 3 * 3600


def test_the_hint_for_stacked_columns_that_clash_can_be_typed(tmp_path: Path, resources: Resources) -> None:
    for number, cell in enumerate((1, "a")):
        pq.write_table(pa.table({"the\tpatient's": [cell]}), tmp_path / f"{number}.parquet")
    with pytest.raises(DataError) as error:
        open_table(str(tmp_path), resources=resources)
    assert error.value.hint.endswith(r"--exclude $'the\u0009patient\'s'")


def test_stacked_integers_stay_integers_beside_missing_cells(tmp_path: Path, resources: Resources) -> None:
    for number, cells in enumerate((["", "", ""], ["0", "1", "2"], ["", "3", ""])):
        (tmp_path / f"{number}.csv").write_text("y,u\n" + "".join(f"{i}.5,{cell}\n" for i, cell in enumerate(cells)))
    with open_table(str(tmp_path), resources=resources) as table:
        assert [ColumnType(t) for t in table.types] == [ColumnType.FLOAT, ColumnType.INTEGER]


@pytest.mark.parametrize("write", [pa.ipc.new_file, pa.ipc.new_stream])
def test_categories_of_nothing_in_several_batches_are_missing(write: Any, tmp_path: Path, resources: Resources) -> None:
    table = pa.table({"x": np.arange(100.0), "g": pa.nulls(100).dictionary_encode()})
    with write(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=30)
    with open_table(str(tmp_path / "t.arrow"), resources=resources) as opened:
        assert np.isnan(opened.values(np.array([1]))).all()


def test_a_category_that_is_not_a_number_is_missing(resources: Resources) -> None:
    categories = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 1]), pa.array([0.5, math.nan, 2.0]))
    with open_table(pa.table({"g": categories}), resources=resources) as table:
        np.testing.assert_array_equal(table.values(np.array([0])), [[0, math.nan, 1, math.nan]])


@pytest.mark.parametrize(
    "labels",
    [["a", "b", "c"], ["a", "b", "a"], ["a", None, "b"], ["a", None, None], ["a", "b", "c", "d", "e", "f", "g"]],
)
@pytest.mark.parametrize("arrow_type", [pa.string(), pa.string_view(), pa.json_(pa.string())])
def test_categories_are_numbered_as_the_text_they_stand_for(
    arrow_type: pa.DataType, labels: list[Any], resources: Resources
) -> None:
    codes, categories = pa.array([2, 0, None, 2, 1]), pa.array(labels, arrow_type)
    whole = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, categories)])
    other = pa.array(list(reversed(labels)), arrow_type)
    coded = [len(labels) - 1 - code if code is not None else None for code in codes[2:].to_pylist()]
    cut = pa.chunked_array([whole.chunk(0)[:2], pa.DictionaryArray.from_arrays(pa.array(coded), other)])
    text = pa.array([None if code is None else labels[code] for code in codes.to_pylist()], pa.string())
    with open_table(pa.table({"whole": whole, "cut": cut, "text": text}), resources=resources) as table:
        values = table.values(np.arange(3))
    np.testing.assert_array_equal(values, values[[2, 2, 2]])


def test_stacked_text_and_categories_are_one_column(tmp_path: Path, resources: Resources) -> None:
    texts = pa.array(["a", "b"]), pa.array(["b", "c"]).dictionary_encode()
    for number, text in enumerate(texts):
        pq.write_table(pa.table({"g": text}), tmp_path / f"{number}.parquet")
    with open_table(str(tmp_path), resources=resources) as table:
        np.testing.assert_array_equal(table.values(np.array([0])), [[0, 1, 1, 2]])


def test_the_types_of_stacked_columns_matter_where_they_are_read(tmp_path: Path, resources: Resources) -> None:
    (tmp_path / "1.csv").write_text("y,t\n1.5,1\n2.5,2\n")
    (tmp_path / "2.csv").write_text("y,t\n3.5,a\n4.5,b\n")
    with pytest.raises(DataError, match=r"column 't' is text in .* but integer in"):
        open_table(str(tmp_path), resources=resources)
    with open_table(str(tmp_path), resources=resources, ignored_columns=is_named(["t"])) as table:
        np.testing.assert_array_equal(table.values(np.array([0])), [[1.5, 2.5, 3.5, 4.5]])
    for number, zone in enumerate((None, "UTC")):
        moments = pa.array([0, 10**6], pa.timestamp("us", zone))
        (tmp_path / "times").mkdir(exist_ok=True)
        pq.write_table(pa.table({"m": moments}), tmp_path / f"times/{number}.parquet")
    with (
        open_table(str(tmp_path / "times"), resources=resources) as table,
        pytest.raises(DataError, match="cannot be put into one table"),
    ):
        table.table(np.array([0]))


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "arrows"])
def test_a_pipe_may_hand_out_a_few_bytes_at_a_time(ending: str, tmp_path: Path, resources: Resources) -> None:
    table = pa.table({"a": [1.5, 2.5], "b": [3.5, 4.5]})
    content = io.BytesIO()
    if ending == "csv":
        content.write(b"a,b\n1.5,3.5\n2.5,4.5\n")
    elif ending == "parquet":
        pq.write_table(table, content)
    else:
        new = pa.ipc.new_file if ending == "arrow" else pa.ipc.new_stream
        with new(content, table.schema) as writer:
            writer.write_table(table)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            for part in (content.getvalue()[:4], content.getvalue()[4:7], content.getvalue()[7:]):
                file.write(part)
                time.sleep(0.02)

    writer_thread = threading.Thread(target=write)
    writer_thread.start()
    with open_table(str(pipe), resources=resources) as opened:
        np.testing.assert_array_equal(opened.values(np.array([1, 0])), [[3.5, 4.5], [1.5, 2.5]])
    writer_thread.join()


def test_a_pipe_that_cannot_be_copied_is_named(tmp_path: Path, resources: Resources) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"PAR1\0"))
    writer.start()
    gone = replace(resources, scratch_dir=tmp_path / "gone")
    with pytest.raises(ResourceError, match=rf"cannot copy {pipe} to '{tmp_path}/gone': No such file or directory"):
        open_table(str(pipe), resources=gone)
    writer.join()


def test_names_are_exact_before_they_are_globs() -> None:
    names = ["a[1]", "a1", "b"]
    index = NameIndex(names, "t")
    for patterns in (["a[1]"], ["a[12]"], ["*"], ["b", "a[1]"], []):
        found = name_matcher(patterns)(names)
        np.testing.assert_array_equal(np.flatnonzero(found), index.many(patterns, "--exclude"))
    np.testing.assert_array_equal(name_matcher(["a[1]"])(["a1"]), [True])


def test_a_table_without_columns_is_told() -> None:
    with pytest.raises(InputError, match="'y' for the target") as error:
        NameIndex([], "t.parquet").one("y", "the target")
    assert error.value.hint == "It has no columns at all"


def test_names_with_commas_between_them_are_told_to_be_given_one_by_one() -> None:
    index = NameIndex(["iq", "tbv cm3", "a,b", "c", "d"], "t")
    assert index.many(["a,b"], "--exclude").tolist() == [2]
    for given, hint in (
        ("iq,tbv cm3", "Name each by itself: --exclude=iq --exclude='tbv cm3'"),
        ("iq,c,d,iq", "Name each by itself: --exclude=iq --exclude=c --exclude=d ..."),
        ("iq,e", "Did you mean 'iq'?"),
    ):
        with pytest.raises(InputError, match=f"t has no column '{given}' for exclude") as error:
            index.many([given], "--exclude")
        assert error.value.hint == hint
    with pytest.raises(InputError, match=r"Name each by itself$"):
        index.many(["iq,c"], "discrete")


def test_lists_of_names(tmp_path: Path) -> None:
    listed = tmp_path / "names.txt"
    listed.write_bytes(b"\xef\xbb\xbfa\r\n\r\nb\xe2\x80\xa8c\n")
    assert expand_patterns([f"@{listed}", "d"]) == ["a", "b\u2028c", "d"]
    listed.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        expand_patterns(f"@{listed}")


def test_a_source_that_is_no_name_is_refused(resources: Resources) -> None:
    with pytest.raises(InputError, match="empty text"):
        open_table("", resources=resources)


# ---- files that change while they are open -----------------------------------------------------------------


@pytest.mark.parametrize("name", [*WRITERS, "stacked"])
def test_a_file_that_is_written_to_while_it_is_read_is_found(name: str, tmp_path: Path, resources: Resources) -> None:
    small = pa.table({"x": [1.0, 2.0]})
    path = source = tmp_path / name
    write = WRITERS.get(name, write_parquet)
    if name == "stacked":
        source.mkdir()
        write(small, source / "a.parquet")
        path = source / "b.parquet"
    write(small, path)

    def use(error: Exception | None) -> None:
        with open_table(source, resources=resources):
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))  # as after writing to it
            if error is not None:
                raise error

    for told in (None, DataError("the file is damaged")):
        with pytest.raises(DataError, match=f"the input changed during the run: '{path}' was written to"):
            use(told)
    with pytest.raises(InputError, match="something else"):
        use(InputError("something else"))
    with open_table(source, resources=resources) as table:  # another file in its place leaves this one as it was
        write(pa.table({"x": [3.0, 4.0]}), tmp_path / "other")
        (tmp_path / "other").replace(path)
        assert table.values(np.array([0]))[0].tolist()[-2:] == [1.0, 2.0]
    with open_table(source, resources=resources):
        path.unlink()


def test_a_parsed_text_may_change(tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with open_table(path, resources=resources) as table:
        path.write_text("")
        assert table.values(np.arange(2)).tolist() == [[1.0], [2.0]]
    path.write_text("a,b\n1,2\n")
    load = Loader.load

    def touching(*arguments: Any) -> None:
        load(*arguments)
        os.utime(path, ns=(1, 1))

    monkeypatch.setattr(Loader, "load", touching)
    with pytest.raises(DataError, match="the input changed during the run"):
        open_table(path, resources=resources)


def test_a_parquet_file_that_becomes_shorter(tmp_path: Path, resources: Resources) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"x": np.arange(1 << 21, dtype=np.float64)}), path, compression="none", use_dictionary=False
    )
    table = open_table(path, resources=resources)
    os.truncate(path, 1 << 20)
    with pytest.raises(DataError, match="became shorter while it was read"):
        table.values(np.arange(1))
    table.close()


def test_a_directory_that_may_not_be_listed(
    tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=f"cannot open '{tmp_path}': Permission denied. Check the path and"):
        open_table(str(tmp_path), resources=resources)


@pytest.mark.parametrize(
    "arrow_type", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.bool_()]
)
@pytest.mark.parametrize("chunks", [1, 2, 10])
def test_columns_of_one_type_are_encoded_together(
    arrow_type: Any, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(9)
    held = [True, False, None] if arrow_type == pa.bool_() else ["b", "a", None, "c"]
    words = [[held[i] for i in rng.integers(0, len(held), 30)] for _ in range(6)]
    cuts = [np.sort(rng.integers(0, 31, chunks - 1)).tolist() for _ in words]
    columns = [
        pa.chunked_array([pa.array(w[a:b]).cast(arrow_type) for a, b in itertools.pairwise([0, *cut, 30])], arrow_type)
        for w, cut in zip(words, cuts, strict=True)
    ]
    calls = []
    transpose = encoding._numeric_rows
    monkeypatch.setattr(encoding, "_numeric_rows", lambda table: (calls.append(table), transpose(table))[1])
    found = encode(pa.table(columns, names=list("abcdef")))
    assert len(calls) == 1
    for row, those in zip(found, words, strict=True):
        levels = [False, True] if arrow_type == pa.bool_() else list(dict.fromkeys(w for w in those if w is not None))
        np.testing.assert_array_equal(row, [np.nan if w is None else levels.index(w) for w in those])


WITH_CODES = {  # a column, what of it means missing where `CODED` are given
    "float": (pa.array([-9.0, 1.5, None, -9.99, 7.0, 2.5]), [0, 3]),
    "single": (pa.array([-9.0, 1.5, None, -9.99, 7.0, 2.5], pa.float32()), [0, 3]),
    "fill": (pa.array([1e20, 0.0, None, -3.4028235e38, 1.0, 2.0], pa.float32()), [0, 3]),
    "whole": (pa.array([-9, 99_999_999, None, 100_000_000, 1_234_567_936, 1_234_567_900]), [0, 1, 5]),
    "short": (pa.array([-9, 1, None, 9, 7, 2], pa.int16()), [0]),
    "decimal": (
        pa.array([Decimal(x) for x in ("-9.00", "1.5", "2.5", "-9.99", "7", "2")], pa.decimal128(8, 2)),
        [0, 3],
    ),
    "truth": (pa.array([True, False, None, True, False, True]), []),
    "text": (pa.array(["-9", " unknown ", None, "-9.9900", "Unknown", "NA"]), [0, 1, 3]),
    "views": (pa.array(["-9", " unknown ", None, "-9.9900", "Unknown", "NA"], pa.string_view()), [0, 1, 3]),
    "category": (pa.array(["b", "unknown", None, "a", "unknown", "b"]).dictionary_encode(), [1, 4]),
    "coded": (pa.array([3.0, -9.0, None, -9.99, 3.0, 1.0]).dictionary_encode(), [1, 3]),
    "single coded": (pa.array([3.0, -9.0, None, -9.99, 3.0, 1.0], pa.float32()).dictionary_encode(), [1, 3]),
    "date": (pa.array([datetime.date(1900, 1, day) for day in (2, 1, 1, 3, 4, 5)]), [1, 2]),
    "moment": (pa.array([datetime.datetime(1900, 1, day) for day in (2, 1, 1, 3, 4, 5)], pa.timestamp("ms")), [1, 2]),
    "moment coded": (
        pa.array([datetime.datetime(1900, 1, day) for day in (2, 1, 1, 3, 4, 5)]).dictionary_encode(),
        [1, 2],
    ),
    "clock": (pa.array([datetime.time(hour) for hour in (0, 1, 2, 3, 4, 5)]), []),
    "span": (pa.array([datetime.timedelta(-25567), *(datetime.timedelta(day) for day in range(5))]), []),
    "list": (pa.array([[-9], [1], None, [2], [3], [4]]), []),
    "nothing": (pa.nulls(6), []),
}
MISSING = "-9/-9.99/99999999/1234567900/1e20/-3.4028235e+38/1e-50/1e300/-inf/ unknown/1900-01-01"
CODED = miscreen.ReadOptions(null_values=MISSING.split("/"))


def without_codes(columns: dict[str, tuple[pa.Array, list[int]]]) -> pa.Table:
    cleaned = {}
    for name, (column, missing) in columns.items():
        values = [None if i in missing else value for i, value in enumerate(column.to_pylist())]
        coded = pa.types.is_dictionary(column.type)
        plain = pa.array(values, column.type.value_type if coded else column.type)
        cleaned[name] = plain.dictionary_encode() if coded else plain
    return pa.table(cleaned)


@pytest.mark.parametrize("read_as", ["t.parquet", "t.arrow", "memory", "slice"])
def test_values_that_mean_missing_are_missing_in_every_format(
    read_as: str, tmp_path: Path, resources: Resources
) -> None:
    # It has no views, and categories of labels alone.
    unknown = {"views", "coded", "single coded", "moment coded"} if read_as == "t.parquet" else set()
    columns = {name: both for name, both in WITH_CODES.items() if name not in unknown}
    table = pa.table({name: column for name, (column, _) in columns.items()})
    expected = without_codes(columns)
    source: Any = tmp_path / read_as if "." in read_as else table
    if read_as == "slice":
        source = pa.concat_tables([table, table]).slice(3, 6)
        expected = pa.concat_tables([expected, expected]).slice(3, 6)
    elif "." in read_as:
        WRITERS[read_as](table, source)
    with (
        open_table(source, resources=resources, read=CODED) as opened,
        open_table(expected, resources=resources) as own,
    ):
        everything = np.arange(len(columns))
        assert opened.types.tolist() == own.types.tolist()
        np.testing.assert_array_equal(opened.values(everything), own.values(everything))
        assert opened.table(everything).to_pylist() == expected.to_pylist()
        assert opened.table(everything).schema == own.table(everything).schema
        for i in everything:  # in blocks of single precision, too
            np.testing.assert_array_equal(opened.values(everything[i : i + 1]), own.values(everything[i : i + 1]))


def test_arrays_and_frames_may_have_values_that_mean_missing(resources: Resources) -> None:
    matrix = np.array([[-9, 1], [2, -9], [3, 4]])
    for source, names in ((matrix, ["a", "b"]), (pd.DataFrame(matrix, columns=["a", "b"]), None)):
        with open_table(source, names=names, resources=resources, read=CODED) as opened:
            np.testing.assert_array_equal(opened.values(np.arange(2)), [[np.nan, 2, 3], [1, np.nan, 4]])
            assert opened.table(np.arange(2)).to_pydict() == {"a": [None, 2, 3], "b": [1, None, 4]}


def test_files_of_several_formats_have_the_same_values_that_mean_missing(tmp_path: Path, resources: Resources) -> None:
    table = pa.table({"a": [-9, 1, 2], "b": ["unknown", "x", "y"]})
    WRITERS["t.parquet"](table, tmp_path / "1.parquet")
    (tmp_path / "2.csv").write_text("a,b\n-9,x\n3,unknown\n")
    with open_table(tmp_path, resources=resources, read=CODED) as opened:
        expected = {"a": [None, 1, 2, None, 3], "b": [None, "x", "y", "x", None]}
        assert opened.table(np.arange(2)).to_pydict() == expected
        np.testing.assert_array_equal(opened.values(np.arange(2))[0], [np.nan, 1, 2, np.nan, 3])


def test_what_is_said_of_delimited_text_alone_is_refused_for_others(tmp_path: Path, resources: Resources) -> None:
    table = pa.table({"a": [1.0]})
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", table):
        for read in ({"delimiter": ";"}, {"header": False}, {"quote": ""}):
            with pytest.raises(InputError, match="is no delimited text: it has no delimiter, quote or header"):
                open_table(source, resources=resources, read=miscreen.ReadOptions(null_values=("-9",), **read))

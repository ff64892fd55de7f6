"""Parquet files of any writer, read by footers cut down to a few columns, are what Arrow says they are."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscreen.errors import DataError
from miscreen.kernels import thrift as kernels
from miscreen.resources import Resources
from miscreen.tables import flatbuffers, footer, open_table, parquet, thrift
from miscreen.tables.encoding import column_types, encode, widest_value
from miscreen.tables.parquet import ParquetSource

ODD_NAMES = ["a.b", "a", "a.b.c", 'say "hi"', "", " ", "é", "列.元素", "line\nend", "nul\0", "x" * 300, "schema"]


def odd_table() -> pa.Table:
    """Columns whose names or types are not the usual ones."""
    n = 7
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {name: rng.standard_normal(n) for name in ODD_NAMES}
    moment = dt.datetime(2001, 2, 3, 4, 5, 6)
    columns["zone"] = pa.array([moment] * n, pa.timestamp("ms", tz="Europe/Berlin"))
    columns["seconds"] = pa.array([moment] * n, pa.timestamp("s"))
    columns["span"] = pa.array(range(n), pa.duration("ns"))
    columns["whole"] = pa.array(range(n), pa.int64())
    columns["category"] = pa.array(list("abcabca")).dictionary_encode()
    columns["numbered"] = pa.array([7, 7, 8, 8, 9, 9, 9]).dictionary_encode()
    columns["large"] = pa.array(list("abcabca"), pa.large_string())
    columns["view"] = pa.array(list("abcabca"), pa.string_view())
    columns["bytes"] = pa.array([b"\xff"] * n, pa.binary(1))
    columns["struct"] = pa.array([{"p": {"q": 1, "r": [2.0, None]}, "s.t": None}] * n)
    columns["list"] = pa.array([[1], None, [], [2, 3], [None], [4], [5]], pa.large_list(pa.int16()))
    columns["map"] = pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int8()))
    columns["tensor"] = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]), pa.array([[1.0, 2.0]] * n, pa.list_(pa.float32(), 2))
    )
    columns["truth"] = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1] * 3 + [0], pa.int8()))
    columns["after"] = pa.array(range(n), pa.uint32())
    columns["small"] = pa.array([1.5, None] * 3 + [0.0], pa.float16())
    columns["money"] = pa.array([1, 2] * 3 + [None], pa.decimal128(30, 2))
    return pa.table(columns)


def polars_file(table: pa.Table, path: Path) -> None:
    kept = [f.name for f in table.schema if f.name not in ("map", "tensor", "truth", "numbered")]
    pl.from_arrow(table.select(kept)).write_parquet(path, row_group_size=3)


def pandas_file(table: pa.Table, path: Path) -> None:
    flat = [f.name for f in table.schema if not f.type.num_fields and f.name not in ("tensor", "truth")]
    frame = table.select(flat).to_pandas()
    frame.index = pd.Index(np.arange(7) * 10, name="the index")
    frame.to_parquet(path)


def written(**options: Any) -> Callable[[pa.Table, Path], None]:
    return lambda table, path: pq.write_table(table, path, **options)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "plain": written(),
    "without the Arrow schema": written(store_schema=False),
    "many row groups": written(row_group_size=2, compression="zstd"),
    "version 2 pages": written(data_page_version="2.0", compression="gzip", use_dictionary=False),
    "uncompressed": written(compression="none", write_statistics=False),
    "small pages": written(data_page_size=8, compression="brotli", write_page_index=True, write_page_checksum=True),
    "lz4": written(compression="lz4", version="1.0", sorting_columns=[pq.SortingColumn(0)]),
    "compliant names": written(use_compliant_nested_type=False, store_decimal_as_integer=True),
    "polars": polars_file,
    "pandas": pandas_file,
}


def types_of(table: pa.Table) -> dict[str, pa.DataType]:
    return dict(zip(table.column_names, table.schema.types, strict=True))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("make", ["odd", "typed"])
def test_any_columns_are_those_that_arrow_reads(
    writer: str,
    make: str,
    typed_table: pa.Table,
    tmp_path: Path,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "_PIECE_COLUMNS", 4)
    if make == "typed" and writer in ("polars", "pandas"):
        pytest.skip("they know fewer types")
    WRITERS[writer](odd_table() if make == "odd" else typed_table, tmp_path / "t.parquet")
    expected = pq.read_table(tmp_path / "t.parquet")
    n = expected.num_columns
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert list(table.names) == expected.column_names
        assert table.n_samples == len(expected)
        np.testing.assert_array_equal(table.types, column_types(expected.schema.types))
        assert table.value_bytes == widest_value(expected.schema.types)
        rng = np.random.default_rng(1)
        wanted = [np.arange(n), rng.permutation(n)[:9], np.arange(n)[::3], np.array([n - 1, 0, n - 1])]
        wanted += [np.array([c]) for c in range(n)]
        for columns in wanted:
            found = table.table(columns)
            selected = expected.select(columns.tolist())
            assert types_of(found) == types_of(selected)
            assert found.equals(selected)
            values = table.values(columns)
            correct = encode(selected)
            assert values.dtype == correct.dtype
            assert values.flags.c_contiguous
            np.testing.assert_array_equal(values, correct)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_pieces_and_threads_change_nothing(
    threads: int, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_PIECE_COLUMNS", piece)
    data = np.random.default_rng(5).standard_normal((30, 50))
    columns = {f"x{j}": data[:, j] if j % 4 else pa.array(data[:, j], pa.float32()) for j in range(50)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=11)
    with open_table(tmp_path / "t.parquet", resources=Resources(threads, 1 << 20, tmp_path)) as table:
        exact = np.where(np.arange(50) % 4 == 0, data.astype(np.float32), data).T
        np.testing.assert_array_equal(table.values(np.arange(50)), exact)
        assert table.values(np.arange(0, 50, 4)).dtype == np.float32


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("stored", [True, False])
def test_extension_types_are_found_wherever_they_stand(
    shift: int, stored: bool, tmp_path: Path, resources: Resources
) -> None:
    opaque = pa.opaque(pa.float64(), "a" * shift, "b")
    column = pa.ExtensionArray.from_storage(opaque, pa.array([1.0, 2.0]))
    kept = pa.table({"x" * (1 + shift): [1.5, 2.5], "y": column}, metadata={"k" * shift: "v"})
    pq.write_table(kept, tmp_path / "t.parquet", store_schema=stored)
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert table.table(np.arange(2)).schema.types == pq.read_table(tmp_path / "t.parquet").schema.types
        assert table.table(np.arange(2)).schema.types[1] == (opaque if stored else pa.float64())


def test_no_more_than_the_columns_asked_for_are_parsed(tmp_path: Path, resources: Resources) -> None:
    pq.write_table(pa.table({f"x{j}": [j, j + 1] for j in range(5000)}), tmp_path / "t.parquet", row_group_size=1)
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert isinstance(table, ParquetSource)
        few = table._footer.metadata(np.array([7, 8, 4999]))
        assert [few.schema.column(i).name for i in range(len(few.schema))] == ["x7", "x8", "x4999"]
        assert (few.num_rows, few.num_row_groups, few.row_group(1).num_columns) == (2, 2, 3)
        assert few.serialized_size < 2000
        np.testing.assert_array_equal(table.values(np.array([4999, 7])), [[4999, 5000], [7, 8]])


@pytest.mark.parametrize("groups", [0, 1, 3])
def test_no_rows(groups: int, typed_table: pa.Table, tmp_path: Path, resources: Resources) -> None:
    empty = typed_table.slice(0, 0)
    with pq.ParquetWriter(tmp_path / "t.parquet", empty.schema) as writer:
        for _ in range(groups):
            writer.write_table(empty)
    expected = pq.read_table(tmp_path / "t.parquet")
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert table.n_samples == 0
        everything = np.arange(len(table.names))
        assert table.table(everything).equals(expected)
        assert table.values(everything).shape == (len(everything), 0)


@pytest.mark.parametrize("odd", [[], ["", "é", "x: float", "\r", "\u2028"], ["a\nb", "\n", "c\n", "", "é"]])
def test_names(odd: list[str], tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footer, "_NAMES_AT_ONCE", 4)
    names = [*odd, *(f"x{i}" for i in range(7))]
    pq.write_table(pa.table({name: [1.0, 2.0] for name in names}), tmp_path / "t.parquet")
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert table.names == names


def test_no_columns(tmp_path: Path, resources: Resources) -> None:
    pq.write_table(pa.table({}), tmp_path / "t.parquet")
    with open_table(tmp_path / "t.parquet", resources=resources) as table:
        assert list(table.names) == []
        assert table.values(np.arange(0)).shape == (0, 0)
        assert table.table(np.arange(0)).num_columns == 0


def test_closing_closes_the_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "t.parquet")
    file = (tmp_path / "t.parquet").open("rb")
    with ParquetSource(file, "t", threads=2) as table:
        table.values(np.arange(1))
        assert not file.closed
    assert file.closed


# ---- damage ------------------------------------------------------------------------------------------------


def small_file(table: pa.Table, **options: Any) -> tuple[bytes, int]:
    """A file in memory, and where its footer begins."""
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="none", **options)
    content = stream.getvalue()
    return content, len(content) - 8 - int.from_bytes(content[-8:-4], "little")


@contextmanager
def on_disk(content: bytes) -> Iterator[ParquetSource]:
    """A nameless file of that content, opened."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        with ParquetSource(file, "t.parquet", threads=1) as table:
            yield table


def outcome(content: bytes) -> pa.Table | None:
    """The table that a file is found to be; None after a clear error."""
    try:
        with on_disk(content) as table:
            everything = np.arange(len(table.names))
            found = table.table(everything)
            assert table.values(everything).shape == (len(everything), table.n_samples)
            assert len(found) == table.n_samples
            return found
    except DataError as error:
        assert error.message.startswith("t.parquet ")
        return None


def arrow_outcome(content: bytes) -> pa.Table | None:
    try:
        return pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError):
        return None


TINY = pa.table({"a": [1.5, 2.5, None], "b.c": [1, 2, 3], "t": ["x", "y", "x"], "s": [{"p": 1, "q": [2]}] * 3})


@pytest.mark.parametrize("flip", [0x01, 0x10, 0x80, 0xFF])
def test_any_byte_of_the_footer_flipped(flip: int) -> None:
    content, start = small_file(TINY, row_group_size=2, store_schema=False, use_dictionary=["t"])
    found = 0
    for position in range(start, len(content)):
        changed = bytearray(content)
        changed[position] ^= flip
        ours = outcome(bytes(changed))
        if ours is not None:
            theirs = arrow_outcome(bytes(changed))
            assert ours.equals(TINY if theirs is None else theirs), position
            found += 1
    assert 0 < found < len(content) - start


def test_any_byte_of_the_arrow_schema_changed() -> None:
    kept = pa.table({"span": pa.array([1, 2], pa.duration("s")), "c": pa.array(["x", "y"]).dictionary_encode()})
    content, start = small_file(kept)
    first = content.index(b"ARROW:schema", start) - 2
    for position in range(first, content.index(b"parquet-cpp", first)):
        for byte in b"A/ \xff":
            changed = content[:position] + bytes([byte]) + content[position + 1 :]
            ours, theirs = outcome(changed), arrow_outcome(changed)
            plain = ours is not None and ours.schema.types == [pa.int64(), pa.string()]  # as Parquet has them
            assert ours is None or (plain if theirs is None else ours.equals(theirs)), (position, byte)


def test_footer_cut_anywhere() -> None:
    content, start = small_file(TINY)
    for stop in range(start, len(content) - 8):
        footer = content[start:stop]
        assert outcome(content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1") is None
    for length in (0, 1, 2**31, 2**32 - 1, len(content) - 11):
        assert outcome(content[:-8] + length.to_bytes(4, "little") + b"PAR1") is None
    for size in range(13):
        assert outcome(b"PAR1" + content[-8:][:size]) is None


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"b.c", b"b\xffc", "utf-8"),
        (b"PAR1", b"PARE", "not those of an unencrypted Parquet file"),
        (b"\x26", b"\x56", "cannot be read as Parquet"),
    ],
)
def test_what_is_complained_of(old: bytes, new: bytes, complaint: str) -> None:
    content, start = small_file(TINY, store_schema=False)
    with pytest.raises(DataError, match=complaint), on_disk(content[:start] + content[start:].replace(old, new)):
        pass


def test_encrypted_columns_are_told() -> None:
    content, start = small_file(TINY)
    footer = content[start:-9] + thrift.field(1, kernels.STRUCT) + thrift.field(1, kernels.STRUCT) + bytes(3)
    whole = content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(DataError, match="it is encrypted"), on_disk(whole):
        pass


def test_columns_of_other_lengths_than_the_footer_says() -> None:
    content, start = small_file(TINY, store_schema=False, use_dictionary=False)
    rows = thrift.field(1, kernels.I64) + thrift.integer(3)  # of the file, its row group and its column chunks
    changed = content[:start] + content[start:].replace(rows, thrift.field(1, kernels.I64) + thrift.integer(4))
    with on_disk(changed) as table:
        assert table.n_samples == 4
        with pytest.raises(DataError, match="not of the length that the footer says"):
            table.values(np.arange(2))


def test_doubled_names(tmp_path: Path, resources: Resources) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, names=["a", "b", "a"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"same name: 'a' \(columns 1 and 3\)"):
        open_table(tmp_path / "t.parquet", resources=resources)


# ---- Thrift and FlatBuffers --------------------------------------------------------------------------------


def values() -> st.SearchStrategy[tuple[int, bytes]]:
    """A Thrift value of any kind that a footer may have: its kind and its bytes."""
    scalars = st.one_of(
        st.sampled_from([(kernels.TRUE, b""), (kernels.FALSE, b"")]),
        st.binary(min_size=1, max_size=1).map(lambda b: (kernels.BYTE, b)),
        st.integers(-(2**63), 2**63 - 1).map(lambda i: (kernels.I64, thrift.integer(i))),
        st.binary(min_size=8, max_size=8).map(lambda b: (kernels.DOUBLE, b)),
        st.binary(max_size=200).map(lambda b: (kernels.BINARY, thrift.binary(b))),
    )
    lists = st.lists(st.integers(-5, 300), max_size=20).map(
        lambda held: (
            kernels.LIST,
            thrift.structs(len(held)).replace(b"\xfc", b"\xf6", 1)
            if len(held) > 14
            else bytes([len(held) << 4 | kernels.I64]),
            held,
        )
    )
    plain_lists = lists.map(lambda made: (made[0], made[1] + b"".join(map(thrift.integer, made[2]))))
    flags = st.lists(st.sampled_from(b"\1\2"), max_size=9).map(
        lambda held: (kernels.SET, bytes([len(held) << 4 | kernels.TRUE, *held]))
    )
    return st.recursive(
        st.one_of(scalars, plain_lists, flags),
        lambda below: st.one_of(
            struct_of(below),
            st.lists(struct_of(below), max_size=17).map(
                lambda held: (kernels.LIST, thrift.structs(len(held)) + b"".join(s for _, s in held))
            ),
        ),
        max_leaves=12,
    )


def struct_of(below: st.SearchStrategy[tuple[int, bytes]]) -> st.SearchStrategy[tuple[int, bytes]]:
    def build(fields: list[tuple[tuple[int, bytes], int]]) -> tuple[int, bytes]:
        content = b"".join(
            (thrift.field(step, kind) if step else bytes([kind]) + thrift.integer(9)) + value
            for (kind, value), step in fields
        )
        return kernels.STRUCT, content + b"\0"

    return st.lists(st.tuples(below, st.integers(0, 15)), max_size=5).map(build)


@given(value=struct_of(values()), after=st.binary(max_size=3))
def test_a_struct_is_skipped_to_its_end_and_never_beyond(value: tuple[int, bytes], after: bytes) -> None:
    kind, content = value
    starts = np.empty(3, np.int64)
    twice = np.frombuffer(b"xy" + content + content + after, dtype=np.uint8)
    assert kernels.skip(twice, 2, kind, starts) == 2 + 2 * len(content)
    assert starts.tolist() == [2, 2 + len(content), 2 + 2 * len(content)]
    for size in range(len(content)):
        assert kernels.skip(np.frombuffer(content[:size], dtype=np.uint8), 0, kind, starts) == -1


@given(content=st.binary(max_size=60), kind=st.integers(0, 15))
def test_any_bytes_end_a_walk_within_them(content: bytes, kind: int) -> None:
    array = np.frombuffer(content, dtype=np.uint8)
    starts = np.zeros(4, np.int64)
    if (end := kernels.skip(array, 0, kind, starts)) >= 0:
        assert starts[0] == 0
        assert starts[3] == end <= len(content)
        assert np.all(np.diff(starts) >= (0 if kind in (kernels.TRUE, kernels.FALSE) else 1))
    n, position = kernels.read_columns(array, 0, *np.empty((2, 5, 3), np.int64), np.empty(5, np.bool_))
    assert n < 5
    assert -1 <= position <= len(content)


@pytest.mark.parametrize("depth", [10, 1000])
def test_nesting_is_bounded(depth: int) -> None:
    content = bytes([0x1C] * (depth - 1)) + bytes(depth)
    found = kernels.skip(np.frombuffer(content, dtype=np.uint8), 0, kernels.STRUCT, np.empty(2, np.int64))
    assert found == (len(content) if depth == 10 else -1)


@given(number=st.integers(-(2**63), 2**63 - 1), text=st.binary(max_size=300))
def test_what_is_written_is_read_again(number: int, text: bytes) -> None:
    content = thrift.field(3, kernels.I64) + thrift.integer(number) + thrift.field(2, kernels.BINARY)
    reader = thrift.Reader(content + thrift.binary(text) + b"\0")
    assert {n: reader.integer() if n == 3 else reader.binary() for n in reader.fields()} == {3: number, 5: text}


@pytest.mark.parametrize("window", [1, 4, 1000])
def test_types_of_chosen_fields(window: int, typed_table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatbuffers, "_WINDOW", window)
    types = typed_table.schema.types
    schema = flatbuffers.SerializedSchema(typed_table.schema.serialize().to_pybytes())
    assert schema.n_fields == len(types)
    for chosen in (np.arange(len(types)), np.arange(len(types))[::-3], np.array([3, 3])):
        assert list(schema.types(chosen)) == [types[i] for i in chosen]


def test_a_damaged_schema_is_an_error(typed_table: pa.Table) -> None:
    message = pa.schema(list(typed_table.schema)[:4]).serialize().to_pybytes()
    for position in range(len(message)):
        for changed in (message[:position], message[:position] + b"\xf7" + message[position + 1 :]):
            try:
                schema = flatbuffers.SerializedSchema(changed)
                assert len(list(schema.types(np.arange(schema.n_fields)))) == schema.n_fields
            except (ValueError, OSError, pa.ArrowException):
                continue

"""Pages of numbers are decoded to the bits that Arrow makes of them, or left to Arrow."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parquet import on_disk

from miscreen.errors import DataError
from miscreen.kernels.lz4 import unpack_lz4
from miscreen.kernels.snappy import unpack_snappy
from miscreen.tables import parquet
from miscreen.tables.encoding import encode
from miscreen.tables.footer import _KINDS
from miscreen.tables.spans import read_spans

TYPES = [arrow_type for _, arrow_type in _KINDS]


def numbers(arrow_type: pa.DataType, n: int, levels: int, missing: float, seed: int) -> pa.Array:
    """Random values of all magnitudes, with as many levels and missing ones as wanted."""
    rng = np.random.default_rng(seed)
    if pa.types.is_boolean(arrow_type):
        pool = rng.random(levels) < 0.5
    else:
        dtype = np.dtype(arrow_type.to_pandas_dtype())
        pool = np.frombuffer(rng.bytes(levels * dtype.itemsize), dtype=dtype)
    if n:
        pool = pool[rng.integers(0, levels, n)]
    runs = np.sort(rng.integers(0, n + 1, 4)) if rng.random() < 0.5 else np.zeros(4, dtype=int)
    mask = rng.random(n) < missing
    mask[runs[0] : runs[1]] = mask[runs[2] : runs[3]] = missing > 0
    return pa.array(pool[:n], arrow_type, mask=mask)


def bits(values: np.ndarray) -> np.ndarray:
    """Bits, of which those that tell one NaN from another do not count."""
    canonical = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    return canonical.view(f"u{values.itemsize}")


def check(content: bytes, *, left: set[str] | None = None) -> None:
    """Hold the columns to Arrow's, and to the set of those that are left to Arrow, unless that is None."""
    expected = pq.read_table(io.BytesIO(content))
    with on_disk(content) as table:
        columns = np.arange(expected.num_columns)
        correct = encode(expected)
        for some in (columns, columns[::2], columns[-1:]):
            for few in (0, 1 << 30):  # from pages, and by Arrow alone
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(parquet, "FEW_VALUES", few)
                    found = table.values(some)
                assert (bits(found) == bits(encode(expected.select(some.tolist())))).all()
        out = np.empty(correct.shape, dtype=correct.dtype)
        taken = table._pages.read(columns, out)
        assert (bits(out[taken]) == bits(correct[taken])).all()
        if left is not None:
            assert {name for name, t in zip(table.names, taken, strict=True) if not t} == left


def write(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def typed(n: int, levels: int, missing: float, seed: int) -> pa.Table:
    """A column of each type, nullable, and one that must not miss anything."""
    columns = {f"{t}": numbers(t, n, levels, missing, seed + i) for i, t in enumerate(TYPES)}
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    for i, t in enumerate(TYPES):
        columns[f"{t}!"] = numbers(t, n, levels, 0, seed + 50 + i)
        fields.append(pa.field(f"{t}!", t, nullable=False))
    return pa.table(columns, schema=pa.schema(fields))


@settings(deadline=None, max_examples=40)
@given(
    n=st.sampled_from([0, 1, 7, 8, 9, 500]),
    levels=st.sampled_from([1, 2, 3, 17, 300]),
    missing=st.sampled_from([0, 0.05, 0.6, 1]),
    seed=st.integers(0, 2**32),
    options=st.fixed_dictionaries(
        {
            "compression": st.sampled_from(["none", "snappy", "zstd"]),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "use_dictionary": st.booleans(),
            "data_page_size": st.sampled_from([1, 100, 1 << 20]),
            "dictionary_pagesize_limit": st.sampled_from([64, 1 << 20]),
            "write_batch_size": st.sampled_from([5, 1024]),
            "row_group_size": st.sampled_from([6, 333, 1000]),
            "write_page_checksum": st.booleans(),
            "store_schema": st.booleans(),
        }
    ),
)
def test_pages_that_arrow_writes(n: int, levels: int, missing: float, seed: int, options: dict[str, Any]) -> None:
    check(write(typed(n, levels, missing, seed), **options), left=set())


@pytest.mark.parametrize("missing", [0, 0.3])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_bytes_of_values_apart(missing: float, compression: str, page: str) -> None:
    table = typed(300, 300, missing, 9)
    table = table.drop_columns([name for name in table.column_names if name.startswith(("bool", "int8", "int16", "u"))])
    options = {"compression": compression, "use_dictionary": False, "data_page_version": page}
    encoding = dict.fromkeys(table.column_names, "BYTE_STREAM_SPLIT")
    check(write(table, column_encoding=encoding, data_page_size=100, **options), left=set())


@pytest.mark.parametrize("page", ["1.0", "2.0"])
def test_booleans_in_runs(page: str) -> None:
    table = pa.table({"a": numbers(pa.bool_(), 300, 2, 0.3, 1), "b": pa.array([True] * 200 + [False] * 100)})
    encoding = dict.fromkeys("ab", "RLE")
    check(
        write(table, column_encoding=encoding, use_dictionary=False, data_page_version=page, compression="none"),
        left=set(),
    )


@pytest.mark.parametrize("missing", [0, 0.3])
@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "zstd"])
def test_pages_that_polars_writes(missing: float, compression: Any) -> None:
    for levels, n, size in ((3, 500, 200), (500, 2000, 2000), (1, 50, 50)):
        stream = io.BytesIO()
        frame = pl.from_arrow(typed(n, levels, missing, 7))
        assert isinstance(frame, pl.DataFrame)
        frame.write_parquet(stream, compression=compression, row_group_size=size, data_page_size=1000)
        check(stream.getvalue(), left=set())


def test_what_is_left_to_arrow() -> None:
    n = 40
    table = pa.table(
        {
            "float": numbers(pa.float64(), n, n, 0.2, 1),
            "delta": numbers(pa.int64(), n, n, 0.2, 2),
            "half": pa.array(np.float16(np.arange(n))),
            "text": pa.array(["a", "b"] * (n // 2)),
            "day": pa.array(np.arange(n, dtype=np.int32)).cast(pa.date32()),
            "money": pa.array(np.arange(n), pa.int64()).cast(pa.decimal128(30, 2)),
            "struct": pa.array([{"a": 1}] * n),
            "list": pa.array([[1.0]] * n),
        }
    )
    some = write(table, column_encoding={"delta": "DELTA_BINARY_PACKED"}, use_dictionary=False, compression="zstd")
    check(some, left=set(table.column_names) - {"float"})
    for compression in ("gzip", "brotli", "lz4"):
        check(write(table.select(["float"]), compression=compression), left={"float"})


def test_damaged_pages_are_errors_or_what_arrow_reads() -> None:
    table = pa.table({"a": numbers(pa.float32(), 20, 5, 0.2, 1), "b": numbers(pa.int64(), 20, 20, 0, 2)})
    for options in (
        {"compression": "none"},
        {"compression": "zstd"},
        {"data_page_version": "2.0", "compression": "none"},
    ):
        content = write(table, store_schema=False, **options)
        start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        agreed = 0
        for position in range(4, start):
            for flip in (0x01, 0xFF):
                changed = bytearray(content)
                changed[position] ^= flip
                with on_disk(bytes(changed)) as source:
                    try:
                        found = source.values(np.arange(2))
                    except DataError:
                        continue
                try:
                    expected = encode(pq.read_table(io.BytesIO(changed)))
                except (pa.ArrowException, OSError):
                    continue
                agreed += (bits(found) == bits(expected)).all()
                assert (bits(found) == bits(expected)).all(), (options, position, flip)
        assert agreed > 100


@pytest.mark.parametrize(("codec", "unpack"), [("snappy", unpack_snappy), ("lz4", unpack_lz4)])
@settings(deadline=None, max_examples=200)
@given(
    pieces=st.lists(st.one_of(st.binary(max_size=300), st.integers(1, 300)), max_size=20),
    damage=st.tuples(st.integers(0, 2**31), st.integers(0, 255)),
)
def test_snappy_and_lz4(codec: str, unpack: Any, pieces: list[bytes | int], damage: tuple[int, int]) -> None:
    content = b""
    for piece in pieces:  # an integer repeats the end so far, so that copies overlap in every way
        content += piece if isinstance(piece, bytes) else (content[-piece:] or b"x") * (1 + piece % 7)
    packed = pa.Codec(codec).compress(content, asbytes=True)
    changed = bytearray(packed)
    changed[damage[0] % len(packed)] ^= damage[1]
    for given_bytes in (packed, bytes(changed)):
        raw = np.frombuffer(b"?" + given_bytes + b"?", dtype=np.uint8)
        around = np.full(len(content) + 40, 77, dtype=np.uint8)
        out = around[20:-20]
        ends = np.array([len(out)])
        sound = unpack(raw, np.array([1]), np.array([len(raw) - 1]), ends, out) == 1
        assert (around[:20] == 77).all() and (around[-20:] == 77).all()
        try:
            expected = pa.Codec(codec).decompress(given_bytes, len(content), asbytes=True)
        except (pa.ArrowException, OSError):
            assert not sound or codec == "lz4"  # whose header has a checksum
            continue
        assert not sound or out.tobytes() == expected
        assert sound or given_bytes != packed


@pytest.mark.parametrize("behind", [0, 1, 4, 50])
def test_lz4_ends_where_its_frame_does(behind: int) -> None:
    """Arrow refuses two frames, and zeros that a damaged size of a block leads to are no end."""
    frame = pa.Codec("lz4").compress(bytes(1000), asbytes=True) + bytes(behind)
    raw, out = np.frombuffer(frame, dtype=np.uint8), np.ones(1000, dtype=np.uint8)
    sound = unpack_lz4(raw, np.array([0]), np.array([len(raw)]), np.array([len(out)]), out)
    assert sound == (behind == 0)


@pytest.mark.parametrize("flag", [0, 0x04, 0x10])  # of no checksum, one of the whole and one of each block
def test_lz4_with_checksums_is_left_to_arrow_which_verifies_them(flag: int) -> None:
    frame = bytearray(pa.Codec("lz4").compress(bytes(1000), asbytes=True))
    frame[4] |= flag
    end = len(frame) - (4 if flag == 0x10 else 0)  # before or behind the mark of the end
    frame[end:end] = b"sums" if flag else b""
    raw, out = np.frombuffer(frame, dtype=np.uint8), np.ones(1000, dtype=np.uint8)
    sound = unpack_lz4(raw, np.array([0]), np.array([len(raw)]), np.array([len(out)]), out)
    assert sound == (flag == 0)


def test_pages_beyond_the_end() -> None:
    content = write(pa.table({"a": np.arange(50.0)}), compression="zstd")
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for stop in range(4, start, 7):
        with on_disk(content[:stop] + content[start:]) as source, pytest.raises(DataError):
            source.values(np.arange(1))


def test_spans_may_lie_in_others_and_far_apart() -> None:
    """As a damaged footer says: what is read of one must hold all of it."""
    content = np.random.default_rng(0).bytes(300_000)
    starts, stops = np.array([200_000, 10, 0, 20, 299_990, 0]), np.array([200_050, 12, 50, 30, 300_000, 0])
    buffer, places = read_spans(lambda at, size: content[at : at + size], starts, stops)
    for start, stop, place in zip(starts, stops, places, strict=True):
        assert buffer[place : place + stop - start].tobytes() == content[start:stop]


def test_columns_of_text_among_numbers_take_no_second_copy() -> None:
    table = pa.table(list(np.random.default_rng(0).random((1000, 1000))), names=[f"x{i}" for i in range(1000)])
    for place in (500, 501, 700):
        table = table.set_column(place, f"t{place}", pa.array(["a", "b"] * 500))
    for rows in (1000, 300):
        content = io.BytesIO()
        pq.write_table(table, content, row_group_size=rows, use_dictionary=False)
        with on_disk(content.getvalue()) as source:
            source.values(np.arange(499, 702))  # loads what decodes
            tracemalloc.start()
            values = source.values(np.arange(1000))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert values.tobytes() == encode(table).tobytes()
        assert peak < 1.75 * values.nbytes

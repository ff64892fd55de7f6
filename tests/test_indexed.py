"""Text parsed in parts is the text parsed whole: the same values, types and complaints."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import miscreen
from miscreen.errors import DataError, MiscreenError
from miscreen.kernels import delimited as kernels
from miscreen.model import ColumnType
from miscreen.resources import Resources
from miscreen.tables import delimited, indexed, open_table
from miscreen.tables.columns import is_named
from miscreen.tables.delimited import DelimitedSource, ReadOptions
from miscreen.tables.indexed import IndexedSource

NUMBERS = ["", "NA", "nan", "0", "-7", " 12 ", "1.5", ".5", "1e300", "inf", "-0", "9007199254740993", "5\t"]
NUMBERS += ["-9", "-9.0"]
ODD = [
    "x",
    "true",
    "2020-01-01",
    '"3"',
    '"x"',
    '"a,b"',
    '"a\nb"',
    '"a""b"',
    '""',
    '"',
    'a"b"',
    '"x"\r',
    '"x" ',
    "é",
    "a b",
    "\r",
    "7\r",
    "0.1000000000000000055511151231257827021181583404541015625",
]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(indexed, "_CELLS", 4)
    monkeypatch.setattr(indexed, "_GAP", 1)
    monkeypatch.setattr(indexed, "_STEP_BYTES", 7)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 500)


def write(folder, text):
    path = folder / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def opened(path, *, once, captured=(), ignored=(), threads=2, memory=64 << 20, **options):
    return open_table(
        path,
        resources=Resources(threads, memory, path.parent),
        read=ReadOptions(**options),
        text_columns=is_named(captured),
        ignored_columns=is_named(ignored),
        once=once,
    )


def everything(path, order, **how):
    """What is said of columns in some order: first their bits and types as they are read, then all of it."""
    try:
        with opened(path, **how) as table:
            places = np.array(order, dtype=np.intp) % len(table.names)
            block = table.block(places, 0)
            values, types = block.values.tobytes(), block.types.tolist()
            columns = np.arange(len(table.names))
            return (
                table.names,
                values,
                types,
                table.types.tolist(),
                table.values(columns).tobytes(),
                table.table(columns),
            )
    except MiscreenError as error:
        return type(error), str(error)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_parts_are_the_whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    n_columns = data.draw(st.integers(1, 14))
    cells = st.sampled_from(data.draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4)))
    rows = data.draw(st.lists(st.lists(cells, min_size=n_columns, max_size=n_columns), min_size=1, max_size=9))
    for _ in range(data.draw(st.integers(0, 3))):
        row, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, n_columns - 1))
        rows[row][column] = data.draw(st.sampled_from(ODD))
    if data.draw(st.integers(0, 9)) == 0:
        rows.append(["1"] * data.draw(st.integers(1, 16)))
    ends = data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    delimiter = data.draw(st.sampled_from([",", ";"]))
    text = data.draw(st.sampled_from(["", "\ufeff"])) + delimiter.join(f"c{i}" for i in range(n_columns)) + ends
    text += ends.join(map(delimiter.join, rows)) + data.draw(st.sampled_from(["", ends]))
    path = write(folder, text)
    order = data.draw(st.lists(st.integers(0, n_columns - 1), min_size=1, max_size=n_columns, unique=True))
    how = {
        "captured": data.draw(st.sets(st.sampled_from(["c0", "c3"]))),
        "ignored": data.draw(st.sets(st.sampled_from(["c1", "c2"]))),
        "null_values": data.draw(st.sampled_from([(), ("-9",)])),
        "header": data.draw(st.booleans()),
        "threads": data.draw(st.integers(1, 3)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexed, "_CELLS", data.draw(st.sampled_from([1, 3, 32])))
        patch.setattr(indexed, "_GAP", data.draw(st.integers(1, 3)))
        patch.setattr(indexed, "_STEP_BYTES", data.draw(st.sampled_from([1, 6, 1 << 18])))
        patch.setattr(delimited, "_BLOCK_BYTES", data.draw(st.sampled_from([1, 2, 9, 40, 1 << 20])))
        assert everything(path, order, once=True, **how) == everything(path, order, once=False, **how)
    path.unlink()


def table_text(values, labels=(), end="\n"):
    names = [*(f"l{i}" for i in range(len(labels))), *(f"c{i}" for i in range(values.shape[1]))]
    rows = (",".join([*(column[i] for column in labels), *map(repr, row)]) for i, row in enumerate(values.tolist()))
    return ",".join(names) + end + end.join(rows) + end


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_wide_tables_are_indexed(end, small_parts, tmp_path):
    values = np.random.default_rng(0).normal(size=(70, 129))
    labels = [[f"id{i}" for i in range(70)], ["true", "false"] * 35, [str(i) for i in range(70)]]
    path = write(tmp_path, table_text(values, labels, end))
    with opened(path, once=True) as table, opened(path, once=False) as whole:
        assert isinstance(table, IndexedSource)
        assert isinstance(whole, DelimitedSource)
        assert (table.n_samples, table.names) == (70, whole.names)
        for columns in (np.arange(132), np.array([131, 0, 7, 40]), np.arange(9, 60), np.array([3])):
            block, other = table.block(columns, 0), whole.block(columns, 0)
            assert block.values.tobytes() == other.values.tobytes()
            assert block.values.flags.c_contiguous
            assert block.values.flags.writeable
            assert block.types.tolist() == other.types.tolist()
        assert table.types.tolist() == whole.types.tolist()
        assert table._whole is None
        assert [ColumnType(t).label for t in table.types[:4]] == ["text", "boolean", "integer", "float"]
        assert table.held_bytes < 70 * 132 * 8


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_and_labels_in_quotes_do_not_keep_a_table_from_being_indexed(end, small_parts, tmp_path):
    values = np.random.default_rng(2).normal(size=(70, 129))
    labels = [[f'"{i}"' for i in range(70)], ['"a b"', '""', "NA"] * 23 + ['"NA"']]
    header, rows = table_text(values, labels, end).split(end, 1)
    path = write(tmp_path, ",".join(f'"{name}"' for name in header.split(",")) + end + rows)  # as R writes it
    with opened(path, once=True, captured=["l0"]) as table:
        assert isinstance(table, IndexedSource)
        assert table._whole is None
    how = {"captured": ["l0"], "threads": 2}
    assert everything(path, range(131), once=True, **how) == everything(path, range(131), once=False, **how)


def test_neither_memory_nor_scratch_space_holds_the_table(small_parts, tmp_path):
    values = np.random.default_rng(1).normal(size=(60, 200))
    path = write(tmp_path, table_text(values))
    with opened(path, once=True, memory=100_000) as table:
        assert isinstance(table, IndexedSource)
        assert table.held_bytes < 10_000
        np.testing.assert_array_equal(table.values(np.arange(200)), values.T)


@pytest.mark.parametrize(
    ("row", "column", "cell", "word"),
    [
        (5, 90, "oops", "'oops' in a column of numbers"),
        (0, 1, "1,2", "cells"),
        (9, 99, "3,4", "cells"),
        (7, 0, '"', "quote"),
    ],
)
def test_what_is_wrong_is_said_as_ever(row, column, cell, word, small_parts, tmp_path):
    cells = [["1.5"] * 100 for _ in range(10)]
    cells[row][column] = cell
    names = ",".join(f"c{i}" for i in range(100))
    path = write(tmp_path, names + "\n" + "\n".join(map(",".join, cells)) + "\n")
    said = []
    for once in (True, False):
        with pytest.raises(DataError) as caught, opened(path, once=once) as table:
            table.values(np.arange(100))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert word in said[0]


def test_a_late_label_makes_a_column_text(small_parts, tmp_path):
    cells = [["1", "", "2.5"] * 10 for _ in range(10)]
    cells[6][13] = "late"
    names = ",".join(f"c{i}" for i in range(30))
    path = write(tmp_path, names + "\n" + "\n".join(map(",".join, cells)) + "\n")
    with opened(path, once=True) as table:
        assert isinstance(table, IndexedSource)
        assert table.block(np.arange(10), 0).types.tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]
        assert table.block(np.array([13]), 0).types.tolist() == [ColumnType.TEXT]
        assert np.flatnonzero(~np.isnan(table.values(np.array([13])))).tolist() == [6]


def test_a_file_that_shrinks_is_refused(small_parts, tmp_path):
    path = write(tmp_path, table_text(np.random.default_rng(2).normal(size=(20, 50))))
    with opened(path, once=True) as table:
        with path.open("r+b") as file:
            file.truncate(3000)
        with pytest.raises(DataError, match="became shorter while it was read"):
            table.values(np.arange(50))


def test_a_file_that_is_changed_is_refused(small_parts, tmp_path):
    path = write(tmp_path, table_text(np.random.default_rng(2).normal(size=(20, 50))))
    with opened(path, once=True) as table:
        table.values(np.arange(20))
        os.utime(path, (1, 1))  # as after writing to it
        with pytest.raises(DataError, match="was changed while it was read"):
            table.values(np.arange(20, 50))


def test_rankings_are_the_same(small_parts, tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 90)).round(2)
    path = write(tmp_path, table_text(values, [[f"s{i}" for i in range(60)], ["a", "b", "c"] * 20]))
    used = []
    monkeypatch.setattr(IndexedSource, "close", lambda self: used.append(self._whole))
    asked = [{"target": t, "strata": s} for t, s in itertools.product(["c3", "l1", ["c0", "c80"]], [None, "l1"])]
    for how in (one | {"p_values": one["strata"] is not None} for one in asked if one["target"] != one["strata"]):
        by_parts = [miscreen.rank(path, method="bin", threads=k, **how).to_arrow() for k in (1, 2)]
        monkeypatch.setattr(indexed, "LEAST_BYTES", 1 << 60)
        whole = miscreen.rank(path, method="bin", **how).to_arrow()
        monkeypatch.setattr(indexed, "LEAST_BYTES", 0)
        assert by_parts == [whole, whole]
    assert used == [None] * 10


def test_places_of_cells():
    text = b"a,b,c,d,e\n\n1,,33,4,5\r\n" + b"x" * 70 + b",2,3,4,5\n"
    content = np.frombuffer(text, dtype=np.uint8)
    starts = np.empty(9, dtype=np.int64)
    starts = starts[: kernels.row_starts(content, ord(","), kernels.NO_QUOTE, False, starts)]
    places = np.empty((3, 4), dtype=np.uint32)
    assert kernels.index_cells(content, starts, ord(","), 5, 2, places) == -1
    assert places.tolist() == [[0, 4, 8, 10], [0, 3, 8, 10], [0, 73, 77, 79]]
    for n_columns, first in ((4, 0), (6, 0)):
        assert kernels.index_cells(content, starts, ord(","), n_columns, 99, np.empty((3, 2), dtype=np.uint32)) == first

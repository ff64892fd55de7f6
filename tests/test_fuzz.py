"""A slice of the fuzzing that ``make fuzz`` does for as long as it is let, with a seed that never changes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import HOSTILE, fuzz, reference_text
from hypothesis import given, settings
from hypothesis import strategies as st

from miscreen.cli import main
from miscreen.errors import DataError
from miscreen.resources import Resources
from miscreen.tables import open_table
from miscreen.tables.delimited import ReadOptions


@pytest.mark.parametrize(("what", "count"), [("csv", 250), ("parquet", 80), ("arrow", 120), ("command", 40)])
def test_the_same_table_or_a_clear_word(what: str, count: int) -> None:
    ends, faults = fuzz(what, seed=20, first=0, count=count)
    assert faults == []
    assert ends.total() == count
    assert len(ends) >= 2  # some are read, and some refused


@settings(max_examples=150, deadline=None)
@given(content=st.text(alphabet='a1.-e,;"\n\r NA\té', max_size=40).map(str.encode))
def test_short_texts_are_what_csv_and_float_make_of_them(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "short.csv"
    path.write_bytes(content)
    try:
        with open_table(path, resources=Resources(1, 1 << 20, path.parent), read=ReadOptions(delimiter=",")) as table:
            found = list(table.names), [*map(np.ndarray.tolist, table.values(np.arange(len(table.names))))]
    except DataError as error:
        assert error.hint
        return
    if b"\r" in content.replace(b"\r\n", b""):  # on which readers differ
        return
    names, columns = reference_text(content, ",")
    assert found[0] == names
    for row, column in zip(found[1], columns, strict=True):
        assert [cell != cell for cell in row] == [cell is None for cell in column]
        if all(cell is None or isinstance(cell, float) for cell in column):
            assert [cell for cell in row if cell == cell] == [cell for cell in column if cell is not None]


def test_hostile_names_are_text_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    names = ["target", *(f"{name}{i}" for i, name in enumerate([*HOSTILE, "$(touch made)", "`touch made`"]))]
    pq.write_table(pa.table({name: random.standard_normal(30) for name in names}), "t.parquet")
    for arguments in (
        ["rank", "t.parquet", "-t", "target", "-m", "pearson"],
        ["rank", "t.parquet", "-t", names[5], "-t", names[8], "-m", "pearson"],
        ["rank", "t.parquet", "-t", "target", "-m", "pearson", "-o", "r.csv"],
        ["select", "t.parquet", "--ranking", "r.csv", "--top", "99", "--names"],
        ["select", "t.parquet", "-t", "target", "-m", "pearson", "--top", "99", "-o", "s.csv"],
        ["describe", "t.parquet", "-t", names[3]],
        ["convert", "t.parquet", "c.csv"],
        ["rank", "c.csv", "-t", "target", "-m", "pearson"],
        ["rank", "t.parquet", "-t", "no such"],
        *(["rank", "t.parquet", "-t", f"{name}?"] for name in HOSTILE),
    ):
        code = main(arguments)
        told = capsys.readouterr().err
        refused = arguments[-1].endswith(("?", "no such", "--names"))  # a line break in a name would be two names
        assert code == (2 if refused else 0), (arguments, told)
        assert all(c.isprintable() or c == "\n" for c in told), told
    with open_table(tmp_path / "c.csv", resources=Resources(1, 1 << 20, tmp_path)) as table:
        assert list(table.names) == names
    assert not (tmp_path / "made").exists()


def test_a_table_that_a_format_cannot_hold_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"a": [b"\xff"], "b": [1.0]}), tmp_path / "t.parquet")
    assert main(["convert", str(tmp_path / "t.parquet"), str(tmp_path / "t.csv")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: the table cannot be written as csv: ")
    assert "hint: " in told
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("rows", [0, 1])
def test_the_least_of_tables_is_described(rows: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"a": pa.array([1.0] * rows)}), tmp_path / "t.parquet")
    assert main(["describe", str(tmp_path / "t.parquet")]) == 0
    assert f"{rows} rows x 1 columns" in capsys.readouterr().out


def test_offsets_of_an_arrow_file_are_not_followed_astray(tmp_path: Path, resources: Resources) -> None:
    stream = io.BytesIO()
    table = pa.table({"label": ["one", "two", "three"]})
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    offsets = np.array([0, 3, 6, 11], dtype="<i4").tobytes()
    for wrong in ([0, 3, 6, 2**30], [0, 2**30, 6, 11], [-5, 3, 6, 11]):
        content = stream.getvalue().replace(offsets, np.array(wrong, dtype="<i4").tobytes())
        (tmp_path / "t.arrow").write_bytes(content)
        with (
            open_table(tmp_path / "t.arrow", resources=resources) as damaged,
            pytest.raises(DataError, match="cannot be read as Arrow data"),
        ):
            damaged.values(np.arange(1))

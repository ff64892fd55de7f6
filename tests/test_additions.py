"""Whoever adds an estimator or a format writes one file and one line of a registry: toys that are added so."""

from __future__ import annotations

import gzip
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

import miscreen
from miscreen.errors import DataError, InputError
from miscreen.estimators import ESTIMATORS, estimator_class
from miscreen.sklearn import MutualInfoSelector
from miscreen.tables.formats import FORMATS, Format
from miscreen.tables.write import WRITERS, Writer

ESTIMATOR = '''
"""How many samples have the first level in both columns: a score, and no mutual information."""

import numpy as np

from miscreen.estimators.estimator import Estimator
from miscreen.model import Scores


class First(Estimator):
    extra_columns = ("share",)

    def __init__(self, target, options):
        self._first = target.values == 0

    def score(self, batch):
        count = np.count_nonzero((batch.values == 0) & self._first, axis=1).astype(float)
        none = np.full(len(count), np.nan)
        return Scores(none, "first", score=count, extras={"share": count / len(self._first)})
'''

FORMAT = '''
"""Lines of JSON, each a row of numbers by name."""

import json

import pyarrow as pa

from miscreen.tables.memory import open_object


def open_lines(opening):
    file = opening.file
    if opening.compression is not None:
        file = pa.CompressedInputStream(pa.PythonFile(file, "r"), opening.compression)
    try:
        table = open_object(pa.Table.from_pylist([json.loads(line) for line in file.read().splitlines()]), None)
        table.label = opening.label
        return table
    finally:
        if opening.owned:
            opening.file.close()
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules are imported from."""
    made = tmp_path / "modules"
    made.mkdir()
    monkeypatch.syspath_prepend(made)
    return made


@pytest.fixture
def first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a method that was added."""
    (folder / "miscreen_first.py").write_text(ESTIMATOR)
    monkeypatch.setitem(ESTIMATORS, "first", "miscreen_first:First")
    return "first"


@pytest.fixture
def lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A table in a format that was added."""
    (folder / "miscreen_lines.py").write_text(FORMAT)
    monkeypatch.setitem(FORMATS, "lines", Format((".jsonl",), b"", "miscreen_lines:open_lines", streams=True))
    rows = np.random.default_rng(0).standard_normal((50, 2)).tolist()
    return b"".join(json.dumps({"x": x, "y": y}).encode() + b"\n" for x, y in rows)


def labels() -> pa.Table:
    """Two columns of labels that depend on each other strongly, but in "b" and "c" alone."""
    rng = np.random.default_rng(0)
    y = np.array(["a", *rng.choice(["a", "b", "c"], 599)])
    x = np.array(["a", *rng.choice(["a", "b", "c"], 599)])
    alike = (x != "a") & (y != "a")
    return pa.table({"x": np.where(alike, y, x), "y": y})


def test_a_new_score_has_its_own_p_values(first: str) -> None:
    table = labels()
    found = miscreen.rank(table, "y", first, p_values=True).to_arrow().to_pylist()[0]
    x, y = (np.array(table[name]) == "a" for name in ("x", "y"))
    count = np.count_nonzero(x & y)
    assert (found["score"], found["share"], found["mi_nats"], found["method"]) == (count, count / 600, None, "first")
    assert found["p_method"] == "permutation"
    p = stats.hypergeom(600, np.count_nonzero(x), np.count_nonzero(y)).sf(count - 1)
    assert found["p_value"] == pytest.approx(p, abs=0.1)
    assert p > 0.1  # though the columns depend on each other


def test_a_method_that_is_not_registered_yet_tells_of_its_options(first: str) -> None:
    """By its own name, though one of that name is registered, which is another's."""

    class First(estimator_class(first)):  # type: ignore[misc]
        pass

    with pytest.raises(InputError, match=f"method '{__name__}:First' has no option 'q'. It takes no options"):
        First.make_options({"q": 1})


def test_a_method_that_cannot_be_imported_leaves_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS, "broken", "miscreen_nowhere:Broken")
    with pytest.raises(InputError, match="method 'bin' has no option 'grid'") as error:
        miscreen.rank(labels(), "y", "bin", grid=32)
    assert error.value.hint == "Leave it out, or give --method=kde"


def test_a_score_without_information_is_told_where_information_is_asked_for(first: str) -> None:
    table = labels()
    with pytest.raises(ValueError, match="method 'first' with these options gives none"):
        MutualInfoSelector(k=None, threshold=0.1, method=first).fit(table.select(["x"]), table["y"])
    with pytest.raises(InputError, match="method 'first' with these options gives a score, but no mutual information"):
        miscreen.mutual_info(table["x"], table["y"], first)
    with pytest.raises(DataError, match="holds no mutual information") as error:
        miscreen.select(table, "y", method=first, min_mi=0.1)
    assert "--no-mi" not in error.value.hint
    assert miscreen.select(table, "y", method=first, min_score=1).names == ["x"]


def test_a_new_format_of_text_is_read(lines: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines))
    expected = miscreen.rank(pa.Table.from_pylist([json.loads(line) for line in lines.splitlines()]), "y").to_arrow()
    for source in (tmp_path / "t.jsonl", tmp_path / "t.jsonl.gz"):
        assert miscreen.rank(source, "y").to_arrow() == expected
    assert miscreen.rank(tmp_path, "y").to_arrow()["n"].to_pylist() == [100]  # a directory of both


def test_a_new_format_that_is_written_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(table: pa.Table, file: BinaryIO) -> None:
        file.write(b"columns " + json.dumps(table.to_pydict()).encode())

    def read(content: bytes) -> pa.Table:
        return pa.table(json.loads(content.removeprefix(b"columns ")))

    monkeypatch.setitem(WRITERS, "columns", Writer((".col",), write, read, b"columns "))
    ranking = miscreen.rank(labels(), "y", "bin")
    ranking.write(tmp_path / "ranked.col")
    assert miscreen.Ranking.read(tmp_path / "ranked.col").to_arrow() == ranking.to_arrow()
    content = io.BytesIO((tmp_path / "ranked.col").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(content)))
    assert miscreen.Ranking.read("-").to_arrow() == ranking.to_arrow()


def test_a_new_format_of_delimited_text_tells_which_labels_it_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "miscreen")
    monkeypatch.setitem(WRITERS, "bars", replace(WRITERS["csv"], suffixes=(".bars",)))
    miscreen.convert(pa.table({"a": ["NA", "b"]}), tmp_path / "t.bars")
    assert [message[:21] for message in caplog.messages] == ["column 'a' holds 'NA'"]


def test_options_of_delimited_text_are_refused_for_other_text(lines: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(lines)
    with pytest.raises(InputError, match=r"t\.jsonl is no delimited text"):
        miscreen.rank(tmp_path / "t.jsonl", "y", read=miscreen.ReadOptions(";"))


def test_json_is_refused_where_no_name_says_that_it_is_read(
    lines: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(lines))))
    (tmp_path / "t.csv").write_bytes(lines)
    for source in ("-", tmp_path / "t.csv"):
        with pytest.raises(DataError, match="is JSON, which is not read"):
            miscreen.rank(source, "y")

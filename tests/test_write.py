"""Nothing half-written: files appear whole or not at all, and what is there already stays."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import miscreen
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.tables import write
from miscreen.tables.labels import NULL_TOKENS
from miscreen.tables.write import WRITERS, Destination, write_stream

TABLE = pa.table({"a": [1, 2, None], "b": ["x", 'say "hi", all', "line\nend"], "c": [0.1, 1e-300, None]})
METADATA = {"version": "1", "name": "é"}


def read(path: Path) -> pl.DataFrame:
    readers = {
        ".csv": pl.read_csv,
        ".tsv": lambda p: pl.read_csv(p, separator="\t"),
        ".parquet": pl.read_parquet,
        ".arrow": lambda p: pl.from_arrow(pa.ipc.open_file(p.read_bytes()).read_all()),
        ".json": pl.read_json,
        ".ndjson": pl.read_ndjson,
    }
    return readers[path.suffix](path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".arrow", ".json", ".ndjson"])
@pytest.mark.parametrize("slices", [False, True])
def test_round_trip(suffix: str, slices: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if slices:
        monkeypatch.setattr(write, "_PIECE_BYTES", 1)
    path = tmp_path / f"out{suffix}"
    counted: list[int] = []
    Destination(path).write(TABLE, METADATA, counted.append)
    assert read(path).equals(pl.from_arrow(TABLE))
    assert sum(counted) == path.stat().st_size
    if suffix == ".parquet":
        assert json.loads(pq.read_schema(path).metadata[b"miscreen"]) == METADATA
    elif suffix == ".arrow":
        assert json.loads(pa.ipc.open_file(path.read_bytes()).schema.metadata[b"miscreen"]) == METADATA
    else:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert json.loads((tmp_path / f"out{suffix}.meta.json").read_text()) == METADATA | {"sha256": digest}
    embedded = suffix in (".parquet", ".arrow")
    assert len(list(tmp_path.iterdir())) == (1 if embedded else 2)


def test_labels_that_text_loses_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "miscreen")
    kept = pa.array(["NAN0", "none at all", None] * 3)
    for label in (*NULL_TOKENS, "nAn", " NA\t"):
        labels = pa.array(["a", label, None] * 3)
        table = pa.table({"kept": kept, "a": labels, "n": [1.0] * 9, "b": labels.dictionary_encode()})
        for suffix in (".parquet", ".arrow"):
            miscreen.convert(table, tmp_path / f"t{suffix}", force=True)
            assert miscreen.describe(tmp_path / f"t{suffix}").n_missing == 9
        assert caplog.messages == []
        miscreen.convert(table, tmp_path / "t.csv", force=True)
        assert miscreen.describe(tmp_path / "t.csv").n_missing == 15
        shown = repr(label.strip()) if label else "empty text"
        assert caplog.messages == [
            f"column 'a' (and 1 more) holds {shown}, which readers of text take as missing: Parquet and Arrow keep "
            "such labels"
        ]
        caplog.clear()


def test_labels_are_noted_of_tables_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "miscreen")
    numbers = np.random.default_rng(0).standard_normal(30)
    table = pa.table({"y": numbers, "NA": numbers**2, "one": np.ones(30), "g": ["NA", "a", "b"] * 10})
    ranking = miscreen.rank(table, "y", "pearson", p_values=True)
    assert {"", "NA"} <= set(ranking.to_polars().select("method", "feature").unpivot()["value"])
    ranking.write(tmp_path / "ranked.csv")
    ranking.write_to(io.BytesIO(), "tsv")
    chosen = miscreen.select(table, "y", top=3, method="pearson", keep=["g"])
    chosen.steps.write(tmp_path / "steps.csv")
    chosen.write(tmp_path / "chosen.parquet")
    assert caplog.messages == []
    chosen.write(tmp_path / "chosen.csv")
    chosen.write_to(io.BytesIO(), "tsv")
    assert [message[:21] for message in caplog.messages] == ["column 'g' holds 'NA'"] * 2


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_narrow_floats_are_the_same_numbers_as_text(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.standard_normal(100).astype(np.float32) for i in range(4)}
    columns |= {"half": columns["x1"].astype(np.float16), "y": columns["x0"] + columns["x2"]}
    parquet, text = tmp_path / "t.parquet", tmp_path / f"t{suffix}"
    pq.write_table(pa.table(columns), parquet)
    miscreen.convert(parquet, text)
    theirs = pl.read_csv(text, separator="," if suffix == ".csv" else "\t")
    assert all(np.array_equal(theirs[name], values.astype(np.float64)) for name, values in columns.items())
    made = []
    for source in (parquet, text):
        miscreen.rank(source, "y", p_values=True).write(tmp_path / "ranked.csv", force=True)
        made.append((tmp_path / "ranked.csv").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("values", [[1.5, None, 2.5, None], ["a", None, "b", None], [None, 7, None, 8]])
def test_a_column_alone_keeps_its_missing_rows(suffix: str, values: list[Any], tmp_path: Path) -> None:
    path = tmp_path / f"alone{suffix}"
    miscreen.convert(pa.table({"a": pa.array(values)}), path)
    described = miscreen.describe(path)
    assert (described.n_samples, described.n_missing) == (4, 2)
    assert miscreen.describe(pa.table({"a": pa.array(values)})).types == described.types
    theirs = pd.read_csv(path, sep="," if suffix == ".csv" else "\t")["a"]
    assert [None if pd.isna(value) else value for value in theirs] == values


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".ndjson"])
@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"a"]),
        pa.array([b"a"], pa.large_binary()),
        pa.array([b"a"], pa.binary(1)),
        pa.array([b"a"], pa.binary_view()),
        pa.array([b"a"]).dictionary_encode(),
        pa.array([[b"a"]]),
        pa.array([{"a": b"a"}]),
        pa.array([1], pa.decimal256(50, 2)),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    ],
    ids=lambda values: str(values.type),
)
def test_what_text_cannot_hold_is_said_in_one_voice(
    values: pa.Array, suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=rf"cannot be written as {suffix[1:]}: column 'x' is of type"):
        Destination(tmp_path / f"out{suffix}").write(pa.table({"x": values}), None)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "values"),
    [
        ("csv", pa.array([1], pa.duration("ms"))),
        ("tsv", pa.array([[1]])),
        ("csv", pa.array([{"a": 1}])),
        ("csv", pa.array([Decimal("1E2")], pa.decimal128(5, -2))),
        ("parquet", pa.array([Decimal("1E2")], pa.decimal128(5, -2))),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_columns_that_a_format_has_not_are_named(suffix: str, values: pa.Array, tmp_path: Path) -> None:
    table = pa.table({"a": [0.5], "x": values, "y": values, "b": [float("inf")]})
    told = f"cannot be written as {suffix}: column 'x' (and 1 more) is of type {values.type}. Write Parquet or "
    told += "Arrow, or leave those columns out, as convert does with exclude"
    with pytest.raises(DataError, match=re.escape(told)):
        miscreen.convert(table, tmp_path / f"out.{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["csv", "json", "ndjson"])
def test_a_file_that_is_only_read_is_no_fault_of_the_table(format: str, tmp_path: Path) -> None:
    (tmp_path / "read").touch()
    with (tmp_path / "read").open("rb") as file, pytest.raises(io.UnsupportedOperation):
        write_stream(TABLE, file, WRITERS[format])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".ndjson"])
def test_infinity_that_is_lost_is_noted(suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "miscreen")
    half = pa.array([float("-inf"), 1.0], pa.float16())
    table = pa.table({"a": [1.0, float("nan")], "b": [float("inf"), 1.0], "c": half, "d": ["inf", None]})
    Destination(tmp_path / f"out{suffix}").write(table, None)
    told = ["column 'b' (and 1 more) holds infinity, which JSON has not: it is written as null"]
    assert caplog.messages == (told if "json" in suffix else [])


def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        Destination(tmp_path / "out.csv").write(TABLE, None)
    finally:
        os.umask(before)
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o640


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    for existing in ("out.csv", "out.csv.meta.json"):
        (tmp_path / existing).write_text("old")
        with pytest.raises(InputError, match=f"{existing}' exists already"):
            Destination(tmp_path / "out.csv")
        Destination(tmp_path / "out.csv", force=True).write(TABLE, METADATA)
        assert (tmp_path / existing).read_text() != "old"
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    destination = Destination(tmp_path / "out.parquet")
    (tmp_path / "out.parquet").write_text("theirs")
    with pytest.raises(InputError, match="written by someone else meanwhile"):
        destination.write(TABLE, METADATA)
    assert (tmp_path / "out.parquet").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("unnamed", [True, False])
def test_no_text_appears_without_what_lies_beside(
    unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    destination = Destination(tmp_path / "out.csv")
    (tmp_path / "out.csv.meta.json").write_text("theirs")
    with pytest.raises(InputError, match=r"out\.csv\.meta\.json' was written by someone else meanwhile"):
        destination.write(TABLE, METADATA)
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv.meta.json"]
    assert (tmp_path / "out.csv.meta.json").read_text() == "theirs"


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(found: Path, name: Path, **options: Any) -> None:
        raise OSError(code, os.strerror(code), str(found), None, str(name))

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, "link", link)
    destination = Destination(tmp_path / "out.csv")
    destination.write(TABLE, METADATA)
    assert read(tmp_path / "out.csv").equals(pl.from_arrow(TABLE))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.meta.json"]
    (tmp_path / "out.csv").write_text("theirs")
    (tmp_path / "out.csv.meta.json").unlink()
    with pytest.raises(InputError, match=r"out\.csv' was written by someone else meanwhile"):
        destination.write(TABLE, METADATA)
    assert (tmp_path / "out.csv").read_text() == "theirs"


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_a_failure_leaves_nothing(unnamed: bool, force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if force:
        (tmp_path / "out.csv").write_text("old")
    destination = Destination(tmp_path / "out.csv", force=force)

    def fail(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        destination.write(TABLE, METADATA, fail)
    assert [p.name for p in tmp_path.iterdir()] == (["out.csv"] if force else [])
    destination.write(TABLE, METADATA)
    assert read(tmp_path / "out.csv").equals(pl.from_arrow(TABLE))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.meta.json"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"directory .*missing' does not exist"):
        Destination(tmp_path / "missing" / "out.csv")
    with pytest.raises(InputError, match="is a directory"):
        (tmp_path / "out.csv").mkdir()
        Destination(tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"cannot tell the format of .*out\.xlsx"):
        Destination(tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="no output format 'excel'"):
        Destination(tmp_path / "out.xlsx", "excel")
    assert set(WRITERS) == {"csv", "tsv", "parquet", "arrow", "json", "ndjson"}


@pytest.mark.parametrize("suffix", [suffix for writer in WRITERS.values() for suffix in writer.suffixes])
def test_names_are_those_of_the_table(suffix: str, tmp_path: Path) -> None:
    names = ["", "column_0"]
    path = tmp_path / f"t{suffix}"
    Destination(path).write(pa.table([[1], [2]], names=names), {})
    writer = next(writer for writer in WRITERS.values() if suffix in writer.suffixes)
    assert writer.read(path.read_bytes()).column_names == names


@pytest.mark.parametrize("name", ["entered/out.csv", f"{'long' * 62}.csv", f"{'long' * 64}.csv", "a\0b.csv"])
def test_places_that_the_system_refuses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: Path, **options: Any) -> os.stat_result:
        if path.parent.name == "entered":  # such a directory does not keep root out
            raise PermissionError(errno.EACCES, "Permission denied")
        return found(path, **options)

    found = Path.stat
    (tmp_path / "entered").mkdir()
    monkeypatch.setattr(Path, "stat", stat)
    told = r"(Permission denied|File name too long|.*null (byte|character))"
    with pytest.raises(InputError, match=rf"cannot write '.*csv(\.meta\.json)?': {told}"):
        Destination(tmp_path / name)


@pytest.mark.parametrize("unnamed", [True, False])
def test_the_longest_names_are_replaced(unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    for suffix in (".parquet", ".csv"):
        path = tmp_path / ("n" * (255 - len(suffix + ".meta.json" * (suffix == ".csv"))) + suffix)
        for _ in range(2):
            Destination(path, force=True).write(TABLE, METADATA)
        assert read(path).equals(pl.from_arrow(TABLE))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("unnamed", [True, False])
def test_several_may_write_one_file(unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    destination = Destination(tmp_path / "out.parquet", force=True)
    together = threading.Barrier(8)

    def write_again(_: int) -> None:
        together.wait()
        for _ in range(20):
            destination.write(TABLE, METADATA)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_again, range(8)))
    assert read(tmp_path / "out.parquet").equals(pl.from_arrow(TABLE))
    assert len(list(tmp_path.iterdir())) == 1


def test_only_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    for path in (tmp_path / "fifo.csv", Path("/dev/null")):
        for force in (True, False):
            with pytest.raises(InputError, match="is no regular file") as error:
                Destination(path, "csv", force)
            assert "standard output" in error.value.hint
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    Destination(tmp_path / "link.csv").write(TABLE, None)
    assert (tmp_path / "link.csv").is_symlink()
    assert read(tmp_path / "real.csv").equals(pl.from_arrow(TABLE))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".json", ".ndjson"])
def test_a_full_disk_is_told_and_leaves_nothing(suffix: str, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("1m")
    large = pa.table({f"x{i}": np.random.default_rng(i).standard_normal(10_000) for i in range(20)})
    kept = Destination(disk / f"kept{suffix}")
    kept.write(TABLE, METADATA)
    with pytest.raises(ResourceError, match=rf"the disk is full: .*out{suffix}"):
        Destination(disk / f"out{suffix}").write(large, METADATA)
    assert all(p.name.startswith("kept") for p in disk.iterdir())
    with pytest.raises(ResourceError, match="the disk is full"):
        Destination(disk / f"kept{suffix}", force=True).write(large, METADATA)
    assert read(disk / f"kept{suffix}").equals(pl.from_arrow(TABLE))


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("name", ["flush", "fsync"])
def test_a_disk_that_is_full_for_the_last_bytes_leaves_what_lies_beside(
    name: str, unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the table is small enough to wait in a buffer, or the file system tells when it is flushed alone."""
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    Destination(tmp_path / "kept.csv").write(TABLE, METADATA)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    long = pa.table({"a": ["long"] * 1000})
    limits, fsync = resource.getrlimit(resource.RLIMIT_FSIZE), os.fsync

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    try:
        if name == "flush":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        else:
            monkeypatch.setattr(os, "fsync", full)
        told = r"File too large.*ulimit -f" if name == "flush" else "the disk is full"
        with pytest.raises(ResourceError, match=told):
            Destination(tmp_path / "out.csv").write(long, METADATA)
        with pytest.raises(ResourceError, match=told):
            Destination(tmp_path / "kept.csv", force=True).write(long, {"version": "2"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_signals_while_writing_leave_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys, time, pyarrow as pa
        from pathlib import Path
        import miscreen.cli
        from miscreen.__main__ import main
        from miscreen.tables.write import Destination

        if sys.argv[2] == "named":
            del os.O_TMPFILE

        def wait(count):
            print("writing", flush=True)
            for _ in range(600):  # a signal just before a long sleep would be seen after it
                time.sleep(0.1)

        def write():
            Destination(Path(sys.argv[1])).write(pa.table({"a": [1.0]}), {"version": "1"}, wait)

        miscreen.cli.main = write
        main()
        """
    )
    for name, number, how in (
        ("out.parquet", signal.SIGKILL, "unnamed"),
        ("out.csv", signal.SIGKILL, "unnamed"),
        ("out.csv", signal.SIGTERM, "unnamed"),
        ("out.csv", signal.SIGTERM, "named"),
        ("out.csv", signal.SIGINT, "named"),
    ):
        with subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / name, how], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "writing\n"
            process.send_signal(number)
            assert process.wait(timeout=30) == (-9 if number == signal.SIGKILL else 128 + number)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_nothing_is_written_of_a_table_that_changed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source.arrow"
    miscreen.convert(np.eye(3), source, names=["a", "b", "c"])
    (tmp_path / name).write_text("earlier")
    written = write.write_stream

    def touching(*arguments: Any, **options: Any) -> None:
        written(*arguments, **options)
        os.utime(source, ns=(0, 0))

    monkeypatch.setattr(write, "write_stream", touching)
    with pytest.raises(DataError, match="the input changed during the run"):
        miscreen.convert(source, tmp_path / name, force=True)
    assert (tmp_path / name).read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.arrow", name]

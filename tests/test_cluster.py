"""Shards, parts and checkpoints: the bytes of an undivided run, or a refusal that says what is wrong."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import miscreen
from miscreen import ReadOptions, merge, rank_shard
from miscreen.cli import main
from miscreen.cluster import conversion, run
from miscreen.cluster.checkpoints import Checkpoints, remove_checkpoints
from miscreen.cluster.identity import Identity
from miscreen.cluster.part import Part
from miscreen.cluster.run import Pace, gaps
from miscreen.cluster.shards import parse_shard, part_path
from miscreen.errors import DataError, InputError, MiscreenError, ResourceError
from miscreen.inference.null import SHARED, Null
from miscreen.partition import Findings, Partition
from miscreen.screening import Screen
from miscreen.tables.wide import assemble

N_FEATURES = 90


def make_table(seed: int = 3) -> pa.Table:
    """Columns of every kind, with values missing and infinite, and two targets."""
    rng = np.random.default_rng(seed)
    n = 60
    y = rng.standard_normal(n)
    columns: dict[str, Any] = {"y": y, "group": np.array(["a", "b", "c"])[np.digitize(y, (-0.5, 0.5))]}
    for j in range(N_FEATURES):
        x = rng.standard_normal(n) + y * rng.uniform(0, 1)
        if j % 4 == 0:
            x[rng.random(n) < 0.2] = np.nan
        if j % 9 == 0:
            x[3] = np.inf
        kinds = [x, np.round(2 * x), np.full(n, 2.5), np.array(["u", "v", "w"])[np.digitize(x, (0, 1))]]
        columns[f"x{j}"] = kinds[j % 4 if j % 7 == 0 else 0]
    return pa.table({name: pa.array(v, from_pandas=v.dtype.kind == "f") for name, v in columns.items()})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    pq.write_table(make_table(), path)
    return path


def make_parts(source: Any, folder: Path, n: int = 4, name: str = "r", **options: Any) -> list[Path]:
    options = {"target": "y", "method": "pearson"} | options
    return [rank_shard(source, shard=f"{k}/{n}", output=folder / f"{name}.parquet", **options) for k in range(1, n + 1)]


def counted_scores(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The ranges that are scored from now on."""
    scored: list[range] = []
    score = Screen.score_partition

    def note(screen: Screen, features: range) -> Partition:
        scored.append(features)
        return score(screen, features)

    monkeypatch.setattr(Screen, "score_partition", note)
    return scored


# ---- shards ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "csv.gz"])
def test_merged_parts_are_the_bytes_of_the_undivided_run(suffix: str, tmp_path: Path) -> None:
    table = make_table()
    source = tmp_path / f"table.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, source, row_group_size=17)
    elif suffix == "arrow":
        with pa.ipc.new_file(source, table.schema) as writer:
            writer.write_table(table)
    else:
        text = pl.from_arrow(table).write_csv()
        source.write_bytes(text.encode() if suffix == "csv" else __import__("gzip").compress(text.encode()))
    cases: list[dict[str, Any]] = [
        {"target": "y", "method": "auto"},
        {"target": ["group", "y"], "method": "bin", "exclude": ["x1*"], "discrete": ["x2"], "unit": "bits"},
    ]
    if suffix == "parquet":
        inference = {"fdr": 0.2, "strata": "group", "max_t": 20, "seed": 5, "extra": ["linfoot"]}
        cases.append({"target": "y", "method": "spearman", "exclude": ["group"], **inference})
    if suffix == "csv":
        cases.append({"target": "y", "method": "pearson", "read": ReadOptions(null_values=("v",))})
    for i, options in enumerate(cases):
        ranking = miscreen.rank(source, **options)
        paths = make_parts(source, tmp_path / f"parts{i}", n=5, **options)
        assert [p.name for p in paths] == [f"r.{k}-of-5.parquet" for k in range(1, 6)]
        merged = merge(tmp_path / f"parts{i}")
        for ending in ("parquet", "arrow", "csv", "tsv", "json", "ndjson"):
            for name, made in (("whole", ranking), ("merged", merged)):
                made.write(tmp_path / f"{name}.{ending}", force=True)
            for end in (ending, f"{ending}.meta.json"):
                whole, other = tmp_path / f"whole.{end}", tmp_path / f"merged.{end}"
                assert whole.exists() == other.exists()
                assert not whole.exists() or whole.read_bytes() == other.read_bytes()


def test_a_shard_reads_its_own_columns_alone(source: Path, tmp_path: Path) -> None:
    """Zeros in the place of all others' pages change no byte of its part."""
    wanted = [path.read_bytes() for path in make_parts(source, tmp_path / "parts")]
    chunks = [pq.ParquetFile(source).metadata.row_group(0).column(j) for j in range(92)]
    spans = [(c.dictionary_page_offset or c.data_page_offset, c.total_compressed_size) for c in chunks]
    whole, changed = source.read_bytes(), source.stat().st_mtime_ns
    for k, features in enumerate([range(22), range(22, 45), range(45, 68), range(68, 91)], start=1):
        blanked = bytearray(whole)
        for j, (start, size) in enumerate(spans):
            if j > 0 and j - 1 not in features:  # the first is the target
                blanked[start : start + size] = bytes(size)
        source.write_bytes(blanked)
        os.utime(source, ns=(changed, changed))
        part = rank_shard(source, "y", f"{k}/4", tmp_path / "alone" / "r.parquet", method="pearson")
        assert part.read_bytes() == wanted[k - 1]
    with pytest.raises(DataError):
        miscreen.rank(source, "y", "pearson")


def test_text_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    caplog.set_level("INFO", "miscreen")
    source = tmp_path / "my table;.csv"
    source.write_text(pl.from_arrow(make_table()).write_csv())
    folder = tmp_path / "parts"
    make_parts(source, folder)
    assert caplog.text.count("is converted once for all shards") == 1
    (converted,) = folder.glob("*.arrow")
    assert converted.name.startswith("my_table_.csv.")
    make_parts(source, folder, name="other", method="bin")
    assert list(folder.glob("*.arrow")) == [converted]
    source.write_text(pl.from_arrow(make_table(4)).write_csv())
    make_parts(source, folder, name="third")
    assert len(list(folder.glob("*.arrow"))) == 2
    assert merge(folder / "third.parquet").names == miscreen.rank(source, "y", "pearson").names


def test_names_are_looked_up_before_text_is_converted(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO", "miscreen")
    source, output = tmp_path / "table.csv", tmp_path / "parts" / "r.parquet"
    source.write_text(pl.from_arrow(make_table()).write_csv())
    wrong: list[dict[str, Any]] = [
        {"target": "Y"},
        {"target": "y", "exclude": ["z*"]},
        {"target": "y", "strata": "z", "p_values": True},
        {"target": "x14"},
    ]
    for options in wrong:
        with pytest.raises(MiscreenError) as error:
            rank_shard(source, shard="1/2", output=output, method="pearson", **options)
        assert "table.csv" in error.value.message or "single value" in error.value.message
        assert ".arrow" not in error.value.message
    assert "converted" not in caplog.text
    assert list(output.parent.iterdir()) == []
    make_parts(source, output.parent)
    with pytest.raises(InputError, match=r"table.csv has no column 'Y'"):
        rank_shard(source, "Y", "1/2", output, method="pearson")


def test_a_damaged_conversion_may_be_removed(tmp_path: Path) -> None:
    source, output = tmp_path / "table.csv", tmp_path / "parts" / "r.parquet"
    source.write_text(pl.from_arrow(make_table()).write_csv())
    rank_shard(source, "y", "1/2", output, method="pearson")
    (converted,) = output.parent.glob("*.arrow")
    os.truncate(converted, converted.stat().st_size // 2)
    with pytest.raises(DataError, match=converted.name) as error:
        rank_shard(source, "y", "2/2", output, method="pearson")
    assert error.value.hint == "Remove that file, and the text will be converted again"
    converted.unlink()
    rank_shard(source, "y", "2/2", output, method="pearson")
    assert merge(output).names == miscreen.rank(source, "y", "pearson").names


def test_a_part_that_is_done_is_left_as_it_is(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = make_parts(source, tmp_path / "parts")
    before = first.stat()
    scored = counted_scores(monkeypatch)
    make_parts(source, tmp_path / "parts")
    assert scored == []
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(InputError, match=r"r.1-of-4.parquet' exists already, of another run: method was 'pearson'"):
        make_parts(source, tmp_path / "parts", method="bin")
    make_parts(source, tmp_path / "parts", force=True)
    assert scored == []
    make_parts(source, tmp_path / "parts", method="bin", force=True)
    assert merge(tmp_path / "parts").metadata["method"] == "bin"


def test_a_part_that_is_done_leaves_what_another_run_has_finished(source: Path, tmp_path: Path) -> None:
    (part, *_) = make_parts(source, tmp_path / "parts", n=2)
    found, scored = Part.read(part), Part.read(part).partitions[0]
    ours = Identity.from_json(found.about["run"])
    theirs = replace(ours, metadata=ours.metadata | {"method": "bin"})
    for identity, left in ((theirs, True), (ours, False)):
        with Checkpoints(part.with_name(f"{part.name}.partial"), identity) as kept:
            kept.keep(scored)
        make_parts(source, tmp_path / "parts", n=2)
        assert kept.directory.exists() == left
        if left:
            with Checkpoints(kept.directory, identity) as again:
                assert len(again.load()) == 1
            remove_checkpoints(kept.directory)


def test_what_cannot_be_a_shard(source: Path, tmp_path: Path) -> None:
    for text in ("0/4", "5/4", "3", "a/b", "1/0", "-1/4"):
        with pytest.raises(InputError, match="is no shard"):
            parse_shard(text)
    with pytest.raises(InputError, match=r"parts are Parquet files, not 'r.csv'"):
        part_path(Path("r.csv"), 1, 2)
    with pytest.raises(InputError, match="91 columns to rank, fewer than 92 shards"):
        rank_shard(source, "y", "1/92", tmp_path / "r.parquet")
    with pytest.raises(InputError, match="a pipe cannot be read again"):
        rank_shard("-", "y", "1/2", tmp_path / "r.parquet")
    with pytest.raises(InputError, match="a table in memory cannot be opened again"):
        rank_shard(make_table(), "y", "1/2", tmp_path / "r.parquet")
    with pytest.raises(InputError, match="does not exist"):
        rank_shard(source, "y", "1/2", tmp_path / "no" / "where" / "r.parquet")
    with pytest.raises(InputError, match=r"the output directory .*table.parquet' does not exist"):
        rank_shard(source, "y", "1/2", source / "r.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.parquet"]


# ---- merge refuses -----------------------------------------------------------------------------------------


def test_missing_parts_are_named(source: Path, tmp_path: Path) -> None:
    paths = make_parts(source, tmp_path / "parts", n=9)
    for k in (2, 5, 6, 7):
        paths[k - 1].unlink()
    with pytest.raises(DataError, match=r"4 of 9 parts are missing: 2,5-7") as error:
        merge(tmp_path / "parts")
    assert error.value.hint.endswith("sbatch --array=2,5-7 SCRIPT")
    (tmp_path / "parts" / "array.sh").touch()
    with pytest.raises(DataError) as error:
        merge(tmp_path / "parts" / "r.parquet")
    assert error.value.hint.endswith(f"sbatch --array=2,5-7 {tmp_path}/parts/array.sh")


def test_doubled_parts_are_named(source: Path, tmp_path: Path) -> None:
    paths = make_parts(source, tmp_path / "parts")
    shutil.copy(paths[2], tmp_path / "copy.parquet")
    with pytest.raises(DataError, match=r"shard 3 of 4 is there 2 times: .*r.3-of-4.*copy"):
        merge([*paths, tmp_path / "copy.parquet"])
    assert len(merge([*paths, paths[2]])) == 91  # the same file named twice


def test_a_part_that_is_given_by_several_paths_is_one(source: Path, tmp_path: Path) -> None:
    parts = make_parts(source, tmp_path / "parts")
    (tmp_path / "link").symlink_to(tmp_path / "parts")
    whole = merge(tmp_path / "parts").to_arrow()
    assert (
        merge([tmp_path / "parts", tmp_path / "link", tmp_path / "parts" / ".." / "parts" / parts[0].name]).to_arrow()
        == whole
    )


def test_a_merge_may_be_made_again_beside_its_parts(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "parts" / "r.parquet"
    make_parts(source, tmp_path / "parts")
    merge(output).write(output)
    before = output.read_bytes()
    merge(output).write(output, force=True)
    assert output.read_bytes() == before


def test_a_merge_does_not_take_the_place_of_a_part(source: Path, tmp_path: Path, capsys: Any) -> None:
    parts = make_parts(source, tmp_path / "parts")
    before = parts[1].read_bytes()
    (tmp_path / "link.parquet").symlink_to(parts[1])
    for output in (parts[1], tmp_path / "link.parquet"):
        assert main(["merge", str(tmp_path / "parts"), "--force", "-o", str(output)]) == 2
        assert "is one of the parts" in capsys.readouterr().err
    assert parts[1].read_bytes() == before


def test_names_of_parts_may_hold_line_breaks(source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts", name="two\nlines")
    for given in (tmp_path / "parts", tmp_path / "parts" / "two\nlines.parquet"):
        assert len(merge(given)) == 91


def test_parts_of_other_options_are_named(source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts")
    rank_shard(source, "y", "2/4", tmp_path / "parts" / "r.parquet", method="pearson", min_samples=7, force=True)
    with pytest.raises(DataError, match=r"r.2-of-4.parquet' is not of the same run as .*min_samples") as error:
        merge(tmp_path / "parts")
    assert "--array=2 " in error.value.hint
    (tmp_path / "parts" / "r.4-of-4.parquet").unlink()
    with pytest.raises(DataError) as error:
        merge(tmp_path / "parts")
    assert "--array=2,4 " in error.value.hint


def test_parts_of_another_version_are_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_parts(source, tmp_path / "parts")
    (tmp_path / "parts" / "r.4-of-4.parquet").unlink()
    monkeypatch.setattr("miscreen.request.__version__", "9.9")
    rank_shard(source, "y", "4/4", tmp_path / "parts" / "r.parquet", method="pearson")
    with pytest.raises(DataError, match=r"r.4-of-4.*version was '.*' and is '9.9'"):
        merge(tmp_path / "parts")


@pytest.mark.parametrize("change", ["a value", "the target", "a name", "the time"])
def test_an_input_changed_between_shards_is_found(change: str, source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts")
    table = make_table()
    if change == "a name":
        table = table.rename_columns(["other" if n == "x80" else n for n in table.column_names])
    elif change != "the time":
        name = "y" if change == "the target" else "x80"
        values = table.column(name).to_numpy().copy()
        values[5] += 1.0
        table = table.set_column(table.column_names.index(name), name, pa.array(values, from_pandas=True))
    pq.write_table(table, source)
    (tmp_path / "parts" / "r.2-of-4.parquet").unlink()
    rank_shard(source, "y", "2/4", tmp_path / "parts" / "r.parquet", method="pearson")
    complaint = r"1-of-4.*3-of-4.*4-of-4.* are of an older input than .*r.2-of-4.*the input was table.parquet of .* byt"
    with pytest.raises(DataError, match=complaint) as error:  # though they are more
        merge(tmp_path / "parts")
    assert "--array=1,3-4 " in error.value.hint
    for k in (1, 3, 4):
        rank_shard(source, "y", f"{k}/4", tmp_path / "parts" / "r.parquet", method="pearson", force=True)
    assert merge(tmp_path / "parts").names == miscreen.rank(source, "y", "pearson").names


def test_any_time_of_a_file_can_be_told() -> None:
    for nanoseconds, told in (
        (253402300899 * 10**9, "10000-01-01 00:01:39.000000"),
        (-1001, "1969-12-31 23:59:59.999998"),
    ):
        found, other = (Identity([["t.parquet", 5, time]], "", {}) for time in (nanoseconds, 0))
        assert found.difference(other).endswith(f" is t.parquet of 5 bytes, changed {told}")


def test_of_two_inputs_the_newer_counts(source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts", n=2)
    os.utime(source, ns=(0, source.stat().st_mtime_ns + 1))
    rank_shard(source, "y", "2/2", tmp_path / "parts" / "r.parquet", method="pearson", force=True)
    with pytest.raises(DataError, match=r"r.1-of-2.parquet' is of an older input than .*r.2-of-2") as error:
        merge(tmp_path / "parts")
    assert "--array=1 " in error.value.hint


def test_a_part_that_cannot_be_opened_is_not_called_damaged(source: Path, tmp_path: Path) -> None:
    first, *_ = make_parts(source, tmp_path / "parts")
    first.unlink()
    first.symlink_to(first.name)  # which not even root opens
    with pytest.raises(InputError, match=r"cannot open '.*r.1-of-4.parquet': Too many levels of symbolic links"):
        merge(tmp_path / "parts")


def test_a_directory_that_cannot_be_made(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"sub' cannot be made: Permission denied. See that .* can be written"):
        rank_shard(source, "y", "1/2", tmp_path / "sub" / "r.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_input_that_changes_during_a_run_is_found(
    suffix: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == "csv":
        source = tmp_path / "table.csv"
        source.write_text(pl.from_arrow(make_table()).write_csv())
    score = Screen.score_partition

    def touching(screen: Screen, features: range) -> Partition:
        os.utime(source, ns=(0, 0))
        return score(screen, features)

    monkeypatch.setattr(Screen, "score_partition", touching)
    with pytest.raises(DataError, match=r"the input changed during the run: .*table"):
        rank_shard(source, "y", "1/2", tmp_path / "parts" / "r.parquet", method="pearson")
    assert not list((tmp_path / "parts").glob("*-of-2.parquet"))
    source.touch()
    with pytest.raises(DataError, match="the input changed during the run"):
        miscreen.rank(source, "y", "pearson", checkpoints=tmp_path / "kept")
    source.touch()
    if suffix == "parquet":  # the other is parsed before anything is scored
        for refused in (miscreen.rank, miscreen.select):
            with pytest.raises(DataError, match="the input changed during the run"):
                refused(source, "y", method="pearson", **({"top": 3} if refused is miscreen.select else {}))
            source.touch()


@pytest.mark.usefixtures("small_partitions")
@pytest.mark.parametrize("how", ["resume", "shard"])
def test_nothing_is_kept_of_an_input_that_changed_until_it_is_back(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).standard_normal((60, 60))
    names = ["y", *(f"x{j}" for j in range(59))]
    source, other = tmp_path / "table.arrow", tmp_path / "other.arrow"
    miscreen.convert(values, source, names=names)
    values[:, 1:] = -(values[:, 1:] ** 2)
    miscreen.convert(values, other, names=names)
    shutil.copy2(source, tmp_path / "copy")
    whole = miscreen.rank(source, "y", "pearson").to_arrow()

    def ranked() -> pa.Table:
        if how == "resume":
            return miscreen.rank(source, "y", "pearson", checkpoints=tmp_path / "kept").to_arrow()
        rank_shard(source, "y", "1/1", tmp_path / "parts" / "r.parquet", method="pearson")
        return merge(tmp_path / "parts").to_arrow()

    with monkeypatch.context() as patch:
        score = Screen.score_partition

        def changing(screen: Screen, features: range) -> Partition:
            if features.start >= 20:
                with source.open("r+b") as file:
                    file.write(other.read_bytes())
            return score(screen, features)

        patch.setattr(Screen, "score_partition", changing)
        with pytest.raises(DataError, match="the input changed during the run"):
            ranked()
    shutil.copy2(tmp_path / "copy", source)
    assert ranked() == whole


def test_text_that_changes_before_it_is_converted_is_not_taken_for_what_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "table.csv"
    source.write_text(pl.from_arrow(make_table()).write_csv())
    shutil.copy2(source, tmp_path / "copy")
    whole = miscreen.rank(source, "y", "pearson").to_arrow()
    alone = conversion._one_at_a_time

    def waiting(directory: Path) -> Any:
        source.write_text((tmp_path / "copy").read_text().replace(".", "1."))
        return alone(directory)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_one_at_a_time", waiting)
        with pytest.raises(DataError, match="the input changed during the run"):
            rank_shard(source, "y", "1/1", tmp_path / "parts" / "r.parquet", method="pearson")
    shutil.copy2(tmp_path / "copy", source)
    rank_shard(source, "y", "1/1", tmp_path / "parts" / "r.parquet", method="pearson")
    assert merge(tmp_path / "parts").to_arrow() == whole


def test_text_that_another_host_converted_meanwhile_is_left_to_those_who_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = tmp_path / "table.csv", tmp_path / "parts"
    source.write_text(pl.from_arrow(make_table()).write_csv())
    there: list[tuple[Path, int]] = []

    def meanwhile(*arguments: Any) -> Any:
        if not there:
            there.append((Path(), 0))
            rank_shard(source, "y", "1/2", folder / "r.parquet", method="pearson")
            (found,) = folder.glob("*.arrow")
            there[0] = found, found.stat().st_ino
        return assemble(*arguments)

    monkeypatch.setattr(conversion, "_one_at_a_time", lambda directory: nullcontext())
    monkeypatch.setattr(conversion, "assemble", meanwhile)
    rank_shard(source, "y", "2/2", folder / "r.parquet", method="pearson")
    assert [(path, path.stat().st_ino) for path in folder.glob("*.arrow")] == there
    assert merge(folder).to_arrow() == miscreen.rank(source, "y", "pearson").to_arrow()


def test_several_runs_share_a_directory(source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts")
    make_parts(source, tmp_path / "parts", n=3, name="it's", method="bin")
    with pytest.raises(InputError, match=r"parts of 2 runs: it's of 3, r of 4") as error:
        merge(tmp_path / "parts")
    assert "miscreen merge" in error.value.hint
    assert merge(tmp_path / "parts" / "r.parquet").metadata["method"] == "pearson"
    assert merge(sorted((tmp_path / "parts").glob("it's.*-of-3.parquet"))).metadata["method"] == "bin"


def test_what_is_no_part_is_named(source: Path, tmp_path: Path) -> None:
    make_parts(source, tmp_path / "parts")
    shutil.copy(source, tmp_path / "parts" / "r.3-of-4.parquet")
    with pytest.raises(DataError, match=r"r.3-of-4.parquet' cannot be read as part") as error:
        merge(tmp_path / "parts")
    assert "--array=3 " in error.value.hint
    (tmp_path / "parts" / "r.2-of-4.parquet").unlink()
    with pytest.raises(DataError, match=r"r.3-of-4.parquet' cannot be read as part") as error:
        merge(tmp_path / "parts")
    assert "--array=2-3 " in error.value.hint  # all that is to be computed
    with pytest.raises(InputError, match="holds no parts"):
        merge(tmp_path)
    (tmp_path / "array.sh").write_text("#!/bin/bash\n#SBATCH --array=1-16\n")
    for given in (tmp_path, tmp_path / "none.parquet"):
        with pytest.raises(DataError, match="all 16 parts are missing from") as error:
            merge(given)
        assert "The logs there" in error.value.hint and "--array=1-16 " in error.value.hint
    (tmp_path / "array.sh").unlink()
    with pytest.raises(InputError, match="there is no part"):
        merge(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no parts are given"):
        merge([])


# ---- part files --------------------------------------------------------------------------------------------


def make_partition(first: int, n: int) -> Partition:
    rng = np.random.default_rng(first)
    score = np.where(rng.random(n) < 0.2, np.nan, rng.standard_normal(n))
    extras = {
        "q": np.where(rng.random(n) < 0.5, np.nan, rng.random(n)),
        "chosen": rng.random(n) < 0.5,
        "words": np.array([f"w{i}é" for i in range(n)], dtype=object),
    }
    findings = [
        Findings(
            score, -score, rng.integers(0, 50, n), np.isnan(score).astype(np.uint8), np.full(n, "kde", object), extras
        )
        for _ in range(2)
    ]
    names = [f"name\n{first + i}" for i in range(n)]
    kinds, infinite = rng.integers(0, 2, n).astype(np.uint8), rng.integers(0, 3, n)
    return Partition(first, names, kinds, infinite, rng.integers(0, 2**64, n, np.uint64), findings, {"note": [1, "a"]})


def as_bytes(partition: Partition) -> bytes:
    return partition.to_arrow().to_string(show_metadata=True, preview_cols=0).encode() + b"".join(
        str(column.to_pylist()).encode() for column in partition.to_arrow().columns
    )


def test_a_part_says_what_was_written(tmp_path: Path) -> None:
    partitions = [make_partition(10, 40), make_partition(50, 1), make_partition(70, 13)]
    Part(partitions, {"k": 3, "ü": [1, None]}).write(tmp_path / "p.parquet")
    found = Part.read(tmp_path / "p.parquet")
    assert found.about == {"k": 3, "ü": [1, None]}
    assert [as_bytes(p) for p in found.partitions] == [as_bytes(p) for p in partitions]


def test_a_damaged_part_is_never_used(tmp_path: Path) -> None:
    partitions = [make_partition(10, 40), make_partition(50, 13)]
    path = tmp_path / "p.parquet"
    Part(partitions, {"run": "abc"}).write(path)
    whole = path.read_bytes()
    expected = [as_bytes(p) for p in partitions]
    rng = np.random.default_rng(11)
    refused = 0

    def damage(how: str) -> bytes:
        at = int(rng.integers(len(whole)))
        if how == "cut":
            return whole[:at]
        if how == "flip":
            return whole[:at] + bytes([whole[at] ^ (1 << rng.integers(8))]) + whole[at + 1 :]
        return whole[:at] + bytes(len(whole[at : at + 64])) + whole[at + 64 :]

    for how in ("cut", "flip", "zeros") * 200:
        path.write_bytes(damage(how))
        try:
            found = Part.read(path)
        except DataError:
            refused += 1
        else:  # a bit that nobody reads
            assert found.about == {"run": "abc"}
            assert [as_bytes(p) for p in found.partitions] == expected
    assert refused > 400


# ---- checkpoints -------------------------------------------------------------------------------------------


@pytest.fixture
def small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of ten features."""
    monkeypatch.setattr(run, "_FIRST_VALUES", 600)
    monkeypatch.setattr(Pace, "took", lambda self, n_features, seconds: None)


@pytest.mark.usefixtures("small_partitions")
@pytest.mark.parametrize("target", ["y", ["y", "group"]])
def test_a_run_goes_on_with_what_is_finished(
    target: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    miscreen.rank(source, target, "pearson").write(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()

    def rank() -> bytes:
        miscreen.rank(source, target, "pearson", checkpoints=kept).write(tmp_path / "out.parquet", force=True)
        return (tmp_path / "out.parquet").read_bytes()

    assert rank() == whole
    files = sorted(kept.glob("*-*.parquet"), key=lambda p: int(p.name.partition("-")[0]))
    assert len(files) == 10 - (target != "y")
    scored = counted_scores(monkeypatch)
    assert rank() == whole
    assert scored == []
    files[0].unlink()
    files[4].write_bytes(files[4].read_bytes()[:-9])
    damaged = bytearray(files[6].read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 64] = bytes(64)
    files[6].write_bytes(damaged)
    shutil.copy(files[1], files[7])  # not its own place
    assert rank() == whole
    assert scored == [range(0, 10), range(40, 50), range(60, 70), range(70, 80)]
    remove_checkpoints(kept)
    assert not kept.exists()


def test_a_run_of_every_option_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, kept = tmp_path / "table.csv", tmp_path / "kept"
    pl.from_arrow(make_table()).write_csv(source)  # type: ignore[union-attr]
    options: dict[str, Any] = {
        "read": ReadOptions(delimiter=",", null_values=("-9", "?")),
        "features": ("y", "group", "x*"),
        "exclude": ("x5*",),
        "discrete": ("x0",),
        "continuous": ("x1",),
        "extra": ("linfoot",),
        "fdr": 0.1,
        "strata": "group",
        "ci": 0.9,
        "max_t": 19,
    }
    first = miscreen.rank(source, ("y",), "pearson", checkpoints=kept, **options)
    scored = counted_scores(monkeypatch)
    again = miscreen.rank(source, ("y",), "pearson", checkpoints=kept, **options)
    assert scored == []
    assert again.to_arrow().equals(first.to_arrow())


@pytest.mark.usefixtures("small_partitions")
def test_progress_counts_what_was_finished_before(source: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []

    def note(*call: Any) -> None:
        calls.append(call)

    miscreen.rank(source, "y", "pearson", checkpoints=tmp_path / "kept", on_progress=note)
    assert {(phase, total) for phase, _, total in calls} == {("score", 91)}
    done = [done for _, done, _ in calls]
    assert done == sorted(done)
    assert {10, 20, 30, 91} <= set(done)
    for file in (tmp_path / "kept").glob("[45]*-*.parquet"):
        file.unlink()
    calls.clear()
    miscreen.rank(source, "y", "pearson", checkpoints=tmp_path / "kept", on_progress=note)
    assert calls[0][1] > 71 and calls[-1] == ("score", 91, 91)


def test_checkpoints_of_another_run_are_refused(source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    miscreen.rank(source, "y", "pearson", checkpoints=kept)
    with pytest.raises(InputError, match=r"kept' holds partitions of another run: max_levels was 20 and is 7"):
        miscreen.rank(source, "y", "pearson", max_levels=7, checkpoints=kept)
    with pytest.raises(InputError, match=r"another run: .*target was \['y'\] and is \['group'\]"):
        miscreen.rank(source, "group", "pearson", checkpoints=kept)
    pq.write_table(make_table(), source)
    with pytest.raises(InputError, match=r"the input was table.parquet of .* and is table.parquet of"):
        miscreen.rank(source, "y", "pearson", checkpoints=kept)
    pq.write_table(make_table(9), source)
    with pytest.raises(InputError, match="the values of the target differ"):
        miscreen.rank(source, "y", "pearson", checkpoints=kept)
    (kept / "run.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        miscreen.rank(source, "y", "pearson", checkpoints=kept)


def test_a_directory_of_others_is_left_alone(source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"but holds 'thesis.tex'"):
        miscreen.rank(source, "y", "pearson", checkpoints=kept)
    remove_checkpoints(kept)
    assert [p.name for p in kept.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="is to be a directory for what is finished, but is a file"):
        miscreen.rank(source, "y", "pearson", checkpoints=kept / "thesis.tex")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    identity = Identity([], "", {"version": "1"})
    with (
        Checkpoints(tmp_path / "kept", identity),
        pytest.raises(InputError, match="another process is at work"),
        Checkpoints(tmp_path / "kept", identity),
    ):
        pass
    with Checkpoints(tmp_path / "kept", identity):
        pass


def test_partitions_of_two_runs_that_knew_no_locks_are_used_once(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "kept", Identity([], "", {"version": "1"})) as kept:
        for first, length in ((0, 10), (0, 4), (4, 10), (8, 6), (14, 6), (12, 20)):
            kept.keep(make_partition(first, length))
        found = kept.load()
    assert [(p.first, len(p.names)) for p in found] == [(0, 10), (12, 20)]
    assert list(gaps(range(40), found)) == [range(10, 12), range(32, 40)]


def test_a_file_system_that_flushes_no_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(answers[0], os.strerror(answers[0]))

    monkeypatch.setattr(os, "fsync", fsync)
    part = Part([make_partition(0, 10)], {"k": 1})
    answers = [errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.EIO]
    while len(answers) > 1:
        part.write(tmp_path / "p.parquet")
        del answers[0]
    with pytest.raises(ResourceError, match="cannot write"):
        part.write(tmp_path / "p.parquet")


@pytest.mark.usefixtures("small_partitions")
def test_partitions_share_what_takes_long_to_draw(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    draw = Null._draw_all

    def note(null: Null, pool: Any) -> None:
        before = len(null._drawn)
        draw(null, pool)
        if null._effort is SHARED:
            drawn.append(len(null._drawn) - before)

    monkeypatch.setattr(Null, "_draw_all", note)
    ranking = miscreen.rank(source, "y", "spearman", p_values=True, checkpoints=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*-*.parquet"))) > 5
    assert len(drawn) > 5 and sum(drawn) == SHARED.draws
    for name, made in (("whole", miscreen.rank(source, "y", "spearman", p_values=True)), ("kept", ranking)):
        made.write(tmp_path / f"{name}.csv")
    assert (tmp_path / "kept.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_gaps_and_pace() -> None:
    parts = [make_partition(3, 4), make_partition(7, 1), make_partition(20, 5)]
    assert list(gaps(range(0, 30), parts)) == [range(0, 3), range(8, 20), range(25, 30)]
    assert list(gaps(range(3, 25), [])) == [range(3, 25)]
    pace = Pace(100, 10.0)
    pace.took(100, 0.001)
    assert pace.size == 400
    pace.took(400, 20.0)
    assert pace.size == 200
    pace.took(1, 1e6)
    assert pace.size == 1


def test_handlers_that_python_did_not_install_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from miscreen.cluster.stopping import stop_on_signals

    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: pytest.fail(f"{number} is set to {handler}"))
    with stop_on_signals() as event:
        assert not event.is_set()

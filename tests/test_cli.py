"""The command line: the exact call of the library, a clean standard output, and the exit code."""

from __future__ import annotations

import decimal
import inspect
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import miscreen
from miscreen.cli import main
from miscreen.cli import progress as progress_module
from miscreen.cli.options import Running, Screening
from miscreen.cli.progress import Progress
from miscreen.cli.terminal import show_ranking, summarise
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.estimators import ESTIMATORS, binning, estimator_class, kde, ksg
from miscreen.kernels import _ahead, _cache
from miscreen.kernels.density import KERNELS
from miscreen.model import Status
from miscreen.ranking import Ranking
from miscreen.tables.formats import FORMATS

PREPARE_KERNELS = Running.prepare_kernels
SAMPLES = Path(__file__).parent.parent / "data" / "samples"
POOLS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
VERBS = ("rank", "select", "evaluate", "describe", "convert")  # of the library, too
COMMANDS = (*VERBS, "merge", "slurm", "warmup")
LIMITS = {"threads": None, "memory": None, "scratch_dir": None}
READING = {"read": None}


@pytest.fixture(autouse=True)
def _unchanged_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets the environment of its process; undo that."""
    for pool in POOLS:
        monkeypatch.setenv(pool, "7")
        monkeypatch.delenv(pool)
    for variable, value in (("NO_COLOR", "1"), ("TERM", "dumb"), ("COLUMNS", "120")):
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("MISCREEN_DEBUG", raising=False)
    monkeypatch.setattr(Running, "prepare_kernels", lambda running, users: None)  # the cache may be empty or not


def make_ranking(names: list[str], constant: int = 0) -> Ranking:
    size = len(names)
    statuses = np.zeros(size, dtype=np.uint8)
    statuses[size - constant :] = 1
    scores = np.where(statuses == 0, 0.123456 / np.arange(1, size + 1), np.nan)
    return Ranking.from_scores(
        names,
        None,
        scores=scores,
        mi=scores,
        n=np.full(size, 50),
        kinds=np.zeros(size, dtype=np.uint8),
        methods=["kde"] * size,
        statuses=statuses,
        extras={},
        metadata={"target": ["y"]},
    )


class Library:
    """Stands in for a verb of the library and remembers how it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verb: str, answer: Any) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.pools: dict[str, str | None] = {}
        self._answer = answer
        monkeypatch.setattr(miscreen, verb, self, raising=False)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        assert isinstance(keywords.pop("on_progress"), Progress)
        self.calls.append((args, keywords))
        self.pools = {pool: os.environ.get(pool) for pool in POOLS}
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def call(line: str) -> int:
    return main(shlex.split(line))


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


# ---- the call ----------------------------------------------------------------------------------------------


def test_rank_passes_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch, "rank", make_ranking(["a"]))
    assert main(["rank", "table.csv", "--target", "y"]) == 0
    assert library.calls == [(("table.csv", ["y"]), READING | LIMITS)]


@pytest.mark.parametrize("verb", VERBS)
def test_defaults_and_names_are_those_of_the_library(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = inspect.signature(getattr(miscreen, verb)).parameters
    library = Library(monkeypatch, verb, DataError("enough"))
    further = {"rank": ["-t", "y"], "evaluate": ["-t", "y"], "convert": ["u.csv"]}.get(verb, [])
    assert main([verb, "t", *further]) == 1
    (_, keywords), *_ = library.calls
    passed_on = inspect.signature(miscreen.rank).parameters if verb in ("select", "evaluate") else {}
    known = {**passed_on, **parameters}
    assert set(keywords) <= set(known)
    for name in set(keywords) - {"target"}:
        assert keywords[name] == known[name].default, name


def test_an_option_not_given_is_not_passed_on() -> None:
    """So the library's defaults are the command line's; where help shows one, it must be the same."""
    parameters = inspect.signature(miscreen.rank).parameters
    for field in fields(Screening):
        if field.default is not None:
            assert field.default == parameters[field.name].default, field.name


def test_rank_passes_every_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = Library(monkeypatch, "rank", make_ranking(["a"]))
    line = """rank - -t y -t z --method kde --features x* --features @list --exclude id --discrete d
        --continuous c1 --continuous c2 --target-kind discrete --max-levels 5 --min-samples 30 --unit bits
        --bins 12 --binning width --correction none --kernel epa --bandwidth 0.5
        --bandwidth-multiplier 2 --grid 32 --scale raw --k 4 --delimiter tab --quote "'" --no-header --null NA --null -
        --threads 3 --memory 1GB"""
    assert call(f"{line} --scratch {tmp_path}") == 0
    options = miscreen.ReadOptions(delimiter="\t", header=False, quote="'", null_values=("NA", "-"))
    expected = {
        "method": "kde",
        "features": ["x*", "@list"],
        "exclude": ["id"],
        "discrete": ["d"],
        "continuous": ["c1", "c2"],
        "target_kind": "discrete",
        "max_levels": 5,
        "min_samples": 30,
        "unit": "bits",
        "bins": 12,
        "binning": "width",
        "correction": "none",
        "kernel": "epa",
        "bandwidth": 0.5,
        "bandwidth_multiplier": 2.0,
        "grid": 32,
        "scale": "raw",
        "k": 4,
        "read": options,
        "threads": 3,
        "memory": "1GB",
        "scratch_dir": str(tmp_path),
    }
    assert library.calls == [(("-", ["y", "z"]), expected)]
    assert library.pools == dict.fromkeys(POOLS, "3")


@pytest.mark.parametrize(("text", "value"), [("isj", "isj"), ("2", 2), ("1e-2", 0.01)])
def test_bandwidth_is_a_word_or_a_number(text: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch, "rank", make_ranking(["a"]))
    assert main(["rank", "t", "-t", "y", "--bandwidth", text]) == 0
    assert library.calls[0][1]["bandwidth"] == value
    assert type(library.calls[0][1]["bandwidth"]) is type(value)


@pytest.mark.parametrize("text", ["none", ""])
def test_nothing_quotes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch, "rank", make_ranking(["a"]))
    assert main(["rank", "t", "-t", "y", "--quote", text]) == 0
    assert library.calls[0][1]["read"] == miscreen.ReadOptions(quote="")


@pytest.mark.parametrize("text", ["ab", "5", "é"])
def test_a_quote_that_cannot_be(text: str, capfd: Any) -> None:
    assert main(["rank", "t", "-t", "y", "--quote", text]) == 2
    assert f"error: {text!r} cannot be the quote" in capfd.readouterr().err


NOT_CHOSEN: dict[str, Any] = {
    **dict.fromkeys(("ranking", "strategy", "top", "min_mi", "min_score", "clump_mi", "pool", "selection")),
    "given": (), "stability": 0, "keep": (), "by": "score",
}  # fmt: skip


def test_select_passes_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    written = SimpleNamespace(names=["b", "a"], write_to=lambda stream, format: None)
    library = Library(monkeypatch, "select", written)
    assert call("select t -t y --top 5 --min-mi 0.02 --method bin --bins 4 --names") == 0
    assert call("select t -t y --top 5 --keep id --keep y --format csv") == 0
    assert library.calls == [
        (("t", ["y"]), READING | LIMITS | NOT_CHOSEN | {"top": 5, "min_mi": 0.02, "method": "bin", "bins": 4}),
        (("t", ["y"]), READING | LIMITS | NOT_CHOSEN | {"top": 5, "keep": ("id", "y")}),
    ]


def test_select_passes_how_to_choose(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    shown = SimpleNamespace(write_to=lambda stream, format: stream.write(b"step,feature\n"))
    library = Library(monkeypatch, "select", SimpleNamespace(names=["a"], steps=shown))
    choice = "--strategy clump --clump-mi 0.3 --min-score 0.1 --fdr 0.05 --by q_value --pool 90 --given a,b --given c"
    assert call(f"select t -t y {choice} --stability 9 --steps") == 0
    assert capfdbinary.readouterr().out == b"step,feature\n"
    assert call("select t --selection chosen.json --names") == 0
    own = {"strategy": "clump", "clump_mi": 0.3, "min_score": 0.1, "fdr": 0.05, "by": "q_value", "pool": 90}
    own |= {"given": ("a,b", "c"), "stability": 9}
    assert [call[1] for call in library.calls] == [
        READING | LIMITS | NOT_CHOSEN | own,
        READING | LIMITS | NOT_CHOSEN | {"selection": "chosen.json"},
    ]


def test_select_shows_steps_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import polars as pl

    from miscreen.selection.steps import Steps

    rows = {"step": [*range(1, 22), None], "feature": ["a"] * 22, "rank": [3] * 22, "fell_to": [None] * 21 + ["b"]}
    Library(monkeypatch, "select", SimpleNamespace(names=["a"], steps=Steps(pl.DataFrame(rows).to_arrow(), {})))
    on_terminal(monkeypatch)
    assert call("select t -t y --strategy clump --steps") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["step", "feature", "rank"]  # nothing fell among the rows shown
    assert "2 more rows: -o FILE keeps all" in shown
    assert call("select t -t y --strategy clump") == 2
    assert call("select t -t y --strategy clump --names --steps") == 2


def test_select_takes_a_ranking_without_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch, "select", SimpleNamespace(names=[]))
    assert call("select t --ranking r.parquet --top 5 --names") == 0
    own = NOT_CHOSEN | {"ranking": "r.parquet", "top": 5}
    assert library.calls == [(("t", None), READING | LIMITS | own)]


def test_describe_and_convert_pass_their_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    described = Library(monkeypatch, "describe", DataError("enough"))
    assert call("describe t --target y --null NA --threads 1 --exclude a --discrete b") == 1
    own = {"target": "y", "read": miscreen.ReadOptions(null_values=("NA",)), "threads": 1}
    columns = {"exclude": ["a"], "discrete": ["b"]}
    assert described.calls == [(("t",), LIMITS | own | columns)]
    converted = Library(monkeypatch, "convert", None)
    output = str(tmp_path / "u.bin")
    assert main(["convert", "t", output, "--format", "arrow", "--force", "--exclude", "a", "--discrete", "b"]) == 0
    own = {"format": "arrow", "force": True, "read": None}
    assert converted.calls == [(("t", output), LIMITS | own | columns)]
    assert main(["convert", "-", output, "--format", "arrow", "--force"]) == 0
    assert "\ndone: standard input in " in capsys.readouterr().err


# ---- what is written ---------------------------------------------------------------------------------------


def test_a_note_is_shown_once(tmp_path: Path, capsys: Any) -> None:
    x = np.random.default_rng(0).standard_normal(60)
    pq.write_table(pa.table({"__index_level_0__": np.arange(60), "y": x, "x": x**3}), tmp_path / "t.parquet")
    command = ["select", str(tmp_path / "t.parquet"), "-t", "y", "-m", "pearson", "--top", "1", "--stability", "2"]
    assert main([*command, "--names"]) == 0
    assert capsys.readouterr().err.count("note: the index of a pandas table is no feature: __index_level_0__\n") == 1


def test_a_pipe_gets_csv_and_nothing_else(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    Library(monkeypatch, "rank", make_ranking([f"x{i}" for i in range(30)]))
    assert main(["rank", "t", "-t", "y"]) == 0
    out, err = capfdbinary.readouterr()
    lines = out.decode().splitlines()
    assert lines[0] == "rank,feature,score,mi_nats,n,kind,method,status"
    assert lines[1] == "1,x0,0.123456,0.123456,50,continuous,kde,ok"
    assert len(lines) == 31
    assert err == b""


def test_top_and_format_shape_what_a_pipe_gets(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    Library(monkeypatch, "rank", make_ranking(["a", "b", "c"]))
    assert call("rank t -t y --top 2 --format ndjson") == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["feature"] for row in rows] == ["a", "b"]


def test_a_dash_is_standard_output(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Library(monkeypatch, "rank", make_ranking(["a", "b"]))
    assert call("rank t -t y") == 0
    expected = capfdbinary.readouterr()
    assert call("rank t -t y -o -") == 0
    assert capfdbinary.readouterr() == expected
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    for line in ("convert t.csv -", "convert t.csv - --format csv", "slurm t.csv -t a --shards 2 -o -"):
        assert call(line) == 2
        assert b"the output '-' is no name of a file" in capfdbinary.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_features_without_a_score_are_counted_on_stderr(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Library(monkeypatch, "rank", make_ranking([f"x{i}" for i in range(1200)], constant=3))
    assert main(["rank", "t", "-t", "y"]) == 0
    assert capfd.readouterr().err == "warning: 1,200 features, no score for 3 (constant)\n"
    assert main(["rank", "t", "-t", "y", "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_output_file_leaves_stdout_empty(monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path) -> None:
    Library(monkeypatch, "rank", make_ranking(["a", "b", "c"], constant=1))
    path = tmp_path / "ranked.parquet"
    assert main(["rank", "t", "-t", "y", "-o", str(path)]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("done: 3 features, no score for 1 (constant) in ")
    assert err.endswith(f" s -> {path}\n")
    assert Ranking.read(path).names == ["a", "b", "c"]
    assert main(["rank", "t", "-t", "y", "-o", str(path), "--force", "--top", "1", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert Ranking.read(path).names == ["a"]


def test_terminal_gets_a_table_of_twenty(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    Library(monkeypatch, "rank", make_ranking([f"x{i}" for i in range(30)], constant=1))
    on_terminal(monkeypatch)
    assert main(["rank", "t", "-t", "y"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[0] == ["rank", "feature", "mi_nats", "n", "kind", "method"]
    assert lines[2] == ["1", "x0", "0.1235", "50", "continuous", "kde"]
    assert lines[21][:2] == ["20", "x19"]
    assert [" ".join(words) for words in lines[22:]] == ["10 more rows: --top N shows more, -o FILE keeps all"]
    assert err == "warning: 30 features, no score for 1 (constant)\n"


def test_terminal_table_shows_a_status_that_is_not_ok(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    Library(monkeypatch, "rank", make_ranking(["a", "b"], constant=1))
    on_terminal(monkeypatch)
    assert main(["rank", "t", "-t", "y"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0][-1] == "status"
    assert lines[3] == ["2", "b", "50", "continuous", "kde", "constant"]
    assert len(lines) == 4


WIDE_ROW = {"n": "700", "kind": "continuous", "method": "correlation ratio"}


@pytest.mark.parametrize(
    ("width", "hidden"), [(40, ["method", "kind"]), (60, ["method"]), (80, []), (120, [])], ids=str
)
def test_a_table_fits_the_terminal(width: int, hidden: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["short", "a_very_long_name_of_a_column" * 5]
    ranking = Ranking.from_scores(
        names, None, scores=np.array([0.5, 0.25]), mi=np.array([0.5, 0.25]), n=np.full(2, 700), kinds=np.zeros(2, "u1"),
        methods=[WIDE_ROW["method"]] * 2, statuses=np.zeros(2, "u1"), extras={}, metadata={"target": ["y"]},
    )  # fmt: skip
    show_ranking(ranking, 2)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    shown = [text for name, text in WIDE_ROW.items() if name not in hidden]
    assert lines[2].split() == ["1", "short", "0.5000", *" ".join(shown).split()]
    rank, feature, *others = lines[3].split()
    assert (rank, others) == ("2", ["0.2500", *" ".join(shown).split()])
    assert feature.endswith("…")
    assert len(feature) >= 16
    assert names[1].startswith(feature[:-1])
    assert lines[4:] == ([f"no room for {', '.join(hidden)}"] if hidden else [])


@pytest.mark.parametrize(
    ("statuses", "infinite", "line"),
    [
        ([Status.OK], 0, "1 feature"),
        ([Status.OK, Status.TOO_MANY_LEVELS], 0, "2 features, no score for 1 (too many levels)"),
        (
            [Status.CONSTANT, Status.CONSTANT, Status.TOO_FEW_SAMPLES],
            2,
            "3 features, no score for 2 (constant), 1 (too few samples), 2 with infinite values",
        ),
    ],
)
def test_the_line_below_a_ranking(statuses: list[Status], infinite: int, line: str) -> None:
    n = len(statuses)
    scores = np.where(np.array(statuses) == Status.OK, 0.5, np.nan)
    ranking = Ranking.from_scores(
        [f"x{i}" for i in range(n)], None, scores=scores, mi=scores, n=np.full(n, 700), kinds=np.zeros(n, "u1"),
        methods=["kde"] * n, statuses=np.array(statuses, "u1"), extras={},
        metadata={"target": ["y"], "n_features_with_infinite_values": infinite},
    )  # fmt: skip
    assert summarise(ranking) == line


def test_numbers_stay_whole_where_nothing_fits(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    ranking = make_ranking(["x" * 40])
    show_ranking(ranking, 1)
    row = next(line for line in capsys.readouterr().out.splitlines() if "…" in line)
    assert row.split() == ["1", "x" * 15 + "…", "0.1235"]


def test_names_are_no_markup_and_no_control_sequences(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    Library(monkeypatch, "rank", make_ranking(["[red]a[/red]", "b\x1b[31m", "c\nd"]))
    on_terminal(monkeypatch)
    assert main(["rank", "t", "-t", "y"]) == 0
    out = capsys.readouterr().out
    assert "[red]a[/red]" in out
    assert "b\\x1b[31m" in out
    assert "c\\nd" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_names_are_spelled_out_that_the_encoding_lacks(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    Library(monkeypatch, "rank", make_ranking(["日本", "é", "α" * 40]))
    on_terminal(monkeypatch)
    assert main(["rank", "t", "-t", "y"]) == 0
    lines = written.getvalue().decode(encoding).splitlines()
    assert [line.split("|")[1].split()[0] for line in lines[2:4]] == [
        r"\u65e5\u672c",
        "é" if "1" in encoding else r"\xe9",
    ]
    assert r"\u03b1\u03b1" in lines[4]
    assert len({len(line) for line in lines[:5]}) == 1


def test_a_terminal_is_not_flooded(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ranked = Library(monkeypatch, "rank", make_ranking(["a"]))
    selected = Library(monkeypatch, "select", SimpleNamespace(names=["a"]))
    on_terminal(monkeypatch)
    assert call("rank t -t y --format parquet") == 2
    assert call("select t -t y --top 3") == 2
    assert ranked.calls == selected.calls == []
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("hint: Name a file with -o") == 2


def test_select_prints_names(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    Library(monkeypatch, "select", SimpleNamespace(names=["b c", "[bold]", "d\udcff"]))
    assert call("select t -t y --top 3 --names") == 0
    assert capfdbinary.readouterr() == (b"b c\n[bold]\nd\xff\n", b"")


def test_select_refuses_to_print_a_name_with_a_line_break(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Library(monkeypatch, "select", SimpleNamespace(names=["a", "b\nc"]))
    assert call("select t -t y --top 3 --names") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "'b\\nc'" in err
    assert "--steps -o chosen.json" in err


def test_select_writes_columns(monkeypatch: pytest.MonkeyPatch, capfdbinary: Any, tmp_path: Path) -> None:
    written: list[tuple[str, str | None, bool]] = []

    def write(path: str, format: str | None, force: bool) -> None:
        written.append((path, format, force))

    selection = SimpleNamespace(names=["a"], write=write, write_to=lambda stream, format: stream.write(format.encode()))
    Library(monkeypatch, "select", selection)
    path = str(tmp_path / "out.parquet")
    assert main(["select", "t", "-t", "y", "--top", "1", "-o", path]) == 0
    out, err = capfdbinary.readouterr()
    assert (out, written) == (b"", [(path, None, False)])
    assert err.startswith(b"done: 1 column in ")
    assert call("select t -t y --top 1") == 0
    assert capfdbinary.readouterr() == (b"csv", b"")


def test_names_and_output_exclude_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Any) -> None:
    library = Library(monkeypatch, "select", SimpleNamespace(names=["a"]))
    assert main(["select", "t", "-t", "y", "--top", "1", "--names", "-o", str(tmp_path / "a.csv")]) == 2
    assert library.calls == []


def test_describe_tells_people_and_programs(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    facts = {
        "label": "table.csv",
        "n_samples": 50,
        "n_columns": 1200,
        "types": {"float": 1198, "text": 2, "boolean": 0},
        "kinds": {"continuous": 1198, "discrete": 2},
        "n_missing": 7,
        "n_columns_missing": 3,
        "n_columns_infinite": 1,
        "n_constant": 4,
        "read_seconds": 0.25,
        "memory_bytes": 3 << 20,
        "costs": {"auto": 1.25, "ksg": 60.0},
    }
    Library(monkeypatch, "describe", SimpleNamespace(**facts, to_dict=lambda: facts))
    assert main(["describe", "t"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "table table.csv",
        "shape 50 rows x 1,200 columns",
        "types 1,198 float, 2 text",
        "kinds 1,198 continuous, 2 discrete",
        "missing 7 values in 3 columns",
        "infinite in 1 columns",
        "constant 4 columns",
        "to rank it 3.0 MB at most, 0.2 s to read and, by method:",
        "auto 1.25 s",
        "ksg 60.00 s",
    ]
    assert main(["describe", "t", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == json.loads(json.dumps(facts))
    Library(monkeypatch, "describe", SimpleNamespace(**facts | {"costs": {}}))
    assert main(["describe", "t"]) == 0
    assert capfd.readouterr().out.endswith("methods are timed on continuous columns without missing values only\n")


# ---- compiling ahead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["rank", "select", "describe"])
def test_the_first_run_says_that_it_compiles(
    verb: str, monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(Running, "prepare_kernels", PREPARE_KERNELS)
    monkeypatch.setattr(_ahead, "start", lambda users, processes: None)
    monkeypatch.setattr(_cache, "CACHE_DIR", tmp_path)
    monkeypatch.delenv("MISCREEN_CACHE_DIR", raising=False)
    Library(monkeypatch, verb, DataError("enough"))
    line = {"rank": "rank t -t y", "select": "select t -t y --top 1 --names"}.get(verb, f"{verb} t")
    assert call(line) == 1
    note = 'note: compiling kernels for this machine, once; "miscreen warmup" does it ahead\n'
    assert capfd.readouterr().err == note + "error: enough\n"
    assert call(f"{line} --quiet") == 1
    assert capfd.readouterr().err == "error: enough\n"
    (tmp_path / "kernels").mkdir()
    (tmp_path / "a.code").touch()
    assert call(line) == 1
    assert capfd.readouterr().err == "error: enough\n"
    monkeypatch.setattr(_cache, "CACHE_DIR", None)
    assert call(line) == 1
    assert "in every run" in capfd.readouterr().err


def test_select_from_a_ranking_compiles_nothing(monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(Running, "prepare_kernels", PREPARE_KERNELS)
    monkeypatch.setattr(_ahead, "start", lambda users, processes: None)
    monkeypatch.setattr(_cache, "CACHE_DIR", tmp_path)
    Library(monkeypatch, "select", SimpleNamespace(names=[]))
    assert call("select t --ranking r.csv --top 1 --names") == 0
    assert capfd.readouterr().err == ""


def test_warmup_ranks_by_every_method_and_lane(monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path) -> None:
    asked: set[tuple[str, str, str]] = set()

    def rank(source: Any, target: str, method: str, **options: Any) -> None:
        lane = getattr(source, "suffix", "memory")
        asked.add((lane, target, method))
        table = source if lane == "memory" else None
        if table is not None:
            assert any(column.null_count for column in table.columns)
        else:
            assert source.stat().st_size

    strategies: list[str] = []
    monkeypatch.setattr(miscreen, "rank", rank, raising=False)
    monkeypatch.setattr(
        miscreen, "select", lambda *table, strategy, **options: strategies.append(strategy), raising=False
    )
    monkeypatch.setattr(_cache, "CACHE_DIR", tmp_path)
    (tmp_path / "a.code").touch()
    assert main(["warmup"]) == 0
    lanes, targets = ("memory", ".csv", ".parquet", ".arrow"), ("number", "group", "label")
    alone = {(lane, "single", "pearson") for lane in lanes}
    assert asked == alone | {(lane, target, method) for lane in lanes for target in targets for method in ESTIMATORS}
    assert strategies == ["mrmr", "cmim"]
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(rf"note: compiling .*\ndone: 1 kernels in .* s -> {re.escape(str(tmp_path))}\n", err)
    assert main(["warmup", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_warmup_needs_a_place_to_keep_kernels(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    library = Library(monkeypatch, "rank", None)
    monkeypatch.setattr(_cache, "CACHE_DIR", None)
    assert main(["warmup"]) == 1
    assert library.calls == []
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: compiled kernels cannot be kept")
    assert "hint: Set MISCREEN_CACHE_DIR" in err


def test_warmup_lets_idle_processors_compile_all_that_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prepare(running: Running, users: list[str]) -> None:
        asked.extend(users)
        raise DataError("enough")

    monkeypatch.setattr(Running, "prepare_kernels", prepare)
    assert call("warmup") == 1
    users = [word for line in _ahead.NEEDED.read_text().splitlines() for word in line.split("\t")[0].split()]
    assert {user.strip("?").partition("+")[0] for user in users} == set(asked)


def test_idle_processors_help_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Running, "prepare_kernels", PREPARE_KERNELS)
    monkeypatch.setattr(_ahead, "start", lambda users, processes: asked.append((list(users), processes)))
    Library(monkeypatch, "rank", DataError("enough"))
    Library(monkeypatch, "select", DataError("enough"))
    Library(monkeypatch, "evaluate", DataError("enough"))
    Library(monkeypatch, "describe", DataError("enough"))
    for line in (
        "rank t -t y --threads 1 -m kde",
        "rank t -t y --threads 2 --memory 511MB",
        "rank t -t y --threads 9 --memory 1GB",
        "select t -t y --top 1 --names --threads 9 --memory 9GB --strategy mrmr",
        "evaluate t -t y --method kde,pearson --threads 2 --memory 9GB",
        "describe t --threads 2 --memory 9GB",
    ):
        assert call(line) == 1
    assert asked == [
        (["kde"], 0),
        (["auto"], 0),
        (["auto"], 2),
        (["auto", "select"], 3),
        (["kde", "pearson"], 1),
        (list(ESTIMATORS), 1),
    ]


def test_helpers_start_while_something_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = []
    monkeypatch.setattr(_cache, "CACHE_DIR", tmp_path)
    monkeypatch.setattr(_ahead, "_running", [])
    monkeypatch.setattr(_ahead, "_users", [])
    monkeypatch.setattr(_ahead.subprocess, "Popen", lambda command, **streams: started.append(command))
    _ahead.start(["pearson"], 2)
    assert len(started) == 2
    assert started[0][1:] == ["-P", "-m", "miscreen.kernels._ahead", "pearson"]
    for kernel, _, always in _ahead.needed(["pearson"]):
        if always:
            (tmp_path / f"{kernel}-0.code").touch()
    _ahead.start(["pearson"], 2)
    assert len(started) == 2
    _ahead.start(["spearman"], 1)
    assert len(started) == 3
    monkeypatch.setattr(_cache, "CACHE_DIR", None)
    _ahead.start(["kde"], 1)
    assert len(started) == 3


def test_kernels_are_certain_once_the_kind_of_the_target_is_known() -> None:
    def kernels(*users: str, sure: bool) -> set[str]:
        return {kernel for kernel, _, always in _ahead.needed(users) if always == sure}

    assert "joint_density.joint_kde" in kernels("kde", sure=False)
    assert "joint_density.joint_kde" in kernels("kde", "kde+continuous", sure=True)
    assert "joint_density.joint_kde" not in kernels("kde", "kde+discrete", sure=False)
    assert kernels("kde", sure=True) <= kernels("kde", "kde+discrete", sure=True)
    assert "moments.rank_correlations" in kernels("copula", "copula+discrete", sure=False)  # of some such targets


def test_helpers_hear_of_the_kind_of_the_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hears = subprocess.Popen([sys.executable, "-c", "print(input(), input())"], stdin=-1, stdout=-1, text=True)
    gone = subprocess.Popen([sys.executable, "-c", ""], stdin=-1)
    gone.wait()
    monkeypatch.setattr(_ahead, "_running", [gone, hears])
    monkeypatch.setattr(_ahead, "_users", [])
    _ahead.expect("kde+discrete")  # nobody compiles
    monkeypatch.setattr(_ahead, "_users", ["kde"])
    for kind in ("continuous", "continuous", "discrete"):
        _ahead.expect(f"kde+{kind}")
    assert hears.communicate()[0] == "kde+continuous kde+discrete\n"
    assert gone.stdin is not None
    gone.stdin.close()


def test_the_list_of_needed_kernels_is_true() -> None:
    """``python tests/needed_kernels.py`` writes it anew."""
    command = [sys.executable, str(Path(__file__).with_name("needed_kernels.py")), "--print"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert sorted(found.splitlines()) == sorted(_ahead.NEEDED.read_text().splitlines())


def test_warmup_leaves_nothing_to_compile(tmp_path: Path) -> None:
    """What a run of other data compiles after a warm-up, in new processes, is nothing."""
    if _cache.CACHE_DIR is None:
        pytest.skip("needs a directory for compiled kernels")
    assert run("warmup", "--quiet").returncode == 0
    before = sorted(_cache.CACHE_DIR.rglob("*.code"))
    for options in (["-t", "phase"], ["-t", "S_score", "-m", "ksg", "--scale", "raw"], ["-t", "phase", "--p-values"]):
        done = run("rank", str(SAMPLES / "pbmc.csv"), *options, stdout=subprocess.DEVNULL)
        assert done.returncode == 0
    large = tmp_path / "large.parquet"  # of more values than Arrow reads for us
    values = np.random.default_rng(0).standard_normal((8_000, 300)).astype(np.float32)
    pq.write_table(pa.table({f"x{i}": row for i, row in enumerate(values)}), large, row_group_size=100)
    for command in (["rank", large, "-t", "x0"], ["describe", large]):
        assert run(*map(str, command), stdout=subprocess.DEVNULL).returncode == 0
    assert sorted(_cache.CACHE_DIR.rglob("*.code")) == before


# ---- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no such column", "Look again"), 2, "error: no such column\nhint: Look again\n"),
        (DataError("row 3 is ragged"), 1, "error: row 3 is ragged\n"),
        (ResourceError("too little", "Give more"), 1, "error: too little\nhint: Give more\n"),
        (MemoryError(), 1, "error: the machine has no memory left for this run\nhint: Give"),
        (OSError(28, "No space left on device", "x.csv"), 1, "error: No space left on device: x.csv\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (BrokenPipeError(), 0, ""),
        (ZeroDivisionError("oh"), 70, "error: internal error: ZeroDivisionError: oh\nhint: This is a bug"),
    ],
)
def test_errors_become_messages_and_exit_codes(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    Library(monkeypatch, "rank", error)
    monkeypatch.setattr("miscreen.cli._abandon_stdout", lambda: None)
    assert main(["rank", "t", "-t", "y"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(text)
    assert "Traceback" not in err


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    error = ZeroDivisionError("oh")
    error.add_note("while scoring features 'a' to 'b'")
    Library(monkeypatch, "rank", error)
    monkeypatch.setenv("MISCREEN_DEBUG", "1")
    assert main(["rank", "t", "-t", "y"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "internal error: ZeroDivisionError: oh\n  while scoring features 'a' to 'b'\nhint:" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["rank", "t"], "Missing option '--target'"),
        (["rank", "-t", "y"], "Missing argument 'SOURCE'"),
        (["rank", "t", "-t", "y", "--targetkind", "discrete"], "--target-kind"),
        (["rank", "t", "-t", "y", "--unit", "bit"], "'nats', 'bits'"),
        (["rank", "t", "-t", "y", "--top", "0"], "x>=1"),
        (["rank", "t", "-t", "y", "--k", "few"], "'few'"),
        (["rank", "t", "-t", "y", "--max-levels", "1"], "'--max-levels': 1 is not in the range x>=2"),
        (["rank", "t", "-t", "y", "--min-samples", "1"], "'--min-samples': 1 is not in the range x>=2"),
        (["rank", "t", "-t", "y", "--memory", "lots"], "'lots' is not a size"),
        (["rank", "t", "-t", "y", "--format", "xls"], "csv, tsv, parquet, arrow, json, ndjson"),
        (["rank", "t", "-t", "y", "-o", "ranked"], "cannot tell the format"),
        (["rank", "t", "-t", "y", "-o", "nowhere/r.csv"], "'nowhere' does not exist"),
        (["convert", "t", "nowhere/r.csv"], "'nowhere' does not exist"),
        (["rnak", "t"], "Did you mean 'rank'?"),
        (["rank", "1.csv", "2.csv", "-t", "y"], "Quote a pattern that means several files, such as 'data/*.csv'. See"),
    ],
)
def test_a_request_that_is_not_understood(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    libraries = [Library(monkeypatch, verb, None) for verb in VERBS]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert expected in err
    assert all(library.calls == [] for library in libraries)


def test_an_existing_file_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    libraries = {verb: Library(monkeypatch, verb, None) for verb in ("rank", "select", "convert")}
    path = tmp_path / "here.parquet"
    path.write_text("mine")
    for arguments in (["rank", "t", "-t", "y", "-o"], ["select", "t", "-t", "y", "-o"], ["convert", "t"]):
        assert main([*arguments, str(path)]) == 2
        assert "--force" in capsys.readouterr().err
    assert all(library.calls == [] for library in libraries.values())
    assert path.read_text() == "mine"


def test_going_on_replaces_the_output_that_the_run_had_written(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    Library(monkeypatch, "rank", make_ranking(["a"]))
    output, partial = tmp_path / "r.csv", tmp_path / "r.csv.partial"
    output.write_text("mine")
    partial.mkdir()
    assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 2
    assert f"{str(output)!r} exists already" in capsys.readouterr().err
    (partial / "run.json").write_text("{}")  # of a run that was killed before it wrote anything
    assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 2
    assert f"{str(output)!r} exists already" in capsys.readouterr().err
    output.unlink()

    write = Ranking.write

    def noting(ranking: Ranking, path: Any, **options: Any) -> None:
        write(ranking, path, **options)
        shutil.copytree(partial, tmp_path / "killed")

    with monkeypatch.context() as patch:
        patch.setattr(Ranking, "write", noting)
        assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 0
    assert not partial.exists()
    (tmp_path / "killed").rename(partial)  # as after a kill when the output had its name already
    output.write_text("ours")
    assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 0
    assert output.read_text() != "ours"
    assert not partial.exists()
    partial.mkdir()
    (partial / "output").touch()  # as after a kill when the output was complete and this was being removed
    assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 2
    assert f"{str(output)!r} exists already" in capsys.readouterr().err
    (partial / "output").unlink()
    partial.rmdir()
    output.unlink()
    (tmp_path / "r.csv.meta.json").unlink()
    partial.mkdir()
    (partial / "run.json").write_text("{}")

    def fail(ranking: Ranking, path: Any, **options: Any) -> None:
        raise ResourceError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Ranking, "write", fail)
        assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 1
    output.write_text("mine")
    assert main(["rank", "t", "-t", "y", "--resume", "-o", str(output)]) == 2
    assert output.read_text() == "mine"


# ---- help --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_of_a_verb(verb: str, capsys: Any) -> None:
    assert main([verb, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for wanted in (f"\n  miscreen {verb} ", "Time ", "memory", "Exit codes:", "--quiet"):
        assert wanted in out


def test_help_names_what_words_an_option_takes(capsys: Any) -> None:
    assert main(["rank", "--help"]) == 0
    words = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    for choices in (KERNELS, kde.BANDWIDTHS, kde.SCALES, ksg.SCALES, binning.RULES, binning.BINNINGS):
        assert set(choices) <= words
    assert set(binning.CORRECTIONS) | set(ESTIMATORS) <= words


def test_help_names_the_defaults_of_methods(capsys: Any) -> None:
    assert main(["rank", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for method in ESTIMATORS:
        for option in fields(estimator_class(method).Options):
            if isinstance(option.default, str | int | float) and not isinstance(option.default, bool):
                text = re.search(rf" --{option.name.replace('_', '-')} .*?(?= --|$)", out)
                assert text is not None
                default = option.default if isinstance(option.default, str) else f"{option.default:g}"
                assert re.search(rf"{method}: [^;]*\(default: {default}\)", text[0])


def test_help_names_every_suffix_that_is_read(capsys: Any) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"\{suffix}\b", out) for known in FORMATS.values() for suffix in known.suffixes)


def test_no_arguments_show_the_help(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in COMMANDS)
    assert not re.search(r"\w\.\.\.$", out, re.MULTILINE)  # what a verb does, in whole sentences


def test_version(capsys: Any) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"miscreen {miscreen.__version__}\n"


def test_help_loads_no_heavy_library() -> None:
    code = f"""
import sys
from miscreen.cli import main
for verb in {COMMANDS}:
    main([verb, "--help"])
heavy = {{"numpy", "numba", "scipy", "polars", "pyarrow", "rich", "pandas"}} & set(sys.modules)
sys.exit(f"loaded: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


# ---- progress ----------------------------------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def test_progress_is_a_line_now_and_then(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        for second in range(25):
            clock.now = 100.0 + second
            progress("score", 1000 * second, 100_000)
    assert stream.getvalue().splitlines() == [
        "scored 10,000 of 100,000 columns, 1,000/s, 90 s left",
        "scored 20,000 of 100,000 columns, 1,000/s, 80 s left",
    ]


def test_progress_is_silent_when_quiet(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream, quiet=True) as progress:
        progress("score", 0, 10)
        clock.now += 1000
        progress("score", 5, 10)
    assert stream.getvalue() == ""


def test_progress_is_a_bar_on_a_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(stream) as progress:
        progress("read", 0, None)
        assert stream.getvalue() == ""
        clock.now += 1
        progress("read", 1 << 20, None)
        progress("score", 50, 100)
    assert "read 1.0 MB" in stream.getvalue()
    assert "scored 50 of 100 columns" in stream.getvalue()


# ---- processes ---------------------------------------------------------------------------------------------

WAITING = """
import sys, time, miscreen
from miscreen.__main__ import main
def wait(*args, **keywords):
    try:
        print("ready", file=sys.stderr, flush=True)
        for _ in range(600):
            time.sleep(0.1)
    except BaseException as error:  # what a callback of the interpreter would do
        print("swallowed", error, file=sys.stderr, flush=True)
miscreen.rank = wait
sys.argv = ["miscreen", "rank", "t", "-t", "y"]
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated")]
)
def test_signals_end_a_run_cleanly(number: signal.Signals, word: str) -> None:
    caught = partial(signal.signal, number, signal.SIG_DFL)  # also where the tests run under nohup
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stderr=subprocess.PIPE, text=True, preexec_fn=caught
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        assert process.stderr.read() == f"error: {word}\n"
    assert process.returncode == 128 + number


def run(*arguments: str, **keywords: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "miscreen", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, **keywords)


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("rank", str(SAMPLES / "pbmc.parquet"), "-t", "phase", "-m", "pearson", "--quiet", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_only_a_result_needs_its_stream(tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m miscreen"
    rank = f"{command} rank {shlex.quote(str(SAMPLES / 'pbmc.parquet'))} -t phase -m pearson"

    def code(line: str) -> int:
        return subprocess.run(["sh", "-c", line], check=False, stderr=subprocess.DEVNULL).returncode

    assert code(f"{command} --version >&- 2>&-") == 1
    assert code(f"{rank} >&-") == 1
    assert code(f"{rank} -o {tmp_path}/closed.csv >&- 2>&-") == 0
    assert code(f"{rank} -o {tmp_path}/full.csv 2>/dev/full") == 0
    assert code(f"{command} describe - <&-") == 2
    assert (tmp_path / "closed.csv").read_bytes() == (tmp_path / "full.csv").read_bytes()


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_unbuffered_output_is_whole_or_an_error(tmp_path: Path, format: str) -> None:
    ranked = tmp_path / "ranked"
    rank = f"{shlex.quote(sys.executable)} -m miscreen rank {SAMPLES}/pbmc.parquet -t phase -m pearson -q"
    line = f"ulimit -f 8; {rank} --format {format} > {ranked}"
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["sh", "-c", line], check=False, env=unbuffered, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: File too large\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        done = run("rank", str(SAMPLES / "pbmc.parquet"), "-t", "phase", "-m", "pearson", "--quiet", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"error: No space left on device\n"


def test_csv_by_pipe_and_parquet_by_name_rank_alike() -> None:
    by_name = run("rank", str(SAMPLES / "pbmc.parquet"), "-t", "cell_type", stdout=subprocess.PIPE)
    with (SAMPLES / "pbmc.csv").open("rb") as file:
        by_pipe = run("rank", "-", "-t", "cell_type", "--threads", "1", stdin=file, stdout=subprocess.PIPE)
    assert by_name.returncode == by_pipe.returncode == 0
    for done in (by_name, by_pipe):  # while kernels are compiled there is a line of progress, too
        assert done.stderr.splitlines()[-1] == b"warning: 772 features, no score for 1 (too many levels)"
    assert by_name.stdout == by_pipe.stdout
    lines = by_name.stdout.decode().splitlines()
    assert len(lines) == 773
    assert lines[-1].split(",")[:3] == ["772", "cell", ""]


def test_errors_of_the_binary() -> None:
    done = run("rank", str(SAMPLES / "pbmc.parquet"), "-t", "cell_typ", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"'cell_typ'" in done.stderr
    assert b"cell_type" in done.stderr
    missing = run("describe", str(SAMPLES / "pbmc.parq"), stdout=subprocess.PIPE)
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert b"pbmc.parquet" in missing.stderr


def test_how_files_are_joined_is_told(tmp_path: Path) -> None:
    for i, columns in enumerate((["y", "a"], ["b", "c"])):
        rows = "".join(f"{j * j % 7},{j * 3 % 5}\n" for j in range(20))
        (tmp_path / f"{i}.csv").write_text(",".join(columns) + "\n" + rows)
    arguments = ("rank", str(tmp_path), "-t", "y", "-m", "pearson")
    done = run(*arguments, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert f"note: {tmp_path}: 2 files with the same rows, taken side by side\n".encode() in done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert run(*arguments, "--quiet", stdout=subprocess.PIPE).stderr == b""


def test_the_table_is_not_overwritten_by_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes((SAMPLES / "pbmc.csv").read_bytes())
    before = table.read_bytes()
    for verb in (["rank", "-m", "pearson"], ["select", "--top", "3", "-m", "pearson"], ["evaluate"]):
        for source in (str(table), str(tmp_path)):
            assert main([verb[0], source, "-t", "phase", *verb[1:], "-o", str(table), "--force"]) == 2
            assert "is the table itself" in capsys.readouterr().err
    assert table.read_bytes() == before


def test_no_output_becomes_part_of_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("d/e", "d/f", "out"):
        Path(folder).mkdir(parents=True)
    for i in "ef":
        Path(f"d/{i}/t.csv").write_text("y,a,b\n" + "".join(f"{j * j % 7},{j * 3 % 5},{j}\n" for j in range(20)))
    shard = ["rank", "--shard", "1/2", "-t", "y", "-m", "pearson", "-o"]
    for source, command, output in [
        ("d/e", ["convert"], "d/e/all.csv"),
        (f"{tmp_path}/d/e", ["convert"], "d/f/../e/all.parquet"),
        ("d/e/*.csv", ["rank", "-t", "y", "-o"], "d/e/rank.csv"),
        ("d/*/*", ["select", "--top", "1", "-t", "y", "-o"], "d/f/best.json"),
        ("d/e", shard, "d/e/r.parquet"),
        ("d/e/*.csv*", shard, "d/e/r.parquet"),  # where the text would be converted to
        ("d/e", ["slurm", "-t", "y", "--shards", "2", "-o"], "d/e/r.csv"),
    ]:
        assert main([*command[:1], source, *command[1:], output]) == 2, (source, output)
        assert "would lie among the files of the table" in capsys.readouterr().err
    for source, output in [
        ("d/e", "d/all.csv"),
        ("d/e", "d/e/all.json"),  # which no directory is read for
        ("d/e/*.csv", "d/e/all.arrow"),
        ("d/e/*.csv", "out/all.csv"),
        ("d/e/t.csv", "d/e/u.csv"),
    ]:
        assert main(["convert", source, output]) == 0
    assert sorted(p.name for p in Path("d/e").iterdir()) == ["all.arrow", "all.json", "t.csv", "u.csv"]


def test_a_ranking_comes_by_a_pipe() -> None:
    table = str(SAMPLES / "pbmc.parquet")
    rank = f"{shlex.quote(sys.executable)} -m miscreen rank {table} -t phase -m pearson -q"
    select = f"{shlex.quote(sys.executable)} -m miscreen select {table} --top 3 --names --ranking"
    found = [
        subprocess.run(["sh", "-c", f"{rank} --format {form} | {select} -"], stdout=subprocess.PIPE, check=True).stdout
        for form in ("csv", "tsv", "parquet", "arrow", "json", "ndjson")
    ]
    assert len(found[0].splitlines()) == 3
    assert len(set(found)) == 1


def test_numbers_and_labels_in_one_column_can_be_converted(tmp_path: Path) -> None:
    table = tmp_path / "mixed.csv"
    table.write_text("y,batch,note\n" + "".join(f"{i}.5,{i % 3},{i}\n" for i in range(30)) + "1.5,x,none at all\n")
    output = tmp_path / "mixed.parquet"
    assert main(["convert", str(table), str(output)]) == 1
    assert main(["convert", str(table), str(output), "--discrete", "batch", "--exclude", "no*"]) == 0
    found = pl.read_parquet(output)
    assert found.columns == ["y", "batch"]
    assert found["batch"].to_list()[-2:] == ["2", "x"]
    assert main(["convert", str(table), str(tmp_path / "none.parquet"), "--exclude", "*"]) == 2


def test_description_of_columns_without_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"y": [float(i) for i in range(40)], "l": [[1]] * 40, "c": [7] * 40}), table)
    assert main(["describe", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_missing"], found["n_columns_missing"], found["n_constant"]) == (0, 0, 1)
    assert main(["describe", str(table), "--json", "--exclude", "l", "--discrete", "c", "-t", "y"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_columns"], found["kinds"]) == (2, {"continuous": 1, "discrete": 1})
    assert main(["describe", str(table), "-t", "y", "-t", "c"]) == 2


def test_times_and_wide_decimals_as_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seconds = pl.Series([i * 10**9 for i in range(40)]).cast(pl.Time)
    pl.DataFrame({"y": [i * 7 % 40 + 0.5 for i in range(40)], "t": seconds}).write_parquet(tmp_path / "t.parquet")
    assert main(["convert", str(tmp_path / "t.parquet"), str(tmp_path / "t.csv"), "-q"]) == 0
    capfd.readouterr()
    ranked = []
    for ending in ("parquet", "csv"):
        assert main(["rank", str(tmp_path / f"t.{ending}"), "-t", "y", "-m", "pearson", "-q"]) == 0
        ranked.append(capfd.readouterr().out)
    assert ranked[0] == ranked[1]
    assert "ok" in ranked[0]
    wide = pa.table({"d": pa.array([decimal.Decimal(1)] * 2, pa.decimal256(40, 4))})
    pq.write_table(wide, tmp_path / "d.parquet")
    assert main(["convert", str(tmp_path / "d.parquet"), str(tmp_path / "d.csv"), "-q"]) == 1
    told = capfd.readouterr().err
    assert "column 'd' is of type decimal256(40, 4)" in told
    assert "panic" not in told


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["slurm", "TABLE", "-t", "y", "--shards", "2", "--bins", "4"], "method 'auto' has no option 'bins'"),
        (["select", "TABLE", "-t", "phase", "--top", "2", "--names", "--format", "json"], "Give --names alone"),
        (["select", "TABLE", "-t", "phase", "--top", "2", "--steps", "--keep", "cell"], "--keep has no effect"),
        (["rank", "", "-t", "y"], "the source is an empty text"),
        (["rank", "TABLE", "-t", "phase", "--max-t", "3"], "--max-t must be a whole number from 19"),
        (["rank", "TABLE", "-t", "phase", "--bootstrap", "30"], "--bootstrap has no effect"),
        (["rank", "TABLE", "-t", "phase", "--fdr-method", "by"], "--fdr-method has no effect"),
        (["rank", "TABLE", "-t", "phase", "-m", "kde", "--bandwidth", "-3"], "--bandwidth is -3"),
        (["rank", "TABLE", "-t", "phase", "-m", "kde", "--bandwidth-multiplier", "-3"], "--bandwidth-multiplier is -3"),
        (["rank", "TABLE", "-t", "phase", "-m", "ksg", "--k", "0"], "--k is 0"),
        (
            ["select", "TABLE", "-t", "phase", "--top", "2", "--strategy", "mrmr", "--stability", "1"],
            "--stability must",
        ),
        (["evaluate", "TABLE", "-t", "percent_mito", "--k", "5000"], "--k is 5,000"),
    ],
)
def test_options_that_lead_nowhere(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(SAMPLES / "pbmc.parquet") if word == "TABLE" else word for word in arguments]
    assert main(given) == 2
    assert told in capsys.readouterr().err


def test_a_table_of_one_column_may_have_another_delimiter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.txt"
    table.write_text(" ".join(f"g{i}" for i in range(2000)) + "\n" + (" ".join("1" * 2000) + "\n") * 12)
    assert main(["rank", str(table), "-t", "g1"]) == 2
    told = capsys.readouterr().err
    assert "give its --delimiter" in told
    assert len(told) < 500
    table.write_text('"a" "b"\n"r1" 1 2\n')
    assert main(["rank", str(table), "-t", "a"]) == 1
    assert "--delimiter ' '" in capsys.readouterr().err

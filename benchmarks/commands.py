"""The real command on real files, each run a process of its own: wall time and peak memory."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inputs import narrower, table
from measure import MISCREEN, OUT, ROOT, Part, Row, Run, compared, peak, run, take_turns

RANKED = OUT / "ranked.parquet"
SAMPLE = ROOT / "data/samples/pbmc.parquet"
CACHED = "Files were read before, so that they come from the system's cache and not from the disk."
BIN16 = ("--bins", "16", "--binning", "width")


def rank(path: Path, method: str, *options: str, memory: str = "1GB") -> list[str | Path]:
    """A command that ranks a file with two threads."""
    limits = ["--threads", "2", "--memory", memory, "--quiet", "--force", "-o", str(RANKED)]
    return [MISCREEN, "rank", path, "--target", "y", "--method", method, *options, *limits]


def reader(name: str, *arguments: str | Path) -> list[str | Path]:
    """A command of `readers.py`."""
    return [sys.executable, "benchmarks/readers.py", name, *arguments]


def times(runs: Sequence[Run]) -> list[float]:
    """Wall seconds of each run."""
    return [r.seconds for r in runs]


def profile(path: Path, method: str, *options: str, memory: str = "1GB") -> str:
    """Where a run like it spends its time: seconds of each stage, summed over threads."""
    words = [f"{name.removeprefix('--')}={value}" for name, value in zip(options[::2], options[1::2], strict=True)]
    limits = ["--threads", "2", "--memory", memory, "--json"]
    command = [sys.executable, "benchmarks/profile_run.py", path, *words, "--target", "y", "--method", method, *limits]
    seconds = json.loads(run(command).printed)
    wall = seconds.pop("wall")
    stages = ", ".join(f"{stage} {took:.2g}" for stage, took in seconds.items() if took >= 0.05)
    return f"{stages} s on all threads together; {wall:.1f} s by the clock"


def memory_row(what: str, runs: Sequence[Run], reach: float | None) -> Row:
    """Peak memory of some runs."""
    return Row(what, "peak memory", peak(runs), reach=reach, sense="most", unit="GB", per="command")


def csv(*, quick: bool) -> Part:
    """A wide CSV, against pyarrow that merely parses it."""
    path = table(1050, 10_000 if quick else 150_000, ".csv")
    size = path.stat().st_size / 2**30
    part = Part(
        "A wide CSV, whole command",
        f"`miscreen rank` on `{path.name}` ({size:.2g} GB) with two threads and `--memory 1GB`, beside pyarrow with "
        f"two threads parsing the same file, with the types given. {CACHED}",
    )
    commands = {"arrow": reader("arrow-csv", path), "kde": rank(path, "kde"), "bin": rank(path, "bin")}
    run(commands["kde"])  # fills the caches
    runs = take_turns(commands, 2 if quick else 3)
    for method, reach in (("kde", 2.5), ("bin", 3.5)):
        part.add(
            compared(
                f"rank --method {method}",
                "pyarrow parsing",
                times(runs[method]),
                times(runs["arrow"]),
                reach=reach,
                per="command",
                where=profile(path, method),
            )
        )
    part.add(memory_row("rank, CSV", [*runs["kde"], *runs["bin"]], 1.5))
    part.add(memory_row("pyarrow parsing", runs["arrow"], None))
    polars = run(reader("polars-csv", path))
    part.add(compared("rank --method kde", "Polars parsing", times(runs["kde"][:1]), [polars.seconds], per="command"))
    part.add(memory_row("Polars parsing", [polars], None))
    return part


def parquet(*, quick: bool) -> Part:
    """Wide Parquet and Arrow files, against reading and against computing alone."""
    columns = 10_000 if quick else 150_000
    path, arrow = table(1050, columns, ".parquet"), table(1050, columns, ".arrow")
    part = Part(
        "A wide Parquet or Arrow file, whole command",
        f"`miscreen rank` on `{path.name}` with two threads beside Polars reading the whole file with two threads; "
        f"on `{arrow.name}` beside the estimator alone, on the same columns in memory, with two threads and kernels "
        f"loaded. {CACHED}",
    )
    commands = {"polars": reader("polars-parquet", path), "kde": rank(path, "kde"), "bin": rank(path, "bin")}
    commands |= {f"arrow {method}": rank(arrow, method) for method in ("kde", "bin")}
    commands |= {f"compute {method}": reader("compute", arrow, method) for method in ("kde", "bin")}
    run(commands["kde"])
    runs = take_turns(commands, 2 if quick else 3)
    for method, reach in (("kde", 2.5), ("bin", 1.5)):
        part.add(
            compared(
                f"rank --method {method}, Parquet",
                "Polars reading",
                times(runs[method]),
                times(runs["polars"]),
                reach=reach,
                sense="most",
                per="command",
                where=profile(path, method),
            )
        )
    for method in ("kde", "bin"):
        alone = [float(r.printed) for r in runs[f"compute {method}"]]
        part.add(
            compared(
                f"rank --method {method}, Arrow",
                "computing alone",
                times(runs[f"arrow {method}"]),
                alone,
                reach=1.3,
                sense="most",
                per="command",
                rival=False,
                where=profile(arrow, method),
            )
        )
    part.add(memory_row("rank, Parquet", [*runs["kde"], *runs["bin"]], None))
    part.add(memory_row("rank, Arrow", [*runs["arrow kde"], *runs["arrow bin"]], None))
    part.add(memory_row("Polars reading Parquet", runs["polars"], None))
    return part


def wide_csv(*, quick: bool) -> Part:
    """The widest CSV, and how its time grows with the columns."""
    columns = 40_000 if quick else 1_000_000
    path = table(300, columns, ".csv")
    widths = {columns // 4: narrower(path, columns // 4), columns // 2: narrower(path, columns // 2), columns: path}
    part = Part(
        "A CSV of a million columns, whole command",
        f"`miscreen rank --method kde` on `{path.name}` and on its first quarter and half, two threads, "
        f"`--memory 1GB`. {CACHED}",
    )
    run(rank(widths[columns // 4], "kde"))
    runs = take_turns({str(width): rank(file, "kde") for width, file in widths.items()}, 2)
    found = {width: statistics.median(times(runs[str(width)])) for width in widths}
    for width in (columns // 2, columns):
        grown = found[width] / found[columns // 4] / (width / (columns // 4))
        part.add(
            Row(
                f"rank, {width:,} columns",
                f"in proportion to {columns // 4:,} columns",
                grown,
                reach=1.1,
                sense="most",
                ours=found[width],
                theirs=found[columns // 4],
                per="command",
            )
        )
    part.rows[-1].where = profile(path, "kde")
    part.add(memory_row(f"rank, {columns:,} columns", runs[str(columns)], 2.0))
    return part


def tall_parquet(*, quick: bool) -> Part:
    """Many rows and few columns."""
    rows, columns = (100_000, 100) if quick else (1_000_000, 500)
    path = table(rows, columns, ".parquet")
    few = 2
    part = Part(
        "A tall Parquet file, whole command",
        f"`miscreen rank` on `{path.name}` with two threads and `--memory 1GB` beside Polars reading the whole file. "
        f"`ksg` takes all rows (it never takes a part of them unasked) and is run on {few} columns. {CACHED}",
    )
    methods = {"bin": (), "bin, 16 equal widths": BIN16, "kde": (), "copula": ()}
    commands = {"polars": reader("polars-parquet", path)}
    commands |= {name: rank(path, name.partition(",")[0], *options) for name, options in methods.items()}
    runs = take_turns(commands, 1 if quick else 4)  # reading takes now twice, now half as long
    for name, options in methods.items():
        part.add(
            compared(
                f"rank --method {name}, {rows:,} rows",
                "Polars reading",
                times(runs[name]),
                times(runs["polars"]),
                reach=2,
                sense="most",
                per="command",
                where=profile(path, name.partition(",")[0], *options),
            )
        )
    part.add(memory_row(f"rank, {rows:,} rows", [r for name in methods for r in runs[name]], None))
    some = [word for number in range(few) for word in ("--features", f"x{number}")]
    alone = run(rank(path, "ksg", *some))
    part.add(
        Row(
            f"rank --method ksg, {rows:,} rows",
            f"{few} columns",
            alone.seconds,
            unit="s",
            ours=alone.seconds,
            per="command",
            note=f"{alone.seconds / few:.2g} s a column with two threads, start included",
        )
    )
    return part


def select(*, quick: bool) -> Part:
    """Redundancy-aware selection from many candidates, and whether its memory follows the budget."""
    columns, steps = (2_000, 20) if quick else (20_000, 100)
    path = table(1000, columns, ".parquet")
    part = Part(
        "Selection, whole command",
        f"`miscreen select --top {steps} --pool {columns}` on `{path.name}` and an earlier ranking, two threads. The "
        f"codes of all candidates take {columns * 1000 / 2**20:.0f} MB. {CACHED}",
    )
    run(rank(path, "pearson"))

    def selecting(strategy: str, memory: str) -> list[str | Path]:
        how = ["--strategy", strategy, "--top", str(steps), "--pool", str(columns), "--names"]
        return [MISCREEN, "select", path, "--ranking", RANKED, *how, "--threads", "2", "--memory", memory, "--quiet"]

    commands = {strategy: selecting(strategy, "1GB") for strategy in ("mrmr", "jmi", "cmim")}
    commands["cmim, little memory"] = selecting("cmim", "50MB")
    run(commands["cmim"])
    runs = take_turns(commands, 2 if quick else 3)
    for name, found in runs.items():
        took = statistics.median(times(found))
        what = f"select --strategy {name}"
        part.add(Row(what, "start included", took, reach=10, sense="most", unit="s", ours=took, per="command"))
    part.add(memory_row("select, --memory 50MB", runs["cmim, little memory"], 0.4))
    return part


def significance(*, quick: bool) -> Part:
    """What p-values and intervals add to a ranking of columns without ties."""
    columns = 10_000 if quick else 150_000
    path = table(1050, columns, ".arrow")
    part = Part(
        "Significance, whole command",
        f"`miscreen rank` on `{path.name}`, whose columns have no ties, with `--p-values` or `--ci 0.95` beside the "
        f"same without, two threads. The null is drawn once, so that more columns lower the ratio. At the end "
        f"{columns // 10:,} columns of which half of the values are zeros, each with a null of its own. {CACHED}",
    )
    methods = {"auto": ("auto",), "auto --no-mi": ("auto", "--no-mi"), "kde": ("kde",), "bin": ("bin",)}
    for name, (method, *options) in methods.items():
        commands = {"plain": rank(path, method, *options), "p": rank(path, method, *options, "--p-values")}
        if name == "auto":
            commands["ci"] = rank(path, method, *options, "--ci", "0.95")
        run(commands["p"])
        runs = take_turns(commands, 1 if quick else 2)
        leave_out = ("--mi", "False") if options else ()
        for asked, reach in (("p", None if quick else 1.3), ("ci", None)):
            if asked in runs:
                part.add(
                    compared(
                        f"rank --method {name} {'--p-values' if asked == 'p' else '--ci 0.95'}",
                        "without",
                        times(runs[asked]),
                        times(runs["plain"]),
                        reach=reach,
                        sense="most",
                        per="command",
                        rival=False,
                        where=profile(path, method, "--p_values", "True", *leave_out) if asked == "p" else "",
                    )
                )
    tied = table(1050, columns // 10, ".arrow", zeros=True)
    for method, *options in (("auto", "--no-mi"), ("kde",), ("spearman",)):
        commands = {"plain": rank(tied, method, *options), "p": rank(tied, method, *options, "--p-values")}
        runs = take_turns(commands, 1 if quick else 3)  # the first may compile
        name, series = " ".join((method, *options)), (times(runs["p"]), times(runs["plain"]))
        what = f"rank --method {name} --p-values, half zeros"
        part.add(compared(what, "without", *series, sense="most", per="command", rival=False))
    return part


def start(*, quick: bool) -> Part:
    """How long the command takes before there is any work to speak of."""
    part = Part(
        "Start",
        "Whole commands on the sample in `data/samples`: median of several runs. The first run compiles the kernels, "
        "with an empty directory for their machine code.",
    )
    repeats = 3 if quick else 9
    ranking = [MISCREEN, "rank", SAMPLE, "--target", "cell_type", "--quiet", "--force", "-o", RANKED]
    for what, command, reach in (("--help", [MISCREEN, "--help"], 0.3), ("rank, sample", ranking, 1.2)):
        run(command)
        runs = [run(command) for _ in range(repeats)]
        took = statistics.median(times(runs))
        part.add(Row(what, "warm", took, reach=reach, sense="most", unit="s", ours=took, per="command"))
    part.rows[-1].note = f"peak memory {peak(runs):.2g} GB"
    first = []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory(dir=OUT) as empty:
            home = {"MISCREEN_CACHE_DIR": empty, "XDG_CACHE_HOME": empty, "HOME": empty}
            first.append(run(ranking, home))
    part.add(
        Row(
            "rank, sample",
            "very first run",
            statistics.median(times(first)),
            reach=8,
            sense="most",
            unit="s",
            ours=statistics.median(times(first)),
            per="command",
        )
    )
    with tempfile.TemporaryDirectory(dir=OUT) as empty:
        home = {"MISCREEN_CACHE_DIR": empty, "XDG_CACHE_HOME": empty, "HOME": empty}
        filled = run([MISCREEN, "warmup"], home)
        note = f"after it, the first rank takes {run(ranking, home).seconds:.2g} s"
        part.add(Row("warmup", "empty cache", filled.seconds, unit="s", ours=filled.seconds, per="command", note=note))
    return part

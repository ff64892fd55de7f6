"""What the benchmarks share: the command line, rows of the page, races in one process, and whole processes."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from miscreen.limits import POOLS

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks/out"
RESULTS = ROOT / "benchmarks/results"  # what was measured, by parts, kept beside the pages made of it
MISCREEN = Path(sys.executable).with_name("miscreen")
PACKAGES = ("miscreen", "numpy", "numba", "scipy", "fastHDMI", "KDEpy", "scikit-learn", "ennemi", "polars", "pyarrow")


@dataclass
class Row:
    """One line of the page.

    Attributes
    ----------
    what, against : str
    measured : float
        The ratio (unit ``x``), seconds (``s``) or gigabytes (``GB``) that `reach` speaks of.
    reach : float, optional
        What is aimed at; None for a line that only informs.
    sense : str
        ``least`` when `measured` should be at least `reach`, ``most`` when at most.
    ours, theirs : float, optional
        Seconds `per` column or command.
    spread : list of float
        Lowest and highest ratio of the repeats.
    rival : bool
        Whether `theirs` is somebody else's time.
    where : str
        Where our time goes.
    note : str
    """

    what: str
    against: str
    measured: float
    reach: float | None = None
    sense: str = "least"
    unit: str = "x"
    ours: float | None = None
    theirs: float | None = None
    per: str = "column"
    spread: list[float] = field(default_factory=list)
    rival: bool = False
    where: str = ""
    note: str = ""


@dataclass
class Part:
    """What one part of the benchmark found: rows, and curves for the plots."""

    title: str
    intro: str
    rows: list[Row] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Keep a row, and say on stderr that it is there."""
        self.rows.append(row)
        aim = "" if row.reach is None else f" (reach: at {row.sense} {row.reach:g})"
        print(f"  {row.what} | {row.against}: {row.measured:.3g} {row.unit}{aim}", file=sys.stderr, flush=True)

    def save(self, path: Path, *, quick: bool) -> None:
        """Write the part and what it ran on as JSON."""
        path.write_text(json.dumps({**asdict(self), "quick": quick, "ran_on": machine()}, indent=1))


def machine() -> dict[str, str]:
    """Processor, cores, memory, system and versions; nothing that tells when or whose."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts = {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
    return facts | {name: metadata.version(name) for name in PACKAGES}


def number(value: float) -> str:
    """Three significant digits, without an exponent for what people read."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


# ---- in one process ----------------------------------------------------------------------------------------


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Time of one call."""
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def enough(call: Callable[[int], object], most: int, at_least: float) -> int:
    """The least number of columns, doubling from 1 up to `most`, for which a call takes so many seconds."""
    call(1)  # loads what is loaded once
    columns = 1
    while columns < most and min(seconds(call, columns), seconds(call, columns)) < at_least:
        columns = min(2 * columns, most)
    return columns


def race(
    ours: Callable[[int], object], theirs: Callable[[int], object], most: int, at_least: float, repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds a column of both sides, turn by turn, so that what slows the machine slows both.

    Each side is called with as many columns, up to `most`, as make a call last `at_least` seconds.
    """
    counts = [enough(side, most, at_least) for side in (ours, theirs)]
    times: tuple[list[float], list[float]] = [], []
    for _ in range(repeats):
        for side, count, found in zip((ours, theirs), counts, times, strict=True):
            found.append(seconds(side, count) / count)
    return times


def compared(what: str, against: str, ours: Sequence[float], theirs: Sequence[float], **keywords: Any) -> Row:
    """A row of two series of times taken by turns: the median of their ratios, and the medians of each.

    The ratio is theirs / ours where it should be at least something, else ours / theirs.
    """
    faster = keywords.get("sense", "least") == "least"
    ratios = [t / o if faster else o / t for o, t in zip(ours, theirs, strict=True)]
    return Row(
        what,
        against,
        statistics.median(ratios),
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        spread=[min(ratios), max(ratios)] if len(ratios) > 1 else [],
        **{"rival": True, **keywords},
    )


# ---- whole processes ---------------------------------------------------------------------------------------


@dataclass
class Run:
    """A process that has ended: wall seconds, peak resident bytes, and what it printed."""

    seconds: float
    peak_bytes: int
    printed: str


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; RuntimeError with what it wrote on stderr if that is not a good one."""
    with (OUT / "stdout.txt").open("w+b") as stdout, (OUT / "stderr.txt").open("w+b") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode != 0:
            words = " ".join(str(word) for word in command)
            raise RuntimeError(f"{words} ended with {process.returncode}: {stderr.read().decode()[-2000:]}")
        scale = 1 if sys.platform == "darwin" else 1024
        return Run(took, usage.ru_maxrss * scale, stdout.read().decode())


def take_turns(commands: Mapping[str, Sequence[str | Path]], repeats: int) -> dict[str, list[Run]]:
    """Run commands by turns, each so many times."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(run(command))
    return runs


def peak(runs: Sequence[Run]) -> float:
    """The highest peak of several runs, in GB of 2^30 bytes."""
    return max(r.peak_bytes for r in runs) / 2**30


def run_parts(
    script: str,
    description: str,
    parts: Mapping[str, int],
    measure: Callable[[str, bool], None],
    write_page: Callable[[], None],
) -> int:
    """The command line of a benchmark: measure the parts asked for, then write the page; how many have failed.

    Each part runs in a process of its own, whose libraries have so many threads, by calling `measure` with its name and
    whether the quick form is wanted. Parts may import the tests' tables.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="smaller tables, fewer repeats")
    parser.add_argument("--only", default=",".join(parts), metavar="PART,PART", help=", ".join(parts))
    parser.add_argument("--page", action="store_true", help="measure nothing, only write the page")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    if arguments.part:
        measure(arguments.part, arguments.quick)
        return 0
    names = [] if arguments.page else arguments.only.split(",")
    if unknown := sorted(set(names) - set(parts)):
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(parts)}")
    failed = []
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    for name in names:
        print(f"{name}:", file=sys.stderr, flush=True)
        command = [sys.executable, script, "--part", name, *(["--quick"] if arguments.quick else [])]
        environment = {**os.environ, **dict.fromkeys(POOLS, str(parts[name])), "PYTHONPATH": path}
        if subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed, so the page stays as it is: {', '.join(failed)}", file=sys.stderr)
    else:
        write_page()
    return len(failed)

"""Show where a `miscreen rank` run spends its time.

    python benchmarks/profile_run.py data/samples/pbmc.parquet --target cell_type --method kde

Stages are timed from outside, by wrapping the functions of the pipeline. A stage's seconds are its own, without
those of the stages it calls, and summed over threads: with two threads they can add up to twice the wall time.
Options of the method follow as NAME=VALUE.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

STAGES = {
    "start": "interpreter, imports of numpy and pyarrow",
    "load": "machine code of the kernels, by ranking a tiny table",
    "read": "opening and decoding the file, waiting for the disk",
    "convert": "pages, columns as decoded, or text to a block of numbers",
    "survey": "copying slices, fingerprints, infinities, kinds, levels",
    "sort": "ordering the samples of each column",
    "estimate": "the estimator, without the sorting",
    "null": "drawing the null that columns share, until the threads have estimated it",
    "rank": "ordering the features, building the result",
    "write": "writing the result",
}


class Stopwatch:
    """Seconds of each stage, exclusive of the stages inside it, added up over all threads."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._open = threading.local()

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the time it takes counted towards a stage."""

        @wraps(function, updated=())
        def timed(*arguments: Any, **keywords: Any) -> Any:
            stack = self._open.__dict__.setdefault("stack", [])
            stack.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                took = time.perf_counter() - began
                inside = stack.pop()
                if stack:
                    stack[-1] += took
                with self._lock:
                    self.seconds[stage] += took - inside

        return timed


def install(watch: Stopwatch, method: str) -> None:
    """Wrap every stage of the pipeline."""
    from miscreen import request, scoring, tables
    from miscreen.estimators import estimator_class
    from miscreen.inference.significance import Significance
    from miscreen.kernels import delimited, survey
    from miscreen.model import Batch
    from miscreen.ranking import Ranking
    from miscreen.tables.source import TableSource

    module = {one.name: import_module(f"{tables.__name__}.{one.name}") for one in iter_modules(tables.__path__)}

    def replace(owner: Any, name: str, stage: str) -> None:
        setattr(owner, name, watch.wrap(stage, getattr(owner, name)))

    replace(request, "open_table", "read")
    for name in ("arrow", "memory", "parquet"):
        replace(module[name], "encode", "convert")
    replace(module["pages"].PageReader, "read", "convert")
    replace(module["batches"].PlainNumbers, "values", "convert")
    replace(delimited, "parse_rows", "convert")
    for source in TableSource.__subclasses__():
        if "values" in vars(source) and not hasattr(source.values, "__wrapped__"):
            replace(source, "values", "read")
    replace(scoring.Scorer, "__call__", "survey")
    for kernel in ("survey", "presence", "count_levels"):
        replace(survey, kernel, "survey")
    Batch.sorting = property(watch.wrap("sort", Batch.sorting.fget))
    replace(estimator_class(method), "score", "estimate")
    replace(Significance, "settle", "null")
    Ranking.from_scores = watch.wrap("rank", Ranking.from_scores)
    replace(Ranking, "write", "write")


def process_age() -> float:
    """Seconds since this process began, to a hundredth; 0 where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0


def number(text: str) -> int | float | str:
    """A number or a truth value where the text is one."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def profile(arguments: argparse.Namespace) -> dict[str, float]:
    """Rank a table; seconds of each stage, and of the whole by the clock."""
    age = process_age()
    began = time.perf_counter()

    import numpy as np

    import miscreen
    from miscreen.estimators import estimator_class

    estimator_class(arguments.method)
    rank = miscreen.rank
    watch = Stopwatch()
    watch.seconds["start"] = age + time.perf_counter() - began

    options = {name: number(value) for name, _, value in (word.partition("=") for word in arguments.options)}
    tiny = np.random.default_rng(0).standard_normal((50, 4))
    loading = time.perf_counter()
    for target in (tiny, np.column_stack((tiny[:, :3], tiny[:, 3] > 0))):
        rank(target, target="d", method=arguments.method, names=list("abcd"), threads=1, **options)
    watch.seconds["load"] = time.perf_counter() - loading
    installing = time.perf_counter()
    install(watch, arguments.method)  # not before, since kernels cannot be compiled that call what is wrapped
    began += time.perf_counter() - installing  # which no run does

    with tempfile.TemporaryDirectory() as directory:
        ranking = rank(
            arguments.file,
            target=arguments.target,
            method=arguments.method,
            threads=arguments.threads,
            memory=arguments.memory,
            **options,
        )
        ranking.write(Path(directory) / "ranking.parquet")
    return {**watch.seconds, "wall": age + time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description="Show where a rank run spends its time.")
    parser.add_argument("file", help="the table")
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE", help="options of the method")
    parser.add_argument("--target", required=True)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_intermixed_args()
    seconds = profile(arguments)
    if arguments.json:
        print(json.dumps(seconds))
        return
    wall = seconds.pop("wall")
    for stage, took in seconds.items():
        print(f"{stage:9}{took:9.3f} s {100 * took / wall:5.0f} %   {STAGES[stage]}")
    print(f"{'wall':9}{wall:9.3f} s         from the start of the process to its end")


if __name__ == "__main__":
    main()

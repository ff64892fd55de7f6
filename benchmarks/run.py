"""Measure miscreen beside its peers, and write `docs/benchmarks.md`.

    make bench                    everything, about 20 minutes
    make bench QUICK=1            smaller tables and fewer repeats, some minutes
    make bench ONLY=functions,csv

Each part runs in a process of its own and leaves a JSON file in `benchmarks/results`; the page is written from
whatever is there, so that a part can be run again alone. Quick results take the place of full ones until these are
checked out again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from measure import OUT, RESULTS, ROOT

# A part's name: module and function, and how many threads the libraries may use.
PARTS = {
    "start": ("commands:start", 2),
    "functions": ("functions:measure", 1),
    "samples": ("growth:samples", 1),
    "columns": ("growth:columns", 2),
    "threads": ("growth:threads", 2),
    "csv": ("commands:csv", 2),
    "parquet": ("commands:parquet", 2),
    "wide": ("commands:wide_csv", 2),
    "tall": ("commands:tall_parquet", 2),
    "select": ("commands:select", 2),
    "significance": ("commands:significance", 2),
}
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")


def environment(threads: int) -> dict[str, str]:
    """Hold every pool to so many threads, and let the parts import the tests' tables."""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    return {**os.environ, **dict.fromkeys(POOLS, str(threads)), "PYTHONPATH": path}


def measure(name: str, *, quick: bool) -> None:
    """Run one part in this process."""
    module, _, function = PARTS[name][0].partition(":")
    part = getattr(import_module(module), function)(quick=quick)
    part.save(RESULTS / f"{name}.json", quick=quick)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure miscreen beside its peers.")
    parser.add_argument("--quick", action="store_true", help="smaller tables, fewer repeats")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,PART", help=", ".join(PARTS))
    parser.add_argument("--page", action="store_true", help="measure nothing, only write the page")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    if arguments.part:
        measure(arguments.part, quick=arguments.quick)
        return 0
    names = [] if arguments.page else arguments.only.split(",")
    if unknown := sorted(set(names) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    failed = []
    for name in names:
        print(f"{name}:", file=sys.stderr, flush=True)
        command = [sys.executable, str(Path(__file__)), "--part", name, *(["--quick"] if arguments.quick else [])]
        done = subprocess.run(command, env=environment(PARTS[name][1]), cwd=ROOT, check=False)
        if done.returncode:
            failed.append(name)

    if failed:
        print(f"failed, so the page stays as it is: {', '.join(failed)}", file=sys.stderr)
        return len(failed)

    from page import write_page

    write_page([RESULTS / f"{name}.json" for name in PARTS])
    return 0


if __name__ == "__main__":
    sys.exit(main())

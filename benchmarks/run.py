"""Measure miscreen beside its peers, and write `docs/benchmarks.md`.

    make bench                    everything, about 20 minutes
    make bench QUICK=1            smaller tables and fewer repeats, some minutes
    make bench ONLY=functions,csv

Each part runs in a process of its own and leaves a JSON file in `benchmarks/results`; the page is written from
whatever is there, so that a part can be run again alone. Quick results take the place of full ones until these are
checked out again.
"""

from __future__ import annotations

import sys
from importlib import import_module

from measure import RESULTS, run_parts
from page import write_page

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


def measure(name: str, quick: bool) -> None:
    """Run one part in this process."""
    module, _, function = PARTS[name][0].partition(":")
    part = getattr(import_module(module), function)(quick=quick)
    part.save(RESULTS / f"{name}.json", quick=quick)


if __name__ == "__main__":
    sys.exit(
        run_parts(
            __file__,
            "Measure miscreen beside its peers.",
            {name: threads for name, (_, threads) in PARTS.items()},
            measure,
            lambda: write_page([RESULTS / f"{name}.json" for name in PARTS]),
        )
    )

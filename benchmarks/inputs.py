"""The tables that the benchmark reads: made from a seed by `make_table.py`, once, below `benchmarks/out`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from measure import OUT, ROOT

DATA = OUT / "data"


def table(rows: int, columns: int, suffix: str, *, zeros: bool = False) -> Path:
    """A table of float32 noise with a few columns that tell about the target ``y``; text has six digits.

    With `zeros`, what would be negative is 0.
    """
    path = DATA / f"{rows}x{columns}{'-zeros' if zeros else ''}{suffix}"
    if not path.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        aside = DATA / f"unfinished-{path.name}"
        print(f"  making {path.name}", file=sys.stderr, flush=True)
        maker = [sys.executable, "benchmarks/make_table.py", aside, "--rows", rows, "--columns", columns]
        maker += ["--zeros"] if zeros else []
        subprocess.run([str(word) for word in maker], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        aside.rename(path)
    return path


def narrower(wide: Path, columns: int) -> Path:
    """The first columns of a CSV, target included, as a file of its own."""
    rows = wide.name.partition("x")[0]
    path = DATA / f"{rows}x{columns}-of-{wide.stem.partition('x')[2]}.csv"
    if not path.exists():
        aside = DATA / f"unfinished-{path.name}"
        with wide.open("rb") as source, aside.open("wb") as out:
            for line in source:
                commas = np.flatnonzero(np.frombuffer(line, dtype=np.uint8) == ord(","))
                out.write(line[: commas[columns]] + b"\n")
        aside.rename(path)
    return path

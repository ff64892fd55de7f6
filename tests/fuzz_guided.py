"""The readers fuzzed by Atheris, which keeps and mutates what reaches new code; ``make fuzz`` runs it after `fuzz`.

The first byte chooses the format and the rest is the file, held to the same references as in `fuzz`. Kernels are
machine code that Atheris does not see into; what prepares and checks their input is Python.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("Atheris is not installed here: python -m pip install atheris")

import miscreen.kernels

for module in pkgutil.iter_modules(miscreen.kernels.__path__, "miscreen.kernels."):
    importlib.import_module(module.name)  # before Atheris changes what is imported: Numba takes kernels as they are

with atheris.instrument_imports(include=["miscreen.tables"]):
    import miscreen.tables.arrow
    import miscreen.tables.delimited
    import miscreen.tables.loading
    import miscreen.tables.parquet

import fuzz  # noqa: E402

from miscreen.resources import Resources  # noqa: E402

FORMATS = "csv", "parquet", "arrow", "arrows"
SEEDS = 40  # files of each format to begin with
REFERENCES = {"parquet": fuzz.reference_parquet, "arrow": fuzz.reference_arrow, "arrows": fuzz.reference_stream}


def write_seeds(folder: Path, seed: int) -> None:
    """Files to begin with, of each format."""
    makers = {"csv": fuzz.check_text, "parquet": fuzz.check_parquet, "arrow": fuzz.check_arrow}
    with tempfile.TemporaryDirectory() as made:
        for what, make in makers.items():
            for i in range(SEEDS):
                make(random.Random(f"{what} {seed} {i}"), Path(made))
                (path,) = Path(made).glob("t.*")
                first = bytes([FORMATS.index(path.suffix[1:])])
                (folder / f"{what}-{i}").write_bytes(first + path.read_bytes())
                path.unlink()


def check(data: bytes, folder: Path) -> str:
    """One case; how it ended."""
    ending = FORMATS[data[0] % len(FORMATS)] if data else "csv"
    path, resources = folder / f"t.{ending}", Resources(1, 64 << 20, folder)
    if ending == "csv":
        return fuzz.compare_text(data[1:], ",", path, resources, damaged=True)
    return fuzz.compare_binary(data[1:], None, path, resources, REFERENCES[ending])


def fuzz_in_process(seconds: float, seed: int, folder: Path) -> None:
    """Fuzz until the time is up or a fault is found; never returns."""
    (folder / "corpus").mkdir()
    write_seeds(folder / "corpus", seed)
    options = {"max_total_time": int(seconds), "seed": seed, "timeout": 60, "rss_limit_mb": 4096, "verbosity": 0}
    options |= {"print_final_stats": 1, "artifact_prefix": Path(tempfile.gettempdir(), "miscreen-fuzz-")}
    words = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *words, str(folder / "corpus")], lambda data: check(data, folder))
    atheris.Fuzz()


def main() -> int:
    """Fuzz in a process of its own; 1 when a fault was found, whose input is kept and named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    parser.add_argument("--case", type=Path, help="run an input that was kept")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        fuzz_in_process(given.seconds, given.seed, given.worker)
    with tempfile.TemporaryDirectory() as directory:
        if given.case is not None:
            print(check(given.case.read_bytes(), Path(directory)))
            return 0
        print(f"Atheris, seed {given.seed}", flush=True)
        again = [f"--seconds={given.seconds}", f"--seed={given.seed}", f"--worker={directory}"]
        done = subprocess.run([sys.executable, __file__, *again], capture_output=True, text=True, errors="replace")
    count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode or count is None:
        print(done.stdout[-2000:] + done.stderr[-6000:])
        return 1
    print(f"Atheris, seed {given.seed}: {int(count[1]):,} cases, 0 faults")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A run that is killed, at any moment and by any signal, leaves neither output nor scratch, and ends soon."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import miscreen
from miscreen.inference.null import Null
from miscreen.pipeline import check_wanted, worker_threads

ROWS, COLUMNS = 100, 8_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "wide.csv"
    with path.open("w") as file:
        file.write(",".join(["y", *(f"x{i}" for i in range(1, COLUMNS))]) + "\n")
        for _ in range(ROWS):
            file.write(",".join(f"{v:.6f}" for v in rng.standard_normal(COLUMNS)) + "\n")
    return path


def command(table: Path, folder: Path) -> list[str]:
    arguments = ["rank", table, "--target", "y", "--memory", "4MB", "--scratch", folder / "scratch", "--method", "ksg"]
    return [sys.executable, "-m", "miscreen", *map(str, arguments), "-o", str(folder / "out" / "ranked.csv")]


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_no_trace_is_left(how: str, table: Path, tmp_path: Path) -> None:
    number = getattr(signal, how)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").mkdir()
    for _ in range(2):  # the first may have to compile; the second is timed
        for file in (tmp_path / "out").iterdir():
            file.unlink()
        began = time.monotonic()
        subprocess.run(command(table, tmp_path), check=True, capture_output=True)
    duration = time.monotonic() - began
    whole = (tmp_path / "out" / "ranked.csv").read_bytes()
    rng = np.random.default_rng(number)
    killed = 0
    for share in np.linspace(0.2, 0.95, 5) + rng.uniform(-0.1, 0.1, 5):
        for file in (tmp_path / "out").iterdir():
            file.unlink()
        with subprocess.Popen(command(table, tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            time.sleep(share * duration)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        left = sorted(p.name for p in (tmp_path / "out").iterdir())
        assert list((tmp_path / "scratch").iterdir()) == []
        assert output == b""
        assert b"Traceback" not in errors
        killed += process.returncode != 0
        if process.returncode == 0 or len(left) == 2:  # also when the signal came after all was written
            assert left == ["ranked.csv", "ranked.csv.meta.json"]
            assert (tmp_path / "out" / "ranked.csv").read_bytes() == whole
            continue
        # Between the renames of the two files the first may be there, whole; never the ranking without it.
        assert left in ([], ["ranked.csv.meta.json"])
        if number != signal.SIGKILL and process.returncode > 0:
            assert process.returncode == 128 + number
            assert errors.startswith(b"error: "), errors
    assert killed >= 2


def test_a_full_scratch_directory_is_told(table: Path, tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    scratch = tmp_path / "scratch"
    scratch.symlink_to(small_disk("1m"))
    (tmp_path / "out").mkdir()
    done = subprocess.run(command(table, tmp_path), capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: " in done.stderr and str(scratch) in done.stderr and "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert [*scratch.iterdir(), *(tmp_path / "out").iterdir()] == []


def test_threads_end_what_nobody_waits_for() -> None:
    begun = threading.Semaphore(0)

    def work() -> None:
        begun.release()
        while True:
            check_wanted()

    with pytest.raises(KeyboardInterrupt), worker_threads(2) as pool:
        for _ in range(2):
            pool.submit(work)
        for _ in range(2):
            begun.acquire()
        raise KeyboardInterrupt


def test_an_interrupted_call_ends_between_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted, further = threading.Event(), []

    def slowly(null: Null, observed: Any, pool: Any = None) -> Any:
        if interrupted.is_set():
            further.append(observed)
            time.sleep(0.001)
        return np.ones(len(observed)), np.full(len(observed), "", dtype=object)

    def interrupt(*news: Any) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(Null, "p_values", slowly)
    table = np.random.default_rng(0).poisson(1.0, (50, 8_001)).astype(np.float64)
    names = [f"x{i}" for i in range(8_000)]
    with pytest.raises(KeyboardInterrupt):
        miscreen.rank(table, "y", "pearson", names=[*names, "y"], p_values=True, threads=2, on_progress=interrupt)
    assert len(further) < 300  # of a block of 500

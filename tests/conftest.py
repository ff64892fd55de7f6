"""What several test files share."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from miscreen.estimators import ESTIMATORS
from miscreen.estimators.estimator import Estimator
from miscreen.model import Batch, Scores, Target
from miscreen.resources import Resources
from miscreen.tables import indexed, parquet

collect_ignore = ["fuzz_guided.py"]  # a program that needs Atheris, which seldom installs


class Correlation(Estimator):
    """An estimator of three lines, so that the pipeline can be tested apart from the real ones."""

    def __init__(self, target: Target, options: Any) -> None:
        self.y = target.values

    def score(self, batch: Batch) -> Scores:
        found = []
        for x in batch.values:
            here = ~np.isnan(x)
            found.append(abs(np.corrcoef(x[here], self.y[here])[0, 1]))
        return Scores(np.array(found), [f"{batch.kind.label}{'!' if n else ''}" for n in batch.nominal])


@pytest.fixture(autouse=True, scope="session")
def ways_of_large_tables() -> Iterator[None]:
    """Tables of tests are small, and are to take the way of large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "FEW_VALUES", 0)
        patch.setattr(indexed, "LEAST_BYTES", 0)
        patch.setattr(indexed, "LEAST_ROW_BYTES", 0)
        yield


@pytest.fixture
def correlation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS, "correlation", f"{__name__}:Correlation")


@pytest.fixture
def resources(tmp_path: Any) -> Resources:
    return Resources(threads=2, memory_bytes=64 << 20, scratch_dir=tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file system of a size, such as ``64k``."""
    disk = tmp_path / "disk"

    def mounted(size: str) -> Path:
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk]
        made = subprocess.run(mount, capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"a small file system needs root: {made.stderr.strip()}")
        return disk

    yield mounted
    if disk.is_mount():
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def typed_table() -> pa.Table:
    """Every type a column can have, with nulls, and 12 rows."""
    n = 12
    rng = np.random.default_rng(0)
    numbers = rng.integers(-90, 90, n)
    missing = np.arange(n) % 5 == 3
    days = [dt.date(1969, 12, 30) + dt.timedelta(days=int(abs(i))) for i in numbers]
    moments = [dt.datetime(2001, 2, 3, 4, 5, 6, 789_000) + dt.timedelta(seconds=int(i)) for i in numbers]
    labels = ["red", "green", "red", "", "blue", 'say "hi"', "a,b", "green", "line\nend", "é", "red", "blue"]

    def column(values: Any, arrow_type: pa.DataType | None = None) -> pa.Array:
        return pa.array([None if m else v for v, m in zip(values, missing, strict=True)], type=arrow_type)

    columns: dict[str, pa.Array] = {f"{t}": column(numbers.tolist(), t) for t in (pa.int8(), pa.int16(), pa.int32())}
    columns["int64"] = column((numbers * 10**11).tolist(), pa.int64())
    columns["uint16"] = column(np.abs(numbers).tolist(), pa.uint16())
    columns["float16"] = column(np.float16(rng.standard_normal(n)).tolist(), pa.float16())
    columns["float32"] = column(np.float32(rng.standard_normal(n)).tolist(), pa.float32())
    columns["float64"] = column([1e300, -0.0, float("inf"), float("nan"), *rng.standard_normal(n - 4)], pa.float64())
    columns["complete"] = pa.array(rng.standard_normal(n))
    columns["decimal"] = column([Decimal(int(i)) / 4 for i in numbers], pa.decimal128(12, 3))
    columns["bool"] = column((numbers > 0).tolist())
    columns["string"] = column(labels)
    columns["large_string"] = column(labels, pa.large_string())
    columns["category"] = column(labels).dictionary_encode()
    columns["date32"] = column(days)
    columns["date64"] = column(days, pa.date64())
    columns["timestamp_ms"] = column(moments, pa.timestamp("ms"))
    columns["timestamp_us"] = column(moments, pa.timestamp("us", tz="UTC"))
    columns["timestamp_ns"] = column(moments, pa.timestamp("ns"))
    columns["time32"] = column([m.time().replace(microsecond=0) for m in moments], pa.time32("s"))
    columns["time64"] = column([m.time() for m in moments], pa.time64("us"))
    columns["duration"] = column([dt.timedelta(seconds=int(i)) for i in numbers], pa.duration("us"))
    columns["null"] = pa.nulls(n)
    columns["list"] = column([[1, 2]] * n)
    columns["binary"] = column([b"x"] * n)
    columns["struct.with.dots"] = column([{"a": 1, "b": 2}] * n)
    columns["after the struct"] = pa.array(np.arange(n) * 1.5)
    return pa.table(columns)

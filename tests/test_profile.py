"""The profile of a run: it wraps functions of the pipeline by name, and must hear of it when one moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_every_stage_of_a_run_is_seen(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{suffix}"
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.normal(size=300) for name in ["y", *(f"x{i}" for i in range(400))]})
    {".csv": csv.write_csv, ".parquet": parquet.write_table, ".arrow": feather.write_feather}[suffix](table, path)
    command = [sys.executable, "benchmarks/profile_run.py", path, "scale=raw", "grid=32", "--target", "y"]
    command += ["--method", "kde", "--threads", "1", "--json"]
    seconds = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    del seconds["wall"]
    stages = {"start", "load", "read", "convert", "survey", "sort", "estimate", "rank", "write"}
    assert {stage for stage, took in seconds.items() if took > 0.0} == stages

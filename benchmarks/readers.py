"""What commands are held against, each in a process of its own: peers that read a file, and bare computing.

python benchmarks/readers.py arrow-csv FILE
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

THREADS = 2
ARROW_BLOCK_BYTES = 512 << 20  # the fastest of those tried from 1 MB up: a wide row makes small blocks very slow


def arrow_csv(path: str) -> None:
    """pyarrow parses a CSV of numbers with the types given."""
    import pyarrow as pa
    from pyarrow import csv

    pa.set_cpu_count(THREADS)
    csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=True, block_size=block_bytes(path)),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(header(path), pa.float64())),
    )


def polars_csv(path: str) -> None:
    """Polars parses a CSV of numbers with the types given."""
    import polars as pl

    pl.read_csv(path, schema=dict.fromkeys(header(path), pl.Float64))


def polars_parquet(path: str) -> None:
    """Polars reads a whole Parquet file."""
    import polars as pl

    pl.read_parquet(path)


def compute(path: str, method: str) -> None:
    """Score the columns of an Arrow file that is in memory with the estimator alone; prints the seconds."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import pyarrow as pa

    from miscreen.estimators import estimator_class
    from miscreen.model import Batch, Kind, Target
    from miscreen.pipeline import SLICE_BYTES

    with pa.ipc.open_file(path) as file:
        batch = file.get_batch(0)
        values = np.stack([column.to_numpy() for column in batch.columns])
    y = values[0].astype(np.float64)
    target = Target("y", y, Kind.CONTINUOUS, False, np.arange(len(y)))
    cls = estimator_class(method)
    estimator = cls(target, cls.make_options({}))
    step = max(1, SLICE_BYTES // (8 * len(y)))

    def score(start: int) -> None:
        part = values[start : start + step].astype(np.float64)
        estimator.score(Batch(part, Kind.CONTINUOUS, np.zeros(len(part), dtype=bool)))

    score(1)  # loads the kernels
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(score, range(1, len(values), step)))
    print(time.perf_counter() - began)


def header(path: str) -> list[str]:
    """Names of the columns of a CSV without quotes."""
    with Path(path).open() as file:
        return file.readline().rstrip("\n").split(",")


def block_bytes(path: str) -> int:
    """Text that pyarrow takes at a time; a row must fit into it."""
    with Path(path).open("rb") as file:
        file.readline()
        return max(ARROW_BLOCK_BYTES, 2 * len(file.readline()))


READERS: dict[str, Any] = {
    "arrow-csv": arrow_csv,
    "polars-csv": polars_csv,
    "polars-parquet": polars_parquet,
    "compute": compute,
}

if __name__ == "__main__":
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    READERS[sys.argv[1]](*sys.argv[2:])

"""How cost grows: with the samples, with the columns, and what a second thread saves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import functions
import numpy as np
import peers
import pyarrow as pa
from inputs import table
from measure import Part, Row, compared, enough, number, seconds

import miscreen

METHODS: dict[str, dict[str, Any]] = {
    "bin, 16 x 16": {"method": "bin", "bins": 16, "binning": "width", "correction": "none"},
    "bin": {"method": "bin"},
    "kde": {"method": "kde"},
    "kde, raw scale": {"method": "kde", "scale": "raw"},
    "ksg": {"method": "ksg"},
    "pearson": {"method": "pearson"},
    "spearman": {"method": "spearman"},
    "copula": {"method": "copula"},
}
PEERS = {
    "fastHDMI: KDE": peers.fasthdmi_kde(300),
    "fastHDMI: binning": peers.fasthdmi_binning,
    "scikit-learn: nearest neighbours": peers.sklearn_regression,
    "ennemi: nearest neighbours": peers.ennemi_mi(classes=False),
    "scikit-learn: f_regression": peers.sklearn_pearson,
}
MACHINE: dict[str, tuple[Callable[[np.ndarray], object], int]] = {  # NumPy, without the interpreter's lock
    "the machine: sums": (lambda block: block.sum(axis=1), 256),
    "the machine: exponentials": (np.exp, 16),
}
PATIENCE = 5.0  # seconds that a peer may take for one point of the plot against columns


def samples(*, quick: bool) -> Part:
    """Seconds a column against the number of samples, on one thread."""
    part = Part(
        "Growth with the samples",
        "One thread, one process. From 1,000 samples to the largest number measured, what the time of a column grew "
        "by, over what n log n grows by: 1 is n log n, less is slower growth. Up to 1.5 counts as n log n, since long "
        "columns outgrow the fast caches.",
    )
    sizes = (500, 1000, 3000, 10_000) if quick else (500, 1000, 3000, 10_000, 30_000, 100_000)
    at_least, repeats = (0.03, 1) if quick else (0.15, 3)
    sides = {name: (peers.estimate(**options), True) for name, options in METHODS.items()}
    sides |= {name: (function, False) for name, function in PEERS.items()}
    for name, (function, ours) in sides.items():
        found = {}
        for n_samples in sizes:
            features, target = functions.columns(n_samples, functions.BUFFER_VALUES // 4)
            side = functions.first(function, features, target)
            count = enough(side, len(features), at_least)
            found[n_samples] = statistics.median(seconds(side, count) / count for _ in range(repeats))
        part.curves.append({"name": name, "ours": ours, "x": list(found), "seconds": list(found.values())})
        low, high = 1000, sizes[-1]
        grown = found[high] / found[low] / (high * math.log(high) / (low * math.log(low)))
        part.add(
            Row(
                name,
                f"n log n, {low:,} to {high:,} samples",
                grown,
                reach=1.5 if ours else None,
                sense="most",
                ours=found[low],
                theirs=found[high],
                per="column, at the fewest and the most samples",
            )
        )
    return part


def wide_array(n_samples: int, n_columns: int) -> np.ndarray:
    """Normal noise, float32, each column contiguous; column 0 is the target and some others depend on it."""
    values = np.random.default_rng(3).standard_normal((n_columns, n_samples), dtype=np.float32)
    values[1::1000] += values[0]
    return values.T


def columns(*, quick: bool) -> Part:
    """Seconds a column against the number of columns: the whole library call on an array."""
    part = Part(
        "Growth with the columns",
        "`miscreen.rank` on a float32 array of 300 rows, two threads, everything included. The ratio is the time of a "
        "column at the most columns over that at 10,000: 1 is flat, and up to 1.15 counts as flat. In the plot, peers "
        "are called as functions on float64, from one thread, as far as they get in some seconds.",
    )
    sizes = (10_000, 30_000, 100_000) if quick else (10_000, 30_000, 100_000, 300_000, 1_000_000)
    values = wide_array(300, sizes[-1] + 1)
    names = [f"x{number}" for number in range(values.shape[1])]
    for name, options in METHODS.items():
        found = {}
        for n_columns in sizes:

            def call(n_columns: int = n_columns, options: dict[str, Any] = options) -> None:
                chosen = slice(n_columns + 1)
                miscreen.rank(values[:, chosen], target="x0", names=names[chosen], threads=2, **options)

            if not found:
                call()  # loads the kernels
            repeats = 3 if n_columns < 300_000 else 1
            found[n_columns] = statistics.median(seconds(call) for _ in range(repeats)) / n_columns
        part.curves.append({"name": name, "ours": True, "x": list(found), "seconds": list(found.values())})
        low, high = sizes[0], sizes[-1]
        part.add(
            Row(
                name,
                f"flat, {low:,} to {high:,} columns",
                found[high] / found[low],
                reach=1.15,
                sense="most",
                ours=found[low],
                theirs=found[high],
                per="column, at the fewest and the most columns",
            )
        )
    features = values.T[1:100_001].astype(np.float64)
    target = values[:, 0].astype(np.float64)
    for name, function in PEERS.items():
        side = functions.first(function, features, target)
        side(2)  # loads what is loaded once
        found = {}
        for n_columns in (100, 1000, 10_000, 100_000):
            found[n_columns] = seconds(side, n_columns) / n_columns
            if 10 * n_columns * found[n_columns] > PATIENCE:
                break
        part.curves.append({"name": name, "ours": False, "x": list(found), "seconds": list(found.values())})
    return part


def threads(*, quick: bool) -> Part:
    """The whole library call with two threads and with one."""
    n_rows, n_columns = (1050, 15_000) if quick else (1050, 150_000)
    part = Part(
        "Two threads",
        "`miscreen.rank` on an Arrow table in memory, 1,000 rows of float32, then from files of "
        f"{n_rows:,} x {n_columns:,} (read before, so that they come from the system's cache), everything from opening "
        "to the ranking included; two threads beside one, turn by turn. The first rows are what the machine allows: "
        "NumPy adding up the same columns, which come from memory, and their exponentials, made in the near caches.",
    )
    values = wide_array(1000, 20_000 if quick else 100_000)
    names = [f"x{number}" for number in range(values.shape[1])]
    whole = pa.table(list(values.T), names=names)
    repeats = 2 if quick else 5
    for name, (work, width) in MACHINE.items():
        part.add(_machine(name, [values.T[i : i + width] for i in range(0, values.shape[1], width)], work, repeats))
    for name, options in METHODS.items():
        some = whole.select(range(whole.num_columns // (20 if options["method"] == "ksg" else 1)))
        part.add(_two_threads(name, f"one thread, {some.num_columns:,} columns", some, "x0", repeats, options))
    for suffix in (".csv", ".parquet"):
        path = table(n_rows, n_columns, suffix)
        for name in ("kde", "bin", "copula", "pearson"):
            part.add(_two_threads(f"{name}, {path.name}", "one thread", path, "y", repeats, METHODS[name]))
    return part


def _machine(name: str, blocks: list[np.ndarray], work: Callable[[np.ndarray], object], repeats: int) -> Row:
    """What a second thread saves of work in which nothing is to be opened, dealt out or put together."""

    def each(some: list[np.ndarray]) -> None:
        for block in some:
            work(block)

    n_columns = sum(map(len, blocks))
    times: list[list[float]] = [[], []]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(repeats):
            for count, found in zip((2, 1), times, strict=True):
                shares = [blocks[i::count] for i in range(count)]
                found.append(seconds(lambda shares=shares: [*pool.map(each, shares)]) / n_columns)
    return compared(name, "one thread", *times, rival=False)


def _two_threads(
    what: str, against: str, source: Path | pa.Table, target: str, repeats: int, options: dict[str, Any]
) -> Row:
    times: list[list[float]] = [[], []]
    n_features = miscreen.rank(source, target=target, threads=2, **options).to_arrow().num_rows
    for _ in range(repeats):
        for count, found in zip((2, 1), times, strict=True):
            call = partial(miscreen.rank, source, target=target, threads=count, **options)
            found.append(seconds(call) / n_features)
    row = compared(what, against, *times, reach=1.8, rival=False)
    row.where = f"{number(serial(row))} us a column are not shared by the threads, if the rest is shared evenly"
    return row


def serial(row: Row) -> float:
    """Microseconds a column that a second thread does not share, by Amdahl's law."""
    return 1e6 * max(0.0, 2 * row.ours - row.theirs)

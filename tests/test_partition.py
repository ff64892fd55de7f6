"""A ranking is the same bytes however its features were divided, and a partition survives its travels."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest

from miscreen.partition import Partition, _with_lengths, rank_partitions
from miscreen.ranking import text_column
from miscreen.request import Request
from miscreen.screening import Screen, screen

pytestmark = pytest.mark.usefixtures("correlation")


def table() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    columns = {f"x{i}": rng.normal(size=60).round(i % 3) for i in range(23)}
    columns["flat"] = np.ones(60)
    columns["gaps"] = np.where(rng.random(60) < 0.3, np.nan, rng.normal(size=60))
    columns["far"] = np.where(rng.random(60) < 0.1, np.inf, rng.normal(size=60))
    return pl.DataFrame(columns | {"y": rng.normal(size=60), "z": rng.normal(size=60)})


def packed(ranking: object) -> bytes:
    stream = io.BytesIO()
    ranking.write_to(stream, "parquet")  # type: ignore[attr-defined]
    return stream.getvalue()


@pytest.mark.parametrize("targets", [["y"], ["y", "z"]])
@pytest.mark.parametrize("size", [1, 7, 26])
def test_the_division_does_not_show(targets: list[str], size: int) -> None:
    request = Request.make(targets, "correlation")
    with request.open(table()) as source:
        whole = packed(screen(source, request))
        job = Screen(source, request)
        ranges = [range(i, min(i + size, job.n_features)) for i in range(0, job.n_features, size)]
        parts = [Partition.from_arrow(job.score_partition(r).to_arrow()) for r in reversed(ranges)]
        assert packed(rank_partitions(parts, job.metadata)) == whole


def test_every_sort_of_column_travels() -> None:
    request = Request.make("y", "correlation")
    with request.open(table()) as source:
        part = Screen(source, request).score_partition(range(3, 6))
    part.findings[0].extras["word"] = np.array(["a", "", "é"], dtype=object)
    part.findings[0].extras["number"] = np.array([1.5, np.nan, -0.0])
    part.findings[0].extras["mark"] = np.array([True, False, True])
    part.notes["largest"] = [1.0, 2.0]
    back = Partition.from_arrow(part.to_arrow())
    assert (back.first, list(back.names), back.notes) == (3, list(part.names), part.notes)
    for name, values in part.findings[0].arrays().items():
        found = back.findings[0].arrays()[name]
        assert found.dtype == values.dtype
        assert found.tolist() == values.tolist() or np.array_equal(found, values, equal_nan=True), name


@pytest.mark.parametrize("names", [["a", "bc", "x" * 70_000], ["é", "", "字" * 300, "a"]])
def test_fingerprints_hold_names_behind_their_lengths(names: list[str]) -> None:
    encoded = [name.encode() for name in names]
    expected = b"".join(len(name).to_bytes(4, "little") + name for name in encoded)
    assert _with_lengths(text_column(names)).tobytes() == expected

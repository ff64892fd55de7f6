"""Subsets, conversions and descriptions of tables."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import miscreen
from miscreen import description, request
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.estimators import ESTIMATORS
from miscreen.resources import Resources
from miscreen.tables import open_table
from miscreen.tables.wide import assemble

METHOD = "correlation"  # the stand-in of conftest.py
pytestmark = pytest.mark.usefixtures("correlation")


def frame(n: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    y = rng.standard_normal(n)
    z = rng.standard_normal(n)
    mixed = {f"y{i}": y + i * rng.standard_normal(n) for i in range(1, 6)}
    mixed |= {f"z{i}": z + i * rng.standard_normal(n) for i in range(1, 6)}
    return pl.DataFrame({"id": [f"s{i}" for i in range(n)], **mixed, "y": y, "z": z, "constant": np.zeros(n)})


class TestSelect:
    def test_the_best_columns_in_order(self, tmp_path: Path) -> None:
        table = frame()
        ranking = miscreen.rank(table, "y", METHOD, exclude=["z*"])
        chosen = miscreen.select(table, "y", method=METHOD, exclude=["z*"], top=3, keep=["y", "id"])
        assert chosen.names == ranking.names[:3]
        assert chosen.ranking.to_arrow().equals(ranking.to_arrow())
        assert chosen.to_polars().equals(table.select("id", "y", *chosen.names))
        chosen.write(tmp_path / "c.parquet")
        assert pl.read_parquet(tmp_path / "c.parquet").equals(chosen.to_polars())
        stream = io.BytesIO()
        chosen.write_to(stream)
        assert pl.read_csv(stream.getvalue()).columns == ["id", "y", *chosen.names]

    def test_by_threshold_and_by_an_earlier_ranking(self, tmp_path: Path) -> None:
        table = frame()
        miscreen.rank(table, "y", METHOD).write(tmp_path / "r.csv")
        scores = pl.read_csv(tmp_path / "r.csv")
        expected = scores.filter(pl.col("mi_nats") >= 0.3)["feature"].to_list()
        assert 2 < len(expected) < 9
        for ranking in (tmp_path / "r.csv", str(tmp_path / "r.csv"), miscreen.Ranking.read(tmp_path / "r.csv")):
            assert miscreen.select(table, ranking=ranking, min_mi=0.3).names == expected
            assert miscreen.select(table, ranking=ranking, min_mi=0.3, top=2).names == expected[:2]

    def test_several_targets_are_united(self) -> None:
        table = frame()
        both = miscreen.rank(table, ["y", "z"], METHOD)
        chosen = miscreen.select(table, ranking=both, top=2).names
        assert chosen == [*both.for_target("y").names[:2], *both.for_target("z").names[:2]]
        assert miscreen.select(table, ["y", "z"], method=METHOD, top=2).names == chosen
        assert miscreen.select(table, "z", ranking=both, top=2).names == both.for_target("z").names[:2]

    def test_features_without_a_score_are_never_chosen(self) -> None:
        chosen = miscreen.select(frame(), "y", method=METHOD, top=1000)
        assert len(chosen.names) == 11
        assert not {"constant", "id"} & set(chosen.names)

    def test_a_file_is_read_once_and_within_memory(self, tmp_path: Path) -> None:
        frame().write_csv(tmp_path / "t.csv")
        whole = miscreen.select(frame(), "y", method=METHOD, top=8, keep=["id"]).to_arrow()
        small = miscreen.select(tmp_path / "t.csv", "y", method=METHOD, top=8, keep=["id"], memory="40KB")
        assert small.to_arrow().to_pydict() == whole.to_pydict()

    def test_what_it_is_in_a_line(self) -> None:
        chosen = miscreen.select(frame(), "y", method=METHOD, top=4, keep=["id", "y"])
        first = ", ".join(chosen.names[:3])
        assert repr(chosen) == f"<Selection of 4 columns of {len(chosen):,} rows: {first}, ...>"
        assert repr(chosen.steps) == f"<Steps of 4 rows: {first}, ...>"

    def test_bad_requests(self, tmp_path: Path) -> None:
        table = frame()
        with pytest.raises(InputError, match="how many features"):
            miscreen.select(table, "y")
        with pytest.raises(InputError, match="top must be a whole number of at least 1"):
            miscreen.select(table, "y", top=0)
        with pytest.raises(InputError, match="neither a target nor a ranking"):
            miscreen.select(table, top=1)
        with pytest.raises(InputError, match="no column 'w' for keep"):
            miscreen.select(table, "y", method=METHOD, top=1, keep=["w"])
        with pytest.raises(DataError, match=r"no feature passes min_mi=7"):
            miscreen.select(table, "y", method=METHOD, min_mi=7)
        ranking = miscreen.rank(table, "y", METHOD)
        with pytest.raises(InputError, match="would have no effect"):
            miscreen.select(table, ranking=ranking, top=1, k=3)
        with pytest.raises(InputError, match="would have no effect"):
            miscreen.select(table, ranking=ranking, top=1, unit="bits")
        with pytest.raises(DataError, match="1 of the 3 chosen features are not in the table: 'y1'"):
            miscreen.select(table.drop("y1"), ranking=ranking, top=3)


class TestConvert:
    def test_every_type_survives(self, typed_table: pa.Table, tmp_path: Path) -> None:
        plain = typed_table.drop_columns(["float64", "category"])  # NaN equals nothing; dictionaries are rewritten
        pq.write_table(plain, tmp_path / "a.parquet", row_group_size=5)
        expected = pq.read_table(tmp_path / "a.parquet").to_pydict()
        miscreen.convert(tmp_path / "a.parquet", tmp_path / "b.arrow")
        miscreen.convert(tmp_path / "b.arrow", tmp_path / "c.out", format="parquet", memory="50KB")
        assert pq.read_table(tmp_path / "c.out").to_pydict() == expected

    def test_text_to_every_format_and_back(self, tmp_path: Path) -> None:
        frame().write_csv(tmp_path / "a.csv")
        for suffix in ("parquet", "arrow", "tsv", "csv"):
            miscreen.convert(tmp_path / "a.csv", tmp_path / f"b.{suffix}", memory="1MB")
            with open_table(tmp_path / f"b.{suffix}", resources=Resources.detect(1, "1GB")) as table:
                assert pl.from_arrow(table.table(np.arange(len(table.names)))).equals(frame()), suffix
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.arrow", "b.csv", "b.parquet", "b.tsv"]
        with pytest.raises(InputError, match="exists already"):
            miscreen.convert(tmp_path / "a.csv", tmp_path / "b.arrow")


def test_assembling_through_scratch_changes_nothing(typed_table: pa.Table, tmp_path: Path) -> None:
    columns = np.arange(typed_table.num_columns)[::-1].copy()
    with open_table(typed_table, resources=Resources(1, 1 << 30, tmp_path)) as source:
        mapped = assemble(source, columns, Resources(1, 4 * 12 * 8 * 5, tmp_path))
        assert str(mapped.table.to_pydict()) == str(source.table(columns).to_pydict())
        assert mapped.table.column_names == source.table(columns).column_names
        mapped.on_bytes(1 << 30)  # gives the pages back; they are read again
        assert mapped.table.column("complete").equals(typed_table.column("complete"))
        with pytest.raises(ResourceError, match="one column of 12 rows"):
            assemble(source, columns, Resources(1, 100, tmp_path))
    assert list(tmp_path.iterdir()) == []


class TestDescribe:
    def test_counts(self) -> None:
        table = frame().with_columns(
            holes=pl.when(pl.int_range(pl.len()) > 30).then(1.5 * pl.int_range(pl.len())),
            endless=pl.when(pl.int_range(pl.len()) > 3).then("y").otherwise(float("inf")),
            sex=pl.when(pl.col("y") > 0).then(pl.lit("f")).otherwise(pl.lit("m")),
            visits=pl.int_range(pl.len()) % 3,
        )
        found = miscreen.describe(table)
        assert (found.n_samples, found.n_columns) == (40, 18)
        assert found.types == {"float": 15, "integer": 1, "text": 2}
        assert found.kinds == {"continuous": 15, "discrete": 3}
        assert (found.n_missing, found.n_columns_missing, found.n_columns_infinite) == (31 + 4, 2, 1)
        assert found.n_constant == 1
        assert set(found.costs) == set(ESTIMATORS)
        assert all(0 < seconds < 60 for seconds in found.costs.values())
        assert found.to_dict()["kinds"] == found.kinds

    def test_nothing_to_try(self) -> None:
        assert miscreen.describe(frame().select("id")).costs == {}
        assert set(miscreen.describe(frame(), "y2").costs) == set(ESTIMATORS)
        with pytest.raises(InputError, match="no column 'w'"):
            miscreen.describe(frame(), target="w")

    def test_parsing_is_part_of_reading(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        frame().write_csv(path)
        now = 0.0

        def parse(*args: Any, **keywords: Any) -> Any:
            nonlocal now
            now += 5.0
            return open_table(*args, **keywords)

        monkeypatch.setattr(description, "time", SimpleNamespace(perf_counter=lambda: now))
        monkeypatch.setattr(request, "open_table", parse)
        assert miscreen.describe(path).read_seconds == 5.0

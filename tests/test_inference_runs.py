"""Chance in whole runs: the same however the work is cut, results that survive files, choices by q-value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import naive
import numpy as np
import polars as pl
import pytest
from scipy import stats

import miscreen
from miscreen.cli import main
from miscreen.errors import DataError, InputError
from miscreen.partition import Partition, rank_partitions
from miscreen.request import Request
from miscreen.screening import Screen

N = 80


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Columns of every kind, some of which depend on y and on its sign."""
    rng = np.random.default_rng(11)
    y = rng.standard_normal(N)
    data: dict[str, Any] = {"y": y, "sign": np.where(y > 0, "up", "down"), "site": np.arange(N) % 3}
    for i in range(4):
        signal = y * (0.0, 0.0, 0.5, 1.0)[i]
        values = rng.standard_normal(N) + signal
        data[f"plain {i}"] = values
        data[f"zeros {i}"] = np.maximum(values, 0)
        data[f"gaps {i}"] = pl.Series([None if i % 9 == 4 else float(v) for i, v in enumerate(values)])
        data[f"levels {i}"] = (np.digitize(values, (-0.5, 0.5))).astype(np.int64)
        data[f"words {i}"] = np.array(["a", "b", "c"])[np.digitize(values, (-0.5, 0.5))]
    data["constant"] = np.ones(N)
    return pl.DataFrame(data)


ASKED: list[dict[str, Any]] = [
    {"fdr": 0.1, "max_t": 20, "method": "copula", "extra": ("linfoot", "normalized")},
    {"p_values": True, "strata": "site", "method": "spearman", "fdr_method": "by", "seed": 3},
]


@pytest.mark.parametrize("asked", ASKED)
def test_the_same_bytes_however_the_work_is_cut(asked: dict[str, Any], frame: pl.DataFrame, tmp_path: Path) -> None:
    whole = miscreen.rank(frame, ["y", "sign"], threads=1, **asked)
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=30)
    frame.write_csv(tmp_path / "t.csv")
    for source in (tmp_path / "t.parquet", tmp_path / "t.csv"):
        assert miscreen.rank(source, ["y", "sign"], threads=3, **asked).to_arrow().equals(whole.to_arrow())
    request = Request.make(["y", "sign"], threads=2, **asked)
    with request.open(frame) as table:
        job = Screen(table, request)
        parts = [job.score_partition(range(i, min(i + 8, job.n_features))) for i in range(0, job.n_features, 8)]
        travelled = [Partition.from_arrow(part.to_arrow()) for part in reversed(parts)]
        assert rank_partitions(travelled, job.metadata).to_arrow().equals(whole.to_arrow())


def test_columns_of_the_result(frame: pl.DataFrame, tmp_path: Path) -> None:
    ranking = miscreen.rank(frame, "sign", fdr=0.1, max_t=30, extra=["normalized", "linfoot"], method="bin")
    found = ranking.to_polars()
    assert found.columns[-7:] == ["normalized", "linfoot", "p_value", "q_value", "selected", "p_method", "p_fwer"]
    scored = found.filter(status="ok")
    q = stats.false_discovery_control(scored["p_value"].to_numpy())
    assert scored["q_value"].to_numpy() == pytest.approx(q, rel=1e-12)
    assert scored["selected"].to_list() == (q <= 0.1).tolist()
    assert scored["linfoot"].to_numpy() == pytest.approx(
        np.sqrt(1 - np.exp(-2 * np.maximum(scored["mi_nats"].to_numpy(), 0)))
    )
    assert scored["n"].min() < N
    for name, n, mi, share in scored.select("feature", "n", "mi_nats", "normalized").iter_rows():
        beside = [sign for value, sign in frame.select(name, "sign").iter_rows() if value is not None]
        assert (len(beside), share) == (n, pytest.approx(mi / naive.unbiased_mi(beside, beside)))
    ways = {"permutation", "splitting", "exponential tail", "remote values", "chi-square", "exact"}
    assert set(scored["p_method"]) <= ways
    assert scored["p_fwer"].to_numpy() == pytest.approx(np.round(scored["p_fwer"].to_numpy() * 31) / 31)
    assert np.all(np.diff(scored["p_fwer"].to_numpy()) >= 0), "single-step max T follows the scores"
    last = found.row(-1, named=True)
    assert (last["feature"], last["p_value"], last["q_value"], last["selected"]) == ("constant", None, None, False)
    assert ranking.metadata["fdr"] == 0.1
    assert ranking.metadata["p_values"] is True
    for format in ("csv", "tsv", "parquet", "arrow", "json", "ndjson"):
        ranking.write(tmp_path / f"r.{format}")
        assert miscreen.Ranking.read(tmp_path / f"r.{format}").to_arrow().equals(ranking.to_arrow()), format


def test_a_copy_of_the_target_tells_all_of_it() -> None:
    classes = np.arange(60) % 15
    frame = pl.DataFrame({"x": classes, "y": classes})
    found = miscreen.rank(frame, "y", "bin", extra=["normalized"])
    assert found.to_polars()["normalized"].to_list() == [pytest.approx(1)]


def test_other_measures(frame: pl.DataFrame) -> None:
    own = miscreen.rank(frame, "y", "pearson", extra=["linfoot"]).to_polars()
    assert own.columns.count("linfoot") == 1
    several = miscreen.rank(frame, ["y", "sign"], "bin", extra=["normalized"], unit="bits").to_polars()
    assert several.filter(target="y")["normalized"].null_count() == len(frame.columns) - 2
    in_nats = miscreen.rank(frame, "sign", "bin", extra=["normalized"]).to_polars().sort("feature")
    in_bits = several.filter(target="sign").filter(pl.col("feature").is_in(in_nats["feature"].to_list()))
    kept = in_nats.filter(pl.col("feature").is_in(in_bits["feature"].to_list()))
    assert in_bits.sort("feature")["normalized"].equals(kept["normalized"])
    with pytest.raises(DataError, match="no target is discrete"):
        miscreen.rank(frame, "y", extra=["normalized"])
    with pytest.raises(InputError, match="no extra column 'r2'"):
        miscreen.rank(frame, "y", extra=["r2"])


def test_strata_are_no_feature_and_must_be_known(frame: pl.DataFrame) -> None:
    assert "site" not in miscreen.rank(frame, "y", "bin", strata="site", p_values=True, exclude=["site", "z*"]).names
    holes = frame.with_columns(site=pl.when(pl.int_range(N) == 5).then(None).otherwise(pl.col("site")))
    with pytest.raises(DataError, match="strata 'site' are missing in 1 rows that have the target 'y'"):
        miscreen.rank(holes, "y", strata="site", p_values=True)
    there = holes.with_columns(y=pl.when(pl.int_range(N) == 5).then(None).otherwise(pl.col("y")))
    assert miscreen.rank(there, "y", strata="site", p_values=True, features=["plain 0"]).to_polars()["n"][0] == N - 1
    with pytest.raises(DataError, match="80 levels in 80 rows: too many"):
        miscreen.rank(frame, "sign", strata="y", p_values=True)
    for fixed in (frame.with_columns(y=pl.col("site") * 0.5), frame.with_columns(y=pl.col("site") // 2)):
        with pytest.raises(DataError, match="target 'y' has a single value in each of the 3 strata 'site'"):
            miscreen.rank(fixed, "y", strata="site", p_values=True)
    few = frame.with_columns(y=pl.col("site") + (pl.int_range(N) == 7))  # varies in one of them
    assert miscreen.rank(few, "y", "bin", strata="site", p_values=True, features=["plain 0"]).names == ["plain 0"]
    with pytest.raises(
        DataError, match=r"strata 'site' are numbers that doubles do not hold, such as integers of 2\^53"
    ):
        rounded = frame.with_columns(site=2.0**53 + pl.int_range(N) % 2)
        miscreen.rank(rounded, "y", strata="site", p_values=True)
    with pytest.raises(InputError, match="no column 'scanner' for the strata"):
        miscreen.rank(frame, "y", strata="scanner", p_values=True)


def test_strata_take_out_what_differs_among_groups() -> None:
    """Two sites of different means: without strata every feature is a discovery, within them none is."""
    rng = np.random.default_rng(5)
    site = np.arange(120) // 60
    table = {"y": site + rng.standard_normal(120), "site": site}
    table |= {f"x{i}": 2 * site + rng.standard_normal(120) for i in range(30)}
    naive = miscreen.rank(pl.DataFrame(table), "y", "spearman", fdr=0.05, exclude=["site"]).to_polars()
    within = miscreen.rank(pl.DataFrame(table), "y", "spearman", fdr=0.05, strata="site").to_polars()
    assert naive["selected"].sum() > 20
    assert within["selected"].sum() == 0
    assert 0.2 < within["p_value"].mean() < 0.8


def test_select_by_q_value(frame: pl.DataFrame, tmp_path: Path) -> None:
    ranking = miscreen.rank(frame, ["y", "sign"], "spearman", p_values=True)
    rows = ranking.to_polars()
    few = miscreen.select(frame, "y", ranking=ranking, fdr=0.01)
    expected = rows.filter(pl.col("target") == "y", pl.col("q_value") <= 0.01)
    assert list(few.names) == expected["feature"].to_list()
    assert len(few.names) > 5
    assert miscreen.select(frame, ["y", "sign"], method="spearman", fdr=0.01, threads=2).names == (
        miscreen.select(frame, ranking=ranking, fdr=0.01).names
    )
    best = miscreen.select(frame, "sign", ranking=ranking, top=9, by="q_value")
    assert (
        list(best.names) == rows.filter(target="sign").sort("q_value", "rank", nulls_last=True)["feature"].to_list()[:9]
    )
    both = ranking.by("p_value").to_polars()
    assert both["target"].to_list() == rows["target"].to_list()
    assert both.filter(target="y")["rank"].to_list() == rows.filter(target="y")["rank"].to_list()
    plain = miscreen.rank(frame, "y", "spearman")
    with pytest.raises(DataError, match="no column q_value"):
        miscreen.select(frame, ranking=plain, fdr=0.05)
    with pytest.raises(DataError, match="no feature passes fdr=1e-300"):
        miscreen.select(frame, "y", ranking=ranking, fdr=1e-300)
    with pytest.raises(InputError, match="fdr must be a number between 0 and 1, not 2"):
        miscreen.select(frame, "y", ranking=ranking, fdr=2)
    with pytest.raises(InputError, match="no order by 'name'"):
        miscreen.select(frame, "y", ranking=ranking, top=2, by="name")
    with pytest.raises(InputError, match="strata would have no effect"):
        miscreen.select(frame, "y", ranking=ranking, top=2, strata="site")


def test_the_command_line(frame: pl.DataFrame, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    frame.write_parquet(tmp_path / "t.parquet")
    source, out = str(tmp_path / "t.parquet"), str(tmp_path / "r.parquet")
    asked = ["--method", "spearman", "--fdr", "0.1", "--fdr-method", "by", "--strata", "site", "--max-t", "25"]
    assert main(["rank", source, "-t", "y", *asked, "--seed", "4", "--extra", "linfoot", "-o", out, "-q"]) == 0
    expected = miscreen.rank(
        frame, "y", "spearman", fdr=0.1, fdr_method="by", strata="site", max_t=25, seed=4, extra=["linfoot"]
    )
    assert miscreen.Ranking.read(out).to_arrow().equals(expected.to_arrow())
    capfdbinary.readouterr()
    assert main(["select", source, "--ranking", out, "--fdr", "0.1", "--by", "q_value", "--names", "-q"]) == 0
    chosen = expected.by("q_value").within_fdr(0.1).names
    assert capfdbinary.readouterr().out.decode().splitlines() == chosen
    assert main(["rank", source, "-t", "y", "--strata", "site"]) == 2
    assert b"no effect without p-values" in capfdbinary.readouterr().err


def test_p_values_survive_extremes() -> None:
    """A perfect correlation, of infinite information, and tables of few rows."""
    y = np.arange(12.0)
    table = pl.DataFrame({"y": y, "same": 2 * y + 1, "other": np.roll(y, 5), "two": (y > 9).astype(np.int64)})
    for method in ("pearson", "copula", "bin", "kde", "ksg", "auto"):
        found = miscreen.rank(table, "y", method, p_values=True, max_t=20).to_polars().filter(status="ok")
        p = found["p_value"].to_numpy()
        assert np.all((p > 0) & (p <= 1)), method
        best = found.row(0, named=True)
        assert best["p_fwer"] <= 0.15, method
        lowest = found.filter(feature="two")["p_value"]
        assert not len(lowest) or lowest[0] >= 1 / 66 - 1e-9, "two of twelve can be arranged in 66 ways"


def test_columns_that_share_a_null_can_come_in_any_order() -> None:
    rng = np.random.default_rng(7)
    n = 200
    y = rng.standard_normal(n)
    counts = np.sort(rng.poisson(1.5, n)).astype(float)
    columns = {}
    for i in range(60):  # the same values, dealt out at random or by the target
        order = np.argsort(np.argsort(y * (i % 4) + rng.standard_normal(n)))
        columns[f"x{i}"] = counts[order]
    table = pl.DataFrame({"y": y} | columns)
    found = []
    for names in (list(columns), list(columns)[::-1]):
        ranked = miscreen.rank(table.select("y", *names), "y", "spearman", p_values=True).to_polars()
        found.append(dict(ranked.select("feature", "p_value").iter_rows()))
    assert found[0] == found[1]
    assert min(found[0].values()) < 1e-6 and max(found[0].values()) > 0.5


def test_p_values_are_of_the_score_and_of_nothing_beside_it() -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 4, 600)
    trend = np.clip(np.round(rng.standard_normal((8, 600)) * 1.2 + 0.2 * (y - 1.5) + 2), 0, 4).astype(int)
    table = pl.DataFrame({f"t{i}": row for i, row in enumerate(trend)} | {"y": y})
    found = [
        miscreen.rank(table, "y", p_values=True, mi=mi).to_polars().sort("feature").select("score", "p_value")
        for mi in (True, False)
    ]
    assert found[0].equals(found[1])


def test_two_columns_of_text_have_the_g_test() -> None:
    rng = np.random.default_rng(4)
    labels = np.array(["a", "b", "c"])
    table = pl.DataFrame({"x": labels[rng.integers(0, 3, 300)], "y": labels[rng.integers(0, 3, 300)]})
    found = [miscreen.rank(table, "y", p_values=True, mi=mi).to_arrow().to_pylist()[0] for mi in (True, False)]
    assert found[0]["p_method"] == found[1]["p_method"] == "chi-square"
    assert found[0]["p_value"] == found[1]["p_value"]

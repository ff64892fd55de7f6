"""The pipeline: kinds, statuses, missing values, and the same answer however the work is cut."""

from __future__ import annotations

import datetime as dt
import inspect
import math
import os
import threading
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import batch_of, target_of
from pyarrow import feather

import miscreen
from miscreen import pipeline, scoring
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.estimators import ESTIMATORS, estimator_class
from miscreen.evaluation.result import check_plot
from miscreen.inference.intervals import Intervals
from miscreen.inference.options import Inference
from miscreen.kernels import sorting, survey
from miscreen.model import Batch, ColumnType, Kind, Scores, ScreenSpec
from miscreen.request import Request
from miscreen.resources import Resources
from miscreen.tables import open_table
from miscreen.tables.columns import is_named
from miscreen.tables.memory import ArrowTableSource

METHOD = "correlation"  # the stand-in of conftest.py
pytestmark = pytest.mark.usefixtures("correlation")


def columns(ranking: miscreen.Ranking, *names: str) -> dict[str, list[Any]]:
    frame = ranking.to_polars()
    return {row["feature"]: [row[n] for n in names] for row in frame.iter_rows(named=True)}


def mixed_frame(n: int = 60) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    y = rng.standard_normal(n)
    noisy = y + rng.standard_normal(n)
    missing = [None if i % 7 == 2 else float(v) for i, v in enumerate(noisy)]
    start = dt.date(2020, 1, 1)
    return pl.DataFrame(
        {
            "y": y,
            "near": y + 0.1 * rng.standard_normal(n),
            "missing": missing,
            "infinite": [float("inf") if i % 10 == 0 else float(v) for i, v in enumerate(noisy)],
            "sex": ["f" if v > 0 else "m" for v in noisy],
            "site": [f"site {int(v)}" for v in np.abs(noisy) * 2],
            "flag": noisy > 0,
            "visits": rng.integers(0, 5, n),
            "count": rng.integers(0, 1000, n),
            "day": [start + dt.timedelta(days=int(10 * v)) for v in noisy],
            "constant": np.full(n, 3.5),
            "same word": ["x"] * n,
            "empty": pl.Series([None] * n, dtype=pl.Float64),
            "few": [1.0, 2.0, 3.0] + [None] * (n - 3),
            "id": [f"subject {i}" for i in range(n)],
            "vector": [[1, 2]] * n,
        }
    )


def test_a_mixed_table_ranks_without_options() -> None:
    found = columns(miscreen.rank(mixed_frame(), "y", METHOD), "n", "kind", "status")
    assert found["near"] == [60, "continuous", "ok"]
    assert found["missing"] == [51, "continuous", "ok"]
    assert found["infinite"] == [54, "continuous", "ok"]
    assert found["sex"] == [60, "discrete", "ok"]
    assert found["site"] == [60, "discrete", "ok"]
    assert found["flag"] == [60, "discrete", "ok"]
    assert found["visits"] == [60, "discrete", "ok"]
    assert found["count"] == [60, "continuous", "ok"]
    assert found["day"] == [60, "continuous", "ok"]
    assert found["constant"] == [60, "continuous", "constant"]
    assert found["same word"] == [60, "discrete", "constant"]
    assert found["empty"] == [0, "continuous", "all missing"]
    assert found["few"] == [3, "continuous", "too few samples"]
    assert found["id"] == [60, "discrete", "too many levels"]
    assert found["vector"] == [0, "continuous", "unsupported type"]


def test_order_of_the_result() -> None:
    ranking = miscreen.rank(mixed_frame(), "y", METHOD)
    frame = ranking.to_polars()
    assert frame.columns == ["rank", "feature", "score", "mi_nats", "n", "kind", "method", "status"]
    assert frame["rank"].to_list() == list(range(1, 16))
    assert frame["feature"][0] == "near"
    scored = frame.filter(pl.col("status") == "ok")["score"]
    assert scored.to_list() == sorted(scored, reverse=True)
    # Those without a score come last, in the order of the file.
    assert frame["feature"].to_list()[-6:] == ["constant", "same word", "empty", "few", "id", "vector"]
    assert frame["score"][-6:].null_count() == 6
    assert ranking.summary() == {
        "constant": 2,
        "too few samples": 1,
        "all missing": 1,
        "too many levels": 1,
        "unsupported type": 1,
        "with infinite values": 1,
    }


def test_equal_scores_keep_the_order_of_the_file() -> None:
    x = np.random.default_rng(0).standard_normal((30, 2))
    table = np.column_stack([x[:, 0], x[:, 1], x[:, 0], x[:, 1], x[:, 0]])
    ranking = miscreen.rank(table, "y", METHOD, names=["b", "y", "a", "z", "c"])
    assert ranking.names == ["z", "b", "a", "c"]


def test_nominal_means_more_than_two_labels() -> None:
    found = columns(miscreen.rank(mixed_frame(), "y", METHOD), "method")
    assert found["sex"] == found["flag"] == found["visits"] == ["discrete"]
    assert found["site"] == ["discrete!"]


def test_kinds_can_be_forced(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("count\nday\n")
    frame = mixed_frame()
    options = {"exclude": ["id", "vec*"], "min_samples": 2}
    found = columns(
        miscreen.rank(
            frame, "y", METHOD, discrete=[f"@{tmp_path}/names"], continuous=["vis*", "flag"], max_levels=1000, **options
        ),
        "kind",
        "status",
    )
    assert found["day"][0] == "discrete"
    assert found["count"] == ["discrete", "too many levels"]
    assert found["visits"] == ["continuous", "ok"]
    assert found["flag"] == ["continuous", "ok"]
    assert "id" not in found and "vector" not in found
    found = columns(miscreen.rank(frame, "y", METHOD, max_levels=4), "kind")
    assert found["visits"] == ["continuous"]


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_target_kind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Spy(estimator_class(METHOD)):  # type: ignore[misc]
        def __init__(self, target: Any, options: Any) -> None:
            super().__init__(target, options)
            seen.append(target)

    monkeypatch.setattr(scoring, "estimator_class", lambda name: Spy)
    miscreen.rank(mixed_frame(), "visits", METHOD, features=["near"], target_kind=kind)
    miscreen.rank(mixed_frame(), ["visits", "flag", "site", "y"], METHOD, features=["near"])
    assert seen[0].kind.label == kind
    assert [t.kind.label for t in seen[1:]] == ["discrete", "discrete", "discrete", "continuous"]
    assert [t.nominal for t in seen[1:]] == [False, False, True, False]


def test_classes_have_two_samples_each_on_average() -> None:
    """Of the target and of features: one level more than half of the samples is too many."""
    table = pl.DataFrame({f"{levels} levels": [f"{i % levels}." for i in range(40)] for levels in (2, 20, 21)})
    found = columns(miscreen.rank(table, ["2 levels", "20 levels"], METHOD, features=["21 levels"]), "status")
    assert found == {"21 levels": ["too many levels"]}
    assert columns(miscreen.rank(table, "2 levels", METHOD), "status")["20 levels"] == ["ok"]
    with pytest.raises(DataError, match="21 levels in 40 rows: too many for classes"):
        miscreen.rank(table, "21 levels", METHOD)


def test_missing_target_rows_are_left_out() -> None:
    frame = mixed_frame()
    holes = frame.with_columns(y=pl.when(pl.int_range(pl.len()) % 6 > 0).then("y"))
    deleted = holes.filter(pl.col("y").is_not_null())
    a = columns(miscreen.rank(holes, "y", METHOD), "score", "n", "status")
    b = columns(miscreen.rank(deleted, "y", METHOD), "score", "n", "status")
    assert a["near"][1] == 50
    assert a == b


def test_several_targets_are_ranked_in_one_pass() -> None:
    frame = mixed_frame()
    both = miscreen.rank(frame, ["y", "count"], METHOD)
    assert both.targets == ["y", "count"]
    assert both.to_polars().columns[0] == "target"
    for target, other in (("y", "count"), ("count", "y")):
        alone = miscreen.rank(frame, target, METHOD, exclude=[other]).to_polars()
        part = both.for_target(target).to_polars()
        assert part.drop("target").equals(alone)
        assert set(part["target"]) == {target}


def wide_table(tmp_path: Path) -> tuple[pa.Table, list[Any]]:
    """300 columns of several kinds, and the same values as files of several formats."""
    rng = np.random.default_rng(9)
    n, p = 50, 300
    y = rng.standard_normal(n).astype(np.float32)
    data: dict[str, Any] = {"y": y.astype(np.float64)}
    for j in range(p):
        x = (rng.standard_normal(n) + y * rng.uniform(0, 1)).astype(np.float32).astype(np.float64)
        if j % 3 == 0:
            x[rng.random(n) < 0.2] = np.nan
        data[f"x{j}"] = np.round(x * 2) if j % 5 == 0 else x
    table = pa.table({name: pa.array(v, from_pandas=True) for name, v in data.items()})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=17)
    narrow = table.cast(pa.schema([(n, pa.float32()) for n in table.column_names]))
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    pl.from_arrow(table).write_csv(tmp_path / "t.csv")
    return table, [table, narrow, pl.from_arrow(table), *(tmp_path / f for f in ("t.parquet", "t.arrow", "t.csv"))]


@pytest.mark.parametrize("method", [METHOD, *ESTIMATORS])
def test_the_same_bytes_however_the_work_is_cut(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sources = wide_table(tmp_path)
    miscreen.rank(sources[0], "y", method, threads=1).write(tmp_path / "first.parquet")
    expected = (tmp_path / "first.parquet").read_bytes()
    trials = [(s, 2, "1GB") for s in sources] + [(sources[3], t, m) for t in (1, 3) for m in ("8KB", "40KB")]
    for i, (source, threads, memory) in enumerate(trials):
        monkeypatch.setattr(pipeline, "SLICE_BYTES", 1000 * (1 + 3 * i))
        miscreen.rank(source, "y", method, threads=threads, memory=memory).write(tmp_path / "t.out.parquet", force=True)
        assert (tmp_path / "t.out.parquet").read_bytes() == expected, (source, threads, memory)


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_score_does_not_depend_on_the_neighbours(method: str, tmp_path: Path) -> None:
    table, _ = wide_table(tmp_path)
    whole = columns(miscreen.rank(table, "y", method), "score", "method")
    for some in (["x0"], ["x1", "x7"], [f"x{j}" for j in range(250, 300)]):
        part = columns(miscreen.rank(table, "y", method, features=some), "score", "method")
        assert part == {name: whole[name] for name in some}


def test_fingerprint_follows_values_and_names() -> None:
    def fingerprint(frame: pl.DataFrame, **options: Any) -> str:
        return str(miscreen.rank(frame, "y", METHOD, **options).metadata["fingerprint"])

    frame = mixed_frame().select("y", "near", "missing", "count")
    first = fingerprint(frame)
    assert fingerprint(frame.clone()) == first
    assert fingerprint(frame.rename({"near": "nearer"})) != first
    assert fingerprint(frame.with_columns(near=pl.col("near").reverse())) != first
    assert fingerprint(frame.with_columns(y=pl.col("y") + 1e-9)) != first
    assert fingerprint(frame.with_columns(missing=pl.col("missing").fill_null(0))) != first
    assert fingerprint(frame, exclude=["count"]) != first
    swapped = frame.select("y", near=pl.col("missing"), missing=pl.col("near"), count="count")
    assert fingerprint(swapped) != first


def test_metadata_name_what_a_result_depends_on() -> None:
    found = miscreen.rank(mixed_frame(), "y", "ksg", k=5, max_levels=7, discrete=["vis*"], unit="bits").metadata
    assert found["version"] == miscreen.__version__
    assert found["method"] == "ksg" and found["options"]["k"] == 5
    assert (found["target"], found["max_levels"], found["discrete"]) == (["y"], 7, ["vis*"])
    assert (found["n_samples"], found["n_features"], found["unit"], found["seed"]) == (60, 15, "bits", 0)
    assert not {"threads", "memory", "path", "time"} & set(found)


def test_bits_are_rescaled_nats() -> None:
    nats = miscreen.rank(mixed_frame(), "y", METHOD).to_polars()
    bits = miscreen.rank(mixed_frame(), "y", METHOD, unit="bits").to_polars()
    assert "mi_bits" in bits.columns and "mi_nats" not in bits.columns
    np.testing.assert_allclose(bits["mi_bits"][:9], nats["mi_nats"][:9] / np.log(2), rtol=1e-15)
    assert bits["feature"].to_list() == nats["feature"].to_list()


def test_progress_counts_every_column() -> None:
    calls: list[tuple[str, int, int | None]] = []
    miscreen.rank(mixed_frame(), "y", METHOD, on_progress=lambda *call: calls.append(call))
    assert calls[-1] == ("score", 15, 15)


def test_an_error_in_a_worker_names_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(estimator_class(METHOD)):  # type: ignore[misc]
        def score(self, batch: Batch) -> Scores:
            raise ZeroDivisionError("by design")

    monkeypatch.setattr(scoring, "estimator_class", lambda name: Broken)
    with pytest.raises(ZeroDivisionError, match="by design") as error:
        miscreen.rank(mixed_frame().select("y", "near", "count"), "y", METHOD, threads=1)
    assert error.value.__notes__ == ["while scoring features 'near' to 'near'"]


def test_a_column_that_a_method_does_not_announce_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(estimator_class("pearson")):  # type: ignore[misc]
        extra_columns = ("r",)

    monkeypatch.setattr(scoring, "estimator_class", lambda name: Forgetful)
    with pytest.raises(ValueError, match="Forgetful gives a column 'linfoot', which is none of its extra_columns"):
        miscreen.rank(mixed_frame(), "y", "pearson")


def test_a_request_has_the_same_defaults_wherever_it_is_made() -> None:
    """Shards, selections and others hand on keywords of `rank` alone that were given."""
    ranked = inspect.signature(miscreen.rank).parameters
    made = {field.name: field.default for field in (*fields(Inference), *fields(ScreenSpec))}
    made |= {name: one.default for name, one in inspect.signature(Request.make).parameters.items()}
    shared = set(made) & set(ranked) - {"target", "options"}
    assert len(shared) > 20
    assert {name: made[name] for name in shared} == {name: ranked[name].default for name in shared}


class TestBadRequests:
    @pytest.mark.parametrize(
        ("error", "message", "hint", "request_"),
        [
            (InputError, "no column 'Y' for the target", "'y'", {"target": "Y"}),
            (InputError, "no column 'nera'", "'near'", {"features": ["nera"]}),
            (InputError, "no column 'a --force b'", "", {"target": "a --force b"}),
            (InputError, "exclude='dask *' matches no column", "pattern", {"exclude": ["dask *"]}),
            (InputError, "list of names \"/it's --null '-'\"", "UTF-8", {"features": ["@/it's --null '-'"]}),
            (InputError, "exclude='q*' matches no column", "pattern", {"exclude": ["q*"]}),
            (InputError, "no method 'mi'", "auto, bin, kde", {"method": "mi"}),
            (InputError, "has no option 'q'", "It takes k", {"method": "ksg", "q": 3}),
            (InputError, "no keyword 'p_value'", "Did you mean p_values", {"p_value": True}),
            (InputError, "no keyword 'thread'", "Did you mean threads", {"method": "ksg", "k": 3, "thread": 1}),
            (InputError, "no unit 'bans'", "nats, bits", {"unit": "bans"}),
            (InputError, "no unit ['bits']", "nats, bits", {"unit": ["bits"]}),
            (InputError, "no method ['bin']", "auto, bin, kde", {"method": ["bin"]}),
            (InputError, "no target kind 'x'", "continuous, discrete", {"target_kind": "x"}),
            (InputError, "named twice", "once", {"target": ["y", "y"]}),
            (InputError, "no target was named", "as target", {"target": []}),
            (InputError, "no feature is left", "features and exclude", {"features": ["near"], "exclude": ["*"]}),
            (InputError, "both discrete and continuous", "one", {"discrete": ["near"], "continuous": ["near"]}),
            (
                InputError,
                "cannot read the list of names '/no': No such file or directory. Give",
                "UTF-8",
                {"features": ["@/no"]},
            ),
            (InputError, "min_samples must be a whole number of at least 2", "", {"min_samples": 1}),
            (InputError, "'lots' is not a size", "800MB", {"memory": "lots"}),
            (InputError, "threads must be a whole number of at least 1", "", {"threads": 0}),
            (InputError, "scratch directory '/no' does not exist", "Create", {"scratch_dir": "/no"}),
            (ResourceError, "one column of 60 rows takes", "memory='", {"memory": "1KB"}),
            (DataError, "'site' holds text", "Leave it out of continuous", {"continuous": ["site"]}),
            (DataError, "'site' holds text", "Leave out target_kind", {"target": "site", "target_kind": "continuous"}),
            (DataError, "'constant' has the single value 3.5", "another", {"target": "constant"}),
            (DataError, "'same word' has a single class", "another", {"target": "same word"}),
            (DataError, "'empty' is missing in all 60 rows", "another", {"target": "empty"}),
            (DataError, "'few' is present in 3 rows", "Lower min_samples", {"target": "few"}),
            (DataError, "'id' is discrete with 60 levels", "too many", {"target": "id"}),
            (DataError, "'vector' is of a type", "numbers", {"target": "vector"}),
        ],
    )
    def test_says_what_is_wrong(
        self, error: type[Exception], message: str, hint: str, request_: dict[str, Any]
    ) -> None:
        arguments = {"target": "y", "method": METHOD, **request_}
        with pytest.raises(error) as raised:
            miscreen.rank(mixed_frame(), **arguments)
        assert message in str(raised.value)
        assert hint in str(raised.value)

    def test_values_of_wrong_types(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        mixed_frame().write_parquet(path)
        for call, message in (
            (lambda: miscreen.rank(path, "y", METHOD, checkpoints=5), "checkpoints must be a path, not 5"),
            (lambda: miscreen.rank(path, "y", METHOD, dask=5), "'5' leads to no Dask cluster"),
            (lambda: miscreen.rank(path, "y", METHOD, dask=Path("no.json")), "there is no scheduler file 'no.json'"),
            (lambda: miscreen.rank(path, "y", METHOD, dask="local", workers="2"), "workers must be a whole number"),
            (lambda: miscreen.rank(path, "y", METHOD, extra=None), "there is no extra column None"),
            (lambda: miscreen.rank_shard(path, "y", "1/2", 5), "output must be a path, not 5"),
            (lambda: miscreen.rank_shard(path, "y", 1, "r.parquet"), "1 is no shard"),
            (lambda: miscreen.describe(path, ["y"]), "the target is ['y']"),
            (lambda: miscreen.Steps.read(5), "path must be a path, not 5"),
            (lambda: check_plot(5), "path must be a path, not 5"),
        ):
            with pytest.raises(InputError) as raised:
                call()
            assert message in str(raised.value)

    def test_no_rows(self) -> None:
        with pytest.raises(DataError, match="has no rows"):
            miscreen.rank(mixed_frame().head(0), "y", METHOD)


def test_every_registered_method_exists() -> None:
    for name in ESTIMATORS:
        method = estimator_class(name)
        assert issubclass(method, estimator_class(METHOD).__mro__[1])
        method.make_options(method.score_alone)


@pytest.mark.parametrize("method", ESTIMATORS)
@pytest.mark.parametrize("target_kind", Kind)
@pytest.mark.parametrize("kind", Kind)
def test_no_features_have_no_scores(method: str, target_kind: Kind, kind: Kind) -> None:
    target, none = target_of(np.arange(40.0) % 3, target_kind), batch_of(np.empty((0, 40)), kind)
    made = estimator_class(method)
    estimator = made(target, made.make_options({}))
    scores = estimator.score(none)
    assert len(scores.mi) == len(estimator.statistic(none)) == 0
    assert [len(of) for of in Intervals(target, 0.9).around(none, [], scores)] == [0, 0]


def test_what_is_wrong_with_an_excluded_column_is_no_error(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{i * i % 11},{'?' if i == 9 else i}" for i in range(30))
    (tmp_path / "t.csv").write_text(f"y,a,broken\n{rows}\n")
    with pytest.raises(DataError, match=r"line 11, column 'broken': '\?' in a column of numbers"):
        miscreen.rank(tmp_path / "t.csv", "y", METHOD)
    assert miscreen.rank(tmp_path / "t.csv", "y", METHOD, exclude=["br*"]).names == ["a"]
    assert miscreen.select(tmp_path / "t.csv", "y", method=METHOD, exclude=["br*"], top=1).names == ["a"]
    with pytest.raises(DataError, match="column 'broken'"):
        miscreen.select(tmp_path / "t.csv", "y", method=METHOD, exclude=["br*"], top=1, keep=["broken"])


@pytest.mark.parametrize("method", ESTIMATORS)
def test_the_size_of_numbers_does_not_matter(method: str) -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(80)
    x = y + rng.standard_normal(80)
    scores = {}
    for exponent in (0, 1000, -900, 600, -600):
        for which in ("x", "y"):
            table = np.column_stack([np.ldexp(x, exponent * (which == "x")), np.ldexp(y, exponent * (which == "y"))])
            ranking = miscreen.rank(table, "y", method, names=["x", "y"])
            scores[exponent, which] = ranking.to_polars()["score"][0]
    assert scores[0, "x"] > 0.05
    np.testing.assert_allclose(list(scores.values()), scores[0, "x"], rtol=1e-12)


@pytest.mark.parametrize("method", ["auto", "bin", "kde", "spearman", "copula"])
def test_an_enormous_value_ties_no_others(method: str) -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(80)
    x = np.exp2(-40 * (y + rng.standard_normal(80)))
    x[0] = 2 * x.max()
    far = np.where(x == x[0], 1.7e308, x * 2.0**-60)
    ranking = miscreen.rank(np.column_stack([x, far, y]), "y", method, names=["x", "far", "y"])
    near, other = ranking.to_arrow()["score"].to_pylist()
    assert near == other > 0.1


def test_an_enormous_outlier_leaves_a_number() -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(80)
    x = y + 0.5 * rng.standard_normal(80)
    x[3] = 1.7e308
    x[4] = -1.7e308
    table = np.column_stack([x, y])
    for method in ESTIMATORS:
        assert columns(miscreen.rank(table, "y", method, names=["x", "y"]), "status")["x"] == ["ok"]
    assert columns(miscreen.rank(table, "y", names=["x", "y"]), "score")["x"][0] > 0.1


def test_integers_of_a_small_table_are_continuous() -> None:
    frame = pl.DataFrame({"age": [*range(20, 37), 20, 21, 22], "y": np.arange(20.0) ** 2 % 7})
    assert columns(miscreen.rank(frame, "y", METHOD), "kind", "status")["age"] == ["continuous", "ok"]
    assert columns(miscreen.rank(frame, "age", METHOD), "status")["y"] == ["ok"]


def test_one_name_is_no_list_of_letters() -> None:
    table = np.random.default_rng(0).standard_normal((30, 4))
    ranking = miscreen.rank(table, "y", METHOD, names=["a", "b", "ab", "y"], exclude="ab")
    assert sorted(ranking.names) == ["a", "b"]
    assert ranking.metadata["exclude"] == ["ab"]
    assert miscreen.rank(table, "y", METHOD, names=["a", "b", "ab", "y"], features="ab").names == ["ab"]


def test_masked_values_are_missing() -> None:
    table = np.ma.array(np.random.default_rng(0).standard_normal((30, 2)))
    table[:7, 0] = np.ma.masked
    assert columns(miscreen.rank(table, "y", METHOD, names=["x", "y"]), "n")["x"] == [23]
    with pytest.raises(InputError, match="masked and of type int64"):
        miscreen.rank(np.ma.array([[1, 2]]), "y", METHOD, names=["x", "y"])


def test_columns_of_pandas_that_arrow_has_no_type_for() -> None:
    import pandas as pd

    y = np.arange(20.0)
    good = pd.DataFrame(
        {"y": y, ("pair", 1): np.cos(y), "word": ["a", "b"] * 10, "ratio": pd.array(y, dtype="Float64")}
    )
    bad = {
        "objects": pd.Series([1, "a"] * 10, dtype=object),
        "large": pd.Series([2**70, 1] * 10, dtype=object),
        "complex": y * 1j,
        "sparse": pd.arrays.SparseArray(y % 2),
    }
    table = good.assign(**bad)
    found = miscreen.rank(table, "y", METHOD)
    assert found.scored().to_arrow().equals(miscreen.rank(good, "y", METHOD).to_arrow())
    assert found.summary() == {"unsupported type": 4}
    assert columns(miscreen.rank(table, "y", METHOD, exclude=["objects"]), "status")["sparse"] == ["unsupported type"]
    assert miscreen.select(table, "y", method=METHOD, top=1, keep=["y"]).to_arrow().column_names[0] == "y"
    for name in bad:
        with pytest.raises(DataError, match="of a type that cannot be scored"):
            miscreen.rank(table, name, METHOD)
        with pytest.raises(
            DataError, match=rf"column '{name}' cannot be read as Arrow data: .* \(.+\)\. Give it a single"
        ):
            miscreen.select(table, "y", method=METHOD, top=1, keep=[name])


def test_tables_of_pandas_of_which_arrow_takes_no_column_are_refused() -> None:
    import pandas as pd

    none = pd.DataFrame({name: pd.arrays.SparseArray(np.arange(20) % 2) for name in "xy"})
    with pytest.raises(DataError, match=r"read as Arrow data: column 'x' \(and 1 more\): .*Sparse.*Give each column"):
        miscreen.rank(none, "y", METHOD)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_the_index_of_a_pandas_table_in_a_file_is_no_feature(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": np.arange(50.0), "x": rng.standard_normal(50)})
    frame = frame.set_index([np.arange(50), np.arange(50) % 2]).sample(frac=1.0, random_state=1)
    path = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        feather.write_feather(pa.Table.from_pandas(frame), path)
    with caplog.at_level("INFO", logger="miscreen"):
        found = miscreen.rank(path, "y", METHOD)
    assert "the index of a pandas table is no feature: __index_level_0__, __index_level_1__" in caplog.text
    assert found.to_arrow().equals(miscreen.rank(frame, "y", METHOD).to_arrow())
    assert miscreen.rank(path, "y", METHOD, features=["x", "__index_level_0__"]).names[0] == "__index_level_0__"
    frame.rename_axis(index=["site", None]).to_parquet(tmp_path / "named.parquet")
    assert sorted(miscreen.rank(tmp_path / "named.parquet", "y", METHOD).names) == ["site", "x"]


def test_what_python_users_get_wrong() -> None:
    import pandas as pd

    doubled = pd.DataFrame(np.eye(3), columns=["a", "b", "a"])
    with pytest.raises(DataError, match=r"same name: 'a' \(columns 1 and 3\)"):
        miscreen.rank(doubled, "b", METHOD)
    for single in (pd.Series([1.0, 2.0]), pl.Series([1.0, 2.0])):
        with pytest.raises(InputError, match="cannot read a table from Series"):
            miscreen.rank(single, "x", METHOD)
    for role in ("features", "exclude", "discrete", "continuous"):
        for names in ([0], 0):
            with pytest.raises(InputError, match="0 cannot name a column"):
                miscreen.rank(mixed_frame(), "y", METHOD, **{role: names})
    for names in ([0, 1], 3, "xy"):
        with pytest.raises(InputError, match="names= is no list of text"):
            miscreen.rank(np.eye(2), "y", METHOD, names=names)
    for read in ({}, {"delimiter": ";"}):
        with pytest.raises(InputError, match=r"read= is \{"):
            miscreen.rank("data/samples/pbmc.csv", "phase", METHOD, read=read)
    for target in (60, None, [1], np.zeros(60)):
        with pytest.raises(InputError, match=r"the target is.* put values into the table as a column"):
            miscreen.rank(mixed_frame(), target, METHOD)
    with pytest.raises(InputError, match="memory in bytes must be a whole number"):
        miscreen.rank(mixed_frame(), "y", METHOD, memory=-5)
    with pytest.raises(InputError, match="is no delimited text"):
        miscreen.rank(Path(__file__).parents[1] / "data/samples/pbmc.parquet", "phase", read=miscreen.ReadOptions(";"))


def test_names_that_are_no_text_are_refused_before_the_work() -> None:
    for role in ("features", "exclude", "discrete", "continuous"):
        with pytest.raises(InputError, match=r"'\[\\udcffn\]\*' is no UTF-8 text"):
            miscreen.rank(mixed_frame(), "y", METHOD, **{role: ["near", "[\udcffn]*"]})
    with pytest.raises(InputError, match=r"'b\\ud800' is no UTF-8 text"):
        miscreen.rank(np.eye(20)[:, :2], "a", METHOD, names=["a", "b\ud800"])


def test_a_list_of_names_is_read_once(tmp_path: Path) -> None:
    """It may be a pipe, as in ``--exclude @<(command)``; and a name in it may begin with @."""
    frame = mixed_frame().select("y", "near", "count").rename({"count": "@count"})
    for keyword, expected in (("exclude", ["near"]), ("features", ["@count"]), ("discrete", ["near", "@count"])):
        os.mkfifo(tmp_path / keyword)
        writer = threading.Thread(target=(tmp_path / keyword).write_text, args=("@count\n",))
        writer.start()
        options: dict[str, Any] = {keyword: [f"@{tmp_path / keyword}"]}
        assert miscreen.rank(frame, "y", METHOD, min_samples=2, **options).names == expected
        writer.join(timeout=10)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_classes_that_doubles_do_not_hold_get_no_score(kind: str, tmp_path: Path) -> None:
    y = np.arange(40) % 2
    table = pl.DataFrame({"y": y, "code": 2**53 + y, "one": np.full(40, 2**53), "small": 2**53 - 1 - y})
    path = tmp_path / f"t.{kind}"
    getattr(table, f"write_{kind}")(path)
    ranking = miscreen.rank(path, "y", "bin", discrete=["code"])
    found = {row["feature"]: row for row in ranking.to_arrow().to_pylist()}
    assert found["small"]["mi_nats"] == pytest.approx(math.log(2), abs=0.03)
    if kind == "csv":  # where they are labels
        assert found["code"]["mi_nats"] == found["small"]["mi_nats"]
        return
    assert found["code"]["status"] == found["one"]["status"] == "rounded levels"
    with pytest.raises(
        DataError, match=r"the target 'code' holds numbers that doubles do not hold, such as integers of 2\^53 and more"
    ):
        miscreen.rank(path, "code", "bin")


@pytest.mark.parametrize(
    "arrow_type",
    [pa.decimal128(38, 18), pa.decimal256(50, 18), pa.decimal64(18, 8), pa.timestamp("ns"), pa.duration("ns")],
)
@pytest.mark.parametrize("kind", ["parquet", "arrow", "table", "stacked"])
def test_classes_that_become_one_in_double_precision_get_no_score(
    kind: str, arrow_type: pa.DataType, tmp_path: Path
) -> None:
    y = np.arange(40) % 2

    def column(codes: Any) -> pa.Array:  # of those numbers, in the last of their digits
        if pa.types.is_decimal(arrow_type):
            return pa.array([Decimal(code).scaleb(-arrow_type.scale) for code in codes.tolist()], arrow_type)
        return pa.array(codes, pa.int64()).cast(arrow_type)

    start = 700_000_000_000_000_000
    table = pa.table({"y": y, "code": column(start + y), "one": column(start + 0 * y), "few": column(start + 1000 * y)})
    source: Any = table if kind == "table" else tmp_path / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(table, source)
    elif kind == "arrow":
        with pa.ipc.new_file(source, table.schema) as writer:
            writer.write_table(table)
    elif kind == "stacked":
        source.mkdir()
        for number in range(2):
            pq.write_table(table.slice(20 * number, 20), source / f"{number}.parquet")
    ranking = miscreen.rank(source, "y", "bin", discrete=["code", "one", "few"])
    found = columns(ranking, "status", "mi_nats")
    assert found["code"] == ["rounded levels", None]
    assert found["one"] == ["constant", None]
    assert found["few"] == ["ok", pytest.approx(math.log(2), abs=0.03)]
    assert columns(miscreen.rank(source, "y", "bin"), "status") == {
        "few": ["ok"],
        "code": ["constant"],
        "one": ["constant"],
    }
    told = "numbers that doubles do not hold"
    with pytest.raises(DataError, match=f"the target 'code' holds {told}"):
        miscreen.rank(source, "code", "bin", target_kind="discrete")
    with pytest.raises(DataError, match=f"the strata 'code' are {told}"):
        miscreen.rank(source, "y", "bin", p_values=True, strata="code")


TIMES = {
    "dates and times": (pa.date32(), pa.timestamp("us")),
    "zone": (pa.timestamp("us"), pa.timestamp("us", "Europe/Berlin")),
    "nanoseconds": (pa.timestamp("ns"), pa.timestamp("us", "UTC")),
    "missing": (pa.timestamp("s"), pa.float64()),
}


@pytest.mark.parametrize("types", TIMES.values(), ids=TIMES)
def test_stacked_times_of_unlike_types_are_a_target_classes_and_strata(
    types: tuple[pa.DataType, pa.DataType], tmp_path: Path
) -> None:
    random = np.random.default_rng(5)
    for number, arrow_type in enumerate(types):
        days = pa.array(np.arange(40) % 4 + 18_000, pa.int32()).cast(pa.date32())
        when = pa.nulls(40, arrow_type) if arrow_type == pa.float64() else days.cast(arrow_type)
        columns_of = {"y": random.permutation(40) % 2, "when": when, "x": random.standard_normal(40)}
        pq.write_table(pa.table(columns_of), tmp_path / f"{number}.parquet")
    found = miscreen.rank(tmp_path, "y", "bin", discrete=["when"])
    assert columns(found, "status", "kind")["when"] == ["ok", "discrete"]
    for kind in ("continuous", "discrete"):
        assert miscreen.rank(tmp_path, "when", "bin", target_kind=kind).names
    if types[1] != pa.float64():
        assert miscreen.rank(tmp_path, "y", "bin", p_values=True, strata="when").names


@pytest.mark.parametrize(("nanosecond", "status"), [(0, "constant"), (1, "rounded levels")])
def test_stacked_times_of_unlike_types_that_become_one_get_no_score(
    nanosecond: int, status: str, tmp_path: Path
) -> None:
    start = 1_577_880_000  # at noon, seconds since 1970
    for number, (ticks, unit) in enumerate(((start * 10**9 + nanosecond, "ns"), (start, "s"))):
        moments = pa.array([ticks] * 20).cast(pa.timestamp(unit, "UTC" if number else None))
        pq.write_table(pa.table({"y": np.arange(20) % 2, "when": moments}), tmp_path / f"{number}.parquet")
    assert columns(miscreen.rank(tmp_path, "y", "bin", discrete=["when"]), "status") == {"when": [status]}


def test_decimals_that_end_in_zeros_are_one_class(tmp_path: Path) -> None:
    for number, scale in enumerate((20, 25)):
        cells = pa.array([Decimal("1.5"), Decimal("2.5")] * 20, pa.decimal128(38, scale))
        pq.write_table(pa.table({"y": np.arange(40) % 2, "g": cells}), tmp_path / f"{number}.parquet")
    assert columns(miscreen.rank(tmp_path, "y", "bin", discrete=["g"]), "status") == {"g": ["ok"]}


def test_decimals_of_text_that_would_become_one_are_labels(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},0.1000000000000000000{i % 2}, {1 + i % 2}.50{'0' * (i % 3)}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"y,long,short\n{rows}")
    with open_table(
        tmp_path / "t.csv", resources=Resources.detect(1, "1GB"), text_columns=is_named(["long", "short"])
    ) as table:
        assert table.types.tolist() == [ColumnType.INTEGER, ColumnType.TEXT, ColumnType.FLOAT]
    ranking = miscreen.rank(tmp_path / "t.csv", "y", "bin", discrete=["long", "short"])
    assert columns(ranking, "mi_nats")["long"] == columns(ranking, "mi_nats")["short"]


def test_times_of_text_that_become_one_get_no_score(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},2020-01-01T00:00:00.00000000{1 + i % 2}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(f"y,moment\n{rows}")
    ranking = miscreen.rank(tmp_path / "t.csv", "y", "bin", discrete=["moment"])
    assert columns(ranking, "status")["moment"] == ["rounded levels"]


def test_what_reading_fails_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, columns: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError
        return read(self, columns)

    read = ArrowTableSource.values
    monkeypatch.setattr(ArrowTableSource, "values", broken)
    table = pl.DataFrame({name: np.arange(20.0) for name in "aby"})
    with pytest.raises(ZeroDivisionError) as error:
        miscreen.rank(table, "y", "pearson", threads=1)
    assert error.value.__notes__ == ["while reading features 'a' to 'a'"]


def test_strata_are_no_target() -> None:
    table = pl.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0) ** 2, "site": ["a", "b"] * 10})
    with pytest.raises(InputError, match="the strata are a target, 'site'"):
        miscreen.rank(table, ["y", "site"], "pearson", p_values=True, strata="site")


def test_options_are_refused_by_the_name_of_the_method() -> None:
    table = pl.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0) ** 2})
    with pytest.raises(InputError, match="method 'bin' has no option 'mi'"):
        miscreen.rank(table, "y", "bin", mi=False)
    with pytest.raises(InputError, match=r"no option 'bins'\. Leave it out, or give method='bin'"):
        miscreen.rank(table, "y", bins=4)


def test_a_target_that_cannot_be_scored_is_none_to_describe_either() -> None:
    table = pl.DataFrame({"x": np.arange(20.0), "y": [[1.0]] * 20})
    for call in (miscreen.rank, miscreen.describe):
        with pytest.raises(DataError, match="the target 'y' is of a type that cannot be scored"):
            call(table, target="y")


def test_parts_to_merge_are_paths() -> None:
    with pytest.raises(InputError, match="parts must be a path, not 5"):
        miscreen.merge(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["auto", "bin", "pearson", "spearman"])
def test_numbers_named_discrete_are_labels_like_text(method: str) -> None:
    rng = np.random.default_rng(2)
    y, c = rng.integers(0, 5, 300), rng.integers(0, 4, 300)
    frame = pl.DataFrame({"y": y, "x": rng.normal(size=300) + (y == 1), "c": (c + (y == 2)) % 4})
    as_text = frame.with_columns(pl.format("l{}", "y").alias("y"), pl.format("l{}", "c").alias("c"))
    ordered = miscreen.rank(frame, "y", method).to_polars().sort("feature")
    named = miscreen.rank(frame, "y", method, target_kind="discrete", discrete=["c"]).to_polars().sort("feature")
    text = miscreen.rank(as_text, "y", method).to_polars().sort("feature")
    assert named["score"].to_numpy() == pytest.approx(text["score"].to_numpy(), rel=1e-12)
    assert named["method"].to_list() == text["method"].to_list()
    assert (named["score"].to_list() == ordered["score"].to_list()) == (method == "bin")
    if method == "pearson":  # whose sign tells
        signs = pl.DataFrame({"y": frame["x"], "number": y > 2, "truth": y > 2}).with_columns(
            pl.col("number").cast(int)
        )
        named = miscreen.rank(signs, "y", method, discrete=["number", "truth"]).to_polars()
        assert named["r"][0] == named["r"][1]
    feature = miscreen.rank(frame, "x", method, discrete=["y"]).to_polars().sort("feature")
    text = miscreen.rank(as_text, "x", method).to_polars().sort("feature")
    assert feature.filter(feature="y")["score"][0] == pytest.approx(text.filter(feature="y")["score"][0], rel=1e-12)


def test_the_kinds_of_a_slice_are_decided_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    n = 60
    y = rng.standard_normal(n)
    held: dict[str, Any] = {f"g{i}": rng.integers(0, 3, n).astype("i1") for i in range(200)}
    held["twenty"], held["more"] = np.arange(n) % 20, np.arange(n) % 21
    held["ten pairs"] = pa.array([i // 2 if i < 20 else None for i in range(n)])
    held["single"] = pa.array([i if i < 19 else None for i in range(n)])
    calls = []
    count = survey.count_levels
    monkeypatch.setattr(survey, "count_levels", lambda *given: (calls.append(len(given[0])), count(*given))[1])
    found = columns(miscreen.rank(pa.table({"y": y, **held}), "y", METHOD, threads=1), "kind")
    assert sum(calls) == len(held) and len(calls) <= 20
    assert {name: found[name][0] for name in ("g0", "twenty", "more", "ten pairs", "single")} == {
        "g0": "discrete",
        "twenty": "discrete",
        "more": "continuous",
        "ten pairs": "discrete",
        "single": "continuous",
    }


def test_the_levels_of_labels_are_counted_where_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 60
    held = {f"t{i}": [f"{(i % 4 + 1) * j % 5}" for j in range(n)] for i in range(50)}
    held["half as many"], held["one more"] = [f"{j % 30}" for j in range(n)], [f"{j % 31}" for j in range(n)]
    table = pa.table({"y": np.arange(n) % 7 / 2, **held, "n": pa.array([0.0, -0.0, None] * 20)})
    sorts = []
    sort = sorting.argsort_rows
    monkeypatch.setattr(sorting, "argsort_rows", lambda *given: (sorts.append(len(given[0])), sort(*given))[1])
    found = columns(miscreen.rank(table, "y", "spearman", discrete=["n"], threads=1), "status", "method")
    assert found["half as many"] == ["ok", "correlation ratio"]
    assert found["one more"][0] == "too many levels"
    assert found["n"][0] == "constant"
    assert sum(sorts) == len(held)

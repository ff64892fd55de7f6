"""Screening inside scikit-learn's pipelines."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import miscreen
from miscreen.sklearn import MutualInfoSelector


@parametrize_with_checks([MutualInfoSelector(), MutualInfoSelector(k=None, threshold=-1.0, method="pearson")])
def test_scikit_learn_finds_nothing_amiss(estimator: Any, check: Any) -> None:
    check(estimator)


def problem(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, 30))
    return x, x[:, 7] + x[:, 2] ** 2 + 0.3 * rng.standard_normal(n)


def mixed(n: int = 80) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(n)
    near = y + rng.standard_normal(n)
    return {
        "y": y,
        "noise": rng.standard_normal(n),
        "near": [None if i % 9 == 4 else v for i, v in enumerate(near.tolist())],
        "word": np.where(near > 0, "high", "low").tolist(),
        "visits": rng.integers(0, 4, n),
        "flag": near > 1,
        "constant": np.ones(n),
    }


@pytest.mark.parametrize("method", ["auto", "ksg"])
def test_scores_are_those_of_rank(method: str) -> None:
    x, y = problem()
    x[::7, 2] = np.nan
    selector = MutualInfoSelector(k=4, method=method).fit(x, y)
    names = [f"c{i}" for i in range(30)]
    ranking = miscreen.rank(np.column_stack([x, y]), "y", method, names=[*names, "y"])
    assert [names[i] for i in np.argsort(-selector.scores_, kind="stable")] == ranking.names
    assert np.sort(selector.scores_)[::-1].tolist() == ranking.to_polars()["score"].to_list()
    assert {names[i] for i in selector.get_support(indices=True)} == set(ranking.names[:4])


def test_threshold_and_k_must_both_hold() -> None:
    x, y = problem()
    nats = MutualInfoSelector().fit(x, y).ranking_.to_polars()["mi_nats"]
    least = nats.sort()[-3]
    assert MutualInfoSelector(k=None, threshold=least).fit(x, y).get_support().sum() == 3
    assert MutualInfoSelector(k=2, threshold=least).fit(x, y).get_support().sum() == 2
    assert MutualInfoSelector(k=20, threshold=least).fit(x, y).get_support().sum() == 3


def test_in_a_pipeline_under_cross_validation() -> None:
    x, y = problem()
    wide = np.column_stack([x, np.random.default_rng(0).standard_normal((120, 200))])
    chosen = cross_val_score(make_pipeline(MutualInfoSelector(k=2), LinearRegression()), wide, y)
    every = cross_val_score(LinearRegression(), wide, y)
    assert chosen.mean() > 0.2 > every.mean()


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
@pytest.mark.parametrize("output", ["polars", "pandas"])
def test_frames_keep_names_and_types(frame: Any, output: str) -> None:
    columns = mixed()
    y = columns.pop("y")
    table = frame(columns)
    selector = MutualInfoSelector(k=3).set_output(transform=output).fit(table, y)
    assert selector.feature_names_in_.tolist() == list(columns)
    assert selector.get_feature_names_out().tolist() == ["near", "word", "flag"]
    out = selector.transform(table)
    assert type(out).__module__.startswith(output)
    assert list(out.columns) == ["near", "word", "flag"]
    if isinstance(out, frame):
        assert out.equals(table[["near", "word", "flag"]])
    assert np.isnan(selector.scores_[-1])  # the constant


def test_text_and_integers_are_what_rank_makes_of_them() -> None:
    columns = mixed()
    ranking = miscreen.rank(pl.DataFrame(columns), "y")
    selector = MutualInfoSelector().fit(pl.DataFrame(columns).drop("y"), columns["y"])
    assert selector.ranking_.names == ranking.names
    assert selector.ranking_.to_polars().equals(ranking.to_polars())


def test_a_column_may_be_called_like_the_outcome() -> None:
    x, _ = problem()
    x = x[:, :3]
    selector = MutualInfoSelector(k=1).fit(pl.DataFrame(x, schema=["y", "y_", "a"]), x[:, 2])
    assert selector.get_feature_names_out().tolist() == ["a"]


def test_labels_as_outcome() -> None:
    x, _ = problem()
    labels = np.where(x[:, 5] > 0.5, "b", np.where(x[:, 5] < -0.5, "c", "a"))
    for outcome in (labels, labels.astype(object), pd.Series(labels), (x[:, 5] > 0)):
        assert MutualInfoSelector(k=1).fit(x, outcome).get_support(indices=True).tolist() == [5]


@pytest.mark.parametrize("frame", [np.asarray, pl.DataFrame], ids=["array", "frame"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=["None", "nan", "NA", "NaT"])
def test_an_outcome_with_gaps_is_refused(frame: Any, missing: Any) -> None:
    x, y = problem()
    words = np.where(x[:, 5] > 0, "b", "a").astype(object)
    words[::4] = missing
    outcomes: list[Any] = [words, words.tolist(), pd.Series(words, dtype=object), np.ma.masked_array(y, y > 1)]
    if missing is None:
        outcomes += [pl.Series(words.tolist()), pl.Series([None, *y[1:]])]
    for outcome in outcomes:
        with pytest.raises(ValueError, match=r"y is missing in|NaN"):
            MutualInfoSelector(k=1).fit(frame(x), outcome)


def test_numbers_are_numbers_whatever_holds_them() -> None:
    x, y = problem()
    expected = MutualInfoSelector().fit(x, np.round(y, 3)).scores_
    decimals = [Decimal(f"{v:.3f}") for v in y]
    for outcome in (np.round(y, 3).astype(object), decimals, np.array(decimals)):
        assert MutualInfoSelector().fit(x, outcome).scores_.tolist() == expected.tolist()
    when = (1e6 * y).astype("M8[s]")
    expected = MutualInfoSelector().fit(x, when.astype(float)).scores_
    assert MutualInfoSelector().fit(x, when).scores_.tolist() == expected.tolist()
    steps = np.round(y).astype(int)
    one, same, category = (
        MutualInfoSelector(method="spearman").fit(x, outcome).scores_.tolist()
        for outcome in (steps, steps.astype(object), pd.Series(steps).astype("category"))
    )
    assert one == same != category


def test_masked_values_are_missing() -> None:
    x, y = problem()
    masked = np.ma.masked_array(x, np.arange(x.size).reshape(x.shape) % 5 == 0)
    found, expected = (MutualInfoSelector(k=2).fit(one, y) for one in (masked, masked.filled(np.nan)))
    np.testing.assert_array_equal(found.scores_, expected.scores_)
    np.testing.assert_array_equal(found.transform(masked), expected.transform(masked.filled(np.nan)))
    for call in (found.transform, lambda x: found.fit(x, y)):
        with pytest.raises(ValueError, match="masked and of type int"):
            call(masked.astype(int))


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame, pa.table])
def test_types_outlast_a_change_of_library(frame: Any) -> None:
    columns = mixed()
    y = columns.pop("y")
    table = frame(columns)
    for output, made in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        out = MutualInfoSelector(k=3).set_output(transform=output).fit(table, y).transform(table)
        expected = made({name: columns[name] for name in ("near", "word", "flag")})
        assert list(out.dtypes) == list(expected.dtypes)
        assert out.equals(expected)


class Exported:
    """A table of which nothing is known but Arrow's interface."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.__arrow_c_stream__ = pa.table(columns).__arrow_c_stream__


@pytest.mark.parametrize("frame", [pa.record_batch, Exported])
def test_tables_that_scikit_learn_does_not_know_have_their_names(frame: Any) -> None:
    columns = mixed()
    y = columns.pop("y")
    selector = MutualInfoSelector(k=3).fit(frame(columns), y)
    assert selector.feature_names_in_.tolist() == list(columns)
    out = selector.set_output(transform="polars").transform(frame(columns))
    assert out.equals(pl.DataFrame(columns)[["near", "word", "flag"]])


def test_sparse_columns_alone_are_refused() -> None:
    x, y = problem()
    with pytest.raises(ValueError, match=r"cannot be read as Arrow data: column 'x0' \(and 1 more\): .*Sparse"):
        MutualInfoSelector().fit(pd.DataFrame(x[:, :2]).astype("Sparse[float]"), y)


@pytest.mark.parametrize("one", [pl.Series, pd.Series])
def test_a_single_column_is_no_table(one: Any) -> None:
    x, y = problem()
    with pytest.raises(ValueError, match="cannot read a table from Series"):
        MutualInfoSelector().fit(one(x[:, 0]), y)


@pytest.mark.parametrize("output", ["polars", "pandas"])
@pytest.mark.parametrize("names", [range(3), [("a", 1), ("a", "b"), ("c", 1)]], ids=["integers", "several levels"])
def test_names_that_are_no_text_are_numbered(names: Any, output: str) -> None:
    x, y = problem()
    x[:, 2] = np.round(x[:, 2])
    table = pd.DataFrame(x[:, :3]).set_axis(pd.Index(names), axis=1).set_index(np.arange(1, 121))
    given = table.copy()
    selector = MutualInfoSelector(k=2, discrete=["x2"]).set_output(transform=output).fit(table, y)
    kinds = dict(selector.ranking_.to_polars().select("feature", "kind").iter_rows())
    assert kinds == {"x0": "continuous", "x1": "continuous", "x2": "discrete"}
    out = selector.transform(table)
    assert list(out.columns) == selector.get_feature_names_out().tolist()
    np.testing.assert_array_equal(out.to_numpy(), x[:, selector.get_support(indices=True)])
    pd.testing.assert_frame_equal(table, given)


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import miscreen.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    told = done.stderr.splitlines()[-1]
    assert "miscreen.sklearn needs scikit-learn" in told and told.endswith("or 'miscreen[sklearn]'")


def test_infinite_values_are_missing_in_arrays_as_in_frames() -> None:
    x, y = problem()
    x[3, 2], x[4, 7] = np.inf, -np.inf
    array, frame = (MutualInfoSelector(k=2).fit(one, y) for one in (x, pd.DataFrame(x)))
    assert array.scores_.tolist() == frame.scores_.tolist()
    assert array.ranking_.summary() == {"with infinite values": 2}
    assert array.transform(x).shape == (120, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": None}, "how many features"),
        ({"k": 0}, "at least 1"),
        ({"k": 2.5}, "whole number of at least 1, not 2.5"),
        ({"k": True}, "whole number of at least 1, not True"),
        ({"threshold": ".1"}, "threshold must be a number, not '.1'"),
        ({"threshold": np.nan}, "threshold must be a number, not nan"),
        ({"threshold": 0.1, "options": {"mi": False}}, "method 'auto' with these options gives none"),
        ({"options": {"unit": "bits"}}, "'auto' has no option 'unit'"),
        ({"options": {"method": "bin"}}, "'auto' has no option 'method'"),
        ({"options": "bins"}, "options are 'bins'"),
        ({"discrete": ["z"]}, "no column 'z' for discrete. It has 30 columns"),
        ({"method": "none"}, "there is no method 'none'"),
        ({"options": {"grid": 32}}, "has no option 'grid'"),
        ({"min_samples": 500}, "fewer than the 500"),
        ({"target_kind": "discrete"}, "too many for classes"),
    ],
)
def test_a_wrong_request_is_a_value_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MutualInfoSelector(**settings).fit(*problem())

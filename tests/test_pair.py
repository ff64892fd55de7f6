"""The mutual information of one pair."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import miscreen
from miscreen.errors import DataError, InputError

RNG = np.random.default_rng(8)
X = RNG.standard_normal(150)
Y = X + RNG.standard_normal(150)
WORDS = np.where(X > 0, "high", np.where(X > -1, "middle", "low"))
CONTAINERS = [np.asarray, list, pl.Series, pd.Series, pa.array, lambda v: pa.chunked_array([v[:50], v[50:]])]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("x", [X, WORDS, X > 0, np.round(X).astype(int)], ids=["float", "text", "bool", "integer"])
def test_it_is_the_number_that_rank_gives(x: np.ndarray, container: Any) -> None:
    ranking = miscreen.rank(pl.DataFrame({"x": x, "y": Y}), "y", "ksg", unit="bits")
    expected = ranking.to_polars()["mi_bits"][0]
    assert miscreen.mutual_info(container(x), container(Y), "ksg", unit="bits") == expected


def test_missing_values_are_left_out_in_pairs() -> None:
    gaps = [None if i % 7 == 0 else v for i, v in enumerate(X)]
    here = np.arange(150) % 7 > 0
    expected = miscreen.mutual_info(X[here], Y[here])
    for x in (gaps, np.array(gaps, dtype=object), np.where(here, X, np.nan), pl.Series(gaps), pd.Series(gaps)):
        assert miscreen.mutual_info(x, Y) == expected


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=["None", "nan", "NA", "NaT"])
def test_what_is_missing_among_text_is_no_class(missing: Any) -> None:
    words = WORDS.astype(object)
    words[Y > 1] = missing
    expected = miscreen.mutual_info(WORDS[Y <= 1], Y[Y <= 1], "ksg")
    frame = pd.DataFrame({"x": pd.Series(words, dtype=object), "y": Y})
    assert miscreen.rank(frame, "y", "ksg").to_polars()["mi_nats"][0] == expected
    for x in (words, words.tolist(), frame["x"]):
        assert miscreen.mutual_info(x, Y, "ksg") == expected


CODES = np.arange(150) % 30
CATEGORIES = [
    pd.Series(CODES).astype("category"),
    pd.Categorical(CODES),
    pa.array(CODES).dictionary_encode(),
    pl.Series(CODES).cast(pl.String).cast(pl.Categorical),
    pd.cut(CODES + 0.5, np.arange(31)),
]


@pytest.mark.parametrize("x", CATEGORIES, ids=["series", "categorical", "dictionary", "polars", "cut"])
def test_categories_of_numbers_are_discrete(x: Any) -> None:
    expected = miscreen.mutual_info(CODES, Y, "ksg", x_kind="discrete")
    assert expected != miscreen.mutual_info(CODES, Y, "ksg")
    assert miscreen.mutual_info(x, Y, "ksg") == expected
    if isinstance(x, pd.Series | pd.Categorical):
        assert miscreen.rank(pd.DataFrame({"x": x, "y": Y}), "y", "ksg").to_polars()["mi_nats"][0] == expected


@pytest.mark.parametrize("unit", ["s", "m", "h", "D", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["M", "m"])
def test_times_of_numpy_in_any_unit(kind: str, unit: str) -> None:
    when = np.arange(150)
    assert miscreen.mutual_info(when.astype(f"{kind}8[{unit}]"), Y) == miscreen.mutual_info(when, Y)


def test_numbers_in_another_order_of_bytes() -> None:
    assert miscreen.mutual_info(X.astype(">f8"), Y) == miscreen.mutual_info(X, Y)


def test_kinds_can_be_forced() -> None:
    steps = np.round(X).astype(int)
    assert miscreen.mutual_info(steps, Y) == miscreen.mutual_info(steps, Y, x_kind="discrete")
    assert miscreen.mutual_info(steps, Y) != miscreen.mutual_info(steps, Y, x_kind="continuous")
    assert miscreen.mutual_info(Y, steps) != miscreen.mutual_info(Y, steps, y_kind="continuous")


def test_what_is_no_pair_is_refused() -> None:
    wrong: list[tuple[Any, str]] = [
        (X[:, None], "one-dimensional"),
        (X[:9], "9 values"),
        (3, "cannot be read"),
        ("xy", "one-dimensional"),
        ([[1], [2]], "one-dimensional"),
        (pl.DataFrame({"x": X}), "one-dimensional"),
        ([1.5, "a"], "cannot be read"),
        ([2**70, 1], "cannot be read"),
    ]
    for x, message in wrong:
        with pytest.raises(InputError, match=message):
            miscreen.mutual_info(x, Y)
    with pytest.raises(InputError, match="no kind 'words'"):
        miscreen.mutual_info(X, Y, x_kind="words")
    for option in ({"discrete": ["x"]}, {"target": "x"}, {"names": ["x", "y"]}):
        with pytest.raises(InputError, match=f"no option '{next(iter(option))}'"):
            miscreen.mutual_info(X, Y, **option)
    with pytest.raises(DataError, match="x has no score: constant"):
        miscreen.mutual_info(np.ones(150), Y)
    with pytest.raises(DataError, match="x has no score: no estimate"):
        miscreen.mutual_info(X, Y, "ksg", k=150)


def test_a_typed_script_runs() -> None:
    runpy.run_path(str(Path(__file__).parent / "typed_use.py"))
    assert (Path(miscreen.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("x", "y", "kinds", "told"),
    [
        (range(20), [1.0] * 20, {}, "y has the single value 1 in its 20 rows that are not missing. Choose another y"),
        (range(20), ["a", "b"] * 10, {"y_kind": "continuous"}, "y holds text, so it cannot be continuous. Leave out"),
        (["a", "b"] * 10, range(20), {"x_kind": "continuous"}, "x holds text, so it cannot be continuous. Leave out x"),
        (range(20), range(20), {"y_kind": "text"}, "there is no kind 'text'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_column_is_told_of_x_or_y(x: Any, y: Any, kinds: dict[str, str], told: str) -> None:
    with pytest.raises((InputError, DataError)) as error:
        miscreen.mutual_info(x, y, **kinds)
    assert str(error.value).startswith(told)


def test_information_that_is_not_to_be_found_is_refused() -> None:
    with pytest.raises(InputError, match="method 'auto' with these options gives a score, but no mutual information"):
        miscreen.mutual_info(X, Y, mi=False)


@pytest.mark.parametrize(
    "option", [{"p_values": True}, {"ci": 0.9}, {"extra": ["linfoot"]}, {"read": None}, {"dask": "local"}, {"seed": 1}]
)
def test_options_without_effect_on_a_pair_are_refused(option: dict[str, Any]) -> None:
    x = np.arange(50.0)
    with pytest.raises(InputError, match=f"mutual_info has no option {next(iter(option))!r}"):
        miscreen.mutual_info(x, x, **option)
    assert miscreen.mutual_info(x, x, "ksg", k=5, threads=1, memory="1GB", max_levels=5, min_samples=5) > 0


def test_options_without_effect_on_a_table_are_refused() -> None:
    table = np.random.default_rng(0).standard_normal((50, 2))
    for option, words in (({"read": miscreen.ReadOptions(";")}, "no delimited text"), ({"workers": 4}, "workers")):
        with pytest.raises(InputError, match=words):
            miscreen.rank(table, "b", names=["a", "b"], **option)

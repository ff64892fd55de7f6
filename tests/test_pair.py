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


def test_kinds_can_be_forced() -> None:
    steps = np.round(X).astype(int)
    assert miscreen.mutual_info(steps, Y) == miscreen.mutual_info(steps, Y, x_kind="discrete")
    assert miscreen.mutual_info(steps, Y) != miscreen.mutual_info(steps, Y, x_kind="continuous")
    assert miscreen.mutual_info(Y, steps) != miscreen.mutual_info(Y, steps, y_kind="continuous")


def test_what_is_no_pair_is_refused() -> None:
    for x, message in ((X[:, None], "one-dimensional"), (X[:9], "9 values"), (3, "cannot be read"), ("xy", "one-dim")):
        with pytest.raises(InputError, match=message):
            miscreen.mutual_info(x, Y)
    with pytest.raises(InputError, match="no kind 'words'"):
        miscreen.mutual_info(X, Y, x_kind="words")
    with pytest.raises(DataError, match="x has no estimate: constant"):
        miscreen.mutual_info(np.ones(150), Y)


def test_a_typed_script_runs() -> None:
    runpy.run_path(str(Path(__file__).parent / "typed_use.py"))
    assert (Path(miscreen.__file__).parent / "py.typed").is_file()


def test_information_that_is_not_to_be_found_is_refused() -> None:
    with pytest.raises(InputError, match="mi=False"):
        miscreen.mutual_info([1.0, 2.0], [1.0, 2.0], mi=False)

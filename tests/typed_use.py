"""What a user's script looks like to a type checker: `make lint` reads it, and a test runs it."""

from __future__ import annotations

from typing import assert_type

import numpy as np
import polars as pl

import miscreen
from miscreen.sklearn import MutualInfoSelector

rng = np.random.default_rng(0)
values = rng.standard_normal((100, 12))
table = pl.DataFrame(values, schema=[*(f"x{i}" for i in range(11)), "y"])

ranking = assert_type(miscreen.rank(table, target="y", method="bin", bins=6), miscreen.Ranking)
assert_type(ranking.names, list[str])
assert_type(ranking.top(3).to_polars(), pl.DataFrame)
assert_type(miscreen.select(table, "y", top=2), miscreen.Selection)
assert_type(miscreen.mutual_info(values[:, 0], table["y"], unit="bits"), float)
assert_type(miscreen.evaluate(table, "y", k=3, model="ridge", folds=2), miscreen.Evaluation)
assert_type(miscreen.describe(table).n_samples, int)
assert_type(MutualInfoSelector(k=2).fit(values[:, :11], values[:, 11]), MutualInfoSelector)

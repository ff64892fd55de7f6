"""Intervals: whether they cover the truth, depend on nothing else, and say what is wrong with a request."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from cases import SHAPES

import miscreen
from miscreen.errors import InputError
from miscreen.inference.intervals import student_quantile

CHOSEN = (
    "gaussian, r = -0.6", "quadratic", "narrow band", "three uneven classes", "class feature", "zeros by class",
    "staircase", "two raters",
)  # fmt: skip


def intervals(case: str, n_tables: int, n: int, method: str = "ksg", **options: object) -> np.ndarray:
    """Ends of intervals for so many tables of one feature."""
    found = []
    discrete = ["x"] if SHAPES[case].x_kind == "discrete" else []
    for seed in range(n_tables):
        x, y = SHAPES[case].sample(seed, n)
        ranking = miscreen.rank(
            np.stack((x, y), axis=1), "y", method, names=["x", "y"], threads=1,
            target_kind=SHAPES[case].y_kind, discrete=discrete, **{"ci": 0.95, **options},
        )  # fmt: skip
        row = ranking.to_arrow().to_pylist()[0]
        found.append((row["ci_low"], row["ci_high"]))
    return np.array(found)


def misses(ends: np.ndarray, truth: float) -> int:
    return int(np.count_nonzero((truth < ends[:, 0]) | (ends[:, 1] < truth)))


@pytest.mark.parametrize("case", CHOSEN)
def test_intervals_cover_the_truth(case: str) -> None:
    """Misses are binomial of at most 8 %: four standard errors above that would be an interval that is too short."""
    ends = intervals(case, 40, 500)
    assert misses(ends, SHAPES[case].mi) <= 40 * 0.08 + 4 * math.sqrt(40 * 0.08 * 0.92)
    assert (ends[:, 0] < ends[:, 1]).all()


def test_intervals_are_not_so_wide_that_they_say_nothing() -> None:
    """Beside those of `copula`, which takes the shape of the dependence for granted."""
    widths = [np.diff(intervals("gaussian, r = -0.6", 20, 500, method)).mean() for method in ("ksg", "copula")]
    assert widths[0] < 3 * widths[1]


@pytest.mark.parametrize("method", ["copula", "pearson", "spearman"])
def test_those_of_correlations_cover_a_gaussian_pair(method: str) -> None:
    ends = intervals("gaussian, r = -0.6", 300, 100, method)
    assert abs(misses(ends, SHAPES["gaussian, r = -0.6"].mi) - 15) <= 4 * math.sqrt(300 * 0.05 * 0.95)


def test_those_of_pearson_are_those_of_scipy() -> None:
    x, y = SHAPES["gaussian, r = 0.3"].sample(1, 200)
    found = scipy.stats.pearsonr(x, y).confidence_interval(0.95)
    expected = [-0.5 * math.log1p(-(r**2)) for r in found]
    np.testing.assert_allclose(intervals("gaussian, r = 0.3", 2, 200, "pearson")[1], expected, rtol=1e-9)


@pytest.mark.parametrize("p", [0.9, 0.975, 0.995])
def test_student_quantiles_are_those_of_scipy(p: float) -> None:
    assert student_quantile(p, 11) == pytest.approx(scipy.stats.t.ppf(p, 11), rel=1e-3)


def test_half_samples_agree_with_the_jackknife() -> None:
    jackknife, halves = (np.diff(intervals("two classes", 10, 300, bootstrap=b)).mean() for b in (None, 100))
    assert 0.6 < halves / jackknife < 1.2


def table() -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((120, 9))
    values[:, 1] = np.round(values[:, 1])
    values[:, 2:4] += values[:, 8:]
    values[:20, 3] = np.nan
    return values


@pytest.mark.parametrize("bootstrap", [None, 30])
def test_a_feature_has_its_interval_whatever_stands_beside_it(bootstrap: int | None) -> None:
    names = [f"c{i}" for i in range(8)] + ["y"]
    options = {"method": "kde", "ci": 0.9, "bootstrap": bootstrap, "threads": 1}
    whole = {r["feature"]: r for r in miscreen.rank(table(), "y", names=names, **options).to_arrow().to_pylist()}
    for kept in (["c1", "c3"], ["c3"]):
        some = miscreen.rank(table(), "y", names=names, features=kept, **options | {"threads": 2})
        for row in some.to_arrow().to_pylist():
            assert (row["ci_low"], row["ci_high"]) == tuple(whole[row["feature"]][c] for c in ("ci_low", "ci_high"))
    shuffled = miscreen.rank(table()[:, ::-1], "y", names=names[::-1], **options).to_arrow().to_pylist()
    assert {r["feature"]: r["ci_low"] for r in shuffled} == {n: r["ci_low"] for n, r in whole.items()}


def test_ends_have_the_unit_of_the_ranking() -> None:
    nats, bits = (intervals("two classes", 1, 300, unit=u)[0] for u in ("nats", "bits"))
    np.testing.assert_allclose(bits, nats / math.log(2), rtol=1e-15)


def test_features_without_a_score_have_none() -> None:
    values = table()
    values[:, 0] = 1.0
    ranking = miscreen.rank(values, "y", names=[*"abcdefgh", "y"], ci=0.95)
    row = next(r for r in ranking.to_arrow().to_pylist() if r["feature"] == "a")
    assert row["ci_low"] is None and row["ci_high"] is None


@pytest.mark.parametrize(
    "options", [{"ci": 0}, {"ci": 1.0}, {"ci": 95}, {"ci": True}, {"bootstrap": 100}, {"ci": 0.9, "bootstrap": 5}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        miscreen.rank(table(), "y", names=[*"abcdefgh", "y"], **options)

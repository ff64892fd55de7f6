"""Intervals: whether they cover the truth, depend on nothing else, and say what is wrong with a request."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from cases import SHAPES
from pairs import batch_of, target_of

import miscreen
from miscreen.errors import InputError
from miscreen.estimators import plugin
from miscreen.estimators.plugin import plugin_with_errors, row_variances
from miscreen.inference.intervals import Intervals
from miscreen.model import Kind, Scores, codes_by_appearance

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


@pytest.mark.parametrize("target", ["classes", "feature"])
@pytest.mark.parametrize(("n", "n_classes"), [(400, 10), (60, 2), (800, 40), (200, 20)])
def test_small_classes_have_intervals_that_cover_the_truth(n: int, n_classes: int, target: str) -> None:
    """Each class is a Gaussian. Far neighbours would pass the ends of a class, and point to the wrong side."""
    means = 0.7 * np.arange(n_classes)
    x = np.linspace(-8.0, means[-1] + 8.0, 20_001)
    density = scipy.stats.norm.pdf(x[:, np.newaxis] - means).mean(axis=1)
    truth = -np.trapezoid(density * np.log(density), x) - 0.5 * math.log(2 * math.pi * math.e)
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        classes = np.arange(n) % n_classes
        values = means[classes] + rng.standard_normal(n)
        pair = (values, classes) if target == "classes" else (classes, values)
        kinds: dict[str, Any] = {"target_kind": "discrete"} if target == "classes" else {"discrete": ["x"]}
        row = miscreen.rank(np.stack(pair, axis=1), "y", "ksg", names=["x", "y"], ci=0.95, threads=1, **kinds)
        found.append([row.to_arrow().to_pylist()[0][end] for end in ("ci_low", "ci_high")])
    assert misses(np.array(found), float(truth)) <= 60 * 0.08 + 4 * math.sqrt(60 * 0.08 * 0.92)


@pytest.mark.parametrize(("apart", "n"), [(4.0, 100), (5.0, 1000)])
def test_classes_that_hardly_overlap_have_intervals_that_cover_the_truth(apart: float, n: int) -> None:
    """By chance hardly a sample lies amid the other class, and all terms are alike."""
    x = np.linspace(-8.0, apart + 8.0, 20_001)
    density = scipy.stats.norm.pdf(x[:, np.newaxis] - [0.0, apart]).mean(axis=1)
    truth = -np.trapezoid(density * np.log(density), x) - 0.5 * math.log(2 * math.pi * math.e)
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        classes = rng.integers(0, 2, n)
        target, batch = target_of(classes, Kind.DISCRETE), batch_of(apart * classes + rng.standard_normal(n))
        found.append(np.ravel(Intervals(target, 0.95).around(batch, ["x"], Scores(np.zeros(1), "ksg"))))
    assert misses(np.array(found), float(truth)) <= 200 * 0.08 + 4 * math.sqrt(200 * 0.08 * 0.92)


@pytest.mark.parametrize(("levels", "n", "share"), [(4, 50, 0.95), (8, 100, 0.7), (16, 200, 0.7), (16, 500, 0.95)])
def test_tables_of_few_samples_a_cell_have_intervals_that_cover_the_truth(levels: int, n: int, share: float) -> None:
    cells = np.full((levels, levels), (1 - share) / levels**2) + np.eye(levels) * share / levels
    truth = float(np.sum(cells * np.log(cells * levels**2)))
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, levels, n)
        x = np.where(rng.random(n) < share, y, rng.integers(0, levels, n))
        kinds: dict[str, Any] = {"target_kind": "discrete", "discrete": ["x"]}
        row = miscreen.rank(np.stack((x, y), axis=1), "y", "bin", names=["x", "y"], ci=0.95, threads=1, **kinds)
        found.append([row.to_arrow().to_pylist()[0][end] for end in ("ci_low", "ci_high")])
    assert misses(np.array(found), truth) <= 60 * 0.08 + 4 * math.sqrt(60 * 0.08 * 0.92)


def test_half_samples_without_an_estimate_are_left_out() -> None:
    """Such as those in which no class but one has two samples."""
    rng = np.random.default_rng(1)
    classes = np.arange(40) < 3
    values = rng.standard_normal((40, 30)) + classes[:, np.newaxis]
    ranking = miscreen.rank(
        np.column_stack((values, classes)), "y", "ksg", names=[*(f"x{i}" for i in range(30)), "y"],
        target_kind="discrete", ci=0.95, bootstrap=40, threads=1,
    )  # fmt: skip
    assert ranking.to_polars()["ci_low"].null_count() == 0


@pytest.mark.parametrize("step", [0.01, 0.1])
def test_steps_are_not_taken_for_information(step: float) -> None:
    """Independent columns in steps of which neighbours see the ties: ends on both sides of 0, about `mi_nats`."""
    rng = np.random.default_rng(4)
    values = np.round(rng.standard_normal((1000, 41)) / step) * step
    names = [*(f"x{i}" for i in range(40)), "y"]
    rows = miscreen.rank(values, "y", names=names, ci=0.95, threads=1).to_arrow().to_pylist()
    assert sum(row["ci_low"] <= 0 <= row["ci_high"] for row in rows) >= 33
    assert sum(row["ci_low"] <= row["mi_nats"] <= row["ci_high"] for row in rows) >= 33


def test_intervals_are_not_so_wide_that_they_say_nothing() -> None:
    """Beside those of `copula`, which takes the shape of the dependence for granted."""
    widths = [np.diff(intervals("gaussian, r = -0.6", 20, 500, method)).mean() for method in ("ksg", "copula")]
    assert widths[0] < 2 * widths[1]


@pytest.mark.parametrize("method", ["copula", "pearson", "spearman"])
def test_those_of_correlations_cover_a_gaussian_pair(method: str) -> None:
    ends = intervals("gaussian, r = -0.6", 300, 100, method)
    assert abs(misses(ends, SHAPES["gaussian, r = -0.6"].mi) - 15) <= 4 * math.sqrt(300 * 0.05 * 0.95)


def test_those_of_pearson_are_those_of_scipy() -> None:
    x, y = SHAPES["gaussian, r = 0.3"].sample(1, 200)
    found = scipy.stats.pearsonr(x, y).confidence_interval(0.95)
    expected = [-0.5 * math.log1p(-(r**2)) for r in found]
    np.testing.assert_allclose(intervals("gaussian, r = 0.3", 2, 200, "pearson")[1], expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["copula", "pearson", "spearman"])
def test_those_of_correlations_of_either_sign_begin_at_nothing(method: str) -> None:
    table = np.random.default_rng(3).standard_normal((200, 2))
    found = miscreen.rank(table, "y", method, names=["x", "y"], ci=0.95).to_arrow().to_pylist()[0]
    ends = scipy.stats.pearsonr(*table.T).confidence_interval(0.95)
    assert ends.low < 0.0 < ends.high
    assert found["ci_low"] == 0.0 < found["ci_high"]


def test_half_samples_agree_with_the_local_terms() -> None:
    """Halves have noise of their own where neighbours are few: a larger error, by less than half."""
    terms, halves = (np.diff(intervals("two classes", 10, 300, bootstrap=b)).mean() for b in (None, 100))
    assert 0.8 < halves / terms < 1.6


def test_errors_of_counts_are_those_of_many_samples() -> None:
    """The standard deviation of 400 estimates, within four of its own; larger where there is no information."""
    for strength, excess in ((0.0, 0.4), (0.1, 0.1), (0.6, 0.0)):
        rng = np.random.default_rng(7)
        found, errors = [], []
        for _ in range(400):
            y = rng.integers(0, 3, 300).astype(float)
            x = np.where(rng.random(300) < strength, y, rng.integers(0, 4, 300)).astype(float)
            x[rng.random(300) < 0.1] = np.nan
            target = target_of(codes_by_appearance(y).astype(float), Kind.DISCRETE)
            batch = batch_of(x, Kind.DISCRETE)
            mi, _, error = plugin_with_errors(target, batch)
            found.append(mi[0])
            errors.append(error[0])
        ratio = np.mean(errors) / np.std(found, ddof=1)
        assert -4 / math.sqrt(2 * 400) < ratio - 1 < excess + 4 / math.sqrt(2 * 400)


def table() -> np.ndarray:
    rng = np.random.default_rng(3)
    values = rng.standard_normal((120, 9))
    values[:, 1] = np.round(values[:, 1])
    values[:, 2:4] += values[:, 8:]
    values[:20, 3] = np.nan
    return values


def test_rows_with_gaps_have_the_variance_of_what_is_there_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    for n in (3, 40, 700):
        terms = rng.standard_normal((60, n)) + 5.0
        terms[20:][rng.random((40, n)) < rng.uniform(0.0, 0.1, (40, 1))] = np.nan
        terms[0], terms[1, 1:] = np.nan, np.nan
        rows = [row[~np.isnan(row)] for row in terms]
        expected = [row.var(ddof=1) if len(row) > 1 else np.nan for row in rows]
        np.testing.assert_array_equal(row_variances(terms, ~np.isnan(terms)), expected)
        np.testing.assert_array_equal(row_variances(terms[2:9], np.ones((7, n), dtype=bool)), expected[2:9])


def test_tables_of_counts_are_estimated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle of an interval says how far its ends move, too."""
    counted: list[int] = []
    paired_mi = plugin.paired_mi

    def noted(rows: np.ndarray, *others: object) -> None:
        counted.append(len(rows))
        paired_mi(rows, *others)

    monkeypatch.setattr(plugin, "paired_mi", noted)
    rng = np.random.default_rng(0)
    target = target_of(rng.integers(0, 3, 90).astype(float), Kind.DISCRETE)
    batch = batch_of(rng.integers(0, 3, (4, 90)).astype(float), Kind.DISCRETE)
    low, high = Intervals(target, 0.95).around(batch, list("abcd"), Scores(np.zeros(4), "plug-in"))
    assert (low < high).all()
    assert counted == [4, 4], "with the jackknife and without"


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
    few = miscreen.rank(table()[30:48], "y", "ksg", names=[*"abcdefgh", "y"], k=18, ci=0.95).to_arrow()
    assert few["status"].to_pylist() == ["no estimate"] * 8
    assert few["ci_low"].null_count == few["ci_high"].null_count == 8


@pytest.mark.parametrize(
    "options", [{"ci": 0}, {"ci": 1.0}, {"ci": 95}, {"ci": True}, {"bootstrap": 100}, {"ci": 0.9, "bootstrap": 5}]
)
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        miscreen.rank(table(), "y", names=[*"abcdefgh", "y"], **options)

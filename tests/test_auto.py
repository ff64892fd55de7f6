"""The default method: what it ranks by, held to a slow reference and to tables whose true columns are known."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import polars as pl
import pytest
from cases import SHAPES
from designs import DESIGNS, auroc
from numpy.typing import NDArray
from pairs import batch_of, target_of

import miscreen
from miscreen.errors import InputError
from miscreen.estimators import auto, estimator_class
from miscreen.estimators.auto import Auto, AutoOptions
from miscreen.estimators.correlation import Copula, Pearson
from miscreen.estimators.estimator import NoOptions
from miscreen.estimators.kde import Kde, KdeOptions
from miscreen.estimators.ksg import Ksg, KsgOptions
from miscreen.inference.permutation import Permuter
from miscreen.kernels.margins import ascending_scores
from miscreen.kernels.ranks import normal_score_table
from miscreen.model import Kind

CONTINUOUS, DISCRETE = Kind.CONTINUOUS, Kind.DISCRETE
Floats = NDArray[np.float64]


def evidence(features: Floats, y: Floats, *, x_labels: bool = False, y_labels: bool = False) -> Floats:
    target = target_of(y, DISCRETE if y_labels else CONTINUOUS, nominal=y_labels)
    return Auto(target, AutoOptions()).statistic(
        batch_of(features, DISCRETE if x_labels else CONTINUOUS, nominal=x_labels)
    )


def columns(rng: np.random.Generator, n: int) -> dict[str, Floats]:
    y = rng.standard_normal(n)
    return {
        "untied": y**2 + rng.standard_normal(n),
        "mostly zero": np.where(rng.random(n) < 0.7, 0.0, y),
        "rarely not zero": np.where(rng.random(n) < 0.9, 0.0, y),
        "steps": np.round(y + rng.standard_normal(n)),
        "two levels": (y + rng.standard_normal(n) > 0.5).astype(np.float64),
        "three levels": rng.integers(0, 3, n).astype(np.float64),
    }


@pytest.mark.parametrize("x_labels", [False, True])
@pytest.mark.parametrize("y_labels", [False, True])
def test_evidence_is_that_of_the_slow_reference(x_labels: bool, y_labels: bool) -> None:
    given = columns(np.random.default_rng(3), 120)
    few = [name for name in given if name.endswith("levels")]
    for target in few if y_labels else given:
        for feature in few if x_labels else given:
            x, y = given[feature].copy(), given[target]
            found = evidence(x, y, x_labels=x_labels, y_labels=y_labels)
            expected = naive.evidence(x.tolist(), y.tolist(), x_labels, y_labels)
            np.testing.assert_allclose(found, [expected], rtol=1e-9, atol=1e-9, err_msg=f"{feature}, {target}")


def test_evidence_of_many_samples_in_few_places_is_that_of_the_slow_reference() -> None:
    """Functions of a part of the ranks are all but dependent on each other, which magnifies rounding."""
    rng = np.random.default_rng(10)
    y, noise = rng.standard_normal((2, 1000))
    for zeros in (0.3, 0.69, 0.9):
        x = np.where(rng.random(1000) < zeros, 0.0, np.exp(noise))
        np.testing.assert_allclose(evidence(x, y), [naive.evidence(x.tolist(), y.tolist(), False, False)], atol=1e-5)


def test_evidence_of_rare_classes_and_sparse_columns_is_that_of_the_slow_reference() -> None:
    rng = np.random.default_rng(11)
    n = 200
    rare = np.zeros(n)
    rare[:100], rare[100:102], rare[102] = 1.0, 2.0, 3.0
    given = {
        "counts": rng.poisson(rng.gamma(0.5, 3.0, n)).astype(np.float64),
        "rarely not zero": np.where(rng.random(n) < 0.9, 0.0, rng.exponential(size=n)),
        "either side of zero": np.where(np.arange(n) % 50 == 0, rng.choice((-1.0, 1.0), n), 0.0),
        "one apart": (np.arange(n) == 0) * 1.0,
    }
    for x in given.values():
        for y, y_labels in ((rare, True), *((y, False) for y in given.values())):
            expected = naive.evidence(x.tolist(), y.tolist(), False, y_labels)
            np.testing.assert_allclose(evidence(x, y, y_labels=y_labels), [expected], rtol=1e-6, atol=1e-9)


def test_missing_samples_are_as_if_they_were_not_there() -> None:
    rng = np.random.default_rng(4)
    given = columns(rng, 150)
    for x in given.values():
        holed = np.where(rng.random(150) < 0.3, np.nan, x)
        here = ~np.isnan(holed)
        for y in given.values():
            for y_labels in (False, len(np.unique(y)) < 4):
                whole = evidence(np.ascontiguousarray(holed[here]), np.ascontiguousarray(y[here]), y_labels=y_labels)
                np.testing.assert_array_equal(evidence(holed, y, y_labels=y_labels), whole)


def test_evidence_follows_ranks_and_sides_alike() -> None:
    given = columns(np.random.default_rng(5), 200)
    for x in given.values():
        for y in given.values():
            found = evidence(x, y)
            np.testing.assert_array_equal(evidence(x**3 * 5, np.exp(y)), found)
            np.testing.assert_allclose(evidence(y, x), found, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(evidence(-x, y), found, rtol=1e-9, atol=1e-12)


def test_two_levels_are_alike_as_numbers_and_as_labels() -> None:
    given = columns(np.random.default_rng(6), 200)
    for name, x in given.items():
        as_labels = evidence(x, given["two levels"], y_labels=True)
        np.testing.assert_allclose(evidence(x, given["two levels"]), as_labels, rtol=1e-9)
        if name.endswith("levels"):
            both = evidence(x, given["two levels"], x_labels=True, y_labels=True)
            np.testing.assert_allclose(evidence(x, given["two levels"], x_labels=True), both, rtol=1e-9)


@pytest.mark.parametrize("periods", [2, 3, 5])
def test_waves_are_found_beside_classes(periods: int) -> None:
    rng = np.random.default_rng(periods)
    x = rng.random(300)
    wave = np.cos(2 * np.pi * periods * x) + 0.3 * rng.standard_normal(300)
    for y in (np.sign(wave), np.digitize(wave, (-0.5, 0.5)).astype(np.float64)):
        assert evidence(x, y, y_labels=True)[0] > 40


def test_a_rare_class_leaves_the_evidence_of_the_others() -> None:
    """Such as a label that was misspelt once."""
    rng = np.random.default_rng(12)
    v = rng.standard_normal(1000)
    x = np.where(rng.random(1000) < 0.7, 0.0, np.exp(v))
    y = np.where(np.abs(v) < 0.6, 1.0, 0.0)
    whole = evidence(x, y, y_labels=True)[0]
    y[0] = 2.0
    assert whole > 50
    assert abs(evidence(x, y, y_labels=True)[0] - whole) < 10


@pytest.mark.parametrize("name", ["two classes skewed apart", "skewed along the target"])
def test_skewness_is_seen_where_location_and_spread_are_alike(name: str) -> None:
    table = DESIGNS[name].sample(0)
    found = evidence(table.features, table.target, y_labels=DESIGNS[name].target_discrete)
    linear = np.array([abs(np.corrcoef(x, table.target)[0, 1]) for x in table.features])
    assert auroc(linear, table.truth) < 0.6 < 0.75 < auroc(found, table.truth)


def test_evidence_stays_finite_and_apart_where_dependence_is_strong() -> None:
    y = np.random.default_rng(7).standard_normal(3000)
    noise = np.random.default_rng(8).standard_normal(3000)
    found = evidence(np.stack([y + s * noise for s in (0.03, 0.1, 0.3, 1.0, 3.0)]), y)
    assert np.isfinite(found).all() and (np.diff(found) < 0).all() and found[0] > 3000


@pytest.mark.parametrize(("n", "p"), [(200, 2000), (1000, 1000)])
def test_independent_columns_of_all_kinds_score_alike(n: int, p: int) -> None:
    """Of each kind about as many exceed the bound as of all: none of the kinds crowds the top."""
    rng = np.random.default_rng(9)
    normal = rng.standard_normal((p, n))
    kinds = {
        "untied": normal,
        "missing": np.where(rng.random((p, n)) < 0.4, np.nan, normal),
        "half zero": np.where(rng.random((p, n)) < 0.5, 0.0, normal),
        "mostly zero": np.where(rng.random((p, n)) < 0.9, 0.0, normal),
        "steps": np.round(normal),
        "genotypes": rng.binomial(2, 0.3, (p, n)).astype(np.float64),
        "rare": rng.binomial(2, 0.03, (p, n)).astype(np.float64),
    }
    for y, y_labels in ((rng.standard_normal(n), False), ((np.arange(n) % 10 == 0) * 1.0, True)):
        for kind, features in kinds.items():
            found = evidence(features[features.std(axis=1) != 0], y, y_labels=y_labels)
            assert np.mean(found > 1.3) < 0.01 + 4 * np.sqrt(0.01 / p), kind
            assert found.min() > -0.6 and np.mean(np.exp(np.minimum(found, 9.0))) < 1.3, kind


@pytest.mark.parametrize("n", [400, 3000])
def test_a_few_extreme_samples_are_no_evidence(n: int) -> None:
    """Counts and rounded values have functions that set a few samples apart, and these coincide by chance."""
    rng = np.random.default_rng(n)
    kinds = {
        "counts": lambda *shape: rng.poisson(1.0, shape).astype(np.float64),
        "uneven counts": lambda *shape: rng.poisson(rng.gamma(0.3, 3.0, shape)).astype(np.float64),
        "steps": lambda *shape: np.round(1.5 * rng.standard_normal(shape)),
        "mostly zero": lambda *shape: np.where(rng.random(shape) < 0.8, 0.0, rng.exponential(size=shape)),
        "either side of zero": lambda *shape: rng.choice((-1.0, 0.0, 1.0), shape, p=(0.015, 0.97, 0.015)),
    }
    rare = (np.arange(n) % 2).astype(np.float64)
    rare[:5] = np.arange(2.0, 7.0)
    for feature, drawn in kinds.items():
        for target, kind in kinds.items():
            assert evidence(drawn(2000, n), kind(n)).max() < 12.0, f"{feature}, {target}"
        assert evidence(drawn(2000, n), rare, y_labels=True).max() < 12.0, feature


@pytest.mark.parametrize(
    ("name", "rivals"),
    [
        ("linear, continuous, 40 true", [Pearson]),
        ("quadratic, binary, 40 true", [Kde]),
        ("line, 5 to 40 % missing", [Copula]),
        ("sine, 4 periods", [Kde]),
        ("two classes shifted", [Pearson]),
    ],
)
def test_it_finds_what_the_best_single_method_finds(name: str, rivals: list[Any]) -> None:
    """Within a few hundredths on a single table, whose own chance is that large."""
    design = DESIGNS[name]
    screen = design.sample(0)
    target = target_of(screen.target, DISCRETE if design.target_discrete else CONTINUOUS)
    batch = batch_of(screen.features)
    found = auroc(Auto(target, AutoOptions()).statistic(batch), screen.truth)
    for rival in rivals:
        options = KdeOptions(bandwidth_multiplier=2.0) if rival is Kde else NoOptions()
        assert found > auroc(rival(target, options).statistic(batch), screen.truth) - 0.03


def test_without_mi_the_score_is_the_same_and_its_column_empty() -> None:
    given = columns(np.random.default_rng(10), 100)
    batch, target = batch_of(np.stack(list(given.values()))), target_of(given["untied"])
    with_mi, without = (Auto(target, AutoOptions(mi=mi)).score(batch) for mi in (True, False))
    np.testing.assert_array_equal(with_mi.score, without.score)
    np.testing.assert_array_equal(with_mi.score, Auto(target, AutoOptions()).statistic(batch))
    assert np.isfinite(with_mi.mi).all() and np.isnan(without.mi).all()
    with pytest.raises(InputError, match="mi must be True or False, not 'no'"):
        AutoOptions(mi="no")  # type: ignore[arg-type]


def nats(x: Floats, y: Floats, x_kind: Kind = CONTINUOUS, y_kind: Kind = CONTINUOUS) -> tuple[Floats, list[str]]:
    found = Auto(target_of(y, y_kind), AutoOptions()).score(batch_of(x, x_kind))
    return found.mi, [found.method] * len(found.mi) if isinstance(found.method, str) else list(found.method)


def independent(n: int, p: int) -> dict[str, tuple[Floats, Floats, Kind, Kind]]:
    """Features and a target that have nothing to do with them, of kinds whose ties mislead some estimator."""
    rng = np.random.default_rng(12)
    x, y = rng.standard_normal((p, n)), rng.standard_normal(n)
    classes = rng.integers(0, 3, n).astype(np.float64)
    many = rng.integers(0, 25, n).astype(np.float64)
    zeros = np.where(rng.random((p, n)) < 0.5, 0.0, x)
    steps = np.round(10 * x)
    levels = rng.integers(0, 3, (p, n)).astype(np.float64)
    return {
        "untied": (x, y, CONTINUOUS, CONTINUOUS),
        "zeros": (zeros, y, CONTINUOUS, CONTINUOUS),
        "steps": (steps, y, CONTINUOUS, CONTINUOUS),
        "steps, both": (steps, np.round(10 * y), CONTINUOUS, CONTINUOUS),
        "levels": (levels, y, DISCRETE, CONTINUOUS),
        "classes": (x, classes, CONTINUOUS, DISCRETE),
        "classes, zeros": (zeros, classes, CONTINUOUS, DISCRETE),
        "many classes, steps": (steps, many, CONTINUOUS, DISCRETE),
        "both discrete": (levels, classes, DISCRETE, DISCRETE),
    }


@pytest.mark.parametrize("large", [True, False])
def test_nats_of_two_orders_are_those_of_the_slow_reference(*, large: bool) -> None:
    """Weak, medium and strong dependence, with ties and without; of many samples a part is looked at first."""
    n = 520 if large else 160
    rng = np.random.default_rng(11)
    y, noise = rng.standard_normal((2, n))
    given = {f"line and noise, {share}": share * y + (1 - share) * noise for share in (0.0, 0.15, 0.3, 0.4, 0.5, 0.9)}
    given |= {f"zeros, {name}": np.where(noise > 0, x, 0.0) for name, x in given.items() if not large}
    methods = set()
    for name, x in given.items():
        scores = [
            ascending_scores(side, order, normal_score_table(n))[np.argsort(order)].tolist()
            for side in (x, y)
            for order in [np.argsort(side, kind="stable")]
        ]
        auto = Auto(target_of(y), AutoOptions())
        _, (series,) = auto._evidence(batch_of(x))
        if not large:
            by_hand = naive.evidence_and_series(x.tolist(), y.tolist(), False, False)[1]
            np.testing.assert_allclose(series, by_hand, rtol=1e-6, atol=1e-12, err_msg=name)
        expected = naive.combined_mi(*scores, float(series), name.startswith("zeros"))
        found, method = nats(x, y)
        np.testing.assert_allclose(found, [expected], rtol=1e-9, atol=1e-12, err_msg=name)
        methods.update(method)
    assert methods == {"combined", "ksg"} | (set() if large else {"gao"})


def test_nats_follow_neighbours_where_the_functions_see_nothing() -> None:
    rng = np.random.default_rng(15)
    x = rng.uniform(size=1000)
    y = np.cos(2 * np.pi * 10 * x) + 0.1 * rng.standard_normal(1000)
    mi, _ = nats(x, y)
    by_neighbors = Ksg(target_of(y), KsgOptions(k=4, scale="rank")).score(batch_of(x)).mi
    assert evidence(x, y) < 1.0 and 0.3 < by_neighbors == mi


def test_nats_of_independent_columns_are_zero_on_average() -> None:
    for name, given in independent(1000, 200).items():
        mi, _ = nats(*given)
        error = np.std(mi, ddof=1) / np.sqrt(len(mi))
        assert abs(mi.mean()) < 0.003 + 4 * error, name
        assert error < 0.002, name


@pytest.mark.parametrize(
    ("case", "bias", "method"),
    [
        ("gaussian, r = -0.6", 0.01, "combined"),
        ("two waves", 0.02, "ksg"),
        ("narrow band", 0.07, "ksg"),
        ("zero-inflated, r = 0", 0.003, "combined"),
        ("staircase", 0.02, "gao"),
        ("rounded, steps of 0.5", 0.01, "combined"),
        ("three uneven classes", 0.01, "bin"),
        ("zeros by class", 0.01, "bin"),
        ("class feature", 0.01, "ross"),
        ("table", 0.01, "plug-in"),
    ],
)
def test_nats_are_those_of_known_distributions(case: str, bias: float, method: str) -> None:
    known = SHAPES[case]
    kinds = [DISCRETE if kind == "discrete" else CONTINUOUS for kind in (known.x_kind, known.y_kind)]
    found = []
    for seed in range(30):
        mi, methods = nats(*known.sample(seed, 1000), *kinds)
        assert methods == [method]
        found.append(mi[0])
    assert abs(np.mean(found) - known.mi) < bias + 4 * np.std(found, ddof=1) / np.sqrt(30)


@pytest.mark.parametrize("kinds", [(CONTINUOUS, DISCRETE), (DISCRETE, CONTINUOUS)])
def test_beside_many_classes_fewer_neighbours_are_taken_where_there_is_much_to_find(kinds: tuple[Kind, Kind]) -> None:
    rng = np.random.default_rng(16)
    classes = np.repeat(np.arange(20.0), 50)
    for step, k in ((0.02, 10), (0.5, 5)):
        x = step * classes + rng.standard_normal(1000)
        feature, y = (x, classes) if kinds[0] == CONTINUOUS else (classes, x)
        expected = Ksg(target_of(y, kinds[1]), KsgOptions(k=k, scale="rank")).score(batch_of(feature, kinds[0])).mi
        mi, method = nats(feature, y, *kinds)
        assert (mi, method) == (expected, ["ross"])


@pytest.mark.parametrize("n", [40, 80, 200])
def test_few_steps_and_few_samples_leave_no_information_in_noise(n: int) -> None:
    rng = np.random.default_rng(n)

    def steps(normal: Floats) -> Floats:
        return np.round(1.3 * normal).clip(-3, 3)

    found = np.concatenate(
        [nats(steps(rng.standard_normal((20, n))), steps(rng.standard_normal(n)))[0] for _ in range(10)]
    )
    assert abs(found.mean()) < 0.03  # kept together, ties would leave 0.27, 0.18 and 0.04


def test_steps_that_tell_much_stay_together() -> None:
    """Told apart, five steps of 200 samples lose 0.16 of 1.06 nats."""
    case = SHAPES["staircase"]
    found = np.array([nats(*case.sample(seed, 200))[0][0] for seed in range(30)])
    assert abs(found.mean() - case.mi) < 0.06 + 4 * found.std(ddof=1) / np.sqrt(30)


@pytest.mark.parametrize("n", [40, 80])
def test_zeros_of_few_samples_keep_what_they_tell(n: int) -> None:
    rng = np.random.default_rng(n)
    found: list[Floats] = []
    for _ in range(60):
        y, spread = rng.standard_normal((2, n))
        zero = y + 0.3 * spread < -0.5475  # the lowest 30 %, which tell 0.431 nats
        x = np.where(zero, 0.0, np.exp(rng.standard_normal(n)))
        found += [nats(x, y)[0], nats(y, x)[0]]
    assert abs(np.mean(found) - 0.431) < 0.04  # told apart, they would have 0.31 and 0.36


def test_steps_take_no_information_from_the_order_of_the_rows() -> None:
    """Of a sorted table, ties told apart as they come would."""
    rng = np.random.default_rng(13)
    y = np.sort(rng.standard_normal(1000))
    mi, _ = nats(np.round(10 * rng.standard_normal((50, 1000))) / 10, y)
    assert abs(mi.mean()) < 0.003 + 4 * np.std(mi, ddof=1) / np.sqrt(50)


def test_every_pair_that_has_data_has_nats() -> None:
    rng = np.random.default_rng(14)
    for n in (4, 7, 12, 40):
        y = rng.standard_normal(n)
        halves = np.arange(n) % 2.0
        labels = np.arange(n) // 2 * 1.0
        features = np.stack((y, np.where(np.arange(n) < n - 1, 0.0, 1.0), np.where(np.arange(n) == 0, np.nan, y)))
        for target, kind in ((y, CONTINUOUS), (halves, DISCRETE), (labels, DISCRETE)):
            assert np.isfinite(nats(features, target, CONTINUOUS, kind)[0]).all()
            assert np.isfinite(nats(np.stack((halves, labels)), target, DISCRETE, kind)[0]).all()


def test_tied_columns_beside_many_or_rare_classes_have_little_bias_and_intervals_that_hold_it() -> None:
    rng = np.random.default_rng(3)
    n, m = 1000, 60
    counts, zeros = rng.poisson(3, (m, n)).astype(float), np.where(rng.random((m, n)) < 0.6, 0.0, rng.random((m, n)))
    rare, twenty = (np.arange(n) < 25).astype(float), np.arange(n) % 20.0
    for y in (rare, twenty):
        for x in (counts, zeros):
            names = [*(f"x{i}" for i in range(m)), "y"]
            found = miscreen.rank(np.vstack([x, y]).T, "y", names=names, target_kind="discrete", ci=0.95).to_polars()
            assert set(found["method"]) == {"bin"}
            assert abs(found["mi_nats"].mean()) < 0.006
            holds = (found["ci_low"] <= 0) & (found["ci_high"] >= 0)
            assert holds.mean() > 0.85


def test_rows_without_a_value_might_as_well_not_be_there() -> None:
    """Which estimator is used follows from the samples of the pair."""
    rng = np.random.default_rng(1)
    n = 150
    y = rng.integers(0, 2, n)
    x = rng.integers(0, 4, n) + 0.5 * y
    x[rng.random(n) < 0.6] = np.nan
    table = pl.DataFrame({"x": x, "y": y})
    found = [miscreen.rank(t, "y", ci=0.9).to_arrow().to_pylist() for t in (table, table.filter(~pl.col("x").is_nan()))]
    assert found[0] == found[1]


def test_tied_columns_are_what_they_are_alone_and_in_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    columns = {f"p{i}": rng.poisson(m, 1000).astype(float) for i, m in enumerate(np.linspace(0.2, 8, 40))}
    columns["p3"][rng.random(1000) < 0.3] = np.nan
    table = pl.DataFrame(columns | {"y": np.arange(1000) % 20})
    rows = {row["feature"]: row for row in miscreen.rank(table, "y", ci=0.95, threads=2).to_arrow().to_pylist()}
    for name in ("p2", "p3", "p18", "p39"):
        alone = miscreen.rank(table.select(name, "y"), "y", ci=0.95, threads=1).to_arrow().to_pylist()[0]
        assert alone | {"rank": 0} == rows[name] | {"rank": 0}
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=1)
    binned = [row for row in miscreen.rank(shuffled, "y").to_arrow().to_pylist() if row["method"] == "bin"]
    assert len(binned) > 20  # of the others a random order tells ties apart
    for row in binned:
        assert row["mi_nats"] == rows[row["feature"]]["mi_nats"]


def test_intervals_of_few_counts_among_zeros_hold_what_there_is() -> None:
    rng = np.random.default_rng(5)
    n, m, y = 1000, 60, np.arange(1000) % 10.0
    x = np.where(rng.random((m, n)) < 0.97, 0, 1 + rng.integers(0, 15, (m, n))).astype(float)
    names = [*(f"x{i}" for i in range(m)), "y"]
    kinds: dict[str, Any] = {"continuous": ["x*"], "target_kind": "discrete"}
    found = miscreen.rank(np.vstack([x, y]).T, "y", names=names, ci=0.95, **kinds).to_polars()
    assert ((found["ci_low"] <= 0) & (found["ci_high"] >= 0)).mean() > 0.85
    assert (found["mi_nats"] >= found["ci_low"]).all()


@pytest.mark.parametrize("case", ["twenty classes in a row", "twenty class features in a row"])
def test_ten_samples_a_class_do_for_the_information(case: str) -> None:
    """Ten neighbours would reach beyond the ends of every class, and find 0.14 nats too little."""
    found = []
    for seed in range(20):
        x, y = SHAPES[case].sample(seed, 200)
        kinds = Kind[SHAPES[case].x_kind.upper()], Kind[SHAPES[case].y_kind.upper()]
        target = target_of(y, kinds[1])
        batch = batch_of(x, kinds[0])
        found.append(Auto(target, AutoOptions()).score(batch).mi[0])
    assert np.mean(found) == pytest.approx(SHAPES[case].mi, abs=0.07)


@pytest.mark.parametrize("method", ["auto", "kde", "spearman", "copula"])
@pytest.mark.parametrize("labels", [False, True])
def test_columns_that_lack_other_numbers_of_samples_are_scored_as_each_alone(method: str, labels: bool) -> None:
    rng = np.random.default_rng(14)
    n = 150
    features = np.stack([*columns(rng, n).values()] * 5)
    for f, x in enumerate(features):
        x[rng.permutation(n)[: (0, 30, 7, 30, 0, 7, 90)[f % 7]]] = np.nan
    features[8], features[11, 1:] = np.nan, np.nan
    y = rng.integers(0, 3, n).astype(np.float64) if labels else rng.standard_normal(n)
    target = target_of(y, DISCRETE if labels else CONTINUOUS, nominal=labels)
    chosen = estimator_class(method)
    estimator = chosen(target, chosen.make_options({}))
    together = estimator.statistic(batch_of(features))
    np.testing.assert_array_equal(together, [estimator.statistic(batch_of(x))[0] for x in features])


def test_ranks_of_as_many_samples_are_described_once_for_all_arrangements(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[int] = []
    table = auto.function_table
    monkeypatch.setattr(auto, "function_table", lambda n: described.append(n) or table(n))
    rng = np.random.default_rng(15)
    estimator = Auto(target_of(rng.standard_normal(50), CONTINUOUS), AutoOptions())
    for missing in (7, 0, 7):
        values = np.where(np.arange(50) < missing, np.nan, rng.integers(0, 3, 50))
        permuter = Permuter(target_of(rng.standard_normal(50), CONTINUOUS), estimator.margin_free, 0, None)
        dealing = permuter.pattern(values, DISCRETE, False).dealing
        orders = dealing.orders(np.arange(3))
        assert estimator.drawn(dealing, range(3), np.inf, 4).tolist() == estimator.arranged(dealing, orders).tolist()
    assert described == [50, 43]

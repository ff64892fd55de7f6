"""Kernel densities, held to the slow references and to KDEpy."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from KDEpy import NaiveKDE
from KDEpy.bw_selection import improved_sheather_jones, scotts_rule, silvermans_rule
from KDEpy.kernel_funcs import _kernel_functions
from pairs import batch_of, target_of

from miscreen.errors import InputError
from miscreen.estimators.isj import isj_bandwidth
from miscreen.estimators.kde import POINTS_PER_GRID, Kde, KdeOptions
from miscreen.estimators.plugin import plugin_scores
from miscreen.kernels._jit import kernel
from miscreen.kernels.density import KERNELS
from miscreen.kernels.logarithm import logarithm, xlogx
from miscreen.kernels.spread import spread
from miscreen.model import Kind

CONTINUOUS, DISCRETE = Kind.CONTINUOUS, Kind.DISCRETE
PAIRS = [(a, b) for a in Kind for b in Kind]
SCALES = ["rank", "raw"]


def score(features, target, kind=CONTINUOUS, target_kind=CONTINUOUS, **options):
    return Kde(target_of(target, target_kind), KdeOptions(**options)).score(batch_of(features, kind)).mi


def samples(seed=0, n=200):
    """Continuous, tied, skewed, zero-inflated, two values and no relation; and a target."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    x = 0.8 * y + rng.standard_normal(n)
    rows = [x, x.round(), np.exp(x), np.where(x > 0, x, 0.0), np.where(x > 0.3, 1.0, -1.0), rng.standard_normal(n)]
    return np.array(rows), y


# ---- logarithm ---------------------------------------------------------------------------------------------


@kernel
def _logarithms(values, logarithms, products):
    for i in range(len(values)):
        logarithms[i] = logarithm(values[i])
        products[i] = xlogx(values[i])


def test_the_logarithm_is_right_to_1e_15():
    rng = np.random.default_rng(0)
    ranges = [(-708, 709), (-3, 3), (-0.36, 0.36)]
    x = np.concatenate(
        [*(np.exp(rng.uniform(a, b, 200_000)) for a, b in ranges), 1 + rng.uniform(-1e-9, 1e-9, 100_000)]
    )
    x = np.concatenate([x, 2.0 ** np.arange(-1022, 1024), [np.finfo(float).tiny, np.finfo(float).max]])
    found, products = np.empty_like(x), np.empty_like(x)
    _logarithms(x, found, products)
    np.testing.assert_allclose(found, np.log(x), rtol=1e-15, atol=0)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(products, x * found)


def test_zero_times_the_logarithm_of_zero_is_zero():
    x = np.array([0.0, -0.0, 5e-324, 1.0])
    products = np.empty(4)
    _logarithms(x, np.empty(4), products)
    assert np.all(np.abs(products) < 1e-300)


# ---- agreement ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("which", KERNELS)
def test_continuous_pairs_equal_the_naive_loops(which, scale):
    features, y = samples()
    scores = naive.normal_scores if scale == "rank" else list
    expected = [
        naive.kde_joint_mi(scores(x.tolist()), scores(y.tolist()), which, multiplier=1.5, grid=24) for x in features
    ]
    found = score(features, y, kernel=which, scale=scale, bandwidth_multiplier=1.5, grid=24)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("which", KERNELS)
def test_densities_per_class_equal_the_naive_loops(which, scale):
    features, y = samples(n=120)
    classes = np.floor(y)
    scores = naive.normal_scores if scale == "rank" else list
    expected = [
        naive.kde_class_mi(scores(x.tolist()), classes.tolist(), which, multiplier=1.5, points=64) for x in features
    ]
    options = {"kernel": which, "scale": scale, "bandwidth_multiplier": 1.5, "grid": 64 // POINTS_PER_GRID}
    np.testing.assert_allclose(score(features, classes, CONTINUOUS, DISCRETE, **options), expected, rtol=1e-10)
    swapped = [score(classes, x, DISCRETE, CONTINUOUS, **options)[0] for x in features]
    np.testing.assert_allclose(swapped, expected, rtol=1e-10)


@pytest.mark.parametrize("scale", SCALES)
def test_a_bandwidth_that_is_a_number_is_used_as_it_is(scale):
    features, y = samples()
    x = features[0]
    scores = naive.normal_scores if scale == "rank" else list
    x_scores, y_scores = scores(x.tolist()), scores(y.tolist())
    expected = naive.kde_joint_mi(x_scores, y_scores, x_bandwidth=0.25, y_bandwidth=0.25, multiplier=2.0)
    options = {"bandwidth": 0.25, "bandwidth_multiplier": 2.0, "scale": scale}
    np.testing.assert_allclose(score(x, y, **options), [expected], rtol=1e-10)
    per_class = naive.kde_class_mi(x_scores, np.sign(y).tolist(), bandwidth=0.25, multiplier=2.0)
    np.testing.assert_allclose(score(x, np.sign(y), CONTINUOUS, DISCRETE, **options), [per_class], rtol=1e-10)


def test_scotts_bandwidth():
    features, y = samples()
    x = features[0]
    np.testing.assert_array_equal(score(x, y, bandwidth="scott"), score(x, y))  # the rules agree in two dimensions
    expected = naive.kde_class_mi(x.tolist(), np.sign(y).tolist(), factor=1.0)
    found = score(x, np.sign(y), CONTINUOUS, DISCRETE, bandwidth="scott", scale="raw")
    np.testing.assert_allclose(found, [expected], rtol=1e-10)


def test_the_spread_is_that_of_kdepy():
    features, y = samples(n=101)
    for x in (features[0], features[2], y):
        sigma = spread(np.sort(x))
        np.testing.assert_allclose(sigma * len(x) ** -0.2, scotts_rule(x[:, np.newaxis]), rtol=1e-12)
        np.testing.assert_allclose(sigma * (0.75 * len(x)) ** -0.2, silvermans_rule(x[:, np.newaxis]), rtol=1e-12)


def kdepy_weights(values, h, which, grid):
    """One-dimensional kernels of KDEpy around every sample, at the grid points: (grid, n)."""
    points = np.linspace(values.min() - 3 * h, values.max() + 3 * h, grid)
    distances = (points[:, np.newaxis] - values).ravel()
    return points, _kernel_functions[which](distances, bw=h).reshape(grid, len(values))


def mi_of(f):
    f = f / f.sum()
    independent = np.outer(f.sum(axis=1), f.sum(axis=0))
    return np.sum(f[f > 0] * np.log(f[f > 0] / independent[f > 0]))


def test_the_product_of_two_gaussians_is_the_kernel_of_kdepy():
    features, y = samples(n=60)
    x, h = features[0], 0.4
    (gx, wx), (gy, wy) = (kdepy_weights(v, h, "gaussian", 24) for v in (x, y))
    mesh = np.stack([a.ravel() for a in np.meshgrid(gx, gy, indexing="ij")], axis=1)
    direct = NaiveKDE("gaussian", bw=h).fit(np.stack([x, y], axis=1)).evaluate(mesh)
    np.testing.assert_allclose((wx @ wy.T).ravel() / len(x), direct, atol=1e-12)


def check_falls(errors, steps, truth, which):
    """Linear binning widens a kernel's variance by step^2 / 6 on average; a box jumps, so it is off by a step."""
    order, fall = (1, 2) if which == "box" else (2, 16)
    assert np.all(np.array(errors) <= truth * np.array(steps) ** order / 6)
    assert errors[-1] < errors[0] / fall


@pytest.mark.parametrize("which", KERNELS)
def test_it_nears_a_direct_sum_of_kdepy_on_the_same_grid_as_the_grid_doubles(which):
    features, y = samples(n=300)
    x = features[0]
    h = [np.asarray(spread(np.sort(v)) * len(v) ** (-1 / 6)) for v in (x, y)]
    errors, steps = [], []
    for grid in (32, 64, 128, 256):
        weights = [kdepy_weights(v, b, which, grid) for v, b in zip((x, y), h, strict=True)]
        direct = mi_of(weights[0][1] @ weights[1][1].T)
        errors.append(abs(score(x, y, kernel=which, scale="raw", grid=grid)[0] - direct))
        steps.append(max((points[1] - points[0]) / b for (points, _), b in zip(weights, h, strict=True)))
    check_falls(errors, steps, direct, which)


@pytest.mark.parametrize("which", KERNELS)
def test_densities_per_class_near_those_of_kdepy_as_the_grid_doubles(which):
    features, y = samples(n=300)
    x, classes, h = features[0], y > 0, 0.5
    errors, steps = [], []
    for grid in (32, 64, 128, 256):
        points, weights = kdepy_weights(x, h, which, POINTS_PER_GRID * grid)
        densities = np.stack([weights[:, classes == c].sum(axis=1) for c in (False, True)])
        densities /= densities.sum(axis=1, keepdims=True)
        shares = np.array([np.mean(~classes), np.mean(classes)])
        direct = mi_of(densities * shares[:, np.newaxis])
        found = score(x, classes, CONTINUOUS, DISCRETE, kernel=which, scale="raw", grid=grid, bandwidth=h)[0]
        errors.append(abs(found - direct))
        steps.append((points[1] - points[0]) / h)
    check_falls(errors, steps, direct, which)


# ---- what must hold whatever the numbers -------------------------------------------------------------------


OPTIONS = [{}, {"scale": "raw", "kernel": "epa", "bandwidth": "scott"}, {"bandwidth": "isj"}]


def discretised(features, y, kinds):
    given = np.clip(np.floor(features[[0, 5]]), -2, 2) if kinds[0] == DISCRETE else features
    return given, np.floor(y) if kinds[1] == DISCRETE else y


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kinds", PAIRS)
def test_missing_values_are_deleted_pair_by_pair(kinds, options):
    features, y = discretised(*samples(), kinds)
    holed = np.where(np.random.default_rng(1).random(features.shape) < 0.2, np.nan, features)
    holed[:, 0] = np.nan  # the first sample of a level is gone, so that levels appear in another order
    holed[0, 1:] = features[0, 1:]  # one value missing, and no ties
    found = score(holed, y, *kinds, **options)
    for x, mi in zip(holed, found, strict=True):
        present = ~np.isnan(x)
        assert score(x[present], y[present], *kinds, **options)[0] == mi
    assert not np.isnan(found).any()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kinds", PAIRS)
def test_a_score_does_not_depend_on_the_neighbours(kinds, options):
    features, y = discretised(*samples(), kinds)
    features[1, ::5] = np.nan
    alone = [score(x, y, *kinds, **options)[0] for x in features]
    np.testing.assert_array_equal(score(features, y, *kinds, **options), alone)
    np.testing.assert_array_equal(score(features[::-1], y, *kinds, **options), alone[::-1])


@pytest.mark.parametrize("kinds", PAIRS)
@pytest.mark.parametrize("scale", SCALES)
def test_neither_the_order_of_the_samples_nor_of_the_two_columns_matters(kinds, scale):
    features, y = discretised(*samples(), kinds)
    reference = score(features, y, *kinds, scale=scale)
    order = np.random.default_rng(2).permutation(len(y))
    np.testing.assert_allclose(score(features[:, order], y[order], *kinds, scale=scale), reference, rtol=1e-10)
    swapped = [score(y, x, *kinds[::-1], scale=scale)[0] for x in features]
    np.testing.assert_allclose(swapped, reference, rtol=1e-10)


@pytest.mark.parametrize("kinds", [p for p in PAIRS if DISCRETE in p])
def test_renaming_the_levels_changes_nothing(kinds):
    features, y = discretised(*samples(), kinds)
    renamed = [10 * (v == 0) - v**3 if k == DISCRETE else v for v, k in zip((features, y), kinds, strict=True)]
    np.testing.assert_array_equal(score(*renamed, *kinds), score(features, y, *kinds))


@pytest.mark.parametrize("kinds", [p for p in PAIRS if CONTINUOUS in p])
def test_monotone_transforms_change_nothing_on_the_rank_scale(kinds):
    features, y = discretised(*samples(), kinds)
    bent = [np.arctan(v) ** 3 if k == CONTINUOUS else v for v, k in zip((features, y), kinds, strict=True)]
    np.testing.assert_array_equal(score(*bent, *kinds), score(features, y, *kinds))


@pytest.mark.parametrize("bandwidth", ["silverman", "isj"])
@pytest.mark.parametrize("kinds", [p for p in PAIRS if CONTINUOUS in p])
def test_units_change_nothing_on_the_raw_scale(kinds, bandwidth):
    features, y = discretised(*samples(), kinds)
    units = [1e4 * v - 3 if k == CONTINUOUS else v for v, k in zip((features, y), kinds, strict=True)]
    options = {"scale": "raw", "bandwidth": bandwidth}
    np.testing.assert_allclose(score(*units, *kinds, **options), score(features, y, *kinds, **options), rtol=1e-9)


def test_information_is_the_entropies_of_the_margins_less_that_of_the_joint():
    features, y = samples()
    h = [spread(np.sort(v)) * len(v) ** (-1 / 6) for v in (features[0], y)]
    shares = []
    for values, bandwidth in zip((features[0], y), h, strict=True):
        points = np.linspace(values.min() - 3 * bandwidth, values.max() + 3 * bandwidth, 64)
        position = (values - points[0]) / (points[1] - points[0])
        hats = np.maximum(0, 1 - np.abs(np.arange(64)[:, np.newaxis] - position))
        shares.append(np.exp(-0.5 * ((points[:, np.newaxis] - points) / bandwidth) ** 2) @ hats)
    f = shares[0] @ shares[1].T
    f /= f.sum()

    def entropy(p):
        return -np.sum(p[p > 0] * np.log(p[p > 0]))

    total = entropy(f.sum(axis=0)) + entropy(f.sum(axis=1)) - entropy(f)
    np.testing.assert_allclose(score(features[0], y, scale="raw"), [total], rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"bandwidth": "isj"}, {"bandwidth": 0.3}, {"scale": "raw"}])
@pytest.mark.parametrize("kinds", [p for p in PAIRS if CONTINUOUS in p])
def test_a_wider_bandwidth_gives_less_information(kinds, options):
    features, y = discretised(*samples(n=300), kinds)
    found = [score(features[0], y, *kinds, bandwidth_multiplier=m, **options)[0] for m in (0.5, 1.0, 2.0, 4.0)]
    assert np.all(np.diff(found) < -0.1 * found[-1])


def test_the_estimate_settles_as_the_grid_doubles():
    features, y = samples()
    for kinds in ((CONTINUOUS, CONTINUOUS), (CONTINUOUS, DISCRETE)):
        given = features[0], np.sign(y) if kinds[1] == DISCRETE else y
        found = [score(*given, *kinds, grid=g)[0] for g in (32, 64, 128, 256, 512)]
        changes = np.abs(np.diff(found))
        assert np.all(changes[1:] < changes[:-1] / 2)


def test_gaussian_pairs_lie_below_the_truth_by_the_smoothing():
    rho, n, found = 0.7, 500, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, z = rng.standard_normal((2, n))
        found.append(score(x, rho * x + math.sqrt(1 - rho**2) * z)[0])
    h = n ** (-1 / 6)
    smoothed = -0.5 * math.log(1 - (rho / (1 + h**2)) ** 2)  # the variances grow by h^2, the covariance does not
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) - smoothed) <= 4 * error + (6 / (2 * math.sqrt(math.pi) * h)) ** 2 / (2 * n)
    assert np.mean(found) < -0.5 * math.log(1 - rho**2)


# ---- methods, shapes, options ------------------------------------------------------------------------------


def test_every_pair_of_kinds_names_its_method():
    features, y = samples()
    methods = []
    for kinds in PAIRS:
        given, target = discretised(features, y, kinds)
        methods.append(Kde(target_of(target, kinds[1]), KdeOptions()).score(batch_of(given, kinds[0])).method)
    assert methods == ["kde", "kde per class", "kde per class", "plug-in"]


def test_two_discrete_columns_take_the_plug_in_estimate():
    features, y = discretised(*samples(), (DISCRETE, DISCRETE))
    expected = plugin_scores(target_of(y, DISCRETE), batch_of(features, DISCRETE)).mi
    np.testing.assert_array_equal(score(features, y, DISCRETE, DISCRETE), expected)


def test_isj_is_that_of_kdepy_on_its_own_grid_in_the_unit_of_the_data():
    x = np.sort(samples(n=500)[1])
    scaled = 100 * x  # the grid of KDEpy then spans twice the range
    reference = improved_sheather_jones(scaled[:, np.newaxis]) * 2 / 100
    np.testing.assert_allclose(isj_bandwidth(x), reference, rtol=1e-6)
    np.testing.assert_allclose(isj_bandwidth(7e-5 * x + 2), 7e-5 * isj_bandwidth(x), rtol=1e-6)
    assert 0.7 < isj_bandwidth(x) / silvermans_rule(x[:, np.newaxis]) < 1.3  # the samples are normal
    assert isj_bandwidth(np.ones(5)) == 0


def test_isj_is_used_for_each_margin():
    features, y = samples()
    x, classes = np.append(features[0][:100], features[0][100:] + 9), y > 0  # two clusters: Silverman is too wide
    h = [isj_bandwidth(np.sort(v)) for v in (x, y)]
    assert h[0] < 0.5 * spread(np.sort(x)) * len(x) ** (-1 / 5)
    expected = naive.kde_joint_mi(x.tolist(), y.tolist(), x_bandwidth=h[0], y_bandwidth=h[1])
    np.testing.assert_allclose(score(x, y, bandwidth="isj", scale="raw"), [expected], rtol=1e-10)
    expected = naive.kde_class_mi(x.tolist(), classes.tolist(), bandwidth=h[0])
    for found in (
        score(x, classes, CONTINUOUS, DISCRETE, bandwidth="isj", scale="raw"),
        score(classes, x, DISCRETE, CONTINUOUS, bandwidth="isj", scale="raw"),
    ):
        np.testing.assert_allclose(found, [expected], rtol=1e-10)


def test_where_isj_fails_silverman_stands_in_and_the_method_says_so(monkeypatch):
    def fails(data):
        raise ValueError("Root finding did not converge. Need more data.")

    features, y = samples()
    expected = {kinds: score(features[0], np.sign(y) if kinds[1] else y, *kinds) for kinds in PAIRS[:2]}
    monkeypatch.setattr("KDEpy.bw_selection.improved_sheather_jones", fails)
    for kinds, method in zip(PAIRS[:2], ("kde (silverman)", "kde per class (silverman)"), strict=True):
        estimator = Kde(target_of(np.sign(y) if kinds[1] else y, kinds[1]), KdeOptions(bandwidth="isj"))
        found = estimator.score(batch_of(features[0]))
        np.testing.assert_array_equal(found.mi, expected[kinds])
        assert found.method == [method]


def test_a_class_of_one_value_is_smoothed_like_the_others():
    values = np.append(np.zeros(50), np.linspace(1, 2, 50))
    labels = np.repeat([0.0, 1.0], 50)
    found = score(values, labels, CONTINUOUS, DISCRETE, scale="raw")[0]
    np.testing.assert_allclose(found, naive.kde_class_mi(values.tolist(), labels.tolist()), rtol=1e-10)
    assert 0.6 < found < np.log(2)  # nothing overlaps but the tails
    alone = np.append(values, 5.0), np.append(labels, 2.0)
    np.testing.assert_allclose(
        score(*alone, CONTINUOUS, DISCRETE, scale="raw"), [naive.kde_class_mi(*(v.tolist() for v in alone))], rtol=1e-10
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_more_is_told_than_the_classes_hold(seed):
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(10.0), 70)
    rng.shuffle(classes)
    counts = rng.poisson(np.where(classes == 0, 1.0, 0.02))  # mostly zero; some classes hold nothing else
    x = np.where(counts > 0, counts + rng.normal(0, 0.1, len(counts)), 0.0)
    shares = np.mean(x > 0)
    entropy_of_being_there = -shares * np.log(shares) - (1 - shares) * np.log1p(-shares)
    for scale in SCALES:
        found = score(x, classes, CONTINUOUS, DISCRETE, scale=scale)[0]
        assert found < entropy_of_being_there + 0.1


@pytest.mark.parametrize("options", [*({"kernel": k} for k in KERNELS), *OPTIONS, {"grid": 16}, {"bandwidth": 1e-9}])
def test_degenerate_shapes_give_numbers(options):
    y = np.array([1.0, 2, 3, 5, 8, 13, 21, 34, 55, 89])
    shapes = [
        np.arange(10) // 5,
        np.append(np.zeros(9), 1),
        np.arange(10.0),
        1e12 + np.arange(10),
        y**9,
        np.arange(10) % 3,
    ]
    for target, kind in ((y, CONTINUOUS), (np.arange(10) % 2, DISCRETE)):
        assert np.isfinite(score(shapes, target, CONTINUOUS, kind, **options)).all()
    assert np.isfinite(score([shapes[0], shapes[5]], y, DISCRETE, CONTINUOUS, **options)).all()


@pytest.mark.parametrize("scale", SCALES)
def test_a_target_that_is_constant_where_the_feature_is_present_has_no_estimate(scale):
    x = np.where(np.arange(40) < 20, np.arange(40.0), np.nan)
    y = np.where(np.arange(40) < 20, 1.0, np.arange(40.0))
    assert np.isnan(score(x, y, scale=scale)).all()
    assert np.isnan(score(x, y == 1.0, CONTINUOUS, DISCRETE, scale=scale)).all()
    assert np.isnan(score(np.floor(x / 10), y, DISCRETE, CONTINUOUS, scale=scale)).all()


def test_a_range_that_overflows_has_no_estimate():
    y = np.arange(12.0)
    x = np.where(y > 5, 1e308, -1e308)
    assert np.isnan(score(x, y, scale="raw")).all()
    assert np.isnan(score(x, y > 3, CONTINUOUS, DISCRETE, scale="raw")).all()
    assert np.isfinite(score(x, y)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernel": "normal"},
        {"bandwidth": "best"},
        {"bandwidth": 0.0},
        {"bandwidth": math.nan},
        {"bandwidth": True},
        {"bandwidth": None},
        {"bandwidth": 10**400},
        {"bandwidth_multiplier": -1.0},
        {"bandwidth_multiplier": "2"},
        {"bandwidth_multiplier": np.True_},
        {"bandwidth_multiplier": 1j},
        {"grid": 60},
        {"grid": 520},
        {"grid": 64.0},
        {"grid": "64"},
        {"scale": "log"},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        Kde.make_options(wrong)


@pytest.mark.parametrize("one", [1, np.float32(1), np.float64(1), np.int64(1), np.uint8(1)])
def test_numbers_of_numpy_become_those_of_python(one):
    options = Kde.make_options({"bandwidth": one, "bandwidth_multiplier": one, "grid": np.int64(32)})
    assert options == KdeOptions(bandwidth=1.0, grid=32)
    assert [type(v) for v in (options.bandwidth, options.bandwidth_multiplier, options.grid)] == [float, float, int]

"""Nearest neighbours against the papers' loops, ennemi, scikit-learn, and identities that hold bit for bit."""

import math

import ennemi
import naive
import numpy as np
import pytest
from cases import CASES
from ennemi import _entropy_estimators
from pairs import batch_of, target_of
from scipy import special
from sklearn.feature_selection._mutual_info import _compute_mi_cc, _compute_mi_cd

from miscreen.errors import InputError
from miscreen.estimators.ksg import Ksg, KsgOptions
from miscreen.kernels import margins, neighbors
from miscreen.kernels._jit import kernel
from miscreen.kernels.margins import ascending_scores
from miscreen.kernels.neighbors import ALL, FEWER, LONG, SHORT
from miscreen.kernels.ranks import normal_score_table
from miscreen.model import Kind

C, D = Kind.CONTINUOUS, Kind.DISCRETE
# Pieces of kernels, made to be called from here.
count_within, index_margin = kernel(margins.count_within.py_func), kernel(margins.index_margin.py_func)
count_neighbors, lay_columns = kernel(neighbors.count_neighbors.py_func), kernel(neighbors.lay_columns.py_func)


def indexed(values):
    """An indexed margin for kernels: what comes out of one is a copy, at an address of its own."""
    padded, _, *rest = index_margin(values)
    return (padded, padded.ctypes.data, *rest)


def estimate(x, y, x_kind=C, y_kind=C, **options):
    """Scores of the rows of x with y."""
    x, y = np.ascontiguousarray(np.atleast_2d(x), float), np.ascontiguousarray(y, float)
    target = target_of(y, y_kind)
    return Ksg(target, Ksg.make_options(options)).score(batch_of(x, x_kind))


def mi_of(*arguments, **options):
    """The estimate for a single feature."""
    return estimate(*arguments, **options).mi[0]


def standard(values):
    values = np.asarray(values, float)
    return values / values.std()


def on_scale(scale, *columns):
    """Columns and the weights of distances along them: for the loops, which know no scale."""
    columns = [np.asarray(c, float) for c in columns]
    if scale == "standard":
        return columns, [1 / c.std() for c in columns]
    if scale == "rank":  # the very scores: their symmetry makes distances equal that others' rounding tells apart
        table = normal_score_table(len(columns[0]))
        columns = [ascending_scores(c, np.argsort(c), table)[np.argsort(np.argsort(c))] for c in columns]
    return columns, [1.0] * len(columns)


SCALES = ["raw", "standard", "rank"]


def tied(rng, n):
    """Pairs with ties of every sort: whole numbers, zeros in one or both, atoms of several samples."""
    y = rng.normal(size=n)
    x = rng.normal(size=n) + y
    zeros, others = rng.random(n) < 0.4, rng.random(n) < 0.5
    yield np.where(zeros, 0, x), y
    yield x, np.where(others, 0, y)
    yield np.where(zeros, 0, x), np.where(others, 0, y)
    yield np.round(2 * x), np.round(2 * y)
    yield np.round(3 * x), y
    yield np.round(9 * x), np.round(2 * y)
    yield np.round(x), y
    yield np.where(zeros, -3, x), np.where(zeros, 1, y)
    x[0] = x[1]
    yield x, y


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("k", [1, 3, 10])
class TestAgainstThePapers:
    def test_continuous_pairs(self, k, scale):
        rng = np.random.default_rng(k)
        for n in (11, 12, 40, 90):
            x = rng.normal(size=n)
            for y in (
                rng.normal(size=n),
                x + 0.3 * rng.normal(size=n),
                x**2 + 0.1 * rng.normal(size=n),
                x,
                rng.standard_cauchy(n),
            ):
                scores = estimate(x, y, k=k, scale=scale)
                columns, weights = on_scale(scale, x, y)
                expected = naive.ksg_mi(*columns, k, weights)
                assert scores.method == ["ksg"]
                assert scores.mi[0] == pytest.approx(expected, rel=1e-10, abs=1e-12)

    def test_tied_pairs(self, k, scale):
        rng = np.random.default_rng(k)
        for n in (12, 60, 110):
            for x, y in tied(rng, n):
                scores = estimate(x, y, k=k, scale=scale)
                columns, weights = on_scale(scale, x, y)
                expected = naive.gao_mi(*columns, k, weights)
                assert scores.method == ["gao"]
                assert scores.mi[0] == pytest.approx(expected, rel=1e-10, abs=1e-12)

    def test_classes(self, k, scale):
        rng = np.random.default_rng(k)
        for n in (14, 60, 110):
            for n_classes in (2, 5, n // 3):
                c = rng.integers(0, n_classes, n).astype(float)
                x = rng.normal(size=n) + c / n_classes
                for values, name, reference in (
                    (x, "ross", naive.ross_mi),
                    (np.round(4 * x) / 4, "gao", naive.gao_class_mi),
                ):
                    (scaled,), _ = on_scale(scale, values)
                    expected = reference(list(scaled), list(c), k)
                    for scores in (
                        estimate(values, c, C, D, k=k, scale=scale),
                        estimate(c, values, D, C, k=k, scale=scale),
                    ):
                        assert scores.method == [name]
                        assert scores.mi[0] == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_ties_that_make_no_neighbours_change_only_a_constant(scale):
    rng = np.random.default_rng(0)
    for zeros in (0.02, 0.5, 0.9):
        y = rng.normal(size=80)
        x = np.where(rng.random(80) < zeros, 0, rng.normal(size=80) + y)
        (xs, ys), weights = on_scale(scale, x, y)
        expected = naive.ksg_mi(xs, ys, 3, weights) + math.log(80) - naive.harmonic_digamma(80)
        assert mi_of(x, y, scale=scale) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.fixture
def exact_ennemi(monkeypatch):
    """ennemi with a digamma good to rounding: its own series is off by 1e-5 at 2 and by 5e-7 at 3."""
    monkeypatch.setattr(_entropy_estimators, "_psi", lambda m: special.digamma(np.asarray(m, float)))


CONTINUOUS = [
    "gaussian, r = 0",
    "gaussian, r = -0.6",
    "gaussian, r = 0.9",
    "skewed, r = 0.6",
    "quadratic",
    "sum of uniforms",
]
CLASSES = ["two classes", "three uneven classes", "classes without effect"]


@pytest.mark.parametrize("k", [1, 3, 10])
class TestAgainstOtherPackages:
    @pytest.mark.parametrize("name", CONTINUOUS)
    def test_ennemi_continuous(self, name, k, exact_ennemi):
        x, y = CASES[name].sample(k, 400)
        assert mi_of(x, y, k=k) == pytest.approx(ennemi.estimate_mi(y, x, k=k).item(), abs=1e-9)

    @pytest.mark.parametrize("name", CLASSES)
    def test_ennemi_classes(self, name, k, exact_ennemi):
        x, y = CASES[name].sample(k, 400)
        theirs = ennemi.estimate_mi(y, x, k=k, discrete_y=True).item()
        assert mi_of(x, y, C, D, k=k) == pytest.approx(theirs, abs=1e-9)
        assert mi_of(y, x, D, C, k=k) == pytest.approx(theirs, abs=1e-9)

    @pytest.mark.parametrize("name", CONTINUOUS)
    def test_scikit_learn_continuous(self, name, k):
        x, y = CASES[name].sample(k, 400)
        theirs, ours = _compute_mi_cc(standard(x), standard(y), k), mi_of(x, y, k=k)
        assert max(ours, 0) == pytest.approx(theirs, abs=1e-9)

    @pytest.mark.parametrize("name", CLASSES)
    def test_scikit_learn_classes(self, name, k):
        x, y = CASES[name].sample(k, 400)
        y[:8], y[8] = 7, 8  # a class smaller than k and one of a single sample
        theirs, ours = _compute_mi_cd(standard(x), y, k), mi_of(x, y, C, D, k=k)
        assert max(ours, 0) == pytest.approx(theirs, abs=1e-9)


def test_ennemi_as_it_is_where_its_digamma_is_good():
    x, y = CASES["gaussian, r = -0.6"].sample(0, 500)
    assert mi_of(x, y, k=10) == pytest.approx(ennemi.estimate_mi(y, x, k=10).item(), abs=1e-9)


def mixed_batch(rng, y, f=8):
    """Features of every sort, one with so few values that it has no estimate."""
    n = len(y)
    x = rng.normal(size=(f, n)) + np.linspace(0, 1, f)[:, None] * y
    x[1] = np.where(rng.random(n) < 0.5, 0, x[1])
    x[2] = np.round(x[2])
    x[3:6][rng.random((3, n)) < 0.3] = np.nan
    x[4] = np.round(x[4], 1)
    x[6, 3:] = np.nan
    return x


def data(x_kind, y_kind, n=150):
    """A batch and a target."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=n) if y_kind == C else rng.integers(0, 4, n).astype(float)
    x = mixed_batch(rng, y)
    return (np.round(x) if x_kind == D else x), y


KINDS = [(C, C), (C, D), (D, C), (D, D)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("x_kind", "y_kind"), KINDS)
class TestBitForBit:
    def test_missing_values_are_deletion_by_hand(self, x_kind, y_kind, scale):
        x, y = data(x_kind, y_kind)
        scores = estimate(x, y, x_kind, y_kind, scale=scale)
        for feature, mi, method in zip(x, scores.mi, np.broadcast_to(scores.method, len(x)), strict=True):
            kept = ~np.isnan(feature)
            alone = estimate(feature[kept], y[kept], x_kind, y_kind, scale=scale)
            assert np.array_equal(alone.mi[0], mi, equal_nan=True)
            assert method == np.broadcast_to(alone.method, 1)[0]

    def test_neighbours_in_the_batch_do_not_matter(self, x_kind, y_kind, scale):
        x, y = data(x_kind, y_kind)
        together = estimate(x, y, x_kind, y_kind, scale=scale).mi
        assert estimate(x[::-1], y, x_kind, y_kind, scale=scale).mi[::-1].tobytes() == together.tobytes()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("x_kind", "y_kind"), KINDS[:3])
class TestCountsAreExact:
    """Unlike the plug-in's sums, which run over levels as they appear."""

    def test_the_order_of_the_samples_does_not_matter(self, x_kind, y_kind, scale):
        x, y = data(x_kind, y_kind)
        mi = estimate(x, y, x_kind, y_kind, scale=scale).mi
        shuffled = np.random.default_rng(5).permutation(len(y))
        assert estimate(x[:, shuffled], y[shuffled], x_kind, y_kind, scale=scale).mi.tobytes() == mi.tobytes()

    def test_the_roles_can_be_swapped(self, x_kind, y_kind, scale):
        x, y = data(x_kind, y_kind)
        for feature in x[:3]:
            there = mi_of(feature, y, x_kind, y_kind, scale=scale)
            assert there == mi_of(y, feature, y_kind, x_kind, scale=scale)
            assert not np.isnan(there)


def test_plug_in_is_symmetric_and_indifferent_to_the_order():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, 200).astype(float), rng.integers(0, 3, 200).astype(float)
    mi, shuffled = mi_of(x, y, D, D), rng.permutation(200)
    assert estimate(x, y, D, D).method == "plug-in"
    assert mi == pytest.approx(naive.unbiased_mi(x.tolist(), y.tolist()), rel=1e-10)
    assert mi_of(y, x, D, D) == mi_of(x[shuffled], y[shuffled], D, D) == mi


def test_increasing_transforms_change_no_bit_on_the_rank_scale():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    x = rng.normal(size=200) + y
    zeros = np.where(rng.random(200) < 0.3, x.min() - 1, x)
    for feature in (x, zeros):
        assert mi_of(np.exp(feature), y**3, scale="rank") == mi_of(feature, y, scale="rank")
    classes = rng.integers(0, 3, 200).astype(float)
    assert mi_of(np.exp(x), classes, C, D, scale="rank") == mi_of(x, classes, C, D, scale="rank")


def test_the_unit_of_measurement_does_not_matter_on_the_standard_scale():
    x, y = CASES["gaussian, r = 0.3"].sample(0, 300)
    assert mi_of(1024 * x, y / 64) == mi_of(x, y)  # powers of two are exact
    assert mi_of(1e3 * x - 7, 0.3 * y + 2) == pytest.approx(mi_of(x, y), rel=1e-10)


def test_whole_numbers_far_from_0_lose_nothing_on_the_standard_scale():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 300).astype(float)
    y = x + rng.normal(size=300)
    assert mi_of(x + 2.0**50, y) == pytest.approx(mi_of(x, y), rel=1e-10)


@pytest.mark.parametrize("x_kind", [C, D])
def test_renaming_classes_changes_no_bit(x_kind):
    rng = np.random.default_rng(0)
    c = rng.integers(0, 5, 200)
    x = (rng.normal(size=200) if x_kind == C else rng.integers(0, 3, 200)) + (c > 2)
    assert mi_of(x, rng.permutation(5)[c], x_kind, D) == mi_of(x, c, x_kind, D)


def test_without_enough_samples_or_with_a_constant_there_is_no_estimate():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=4), rng.normal(size=4)
    assert not np.isnan(mi_of(x, y, k=3))
    assert np.isnan(mi_of(x, y, k=4))
    assert np.isnan(mi_of(x, [0, 0, 1, 1], C, D, k=4))
    assert np.isnan(mi_of(x, [0, 1, 2, 3], C, D, k=2)), "every sample is alone in its class"
    for scale in SCALES:
        assert np.isnan(mi_of([1, 2, 3, 4, np.nan], [5, 5, 5, 5, 6], k=2, scale=scale))
        assert np.isnan(mi_of([1, 2, 3, 4, np.nan], [5, 5, 5, 5, 6], C, D, k=2, scale=scale))
        assert np.isnan(mi_of([1, 1, 2, 2, np.nan], [5, 5, 5, 5, 6], D, C, k=2, scale=scale))


@pytest.mark.parametrize("scale", SCALES)
def test_distances_that_overflow_give_no_number_or_a_number_but_end(scale):
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    classes = (y > 0).astype(float)
    huge = 1.7e308
    extremes = [
        np.where(y > 0, huge, -huge),
        np.where(np.arange(200) == 7, huge, y),
        huge * rng.uniform(-1, 1, 200),
        np.linspace(-huge / 2, huge / 2, 200) - huge * 2e-2 * rng.random(200),
        np.append([-huge, huge], y[2:]),
        1e-320 * np.arange(200.0),
        np.where(y > 0, 5e-324, 0),
        np.where(np.arange(200) < 150, huge * np.sign(y), np.nan),
    ]
    for k in (1, 3, 50):
        for target in (y, *extremes[:-1]):
            mi = estimate(extremes, target, k=k, scale=scale).mi
            assert not np.isinf(mi).any()
            if scale == "rank":
                assert not np.isnan(mi).any()
        mi = estimate(extremes, classes, C, D, k=k, scale=scale).mi
        with np.errstate(over="ignore"):
            overflow = np.isinf([np.nanmax(x) - np.nanmin(x) for x in extremes])
        assert overflow.any()
        np.testing.assert_array_equal(np.isnan(mi), overflow & (scale != "rank"))


@pytest.mark.parametrize("weight", [0.0, 1.0, np.inf, np.nan])
def test_the_search_ends_whatever_the_distances(weight):
    n = 200
    rng = np.random.default_rng(0)
    xs, ys = np.sort(1.7e308 * rng.uniform(-1, 1, n)), np.sort(rng.normal(size=n))
    order = rng.permutation(n)
    no_duplicates, psi, no_terms = np.empty(0, np.intp), np.zeros(n + 1), np.empty(0)
    for k in (3, FEWER, SHORT, LONG, LONG + 1):
        columns = lay_columns(xs, np.arange(n), ys, order, n, k)
        margins = (xs, indexed(xs), weight, indexed(ys), order, weight)
        for fewer in (0, k // 2):
            radii = np.full(n if fewer else 0, -1.0)
            marginals, nearest = np.zeros(n + 1, np.int64), np.zeros(n, np.int64)
            count_neighbors(columns, margins, (psi, no_duplicates, marginals, nearest, no_terms, radii), k, ALL, fewer)
            assert marginals.sum() == 2 * n
            assert nearest.sum() == nearest[k] == n
            assert not np.any(radii < 0)


def test_values_within_a_distance_are_counted_wherever_they_are_looked_up():
    rng = np.random.default_rng(5)
    normal = rng.standard_normal(300)
    weight = 0.3
    for values in (normal, np.exp(6 * normal), np.round(normal), np.where(normal > -2, 0.0, normal), normal[:3]):
        ascending = np.sort(values)
        margin = indexed(ascending)
        distances = abs(ascending[:, None] - ascending) * weight
        for radius in [*rng.choice(distances[distances > 0], 20), 5e-324, 1e300]:
            for position in range(0, len(ascending), 7):
                found = count_within(margin, position, weight, radius / weight, radius)
                assert found == np.sum(distances[position] < radius) - 1


def local_of(x, y, x_kind, y_kind, k):
    """The estimate and the local terms of one feature, raw scale."""
    target = target_of(y, y_kind)
    batch = batch_of(x, x_kind)
    mi, terms = Ksg(target, KsgOptions(k=k, scale="raw")).local(batch)
    assert mi[0] == Ksg(target, KsgOptions(k=k, scale="raw")).score(batch).mi[0]
    return terms[0]


def centered(terms):
    return np.asarray(terms) - np.mean(terms)


@pytest.mark.parametrize("k", [1, 4])
def test_local_terms_are_those_the_papers_average(k):
    """In the samples' own order, missing ones and those alone in their class left out."""
    n = 70
    rng = np.random.default_rng(k)
    y = rng.normal(size=n)
    gaps = rng.random(n) < 0.2
    classes = rng.integers(0, 3, n).astype(float)
    classes[5], gaps[5] = 9, False
    for x, naively in ((rng.normal(size=n) + y, naive.ksg_terms), (np.round(2 * y), naive.gao_terms)):
        found = local_of(np.where(gaps, np.nan, x), y, C, C, k)
        np.testing.assert_array_equal(np.isnan(found), gaps)
        expected = naively(x[~gaps].tolist(), y[~gaps].tolist(), k)
        np.testing.assert_allclose(centered(found[~gaps]), centered(expected), atol=1e-12)
    kept = ~gaps & (classes != 9)
    for x, naively in ((y, naive.ross_terms), (np.round(2 * y), naive.gao_class_terms)):
        expected = naively(x[~gaps].tolist(), classes[~gaps].tolist(), k)
        codes = np.unique(classes, return_inverse=True)[1].astype(float)
        as_target = local_of(np.where(gaps, np.nan, x), codes, C, D, k)
        as_feature = local_of(np.where(gaps, np.nan, classes), x, D, C, k)
        for found in (as_target, as_feature):
            np.testing.assert_array_equal(np.isnan(found), ~kept)
            np.testing.assert_allclose(centered(found[kept]), centered(expected), atol=1e-12)


def test_estimates_are_not_clamped():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    x = rng.normal(size=(40, 200))
    for target, kind in ((y, C), (y > 0, D)):
        mi = estimate(x, target, C, kind).mi
        assert 5 < np.sum(mi < 0) < 35
        assert len(np.unique(mi)) > 35


def test_large_samples_agree_with_scikit_learn():
    rng = np.random.default_rng(3)
    x, y = CASES["quadratic"].sample(3, 12_000)
    assert mi_of(x, y) == pytest.approx(_compute_mi_cc(standard(x), standard(y), 3), abs=1e-9)
    heavy = np.where(rng.random(12_000) < 0.01, 1e6 * x, x)
    assert mi_of(heavy, y) == pytest.approx(_compute_mi_cc(standard(heavy), standard(y), 3), abs=1e-9)


@pytest.mark.parametrize(
    "option", [{"k": 0}, {"k": 3.0}, {"k": True}, {"k": "3"}, {"k": 10**30}, {"scale": "log"}, {"neighbours": 3}]
)
def test_options_are_checked(option):
    with pytest.raises(InputError):
        Ksg.make_options(option)


@pytest.mark.parametrize("k", [np.int64(4), np.int32(4), np.uint8(4)])
def test_numbers_of_numpy_become_those_of_python(k):
    options = Ksg.make_options({"k": k})
    assert options == KsgOptions(k=4)
    assert type(options.k) is int


KINDS_OF = {"continuous": C, "discrete": D}
N, K = 500, 5
BIAS = {"ksg": (-0.06, 0.015), "ross": (-0.015, 0.015), "gao": (-0.015, 0.09)}  # as documented, for N and K


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "continuous" in (c.x_kind, c.y_kind)])
def test_mean_over_seeds_is_the_truth_within_the_documented_bias(name):
    case = CASES[name]
    scores = [estimate(*case.sample(s, N), KINDS_OF[case.x_kind], KINDS_OF[case.y_kind], k=K) for s in range(30)]
    off = np.array([s.mi[0] for s in scores]) - case.mi
    error = off.std(ddof=1) / math.sqrt(len(off))
    low, high = BIAS[scores[0].method[0]]
    assert low - 4 * error <= off.mean() <= high + 4 * error


@pytest.mark.parametrize("name", ["sum of uniforms", "quadratic"])
def test_the_bias_of_sharp_densities_falls_as_samples_grow(name):
    case = CASES[name]
    means = [np.mean([mi_of(*case.sample(s, n)) for s in range(20)]) - case.mi for n in (200, 800, 3200)]
    assert means[0] < means[1] < means[2] < 0.01


def test_the_bias_of_zeros_falls_as_samples_grow():
    case = CASES["zero-inflated, r = 0"]
    means = [np.mean([mi_of(*case.sample(s, n)) for s in range(20)]) for n in (200, 800, 3200)]
    assert means[0] > means[1] > means[2] > 0


def test_zeros_are_not_biased_on_the_rank_scale():
    case = CASES["zero-inflated, r = 0"]
    mi = np.array([mi_of(*case.sample(s, 1000), scale="rank") for s in range(30)])
    assert abs(mi.mean()) <= 4 * mi.std(ddof=1) / math.sqrt(len(mi)) + 0.005


@pytest.mark.parametrize("scale", ["raw", "rank"])
def test_fewer_neighbours_found_on_the_way(scale):
    rng = np.random.default_rng(9)
    n = 400
    y = rng.standard_normal(n)
    noise = rng.standard_normal((6, n))
    x = np.stack([noise[0], y + noise[1], np.maximum(noise[2], 0.0), np.round(noise[3]), np.round(y), noise[4]])
    x[5, rng.random(n) < 0.3] = np.nan
    for target in (y, np.maximum(y, 0.0)):
        target = target_of(target)
        batch = batch_of(x)
        for k, fewer in ((4, 3), (16, 3), (20, 8), (n - 1, 1)):
            mi, of_fewer, terms = Ksg(target, KsgOptions(k=k, scale=scale)).local_by_fewer(batch, fewer)
            alone, own_terms = Ksg(target, KsgOptions(k=fewer, scale=scale)).local(batch)
            whole = Ksg(target, KsgOptions(k=k, scale=scale)).score(batch).mi
            known = ~np.isnan(whole)  # for k neighbours there may be too few samples
            np.testing.assert_array_equal(mi, whole)
            np.testing.assert_array_equal(of_fewer[known], alone[known])
            np.testing.assert_array_equal(terms[known], own_terms[known])

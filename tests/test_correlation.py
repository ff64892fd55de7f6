"""Pearson, Spearman and the copula against SciPy, exact fractions, and identities."""

import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from cases import CASES
from pairs import target_of
from scipy import special, stats
from sklearn.feature_selection import f_regression

from miscreen.errors import InputError
from miscreen.estimators.correlation import Copula, Pearson, Spearman
from miscreen.estimators.estimator import NoOptions
from miscreen.model import Batch, Kind

C, D = Kind.CONTINUOUS, Kind.DISCRETE
METHODS = {"pearson": Pearson, "spearman": Spearman, "copula": Copula}


def estimate(method, x, y, x_labels=False, y_labels=False):
    """Scores of the rows of x with y."""
    x, y = np.ascontiguousarray(np.atleast_2d(x), float), np.ascontiguousarray(y, float)
    nominal = np.broadcast_to(x_labels, len(x)).copy()
    target = target_of(y, D if y_labels else C, nominal=bool(y_labels))
    return METHODS[method](target, NoOptions()).score(Batch(x, D if nominal.any() else C, nominal))


def columns(scores):
    """Everything that is said of the features, in one array."""
    return np.array([scores.mi, scores.extras["r"], scores.extras["linfoot"]])


def staged(method, values):
    """Values, ranks or normal scores."""
    if method == "pearson":
        return np.asarray(values, float)
    ranks = stats.rankdata(values)
    return ranks if method == "spearman" else stats.norm.ppf(ranks / (len(ranks) + 1))


def pairs(n=80):
    """Columns of every sort beside a target."""
    rng = np.random.default_rng(n)
    y = rng.normal(size=n)
    yield rng.normal(size=n), y
    yield 1e8 + y + 2 * rng.normal(size=n), 3 - y
    yield np.where(rng.random(n) < 0.5, 0, y), np.round(y)
    yield rng.integers(0, 2, n).astype(float), y
    yield rng.integers(0, 2, n).astype(float), (y > 0).astype(float)
    yield np.exp(5 * y), 1e-6 * y


def gaussian_mi(r):
    return -0.5 * math.log(1 - r * r)


def copula_bias(n, groups=2):
    return 0.5 * (special.digamma((n - 1) / 2) - special.digamma((n - groups) / 2))


class TestNumbers:
    @pytest.mark.parametrize("n", [4, 5, 9, 80, 1001])
    def test_pearson_equals_scipy_and_exact_fractions(self, n):
        for x, y in pairs(n):
            if np.ptp(x) == 0 or np.ptp(y) == 0:
                continue
            scores = estimate("pearson", x, y)
            r = scores.extras["r"][0]
            assert scores.method == "pearson"
            assert r == pytest.approx(naive.pearson_r(x, y), rel=1e-10, abs=1e-14)
            assert r == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-10, abs=1e-12)
            assert scores.extras["linfoot"][0] == abs(r)
            if abs(r) < 0.999:
                assert scores.mi[0] == pytest.approx(gaussian_mi(r), rel=1e-10, abs=1e-15)
                assert math.sqrt(1 - math.exp(-2 * scores.mi[0])) == pytest.approx(abs(r), rel=1e-10, abs=1e-8)

    def test_spearman_equals_scipy(self):
        for x, y in pairs():
            scores = estimate("spearman", x, y)
            r = scores.extras["r"][0]
            assert r == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-10, abs=1e-14)
            assert r == pytest.approx(
                naive.pearson_r(naive.average_ranks(x), naive.average_ranks(y)), rel=1e-10, abs=1e-14
            )
            gaussian_r = 2 * math.sin(math.pi * r / 6)
            assert scores.extras["linfoot"][0] == pytest.approx(abs(gaussian_r), rel=1e-10)
            if abs(r) < 0.999:
                assert scores.mi[0] == pytest.approx(gaussian_mi(gaussian_r), rel=1e-10)

    def test_copula_equals_its_definition(self):
        for x, y in pairs():
            scores = estimate("copula", x, y)
            r = naive.pearson_r(naive.normal_scores(list(x)), naive.normal_scores(list(y)))
            assert scores.extras["r"][0] == pytest.approx(r, rel=1e-10, abs=1e-14)
            assert scores.extras["linfoot"][0] == pytest.approx(abs(r), rel=1e-10, abs=1e-14)
            if abs(r) < 0.999:
                assert scores.mi[0] == pytest.approx(gaussian_mi(r) - copula_bias(len(x)), rel=1e-10)

    @pytest.mark.parametrize("method", ["spearman", "copula"])
    def test_many_samples_with_ties_and_missing_values(self, method):
        rng = np.random.default_rng(8)
        y = rng.standard_normal(20_001).astype(np.float32).astype(float)
        x = np.round(y + rng.standard_normal(len(y)), 3)
        x[rng.random(len(x)) < 0.1] = np.nan
        whole = np.round(y**3, 2)
        for values in (x, whole):
            here = ~np.isnan(values)
            scale = [stats.rankdata(v[here]) for v in (values, y)]
            if method == "copula":
                scale = [stats.norm.ppf(v / (here.sum() + 1)) for v in scale]
            scores = estimate(method, values, y)
            assert scores.extras["r"][0] == pytest.approx(np.corrcoef(*scale)[0, 1], rel=1e-10)
            assert scores.mi[0] == estimate(method, values[here], y[here]).mi[0]

    def test_copula_correction_is_that_of_the_gaussian_entropies(self):
        """Ince et al. (2017): the terms of each entropy, with its dimensions, before they cancel."""
        n = 37

        def entropy_bias(dimensions):
            terms = sum(special.digamma((n - i) / 2) for i in range(1, dimensions + 1))
            return (dimensions * math.log(2 / (n - 1)) + terms) / 2

        assert copula_bias(n) == pytest.approx(2 * entropy_bias(1) - entropy_bias(2), rel=1e-10)

    def test_ranking_by_pearson_is_that_of_f_regression(self):
        rng = np.random.default_rng(0)
        y = rng.normal(size=200)
        x = rng.normal(size=(30, 200)) + rng.random(30)[:, None] * y
        mi = estimate("pearson", x, y).mi
        f, _ = f_regression(x.T, y)
        np.testing.assert_allclose(0.5 * np.log1p(f / 198), mi, rtol=1e-10)


class TestPrecision:
    @pytest.mark.parametrize("offset", [0.0, 1e12, 1e15])
    def test_a_distant_mean_costs_no_digits_beside_classes(self, offset):
        rng = np.random.default_rng(3)
        classes = rng.integers(0, 3, 90)
        values = rng.normal(size=90) + classes + offset
        exact = [Fraction(value) for value in values]
        mean = sum(exact) / len(exact)
        between = sum(
            sum(x - mean for x, c in zip(exact, classes, strict=True) if c == level) ** 2
            / int((classes == level).sum())
            for level in range(3)
        )
        eta = math.sqrt(between / sum((x - mean) ** 2 for x in exact))
        assert estimate("pearson", values, classes, y_labels=True).extras["linfoot"][0] == pytest.approx(eta, rel=1e-12)

    def test_neighbouring_doubles_do_not_look_like_classes(self):
        rng = np.random.default_rng(0)
        values = np.where(rng.random(300) < 0.5, 0.3, 0.1 * 3)
        assert estimate("pearson", values, rng.integers(0, 3, 300), y_labels=True).mi[0] < 0.05

    def test_a_distant_mean_costs_no_digits(self):
        rng = np.random.default_rng(0)
        y = rng.normal(size=1000)
        x = y + rng.normal(size=1000)
        r = estimate("pearson", x, y).extras["r"][0]
        assert estimate("pearson", x + 1e8, y - 1e8).extras["r"][0] == pytest.approx(r, abs=1e-6)
        far = x + 1e8
        assert estimate("pearson", far, y).extras["r"][0] == pytest.approx(naive.pearson_r(far, y), rel=1e-10)

    def test_tiny_correlations_stay_apart(self):
        y = np.repeat([-1.0, 1.0], 50)
        x = np.tile([-1.0, 1.0], 50)
        mi = [estimate("pearson", x + c * y, y).mi[0] for c in (1e-9, 2e-9, 1e-8)]
        assert 0 < mi[0] < mi[1] < mi[2] < 1e-15
        assert mi[2] == pytest.approx(5e-17, rel=1e-6)

    @pytest.mark.parametrize("method", ["pearson", "spearman", "copula"])
    def test_a_straight_line_is_infinite_or_all_but(self, method):
        y = np.arange(64.0)
        for x in (y, -y):
            scores = estimate(method, x, y)
            assert scores.mi[0] > 15
            assert scores.extras["linfoot"][0] == pytest.approx(1, rel=1e-10)
            assert scores.extras["r"][0] == pytest.approx(np.sign(x[-1]), rel=1e-10)
        assert estimate("pearson", y, y).mi[0] == np.inf

    @pytest.mark.parametrize("n", [2, 3, 10, 64, 999, 20_001])
    def test_a_monotone_relation_is_infinite_by_ranks(self, n):
        rng = np.random.default_rng(n)
        for y in (rng.normal(size=n), rng.integers(0, 1 + n // 2, n).astype(float), np.arange(n) // 2.0):
            if np.ptp(y) == 0:
                continue
            for x, sign in ((np.exp(y / n), 1), (-y, -1)):
                np.testing.assert_array_equal(columns(estimate("spearman", x, y))[:, 0], [np.inf, sign, 1])

    def test_all_but_monotone_is_finite_by_ranks(self):
        y = np.arange(1000.0)
        x = y.copy()
        x[[3, 4]] = x[[4, 3]]
        mi, r, linfoot = columns(estimate("spearman", x, y))[:, 0]
        short = 12 / (1000**3 - 1000)
        assert r == pytest.approx(1 - short, rel=1e-15)
        assert mi == pytest.approx(-0.5 * math.log(math.pi / math.sqrt(3) * short), rel=1e-6)
        assert linfoot < 1

    def test_units_far_from_1_do_not_matter(self):
        rng = np.random.default_rng(0)
        y = rng.normal(size=50)
        x = y + rng.normal(size=50)
        there = columns(estimate("pearson", x, y))
        for u, v in ((2.0**400, 2.0**400), (2.0**-400, 2.0**-400), (2.0**500, 2.0**300)):
            np.testing.assert_allclose(columns(estimate("pearson", u * x, v * y)), there, rtol=1e-10)
        for u in (1e200, 1.7e308 / np.abs(x).max()):  # squares overflow
            assert np.isnan(columns(estimate("pearson", u * x, y))).all()
            assert np.isnan(columns(estimate("pearson", np.arange(50) % 3, u * x, x_labels=True))).all()


@pytest.mark.parametrize("method", METHODS)
class TestLabels:
    def test_two_levels_are_numbers(self, method):
        rng = np.random.default_rng(0)
        y = rng.normal(size=90)
        x = (rng.random(90) < 0.3).astype(float)
        x = x if x[0] == 0 else 1 - x  # numbered as they appear
        for pair in ((x, y, True, False), (y, x, False, True), (x, np.abs(np.round(y)) > 0, True, False)):
            assert estimate(method, *pair).method == [method]
            ours = columns(estimate(method, *pair))
            np.testing.assert_array_equal(ours, columns(estimate(method, *pair[:2])))
        flipped = estimate(method, 1 - x, y, x_labels=True)
        np.testing.assert_array_equal(columns(flipped), columns(estimate(method, x, y, x_labels=True)))

    @pytest.mark.parametrize("levels", [3, 7])
    def test_more_levels_give_the_correlation_ratio(self, method, levels):
        rng = np.random.default_rng(levels)
        classes = rng.integers(0, levels, 120).astype(float)
        y = np.round(rng.normal(size=120) + 0.4 * classes, 1)
        eta = naive.correlation_ratio(list(staged(method, y)), list(classes))
        bias = copula_bias(120, levels) if method == "copula" else 0
        for scores in (estimate(method, classes, y, x_labels=True), estimate(method, y, classes, y_labels=True)):
            assert scores.method == ["correlation ratio"]
            assert scores.mi[0] == pytest.approx(gaussian_mi(eta) - bias, rel=1e-10)
            assert scores.extras["linfoot"][0] == pytest.approx(eta, rel=1e-10)
            assert np.isnan(scores.extras["r"][0])
        if method == "spearman":
            h = stats.kruskal(*(y[classes == c] for c in range(levels))).statistic
            assert eta**2 == pytest.approx(h / 119, rel=1e-10)
        if method == "pearson":
            f = stats.f_oneway(*(y[classes == c] for c in range(levels))).statistic
            ratio = f * (levels - 1) / (f * (levels - 1) + 120 - levels)
            assert eta**2 == pytest.approx(ratio, rel=1e-10)

    def test_two_columns_of_labels_are_counted(self, method):
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 3, (20, 90)).astype(float), rng.integers(0, 4, 90).astype(float)
        x[1] = np.where(rng.random(90) < 0.6, y % 3, x[1])
        scores = estimate(method, x, y, True, True)
        assert scores.method == ["plug-in"] * 20
        for feature, mi, linfoot in zip(x, scores.mi, scores.extras["linfoot"], strict=True):
            assert mi == pytest.approx(naive.unbiased_mi(feature.tolist(), y.tolist()), rel=1e-10)
            assert linfoot == pytest.approx(math.sqrt(1 - math.exp(-2 * max(mi, 0))), rel=1e-10)
        assert scores.mi.min() < 0 < scores.mi.max(), "only the coefficient stops at 0"
        assert np.isnan(scores.extras["r"]).all()

    def test_renaming_levels_changes_no_bit(self, method):
        rng = np.random.default_rng(0)
        x, labels, y = rng.integers(0, 5, 90), rng.integers(0, 4, 90), rng.normal(size=90)
        other_x, other_labels = rng.permutation(5)[x], rng.permutation(4)[labels]
        for a, b in (
            (estimate(method, x, y, True), estimate(method, other_x, y, True)),
            (estimate(method, y, labels, False, True), estimate(method, y, other_labels, False, True)),
            (estimate(method, x, labels, True, True), estimate(method, other_x, other_labels, True, True)),
        ):
            np.testing.assert_array_equal(columns(a), columns(b))

    def test_labels_and_numbers_in_one_batch_keep_their_places(self, method):
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 3, (6, 90)).astype(float), rng.normal(size=90)
        nominal = np.array([True, False, False, True, False, True])
        together = estimate(method, x, y, nominal)
        for i in range(6):
            alone = estimate(method, x[i], y, nominal[i])
            np.testing.assert_array_equal(columns(alone)[:, 0], columns(together)[:, i])
            assert together.method[i] == ("correlation ratio" if nominal[i] else method)


@pytest.mark.parametrize("x_labels", [False, True])
@pytest.mark.parametrize("y_labels", [False, True])
@pytest.mark.parametrize("method", METHODS)
class TestBitForBit:
    def data(self, x_labels, y_labels):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 4, 97).astype(float) if y_labels else rng.normal(size=97)
        x = rng.integers(0, 4, (7, 97)) if x_labels else np.round(rng.normal(size=(7, 97)) + 0.3 * y, 1)
        x = x.astype(float)
        x[2:][rng.random((5, 97)) < 0.3] = np.nan
        x[6, 3:] = np.nan
        x[5, y == y[0]] = np.nan
        return x, y

    def test_missing_values_are_deletion_by_hand(self, method, x_labels, y_labels):
        x, y = self.data(x_labels, y_labels)
        scores = estimate(method, x, y, x_labels, y_labels)
        for i, feature in enumerate(x):
            kept = ~np.isnan(feature)
            alone = estimate(method, feature[kept], y[kept], x_labels, y_labels)
            np.testing.assert_array_equal(columns(alone)[:, 0], columns(scores)[:, i])
        assert not np.isnan(scores.mi[:5]).any()

    def test_neighbours_in_the_batch_do_not_matter(self, method, x_labels, y_labels):
        x, y = self.data(x_labels, y_labels)
        there = columns(estimate(method, x, y, x_labels, y_labels))
        np.testing.assert_array_equal(columns(estimate(method, x[::-1], y, x_labels, y_labels))[:, ::-1], there)

    def test_order_and_roles_matter_by_rounding_alone(self, method, x_labels, y_labels):
        x, y = self.data(x_labels, y_labels)
        shuffled = np.random.default_rng(1).permutation(97)
        for feature in x[:2]:
            there = columns(estimate(method, feature, y, x_labels, y_labels))
            moved = columns(estimate(method, feature[shuffled], y[shuffled], x_labels, y_labels))
            swapped = columns(estimate(method, y, feature, y_labels, x_labels))
            np.testing.assert_allclose(moved, there, rtol=1e-10, atol=1e-14)
            np.testing.assert_allclose(swapped, there, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("method", ["spearman", "copula"])
def test_increasing_transforms_change_no_bit(method):
    rng = np.random.default_rng(0)
    y = rng.normal(size=100)
    x = np.round(rng.normal(size=100) + y, 1)
    np.testing.assert_array_equal(columns(estimate(method, np.exp(x), y**3)), columns(estimate(method, x, y)))
    down = estimate(method, -x, y)
    assert down.extras["r"][0] == pytest.approx(-estimate(method, x, y).extras["r"][0], rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_linear_transforms_do_not_matter(method):
    x, y = CASES["gaussian, r = 0.3"].sample(0, 200)
    np.testing.assert_array_equal(columns(estimate(method, 4 * x, y / 8)), columns(estimate(method, x, y)))
    moved = columns(estimate(method, 3 * x - 7, 0.1 * y + 2))
    np.testing.assert_allclose(moved, columns(estimate(method, x, y)), rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_has_no_estimate(method):
    x = [1, 2, 3, np.nan]
    for scores in (estimate(method, x, [5, 5, 5, 6]), estimate(method, x, [5, 5, 5, 6], True)):
        assert np.isnan(columns(scores)).all()
    assert np.isnan(estimate("copula", [1, 2], [2, 1]).mi[0]), "two samples leave no room for a correction"


def test_there_is_nothing_to_set():
    with pytest.raises(InputError):
        Copula.make_options({"k": 3})


GAUSSIAN = [name for name in CASES if name.startswith(("gaussian", "skewed"))]
BIAS = {"pearson": (0, 0.5), "spearman": (0, 0.5), "copula": (-5, 0)}  # as documented, in parts of 1 / n


@pytest.mark.parametrize(
    ("method", "name"), [(m, n) for m in METHODS for n in GAUSSIAN if m != "pearson" or "skewed" not in n]
)
def test_mean_over_seeds_is_the_truth(method, name):
    case, n = CASES[name], 200
    scores = [estimate(method, *case.sample(seed, n)) for seed in range(400)]
    mi = np.array([s.mi[0] for s in scores])
    error = mi.std(ddof=1) / math.sqrt(len(mi))
    low, high = np.array(BIAS[method]) / n
    assert low - 4 * error <= mi.mean() - case.mi <= high + 4 * error
    if method == "copula" and case.mi == 0:
        assert np.mean(mi < 0) > 0.5, "estimates must not be clamped"

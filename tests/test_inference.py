"""p-values: against full enumeration, brute force and SciPy; uniform on null features of every kind."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import naive
import numpy as np
import polars as pl
import pytest
from pairs import batch_of, target_of
from scipy import stats

import miscreen
from miscreen.errors import InputError
from miscreen.estimators import ESTIMATORS, estimator_class
from miscreen.estimators.estimator import Estimator
from miscreen.inference import null, significance
from miscreen.inference.chi_square import CHI_SQUARE, EXACT, table_test
from miscreen.inference.max_t import MaxT
from miscreen.inference.multiple import max_t_p_values, q_values
from miscreen.inference.null import EXTRAPOLATED, MEETINGS, OWN, PERMUTATION, SHARED, SPLITTING, Effort, Null
from miscreen.inference.options import Inference
from miscreen.inference.permutation import Pattern, Permuter
from miscreen.inference.significance import Significance
from miscreen.model import Batch, Floats, Kind, Scores, Target

EFFORTS = pytest.mark.parametrize("effort", [SHARED, OWN], ids=["shared", "own"])


def make_estimator(method: str, target: Target, **options: Any) -> Estimator:
    found = estimator_class(method)
    return found(target, found.make_options(options))


class Of(Estimator):
    """An estimator of nothing but a statistic, given as a function of a batch."""

    def __init__(self, target: Target, options: Any) -> None:
        self._function = options

    def score(self, batch: Batch) -> Scores:
        return Scores(self._function(batch), "given")


def null_by(
    function: Any, values: Any, target: Any, effort: Effort, seed: int = 0, kind: Kind = Kind.CONTINUOUS
) -> Null:
    pattern = Permuter(target_of(target), False, seed, None).pattern(np.asarray(values), kind, False)
    return Null(pattern, Of(target_of(target), function), effort)


def null_of(values: Floats, weights: Floats, effort: Effort, seed: int = 0, kind: Kind = Kind.CONTINUOUS) -> Null:
    """The null of the size of the sum of products of a feature and fixed weights."""
    return null_by(lambda batch: np.abs(batch.values @ weights), values, weights, effort, seed, kind)


# ---- one null ----------------------------------------------------------------------------------------------


@EFFORTS
def test_tail_of_a_correlation_is_that_of_its_beta_distribution(effort: Effort) -> None:
    """Normal scores against normal scores: r^2 is Beta(1/2, (n - 2)/2), down to 1e-10 and beyond."""
    n = 400
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    scores /= np.linalg.norm(scores)
    exponents = np.array([0.3, 1, 2, 3, 5, 7, 9])
    observed = np.sqrt(stats.beta(0.5, (n - 2) / 2).isf(10.0**-exponents))
    found = []
    for seed in range(20):
        p, how = null_of(scores, scores, effort, seed).p_values(observed)
        assert how[0] == PERMUTATION
        assert how[4] == SPLITTING
        assert how[6] in ([SPLITTING] if effort == SHARED else [EXTRAPOLATED, MEETINGS])
        found.append(-np.log10(p))
    error = np.std(found, axis=0, ddof=1)
    bias = 0.5 * np.log(10) * error**2  # of the logarithm of an estimate without bias
    assert np.all(np.abs(np.mean(found, axis=0) - exponents - bias) <= 4 * error / np.sqrt(20) + 0.02)
    assert np.all(error[5:] < (0.3 if effort == SHARED else 0.8)), "1e-7 and 1e-9 can be told apart"


@EFFORTS
def test_a_bulk_that_falls_faster_than_the_tail_is_not_taken_for_it(effort: Effort) -> None:
    """The same tail for a statistic that, as the evidence of `auto`, hardly grows until the correlation is large."""
    n = 400
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    scores /= np.linalg.norm(scores)

    def evidence(r: Any) -> Any:
        return np.log1p(0.1 * np.expm1(0.4 * n * r**2))

    exponents = np.array([6.0, 8.0, 10.0])
    observed = evidence(np.sqrt(stats.beta(0.5, (n - 2) / 2).isf(10.0**-exponents)))
    for seed in range(10):
        null = null_by(lambda batch: evidence(batch.values @ scores), scores, scores, effort, seed)
        p, _ = null.p_values(observed)
        assert np.all(np.abs(np.log10(p) + exponents) < 0.25 * exponents), seed


@EFFORTS
def test_a_null_of_few_levels_is_hypergeometric(effort: Effort) -> None:
    """Overlap of 12 of 300 samples with 20 of them: lumps of probability, down to the last arrangement."""
    n, marked, hit = 300, 20, 12
    weights = (np.arange(n) < marked).astype(float)
    values = (np.arange(n) < hit).astype(float)
    overlap = np.arange(hit + 1)
    truth = stats.hypergeom(n, marked, hit).sf(overlap - 1)
    runs = []
    for seed in range(10):
        p, _ = null_of(values, weights, effort, seed, Kind.DISCRETE).p_values(overlap.astype(float))
        assert np.all(np.diff(p) <= 0)
        runs.append(p)
    ratio = np.log10(np.array(runs) / truth)
    sampled = truth > 1e-9
    assert np.all(np.abs(np.median(ratio[:, sampled], axis=0)) < 0.35)
    assert np.all(ratio[:, ~sampled] > -1.5), "what was not sampled is not claimed"


@EFFORTS
def test_small_samples_against_all_their_arrangements(effort: Effort) -> None:
    weights = np.array([0.1, 0.3, 0.35, 0.7, 1.1, 1.5, 2.5]) - 0.935
    values = np.array([1.0, 2.0, 2.0, 3.0, 5.0, 8.0, 9.0])
    all_found = np.sort([abs(np.dot(weights, p)) for p in itertools.permutations(values)])
    observed = np.quantile(all_found, [0.1, 0.5, 0.9, 0.97, 0.99, 0.999, 1.0], method="higher")
    truth = np.array([np.mean(all_found >= t - 1e-9) for t in observed])
    p, _ = null_of(values, weights, effort).p_values(observed)
    error = np.sqrt((1 - truth) / (truth * effort.draws)) + np.sqrt((1 - truth) / effort.enough)
    assert np.all(np.abs(np.log(p / truth)) < 4 * error)
    assert p.min() >= 1 / math.factorial(7) * 2 - 1e-12, "two values are equal"


@EFFORTS
def test_p_does_not_depend_on_what_was_asked_before(effort: Effort) -> None:
    """As features that share a null are judged in any order."""
    rng = np.random.default_rng(3)
    weights = rng.standard_normal(300)
    for values, kind in (
        (rng.poisson(2.0, 300).astype(float), Kind.CONTINUOUS),
        (np.arange(300) < 3.0, Kind.DISCRETE),
        (rng.standard_normal(300), Kind.CONTINUOUS),
    ):
        values = np.asarray(values, dtype=float)
        largest = np.sort(values) @ np.sort(weights)
        observed = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 1.0]) * largest
        alone = [null_of(values, weights, effort, 1, kind).p_values(observed[i : i + 1])[0][0] for i in range(6)]
        for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 5, 3, 1, 4, 2]):
            null = null_of(values, weights, effort, 1, kind)
            assert len(null.p_values(observed[:0])[0]) == 0
            assert [null.p_values(observed[i : i + 1])[0][0] for i in order] == [alone[i] for i in order]


def test_p_falls_where_the_tail_begins() -> None:
    """Chains may find more of it than draws have."""
    values = np.arange(150.0) - 74.5
    observed = np.linspace(0.15, 0.25, 200) * (values @ values)
    for seed in range(12):
        p, how = null_of(values, values, OWN, seed).p_values(observed)
        assert np.all(np.diff(p) <= 0)
        assert set(how) == {PERMUTATION, SPLITTING}


@EFFORTS
def test_p_falls_as_the_statistic_rises_and_never_is_zero(effort: Effort) -> None:
    values = np.arange(100.0) - 49.5
    observed = np.linspace(0, values @ values, 3000)
    p, how = null_of(values, values, effort).p_values(observed)
    assert np.all(np.diff(p) <= 0)
    assert p[0] == 1.0
    assert 0.0 < p[-1] <= (1e-12 if effort.sequential else 1e-20)
    assert set(how) == {PERMUTATION, SPLITTING, EXTRAPOLATED}


@EFFORTS
def test_a_null_is_the_same_in_any_order_and_on_any_threads(effort: Effort) -> None:
    values = np.sin(np.arange(60.0))
    observed = np.linspace(0, 0.9 * (values @ values), 50)
    p, how = null_of(values, values, effort).p_values(observed)
    backwards = null_of(values[::-1].copy(), values, effort)
    found = [backwards.p_values(observed[i : i + 1]) for i in reversed(range(50))]
    assert [f[0][0] for f in reversed(found)] == p.tolist()
    assert [f[1][0] for f in reversed(found)] == how.tolist()
    with ThreadPoolExecutor(3) as pool:
        assert null_of(values, values, effort).p_values(observed, pool)[0].tolist() == p.tolist()
    assert null_of(values, values, effort, seed=1).p_values(observed)[0].tolist() != p.tolist()


def two_levels_each(n: int, ones: int, marked: int, overlap: int) -> tuple[Floats, Floats, float]:
    """Two columns of 0 and 1, of which so many rows have both, and Fisher's exact test of them, two-sided."""
    x, y = np.zeros(n), (np.arange(n) < marked).astype(float)
    x[np.r_[:overlap, marked : marked + ones - overlap]] = 1.0
    every = np.arange(max(0, ones + marked - n), min(ones, marked) + 1)
    extreme = np.abs(every - ones * marked / n) >= abs(overlap - ones * marked / n) - 1e-9
    return x, y, float(stats.hypergeom(n, marked, ones).pmf(every)[extreme].sum())


@pytest.mark.parametrize("method", ["spearman", "auto"])
@pytest.mark.parametrize(("n", "ones", "marked", "overlap"), [(200, 60, 100, 48), (40, 12, 15, 11)])
@pytest.mark.parametrize("exactly", [True, False])
def test_tails_of_tied_statistics_are_not_drawn_to_one_side(
    exactly: bool, method: str, n: int, ones: int, marked: int, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two columns of two levels, whose statistics are tied by the hundred: Fisher's exact test, two-sided."""
    if not exactly:
        monkeypatch.setattr("miscreen.inference.tables.MOST_TABLES", 0)
    x, y, truth = two_levels_each(n, ones, marked, overlap)
    target = target_of(y, Kind.DISCRETE)
    estimator = make_estimator(method, target)
    assert 1e-9 < truth < 1e-5
    observed = estimator.statistic(batch_of(x, Kind.DISCRETE))
    found = []
    for seed in range(12):
        pattern = Permuter(target, True, seed, None).pattern(x, Kind.DISCRETE, False)
        p, how = Null(pattern, estimator, OWN).p_values(observed)
        assert (how[0] == EXACT) == exactly
        found.append(p[0])
    assert abs(np.mean(np.log10(found)) - math.log10(truth)) < (1e-9 if exactly else 0.35)


@pytest.mark.parametrize(
    ("n", "ones", "marked", "overlap"), [(16, 10, 10, 9), (30, 13, 10, 8), (38, 14, 7, 6), (40, 12, 10, 6)]
)
def test_what_may_be_a_finding_is_counted_whatever_the_seed(n: int, ones: int, marked: int, overlap: int) -> None:
    """Also where draws would have settled it: of p up to 0.05 none is above 0.05 by chance, nor below the truth."""
    x, y, truth = two_levels_each(n, ones, marked, overlap)
    target = target_of(y, Kind.DISCRETE)
    estimator = make_estimator("pearson", target)
    assert 0.001 < truth < 0.05
    observed = estimator.statistic(batch_of(x, Kind.DISCRETE))
    for seed in range(40):
        pattern = Permuter(target, True, seed, None).pattern(x, Kind.DISCRETE, False)
        p, how = Null(pattern, estimator, OWN).p_values(observed)
        assert how[0] == EXACT and math.isclose(p[0], truth, rel_tol=1e-9), seed


# ---- patterns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"bandwidth": "isj"}, {"bandwidth": "isj", "scale": "raw"}, {"scale": "raw"}])
def test_arrangements_have_the_bandwidths_of_both_margins(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    y = np.concatenate((rng.normal(-3, 0.3, 40), rng.normal(3, 0.3, 50)))
    estimator = make_estimator("kde", target_of(y), **options)
    x = np.maximum(rng.gamma(2.0, size=90), 1.0)
    x[:7] = np.nan
    dealing = Permuter(target_of(y), estimator.margin_free, 0, None).pattern(x, Kind.CONTINUOUS, False).dealing
    orders = dealing.orders(np.arange(4))
    expected = estimator.statistic(dealing.batch(orders))
    np.testing.assert_allclose(estimator.arranged(dealing, orders), expected, rtol=1e-9)


def test_draws_are_uniform_arrangements_within_groups() -> None:
    values = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 4.0])
    strata = np.array([0, 0, 0, 1, 1, 1])
    pattern = Permuter(target_of(np.arange(6.0)), False, 0, strata).pattern(values, Kind.CONTINUOUS, False)
    orders = pattern.dealing.orders(np.arange(6000))
    rows = pattern.dealing.batch(orders).values
    assert np.isnan(rows[:, 2]).all()
    found, counts = np.unique(np.delete(rows, 2, axis=1), axis=0, return_counts=True)
    assert found.tolist() == [[*a, *b] for a in ([1, 2], [2, 1]) for b in ([3, 4, 4], [4, 3, 4], [4, 4, 3])]
    assert stats.chisquare(counts).pvalue > 1e-4
    assert pattern.log_arrangements == pytest.approx(math.log(6))


def test_features_share_a_pattern_where_they_are_tied_alike() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal(30)
    a, b = np.round(rng.standard_normal(30)), rng.permutation(30) * 1.0
    gaps_a, gaps_b = b.copy(), rng.standard_normal(30)
    gaps_a[[3, 4]] = gaps_b[[7, 20]] = np.nan

    def key(values: Floats, margin_free: bool = True, target: Floats = y, strata: Any = None) -> bytes:
        permuter = Permuter(target_of(target), margin_free, 0, strata)
        return permuter.pattern(values, Kind.CONTINUOUS, False).key

    assert key(a) == key(np.exp(rng.permutation(a))) != key(b)
    assert key(gaps_a) == key(gaps_b)
    assert key(gaps_a, target=np.round(y)) != key(gaps_b, target=np.round(y))
    assert key(a, margin_free=False) == key(rng.permutation(a), margin_free=False) != key(2 * a, margin_free=False)
    halves = np.arange(30) // 15
    swapped = a.copy()
    swapped[[0, 29]] = a.min(), a.max()
    assert key(a, strata=halves) != key(swapped[::-1], strata=halves)


@pytest.mark.parametrize("steps", [None, 1.0, 0.02])
def test_features_of_the_same_ties_have_one_pattern(steps: float | None) -> None:
    rng = np.random.default_rng(4)
    y = rng.standard_normal(24)
    permuter = Permuter(target_of(y if steps is None else np.round(y / steps) * steps), True, 0, None)
    keys: dict[bytes, bytes] = {}
    for _ in range(1500):
        values = rng.permutation(np.repeat([-1.0, 0.0, 2.0], rng.multinomial(24, [0.1, 0.8, 0.1]))) * rng.choice([1, 3])
        values[rng.random(24) < rng.choice([0.0, 0.05])] = np.nan
        kind, nominal = rng.choice(list(Kind)), bool(rng.random() < 0.5)
        ties = permuter.ties(Batch(values[np.newaxis], kind, np.array([nominal])), 0)
        key = permuter.pattern(values, kind, nominal).key
        assert keys.setdefault(ties, key) == key
        assert len(ties) == 32  # however many samples and levels
    assert 30 < len(keys) < 1200
    assert len(set(keys.values())) > 30


def test_a_null_is_drawn_once_for_features_that_are_tied_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    target = target_of(rng.standard_normal(40))
    zeros = rng.integers(5, 15, 300)
    values = np.array([rng.permutation(np.r_[np.zeros(k), 1 + rng.random(40 - k)]) for k in zeros])
    batch = batch_of(values)
    estimator = make_estimator("spearman", target)
    made: list[bytes] = []

    def made_null(pattern: Pattern, *others: Any) -> Null:
        made.append(pattern.key)
        return Null(pattern, *others)

    monkeypatch.setattr(significance, "Null", made_null)
    found = Significance(target, estimator, 0).judge(batch, estimator.score(batch))[0]
    assert len(made) == len(set(made)) == len(set(zeros.tolist()))
    monkeypatch.setattr(significance, "_NULLS_BYTES", 0)  # four at a time
    monkeypatch.setattr(significance, "_KEYS", 2)
    again = Significance(target, estimator, 0).judge(batch, estimator.score(batch))[0]
    assert len(made) > 10 * len(set(made))
    assert found.tolist() == again.tolist()


def test_the_pattern_of_a_column_takes_no_more_than_sorted_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Genotypes have a null each, of which a hundred draws take less time than to look for levels five times."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, 50).astype(float)
    x[:4] = np.nan
    for y in (rng.standard_normal(50), rng.integers(0, 2, 50)):
        permuter = Permuter(target_of(y), True, 0, None)
        with monkeypatch.context() as patched:
            patched.setattr(np, "unique", None)
            pattern = permuter.pattern(x, Kind.DISCRETE, False)
        counts = np.unique(x[4:], return_counts=True)[1].tolist()
        assert np.unique(pattern.dealing.values, return_counts=True)[1].tolist() == counts
        assert pattern.dealing.dealt.tolist() == [46 - max(counts)]
        assert len(set(pattern.dealing.values[46 - max(counts) :].tolist())) == 1
        target_counts = np.unique(y[4:], return_counts=True)[1].tolist()
        of = (math.lgamma(47) - sum(math.lgamma(c + 1) for c in some) for some in (counts, target_counts))
        assert pattern.log_arrangements == pytest.approx(min(of))


def test_what_nulls_take_is_not_added_up_for_each_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    class Watched(Null):
        @property
        def held_bytes(self) -> int:
            looks.append(self._held)
            return self._held

        @held_bytes.setter
        def held_bytes(self, held: int) -> None:
            self._held = held

    rng = np.random.default_rng(6)
    target = target_of(rng.standard_normal(30))
    batch = batch_of(rng.integers(0, 6, (300, 30)).astype(float))
    estimator = make_estimator("spearman", target)
    monkeypatch.setattr(significance, "Null", Watched)
    Significance(target, estimator, 0).judge(batch, estimator.score(batch))
    assert 300 <= len(looks) <= 1200
    assert min(looks) > 30 * 32


@pytest.mark.parametrize("method", ["auto", "spearman"])
def test_samples_that_stand_in_for_others_are_not_tied_more(method: str) -> None:
    """A target of next to no ties, all of them in its first rows, and features present in a few of the others."""
    rng = np.random.default_rng(2)
    n, n_tied, present = 4000, 20, 24
    y = np.r_[np.zeros(n_tied), np.sort(rng.random(n - n_tied)) + 0.001]
    target = target_of(y)
    estimator = make_estimator(method, target)
    x = np.full((12, n), np.nan)
    x[:10, -present:] = 0.5 * stats.zscore(y[-present:]) + rng.standard_normal((10, present))
    x[10:, :present] = rng.standard_normal((2, present))  # tied more themselves
    p, _ = judged(Significance(target, estimator, 0), estimator, batch_of(x))
    for rows, some in ((slice(0, 10), slice(n - present, n)), (slice(10, 12), slice(0, present))):
        alone = make_estimator(method, target_of(y[some]))
        significance = Significance(target_of(y[some]), alone, 0)
        expected, _ = judged(significance, alone, batch_of(x[rows, some]))
        assert np.all(np.abs(np.log10(p[rows] / expected)) < 0.6)  # each is off by 0.3
    only = np.full((1, n), np.nan)
    only[0, -10:] = rng.standard_normal(10)  # as many as are tied
    assert judged(Significance(target, estimator, 0), estimator, batch_of(only))[0][0] <= 1.0


RANKS_ALONE = [
    ("auto", {}, True),
    ("bin", {"bins": 8}, True),
    ("bin", {"bins": "fd"}, False),
    ("bin", {"bins": 8, "binning": "width"}, False),
    ("kde", {}, True),
    ("kde", {"scale": "raw"}, False),
    ("ksg", {"scale": "rank"}, True),
    ("ksg", {}, False),
    ("ksg", {"scale": "raw"}, False),
    ("pearson", {}, False),
    ("spearman", {}, True),
    ("copula", {}, True),
]


def test_every_method_says_whether_it_sees_ranks_alone() -> None:
    assert {method for method, _, _ in RANKS_ALONE} == set(ESTIMATORS)


@pytest.mark.parametrize(("method", "options", "expected"), RANKS_ALONE)
@pytest.mark.parametrize("kind", Kind)
def test_margin_free_methods_see_ranks_alone(method: str, options: dict[str, Any], expected: bool, kind: Kind) -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal(80) if kind == Kind.CONTINUOUS else rng.integers(0, 3, 80).astype(float)
    x = np.stack([rng.standard_normal(80), np.maximum(rng.standard_normal(80), 0)])
    bent = np.exp(2 * y) if kind == Kind.CONTINUOUS else y
    plain = make_estimator(method, target_of(y, kind), **options)
    other = make_estimator(method, target_of(bent, kind), **options)
    same = np.allclose(plain.statistic(batch_of(x)), other.statistic(batch_of(np.exp(3 * x))), rtol=1e-9)
    assert plain.margin_free == same == expected


KINDS = [(Kind.CONTINUOUS, False), (Kind.DISCRETE, False), (Kind.DISCRETE, True)]


@pytest.mark.parametrize("method", ESTIMATORS)
@pytest.mark.parametrize(("target_kind", "target_nominal"), KINDS)
@pytest.mark.parametrize("restricted", [False, True], ids=["free", "strata"])
def test_arrangements_have_the_statistic_of_the_features_they_are(
    method: str, target_kind: Kind, target_nominal: bool, restricted: bool
) -> None:
    n = 60
    rng = np.random.default_rng(9)
    y = rng.standard_normal(n) if target_kind == Kind.CONTINUOUS else rng.integers(0, 3, n).astype(float)
    target = target_of(y, target_kind, nominal=target_nominal)
    estimator = make_estimator(method, target)
    permuter = Permuter(target, estimator.margin_free, 0, rng.integers(0, 2, n) if restricted else None)
    mostly_zero = np.maximum(rng.standard_normal(n) - 0.3, 0.0)
    few = rng.integers(0, 3, n).astype(float)
    columns = [(rng.standard_normal(n), *KINDS[0]), (mostly_zero, *KINDS[0]), (few, *KINDS[1]), (few, *KINDS[2])]
    for values, kind, nominal in columns:
        for gaps in (0.0, 0.2):
            pattern = permuter.pattern(np.where(rng.random(n) < gaps, np.nan, values), kind, nominal)
            dealing = pattern.dealing
            orders = dealing.orders(np.arange(5, 65))
            expected = estimator.statistic(dealing.batch(orders))
            np.testing.assert_allclose(estimator.arranged(dealing, orders), expected, rtol=1e-9, atol=1e-12)
            drawn = estimator.drawn(dealing, range(5, 65), np.inf, 1)
            np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-12)
            middle = float(np.median(drawn))
            fewer = estimator.drawn(dealing, range(5, 65), middle, 10)
            assert fewer.tolist() == drawn[: len(fewer)].tolist()
            assert np.count_nonzero(fewer >= middle) >= 10
            assert np.isnan(dealing.batch(orders).values).sum() == 60 * (n - len(dealing.samples))


IN_ONE_PASS = [
    ("bin", {}),
    ("bin", {"bins": 6, "correction": "miller-madow"}),
    ("bin", {"bins": "fd", "binning": "width", "correction": "none"}),
    ("kde", {}),
    ("kde", {"scale": "raw", "bandwidth": "isj"}),
    ("ksg", {}),
    ("ksg", {"scale": "rank", "k": 5}),
    ("spearman", {}),
    ("pearson", {}),
    ("copula", {}),
]


@pytest.mark.parametrize(("method", "options"), IN_ONE_PASS)
@pytest.mark.parametrize(("target_kind", "target_nominal"), KINDS)
@pytest.mark.parametrize("restricted", [False, True], ids=["free", "strata"])
def test_arrangements_scored_in_one_pass_have_the_bits_of_the_features_they_are(
    method: str, options: dict[str, Any], target_kind: Kind, target_nominal: bool, restricted: bool
) -> None:
    """Laid out by the slow reference; p-values in the tail depend on which statistics are equal."""
    n = 70
    rng = np.random.default_rng(4)
    y = rng.standard_normal(n) if target_kind == Kind.CONTINUOUS else rng.integers(0, 4, n).astype(float)
    target = target_of(y, target_kind, nominal=target_nominal)
    estimator = make_estimator(method, target, **options)
    permuter = Permuter(target, estimator.margin_free, 0, rng.integers(0, 2, n) if restricted else None)
    few, counts = rng.integers(0, 3, n).astype(float), np.maximum(np.round(5 * rng.standard_normal(n)), 0.0)
    none = np.empty((0, n), dtype=np.int64)
    for values, kind, nominal in ((few, *KINDS[1]), (few, *KINDS[2]), (counts, *KINDS[0])):
        of_two_orders = kind == target_kind == Kind.CONTINUOUS and method in ("kde", "ksg")
        of_two_numbers = not (nominal or target_nominal) and method in ("pearson", "copula")
        if of_two_orders or of_two_numbers:  # neighbours of a plane are looked for anew, sums are rounded otherwise
            continue
        for gaps in (0.0, 0.2):
            values = np.where(rng.random(n) < gaps, np.nan, values)
            dealing = permuter.pattern(values, kind, nominal).dealing
            samples, starts, dealt, key = (of.tolist() for of in dealing.arrays)
            slow = [naive.deal_out(samples, starts, dealt, key, number) for number in range(3, 33)]
            rows = [naive.laid_out(dealing.template.values[0], samples, order) for order in slow]
            expected = estimator.statistic(Batch(np.array(rows), kind, np.full(30, nominal)))
            for first, orders in ((3, none[:, : len(samples)]), (0, np.array(slow))):
                found = np.empty(30)
                assert estimator._in_one_pass(dealing, (*dealing.arrays, first, orders, math.inf, 31, found)) == 30
                assert found.tobytes() == expected.tobytes(), (kind, nominal, gaps)


# ---- p-values of features ----------------------------------------------------------------------------------


def judged(
    significance: Significance, estimator: Estimator, batch: Batch, threads: int = 1
) -> tuple[Floats, list[str]]:
    scores = estimator.score(batch)
    observed = scores.mi if scores.score is None else scores.score
    p, how = significance.judge(batch, scores)
    significance.settle(observed, p, how, threads)
    return p, how.tolist()


def features_of_every_kind(rng: np.random.Generator, n: int, count: int) -> dict[str, tuple[Kind, Floats]]:
    plain = rng.standard_normal((count, n))
    gaps = np.where(
        rng.random((count, n)) < rng.uniform(0.05, 0.4, (count, 1)), np.nan, rng.standard_normal((count, n))
    )
    return {
        "continuous": (Kind.CONTINUOUS, plain),
        "tied": (Kind.CONTINUOUS, np.round(2 * rng.standard_normal((count, n)))),
        "zero-inflated": (Kind.CONTINUOUS, np.maximum(rng.standard_normal((count, n)), rng.uniform(0, 1, (count, 1)))),
        "discrete": (Kind.DISCRETE, rng.integers(0, 3, (count, n)).astype(float)),
        "missing": (Kind.CONTINUOUS, gaps),
    }


@pytest.mark.parametrize("method", ["auto", "pearson"])
@pytest.mark.parametrize("target", ["continuous", "classes"])
@pytest.mark.parametrize("restricted", [False, True], ids=["free", "strata"])
def test_p_values_are_those_of_brute_force(method: str, target: str, restricted: bool) -> None:
    n, draws = 40, 1500
    rng = np.random.default_rng(8)
    y = rng.standard_normal(n) if target == "continuous" else np.repeat([0.0, 1.0], n // 2)
    kind = Kind.CONTINUOUS if target == "continuous" else Kind.DISCRETE
    strata = rng.integers(0, 2, n) if restricted else None
    estimator = make_estimator(method, target_of(y, kind))
    significance = Significance(target_of(y, kind), estimator, 0, strata)
    for name, (feature_kind, values) in features_of_every_kind(rng, n, 1).items():
        values = values + np.round(y * 0.7) * (feature_kind == Kind.CONTINUOUS)
        batch = batch_of(values, feature_kind)
        p, _ = judged(significance, estimator, batch)

        def statistic(dealt: Any, of: Kind = feature_kind) -> float:
            return float(estimator.statistic(batch_of(dealt, of))[0])

        expected = naive.permutation_p(values[0], statistic, draws, rng, strata)
        error = math.sqrt(expected * (1 - expected) / draws) + p[0] / math.sqrt(OWN.enough) + 1 / draws
        assert abs(p[0] - expected) <= 4 * error, name


def test_draws_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million samples a few are drawn in a call, so that an interrupted run ends soon."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"y": rng.normal(size=60), "x": rng.normal(size=60), "t": rng.poisson(1.0, 60)})
    whole = miscreen.rank(frame, "y", "spearman", p_values=True).to_polars()
    monkeypatch.setattr(null, "_VALUES", 60 * 7)
    assert miscreen.rank(frame, "y", "spearman", p_values=True).to_polars().equals(whole)


@pytest.mark.parametrize("kind", ["continuous", "tied", "zero-inflated", "discrete", "missing", "strata"])
@pytest.mark.parametrize("target", ["continuous", "classes"])
def test_p_values_of_null_features_are_uniform(kind: str, target: str) -> None:
    """Kolmogorov-Smirnov where p-values have no steps; elsewhere no level may be exceeded too often."""
    n, count = 60, 2000 if kind == "continuous" else 300
    rng = np.random.default_rng(1)
    y = rng.standard_normal(n) if target == "continuous" else rng.integers(0, 2, n).astype(float)
    made = target_of(y, Kind.CONTINUOUS if target == "continuous" else Kind.DISCRETE)
    estimator = make_estimator("bin", made, bins=5) if kind == "discrete" else make_estimator("copula", made)
    strata = np.arange(n) // 20 if kind == "strata" else None
    feature_kind, values = features_of_every_kind(rng, n, count)["continuous" if kind == "strata" else kind]
    p, _ = judged(Significance(made, estimator, 0, strata), estimator, batch_of(values, feature_kind))
    for level in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5):
        # Features that share a null share its error, as if there were fewer of them.
        effective = 1 / (1 / count + 1 / SHARED.draws)
        assert np.mean(p <= level) <= level + 3.5 * math.sqrt(level * (1 - level) / effective), level
    if kind == "continuous" and target == "continuous":
        distance = stats.kstest(p, "uniform").statistic
        assert stats.kstwo.sf(distance, int(effective)) > 1e-3


def test_ways_to_a_p_value() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 400).astype(float)
    target = target_of(y, Kind.DISCRETE)
    estimator = make_estimator("kde", target)
    significance = Significance(target, estimator, 0)
    x = rng.standard_normal((5, 400))
    x[1] += y * np.array([0.45])
    x[2] += 4 * y
    p, how = judged(significance, estimator, batch_of(x))
    assert how == [PERMUTATION, SPLITTING, EXTRAPOLATED, PERMUTATION, PERMUTATION]
    assert p[2] < 1e-20 < p[1] < 0.01 < p[0]
    levels = rng.integers(0, 3, (1, 400)).astype(float)
    assert judged(significance, estimator, batch_of(levels, Kind.DISCRETE))[1] == [CHI_SQUARE]
    rare = np.where(np.arange(400) < 5, 1.0, 0.0)
    assert judged(significance, estimator, batch_of(rare, Kind.DISCRETE))[1] == [EXACT]
    within = Significance(target, estimator, 0, np.arange(400) % 2)
    assert judged(within, estimator, batch_of(levels, Kind.DISCRETE))[1] == [PERMUTATION]


@pytest.mark.parametrize("method", ["copula", "pearson", "bin"])
def test_p_values_do_not_depend_on_the_company(method: str) -> None:
    rng = np.random.default_rng(4)
    target = target_of(rng.standard_normal(50))
    estimator = make_estimator(method, target)
    for kind, values in features_of_every_kind(rng, 50, 6).values():
        values = values + target.values * np.arange(6)[:, np.newaxis] / 3 * (kind == Kind.CONTINUOUS)
        whole, how = judged(Significance(target, estimator, 5), estimator, batch_of(values, kind), threads=2)
        halves = Significance(target, estimator, 5)
        parts = [judged(halves, estimator, batch_of(values[i : i + 2], kind)) for i in (4, 2, 0)]
        assert whole.tolist() == [p for part in reversed(parts) for p in part[0]]
        assert how == [h for part in reversed(parts) for h in part[1]]


@pytest.mark.parametrize("kind", Kind)
def test_bins_filled_as_without_ties_share_a_null_whatever_is_tied(kind: Kind) -> None:
    rng = np.random.default_rng(5)
    n, bins = 403, 8
    target = target_of(np.round(rng.standard_normal(n)), kind)
    estimator = make_estimator("bin", target, bins=bins)
    untied = rng.permutation(n) + target.values
    untied += rng.random(n)
    filled = (np.argsort(np.argsort(untied)) + 0.5) * bins // n
    few, many, missing = untied.copy(), np.round(untied / 80), untied.copy()
    few[np.argsort(untied)[49]] = np.sort(untied)[50]  # across an edge: no tie of so many changes a null
    missing[7] = np.nan
    batch = batch_of([untied, filled, few, many, missing])
    assert estimator.score(batch).as_untied.tolist() == [True, True, False, False, False]
    p, _ = Significance(target, estimator, 0).judge(batch, estimator.score(batch))
    assert np.isnan(p[:3]).all()  # left to the shared null
    assert not np.isnan(p[3:]).any()
    p, _ = judged(Significance(target, estimator, 0), estimator, batch)
    assert p[0] == p[1]


def test_the_g_test_agrees_with_scipy_and_with_permutations() -> None:
    rng = np.random.default_rng(6)
    y = rng.integers(0, 3, 500)
    x = np.where(rng.random(500) < 0.06, y, rng.integers(0, 3, 500)).astype(float)
    x[:30] = np.nan
    table = np.histogram2d(x[30:], y[30:], bins=(3, 3))[0]
    plain = stats.chi2_contingency(table, lambda_="log-likelihood", correction=False)
    rows, columns = table.sum(1), table.sum(0)
    williams = 1 + (470 * np.sum(1 / rows) - 1) * (470 * np.sum(1 / columns) - 1) / (6 * 470 * 4)
    p_of_g = stats.chi2(4).sf(plain.statistic / williams)
    found = table_test(x, y, "plug-in")
    assert found == (pytest.approx(p_of_g, rel=1e-10), CHI_SQUARE)
    target = target_of(y, Kind.DISCRETE)
    estimator = make_estimator("bin", target, correction="none")
    null = Null(Permuter(target, True, 0, None).pattern(x, Kind.DISCRETE, False), estimator, SHARED)
    batch = batch_of(x, Kind.DISCRETE)
    p, _ = null.p_values(estimator.statistic(batch))
    assert found[0] == pytest.approx(p[0], rel=0.5)
    assert math.isnan(table_test(np.where(np.arange(500) < 9, 1.0, 0.0), y, "plug-in")[0])
    strong = np.where(rng.random(500) < 0.5, y, rng.integers(0, 3, 500)).astype(float)
    assert table_test(strong, y, "plug-in")[0] < 1e-10  # every cell expects 50
    assert math.isnan(table_test(strong[:300], y[:300], "plug-in")[0])


@pytest.mark.parametrize("order", ["chi-square", "plug-in", "miller-madow", "jackknife"])
@pytest.mark.parametrize(
    ("n", "ones", "marked"), [(500, 20, 250), (60, 17, 22), (20_000, 400, 600), (30, 1, 29), (100, 18, 18)]
)
def test_two_by_two_is_exact(n: int, ones: int, marked: int, order: str) -> None:
    y = (np.arange(n) < marked).astype(np.int64)
    counts = np.arange(max(0, ones + marked - n), min(ones, marked) + 1)
    shares = stats.hypergeom(n, marked, ones).pmf(counts)
    features = np.zeros((len(counts), n))
    for x, k in zip(features, counts.tolist(), strict=True):
        x[:k] = x[marked : marked + ones - k] = 1.0

    def estimate(x: Floats) -> float:
        return naive.jackknife_mi(x, y) if order == "jackknife" else naive.cell_mi(x, y, order == "miller-madow")

    mi = np.array([estimate(x) for x in features])
    far = np.abs(counts - ones * marked / n) if order == "chi-square" else mi
    for x, here in zip(features, far, strict=True):
        p, how = table_test(x, y, order)
        assert how == EXACT
        assert p == pytest.approx(shares[far >= here - 1e-12].sum(), rel=1e-6)


# ---- many at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bh", "by"])
def test_q_values_are_those_of_scipy(method: str) -> None:
    rng = np.random.default_rng(0)
    for p in (rng.random(500) ** 3, rng.choice([0.001, 0.02, 0.02, 0.5, 1.0], 200), np.array([0.04])):
        q = q_values(p, method)
        assert q == pytest.approx(stats.false_discovery_control(p, method=method), rel=1e-12)
        factor = sum(1 / i for i in range(1, len(p) + 1)) if method == "by" else 1.0
        assert q == pytest.approx(naive.step_up_q(p.tolist(), factor), rel=1e-12)
        gaps = np.insert(p, 0, np.nan)
        assert np.isnan(q_values(gaps, method)[0])
        assert q_values(gaps, method)[1:].tolist() == q.tolist()
        assert all(len(set(q[p == one])) == 1 for one in set(p))
        assert np.all(np.diff(q[np.argsort(p)]) >= 0)
    assert np.isnan(q_values(np.full(3, np.nan), method)).all()


def test_max_t_against_all_permutations() -> None:
    """Five samples have 120 permutations: p-values are those of the largest statistic over all of them."""
    rng = np.random.default_rng(1)
    y, x = rng.standard_normal(5), rng.standard_normal((4, 5))
    x[1] = x[0] + 0.01 * rng.standard_normal(5)
    target = target_of(y)
    estimator = make_estimator("pearson", target)
    observed = estimator.statistic(batch_of(x))
    every = [estimator.statistic(batch_of(x[:, list(p)])).max() for p in itertools.permutations(range(5))]
    truth = np.array([np.mean(np.array(every) >= t - 1e-9) for t in observed])
    gathered = MaxT(target, estimator, 4000, 0, None)
    gathered.add(batch_of(x[:1]))
    gathered.add(batch_of(x[1:]))
    p = max_t_p_values(observed, gathered.maxima)
    assert np.all(np.abs(p - truth) <= 4 * np.sqrt(truth * (1 - truth) / 4000) + 1 / 4000)
    at_once = MaxT(target, estimator, 4000, 0, None)
    at_once.add(batch_of(x))
    assert at_once.maxima.tolist() == gathered.maxima.tolist()


def test_max_t_keeps_to_strata() -> None:
    """A feature that is the stratum itself cannot be permuted away from the target."""
    strata = np.arange(40) % 2
    y = strata + 0.1 * np.random.default_rng(0).standard_normal(40)
    target = target_of(y)
    estimator = make_estimator("pearson", target)
    batch = batch_of(strata.astype(float))
    gathered = MaxT(target, estimator, 50, 0, strata)
    gathered.add(batch)
    assert max_t_p_values(estimator.statistic(batch), gathered.maxima).tolist() == [1.0]
    significance = Significance(target, estimator, 0, strata)
    assert judged(significance, estimator, batch)[0].tolist() == [1.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fdr": 1.5}, r"fdr must be a number between 0 and 1, not 1\.5"),
        ({"fdr": 0}, "fdr must be a number between 0 and 1, not 0"),
        ({"ci": True}, "ci must be a number between 0 and 1, not True"),
        ({"p_values": True, "fdr_method": "holm"}, "no FDR method 'holm'"),
        ({"fdr_method": "by"}, "no effect without p-values"),
        ({"strata": "site"}, "no effect without p-values"),
        ({"max_t": 3}, "max_t must be a whole number from 19 to 1,000,000, not 3"),
    ],
)
def test_requests_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Inference(**given)


def test_a_statistic_that_fails_for_some_arrangements_counts_as_least() -> None:
    values = np.arange(10.0)

    def statistic(batch: Batch) -> Floats:
        return np.where(batch.values[:, 0] > 4, np.nan, np.abs(batch.values @ values))

    p, _ = null_by(statistic, values, values, SHARED).p_values(np.array([0.0]))
    assert p[0] == pytest.approx(0.5, abs=0.03)


def test_scores_that_are_missing_have_no_p_value() -> None:
    target = target_of(np.arange(20.0))
    estimator = make_estimator("copula", target)
    batch = batch_of(np.random.default_rng(0).standard_normal((2, 20)))
    scores = Scores(np.array([np.nan, 0.1]), "copula")
    significance = Significance(target, estimator, 0)
    p, how = significance.judge(batch, scores)
    significance.settle(scores.mi, p, how, 1)
    assert np.isnan(p[0])
    assert how[0] == ""
    assert 0 < p[1] < 1

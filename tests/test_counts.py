"""Levels, contingency tables and plug-in information."""

import itertools
import math

import naive
import numpy as np
import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from pairs import batch_of, target_of
from scipy import special, stats
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from miscreen.estimators import mixed
from miscreen.estimators.mixed import mixed_mi, mixed_with_errors
from miscreen.estimators.plugin import plugin_scores, plugin_with_errors
from miscreen.kernels.counts import binned_pairs, joint_counts, level_codes, miller_madow, plugin_mi
from miscreen.kernels.survey import count_levels, survey
from miscreen.model import Floats, Kind


def plugin(x, y):
    """Estimates of the rows of x."""
    return plugin_scores(target_of(y, Kind.DISCRETE), batch_of(x, Kind.DISCRETE)).mi


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from([np.nan, 3.0, -1.0, 0.5, 7.0]), min_size=1, max_size=30))
def test_levels_are_numbered_as_they_appear(values):
    x = np.array(values)
    codes = np.full(len(x), 99)
    count = level_codes(x, np.argsort(x), codes)
    seen = list(dict.fromkeys(v for v in values if not math.isnan(v)))
    assert count == len(seen)
    assert codes.tolist() == [-1 if math.isnan(v) else seen.index(v) for v in values]


@settings(deadline=None)  # the first call may compile
@given(st.integers(1, 11), st.integers(1, 5), st.data())
def test_a_survey_tells_of_each_row_what_is_in_it(n, rows, data):
    few = st.sampled_from([np.nan, 0.0, 1.5, -2.0, np.inf, -np.inf, 2.0**400, 2.0**-400])
    values = np.array(data.draw(st.lists(few, min_size=n * rows, max_size=n * rows))).reshape(rows, n)
    fingerprints, (n_infinite, n_present) = np.empty(rows, np.uint64), np.empty((2, rows), np.int64)
    constant, seen = np.empty(rows, np.bool_), values.copy()
    survey(seen, fingerprints, n_infinite, n_present, constant)
    finite = np.where(np.isinf(values), np.nan, values)
    for row, before, after in zip(range(rows), finite, seen, strict=True):
        kept = before[~np.isnan(before)]
        assert fingerprints[row] == naive.fingerprint(values[row].tolist())
        assert n_infinite[row] == np.isinf(values[row]).sum()
        assert n_present[row] == len(kept)
        assert constant[row] == (len(set(kept)) == 1)
        most = np.abs(kept).max(initial=0.0)
        far = 300 if most > 2.0**300 else 0  # large values no farther down than squares need
        scale = 0 if most == 0.0 or 2.0**-300 <= most <= 2.0**300 else far - math.frexp(most)[1]
        assert np.array_equal(after, np.ldexp(before, scale), equal_nan=True)


def test_joint_counts_equal_numpys_and_leave_out_missing_codes():
    rng = np.random.default_rng(0)
    x, y = rng.integers(-1, 5, 500), rng.integers(-1, 3, 500)
    kept = (x >= 0) & (y >= 0)
    expected = np.histogram2d(x[kept], y[kept], bins=(range(6), range(4)))[0]
    assert np.array_equal(joint_counts(x, y, 5, 3), expected)


@pytest.mark.parametrize("seed", range(5))
def test_plugin_equals_scikit_learn_and_the_definition(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 300), rng.integers(0, 4, 300)
    y = np.where(rng.random(300) < 0.2, x % 4, y)
    counts = joint_counts(x, y, 6, 4)
    assert plugin_mi(counts) == pytest.approx(mutual_info_score(x, y), rel=1e-10)
    assert plugin_mi(counts) == pytest.approx(naive.cell_mi(x.tolist(), y.tolist()), rel=1e-10)
    expected = naive.cell_mi(x.tolist(), y.tolist(), miller_madow=True)
    assert plugin_mi(counts) + miller_madow(counts) == pytest.approx(expected, rel=1e-10)
    assert plugin_mi(np.ascontiguousarray(counts.T)) == pytest.approx(plugin_mi(counts), rel=1e-10)


def test_empty_rows_and_cells_do_not_count_as_levels():
    counts = np.array([[10, 0, 5], [0, 0, 0], [0, 0, 7]])
    occupied = np.array([[10, 5], [0, 7]])
    assert plugin_mi(counts) == plugin_mi(occupied)
    assert miller_madow(counts) == miller_madow(occupied) == (2 + 2 - 3 - 1) / 44


def test_an_empty_table_has_no_estimate():
    assert np.isnan(plugin_mi(np.zeros((2, 2), np.int64)))


def test_products_of_counts_do_not_overflow():
    big = 3_000_000_000
    assert plugin_mi(np.array([[big, 0], [0, big]])) == pytest.approx(math.log(2), rel=1e-12)


@pytest.mark.parametrize(("n_levels", "n"), [((2, 2), 30), ((3, 4), 50), ((20, 5), 100), ((10, 30), 200)])
def test_two_discrete_columns_have_the_estimate_of_the_slow_reference(n_levels: tuple[int, int], n: int) -> None:
    rng = np.random.default_rng(n)
    y = rng.integers(0, n_levels[0], n)
    for x in (rng.integers(0, n_levels[1], n), np.where(rng.random(n) < 0.5, y, rng.integers(0, n_levels[1], n)), y):
        expected = naive.unbiased_mi(x.tolist(), y.tolist())
        assert plugin(x, y)[0] == pytest.approx(expected, rel=1e-10, abs=1e-13)
        shuffled = rng.permutation(n)
        assert plugin(x[shuffled], y[shuffled])[0] == plugin(x, y)[0]


def test_leaving_out_each_sample_is_the_jackknife() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 4, 60).tolist(), rng.integers(0, 3, 60).tolist()
    others = [naive.cell_mi(x[:i] + x[i + 1 :], y[:i] + y[i + 1 :]) for i in range(60)]
    jackknife = 60 * naive.cell_mi(x, y) - 59 * np.mean(others)
    assert naive.jackknife_mi(x, y) == pytest.approx(jackknife, abs=1e-12)
    by_chance = jackknife_by_chance(np.array(x), np.array(y))
    assert naive.unbiased_mi(x, y) == pytest.approx(jackknife - by_chance, abs=1e-12)


def test_two_independent_columns_have_a_mean_of_zero_over_all_arrangements() -> None:
    every = np.array(sorted(set(itertools.permutations([0.0, 0, 1, 1, 1, 1, 2, 3]))))
    assert plugin(every, [0.0, 0, 0, 1, 1, 2, 2, 2]).mean() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("y", [np.zeros(100), np.arange(100.0)])
def test_columns_of_one_level_or_no_level_twice_tell_exactly_nothing(y: Floats) -> None:
    features = np.random.default_rng(2).integers(0, np.arange(2, 32)[:, np.newaxis], (30, 100))
    assert plugin(features, y).tolist() == [0.0] * 30
    assert [plugin(y, x)[0] for x in features] == [0.0] * 30


def test_levels_are_not_favoured_for_being_many() -> None:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 4, 60)
    for n_levels in (2, 5, 15, 30):
        mi = plugin(rng.integers(0, n_levels, (2000, 60)), y)
        assert abs(mi.mean()) < 4 * mi.std(ddof=1) / math.sqrt(len(mi))  # Miller-Madow would leave up to 0.5


def test_arrangements_share_the_mean_and_others_do_not() -> None:
    rng = np.random.default_rng(6)
    y, x = rng.integers(0, 3, 80), rng.integers(0, 4, 80)
    features = np.array([x, rng.permutation(x), rng.integers(0, 4, 80), x, np.where(x == 3, 2, x)])
    together = plugin(features, y)
    assert together.tolist() == [plugin(feature, y)[0] for feature in features]


def test_renaming_levels_keeps_every_bit():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 7, 400).astype(float), rng.integers(0, 5, 400).astype(float)
    x[rng.random(400) < 0.1] = np.nan
    reference = plugin(x, y)
    renamed_x, renamed_y = (
        (rng.permutation(7) * 1.5 - 3)[np.nan_to_num(x).astype(int)],
        rng.permutation(5)[y.astype(int)],
    )
    renamed_x[np.isnan(x)] = np.nan
    assert plugin(renamed_x, renamed_y).tobytes() == reference.tobytes()


def test_missing_values_are_deletion_by_hand_and_neighbours_do_not_matter():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, 200).astype(float)
    x = rng.integers(0, 3, (6, 200)).astype(float)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[5, y == y[0]] = np.nan  # the target's first level vanishes with the missing values
    together = plugin(x, y)
    for feature, mi in zip(x, together, strict=True):
        kept = ~np.isnan(feature)
        assert plugin(feature[kept], y[kept])[0] == mi
    assert plugin(x[::-1], y)[::-1].tobytes() == together.tobytes()


@pytest.mark.parametrize("name", ["table", "table without effect"])
def test_mean_over_seeds_is_the_truth(name):
    case = CASES[name]
    estimates = np.array([plugin(*case.sample(seed, 500))[0] for seed in range(200)])
    error = estimates.std(ddof=1) / math.sqrt(len(estimates))
    assert abs(estimates.mean() - case.mi) <= 4 * error
    if case.mi == 0:
        assert (estimates < 0).any(), "estimates must not be clamped"


def jackknife_by_chance(x: Floats, y: Floats) -> float:
    """Mean of the jackknife's estimate over all arrangements of y, by SciPy's hypergeometric distribution."""
    n = len(x)
    k = np.arange(n + 1)
    last = special.xlogy(k, k) - special.xlogy(np.maximum(k - 1, 0), np.maximum(k - 1, 0))
    rows, columns = (np.unique(codes, return_counts=True)[1] for codes in (x, y))
    cells = sum(stats.hypergeom(n, row, column).pmf(k) @ (k * last) for row in rows for column in columns)
    return float(last[n] + (cells - rows @ last[rows] - columns @ last[columns]) / n)


def test_mixed_pairs_have_a_mean_of_zero_over_all_arrangements_of_the_labels() -> None:
    counts = np.array([0.0, 0, 0, 1, 1, 2, 2, 2])
    labels = np.array([0.0, 0, 1, 1, 1, 1, 2, 2])
    every = np.array(sorted(set(itertools.permutations(labels))))
    assert len(every) == math.factorial(8) // (2 * math.factorial(4) * 2)
    target = target_of(counts)
    mi = mixed_mi(target, batch_of(every, Kind.DISCRETE))
    assert mi.mean() == pytest.approx(0, abs=1e-14)
    assert mi.max() > 0.2 and mi.min() < -0.05


@pytest.mark.parametrize("n", [90, 600])
@pytest.mark.parametrize("classes_of", ["target", "feature"])
def test_mixed_pairs_are_binned_and_corrected_by_leaving_each_sample_out(classes_of: str, n: int) -> None:
    rng = np.random.default_rng(6)
    labels, counts = rng.integers(0, 4, n).astype(float), rng.poisson(2.0, n).astype(float)
    present = np.ones(n, dtype=bool)
    if classes_of == "target":
        counts[rng.random(n) < 0.2] = np.nan
        present = ~np.isnan(counts)
        target, feature = target_of(labels, Kind.DISCRETE, nominal=True), counts
    else:
        target, feature = target_of(counts), labels
    kind = Kind.CONTINUOUS if classes_of == "target" else Kind.DISCRETE
    batch = batch_of(feature, kind)
    mi, error = mixed_with_errors(target, batch)
    coarser = mixed_mi(target, batch, coarseness=2)
    most = max(2, min(math.ceil(6 * present.sum() ** (1 / 3)), present.sum() // 24))  # 6 a bin and class
    groups = len(np.unique(counts[present]))
    assert (groups <= most) == (n == 600)
    for bins, found in ((most, mi[0]), (max(2, most // 2), coarser[0])):
        x, y = stats.rankdata(counts[present]), labels[present]
        cells = counts[present] if groups <= bins else np.floor((x - 0.5) * bins / len(x))
        whole = mutual_info_score(cells, y)
        others = [mutual_info_score(np.delete(cells, i), np.delete(y, i)) for i in range(len(x))]
        jackknife = len(x) * whole - (len(x) - 1) * np.mean(others)
        assert found == pytest.approx(jackknife - jackknife_by_chance(cells, y), abs=1e-10)
    coded = target_of(y, Kind.DISCRETE, nominal=True)
    cells = counts[present] if groups <= most else np.floor((x - 0.5) * most / len(x))
    binned = batch_of(cells, Kind.DISCRETE)
    assert error[0] == pytest.approx(plugin_with_errors(coded, binned)[2][0], rel=1e-12)


def test_errors_are_those_of_the_jackknife_and_doubts_what_it_changes() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 5, 60)
    x = np.where(rng.random(60) < 0.6, y, rng.integers(0, 6, 60)).astype(float)
    x[:7] = np.nan
    target, batch = target_of(y, Kind.DISCRETE), batch_of(x, Kind.DISCRETE)
    x, y = x[7:].astype(int), y[7:]
    n = len(x)
    others = np.array([mutual_info_score(np.delete(x, i), np.delete(y, i)) for i in range(n)])
    error = math.sqrt((n - 1) / n * np.sum((others - others.mean()) ** 2))
    mi, doubts, errors = plugin_with_errors(target, batch)
    assert mi[0] == plugin_scores(target, batch).mi[0]
    assert errors[0] == pytest.approx(error, rel=1e-10)
    chance = expected_mutual_information(contingency_matrix(x, y), n)
    without = mutual_info_score(x, y) - chance
    assert doubts[0] == pytest.approx(abs(naive.unbiased_mi(x, y) - without), rel=1e-9)


def test_mixed_pairs_of_one_value_have_no_information() -> None:
    y = np.arange(40) % 2.0
    x = np.where(y == 0, np.arange(40.0) // 8, np.nan)
    target = target_of(y, Kind.DISCRETE, nominal=True)
    for values in (x, np.full(40, 3.0), np.full(40, np.nan)):
        assert np.isnan(mixed_mi(target, batch_of(values))).all()


@pytest.mark.parametrize("coarseness", [1, 2])
@pytest.mark.parametrize("classes_of", ["target", "feature"])
def test_mixed_pairs_of_a_batch_are_estimated_together_as_each_alone(
    classes_of: str, coarseness: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    n, of_target = 120, classes_of == "target"
    counts, labels = rng.poisson(3.0, (12, n)) * 1.0, rng.integers(0, 5, (12, n)) * 1.0
    values = counts if of_target else labels
    values[3:9, :30] = np.nan
    values[4, :118], values[5], values[6] = np.nan, 2.0, np.nan
    alone = (labels if of_target else counts)[0].copy()
    kinds = (Kind.DISCRETE, Kind.CONTINUOUS) if of_target else (Kind.CONTINUOUS, Kind.DISCRETE)
    target, batch = target_of(alone, kinds[0], nominal=of_target), batch_of(values, kinds[1])
    calls = []
    monkeypatch.setattr(mixed, "binned_pairs", lambda *given: (calls.append(1), binned_pairs(*given))[1])
    mi, (finest, errors) = mixed_mi(target, batch, coarseness), mixed_with_errors(target, batch)
    assert len(calls) == 2  # once for what is asked together
    for f, of_feature in enumerate(values):
        here = ~np.isnan(of_feature)
        ordered, classes = (of_feature, alone) if of_target else (alone, of_feature)
        x, y = ordered[here], classes[here]
        if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
            assert np.isnan(mi[f]) and np.isnan(errors[f])
            continue
        group, codes = np.unique(x, return_inverse=True)[1], np.zeros(n)
        codes[here] = np.unique(y, return_inverse=True)[1]
        coded = target_of(codes, Kind.DISCRETE, nominal=True)
        most = min(math.ceil(6 * len(x) ** (1 / 3)), len(x) // (6 * len(np.unique(y))))
        binned = []
        for bins in (max(2, most // coarseness), max(2, most)):
            cells = np.full((1, n), np.nan)
            cells[0, here] = group if group.max() < bins else (2 * stats.rankdata(x) - 1) * bins // (2 * len(x))
            binned.append(batch_of(cells, Kind.DISCRETE))
        assert mi[f] == plugin_scores(coded, binned[0]).mi[0]
        assert (finest[f], errors[f]) == tuple(found[0] for found in plugin_with_errors(coded, binned[1])[::2])


@pytest.mark.parametrize("missing", [0, 7])
def test_errors_of_plugin_estimates_of_a_batch_are_those_of_the_jackknife(missing: int) -> None:
    rng = np.random.default_rng(8)
    n = 90
    codes, values = rng.integers(0, 3, n), rng.integers(0, 4, (5, n)) * 1.0
    values[:, :missing] = np.nan
    values[2] = np.where(rng.random(n) < 0.6, codes, values[2]) + 0.0 * values[2]
    values[4, 1:] = np.nan
    target = target_of(codes * 1.0, Kind.DISCRETE, nominal=True)
    found = plugin_with_errors(target, batch_of(values, Kind.DISCRETE))[2]
    assert np.isnan(found[4])
    n -= missing
    for x, error in zip(values[:4, missing:], found, strict=False):
        y, least = codes[missing:], (len(np.unique(x)) - 1) * 2 / (2 * n)
        others = np.array([mutual_info_score(np.delete(x, i), np.delete(y, i)) for i in range(n)])
        assert error**2 == pytest.approx(max(least / n, (n - 1) / n * np.sum((others - others.mean()) ** 2)), rel=1e-9)


@pytest.mark.parametrize("spread", [1.0, 0.1, 31.0, 32.0, 33.0, 256.0])
@pytest.mark.parametrize("base", [0.0, -31.0, 0.5, 1e-20, 2.0**53, -(2.0**60), 1e300])
def test_levels_are_counted_up_to_one_more_than_are_asked_for(base, spread):
    random = np.random.default_rng(int(spread))
    steps = random.integers(-2, 3, (40, 130)) * random.integers(1, 20, (40, 1))
    values = base + spread * steps
    values[::2][random.random((20, 130)) < 0.3] = np.nan
    values[3], values[4, 1:], values[5, :129], values[6, 128] = np.nan, np.nan, 1e-20, np.inf
    expected = [len(np.unique(row[~np.isnan(row)])) for row in values]
    for most in (1, 4, 20):
        found = np.empty(len(values), dtype=np.int64)
        count_levels(values, most, found)
        assert found.tolist() == [min(levels, most + 1) for levels in expected]

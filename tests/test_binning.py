"""Binning, held to NumPy's histograms and to the slow references."""

from __future__ import annotations

import math

import naive
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pairs import batch_of, target_of

import miscreen
from miscreen.errors import InputError
from miscreen.estimators.binning import RULES, Binning, BinningOptions
from miscreen.kernels import bin_rules
from miscreen.kernels.bins import frequency_cells, width_cells
from miscreen.model import Kind

CONTINUOUS, DISCRETE = Kind.CONTINUOUS, Kind.DISCRETE


def score(features, target, kind=CONTINUOUS, target_kind=CONTINUOUS, **options):
    return Binning(target_of(target, target_kind), BinningOptions(**options)).score(batch_of(features, kind)).mi


def samples(seed=0, n=400):
    """Continuous, tied, skewed, heavy-tailed, large offset, zero-inflated; and a target."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n)
    x = 0.6 * y + rng.standard_normal(n)
    rows = [x, x.round(1), np.exp(2 * x), x**5, 1e9 + x.round(2), np.where(x > 0, x, 0.0), np.arange(n) % 7]
    return np.array(rows, dtype=np.float64), y


def table_mi(counts):
    p = counts / counts.sum()
    occupied = p > 0
    independent = np.outer(p.sum(axis=1), p.sum(axis=0))
    return np.sum(p[occupied] * np.log(p[occupied] / independent[occupied]))


@pytest.mark.parametrize("n_bins", [2, 7, 16, 49, 1000])
def test_equal_widths_are_those_of_histogram2d(n_bins):
    features, y = samples()
    counted = [table_mi(np.histogram2d(x, y, bins=n_bins)[0]) for x in features]
    np.testing.assert_allclose(score(features, y, bins=n_bins, binning="width", correction="none"), counted, rtol=1e-10)


@settings(deadline=None)  # the first call may compile
@given(
    arrays.arrays(
        np.float64,
        st.integers(2, 40),
        elements=st.floats(-1e6, 1e6) | st.integers(-20, 20).map(float) | st.sampled_from([0.1, 0.2, 0.3, 0.7]),
    ).filter(lambda v: v.max() > v.min()),
    st.integers(2, 60),
)
def test_each_value_falls_into_the_cell_that_numpy_puts_it_in(values, n_bins):
    cells = np.empty(len(values), dtype=np.int64)
    width_cells(values, values.min(), values.max(), n_bins, cells)
    edges = np.linspace(values.min(), values.max(), n_bins + 1)
    expected = np.searchsorted(edges, values, side="right") - 1 - (values == edges[-1])
    np.testing.assert_array_equal(cells, expected)


NUMPYS = [rule for rule in RULES if rule not in ("cube-root", "birge-rozenholc")]


@pytest.mark.parametrize("rule", NUMPYS)
@pytest.mark.parametrize("n", [10, 97, 100, 1000, 1024])
def test_rules_give_as_many_bins_as_numpy(rule, n):
    features, _ = samples(n=n)
    table = bin_rules.n_log_n(n)
    for x in features:
        if np.ptp(x) > 0 and len(edges := np.histogram_bin_edges(x, bins=rule)) <= bin_rules.MAX_BINS + 1:
            assert bin_rules.bin_count(np.sort(x), RULES[rule], table) == len(edges) - 1


def test_rules_stop_at_a_thousand_bins():
    x = np.append(np.random.default_rng(0).standard_normal(500), 1e6)
    assert len(np.histogram_bin_edges(x[:-1], bins="fd")) < 100
    assert bin_rules.bin_count(np.sort(x), RULES["fd"], bin_rules.n_log_n(len(x))) == bin_rules.MAX_BINS


@pytest.mark.parametrize("seed", range(4))
def test_birge_rozenholc_chooses_what_trying_every_number_chooses(seed):
    features, _ = samples(seed, n=120)
    for x in features:
        assert bin_rules.bin_count(
            np.sort(x), bin_rules.BIRGE_ROZENHOLC, bin_rules.n_log_n(120)
        ) == naive.birge_rozenholc(x.tolist())


def test_birge_rozenholc_agrees_with_numpy_histograms():
    n = 1000
    table = bin_rules.n_log_n(n)
    rng = np.random.default_rng(5)
    for x in (
        rng.standard_normal(n),
        rng.exponential(size=n),
        np.append(rng.normal(size=600), 6 + rng.normal(size=400)),
    ):
        scores = []
        for d in range(1, int(n / np.log(n)) + 1):
            counts = np.histogram(x, bins=d)[0]
            counts = counts[counts > 0]
            scores.append(np.sum(counts * np.log(counts)) + n * np.log(d) - (d - 1 + np.log(d) ** 2.5))
        found = bin_rules.bin_count(np.sort(x), bin_rules.BIRGE_ROZENHOLC, table)
        assert found == np.argmax(scores) + 1 > 3


def test_birge_rozenholc_may_choose_a_single_bin_and_then_finds_no_information():
    x = np.arange(200.0)  # exactly uniform
    assert bin_rules.bin_count(x, bin_rules.BIRGE_ROZENHOLC, bin_rules.n_log_n(200)) == 1
    assert score(x, x, bins="birge-rozenholc").tolist() == [0.0]


@pytest.mark.parametrize("correction", ["none", "miller-madow"])
@pytest.mark.parametrize("n_bins", [2, 8, 30])
def test_equal_frequencies_equal_the_naive_table(n_bins, correction):
    features, y = samples(n=150)
    y_cells = naive.frequency_cells(y.tolist(), n_bins)
    expected = [
        naive.cell_mi(naive.frequency_cells(x.tolist(), n_bins), y_cells, correction == "miller-madow")
        for x in features
    ]
    np.testing.assert_allclose(score(features, y, bins=n_bins, correction=correction), expected, rtol=1e-10)


@pytest.mark.parametrize("n_bins", [3, 8, 1000])
@pytest.mark.parametrize("n", [600, 30_000])
def test_equal_frequencies_are_those_of_sorting(n, n_bins):
    """However the values lie in their range, and where some are missing."""
    features, y = samples(n=n)
    x = features[0]
    unruly = [np.where(x > 3, 1e12, x), 5e-324 * np.arange(n), np.where(y > 0, 1e308, -1e308) * (1 + 1e-9 * x), -x]
    unruly += [np.exp(8 * x), -np.exp(30 * x), np.exp(3 * x.round(1)), 1e-300 * np.exp(9 * x), 1 - np.exp(3 * x)]
    missing = np.where(np.arange(n) % 3 == 0, np.nan, x)
    y_cells = np.empty(n, dtype=np.int64)
    frequency_cells(y, np.argsort(y), n_bins, y_cells)
    for values in [*features, *unruly, missing]:
        here = ~np.isnan(values)
        kept, cells, others = values[here], np.empty(here.sum(), dtype=np.int64), y_cells[here]
        if not here.all():
            frequency_cells(y[here], np.argsort(y[here]), n_bins, others)
        frequency_cells(kept, np.argsort(kept), n_bins, cells)
        counts = np.zeros((n_bins, n_bins))
        np.add.at(counts, (cells, others), 1)
        found = score(values, y, bins=n_bins, correction="none")
        np.testing.assert_allclose(found, [table_mi(counts)], rtol=1e-10)


def test_equal_frequencies_are_equal():
    x = np.random.default_rng(0).permutation(160).astype(float)
    cells = np.empty(160, dtype=np.int64)
    frequency_cells(x, np.argsort(x), 8, cells)
    np.testing.assert_array_equal(np.bincount(cells), np.full(8, 20))


@pytest.mark.parametrize("rule", ["birge-rozenholc", *NUMPYS])
def test_a_rule_cuts_into_the_number_of_bins_that_it_finds(rule):
    features, y = samples()
    table = bin_rules.n_log_n(len(y))
    counts = [bin_rules.bin_count(np.sort(v), RULES[rule], table) for v in (features[0], y)]
    expected = table_mi(np.histogram2d(features[0], y, bins=counts)[0])
    found = score(features[0], y, bins=rule, binning="width", correction="none")
    np.testing.assert_allclose(found, [expected], rtol=1e-10)


@pytest.mark.parametrize("binning", ["frequency", "width"])
@pytest.mark.parametrize("n", [4, 15, 16, 42, 43, 91, 92, 421, 422, 5000])
def test_bins_are_as_many_as_the_cube_root_of_the_samples_present(n, binning):
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((2, n + 50))
    x[rng.permutation(n + 50)[:50]] = np.nan
    expected = score(x, y, bins=min(max(round(n ** (1 / 3)), 2), 8), binning=binning)
    np.testing.assert_array_equal(score(x, y, binning=binning), expected)


@pytest.mark.parametrize("kinds", [(CONTINUOUS, CONTINUOUS), (CONTINUOUS, DISCRETE), (DISCRETE, CONTINUOUS)])
@pytest.mark.parametrize("n", [10, 50, 300])
@pytest.mark.parametrize("bins", ["cube-root", 8])
def test_noise_scores_0_whatever_the_samples_bins_and_levels(bins, n, kinds):
    rng = np.random.default_rng(n)
    y, features = rng.standard_normal(n), rng.standard_normal((3000, n))
    levels = [np.floor(5 * v) if k == DISCRETE else v for v, k in zip((features, y), kinds, strict=True)]
    found = score(*levels, *kinds, bins=bins)
    assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(len(found))


@pytest.mark.parametrize("kinds", [(CONTINUOUS, DISCRETE), (DISCRETE, CONTINUOUS)])
def test_noise_scores_0_beside_rare_levels_among_many_samples(kinds):
    rng = np.random.default_rng(7)
    levels = np.repeat(np.arange(21.0), [2000, *[4] * 20])  # 12 samples a cell on average, and 1 in most
    numbers = rng.standard_normal((200, len(levels)))
    for binning in ("frequency", "width"):
        if kinds[0] == CONTINUOUS:
            found = score(numbers, levels, *kinds, binning=binning)
        else:
            found = score(rng.permuted(np.tile(levels, (200, 1)), axis=1), numbers[0], *kinds, binning=binning)
        assert abs(found.mean()) < 4 * found.std(ddof=1) / np.sqrt(len(found))  # Miller-Madow would leave 0.026


def test_full_cells_have_the_correction_of_miller_and_madow():
    rng = np.random.default_rng(0)
    for n in (639, 640):
        x, y = rng.standard_normal((2, n))
        adjusted, first_order = (score(x, y, bins=8, correction=word) for word in ("adjusted", "miller-madow"))
        cells = (naive.frequency_cells(v.tolist(), 8) for v in (x, y))
        assert adjusted == (first_order if n == 640 else pytest.approx(naive.unbiased_mi(*cells), rel=1e-10))
        assert abs(adjusted[0] - first_order[0]) < 0.002


@pytest.mark.parametrize("correction", ["none", "miller-madow", "adjusted"])
@pytest.mark.parametrize("kinds", [(CONTINUOUS, DISCRETE), (DISCRETE, CONTINUOUS), (DISCRETE, DISCRETE)])
def test_discrete_margins_keep_their_levels(kinds, correction):
    features, y = samples(n=150)
    x, classes = np.floor(features[0]), np.floor(y)
    given = [v if k == DISCRETE else w for v, w, k in ((x, features[0], kinds[0]), (classes, y, kinds[1]))]
    cells = [
        v.tolist() if k == DISCRETE else naive.frequency_cells(v.tolist(), 5) for v, k in zip(given, kinds, strict=True)
    ]
    adjusted = correction == "adjusted"
    expected = naive.unbiased_mi(*cells) if adjusted else naive.cell_mi(*cells, correction == "miller-madow")
    np.testing.assert_allclose(score(*given, *kinds, correction=correction), [expected], rtol=1e-10)


OPTIONS = [
    {},
    {"bins": 16, "binning": "width"},
    {"bins": "birge-rozenholc", "binning": "width"},
    {"bins": "fd", "correction": "none"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("target_kind", list(Kind))
def test_missing_values_are_deleted_pair_by_pair(options, kind, target_kind):
    features, y = samples()
    if kind == DISCRETE:
        features = np.clip(np.floor(features[:2]), -2, 2)
    if target_kind == DISCRETE:
        y = np.floor(y)
    rng = np.random.default_rng(1)
    holed = np.where(rng.random(features.shape) < 0.2, np.nan, features)
    holed[:, 0] = np.nan  # the first sample of a level is gone, so that levels appear in another order
    found = score(holed, y, kind, target_kind, **options)
    for x, mi in zip(holed, found, strict=True):
        present = ~np.isnan(x)
        assert score(x[present], y[present], kind, target_kind, **options)[0] == mi


@pytest.mark.parametrize("options", OPTIONS)
def test_a_score_does_not_depend_on_the_neighbours(options):
    features, y = samples()
    features[2, ::5] = np.nan
    alone = [score(x, y, **options)[0] for x in features]
    np.testing.assert_array_equal(score(features, y, **options), alone)
    np.testing.assert_array_equal(score(features[::-1], y, **options), alone[::-1])


def test_identities():
    features, y = samples()
    x = features[0]
    reference = score(x, y)
    order = np.random.default_rng(2).permutation(len(y))
    np.testing.assert_allclose(score(x[order], y[order]), reference, rtol=1e-10)
    np.testing.assert_allclose(score(y, x), reference, rtol=1e-10)
    np.testing.assert_array_equal(score(np.exp(x), y**3), reference)
    cells = naive.frequency_cells(x.tolist(), 7), naive.frequency_cells(y.tolist(), 7)

    def entropy(labels):
        p = np.unique(labels, return_counts=True)[1] / len(y)
        return -np.sum(p * np.log(p))

    total = entropy(cells[0]) + entropy(cells[1]) - entropy(np.array(cells[0]) * 7 + cells[1])
    np.testing.assert_allclose(score(x, y, correction="none"), [total], rtol=1e-10)


def test_renaming_the_levels_changes_nothing():
    features, y = samples()
    x, classes = np.clip(np.floor(features[0]), -2, 2), np.floor(y)
    for kinds in ((DISCRETE, DISCRETE), (DISCRETE, CONTINUOUS), (CONTINUOUS, DISCRETE)):
        renamed = [10 * (v == 0) - v**3 if k == DISCRETE else v for v, k in zip((x, classes), kinds, strict=True)]
        np.testing.assert_array_equal(score(*renamed, *kinds), score(x, classes, *kinds))


def test_miller_madow_removes_the_bias_under_independence():
    truth, estimates = 0.0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        estimates.append(score(rng.standard_normal((5, 1000)), rng.standard_normal(1000)).mean())
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) <= 4 * error + 49**2 / (12 * 1000**2)  # the next order of the bias


def test_a_target_that_is_constant_where_the_feature_is_present_has_no_estimate():
    x = np.where(np.arange(40) < 20, np.arange(40.0), np.nan)
    y = np.where(np.arange(40) < 20, 1.0, np.arange(40.0))
    for options in OPTIONS:
        assert np.isnan(score(x, y, **options)).all()
        assert np.isnan(score(x, y == 1.0, target_kind=DISCRETE, **options)).all()


@pytest.mark.parametrize("options", [*OPTIONS, {"bins": 1024, "binning": "width"}, *({"bins": r} for r in RULES)])
def test_extreme_values_do_no_harm(options):
    y = np.arange(12.0)
    extremes = [
        np.where(y > 5, 1e308, -1e308),  # a range that overflows
        np.where(y > 5, 5e-324, 0.0),  # a range that cannot be divided
        np.where(y > 5, 1e16 + 2, 1e16),
        np.where(y == 3, 1e300, y),
    ]
    found = score(extremes, y, **options)
    assert np.isfinite(found[1:]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"bins": b} for b in (1, 1025, 2.5, 8.0, 10.0, True, None, np.float64(8), "best")),
        {"binning": "log"},
        {"correction": "yes"},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        Binning.make_options(wrong)


@pytest.mark.parametrize("bins", [np.int64(12), np.int32(12)])
def test_numbers_of_numpy_become_those_of_python(bins):
    options = Binning.make_options({"bins": bins})
    assert options == BinningOptions(bins=12)
    assert type(options.bins) is int


def test_the_message_says_what_was_found_and_what_may_be_given():
    with pytest.raises(InputError) as refused:
        BinningOptions(bins=8.0)
    assert refused.value.message == "--bins is 8.0"
    assert refused.value.hint.startswith("Give a whole number from 2 to 1024, or cube-root, ")


def test_values_too_close_to_be_told_apart_where_the_target_is_present() -> None:
    """The scale is that of the whole column, of which the target leaves the smallest values alone."""
    y = np.full(400, np.nan)
    y[:200] = np.arange(200)
    x = np.ones(400)
    x[:200] = np.arange(200) * 5e-324
    table = pl.DataFrame({"x": x, "y": y})
    found = [miscreen.rank(t, "y", "bin", bins=8).to_polars()["mi_nats"][0] for t in (table, table.head(200))]
    assert found[0] == found[1] == pytest.approx(math.log(8), abs=0.2)

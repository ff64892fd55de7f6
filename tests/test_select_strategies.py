"""Strategies: against slow counterparts, a published implementation, and tables whose answer is known."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import naive
import numpy as np
import polars as pl
import pytest
from pairs import target_of
from scipy.stats import multivariate_normal, norm

import miscreen
from miscreen.errors import ResourceError
from miscreen.kernels.information import scaled_logs
from miscreen.model import Kind
from miscreen.resources import Resources
from miscreen.selection import STRATEGIES, strategy_class
from miscreen.selection.clump import GAUSSIAN_MI, gaussian_mi_in_bins
from miscreen.selection.codes import Column, Columns, code_columns, code_target, count_bins, most_levels
from miscreen.selection.information import Information
from miscreen.selection.strategy import Choice, Pool, Strategy
from miscreen.tables.memory import open_object

GREEDY = ("mrmr", "mrmr-quotient", "jmi", "cmim", "jmim", "disr")
BINS = 4


def make(name: str, **options: Any) -> Strategy:
    return strategy_class(name)(**({"memory_bytes": 1 << 30} if name == "submodular" else {}), **options)


def coded(values: np.ndarray, kinds: np.ndarray, bins: int = BINS, memory: str = "1GB", threads: int = 2) -> Columns:
    """Code the columns of an array of one feature a row."""
    source = open_object(values.T, [f"x{i}" for i in range(len(values))])
    resources = Resources.detect(threads, memory)
    nominal = kinds == Kind.DISCRETE
    return code_columns(source, np.arange(len(values)), kinds, nominal, None, bins, 16, resources, None)


def labels(column: Column) -> list[int | None]:
    return [None if c == column.size else int(c) for c in column.codes]


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Related columns of every kind with missing values, copies among them; and a target."""
    rng = np.random.default_rng(5)
    n = 150
    y = rng.standard_normal(n)
    values = np.array([y * w + rng.standard_normal(n) for w in (1.5, 1.0, 1.0, 0.5, 0.0, 0.0)])
    values = np.vstack([values, values[0] + 0.3 * rng.standard_normal(n), values[1], -values[2], values[3] ** 2])
    levels = np.array([np.round(y), rng.integers(0, 30, n), (values[4] > 0) * 1.0, np.maximum(values[2], 0)])
    values = np.vstack([values, levels])
    values[rng.random(values.shape) < 0.05] = np.nan
    values[7] = values[1]  # the same to the last bit, so that ties are met
    return values, np.array([0] * 10 + [1, 1, 1, 0], dtype=np.uint8), y


def ask(
    strategy: str,
    values: np.ndarray,
    kinds: np.ndarray,
    y: np.ndarray,
    count: int | None = 6,
    given: int = 0,
    threads: int = 2,
    **options: Any,
) -> tuple[Choice, list[list[int | None]], list[list[int | None]], list[int | None]]:
    """What a strategy chooses, and the candidates, given columns and target as its counterpart takes them."""
    columns = coded(values, kinds, threads=threads)
    target = code_target(target_of(y), BINS)
    beside, rest = [columns[i] for i in range(given)], slice(given, None)
    candidates = Columns(np.ascontiguousarray(columns.codes[rest]), columns.sizes[rest], columns.binned[rest])
    with ThreadPoolExecutor(threads) as workers:
        pool = Pool(len(candidates), Information(candidates, target, workers), beside)
        choice = make(strategy, **options).choose(pool, count)
    seen = [labels(candidates[i]) for i in range(len(candidates))]
    return choice, seen, [labels(c) for c in beside], labels(target)


def new_information(strategy: str, x: Any, chosen: Any, y: Any, relevance: float) -> float:
    """What a candidate tells that was not told, as each strategy sees it."""
    if strategy.startswith("mrmr"):
        shared = [naive.select_worth(x, s) if strategy == "mrmr" else naive.select_mi(x, s, False) for s in chosen]
        return float(relevance - np.mean(shared))
    triples = [naive.select_triple(x, s, y)[:2] for s in chosen]
    if strategy in ("jmi", "disr"):
        return float(np.mean([new for new, _ in triples]))
    return float(min(triples, key=lambda t: t[strategy == "jmim"])[0])


class TestCodes:
    @pytest.mark.parametrize("memory", ["1GB", "40KB"])
    def test_codes_are_those_of_the_slow_rule(self, table: Any, memory: str) -> None:
        values, kinds, _ = table
        columns = coded(values, kinds, memory=memory)
        for i, (row, kind) in enumerate(zip(values, kinds, strict=True)):
            expected = naive.select_codes(row.tolist(), kind, BINS)
            assert naive.select_mi(labels(columns[i]), expected) == pytest.approx(naive.select_mi(expected, expected))
            pairs = {(a, b) for a, b in zip(labels(columns[i]), expected, strict=True)}
            assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}), i

    def test_infinities_are_missing(self) -> None:
        values = np.array([[1.0, np.inf, 2.0, 3.0, -np.inf, 4.0]])
        assert labels(coded(values, np.zeros(1, np.uint8), 2)[0]) == [0, None, 0, 1, None, 1]

    def test_more_bins_with_more_samples_and_fewer_with_more_axes(self) -> None:
        assert [count_bins(n, 2) for n in (20, 300, 1000, 3000, 10**6)] == [3, 3, 5, 8, 8]
        assert [count_bins(n, 3) for n in (20, 1000, 10_000, 10**6)] == [3, 3, 6, 8]
        assert count_bins(1000, 3, 2) == 4
        assert count_bins(10_000, 3, 90) == count_bins(10_000, 3, 16)

    def test_as_many_levels_as_leave_samples_for_a_cell(self) -> None:
        assert [most_levels(n, 2, 3) for n in (20, 100, 300, 10**6)] == [3, 5, 8, 16]
        assert [most_levels(n, 3, 3) for n in (20, 100, 300, 1000, 10**6)] == [3, 3, 5, 9, 16]
        assert most_levels(1000, 3, 3, 90) == most_levels(1000, 3, 3, 16) == 3
        assert code_target(target_of(np.arange(60.0) % 12, Kind.DISCRETE, nominal=True), 3).size == 12

    def test_too_many_levels_are_bins_where_they_have_an_order(self) -> None:
        rng = np.random.default_rng(4)
        values = rng.integers(0, 9, (2, 60)).astype(float)
        kinds = np.ones(2, np.uint8)
        source, resources = open_object(values.T, ["counts", "codes"]), Resources.detect(1, "1GB")
        nominal = np.array([False, True])
        for levels, sizes in ((9, [9, 9]), (8, [3, 8])):
            found = code_columns(source, np.arange(2), kinds, nominal, None, 3, levels, resources, None)
            assert found.sizes.tolist() == sizes
            assert found.binned.tolist() == [levels < 9, False]
        in_bins = coded(values, np.zeros(2, np.uint8), 3)
        np.testing.assert_array_equal(found.codes[0], in_bins.codes[0])

    def test_codes_that_do_not_fit(self) -> None:
        with pytest.raises(ResourceError, match="10 candidates of 1,000 rows take"):
            coded(np.zeros((10, 1000)), np.zeros(10, np.uint8), memory="15KB")


class TestInformation:
    def test_terms_are_those_of_entropies(self, table: Any) -> None:
        values, kinds, y = table
        columns = coded(values, kinds)
        target = code_target(target_of(y), BINS)
        with ThreadPoolExecutor(2) as workers:
            information = Information(columns, target, workers)
            for j in (0, 10, 11):
                z = labels(columns[j])
                for corrected in (True, False):
                    for of_all, mi in ((True, naive.select_worth), (False, naive.select_mi)):
                        expected = [mi(labels(columns[i]), z, corrected) for i in range(len(columns))]
                        found = information.with_column(columns[j], corrected=corrected, of_all=of_all)
                        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
                triples = [naive.select_triple(labels(columns[i]), z, labels(target)) for i in range(len(columns))]
                np.testing.assert_allclose(
                    np.array(information.with_target_and(columns[j])).T, triples, rtol=1e-10, atol=1e-12
                )

    def test_names_of_levels_and_order_of_samples_change_no_bit(self) -> None:
        rng = np.random.default_rng(0)
        x, z, y = rng.integers(0, 5, (3, 501)).astype(np.uint8)
        y[z > 2] = x[z > 2]
        order, names = rng.permutation(501), rng.permutation(5).astype(np.uint8)
        found = []
        with ThreadPoolExecutor(1) as workers:
            for a, b, c in ((x, z, y), (names[x], names[z], names[y]), (x[order], z[order], y[order])):
                columns = Columns(a[np.newaxis].copy(), np.array([5]), np.zeros(1, bool))
                information = Information(columns, Column(c, 5, False), workers)
                z_column = Column(b, 5, False)
                found.append(
                    [*information.with_column(z_column), *np.array(information.with_target_and(z_column))[:, 0]]
                )
                back = Information(Columns(b[np.newaxis].copy(), np.array([5]), np.zeros(1, bool)), None, workers)
                assert back.with_column(Column(a, 5, False))[0] == found[-1][0]
        assert found[0] == found[1] == found[2]

    def test_samples_that_are_never_together_tell_nothing_of_each_other(self) -> None:
        codes = np.array([[0, 1, 2, 2], [2, 2, 0, 1]], dtype=np.uint8)  # of size 2, which means missing
        columns = Columns(codes, np.array([2, 2]), np.zeros(2, bool))
        with ThreadPoolExecutor(1) as workers:
            information = Information(columns, columns[0], workers)
            worth = pytest.approx((math.log(2) + 1 / 4) / 2)  # of two of the four samples
            assert information.relevance.tolist() == [worth, 0.0]
            new, joint, entropy = information.with_target_and(columns[1])
            assert new.tolist() == joint.tolist() == [worth, 0.0]
            assert entropy.tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("n", [1, 2, 1000, 3_000_000])
    def test_logarithms_in_whole_numbers(self, n: int) -> None:
        table, unit = scaled_logs(n)
        assert table[-1] < 2**60
        assert table[-1] * unit == pytest.approx(n * math.log(n), rel=1e-14)


class TestChoices:
    @pytest.mark.parametrize("given", [0, 2])
    @pytest.mark.parametrize("strategy", GREEDY)
    def test_greedy_criteria(self, table: Any, strategy: str, given: int) -> None:
        choice, columns, beside, y = ask(strategy, *table, given=given)
        steps, criteria = naive.greedy_select(strategy, columns, y, 6, beside)
        assert list(choice.steps) == steps
        np.testing.assert_allclose(choice.columns["criterion"], criteria, rtol=1e-10, atol=1e-12)
        corrected = strategy != "mrmr-quotient"
        relevance = [naive.select_worth(columns[i], y, corrected) for i in steps]
        np.testing.assert_allclose(choice.columns["relevance_nats"], relevance, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("strategy", [*GREEDY, "submodular"])
    def test_noise_that_few_samples_have_is_not_taken_for_much(self, strategy: str) -> None:
        rng = np.random.default_rng(7)
        y = rng.standard_normal(1000)
        noise = rng.standard_normal((60, 1000))
        noise[rng.random(noise.shape) < 0.95] = np.nan
        values = np.vstack([noise, 0.5 * y + rng.standard_normal((3, 1000))])
        values[62, rng.random(1000) < 0.4] = np.nan  # it still tells more than any noise
        choice = ask(strategy, values, np.zeros(63, np.uint8), y, count=3)[0]
        assert sorted(choice.steps) == [60, 61, 62]

    def test_redundancy_is_what_was_told_already(self, table: Any) -> None:
        for strategy in GREEDY:
            choice, columns, _, y = ask(strategy, *table)
            i, chosen = choice.steps[-1], [columns[j] for j in choice.steps[:-1]]
            x, relevance = columns[i], choice.columns["relevance_nats"][-1]
            assert relevance - choice.columns["redundancy_nats"][-1] == pytest.approx(
                new_information(strategy, x, chosen, y, relevance), rel=1e-10
            ), strategy
            assert math.isnan(choice.columns["redundancy_nats"][0])

    @pytest.mark.parametrize("given", [0, 2])
    @pytest.mark.parametrize("count", [None, 3])
    def test_clump(self, table: Any, count: int | None, given: int) -> None:
        values, kinds, y = table
        kinds = np.ones_like(kinds)  # levels are held to the threshold itself
        values = np.round(values)
        choice, columns, beside, _ = ask("clump", values, kinds, y, count, given, threshold=0.15)
        kept, fell_to = naive.clump_select(columns, 0.15, count, beside)
        assert list(choice.steps) == kept
        assert {i: j for i, (j, _) in choice.fell_to.items()} == fell_to
        assert fell_to
        for i, (j, mi) in choice.fell_to.items():
            assert mi == pytest.approx(naive.select_mi(columns[i], [*columns, *beside][j]), rel=1e-10)

    @pytest.mark.parametrize("given", [0, 2])
    def test_facility_location(self, table: Any, given: int) -> None:
        choice, columns, beside, y = ask("submodular", *table, given=given)
        steps, gains = naive.cover_select(columns, y, 6, beside)
        assert list(choice.steps) == steps
        np.testing.assert_allclose(choice.columns["criterion"], gains, atol=1e-6)
        assert (np.diff(choice.columns["criterion"]) <= 0).all()

    @pytest.mark.parametrize("strategy", [*GREEDY, "clump", "submodular"])
    def test_threads_change_nothing(self, strategy: str) -> None:
        rng = np.random.default_rng(2)
        values, y = rng.standard_normal((1500, 100)), rng.standard_normal(100)
        values[700:] = values[:800] + 0.1 * values[700:]
        one, two = (ask(strategy, values, np.zeros(1500, np.uint8), y, 5, threads=t)[0] for t in (1, 3))
        assert list(one.steps) == list(two.steps)
        assert one.fell_to == two.fell_to
        for name, told in one.columns.items():
            np.testing.assert_array_equal(told, two.columns[name])

    def test_all_of_a_small_pool(self, table: Any) -> None:
        for strategy in STRATEGIES:
            if strategy != "clump":
                assert sorted(ask(strategy, *table, count=99)[0].steps) == list(range(14)), strategy

    def test_a_matrix_that_does_not_fit(self, table: Any) -> None:
        with pytest.raises(ResourceError, match="14 candidates tell about each other"):
            strategy_class("submodular")(memory_bytes=700).choose(Pool(14, self.information(table)), 2)

    @staticmethod
    def information(table: Any) -> Information:
        values, kinds, y = table
        target = code_target(target_of(y), BINS)
        return Information(coded(values, kinds), target, ThreadPoolExecutor(1))


@pytest.fixture(scope="module")
def levels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 600)
    hidden = [np.where(rng.random(600) < p, y, rng.integers(0, 3, 600)) for p in (0.5, 0.4, 0.3, 0.2)]
    copies = [np.where(rng.random(600) < 0.8, h, rng.integers(0, 3, 600)) for h in hidden for _ in range(3)]
    return np.array(copies), y


class TestScikitFeature:
    """A published implementation. Every cell is occupied here, so that the correction is the same for all columns.

    Its CMIM is sound. Its MRMR and JMI take fixed weights for the reciprocal of the number of columns chosen, its DISR
    divides by more than Meyer and Bontempi do, and it has no quotients and no JMIM: those are put together from its
    terms as the papers in the strategies' docstrings write them.
    """

    @staticmethod
    def steps(strategy: str, levels: Any) -> list[int]:
        values, y = levels
        return list(ask(strategy, values.astype(float), np.ones(12, np.uint8), y.astype(float), 6)[0].steps)

    def test_cmim(self, levels: Any) -> None:
        from skfeature.function.information_theoretical_based.CMIM import cmim

        values, y = levels
        assert self.steps("cmim", levels) == cmim(values.T, y, mode="index", n_selected_features=6).tolist()

    @pytest.mark.parametrize("strategy", ["mrmr", "mrmr-quotient", "jmi", "jmim", "disr"])
    def test_terms(self, levels: Any, strategy: str) -> None:
        from skfeature.utility.entropy_estimators import cmidd, entropyd, midd

        values, y = levels

        def joint(i: int, j: int) -> float:
            return midd(values[j], y) + cmidd(values[i], y, values[j])

        def entropy(i: int, j: int) -> float:
            return entropyd(list(zip(values[i], values[j], y, strict=True)))

        def score(i: int, chosen: list[int]) -> float:
            relevance = midd(values[i], y)
            if not chosen:
                return relevance
            if strategy == "jmim":
                return min(joint(i, j) for j in chosen)
            if strategy == "disr":
                return sum(joint(i, j) / entropy(i, j) for j in chosen)
            redundancy = np.mean([midd(values[i], values[j]) for j in chosen])
            if strategy == "jmi":
                return relevance - redundancy + np.mean([cmidd(values[i], values[j], y) for j in chosen])
            return relevance / redundancy if strategy == "mrmr-quotient" else relevance - redundancy

        expected: list[int] = []
        for _ in range(6):
            left = sorted(set(range(len(values))) - set(expected))
            expected.append(max(left, key=lambda i: score(i, expected)))
        assert self.steps(strategy, levels) == expected


class TestClumping:
    def test_what_bins_leave_of_a_gaussian_pair(self) -> None:
        for r, bins in ((0.6, 5), (0.3, 3), (0.9, 8)):
            edges = np.r_[-9, norm.ppf(np.arange(1, bins) / bins), 9]
            below = np.array([[multivariate_normal.cdf([a, b], cov=[[1, r], [r, 1]]) for b in edges] for a in edges])
            cells = np.diff(np.diff(below, axis=0), axis=1)
            expected = float(np.sum(cells * np.log(cells * bins**2)))
            assert gaussian_mi_in_bins(-0.5 * math.log(1 - r * r), bins) == pytest.approx(expected, rel=1e-3)
        assert round(GAUSSIAN_MI, 4) == 0.2231

    @pytest.mark.parametrize("n", [300, 1000, 3000])
    def test_a_correlation_clearly_above_falls_and_one_below_stays(self, n: int) -> None:
        rng = np.random.default_rng(0)
        fallen = {0.5: 0, 0.7: 0}
        for r in fallen:
            for _ in range(20):
                x = rng.standard_normal(n)
                z = np.exp(r * x + math.sqrt(1 - r * r) * rng.standard_normal(n))  # what a scale does changes nothing
                columns = coded(np.array([x, z]), np.zeros(2, np.uint8), count_bins(n, 2))
                with ThreadPoolExecutor(1) as workers:
                    choice = make("clump").choose(Pool(2, Information(columns, None, workers)), None)
                fallen[r] += len(choice.fell_to)
        assert fallen[0.5] <= (3 if n == 300 else 0)
        assert fallen[0.7] >= (17 if n == 300 else 20)

    def test_rank_order_and_not_file_order(self) -> None:
        """The first column of the file is the worse copy; walking the file would keep it."""
        rng = np.random.default_rng(3)
        signal = rng.standard_normal(400)
        table = {"worse": signal + 0.8 * rng.standard_normal(400), "better": signal, "noise": rng.standard_normal(400)}
        table["y"] = signal + rng.standard_normal(400)
        chosen = miscreen.select(pl.DataFrame(table), "y", strategy="clump", method="pearson")
        assert chosen.names == ["better", "noise"]
        steps = chosen.steps.to_polars()
        assert steps.filter(feature="worse")["fell_to"].item() == "better"
        assert steps["step"].to_list() == [1, 2, None]

    def test_the_threshold_is_in_the_unit_of_the_ranking(self) -> None:
        rng = np.random.default_rng(3)
        x = rng.integers(0, 2, 1000)
        noisy = np.where(rng.random(1000) < 0.75, x, 1 - x)  # 0.13 nats, 0.19 bits
        table = pl.DataFrame({"x": x, "noisy": noisy, "y": x + 0.5 * rng.standard_normal(1000)})
        for unit, falls in (("nats", 0), ("bits", 1)):
            chosen = miscreen.select(table, "y", strategy="clump", method="bin", clump_mi=0.16, unit=unit)
            assert chosen.steps.to_polars()["fell_to"].is_not_null().sum() == falls
            again = miscreen.select(table, ranking=chosen.ranking, strategy="clump", clump_mi=0.16)
            assert again.names == chosen.names


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten signals, 50 copies each, and 2,000 columns of noise, of 1,000 rows; the target comes last."""
    rng = np.random.default_rng(seed)
    signals = rng.standard_normal((10, 1000))
    y = 0.9 ** np.arange(10) @ signals + 0.5 * rng.standard_normal(1000)
    copies = [s + 0.3 * rng.standard_normal(1000) for s in signals for _ in range(50)]
    return np.array([*copies, *rng.standard_normal((2000, 1000)), y]), np.repeat(np.arange(10), 50)


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_signals(seed: int) -> None:
    values, signal = planted(seed)
    names = [f"s{s}.{i}" for i, s in enumerate(signal)] + [f"noise{i}" for i in range(2000)] + ["y"]
    ranking = miscreen.rank(values.T, "y", "pearson", names=names)

    def found(strategy: str) -> int:
        chosen = miscreen.select(values.T, names=names, ranking=ranking, strategy=strategy, top=10)
        return len({name.split(".")[0] for name in chosen.names if name.startswith("s")})

    assert found("top") <= 2
    for strategy in ("jmi", "disr"):  # they average
        assert found(strategy) in (3, 4), strategy
    for strategy in ("mrmr", "cmim", "clump", "submodular"):
        assert found(strategy) >= 9, strategy


@pytest.mark.parametrize("strategy", ["clump", "mrmr", "jmi", "cmim", "jmim", "disr"])
def test_columns_of_many_levels_are_not_favoured(strategy: str) -> None:
    """With all their levels, tables of two such columns and the target would have more cells than samples."""
    signals = counts = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n, y = 200, rng.standard_normal(200)
        table = {f"noise{i}": rng.standard_normal(n) for i in range(50)} | {"y": y}
        table |= {f"counts{i}": rng.negative_binomial(2, 0.25, n) for i in range(50)}
        found = miscreen.select(pl.DataFrame(table), "y", strategy=strategy, top=5).names[1:]
        counts += sum(name.startswith("counts") for name in found)
        table |= {f"signal{i}": y + rng.standard_normal(n) for i in range(3)}
        table |= {f"signals{i}": rng.negative_binomial(2, 2 / (2 + np.exp(1.5 + 0.8 * y))) for i in range(3)}
        found = miscreen.select(pl.DataFrame(table), "y", strategy=strategy, top=5).names
        signals += sum(name.startswith("signal") for name in found)
    assert signals == 20
    assert 4 <= counts <= 12  # of 16

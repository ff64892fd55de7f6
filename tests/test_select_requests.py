"""What can be asked of a selection besides the strategy, its table of steps, and selections applied again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import miscreen
from miscreen import screening
from miscreen.cli import main
from miscreen.errors import DataError, InputError
from miscreen.inference.permutation import generator
from miscreen.model import Kind, ScreenSpec, Target
from miscreen.roles import read_target
from miscreen.selection import STRATEGIES
from miscreen.tables.source import Column


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(8)
    n = 200
    a, b = rng.standard_normal((2, n))
    columns: dict[str, Any] = {"id": [f"s{i}" for i in range(n)], "y": a + 0.7 * b + 0.3 * rng.standard_normal(n)}
    columns |= {f"a{i}": a + 0.2 * rng.standard_normal(n) for i in range(5)}
    columns |= {f"b{i}": b + 0.2 * rng.standard_normal(n) for i in range(5)}
    columns |= {f"noise{i}": rng.standard_normal(n) for i in range(5)}
    columns["class"] = np.where(a > 0, "high", "low")
    columns["a,b"] = rng.standard_normal(n)
    return pl.DataFrame(columns)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("target", ["y", "class"])
def test_every_strategy_of_the_library(frame: pl.DataFrame, strategy: str, target: str) -> None:
    chosen = miscreen.select(frame, target, strategy=strategy, top=4, min_mi=-1.0, method="bin", keep=["id"])
    steps = chosen.steps.to_polars()
    assert steps.filter(pl.col("step").is_not_null())["feature"].to_list() == chosen.names
    assert len(chosen.names) == 4
    assert chosen.to_polars().columns == ["id", *chosen.names]
    ranks = dict(zip(chosen.ranking.names, chosen.ranking.to_polars()["rank"], strict=True))
    assert steps["rank"].to_list() == [ranks[f] for f in steps["feature"]]
    assert chosen.steps.metadata["strategy"] == strategy
    assert chosen.steps.metadata["ranking"]["target"] == [target]
    again = miscreen.select(frame, ranking=chosen.ranking, strategy=strategy, top=4, min_mi=-1.0)
    assert again.steps.to_arrow().equals(chosen.steps.to_arrow())


def test_given_columns_count_as_chosen(frame: pl.DataFrame) -> None:
    """With a copy of one signal in the model, the first choice is of the other."""
    for strategy in ("mrmr", "cmim", "clump", "submodular"):
        chosen = miscreen.select(frame, "y", strategy=strategy, given=["a0"], top=1, method="pearson")
        assert chosen.names[0].startswith("b"), strategy
        assert "a0" not in chosen.to_polars().columns
    several = miscreen.select(frame, "y", strategy="mrmr", given=["a*", "b0,b1"], top=99, method="pearson").names
    assert "b2" in several
    assert not {"a0", "b0", "b1"} & set(several)
    steps = miscreen.select(frame, "y", strategy="clump", given=["a0"], method="pearson").steps.to_polars()
    assert set(steps.filter(fell_to="a0")["feature"]) >= {"a1", "a2", "a3", "a4"}
    assert "a,b" not in miscreen.select(frame, "y", strategy="mrmr", given=["a,b"], top=99, method="pearson").names
    outside = miscreen.select(frame, "y", strategy="mrmr", given=["a0"], exclude=["a0"], top=1, method="pearson")
    assert outside.names[0].startswith("b")


def test_files_memory_and_threads_change_nothing(frame: pl.DataFrame, tmp_path: Path) -> None:
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    wanted: dict[str, Any] = {"strategy": "jmi", "top": 5, "method": "bin", "given": ["class"], "keep": ["id"]}
    expected = miscreen.select(frame, "y", threads=1, **wanted)
    for source, memory, threads in (("t.csv", "60KB", 2), ("t.parquet", "60KB", 3), ("t.csv", "1GB", 1)):
        found = miscreen.select(tmp_path / source, "y", memory=memory, threads=threads, **wanted)
        assert found.steps.to_arrow().equals(expected.steps.to_arrow())
        assert found.to_polars().equals(expected.to_polars())


def test_a_table_without_the_outcome_serves_where_the_ranking_says_enough(frame: pl.DataFrame) -> None:
    ranking = miscreen.rank(frame, "y", "pearson")
    for wanted in ({"top": 3}, {"min_mi": 0.2}, {"strategy": "clump", "top": 3}):
        found = miscreen.select(frame.drop("y"), ranking=ranking, **wanted)  # type: ignore[arg-type]
        assert found.steps.to_arrow().equals(miscreen.select(frame, ranking=ranking, **wanted).steps.to_arrow())


def test_a_table_may_lack_an_outcome_that_was_named_as_classes(frame: pl.DataFrame) -> None:
    coded = frame.with_columns(code=pl.int_range(pl.len()) % 7)
    ranking = miscreen.rank(coded, "code", "pearson", discrete=["code"], exclude=["id"])
    found = [miscreen.select(t, ranking=ranking, strategy="clump", top=3).names for t in (coded, frame)]
    assert found[0] == found[1]


def test_missing_targets_are_as_if_the_table_had_no_such_rows(frame: pl.DataFrame) -> None:
    holes = frame.with_columns(y=pl.when(pl.int_range(pl.len()) % 3 > 0).then("y"))
    rest = frame.filter(pl.int_range(pl.len()) % 3 > 0)
    for strategy in ("cmim", "mrmr"):
        one, two = (miscreen.select(t, "y", strategy=strategy, top=5, method="pearson") for t in (holes, rest))
        assert one.steps.to_arrow().equals(two.steps.to_arrow())


def test_thresholds_and_pool(frame: pl.DataFrame) -> None:
    ranking = miscreen.rank(frame, "y", "pearson")
    scores = ranking.to_polars()
    above = scores.filter(pl.col("score") >= 0.1)["feature"].to_list()
    assert miscreen.select(frame, ranking=ranking, min_score=0.1).names == above
    assert miscreen.select(frame, ranking=ranking, min_score=0.1, min_mi=0.2, top=2).names == above[:2]
    assert miscreen.select(frame, ranking=ranking, min_score=scores["score"][2]).names == above[:3]
    assert set(miscreen.select(frame, ranking=ranking, strategy="mrmr", pool=3, top=3).names) == set(above[:3])
    with pytest.raises(DataError, match="no column q_value"):
        miscreen.select(frame, ranking=ranking, fdr=0.05)
    table = ranking.to_arrow()
    q_values = np.linspace(0, 1, len(table))
    with_q = miscreen.Ranking(table.append_column("q_value", [q_values]), ranking.metadata)
    for most in (0.3, q_values[2]):
        assert (
            miscreen.select(frame, ranking=with_q, fdr=most).names
            == scores.filter(pl.Series(q_values <= most))["feature"].to_list()
        )


def test_ranks_are_those_of_the_ranking_whatever_the_order(frame: pl.DataFrame) -> None:
    ranking = miscreen.rank(frame, "y", method="pearson")
    table = ranking.to_arrow()
    backwards = miscreen.Ranking(table.append_column("q_value", [np.linspace(1, 0, len(table))]), ranking.metadata)
    scored = ranking.scored().to_polars()
    for strategy in ("top", "mrmr"):
        steps = miscreen.select(frame, ranking=backwards, strategy=strategy, by="q_value", top=3).steps
        found = steps.to_polars()
        assert found.select("feature", "rank").rows() == [
            (name, scored.filter(feature=name)["rank"].item()) for name in found["feature"]
        ]
    top = miscreen.select(frame, ranking=backwards, by="q_value", top=3).names
    assert top == scored["feature"].reverse().to_list()[:3]


def test_several_targets_have_steps_of_their_own(frame: pl.DataFrame) -> None:
    both = miscreen.select(frame, ["y", "class"], strategy="mrmr", top=3, method="bin")
    steps = both.steps.to_polars()
    assert steps["target"].to_list() == ["y"] * 3 + ["class"] * 3
    assert steps["step"].to_list() == [1, 2, 3] * 2
    assert both.names == list(dict.fromkeys(steps["feature"]))


def test_a_target_without_candidates_keeps_nothing_from_others(
    frame: pl.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted: dict[str, Any] = {"min_mi": 0.3, "method": "bin", "exclude": ["id"]}
    for strategy in ("threshold", "mrmr"):
        top = {} if strategy == "threshold" else {"top": 3}
        caplog.clear()
        both = miscreen.select(frame, ["noise0", "y"], strategy=strategy, **top, **wanted)
        assert both.names == miscreen.select(frame, "y", strategy=strategy, exclude=["id", "noise0"], min_mi=0.3,
                                             method="bin", **top).names  # fmt: skip
        assert set(both.steps.to_polars()["target"]) == {"y"}
        (told,) = caplog.records
        assert told.levelname == "WARNING"
        assert told.getMessage() == "nothing is chosen for the target 'noise0': no feature passes --min-mi 0.3"
        with pytest.raises(DataError, match=r"no feature passes min_mi=0\.3"):
            miscreen.select(frame, ["noise0", "noise1"], strategy=strategy, **top, **wanted)
    frame.write_parquet(tmp_path / "t.parquet")
    line = f"select {tmp_path}/t.parquet -t y -t noise0 -m bin --exclude id --min-mi 0.3 --names"
    assert main(line.split()) == 0
    out, err = capfd.readouterr()
    assert out.split() == miscreen.select(frame, ["y", "noise0"], **wanted).names
    assert "warning: nothing is chosen for the target 'noise0': no feature passes --min-mi 0.3\n" in err


def test_stability(frame: pl.DataFrame) -> None:
    wanted: dict[str, Any] = {"strategy": "mrmr", "top": 3, "method": "pearson"}
    chosen = miscreen.select(frame, "y", stability=12, threads=1, **wanted)
    steps = chosen.steps.to_polars()
    assert chosen.names == miscreen.select(frame, "y", **wanted).names
    assert steps["frequency"].sum() == pytest.approx(3.0)  # three of every subsample
    assert (steps["frequency"] * 12 % 1 < 1e-9).all()
    others = steps.filter(pl.col("step").is_null())
    assert others["frequency"].is_sorted(descending=True)
    again = miscreen.select(frame, "y", stability=12, threads=2, memory="60KB", **wanted)
    assert again.steps.to_arrow().equals(chosen.steps.to_arrow())
    for target in ("class", "y"):
        top = miscreen.select(frame, target, stability=5, top=2, method="bin").steps.to_polars()
        assert top["frequency"].sum() == pytest.approx(2.0)


def test_a_subsample_is_ranked_and_chosen_from_alone(frame: pl.DataFrame) -> None:
    chosen = miscreen.select(frame, "y", strategy="mrmr", top=2, stability=2, method="pearson").steps.to_polars()
    counts: dict[str, int] = {}
    for draw in range(2):
        rows = np.sort(generator(b"0", draw).permutation(len(frame))[: len(frame) // 2])
        part = frame[rows.tolist()]
        for name in miscreen.select(part, "y", strategy="mrmr", top=2, method="pearson").names:
            counts[name] = counts.get(name, 0) + 1
    told = dict(zip(chosen["feature"], chosen["frequency"], strict=True))
    assert {name: f for name, f in told.items() if f} == {name: c / 2 for name, c in counts.items()}


def test_classes_that_have_an_order_keep_it_in_a_subsample() -> None:
    rng = np.random.default_rng(1)
    levels = np.arange(200) % 5
    line, parabola = 0.5 * levels, 0.8 * (levels - 2) ** 2
    table = pl.DataFrame({"line": line, "parabola": parabola}) + pl.DataFrame(rng.standard_normal((200, 2)))
    table = table.with_columns(y=levels)
    for kind, best in ((None, "line"), ("discrete", "parabola")):
        chosen = miscreen.select(table, "y", top=1, method="pearson", target_kind=kind, stability=4).steps.to_polars()
        assert chosen.select("feature", "frequency").rows() == [(best, 1.0)]


@pytest.mark.parametrize("given", [{"continuous": "s*"}, {"discrete": "s*"}])
def test_globs_of_columns_do_not_mean_subsamples(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(column: Column, forced: int, spec: ScreenSpec) -> Target:
        seen.append(target := read_target(column, forced, spec))
        return target

    monkeypatch.setattr(screening, "read_target", spy)
    levels = np.arange(200) % 5
    table = pl.DataFrame({"line": levels + np.arange(200) / 200, "s": (levels - 2) ** 2, "y": levels})
    miscreen.select(table, "y", top=1, method="pearson", stability=4, **given)
    assert len(seen) == 5
    assert {(target.kind, target.nominal) for target in seen} == {(Kind.DISCRETE, False)}


def test_progress_tells_of_every_phase(frame: pl.DataFrame) -> None:
    told: list[tuple[str, int, int | None]] = []
    wanted: dict[str, Any] = {"strategy": "mrmr", "top": 3, "method": "pearson", "stability": 2}
    miscreen.select(frame, "y", on_progress=lambda *news: told.append(news), **wanted)
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == ["score", "code", "compare", "subsample"]
    assert [news for news in told if news[0] == "compare"] == [("compare", i, None) for i in (1, 2, 3)]
    assert [news for news in told if news[0] == "subsample"] == [("subsample", i, 2) for i in (1, 2)]


@pytest.mark.parametrize("suffix", ["json", "ndjson", "csv", "tsv", "parquet", "arrow"])
def test_a_selection_is_applied_to_another_table(frame: pl.DataFrame, tmp_path: Path, suffix: str) -> None:
    chosen = miscreen.select(frame, "y", strategy="clump", top=2, method="pearson")
    chosen.steps.write(tmp_path / f"chosen.{suffix}")
    frame.reverse().write_csv(tmp_path / "other.csv")
    again = miscreen.select(tmp_path / "other.csv", selection=tmp_path / f"chosen.{suffix}", keep=["id"])
    assert again.names == chosen.names
    assert again.to_polars().columns == ["id", *chosen.names]
    assert again.ranking is None
    assert again.steps.metadata == chosen.steps.metadata
    with pytest.raises(DataError, match=f"1 of the 2 chosen features are not in the table: '{chosen.names[0]}'"):
        miscreen.select(frame.drop(chosen.names[0]), selection=chosen.steps)


def test_bad_requests(frame: pl.DataFrame, tmp_path: Path) -> None:
    for keywords, error, match in (
        ({"strategy": "best"}, InputError, "no strategy 'best'"),
        ({"strategy": "mrmr"}, InputError, "how many columns"),
        ({"strategy": "top", "min_mi": 0.1}, InputError, "how many columns"),
        ({"strategy": "threshold"}, InputError, "how many features"),
        ({"top": 3, "pool": 10}, InputError, "ranking alone"),
        ({"top": 3, "given": ["a0"]}, InputError, "ranking alone"),
        (
            {"strategy": "mrmr", "top": 3, "clump_mi": 0.1},
            InputError,
            "clump_mi has no effect with",
        ),
        ({"strategy": "clump", "clump_mi": -0.1}, InputError, "clump_mi must be a positive number"),
        ({"strategy": "clump", "clump_mi": "1"}, InputError, "clump_mi must be a number, not '1'"),
        ({"min_mi": "0.1"}, InputError, "min_mi must be a number, not '0.1'"),
        ({"min_mi": np.nan}, InputError, "min_mi must be a number, not nan"),
        ({"min_score": True}, InputError, "min_score must be a number, not True"),
        ({"min_mi": 0.1, "mi": False}, InputError, "min_mi needs what mi=False leaves out"),
        ({"top": 3, "keep": [0]}, InputError, "0 cannot name a column"),
        ({"top": 3, "ranking": frame}, InputError, "ranking= is of type DataFrame"),
        ({"selection": frame}, InputError, "selection= is of type DataFrame"),
        (
            {"min_mi": 0.1, "ranking": miscreen.rank(frame, "y", mi=False)},
            DataError,
            "the ranking holds no mutual information",
        ),
        ({"strategy": "mrmr", "top": 3, "pool": 2}, InputError, "cannot be chosen from 2"),
        ({"strategy": "mrmr", "top": 3, "pool": 0}, InputError, "pool must be a whole number of at least 1"),
        ({"top": 2.5}, InputError, "top must be a whole number of at least 1, not 2.5"),
        ({"top": 3, "stability": -1}, InputError, "stability must be a whole number"),
        ({"top": np.int64(3), "stability": 1}, InputError, "at least 2 subsamples"),
        ({"strategy": "mrmr", "top": 3, "given": ["w"]}, InputError, "no column 'w' for given"),
        ({"strategy": "mrmr", "top": 3, "given": ["[!y]*"]}, DataError, "given already"),
        ({"strategy": "mrmr", "top": 3, "given": ["a0", "y"]}, InputError, "the target 'y' is among the columns given"),
        ({"top": 3, "selection": tmp_path / "none.json"}, InputError, "a selection was given"),
        ({"top": 3, "ranking": miscreen.rank(frame, "y", "bin"), "stability": 5}, InputError, "ranked anew"),
    ):
        with pytest.raises(error, match=match):
            miscreen.select(frame, "y", **keywords)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there is no selection"):
        miscreen.select(frame, selection=tmp_path / "none.json")
    frame.write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match="is no selection: it lacks one of the columns step and feature"):
        miscreen.select(frame, selection=tmp_path / "t.csv")
    bare = miscreen.Ranking(miscreen.rank(frame, "y", "bin").to_arrow(), {})
    with pytest.raises(InputError, match="does not say what its target was"):
        miscreen.select(frame, ranking=bare, strategy="mrmr", top=2)
    assert miscreen.select(frame, "y", ranking=bare, strategy="mrmr", top=2).names
    with pytest.raises(InputError, match="no column 'y' for the target"):
        miscreen.select(frame.drop("y"), ranking=miscreen.rank(frame, "y", "bin"), strategy="mrmr", top=2)


def test_subsamples_take_any_seed(frame: pl.DataFrame) -> None:
    chosen = miscreen.select(frame, "y", top=3, method="pearson", stability=4, seed=-1)
    assert chosen.steps.to_polars()["frequency"].is_between(0, 1).all()


def test_numbers_of_numpy_are_numbers(frame: pl.DataFrame) -> None:
    plain = miscreen.rank(frame, "y", "pearson", max_t=20, seed=5, min_samples=12)
    other = miscreen.rank(frame, "y", "pearson", max_t=np.int64(20), seed=np.int64(5), min_samples=np.int64(12))
    assert plain.to_arrow().equals(other.to_arrow())
    for wrong in (
        {"max_levels": 2.5},
        {"min_samples": "5"},
        {"seed": True},
        {"max_t": 18},
        {"ci": 0.9, "bootstrap": 3},
    ):
        with pytest.raises(InputError, match="must be a whole number"):
            miscreen.rank(frame, "y", "pearson", **wrong)

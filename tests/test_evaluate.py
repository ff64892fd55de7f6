"""Cross-validation with screening inside the training folds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNetCV, LogisticRegressionCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import miscreen
from miscreen import screening
from miscreen.cli import main
from miscreen.cli.options import Running
from miscreen.errors import DataError, InputError, ResourceError
from miscreen.evaluation import crossvalidation, design
from miscreen.evaluation.models import Trial
from miscreen.limits import POOLS
from miscreen.model import Kind, ScreenSpec, Target
from miscreen.roles import read_target
from miscreen.sklearn import MutualInfoSelector
from miscreen.tables.source import Column


def wide(n: int = 120, p: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    return x, x[:, 3] + x[:, 7] + rng.standard_normal(n)


def frame(x: np.ndarray, y: Any, **more: Any) -> pl.DataFrame:
    return pl.DataFrame(x, schema=[f"x{i}" for i in range(x.shape[1])]).with_columns(y=pl.Series(y), **more)


def figures(found: miscreen.Evaluation, start: str = "") -> np.ndarray:
    table = found.to_polars()
    return table.select(c for c in table.columns if c.startswith(f"{start}fold_")).to_numpy()


# ---- against scikit-learn's own loop -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pearson", "auto"])
def test_a_regression_is_that_of_a_pipeline(method: str) -> None:
    x, y = wide()
    x[::9, 3] = np.nan
    found = miscreen.evaluate(frame(x, y), "y", method, k=[4, 20], folds=3, seed=5)
    expected: dict[int, list[float]] = {4: [], 20: []}
    for train, test in KFold(3, shuffle=True, random_state=5).split(x):
        inner = list(KFold(5, shuffle=True, random_state=5).split(train))
        for k, scores in expected.items():
            pipeline = make_pipeline(
                MutualInfoSelector(k, method=method), SimpleImputer(strategy="median"), StandardScaler(),
                TransformedTargetRegressor(
                    ElasticNetCV(l1_ratio=0.5, alphas=50, max_iter=2000, cv=inner), transformer=StandardScaler()
                ),
            )  # fmt: skip
            pipeline.fit(x[train], y[train])
            scores.append(r2_score(y[test], pipeline.predict(x[test])))
    assert found.metric == "r2"
    assert np.allclose(figures(found), list(expected.values()), rtol=1e-9, atol=0)


@pytest.mark.parametrize("levels", [2, 3])
def test_a_classification_is_that_of_a_pipeline(levels: int) -> None:
    x, y = wide()
    classes = np.array(["b", "a", "c"])[np.digitize(y, [0, 1][: levels - 1])]
    found = miscreen.evaluate(frame(x, classes), "y", "bin", k=6, model="ridge", folds=3)
    expected = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(x, classes):
        inner = list(StratifiedKFold(5, shuffle=True, random_state=0).split(train, classes[train]))
        pipeline = make_pipeline(
            MutualInfoSelector(6, method="bin"), StandardScaler(),
            LogisticRegressionCV(
                Cs=np.logspace(-3, 0, 7), l1_ratios=(0.0,), cv=inner, scoring="neg_log_loss", tol=1e-3, max_iter=1000,
                use_legacy_attributes=False,
            ),
        )  # fmt: skip
        given = pipeline.fit(x[train], classes[train]).predict_proba(x[test])
        expected.append(
            roc_auc_score(classes[test], given[:, 1]) if levels == 2
            else roc_auc_score(classes[test], given, multi_class="ovr")
        )  # fmt: skip
    assert found.metric == "roc_auc"
    # Folds are stratified by the classes in order of appearance, and so may differ from those by their names.
    assert np.allclose(figures(found)[0], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("model", ["elasticnet", "ridge", "forest"])
def test_r_squared_does_not_depend_on_the_unit_of_the_target(model: str) -> None:
    x, y = wide()
    expected = figures(miscreen.evaluate(frame(x, y), "y", "pearson", k=8, model=model, folds=3))
    assert expected.mean() > 0.2
    for factor in (2.0**-100, 2.0**13, 2.0**100):  # which round nothing, so that trees decide their ties alike
        found = miscreen.evaluate(frame(x, factor * y), "y", "pearson", k=8, model=model, folds=3)
        assert np.allclose(figures(found), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("model", ["elasticnet", "ridge", "forest"])
def test_a_column_may_be_of_any_magnitude(model: str) -> None:
    x, y = wide()
    expected = figures(miscreen.evaluate(frame(x, y), "y", "spearman", k=8, model=model, folds=3))
    for exponent in (-660, 660):
        scaled = np.column_stack((x[:, :7], np.ldexp(x[:, 7:], exponent)))
        found = miscreen.evaluate(frame(scaled, y), "y", "spearman", k=8, model=model, folds=3)
        assert np.allclose(figures(found), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("model", ["elasticnet", "ridge", "forest"])
@pytest.mark.parametrize("sentinel", [1e40, np.finfo(float).max], ids=str)
@pytest.mark.parametrize("rows", [[5], [5, 60], [0, 30, 60, 90]], ids=str)  # also in the rows tested on alone
def test_a_value_may_stand_far_out(model: str, sentinel: float, rows: list[int]) -> None:
    x, y = wide()
    x[rows, 7] = sentinel
    for outcome in (y, y > 0):
        found = miscreen.evaluate(frame(x, outcome), "y", "spearman", k=4, model=model, folds=3)
        assert np.isfinite(figures(found)).all()


def test_each_fold_is_screened_by_its_training_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = wide()
    words = np.array(["low", "mid", "high"])[np.digitize(x[:, 3], [-0.5, 0.5])]
    table = frame(x, y, word=pl.Series(words)).with_columns(y=pl.when(pl.int_range(pl.len()) % 10 > 0).then("y"))
    seen = []

    class Spy(Trial):
        def score(self, model: str, chosen: Any) -> float:
            seen.append((self.train, self.values[chosen], self.is_text[chosen]))
            return 0.0

    monkeypatch.setattr(crossvalidation, "Trial", Spy)
    miscreen.evaluate(table, "y", "ksg", k=5, folds=4)
    present = table.filter(pl.col("y").is_not_null())
    assert len(seen) == 4
    for train, values, is_text in seen:
        best = miscreen.rank(present[train], "y", "ksg").top(5).names
        names = [name for name in present.columns if name in best]
        assert is_text.tolist() == [name == "word" for name in names]
        for name, row in zip(names, values, strict=True):
            if name != "word":
                assert row.tolist() == present[name].to_list()


@pytest.mark.parametrize("kind", [None, "discrete"])
def test_classes_that_have_an_order_keep_it_in_a_fold(kind: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = wide(200)
    levels = np.arange(200) % 5
    x[:, 3] += 0.5 * levels  # a line, best with the order, and a parabola, best without
    x[:, 7] += 0.8 * (levels - 2) ** 2
    seen = []

    class Spy(Trial):
        def score(self, model: str, chosen: Any) -> float:
            seen.append((self.train, self.values[chosen][0].tolist()))
            return 0.0

    monkeypatch.setattr(crossvalidation, "Trial", Spy)
    table = frame(x, levels)
    miscreen.evaluate(table, "y", "pearson", k=1, folds=3, target_kind=kind)
    assert len(seen) == 3
    for train, values in seen:
        best = miscreen.rank(table[train], "y", "pearson", target_kind=kind).names[0]
        assert best == ("x7" if kind else "x3")
        assert values == table[best].to_list()


def test_globs_of_columns_do_not_mean_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(column: Column, forced: int, spec: ScreenSpec) -> Target:
        seen.append(read_target(column, forced, spec).kind)
        return read_target(column, forced, spec)

    monkeypatch.setattr(screening, "read_target", spy)
    x, _ = wide(200)
    miscreen.evaluate(
        frame(x, np.arange(200) % 2), "y", "pearson", k=1, folds=3, target_kind="discrete", continuous="*"
    )
    assert seen == [Kind.DISCRETE] * 3


# ---- the lie of leakage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [False, True], ids=["numbers", "classes"])
def test_on_noise_it_shows_chance_and_leakage_lies(classes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design, "INNER_FOLDS", 2)  # a penalty tuned roughly will do
    honest, leaked = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((60, 1000))
        y = rng.permutation(np.arange(60) % 2 > 0) if classes else rng.standard_normal(60)
        found = miscreen.evaluate(frame(x, y), "y", "pearson", k=10, model="ridge", folds=2, show_leakage=True)
        honest.append(found.to_polars()["mean"][0])
        leaked.append(found.to_polars()["leaked_mean"][0])
    error = np.std(honest, ddof=1) / np.sqrt(20)
    if classes:
        assert abs(np.mean(honest) - 0.5) < 4 * error
        assert np.mean(leaked) > 0.75
    else:
        assert np.mean(honest) < 4 * error  # no model of noise beats the mean of the test rows
        assert np.mean(leaked) > 0.25


# ---- what is asked and what comes back ---------------------------------------------------------------------


def test_table_of_results(tmp_path: Path) -> None:
    x, y = wide()
    found = miscreen.evaluate(
        frame(x, y),
        "y",
        ["pearson", "bin"],
        k=np.array([20, 5]),
        model=["ridge", "elasticnet"],
        folds=3,
        show_leakage=True,
    )
    table = found.to_polars()
    folds = [f"fold_{i}" for i in (1, 2, 3)]
    leaked = [f"leaked_{name}" for name in folds]
    assert table.columns == [
        "method", "k", "model", "metric", "mean", "sd", "leaked_mean", "leaked_sd", *folds, *leaked
    ]  # fmt: skip
    rows = [(m, k, model) for m in ("pearson", "bin") for k in (5, 20) for model in ("ridge", "elasticnet")]
    assert table.select("method", "k", "model").rows() == rows
    assert np.allclose(table["mean"], figures(found).mean(axis=1))
    assert np.allclose(table["sd"], figures(found).std(axis=1, ddof=1))
    assert np.allclose(table["leaked_sd"], figures(found, "leaked_").std(axis=1, ddof=1))
    found.write(tmp_path / "found.csv")
    assert pl.read_csv(tmp_path / "found.csv").columns == table.columns
    assert found.metadata == {
        "version": miscreen.__version__, "target": ["y"], "method": ["pearson", "bin"], "k": [5, 20],
        "model": ["ridge", "elasticnet"], "metric": "r2", "folds": 3, "groups": None, "seed": 0, "n_samples": 120,
        "features": [], "exclude": [], "discrete": [], "continuous": [], "target_kind": None, "max_levels": 20,
        "min_samples": 10, "read": None,
    }  # fmt: skip
    for name in ("plot.svg", "again.svg", "plot.png"):
        found.plot(tmp_path / name)
    assert (tmp_path / "plot.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    drawn = (tmp_path / "plot.svg").read_text()
    assert "leaked" in drawn and "mean and sd of the folds" in drawn
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_for_any_threads_format_and_memory(tmp_path: Path) -> None:
    x, y = wide(80, 40)
    table = frame(x, y, word=pl.Series(np.where(x[:, 7] > 0, "up", "down")))
    table.write_csv(tmp_path / "table.csv")
    runs = []
    for source, threads, memory in ((table, 1, "1GB"), (tmp_path / "table.csv", 3, "600KB")):
        found = miscreen.evaluate(
            source, "y", k=8, model=["elasticnet", "forest"], folds=2, threads=threads, memory=memory
        )
        runs.append(figures(found).tolist())
    assert runs[0] == runs[1]
    other = miscreen.evaluate(table, "y", k=8, model=["elasticnet", "forest"], folds=2, seed=1)
    assert figures(other).tolist() != runs[0]


def test_text_and_missing_values_are_coded_inside_the_fold() -> None:
    """A level that training rows lack is no error, and text tells as much as the numbers it stands for."""
    rng = np.random.default_rng(0)
    site = rng.integers(0, 4, 200)
    y = np.array([0.0, 3.0, -2.0, 1.0])[site] + 0.2 * rng.standard_normal(200)
    words = np.array(["north", "east", "south", "west"], dtype=object)[site]
    words[0], words[5], words[9] = "rare", None, None
    noise = rng.standard_normal((200, 3))
    noise[rng.random((200, 3)) < 0.1] = np.inf
    found = miscreen.evaluate(frame(noise, y, word=pl.Series(words, dtype=pl.String)), "y", k=2, folds=4)
    assert found.to_polars()["mean"][0] > 0.8


def test_groups_are_never_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = wide()
    site = np.arange(120) % 12
    for outcome in (y, y > 0):
        seen = []

        class Spy(Trial):
            def score(self, model: str, chosen: Any) -> float:
                seen.append(self)  # noqa: B023
                return 0.0

        with monkeypatch.context() as patched:
            patched.setattr(crossvalidation, "Trial", Spy)
            table = frame(x, outcome, site=pl.Series(site).cast(pl.String))
            miscreen.evaluate(table, "y", "pearson", k=60, folds=3, groups="site")  # the site is no feature
        assert np.sort(np.concatenate([t.test for t in seen])).tolist() == list(range(120))
        for trial in seen:
            assert not set(site[trial.train]) & set(site[trial.test])
            for part, rest in trial.inner:
                assert not set(site[trial.train][part]) & set(site[trial.train][rest])


def test_default_sizes_are_those_the_table_has() -> None:
    x, y = wide(60, 60)
    assert miscreen.evaluate(frame(x, y), "y", "pearson", model="ridge", folds=2).to_polars()["k"].to_list() == [10, 50]
    few = miscreen.evaluate(frame(x[:, :5], y), "y", "pearson", model="ridge", folds=2)
    assert few.to_polars()["k"].to_list() == [5]


def test_progress_counts_columns_and_models() -> None:
    x, y = wide(60, 30)
    told = []
    miscreen.evaluate(
        frame(x, y), "y", "pearson", k=[2, 5], model="ridge", folds=2, on_progress=lambda *news: told.append(news)
    )
    assert ("score", 30, 30) in told
    assert [news for news in told if news[0] == "fit"] == [("fit", i, 4) for i in range(1, 5)]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"model": "tree"}, InputError, "there is no model 'tree'"),
        ({"method": "tree"}, InputError, "there is no method 'tree'"),
        ({"method": ["bin", "bin"]}, InputError, "each once"),
        ({"k": 0}, InputError, "at least 1"),
        ({"k": []}, InputError, "k is empty"),
        ({"k": [5, 2.5]}, InputError, r"k must be a whole number of at least 1, not 2\.5"),
        ({"k": "5"}, InputError, "k must be a whole number of at least 1, not '5'"),
        ({"k": True}, InputError, "k must be a whole number of at least 1, not True"),
        ({"k": [5, 500]}, InputError, "k is 500, but there are 60 columns"),
        ({"seed": -1}, InputError, "seed must be a whole number from 0 to 4,294,967,295, not -1"),
        ({"groups": 3}, InputError, "the groups are 3"),
        ({"show_leakage": "no"}, InputError, "show_leakage must be True or False, not 'no'"),
        ({"method": 3}, InputError, "method is 3"),
        ({"model": [3]}, InputError, r"model is \[3\]"),
        ({"folds": 1}, InputError, "folds must be a whole number of at least 2"),
        ({"target": ["y"]}, InputError, "the target is"),
        ({"target": "z"}, InputError, "has no column 'z'"),
        ({"groups": "z"}, InputError, "has no column 'z' for the groups"),
        ({"groups": "y"}, InputError, "the groups are the target"),
        ({"grid": 32}, InputError, "evaluate has no option 'grid'"),
        ({"folds": 121}, DataError, "120 rows with the target 'y', too few for 121 folds"),
        ({"folds": 61, "target_kind": "continuous"}, DataError, "the same in all rows of a test fold|fewer than"),
        ({"target": "rare", "folds": 4}, DataError, "3 rows in the smallest class, too few for 4 folds"),
        ({"groups": "site"}, DataError, "3 groups, too few for 5 folds"),
        ({"groups": "holes"}, DataError, "groups 'holes' are missing in 1 rows"),
        ({"groups": "integers"}, DataError, "groups 'integers' are numbers that doubles do not hold"),
        ({"groups": "floats"}, DataError, "groups 'floats' are numbers that doubles do not hold"),
        ({"groups": "lists"}, DataError, "groups 'lists' are of a type without levels"),
        ({"k": 60, "memory": "100KB"}, ResourceError, "60 columns on"),
        ({"min_samples": 119}, DataError, "fewer than the 119"),
    ],
)
def test_what_cannot_be_done_is_said(asked: dict[str, Any], error: type[Exception], message: str) -> None:
    x, y = wide()
    table = frame(
        x, y, rare=np.arange(120) < 3, site=pl.Series(np.arange(120) % 3),
        holes=pl.Series([None, *range(119)]), integers=pl.Series(2**53 + np.arange(120) % 12),
        floats=pl.Series(2.0**53 + np.arange(120) % 12), lists=pl.Series([[i % 12] for i in range(120)]),
    )  # fmt: skip
    if "target_kind" in asked:
        table = table.with_columns(y=pl.Series(np.arange(120) // 100 * 1.0))
    call = {"target": "y", "method": "pearson", "model": "ridge", "features": ["x*"], **asked}
    with pytest.raises(error, match=message):
        miscreen.evaluate(table, call.pop("target"), call.pop("method"), **call)


@pytest.mark.parametrize(
    ("rows", "folds", "message", "hint"),
    [
        (1, 5, "1 row in the smallest class", "Choose a target of larger classes"),
        (2, 5, "2 rows in the smallest class", "Choose a target of larger classes"),
        (3, 5, "3 rows in the smallest class", "Lower --folds to 3"),
        (3, 2, "a single row of a class", "Raise --folds"),
    ],
)
def test_what_to_do_about_rare_classes_helps(rows: int, folds: int, message: str, hint: str) -> None:
    table = frame(*wide(), rare=np.arange(120) < rows)
    asked: dict[str, Any] = {"features": ["x*"], "k": 3, "model": "ridge"}
    with pytest.raises(DataError, match=message) as caught:
        miscreen.evaluate(table, "rare", "pearson", folds=folds, **asked)
    assert hint in caught.value.hint
    if rows == 3:
        assert len(miscreen.evaluate(table, "rare", "pearson", folds=3, **asked).to_polars()) == 1


def test_two_classes_in_a_column_of_floats_are_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    """As pandas holds zeros and ones with a gap; they are numbers, and R-squared is seldom what was wanted."""
    table = frame(*wide(), sick=pl.Series([None, *(i % 2 * 1.0 for i in range(119))]))
    asked: dict[str, Any] = {"features": ["x*"], "k": 3, "model": "ridge"}
    caplog.set_level("INFO", "miscreen")
    for kind, metric, told in ((None, "r2", 1), ("continuous", "r2", 0), ("discrete", "roc_auc", 0)):
        caplog.clear()
        found = miscreen.evaluate(table, "sick", "pearson", target_kind=kind, **asked)
        assert found.metadata["metric"] == metric
        assert caplog.text.count("the two values of 'sick' are taken as numbers: --target-kind discrete") == told


def test_numbers_of_numpy_are_numbers() -> None:
    asked: list[dict[str, Any]] = [{"k": 3, "seed": 1}, {"k": np.int64(3), "seed": np.int64(1)}]
    one, other = (miscreen.evaluate(frame(*wide()), "y", "pearson", model="ridge", **kw) for kw in asked)
    assert one.metadata == other.metadata
    assert one.to_polars().equals(other.to_polars())


def test_plots_and_outputs_are_refused_before_the_run(tmp_path: Path) -> None:
    from miscreen.evaluation.result import check_plot

    (tmp_path / "there.svg").touch()
    for path, message in (("a.gif", "format of the plot"), ("no/a.svg", "does not exist"), ("there.svg", "exists")):
        with pytest.raises(InputError, match=message):
            check_plot(tmp_path / path)
    check_plot(tmp_path / "there.svg", force=True)


def test_an_old_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.__version__", "1.7.2")
    with pytest.raises(InputError, match=r"need scikit-learn 1\.8 or newer, not 1\.7\.2"):
        miscreen.evaluate(frame(*wide()), "y", "pearson")


def test_the_area_under_the_curve_of_absent_classes() -> None:
    from miscreen.evaluation.models import _area

    probability = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.6, 0.3, 0.1]])
    truth = np.array([0.0, 1.0, 1.0])
    assert _area(truth, probability, np.arange(3.0)) == 1.0  # the mean of the two classes that are there
    assert np.isnan(_area(np.zeros(3), probability, np.arange(3.0)))


# ---- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command calls the library with; the answer is a small one."""
    calls: list[Any] = []
    x, y = wide(60, 12)
    answer = miscreen.evaluate(frame(x, y), "y", ["pearson", "bin"], k=[2, 10], model="ridge", show_leakage=True)

    def stand_in(*args: Any, **keywords: Any) -> miscreen.Evaluation:
        del keywords["on_progress"]
        calls.append((args, keywords))
        return answer

    monkeypatch.setattr(miscreen, "evaluate", stand_in)
    monkeypatch.setattr(Running, "prepare_kernels", lambda running, users: None)
    for pool in POOLS:
        monkeypatch.setenv(pool, "2")
    return calls


def test_the_command_passes_every_option(call: list[Any], capsys: Any, tmp_path: Path) -> None:
    line = f"""evaluate t.csv -t y --method kde,ksg --k 10,50 --model forest,ridge --folds 3 --groups site --seed 4
        --show-leakage --features x* --exclude id --discrete d --continuous c --target-kind discrete --max-levels 5
        --min-samples 30 --null - --threads 2 --memory 1GB --scratch {tmp_path} -o {tmp_path}/f.csv
        --plot {tmp_path}/f.svg"""
    assert main(line.split()) == 0
    expected = {
        "k": (10, 50), "model": ("forest", "ridge"), "folds": 3, "groups": "site", "seed": 4, "show_leakage": True,
        "features": ["x*"], "exclude": ["id"], "discrete": ["d"], "continuous": ["c"], "target_kind": "discrete",
        "max_levels": 5, "min_samples": 30, "read": miscreen.ReadOptions(null_values=("-",)),
        "threads": 2, "memory": "1GB", "scratch_dir": str(tmp_path),
    }  # fmt: skip
    assert call == [(("t.csv", "y", ("kde", "ksg")), expected)]
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("done: 4 figures in ") and err.endswith(f"f.csv and {tmp_path}/f.svg\n")
    assert pl.read_csv(tmp_path / "f.csv").height == 4
    assert (tmp_path / "f.svg").is_file()


def test_the_command_takes_names_with_commas_and_repeated(call: list[Any]) -> None:
    line = "-m bin -m auto,ksg --k 10 --k 50,90 --model ridge"
    assert main(["evaluate", "t", "-t", "y", *line.split()]) == 0
    ((_, _, methods), keywords), *_ = call
    assert methods == ("bin", "auto", "ksg")
    assert (keywords["k"], keywords["model"]) == ((10, 50, 90), "ridge")


def test_a_pipe_gets_csv_and_a_terminal_a_table(
    call: list[Any], capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["evaluate", "t", "-t", "y"]) == 0
    found = pl.read_csv(capfdbinary.readouterr().out)
    assert found["k"].to_list() == [2, 10, 2, 10]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for variable, value in (("NO_COLOR", "1"), ("TERM", "dumb"), ("COLUMNS", "100")):
        monkeypatch.setenv(variable, value)
    assert main(["evaluate", "t", "-t", "y"]) == 0
    head, _, *rows = capfdbinary.readouterr().out.decode().splitlines()
    assert head.split() == ["method", "k", "model", "r2", "sd", "leaked", "0", "to", "1"]
    for row, mean, method in zip(rows, found["mean"], found["method"], strict=True):
        cells = row.split()
        assert cells[0] == method and cells[3] == f"{mean:.3f}"
        assert (cells[6:] or [""])[0] == "█" * round(20 * max(0.0, mean))
    monkeypatch.setenv("TERM", "xterm")  # whose width is asked for
    monkeypatch.setenv("COLUMNS", "50")  # no room for bars
    assert main(["evaluate", "t", "-t", "y"]) == 0
    narrow = capfdbinary.readouterr().out.decode().splitlines()
    assert [line.split() for line in narrow[2:]] == [row.split()[:6] for row in rows]
    assert all(len(line) <= 50 for line in narrow[1:])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--k ten", "--k is 'ten'"),
        ("--plot figure.gif", "cannot tell the format of the plot 'figure.gif'"),
        ("--plot nowhere/figure.svg", "the output directory 'nowhere' does not exist"),
        ("-o table.txt", "cannot tell the format"),
    ],
)
def test_the_command_refuses_at_once(line: str, message: str, call: list[Any], capsys: Any) -> None:
    assert main(["evaluate", "t", "-t", "y", *line.split()]) == 2
    assert message in capsys.readouterr().err
    assert call == []


@pytest.mark.parametrize(
    ("missing", "arguments", "hint"),
    [("sklearn", [], "miscreen[sklearn]"), ("matplotlib", ["--plot", "f.svg"], "miscreen[plot]")],
)
def test_a_missing_extra_is_named(missing: str, arguments: list[str], hint: str, tmp_path: Path) -> None:
    frame(*wide(30, 9)).write_csv(tmp_path / "t.csv")
    code = f"""
import sys
sys.modules[{missing!r}] = None
from miscreen.cli import main
sys.exit(main(["evaluate", "t.csv", "-t", "y", "--quiet", *{arguments}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert hint in done.stderr


def test_one_target_at_a_time() -> None:
    code = main(["evaluate", "data/samples/pbmc.csv", "-t", "phase", "-t", "cell_type"])
    assert code == 2

"""Measure how right the numbers are, beside other packages, and write `docs/accuracy.md`.

    make accuracy                     everything, about half an hour
    make accuracy QUICK=1             fewer repeats, some minutes
    make accuracy ONLY=estimates,power

Each part leaves a JSON file in `benchmarks/results`; the page is written from whatever is there, so that a part can be
run again alone. Quick results take the place of full ones until these are checked out again.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_page import OURS, write_page
from measure import RESULTS, machine, run_parts
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimate = Callable[[Floats, Floats, bool, bool], float]
EXACT = 200  # times that exact tests are imitated
SIZES = {200: (40, 8), 1000: (30, 6), 5000: (6, 2)}  # samples: repeats in the full and the quick form
INDEPENDENT = 8  # times as many of 1,000 samples without information, whose mean is held to 0.003


# ---- estimates: one column, one target, whether each is discrete --------------------------------------------


def ours(method: str, **options: Any) -> Estimate:
    from miscreen.estimators import estimator_class
    from miscreen.model import Batch, Kind, Target, codes_by_appearance

    def estimate(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
        here = ~np.isnan(x)
        values = codes_by_appearance(y[here]).astype(np.float64) if y_discrete else y[here]
        target = Target("y", values, Kind(y_discrete), False, np.arange(len(values)))
        cls = estimator_class(method)
        batch = Batch(x[here][np.newaxis], Kind(x_discrete), np.zeros(1, dtype=bool))
        return float(cls(target, cls.make_options(options)).score(batch).mi[0])

    return estimate


def sklearn(k: int) -> Estimate:
    def estimate(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
        from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

        function = mutual_info_classif if y_discrete else mutual_info_regression
        found = function(x[:, None], y, discrete_features=x_discrete, n_neighbors=k, random_state=0)
        return float(found[0])

    return estimate


def ennemi(k: int) -> Estimate:
    def estimate(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
        from ennemi import estimate_mi

        found = estimate_mi(y, x, k=k, discrete_x=x_discrete, discrete_y=y_discrete, max_threads=1)
        return float(np.ravel(found)[0])

    return estimate


def fasthdmi_kde(points: int) -> Estimate:
    def estimate(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
        from fastHDMI import MI_continuous_continuous

        if x_discrete or y_discrete:
            return np.nan  # it has no density estimate for classes
        return float(MI_continuous_continuous(x, y, 1.0, a_N=points, b_N=points))

    return estimate


def fasthdmi_bins(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
    from fastHDMI.mi_estimation import _binning_MI

    return float(_binning_MI(x, y))


def estimators() -> dict[str, Estimate]:
    return {
        **{method: ours(method) for method in OURS},
        "scikit-learn, k = 3": sklearn(3),
        "scikit-learn, k = 10": sklearn(10),
        "ennemi, k = 3": ennemi(3),
        "ennemi, k = 15": ennemi(15),
        "fastHDMI, KDE": fasthdmi_kde(300),
        "fastHDMI, binning": fasthdmi_bins,
    }


def attempt(estimate: Estimate, *arguments: Any) -> float:
    """An estimate, or NaN where the package gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = estimate(*arguments)
        except (ValueError, ZeroDivisionError, IndexError, FloatingPointError):
            return np.nan
    return found if np.isfinite(found) else np.nan


def estimates(*, quick: bool) -> dict[str, Any]:
    """Errors of every method and peer for distributions whose information is known."""
    from cases import SHAPES

    rows = []
    for n, repeats in SIZES.items():
        for name, case in SHAPES.items():
            discrete = case.x_kind == "discrete", case.y_kind == "discrete"
            often = INDEPENDENT if n == 1000 and abs(case.mi) < 1e-6 and not quick else 1
            samples = [case.sample(seed, n) for seed in range(often * repeats[quick])]
            for method, estimate in estimators().items():
                off = np.array([attempt(estimate, x, y, *discrete) for x, y in samples]) - case.mi
                got = off[np.isfinite(off)]
                row = {"case": name, "mi": case.mi, "n": n, "method": method, "lost": len(off) - len(got)}
                row |= {"x_kind": case.x_kind, "y_kind": case.y_kind, "repeats": len(off)}
                if len(got):
                    row |= {"bias": got.mean(), "sd": got.std(ddof=1), "rmse": np.sqrt(np.mean(got**2))}
                rows.append(row)
        print(f"  {n:,} samples done", file=sys.stderr, flush=True)
    return {"rows": rows}


# ---- power --------------------------------------------------------------------------------------------------

TABLES = 8  # of each design
NULLS = 200  # columns without effect that are taken from each table: more would only narrow the error a little


def scores_of_ours(method: str, **options: Any) -> Callable[..., Floats]:
    def scored(features: Floats, target: Floats, discrete: NDArray[np.bool_], nominal: NDArray[np.bool_], y: bool):
        from miscreen.estimators import estimator_class
        from miscreen.model import Batch, Kind, Target, codes_by_appearance

        values = codes_by_appearance(target).astype(np.float64) if y else target
        labels = bool(y and values.max() > 1)  # as of text: more than two classes have no order
        cls = estimator_class(method)
        bound = cls(Target("y", values, Kind(y), labels, np.arange(len(values))), cls.make_options(options))
        found = np.empty(len(features))
        for kind in Kind:
            chosen = np.flatnonzero(discrete == kind)
            if len(chosen):
                found[chosen] = bound.statistic(Batch(features[chosen], kind, nominal[chosen]))
        return found

    return scored


def scores_of(estimate: Estimate) -> Callable[..., Floats]:
    def scored(features: Floats, target: Floats, discrete: NDArray[np.bool_], nominal: NDArray[np.bool_], y: bool):
        found = np.empty(len(features))
        for j, x in enumerate(features):
            here = ~np.isnan(x)
            found[j] = attempt(estimate, x[here], target[here], bool(discrete[j]), y)
        return found

    return scored


def f_statistic(x: Floats, y: Floats, x_discrete: bool, y_discrete: bool) -> float:
    from sklearn.feature_selection import f_classif, f_regression

    return float((f_classif if y_discrete else f_regression)(x[:, None], y)[0][0])


def power(*, quick: bool) -> dict[str, Any]:
    """How well each method's scores part true columns from others."""
    from designs import DESIGNS, DEVELOPMENT, auroc

    methods = {
        **{method: scores_of_ours(method) for method in (*OURS, "pearson", "spearman")},
        "scikit-learn, k = 10": scores_of(sklearn(10)),
        "scikit-learn, F": scores_of(f_statistic),
        "ennemi, k = 15": scores_of(ennemi(15)),
        "fastHDMI, KDE": scores_of(fasthdmi_kde(64)),
        "fastHDMI, binning": scores_of(fasthdmi_bins),
    }
    rows = []
    nulls = NULLS // 4 if quick else NULLS
    for name, design in DESIGNS.items():
        if design.group == DEVELOPMENT:
            continue
        found: dict[str, list[float]] = {method: [] for method in methods}
        for seed in range(1 if quick else TABLES):
            table = design.sample(seed)
            others = np.random.default_rng(seed).permutation(np.flatnonzero(~table.truth))[:nulls]
            kept = np.sort(np.concatenate((np.flatnonzero(table.truth), others)))
            given = (table.features[kept], table.target, table.discrete[kept], table.nominal[kept])
            for method, scored in methods.items():
                found[method].append(auroc(scored(*given, design.target_discrete), table.truth[kept]))
        continuous = not (design.target_discrete or table.discrete.any())
        row: dict[str, Any] = {"design": name, "group": design.group, "continuous": bool(continuous)}
        row |= {method: float(np.mean(values)) for method, values in found.items()}
        rows.append(row)
        print(f"  {name}", file=sys.stderr, flush=True)
    return {"rows": rows, "methods": list(methods), "others": nulls, "tables": 1 if quick else TABLES}


# ---- p-values -----------------------------------------------------------------------------------------------


def null_table(kind: str, count: int, n: int, rng: np.random.Generator) -> tuple[Floats, dict[str, Any]]:
    """Columns of a kind that have nothing to do with the last one, and how they are to be screened."""
    x = rng.standard_normal((n, count))
    more: dict[str, Any] = {}
    y = rng.standard_normal((n, 1))
    if kind == "tied":
        x = np.round(2 * x) / 2
    elif kind == "zero-inflated":
        x = np.where(rng.random(x.shape) < rng.uniform(0.3, 0.8, count), 0.0, np.exp(x))
    elif kind == "discrete":
        x, more = rng.integers(0, 4, x.shape).astype(np.float64), {"discrete": ["x*"]}
    elif kind == "discrete, class target":
        x, y = (rng.integers(0, levels, of.shape).astype(np.float64) for levels, of in ((4, x), (3, y)))
        more = {"discrete": ["x*"], "target_kind": "discrete"}
    elif kind == "5 to 40 % missing":
        x[rng.random(x.shape) < rng.uniform(0.05, 0.4, count)] = np.nan
    elif kind == "class target":
        y, more = rng.integers(0, 2, (n, 1)).astype(np.float64), {"target_kind": "discrete"}
    elif kind == "strata":
        site = rng.integers(0, 4, (n, 1)).astype(np.float64)  # both depend on the site, and on nothing else
        x, y, more = x + site, np.hstack((site, y + site)), {"strata": "site", "discrete": ["site"]}
    return np.hstack((x, y)), more


def uniformity(kind: str, method: str, count: int, n: int = 200) -> dict[str, Any]:
    """Distance of p-values of null columns from the uniform distribution."""
    import miscreen

    table, more = null_table(kind, count, n, np.random.default_rng(5))
    names = [*(f"x{i}" for i in range(count)), *(["site"] if "strata" in more else []), "y"]
    ranking = miscreen.rank(table, "y", method, names=names, p_values=True, threads=1, **more)
    p = ranking.to_polars()["p_value"].drop_nulls().to_numpy()
    found = distances(p)
    alike = sharing(kind, table[:, :count])
    exact = np.array([distances(exact_p_values(alike, np.random.default_rng(i))) for i in range(EXACT)])
    as_large = (1 + np.count_nonzero(exact >= found, axis=0)) / (1 + EXACT)
    return {
        "kind": kind, "method": method, "count": len(p), "distance": found[0], "excess": found[1],
        "p": as_large[0], "p, too small": as_large[1],
        **{f"below {a}": float(np.mean(p <= a)) for a in (0.05, 0.01, 0.001)},
    }  # fmt: skip


def distances(p: Floats) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance from the uniform distribution: two-sided, and where p-values are too small."""
    p = np.sort(p)
    above = np.max(np.arange(1, len(p) + 1) / len(p) - p)
    return max(above, np.max(p - np.arange(len(p)) / len(p))), above


def sharing(kind: str, features: Floats) -> list[int]:
    """How many features have each null, and hence the same draws: those that are tied alike."""
    if kind == "strata":
        return [1] * features.shape[1]
    ties = (np.unique(x[~np.isnan(x)], return_counts=True)[1].tobytes() for x in features.T)
    return list(Counter(ties).values())


def exact_p_values(sharing: list[int], rng: np.random.Generator) -> Floats:
    """p-values of our rules and numbers of draws, but of a statistic that is uniform under independence."""
    from miscreen.inference.null import OWN, SHARED

    if len(sharing) == 1:
        u, draws = rng.random(sharing[0]), np.sort(rng.random(SHARED.draws))
        reached = np.searchsorted(draws, u, side="right")
        return np.where(reached < SHARED.enough, u, (reached + 1) / (SHARED.draws + 1))
    u = rng.random(sharing.count(1))
    found = [(u, OWN.enough + rng.negative_binomial(OWN.enough, u))]  # the draw that settles it
    for count in sharing:
        if count > 1:
            u, draws = rng.random(count), rng.random(OWN.draws)
            reached = np.cumsum(draws <= u[:, np.newaxis], axis=1, dtype=np.uint16)
            found.append((u, 1 + np.count_nonzero(reached < OWN.enough, axis=1)))
    return np.concatenate([np.where(last > OWN.draws, u, OWN.enough / last) for u, last in found])


def discoveries(method: str, screens: int, n: int = 120, count: int = 400, true: int = 40) -> dict[str, Any]:
    """False discovery rate and power at q <= 0.05 of linear-Gaussian screens, beside SciPy's exact test."""
    import scipy.stats

    import miscreen

    rates: dict[str, list[tuple[float, float]]] = {"ours": [], "exact": []}
    for seed in range(screens):
        rng = np.random.default_rng(seed)
        y = rng.standard_normal(n)
        x = rng.standard_normal((n, count))
        x[:, :true] += y[:, None] * rng.uniform(0.2, 0.6, true)
        names = [f"x{i}" for i in range(count)]
        ranking = miscreen.rank(
            np.column_stack((x, y)), "y", method, names=[*names, "y"], p_values=True, seed=seed, threads=1
        )
        rows = ranking.to_polars()
        q = dict(zip(rows["feature"].to_list(), rows["q_value"].to_list(), strict=True))
        exact = scipy.stats.false_discovery_control(scipy.stats.pearsonr(x, y[:, None]).pvalue)
        for side, values in (("ours", np.array([q[name] for name in names])), ("exact", exact)):
            found = values <= 0.05
            false = np.count_nonzero(found[true:])
            rates[side].append((false / max(1, np.count_nonzero(found)), np.count_nonzero(found[:true]) / true))
    means = {side: np.mean(values, axis=0) for side, values in rates.items()}
    error = np.std([fdp for fdp, _ in rates["ours"]], ddof=1) / np.sqrt(screens)
    return {
        "method": method, "screens": screens, "fdr": means["ours"][0], "fdr_error": error,
        "power": means["ours"][1], "exact_fdr": means["exact"][0], "exact_power": means["exact"][1],
    }  # fmt: skip


def p_values(*, quick: bool) -> dict[str, Any]:
    """Whether null columns have uniform p-values, and the false discovery rate is what it says."""
    uniform = []
    for kind, method in (
        ("continuous", "copula"),
        ("continuous", "auto"),
        ("class target", "bin"),
        ("tied", "bin"),
        ("zero-inflated", "bin"),
        ("discrete", "bin"),
        ("discrete, class target", "auto"),
        ("5 to 40 % missing", "copula"),
        ("strata", "copula"),
    ):
        uniform.append(uniformity(kind, method, 1_000 if quick else 100_000))
        print(f"  {kind}, {method}: {uniform[-1]}", file=sys.stderr, flush=True)
    screens = [discoveries("copula", 10 if quick else 200), discoveries("auto", 3 if quick else 200)]
    return {"uniform": uniform, "screens": screens}


# ---- intervals ----------------------------------------------------------------------------------------------


def intervals(*, quick: bool) -> dict[str, Any]:
    """How often intervals of level 0.95 cover the truth at 1,000 samples."""
    from cases import SHAPES

    from miscreen.estimators import estimator_class
    from miscreen.inference.intervals import Intervals
    from miscreen.model import Batch, Kind, Target, codes_by_appearance

    repeats = 20 if quick else 500
    rows = []
    for name, case in SHAPES.items():
        row: dict[str, Any] = {"case": name, "mi": case.mi, "repeats": repeats}
        for method in ("ksg", "copula"):
            ends = []
            for seed in range(repeats):
                x, y = case.sample(10_000 + seed, 1000)
                if case.y_kind == "discrete":
                    y = codes_by_appearance(y).astype(np.float64)
                target = Target("y", y, Kind[case.y_kind.upper()], False, np.arange(len(y)))
                batch = Batch(x[np.newaxis], Kind[case.x_kind.upper()], np.zeros(1, dtype=bool))
                cls = estimator_class(method)
                scores = cls(target, cls.make_options({})).score(batch)
                ends.append(np.ravel(Intervals(target, 0.95).around(batch, ["x"], scores)))
            low, high = np.array(ends).T
            row[method] = {
                "covered": float(np.mean((low <= case.mi) & (case.mi <= high))), "width": float(np.mean(high - low)),
                "below": float(np.mean(high < case.mi)), "above": float(np.mean(case.mi < low)),
            }  # fmt: skip
        rows.append(row)
    return {"rows": rows}


PARTS = {"estimates": estimates, "power": power, "p-values": p_values, "intervals": intervals}


def measure(name: str, quick: bool) -> None:
    """Run one part in this process."""
    began = time.process_time()
    found = PARTS[name](quick=quick)
    about = {"quick": quick, "seconds": time.process_time() - began, "ran_on": machine()}
    result(name).write_text(json.dumps(found | about, indent=1, default=float))


def result(name: str) -> Path:
    """Where a part leaves what it found."""
    return RESULTS / f"accuracy-{name}.json"


if __name__ == "__main__":
    sys.exit(
        run_parts(
            __file__,
            "Measure how right the numbers are.",
            dict.fromkeys(PARTS, 1),
            measure,
            lambda: write_page({name: result(name) for name in PARTS}),
        )
    )

"""Write `docs/accuracy.md` and its plots from what the parts of the accuracy measurement have left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT
from page import draw_overview, drawing, plot_curves

PAGE = ROOT / "docs/accuracy.md"
IMAGES = ROOT / "docs/accuracy"
Rows = Sequence[Mapping[str, Any]]

INTRO = """# Accuracy

Written by `make accuracy`, which draws samples from distributions of known mutual information and tables of known true
columns, by seeds, and gives the same to other packages. `make accuracy QUICK=1` takes some minutes, `make accuracy
ONLY=estimates,power` repeats parts (estimates, power, p-values, intervals).

Each peer has the setting, of those tried, that served it best over all distributions: scikit-learn k = 3 and 10, ennemi
k = 3 and 15. For power they have the larger k alone, since smoother estimates rank better. Ours have their defaults.
fastHDMI's density estimate is defined for two continuous columns; for all others its binning is what it offers.
"""
KINDS = ("continuous pairs", "class targets", "class features", "two discrete columns")
GROUPS = {("continuous", "continuous"): 0, ("continuous", "discrete"): 1, ("discrete", "continuous"): 2}
DESIGNS = {  # groups of `tests/designs.py`
    "simulation": "The paper's simulation",
    "reviewed": "Other designs",
    "held out": "Held-out designs",
}
OURS = ("auto", "ksg", "kde", "bin", "copula")
FAMILIES = ("scikit-learn", "ennemi")


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def group_of(row: Mapping[str, Any]) -> str:
    """Kind of a pair, in a word or two."""
    return KINDS[GROUPS.get((row["x_kind"], row["y_kind"]), 3)]


def best_settings(scores: Mapping[str, float], *, largest: bool) -> list[str]:
    """Methods in the order of the page, each family of peers by its best setting alone."""
    kept = []
    for name in scores:
        family = next((f for f in FAMILIES if name.startswith(f"{f}, k")), None)
        rivals = [n for n in scores if family and n.startswith(f"{family}, k")]
        if not rivals or name == (max if largest else min)(rivals, key=lambda n: scores[n]):
            kept.append(name)
    return kept


def verdict(what: str, value: float, reach: float, *, least: bool = False) -> list[str]:
    """A line of the table of aims."""
    got = value >= reach if least else value <= reach
    return [what, f"at {'least' if least else 'most'} {reach:g}", f"{value:.3f}", "reached" if got else "**missed**"]


def rmse(rows: Rows, method: str, n: int, group: str | None = None, cases: set[str] | None = None) -> float:
    """Mean RMSE of a method over distributions, of those for which it gives numbers."""
    found = [
        r["rmse"]
        for r in rows
        if r["method"] == method
        and r["n"] == n
        and "rmse" in r
        and (group is None or group_of(r) == group)
        and (cases is None or r["case"] in cases)
    ]
    return float(np.mean(found)) if found else float("nan")


def estimates_section(part: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    rows = part["rows"]
    sizes = sorted({r["n"] for r in rows})
    middle = 1000
    complete = {
        c for c in {r["case"] for r in rows}
        if all("rmse" in r for r in rows if r["case"] == c and not r["method"].startswith(("fastHDMI", "ennemi")))
    }  # fmt: skip
    kept = methods_kept(rows, middle)
    repeats = {n: sorted(r["repeats"] for r in rows if r["n"] == n) for n in sizes}
    drawn = {n: f"{times[0]} times at n = {n:,}" for n, times in repeats.items()}
    most = repeats[middle][-1]
    if most > repeats[middle][0]:
        drawn[middle] += f" ({most} times where there is no information, whose mean is to be known closely)"
    text = [
        "## Estimates in nats\n",
        f"{len({r['case'] for r in rows})} distributions, samples drawn {', '.join(drawn.values())}. "
        "Root mean square error, averaged over the distributions of a kind for which a method gives numbers, and "
        "[of each distribution](#each-distribution) at the end of this page:\n",
    ]
    lines = [
        [f"{group}, n = {n:,}", *(f"{rmse(rows, m, n, group):.3f}".replace("nan", "none") for m in kept)]
        for group in KINDS
        for n in sizes
    ]
    text.append(table(["", *kept], lines) + "\n")
    text.append(f"![Mean error against samples]({IMAGES.name}/estimates.svg)\n")
    curves = (
        (m, m in OURS, sizes, [float(np.mean([rmse(rows, m, n, g) for g in KINDS[:2]])) for n in sizes])
        for m in kept
        if not np.isnan(rmse(rows, m, middle, KINDS[1]))
    )
    plot_curves(curves, "samples", "RMSE in nats, continuous pairs and class targets", IMAGES / "estimates.svg")

    def ratio(group: str) -> float:
        rival = next(m for m in kept if m.startswith("scikit-learn"))
        return rmse(rows, "auto", middle, group, complete) / rmse(rows, rival, middle, group, complete)

    independent = [r for r in rows if abs(r["mi"]) < 1e-6 and r["method"] == "auto" and r["n"] == middle]
    aims = [
        verdict("auto's RMSE over scikit-learn's, continuous pairs, n = 1,000", ratio(KINDS[0]), 0.8),
        verdict("auto's RMSE over scikit-learn's, class targets, n = 1,000", ratio(KINDS[1]), 0.9),
        verdict(
            "size of auto's mean for independent pairs, the largest, n = 1,000",
            max(abs(r["bias"]) for r in independent), 0.003,
        ),
        verdict("estimates that auto did not give", sum(r["lost"] for r in rows if r["method"] == "auto"), 0),
    ]  # fmt: skip
    return "\n".join(text), aims


def methods_kept(rows: Rows, n: int) -> list[str]:
    """Ours, and each peer with the setting that errs least at that number of samples."""
    return best_settings({m: rmse(rows, m, n) for m in dict.fromkeys(r["method"] for r in rows)}, largest=False)


def distributions_section(rows: Rows) -> str:
    """The long tables, for those who look for a distribution."""
    kept = methods_kept(rows, 1000)
    by = {(r["case"], r["n"], r["method"]): r for r in rows}
    text = ["## Each distribution\n\nBias ± standard deviation, root mean square error of the estimates in nats.\n"]
    for n in sorted({r["n"] for r in rows}):
        lines = []
        for case in dict.fromkeys(r["case"] for r in rows):
            cells = []
            for method in kept:
                r = by[case, n, method]
                lost = f" ({r['lost']} lost)" if r["lost"] and "rmse" in r else ""
                cells.append(f"{r['bias']:+.3f} ± {r['sd']:.3f}, {r['rmse']:.3f}{lost}" if "rmse" in r else "none")
            lines.append([case, f"{abs(by[case, n, kept[0]]['mi']):.3f}", *cells])
        text.append(f"### n = {n:,}\n\n{table(['distribution', 'truth', *kept], lines)}\n")
    return "\n".join(text)


def power_section(part: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    rows, methods = part["rows"], part["methods"]
    means = {m: float(np.nanmean([r[m] for r in rows])) for m in methods}
    kept = best_settings(means, largest=True)
    text = [
        "## Screening power\n",
        "AUROC: the probability that a true column scores above one without effect; that of the best method is bold. "
        "First the simulation of fastHDMI's paper ([arXiv](https://arxiv.org/abs/2410.10082); 1,050 samples of "
        "correlated columns, of which 40, 80 or 120 make up the target), then other shapes of dependence (600 samples "
        "unless the name says otherwise, 100 true columns): the mean of "
        f"{part['tables']} tables, all true columns and {part['others']} others of each. A value has a "
        f"standard error of about {0.03 / part['tables'] ** 0.5:.3f}, but differences between methods, on the same "
        "columns, have less. fastHDMI's KDE on 64 x 64 points, since 300 x 300 takes twelve times as long. `auto` was "
        "settled with a look at all designs but those held out, which were first measured afterwards.\n",
    ]
    for group, title in DESIGNS.items():
        chosen = [r for r in rows if r["group"] == group]
        lines = []
        for r in chosen:
            top = max(r[m] for m in kept)
            lines.append([r["design"], *(f"**{r[m]:.3f}**" if r[m] == top else f"{r[m]:.3f}" for m in kept)])
        lines.append(["mean", *(f"{np.mean([r[m] for r in chosen]):.3f}" for m in kept)])
        text.append(f"### {title}\n\n{table(['design', *kept], lines)}\n")
    text.append(f"![AUROC by method]({IMAGES.name}/power.svg)\n")
    plot_power(rows, kept, IMAGES / "power.svg")
    peers = [m for m in kept if "," in m]
    short = [max(r[m] for m in kept if m != "auto") - r["auto"] for r in rows]
    best_peer = max(peers, key=lambda m: means[m])
    aims = [
        verdict("auto below the best method of a design, the largest", max(short), 0.01),
        verdict(f"auto's mean above the best peer's ({best_peer})", means["auto"] - means[best_peer], 0.08, least=True),
    ]
    worst = [
        f"{r['design']} ({s:.3f}, {max((m for m in kept if m != 'auto'), key=lambda m, r=r: r[m])})"
        for r, s in zip(rows, short, strict=True)
        if s > 0.01
    ]
    text.append(f"auto is more than 0.01 below the best in: {', '.join(worst) or 'no design'}.\n")
    return "\n".join(text), aims


def p_values_section(part: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    uniform, screens = part["uniform"], part["screens"]
    lines = [
        [
            r["kind"], r["method"], f"{r['count']:,}", f"{r['distance']:.4f}", f"{r['p']:.3f}",
            f"{r['excess']:.4f}", f"{r['p, too small']:.3f}", *(f"{r[f'below {a}']:.4f}" for a in (0.05, 0.01, 0.001)),
        ]
        for r in uniform
    ]  # fmt: skip
    text = [
        "## p-values\n",
        f"Columns that have nothing to do with the target, 200 samples, {sum(r['count'] for r in uniform):,} in all. "
        "Kolmogorov-Smirnov distance of their p-values from the uniform distribution, and its largest part on the side "
        "of p-values that are too small, each with a p-value of its own; then the share of p-values up to a level. "
        "What comes from a null's being drawn is allowed for: columns without ties share 10,000 draws, and those that "
        "are judged one by one get few if they are clearly null, which features that are tied alike share. So the "
        "distances are compared with those of as many uniform statistics that are judged by the same rules with as "
        "many draws, 200 times. What is left where p is small and p-values are not too small comes from counts in "
        "bins, which take few values.\n",
        table(
            ["columns", "method", "number", "distance", "p", "too small by", "p", "up to 0.05", "0.01", "0.001"], lines
        ),
        "\nFalse discoveries and power at q <= 0.05, 120 samples, 360 null columns and 40 of a linear-Gaussian target, "
        "beside SciPy's exact test with Benjamini and Hochberg's procedure:\n",
        table(
            ["method", "screens", "false discovery rate", "power", "exact test: rate", "exact test: power"],
            [
                [
                    s["method"], str(s["screens"]), f"{s['fdr']:.4f} ± {s['fdr_error']:.4f}", f"{s['power']:.3f}",
                    f"{s['exact_fdr']:.4f}", f"{s['exact_power']:.3f}",
                ]
                for s in screens
            ],
        ),
        "",
    ]  # fmt: skip
    aims = [
        verdict("p-values too small: least p of the test, times the number of tests",
                min(1.0, len(uniform) * min(r["p, too small"] for r in uniform)), 0.05, least=True),
        *(verdict(f"{s['method']}: false discovery rate", s["fdr"], 0.05 + 2 * s["fdr_error"]) for s in screens),
        verdict("copula: power over that of the exact test", screens[0]["power"] / screens[0]["exact_power"], 0.95,
                least=True),
    ]  # fmt: skip
    return "\n".join(text), aims


def intervals_section(part: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    rows = part["rows"]
    lines = [
        [
            r["case"], f"{abs(r['mi']):.3f}", f"{100 * r['ksg']['covered']:.1f}", f"{100 * r['ksg']['below']:.1f}",
            f"{100 * r['ksg']['above']:.1f}", f"{r['ksg']['width']:.3f}", f"{100 * r['copula']['covered']:.1f}",
        ]
        for r in rows
    ]  # fmt: skip
    real = [r for r in rows if r["mi"] >= 0.05]
    error = 100 * (0.95 * 0.05 / rows[0]["repeats"]) ** 0.5
    outside = [
        f"{r['case']} ({100 * r['ksg']['covered']:.1f})" for r in real if not 0.92 <= r["ksg"]["covered"] <= 0.98
    ]
    text = [
        "## Intervals\n",
        f"`--ci 0.95` at 1,000 samples, {rows[0]['repeats']} times: per cent of the intervals that cover the truth, "
        "lie below it, and above it, and their mean width in nats. The interval is the same for auto, kde, bin and "
        f"ksg. The standard error of a share is about {error:.1f}. The last column is for copula, whose interval is "
        "for a Gaussian pair and right for nothing else.\n",
        table(["distribution", "truth", "covered", "below", "above", "width", "copula"], lines),
        f"\nOutside 92 to 98 per cent, with 0.05 nats and more: {', '.join(outside) or 'none'}. Intervals that cover "
        "too often are too wide: what the samples add is taken to be correlated by as much for all distributions, and "
        "is less so for columns of many zeros; and beside classes the lower end allows for a sample that lies amid "
        "another class. They cover too rarely where nearest neighbours lie across edges or the folds of a wave.\n",
    ]
    inside = len(real) - len(outside)
    aims = [
        verdict("share of distributions whose coverage is 92 to 98 %", inside / len(real), 1.0, least=True),
        verdict("the least coverage", min(r["ksg"]["covered"] for r in real), 0.92, least=True),
    ]
    return "\n".join(text), aims


def plot_power(rows: Rows, methods: Sequence[str], path: Path) -> None:
    """AUROC of each design, one column of points a method."""
    with drawing(path) as axes:
        for i, method in enumerate(methods):
            for color, (group, marker) in enumerate(zip(DESIGNS, "o+x", strict=True)):
                values = [r[method] for r in rows if r["group"] == group]
                axes.plot([i] * len(values), values, marker, markersize=4, color=f"C{color}", alpha=0.7)
            axes.plot([i - 0.3, i + 0.3], [np.nanmean([r[method] for r in rows])] * 2, color="black", linewidth=1.5)
        axes.set(ylabel="AUROC (o: the paper's simulation, x: held out, +: others, line: mean)")
        axes.set_xticks(range(len(methods)), methods, rotation=40, ha="right")
        axes.grid(axis="y", alpha=0.3)


SECTIONS = {
    "estimates": estimates_section,
    "power": power_section,
    "p-values": p_values_section,
    "intervals": intervals_section,
}


def write_page(files: Mapping[str, Path]) -> None:
    """Write the page from the JSON of those parts that there are."""
    parts = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    sections, aims = [], []
    for name, part in parts.items():
        text, verdicts = SECTIONS[name](part)
        sections.append(text)
        aims += verdicts
    if "estimates" in parts:
        sections.append(distributions_section(parts["estimates"]["rows"]))
    text = [INTRO]
    if short := [name for name, part in parts.items() if part["quick"]]:
        text.append(f"**Of the short form, with few repeats, so not to be leaned on:** {', '.join(short)}.\n")
    reached = sum(line[-1] == "reached" for line in aims)
    text.append(
        f"## Aims\n\n{reached} of {len(aims)} are reached.\n\n{table(['what', 'reach', 'measured', ''], aims)}\n"
    )
    versions = {f"{name} {version}" for part in parts.values() for name, version in part["ran_on"].items() if name in (
        "miscreen", "scikit-learn", "ennemi", "fastHDMI", "scipy", "numpy")}  # fmt: skip
    text.append(f"Versions: {', '.join(sorted(versions))}.\n")
    PAGE.write_text("\n".join([*text, *sections]))
    draw_overview()

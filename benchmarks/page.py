"""Write `docs/benchmarks.md` and its plots from what the parts of the benchmark have left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measure import RESULTS, ROOT, number

PAGE = ROOT / "docs/benchmarks.md"
IMAGES = ROOT / "docs/benchmarks"
OVERVIEW = ROOT / "docs/overview.svg"

INTRO = """# Benchmarks

Written by `make bench`, which installs the peers, makes the tables from a seed, and runs each comparison side by
side. `make bench QUICK=1` takes some minutes on smaller tables; `make bench ONLY=functions,csv` repeats parts, and
`make profile FILE=... TARGET=...` shows where a run of your own spends its time.

*reach* is what was aimed at, *measured* what was found, with the lowest and highest of the repeats. Where both sides
claim to compute the same, their values are compared before they are timed; the same table of functions and libraries
drives the tests. No test asserts a time.
"""
AHEAD = "Whole commands are held against reading alone, which is less work than reading and ranking."


def duration(value: float | None, per: str) -> str:
    """Microseconds a column, or seconds a command."""
    if value is None:
        return ""
    return f"{number(1e6 * value)} us" if per.startswith("column") else f"{number(value)} s"


def reached(row: dict[str, Any]) -> bool | None:
    """Whether a row's aim is reached; None where it has none."""
    if row["reach"] is None:
        return None
    return row["measured"] >= row["reach"] if row["sense"] == "least" else row["measured"] <= row["reach"]


def verdict(row: dict[str, Any]) -> str:
    """Reached, or missed by how much."""
    got = reached(row)
    if got is None:
        return ""
    if got:
        return "reached"
    short = row["reach"] / row["measured"] if row["sense"] == "least" else row["measured"] / row["reach"]
    return f"missed by a factor of {short:.2f}"


def with_unit(value: float, unit: str) -> str:
    """A number and its unit."""
    return f"{number(value)} x" if unit == "x" else f"{number(value)} {unit}"


def measured(row: dict[str, Any]) -> str:
    """What was found, with its range."""
    if row["unit"] == "checked":
        return row["unit"]
    text = with_unit(row["measured"], row["unit"])
    return f"{text} ({number(row['spread'][0])} to {number(row['spread'][1])})" if row["spread"] else text


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of a part as a Markdown table."""
    times = "ours | theirs"
    if all("fewest" in row["per"] for row in rows):
        times = "at the fewest | at the most"
    elif not any(row["rival"] for row in rows):  # both are ours
        times = "time | of what it is against"
    lines = [f"| what | against | reach | measured | {times} | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        aim = ""
        if row["reach"] is not None:
            aim = f"at {row['sense']} {with_unit(row['reach'], row['unit'])}"
        ours, theirs = (duration(row[side], row["per"]) for side in ("ours", "theirs"))
        cells = (row["what"], row["against"], aim, measured(row), ours, theirs, verdict(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def notes(rows: Sequence[dict[str, Any]]) -> str:
    """What both sides compute, one line for each row that says so."""
    lines = [f"- {row['what']}, {row['against']}: {row['note']}." for row in rows if row["note"]]
    return "\n".join(lines)


def misses(parts: Sequence[dict[str, Any]]) -> str:
    """What was missed, by how much, and where the time goes."""
    lines = []
    for part in parts:
        for row in part["rows"]:
            if reached(row) is False:
                where = f" Where the time goes: {row['where']}." if row["where"] else ""
                lines.append(f"- {row['what']}, {row['against']}: {measured(row)}, {verdict(row)}.{where}")
    return "\n".join(lines) or "Nothing."


def peers_ahead(parts: Sequence[dict[str, Any]]) -> str:
    """Rows in which somebody else took less time than we did, if only for reading."""
    lines = []
    for part in parts:
        for row in part["rows"]:
            if row["rival"] and row["theirs"] < row["ours"]:
                ours, theirs = (duration(row[side], row["per"]) for side in ("ours", "theirs"))
                lines.append(f"- {row['what']}: {ours}; {row['against']}: {theirs}.")
    return "\n".join(lines) or "Nowhere among these."


@contextmanager
def drawing(path: Path) -> Iterator[Any]:
    """Axes to draw on, and at the end the file: no date and no random names, so the same numbers give the same."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams |= {"svg.hashsalt": path.stem, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    yield axes
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def plot_curves(
    curves: Iterable[tuple[str, bool, Sequence[float], Sequence[float]]], axis: str, what: str, path: Path
) -> None:
    """Curves on logarithmic axes, each with its name and whether it is ours."""
    with drawing(path) as axes:
        for name, ours, x, y in curves:
            style = {"linestyle": "-", "marker": "o"} if ours else {"linestyle": "--", "marker": "x"}
            axes.plot(x, y, label=name, markersize=4, linewidth=1.2, **style)
        axes.set(xscale="log", yscale="log", xlabel=axis, ylabel=what)
        axes.grid(which="major", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def plot(part: dict[str, Any], axis: str, path: Path) -> None:
    """Microseconds a column against the samples or the columns."""
    curves = (
        (c["name"] if c["ours"] else f"{c['name']} (peer)", c["ours"], c["x"], [1e6 * s for s in c["seconds"]])
        for c in part["curves"]
    )
    plot_curves(curves, axis, "microseconds a column", path)


# A method as the measurement of power calls it, and where its time was measured: a curve of `samples`, or a row of
# `functions` and its side.
_COSTS: dict[str, str | tuple[str, str, str]] = {
    "auto": ("auto", "miscreen: kde", "ours"),
    **{name: name for name in ("ksg", "kde", "bin", "copula", "pearson", "spearman")},
    "scikit-learn, k = 10": "scikit-learn: nearest neighbours",
    "scikit-learn, F": "scikit-learn: f_regression",
    "ennemi, k = 15": "ennemi: nearest neighbours",
    "fastHDMI, KDE": ("kde, rank scale", "fastHDMI: KDE, 64 x 64", "theirs"),  # of which its power was measured
    "fastHDMI, binning": "fastHDMI: binning",
}
_OVERVIEW_SAMPLES = 1_000


def draw_overview() -> None:
    """Draw how well each method ranks against what a column costs, once both have been measured.

    Of the designs those that all methods take, so that none is held back by what it is not made for.
    """
    files = {name: RESULTS / f"{name}.json" for name in ("samples", "functions", "accuracy-power")}
    if not all(file.exists() for file in files.values()):
        return
    found = {name: json.loads(file.read_text()) for name, file in files.items()}
    curves = {c["name"]: dict(zip(c["x"], c["seconds"], strict=True)) for c in found["samples"]["curves"]}
    rows = {(row["what"], row["against"]): row for row in found["functions"]["rows"]}
    designs = [row for row in found["accuracy-power"]["rows"] if row["continuous"]]  # fastHDMI takes no classes
    with drawing(OVERVIEW) as axes:
        for name, where in _COSTS.items():
            known = isinstance(where, str)
            seconds = curves[where][_OVERVIEW_SAMPLES] if known else rows[where[:2]][where[2]]
            power = sum(row[name] for row in designs) / len(designs)
            ours = "," not in name
            axes.plot(1e6 * seconds, power, "o" if ours else "x", color="C0" if ours else "C1")
            place = {"spearman": (6, -12), "scikit-learn, F": (6, -12)}.get(name, (6, 4))
            axes.annotate(name, (1e6 * seconds, power), place, textcoords="offset points")
        axes.set(
            xscale="log",
            xlim=(0.5, 2e4),  # room for names on the right
            xlabel=f"microseconds a column of {_OVERVIEW_SAMPLES:,} samples, one thread (o: miscreen, x: others)",
            ylabel=f"AUROC, mean of {len(designs)} designs of two continuous columns",
        )
        axes.grid(which="major", alpha=0.3)


def machines(parts: Sequence[dict[str, Any]]) -> str:
    """What it ran on; more than one table when parts ran on different machines or versions."""
    seen: dict[str, list[str]] = {}
    for part in parts:
        facts = "\n".join(f"| {name} | {value} |" for name, value in part["ran_on"].items())
        seen.setdefault(facts, []).append(part["title"])
    blocks = []
    for facts, titles in seen.items():
        which = "" if len(seen) == 1 else f"{'; '.join(titles)}:\n\n"
        blocks.append(f"{which}| | |\n|---|---|\n{facts}")
    return "\n\n".join(blocks)


def write_page(files: Sequence[Path]) -> None:
    """Write the page and its plots from the JSON of those parts that there are."""
    found = {file.stem: json.loads(file.read_text()) for file in files if file.exists()}
    parts = list(found.values())
    text = [INTRO]
    if short := [part["title"].lower() for part in parts if part["quick"]]:
        text.append(
            f"**Of the short form, with smaller tables and few repeats, so not to be leaned on:** {'; '.join(short)}.\n"
        )
    text.append(f"## Machine\n\n{machines(parts)}\n")
    verdicts = [reached(row) for part in parts for row in part["rows"] if row["reach"] is not None]
    text.append(f"## Missed\n\n{sum(verdicts)} of {len(verdicts)} aims are reached. Missed:\n\n{misses(parts)}\n")
    text.append(f"## Where others are faster\n\n{AHEAD}\n\n{peers_ahead(parts)}\n")
    for name, axis in (("samples", "samples"), ("columns", "columns")):
        if name in found:
            plot(found[name], axis, IMAGES / f"{name}.svg")
    for name, part in found.items():
        text.append(f"## {part['title']}\n\n{part['intro']}\n\n{table(part['rows'])}\n")
        if name in ("samples", "columns"):
            text.append(f"![Time of a column against {name}]({IMAGES.name}/{name}.svg)\n")
        if remarks := notes(part["rows"]):
            text.append(f"{remarks}\n")
    PAGE.write_text("\n".join(text))
    draw_overview()

"""``miscreen evaluate``: how well models predict from the best columns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from miscreen.cli.options import (
    Columns,
    Folds,
    Groups,
    Methods,
    Models,
    Plot,
    Predicted,
    Reading,
    Running,
    Seed,
    ShowLeakage,
    Sizes,
    Source,
    Writing,
    only_target,
    sizes,
    words,
)
from miscreen.cli.terminal import draw_table, printable, say

if TYPE_CHECKING:
    from miscreen import Evaluation

_BAR = 20  # characters


def evaluate(
    source: Source,
    target: Predicted,
    *,
    method: Methods = ["auto"],  # noqa: B006  (which Typer shows)
    k: Sizes = None,
    model: Models = ["elasticnet"],  # noqa: B006
    folds: Folds = 5,
    groups: Groups = None,
    show_leakage: ShowLeakage = False,
    seed: Seed = 0,
    plot: Plot = None,
    writing: Writing,
    columns: Columns,
    reading: Reading,
    running: Running,
) -> None:
    """Cross-validate models on columns screened inside each fold.

    It shows R-squared, or for classes the area under the ROC curve: a table on a terminal, CSV into a pipe, a
    file with -o, a plot with --plot. Takes the extra "sklearn", and for --plot "plot".

    \b
    miscreen evaluate data.parquet --target y --method kde,pearson --k 10,50,200
    miscreen evaluate data.parquet --target y --model elasticnet,forest --plot figures.svg
    miscreen evaluate data.parquet --target y --groups site --show-leakage -o figures.csv

    Time is, for each method, one pass over the table that scores each column once a fold, and then fitting:
    a model of 1,000 columns and 1,000 rows takes some seconds (elasticnet, forest) or less (ridge). Memory
    stays within --memory beside about 350 MB of libraries and 600 bytes a column, 40 more for each fold.
    """
    began = time.monotonic()
    methods, numbers, models = words(method), sizes(k), words(model)
    writing.check(source)
    if plot is not None:
        from miscreen.evaluation.result import check_plot

        check_plot(plot, writing.force)
    limits = running.start()
    running.prepare_kernels([methods] if isinstance(methods, str) else methods)

    import miscreen

    with running.progress() as progress:
        found = miscreen.evaluate(
            source,
            only_target(target),
            methods,
            k=numbers,
            model=models,
            folds=folds,
            groups=groups,
            show_leakage=show_leakage,
            seed=seed,
            **columns.keywords(),
            read=reading.options(),
            **limits,
            on_progress=progress,
        )
    if plot is not None:
        found.plot(plot, force=writing.force)
    writing.put(found, lambda: _show(found))
    if not running.quiet and (writing.output or plot):
        places = " and ".join(place for place in (writing.output, plot) if place)
        count = len(found.to_arrow())
        figures = f"{count:,} figure{'s' if count > 1 else ''}"
        say("done", f"{figures} in {time.monotonic() - began:.1f} s -> {places}")


def _show(found: Evaluation) -> None:
    """Draw the means with their standard deviations, and where there is room a bar from chance to perfect."""
    from rich.console import Console

    metric, chance = found.metric, found.chance
    block = "█" if printable("█") == "█" else "#"
    columns: dict[str, list[Any]] = {name: [] for name in ("method", "k", "model", metric, "sd")}
    if "leaked_mean" in found.to_arrow().column_names:
        columns["leaked"] = []
    bar = f"{chance:g} to 1".ljust(_BAR)
    columns[bar] = bars = []
    for row in found.to_arrow().to_pylist():
        for name in ("method", "k", "model"):
            columns[name].append(row[name] if name != "k" else f"{row[name]:,}")
        columns[metric].append(f"{row['mean']:.3f}")
        columns["sd"].append(f"{row['sd']:.3f}")
        if "leaked" in columns:
            columns["leaked"].append(f"{row['leaked_mean']:.3f}")
        share = (row["mean"] - chance) / (1.0 - chance)
        bars.append(block * round(_BAR * min(1.0, max(0.0, share))))
    if sum(max(map(len, (name, *texts))) + 2 for name, texts in columns.items()) - 1 > Console().width:
        del columns[bar]
    draw_table(columns, right=("k", metric, "sd", "leaked"))

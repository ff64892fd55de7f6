"""What an evaluation found: a table, and a plot of it."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import Any

from miscreen.errors import InputError, installing, path_given
from miscreen.result import Result

PLOTS = (".svg", ".png", ".pdf")
_LABELS = {"r2": "R-squared", "roc_auc": "area under the ROC curve"}


def check_plot(path: str | PathLike[str], force: bool = False) -> None:
    """`InputError` when no plot can be drawn into that file."""
    from miscreen.tables.aside import check_output

    if path_given("path", path).suffix.lower() not in PLOTS:
        raise InputError(f"cannot tell the format of the plot {str(path)!r}", f"Use one of {', '.join(PLOTS)}")
    check_output(Path(path), force)
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise InputError(f"a plot needs matplotlib: {error}", installing("plot")) from error


class Evaluation(Result):
    """How well models predict the target from the best columns: one row for each method, number of columns and model.

    The columns are ``method``, ``k``, ``model``, ``metric``, its ``mean`` and ``sd`` over the folds, where asked for
    ``leaked_mean`` and ``leaked_sd``, and the figure of each fold: ``fold_1``, ``leaked_fold_1`` and so on.

    Attributes
    ----------
    metric : str
        ``r2`` or ``roc_auc``.
    chance : float
        What it is of a model that has learnt nothing.
    metadata : dict
        Version, options, seed and shape of the input.
    """

    @property
    def metric(self) -> str:
        return str(self.metadata["metric"])

    @property
    def chance(self) -> float:
        return 0.0 if self.metric == "r2" else 0.5

    def __repr__(self) -> str:
        return f"<Evaluation of {len(self._table)} rows by {self.metric}>"

    def plot(self, path: str | PathLike[str], force: bool = False) -> None:
        """Draw the mean against the number of columns, with bars of one standard deviation over the folds.

        Parameters
        ----------
        path : path
            Ends in ``.svg``, ``.png`` or ``.pdf``.
        force : bool
            Replace an existing file.

        Raises
        ------
        InputError
            When matplotlib is missing, or the file cannot be written there.
        """
        check_plot(path, force)
        import matplotlib as mpl

        from miscreen.tables.aside import write_bytes

        drawn = io.BytesIO()
        # No date and no random names: the same figures give the same file.
        with mpl.rc_context({"svg.hashsalt": "miscreen", "font.size": 9}):
            format = Path(path).suffix.lower().removeprefix(".")
            undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
            self._figure().savefig(drawn, format=format, metadata=undated)
        write_bytes(Path(path), drawn.getvalue(), force)

    def _figure(self) -> Any:
        from matplotlib.figure import Figure

        rows = self._table.to_pylist()
        models, methods, ks = (list(dict.fromkeys(row[name] for row in rows)) for name in ("model", "method", "k"))
        leaked = "leaked_mean" in self._table.column_names
        figure = Figure(figsize=(1 + 3.2 * len(models), 3.2), layout="constrained", dpi=150)
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for panel, model in zip(panels, models, strict=True):
            for i, method in enumerate(methods):
                mine = [row for row in rows if (row["model"], row["method"]) == (model, method)]
                x = [row["k"] for row in mine]
                for start, style in (("", "-"), ("leaked_", ":")) if leaked else (("", "-"),):
                    panel.errorbar(
                        x,
                        [row[f"{start}mean"] for row in mine],
                        yerr=[row[f"{start}sd"] for row in mine],
                        fmt=f"C{i}o{style}",
                        markersize=3,
                        capsize=2,
                        linewidth=1,
                        label=f"{method}, leaked" if start else method,
                    )
            panel.axhline(self.chance, color="0.6", linewidth=0.8)
            panel.set_xscale("log")
            panel.set_xticks(ks, [f"{k:,}" for k in ks])
            panel.minorticks_off()
            panel.set_title(model)
            panel.set_xlabel("columns")
        panels[0].set_ylabel(f"{_LABELS[self.metric]}\nmean and sd of the folds")
        panels[-1].legend(frameon=False)
        return figure

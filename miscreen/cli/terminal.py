"""What people see: lines on standard error and a table on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from miscreen.ranking import Ranking

_COLORS = {"error": "red", "warning": "yellow", "hint": "cyan", "note": "cyan"}


def printable(text: str) -> str:
    """The text with control characters and broken bytes spelled out, safe for any terminal.

    Examples
    --------
    >>> printable("a\\tb [red]")
    'a\\\\tb [red]'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(label: str, message: str, hint: str = "") -> None:
    """Write ``label: message`` on standard error, and a hint below it; coloured on a terminal alone."""
    for word, text in ((label, message), ("hint", hint)):
        if text:
            head = f"{word}:"
            if sys.stderr.isatty():
                head = typer.style(head, fg=_COLORS[word], bold=True)
            lines = [printable(line) for line in text.rstrip().splitlines()]
            sys.stderr.write(f"{head} " + "\n  ".join(lines) + "\n")


def relay_notes(quiet: bool) -> None:
    """Show what the library logs as notes, unless nothing is to be shown."""
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say("note", record.getMessage())

    log = logging.getLogger("miscreen")
    log.setLevel(logging.INFO)
    log.handlers = [logging.NullHandler() if quiet else Notes()]


def show_ranking(ranking: Ranking, total: int) -> None:
    """Draw a ranking on the terminal, and say below it how many of `total` rows are not shown."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = ranking.to_polars().to_dict(as_series=False)
    if all(status == "ok" for status in columns["status"]):
        del columns["status"]
    if any(columns["score"] == values for name, values in columns.items() if name.startswith("mi_")):
        del columns["score"]  # the same numbers under a name without a unit
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for name, values in columns.items():
        numeric = any(isinstance(v, (int, float)) for v in values)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=name != "feature")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(highlight=False)
    console.print(table)
    if total > len(ranking):
        more = f"{total - len(ranking):,} more rows: --top N shows more, -o FILE keeps all"
        console.print(Text(more), style="dim")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if value != value else f"{value:#.4g}"
    return printable(str(value))


def summarise(ranking: Ranking) -> str:
    """How many features were ranked and what is amiss with some, in one line."""
    targets = max(1, len(ranking.targets))
    total = f"{len(ranking) // targets:,} features" + (f" for {targets} targets" if targets > 1 else "")
    return ", ".join([total, *(f"{number:,} {what}" for what, number in ranking.summary().items())])

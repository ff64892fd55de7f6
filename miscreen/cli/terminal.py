"""What people see: lines on standard error and a table on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from miscreen.ranking import Ranking

SHOWN_ROWS = 20  # of a table, unless more are asked for

_COLORS = {"error": "red", "warning": "yellow", "hint": "cyan", "note": "cyan", "done": "green"}

_GAP = 2  # between the columns of a table
_NAMES = ("feature", "target", "fell_to")  # shortened where the terminal is narrow, but not below:
_LEAST_NAME = 16
_LEFT_OUT = ("method", "kind", "n")  # where the terminal is narrower still, in this order
_ALWAYS = ("step", "rank", "score", "mi_nats", "mi_bits", "status")


def printable(text: str) -> str:
    """The text with control characters, broken bytes and what the terminal's encoding lacks spelled out.

    Examples
    --------
    >>> printable("a\\tb [red]")
    'a\\\\tb [red]'
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if text.isascii():
        return text
    encoding = sys.stdout.encoding or "utf-8"  # of standard error, too, which escapes what it lacks
    return text.encode(encoding, "backslashreplace").decode(encoding)


def say(label: str, message: str, hint: str = "") -> None:
    """Write ``label: message`` on standard error, and a hint below it; coloured on a terminal alone.

    Where nobody can hear it, no more: the run and its exit code are the same.
    """
    for word, text in ((label, message), ("hint", hint)):
        if text:
            head = f"{word}:"
            if sys.stderr.isatty():
                head = typer.style(head, fg=_COLORS[word], bold=True)
            lines = [printable(line) for line in text.rstrip().splitlines()]
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{head} " + "\n  ".join(lines) + "\n")
                sys.stderr.flush()


def relay_notes(quiet: bool) -> None:
    """Show what the library logs as notes or warnings, each once, unless nothing is to be shown."""
    import logging

    shown: set[str] = set()

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if message not in shown:  # a command may read a table several times
                shown.add(message)
                say("warning" if record.levelno >= logging.WARNING else "note", message)

    log = logging.getLogger("miscreen")
    log.setLevel(logging.INFO)
    log.handlers = [logging.NullHandler() if quiet else Notes()]


def show_ranking(ranking: Ranking, total: int) -> None:
    """Draw a ranking on the terminal, and say below it how many of `total` rows are not shown."""
    columns = ranking.to_arrow().to_pydict()  # Polars would take longer to import than all else takes
    if all(status == "ok" for status in columns["status"]):
        del columns["status"]
    if any(columns["score"] == values for name, values in columns.items() if name.startswith("mi_")):
        del columns["score"]  # the same numbers under a name without a unit
    more = total - len(ranking)
    show_columns(columns, f"{more:,} more rows: --top N shows more, -o FILE keeps all" if more else "")


def show_columns(columns: dict[str, list[Any]], more: str) -> None:
    """Draw a table on the terminal, and a line below it if there is more to say."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    cells = {name: [_cell(value) for value in values] for name, values in columns.items()}
    console = Console(highlight=False)
    widths, hidden = _fit({name: max(map(cell_len, (name, *texts))) for name, texts in cells.items()}, console.width)
    numeric = [name for name in widths if any(isinstance(v, (int, float)) for v in columns[name])]
    draw_table({name: cells[name] for name in widths}, right=numeric, widths=widths)
    if hidden:
        console.print(Text(f"no room for {', '.join(hidden)}"), style="dim")
    if more:
        console.print(Text(more), style="dim")


def draw_table(
    columns: Mapping[str, Sequence[str]], right: Collection[str], widths: Mapping[str, int] | None = None
) -> None:
    """Draw columns of text under their names; those named in `right` to the right."""
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if widths is None:
        widths = {name: max(map(cell_len, (name, *texts))) for name, texts in columns.items()}
    # A table of a width of its own is never squeezed: numbers stay whole on the narrowest of terminals.
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), width=sum(widths.values()) + _GAP * len(widths) - 1
    )
    shorten: Literal["ellipsis", "crop"] = "ellipsis" if printable("…") == "…" else "crop"
    for name, width in widths.items():
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=side, width=width, no_wrap=True, overflow=shorten)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table, crop=False)


def _fit(widths: dict[str, int], room: int) -> tuple[dict[str, int], list[str]]:
    """Leave out columns, then shorten names, until a table fits; also tell what was left out.

    Examples
    --------
    >>> _fit({"rank": 4, "feature": 30, "mi_nats": 7, "n": 3, "kind": 10, "method": 3}, 50)
    ({'rank': 4, 'feature': 17, 'mi_nats': 7, 'n': 3, 'kind': 10}, ['method'])
    """
    least = {name: min(width, _LEAST_NAME) if name in _NAMES else width for name, width in widths.items()}
    further = [name for name in reversed(least) if name not in (*_NAMES, *_LEFT_OUT, *_ALWAYS)]
    hidden = []
    for name in (*_LEFT_OUT, *further):
        if sum(least.values()) + _GAP * len(least) - 1 <= room:
            break
        if least.pop(name, None) is not None:
            hidden.append(name)
    for name in _NAMES:
        spare = room - sum(least.values()) - _GAP * len(least) + 1
        if name in least and spare > 0:
            least[name] = min(widths[name], least[name] + spare)
    return least, hidden


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if value != value else f"{value:#.4g}"
    return printable(str(value))


def summarise(ranking: Ranking) -> str:
    """How many features were ranked, how many have no score and why, in one line."""
    targets = max(1, len(ranking.targets))
    number = len(ranking) // targets
    total = f"{number:,} feature{'s' * (number != 1)}" + (f" for {targets} targets" if targets > 1 else "")
    amiss = ranking.summary()
    infinite = amiss.pop("with infinite values", 0)
    unscored = ", ".join(f"{number:,} ({status})" for status, number in amiss.items())
    told = [f"no score for {unscored}"] if unscored else []
    return ", ".join([total, *told, *([f"{infinite:,} with infinite values"] if infinite else [])])

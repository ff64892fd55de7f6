"""``miscreen describe``: what a table holds, and what a run would cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from miscreen.cli.options import Json, OneTarget, Reading, Running, Source
from miscreen.cli.terminal import printable
from miscreen.resources import format_bytes

if TYPE_CHECKING:
    from miscreen import Description


def describe(
    source: Source,
    *,
    target: OneTarget = None,
    as_json: Json = False,
    reading: Reading,
    running: Running,
) -> None:
    """Tell the shape of a table, the kinds of its columns, what is missing, and what ranking it would cost.

    \b
    miscreen describe data.parquet
    miscreen describe data.csv --target y --json

    Time is that of reading the table once, since missing values and constants are counted, and of trying
    every method on up to 128 columns; memory stays within --memory beside about 350 MB of libraries and
    600 bytes a column.
    """
    limits = running.start()
    running.note_compilation()

    import miscreen

    with running.progress() as progress:
        description = miscreen.describe(source, target=target, read=reading.options(), **limits, on_progress=progress)
    if as_json:
        typer.echo(json.dumps(description.to_dict(), indent=2))
    else:
        typer.echo("\n".join(f"{label:<16}{text}" for label, text in _lines(description)))


def _lines(description: Description) -> list[tuple[str, str]]:
    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"{number:,} {what}" for what, number in of.items() if number)

    d = description
    lines = [
        ("table", printable(d.label)),
        ("shape", f"{d.n_samples:,} rows x {d.n_columns:,} columns"),
        ("types", counts(d.types)),
        ("kinds", counts(d.kinds)),
        ("missing", f"{d.n_missing:,} values in {d.n_columns_missing:,} columns"),
        ("infinite", f"in {d.n_columns_infinite:,} columns"),
        ("constant", f"{d.n_constant:,} columns"),
        ("to rank it", f"{format_bytes(d.memory_bytes)} at most, {d.read_seconds:.1f} s to read and, by method:"),
    ]
    return lines + [("", f"{method:<10}{seconds:>10.2f} s") for method, seconds in d.costs.items()]

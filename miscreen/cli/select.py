"""``miscreen select``: the columns worth keeping, as a table or as names."""

from __future__ import annotations

import sys
import time

from miscreen.cli.options import (
    Best,
    FromRanking,
    Inferring,
    Keep,
    MinMi,
    Names,
    OptionalTargets,
    OrderBy,
    Reading,
    Running,
    Screening,
    Source,
    Writing,
)
from miscreen.cli.terminal import say
from miscreen.errors import InputError


def select(
    source: Source,
    target: OptionalTargets = None,
    *,
    ranking: FromRanking = None,
    top: Best = None,
    min_mi: MinMi = None,
    by: OrderBy = "score",
    keep: Keep = None,
    names: Names = False,
    writing: Writing,
    screening: Screening,
    inferring: Inferring,
    reading: Reading,
    running: Running,
) -> None:
    """Write the columns that tell most about a target.

    It ranks the table first, or takes a ranking made before.

    \b
    miscreen select data.parquet --target y --top 500 -o chosen.parquet
    miscreen select data.parquet --target y --min-mi 0.02 --keep y --keep id -o chosen.csv
    miscreen select data.parquet --ranking ranked.parquet --top 50 --names
    miscreen select data.parquet --target y --fdr 0.05 -o chosen.parquet

    Time and memory are those of "miscreen rank" (nothing with --ranking), and then of reading and writing the
    chosen columns.
    """
    began = time.monotonic()
    writing.check()
    if names and writing.output is not None:
        raise InputError("--names prints names and -o writes columns", "Give one of them")
    if not names and writing.format is None and writing.to_terminal:
        raise InputError("the chosen columns are no text for a terminal", "Name a file with -o, or give --names")
    limits = running.start()
    if ranking is None:
        running.note_compilation()

    import miscreen

    with running.progress() as progress:
        chosen = miscreen.select(
            source,
            target[0] if target and len(target) == 1 else target,
            ranking=ranking,
            top=top,
            min_mi=min_mi,
            by=by,
            keep=tuple(keep or ()),
            **screening.keywords(),
            **inferring.keywords(),
            read=reading.options(),
            **limits,
            on_progress=progress,
        )
    if names:
        _print_names(chosen.names)
    elif writing.output is None:
        chosen.write_to(sys.stdout.buffer, writing.format or "csv")
    else:
        chosen.write(writing.output, format=writing.format, force=writing.force)
        if not running.quiet:
            seconds = time.monotonic() - began
            say("done", f"{len(chosen.names):,} columns in {seconds:.1f} s -> {writing.output}")


def _print_names(names: list[str]) -> None:
    for name in names:
        if "\n" in name or "\r" in name:
            raise InputError(
                f"the column {name!r} has a line break in its name, so names cannot be printed one a line",
                "Write them with: miscreen rank ... -o names.json",
            )
    sys.stdout.buffer.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))

"""``miscreen rank``: every column of a table, ordered by what it tells about a target."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from miscreen.cli.options import Dividing, Inferring, Reading, Running, Screening, Source, Targets, Top, Writing
from miscreen.cli.terminal import SHOWN_ROWS, say, show_ranking, summarise
from miscreen.errors import InputError

if TYPE_CHECKING:
    from miscreen import Ranking


def rank(
    source: Source,
    target: Targets,
    *,
    top: Top = None,
    writing: Writing,
    screening: Screening,
    inferring: Inferring,
    reading: Reading,
    dividing: Dividing,
    running: Running,
) -> None:
    """Rank every column by its mutual information with a target.

    On a terminal it shows a table of the best 20; into a pipe it writes CSV; with -o it writes a file.

    \b
    miscreen rank data.parquet --target y
    miscreen rank data.csv.gz --target y --method kde -o ranked.parquet
    miscreen rank data.parquet -t age -t sex --exclude 'id*' -o ranked.parquet
    zcat big.csv.gz | miscreen rank - --target y | head -50
    miscreen rank data.parquet --target y --fdr 0.05 --strata site -o ranked.parquet
    miscreen rank data.parquet --target y --resume -o ranked.parquet
    miscreen rank data.parquet --target y --shard 3/16 -o parts/r.parquet
    miscreen rank data.parquet --target y --dask tcp://head:8786 --resume -o ranked.parquet

    Time is proportional to the columns, and to n log n of the rows. Memory stays within --memory, beside
    about 350 MB of libraries and 600 bytes a column, whatever the size of the file; labels of text in a CSV
    come on top. "miscreen describe" estimates both. --p-values costs about 26,000 scores for all columns
    without ties or missing values; each other one costs some 130 scores, and 7,000 to 40,000 if it is
    significant: on tables full of zeros that are, such as gene counts, that is most of the time. --max-t N
    takes N times as long. --ci costs about 2 scores by ksg a column.
    """
    began = time.monotonic()
    dividing.check()
    if dividing.shard is not None:
        if top is not None or writing.format is not None:
            raise InputError("a shard has neither --top nor --format", "Give them to: miscreen merge")
        asked = {"method": screening.method} | screening.keywords() | inferring.keywords() | {"read": reading.options()}
        _rank_shard(source, target, dividing.shard, writing, asked, running)
        return
    checkpoints = dividing.checkpoints(writing.output)
    if checkpoints is not None:
        from miscreen.cluster.checkpoints import has_output, noting_output, remove_checkpoints

        if has_output(checkpoints):  # the run that went before came so far, and what is there is of it
            writing = replace(writing, force=True)
    writing.check(source)
    limits = running.start()
    running.prepare_kernels([screening.method])

    import miscreen

    with running.progress() as progress:
        ranking = miscreen.rank(
            source,
            target,
            **screening.keywords(),
            **inferring.keywords(),
            read=reading.options(),
            **limits,
            **dividing.keywords(writing.output),
            on_progress=progress,
        )
    with noting_output(checkpoints) if checkpoints is not None else nullcontext():
        deliver(ranking, top, writing)
    if checkpoints is not None:
        remove_checkpoints(checkpoints)
    conclude(ranking, writing, began, quiet=running.quiet)


def deliver(ranking: Ranking, top: int | None, writing: Writing) -> None:
    """Write a ranking to where it is wanted: a file, a table on the terminal, or standard output."""
    count = top or (SHOWN_ROWS if writing.draws else None)
    best = ranking if count is None else ranking.top(count)
    writing.put(best, lambda: show_ranking(best, len(ranking)))


def conclude(ranking: Ranking, writing: Writing, began: float, *, quiet: bool) -> None:
    """Say in a line what was done, and what has no score."""
    if quiet:
        return
    summary = summarise(ranking)
    if writing.output is not None:
        say("done", f"{summary} in {time.monotonic() - began:.1f} s -> {writing.output}")
    elif ranking.summary():
        say("warning", summary)


def _rank_shard(
    source: str,
    target: list[str],
    shard: str,
    writing: Writing,
    asked: dict[str, Any],
    running: Running,
) -> None:
    began = time.monotonic()
    if writing.output is None:
        raise InputError("a shard writes a part for merge", "Name it with -o, such as -o parts/r.parquet")
    limits = running.start()
    running.prepare_kernels([asked["method"]])

    import miscreen

    with running.progress() as progress:
        part = miscreen.rank_shard(
            source,
            target,
            shard,
            writing.output,
            force=writing.force,
            **asked,
            **limits,
            on_progress=progress,
        )
    if not running.quiet:
        say("done", f"shard {shard} in {time.monotonic() - began:.1f} s -> {part}")

"""``miscreen rank``: every column of a table, ordered by what it tells about a target."""

from __future__ import annotations

import sys
import time

from miscreen.cli.options import Inferring, Reading, Running, Screening, Source, Targets, Top, Writing
from miscreen.cli.terminal import say, show_ranking, summarise

SHOWN_ROWS = 20


def rank(
    source: Source,
    target: Targets,
    *,
    top: Top = None,
    writing: Writing,
    screening: Screening,
    inferring: Inferring,
    reading: Reading,
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

    Time is proportional to the columns, and to n log n of the rows. Memory stays within --memory, beside
    about 350 MB of libraries and 600 bytes a column, whatever the size of the file. "miscreen describe"
    estimates both. --p-values costs about 25,000 scores for all columns without ties or missing values, and some
    130 scores for each other one; --max-t N takes N times as long.
    """
    began = time.monotonic()
    writing.check()
    limits = running.start()
    running.note_compilation()

    import miscreen

    with running.progress() as progress:
        ranking = miscreen.rank(
            source,
            target[0] if len(target) == 1 else target,
            **screening.keywords(),
            **inferring.keywords(),
            read=reading.options(),
            **limits,
            on_progress=progress,
        )
    table = writing.to_terminal and writing.format is None
    count = top or (SHOWN_ROWS if table else None)
    best = ranking if count is None else ranking.top(count)
    if writing.output is not None:
        best.write(writing.output, format=writing.format, force=writing.force)
    elif table:
        show_ranking(best, len(ranking))
    else:
        best.write_to(sys.stdout.buffer, writing.format or "csv")

    if running.quiet:
        return
    summary = summarise(ranking)
    if writing.output is not None:
        say("done", f"{summary} in {time.monotonic() - began:.1f} s -> {writing.output}")
    elif ranking.summary():
        say("warning", summary)

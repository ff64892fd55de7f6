"""``miscreen convert``: parse a table once, to rank it many times."""

from __future__ import annotations

import time

from miscreen.cli.options import Converted, Discrete, Exclude, Force, Format, Reading, Running, Source, Writing
from miscreen.cli.terminal import say


def convert(
    source: Source,
    output: Converted,
    *,
    format: Format = None,
    force: Force = False,
    exclude: Exclude = None,
    discrete: Discrete = None,
    reading: Reading,
    running: Running,
) -> None:
    """Write a table in another format.

    Arrow is read many times faster than CSV.

    \b
    miscreen convert data.csv data.arrow
    miscreen convert data.csv data.parquet --exclude 'note_*' --discrete batch
    zcat big.csv.gz | miscreen convert - data.parquet

    Columns named with --discrete may hold numbers and labels, which makes them text.

    Time is that of reading once and writing once; memory stays within --memory beside about 350 MB of
    libraries and 600 bytes a column.
    """
    began = time.monotonic()
    Writing(output, format, force).check(source)
    limits = running.start()

    import miscreen

    with running.progress() as progress:
        miscreen.convert(
            source, output, format=format, exclude=exclude or (), discrete=discrete or (), read=reading.options(),
            force=force, **limits, on_progress=progress,
        )  # fmt: skip
    if not running.quiet:
        read = "standard input" if source == "-" else source
        say("done", f"{read} in {time.monotonic() - began:.1f} s -> {output}")

"""``miscreen select``: the columns worth keeping, as a table, as names, or why each was chosen."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from miscreen.cli.options import (
    Best,
    CandidatePool,
    ClumpMi,
    EarlierSelection,
    FromRanking,
    Given,
    Inferring,
    Keep,
    MinMi,
    MinScore,
    Names,
    OptionalTargets,
    OrderBy,
    Reading,
    Running,
    Screening,
    ShowSteps,
    Source,
    Stability,
    Strategy,
    Writing,
)
from miscreen.cli.terminal import SHOWN_ROWS, say, show_columns
from miscreen.errors import InputError
from miscreen.selection import STRATEGIES, strategy_class

if TYPE_CHECKING:
    from miscreen import Steps


def select(
    source: Source,
    target: OptionalTargets = None,
    *,
    ranking: FromRanking = None,
    strategy: Strategy = None,
    top: Best = None,
    min_mi: MinMi = None,
    min_score: MinScore = None,
    by: OrderBy = "score",
    clump_mi: ClumpMi = None,
    pool: CandidatePool = None,
    given: Given = None,
    stability: Stability = 0,
    selection: EarlierSelection = None,
    keep: Keep = None,
    names: Names = False,
    steps: ShowSteps = False,
    writing: Writing,
    screening: Screening,
    inferring: Inferring,
    reading: Reading,
    running: Running,
) -> None:
    """Write the columns that tell most about a target.

    It ranks the table first, or takes a ranking made before, and then chooses by a strategy, with or without
    columns that repeat each other.

    \b
    miscreen select data.parquet --target y --top 500 -o chosen.parquet
    miscreen select data.parquet --target y --min-mi 0.02 --keep y --keep id -o chosen.csv
    miscreen select data.parquet --target y --fdr 0.05 -o chosen.parquet
    miscreen select data.parquet --ranking ranked.parquet --strategy mrmr --top 50 --names
    miscreen select data.parquet --target y --strategy clump --top 50 --steps -o chosen.json
    miscreen select other.parquet --selection chosen.json -o other-chosen.parquet

    \b
    Strategies, for a column x, the target y and the columns s in S chosen so far:
    top            the best by rank
    threshold      all that pass --min-mi, --min-score, --fdr
    clump          the best by rank, without those that share more than --clump-mi with a better one
    mrmr           largest I(x;y) - mean I(x;s)       Peng, Long and Ding 2005
    mrmr-quotient  largest I(x;y) / mean I(x;s)       Ding and Peng 2005
    jmi            largest mean I(x,s;y)              Yang and Moody 1999
    cmim           largest min I(x;y|s)               Fleuret 2004
    jmim           largest min I(x,s;y)               Bennasar, Hicks and Setchi 2015
    disr           largest mean I(x,s;y) / H(x,s,y)   Meyer and Bontempi 2006
    submodular     largest sum over all columns v of min(max I(v;s), I(v;y))   Iyer et al. 2021

    Time and memory are those of "miscreen rank" (nothing with --ranking), and then of reading and writing the
    chosen columns. Strategies other than top and threshold take one byte a row for each column of the pool, and
    about 1.5 us a column of the pool and step for 1,000 rows; submodular instead as much, and 8 bytes, for every
    two columns of the pool. --stability B takes the time of B rankings and selections more.
    """
    began = time.monotonic()
    writing.check(source)
    if source == "-" and "-" in (ranking, selection):
        raise InputError("standard input cannot be both the table and what was made of it", "Name one of them")
    if names and (steps or writing.output is not None or writing.format is not None):
        raise InputError("--names prints names, --steps writes steps, and -o writes to a file", "Give --names alone")
    if keep and (names or steps):
        raise InputError("--keep has no effect on names and steps", "Leave it out, or write the columns with -o")
    if writing.draws and not (names or steps):
        raise InputError(
            "the chosen columns are no text for a terminal", "Name a file with -o, or give --names or --steps"
        )
    limits = running.start()
    looks_at_pairs = strategy in STRATEGIES and strategy_class(strategy).axes > 0
    if selection is None and (ranking is None or looks_at_pairs):
        running.prepare_kernels([screening.method, *(["select"] if strategy in STRATEGIES else [])])

    import miscreen

    with running.progress() as progress:
        chosen = miscreen.select(
            source,
            target,
            ranking=ranking,
            strategy=strategy,
            top=top,
            min_mi=min_mi,
            min_score=min_score,
            by=by,
            clump_mi=clump_mi,
            pool=pool,
            given=tuple(given or ()),
            stability=stability,
            selection=selection,
            keep=tuple(keep or ()),
            **screening.keywords(),
            **inferring.keywords(),
            read=reading.options(),
            **limits,
            on_progress=progress,
        )
    if names:
        _print_names(chosen.names)
        return
    writing.put(chosen.steps if steps else chosen, lambda: _show_steps(chosen.steps))
    if writing.output is not None and not running.quiet:
        seconds = time.monotonic() - began
        count = len(chosen.names)
        say("done", f"{count:,} column{'s' * (count != 1)} in {seconds:.1f} s -> {writing.output}")


def _show_steps(steps: Steps) -> None:
    """Draw the first steps on the terminal, without columns that say nothing there."""
    shown = steps.to_arrow().slice(0, SHOWN_ROWS).to_pydict()
    columns = {name: values for name, values in shown.items() if any(value is not None for value in values)}
    more = len(steps) - SHOWN_ROWS
    show_columns(columns, f"{more:,} more rows: -o FILE keeps all" if more > 0 else "")


def _print_names(names: list[str]) -> None:
    for name in names:
        if "\n" in name or "\r" in name:
            raise InputError(
                f"the column {name!r} has a line break in its name, so names cannot be printed one a line",
                "Write them with: miscreen select ... --steps -o chosen.json",
            )
    sys.stdout.buffer.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))

"""``miscreen describe``: what a table holds, and what a run would cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from miscreen.cli.options import (
    Discrete,
    Exclude,
    Json,
    OneTarget,
    OptionalSource,
    Reading,
    Running,
    ShowResources,
    only_target,
)
from miscreen.cli.terminal import printable
from miscreen.errors import InputError, ResourceError
from miscreen.estimators import ESTIMATORS
from miscreen.limits import ADDRESS_SPACE, Limit, Limits, environment_threads, least
from miscreen.resources import Resources, format_bytes

if TYPE_CHECKING:
    from miscreen import Description


def describe(
    source: OptionalSource = None,
    *,
    target: OneTarget = None,
    resources: ShowResources = False,
    as_json: Json = False,
    exclude: Exclude = None,
    discrete: Discrete = None,
    reading: Reading,
    running: Running,
) -> None:
    """Tell what a table holds, and what ranking it would cost.

    That is its shape, the kinds of its columns, and what is missing.

    \b
    miscreen describe data.parquet
    miscreen describe data.csv --target y --json
    miscreen describe --resources

    Time is that of reading the table once, since missing values and constants are counted, and of trying
    every method on up to 128 columns; memory stays within --memory beside about 350 MB of libraries and
    600 bytes a column. With --resources, and no SOURCE, it reads nothing and takes no time.
    """
    if resources:
        if source is not None:
            raise InputError("--resources tells of the machine and the job, not of a table", "Leave out SOURCE")
        _show_resources(running, as_json)
        return
    if source is None:
        raise InputError("a table is missing", "Name one, or ask for the limits of a run with --resources")
    limits = running.start()
    running.prepare_kernels(ESTIMATORS)

    import miscreen

    with running.progress() as progress:
        description = miscreen.describe(
            source, target=only_target(target) if target else None, exclude=exclude or (), discrete=discrete or (),
            read=reading.options(), **limits, on_progress=progress,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(description.to_dict(), indent=2))
    else:
        typer.echo("\n".join(f"{label:<16}{text}" for label, text in _lines(description)))


def _lines(description: Description) -> list[tuple[str, str]]:
    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"{number:,} {what}" for what, number in of.items() if number)

    d = description
    timed = " and, by method:" if d.costs else "; methods are timed on continuous columns without missing values only"
    lines = [
        ("table", printable(d.label)),
        ("shape", f"{d.n_samples:,} rows x {d.n_columns:,} columns"),
        ("types", counts(d.types)),
        ("kinds", counts(d.kinds)),
        ("missing", f"{d.n_missing:,} values in {d.n_columns_missing:,} columns"),
        ("infinite", f"in {d.n_columns_infinite:,} columns"),
        ("constant", f"{d.n_constant:,} columns"),
        ("to rank it", f"{format_bytes(d.memory_bytes)} at most, {d.read_seconds:.1f} s to read{timed}"),
    ]
    return lines + [("", f"{method:<10}{seconds:>10.2f} s") for method, seconds in d.costs.items()]


def _show_resources(running: Running, as_json: bool) -> None:
    """Print every limit and what follows from them; then raise where they leave too little for a run."""
    limits = Limits.detect()  # before the variables of the pools are set for this run
    environment = environment_threads()
    threads = limits.threads if environment is None else (Limit("MISCREEN_THREADS", environment), *limits.threads)
    by_threads = "--threads" if running.threads else "MISCREEN_THREADS" if environment else least(limits.threads).source
    memory = limits.memory
    if limits.address_space is not None:
        memory += (Limit(ADDRESS_SPACE, limits.address_space),)
    trouble: ResourceError | None = None
    try:
        chosen = Resources.detect(running.threads, running.memory, running.scratch)
        used, budget, by_memory = chosen.threads, chosen.memory_bytes, chosen.memory_source
    except ResourceError as error:
        trouble, by_memory = error, error.source
        used, budget = running.threads or environment or least(limits.threads).value, 0
    found = {
        "threads": {"used": used, "by": by_threads, "limits": {x.source: x.value for x in threads}},
        "memory_bytes": {"used": budget, "by": by_memory, "limits": {x.source: x.value for x in memory}},
    }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo("\n".join(_resource_lines(found)))
    if trouble is not None:
        raise trouble


def _resource_lines(found: dict[str, Any]) -> Iterator[str]:
    width = 2 + max(len(source) for about in found.values() for source in about["limits"])
    for what, about in found.items():
        shown = format_bytes if what == "memory_bytes" else "{:,}".format
        yield f"{what.partition('_')[0]:<{width}}  {shown(about['used']):>10}  by {about['by']}"
        for source, value in about["limits"].items():
            mark = "  <- binds" if source == about["by"] else ""
            yield f"  {printable(source):<{width - 2}}  {shown(value):>10}{mark}"

"""One table ranked by several independent jobs: each writes a part, for `miscreen.cluster.merging`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from miscreen.cluster.checkpoints import Checkpoints, remove_checkpoints
from miscreen.cluster.conversion import open_for_shards
from miscreen.cluster.identity import Identity, check_unchanged, stamps
from miscreen.cluster.part import Part
from miscreen.cluster.run import Counted, score_range
from miscreen.errors import DataError, InputError, MiscreenError, path_given
from miscreen.request import Request
from miscreen.screening import Screen
from miscreen.tables.files import check_apart
from miscreen.tables.write import Destination

_SHARD = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})")


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``3/16``, the third of sixteen.

    Raises
    ------
    InputError
        When it is no such pair, or k is not from 1 to n.

    Examples
    --------
    >>> parse_shard("3/16")
    (3, 16)
    """
    found = _SHARD.fullmatch(str(text).strip())
    k, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= k <= n:
        raise InputError(f"{text!r} is no shard", "Write K/N, such as 3/16 for the third of sixteen; K is from 1 to N")
    return k, n


def part_path(output: Path, k: int, n: int) -> Path:
    """Where shard k of n of an output goes.

    Examples
    --------
    >>> str(part_path(Path("parts/r.parquet"), 3, 16))
    'parts/r.3-of-16.parquet'
    """
    if output.suffix != ".parquet":
        raise InputError(f"parts are Parquet files, not {output.name!r}", "Name the output of a shard *.parquet")
    return output.with_name(f"{output.stem}.{k}-of-{n}.parquet")


def rank_shard(
    source: str | PathLike[str],
    target: str | Sequence[str],
    shard: str,
    output: str | PathLike[str],
    *,
    force: bool = False,
    **screening: Any,
) -> Path:
    """Rank one of n equal ranges of the columns, and write the part that `merge` takes.

    Parameters
    ----------
    source : path
        What `miscreen.tables.open_table` takes, on a file system that all shards see. Delimited text is converted
        to Arrow beside the part by the first shard that comes.
    target : str or sequence of str
    shard : str
        ``K/N``, counted from 1.
    output : path
        Ends in ``.parquet``; shard 3/16 of ``parts/r.parquet`` writes ``parts/r.3-of-16.parquet``. The last
        directory is made when it is missing.
    force : bool
        Replace a part of another run. A part of the same run is left as it is.
    **screening
        As in `miscreen.rank`.

    Returns
    -------
    Path
        Of the part.

    Raises
    ------
    InputError, DataError, ResourceError
        As in `miscreen.rank`; also when there is a part of another run.
    StoppedError
        When SIGTERM or SIGUSR1 asked for it: the same call goes on from there.

    Notes
    -----
    Only the shard's own columns and the targets are read. Finished partitions are kept in a directory beside the
    part, ``NAME.partial``, until the part is written.
    """
    k, n = parse_shard(shard)
    path = part_path(path_given("output", output), k, n)
    request = Request.make(target, **screening)
    files = stamps(source)
    try:
        path.parent.mkdir(exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        pass  # told next
    except OSError as error:
        raise InputError(
            f"the output directory {str(path.parent)!r} cannot be made: {error.strerror}",
            f"See that {str(path.parent.parent)!r} can be written, or choose another one",
        ) from error
    Destination(path, force=True)
    check_apart(source, path)
    counted = Counted(request.on_progress)
    request = replace(request, on_progress=counted)
    unfinished = path.with_name(f"{path.name}.partial")
    with open_for_shards(source, request, path.parent) as table:
        job = Screen(table, request)
        identity = Identity.of(files, table, job)
        if path.exists() and _stands(path, identity, force):
            if unfinished.is_dir():
                # What is there may be of another run, which goes on later or is at work.
                with suppress(MiscreenError), Checkpoints(unfinished, identity):
                    remove_checkpoints(unfinished)
            return path
        if n > job.n_features:
            raise InputError(
                f"there are {job.n_features:,} columns to rank, fewer than {n:,} shards", "Take fewer shards"
            )
        features = range(job.n_features * (k - 1) // n, job.n_features * k // n)
        with Checkpoints(unfinished, identity) as kept:
            unchanged = partial(check_unchanged, source, files)
            partitions = score_range(job.score_partition, features, table.n_samples, kept, counted, unchanged)
            unchanged()
            Part(partitions, {"run": identity.to_json(), "k": k, "n": n}).write(path)
            remove_checkpoints(unfinished)
    return path


def _stands(path: Path, identity: Identity, force: bool) -> bool:
    """Whether a part that is there already is of the same run; else it is to be replaced, or `InputError`."""
    try:
        difference = identity.difference(Identity.from_json(Part.read(path).about["run"]))
        found = f"of another run: {difference}" if difference else ""
    except (DataError, LookupError, TypeError):
        found = "and is no part that can be used"
    if found and not force:
        raise InputError(
            f"{str(path)!r} exists already, {found}", "Remove it, choose another name, or overwrite with --force"
        )
    return not found

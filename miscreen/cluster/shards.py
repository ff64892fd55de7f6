"""One table ranked by several independent jobs: each writes a part, and `merge` puts the parts together."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from shlex import quote
from typing import Any

from miscreen.cluster.checkpoints import Checkpoints, remove_checkpoints
from miscreen.cluster.conversion import open_for_shards
from miscreen.cluster.identity import Identity, stamps
from miscreen.cluster.part import Part
from miscreen.cluster.run import Counted, score_range
from miscreen.errors import DataError, InputError, path_given
from miscreen.partition import rank_partitions
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.screening import Screen
from miscreen.tables.files import check_apart
from miscreen.tables.write import Destination

SCRIPT = "array.sh"  # what `miscreen slurm` calls the script of the array, among the parts
_SHARD = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})")
_PART = re.compile(r"(?P<stem>.+)\.(?P<k>\d+)-of-(?P<n>\d+)\.parquet")


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
    found = _SHARD.fullmatch(text.strip())
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
    path = part_path(Path(output), k, n)
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
    partial = path.with_name(f"{path.name}.partial")
    with open_for_shards(source, request, path.parent) as table:
        job = Screen(table, request)
        identity = Identity.of(files, table, job)
        if path.exists() and _stands(path, identity, force):
            if partial.is_dir():
                remove_checkpoints(partial)
            return path
        if n > job.n_features:
            raise InputError(
                f"there are {job.n_features:,} columns to rank, fewer than {n:,} shards", "Take fewer shards"
            )
        features = range(job.n_features * (k - 1) // n, job.n_features * k // n)
        with Checkpoints(partial, identity) as kept:
            partitions = score_range(job.score_partition, features, table.n_samples, kept, counted)
            identity.check_unchanged(source)
            Part(partitions, {"run": identity.to_json(), "k": k, "n": n}).write(path)
            remove_checkpoints(partial)
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


@dataclass(frozen=True)
class _Found:
    path: Path
    part: Part
    identity: Identity
    k: int
    n: int

    @property
    def run(self) -> tuple[str, int]:
        """Parts of which this is the same go together."""
        return self.identity.digest, self.n

    @property
    def changed(self) -> int:
        """When the input was last changed, in nanoseconds."""
        return max(changed for _, _, changed in self.identity.files)


def merge(parts: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Ranking:
    """Put the parts of all shards together, into the same ranking as that of an undivided run.

    Parameters
    ----------
    parts : path or sequence of paths
        Directories, part files, or the name that was given to the shards as output.

    Returns
    -------
    Ranking

    Raises
    ------
    InputError
        When there are no such files, or parts of several runs.
    DataError
        When parts are missing, doubled, damaged or of another input, other options or another version: says which,
        and the list for ``sbatch --array=`` that computes them.
    """
    given = list(parts) if isinstance(parts, Iterable) and not isinstance(parts, str | bytes) else [parts]
    if not given:
        raise InputError("no parts are given", "Give the parts, their directory, or the output named to the shards")
    named = [path for entry in given for path in _part_files(path_given("parts", entry))]
    paths = list({os.path.realpath(path): path for path in reversed(named)}.values())[::-1]  # a file may be named twice
    found: list[_Found] = []
    damaged: list[Path] = []
    for path in paths:
        try:
            part = Part.read(path)
            identity = Identity.from_json(part.about["run"])
            found.append(_Found(path, part, identity, int(part.about["k"]), int(part.about["n"])))
        except (DataError, LookupError, TypeError):
            damaged.append(path)
    _refuse_several_names(found)
    runs = Counter(f.run for f in found)
    if len(runs) > 1:
        _refuse_several(found, runs)
    if damaged or not found:
        again = _missing(found) if found else {int(m["k"]) for p in damaged if (m := _PART.fullmatch(p.name))}
        raise DataError(
            f"{_list(damaged)} cannot be read as part of a ranking: cut short, changed, or of something else",
            f"Remove what does not belong. {_resubmit(again, damaged[0].parent)}",
        )
    n = found[0].n
    by_shard = defaultdict(list)
    for one in found:
        by_shard[one.k].append(one.path)
    for k, several in sorted(by_shard.items()):
        if len(several) > 1:
            raise DataError(f"shard {k} of {n} is there {len(several)} times: {_list(several)}", "Keep one of them")
    if missing := _missing(found):
        raise DataError(
            f"{len(missing)} of {n} parts are missing: {_ranges(missing)}", _resubmit(missing, found[0].path.parent)
        )
    return rank_partitions([p for f in found for p in f.part.partitions], found[0].identity.metadata)


def _part_files(path: Path) -> list[Path]:
    """The part files that a path means."""
    if path.is_dir():
        found = [p for p in path.iterdir() if _PART.fullmatch(p.name)]
        if not found:
            _refuse_none(path)
            raise InputError(f"the directory {str(path)!r} holds no parts", "Parts are called NAME.K-of-N.parquet")
    elif path.is_file():
        return [path]
    else:
        near = path.parent.iterdir() if path.parent.is_dir() else ()
        found = [p for p in near if (m := _PART.fullmatch(p.name)) and m["stem"] == path.stem]
        if not found:
            _refuse_none(path.parent)
            raise InputError(
                f"there is no part {str(path)!r}, nor parts of that name",
                "Give the parts, their directory, or the output that was named to the shards",
            )
    return sorted(found, key=lambda p: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", p.name)])


def _refuse_none(directory: Path) -> None:
    """`DataError` where an array was to write parts and has written none."""
    script = directory / SCRIPT
    written = script.read_bytes() if script.is_file() else b""
    if asked := re.search(rb"^#SBATCH --array=1-(\d+)$", written, re.MULTILINE):
        n = int(asked[1])
        raise DataError(
            f"all {n} parts are missing from {str(directory)!r}",
            f"The logs there, such as 1.log, tell why. {_resubmit(set(range(1, n + 1)), directory)}",
        )


def _refuse_several_names(found: Sequence[_Found]) -> None:
    """Refuse parts of several runs that are named apart: the user has to choose."""
    runs = defaultdict(set)
    for one in found:
        match = _PART.fullmatch(one.path.name)
        runs[(match["stem"] if match else one.path.name), one.n].add(one.run)
    if len(runs) > 1 and all(len(r) == 1 for r in runs.values()) and len(set.union(*runs.values())) > 1:
        (stem, n), *_ = sorted(runs)
        directory = found[0].path.parent
        raise InputError(
            f"there are parts of {len(runs)} runs: {', '.join(f'{s} of {m}' for s, m in sorted(runs))}",
            f"Name those of one: miscreen merge {quote(str(directory / stem))}.*-of-{n}.parquet -o ...",
        )


def _refuse_several(found: Sequence[_Found], runs: Counter[tuple[str, int]]) -> None:
    """Refuse parts that do not go together: of the newest input, and then of the most frequent run, are the right ones.

    Those of an input that has changed since cannot be had again.
    """
    ours = max(found, key=lambda f: (f.changed, runs[f.run]))
    odd = [f for f in found if f.run != ours.run]
    one, other = odd[0].identity, ours.identity
    if odd[0].changed < ours.changed:
        what, difference = "of an older input than", other.difference(one)
    else:
        what, difference = "not of the same run as", one.difference(other) or f"n was {ours.n} and is {odd[0].n}"
    raise DataError(
        f"{_list([f.path for f in odd])} {'is' if len(odd) == 1 else 'are'} {what} {str(ours.path)!r}: {difference}",
        f"Remove what does not belong. "
        f"{_resubmit(_missing([f for f in found if f.run == ours.run]), ours.path.parent)}",
    )


def _missing(found: Sequence[_Found]) -> set[int]:
    """The shards of which there is no part, of one run."""
    return set(range(1, found[0].n + 1)) - {one.k for one in found}


def _resubmit(shards: set[int], directory: Path) -> str:
    script = directory / SCRIPT
    if not shards:
        return "Then merge again"
    named = quote(str(script)) if script.is_file() else "SCRIPT"
    return f"Compute them again, and merge then: sbatch --array={_ranges(shards)} {named}"


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers as sbatch takes them.

    Examples
    --------
    >>> _ranges([1, 3, 4, 5, 9, 10])
    '1,3-5,9-10'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def _list(paths: Sequence[Path]) -> str:
    shown = ", ".join(repr(str(p)) for p in paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"

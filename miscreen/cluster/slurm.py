"""Scripts for Slurm: an array of shards, and the merge that follows it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join, quote
from typing import Any

from miscreen.cluster.merging import SCRIPT
from miscreen.errors import InputError

MERGE_SCRIPT = "merge.sh"
SIGNAL_SECONDS = 60  # before the limit; Slurm may send it up to a minute earlier
_LEAST_MINUTES = 5  # for a signal ahead of the limit to leave time for work
_TIME = re.compile(
    r"(?P<m>\d+)|(?P<m2>\d+):\d\d|(?P<h>\d+):(?P<m3>\d\d):\d\d|(?P<d>\d+)-(?P<h2>\d+)(:(?P<m4>\d\d)(:\d\d)?)?"
)
_ARRAY = re.compile(r"--array\b|-a")  # as for so many elements at a time, of which the merge is none


@dataclass(frozen=True)
class SlurmJob:
    """What the scripts ask for.

    Attributes
    ----------
    rank : sequence of str
        The command that ranks the table, but for ``--shard`` and ``-o``.
    merge : sequence of str
        The command that merges, but for the parts and ``-o``.
    files : list of [str, int, int]
        `miscreen.cluster.identity.stamps` of the table.
    output : Path
        The ranking. Parts, scripts and logs go to a directory beside it.
    shards : int
    time : str, optional
        The limit of each job, as sbatch takes it: minutes, MM:SS, HH:MM:SS, D-HH.
    cpus : int
    memory_mib : int, optional
        Of each job.
    sbatch : sequence of str
        Further options of sbatch, such as ``--account=x``; ``--array=1-16%4`` is of the array alone.
    """

    rank: Sequence[str]
    merge: Sequence[str]
    files: list[list[Any]]
    output: Path
    shards: int
    time: str | None
    cpus: int
    memory_mib: int | None
    sbatch: Sequence[str]

    def __post_init__(self) -> None:
        if self.time is not None and not _TIME.fullmatch(self.time):
            raise InputError(
                f"{self.time!r} is no time limit", "Write it as sbatch takes it: 30 (minutes), 2:00:00, 1-12"
            )
        if re.search(r"[\x00-\x1f]", str(self.output)):
            raise InputError(f"the name of the output {str(self.output)!r} holds a line break", "Choose another name")
        for option in self.sbatch:
            if not re.fullmatch(r"-[^\n\r]+", option):
                raise InputError(f"{option!r} is no option of sbatch", "Write it as in a script: --partition=long")

    @property
    def parts(self) -> Path:
        """The directory of parts, scripts and logs.

        The same request for the same table has the same, where it finds what is finished; no other has it, so that
        none of its parts can be taken for those of this.
        """
        about = json.dumps([list(self.rank), self.shards, self.files]).encode()
        return self.output.with_name(f"{self.output.stem}.{hashlib.sha256(about).hexdigest()[:8]}.parts")

    @property
    def minutes(self) -> int | None:
        """The limit of each job in whole minutes."""
        return None if self.time is None else _minutes(self.time)

    def script(self) -> str:
        """A shell script that writes both scripts and submits them.

        Nothing in it is left to a shell to interpret, whatever the names of files and columns.
        """
        array, merge = self.parts / SCRIPT, self.parts / MERGE_SCRIPT
        lines = [
            "#!/bin/sh -e",
            "# Writes two scripts and submits them: an array of shards, and a merge that follows when all have ended.",
            f"mkdir -p {quote(_path(self.parts))}",
            _written(array, self._array()),
            _written(merge, self._merge()),
            f"job=$(sbatch --parsable {quote(_path(array))})",
            # Where a limit of jobs lets the array in, but not the merge, neither stays.
            f'sbatch --dependency="afterany:${{job%%;*}}" {quote(_path(merge))} ||'
            ' { scancel "${job%%;*}"; exit 1; }',
        ]
        return "\n".join(lines) + "\n"

    def _array(self) -> str:
        parts = self.parts / f"{self.output.stem}.parquet"
        options = [f"--array=1-{self.shards}", f"--cpus-per-task={self.cpus}", *self._shared("%a", self.sbatch)]
        if self.minutes is not None and self.minutes >= _LEAST_MINUTES:
            options.append(f"--signal=B:USR1@{SIGNAL_SECONDS}")
        # exec puts the command in the place of the shell, which would keep signals to itself.
        # --force puts a part in the place of one of an older table, and leaves one of the same run as it is.
        run = f'exec {join(self.rank)} --force --shard "$SLURM_ARRAY_TASK_ID/{self.shards}" -o {quote(_path(parts))}'
        again = f"# A part again: sbatch --array=K {quote(_path(self.parts / SCRIPT))}"
        return _batch(options, [again, run])

    def _merge(self) -> str:
        parts = self.parts / f"{self.output.stem}.parquet"
        run = f"exec {join([*self.merge, _path(parts), '-o', _path(self.output)])}"
        once = [option for option in self.sbatch if not _ARRAY.match(option)]
        return _batch(["--cpus-per-task=1", *self._shared("merge", once)], [run])

    def _shared(self, log: str, further: Sequence[str]) -> list[str]:
        name = re.sub(r"[^\w.-]", "_", self.output.stem) or "miscreen"
        # %% is a percent sign to sbatch, which sees no other escapes in this name.
        logs = _path(self.parts).replace("%", "%%").replace("\\", "\\\\")
        options = [f"--job-name={name}", f"--output={quote(f'{logs}/{log}.log')}"]
        if self.time is not None:
            options.append(f"--time={self.time}")
        if self.memory_mib is not None:
            options.append(f"--mem={self.memory_mib}M")
        return [*options, *map(_quoted, further)]


def _path(path: Path) -> str:
    """A path that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def _quoted(option: str) -> str:
    """An option of sbatch, whose value is quoted where it holds a space and was not."""
    name, equals, value = option.partition("=")
    return f"{name}={quote(value)}" if equals and re.search(r"\s", value) and not re.search(r"['\"]", value) else option


def _batch(options: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options), *lines, ""])


def _written(path: Path, text: str) -> str:
    """Shell that writes a text to a file, word for word."""
    end = "END"
    while end in text.splitlines():
        end += "_"
    return f"cat >{quote(_path(path))} <<'{end}'\n{text}{end}"


def _minutes(time: str) -> int:
    found = _TIME.fullmatch(time)
    assert found is not None
    days, hours = int(found["d"] or 0), int(found["h"] or found["h2"] or 0)
    minutes = int(found["m"] or found["m2"] or found["m3"] or found["m4"] or 0)
    return 1440 * days + 60 * hours + minutes

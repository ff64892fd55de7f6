"""``miscreen slurm``: scripts for a job array and the merge that follows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from miscreen.cli.options import (
    Cpus,
    Inferring,
    JobMemory,
    JobTime,
    Quiet,
    Ranked,
    Reading,
    Sbatch,
    Screening,
    Shards,
    Source,
    Submit,
    Targets,
    arguments_of,
)
from miscreen.cli.terminal import say
from miscreen.errors import InputError, ResourceError
from miscreen.resources import FLOOR_BYTES, LEAST_BUDGET, enough_memory, parse_bytes
from miscreen.tables.files import check_apart, streams
from miscreen.tables.write import Destination

if TYPE_CHECKING:
    from miscreen.request import Request


def slurm(
    source: Source,
    target: Targets,
    *,
    shards: Shards,
    output: Ranked = "ranked.parquet",
    time: JobTime = None,
    cpus: Cpus = 1,
    memory: JobMemory = None,
    sbatch: Sbatch = None,
    submit: Submit = False,
    quiet: Quiet = False,
    screening: Screening,
    inferring: Inferring,
    reading: Reading,
) -> None:
    """Print a script that submits a ranking to Slurm.

    It submits an array of shards, and a merge that follows. Parts, scripts and logs go to a directory beside the
    output, of each request its own: ranked.1f0c22a9.parts for ranked.parquet, with other letters.

    \b
    miscreen slurm data.parquet --target y --shards 16 --time 30 --cpus 4 > submit.sh
    miscreen slurm data.parquet --target y --shards 16 --cpus 4 --sbatch=--partition=long --submit

    Time of each job is that of ranking its share of the columns, beside reading the table's list of columns;
    memory is what "miscreen rank" takes of --memory, half of it unless told otherwise.
    """
    if Path(output).is_file():
        raise InputError(f"{output!r} exists already", "Choose another name, or remove it")
    Destination(Path(output))
    check_apart(source, Path(output))
    if source == "-":
        raise InputError("the jobs cannot read this command's standard input", "Name a file that all machines see")
    if memory is not None and parse_bytes(memory) < (needed := FLOOR_BYTES + LEAST_BUDGET):
        raise InputError(
            f"--memory {memory} of a job does not hold the libraries", f"Give at least {enough_memory(needed)}"
        )
    from miscreen.request import Request

    request = Request.make(target, **screening.keywords(), **inferring.keywords(), read=reading.options())
    from miscreen.cluster.identity import stamps
    from miscreen.cluster.slurm import SlurmJob

    files = stamps(source)
    _check_names(source, request)
    program = [sys.executable, "-m", "miscreen"]
    path = f"./{source}" if source.startswith("-") else source
    asked = [f"--target={name}" for name in target]
    for group in (screening, inferring, reading):
        asked += arguments_of(group)
    job = SlurmJob(
        rank=[*program, "rank", path, *asked],
        merge=[*program, "merge"],
        files=files,
        output=Path(output),
        shards=shards,
        time=time,
        cpus=cpus,
        memory_mib=None if memory is None else parse_bytes(memory) >> 20,
        sbatch=sbatch or (),
    )
    if job.minutes == 0 and not quiet:
        say("warning", f"to sbatch --time {time} is less than a minute", "Half an hour is 30 or 0:30:00")
    script = os.fsencode(job.script())  # names of files as they are, UTF-8 or not
    if not submit:
        sys.stdout.buffer.write(script)
        return
    if shutil.which("sbatch") is None:
        raise ResourceError("there is no sbatch here", "Leave out --submit, and run the script where Slurm is")
    done = subprocess.run(["/bin/sh", "-e"], input=script, capture_output=True, check=False)
    if done.returncode:
        raise ResourceError(
            f"Slurm did not take the jobs: {os.fsdecode(done.stderr).strip()}",
            "Check the options; --sbatch gives further ones",
        )
    if not quiet:
        say("done", f"{os.fsdecode(done.stdout).strip()} (the merge, after an array of {shards}) -> {job.parts}")


def _check_names(source: str, request: Request) -> None:
    """Refuse names that the table lacks here, where somebody looks, and not in every job.

    Text is left to the jobs: its names are read as it is parsed.
    """
    if streams(source):
        return
    from miscreen.roles import choose_columns

    with request.open(source) as table:
        choose_columns(table, request)

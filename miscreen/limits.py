"""What the machine and the job allow a run, and which of all the limits binds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from miscreen.errors import InputError

MIB = 1 << 20
_UNLIMITED = 1 << 60  # control groups write a number near 2^63 where there is no limit
_SELF = Path("/proc/self")
ADDRESS_SPACE = "RLIMIT_AS"
_ASSUMED_MEMORY = 4 << 30  # bytes, on a system that tells nothing

# Each grants processors to one process of a job: Slurm, PBS, LSF, Grid Engine.
_GRANTS = ("SLURM_CPUS_PER_TASK", "NCPUS", "LSB_DJOB_NUMPROC", "NSLOTS")
_LIBRARIES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")  # which users set for all programs alike
POOLS = (*_LIBRARIES, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Limit:
    """One limit that was found.

    Attributes
    ----------
    source : str
        Who sets it, such as ``affinity``, a variable or a file of a control group.
    value : int
        Threads or bytes.
    """

    source: str
    value: int


@dataclass(frozen=True)
class Limits:
    """All limits of this process.

    Attributes
    ----------
    threads, memory : tuple of Limit
        Never empty. The least binds.
    address_space : int, optional
        Bytes that the process may map, used or not (``ulimit -v``). It is none of `memory`, since libraries map far
        more than they use.
    """

    threads: tuple[Limit, ...]
    memory: tuple[Limit, ...]
    address_space: int | None

    @classmethod
    def detect(cls) -> Limits:
        """Look at affinity, control groups, resource limits, the batch scheduler and the pools' own variables.

        Examples
        --------
        >>> [limit.source for limit in Limits.detect().threads][0]
        'affinity'
        """
        threads = tuple(_thread_limits())
        memory = tuple(_memory_limits(min(limit.value for limit in threads)))
        return cls(threads, memory or (Limit("assumed", _ASSUMED_MEMORY),), _soft_limit(ADDRESS_SPACE))


def least(limits: tuple[Limit, ...]) -> Limit:
    """The limit that binds: the first of the smallest."""
    return min(limits, key=lambda limit: limit.value)


def positive(text: str | None) -> int | None:
    """The whole number that a variable begins with, such as 4 of ``4(x2),3``; None unless it is positive."""
    match = re.match(r"\s*(\d+)", text or "")
    return (int(match[1]) or None) if match else None


def environment_threads() -> int | None:
    """What MISCREEN_THREADS says; `InputError` when that is no number of threads."""
    given = os.environ.get("MISCREEN_THREADS")
    if given is None:
        return None
    if not re.fullmatch(r"\s*0*[1-9]\d{0,5}\s*", given):
        raise InputError(f"MISCREEN_THREADS is {given!r}", "Set it to a whole number of threads, or unset it")
    return int(given)


def _thread_limits() -> Iterator[Limit]:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Limit("affinity", affinity)
    for file in control_group_files("cpu", "cpu.cfs_quota_us", "cpu.max"):
        try:
            words = file.read_text().split()
            period = words[1] if len(words) > 1 else file.with_name("cpu.cfs_period_us").read_text()
            if words[0] not in ("max", "-1"):
                yield Limit(str(file), max(1, int(words[0]) // int(period)))
        except (OSError, ValueError, IndexError, ZeroDivisionError):  # not ours to read
            continue
    granted = [Limit(name, count) for name in _GRANTS if (count := positive(os.environ.get(name)))]
    if not granted and (on_node := positive(os.environ.get("SLURM_CPUS_ON_NODE"))):
        tasks = _tasks_on_node()
        granted = [Limit("SLURM_CPUS_ON_NODE" + (f" / {tasks} tasks" if tasks > 1 else ""), max(1, on_node // tasks))]
    yield from granted[:1]  # a job belongs to one scheduler
    for name in _LIBRARIES:
        if count := positive(os.environ.get(name)):
            yield Limit(name, count)


def _tasks_on_node() -> int:
    """Processes among which Slurm shares this node: those of the step, or those the job was asked for."""
    return positive(os.environ.get("SLURM_STEP_TASKS_PER_NODE") or os.environ.get("SLURM_TASKS_PER_NODE")) or 1


def _memory_limits(threads: int) -> Iterator[Limit]:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield Limit("physical", os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name_v2 in ("memory.max", "memory.high"):
        for file in control_group_files("memory", "memory.limit_in_bytes" if name_v2 == "memory.max" else "", name_v2):
            try:
                size = int(file.read_text())
            except (OSError, ValueError):  # "max", or not ours to read
                continue
            if size < _UNLIMITED:
                yield Limit(str(file), size)
    # Slurm sets RLIMIT_RSS to what the job has on the node, which the tasks of a step share.
    shared = positive(os.environ.get("SLURM_STEP_TASKS_PER_NODE")) or 1
    share = f" / {shared} tasks" if shared > 1 else ""
    if (resident := _soft_limit("RLIMIT_RSS")) is not None:
        yield Limit(f"RLIMIT_RSS{share}", resident // shared)
    if (data := _soft_limit("RLIMIT_DATA")) is not None:
        yield Limit("RLIMIT_DATA", data)
    if megabytes := positive(os.environ.get("SLURM_MEM_PER_NODE")):
        yield Limit(f"SLURM_MEM_PER_NODE{share}", megabytes * MIB // shared)
    if megabytes := positive(os.environ.get("SLURM_MEM_PER_CPU")):
        yield Limit(f"SLURM_MEM_PER_CPU x {threads} threads", megabytes * MIB * threads)


def _soft_limit(name: str) -> int | None:
    """A resource limit in bytes; None where there is none."""
    try:
        import resource

        soft = int(resource.getrlimit(getattr(resource, name))[0])
    except (ImportError, AttributeError, OSError):  # not a Unix system
        return None
    return None if soft == resource.RLIM_INFINITY or soft >= _UNLIMITED else soft


def control_group_files(controller: str, name_v1: str, name_v2: str, process: Path = _SELF) -> list[Path]:
    """Files of that name, from the process's own control group up to where its hierarchy is mounted.

    Parameters
    ----------
    controller : str
        Such as ``cpu``.
    name_v1, name_v2 : str
        The file in a hierarchy of version 1 and of version 2; empty where it has none.
    process : Path
        The process's directory in ``/proc``.

    Notes
    -----
    `man 7 cgroups`, `man 5 proc_pid_mountinfo`. Inside a container the mount may show a part of the hierarchy alone.
    """
    try:
        memberships = (process / "cgroup").read_text().splitlines()
        mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    except OSError:
        return []
    groups: dict[str, str] = {}
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        groups.update((name, path) for name in controllers.split(","))
    found: list[Path] = []
    for words in mounts:
        if "-" not in words[6:]:
            continue
        kind, options = words[words.index("-", 6) + 1], words[-1].split(",")
        if kind == "cgroup2":
            name, group = name_v2, groups.get("")
        elif kind == "cgroup" and controller in options:
            name, group = name_v1, groups.get(controller)
        else:
            continue
        if name and group is not None:
            found += _upwards(_unescape(words[4]), _unescape(words[3]), group, name)
    return [file for file in found if file.is_file()]


def _upwards(mount: str, root: str, group: str, name: str) -> Iterator[Path]:
    """The file in the group and in all above it that the mount shows."""
    inside = "/" + group.removeprefix(root).lstrip("/") if (group + "/").startswith(root.rstrip("/") + "/") else group
    parts = [part for part in inside.split("/") if part]
    if ".." in parts:  # the group lies outside what the mount shows
        parts = []
    for depth in range(len(parts), -1, -1):
        yield Path(mount, *parts[:depth], name)


def _unescape(path: str) -> str:
    """A path of mountinfo, where spaces and the like are octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)

"""What a run may use, and how it cuts its work to fit."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from miscreen.errors import InputError, ResourceError

MIB = 1 << 20
FLOOR_BYTES = 350 * MIB  # interpreter, libraries and machine code, measured; outside the budget
BYTES_PER_COLUMN = 600  # name, type, scores and the ranking of one column; outside the budget
MAX_BLOCK_BYTES = 16 * MIB  # larger blocks are no faster, and memory that is used again is cheaper than new
BLOCKS_IN_FLIGHT = 4  # one computed, one waiting, one being read, and what the reader needs to make it

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_bytes(text: str) -> int:
    """Read a size such as ``1GB``, ``500 MiB`` or ``2e9``; units are powers of 1024.

    Raises
    ------
    InputError
        When the text is no positive size.

    Examples
    --------
    >>> parse_bytes("1.5 GB")
    1610612736
    """
    cleaned = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = cleaned[-1:] if cleaned[-1:].isalpha() else ""
    try:
        size = float(cleaned.removesuffix(unit)) * _UNITS[unit]
        whole = int(size)
    except (KeyError, ValueError, OverflowError):
        whole = 0
    if whole <= 0:
        raise InputError(f"{text!r} is not a size in memory", "Write a number and a unit, such as 800MB or 4GB")
    return whole


def format_bytes(size: float) -> str:
    """A size for people, in powers of 1024.

    Examples
    --------
    >>> format_bytes(1610612736)
    '1.5 GB'
    """
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


@dataclass(frozen=True)
class Resources:
    """Threads, memory and scratch space of a run.

    Attributes
    ----------
    threads : int
        Compute threads; the pools of BLAS, Polars and Arrow are held to it too.
    memory_bytes : int
        What the run may hold beyond `FLOOR_BYTES` and `BYTES_PER_COLUMN`.
    scratch_dir : Path
        Where a table larger than the budget is laid out column by column, in an unnamed file.
    """

    threads: int
    memory_bytes: int
    scratch_dir: Path

    @classmethod
    def detect(
        cls,
        threads: int | None = None,
        memory: int | str | None = None,
        scratch_dir: Path | str | None = None,
    ) -> Resources:
        """Fill in what is not given from the machine, its control groups and the batch scheduler."""
        count = threads if threads is not None else _environment_threads() or available_threads()
        if count < 1:
            raise InputError(f"threads must be at least 1, not {count}")
        if memory is None:
            budget = available_memory() // 2
        else:
            budget = parse_bytes(memory) if isinstance(memory, str) else memory
        if budget <= 0:
            raise InputError(f"memory must be a positive number of bytes, not {budget}")
        scratch = Path(scratch_dir or os.environ.get("MISCREEN_SCRATCH") or tempfile.gettempdir())
        if not scratch.is_dir():
            raise InputError(f"the scratch directory {str(scratch)!r} does not exist", "Create it or name another")
        return cls(count, budget, scratch)


@dataclass(frozen=True)
class BlockPlan:
    """How features are cut into blocks.

    Attributes
    ----------
    n_features : int
    block_features : int
        Features a block; the last block may have fewer.
    """

    n_features: int
    block_features: int

    def ranges(self) -> list[range]:
        """The blocks, as ranges of positions among the features screened."""
        step = self.block_features
        return [range(i, min(i + step, self.n_features)) for i in range(0, self.n_features, step)]


def plan_blocks(n_features: int, n_samples: int, value_bytes: int, memory_bytes: int, held_bytes: int = 0) -> BlockPlan:
    """Cut features into blocks so that those in flight fit into what is left of the memory.

    Raises
    ------
    ResourceError
        When not even blocks of a single feature fit.
    """
    feature_bytes = max(1, n_samples * value_bytes)
    share = (memory_bytes - held_bytes) // BLOCKS_IN_FLIGHT
    if share < feature_bytes:
        held = f", of which the table itself holds {format_bytes(held_bytes)}" if held_bytes else ""
        needed = BLOCKS_IN_FLIGHT * feature_bytes + held_bytes + MIB
        raise ResourceError(
            f"one column of {n_samples:,} rows takes {format_bytes(feature_bytes)} and {BLOCKS_IN_FLIGHT} are "
            f"in memory at a time, but the budget is {format_bytes(memory_bytes)}{held}",
            f"Give at least --memory {format_bytes(needed).replace(' ', '')}",
        )
    block = max(1, min(share, MAX_BLOCK_BYTES) // feature_bytes)
    return BlockPlan(n_features, min(block, max(1, n_features)))


# ---- what the machine and the job allow --------------------------------------------------------------------


def _positive(text: str | None) -> int | None:
    try:
        number = int((text or "").split("(")[0].split(",")[0])
    except ValueError:
        return None
    return number if number > 0 else None


def _environment_threads() -> int | None:
    given = os.environ.get("MISCREEN_THREADS")
    if given is None:
        return None
    count = _positive(given)
    if count is None:
        raise InputError(f"MISCREEN_THREADS is {given!r}", "Set it to a whole number of threads, or unset it")
    return count


def available_threads() -> int:
    """The fewest processors that affinity, control groups, the scheduler and library limits allow."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    grants = [_positive(os.environ.get(v)) for v in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")]
    grants += [_scheduler_threads(), _cgroup_quota()]
    return max(1, min([affinity, *(g for g in grants if g is not None)]))


def _scheduler_threads() -> int | None:
    for variable in ("SLURM_CPUS_PER_TASK", "NCPUS", "LSB_DJOB_NUMPROC", "NSLOTS"):
        if granted := _positive(os.environ.get(variable)):
            return granted
    on_node = _positive(os.environ.get("SLURM_CPUS_ON_NODE"))
    tasks = _positive(os.environ.get("SLURM_STEP_TASKS_PER_NODE") or os.environ.get("SLURM_TASKS_PER_NODE"))
    return max(1, on_node // (tasks or 1)) if on_node else None


def _cgroup_files(controller: str, name_v1: str, name_v2: str) -> list[Path]:
    """Files of that name from the process's own control group up to the mount root."""
    found: list[Path] = []
    try:
        memberships = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = Path("/sys/fs/cgroup"), name_v2
        elif controller in controllers.split(","):
            root, name = Path("/sys/fs/cgroup") / controllers, name_v1
            if not root.is_dir():
                root = Path("/sys/fs/cgroup") / controller
        else:
            continue
        group = root / path.lstrip("/")
        while True:
            found.append(group / name)
            if group == root or root not in group.parents:
                break
            group = group.parent
    return [file for file in found if file.is_file()]


def _cgroup_quota() -> int | None:
    counts = []
    for file in _cgroup_files("cpu", "cpu.cfs_quota_us", "cpu.max"):
        try:
            words = file.read_text().split()
            period = words[1] if len(words) > 1 else file.with_name("cpu.cfs_period_us").read_text()
            if words[0] not in ("max", "-1"):
                counts.append(max(1, int(words[0]) // int(period)))
        except (OSError, ValueError, IndexError):
            continue
    return min(counts) if counts else None


def available_memory() -> int:
    """The fewest bytes that the machine, control groups, resource limits and the scheduler allow."""
    limits = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in _cgroup_files("memory", "memory.limit_in_bytes", "memory.max"):
        try:
            limits.append(int(file.read_text()))
        except (OSError, ValueError):  # "max", or not ours to read
            continue
    try:
        import resource

        for limit in (resource.RLIMIT_AS, resource.RLIMIT_RSS):
            soft, _ = resource.getrlimit(limit)
            if soft != resource.RLIM_INFINITY:
                limits.append(soft)
    except ImportError:  # not a Unix system
        pass
    per_node = _positive(os.environ.get("SLURM_MEM_PER_NODE"))
    per_cpu = _positive(os.environ.get("SLURM_MEM_PER_CPU"))
    if per_node:
        limits.append(per_node * MIB)
    elif per_cpu:
        limits.append(per_cpu * MIB * available_threads())
    return min(limits) if limits else 4 << 30

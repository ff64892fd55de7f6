"""What a run may use, and how it cuts its work to fit."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from miscreen.errors import InputError, ResourceError, path_given, whole_number
from miscreen.limits import ADDRESS_SPACE, MIB, Limits, environment_threads, least

FLOOR_BYTES = 350 * MIB  # interpreter, libraries and machine code, measured; outside the budget
MAPPED_BYTES = 1800 * MIB  # address space of a run beside its budget, measured; most of it is never used
MAPPED_PER_THREAD = 128 * MIB  # what the C library sets aside for each, and their stacks
BYTES_PER_COLUMN = 600  # name, type, scores and the ranking of one column; outside the budget
LEAST_BUDGET = 16 * MIB  # asked of the limits when no memory is given
MAX_BLOCK_BYTES = 16 * MIB  # larger blocks are no faster, and memory that is used again is cheaper than new
BLOCKS_IN_FLIGHT = 4  # in memory at a time: two threads have one each, and as much again of the file

_TRIM_THRESHOLD = (-1, 256 * MIB)  # numbers of glibc's malloc.h, with what it is to return to the system, and when
_MMAP_THRESHOLD = (-3, 32 * MIB)

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


def enough_memory(size: float) -> str:
    """The least ``--memory``, of few digits, that gives so many bytes.

    Examples
    --------
    >>> enough_memory(1_100_000_000), enough_memory(3 << 20)
    ('1.1GB', '3.0MB')
    """
    unit = "KMGT"[min(3, int(math.log(max(size, 1024), 1024)) - 1)]
    return f"{math.ceil(10 * size / _UNITS[unit]) / 10}{unit}B"


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
    memory_source : str
        The limit that `memory_bytes` follow from.
    """

    threads: int
    memory_bytes: int
    scratch_dir: Path
    memory_source: str = "--memory"

    @classmethod
    def detect(
        cls,
        threads: int | None = None,
        memory: int | str | None = None,
        scratch_dir: Path | str | None = None,
    ) -> Resources:
        """Fill in what is not given from the machine, its control groups and the batch scheduler.

        Raises
        ------
        InputError
            When a number makes no sense, or the scratch directory does not exist.
        ResourceError
            When the limits leave no room for the libraries, or none for the memory asked for.
        """
        limits = Limits.detect()
        count = environment_threads() or least(limits.threads).value if threads is None else threads
        count = whole_number("threads", count, 1)
        given = parse_bytes(memory) if isinstance(memory, str) else memory
        if given is not None:
            given = whole_number("memory in bytes", given, 1)
        budget, by = _budget(limits, count, given)
        scratch_dir = scratch_dir or os.environ.get("MISCREEN_SCRATCH") or tempfile.gettempdir()
        scratch = path_given("scratch_dir", scratch_dir)
        if not scratch.is_dir():
            raise InputError(f"the scratch directory {str(scratch)!r} does not exist", "Create it or name another")
        return cls(count, budget, scratch, by)


def reuse_freed_memory() -> None:
    """Let glibc keep large arrays that were freed for those made next, where this is Linux.

    Otherwise it returns each to the system and asks for it again, page by page: a column of a million rows then costs
    as much to get room for as to look at. What is kept is no more than was in use at one time.
    """
    if sys.platform == "linux":
        import ctypes

        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:  # glibc, unlike musl
            for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
                set_option(*option)


_pools_lock = threading.Lock()
_pools_before: list[tuple[int, int]] = []  # of each run in this process: what the pools were before the first of them


@contextmanager
def library_threads(threads: int) -> Iterator[None]:
    """Hold Arrow's pools to the run's threads; ours is the only other one that is used.

    They are the process's: of runs at once, the last to begin sets them and the last to end gives them back.
    """
    import pyarrow as pa

    with _pools_lock:
        _pools_before.append(_pools_before[0] if _pools_before else (pa.cpu_count(), pa.io_thread_count()))
        pa.set_cpu_count(threads)
        pa.set_io_thread_count(threads)
    try:
        yield
    finally:
        with _pools_lock:
            computing, reading = _pools_before.pop()
            if not _pools_before:
                pa.set_cpu_count(computing)
                pa.set_io_thread_count(reading)


def plan_blocks(n_features: int, n_samples: int, value_bytes: int, memory_bytes: int, held_bytes: int = 0) -> int:
    """How many features make a block, so that the blocks in flight fit into what is left of the memory.

    Raises
    ------
    ResourceError
        When not even blocks of a single feature fit.
    """
    feature_bytes = max(1, n_samples * value_bytes)
    share = (memory_bytes - held_bytes) // BLOCKS_IN_FLIGHT
    if share < feature_bytes:
        held = f", of which the table itself holds {format_bytes(held_bytes)}" if held_bytes else ""
        needed = BLOCKS_IN_FLIGHT * feature_bytes + held_bytes
        raise ResourceError(
            f"one column of {n_samples:,} rows takes {format_bytes(feature_bytes)} and {BLOCKS_IN_FLIGHT} are "
            f"in memory at a time, but the budget is {format_bytes(memory_bytes)}{held}",
            f"Give at least --memory {enough_memory(needed)}",
        )
    block = max(1, min(share, MAX_BLOCK_BYTES) // feature_bytes)
    return min(block, max(1, n_features))


def _budget(limits: Limits, threads: int, given: int | None) -> tuple[int, str]:
    """The memory asked for, or half of what is allowed, and where that comes from.

    `ResourceError` where it leaves none for the libraries.
    """
    bound = least(limits.memory)
    budget, by = min(bound.value // 2, bound.value - FLOOR_BYTES), bound.source
    if given is not None:
        budget, by = given, "--memory"
    if budget < LEAST_BUDGET and given is None:
        short = ResourceError(
            f"{bound.source} limits memory to {format_bytes(bound.value)}, but a run needs "
            f"{format_bytes(FLOOR_BYTES + LEAST_BUDGET)}, most of it for libraries",
            "Ask for more, or set the budget beside the libraries with --memory",
        )
        short.source = bound.source
        raise short
    if limits.address_space is None:
        return budget, by
    # A library that can map no more ends the process where it stands, so this is told before any is loaded.
    floor = MAPPED_BYTES + threads * MAPPED_PER_THREAD
    needed = floor + (LEAST_BUDGET if given is None else given)
    if limits.address_space < needed:
        smaller = "" if given is None else " or a smaller --memory"
        short = ResourceError(
            f"the address space is limited to {format_bytes(limits.address_space)} (ulimit -v), but a run with "
            f"{threads:,} threads needs {format_bytes(needed)}: {format_bytes(floor)} for libraries and threads, "
            f"{format_bytes(needed - floor)} for --memory",
            f"Raise the limit, or give fewer --threads{smaller}",
        )
        short.source = ADDRESS_SPACE
        raise short
    if given is None and limits.address_space - floor < budget:
        return limits.address_space - floor, ADDRESS_SPACE
    return budget, by

"""Blocks of columns on their way from a table to the threads that look at them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import MiscreenError
from miscreen.model import FeatureBlock
from miscreen.resources import BLOCKS_IN_FLIGHT, reuse_freed_memory
from miscreen.tables import Progress
from miscreen.tables.source import TableSource

# Columns scored in one call: small enough to stay in cache with their sort order, large enough to amortise the ~50 us
# that a thread waits for the GIL after each call.
SLICE_BYTES = 3 << 20
_FIRST_SLICE_BYTES = 128 << 10  # they grow while they are quick: with p-values a column may take a second
_QUICK, _SLOW = 0.1, 1.0  # seconds a slice, after which progress is told
ALL_SLICES_BYTES = 64 << 20  # of all threads: a method may take four times as much again
_BLOCKS_EACH = 8  # for every thread, at least: the last to end keeps the others waiting for its block
_PROGRESS_SECONDS = 0.1
_HERE = threading.local()


@contextmanager
def worker_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, which an error in the block under it ends at their next `check_wanted`.

    Such as Ctrl-C, of which only the thread that waits for them learns.
    """
    unwanted = threading.Event()
    with ThreadPoolExecutor(count, initializer=setattr, initargs=(_HERE, "unwanted", unwanted)) as pool:
        try:
            yield pool
        except BaseException:
            unwanted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def check_wanted() -> None:
    """End what a thread of `worker_threads` has in hand if nobody waits for it any more; to be called now and then."""
    unwanted = getattr(_HERE, "unwanted", None)
    if unwanted is not None and unwanted.is_set():
        raise CancelledError


def run_blocks(
    source: TableSource,
    columns: NDArray[np.intp],
    block_features: int,
    scorer: Callable[[FeatureBlock, int, int], None],
    threads: int,
    on_progress: Progress | None,
) -> None:
    """Let a pool of threads read blocks and look at them slice by slice, each thread at a block of its own.

    `scorer` is called with a block and a range of its features; an error in it names the features it had.

    Notes
    -----
    A thread that reads a block has its values and, at most, as much again of the file. So there are only as many
    threads as blocks of `block_features` in flight allow, each of which may be cut into smaller ones.
    """
    reuse_freed_memory()
    feature_bytes = max(1, source.n_samples * source.value_bytes)
    share = -(-len(columns) // (_BLOCKS_EACH * threads))
    size = max(1, min(block_features, source.grain_bytes // feature_bytes, share))
    at_once = max(1, min(threads, BLOCKS_IN_FLIGHT * block_features // (2 * size)))
    largest = max(1, min(SLICE_BYTES, ALL_SLICES_BYTES // at_once) // (8 * max(1, source.n_samples)))
    smallest = min(largest, max(1, _FIRST_SLICE_BYTES // (8 * max(1, source.n_samples))))
    step = smallest  # set by all threads: whoever is last has seen the columns that are now being scored
    scored: deque[int] = deque()  # features of each slice, by any thread

    def work(first: int) -> None:
        nonlocal step
        some = columns[first : first + size]
        with _naming("reading", source, some):
            block = source.block(some, first)
        start = 0
        while start < len(some):
            check_wanted()
            stop, began = min(start + step, len(some)), time.monotonic()
            with _naming("scoring", source, some[start:stop]):
                scorer(block, start, stop)
            if on_progress is not None:
                scored.append(stop - start)
            took, start = time.monotonic() - began, stop
            if took < _QUICK:
                step = min(largest, 2 * step)
            elif took > _SLOW:
                step = smallest

    done = 0
    waiting = deque(range(0, len(columns), size))
    with worker_threads(at_once) as pool:
        running = deque(pool.submit(work, waiting.popleft()) for _ in range(min(2 * at_once, len(waiting))))
        last = time.monotonic()
        while running:
            wait([running[0]], None if on_progress is None else _PROGRESS_SECONDS)
            if running[0].done():
                running.popleft().result()
                if waiting:
                    running.append(pool.submit(work, waiting.popleft()))
            if on_progress is not None and scored and (now := time.monotonic()) - last >= _PROGRESS_SECONDS:
                while scored:
                    done += scored.popleft()
                on_progress("score", done, len(columns))
                last = now
    if on_progress is not None:
        on_progress("score", len(columns), len(columns))


@contextmanager
def _naming(task: str, source: TableSource, columns: NDArray[np.intp]) -> Iterator[None]:
    """Have an error that nobody foresaw tell which features were in hand."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, MiscreenError):
            first, last = source.names[columns[0]], source.names[columns[-1]]
            error.add_note(f"while {task} features {first!r} to {last!r}")
        raise

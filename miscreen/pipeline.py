"""Blocks of columns on their way from a table to the threads that look at them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import MiscreenError
from miscreen.model import FeatureBlock
from miscreen.resources import BlockPlan
from miscreen.tables import Progress
from miscreen.tables.source import TableSource

SLICE_BYTES = 512 << 10  # columns scored in one call: enough to hide the call, few enough for the L2 cache
_PROGRESS_SECONDS = 0.1


def run_blocks(
    source: TableSource,
    columns: NDArray[np.intp],
    plan: BlockPlan,
    scorer: Callable[[FeatureBlock, int, int], None],
    threads: int,
    on_progress: Progress | None,
) -> None:
    """Hand slices of all blocks to a pool of threads, reading ahead on one more.

    `scorer` is called with a block and a range of its features; an error in it names the features it had.
    """
    step = max(1, SLICE_BYTES // (8 * max(1, source.n_samples)))
    done, last = 0, 0.0
    with ThreadPoolExecutor(threads) as workers, _read_ahead(source.blocks(columns, plan)) as blocks:
        for block in blocks:
            size = len(block.names)
            pending: list[tuple[Future[None], int, int]] = []
            for start in range(0, size, step):
                stop = min(start + step, size)
                pending.append((workers.submit(scorer, block, start, stop), start, stop))
            try:
                for future, start, stop in pending:
                    future.result()
                    done += stop - start
                    if on_progress is not None and (now := time.monotonic()) - last > _PROGRESS_SECONDS:
                        on_progress("score", done, len(columns))
                        last = now
            except BaseException as error:
                for future, _, _ in pending:
                    future.cancel()
                if isinstance(error, Exception) and not isinstance(error, MiscreenError):
                    error.add_note(f"while scoring features {block.names[start]!r} to {block.names[stop - 1]!r}")
                raise
    if on_progress is not None:
        on_progress("score", len(columns), len(columns))


@contextmanager
def _read_ahead(blocks: Iterator[FeatureBlock]) -> Iterator[Iterator[FeatureBlock]]:
    """Draw the next block on a thread of its own while the current one is in use."""
    with ThreadPoolExecutor(1) as reader:

        def follow() -> Iterator[FeatureBlock]:
            upcoming = reader.submit(next, blocks, None)
            while (block := upcoming.result()) is not None:
                upcoming = reader.submit(next, blocks, None)
                yield block

        yield follow()

"""A ranking made partition by partition: here or by workers, kept as it goes, whole or as a shard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from miscreen.cluster.checkpoints import Checkpoints
from miscreen.cluster.identity import Identity, check_unchanged, stamps
from miscreen.cluster.stopping import stop_on_signals
from miscreen.errors import InputError, StoppedError, path_given
from miscreen.partition import Partition, rank_partitions
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.screening import Screen
from miscreen.tables import Progress
from miscreen.tables.files import streams

if TYPE_CHECKING:
    from threading import Event

PARTITION_SECONDS = 10.0  # of work: what a kill loses, and what a stop waits for
_FIRST_VALUES = 1 << 16  # few, since a column may take a second
_LOG = logging.getLogger("miscreen")


def rank_in_partitions(
    source: Any,
    request: Request,
    checkpoints: str | PathLike[str] | None,
    dask: str | PathLike[str] | None,
    workers: int | None,
) -> Ranking:
    """`miscreen.rank` where finished partitions are kept, or scored by Dask."""
    files = stamps(source)
    if dask is not None and streams(source):
        raise InputError(
            f"{source} can be read only from its beginning to its end, as every worker would do anew",
            "Convert it first: miscreen convert data.csv data.arrow",
        )
    counted = Counted(request.on_progress)
    request = replace(request, on_progress=counted)
    with ExitStack() as stack:
        table = stack.enter_context(request.open(source))
        job = Screen(table, request)
        identity = Identity.of(files, table, job)
        kept = None
        if checkpoints is not None:
            kept = stack.enter_context(Checkpoints(path_given("checkpoints", checkpoints), identity))
        features = range(job.n_features)
        unchanged = partial(check_unchanged, source, files)
        if dask is None:
            assert kept is not None  # else there are no partitions
            partitions = score_range(job.score_partition, features, table.n_samples, kept, counted, unchanged)
        else:
            from miscreen.cluster.workers import score_with_dask

            partitions = score_with_dask(
                source, request, identity, features, kept, counted, unchanged, str(dask), workers
            )
        unchanged()
        return rank_partitions(partitions, job.metadata)


class Counted:
    """Progress within a partition, told as progress within all that is to be scored."""

    def __init__(self, on_progress: Progress | None) -> None:
        self._on_progress = on_progress
        self.done = 0
        self.total: int | None = None

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        if self._on_progress is None:
            return
        if phase == "score":
            done, total = self.done + done, self.total
        self._on_progress(phase, done, total)


def score_range(
    score: Callable[[range], Partition],
    features: range,
    n_samples: int,
    kept: Checkpoints,
    counted: Counted,
    unchanged: Callable[[], None],
) -> list[Partition]:
    """Score features in partitions of about `PARTITION_SECONDS`, leaving out those that are kept already.

    Raises
    ------
    DataError
        When the input changed: nothing is kept of what was read since.
    StoppedError
        When a signal asked for it; the partition in hand is finished and kept.
    """
    collected = Collected(features, n_samples, kept, counted, unchanged, PARTITION_SECONDS)
    with stop_on_signals() as stop:
        for piece in collected.pieces():
            collected.check_stop(stop)
            began = time.monotonic()
            partition = score(piece)
            collected.add(partition, time.monotonic() - began)
    return collected.partitions


class Collected:
    """The partitions of a range of features: those that were kept before, then those that come in.

    Parameters
    ----------
    features : range
    n_samples : int
    kept : Checkpoints, optional
        Has the former and gets the latter.
    counted : Counted
        Learns how much is finished.
    unchanged : callable
        Raises when the input has changed since the run began.
    seconds : float
        How long a partition is to take.

    Attributes
    ----------
    partitions : list of Partition
    """

    def __init__(
        self,
        features: range,
        n_samples: int,
        kept: Checkpoints | None,
        counted: Counted,
        unchanged: Callable[[], None],
        seconds: float,
    ) -> None:
        self.partitions = [] if kept is None else kept.load()
        self._features = features
        self._kept = kept
        self._counted = counted
        self._unchanged = unchanged
        self._pace = Pace(max(1, _FIRST_VALUES // n_samples), seconds)
        counted.total, counted.done = len(features), sum(len(p.names) for p in self.partitions)
        if self.partitions:
            _LOG.info("%s of %s columns are finished already", f"{counted.done:,}", f"{len(features):,}")

    @property
    def complete(self) -> bool:
        """Whether there are partitions of all features."""
        return self._counted.done == len(self._features)

    def pieces(self) -> Iterator[range]:
        """What no partition has when the first is asked for, each as large as the pace says by then."""
        for gap in list(gaps(self._features, self.partitions)):
            while len(gap):
                piece, gap = gap[: self._pace.size], gap[self._pace.size :]
                yield piece

    def add(self, partition: Partition, seconds: float) -> None:
        """Take in a partition that took so long, and keep it."""
        self._pace.took(len(partition.names), seconds)
        if self._kept is not None:
            self._unchanged()  # else it would be kept as of an input that it is not of, and used when that is back
            self._kept.keep(partition)
        self.partitions.append(partition)
        self._counted.done += len(partition.names)

    def check_stop(self, stop: Event) -> None:
        """Raise `StoppedError` when a signal has asked for it and there is more to do."""
        if stop.is_set() and not self.complete:
            raise StoppedError(
                f"stopped by a signal with {self._counted.done:,} of {len(self._features):,} columns finished",
                "Run the same command again to go on",
            )


class Pace:
    """How many features make a partition of so many seconds, from how long earlier ones took."""

    def __init__(self, first: int, seconds: float) -> None:
        self.size = first
        self._seconds = seconds

    def took(self, n_features: int, seconds: float) -> None:
        """Learn from a partition; compiling makes the first slow, so that sizes grow but step by step."""
        fitting = int(n_features * self._seconds / max(seconds, 1e-9))
        self.size = max(1, min(fitting, 4 * self.size))


def gaps(features: range, partitions: Sequence[Partition]) -> Iterator[range]:
    """The features that no partition has, in order; partitions are in order and apart."""
    start = features.start
    for partition in partitions:
        if partition.first > start:
            yield range(start, partition.first)
        start = partition.first + len(partition.names)
    if start < features.stop:
        yield range(start, features.stop)

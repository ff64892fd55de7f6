"""Where tables, estimators and rankings meet: blocks of columns in, one ranking out."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from miscreen.errors import DataError, InputError, whole_number
from miscreen.kernels._ahead import expect
from miscreen.model import Floats, Kind
from miscreen.partition import Partition, rank_partitions
from miscreen.pipeline import run_blocks
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.resources import plan_blocks
from miscreen.roles import choose_columns, read_target
from miscreen.scoring import Outcome, Scorer
from miscreen.tables import Progress
from miscreen.tables.source import TableSource, members

if TYPE_CHECKING:
    from miscreen.tables.delimited import ReadOptions


def rank(
    source: Any,
    target: str | Sequence[str],
    method: str = "auto",
    *,
    names: Sequence[str] | None = None,
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    discrete: Sequence[str] = (),
    continuous: Sequence[str] = (),
    target_kind: str | None = None,
    max_levels: int = 20,
    min_samples: int = 10,
    unit: str = "nats",
    extra: Sequence[str] = (),
    p_values: bool = False,
    fdr: float | None = None,
    fdr_method: str = "bh",
    strata: str | None = None,
    max_t: int | None = None,
    ci: float | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
    read: ReadOptions | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    scratch_dir: str | None = None,
    checkpoints: str | PathLike[str] | None = None,
    dask: str | PathLike[str] | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> Ranking:
    """Rank the columns of a table by their mutual information with a target, in nats unless `unit` says bits.

    Parameters
    ----------
    source : path, Polars, pandas or pyarrow table, or NumPy array
        What `miscreen.tables.open_table` takes; one sample a row.
    target : str or sequence of str
        Column to explain; several are ranked in one pass over the data. Targets are no features.
    method : str
        ``auto``, ``bin``, ``kde``, ``ksg``, ``pearson``, ``spearman`` or ``copula``.
    names : sequence of str, optional
        Column names of a NumPy array.
    features, exclude : sequences of str
        Names, globs or ``@file``: the columns to screen (all when empty), and columns to leave out.
    discrete, continuous : sequences of str
        Names, globs or ``@file``: columns whose kind is not to be guessed. Numbers named discrete are classes without
        an order, like text.
    target_kind : str, optional
        ``continuous``, or ``discrete``, without an order: the kind of every target.
    max_levels : int
        Integers with at most so many distinct values are discrete.
    min_samples : int
        Features with fewer samples (where both they and the target are present) get no score.
    unit : str
        ``nats`` or ``bits``, for scores and mutual information.
    extra : sequence of str
        Further columns: ``linfoot``, the correlation of a Gaussian pair of that mutual information, and
        ``normalized``, its share of the entropy of a discrete target.
    p_values : bool
        Adds ``p_value``, ``q_value`` and ``p_method``: the probability of such a score if the feature had nothing to
        do with the target, and the least false discovery rate at which it is a discovery.
    fdr : float, optional
        Marks discoveries at this false discovery rate in a column ``selected``; implies `p_values`.
    fdr_method : str
        ``bh`` (Benjamini and Hochberg) or ``by`` (Benjamini and Yekutieli, for any dependence among features).
    strata : str, optional
        Column of groups, such as sites: under the null, values are permuted within groups alone. It is no feature.
    max_t : int, optional
        Adds ``p_fwer``, family-wise p-values of the largest score over so many permutations of the target.
    ci : float, optional
        Adds ``ci_low`` and ``ci_high``, the ends of an interval of this level for the mutual information, which need
        not hold a biased estimate: see `miscreen.inference.intervals.Intervals`.
    bootstrap : int, optional
        Takes the standard error of the intervals from so many random halves of the samples.
    seed : int
        Key of everything random.
    read : ReadOptions, optional
        How delimited text is read, and what means missing in any table.
    threads : int, optional
        Compute threads; default: what the machine and the job allow.
    memory : int or str, optional
        Bytes, or a text such as ``"2GB"``; default: half of what the machine and the job allow.
    scratch_dir : str, optional
        Where text that exceeds the memory is laid out by columns.
    checkpoints : path, optional
        Directory for what is finished, from which the same call goes on after it was ended; made when missing. The
        source must be a file. `miscreen.cluster.checkpoints.remove_checkpoints` clears it.
    dask : str or path, optional
        Let the workers of Dask score: ``local``, ``slurm`` (through dask-jobqueue), the scheduler's address or its
        scheduler file. The source must be a Parquet or Arrow file that all workers see. ``local`` workers import the
        script that asks for them, which must do so under ``if __name__ == "__main__":``.
    workers : int, optional
        How many, for ``local`` (default: as many as threads) and ``slurm``.
    on_progress : callable, optional
        Called with a phase, how much is done and how much there is, or None: bytes of text (``read``) and columns
        (``score``); by `miscreen.select` also columns (``gather``, ``code``, ``compare``) and halves of the rows
        (``subsample``), and by `miscreen.evaluate` models (``fit``).
    **options
        Options of the method, with the values and defaults of the command line: ``mi`` (``auto``: False leaves mutual
        information out), ``bins``, ``binning``, ``correction`` (``bin``), ``kernel``, ``bandwidth``,
        ``bandwidth_multiplier``, ``grid``, ``scale`` (``kde``), ``k``, ``scale`` (``ksg``).

    Returns
    -------
    Ranking
        Every feature, best first; those without a score last, with the reason in ``status``.

    Raises
    ------
    InputError
        When a name, an option or the file does not exist.
    DataError
        When the data are damaged, or a target has no two different values.
    ResourceError
        When the memory does not hold a single block of columns.
    StoppedError
        With `checkpoints`, when SIGTERM or SIGUSR1 asked for it: the partition in hand is finished and kept.

    Notes
    -----
    Missing and infinite values are deleted pair by pair. A feature's score depends on its own column, the
    target and the options alone. Time is proportional to the columns and, but for many permutations, to n log n of
    the samples n; memory is `memory`, and beside it about 350 MB for libraries and 600 bytes a column.

    On Linux the C library keeps large arrays that were freed for the next ones, in this process from then on: its
    memory stays at the most that was in use. The threads of Arrow's pools are given back when no run is left.

    Examples
    --------
    >>> import miscreen, numpy as np
    >>> rng = np.random.default_rng(1)
    >>> table = rng.standard_normal((200, 3))
    >>> table[:, 2] += table[:, 0]
    >>> miscreen.rank(table, target="y", names=["a", "b", "y"]).names
    ['a', 'b']
    """
    request = Request.make(
        target, method, names=names, features=features, exclude=exclude, discrete=discrete, continuous=continuous,
        target_kind=target_kind, max_levels=max_levels, min_samples=min_samples, unit=unit, extra=extra,
        p_values=p_values, fdr=fdr, fdr_method=fdr_method, strata=strata, max_t=max_t, ci=ci,
        bootstrap=bootstrap, seed=seed, read=read, threads=threads,
        memory=memory, scratch_dir=scratch_dir, on_progress=on_progress, **options,
    )  # fmt: skip
    if workers is not None:
        workers = whole_number("workers", workers, 1)
        if dask is None:
            raise InputError("workers are those of dask", "Give dask as well, or threads")
    if checkpoints is not None or dask is not None:
        from miscreen.cluster.run import rank_in_partitions

        return rank_in_partitions(source, request, checkpoints, dask, workers)
    with request.open(source, once=True) as table:
        return screen(table, request)


def screen(source: TableSource, request: Request) -> Ranking:
    """Score every feature of an open table against every target; see `rank`."""
    job = Screen(source, request)
    return rank_partitions([job.score_partition(range(job.n_features))], job.metadata)


class Screen:
    """An open table and what is asked of it, ready to score any range of the features.

    Parameters
    ----------
    source : TableSource
    request : Request

    Attributes
    ----------
    n_features : int
        How many columns are screened.
    metadata : dict
        For `rank_partitions`: the request, the shape of the table and the targets' fingerprints.
    """

    def __init__(self, source: TableSource, request: Request) -> None:
        spec, roles = request.spec, choose_columns(source, request)
        if source.n_samples == 0:
            raise DataError(f"{source.label} has no rows", "Give a table with at least one sample a row")
        self._source = source
        self._request = request
        self._columns = roles.features
        self._forced = roles.forced[roles.features]
        targets = []
        fingerprints = []
        for at in roles.targets:
            column = source.column(at)
            fingerprints.append(_fingerprint(column.values))
            targets.append(read_target(column, int(roles.forced[at]), spec))
        for kind in sorted({target.kind for target in targets}):
            expect(f"{spec.method}+{kind.label}")
        if request.inference.p_values:
            expect("p-values")
        if "normalized" in request.extra and all(target.kind == Kind.CONTINUOUS for target in targets):
            raise DataError("no target is discrete, so normalized has no meaning", "Leave out --extra normalized")
        groups = None if roles.strata is None else source.column(roles.strata)
        self._outcomes = [Outcome(target, groups, request) for target in targets]
        self.n_features = len(roles.features)
        self.metadata = request.metadata() | {
            "n_samples": source.n_samples,
            "n_features": self.n_features,
            "target_fingerprints": fingerprints,
        }

    def score_partition(self, features: range) -> Partition:
        """Score a range of the features, block by block."""
        source, request = self._source, self._request
        columns = self._columns[features.start : features.stop]
        block_features = plan_blocks(
            len(columns), source.n_samples, source.value_bytes, request.resources.memory_bytes, source.held_bytes
        )
        tallies = [outcome.tally(len(columns)) for outcome in self._outcomes]
        partition = Partition(
            first=features.start,
            names=members(source.names, columns),
            kinds=np.zeros(len(columns), dtype=np.uint8),
            n_infinite=np.zeros(len(columns), dtype=np.int64),
            fingerprints=np.zeros(len(columns), dtype=np.uint64),
            findings=[tally.findings for tally in tallies],
        )
        forced = self._forced[features.start : features.stop]
        scorer = Scorer(source, columns, request.spec, partition, tallies, forced)
        run_blocks(source, columns, block_features, scorer, request.resources.threads, request.on_progress)
        for tally in tallies:
            tally.settle(request.resources.threads)
        if request.inference.max_t:
            partition.notes["maxima"] = [tally.max_t.maxima.tolist() for tally in tallies if tally.max_t]
        return partition


def _fingerprint(values: Floats) -> int:
    from miscreen.kernels.survey import survey

    fingerprint, (infinite, present) = np.empty(1, dtype=np.uint64), np.empty((2, 1), dtype=np.int64)
    survey(values[np.newaxis].copy(), fingerprint, infinite, present, np.empty(1, dtype=np.bool_))
    return int(fingerprint[0])

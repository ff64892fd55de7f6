"""Where tables, estimators and rankings meet: blocks of columns in, one ranking out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError
from miscreen.estimators import estimator_class
from miscreen.kernels._ahead import expect
from miscreen.measures import further_measures
from miscreen.model import (
    Batch,
    ColumnType,
    FeatureBlock,
    Floats,
    Kind,
    ScreenSpec,
    Status,
    Target,
    codes_by_appearance,
)
from miscreen.partition import Findings, Partition, rank_partitions
from miscreen.pipeline import run_blocks
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.resources import plan_blocks
from miscreen.roles import choose_columns, decide_kinds, read_strata, read_target
from miscreen.tables import Progress
from miscreen.tables.columns import NameIndex
from miscreen.tables.source import TableSource, members

if TYPE_CHECKING:
    from miscreen.estimators.estimator import Estimator
    from miscreen.inference.intervals import Intervals
    from miscreen.inference.max_t import MaxT
    from miscreen.inference.significance import Significance
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
    dask: str | None = None,
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
        How delimited text is read.
    threads : int, optional
        Compute threads; default: what the machine and the job allow.
    memory : int or str, optional
        Bytes, or a text such as ``"2GB"``; default: half of what the machine and the job allow.
    scratch_dir : str, optional
        Where text that exceeds the memory is laid out by columns.
    checkpoints : path, optional
        Directory for what is finished, from which the same call goes on after it was ended; made when missing. The
        source must be a file. `miscreen.cluster.checkpoints.remove_checkpoints` clears it.
    dask : str, optional
        Let the workers of Dask score: ``local``, ``slurm`` (through dask-jobqueue), the scheduler's address or its
        scheduler file. The source must be a Parquet or Arrow file that all workers see. ``local`` workers import the
        script that asks for them, which must do so under ``if __name__ == "__main__":``.
    workers : int, optional
        How many, for ``local`` (default: as many as threads) and ``slurm``.
    on_progress : callable, optional
        Called with a phase (``read``, ``score``), how much is done and how much there is, or None.
    **options
        Options of the method.

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
    target and the options alone.

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
    if workers is not None and dask is None:
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


def named_columns(
    source: TableSource, request: Request
) -> tuple[NDArray[np.intp], list[int], list[int], NDArray[np.int8]]:
    """Positions of features, targets and strata, and the kinds forced, as `choose_columns` has them.

    It looks at no values. `InputError` when a name is none of the table's, or leaves nothing to screen.
    """
    index = NameIndex(source.names, source.label)
    strata = request.inference.strata
    if strata in request.targets:
        raise InputError(f"the strata are a target, {strata!r}", "Name another column with --strata, or none")
    grouping = [] if strata is None else [index.one(strata, "the strata")]
    columns, target_columns, forced = choose_columns(
        source, index, request.targets, request.spec, request.features, request.exclude, grouping
    )
    return columns, target_columns, grouping, forced


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
        spec = request.spec
        columns, target_columns, grouping, forced = named_columns(source, request)
        if source.n_samples == 0:
            raise DataError(f"{source.label} has no rows", "Give a table with at least one sample a row")
        self._source = source
        self._request = request
        self._columns = columns
        self._forced = forced[columns]
        self._targets = []
        fingerprints = []
        for column in target_columns:
            outcome = source.column(column)
            fingerprints.append(_fingerprint(outcome.values))
            self._targets.append(read_target(outcome, forced[column], spec))
        for kind in sorted({target.kind for target in self._targets}):
            expect(f"{spec.method}+{kind.label}")
        if request.inference.p_values:
            expect("p-values")
        if "normalized" in request.extra and all(target.kind == Kind.CONTINUOUS for target in self._targets):
            raise DataError("no target is discrete, so normalized has no meaning", "Leave out --extra normalized")
        self._estimators = [estimator_class(spec.method)(target, spec.options) for target in self._targets]
        self._strata: list[NDArray[np.int64] | None] = [None] * len(self._targets)
        for column in grouping:
            groups = source.column(column)
            self._strata = [read_strata(groups, target) for target in self._targets]
        self._significance: list[Significance] = []  # for all partitions, since nulls take long to draw
        if request.inference.p_values:
            from miscreen.inference.significance import Significance

            self._significance = [
                Significance(target, estimator, spec.seed, strata)
                for target, estimator, strata in zip(self._targets, self._estimators, self._strata, strict=True)
            ]
        self.n_features = len(columns)
        self.metadata = request.metadata() | {
            "n_samples": source.n_samples,
            "n_features": len(columns),
            "target_fingerprints": fingerprints,
        }

    def score_partition(self, features: range) -> Partition:
        """Score a range of the features, block by block."""
        source, request = self._source, self._request
        columns = self._columns[features.start : features.stop]
        block_features = plan_blocks(
            len(columns), source.n_samples, source.value_bytes, request.resources.memory_bytes, source.held_bytes
        )
        partition = Partition(
            first=features.start,
            names=members(source.names, columns),
            kinds=np.zeros(len(columns), dtype=np.uint8),
            n_infinite=np.zeros(len(columns), dtype=np.int64),
            fingerprints=np.zeros(len(columns), dtype=np.uint64),
            findings=[],
        )
        tallies = [self._tally(i, len(columns)) for i in range(len(self._targets))]
        partition.findings.extend(tally.findings for tally in tallies)
        forced = self._forced[features.start : features.stop]
        scorer = _Scorer(source, columns, request.spec, partition, tallies, forced)
        run_blocks(source, columns, block_features, scorer, request.resources.threads, request.on_progress)
        for tally in tallies:
            tally.settle(request.resources.threads)
        if request.inference.max_t:
            partition.notes["maxima"] = [tally.max_t.maxima.tolist() for tally in tallies if tally.max_t]
        return partition

    def _tally(self, i: int, n_features: int) -> _Tally:
        """Room for what will be found out about a number of features with regard to one target."""
        target, estimator, strata = self._targets[i], self._estimators[i], self._strata[i]
        inference, seed = self._request.inference, self._request.spec.seed
        extras = dict.fromkeys([*estimator.extra_columns, *self._request.extra])
        tally = _Tally(target, estimator, Findings.empty(n_features, extras), self._request.extra)
        if inference.p_values:
            tally.significance = self._significance[i]
            tally.findings.extras["p_value"] = np.full(n_features, np.nan)
            tally.findings.extras["p_method"] = np.full(n_features, "", dtype=object)
        if inference.ci is not None:
            from miscreen.inference.intervals import COLUMNS, Intervals

            tally.intervals = Intervals(target, inference.ci, inference.bootstrap, seed)
            tally.findings.extras.update({name: np.full(n_features, np.nan) for name in COLUMNS})
        if inference.max_t:
            from miscreen.inference.max_t import MaxT

            tally.max_t = MaxT(target, estimator, inference.max_t, seed, strata)
        return tally


def _fingerprint(values: Floats) -> int:
    from miscreen.kernels.survey import survey

    fingerprint, (infinite, present) = np.empty(1, dtype=np.uint64), np.empty((2, 1), dtype=np.int64)
    survey(values[np.newaxis].copy(), fingerprint, infinite, present, np.empty(1, dtype=np.bool_))
    return int(fingerprint[0])


@dataclass
class _Tally:
    """What is being found out about features with regard to one target."""

    target: Target
    estimator: Estimator
    findings: Findings
    measures: Sequence[str]
    significance: Significance | None = None
    max_t: MaxT | None = None
    intervals: Intervals | None = None

    def add(self, batch: Batch, at: slice | NDArray[np.intp], names: Sequence[str]) -> None:
        """Score a batch whose features have the positions `at` among all of these names."""
        findings = self.findings
        scores = self.estimator.score(batch)
        findings.mi[at] = scores.mi
        findings.score[at] = score = scores.mi if scores.score is None else scores.score
        findings.method[at] = scores.method
        findings.status[at] = np.isnan(score) * np.uint8(Status.NO_ESTIMATE.value)
        measures = further_measures(self.measures, scores.mi, batch, self.target)
        for name, extra in (measures | dict(scores.extras)).items():  # a method's own where it has one
            if name not in findings.extras:
                method = type(self.estimator).__name__
                raise ValueError(f"{method} gives a column {name!r}, which is none of its extra_columns")
            findings.extras[name][at] = extra
        if self.significance is not None:
            findings.extras["p_value"][at], findings.extras["p_method"][at] = self.significance.judge(batch, scores)
        if self.intervals is not None:
            chosen = names[at] if isinstance(at, slice) else [names[i] for i in at]
            ends = self.intervals.around(batch, chosen, scores)
            findings.extras["ci_low"][at], findings.extras["ci_high"][at] = ends
        if self.max_t is not None:
            self.max_t.add(batch)

    def settle(self, threads: int) -> None:
        """Find out what takes all batches to have been scored."""
        if self.significance is not None:
            extras = self.findings.extras
            self.significance.settle(self.findings.score, extras["p_value"], extras["p_method"], threads)


class _Scorer:
    """Scores slices of blocks; every slice fills its own part of the partition, so threads need no lock.

    Arrays are held against the values of enumerations: against a member itself NumPy takes ten times as long.
    """

    def __init__(
        self,
        source: TableSource,
        columns: NDArray[np.intp],
        spec: ScreenSpec,
        partition: Partition,
        tallies: Sequence[_Tally],
        forced: NDArray[np.int8],
    ) -> None:
        self._source = source
        self._columns = columns
        self._spec = spec
        self._partition = partition
        self._tallies = tallies
        self._forced = forced

    def __call__(self, block: FeatureBlock, start: int, stop: int) -> None:
        from miscreen.kernels.survey import presence, survey

        partition, span = self._partition, slice(block.first + start, block.first + stop)
        values = block.values[start:stop].astype(np.float64, copy=False)  # ours: infinities are masked in it
        counts, constants = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.bool_)
        survey(values, partition.fingerprints[span], partition.n_infinite[span], counts, constants)
        types = block.types[start:stop]
        kinds = decide_kinds(values, types, self._forced[span], self._spec.max_levels)
        partition.kinds[span] = kinds
        for tally in self._tallies:
            present, n, constant = values, tally.findings.n[span], constants
            n[:] = counts
            if len(tally.target.rows) < values.shape[1]:
                present, constant = self._present(values, types, tally.target), np.empty_like(constants)
                presence(present, n, constant)
            self._score(tally, span, present, constant, types, kinds)

    @staticmethod
    def _present(values: Floats, types: NDArray[np.uint8], target: Target) -> Floats:
        """The samples in which the target is present, as if the table had no others."""
        present = np.ascontiguousarray(values[:, target.rows])
        for i in np.flatnonzero(types == ColumnType.TEXT.value):
            here = ~np.isnan(present[i])
            present[i, here] = codes_by_appearance(present[i, here])
        return present

    def _score(
        self,
        tally: _Tally,
        span: slice,
        values: Floats,
        constant: NDArray[np.bool_],
        types: NDArray[np.uint8],
        kinds: NDArray[np.uint8],
    ) -> None:
        n, status, forced = tally.findings.n[span], tally.findings.status[span], self._forced[span]
        if n.min() >= self._spec.min_samples and not (constant.any() or types.any() or kinds.any()):
            # Floats without a flaw, as most tables hold: what follows would find the same in five times as long.
            tally.add(Batch(values, Kind.CONTINUOUS, np.zeros(len(n), dtype=np.bool_)), span, self._partition.names)
            return
        status[constant] = Status.CONSTANT
        status[n < self._spec.min_samples] = Status.TOO_FEW_SAMPLES
        status[n == 0] = Status.ALL_MISSING
        status[types == ColumnType.UNSUPPORTED.value] = Status.UNSUPPORTED_TYPE
        classes = (types == ColumnType.INTEGER.value) & constant | (kinds == Kind.DISCRETE.value)
        numbers = np.flatnonzero(classes & (types != ColumnType.TEXT.value) & (n > 0))
        if len(numbers):
            rounded = self._source.rounded(self._columns[span][numbers], values[numbers])
            status[numbers[rounded]] = Status.ROUNDED_LEVELS
        nominal = (types == ColumnType.TEXT.value) | (forced == Kind.DISCRETE.value)
        # Those discrete ones have few levels by their kind.
        few = (types == ColumnType.BOOLEAN.value) | ((types == ColumnType.INTEGER.value) & (forced < 0))
        nominal &= ~few
        for kind in Kind:
            chosen = np.flatnonzero((kinds == kind.value) & (status == Status.OK.value))
            if not len(chosen):
                continue
            whole = len(chosen) == len(values)
            batch = Batch(values if whole else values[chosen], kind, nominal[chosen])
            if kind == Kind.DISCRETE and not few[chosen].all():
                present = np.arange(values.shape[1]) < n[chosen, np.newaxis]  # missing values come last
                levels = np.count_nonzero(present & ~batch.repeats, axis=1)
                batch.nominal[levels <= 2] = False
                many = ~few[chosen] & (levels > n[chosen] // 2)
                status[chosen[many]] = Status.TOO_MANY_LEVELS.value
                batch, chosen = batch.take(np.flatnonzero(~many)), chosen[~many]
            if len(chosen):
                tally.add(batch, chosen + span.start, self._partition.names)

"""Where tables, estimators and rankings meet: blocks of columns in, one ranking out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError
from miscreen.estimators import estimator_class
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
from miscreen.roles import choose_columns, decide_kinds, read_target
from miscreen.tables import Progress
from miscreen.tables.columns import NameIndex
from miscreen.tables.source import TableSource

if TYPE_CHECKING:
    from miscreen.estimators.estimator import Estimator
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
    read: ReadOptions | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    scratch_dir: str | None = None,
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
        Names, globs or ``@file``: columns whose kind is not to be guessed.
    target_kind : str, optional
        ``continuous`` or ``discrete``: the kind of every target.
    max_levels : int
        Integers with at most so many distinct values are discrete.
    min_samples : int
        Features with fewer samples (where both they and the target are present) get no score.
    unit : str
        ``nats`` or ``bits``, for scores and mutual information.
    read : ReadOptions, optional
        How delimited text is read.
    threads : int, optional
        Compute threads; default: what the machine and the job allow.
    memory : int or str, optional
        Bytes, or a text such as ``"2GB"``; default: half of what the machine and the job allow.
    scratch_dir : str, optional
        Where text that exceeds the memory is laid out by columns.
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

    Notes
    -----
    Missing and infinite values are deleted pair by pair. A feature's score depends on its own column, the
    target and the options alone.

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
        target_kind=target_kind, max_levels=max_levels, min_samples=min_samples, unit=unit, read=read,
        threads=threads, memory=memory, scratch_dir=scratch_dir, on_progress=on_progress, **options,
    )  # fmt: skip
    with request.open(source) as table:
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
        index = NameIndex(source.names, source.label)
        spec = request.spec
        columns, target_columns, forced = choose_columns(
            source, index, request.targets, spec, request.features, request.exclude
        )
        if source.n_samples == 0:
            raise DataError(f"{source.label} has no rows", "Give a table with at least one sample a row")
        self._source = source
        self._request = request
        self._columns = columns
        self._forced = forced[columns]
        self._targets = []
        fingerprints = []
        for column in target_columns:
            raw = source.values(np.array([column]))[0].astype(np.float64)
            fingerprints.append(_fingerprint(raw))
            name, held = source.names[column], ColumnType(source.types[column])
            self._targets.append(read_target(name, raw, held, forced[column], spec))
        self._estimators = [estimator_class(spec.method)(target, spec.options) for target in self._targets]
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
        plan = plan_blocks(
            len(columns), source.n_samples, source.value_bytes, request.resources.memory_bytes, source.held_bytes
        )
        partition = Partition(
            first=features.start,
            names=[source.names[c] for c in columns],
            kinds=np.zeros(len(columns), dtype=np.uint8),
            n_infinite=np.zeros(len(columns), dtype=np.int64),
            fingerprints=np.zeros(len(columns), dtype=np.uint64),
            findings=[Findings.empty(len(columns), e.extra_columns) for e in self._estimators],
        )
        tallies = list(zip(self._targets, self._estimators, partition.findings, strict=True))
        scorer = _Scorer(request.spec, partition, tallies, self._forced[features.start : features.stop])
        run_blocks(source, columns, plan, scorer, request.resources.threads, request.on_progress)
        return partition


def _fingerprint(values: Floats) -> int:
    from miscreen.kernels.survey import fingerprints

    out = np.empty(1, dtype=np.uint64)
    fingerprints(values[np.newaxis], out)
    return int(out[0])


class _Scorer:
    """Scores slices of blocks; every slice fills its own part of the partition, so threads need no lock."""

    def __init__(
        self,
        spec: ScreenSpec,
        partition: Partition,
        tallies: Sequence[tuple[Target, Estimator, Findings]],
        forced: NDArray[np.int8],
    ) -> None:
        self._spec = spec
        self._partition = partition
        self._tallies = tallies
        self._forced = forced

    def __call__(self, block: FeatureBlock, start: int, stop: int) -> None:
        from miscreen.kernels.survey import fingerprints, mask_infinities, tame

        span = slice(block.first + start, block.first + stop)
        values = block.values[start:stop].astype(np.float64)  # a copy: infinities are masked in it
        fingerprints(values, self._partition.fingerprints[span])
        mask_infinities(values, self._partition.n_infinite[span])
        tame(values)
        types = block.types[start:stop]
        kinds = decide_kinds(values, types, self._forced[span], self._spec.max_levels)
        self._partition.kinds[span] = kinds
        for target, estimator, findings in self._tallies:
            present = self._present(values, types, target)
            self._score(estimator, findings, span, present, types, kinds)

    @staticmethod
    def _present(values: Floats, types: NDArray[np.uint8], target: Target) -> Floats:
        """The samples in which the target is present, as if the table had no others."""
        if len(target.rows) == values.shape[1]:
            return values
        present = np.ascontiguousarray(values[:, target.rows])
        for i in np.flatnonzero(types == ColumnType.TEXT):
            here = ~np.isnan(present[i])
            present[i, here] = codes_by_appearance(present[i, here])
        return present

    def _score(
        self,
        estimator: Estimator,
        findings: Findings,
        span: slice,
        values: Floats,
        types: NDArray[np.uint8],
        kinds: NDArray[np.uint8],
    ) -> None:
        from miscreen.kernels.survey import presence

        n, status, forced = findings.n[span], findings.status[span], self._forced[span]
        constant = np.empty(len(values), dtype=np.bool_)
        presence(values, n, constant)
        status[constant] = Status.CONSTANT
        status[n < self._spec.min_samples] = Status.TOO_FEW_SAMPLES
        status[n == 0] = Status.ALL_MISSING
        status[types == ColumnType.UNSUPPORTED] = Status.UNSUPPORTED_TYPE
        nominal = types == ColumnType.TEXT
        for i in np.flatnonzero((kinds == Kind.DISCRETE) & (status == Status.OK)):
            if types[i] == ColumnType.BOOLEAN or (types[i] == ColumnType.INTEGER and forced[i] < 0):
                continue  # few by their kind
            levels = len(np.unique(values[i, ~np.isnan(values[i])]))
            if levels > n[i] // 2:
                status[i] = Status.TOO_MANY_LEVELS
            nominal[i] &= levels > 2
        for kind in Kind:
            chosen = np.flatnonzero((kinds == kind) & (status == Status.OK))
            if not len(chosen):
                continue
            whole = len(chosen) == len(values)
            batch = Batch(values if whole else values[chosen], kind, nominal[chosen])
            scores = estimator.score(batch)
            at = chosen + span.start
            findings.mi[at] = scores.mi
            findings.score[at] = scores.mi if scores.score is None else scores.score
            findings.method[at] = scores.method
            for name, extra in scores.extras.items():
                findings.extras[name][at] = extra
            findings.status[at[np.isnan(findings.score[at])]] = Status.NO_ESTIMATE

"""Where tables, estimators and rankings meet: blocks of columns in, one ranking out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen._version import __version__
from miscreen.errors import DataError, InputError
from miscreen.estimators import estimator_class
from miscreen.fingerprint import Fingerprint
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
from miscreen.pipeline import run_blocks
from miscreen.ranking import UNITS, Ranking
from miscreen.resources import Resources, plan_blocks
from miscreen.roles import choose_columns, decide_kinds, read_target
from miscreen.tables import Progress, library_threads, open_table
from miscreen.tables.columns import NameIndex, expand_patterns, name_matcher
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
    given = target_names(target)
    features, exclude = expand_patterns(features), expand_patterns(exclude)
    spec = make_spec(
        method, options, discrete=discrete, continuous=continuous, target_kind=target_kind,
        max_levels=max_levels, min_samples=min_samples,
    )  # fmt: skip
    if unit not in UNITS:
        raise InputError(f"there is no unit {unit!r}", f"Choose one of {', '.join(UNITS)}")
    resources = Resources.detect(threads, memory, scratch_dir)
    with (
        library_threads(resources.threads),
        open_table(
            source, resources=resources, names=names, read=read,
            text_columns=name_matcher(spec.discrete),
            ignored_columns=name_matcher(exclude), on_progress=on_progress,
        ) as table,
    ):  # fmt: skip
        return screen(
            table,
            given,
            spec,
            resources,
            features=features,
            exclude=exclude,
            unit=unit,
            read=read,
            on_progress=on_progress,
        )


def target_names(target: Any) -> list[str]:
    """One or several names as a list; `InputError` when they are no text."""
    names = [target] if isinstance(target, str) else list(target) if isinstance(target, list | tuple) else [target]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"the target is {target!r}", "Give the name of a column, or a list of names")
    return names


def make_spec(
    method: str,
    options: dict[str, Any],
    *,
    discrete: Sequence[str] = (),
    continuous: Sequence[str] = (),
    target_kind: str | None = None,
    max_levels: int = 20,
    min_samples: int = 10,
) -> ScreenSpec:
    """Check what was asked for, before any data are touched; `InputError` says what does not fit."""
    if max_levels < 2:
        raise InputError(f"max_levels must be at least 2, not {max_levels}")
    if min_samples < 2:
        raise InputError(f"min_samples must be at least 2, not {min_samples}")
    if target_kind not in (None, *(k.label for k in Kind)):
        raise InputError(f"there is no target kind {target_kind!r}", "Choose continuous or discrete")
    return ScreenSpec(
        method=method,
        options=estimator_class(method).make_options(options),
        discrete=tuple(expand_patterns(discrete)),
        continuous=tuple(expand_patterns(continuous)),
        target_kind=None if target_kind is None else Kind[target_kind.upper()],
        max_levels=max_levels,
        min_samples=min_samples,
    )


def screen(
    source: TableSource,
    target_names: Sequence[str],
    spec: ScreenSpec,
    resources: Resources,
    *,
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    unit: str = "nats",
    read: ReadOptions | None = None,
    on_progress: Progress | None = None,
) -> Ranking:
    """Score every feature of an open table against every target, block by block; see `rank`.

    Lists of names are expanded by now: a file of them may be a pipe, which can be read once.
    """
    index = NameIndex(source.names, source.label)
    columns, target_columns, forced = choose_columns(source, index, target_names, spec, features, exclude)
    if source.n_samples == 0:
        raise DataError(f"{source.label} has no rows", "Give a table with at least one sample a row")
    plan = plan_blocks(len(columns), source.n_samples, source.value_bytes, resources.memory_bytes, source.held_bytes)
    digests = Fingerprint(source, columns, target_columns)
    estimator = estimator_class(spec.method)
    targets = []
    for column in target_columns:
        raw = source.values(np.array([column]))[0].astype(np.float64)
        digests.add_target(raw)
        targets.append(read_target(source.names[column], raw, ColumnType(source.types[column]), forced[column], spec))
    tallies = [_Tally(t, estimator(t, spec.options), len(columns)) for t in targets]
    scorer = _Scorer(spec, tallies, forced[columns], digests)
    run_blocks(source, columns, plan, scorer, resources.threads, on_progress)
    metadata = {
        "version": __version__,
        "target": list(target_names),
        "method": spec.method,
        "options": asdict(spec.options) if fields(spec.options) else {},
        "features": list(features),
        "exclude": list(exclude),
        "read": None if read is None else asdict(read),
        "discrete": list(spec.discrete),
        "continuous": list(spec.continuous),
        "target_kind": None if spec.target_kind is None else spec.target_kind.label,
        "max_levels": spec.max_levels,
        "min_samples": spec.min_samples,
        "unit": unit,
        "seed": spec.seed,
        "n_samples": source.n_samples,
        "n_features": len(columns),
        "n_features_with_infinite_values": int(np.count_nonzero(scorer.n_infinite)),
        "fingerprint": digests.hexdigest(),
    }
    names = [source.names[c] for c in columns]
    several = len(tallies) > 1
    rankings = [t.ranking(names, scorer.kinds, metadata, unit, named=several) for t in tallies]
    return Ranking.concat(rankings, metadata) if several else rankings[0]


@dataclass
class _Tally:
    """What is known so far of every feature with regard to one target."""

    target: Target
    estimator: Estimator
    n_features: int

    def __post_init__(self) -> None:
        size = self.n_features
        self.score = np.full(size, np.nan)
        self.mi = np.full(size, np.nan)
        self.n = np.zeros(size, dtype=np.int64)
        self.status = np.zeros(size, dtype=np.uint8)
        self.method = np.full(size, "", dtype=object)
        self.extras = {name: np.full(size, np.nan) for name in self.estimator.extra_columns}

    def ranking(
        self,
        names: Sequence[str],
        kinds: NDArray[np.uint8],
        metadata: dict[str, Any],
        unit: str,
        *,
        named: bool,
    ) -> Ranking:
        return Ranking.from_scores(
            names,
            self.target.name if named else None,
            scores=self.score,
            mi=self.mi,
            n=self.n,
            kinds=kinds,
            methods=self.method.tolist(),
            statuses=self.status,
            extras=self.extras,
            metadata=metadata,
            unit=unit,
        )


class _Scorer:
    """Scores slices of blocks; every slice writes to its own part of the tallies, so threads need no lock."""

    def __init__(
        self, spec: ScreenSpec, tallies: Sequence[_Tally], forced: NDArray[np.int8], digests: Fingerprint
    ) -> None:
        self._spec = spec
        self._tallies = tallies
        self._forced = forced
        self._digests = digests
        self.kinds = np.zeros(len(forced), dtype=np.uint8)
        self.n_infinite = np.zeros(len(forced), dtype=np.int64)

    def __call__(self, block: FeatureBlock, start: int, stop: int) -> None:
        from miscreen.kernels.survey import fingerprints, mask_infinities, tame

        span = slice(block.first + start, block.first + stop)
        values = block.values[start:stop].astype(np.float64)  # a copy: infinities are masked in it
        fingerprints(values, self._digests.features[span])
        mask_infinities(values, self.n_infinite[span])
        tame(values)
        types = block.types[start:stop]
        kinds = decide_kinds(values, types, self._forced[span], self._spec.max_levels)
        self.kinds[span] = kinds
        for tally in self._tallies:
            present = self._present(values, types, tally.target)
            self._score(tally, span, present, types, kinds, self._forced[span])

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
        tally: _Tally,
        span: slice,
        values: Floats,
        types: NDArray[np.uint8],
        kinds: NDArray[np.uint8],
        forced: NDArray[np.int8],
    ) -> None:
        from miscreen.kernels.survey import presence

        n = tally.n[span]
        constant = np.empty(len(values), dtype=np.bool_)
        presence(values, n, constant)
        status = tally.status[span]
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
            scores = tally.estimator.score(batch)
            at = chosen + span.start
            tally.mi[at] = scores.mi
            tally.score[at] = scores.mi if scores.score is None else scores.score
            tally.method[at] = scores.method
            for name, extra in scores.extras.items():
                tally.extras[name][at] = extra
            tally.status[at[np.isnan(tally.score[at])]] = Status.NO_ESTIMATE

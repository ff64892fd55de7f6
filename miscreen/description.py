"""What a table holds, and what ranking it would cost here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import InputError
from miscreen.estimators import ESTIMATORS, estimator_class
from miscreen.model import Batch, ColumnType, FeatureBlock, Floats, Kind, ScreenSpec, Target
from miscreen.pipeline import run_blocks
from miscreen.request import Request
from miscreen.resources import BLOCKS_IN_FLIGHT, BYTES_PER_COLUMN, FLOOR_BYTES, plan_blocks
from miscreen.roles import check_scorable, decide_kinds, forced_kinds
from miscreen.tables import Progress
from miscreen.tables.columns import NameIndex
from miscreen.tables.source import TableSource

if TYPE_CHECKING:
    from miscreen.tables.delimited import ReadOptions

_TRIAL_FEATURES = 128


@dataclass(frozen=True)
class Description:
    """What `describe` found.

    Attributes
    ----------
    label : str
    n_samples, n_columns : int
    types, kinds : dict of str to int
        How many columns hold each type, and would be treated as each kind.
    n_missing : int
        Missing values in the whole table, infinite ones among them.
    n_columns_missing, n_columns_infinite, n_constant : int
        Columns with missing or infinite values, with infinite values, with one value at most.
    read_seconds : float
        What opening the table and reading all columns took.
    memory_bytes : int
        Most that a run would hold with these resources.
    costs : dict of str to float
        Seconds that scoring all columns by a method would take, from a trial on some continuous ones without missing
        values; empty where there are none beside the target, or fewer than 10 rows.
    """

    label: str
    n_samples: int
    n_columns: int
    types: dict[str, int]
    kinds: dict[str, int]
    n_missing: int
    n_columns_missing: int
    n_columns_infinite: int
    n_constant: int
    read_seconds: float
    memory_bytes: int
    costs: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """All of it as a plain dictionary."""
        return asdict(self)


def describe(
    source: Any,
    target: str | None = None,
    *,
    exclude: Sequence[str] = (),
    discrete: Sequence[str] = (),
    names: Sequence[str] | None = None,
    max_levels: int = 20,
    read: ReadOptions | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    scratch_dir: str | None = None,
    on_progress: Progress | None = None,
) -> Description:
    """Look at every column once: shape, kinds, missing values, and what a run would cost.

    Parameters
    ----------
    source : path, Polars, pandas or pyarrow table, or NumPy array
        What `miscreen.tables.open_table` takes.
    target : str, optional
        The target of the trial runs; otherwise the first column that could be one stands in for it.
    exclude, discrete, names, max_levels, read, threads, memory, scratch_dir, on_progress
        As in `miscreen.rank`.

    Returns
    -------
    Description

    Raises
    ------
    InputError, DataError, ResourceError
        As in `miscreen.rank`.

    Notes
    -----
    Costs one pass over the table, and a trial of each method on at most 128 columns.

    Examples
    --------
    >>> import miscreen, numpy as np
    >>> found = miscreen.describe(np.eye(50), names=[f"x{i}" for i in range(50)])
    >>> found.n_samples, found.kinds
    (50, {'continuous': 50, 'discrete': 0})
    """
    if not isinstance(target, str | None):
        raise InputError(f"the target is {target!r}", "Give the name of one column")
    request = Request.make(
        names=names, exclude=exclude, discrete=discrete, max_levels=max_levels, read=read, threads=threads,
        memory=memory, scratch_dir=scratch_dir, on_progress=on_progress,
    )  # fmt: skip
    resources = request.resources
    start = time.perf_counter()  # before the table is opened, which is when text is parsed
    with request.open(source) as table:
        index = NameIndex(table.names, table.label)
        outcome = None if target is None else index.one(target, "the target")
        if outcome is not None:
            check_scorable(table.names[outcome], ColumnType(table.types_of(np.array([outcome]))[0]))
        wanted = np.ones(len(table.names), dtype=np.bool_)
        wanted[index.many(request.exclude, "--exclude")] = False
        if outcome is not None:
            wanted[outcome] = True
        columns = np.flatnonzero(wanted)
        if not len(columns):
            raise InputError(f"no column of {table.label} is left to describe", "Check --exclude")
        forced = forced_kinds(table, index, request.spec)
        block_features = plan_blocks(
            len(columns), table.n_samples, table.value_bytes, resources.memory_bytes, table.held_bytes
        )
        surveyor = _Surveyor(request.spec, forced[columns])
        run_blocks(table, columns, block_features, surveyor, resources.threads, on_progress)
        read_seconds = time.perf_counter() - start
        kinds = Counter(surveyor.kinds.tolist())
        block_bytes = BLOCKS_IN_FLIGHT * block_features * table.n_samples * table.value_bytes
        types = table.types_of(columns)
        known = types != ColumnType.UNSUPPORTED.value  # whose values are
        return Description(
            label=table.label,
            n_samples=table.n_samples,
            n_columns=len(columns),
            types={t.label: int(c) for t in ColumnType if (c := np.count_nonzero(types == t))},
            kinds={k.label: kinds[int(k)] for k in Kind},
            n_missing=int(np.sum(table.n_samples - surveyor.n_present[known])),
            n_columns_missing=int(np.count_nonzero(surveyor.n_present[known] < table.n_samples)),
            n_columns_infinite=int(np.count_nonzero(surveyor.n_infinite)),
            n_constant=int(np.count_nonzero(known & (surveyor.constant | (surveyor.n_present == 0)))),
            read_seconds=read_seconds,
            memory_bytes=FLOOR_BYTES + BYTES_PER_COLUMN * len(columns) + table.held_bytes + block_bytes,
            costs=_costs(table, columns, surveyor, outcome, block_features, resources.threads),
        )


class _Surveyor:
    """Counts what each column holds; takes slices of blocks as the scorer of a screen does."""

    def __init__(self, spec: ScreenSpec, forced: NDArray[np.int8]) -> None:
        self._spec = spec
        self._forced = forced
        n_columns = len(forced)
        self.kinds = np.zeros(n_columns, dtype=np.uint8)
        self.n_present = np.zeros(n_columns, dtype=np.int64)
        self.n_infinite = np.zeros(n_columns, dtype=np.int64)
        self.constant = np.zeros(n_columns, dtype=np.bool_)

    def __call__(self, block: FeatureBlock, start: int, stop: int) -> None:
        from miscreen.kernels.survey import mask_infinities, presence

        span = slice(block.first + start, block.first + stop)
        values = block.values[start:stop].astype(np.float64)
        mask_infinities(values, self.n_infinite[span])
        presence(values, self.n_present[span], self.constant[span])
        types = block.types[start:stop]
        self.kinds[span] = decide_kinds(values, types, self._forced[span], self._spec.max_levels)


def _costs(
    table: TableSource,
    columns: NDArray[np.intp],
    surveyor: _Surveyor,
    outcome: int | None,
    at_most: int,
    threads: int,
) -> dict[str, float]:
    """Seconds each method would take for all columns, from the second of two trials on at most so many of them."""
    usable = (surveyor.n_present == table.n_samples) & ~surveyor.constant & (surveyor.n_infinite == 0)
    candidates = columns[usable & (surveyor.kinds == Kind.CONTINUOUS)]
    if outcome is None and not len(candidates):
        return {}
    chosen = int(candidates[0]) if outcome is None else outcome
    kind = Kind(surveyor.kinds[np.searchsorted(columns, chosen)])
    trial_columns = candidates[candidates != chosen][: min(at_most, _TRIAL_FEATURES)]
    found = table.column(chosen).values
    rows = np.flatnonzero(np.isfinite(found))
    if not len(trial_columns) or len(np.unique(found[rows])) < 2 or len(rows) < 10:
        return {}
    values = np.ascontiguousarray(table.values(trial_columns).astype(np.float64)[:, rows])
    bound = Target(table.names[chosen], found[rows], kind, False, rows)
    return {name: _trial(name, bound, values) * surveyor.kinds.size / threads for name in ESTIMATORS}


def _trial(name: str, target: Target, values: Floats) -> float:
    """Seconds a column of one thread."""
    method = estimator_class(name)
    estimator = method(target, method.make_options({}))
    nominal: NDArray[np.bool_] = np.zeros(len(values), dtype=np.bool_)
    estimator.score(Batch(values[:1], Kind.CONTINUOUS, nominal[:1]))  # compiles
    start = time.perf_counter()
    estimator.score(Batch(values, Kind.CONTINUOUS, nominal))
    return (time.perf_counter() - start) / len(values)

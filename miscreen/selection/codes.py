"""Columns of a table as codes of one byte a sample, on which selection counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import ResourceError
from miscreen.model import FeatureBlock, Kind, Target
from miscreen.pipeline import run_blocks
from miscreen.resources import Resources, enough_memory, format_bytes, plan_blocks
from miscreen.tables import Progress
from miscreen.tables.source import TableSource

MOST_BINS = 8
LEAST_BINS = 3  # fewer would not see a parabola
SAMPLES_PER_CELL = 30  # with fewer, noise outweighs a weak signal that shows beside the columns chosen
MOST_LEVELS = 16
SAMPLES_PER_LEVELS_CELL = 4  # with fewer, columns of many levels seem to tell much, whatever they hold

Codes = NDArray[np.uint8]


def count_bins(n_samples: int, axes: int, target_levels: int = 0) -> int:
    """How many bins each continuous column gets: the same for all, so that none is favoured by its bias.

    Parameters
    ----------
    n_samples : int
    axes : int
        Of the largest table of counts: 2 for pairs, 3 for pairs and the target.
    target_levels : int
        Of a discrete target on one of three axes; 0 for one that is binned.

    Returns
    -------
    int
        The most bins, of 3 to 8, that leave 30 samples for a cell on average.

    Examples
    --------
    >>> count_bins(1000, axes=2), count_bins(1000, axes=3), count_bins(1000, axes=3, target_levels=2)
    (5, 3, 4)
    """
    return _most(MOST_BINS, n_samples // SAMPLES_PER_CELL, axes, min(target_levels, MOST_LEVELS))


def most_levels(n_samples: int, axes: int, bins: int, target_levels: int = 0) -> int:
    """How many levels a discrete column may keep: more leave cells empty, which seem to tell much.

    Parameters
    ----------
    n_samples, axes, target_levels : int
        As for `count_bins`.
    bins : int
        Of a continuous column.

    Returns
    -------
    int
        The most levels, of 3 to 16, that leave 4 samples for a cell on average of columns that all have as many.

    Examples
    --------
    >>> most_levels(1000, axes=2, bins=5), most_levels(60, axes=2, bins=3), most_levels(1000, axes=3, bins=3)
    (15, 3, 9)
    """
    return _most(MOST_LEVELS, n_samples // SAMPLES_PER_LEVELS_CELL, axes, min(target_levels, MOST_LEVELS) or bins)


def _most(most: int, cells: int, axes: int, of_target: int) -> int:
    """The largest size, of 3 to `most`, of columns whose table has no more cells; a target of 0 has the same size."""
    fitting = [m for m in range(LEAST_BINS, most + 1) if m**2 * (1 if axes == 2 else of_target or m) <= cells]
    return max(fitting, default=LEAST_BINS)


@dataclass(frozen=True)
class Column:
    """One coded column.

    Attributes
    ----------
    codes : uint8 array, shape (n_samples,)
        From 0; `size` where the value is missing.
    size : int
    binned : bool
        Whether the codes are bins of a column with an order, and not its levels.
    """

    codes: Codes
    size: int
    binned: bool


@dataclass(frozen=True)
class Columns:
    """Coded columns, one a row.

    Attributes
    ----------
    codes : uint8 array, shape (n_columns, n_samples), C-contiguous
    sizes : int64 array, shape (n_columns,)
    binned : bool array, shape (n_columns,)
    """

    codes: Codes
    sizes: NDArray[np.int64]
    binned: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, i: int) -> Column:
        return Column(self.codes[i], int(self.sizes[i]), bool(self.binned[i]))


def code_target(target: Target, bins: int) -> Column:
    """Code a target by the rule for features, but up to 16 levels, which every table of a feature has alike."""
    return _code(target.values[np.newaxis], np.array([target.kind]), np.array([target.nominal]), bins, MOST_LEVELS)[0]


def code_columns(
    source: TableSource,
    columns: NDArray[np.intp],
    kinds: NDArray[np.uint8],
    nominal: NDArray[np.bool_],
    rows: NDArray[np.intp] | None,
    bins: int,
    levels: int,
    resources: Resources,
    on_progress: Progress | None,
) -> Columns:
    """Read columns of a table and code them, in the order asked for.

    Parameters
    ----------
    source : TableSource
    columns : intp array, shape (n_columns,)
        Positions in the table, each once.
    kinds : uint8 array, shape (n_columns,)
        `Kind` of each.
    nominal : bool array, shape (n_columns,)
        Whether the levels of a discrete one have no order.
    rows : intp array, optional
        The samples to look at; all without it.
    bins : int
        Bins of equal frequency a continuous column, ties staying together.
    levels : int
        A discrete column keeps up to so many levels. One of more is binned, too, or where they have no order keeps the
        `levels` - 1 most frequent, and the others as one.
    resources : Resources
    on_progress : callable, optional

    Raises
    ------
    ResourceError
        When the codes take more than half of the memory.

    Notes
    -----
    One byte a sample and column stays in memory; O(n log n) a column. Infinite values count as missing.
    """
    from miscreen.kernels.survey import mask_infinities

    n = source.n_samples if rows is None else len(rows)
    held, free = len(columns) * n, resources.memory_bytes - source.held_bytes
    if held > free // 2:
        enough = enough_memory(2 * held + source.held_bytes + 1)
        raise ResourceError(
            f"{len(columns):,} candidates of {n:,} rows take {format_bytes(held)}, and at most half of "
            f"{format_bytes(max(0, free))} can be used for them",
            f"Lower --pool, or give at least --memory {enough}",
        )
    result = Columns(
        np.empty((len(columns), n), dtype=np.uint8),
        np.empty(len(columns), dtype=np.int64),
        np.empty(len(columns), dtype=np.bool_),
    )
    order = np.argsort(columns)  # files are read fastest from front to back

    def take(block: FeatureBlock, start: int, stop: int) -> None:
        values = block.values[start:stop].astype(np.float64)
        mask_infinities(values, np.empty(len(values), dtype=np.int64))
        if rows is not None and len(rows) < values.shape[1]:
            values = np.ascontiguousarray(values[:, rows])
        at = order[block.first + start : block.first + stop]
        coded = _code(values, kinds[at], nominal[at], bins, levels)
        result.codes[at] = coded.codes
        result.sizes[at] = coded.sizes
        result.binned[at] = coded.binned

    block_features = plan_blocks(
        len(columns), source.n_samples, source.value_bytes, resources.memory_bytes, source.held_bytes + held
    )
    run_blocks(source, columns[order], block_features, take, resources.threads, on_progress)
    return result


def _code(
    values: NDArray[np.float64], kinds: NDArray[np.uint8], nominal: NDArray[np.bool_], bins: int, levels: int
) -> Columns:
    from miscreen.kernels.codes import feature_codes
    from miscreen.kernels.sorting import argsort_rows
    from miscreen.kernels.survey import count_levels

    binned = kinds == Kind.CONTINUOUS.value
    ordered = np.flatnonzero(~binned & ~nominal)
    if len(ordered):
        n_levels = np.empty(len(ordered), dtype=np.int64)
        count_levels(values[ordered], levels, n_levels)
        binned[ordered] = n_levels > levels
    order, repeats = np.empty(values.shape, dtype=np.intp), np.empty(values.shape, dtype=np.bool_)
    argsort_rows(values, order, repeats)
    codes, sizes = np.empty(values.shape, dtype=np.uint8), np.empty(len(values), dtype=np.int64)
    feature_codes(values, order, ~binned, bins, levels, codes, sizes)
    return Columns(codes, sizes, binned)

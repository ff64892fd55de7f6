"""Which columns are features and targets, and what kind each is."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError
from miscreen.model import EXACT_INTEGERS, ColumnType, Floats, Kind, ScreenSpec, Target, codes_by_appearance
from miscreen.tables.columns import NameIndex
from miscreen.tables.source import Column, TableSource

if TYPE_CHECKING:
    from miscreen.request import Request

_LOG = logging.getLogger("miscreen")
_INDEX_LEVEL = re.compile(r"__index_level_\d+__")  # what pandas calls a level of an index without a name in a file
_ROUNDED = "numbers that doubles do not hold, such as integers of 2^53 and more"


def forced_kinds(source: TableSource, index: NameIndex, spec: ScreenSpec) -> NDArray[np.int8]:
    """For every column the kind the user forced, or -1; errors when it may not have that kind, or was given both."""
    forced = np.full(len(source.names), -1, dtype=np.int8)
    for patterns, kind in ((spec.discrete, Kind.DISCRETE), (spec.continuous, Kind.CONTINUOUS)):
        chosen = index.many(patterns, f"--{kind.label}")
        clash = chosen[forced[chosen] >= 0]
        if len(clash):
            raise InputError(
                f"column {source.names[clash[0]]!r} is named both discrete and continuous",
                "Name it in one of them",
            )
        text = chosen[source.types_of(chosen) == ColumnType.TEXT]
        if kind == Kind.CONTINUOUS and len(text):
            raise DataError(
                f"column {source.names[text[0]]!r} holds text, so it cannot be continuous",
                "Leave it out of --continuous",
            )
        forced[chosen] = int(kind)
    return forced


@dataclass(frozen=True)
class Roles:
    """What a request makes of the columns of a table, by their positions.

    Attributes
    ----------
    features : intp array, ascending
    targets : list of int
    strata : int, optional
    forced : int8 array, shape (n_columns,)
        The kind that the user forced for each, or -1.
    """

    features: NDArray[np.intp]
    targets: list[int]
    strata: int | None
    forced: NDArray[np.int8]


def choose_columns(source: TableSource, request: Request) -> Roles:
    """Find the columns that a request names, without a look at values; `InputError` when they leave nothing to screen.

    Neither the targets nor the strata are features.
    """
    index = NameIndex(source.names, source.label)
    named = request.inference.strata
    if named in request.targets:
        raise InputError(f"the strata are a target, {named!r}", "Name another column with --strata, or none")
    strata = None if named is None else index.one(named, "the strata")
    if not request.targets:
        raise InputError("no target was named", "Give the outcome column as --target")
    targets = [index.one(name, "the target") for name in request.targets]
    if len(set(targets)) < len(targets):
        raise InputError("a target was named twice", "Name each target once")
    forced = forced_kinds(source, index, request.spec)
    wanted = np.ones(len(source.names), dtype=bool)
    if request.features:
        wanted[:] = False
        wanted[index.many(request.features, "--features")] = True
    elif levels := list(filter(index.has, _INDEX_LEVEL.findall("\n".join(source.names)))):  # faster than one by one
        _LOG.info("the index of a pandas table is no feature: %s", ", ".join(levels))
        wanted[index.many(levels, "the index")] = False
    wanted[index.many(request.exclude, "--exclude")] = False
    wanted[[*targets, *([] if strata is None else [strata])]] = False
    features = np.flatnonzero(wanted)
    if not len(features):
        raise InputError(
            f"no feature is left to screen: {source.label} has {len(source.names):,} columns, "
            f"{len(targets)} of them targets",
            "Check --features and --exclude",
        )
    return Roles(features, targets, strata, forced)


def check_scorable(name: str, held: ColumnType) -> None:
    """`DataError` when a target is of a type that no method takes."""
    if held == ColumnType.UNSUPPORTED:
        raise DataError(f"the target {name!r} is of a type that cannot be scored", "Choose a column of numbers or text")


def read_target(column: Column, forced: int, spec: ScreenSpec) -> Target:
    """Make a target of a column; `DataError` when it has no two different values."""
    from miscreen.kernels.survey import rescale_extremes

    name, raw, held, rounded = column
    check_scorable(name, held)
    rows = np.flatnonzero(np.isfinite(raw))
    if infinite := int(np.count_nonzero(np.isinf(raw))):
        _LOG.info("the target %r has %d infinite values, which count as missing", name, infinite)
    values = raw[rows]
    rescale_extremes(values[np.newaxis])
    if not len(values):
        raise DataError(f"the target {name!r} is missing in all {len(raw):,} rows", "Choose another target")
    if spec.target_kind == Kind.CONTINUOUS and held == ColumnType.TEXT:
        raise DataError(
            f"the target {name!r} holds text, so it cannot be continuous",
            "Leave out --target-kind; where it is numbers with commas, write them as 1234.5",
        )
    forced = forced if spec.target_kind is None else int(spec.target_kind)
    kind = _kind(held, forced)
    if kind is None:
        kind = Kind.DISCRETE if _few_levels(values[np.newaxis], spec.max_levels)[0] else Kind.CONTINUOUS
    if (kind == Kind.DISCRETE or np.all(values == values[0])) and rounded():
        raise DataError(
            f"the target {name!r} holds {_ROUNDED}, so that classes may become one",
            "Write them as text or as smaller numbers",
        )
    if np.all(values == values[0]):
        what = "a single class" if kind == Kind.DISCRETE else f"the single value {values[0]:g}"
        raise DataError(
            f"the target {name!r} has {what} in its {len(values):,} rows that are not missing",
            "Choose another target",
        )
    if len(values) < spec.min_samples:
        raise DataError(
            f"the target {name!r} is present in {len(values)} rows, fewer than the {spec.min_samples} a score needs",
            "Lower --min-samples, or choose another target",
        )
    levels = len(np.unique(values))
    if kind == Kind.DISCRETE and levels > len(values) // 2:
        raise DataError(
            f"the target {name!r} is discrete with {levels:,} levels in {len(values):,} rows: too many for classes",
            "Choose another target; numbers with commas are text, so write them as 1234.5"
            if held == ColumnType.TEXT
            else "Choose another target, or --target-kind continuous if its values are numbers",
        )
    labels = held == ColumnType.TEXT or (forced == Kind.DISCRETE and held != ColumnType.BOOLEAN)
    return Target(name, values, kind, levels > 2 and labels, rows)


def read_alike(target: Target, held: ColumnType) -> ColumnType:
    """What a column of some rows of a target holds, so that `read_target`, asked for the target's kind, sees it alike.

    The kind is asked for, since a part may have fewer levels than make numbers classes, and globs of columns may mean
    its name, too. To ask for classes takes their order from all but truth values, so that it is those that have one.

    Parameters
    ----------
    target : Target
    held : ColumnType
        Of the column with all rows.
    """
    return ColumnType.BOOLEAN if target.kind == Kind.DISCRETE and not target.nominal else held


def read_strata(column: Column, target: Target) -> NDArray[np.int64]:
    """The stratum of each sample of a target; `DataError` when one is missing, or there is nothing to permute.

    Parameters
    ----------
    column : Column
    target : Target

    Returns
    -------
    int64 array, shape (n_present,)
    """
    name = column.name
    codes = read_levels(f"the strata {name!r}", column, target)
    levels = int(codes.max()) + 1
    if levels > len(codes) // 2:
        raise DataError(
            f"the strata {name!r} have {levels:,} levels in {len(codes):,} rows: too many to permute within",
            "Choose a column of groups, each of several rows",
        )
    if np.unique(np.stack((codes, target.values)), axis=1).shape[1] == levels:  # every p-value would be 1
        raise DataError(
            f"the target {target.name!r} has a single value in each of the {levels:,} strata {name!r}, "
            "so there is nothing to permute within them",
            "Choose strata within which the target varies, or leave out --strata",
        )
    return codes


def read_levels(what: str, column: Column, target: Target) -> NDArray[np.int64]:
    """The level of each sample of a target in another column; `DataError` when one is missing, or may be two.

    Parameters
    ----------
    what : str
        What messages call that column.
    column : Column
        Infinity means missing, too.
    target : Target

    Returns
    -------
    int64 array, shape (n_present,)
    """
    if column.type == ColumnType.UNSUPPORTED:
        raise DataError(f"{what} are of a type without levels", "Choose a column of text or numbers")
    levels = column.values[target.rows]
    if missing := int(np.count_nonzero(~np.isfinite(levels))):
        raise DataError(
            f"{what} are missing in {missing:,} rows that have the target {target.name!r}",
            "Fill them, such as with a level of their own, or leave out those rows",
        )
    if np.abs(levels).max() >= EXACT_INTEGERS or column.rounded():  # in text such integers are floats
        raise DataError(
            f"{what} are {_ROUNDED}, so that several may become one",
            "Write them as text, which --discrete makes of columns of a CSV, or as smaller numbers",
        )
    return codes_by_appearance(levels)


def _kind(held: ColumnType, forced: int) -> Kind | None:
    """The kind of a column, or None when it takes a look at its levels."""
    if forced >= 0:
        return Kind(forced)
    if held in (ColumnType.TEXT, ColumnType.BOOLEAN):
        return Kind.DISCRETE
    return None if held == ColumnType.INTEGER else Kind.CONTINUOUS


def decide_kinds(
    values: Floats, types: NDArray[np.uint8], forced: NDArray[np.int8], max_levels: int
) -> NDArray[np.uint8]:
    """The kind of each feature: forced, by its type, or for integers by the number of levels.

    Integers are discrete up to `max_levels` levels that hold two samples each on average.

    Parameters
    ----------
    values : float64 array, shape (n_features, n_samples)
        NaN where missing.
    types, forced : arrays, shape (n_features,)
        `ColumnType`, and the `Kind` the user wants or -1.
    max_levels : int
    """
    if not types.any() and forced.max(initial=-1) < 0:  # floats alone, as most tables hold
        return np.zeros(len(types), dtype=np.uint8)
    discrete = (types == ColumnType.TEXT.value) | (types == ColumnType.BOOLEAN.value)
    unsettled = np.flatnonzero((types == ColumnType.INTEGER.value) & (forced < 0))
    if len(unsettled):
        discrete[unsettled] = _few_levels(values if len(unsettled) == len(values) else values[unsettled], max_levels)
    return np.where(forced >= 0, forced, discrete).astype(np.uint8)


def _few_levels(values: Floats, max_levels: int) -> NDArray[np.bool_]:
    """Which rows have at most so many levels, each of two samples on average."""
    from miscreen.kernels.survey import count_levels

    most, n_levels = min(max_levels, values.shape[1] // 2), np.empty(len(values), dtype=np.int64)
    count_levels(values, most, n_levels)
    return (n_levels <= most) & (2 * n_levels <= np.count_nonzero(~np.isnan(values), axis=1))

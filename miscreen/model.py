"""The central types: frozen, without input or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Kind(IntEnum):
    """How a column is treated: by its order and distances, or by its levels."""

    CONTINUOUS = 0
    DISCRETE = 1

    @property
    def label(self) -> str:
        """The word used in results: ``continuous`` or ``discrete``."""
        return self.name.lower()


class ColumnType(IntEnum):
    """What a table holds in a column, before it is decided how to treat it."""

    FLOAT = 0
    INTEGER = 1
    DECIMAL = 2
    BOOLEAN = 3
    TEXT = 4
    TEMPORAL = 5
    UNSUPPORTED = 6

    @property
    def label(self) -> str:
        """Lower-case name, as ``miscreen describe`` prints it."""
        return self.name.lower()


class Status(IntEnum):
    """Why a feature has a score, or has none."""

    OK = 0
    CONSTANT = 1
    TOO_FEW_SAMPLES = 2
    ALL_MISSING = 3
    TOO_MANY_LEVELS = 4
    UNSUPPORTED_TYPE = 5
    NO_ESTIMATE = 6
    ROUNDED_LEVELS = 7

    @property
    def label(self) -> str:
        """The words used in results, such as ``too few samples``."""
        return self.name.lower().replace("_", " ")


EXACT_INTEGERS = 2.0**53  # up to which doubles hold every one; beyond, levels that differ may become one


def codes_by_appearance(values: NDArray[Any]) -> NDArray[np.int64]:
    """Number the distinct values of a 1-D array without missing ones in order of first appearance.

    Examples
    --------
    >>> codes_by_appearance(np.array([7.0, 2.0, 7.0, 5.0]))
    array([0, 1, 0, 2])
    """
    levels, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    renumber = np.empty(len(levels), dtype=np.int64)
    renumber[np.argsort(first)] = np.arange(len(levels))
    return renumber[inverse]


@dataclass(frozen=True)
class FeatureBlock:
    """Neighbouring features of a table, in memory.

    Attributes
    ----------
    first : int
        Position of the first feature among the features screened.
    names : sequence of str, length n_features
    values : float32 or float64 array, shape (n_features, n_samples), C-contiguous
        NaN means missing. Text and categories are codes in order of first appearance; booleans are
        0 and 1; dates and times are seconds since 1970-01-01 UTC. A column of a type that is not
        supported is all NaN.
    types : uint8 array, shape (n_features,)
        `ColumnType` of each feature.
    """

    first: int
    names: Sequence[str]
    values: NDArray[Any]
    types: NDArray[np.uint8]


@dataclass(frozen=True)
class Target:
    """The outcome, reduced to the samples in which it is present.

    Attributes
    ----------
    name : str
    values : float64 array, shape (n_present,), finite
        Numbers; of text codes of the levels in order of first appearance.
    kind : Kind
    nominal : bool
        True when the levels are labels without an order: more than two, of text or named discrete.
    rows : intp array, shape (n_present,)
        The samples of the table in which the target is present, ascending.
    """

    name: str
    values: Floats
    kind: Kind
    nominal: bool
    rows: NDArray[np.intp]

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Samples in ascending order of the target; equal values in the order of the samples."""
        return np.argsort(self.values, kind="stable")

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """For a discrete target, its levels numbered in order of first appearance."""
        return codes_by_appearance(self.values)

    @property
    def n_levels(self) -> int:
        """For a discrete target, how many levels it has."""
        return int(self.codes.max()) + 1 if len(self.values) else 0


@dataclass(frozen=True)
class Batch:
    """Features of one kind, as an estimator receives them.

    Attributes
    ----------
    values : float64 array, shape (n_features, n_present), C-contiguous
        Samples are those of the target. NaN means missing; there are no infinities. Every feature has
        at least two different values and enough samples.
    kind : Kind
    nominal : bool array, shape (n_features,)
        True for labels without an order.
    """

    values: Floats
    kind: Kind
    nominal: NDArray[np.bool_]

    @property
    def sorting(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """`order` and `repeats`, found once. Not a `cached_property`: before Python 3.12 all batches share its lock."""
        from miscreen.kernels.sorting import argsort_rows

        found: tuple[NDArray[np.intp], NDArray[np.bool_]] | None = self.__dict__.get("_sorting")
        if found is None:
            found = np.empty(self.values.shape, dtype=np.intp), np.empty(self.values.shape, dtype=np.bool_)
            argsort_rows(self.values, *found)
            self.__dict__["_sorting"] = found
        return found

    @property
    def order(self) -> NDArray[np.intp]:
        """Samples of each feature in ascending order, missing ones last; equal values in the order of the samples."""
        return self.sorting[0]

    def take(self, features: NDArray[np.intp]) -> Batch:
        """Some of the features, by ascending places, with their order where it is known."""
        if len(features) == len(self.values):
            return self
        part = Batch(self.values[features], self.kind, self.nominal[features])
        if (found := self.__dict__.get("_sorting")) is not None:
            part.__dict__["_sorting"] = found[0][features], found[1][features]
        return part

    @property
    def repeats(self) -> NDArray[np.bool_]:
        """Whether the value at a place of the order is that at the place before."""
        return self.sorting[1]


def samples_per_class(target: Target, batch: Batch) -> Floats:
    """Samples of a class on average, shape (n_features,), of features with an order beside classes, or the reverse."""
    n = np.count_nonzero(~np.isnan(batch.values), axis=1)
    if batch.kind == Kind.CONTINUOUS:
        return n / target.n_levels
    present = np.arange(batch.values.shape[1]) < n[:, np.newaxis]  # missing values come last
    return n / np.maximum(1, np.count_nonzero(present & ~batch.repeats, axis=1))


@dataclass(frozen=True)
class Dealing:
    """A feature whose values are dealt out at random among the samples that have one, within groups of these.

    An arrangement is an order: int64 array, shape (n_values,), of the sample to which each of `values` goes.

    Attributes
    ----------
    template : Batch
        The feature in one arrangement.
    samples : int64 array, shape (n_values,)
        Those with a value, group by group; last of each those of the commonest value, which go where the others do not.
    starts : int64 array, shape (n_groups + 1,)
        Where each group begins, and the end.
    dealt : int64 array, shape (n_groups,)
        How many values of each group are not the commonest.
    key : uint64 array, shape (2,)
        Of everything random.
    """

    template: Batch
    samples: NDArray[np.int64]
    starts: NDArray[np.int64]
    dealt: NDArray[np.int64]
    key: NDArray[np.uint64]

    @property
    def values(self) -> Floats:
        """What is dealt out: float64 array, shape (n_values,), in the order of `samples`."""
        found: Floats = self.template.values[0, self.samples]
        return found

    @property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
        """What kernels deal out by."""
        return self.samples, self.starts, self.dealt, self.key

    def orders(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Random arrangements, one a row: those of some numbers, every one as likely as any other."""
        from miscreen.kernels.shuffling import deal

        orders = np.empty((len(numbers), len(self.samples)), dtype=np.int64)
        deal(*self.arrays, numbers, orders)
        return orders

    def batch(self, orders: NDArray[np.int64]) -> Batch:
        """Arrangements as features, one a row."""
        from miscreen.kernels.shuffling import lay_out_values

        rows = np.full((len(orders), self.template.values.shape[1]), np.nan)
        lay_out_values(self.values, orders, rows)
        return Batch(rows, self.template.kind, np.full(len(rows), self.template.nominal[0]))


@dataclass(frozen=True)
class Scores:
    """What an estimator says of the features of a `Batch`.

    Attributes
    ----------
    mi : float64 array, shape (n_features,)
        Mutual information in nats, never clamped. NaN where there is no estimate, or beside a `score` for all features.
    method : str or sequence of str
        The estimator that was used, for all features or for each.
    score : float64 array, shape (n_features,), optional
        What is ranked, larger first, in nats as well: ``--unit bits`` divides it by ln 2, too. `mi` when absent.
    extras : mapping of str to float64 array, shape (n_features,)
        Further columns of the result, all of them among `Estimator.extra_columns`.
    correlation : float64 array, shape (n_features,), optional
        That of a Gaussian pair with information `mi`, whose interval is that of the correlation; NaN where there is
        none. Without it intervals are for the mutual information whatever the distribution.
    of_ranks : bool
        Whether the correlations are those of ranks.
    as_untied : bool array, shape (n_features,), optional
        True where dealing out a feature's values anew gives the statistic the distribution that it has for features
        without ties and missing values, as far as the estimator knows without counting ties.
    """

    mi: Floats
    method: str | Sequence[str]
    score: Floats | None = None
    extras: Mapping[str, Floats] = field(default_factory=dict)
    correlation: Floats | None = None
    of_ranks: bool = False
    as_untied: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class ScreenSpec:
    """What is asked for: everything that a score depends on besides the data.

    Attributes
    ----------
    method : str
        A name in `miscreen.estimators.ESTIMATORS`.
    options : object
        The estimator's own frozen options.
    discrete, continuous : tuple of str
        Names or globs of columns whose kind is set by the user.
    target_kind : Kind, optional
        Overrides the target's kind.
    max_levels : int
        Integers with at most so many distinct values are discrete.
    min_samples : int
        Features with fewer complete samples get no score.
    seed : int
        Key of everything random.
    """

    method: str
    options: Any
    discrete: tuple[str, ...] = ()
    continuous: tuple[str, ...] = ()
    target_kind: Kind | None = None
    max_levels: int = 20
    min_samples: int = 10
    seed: int = 0

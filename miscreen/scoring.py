"""What a slice of a block goes through: kinds and statuses, then for each target the estimator and tests of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators import estimator_class
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
from miscreen.partition import Findings, Partition
from miscreen.request import Request
from miscreen.roles import decide_kinds, read_strata
from miscreen.tables.source import Column, TableSource

if TYPE_CHECKING:
    from miscreen.inference.intervals import Intervals
    from miscreen.inference.max_t import MaxT
    from miscreen.inference.significance import Significance


class Outcome:
    """A target, and what is made ready for it once, whatever features are held against it.

    Parameters
    ----------
    target : Target
    groups : Column, optional
        The strata.
    request : Request
    """

    def __init__(self, target: Target, groups: Column | None, request: Request) -> None:
        self.target = target
        self.estimator = estimator_class(request.spec.method)(target, request.spec.options)
        self.significance: Significance | None = None  # for all partitions, since nulls take long to draw
        self._request = request
        self._strata = None if groups is None else read_strata(groups, target)
        if request.inference.p_values:
            from miscreen.inference.significance import Significance

            self.significance = Significance(target, self.estimator, request.spec.seed, self._strata)

    def tally(self, n_features: int) -> Tally:
        """Room for what will be found out about so many features."""
        inference, measures, seed = self._request.inference, self._request.extra, self._request.spec.seed
        findings = Findings.empty(n_features, dict.fromkeys([*self.estimator.extra_columns, *measures]))
        tally = Tally(self, findings, measures)
        if inference.p_values:
            findings.extras["p_value"] = np.full(n_features, np.nan)
            findings.extras["p_method"] = np.full(n_features, "", dtype=object)
        if inference.ci is not None:
            from miscreen.inference.intervals import COLUMNS, Intervals

            tally.intervals = Intervals(self.target, inference.ci, inference.bootstrap, seed)
            findings.extras.update({name: np.full(n_features, np.nan) for name in COLUMNS})
        if inference.max_t:
            from miscreen.inference.max_t import MaxT

            tally.max_t = MaxT(self.target, self.estimator, inference.max_t, seed, self._strata)
        return tally


@dataclass
class Tally:
    """What is being found out about features with regard to one target."""

    outcome: Outcome
    findings: Findings
    measures: Sequence[str]
    max_t: MaxT | None = None
    intervals: Intervals | None = None

    def add(self, batch: Batch, at: slice | NDArray[np.intp], names: Sequence[str]) -> None:
        """Score a batch whose features have the positions `at` among all of these names."""
        findings = self.findings
        scores = self.outcome.estimator.score(batch)
        findings.mi[at] = scores.mi
        findings.score[at] = score = scores.mi if scores.score is None else scores.score
        findings.method[at] = scores.method
        findings.status[at] = np.isnan(score) * np.uint8(Status.NO_ESTIMATE.value)
        measures = further_measures(self.measures, scores.mi, batch, self.outcome.target)
        for name, extra in (measures | dict(scores.extras)).items():  # a method's own where it has one
            if name not in findings.extras:
                method = type(self.outcome.estimator).__name__
                raise ValueError(f"{method} gives a column {name!r}, which is none of its extra_columns")
            findings.extras[name][at] = extra
        if (significance := self.outcome.significance) is not None:
            findings.extras["p_value"][at], findings.extras["p_method"][at] = significance.judge(batch, scores)
        if self.intervals is not None:
            chosen = names[at] if isinstance(at, slice) else [names[i] for i in at]
            ends = self.intervals.around(batch, chosen, scores)
            findings.extras["ci_low"][at], findings.extras["ci_high"][at] = ends
        if self.max_t is not None:
            self.max_t.add(batch)

    def settle(self, threads: int) -> None:
        """Find out what takes all batches to have been scored."""
        if (significance := self.outcome.significance) is not None:
            extras = self.findings.extras
            significance.settle(self.findings.score, extras["p_value"], extras["p_method"], threads)


class Scorer:
    """Scores slices of blocks; every slice fills its own part of the partition, so threads need no lock.

    Arrays are held against the values of enumerations: against a member itself NumPy takes ten times as long.
    """

    def __init__(
        self,
        source: TableSource,
        columns: NDArray[np.intp],
        spec: ScreenSpec,
        partition: Partition,
        tallies: Sequence[Tally],
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
            if len(tally.outcome.target.rows) < values.shape[1]:
                present, constant = self._present(values, types, tally.outcome.target), np.empty_like(constants)
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
        tally: Tally,
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

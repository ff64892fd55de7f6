"""p-values of features: which null each has, and the nulls that features share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.estimator import Estimator
from miscreen.estimators.plugin import PLUG_IN
from miscreen.inference.chi_square import table_test
from miscreen.inference.null import OWN, SHARED, SMALLEST, Null
from miscreen.inference.permutation import Permuter, hardly_tied
from miscreen.kernels.sorting import count_present
from miscreen.model import Batch, Floats, Kind, Scores, Target
from miscreen.pipeline import check_wanted, worker_threads

_NULLS, _NULLS_BYTES = 4, 64 << 20  # kept for features still to come, at least and at most
_KEYS = 1 << 14  # of patterns, remembered


class Significance:
    """The probability, under independence of the target, of a statistic as large as that of each feature.

    Parameters
    ----------
    target : Target
    estimator : Estimator
    seed : int
    strata : int64 array, shape (n_present,), optional
        Values are permuted within strata alone.

    Notes
    -----
    Under independence every arrangement of a feature's values among the samples in which it is present is as
    likely as any other (within its strata). Its null is the distribution of `Estimator.statistic` over them:

    - Continuous features without missing values and ties (but for those of at most 1 in 100 samples, as chance makes
      them in single precision) share one, when the statistic sees only ranks
      (`Estimator.margin_free`): their arrangements are the same. So do features whose ties the statistic does not
      see, such as those whose bins hold as many samples (`Scores.as_untied`). It is drawn once (`SHARED`).
    - Two discrete columns, where the statistic orders their tables of counts as the estimator says
      (`Estimator.table_order`): an exact test of two by two levels, and the G test where every cell expects enough, see
      `table_test`.
    - All others: one by one (`OWN`), stopping early for features that are clearly null. Features that are tied
      alike share draws where only ranks are seen; without ties in the target only the number of samples counts.

    A p-value depends on the feature's column, the target, the estimator and the seed alone.
    """

    def __init__(
        self, target: Target, estimator: Estimator, seed: int, strata: NDArray[np.int64] | None = None
    ) -> None:
        self._target = target
        self._estimator = estimator
        self._restricted = strata is not None
        self._permuter = Permuter(target, estimator.margin_free, seed, strata, estimator.by_order)
        self._nulls: OrderedDict[bytes, tuple[Null, int]] = OrderedDict()  # and what each was found to take
        self._held = 0  # by all of them: to add it up for each feature would take longer than to draw a null
        self._keys: dict[bytes, bytes] = {}  # of patterns, by the ties of features that have them
        self._shared: Null | None = None
        self._lock = threading.Lock()

    def judge(self, batch: Batch, scores: Scores) -> tuple[Floats, NDArray[Any]]:
        """p-values of a batch that has been scored, and how each was found.

        Features that share the null of all untied ones have NaN and an empty word: see `settle`.
        """
        observed = scores.mi if scores.score is None else scores.score
        p, how = np.full(len(observed), np.nan), np.full(len(observed), "", dtype=object)
        order = self._estimator.table_order
        if order == "chi-square":
            by_table = batch.nominal & self._target.nominal
        else:
            by_table = np.full(len(p), scores.score is None) & (np.asarray(scores.method) == PLUG_IN)
        for i in np.flatnonzero(~self._sharing(batch, scores.as_untied) & ~np.isnan(observed)).tolist():
            check_wanted()
            if by_table[i] and not self._restricted:
                p[i], how[i] = table_test(batch.values[i], self._target.codes, order)
            if np.isnan(p[i]):
                null, key = self._null(batch, i)
                p[i : i + 1], how[i : i + 1] = null.p_values(observed[i : i + 1])
                self._let_go(key)
        return np.maximum(p, SMALLEST), how

    def settle(self, observed: Floats, p: Floats, how: NDArray[Any], threads: int) -> None:
        """Fill in, in place, what `judge` left to the null that untied features share."""
        left = np.flatnonzero(np.isnan(p) & ~np.isnan(observed))
        if not len(left):
            return
        if self._shared is None:
            pattern = self._permuter.pattern(np.arange(float(len(self._target.values))), Kind.CONTINUOUS, False)
            self._shared = Null(pattern, self._estimator, SHARED)
        with worker_threads(threads) as pool:
            p[left], how[left] = self._shared.p_values(observed[left], pool)

    def _sharing(self, batch: Batch, as_untied: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Features without missing values and next to no ties, or as good as those, if they share a null."""
        if not self._permuter.shares or batch.kind != Kind.CONTINUOUS:
            return np.zeros(len(batch.values), dtype=np.bool_)
        if as_untied is None:
            return self._hardly_tied(batch)
        sharing = as_untied.copy()
        left = np.flatnonzero(~sharing)
        if len(left):
            sharing[left] = self._hardly_tied(batch.take(left))
        return sharing

    @staticmethod
    def _hardly_tied(batch: Batch) -> NDArray[np.bool_]:
        n_present, n_levels = np.empty((2, len(batch.values)), dtype=np.int64)
        count_present(batch.values, batch.order, batch.repeats, n_present, n_levels)
        n = batch.values.shape[1]
        return (n_present == n) & hardly_tied(n, n_levels)

    def _null(self, batch: Batch, i: int) -> tuple[Null, bytes]:
        """The null of a feature, and the key of its pattern."""
        ties = self._permuter.ties(batch, i) if self._permuter.shares else b""
        with self._lock:
            key = self._keys.get(ties)
            if key is not None and key in self._nulls:
                self._nulls.move_to_end(key)
                return self._nulls[key][0], key
        pattern = self._permuter.pattern(batch.values[i], batch.kind, bool(batch.nominal[i]))
        if not self._permuter.shares:
            return Null(pattern, self._estimator, OWN), pattern.key
        with self._lock:
            if len(self._keys) >= _KEYS:
                self._keys.clear()
            self._keys[ties] = pattern.key
            if pattern.key not in self._nulls:
                self._nulls[pattern.key] = Null(pattern, self._estimator, OWN), 0
            self._nulls.move_to_end(pattern.key)
            return self._nulls[pattern.key][0], pattern.key

    def _let_go(self, key: bytes) -> None:
        """Note what the null of a pattern takes by now, and forget those that were not needed for longest."""
        with self._lock:
            if key in self._nulls:
                null, held = self._nulls[key]
                self._nulls[key] = null, null.held_bytes
                self._held += null.held_bytes - held
            while self._held > _NULLS_BYTES and len(self._nulls) > _NULLS:
                self._held -= self._nulls.popitem(last=False)[1][1]

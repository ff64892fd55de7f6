"""The largest statistic of all features when the target is permuted, which keeps their dependence on each other."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.estimator import Estimator
from miscreen.inference.permutation import generator, rows_by_stratum
from miscreen.model import Batch, Floats, Target
from miscreen.pipeline import check_wanted


class MaxT:
    """Gathers, batch by batch, the largest statistic for each of a number of permutations.

    Parameters
    ----------
    target : Target
    estimator : Estimator
    permutations : int
    seed : int
    strata : int64 array, shape (n_present,), optional
        Samples are permuted within strata alone.

    Attributes
    ----------
    maxima : float64 array, shape (permutations,)
        The largest statistics so far; those of parts of the features combine by their maximum.
    """

    def __init__(
        self, target: Target, estimator: Estimator, permutations: int, seed: int, strata: NDArray[np.int64] | None
    ) -> None:
        self._estimator = estimator
        self._key = f"max-t\0{seed}\0{target.name}".encode("utf-8", "surrogateescape")
        self._strata = rows_by_stratum(len(target.values), strata)
        self._n = len(target.values)
        self._lock = threading.Lock()
        self.maxima = np.full(permutations, -np.inf)

    def add(self, batch: Batch) -> None:
        """Take features in. O(permutations) times the cost of their statistics."""
        found = np.array([self._largest(batch, i) for i in range(len(self.maxima))])
        with self._lock:
            np.maximum(self.maxima, found, out=self.maxima)

    def _largest(self, batch: Batch, permutation: int) -> float:
        check_wanted()
        random = generator(self._key, permutation)
        order = np.empty(self._n, dtype=np.intp)
        for rows in self._strata:
            order[rows] = random.permutation(rows)
        # Features move together past a target that stays: the same pairs, and the estimator is prepared for it.
        found: Floats = self._estimator.statistic(
            Batch(np.ascontiguousarray(batch.values[:, order]), batch.kind, batch.nominal)
        )
        return float(np.max(found, where=~np.isnan(found), initial=-np.inf))

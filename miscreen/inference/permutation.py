"""Features as they would be if they had nothing to do with the target: their values dealt out anew."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Batch, Dealing, Floats, Kind, Target

Orders = NDArray[np.int64]  # arrangements, one a row
_TIED = 200  # samples: one pair tied among so many changes no null that could be told from its own


def hardly_tied(n_samples: int, n_levels: Any) -> Any:
    """Whether ties are as rare as they are by chance among numbers of single precision; one or an array of `n_levels`.

    Examples
    --------
    >>> hardly_tied(1000, 999), hardly_tied(1000, 989), hardly_tied(50, 49)
    (True, False, False)
    """
    return n_samples - n_levels <= n_samples // _TIED


def generator(key: bytes, *counter: int) -> np.random.Generator:
    """A stream of random numbers for a key and up to three counters, the same wherever it is asked for.

    Examples
    --------
    >>> bool(generator(b"a", 1).random() == generator(b"a", 1).random() != generator(b"a", 2).random())
    True
    """
    words = np.frombuffer(hashlib.blake2b(key, digest_size=16).digest(), dtype="<u8").astype(np.uint64)
    start = np.zeros(4, dtype=np.uint64)
    start[1 : 1 + len(counter)] = counter  # the first word counts within the stream
    return np.random.Generator(np.random.Philox(key=words, counter=start))


def rows_by_stratum(n_samples: int, strata: NDArray[np.int64] | None) -> list[NDArray[np.intp]]:
    """The samples of each stratum; all together where there are none."""
    if strata is None:
        return [np.arange(n_samples)]
    return [np.flatnonzero(strata == label) for label in np.unique(strata)]


@dataclass(frozen=True)
class Pattern:
    """All that the permutation null of a feature depends on, besides the target.

    Attributes
    ----------
    dealing : Dealing
        How its values are dealt out: among the samples that have one, by stratum.
    key : bytes
        The same for the same pattern, whichever feature has it.
    log_arrangements : float
        Logarithm of the number of ways to deal out either the feature or the target, whichever are fewer: no
        p-value can lie below one in so many.
    by_rank : bool
        Whether the statistic sees nothing but ranks.
    target_levels : intp array, shape (n_samples,)
        Which of the target's values each sample has, ascending.
    remote_targets : float64 array, shape (n_samples,)
        How remote the target is, by sample: see `remoteness`.
    labelled : bool
        Whether the statistic takes levels of the feature for labels, which a few samples may decide.
    target_labelled : bool
        The same of the target.
    """

    dealing: Dealing
    key: bytes
    log_arrangements: float
    by_rank: bool
    target_levels: NDArray[np.intp]
    remote_targets: Floats
    labelled: bool
    target_labelled: bool

    @property
    def remote_values(self) -> Floats:
        """How remote each of the values is that are dealt out."""
        return remoteness(self.dealing.values, bool(self.dealing.template.nominal[0]), self.by_rank)


class Permuter:
    """Finds the pattern of every feature of one target.

    Parameters
    ----------
    target : Target
    margin_free : bool
        Whether the statistic sees nothing but the order of the values: features that are tied alike, and present
        where the target is tied alike, then share a pattern.
    seed : int
    strata : int64 array, shape (n_present,), optional
        Values are dealt out only among samples of the same stratum.
    by_order : bool
        `Estimator.by_order`.
    """

    def __init__(
        self,
        target: Target,
        margin_free: bool,
        seed: int,
        strata: NDArray[np.int64] | None,
        by_order: bool = False,
    ) -> None:
        self.shares = margin_free and strata is None  # whether features can have a pattern in common
        self._by_rank = margin_free
        self._by_order = by_order
        self._target_labelled = target.nominal or not by_order
        self._remote = remoteness(target.values, target.nominal, margin_free)
        self._salt = f"{seed}\0{target.name}\0".encode("utf-8", "surrogateescape")
        n = len(target.values)
        self._levels = levels = np.unique(target.values, return_inverse=True)[1]
        self._counts = counts = np.bincount(levels)
        order = np.argsort(levels, kind="stable")
        self._place = np.empty(n, dtype=np.intp)  # of each sample among those of its level
        self._place[order] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
        self._hardly_tied = hardly_tied(n, len(counts))
        self._spread = np.empty(n, dtype=np.intp)  # of each sample in an order whose beginnings have the fewest ties
        self._spread[np.argsort(self._place, kind="stable")] = np.arange(n)
        self._strata = rows_by_stratum(n, strata)

    def ties(self, batch: Batch, feature: int) -> bytes:
        """The same for features of one pattern, where they share some, told in a twentieth of the time. O(n).

        That of two may differ although they have one pattern.
        """
        values = batch.values[feature]
        present = ~np.isnan(values)
        n = np.count_nonzero(present)
        about = [np.array([batch.kind, batch.nominal[feature], n]), np.packbits(batch.repeats[feature, :n])]
        if n < len(values) and len(self._counts) < len(values):  # it matters where the target is tied
            about.append(np.bincount(self._levels[present], minlength=len(self._counts)))
        return hashlib.sha256(b"".join(one.tobytes() for one in about)).digest()  # since many are remembered

    def pattern(self, values: Floats, kind: Kind, nominal: bool) -> Pattern:
        """The pattern of one feature: float64 values, shape (n_present,), NaN where missing. O(n log n)."""
        present = ~np.isnan(values)
        if self.shares:
            kept = np.sort(values[present])
            own = np.bincount(self._levels[present], minlength=len(self._counts))
            values = np.full(len(values), np.nan)
            # Any samples that are tied alike will do, or as next to no others are.
            if self._hardly_tied and hardly_tied(len(kept), np.count_nonzero(own)):
                present = self._spread < len(kept)
            else:
                present = self._place < own[self._levels]
            codes = np.cumsum(_begins(kept)) - 1
            values[present] = np.arange(len(kept)) if hardly_tied(len(kept), codes[-1] + 1) else codes
        groups = [rows[present[rows]] for rows in self._strata]
        groups = [rows for rows in groups if len(rows)]
        template = np.full(len(values), np.nan)
        of_feature = of_target = 0.0  # logarithms of the number of orders
        runs = []
        for rows in groups:
            ascending = np.sort(values[rows]) + 0.0  # which makes -0 and 0 the same
            template[rows] = ascending
            starts = np.flatnonzero(_begins(ascending))
            counts = np.empty(len(starts), dtype=np.intp)
            counts[:-1], counts[-1] = starts[1:] - starts[:-1], len(rows) - starts[-1]
            runs.append((ascending[starts], counts))
            of_feature += _log_ways(counts)
            of_target += _log_ways(np.bincount(self._levels[rows]))
        digest = hashlib.sha256(b"%b%d%d%b" % (self._salt, kind, nominal, template.tobytes())).digest()
        ways = min(of_feature, of_target)
        levels, counts = runs[0] if len(runs) == 1 else np.unique(template[present], return_counts=True)
        modes = levels[counts == counts.max()]
        commonest = modes[len(modes) // 2]  # not an outlier
        common = [template[rows] == commonest for rows in groups]
        samples = np.concatenate(
            [part for rows, of in zip(groups, common, strict=True) for part in (rows[~of], rows[of])]
        )
        dealing = Dealing(
            Batch(template[np.newaxis], kind, np.array([nominal])),
            samples,
            np.cumsum([0, *map(len, groups)]),
            np.array([len(of) - np.count_nonzero(of) for of in common]),
            np.frombuffer(digest, dtype="<u8", count=2).astype(np.uint64),
        )
        labelled = nominal or not self._by_order
        return Pattern(
            dealing, digest, ways, self._by_rank, self._levels, self._remote, labelled, self._target_labelled
        )


def remoteness(values: Floats, nominal: bool, by_rank: bool) -> Floats:
    """How far from their middle values are, in ranks or as they are; of labels, how few others they are tied with."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if nominal:
        return -counts[codes].astype(np.float64)
    at = (np.cumsum(counts) - 0.5 * counts)[codes] if by_rank else values
    with np.errstate(over="ignore"):
        found: Floats = np.abs(at - np.median(at))
    return found


def _begins(ascending: Floats) -> NDArray[np.bool_]:
    """Where a value differs from the one before."""
    begins = np.ones(len(ascending), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=begins[1:])
    return begins


def _log_ways(counts: NDArray[np.intp]) -> float:
    """Logarithm of the number of different orders of values, of which so many are equal."""
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(c + 1) for c in counts[counts > 1].tolist())

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
    """

    dealing: Dealing
    key: bytes
    log_arrangements: float
    by_rank: bool
    target_levels: NDArray[np.intp]
    remote_targets: Floats

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
    """

    def __init__(self, target: Target, margin_free: bool, seed: int, strata: NDArray[np.int64] | None) -> None:
        self.shares = margin_free and strata is None  # whether features can have a pattern in common
        self._by_rank = margin_free
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
        labels = np.zeros(n, dtype=np.int64) if strata is None else strata
        self._strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]

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
            own = self._levels[present]
            values, kept = np.full(len(values), np.nan), values[present]
            # Any samples that are tied alike will do, or as next to no others are.
            if self._hardly_tied and (len(own) == len(present) or hardly_tied(len(own), len(np.unique(own)))):
                present = self._spread < len(own)
            else:
                present = self._place < np.bincount(own, minlength=self._levels.max() + 1)[self._levels]
            codes = np.unique(kept, return_inverse=True)[1]
            values[present] = np.arange(len(kept)) if hardly_tied(len(kept), codes.max() + 1) else codes
        groups = [rows[present[rows]] for rows in self._strata]
        groups = [rows for rows in groups if len(rows)]
        template = np.full(len(values), np.nan)
        for rows in groups:
            template[rows] = np.sort(values[rows]) + 0.0  # which makes -0 and 0 the same
        digest = hashlib.sha256(b"%b%d%d%b" % (self._salt, kind, nominal, template.tobytes())).digest()
        ways = min(sum(_log_ways(of[rows]) for rows in groups) for of in (template, self._levels))
        levels, counts = np.unique(template[present], return_counts=True)
        modes = levels[counts == counts.max()]
        commonest = modes[len(modes) // 2]  # not an outlier
        samples = np.concatenate([rows[np.argsort(template[rows] == commonest, kind="stable")] for rows in groups])
        dealing = Dealing(
            Batch(template[np.newaxis], kind, np.array([nominal])),
            samples,
            np.cumsum([0, *map(len, groups)]),
            np.array([np.count_nonzero(template[rows] != commonest) for rows in groups]),
            np.frombuffer(digest, dtype="<u8", count=2).astype(np.uint64),
        )
        return Pattern(dealing, digest, ways, self._by_rank, self._levels, self._remote)


def remoteness(values: Floats, nominal: bool, by_rank: bool) -> Floats:
    """How far from their middle values are, in ranks or as they are; of labels, how few others they are tied with."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if nominal:
        return -counts[codes].astype(np.float64)
    at = (np.cumsum(counts) - 0.5 * counts)[codes] if by_rank else values
    with np.errstate(over="ignore"):
        found: Floats = np.abs(at - np.median(at))
    return found


def _log_ways(values: NDArray[np.generic]) -> float:
    """Logarithm of the number of different orders of values, some of which are equal."""
    counts = np.unique(values, return_counts=True)[1]
    return math.lgamma(len(values) + 1) - sum(math.lgamma(c + 1) for c in counts[counts > 1].tolist())

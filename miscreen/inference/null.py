"""The null distribution of a statistic: draws for its bulk, multilevel splitting for its tail."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.estimators.estimator import Estimator
from miscreen.inference.chi_square import EXACT
from miscreen.inference.meetings import Meetings
from miscreen.inference.moves import Moves
from miscreen.inference.permutation import Orders, Pattern, generator
from miscreen.inference.tables import Tables
from miscreen.inference.tail import exponential_shares
from miscreen.model import Floats
from miscreen.pipeline import check_wanted

PERMUTATION, SPLITTING, EXTRAPOLATED = "permutation", "splitting", "exponential tail"
MEETINGS = "remote values"

_DRAWS = 250  # in one call, at most
_VALUES = 10_000_000  # dealt out in one call, at most, since nothing else can end it
_DEEPEST = 1e-10  # below, nothing is sampled
_SURELY_BEYOND = 1e-12  # by the first level and a careful margin: not worth sampling further
_MARGIN = 1.5  # on the mean of exceedances, three standard errors of 100 of them that come from chains
_SPLIT = 10  # one in so many goes on to the next level
_ACCEPTED = 0.35  # share of moves aimed at
_LEAST_STIR = 1e-4
_EXCHANGES = 3  # for each move that deals out a share anew, where few values or samples decide
_COUNTED_OUT = 0.1  # drawn p, from which down all tables are looked at if they are few, so that 0.05 is exact
_TOLD_BY_FEW = 100  # values: of fewer the tail is not surely exponential, and many statistics are tied
_BOUND = 1e100
_OBJECT_BYTES = 1 << 11  # beside arrays that grow with the samples
_DIGITS = 2.0**34
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Effort:
    """How much a null is sampled.

    Attributes
    ----------
    draws : int
        Independent arrangements; when sequential twice as many of fewer than 100 values beside the commonest, whose
        ties count.
    enough : int
        Exceedances among them that settle a p-value; with fewer the tail is sampled.
    level : int
        Arrangements at each level of the tail, a tenth of which go on to the next; where few samples decide, four
        times as many at a level.
    chains : int
        Arrangements moved together, in the same places: fewer calls, but in small strata chains that are too alike.
    floor : float
        Below, the tail is extrapolated where it is seen to be exponential.
    sequential : bool
        Stop drawing for a feature as soon as it has enough exceedances, and do not sample what is surely beyond.
    """

    draws: int
    enough: int
    level: int
    chains: int
    floor: float
    sequential: bool


SHARED = Effort(draws=10_000, enough=200, level=2_000, chains=100, floor=1e-10, sequential=False)
OWN = Effort(draws=2_000, enough=20, level=1_000, chains=50, floor=3e-6, sequential=True)


@dataclass(frozen=True)
class _Level:
    """Arrangements of the upper tail of probability `tail`, and the best of them, from which the next level starts.

    `found` holds the statistics of all, ascending; `share` of them reach `threshold`, as `best` do, one a row. `stir`
    is the share of values that a move deals out anew.
    """

    tail: float
    found: Floats
    threshold: float
    share: float
    best: Orders
    best_found: Floats
    stir: float

    @property
    def nbytes(self) -> int:
        """What all of it takes."""
        return self.found.nbytes + self.best.nbytes + self.best_found.nbytes

    def p_values(self, observed: Floats) -> Floats:
        """Of statistics, among the arrangements here."""
        reached = len(self.found) - np.searchsorted(self.found, observed)
        p: Floats = self.tail * (reached + 1) / (len(self.found) + 1)
        return p


class Null:
    """Upper tail probabilities of a statistic over all arrangements of a feature.

    Parameters
    ----------
    pattern : Pattern
    estimator : Estimator
        Whose `Estimator.statistic` it is the null of.
    effort : Effort

    Attributes
    ----------
    held_bytes : int
        About what is taken by the pattern, and by what was drawn and sampled so far.

    Notes
    -----
    Draws: p = (b + 1) / (B + 1) for b of B draws that reach the observed statistic (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585), or when sequential h / L, where draw L was the h-th to reach it (Besag & Clifford
    1991, doi:10.1093/biomet/78.2.301): both valid p-values.

    Tail: where fewer than h draws reach the statistic, the h best of them are the start of Markov chains that keep to
    the arrangements beyond them, the best tenth of which are the start of the next level (subset simulation, Au
    & Beck 2001, doi:10.1016/S0266-8920(01)00019-4). A move deals out anew some of the values, so many that about a
    third of the moves are accepted. Where few samples decide, each is followed by three that exchange a value, see
    `Moves`, and the best fortieth goes on. The standard deviation of log10 p at 1e-8 is about 0.15 with the effort
    `SHARED`, 0.4 with `OWN` and where few decide, more where outliers meet a class of a few. Below the floor, which
    is 1e-10 there and for less than 100 values beside the commonest, exceedances over the last threshold are taken
    as exponential, the generalised Pareto distribution of shape 0, since log-survival functions of estimates of
    mutual information are asymptotically linear (Sanov's theorem). Where their standard deviation speaks against
    it, sampling goes on to 1e-10, and p is then the least that was sampled.

    Where a few samples decide, and only in ways that are seldom drawn, such a tail is far too small: when sequential, p
    is at least what `Meetings` finds. Columns of few levels have it exactly, by `Tables`.

    Everything is drawn when it is first needed and depends on the pattern's key alone. For one null p falls as
    the statistic rises. O(draws + levels) statistics; n_present * 8 bytes for a tenth of a
    level, and three times as much more while one is sampled.
    """

    def __init__(self, pattern: Pattern, estimator: Estimator, effort: Effort) -> None:
        self._pattern = pattern
        self._estimator = estimator
        self._effort = effort
        self._told_by_few = pattern.dealing.dealt.sum() < _TOLD_BY_FEW
        self._draws = effort.draws * (2 if effort.sequential and self._told_by_few else 1)
        self._drawn = np.empty(0)
        self._levels: list[_Level] = []
        self._meetings: Meetings | None = None
        self._moves: Moves | None = None
        self._tables: Tables | None = None
        self._least = max(SMALLEST, math.exp(-pattern.log_arrangements))
        self._pattern_bytes = self.held_bytes = _OBJECT_BYTES + 32 * len(pattern.target_levels)
        self._lock = threading.Lock()

    def p_values(self, observed: Floats, pool: Executor | None = None) -> tuple[Floats, NDArray[Any]]:
        """Probabilities of statistics as large as these under independence, and how each was found.

        `pool` shares out the drawing among threads.
        """
        lowered = _finite(observed)  # which may have been rounded to the other side
        lowered -= 1e-9 * np.abs(lowered) + 1e-12
        with self._lock:
            if self._effort.sequential:
                p = np.array([self._stopped(x) for x in lowered.tolist()])
            else:
                self._draw_all(pool)
                reached = self._draws - np.searchsorted(np.sort(self._drawn), lowered)
                p = np.where(reached >= self._effort.enough, (reached + 1) / (self._draws + 1), np.nan)
            how = np.full(len(p), PERMUTATION, dtype=object)
            small = np.flatnonzero(~(p > _COUNTED_OUT))
            exact = self._exactly(lowered[small]) if len(small) else None
            if exact is not None:
                p[small], how[small] = exact, EXACT
            beyond = np.flatnonzero(np.isnan(p))
            if len(beyond):  # all has been drawn, and the best of it are where the tail begins
                p[beyond], how[beyond] = self._tail(lowered[beyond], pool)
                if self._effort.sequential:
                    least = self._by_meetings(lowered[beyond])
                    more = least > p[beyond]
                    p[beyond[more]], how[beyond[more]] = least[more], MEETINGS
                # Ties may put more into the tail than draws have settled.
                p[beyond] = np.minimum(p[beyond], self._effort.enough / self._draws)
            self.held_bytes = self._pattern_bytes + self._drawn.nbytes + sum(level.nbytes for level in self._levels)
        return np.maximum(p, self._least), how

    def _stopped(self, observed: float) -> float:
        """Draw until enough have reached a statistic; NaN if they never do."""
        enough = self._effort.enough
        hits = np.flatnonzero(self._drawn >= observed)
        while len(hits) < enough and len(self._drawn) < self._draws:  # rounding may have lowered some of them
            check_wanted()
            numbers = range(len(self._drawn), min(self._draws, len(self._drawn) + self._at_once()))
            further = self._estimator.drawn(self._pattern.dealing, numbers, observed, enough - len(hits))
            self._drawn = np.concatenate((self._drawn, _finite(further)))
            hits = np.flatnonzero(self._drawn >= observed)
        return enough / (int(hits[enough - 1]) + 1) if len(hits) >= enough else math.nan

    def _draw_all(self, pool: Executor | None) -> None:
        if len(self._drawn) < self._draws:
            step = min(_DRAWS, self._at_once())
            parts = [range(start, min(start + step, self._draws)) for start in range(0, self._draws, step)]
            drawn = _each(pool, self._draw, parts)
            self._drawn = _finite(np.concatenate(drawn))

    def _draw(self, numbers: range) -> Floats:
        check_wanted()
        return self._estimator.drawn(self._pattern.dealing, numbers, math.inf, len(numbers) + 1)

    def _at_once(self) -> int:
        return max(1, _VALUES // len(self._pattern.dealing.samples))

    def _evaluate(self, orders: Orders) -> Floats:
        check_wanted()
        return _finite(self._estimator.arranged(self._pattern.dealing, orders))

    def _tail(self, observed: Floats, pool: Executor | None) -> tuple[Floats, NDArray[Any]]:
        """p-values, and how they were found, of statistics that too few draws reach."""
        p, how = np.full(len(observed), np.nan), np.full(len(observed), SPLITTING, dtype=object)
        left = np.arange(len(observed))
        if self._moves is None:
            self._moves = Moves(self._pattern)
            self._levels.append(self._first_level())
        few = self._moves.among_few or self._told_by_few
        floor = _DEEPEST if few else self._effort.floor
        least = 0.0
        if self._effort.sequential and self._least < _SURELY_BEYOND and (len(self._levels) > 1 or self._descend(pool)):
            # Not from the draws: the bulk of a statistic may fall off much faster than its tail.
            nearest = self._levels[1]
            beyond = nearest.tail * _exponential(nearest.found, observed, _MARGIN)
            sure = beyond < _SURELY_BEYOND
            p[sure], how[sure] = beyond[sure], EXTRAPOLATED
            left = np.flatnonzero(~sure)
            least = _SURELY_BEYOND  # so that p falls as the statistic rises
        depth = 1
        while len(left) and (depth < len(self._levels) or self._descend(pool)):
            level = self._levels[depth]
            within = observed[left] <= level.threshold
            p[left[within]] = level.p_values(observed[left[within]])
            left = left[~within]
            if level.tail * level.share < floor:
                beyond = level.tail * _exponential(level.found, observed[left])
                told = ~np.isnan(beyond)
                p[left[told]], how[left[told]] = np.maximum(beyond[told], least), EXTRAPOLATED
                left = left[~told]
            depth += 1
        p[left] = self._levels[-1].p_values(observed[left])
        return p, how

    def _exactly(self, observed: Floats) -> Floats | None:
        """The shares that reach statistics which too few draws reach, where all tables can be looked at."""
        if self._tables is None:
            self._tables = Tables(self._pattern, self._evaluate)
        return self._tables.p_values(observed)

    def _by_meetings(self, observed: Floats) -> Floats:
        if self._meetings is None:
            self._meetings = Meetings(self._pattern, self._evaluate, self._draws)
        assert self._moves is not None
        # Chains that exchange values find what ranks have; outliers may lie farther off than they get.
        return self._meetings.least(observed, beyond=not (self._moves.among_few and self._pattern.by_rank))

    def _first_level(self) -> _Level:
        best = np.argsort(-self._drawn, kind="stable")[: self._effort.enough]
        return _level(1.0, self._drawn, self._pattern.dealing.orders(best), self._drawn[best], 1.0)

    def _descend(self, pool: Executor | None) -> bool:
        """Sample one level further; False when there is none, or none is wanted."""
        last = self._levels[-1]
        tail = last.tail * last.share
        if tail < _DEEPEST or not last.share:
            return False
        number = len(self._levels)
        chains = self._effort.chains
        length = self._effort.level // len(last.best)
        groups = [slice(start, start + chains) for start in range(0, len(last.best), chains)]
        walks = _each(pool, lambda some: self._walk(last, some, length, number), groups)
        found = np.concatenate([w[0] for w in walks])
        best, best_found = _best([w[1:3] for w in walks], self._effort.level // _SPLIT)
        used = last.best[:0].copy(), last.best_found[:0].copy()  # views would keep the arrays
        self._levels[-1] = replace(last, best=used[0], best_found=used[1])
        self._levels.append(_level(tail, found, best, best_found, float(np.mean([w[3] for w in walks]))))
        return True

    def _walk(self, start: _Level, chains: slice, length: int, number: int) -> tuple[Floats, Orders, Floats, float]:
        """Move some chains among the arrangements beyond a threshold: all statistics, and the best arrangements."""
        random, moves = generator(self._pattern.key, chains.start, number), self._moves
        assert moves is not None
        orders, found, stir = start.best[chains].copy(), start.best_found[chains], start.stir
        visited: list[Floats] = []
        parts: list[tuple[Orders, Floats]] = []
        count, kept, bar = self._effort.level // _SPLIT, 0, -math.inf
        exchanges = _EXCHANGES if moves.among_few else 0
        for step in range((1 + exchanges) * length):
            anew = step % (1 + exchanges) == 0
            moved = moves.deal_anew(orders, stir, random) if anew else moves.exchange(orders, random)
            there = self._evaluate(moved)
            accepted, changed = there >= start.threshold, there != found
            orders[accepted] = moved[accepted]
            found = np.where(accepted, there, found)
            visited.append(found)
            better = found > bar
            parts.append((orders[better], found[better]))
            kept += len(parts[-1][1])
            if kept > 3 * count:  # memory for so many
                parts = [_best(parts, count)]
                kept, bar = count, parts[0][1].min()
            if anew:
                often = np.count_nonzero(accepted & changed) >= _ACCEPTED * np.count_nonzero(changed)
                stir = min(1.0, max(_LEAST_STIR, stir * (1.3 if often else 0.8)))
        return np.concatenate(visited), *_best(parts, count), stir


def _finite(found: Floats) -> Floats:
    """Statistics with a bound, so that they can be averaged; none at all is less than any.

    They are rounded to ten digits, since equal tables of counts may differ in the last, summed in another order.
    """
    bounded = np.clip(np.where(np.isnan(found), -_BOUND, found), -_BOUND, _BOUND)
    mantissa, exponent = np.frexp(bounded)
    rounded: Floats = np.ldexp(np.round(mantissa * _DIGITS) / _DIGITS, exponent)
    return rounded


def _level(tail: float, found: Floats, best: Orders, best_found: Floats, stir: float) -> _Level:
    """Put the next threshold at the least of the best, or beyond what is tied there if many lie beyond.

    Where only some of those tied are among the best, as many of those beyond are left out, so that the best are a fair
    sample of all that reach the threshold.
    """
    found = np.sort(found)
    threshold = best_found.min()
    beyond = best_found > threshold
    kept_tied, tied = np.count_nonzero(~beyond), np.count_nonzero(found == threshold)
    kept = np.arange(len(best))
    if threshold == found[0] or (kept_tied < tied and 2 * np.count_nonzero(beyond) >= len(best)):
        further = found[found > threshold]
        threshold = further[0] if len(further) else np.inf
        kept = np.flatnonzero(best_found >= threshold)
    elif kept_tied < tied:
        above = np.flatnonzero(beyond)
        some = np.round(np.linspace(0, len(above) - 1, round(len(above) * kept_tied / tied))).astype(np.intp)
        kept = np.sort(np.concatenate((np.flatnonzero(~beyond), above[some])))
    share = float(np.mean(found >= threshold))
    return _Level(tail, found, float(threshold), share, best[kept], best_found[kept], stir)


def _best(parts: Iterable[tuple[Orders, Floats]], count: int) -> tuple[Orders, Floats]:
    """The arrangements of the largest statistics among several sets."""
    parts = list(parts)
    found = np.concatenate([part[1] for part in parts])
    kept = np.sort(np.argsort(-found, kind="stable")[:count])
    ends = np.cumsum([len(part[1]) for part in parts])
    places = np.split(kept, np.searchsorted(kept, ends[:-1]))
    best = [part[0][place - end] for part, place, end in zip(parts, places, ends.tolist(), strict=True)]  # from the end
    return np.concatenate(best), found[kept]


def _exponential(found: Floats, observed: Floats, margin: float = 1.0) -> Floats:
    """Shares beyond statistics by an exponential tail on the best tenth of ascending ones; NaN if it is none."""
    threshold = found[-(len(found) // _SPLIT)]
    exceedances = found[np.searchsorted(found, threshold) :] - threshold
    return len(exceedances) / len(found) * exponential_shares(exceedances, observed - threshold, margin)


def _each(pool: Executor | None, work: Callable[[Any], Any], over: Iterable[Any]) -> list[Any]:
    return list(map(work, over) if pool is None else pool.map(work, over))

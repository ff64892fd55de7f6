"""Clumping: the best column of every group of columns that tell the same."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from miscreen.model import Floats
from miscreen.selection.codes import Column
from miscreen.selection.information import Information
from miscreen.selection.strategy import Choice, Pool, Strategy

GAUSSIAN_MI = -0.5 * math.log(1 - 0.6**2)  # nats between two normal columns of correlation 0.6


class Clump(Strategy):
    """Walk down the ranking, and drop every column that tells more than a threshold about a better one kept.

    Parameters
    ----------
    threshold : float
        Mutual information in nats. By default 0.223, that of a Gaussian pair with correlation 0.6.

    Notes
    -----
    Bins hide some of the mutual information: of a Gaussian pair with correlation 0.6, 0.196 of 0.223 nats are left in
    8 x 8 bins. Two continuous columns are therefore held to `gaussian_mi_in_bins` of the threshold: what is left of it
    in their bins if they are a Gaussian pair. Pairs with a discrete column are held to the threshold itself.
    O(kept candidates (n + cells)).
    """

    axes: ClassVar[int] = 2
    needs_count: ClassVar[bool] = False
    most_candidates: ClassVar[int] = 5_000

    def __init__(self, threshold: float = GAUSSIAN_MI) -> None:
        self._threshold = threshold

    def choose(self, pool: Pool, count: int | None) -> Choice:
        """Keep at most `count` columns, and tell which one every dropped column fell to: the best that it repeats."""
        information = pool.known
        candidates = information.candidates
        dropped = np.zeros(len(candidates), dtype=bool)
        largest = np.full(len(candidates), np.nan)
        kept: list[int] = []
        fell_to: dict[int, tuple[int, float]] = {}

        def drop(z: Column, at: int, first: int) -> None:
            """Drop what falls to a column, the one at that position, of the candidates from `first` on."""
            mi = information.with_column(z, first=first, of_all=False)
            falls = (mi > self._limits(information, z)[first:]) & ~dropped[first:]
            for j in np.flatnonzero(falls):
                fell_to[first + int(j)] = at, float(mi[j])
            dropped[first:] |= falls
            largest[first:] = np.fmax(largest[first:], mi)

        for g, z in enumerate(pool.given):
            drop(z, len(candidates) + g, 0)
        for i in range(len(candidates)):
            if dropped[i]:
                continue
            kept.append(i)
            drop(candidates[i], i, i + 1)
            if len(kept) == count:
                break
        return Choice(kept, {"redundancy_nats": largest[kept]}, fell_to)

    def _limits(self, information: Information, z: Column) -> Floats:
        candidates = information.candidates
        limits = np.full(len(candidates), self._threshold)
        if z.binned:
            limits[candidates.binned] = gaussian_mi_in_bins(self._threshold, z.size)
        return limits


@cache
def gaussian_mi_in_bins(mi: float, bins: int) -> float:
    """Mutual information, in nats, that is left of a Gaussian pair's in `bins` bins of equal frequency each.

    Notes
    -----
    With r = sqrt(1 - exp(-2 mi)), a cell's probability is the integral over its strip of x of the normal probability
    of its range of y given x; Gauss-Legendre with 64 nodes a strip, on the scale of probability.

    Examples
    --------
    >>> round(gaussian_mi_in_bins(0.2231, 8), 3), round(gaussian_mi_in_bins(0.2231, 3), 3)
    (0.196, 0.135)
    """
    normal = NormalDist()
    r, rest = math.sqrt(-math.expm1(-2.0 * mi)), math.exp(-mi)
    edges = [-math.inf, *(normal.inv_cdf(i / bins) for i in range(1, bins)), math.inf]
    nodes, weights = np.polynomial.legendre.leggauss(64)
    total = 0.0
    for strip in range(bins):
        cells = np.zeros(bins)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            x = normal.inv_cdf((strip + node) / bins)
            below = [0.5 * math.erfc(-(edge - r * x) / (rest * math.sqrt(2.0))) for edge in edges]
            cells += weight * np.diff(below)
        cells = cells[cells > 0]
        total += float(np.sum(cells * np.log(cells * bins))) / bins
    return total

"""Steps from arrangement to arrangement, by which the tail of a null is sampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.inference.permutation import Orders, Pattern
from miscreen.kernels.shuffling import stir
from miscreen.model import Floats

FEW = 12  # values or samples; of more a share has some often enough
_FAR = 10  # values that have half of a sum of squares; with a Gaussian distribution it is 12 % of all
_OF_LEVELS = 10  # samples a level, on average, for a column to be one of levels


class Moves:
    """Proposes arrangements near to others, each as likely as the way back: uniform if the others were.

    Parameters
    ----------
    pattern : Pattern

    Attributes
    ----------
    among_few : bool
        Whether few values or samples decide: those other than the commonest value, of a rare level, or so far out that
        they have half of a variance.

    Notes
    -----
    Dealing out a share of all values anew leaves few of them alone most of the time, and throws them anywhere for the
    rest, so that no chain would move in a deep tail. `exchange` is for them. O(n) an arrangement.
    """

    def __init__(self, pattern: Pattern) -> None:
        dealing = pattern.dealing
        self._starts, self._sizes = dealing.starts, np.diff(dealing.starts)
        self._group = np.repeat(np.arange(len(self._sizes)), self._sizes)
        targets = pattern.target_levels[dealing.samples]
        self._by_target = dealing.samples[np.lexsort((targets, self._group))]
        self._rank = np.empty(dealing.template.values.shape[1], dtype=np.intp)  # place of a sample among those
        self._rank[self._by_target] = np.arange(len(self._by_target))
        values = np.unique(dealing.values, return_inverse=True)[1]
        uncommon = np.arange(len(self._group)) < (self._starts[:-1] + dealing.dealt)[self._group]
        few_values = uncommon if np.count_nonzero(uncommon) < FEW else uncommon & _rare(values, pattern.labelled)
        few_samples = _rare(targets, pattern.target_labelled)
        if not pattern.by_rank:
            few_values = few_values | (uncommon & _far(pattern.remote_values))
            few_samples = few_samples | _far(pattern.remote_targets[dealing.samples])
        self._values, self._samples = np.flatnonzero(few_values), dealing.samples[few_samples]
        self.among_few = len(self._values) + len(self._samples) > 0

    def deal_anew(self, orders: Orders, share: float, random: np.random.Generator) -> Orders:
        """Deal out a share of the values of each group anew; if that is less than two, two values of some groups."""
        wanted = share * self._sizes
        some = 2 * (2 * random.random(len(wanted)) < wanted)
        counts = np.minimum(np.where(wanted < 2, some, np.round(wanted).astype(np.intp)), self._sizes)
        at_all = np.cumsum(np.where(self._sizes < 2, 0, self._sizes))
        if counts.max() < 2 and at_all[-1]:
            counts[np.searchsorted(at_all, random.random() * at_all[-1], side="right")] = 2
        moved = orders.copy()
        stir(moved, self._starts, counts, random.integers(0, 2**64, 2, dtype=np.uint64))
        return moved

    def exchange(self, orders: Orders, random: np.random.Generator) -> Orders:
        """Exchange one of few values with one whose sample is near to its own in the order of the target, or the value
        of one of few samples with one that is near in the order of values.

        As near are 1, 2, 4 ... of them as often.
        """
        rows, moved = np.arange(len(orders)), orders.copy()
        if not len(self._samples) or (len(self._values) and random.random() < 0.5):
            value = random.choice(self._values, len(rows))
            at = self._rank[orders[rows, value]]
            to = self._nearby(at, self._group[value], random)
            other = np.argmax(orders == self._by_target[to][:, np.newaxis], axis=1)
        else:
            value = np.argmax(orders == random.choice(self._samples, len(rows))[:, np.newaxis], axis=1)
            other = self._nearby(value, self._group[value], random)
        moved[rows, value], moved[rows, other] = orders[rows, other], orders[rows, value]
        return moved

    def _nearby(self, places: NDArray[np.intp], group: NDArray[np.intp], random: np.random.Generator) -> Orders:
        """Places in the same group at random distances; the same where they would lie outside."""
        scale, distance, side = random.random((3, len(places)))
        sizes = self._sizes[group]
        farthest = np.ldexp(1.0, np.floor(scale * np.frexp(sizes)[1]).astype(np.intp))
        to = places + np.where(side < 0.5, -1, 1) * (1 + (distance * farthest).astype(np.intp))
        inside = (to >= self._starts[group]) & (to < self._starts[group] + sizes)
        return np.where(inside, to, places)


def _rare(levels: NDArray[np.intp], labelled: bool) -> NDArray[np.bool_]:
    """Samples of few to a level, of a column of labels; of other levels those beside the commonest, if they are few."""
    counts = np.bincount(levels)
    rare: NDArray[np.bool_] = np.zeros(len(levels), dtype=np.bool_)
    if _OF_LEVELS * np.count_nonzero(counts) > len(levels):
        return rare
    if labelled:
        rare = counts[levels] < FEW
    elif len(levels) - counts.max() < FEW:
        rare = levels != np.argmax(counts)
    return rare


def _far(remote: Floats) -> NDArray[np.bool_]:
    """The few values that are so far out that they have half of the sum of squares, if so few have."""
    far = np.zeros(len(remote), dtype=np.bool_)
    if remote.min(initial=0.0) < 0.0 or not remote.max(initial=0.0) > 0.0:  # labels have no distance
        return far
    largest = np.argsort(-remote, kind="stable")
    bounded = np.minimum(remote[largest], np.finfo(np.float64).max)
    squares = (bounded / bounded[0]) ** 2
    if np.searchsorted(np.cumsum(squares), squares.sum() / 2) + 1 <= _FAR:
        far[largest[:_FAR]] = True
    return far

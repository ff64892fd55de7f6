"""What candidates tell about each other and about the target, worked out when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from miscreen.kernels.information import pair_information, scaled_logs, triple_information
from miscreen.model import Floats
from miscreen.selection.codes import Codes, Column, Columns
from miscreen.tables import Progress

_SLICE = 1024  # candidates a call of a kernel: some milliseconds


class Information:
    """Mutual information in nats between candidates and other columns, by counting codes.

    Parameters
    ----------
    candidates : Columns
    target : Column, optional
    workers : ThreadPoolExecutor
        Every number is worked out by one thread, so how many there are changes nothing.
    on_progress : callable, optional
        Told (phase ``compare``) how many columns have been held against all candidates.

    Notes
    -----
    Plug-in estimates with the correction of Miller (1955) for the occupied cells of every table, by the samples that
    all columns have that take part, times the share of these: a missing value tells nothing. So a column that few
    samples have cannot tell much, however well it happens to fit those. O(n + cells) a candidate.
    """

    def __init__(
        self,
        candidates: Columns,
        target: Column | None,
        workers: ThreadPoolExecutor,
        on_progress: Progress | None = None,
    ) -> None:
        self.candidates = candidates
        self._target = target
        self._workers = workers
        self._on_progress = on_progress
        self._n_compared = 0
        self._logs, self._unit = scaled_logs(candidates.codes.shape[1])

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def target(self) -> Column:
        """The coded target."""
        assert self._target is not None
        return self._target

    @cached_property
    def relevance(self) -> Floats:
        """I(x;y) of each candidate x with the target y."""
        return self.with_column(self.target)

    @cached_property
    def _n_with_target(self) -> Floats:
        """How many samples have each candidate and the target."""
        known = self.target.codes < self.target.size
        rows = zip(self.candidates.codes, self.candidates.sizes, strict=True)
        return np.array([np.count_nonzero((row < size) & known) for row, size in rows], dtype=np.float64)

    def with_column(self, z: Column, *, first: int = 0, corrected: bool = True, of_all: bool = True) -> Floats:
        """I(x;z) of each candidate x from `first` on; not `of_all`, that of the samples that both have."""
        mi = np.empty(len(self) - first)

        def fill(codes: Codes, part: slice) -> None:
            sizes = self.candidates.sizes[first:][part]
            pair_information(codes[part], sizes, z.codes, z.size, self._logs, self._unit, corrected, of_all, mi[part])

        self._share_out(self.candidates.codes[first:], fill)
        return mi

    def with_target_and(self, z: Column) -> tuple[Floats, Floats, Floats]:
        """I(x;y|z), I(x,z;y) and H(x,y,z) of each candidate x, with y the target.

        In the first, samples that lack z count as in I(x;y). The entropy is H(y,z) + H(x|y,z), each by the samples that
        have its columns.
        """
        y = self.target
        missing = (z.codes == z.size) | (y.codes == y.size)
        zy = np.where(missing, z.size * y.size, z.codes.astype(np.uint16) * np.uint16(y.size) + y.codes)
        zy = zy.astype(np.uint16)
        found = np.empty((3, len(self)))

        def fill(codes: Codes, part: slice) -> None:
            some = codes[part]
            terms = np.empty((3, len(some)))  # in one piece, as the compiled code has it
            triple_information(some, self.candidates.sizes[part], zy, z.size, y.size, self._logs, self._unit, terms)
            found[:, part] = terms

        self._share_out(self.candidates.codes, fill)
        new, n, of_x = found
        known = self._n_with_target
        new += self.relevance * (1.0 - np.divide(n, known, out=np.ones(len(n)), where=known > 0))
        sizes, of_zy = np.array([z.size]), np.empty(1)
        pair_information(z.codes[np.newaxis], sizes, y.codes, y.size, self._logs, self._unit, True, True, of_zy)
        counts = np.bincount(zy[~missing])
        samples, occupied = max(1, int(counts.sum())), max(1, int(np.count_nonzero(counts)))
        rest = (self._logs[samples] - self._logs[counts].sum()) * self._unit + 0.5 * (occupied - 1)
        return new, of_zy + new, rest / samples + of_x

    def _share_out(self, codes: Codes, fill: Callable[[Codes, slice], None]) -> None:
        parts = [slice(i, i + _SLICE) for i in range(0, len(codes), _SLICE)]
        for _ in self._workers.map(lambda part: fill(codes, part), parts):
            pass
        self._n_compared += 1
        if self._on_progress is not None:
            self._on_progress("compare", self._n_compared, None)

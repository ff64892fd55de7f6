"""A table laid out column by column, filled row by row: in memory as far as it may, then in scratch space."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import ResourceError
from miscreen.kernels.gather import gather
from miscreen.model import Floats
from miscreen.resources import format_bytes

_GAP_BYTES = 4096  # between columns asked for; reading over so little is cheaper than another call
_GROUP_ROWS = 64  # put into a column at a time: whole cache lines
_STAGE_BYTES = 8 << 20  # read from scratch before they are put into columns
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class _Chunk:
    """Some rows of all columns: in memory, or at an offset of the scratch file."""

    first_row: int
    n_rows: int
    values: Floats | None
    offset: int


class ColumnStore:
    """Chunks of rows, each of them column by column, from which a few columns are read at a time.

    Once the chunks exceed the memory allowed, all further ones go to one file in the scratch directory that
    has no name, so that nothing is left behind however the process ends. `read` may be called by several
    threads at once; `append` and `close` may not.

    Parameters
    ----------
    n_columns : int
    memory_bytes : int
        What chunks may take in memory.
    scratch_dir : Path

    Attributes
    ----------
    n_rows : int
        Rows so far.
    held_bytes, scratch_bytes : int
        Bytes in memory and in the scratch file.

    Notes
    -----
    Reading columns costs one ``pread`` for each chunk in scratch and each run of neighbouring columns, and
    beside the result 8 MB or, if that is more, those columns of one chunk. The file is read by calls and
    never mapped, so that its pages do not count as this process's memory.

    Examples
    --------
    >>> store = ColumnStore(3, memory_bytes=40, scratch_dir=Path(tempfile.gettempdir()))
    >>> for row in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]):
    ...     kept = store.append(np.array(row).reshape(3, 1))
    >>> store.read(np.array([2, 0]))
    array([[3., 6.], [1., 4.]])
    >>> store.held_bytes, store.scratch_bytes
    (24, 24)
    >>> store.close()
    """

    def __init__(self, n_columns: int, memory_bytes: int, scratch_dir: Path) -> None:
        self.n_columns = n_columns
        self.n_rows = 0
        self.held_bytes = 0
        self.scratch_bytes = 0
        self._memory_bytes = memory_bytes
        self._scratch_dir = scratch_dir
        self._chunks: list[_Chunk] = []
        self._file: int | None = None

    def append(self, chunk: Floats) -> bool:
        """Add rows: a float64 array of shape (n_columns, rows), C-contiguous; tells whether the store keeps that array.

        Raises
        ------
        ResourceError
            When the scratch directory has no space left, or cannot be written.
        """
        rows = chunk.shape[1]
        if rows == 0:
            return False
        kept = self._file is None and self.held_bytes + chunk.nbytes <= self._memory_bytes
        if kept:
            self._chunks.append(_Chunk(self.n_rows, rows, chunk, 0))
            self.held_bytes += chunk.nbytes
        else:
            self._chunks.append(_Chunk(self.n_rows, rows, None, self.scratch_bytes))
            self._spill(chunk)
        self.n_rows += rows
        return kept

    def _spill(self, chunk: Floats) -> None:
        needed = self.scratch_bytes + chunk.nbytes
        try:
            if self._file is None:
                with tempfile.TemporaryFile(dir=self._scratch_dir, buffering=0) as unnamed:
                    self._file = os.dup(unnamed.fileno())
            rest = chunk.data.cast("B")
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            full = error.errno in _NO_SPACE
            raise ResourceError(
                f"the scratch directory {str(self._scratch_dir)!r} "
                f"{'is full' if full else f'cannot be written ({error.strerror})'}: "
                f"{format_bytes(needed)} were needed so far, beside {format_bytes(self.held_bytes)} in memory",
                "Name a directory with more space with --scratch, or give more --memory",
            ) from error
        self.scratch_bytes = needed

    def read(self, columns: NDArray[np.intp]) -> Floats:
        """Read columns, in the order asked for.

        Parameters
        ----------
        columns : intp array, shape (k,)

        Returns
        -------
        float64 array, shape (k, n_rows), C-contiguous
        """
        out = np.empty((len(columns), self.n_rows))
        runs, staged = self._runs(columns)
        width = sum(stop - first for first, stop in runs)
        for group in self._groups(width):
            if group[0].values is None:
                parts = [self._stage(chunk, runs, width) for chunk in group]
            else:
                parts = [chunk.values for chunk in group if chunk.values is not None]
            bases = np.array([part.ctypes.data for part in parts], dtype=np.int64)
            heights = np.array([chunk.n_rows for chunk in group], dtype=np.int64)
            places = staged if group[0].values is None else columns
            gather(bases, heights, places.astype(np.int64, copy=False), out, group[0].first_row)
        return out

    def _runs(self, columns: NDArray[np.intp]) -> tuple[list[tuple[int, int]], NDArray[np.intp]]:
        """Cut columns into runs without wide gaps, and where each column is when the runs stand side by side."""
        tallest = max((chunk.n_rows for chunk in self._chunks), default=1)
        ascending = np.unique(columns)
        cuts = np.flatnonzero(np.diff(ascending) > max(1, _GAP_BYTES // (8 * tallest))) + 1
        runs = [(int(part[0]), int(part[-1]) + 1) for part in np.split(ascending, cuts) if len(part)]
        firsts = np.array([first for first, _ in runs], dtype=np.intp)
        before = np.cumsum([0, *(stop - first for first, stop in runs)])
        run = np.searchsorted(firsts, columns, side="right") - 1
        return runs, columns - firsts[run] + before[run]

    def _groups(self, width: int) -> Iterator[list[_Chunk]]:
        """Chunks, all in memory or all in scratch, worth putting into columns together."""
        group: list[_Chunk] = []
        rows = 0
        for chunk in self._chunks:
            full = rows >= _GROUP_ROWS or 8 * rows * width >= _STAGE_BYTES
            if group and (full or (group[0].values is None) != (chunk.values is None)):
                yield group
                group, rows = [], 0
            group.append(chunk)
            rows += chunk.n_rows
        if group:
            yield group

    def _stage(self, chunk: _Chunk, runs: list[tuple[int, int]], width: int) -> Floats:
        """Read runs of columns of a chunk from scratch, side by side."""
        stage = np.empty(width * chunk.n_rows)
        used = 0
        for first, stop in runs:
            size = (stop - first) * chunk.n_rows
            self._fetch(stage[used : used + size], chunk.offset + 8 * first * chunk.n_rows)
            used += size
        return stage

    def _fetch(self, into: Floats, offset: int) -> None:
        assert self._file is not None
        rest = into.data.cast("B")
        try:
            while rest:
                count = os.preadv(self._file, [rest], offset)
                if count == 0:
                    raise OSError(errno.EIO, "the scratch file is shorter than was written")
                rest = rest[count:]
                offset += count
        except OSError as error:
            raise ResourceError(
                f"the scratch file in {str(self._scratch_dir)!r} cannot be read back: {error.strerror}",
                "Name another directory with --scratch",
            ) from error

    def close(self) -> None:
        """Let go of the memory and the scratch file."""
        self._chunks.clear()
        self.n_rows = self.held_bytes = self.scratch_bytes = 0
        if self._file is not None:
            os.close(self._file)
            self._file = None

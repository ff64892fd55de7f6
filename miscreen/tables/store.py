"""A table laid out column by column, filled row by row: in memory as far as it may, then in scratch space."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import ResourceError
from miscreen.model import Floats
from miscreen.resources import format_bytes

_GAP_BYTES = 4096  # between columns asked for; reading over so little is cheaper than another call
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
    Reading k columns costs one ``pread`` for each chunk in scratch and each run of neighbouring columns, and
    scratch memory for one such run. The file is read by calls and never mapped, so its pages do not count
    as this process's memory.

    Examples
    --------
    >>> store = ColumnStore(3, memory_bytes=40, scratch_dir=Path(tempfile.gettempdir()))
    >>> for row in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]):
    ...     store.append(np.array(row).reshape(3, 1))
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

    def append(self, chunk: Floats) -> None:
        """Add rows: a float64 array of shape (n_columns, rows), C-contiguous, that the store then owns.

        Raises
        ------
        ResourceError
            When the scratch directory has no space left, or cannot be written.
        """
        rows = chunk.shape[1]
        if rows == 0:
            return
        if self._file is None and self.held_bytes + chunk.nbytes <= self._memory_bytes:
            self._chunks.append(_Chunk(self.n_rows, rows, chunk, 0))
            self.held_bytes += chunk.nbytes
        else:
            self._chunks.append(_Chunk(self.n_rows, rows, None, self.scratch_bytes))
            self._spill(chunk)
        self.n_rows += rows

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
        order = np.argsort(columns, kind="stable")
        ascending = columns[order]
        # A run is asked for in ascending order without holes: then it is copied as a slice.
        straight = len(columns) > 0 and bool(np.all(np.diff(columns) == 1))
        buffer = np.empty(0)
        for chunk in self._chunks:
            rows = slice(chunk.first_row, chunk.first_row + chunk.n_rows)
            if chunk.values is not None:
                if straight:
                    out[:, rows] = chunk.values[columns[0] : columns[-1] + 1]
                else:
                    out[:, rows] = chunk.values[columns]
                continue
            for start, stop in self._runs(ascending, chunk.n_rows):
                first, last = int(ascending[start]), int(ascending[stop - 1])
                size = (last + 1 - first) * chunk.n_rows
                if len(buffer) < size:
                    buffer = np.empty(size)
                self._fetch(buffer[:size], chunk.offset + first * chunk.n_rows * 8)
                span = buffer[:size].reshape(last + 1 - first, chunk.n_rows)
                if straight:
                    out[:, rows] = span
                else:
                    out[order[start:stop], rows] = span[ascending[start:stop] - first]
        return out

    @staticmethod
    def _runs(ascending: NDArray[np.intp], n_rows: int) -> list[tuple[int, int]]:
        """Cut columns where the gap to the next is worth a call of its own."""
        gap = max(1, _GAP_BYTES // (8 * n_rows))
        cuts = np.flatnonzero(np.diff(ascending) > gap) + 1
        edges = [0, *cuts.tolist(), len(ascending)]
        return [(a, b) for a, b in pairwise(edges) if a < b]

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

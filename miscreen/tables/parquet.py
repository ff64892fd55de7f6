"""Parquet: the footer is walked once, and each piece of columns is decoded by a footer of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from miscreen.errors import DataError
from miscreen.kernels.pages import STOP
from miscreen.tables.encoding import check_names, encode
from miscreen.tables.files import damaged
from miscreen.tables.footer import Footer
from miscreen.tables.formats import Opening
from miscreen.tables.packed import PIECE_BYTES
from miscreen.tables.pages import PageReader
from miscreen.tables.source import TableSource

_PIECE_COLUMNS = 2048  # decoded in one call: hides the call, and Arrow's footer for them takes 6 MB
FEW_VALUES = 1 << 21  # of a whole table: Arrow has read them before kernels for pages are loaded or compiled


class ParquetSource(TableSource):
    """One Parquet file, with any number of row groups.

    Arrow would keep 2.8 KB of every column's footer, so it is shown the columns of one piece at a time. Pieces
    are decoded side by side, each by one thread.
    """

    def __init__(self, file: BinaryIO, label: str, threads: int) -> None:
        self.label = label
        self._input = file
        # Arrow opens the file itself: through a Python object every read would wait for the interpreter, and
        # buffers might be released after its end. The descriptor's own path survives a rename.
        own = Path(f"/proc/self/fd/{file.fileno()}")
        self._path = str(own if own.exists() else file.name)
        self._threads = threads
        try:
            self._size = file.seek(0, os.SEEK_END)
            self._footer = Footer(self._read_at, self._size)
            self._pages = PageReader(self._read_at, self._footer)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.label, "Parquet", error) from error
        self.n_samples = self._footer.n_samples
        self.names = self._footer.names
        self.types = self._footer.types
        self.value_bytes = 8 if self._footer.wide.any() else 4
        self.held_bytes = self._footer.held_bytes
        check_names(self.names, label)
        self._pool = ThreadPoolExecutor(threads)

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        chosen, places = np.unique(columns, return_inverse=True)
        dtype = np.float64 if self._footer.wide[chosen].any() else np.float32
        out = np.empty((len(chosen), self.n_samples), dtype=dtype)
        few = len(self.names) * self.n_samples < FEW_VALUES or not len(chosen)
        rest = np.arange(len(chosen)) if few else np.flatnonzero(~self._pages.read(chosen, out))
        size = max(1, PIECE_BYTES // max(1, self.n_samples * out.itemsize))
        for first in range(0, len(rest), size):
            some = rest[first : first + size]
            out[some] = encode(self._read(chosen[some]))
        return out if np.array_equal(chosen, columns) else out[places]

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        chosen, places = np.unique(columns, return_inverse=True)
        parts = list(self._pool.map(lambda piece: self._read(chosen[piece]), self._pieces(len(chosen))))
        arrays = [array for part in parts for array in part.columns]
        fields = [field for part in parts for field in part.schema]
        return pa.Table.from_arrays([arrays[i] for i in places], schema=pa.schema([fields[i] for i in places]))

    def _pieces(self, n_columns: int) -> Iterator[slice]:
        size = min(_PIECE_COLUMNS, max(1, -(-n_columns // self._threads)))
        return (slice(first, first + size) for first in range(0, n_columns, size))

    def _read(self, columns: NDArray[np.intp]) -> pa.Table:
        """Columns in file order, each once."""
        try:
            for _, chunks in self._footer.chunks(columns):
                if chunks[:, STOP].max(initial=0) > self._footer.start:
                    raise ValueError("a column is said to lie beyond the end")
            metadata = self._footer.metadata(columns)
            with pq.ParquetFile(self._path, metadata=metadata, pre_buffer=True) as file:
                read = file.read(use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(self.label, "Parquet", error) from error
        if read.shape != (self.n_samples, len(columns)):
            raise damaged(self.label, "Parquet", ValueError("columns are not of the length that the footer says"))
        return read

    def _read_at(self, position: int, size: int) -> bytes:
        if position + size > self._size:
            raise ValueError(f"it ends within {size:,} bytes from {position:,} on")
        try:
            found = os.pread(self._input.fileno(), size, position)
        except OSError as error:
            raise DataError(f"cannot read {self.label}: {error.strerror}", "Check the disk") from error
        if len(found) < size:
            raise DataError(f"{self.label} became shorter while it was read", "Rank it when it is complete")
        return found

    def close(self) -> None:
        """See `TableSource.close`."""
        self._pool.shutdown(cancel_futures=True)
        self._input.close()


def open_parquet(opening: Opening) -> ParquetSource:
    """Open a Parquet file for `miscreen.tables.open_table`."""
    return ParquetSource(opening.file, opening.label, opening.resources.threads)

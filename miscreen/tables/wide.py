"""Whole wide tables as Arrow tables, through mapped scratch space when they do not fit into memory."""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import ResourceError
from miscreen.resources import Resources, plan_blocks
from miscreen.tables import Progress
from miscreen.tables.source import TableSource

_RELEASE_EVERY = 32 << 20


@dataclass
class WideTable:
    """An Arrow table, in memory or mapped from an unnamed file.

    Attributes
    ----------
    table : pyarrow.Table
    """

    table: pa.Table
    _map: mmap.mmap | None = None
    _since_release: int = 0

    def on_bytes(self, count: int) -> None:
        """Give pages of the mapping back now and then while the table is written."""
        self._since_release += count
        if self._map is not None and self._since_release > _RELEASE_EVERY and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._since_release = 0


def assemble(
    source: TableSource, columns: NDArray[np.intp], resources: Resources, on_progress: Progress | None = None
) -> WideTable:
    """Read columns of a source into one Arrow table, as the file has them.

    Raises
    ------
    ResourceError
        When scratch space runs out.

    Notes
    -----
    Up to a quarter of the memory is used directly; beyond that the columns go block by block to an unnamed
    scratch file, O(1) in memory.
    """
    if 8 * source.n_samples * len(columns) <= (resources.memory_bytes - source.held_bytes) // 4:
        return WideTable(source.table(columns))
    step = plan_blocks(len(columns), source.n_samples, 8, resources.memory_bytes, source.held_bytes)
    bounds = [0]
    try:
        with tempfile.TemporaryFile(dir=resources.scratch_dir) as scratch:
            for first in range(0, len(columns), step):
                some = columns[first : first + step]
                piece = source.table(some).combine_chunks()
                with pa.ipc.new_stream(scratch, piece.schema) as writer:
                    writer.write_table(piece)
                scratch.write(bytes(-scratch.tell() % 64))  # keeps the next piece aligned
                bounds.append(scratch.tell())
                if on_progress is not None:
                    on_progress("gather", first + len(some), len(columns))
            scratch.flush()
            mapped = mmap.mmap(scratch.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ResourceError(
            f"scratch space in {str(resources.scratch_dir)!r} ran out after {bounds[-1]:,} bytes: {error.strerror}",
            "Name a directory with more space with --scratch",
        ) from error
    buffer = pa.py_buffer(mapped)
    arrays: list[Any] = []
    names: list[str] = []
    for start, stop in pairwise(bounds):
        piece = pa.ipc.open_stream(buffer.slice(start, stop - start)).read_all()
        arrays += piece.columns
        names += piece.column_names
    return WideTable(pa.Table.from_arrays(arrays, names=names), mapped)

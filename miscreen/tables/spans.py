"""Many spans of a file in few reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ReadAt = Callable[[int, int], bytes]
_GAP_BYTES = 1 << 16  # between spans that are read by one call


def read_spans(
    read_at: ReadAt, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read spans of a file into one buffer; tells the buffer, and where in it each span begins.

    Examples
    --------
    >>> content = bytes(range(200))
    >>> buffer, places = read_spans(lambda at, size: content[at : at + size], np.array([7, 3]), np.array([9, 5]))
    >>> buffer.tolist(), places.tolist()
    ([3, 4, 5, 6, 7, 8], [4, 0])
    """
    order = np.argsort(starts, kind="stable")
    begins, ends = starts[order], np.maximum.accumulate(stops[order])
    first = np.flatnonzero(np.append(True, begins[1:] > ends[:-1] + _GAP_BYTES))  # of each call
    offsets = begins[first]
    sizes = ends[np.append(first[1:], len(order)) - 1] - offsets
    parts = [read_at(offset, size) for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True)]
    buffer = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), dtype=np.uint8)
    call = np.searchsorted(offsets, starts, side="right") - 1
    return buffer, starts - offsets[call] + (np.cumsum(sizes) - sizes)[call]

"""Columns of numbers straight from the pages of a Parquet file.

Arrow spends 45 us on a column chunk of a thousand floats, most of it on setting up what it decodes with. Here all
chunks of a piece of columns are read, unpacked and decoded together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.tables.footer import PHYSICAL, Footer
from miscreen.tables.packed import PIECE_BYTES, Unpacker, unpack_snappy, unpack_zstd
from miscreen.tables.spans import ReadAt, read_spans

_UNPACKED, _SNAPPY, _ZSTD = 0, 1, 6  # CompressionCodec in parquet.thrift
_CHUNK_BYTES = 32  # of a value, more than any sound chunk takes
_SPARE_BYTES = 1 << 16
_UNPACKERS: dict[int, Unpacker] = {_SNAPPY: unpack_snappy, _ZSTD: unpack_zstd}


class PageReader:
    """Decodes pages of numbers; leaves alone whatever it does not know or finds unsound.

    Parameters
    ----------
    read_at : callable
        Gives the bytes of the file at a position, as many as asked for.
    footer : Footer

    Notes
    -----
    It takes plain columns (no lists or structs) of floats, integers and booleans, unpacked or packed by zstd or
    snappy, with any number of data pages of either version, encoded as PLAIN, by a dictionary, as
    BYTE_STREAM_SPLIT, or booleans as RLE. Checksums of pages are not verified, which is also Arrow's default.
    """

    def __init__(self, read_at: ReadAt, footer: Footer) -> None:
        self._read_at = read_at
        self._footer = footer

    def read(self, columns: NDArray[np.intp], out: NDArray[Any]) -> NDArray[np.bool_]:
        """Fill rows of `out`, shape (len(columns), n_samples), NaN where missing; tells which it has filled.

        Columns are ascending. The others are not in sound pages of a kind that is known here, and what their rows
        hold means nothing. Costs O(bytes), beside the result some 2 MB, or a column chunk packed and unpacked. Several
        threads may call it at once.
        """
        kinds = self._footer.kinds[columns].astype(np.int64)
        taken = kinds >= 0
        mine = np.flatnonzero(taken)
        if not len(mine):
            return taken
        nullable = self._footer.nullable[columns]
        row = 0
        for n_rows, chunks in self._footer.chunks(columns[mine]):
            size = max(1, PIECE_BYTES // max(1, n_rows * out.itemsize))
            for first in range(0, len(mine) if n_rows else 0, size):
                some = mine[first : first + size]
                part, apart = out[some[0] : some[-1] + 1, row : row + n_rows], some[-1] - some[0] >= len(some)
                if apart:
                    part = np.empty((len(some), n_rows), dtype=out.dtype)
                taken[some] &= self._read_group(chunks[first : first + size], n_rows, kinds[some], nullable[some], part)
                if apart:
                    out[some, row : row + n_rows] = part
            row += n_rows
        return taken

    def _read_group(
        self,
        chunks: NDArray[np.int64],
        n_rows: int,
        kinds: NDArray[np.int64],
        nullable: NDArray[np.bool_],
        out: NDArray[Any],
    ) -> NDArray[np.bool_]:
        from miscreen.kernels import pages as kernels
        from miscreen.kernels.encodings import decode

        starts, stops, codecs = chunks[:, kernels.START], chunks[:, kernels.STOP], chunks[:, kernels.CODEC]
        taken = (starts >= 0) & (starts <= stops) & (stops <= self._footer.start)
        taken &= stops - starts <= _CHUNK_BYTES * n_rows + _SPARE_BYTES
        taken &= chunks[:, kernels.N_ROWS] == n_rows
        taken &= chunks[:, kernels.PHYSICAL] == PHYSICAL[kinds]
        taken &= (codecs == _UNPACKED) | (codecs == _SNAPPY) | (codecs == _ZSTD)
        raw, places = read_spans(self._read_at, np.where(taken, starts, 0), np.where(taken, stops, 0))
        chunks = chunks.copy()
        chunks[:, kernels.STOP] += places - starts
        chunks[:, kernels.START] = places
        pages = np.empty((2 * len(chunks), kernels.PAGE_FIELDS), dtype=np.int64)
        found = kernels.read_pages(raw, chunks, n_rows, taken, pages)
        if found > len(pages):
            pages = np.empty((found, kernels.PAGE_FIELDS), dtype=np.int64)
            kernels.read_pages(raw, chunks, n_rows, taken, pages)
        pages = pages[:found]
        bodies = raw.ctypes.data + pages[:, kernels.BODY]
        packed = np.flatnonzero(pages[:, kernels.PACKED])
        held = []  # what the addresses lie in
        for codec, unpack in _UNPACKERS.items():
            some = packed[codecs[pages[packed, kernels.COLUMN]] == codec]
            if len(some):
                spans = pages[some][:, [kernels.BODY, kernels.PACKED_SIZE, kernels.SIZE]]
                try:
                    bodies[some], unpacked = unpack(raw, spans)
                except ValueError:
                    return np.zeros_like(taken)  # Arrow says which is damaged
                held.append(unpacked)
        decode(raw, pages, bodies, kinds, nullable, out, taken)
        return taken

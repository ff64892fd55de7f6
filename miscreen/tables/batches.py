"""The batches of a mapped Arrow file as their metadata tells: how many rows, whether compressed, where numbers lie."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from miscreen.kernels.gather import (
    BOOLEAN,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    gather_numbers,
)
from miscreen.tables.encoding import type_ids
from miscreen.tables.flatbuffers import follow, table_field
from miscreen.tables.packed import PIECE_BYTES, Unpacker, unpack_lz4, unpack_zstd

_RECORD_BATCH = 3  # MessageHeader in Arrow's format/Message.fbs
_PLAIN = {  # for `gather_numbers`, and the bits of each number
    pa.float32().id: (FLOAT32, 32),
    pa.float64().id: (FLOAT64, 64),
    pa.int8().id: (INT8, 8),
    pa.int16().id: (INT16, 16),
    pa.int32().id: (INT32, 32),
    pa.int64().id: (INT64, 64),
    pa.uint8().id: (UINT8, 8),
    pa.uint16().id: (UINT16, 16),
    pa.uint32().id: (UINT32, 32),
    pa.bool_().id: (BOOLEAN, 1),
}
_LZ4, _ZSTD = 0, 1  # CompressionType in Message.fbs
_UNKNOWN = -1
_KEY_BEFORE = b"ARROW:experimental_compression"  # of the codec in a message's own metadata, as Arrow 0.17 wrote it
_UNPACKERS: dict[int, Unpacker] = {_LZ4: unpack_lz4, _ZSTD: unpack_zstd}  # of the buffers of a batch, each by itself
_SIZE_BYTES = 8  # in front of each, for what it is unpacked to
_NOT_PACKED = -1
_SPARE_BYTES = 1024  # that a buffer may have beyond what its values need
_TEXT = (pt.is_string, pt.is_large_string, pt.is_binary, pt.is_large_binary)
_VIEWS = (pt.is_string_view, pt.is_binary_view)


@dataclass(frozen=True)
class BatchHead:
    """What the metadata of a record batch says.

    Attributes
    ----------
    n_rows : int
    codec : int, optional
        How the body is compressed; None where it is not. Arrow knows those that `_UNPACKERS` lacks.
    nodes : int64 array, shape (n, 2)
        Rows and nulls of every column, those inside of columns included.
    buffers : int64 array, shape (n, 2)
        Where in the body each buffer begins, and its bytes.
    further : int64 array
        For every column of text views, its buffers beyond the first two.
    """

    n_rows: int
    codec: int | None
    nodes: NDArray[np.int64]
    buffers: NDArray[np.int64]
    further: NDArray[np.int64]


def batch_head(metadata: memoryview) -> BatchHead | None:
    """The head in a message; None when that is not of a record batch.

    Raises
    ------
    ValueError, struct.error
        When it is no message.
    """
    root = struct.unpack_from("<I", metadata, 0)[0]
    kind = table_field(metadata, root, 1)
    if kind is None or metadata[kind] != _RECORD_BATCH:
        return None
    batch = follow(metadata, root, 2)
    length = table_field(metadata, batch, 0)
    n_rows = 0 if length is None else struct.unpack_from("<q", metadata, length)[0]
    if n_rows < 0:
        raise ValueError(f"a batch says that it has {n_rows} rows")
    codec = None
    if table_field(metadata, batch, 3) is not None:
        compression = follow(metadata, batch, 3)
        place = table_field(metadata, compression, 0)
        codec = _LZ4 if place is None else metadata[place]
    elif table_field(metadata, root, 4) is not None and _KEY_BEFORE in bytes(metadata):
        codec = _UNKNOWN
    return BatchHead(
        n_rows=n_rows,
        codec=codec,
        nodes=_numbers(metadata, batch, 1, 2).reshape(-1, 2),
        buffers=_numbers(metadata, batch, 2, 2).reshape(-1, 2),
        further=_numbers(metadata, batch, 4, 1),
    )


def _numbers(metadata: memoryview, table: int, field: int, each: int) -> NDArray[np.int64]:
    """A vector of so many whole numbers each."""
    if table_field(metadata, table, field) is None:
        return np.empty(0, dtype=np.int64)
    start = follow(metadata, table, field)
    count = struct.unpack_from("<I", metadata, start)[0]
    return np.frombuffer(metadata, dtype="<i8", count=each * count, offset=start + 4)


class PlainNumbers:
    """Columns of numbers and truth values, in the batches of a mapped file, taken from where they lie.

    Arrow would make an object of each column, which takes longer than to read 1,000 values of it, and begin anew with
    what it unpacks by for each buffer that is packed.

    Parameters
    ----------
    file : buffer
        A whole file, little-endian.
    heads : sequence of BatchHead
    bodies : int64 array, shape (n_batches, 2)
        Where in the file each body begins, and its bytes.
    types : sequence of pyarrow.DataType
        Of all columns.

    Attributes
    ----------
    has : bool array, shape (n_columns,)
        Which columns are such; none where some are nested or of a type that is not Arrow's own, since then it is not
        known where the others lie.

    Raises
    ------
    ValueError
        When a column reaches beyond its batch, or has fewer numbers than that has rows.
    """

    def __init__(
        self, file: Any, heads: Sequence[BatchHead], bodies: NDArray[np.int64], types: Sequence[pa.DataType]
    ) -> None:
        self._bytes = np.frombuffer(file, dtype=np.uint8)  # held for as long as addresses in it are
        address = self._bytes.ctypes.data
        self._heights = np.array([head.n_rows for head in heads], dtype=np.int64)
        ids = type_ids(types)
        self._items = np.full(len(types), -1)
        self.has = np.zeros(len(types), dtype=np.bool_)
        n_buffers = np.empty(len(types), dtype=np.int64)
        views = np.zeros(len(types), dtype=np.bool_)
        item_bits = np.ones(len(types), dtype=np.int64)
        for key in np.unique(ids).tolist():
            here = ids == key
            one = types[int(np.argmax(here))]
            if pt.is_nested(one) or pt.is_run_end_encoded(one) or isinstance(one, pa.BaseExtensionType):
                return
            views |= here & any(is_view(one) for is_view in _VIEWS)
            n_buffers[here] = 0 if pt.is_null(one) else 3 if any(is_text(one) for is_text in _TEXT) else 2
            if key in _PLAIN:
                self._items[here], item_bits[here] = _PLAIN[key]
        plain = self._items >= 0
        self._item_bits = item_bits
        codecs = {head.codec for head in heads if head.codec is not None and head.n_rows}
        self._codecs = {  # and the batches with rows that each is of
            codec: np.array([b for b, head in enumerate(heads) if head.codec == codec and head.n_rows])
            for codec in sorted(codecs)
        }
        shape = len(heads), len(types)
        self._lengths = np.zeros((*shape, 2) if codecs else (0, 0, 2), dtype=np.int64)
        self._places = np.zeros(shape, dtype=np.int64)
        self._bits = np.full(shape, -1, dtype=np.int64)
        for b, (head, (start, size)) in enumerate(zip(heads, bodies.tolist(), strict=True)):
            count = n_buffers.copy()
            if len(head.further) != np.count_nonzero(views):
                return
            count[views] += head.further
            if len(head.nodes) != len(types) or count.sum() != len(head.buffers):
                return
            if head.codec is not None and head.codec not in _UNPACKERS:
                return
            if plain.any() and head.codec is None and head.n_rows > 8 * size:  # so that no product is too large
                raise ValueError("a column reaches beyond its batch")
            first = np.cumsum(count)[plain] - 2
            (rows, nulls), values = head.nodes[plain].T, head.buffers[first + 1]
            bitmaps = np.where(nulls[:, np.newaxis] != 0, head.buffers[first], 0)
            needed = needed_bits = np.zeros(len(first), dtype=np.int64)
            if head.codec is None:
                needed, needed_bits = _needed(head.n_rows, item_bits[plain], nulls != 0)
            else:  # what they need is known when they are unpacked
                self._lengths[b, plain] = np.stack([values[:, 1], bitmaps[:, 1]], axis=1)
            if np.any(rows != head.n_rows) or not (
                _inside(values, needed, size) and _inside(bitmaps, needed_bits, size)
            ):
                raise ValueError("a column reaches beyond its batch")
            if head.codec is not None and head.n_rows and plain.any():  # before there is room made for so many
                stated = int(self._stated_sizes(start + values[:1, 0])[0])
                size = int(values[0, 1]) if stated == _NOT_PACKED else stated
                if head.n_rows * int(item_bits[plain][0]) > 8 * size:
                    raise ValueError("a batch has fewer numbers than rows")
            self._places[b, plain] = address + start + values[:, 0]
            self._bits[b, plain] = np.where(nulls != 0, 8 * (address + start + bitmaps[:, 0]), -1)
        self.has = plain

    def values(self, columns: NDArray[np.intp], out: NDArray[Any], rows: NDArray[np.intp]) -> None:
        """Write columns to rows of a float32 or float64 array, NaN where missing. O(values).

        Raises
        ------
        ValueError
            When one cannot be unpacked.
        """
        step = max(1, PIECE_BYTES // max(1, 8 * out.shape[1])) if self._codecs else max(1, len(columns))
        for first in range(0, len(columns), step):
            some = columns[first : first + step]
            places, bits = np.take(self._places, some, axis=1), np.take(self._bits, some, axis=1)
            held = [self._unpack(codec, some, places, bits) for codec in self._codecs]
            gather_numbers(self._items[some], places, bits, self._heights, rows[first : first + step], out)
            del held

    def _stated_sizes(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """What buffers that begin there say that they are unpacked to."""
        return self._bytes[starts[:, np.newaxis] + np.arange(_SIZE_BYTES)].view("<i8")[:, 0]

    def _unpack(self, codec: int, columns: NDArray[np.intp], places: NDArray[np.int64], bits: NDArray[np.int64]) -> Any:
        """Unpack columns of all batches with a codec: makes places and bits those of what is unpacked, and returns what
        holds it.
        """
        batches = self._codecs[codec]
        there, bits_there = places[batches], bits[batches]
        has_bits = bits_there >= 0
        values, bitmaps = np.moveaxis(self._lengths[batches[:, np.newaxis], columns], -1, 0)
        needed, needed_bits = _needed(self._heights[batches, np.newaxis], self._item_bits[columns], has_bits)
        lengths, needed, addresses = (
            np.concatenate([of_values.ravel(), of_bits[has_bits]])
            for of_values, of_bits in ((values, bitmaps), (needed, needed_bits), (there, bits_there >> 3))
        )
        if np.any(lengths < _SIZE_BYTES):
            raise ValueError("a buffer lacks its size")
        starts = addresses - self._bytes.ctypes.data
        sizes = self._stated_sizes(starts)
        addresses += _SIZE_BYTES
        lengths -= _SIZE_BYTES
        packed = sizes != _NOT_PACKED
        sizes = np.where(packed, sizes, lengths)
        if np.any(sizes < needed) or np.any(sizes[packed] > 2 * needed[packed] + _SPARE_BYTES):
            raise ValueError("a buffer is not of the size of its values")
        held = None
        if packed.any():
            spans = np.stack([starts + _SIZE_BYTES, lengths, sizes], axis=1)[packed]
            addresses[packed], held = _UNPACKERS[codec](self._bytes, spans)
        places[batches] = addresses[: there.size].reshape(there.shape)
        bits_there[has_bits] = 8 * addresses[there.size :]
        bits[batches] = bits_there
        return held


def _needed(
    n_rows: int | NDArray[np.int64], item_bits: NDArray[np.int64], has_bits: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many bytes the numbers of each column take, and its bitmap."""
    return -(-n_rows * item_bits // 8), has_bits * -(-n_rows // 8)


def _inside(buffers: NDArray[np.int64], needed: NDArray[np.int64], size: int) -> bool:
    """Whether buffers are as long as needed, and lie in a body."""
    starts, lengths = buffers.T
    return bool(np.all((starts >= 0) & (lengths >= needed) & (lengths <= size) & (starts <= size - lengths)))

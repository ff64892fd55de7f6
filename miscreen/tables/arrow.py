"""Arrow IPC: Feather and Arrow files, and Arrow streams, mapped into memory."""

from __future__ import annotations

import errno
import mmap
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import MiscreenError, ResourceError
from miscreen.model import ColumnType
from miscreen.tables.batches import BatchHead, PlainNumbers, batch_head
from miscreen.tables.encoding import check_names, column_types, encode, float_type, names_and_types, widest_value
from miscreen.tables.files import damaged
from miscreen.tables.flatbuffers import follow, table_field
from miscreen.tables.formats import Opening
from miscreen.tables.source import TableSource, members

_FILE_SUFFIX = 10  # the length of the footer, and "ARROW1"
_RELEASE_BYTES = 32 << 20  # read before pages are given back: other threads may be about to read some of them


class ArrowSource(TableSource):
    """An Arrow file or stream.

    Uncompressed batches are used where they lie in the mapped file, and pages that were read are given back
    now and then; numbers without Arrow, which looks at whatever else there is. Of compressed batches each block
    decompresses its own columns alone.
    """

    def __init__(self, file: BinaryIO, label: str, *, stream: bool) -> None:
        self.label = label
        self._stream = stream
        self._since_release = 0
        try:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            file.close()  # the mapping lives on
            self._buffer = pa.py_buffer(self._map)
            reader = self._open(None)
            self.names, self._arrow_types = names_and_types(reader.schema)
            self._table: pa.Table | None = None
            heads, bodies = self._survey()
            self.n_samples = sum(head.n_rows for head in heads)
            self._compressed = any(head.codec is not None for head in heads)
            self._plain = None
            if bodies is not None:
                self._plain = PlainNumbers(self._buffer, heads, bodies, self._arrow_types)
            if self._plain is None or not self._plain.has.all():
                if self._compressed:
                    self.grain_bytes = 16 << 20  # each call of Arrow's looks at the whole schema
                self._whole()  # damage in other columns is to be found now
        except (pa.ArrowException, OSError, ValueError, IndexError, struct.error) as error:
            raise self._damaged(error) from error
        self.types = column_types(self._arrow_types)
        self.value_bytes = widest_value(self._arrow_types)
        check_names(self.names, label)

    def _open(self, columns: list[int] | None) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=columns)
        return (pa.ipc.open_stream if self._stream else pa.ipc.open_file)(self._buffer, options=options)

    def _batches(self, reader: Any) -> Iterator[pa.RecordBatch]:
        if self._stream:
            yield from reader
        else:
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    def _survey(self) -> tuple[list[BatchHead], NDArray[np.int64] | None]:
        """What the metadata of each batch says, and where the bodies of little-endian ones lie."""
        heads, bodies, big_endian = self._in_stream() if self._stream else self._in_file()
        return heads, None if big_endian else np.array(bodies, dtype=np.int64).reshape(-1, 2)

    def _in_stream(self) -> tuple[list[BatchHead], list[tuple[int, int]], bool]:
        heads, bodies, big_endian = [], [], False
        for message in pa.ipc.MessageReader.open_stream(self._buffer):
            metadata = memoryview(message.metadata)
            if message.type == "schema":
                big_endian = _is_big_endian(metadata, follow(metadata, struct.unpack_from("<I", metadata)[0], 2))
            head = batch_head(metadata)
            if head is not None:
                heads.append(head)
                bodies.append((message.body.address - self._buffer.address, message.body.size))
        return heads, bodies, big_endian

    def _in_file(self) -> tuple[list[BatchHead], list[tuple[int, int]], bool]:
        view = memoryview(self._map)
        end = len(view) - _FILE_SUFFIX
        footer = view[end - struct.unpack_from("<i", view, end)[0] : end]
        root = struct.unpack_from("<I", footer, 0)[0]
        blocks = follow(footer, root, 3)
        count = struct.unpack_from("<I", footer, blocks)[0]
        heads, bodies = [], []
        for offset, length, size in struct.iter_unpack("<qi4xq", footer[blocks + 4 : blocks + 4 + 24 * count]):
            prefix = 8 if view[offset : offset + 4] == b"\xff\xff\xff\xff" else 4  # before Arrow 0.15 there was no mark
            head = batch_head(view[offset + prefix : offset + length])
            if head is None or not 0 <= offset + length <= end - size:
                raise ValueError("a batch is not where the footer says")
            heads.append(head)
            bodies.append((offset + length, size))
        return heads, bodies, _is_big_endian(footer, follow(footer, root, 1))

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        encoded = self._encoded(columns)
        self._since_release += encoded.nbytes
        if self._since_release > _RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._since_release = 0
            self._map.madvise(mmap.MADV_DONTNEED)
        return encoded

    def _encoded(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        arrow_types = members(self._arrow_types, columns)
        if self._plain is None or not (plain := self._plain.has[columns]).any():
            return encode(self.table(columns), arrow_types)
        encoded = np.empty((len(columns), self.n_samples), dtype=float_type(arrow_types))
        try:
            self._plain.values(columns[plain], encoded, np.flatnonzero(plain))
        except ValueError:  # Arrow says which is damaged
            return encode(self.table(columns), arrow_types)
        if not plain.all():
            rest = columns[~plain]
            encoded[~plain] = encode(self.table(rest), members(self._arrow_types, rest))
        return encoded

    def _whole(self) -> pa.Table | None:
        """The file as a table, unless it is compressed."""
        if self._table is None and not self._compressed:
            reader = self._open(None)
            table = pa.Table.from_batches(self._batches(reader), reader.schema)
            self._check_rows(table)
            self._table = table
        return self._table

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        try:
            whole = self._whole()
            if whole is not None:
                read = whole.select(columns.tolist())
            else:
                chosen, places = np.unique(columns, return_inverse=True)
                reader = self._open(chosen.tolist())
                read = pa.Table.from_batches(self._batches(reader), reader.schema)
                self._check_rows(read)
                if not np.array_equal(chosen, columns):
                    read = read.select(places.tolist())
            # Offsets and indices that lead astray would be followed; numbers have none, and buffers long enough do.
            read.validate(full=bool((self.types[columns] > ColumnType.BOOLEAN.value).any()))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error
        return read

    def _check_rows(self, table: pa.Table) -> None:
        if len(table) != self.n_samples:
            raise ValueError("its batches do not have as many rows as they say")

    def close(self) -> None:
        """Forget the table; the mapping goes with the last array that looks at it."""
        self._table = self._plain = None
        self._buffer = None

    def _damaged(self, error: Exception) -> MiscreenError:
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return ResourceError(
                f"{self.label} cannot be mapped: the address space of the process is too small", "Raise ulimit -v"
            )
        return damaged(self.label, "Arrow data", error)


def _is_big_endian(view: memoryview, schema: int) -> bool:
    place = table_field(view, schema, 0)
    return place is not None and struct.unpack_from("<h", view, place)[0] != 0


def open_arrow_file(opening: Opening) -> ArrowSource:
    """Open an Arrow or Feather file for `miscreen.tables.open_table`."""
    return ArrowSource(opening.file, opening.label, stream=False)


def open_arrow_stream(opening: Opening) -> ArrowSource:
    """Open an Arrow stream for `miscreen.tables.open_table`."""
    return ArrowSource(opening.file, opening.label, stream=True)

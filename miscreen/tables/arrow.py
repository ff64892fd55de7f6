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

from miscreen.errors import DataError, MiscreenError, ResourceError
from miscreen.model import ColumnType
from miscreen.tables import Opening
from miscreen.tables.encoding import check_names, column_types, encode, types_of_schema, widest_value
from miscreen.tables.flatbuffers import follow, table_field
from miscreen.tables.source import TableSource

_FILE_SUFFIX = 10  # the length of the footer, and "ARROW1"
_RELEASE_BYTES = 32 << 20  # read before pages are given back: other threads may be about to read some of them
_RECORD_BATCH = 3  # MessageHeader in Arrow's format/Message.fbs


class ArrowSource(TableSource):
    """An Arrow file or stream.

    Uncompressed batches are used where they lie in the mapped file, and pages that were read are given back
    now and then. Compressed batches would have to be decompressed whole, so there each block decodes its
    own columns alone.
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
            schema = reader.schema
            self.names = schema.names
            self._arrow_types = types_of_schema(schema, self.names)
            lengths, compressed = self._survey()
            self.n_samples = sum(lengths)
            if compressed:
                self.grain_bytes = 16 << 20  # each call looks at the whole schema
            self._table = None if compressed else pa.Table.from_batches(self._batches(reader), schema)
            if self._table is not None:
                self._check_rows(self._table)
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

    def _survey(self) -> tuple[list[int], bool]:
        """Rows of each batch, and whether any is compressed, without decoding one."""
        lengths, compressed = [], False
        for metadata in self._messages():
            root = struct.unpack_from("<I", metadata, 0)[0]
            header_type = table_field(metadata, root, 1)
            if header_type is None or metadata[header_type] != _RECORD_BATCH:
                continue
            batch = follow(metadata, root, 2)
            length = table_field(metadata, batch, 0)
            lengths.append(0 if length is None else struct.unpack_from("<q", metadata, length)[0])
            compressed |= table_field(metadata, batch, 3) is not None
        return lengths, compressed

    def _messages(self) -> Iterator[memoryview]:
        """The metadata of each batch: of a stream one after the other, of a file where its footer says."""
        if self._stream:
            for message in pa.ipc.MessageReader.open_stream(self._buffer):
                yield memoryview(message.metadata)
            return
        view = memoryview(self._map)
        end = len(view) - _FILE_SUFFIX
        footer = view[end - struct.unpack_from("<i", view, end)[0] : end]
        batches = follow(footer, struct.unpack_from("<I", footer, 0)[0], 3)
        count = struct.unpack_from("<I", footer, batches)[0]
        for offset, length, _ in struct.iter_unpack("<qi4xq", footer[batches + 4 : batches + 4 + 24 * count]):
            prefix = 8 if view[offset : offset + 4] == b"\xff\xff\xff\xff" else 4  # before Arrow 0.15 there was no mark
            yield view[offset + prefix : offset + length]

    def values(self, columns: NDArray[np.intp]) -> NDArray[Any]:
        """See `TableSource.values`."""
        encoded = encode(self.table(columns), [self._arrow_types[c] for c in columns.tolist()])
        self._since_release += encoded.nbytes
        if self._since_release > _RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._since_release = 0
            self._map.madvise(mmap.MADV_DONTNEED)
        return encoded

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        try:
            if self._table is not None:
                read = self._table.select(columns.tolist())
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
        self._table = None
        self._buffer = None

    def _damaged(self, error: Exception) -> MiscreenError:
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return ResourceError(
                f"{self.label} cannot be mapped: the address space of the process is too small", "Raise ulimit -v"
            )
        return DataError(
            f"{self.label} cannot be read as Arrow data: {str(error).splitlines()[0]}",
            "The file is damaged or was not written to its end; write or copy it again",
        )


def open_arrow_file(opening: Opening) -> ArrowSource:
    """Open an Arrow or Feather file for `miscreen.tables.open_table`."""
    return ArrowSource(opening.file, opening.label, stream=False)


def open_arrow_stream(opening: Opening) -> ArrowSource:
    """Open an Arrow stream for `miscreen.tables.open_table`."""
    return ArrowSource(opening.file, opening.label, stream=True)

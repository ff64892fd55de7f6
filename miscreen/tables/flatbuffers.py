"""What is read of Arrow's FlatBuffers without decoding all of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WINDOW = 1 << 16  # fields decoded at a time, about 400 bytes each


def table_field(metadata: memoryview, table: int, field: int) -> int | None:
    """Where a field of a FlatBuffers table lies; None when it is absent."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    size = struct.unpack_from("<H", metadata, vtable)[0]
    entry = 4 + 2 * field
    offset = struct.unpack_from("<H", metadata, vtable + entry)[0] if entry + 2 <= size else 0
    return table + offset if offset else None


def follow(metadata: memoryview, table: int, field: int) -> int:
    """Where that which a field points at lies."""
    pointer = table_field(metadata, table, field)
    if pointer is None:
        raise ValueError("a part of the Arrow metadata is missing")
    return pointer + int(struct.unpack_from("<I", metadata, pointer)[0])


class SerializedSchema:
    """An Arrow schema as an IPC message, of which the types of chosen fields are wanted.

    Parameters
    ----------
    message : bytes

    Raises
    ------
    ValueError
        When it is no such message.

    Notes
    -----
    The list of fields in a copy of the message is overwritten so that it holds the chosen ones alone; Arrow
    verifies and decodes what is left. O(bytes) for the copy, O(chosen) for the rest.

    Examples
    --------
    >>> schema = pa.schema({"a": pa.int8(), "b": pa.string(), "c": pa.date32()})
    >>> list(SerializedSchema(schema.serialize().to_pybytes()).types(np.array([0, 2])))
    [DataType(int8), DataType(date32[day])]
    """

    def __init__(self, message: bytes) -> None:
        self._message = bytearray(message)
        metadata = memoryview(self._message)
        try:
            start = 8 if message[:4] == b"\xff\xff\xff\xff" else 4
            header = follow(metadata, start + struct.unpack_from("<I", metadata, start)[0], 2)
            self._fields = follow(metadata, header, 1)
            self.n_fields = int(struct.unpack_from("<I", metadata, self._fields)[0])
            offsets = np.frombuffer(metadata, dtype="<u4", count=self.n_fields, offset=self._fields + 4)
        except struct.error as error:
            raise ValueError("an Arrow schema is cut short") from error
        self._targets = self._places(self.n_fields) + offsets

    def _places(self, count: int) -> NDArray[np.int64]:
        return self._fields + 4 + 4 * np.arange(count)

    def types(self, fields: NDArray[np.intp]) -> Iterator[pa.DataType]:
        """The type of each chosen field, in the order given."""
        for first in range(0, len(fields), _WINDOW):
            targets = self._targets[fields[first : first + _WINDOW]]
            entries = (targets - self._places(len(targets))).astype("<u4").tobytes()
            struct.pack_into("<I", self._message, self._fields, len(targets))
            self._message[self._fields + 4 : self._fields + 4 + len(entries)] = entries
            yield from pa.ipc.read_schema(pa.py_buffer(self._message)).types

"""Thrift's compact protocol, as far as a Parquet footer needs it: a reader for its few parts, and a writer.

The many parts, schema elements and column chunks, are left to `miscreen.kernels.thrift`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels import thrift


class Reader:
    """Values one after another, from the first field of a struct on.

    Parameters
    ----------
    content : bytes

    Raises
    ------
    ValueError
        From any method, when the next bytes are not what it reads.

    Examples
    --------
    >>> reader = Reader(bytes([0x15, 0x04, 0x18, 0x02]) + b"ab" + bytes([0x00]))
    >>> [(number, reader.integer() if number == 1 else reader.binary()) for number in reader.fields()]
    [(1, 2), (2, b'ab')]
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._array = np.frombuffer(content, dtype=np.uint8)
        self._position = 0
        self._kind = thrift.STRUCT  # of the value that comes next

    def fields(self) -> Iterator[int]:
        """The number of each field of the struct that comes next; its value must be read or skipped."""
        self._expect(thrift.STRUCT)
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else _signed(self._varint())
            self._kind = head & 15
            yield number
        self._kind = thrift.STRUCT  # unless a field's head says otherwise, the next of a list

    def integer(self) -> int:
        """An integer of any width."""
        self._expect(thrift.I16, thrift.I32, thrift.I64)
        return _signed(self._varint())

    def binary(self) -> bytes:
        """A string of bytes."""
        self._expect(thrift.BINARY)
        size = self._varint()
        if size > len(self.content) - self._position:
            raise ValueError("its footer is malformed: a string goes on beyond the end")
        self._position += size
        return self.content[self._position - size : self._position]

    def structs(self) -> int:
        """How many structs a list has; they come next. There are no more than bytes left."""
        self._expect(thrift.LIST)
        head = self._byte()
        size = self._varint() if head >> 4 == 15 else head >> 4
        if size > len(self.content) - self._position:
            raise ValueError("its footer is malformed: a list goes on beyond the end")
        self._kind = head & 15
        if size:
            self._expect(thrift.STRUCT)
        return size

    def skip(self) -> None:
        """Pass over a value of any kind."""
        self._move(thrift.skip(self._array, self._position, self._kind, np.empty(2, dtype=np.int64)))

    def skip_structs(self, starts: NDArray[np.int64]) -> None:
        """Pass over structs of a list; see `miscreen.kernels.thrift.skip`."""
        self._move(thrift.skip(self._array, self._position, thrift.STRUCT, starts))

    def skip_columns(self, columns: NDArray[np.int64], names: NDArray[np.int64], fresh: NDArray[np.bool_]) -> int:
        """Pass over a schema; see `miscreen.kernels.thrift.read_columns`. Returns the number of columns."""
        n_columns, position = thrift.read_columns(self._array, self._position, columns, names, fresh)
        self._move(position)
        return int(n_columns)

    def _move(self, position: int) -> None:
        if position < 0:
            raise ValueError("its footer is malformed")
        self._position = position

    def _expect(self, *kinds: int) -> None:
        if self._kind not in kinds:
            raise ValueError("its footer is malformed: a field is of the wrong kind")

    def _byte(self) -> int:
        if self._position >= len(self.content):
            raise ValueError("its footer is malformed: it ends too early")
        self._position += 1
        return self.content[self._position - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its footer is malformed: an integer is too long")


def _signed(number: int) -> int:
    return number >> 1 ^ -(number & 1)


# ---- written -----------------------------------------------------------------------------------------------


def integer(number: int) -> bytes:
    """An integer of 16 to 64 bits.

    Examples
    --------
    >>> integer(-2), integer(300)
    (b'\\x03', b'\\xd8\\x04')
    """
    return _varint(~(number << 1) if number < 0 else number << 1)


def binary(content: bytes) -> bytes:
    """A string of bytes."""
    return _varint(len(content)) + content


def structs(count: int) -> bytes:
    """The head of a list of structs."""
    return bytes([count << 4 | thrift.STRUCT]) if count < 15 else bytes([0xF0 | thrift.STRUCT]) + _varint(count)


def field(step: int, kind: int) -> bytes:
    """The head of a field whose number is `step` more than that of the one before."""
    return bytes([step << 4 | kind])


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)

"""Where the many parts of a Parquet footer stand: its schema elements and column chunks.

A footer is in Thrift's compact protocol. Kernels note positions and copy nothing; every read is checked against
the end, every count against the bytes left, and nesting is bounded, so that whatever the bytes, a walk ends
after O(bytes) steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from miscreen.kernels._jit import byte_at, inner, kernel
from miscreen.kernels.varint import varint

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

DEEPEST = 16  # structs in structs; a footer has fewer than ten


@inner
def integer(at: int, stop: int) -> tuple[int, int]:
    """A signed integer, and the address after it, or -1."""
    value, at = varint(at, stop, 64)
    return ((value >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(value & 1), at


@inner
def _binary(at: int, stop: int) -> tuple[int, int]:
    """First address and end of a string of bytes; the end is -1 when it is not all there."""
    size, at = varint(at, stop, 64)
    if at < 0 or size < 0 or size > stop - at:
        return 0, -1
    return at, at + size


@inner
def _list(at: int, stop: int) -> tuple[int, int, int]:
    """Kind and number of a list's elements, and the address of the first, or -1. Each takes a byte or more."""
    if at >= stop:
        return 0, 0, -1
    byte = byte_at(at)
    at += 1
    size = byte >> 4
    if size == 15:
        size, at = varint(at, stop, 64)
    if at < 0 or size < 0 or size > stop - at:
        return 0, 0, -1
    return byte & 15, size, at


@inner
def field(at: int, stop: int, last: int) -> tuple[int, int, int]:
    """Kind and number of a struct's next field, and the address of its value, or -1. Kind 0 ends the struct."""
    if at >= stop:
        return 0, 0, -1
    byte = byte_at(at)
    at += 1
    if byte == 0:
        return 0, 0, at
    if byte >> 4:
        return byte & 15, last + (byte >> 4), at
    number, at = integer(at, stop)
    return byte & 15, number, at


@inner
def _skip_plain(at: int, stop: int, kind: int) -> int:
    """The address after a value that holds no others, or -1."""
    if kind == I16 or kind == I32 or kind == I64:
        return varint(at, stop, 64)[1]
    if kind == BINARY:
        return _binary(at, stop)[1]
    if kind == BYTE:
        return at + 1 if at < stop else -1
    if kind == DOUBLE:
        return at + 8 if stop - at >= 8 else -1
    return -1


@inner
def skip_value(at: int, stop: int, kind: int, siblings: NDArray[np.int64]) -> int:
    """The address after a value, or -1. Of each open struct, `siblings` counts those that follow it in a list.

    Lists of lists and maps are malformed: no footer has any.
    """
    depth = 0
    while True:
        if kind == STRUCT or kind == LIST or kind == SET:
            more = 1
            if kind != STRUCT:
                kind, more, at = _list(at, stop)
                if at < 0:
                    return -1
            if kind == STRUCT and more > 0:
                if depth == len(siblings):
                    return -1
                siblings[depth] = more - 1
                depth += 1
            elif kind == TRUE or kind == FALSE:
                at += more  # bytes in a list; as a field it is told by its kind
            else:
                for _ in range(more):
                    at = _skip_plain(at, stop, kind)
                    if at < 0:
                        return -1
        elif kind != TRUE and kind != FALSE:
            at = _skip_plain(at, stop, kind)
            if at < 0:
                return -1
        kind = 0
        while depth > 0 and kind == 0:
            kind, _, at = field(at, stop, 0)
            if at < 0:
                return -1
            if kind == 0:
                if siblings[depth - 1] > 0:
                    siblings[depth - 1] -= 1
                else:
                    depth -= 1
        if depth == 0:
            return at


@kernel
def skip(footer: NDArray[np.uint8], first: int, kind: int, starts: NDArray[np.int64]) -> int:
    """Find values of one kind that stand side by side from `first` on: value i has bytes starts[i] to starts[i + 1].

    Returns the position after them, or -1 when they are malformed. O(bytes).
    """
    base = footer.ctypes.data
    at, stop = base + first, base + len(footer)
    siblings = np.empty(DEEPEST, dtype=np.int64)
    starts[0] = first
    for i in range(1, len(starts)):
        at = skip_value(at, stop, kind, siblings)
        if at < 0:
            return -1
        starts[i] = at - base
    return at - base


@inner
def _element(at: int, stop: int, siblings: NDArray[np.int64]) -> tuple[int, int, int, bool, int, int]:
    """A schema element: addresses of its name's length, its name and the name's end; whether it is a leaf; its
    number of children; the address after it, or -1."""
    label, name, name_stop, typed, children, number = 0, 0, 0, False, 0, 0
    while True:
        kind, number, at = field(at, stop, number)
        if at < 0 or kind == 0:
            return label, name, name_stop, typed and children == 0, children, at if label else -1
        if number == 4 and kind == BINARY:
            label = at
            name, at = _binary(at, stop)
            name_stop = at
        elif number == 5 and kind == I32:
            children, at = integer(at, stop)
        else:
            typed |= number == 1
            at = skip_value(at, stop, kind, siblings)
        if at < 0 or children < 0:
            return 0, 0, 0, False, 0, -1


@inner
def _equal(left: int, right: int, size: int) -> bool:
    for i in range(size):
        if byte_at(left + i) != byte_at(right + i):
            return False
    return True


@kernel
def read_columns(
    footer: NDArray[np.uint8],
    first: int,
    columns: NDArray[np.int64],
    names: NDArray[np.int64],
    fresh: NDArray[np.bool_],
) -> tuple[int, int]:
    """Find the columns of a schema that begins at `first` and has as many elements as the arrays are long.

    Of column c, columns[c] has the position, the first element and the first leaf (those of column c + 1 end
    it), names[c] the positions of its name's length, its name and the name's end; it is `fresh` unless it is the
    column before by another name. Returns how many, and the position after, or -1 if malformed. O(bytes).
    """
    base = footer.ctypes.data
    at, stop = base + first, base + len(footer)
    siblings = np.empty(DEEPEST, dtype=np.int64)
    c, n_columns, leaf, pending = 0, 0, 0, 1
    for element in range(len(columns)):
        start, inside = at, pending > n_columns - c
        label, name, name_stop, is_leaf, children, at = _element(start, stop, siblings)
        pending += children - 1
        if at < 0 or pending < 0 or pending >= len(columns):
            return 0, -1
        if element == 0:
            n_columns = children
            continue
        if not inside:
            columns[c, 0], columns[c, 1], columns[c, 2] = start - base, element, leaf
            names[c, 0], names[c, 1], names[c, 2] = label - base, name - base, name_stop - base
            fresh[c] = True
            if c > 0 and children == 0 and columns[c - 1, 1] == element - 1:
                before, label_before = base + columns[c - 1, 0], base + names[c - 1, 0]
                head, rest_before = label_before - before, base + names[c - 1, 2]
                if label - start == head and at - name_stop == start - rest_before:
                    fresh[c] = not (_equal(start, before, head) and _equal(name_stop, rest_before, at - name_stop))
            c += 1
        leaf += is_leaf
    if pending != 0:
        return 0, -1
    columns[c, 0], columns[c, 1], columns[c, 2] = at - base, len(columns), leaf
    return n_columns, at - base

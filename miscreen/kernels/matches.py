"""What snappy and LZ4 do most: put bytes behind those that are unpacked, from the packed ones or from before."""

from __future__ import annotations

from miscreen.kernels._jit import copy_bytes, inner

_WORD = 8


@inner
def put(into: int, at: int, length: int, room: int, stop: int) -> None:
    """Copy bytes from `at` on, which ends before `stop`, to where there is room for so many and more.

    Short runs as words, some bytes of the last of which are written over later. O(length).
    """
    if length <= 2 * _WORD and room >= 2 * _WORD and stop - at >= 2 * _WORD:
        copy_bytes(into, at, _WORD)
        copy_bytes(into + _WORD, at + _WORD, _WORD)
    else:
        copy_bytes(into, at, length)


@inner
def repeat(into: int, back: int, length: int, room: int) -> None:
    """Copy what is so many bytes back, which may reach into itself, to where there is room for so many and more.

    As words where they are far enough apart, see `put`. O(length).
    """
    i = 0
    if back >= _WORD and length + _WORD <= room:
        while i < length:
            copy_bytes(into + i, into + i - back, _WORD)
            i += _WORD
    else:
        while i < length:
            copy_bytes(into + i, into + i - back, 1)
            i += 1

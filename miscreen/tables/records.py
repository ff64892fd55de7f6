"""Whole rows of delimited text from a stream, a few megabytes at a time."""

from __future__ import annotations

import csv
import errno
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, MiscreenError, ResourceError
from miscreen.kernels.delimited import CLOSING, NO_QUOTE, PLAIN, QUOTED, START, scan_rows
from miscreen.resources import format_bytes

DELIMITERS = b",\t;|"  # in order of preference when several are equally frequent
_UTF8_BOM = b"\xef\xbb\xbf"
_PROBE = 4096
_LF = ord("\n")


@dataclass(frozen=True)
class Text:
    """Whole rows: the bytes from `start` to `stop` of a buffer, the last of them a line feed."""

    buffer: bytearray
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def bytes(self) -> NDArray[np.uint8]:
        """The bytes, as an array that shares the buffer."""
        return np.frombuffer(self.buffer, dtype=np.uint8)[self.start : self.stop]

    def has_quotes(self, quote: int) -> bool:
        """Whether there is any quote."""
        return quote != NO_QUOTE and self.buffer.find(quote, self.start, self.stop) >= 0

    def has_simple_quotes(self, quote: int, delimiter: int, most: int) -> bool:
        """Whether at most so many cells are quoted, and none has a delimiter, a line end or a quote of its own.

        Then quotes need not be heeded to take rows apart.
        """
        buffer, last = self.buffer, self.start
        for _ in range(most):
            opened = buffer.find(quote, last, self.stop)
            if opened < 0:
                return True
            closed = buffer.find(quote, opened + 1, self.stop)
            if closed < 0 or (opened > self.start and buffer[opened - 1] not in (delimiter, _LF)):
                return False
            last = closed + 1
            if buffer[last] not in (delimiter, _LF) and buffer[last : last + 2] != b"\r\n":
                return False
            if buffer.find(delimiter, opened, closed) >= 0 or buffer.find(_LF, opened, closed) >= 0:
                return False
        return buffer.find(quote, last, self.stop) < 0

    def lines_before(self, position: int) -> int:
        """Line feeds before a position."""
        return self.buffer.count(b"\n", self.start, self.start + position)


class Records:
    """Cuts a stream of bytes into texts that end where a row ends.

    Parameters
    ----------
    stream : binary file
        Only its ``read(n)`` is used, or ``readinto`` if it has that.
    label : str
        What messages call it.
    quote : str
        The character around cells that hold delimiters or line ends; empty when no character does that.
    block_bytes : int
        Bytes to look at together; a text is about as long, or one row if that is longer.
    row_limit : int
        Longest row, in bytes, that may be held.
    on_read : callable, optional
        Called with the bytes read so far, after each block.

    Attributes
    ----------
    block_bytes, row_limit : int
    delimiter : int
        The byte between cells; set it before reading on after `sniff`.
    quote : int
        The byte that quotes, or `NO_QUOTE`.
    line : int
        Physical line, from 1, on which the next text starts.
    trouble : MiscreenError, optional
        Why `rest` ended before the stream did; to be raised when all before it is found to be right.

    Notes
    -----
    Texts lie in buffers that are used again once they are given back: touching new memory costs more than
    reading a file into it.
    """

    def __init__(
        self,
        stream: BinaryIO,
        label: str,
        quote: str,
        block_bytes: int,
        row_limit: int,
        on_read: Callable[[int], None] | None,
    ) -> None:
        self.label = label
        self.delimiter = ord(",")
        self.quote = ord(quote) if quote else NO_QUOTE
        self.line = 1
        self.trouble: MiscreenError | None = None
        self._stream = stream
        self._quote = quote
        self.block_bytes = block_bytes
        self.row_limit = row_limit
        self._on_read = on_read
        self._n_read = 0
        self._free: list[bytearray] = []
        self._capacity = max(block_bytes, _PROBE)
        self._buffer = self._new_buffer()
        self._start, self._stop = 0, 0  # what of the buffer is still to be handed out
        self._read()
        self._check_encoding()

    @property
    def position(self) -> int:
        """Where in the stream that begins which is still to be handed out."""
        return self._n_read - (self._stop - self._start)

    def _new_buffer(self) -> bytearray:
        """An empty buffer, with a byte to spare for a line feed that the file lacks."""
        return self._free.pop() if self._free else bytearray(self._capacity + 1)

    def give_back(self, text: Text) -> None:
        """Let the buffer of a text be used again."""
        if len(text.buffer) == self._capacity + 1:
            self._free.append(text.buffer)

    def _read(self) -> bool:
        """Fill the buffer; False at the end of the stream."""
        before = self._stop
        readinto = getattr(self._stream, "readinto", None) or self._read_into
        try:
            with memoryview(self._buffer) as view:
                while self._stop < self._capacity:
                    count = readinto(view[self._stop : self._capacity])
                    if count is None:
                        raise BlockingIOError(errno.EAGAIN, "the stream does not wait for data")
                    if count == 0:
                        break
                    self._stop += count
        except (OSError, EOFError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise DataError(f"cannot read {self.label}: {error.strerror}", "Check the disk or the pipe") from error
            raise DataError(
                f"the compressed stream of {self.label} ends early or is damaged "
                f"(after {self._n_read:,} bytes of text: {error})",
                "Fetch or write the file again",
            ) from error
        self._n_read += self._stop - before
        if self._stop > before and self._on_read is not None:
            self._on_read(self._n_read)
        return self._stop > before

    def _read_into(self, view: memoryview) -> int | None:
        part: bytes | None = self._stream.read(len(view))
        if part is None:
            return None
        view[: len(part)] = part
        return len(part)

    def _check_encoding(self) -> None:
        probe = self._buffer[: min(_PROBE, self._stop)]
        zeros = probe.count(0) * 8 / max(1, len(probe))  # in eight bytes: six of UTF-32, four of UTF-16
        if probe.startswith((b"\xff\xfe", b"\xfe\xff")) or zeros > 1:
            encoding = "UTF-32" if zeros > 5 else "UTF-16"
            raise DataError(
                f"{self.label} is no UTF-8 text: it looks like {encoding} or a binary file",
                f"Convert it, for instance with: iconv -f {encoding} -t UTF-8",
            )
        if probe.startswith(_UTF8_BOM):
            self._start = len(_UTF8_BOM)

    def sniff(self) -> int:
        """The delimiter of the first line: a comma if there is one outside quotes, else the most frequent."""
        known = bytes(self._buffer[self._start : self._stop]).lstrip(b"\r\n")
        bare = _unquoted(known.decode("latin-1"), self._quote).partition("\n")[0]
        counts = [bare.count(chr(byte)) for byte in DELIMITERS]
        return DELIMITERS[0 if counts[0] or not any(counts) else counts.index(max(counts))]

    def first(self) -> bytes:
        """The next row that is not blank, with its line end; empty at the end of the stream."""
        while True:
            text = self._take(first_only=True)
            row = bytes(memoryview(text.buffer)[text.start : text.stop])
            if row not in (b"\n", b"\r\n"):
                return row
            self.line += 1

    def rest(self) -> Iterator[Text]:
        """All further rows; `line` is moved on by whoever has counted the lines of a text.

        They end early, with `trouble`, when something is wrong.
        """
        try:
            while text := self._take(first_only=False):
                yield text
        except MiscreenError as error:
            self.trouble = error

    def _take(self, *, first_only: bool) -> Text:
        """The next row, or whole rows of about one block; empty at the end of the stream."""
        seen, state = 0, START
        while True:
            size = min(self._stop - self._start, seen + self.block_bytes)
            cut, state = self._scan(self._start + seen, self._start + size, state, first_only)
            if cut >= 0:
                return self._hand_out(cut + 1, keep=first_only)
            seen = size
            if self._start + seen == self._stop and not self._more(state):
                break
        if state == QUOTED:
            raise DataError(
                f"{self.label}, line {self._open_quote()}: a quote opens here and is never closed",
                "Close it, or double a quote that is part of the text; where quotes mean nothing, add --quote none",
            )
        if seen:
            self._buffer[self._stop] = ord("\n")
            self._stop += 1
        return self._hand_out(self._stop, keep=first_only)

    def _hand_out(self, stop: int, *, keep: bool) -> Text:
        """The text up to `stop`; unless a copy is made of it at once, what follows moves to another buffer."""
        text = Text(self._buffer, self._start, stop)
        self._start = stop
        if not keep:
            self._move(self._new_buffer())
        return text

    def _move(self, buffer: bytearray) -> None:
        rest = self._stop - self._start
        with memoryview(self._buffer) as view:
            buffer[:rest] = view[self._start : self._stop]
        self._buffer, self._start, self._stop = buffer, 0, rest

    def _more(self, state: int) -> bool:
        """Read on behind a row that is not complete; False at the end of the stream."""
        size = self._stop - self._start
        if self._stop == self._capacity:
            if size >= self.row_limit:
                raise self._too_long(state)
            if 2 * size > self._capacity:  # later rows are as long
                self._capacity = min(2 * self._capacity, max(self._capacity, self.row_limit))
                self._free.clear()
            self._move(self._new_buffer())
        return self._read()

    def _scan(self, start: int, stop: int, state: int, first_only: bool) -> tuple[int, int]:
        """The row end to cut at, or -1, and the state after the bytes from `start` to `stop`."""
        block = Text(self._buffer, start, stop)
        if first_only or state in (QUOTED, CLOSING) or block.has_quotes(self.quote):
            cut, _, state = scan_rows(block.bytes(), self.delimiter, self.quote, state, first_only)
            return (start + cut if cut >= 0 else -1), state
        if stop > start:
            state = START if self._buffer[stop - 1] in (self.delimiter, ord("\n")) else PLAIN
        return self._buffer.rfind(b"\n", start, stop), state

    def _open_quote(self) -> int:
        """The line on which the last quote of what is left opens."""
        text = Text(self._buffer, self._start, self._stop)
        _, opened, _ = scan_rows(text.bytes(), self.delimiter, self.quote, START, False)
        return self.line + text.lines_before(opened)

    def _too_long(self, state: int) -> ResourceError:
        if state == QUOTED:
            hint = f"A quote opens on line {self._open_quote()}: close it there, or give more --memory"
        else:
            hint = "Give more --memory, and check that the file has line ends"
        return ResourceError(
            f"{self.label}: the row that starts on line {self.line} has more than {format_bytes(self.row_limit)}, "
            "all that fits beside the table",
            hint,
        )

    def split(self, row: bytes) -> list[str]:
        """The cells of the first row, unquoted.

        Raises
        ------
        DataError
            When the row is not UTF-8, or has text after a closing quote.
        """
        line = row.removesuffix(b"\n").removesuffix(b"\r")
        delimiter = chr(self.delimiter)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            before = line[: error.start].decode("utf-8").replace("\r", " ")  # which would be an error of its own
            column = len(_cells(before, delimiter, self._quote, strict=False))
            raise not_utf8(self.label, self.line, f"column {column}") from error
        if "\r" in _unquoted(text, self._quote):
            raise DataError(
                f"{self.label}: lines end in a lone carriage return, as on old Macintosh systems",
                "Convert it, for instance with: tr '\\r' '\\n'",
            )
        try:
            return _cells(text, delimiter, self._quote, strict=True)
        except csv.Error as error:
            raise DataError(
                f"{self.label}, line {self.line}: the header cannot be taken apart: {error}",
                "A quote inside a quoted name must be doubled; if cells are separated by something else, such as "
                "spaces, say so: --delimiter ' '",
            ) from error


def _cells(text: str, delimiter: str, quote: str, *, strict: bool) -> list[str]:
    if not quote or quote not in text:
        return text.split(delimiter)
    return next(csv.reader([text], delimiter=delimiter, quotechar=quote, strict=strict))


def _unquoted(text: str, quote: str) -> str:
    """The text without what stands between quotes, the last of which may be missing."""
    q = re.escape(quote)
    return re.sub(f"{q}[^{q}]*({q}|$)", "", text) if quote else text


def not_utf8(label: str, line: int, where: str) -> DataError:
    """The error for bytes that are not UTF-8."""
    return DataError(
        f"{label}, line {line}, {where}: the text is not UTF-8",
        "Convert it, for instance with: iconv -f LATIN1 -t UTF-8",
    )

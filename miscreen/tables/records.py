"""Whole rows of delimited text from a stream, a few megabytes at a time."""

from __future__ import annotations

import csv
import errno
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from miscreen.errors import DataError, MiscreenError, ResourceError
from miscreen.kernels.delimited import CLOSING, PLAIN, QUOTED, START, scan_rows
from miscreen.resources import format_bytes

DELIMITERS = b",\t;|"  # in order of preference when several are equally frequent
_UTF8_BOM = b"\xef\xbb\xbf"
_PROBE = 4096


class Records:
    """Cuts a stream of bytes into texts that end where a row ends.

    Parameters
    ----------
    stream : binary file
        Only its ``read(n)`` is used.
    label : str
        What messages call it.
    block_bytes : int
        Bytes to read at a time; a text is about as long, or one row if that is longer.
    on_read : callable
        Called with the bytes read so far, after each block.

    Attributes
    ----------
    delimiter : int
        The byte between cells; set it before reading on after `sniff`.
    row_limit : int
        Longest row, in bytes, that may be held.
    line : int
        Physical line, from 1, on which the next text starts.
    trouble : MiscreenError, optional
        Why `rest` ended before the stream did; to be raised when all before it is found to be right.
    """

    def __init__(
        self, stream: BinaryIO, label: str, block_bytes: int, row_limit: int, on_read: Callable[[int], None]
    ) -> None:
        self.label = label
        self.delimiter = ord(",")
        self.row_limit = row_limit
        self.line = 1
        self.trouble: MiscreenError | None = None
        self._stream = stream
        self._block_bytes = block_bytes
        self._on_read = on_read
        self._n_read = 0
        self._rest = self._read()
        while 0 < len(self._rest) < _PROBE and (more := self._read()):
            self._rest += more
        self._check_encoding()

    def _read(self) -> bytes:
        """The next block, whole unless the stream ends; empty at its end."""
        parts: list[bytes] = []
        missing = self._block_bytes
        try:
            while missing > 0 and (part := self._stream.read(missing)) != b"":
                if part is None:
                    raise BlockingIOError(errno.EAGAIN, "the stream does not wait for data")
                parts.append(part)
                missing -= len(part)
        except (OSError, EOFError, zlib.error) as error:
            number = getattr(error, "errno", None)
            if number is not None:
                raise DataError(f"cannot read {self.label}: {error.strerror}", "Check the disk or the pipe") from error  # type: ignore[union-attr]
            raise DataError(
                f"the compressed stream of {self.label} ends early or is damaged "
                f"(after {self._n_read:,} bytes of text: {error})",
                "Fetch or write the file again",
            ) from error
        block = parts[0] if len(parts) == 1 else b"".join(parts)
        self._n_read += len(block)
        if block:
            self._on_read(self._n_read)
        return block

    def _check_encoding(self) -> None:
        probe = self._rest[:_PROBE]
        if probe.startswith((b"\xff\xfe", b"\xfe\xff")) or probe.count(0) * 8 > len(probe):
            raise DataError(
                f"{self.label} is no UTF-8 text: it looks like UTF-16 or a binary file",
                "Convert it, for instance with: iconv -f UTF-16 -t UTF-8",
            )
        self._rest = self._rest.removeprefix(_UTF8_BOM)

    def sniff(self) -> int:
        """The delimiter of the first line: a comma if there is one outside quotes, else the most frequent."""
        bare = re.sub(rb'"[^"]*("|$)', b"", self._rest.lstrip(b"\r\n")).partition(b"\n")[0]
        counts = [bare.count(bytes([byte])) for byte in DELIMITERS]
        return DELIMITERS[0 if counts[0] or not any(counts) else counts.index(max(counts))]

    def first(self) -> bytes:
        """The next row that is not blank, with its line end; empty at the end of the stream."""
        while (row := self._take(first_only=True)) and row in (b"\n", b"\r\n"):
            self.line += 1
        return row

    def rest(self) -> Iterator[bytes]:
        """All further rows; `line` is moved on by whoever has counted the lines of a text.

        They end early, with `trouble`, when something is wrong.
        """
        try:
            while text := self._take(first_only=False):
                yield text
        except MiscreenError as error:
            self.trouble = error

    def _take(self, *, first_only: bool) -> bytes:
        """The next row, or the whole rows of about one block; always ended by a line feed."""
        parts: list[bytes | memoryview] = []
        size, state = 0, START
        block, self._rest = self._rest, b""
        while True:
            cut, state = self._scan(block, state, first_only)
            if cut >= 0:
                self._rest = block[cut + 1 :]
                parts.append(memoryview(block)[: cut + 1])
                return b"".join(parts)
            parts.append(block)
            size += len(block)
            if size > self.row_limit:
                raise self._too_long(b"".join(parts), state)
            block = self._read()
            if not block:
                break
        text = b"".join(parts)
        if state == QUOTED:
            raise DataError(
                f"{self.label}, line {self._open_quote(text)}: a quote opens here and is never closed",
                "Close it, or double a quote that is part of the text",
            )
        return text + b"\n" if text else text

    def _scan(self, block: bytes, state: int, first_only: bool) -> tuple[int, int]:
        """The row end to cut at, or -1, and the state after the block."""
        if first_only or state in (QUOTED, CLOSING) or b'"' in block:
            cut, _, state = scan_rows(np.frombuffer(block, np.uint8), self.delimiter, state, first_only)
            return cut, state
        if block:
            state = START if block[-1] in (self.delimiter, ord("\n")) else PLAIN
        return block.rfind(b"\n"), state

    def _open_quote(self, text: bytes) -> int:
        """The line on which the last quote of the text opens."""
        opened = scan_rows(np.frombuffer(text, np.uint8), self.delimiter, START, False)[1]
        return self.line + text.count(b"\n", 0, opened)

    def _too_long(self, text: bytes, state: int) -> ResourceError:
        if state == QUOTED:
            hint = f"A quote opens on line {self._open_quote(text)}: close it there, or give more --memory"
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
            column = len(_cells(line[: error.start].decode("utf-8"), delimiter, strict=False))
            raise not_utf8(self.label, self.line, f"column {column}") from error
        if "\r" in re.sub(r'"[^"]*"', "", text):
            raise DataError(
                f"{self.label}: lines end in a lone carriage return, as on old Macintosh systems",
                "Convert it, for instance with: tr '\\r' '\\n'",
            )
        try:
            return _cells(text, delimiter, strict=True)
        except csv.Error as error:
            raise DataError(
                f"{self.label}, line {self.line}: the header cannot be taken apart: {error}",
                "A quote inside a quoted name must be doubled",
            ) from error


def _cells(text: str, delimiter: str, *, strict: bool) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    return next(csv.reader([text], delimiter=delimiter, strict=strict))


def not_utf8(label: str, line: int, where: str) -> DataError:
    """The error for bytes that are not UTF-8."""
    return DataError(
        f"{label}, line {line}, {where}: the text is not UTF-8",
        "Convert it, for instance with: iconv -f LATIN1 -t UTF-8",
    )

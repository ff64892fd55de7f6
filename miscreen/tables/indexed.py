"""Wide delimited text in a file: where its cells are is noted, and columns are parsed when they are asked for."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import DataError, ResourceError
from miscreen.kernels import delimited as kernels
from miscreen.model import ColumnType, Floats
from miscreen.tables.columns import is_named
from miscreen.tables.delimited import READING_SHARE, DelimitedSource, ReadOptions, begin, parse
from miscreen.tables.formats import Opening
from miscreen.tables.labels import NULL_TOKENS
from miscreen.tables.loading import pack_nulls
from miscreen.tables.records import Records, Text
from miscreen.tables.source import TableSource

LEAST_BYTES = 32 << 20  # smaller files are parsed whole as fast
LEAST_ROW_BYTES = 1 << 15  # a part of each row is read by a call of its own
MOST_ROWS = 8192  # of more, too little is read by a call
MOST_TEXT = 64  # columns of text beside those of numbers
_CELLS = 32  # whose place is noted together, at least
_STEP_BYTES = 1 << 18  # read at once behind a span, for the rest of its last row
_GAP = 8  # such parts that are parsed, though not asked for, rather than begin anew
_INDEX_SHARE = 16  # of the memory, one part may hold the index


_Places = tuple[NDArray[np.int64], NDArray[np.uint32]]


@dataclass(frozen=True)
class Index:
    """Where the cells of a text are.

    Attributes
    ----------
    rows : int64 array, shape (n_rows,)
        Offset of each row in the file.
    places : uint32 array, shape (n_rows, parts + 1)
        Where in its row each part begins; the last is where one would that came after the row.
    every : int
        Cells a part; the last may have fewer.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.uint32]
    every: int

    @classmethod
    def make(
        cls,
        records: Records,
        first: bytes,
        n_columns: int,
        every: int,
        file: int,
        threads: int,
        on_read: Callable[[int], None],
    ) -> Index | None:
        """Look for delimiters in the first row and all that follow; None unless they are as plain as it takes.

        Every thread reads spans of its own of the open file.
        """
        parts = -(-n_columns // every)

        def look(text: Text, offset: int) -> _Places | None:
            content = text.bytes()
            starts = np.empty(len(text) // n_columns + 1, dtype=np.int64)
            starts = starts[: kernels.row_starts(content, records.delimiter, records.quote, False, starts)]
            if text.has_quotes(records.quote) and not text.has_simple_quotes(
                records.quote, records.delimiter, MOST_TEXT * len(starts)
            ):
                return None
            places = np.empty((len(starts), parts + 1), dtype=np.uint32)
            ragged = kernels.index_cells(content, starts, records.delimiter, n_columns, every, places)
            return (starts + offset, places) if ragged < 0 else None

        span, size = records.block_bytes, os.fstat(file).st_size
        free: list[bytearray] = []

        def look_at(start: int) -> _Places | None:
            try:
                buffer = free.pop()
            except IndexError:
                buffer = bytearray(span + len(first))
            text = _rows_of(file, start, min(start + span, size), records.row_limit, buffer)
            found = None if text is None else look(text, start - 1 + text.start)
            free.append(buffer)
            return found

        found = [look(Text(bytearray(first), 0, len(first)), records.position - len(first))]
        waiting = deque(range(records.position, size, span))
        with ThreadPoolExecutor(threads) as pool:
            flying = deque(pool.submit(look_at, waiting.popleft()) for _ in range(min(threads, len(waiting))))
            while flying and found[-1] is not None:
                if waiting:
                    flying.append(pool.submit(look_at, waiting.popleft()))
                found.append(flying.popleft().result())
                on_read(waiting[0] if waiting else size)
        sound = [one for one in found if one is not None]
        if len(sound) < max(2, len(found)):  # a single row may lack its line end
            return None
        return cls(np.concatenate([rows for rows, _ in sound]), np.concatenate([places for _, places in sound]), every)


def _rows_of(file: int, start: int, stop: int, row_limit: int, buffer: bytearray) -> Text | None:
    """The rows that begin in a span of a file, behind another row; None where one is too long."""
    held = _read_on(file, start - 1, stop - start, buffer, 0)
    begin = buffer.find(b"\n", 0, held) + 1
    most = held + row_limit
    while begin > 0:  # up to the end of the last row
        count = _read_on(file, start - 1 + held, _STEP_BYTES, buffer, held)
        end = buffer.find(b"\n", held, held + count) + 1
        if end > 0:
            return Text(buffer, begin, end)
        held += count
        if count < _STEP_BYTES:
            buffer[held] = ord("\n")
            return Text(buffer, begin, held + 1)
        if held > most:
            return None
    return Text(buffer, 0, 0)


def _read_on(file: int, offset: int, size: int, buffer: bytearray, at: int) -> int:
    """Read from a file into a buffer, with a byte to spare; less than `size` only at the end of the file."""
    if len(buffer) <= at + size:
        buffer.extend(bytes(at + size + 1 - len(buffer)))
    count = 0
    with memoryview(buffer) as view:
        while count < size and (got := os.preadv(file, [view[at + count : at + size]], offset + count)) > 0:
            count += got
    return count


class IndexedSource(TableSource):
    """Wide text whose numbers are parsed column by column, when they are asked for, out of the file itself.

    For a run that reads each column once: nothing is kept of what was parsed, so neither memory nor scratch space
    holds the table. Values, types and errors are those of `DelimitedSource`, but for cells of columns that nobody
    asks for, at which nobody looks. Whatever is not plain numbers, apart from a few columns that are text from their
    first row on, is left to a `DelimitedSource` of the whole file, as soon as it is found.

    Parameters
    ----------
    label : str
    names : sequence of str
    descriptor : int
        The open file, which is duplicated.
    index : Index
    records : Records
        For its delimiter and its quote.
    null_tokens : sequence of str
    version : tuple of int
        What `version_of` said of the file before it was indexed.
    whole : callable
        Parses the whole file, given its descriptor.
    """

    value_bytes = 8
    grain_bytes = 8 << 20

    def __init__(
        self,
        label: str,
        names: Sequence[str],
        descriptor: int,
        index: Index,
        records: Records,
        null_tokens: Sequence[str],
        version: tuple[int, int],
        whole: Callable[[int], TableSource],
    ) -> None:
        self.label = label
        self.names = names
        self.n_samples = len(index.rows)
        self.held_bytes = index.rows.nbytes + index.places.nbytes
        self._file, self._version = os.dup(descriptor), version
        self._index = index
        self._delimiter, self._quote = records.delimiter, records.quote
        self._nulls, self._null_numbers = pack_nulls(null_tokens)
        self._parse_whole = whole
        self._whole: TableSource | None = None
        self._lock = threading.Lock()
        self._local = threading.local()
        self._text: TableSource | None = None
        self._text_columns = np.empty(0, dtype=np.intp)
        self._types = np.zeros(len(names), dtype=np.uint8)
        self._known = np.zeros(len(names), dtype=np.bool_)

    def looks_like_text(self) -> NDArray[np.bool_]:
        """Which columns hold text in the first row."""
        content, _, stops = self._read(0, self._index.places.shape[1] - 1, rows=1)
        _, notes = self._numbers(content, np.zeros(1, dtype=np.int64), stops, len(self.names))
        return (notes & kernels.HAS_BOXED) != 0

    def take_text(self, columns: NDArray[np.intp], read: Callable[[BytesIO], TableSource]) -> bool:
        """Leave columns, ascending, to a table of their text alone, behind one of zeros; False where that won't do."""
        if not len(columns):
            return True
        delimiter = bytes([self._delimiter])
        names = [self.names[c] for c in columns.tolist()]
        zero = "0"
        while zero in names:
            zero += "0"
        every = self._index.every
        cells: list[list[bytes]] = []
        for column in columns.tolist():
            content, starts, stops = self._read(column // every, column // every + 1)
            part = content.tobytes()
            rows = zip(starts.tolist(), stops.tolist(), strict=True)
            cells.append([part[start:stop].split(delimiter)[column % every] for start, stop in rows])
        lines = [delimiter.join(name.encode() for name in (zero, *names))]
        lines += [delimiter.join((b"0", *row)) for row in zip(*cells, strict=True)]
        if any(line.endswith(b"\r") for line in lines):  # would be taken for a part of a line end
            return False
        self._text = read(BytesIO(b"\n".join(lines) + b"\n"))
        self._text_columns = columns
        self._types[columns] = self._text.types[1:]
        self._known[columns] = True
        return list(self._text.names) == [zero, *names]

    @property
    def types(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """See `TableSource`; that of a column of numbers takes parsing it."""
        return self._types if self._known.all() else self._all().types

    def types_of(self, columns: NDArray[np.intp]) -> NDArray[np.uint8]:
        """See `TableSource.types_of`."""
        if not self._known[columns].all():
            self.values(columns)
        return self._types[columns]

    def values(self, columns: NDArray[np.intp]) -> Floats:
        """See `TableSource.values`."""
        if self._whole is None:
            wanted, places = np.unique(columns, return_inverse=True)
            found = self._values(wanted)
            if found is not None:
                return found if np.array_equal(wanted, columns) else found[places]
        return self._all().values(columns)

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        if self._whole is None and self._text is not None and np.isin(columns, self._text_columns).all():
            return self._text.table(np.searchsorted(self._text_columns, columns) + 1)
        return self._all().table(columns)

    def _all(self) -> TableSource:
        """The whole file, parsed."""
        with self._lock:
            if self._whole is None:
                self._whole = self._parse_whole(self._file)
                self._types, self._known = self._whole.types, np.ones(len(self.names), dtype=np.bool_)
            return self._whole

    def _values(self, columns: NDArray[np.intp]) -> Floats | None:
        """Columns, ascending; None when some are not what they seemed."""
        every = self._index.every
        parts = np.unique(columns // every)
        cuts = np.flatnonzero(np.diff(parts) > _GAP) + 1
        out: Floats | None = None
        for run in np.split(parts, cuts):
            first = int(run[0]) * every
            here = np.flatnonzero((columns >= first) & (columns < (int(run[-1]) + 1) * every))
            at = columns[here] - first
            values, notes = self._parse(int(run[0]), int(run[-1]) + 1)
            is_text = np.isin(columns[here], self._text_columns, assume_unique=True)
            bad = notes[at] & kernels.HAS_BOXED
            if values is None or bad[~is_text].any():
                return None
            number = columns[here[~is_text]]
            whole = (notes[at[~is_text]] & (kernels.HAS_NUMBER | kernels.HAS_FRACTION)) == kernels.HAS_NUMBER
            self._types[number] = np.where(whole, ColumnType.INTEGER.value, ColumnType.FLOAT.value)
            self._known[number] = True
            if is_text.any():
                assert self._text is not None
                place = np.searchsorted(self._text_columns, columns[here[is_text]]) + 1
                values[at[is_text]] = self._text.values(place)
            if len(here) == len(columns) and at[-1] - at[0] + 1 == len(at):
                return values[at[0] : at[-1] + 1]
            if out is None:
                out = np.empty((len(columns), self.n_samples))
            out[here] = values[at]
        return out

    def _parse(self, first: int, stop: int) -> tuple[Floats | None, NDArray[np.uint8]]:
        """All cells of a run of parts, those of text still boxed, and what the columns hold; None where they break."""
        every = self._index.every
        return self._numbers(*self._read(first, stop), min(stop * every, len(self.names)) - first * every)

    def _numbers(
        self, content: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], n_columns: int
    ) -> tuple[Floats | None, NDArray[np.uint8]]:
        notes = np.zeros(n_columns, dtype=np.uint8)
        content[stops] = ord("\n")
        if np.any(content[stops - 1] == ord("\r")):  # would be taken for a part of a line end
            return None, notes
        values = np.empty((n_columns, len(starts)))
        broken = kernels.parse_rows(
            content,
            starts,
            self._delimiter,
            self._quote,
            np.full(n_columns, -1),
            np.zeros((0, kernels.KNOWN), dtype=np.uint64),
            self._nulls,
            self._null_numbers,
            values,
            notes,
        )
        return (values if broken < 0 else None), notes

    def _read(
        self, first: int, stop: int, rows: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """The text of a run of parts, row after row with a byte between them; where each starts and stops in it."""
        index = self._index
        begin = index.places[:rows, first].astype(np.int64)
        sizes = index.places[:rows, stop] - begin  # with the delimiter
        stops = np.cumsum(sizes)
        starts = stops - sizes
        buffer: NDArray[np.uint8] | None = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < stops[-1]:  # used again: touching new memory costs as much as reading
            buffer = self._local.buffer = np.empty(int(stops[-1] * 1.25), dtype=np.uint8)
        self._fill(buffer, starts, stops - 1, index.rows[:rows] + begin)
        if version_of(self._file) != self._version:
            raise DataError(f"{self.label} was changed while it was read", "Rank it when it is complete")
        return buffer[: stops[-1]], starts, stops - 1

    def _fill(
        self, buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> None:
        """Read spans of the file to where they start and stop in a buffer."""
        done, pread = 0, _pread()
        while (k := kernels.pread_spans(pread, self._file, offsets[done:], starts[done:], stops[done:], buffer)) >= 0:
            # Interrupted, cut short or impossible; Python deals with the first and tells of the last.
            start, stop, offset = (int(places[done + k]) for places in (starts, stops, offsets))
            while start < stop:
                count = self._read_at(buffer.data[start:stop], offset)
                start, offset = start + count, offset + count
            done += k + 1

    def _read_at(self, into: memoryview, offset: int) -> int:
        try:
            count = os.preadv(self._file, [into], offset)
        except OSError as error:
            raise DataError(f"cannot read {self.label}: {error.strerror}", "Check the disk") from error
        if count == 0:
            raise DataError(f"{self.label} became shorter while it was read", "Rank it when it is complete")
        return count

    def close(self) -> None:
        """Let go of the file, and of whatever was parsed."""
        for table in (self._text, self._whole):
            if table is not None:
                table.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@functools.cache
def _pread() -> int:
    """The address of the system's function."""
    return ctypes.cast(ctypes.CDLL(None).pread, ctypes.c_void_p).value or 0


def version_of(descriptor: int) -> tuple[int, int]:
    """Size of an open file, and when it was last changed in nanoseconds."""
    state = os.fstat(descriptor)
    return state.st_size, state.st_mtime_ns


def open_indexed(opening: Opening, options: ReadOptions) -> IndexedSource | None:
    """An input as an `IndexedSource`; None, and the file at its beginning, where its text is not that plain."""
    source = None
    if opening.size is not None and opening.size >= LEAST_BYTES:
        with suppress(DataError, ResourceError, OSError):  # told by whoever parses it whole, in the order of the rows
            source = _index(opening, options, opening.size)
        opening.file.seek(0)
    return source


def _index(opening: Opening, options: ReadOptions, size: int) -> IndexedSource | None:
    memory, progress = opening.resources.memory_bytes, opening.on_progress
    version = version_of(opening.file.fileno())
    share = memory // READING_SHARE

    def report(n_read: int) -> None:
        if progress is not None:
            progress("read", n_read, size)

    records, names, first = begin(opening.file, opening.label, options, share, report)
    n_rows, every = size // len(first) + 1, _CELLS
    if len(first) < LEAST_ROW_BYTES or n_rows > MOST_ROWS:
        return None
    while 4 * n_rows * (len(names) // every + 2) > memory // _INDEX_SHARE and every < len(names):
        every *= 2
    at_once = max(1, min(opening.resources.threads, share // (records.block_bytes + 2 * len(first))))
    index = Index.make(records, first, len(names), every, opening.file.fileno(), at_once, report)
    if index is None:
        return None

    def whole(descriptor: int) -> TableSource:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            resources = replace(opening.resources, memory_bytes=memory // 2)  # the rest is in use by now
            return parse(replace(opening, on_progress=None), file, options, resources)

    null_tokens = (*NULL_TOKENS, *options.null_values)
    source = IndexedSource(opening.label, names, opening.file.fileno(), index, records, null_tokens, version, whole)

    def read(text: BytesIO) -> TableSource:
        plain = replace(options, delimiter=chr(records.delimiter), header=True)
        return DelimitedSource(text, opening.label, plain, opening.resources, is_captured, is_ignored)

    try:
        captured, ignored = opening.text_columns(names), opening.ignored_columns(names)
        is_captured, is_ignored = (is_named([names[i] for i in np.flatnonzero(some)]) for some in (captured, ignored))
        text = np.flatnonzero(captured | source.looks_like_text())
        if len(text) <= MOST_TEXT and source.take_text(text, read):
            return source
    except BaseException:
        source.close()
        raise
    source.close()
    return None

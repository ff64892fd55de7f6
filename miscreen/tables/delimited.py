"""Delimited text (CSV, TSV): streamed once, by several threads, into a column store."""

from __future__ import annotations

import gzip
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError, ResourceError, as_typed, check_utf8, first_of, truth_value
from miscreen.kernels.delimited import MAX_TEXT
from miscreen.model import EXACT_INTEGERS, ColumnType, Floats
from miscreen.resources import Resources, format_bytes
from miscreen.tables import no_columns
from miscreen.tables.columns import ColumnTest
from miscreen.tables.encoding import check_names
from miscreen.tables.formats import Opening
from miscreen.tables.labels import (
    CODE,
    DECIMAL,
    NULL_TOKENS,
    THOUSANDS,
    Meaning,
    beside_numbers,
    interpret,
    kinds_of_commas,
    read_number,
)
from miscreen.tables.loading import LONGEST_NULL, Loader, can_be_typed
from miscreen.tables.records import Records
from miscreen.tables.source import TableSource
from miscreen.tables.store import ColumnStore

_LOG = logging.getLogger("miscreen")
_FEW_WORDS = 3  # that a note names
_HAS_CODE = re.compile(rb"(?:^|[^\d.eE+-])" + CODE.pattern.encode(), CODE.flags & re.IGNORECASE)  # in a row
_PADDING = 8  # zeros that only the end of an empty gzip member has as well
_FOR_SPREADSHEETS = re.compile(rb"sep=[ -~\t]\s*")  # a line that tells them the delimiter
_BLOCK_BYTES = 8 << 20  # larger blocks are no faster
_BYTES_PER_BYTE = 13  # text, row positions and results of the densest table: two empty cells a row
READING_SHARE = 4  # of the memory, one part is for what is being read; the rest holds the table


@dataclass(frozen=True)
class ReadOptions:
    """How delimited text is read, and what means missing in any table.

    Attributes
    ----------
    delimiter : str, optional
        One ASCII character between cells. When absent: a comma if the first line has one outside quotes, else
        the most frequent of tab, semicolon and bar.
    header : bool
        Whether the first row holds names; else columns are called ``column_1`` and so on.
    quote : str
        The ASCII character around cells that hold delimiters or line ends, doubled where it is part of the text;
        empty when no character does that.
    null_values : tuple of str
        What means missing; in delimited text beside `miscreen.tables.labels.NULL_TOKENS` and ``nan`` in any case.
        Compared with the text of a cell without the spaces around it; a number means that number however it is
        spelled, so ``-9`` is ``-9.0``, too. Of other tables see `miscreen.tables.masked.MaskedSource`.

    Examples
    --------
    >>> ReadOptions(delimiter=";", null_values=("-9",)).header
    True
    """

    delimiter: str | None = None
    header: bool = True
    quote: str = '"'
    null_values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", truth_value("header", self.header))
        given = self.null_values
        if isinstance(given, str) or not (isinstance(given, Sequence) and all(isinstance(text, str) for text in given)):
            raise InputError(f"null_values must be a list of text, not {given!r}", "Give one, such as ['-']")
        check_utf8(given)
        for token in self.null_values:
            if len(token.encode()) > LONGEST_NULL:
                raise InputError(f"{token[:40]!r}... is too long to mean missing", "Give a shorter text")
        if self.delimiter is not None and not _can_mark(self.delimiter, '"'):
            raise InputError(
                f"{self.delimiter!r} cannot be a delimiter",
                "Give one ASCII character that occurs neither in numbers nor in line ends, such as ; or a tab",
            )
        if self.quote and (self.quote == self.delimiter or not _can_mark(self.quote, ", \t")):
            raise InputError(
                f"{self.quote!r} cannot be the quote",
                "Give one ASCII character that occurs neither in numbers nor between cells, such as ', or none",
            )


def _can_mark(text: str, reserved: str) -> bool:
    """Whether the text is one ASCII character that neither numbers nor line ends have, and is not reserved."""
    plain = isinstance(text, str) and len(text) == 1 and text.isascii() and not text.isalnum()
    return plain and text not in "\0\r\n+-." + reserved


class DelimitedSource(TableSource):
    """A table of delimited text, parsed once when it is opened.

    Quoting follows RFC 4180, with any character; lines end in LF or CR LF; blank lines are skipped; the text is
    UTF-8, with or without a byte order mark.

    Parameters
    ----------
    stream : binary file
        Decompressed; only ``read(n)`` is used.
    label : str
        What messages call it.
    options : ReadOptions
    resources : Resources
        Three quarters of the memory hold the table (the rest of which goes to scratch space), one what is being read.
    text_columns : callable
        Tells of all names in which columns cells are labels even when the first is a number.
    ignored_columns : callable
        Tells of all names which columns nobody will read, so that text among their numbers is no error.
    on_read : callable, optional
        Called with the bytes read so far, after each block.
    block_bytes : int, optional
        Text a task, for tests; nothing but speed depends on it.

    Raises
    ------
    DataError
        When the stream is damaged, empty, not UTF-8, or no table: a ragged row, a quote that is not closed,
        text in a column of numbers, two columns of one name.
    ResourceError
        When a row does not fit into memory, or the table not into scratch space.

    Notes
    -----
    Numbers are ``[+-]? (digits [. digits*] | . digits) ([eE] [+-]? digits)?`` and infinities, exactly rounded
    to float64. A column's first present cell decides whether it holds numbers or text. Numbers are integers
    when all are integer literals of at most 2^53. Text whose labels are all true or false, ISO 8601 dates or
    times, or (where `text_columns` says so) numbers, is taken as that. Cost: O(bytes) on
    `resources.threads` threads; labels past the first eight of a column, or of more than seven bytes, cost
    another 0.1 us a cell on one thread, and 0.5 us the first time in a block. The labels of text come on
    top of the memory allowed.

    Examples
    --------
    >>> import io, tempfile
    >>> from pathlib import Path
    >>> resources = Resources(threads=1, memory_bytes=1 << 24, scratch_dir=Path(tempfile.gettempdir()))
    >>> text = io.BytesIO(b"sex,age\\nf,40\\nm,NA\\n")
    >>> with DelimitedSource(text, "people.csv", ReadOptions(), resources) as table:
    ...     table.names, table.values(np.arange(2))
    (['sex', 'age'], array([[ 0., 1.], [40., nan]]))
    """

    value_bytes = 8

    grain_bytes = 8 << 20  # a block is gathered from all chunks of rows

    def __init__(
        self,
        stream: BinaryIO,
        label: str,
        options: ReadOptions,
        resources: Resources,
        text_columns: ColumnTest = no_columns,
        ignored_columns: ColumnTest = no_columns,
        on_read: Callable[[int], None] | None = None,
        block_bytes: int | None = None,
    ) -> None:
        self.label = label
        # The share must take two tasks at their densest, one parsed and one being stored, and the buffer being
        # filled. Of others the loader keeps as many in flight as it has threads for and as fit.
        share = resources.memory_bytes // READING_SHARE
        records, self.names, first = begin(stream, label, options, share, on_read, block_bytes)
        captured, ignored = text_columns(self.names), ignored_columns(self.names)
        self._store = ColumnStore(len(self.names), resources.memory_bytes - share, resources.scratch_dir)
        try:
            loader = Loader(label, self.names, captured, ignored, (*NULL_TOKENS, *options.null_values), self._store)
            loader.load(records, first, resources.threads, share)
        except BaseException:
            self.close()
            raise
        self.n_samples = self._store.n_rows
        self.held_bytes = self._store.held_bytes
        self.types = np.where(loader.has_fraction | ~loader.has_number, ColumnType.FLOAT, ColumnType.INTEGER)
        self.types = self.types.astype(np.uint8)
        self._codes = _like_codes(records, first)
        self._meanings: dict[int, Meaning] = {}
        for column, codes in loader.codes.items():
            labels = [label.decode("utf-8") for label in codes]
            meaning = interpret(labels, numbers=bool(captured[column]))
            self._meanings[column] = meaning
            self.types[column] = meaning.type
        self._note_numbers(~captured & ~ignored)

    def _note_numbers(self, wanted: NDArray[np.bool_]) -> None:
        """Say once for all columns that numbers with commas, or beside a word such as ``.``, were taken as text."""
        text = np.flatnonzero(wanted & (self.types == ColumnType.TEXT)).tolist()
        found = {column: kinds_of_commas(self._meanings[column].content) for column in text}
        for kinds, advice in (
            ((THOUSANDS,), "remove the commas"),
            ((DECIMAL,), "replace the commas by points"),
            ((THOUSANDS, DECIMAL), "remove the commas, or replace them by points where they are decimal ones"),
        ):
            columns = [column for column in text if found[column] == kinds]
            self._note(columns, f"looks like numbers with {' or '.join(kinds)}; it is taken as text: {advice}")
        words = {column: beside_numbers(self._meanings[column].content) for column in text}
        # Words that mean missing are beside more labels than those that do not, such as the X of chromosomes.
        beside: Counter[str] = Counter()
        for column, few in words.items():
            beside.update(dict.fromkeys(few, len(self._meanings[column].content)))
        some = [word for word, _ in beside.most_common() if can_be_typed(word)][:_FEW_WORDS]
        self._note(
            [column for column in text if not set(some).isdisjoint(words[column])],
            f"holds numbers beside {', '.join(map(repr, some))}; it is taken as text: if that means missing, add "
            + " ".join(f"--null {as_typed(word)}" for word in some),
        )

    def _note(self, columns: list[int], what: str) -> None:
        """Say something once for all columns."""
        if columns:
            _LOG.info("%s: column %s %s", self.label, first_of([self.names[column] for column in columns]), what)

    def _note_altered(self, columns: NDArray[np.intp], held: Floats) -> None:
        """Say that numbers that may be identifiers are not as they were: beyond what doubles hold exactly, or 007."""
        self._note(
            [column for column in columns.tolist() if column in self._codes and column not in self._meanings],
            "holds numbers such as 007 or 1E5, which are written without zeros and exponents: if they are identifiers, "
            "convert the table with --discrete, which keeps them as they are written",
        )
        most = np.fmax(np.fmax.reduce(held, axis=1), -np.fmin.reduce(held, axis=1))
        large = np.flatnonzero((most >= EXACT_INTEGERS) & (self.types[columns] == ColumnType.FLOAT))
        self._note(
            [int(columns[i]) for i in large if _are_rounded(held[i][np.isfinite(held[i])])],
            "holds whole numbers beyond 2^53, which are rounded: if they are identifiers, convert the table with "
            "--discrete, which keeps them as they are written",
        )

    def values(self, columns: NDArray[np.intp]) -> Floats:
        """See `TableSource.values`."""
        out = self._store.read(columns)
        for row, meaning in zip(out, map(self._meanings.get, columns.tolist()), strict=True):
            if meaning is not None and meaning.values is not None:
                present = ~np.isnan(row)
                row[present] = meaning.values[row[present].astype(np.intp)]
        return out

    def table(self, columns: NDArray[np.intp]) -> pa.Table:
        """See `TableSource.table`."""
        held = self._store.read(columns)
        self._note_altered(columns, held)
        arrays = []
        for column, row in zip(columns.tolist(), held, strict=True):
            missing = np.isnan(row)
            meaning = self._meanings.get(column)
            if meaning is not None:
                codes = pa.array(np.where(missing, 0, row).astype(np.int64), mask=missing)
                arrays.append(meaning.arrow.take(codes))
            elif self.types[column] == ColumnType.INTEGER:
                arrays.append(pa.array(np.where(missing, 0, row).astype(np.int64), mask=missing))
            else:
                arrays.append(pa.array(row, mask=missing))
        return pa.Table.from_arrays(arrays, names=[self.names[c] for c in columns.tolist()])

    def close(self) -> None:
        """Let go of the table, in memory and in scratch space."""
        self._store.close()


def _like_codes(records: Records, first: bytes) -> frozenset[int]:
    """Columns whose first cell is a number written as identifiers are, such as 007."""
    if not _HAS_CODE.search(first):  # a look at it is cheaper than its cells
        return frozenset()
    try:
        cells = records.split(first)
    except DataError:  # for the loader to tell
        return frozenset()
    return frozenset(i for i, cell in enumerate(cells) if CODE.match(cell) and read_number(cell) is not None)


def _are_rounded(numbers: Floats) -> bool:
    """Whether finite numbers are whole, and some beyond what doubles hold exactly."""
    return bool((np.abs(numbers) >= EXACT_INTEGERS).any()) and np.array_equal(numbers, np.floor(numbers))


def begin(
    stream: BinaryIO,
    label: str,
    options: ReadOptions,
    share: int,
    on_read: Callable[[int], None] | None,
    block_bytes: int | None = None,
) -> tuple[Records, list[str], bytes]:
    """Find delimiter and names of a text; what follows, the names, and the first row of data.

    `share` is how many bytes may be taken by what is being read; all else is that of `DelimitedSource`.
    """
    block_bytes = block_bytes or max(1, min(_BLOCK_BYTES, share // (2 * _BYTES_PER_BYTE + 1)))
    records = Records(stream, label, options.quote, block_bytes, min(share // 2, MAX_TEXT), on_read)
    records.delimiter = ord(options.delimiter) if options.delimiter else records.sniff()
    header = records.first()
    if not header:
        raise DataError(f"{label} is empty", "Give a table with a header and at least one row")
    if _FOR_SPREADSHEETS.fullmatch(header):
        raise DataError(
            f"{label}: the first line is {header.decode().rstrip()!r}, which is for spreadsheets alone",
            "Leave it out, such as by tail -n +2",
        )
    cells = records.split(header)
    if options.header:
        names = [name or f"column_{i}" for i, name in enumerate(cells, start=1)]
        check_names(names, label)
        records.line += header.count(b"\n")
    else:
        names = [f"column_{i}" for i in range(1, len(cells) + 1)]
    if len(header) + 8 * len(cells) > share:
        raise ResourceError(
            f"{label}: one row of {len(cells):,} columns takes {format_bytes(len(header) + 8 * len(cells))}, "
            f"and {format_bytes(share)} are for it",
            "Give more --memory",
        )
    first = records.first() if options.header else header
    if not first:
        raise DataError(f"{label} has a header and no rows", "Give a table with at least one row")
    return records, names, first


def open_delimited(opening: Opening) -> TableSource:
    """Parse the delimited text of an input; a name that ends in .tsv or .tab means tabs unless told otherwise."""
    options = opening.read or ReadOptions()
    if options.delimiter is None and opening.suffix in (".tsv", ".tab"):
        options = replace(options, delimiter="\t")
    try:
        if opening.once and opening.size is not None and opening.compression is None:
            from miscreen.tables.indexed import open_indexed

            indexed = open_indexed(opening, options)
            if indexed is not None:
                return indexed
        return parse(opening, opening.file, options, opening.resources)
    finally:
        if opening.owned:
            opening.file.close()


def _is_padded(file: BinaryIO, size: int) -> bool:
    """Whether a file ends in zeros, as on tape, which Arrow takes for damage; few end a sound one, too."""
    file.seek(max(0, size - _PADDING))
    padded = not any(file.read(_PADDING))
    file.seek(0)
    return padded


def parse(opening: Opening, file: BinaryIO, options: ReadOptions, resources: Resources) -> DelimitedSource:
    """Parse all of an input's text."""
    stream = file
    if opening.compression == "gzip" and opening.size is not None and _is_padded(file, opening.size):
        stream = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]  # which is slower than Arrow
    elif opening.compression is not None:
        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), opening.compression)
    progress = opening.on_progress

    def report(n_read: int) -> None:
        if progress is not None:  # of a file the bytes that were taken from it, packed or not
            progress("read", n_read if opening.size is None else file.tell(), opening.size)

    return DelimitedSource(
        stream, opening.label, options, resources, opening.text_columns, opening.ignored_columns, report
    )

"""From texts of whole rows to a column store: threads, types and labels, always in the order of the rows."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, as_typed, in_short
from miscreen.kernels import delimited as kernels
from miscreen.model import Floats
from miscreen.resources import format_bytes
from miscreen.tables.labels import DECIMAL, THOUSANDS, kinds_of_commas, read_number
from miscreen.tables.records import Records, Text, not_utf8
from miscreen.tables.store import ColumnStore

LONGEST_NULL = 254  # bytes of a null token
_SHOWN = 40  # characters of a cell that is complained of
_ROWS_TO_LEARN_FROM = 64
_COMMENT_MARKS = ("#", "!")
_MANY_CELLS = 2000  # of text, or numbers that are hard to round: looked at one by one they take milliseconds


@dataclass(frozen=True)
class _Task:
    """Whole rows, the physical line they start on, and how many there can be unless one is ragged."""

    text: Text
    line: int
    most_rows: int


@dataclass(frozen=True)
class _Parsed:
    """What a thread made of a task, with `labels` as the columns of text.

    Attributes
    ----------
    values : float64 array, shape (n_columns, n_rows)
        Cells that are no number are boxed, see `miscreen.kernels.delimited`.
    notes : uint8 array, shape (n_columns,)
    broken : int
        First row that cannot be taken apart, or -1.
    """

    task: _Task
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    values: Floats
    notes: NDArray[np.uint8]
    broken: int


class Loader:
    """Fills a store with the rows of a table of text.

    What a column holds depends on its cells alone: the first present one decides between numbers and text,
    and the first cell that does not fit, row by row, is the one complained of, however the text was cut.

    Parameters
    ----------
    label : str
        What messages call the table.
    names : sequence of str
    captured : bool array, shape (n_columns,)
        Columns that hold labels whatever their cells look like.
    ignored : bool array, shape (n_columns,)
        Columns that nobody will read: what does not fit among their cells is taken as missing.
    null_tokens : sequence of str
    store : ColumnStore
        Gets the numbers, NaN where missing, and the codes of labels in order of first appearance.

    Attributes
    ----------
    has_number, has_fraction : bool array, shape (n_columns,)
        Whether any number was found, and any that is not an integer literal up to 2^53.
    codes : dict of int to dict of bytes to int
        For each column of text, the code of each label, in that order.
    """

    def __init__(
        self,
        label: str,
        names: Sequence[str],
        captured: NDArray[np.bool_],
        ignored: NDArray[np.bool_],
        null_tokens: Sequence[str],
        store: ColumnStore,
    ) -> None:
        self._label = label
        self._names = names
        self._ignored = ignored
        self._labels, self._known = _number(captured)
        self._store = store
        self._free: list[Floats] = []  # arrays to be used again: touching new memory costs as much as parsing
        self._nulls, self._null_numbers = pack_nulls(null_tokens)
        self._spelled: dict[bytes, float] = {}  # labels that were found to spell one of those numbers
        self.has_number = np.zeros(len(names), dtype=np.bool_)
        self.has_fraction = np.zeros(len(names), dtype=np.bool_)
        self.codes: dict[int, dict[bytes, int]] = {c: {} for c in np.flatnonzero(captured).tolist()}

    def load(self, records: Records, first: bytes, threads: int, memory_bytes: int) -> None:
        """Parse the first row and all that follow, reading ahead of the threads as far as memory allows."""
        self._delimiter, self._quote = records.delimiter, records.quote
        # The first row alone decides most types, so that few later tasks are parsed twice.
        for task in self._tasks(records, [Text(bytearray(first), 0, len(first))]):
            self._absorb(self._parse(task, self._labels, self._known))
        flying: deque[tuple[int, Future[_Parsed]]] = deque()
        taken = 0
        texts = records.rest()
        if self.codes and (text := next(texts, None)) is not None:
            texts = itertools.chain([self._learn(records, text)], texts)
        with ThreadPoolExecutor(threads) as pool:
            try:
                for task in self._tasks(records, texts):
                    size = len(task.text.buffer) + 8 * task.most_rows * (len(self._names) + 1)
                    while flying and (len(flying) > threads or taken + size > memory_bytes):
                        done, future = flying.popleft()
                        records.give_back(self._absorb(future.result()))
                        taken -= done
                    flying.append((size, pool.submit(self._parse, task, self._labels, self._known)))
                    taken += size
                while flying:
                    self._absorb(flying.popleft()[1].result())
                if records.trouble is not None:  # what is wrong with an earlier row has come first
                    raise records.trouble
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _learn(self, records: Records, text: Text) -> Text:
        """Parse some rows, each time twice as many, before the others: labels that are known cost little."""
        n_rows, quotes = 1, text.has_quotes(self._quote)
        while n_rows < _ROWS_TO_LEARN_FROM:
            starts = np.empty(n_rows + 1, dtype=np.int64)
            if kernels.row_starts(text.bytes(), self._delimiter, self._quote, quotes, starts) <= n_rows:
                break
            cut = text.start + int(starts[n_rows])
            for task in self._tasks(records, [Text(text.buffer, text.start, cut)]):
                self._absorb(self._parse(task, self._labels, self._known))
            text, n_rows = Text(text.buffer, cut, text.stop), 2 * n_rows
        return text

    def _tasks(self, records: Records, texts: Iterable[Text]) -> Iterator[_Task]:
        for text in texts:
            lines = text.lines_before(len(text))
            # A row has a byte for each column at least: among one more than fit, one is ragged.
            yield _Task(text, records.line, min(lines, len(text) // len(self._names) + 1))
            records.line += lines

    def _parse(self, task: _Task, labels: NDArray[np.int64], known: NDArray[np.uint64]) -> _Parsed:
        """Turn a text into numbers; on a thread of the pool."""
        text = task.text.bytes()
        starts = np.empty(task.most_rows, dtype=np.int64)
        quotes = task.text.has_quotes(self._quote)
        n_rows = kernels.row_starts(text, self._delimiter, self._quote, quotes, starts)
        starts = starts[:n_rows]
        values = self._room(n_rows)
        notes = np.zeros(len(self._names), dtype=np.uint8)
        broken = kernels.parse_rows(
            text,
            starts,
            self._delimiter,
            self._quote,
            labels,
            known,
            self._nulls,
            self._null_numbers,
            values,
            notes,
        )
        return _Parsed(task, labels, starts, values, notes, broken)

    def _absorb(self, parsed: _Parsed) -> Text:
        """Settle what is boxed and take the types, then store the rows; the text is used no more."""
        if parsed.labels is not self._labels:  # text was found after this task was begun
            parsed = self._parse(parsed.task, self._labels, self._known)
        if turned := self._turned_to_text(parsed):
            was_text, is_text = self._labels >= 0, self._labels >= 0
            is_text[turned] = True
            self._labels, known = _number(is_text)
            known[self._labels[was_text]] = self._known
            self._known = known
            self.codes.update((column, {}) for column in turned)
            parsed = self._parse(parsed.task, self._labels, self._known)
        self._unbox(parsed)
        if parsed.broken >= 0:
            raise self._broken_row(parsed.task, int(parsed.starts[parsed.broken]))
        self.has_number |= (parsed.notes & kernels.HAS_NUMBER) != 0
        self.has_fraction |= (parsed.notes & kernels.HAS_FRACTION) != 0
        if not self._store.append(parsed.values):
            whole = parsed.values if parsed.values.base is None else parsed.values.base
            self._free.append(whole.reshape(-1))
        return parsed.task.text

    def _room(self, n_rows: int) -> Floats:
        """An array for so many rows of all columns."""
        size = len(self._names) * n_rows
        with contextlib.suppress(IndexError):  # there is none, or another thread has taken the last
            if len(flat := self._free.pop()) >= size:
                return flat[:size].reshape(len(self._names), n_rows)
        return np.empty((len(self._names), n_rows))

    def _boxed(self, parsed: _Parsed) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """The columns that have boxed cells, and the bits of their cells in sound rows."""
        columns = np.flatnonzero(parsed.notes & kernels.HAS_BOXED)
        sound = parsed.values if parsed.broken < 0 else parsed.values[:, : parsed.broken]
        return columns, sound[columns].view(np.uint64)

    def _turned_to_text(self, parsed: _Parsed) -> list[int]:
        """Columns without a number so far whose first present cell is here, and is none."""
        turned = []
        columns, bits = self._boxed(parsed)
        undecided = (self._labels[columns] < 0) & ~self.has_number[columns]
        for column, cells in zip(columns[undecided], bits[undecided], strict=True):
            present = cells[cells != kernels.MISSING_BITS]
            if len(present) and present[0] >= kernels.BOX:
                cell = self._content(parsed.task.text, int(present[0]))
                if read_number(cell.decode("utf-8", "replace")) is None:
                    turned.append(int(column))
        return turned

    def _unbox(self, parsed: _Parsed) -> None:
        """Replace boxed cells by codes and by numbers that the kernel left to Python.

        The `DataError` is for the first cell in row order that is neither.
        """
        boxed, bits = self._boxed(parsed)
        places, rows = np.nonzero(bits >= kernels.BOX)
        if not len(places):
            return
        columns, boxes = boxed[places], bits[places, rows]
        settled, first = np.empty(len(places)), np.arange(len(places))
        if len(places) > _MANY_CELLS:
            kernels.first_alike(parsed.task.text.bytes(), columns, boxes, first)
        alone = np.flatnonzero(first == np.arange(len(places)))  # all others say what one of these does
        wrong = (len(parsed.starts), 0, b"")
        text = parsed.task.text
        cells = zip(alone.tolist(), columns[alone].tolist(), boxes[alone].tolist(), strict=True)
        for i, column, box in cells:
            cell = self._content(text, box)
            codes = self.codes.get(column)
            code: float | None = None if codes is None else codes.get(cell, self._spelled.get(cell))
            if code is None and (codes is None or len(self._null_numbers)):
                number = read_number(cell.decode("utf-8", "replace"))
                if number is not None and number[0] in self._null_numbers:
                    code = np.nan
                    if codes is not None:
                        self._know_as_missing(cell)
                elif number is not None and codes is None:
                    code = number[0]
            if code is None and codes is not None and _is_utf8(cell):
                code = codes[cell] = len(codes)
                if code < kernels.KNOWN and len(cell) <= kernels.MAX_PACKED:
                    packed = bytes([len(cell) + 1]) + cell
                    self._known[self._labels[column], code] = int.from_bytes(packed, "big")
            if code is None and self._ignored[column]:
                code = np.nan
            if code is None:
                wrong = min(wrong, (int(rows[i]), column, cell))
            else:
                settled[i] = code
        row, column, cell = wrong
        if row < len(parsed.starts):
            raise self._bad_cell(_line(parsed.task, int(parsed.starts[row])), self._names[column], cell)
        parsed.values[columns, rows] = settled[first]

    def _know_as_missing(self, cell: bytes) -> None:
        """Tell the kernel of a label that spells a number which means missing; many such are looked up here."""
        if len(self._spelled) < kernels.KNOWN and len(token := cell.strip(b" \t")) <= LONGEST_NULL:
            packed = bytes([len(token)]) + token
            self._nulls = np.concatenate([np.frombuffer(packed, dtype=np.uint8), self._nulls])
        self._spelled[cell] = np.nan

    def _content(self, text: Text, box: int) -> bytes:
        """What a boxed cell says, without its quotes."""
        start = text.start + ((box >> kernels.LENGTH_BITS) & kernels.MAX_TEXT)
        cell = bytes(text.buffer[start : start + (box & kernels.MAX_CELL)])
        if cell[0] != self._quote:  # an empty cell is missing, so never boxed
            return cell
        quote = bytes([self._quote])
        return cell[1:-1].replace(2 * quote, quote)

    def _bad_cell(self, line: int, name: str, cell: bytes) -> DataError:
        if not _is_utf8(cell):
            return not_utf8(self._label, line, f"column {name!r}")
        shown = cell.decode("utf-8")
        commas = kinds_of_commas([shown], least=1)
        advice = []
        if DECIMAL in commas:
            advice.append("if its comma is a decimal one, replace the commas by points")
        if THOUSANDS in commas:
            advice.append("if commas stand between thousands, remove them")
        if can_be_typed(shown):
            advice.append(f"if it means missing, add --null {as_typed(shown)}")
        advice.append(f"if the column holds labels, add --discrete {as_typed(name)}")
        advice.append(f"to leave it out, add --exclude {as_typed(name)}")
        hint = "; ".join(advice)
        return DataError(
            f"{self._label}, line {line}, column {name!r}: {in_short(shown, _SHOWN)} in a column of numbers",
            hint[0].upper() + hint[1:],
        )

    def _broken_row(self, task: _Task, start: int) -> DataError:
        line = _line(task, start)
        found = kernels.count_cells(task.text.bytes(), start, self._delimiter, self._quote)
        expected = len(self._names)
        if found < 0:
            return DataError(
                f"{self._label}, line {line}, cell {-found}: text after a closing quote",
                "A quote inside a quoted cell must be doubled; where quotes mean nothing, add --quote none",
            )
        if found != expected:
            return DataError(
                f"{self._label}, line {line}: {found:,} cells, but {expected:,} were expected from the first row",
                self._ragged_advice(task.text, start, found - expected, line),
            )
        return DataError(
            f"{self._label}, line {line}: a cell of more than {format_bytes(kernels.MAX_CELL + 1)}",
            "Check that line for a quote that is not closed, or leave the text out",
        )

    def _ragged_advice(self, text: Text, start: int, more: int, line: int) -> str:
        """What to do about a row at `start` that has so many more cells than the first."""
        top, delimiter = self._names[0], chr(self._delimiter)
        advice = "Check that line, and the delimiter with --delimiter"
        comment = ""
        if top.startswith(_COMMENT_MARKS):
            comment = f"; if the first line is a comment, leave out all such lines, such as by grep -v '^{top[0]}'"
        if more == 1 and line <= 2:
            typed = "\\t" if delimiter == "\t" else delimiter
            start += text.start
            row = bytes(text.buffer[start : text.buffer.find(b"\n", start)])
            if row.rstrip(b"\r").endswith(delimiter.encode()):
                return f"Rows end in a delimiter, and the header does not: remove it, such as by sed 's/{typed}\\r*$//'"
            lacks = f"The header lacks a name, perhaps for row labels: add one, such as by sed '1s/^/row{typed}/'"
            return lacks + comment
        if delimiter == " ":
            advice += "; if several spaces stand between cells, make them one, such as by tr -s ' '"
        return advice + comment


def pack_nulls(tokens: Sequence[str]) -> tuple[NDArray[np.uint8], Floats]:
    """Null tokens as `miscreen.kernels.delimited.parse_rows` takes them, and those numbers that some of them spell."""
    encoded = [token.encode() for token in dict.fromkeys(token.strip(" \t") for token in tokens)]  # as cells are
    packed = b"".join(bytes([len(token)]) + token for token in encoded) + b"\xff"
    numbers = [number[0] for number in map(read_number, tokens) if number is not None]
    return np.frombuffer(packed, dtype=np.uint8), np.array(numbers, dtype=np.float64)


def _number(is_text: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Number the columns of text, -1 for the others; and room for the packed labels of each."""
    labels = np.where(is_text, np.cumsum(is_text) - 1, -1)
    return labels, np.zeros((int(is_text.sum()), kernels.KNOWN), dtype=np.uint64)


def _line(task: _Task, start: int) -> int:
    """The physical line on which the row at `start` begins."""
    return task.line + task.text.lines_before(start)


def can_be_typed(label: str) -> bool:
    """Whether a hint can name a label for a command line, which holds no zero bytes."""
    return len(label) <= _SHOWN and "\0" not in label


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

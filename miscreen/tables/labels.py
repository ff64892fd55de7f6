"""What the labels of a column of text turn out to be: truth values, dates, times, numbers, or just labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from miscreen.model import EXACT_INTEGERS, ColumnType, Floats
from miscreen.tables.encoding import seconds

# What means missing in delimited text, beside nan in any case.
NULL_TOKENS = (
    "", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "Null", "None", "none",
)  # fmt: skip
THOUSANDS, DECIMAL = "commas between thousands", "a decimal comma"
_COMMAS = {  # numbers without and with them
    THOUSANDS: re.compile(r"[ \t]*[+-]?(?:\d+|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d*)?[ \t]*", re.ASCII),
    DECIMAL: re.compile(r"[ \t]*[+-]?\d+(?:,\d+)?(?:e[+-]?\d+)?[ \t]*", re.ASCII | re.IGNORECASE),
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"(?:[01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?", re.ASCII)
_NANOSECONDS = re.compile(r"\.\d{6}(\d{1,3})", re.ASCII)  # which Python's times leave out
_MOMENT = re.compile(rf"{_DATE.pattern}[T ]{_TIME.pattern}(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_NUMBER = re.compile(
    r"[ \t]*([+-]?(?:(\d+)|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?))[ \t]*", re.ASCII | re.IGNORECASE
)
CODE = re.compile(r"[ \t]*(?:\+|-?0\d|-?\d+e\d)", re.ASCII | re.IGNORECASE)  # 007 or 1E5, not as numbers are written
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_MOST_TICKS = 2**63 // 1000  # that are a 64-bit number of nanoseconds


def read_number(text: str) -> tuple[float, bool] | None:
    """The number that a cell spells, exactly rounded, and whether it is an integer up to 2^53; else None.

    The grammar is that of `miscreen.kernels.decimal.read_number`, with spaces around it and infinities.

    Examples
    --------
    >>> read_number(" 12"), read_number("1e3"), read_number("0x10")
    ((12.0, True), (1000.0, False), None)
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    literal, digits = match.groups()
    significant = digits.lstrip("0") if digits else ""
    integer = digits is not None and len(significant) <= 16 and int(significant or 0) <= EXACT_INTEGERS
    return float(literal), integer


def kinds_of_commas(labels: list[str], least: int = 2) -> tuple[str, ...]:
    """What commas may be, `THOUSANDS` or `DECIMAL`, where all labels look like numbers, so many of them with commas.

    Examples
    --------
    >>> kinds_of_commas(["1,5", "-2", "0,25"]), kinds_of_commas(["1,234", "900", "1,234,567.5"])
    (('a decimal comma',), ('commas between thousands',))
    >>> kinds_of_commas(["1,234", "900"], least=1), kinds_of_commas(["1,5", "1,2,3"])
    (('commas between thousands', 'a decimal comma'), ())
    """
    if sum("," in label for label in labels) < least:
        return ()
    return tuple(kind for kind, number in _COMMAS.items() if _each(labels, number.fullmatch) is not None)


def beside_numbers(labels: list[str], most: int = 2, looked_at: int = 100) -> list[str]:
    """The few words among the first labels, where all others are numbers; else none. Numbers with commas are no words.

    Examples
    --------
    >>> beside_numbers([".", "1.5", "2"]), beside_numbers(["a", "b", "1"]), beside_numbers(["a", "1"])
    (['.'], [], [])
    """
    found: list[str] = []
    for label in labels[:looked_at]:
        if read_number(label) is None:
            found.append(label)
            if len(found) > most or kinds_of_commas([label], least=1):
                return []
    return found if len(labels) > 2 * len(found) else []


@dataclass(frozen=True)
class Meaning:
    """What the labels of a column stand for.

    Attributes
    ----------
    type : ColumnType
    values : float64 array, shape (n_labels,), optional
        The number each label stands for, in order of code; None for text, whose codes are its numbers.
    content : sequence, length n_labels
        Text, truth values or numbers, in order of code.
    arrow_type : pyarrow.DataType
        What `content` is in an Arrow table.
    """

    type: ColumnType
    values: Floats | None
    content: Any
    arrow_type: pa.DataType

    @cached_property
    def arrow(self) -> pa.Array:
        """Each label as the file has it, in order of code; made on demand, since `pyarrow.array` loads pandas."""
        return pa.array(self.content).cast(self.arrow_type)


def interpret(labels: list[str], *, numbers: bool) -> Meaning:
    """Decide what labels stand for. One that does not fit makes all of them text.

    Parameters
    ----------
    labels : list of str
        Distinct, none missing.
    numbers : bool
        Whether they may be numbers, integers below 2^53, none like 007 or 1E5 and no two the same in double precision;
        else a label that looks like one is a label.

    Notes
    -----
    Dates are ``YYYY-MM-DD``; dates with a time may have an offset, and are UTC without; times are ``HH:MM``
    with or without seconds. Nanoseconds are the finest, of the years 1678 to 2261. Cost: O(labels), and little for
    the first misfit.

    Examples
    --------
    >>> interpret(["1970-01-02", "1970-01-01"], numbers=False).values
    array([86400., 0.])
    >>> interpret(["True", "FALSE"], numbers=False).type.label
    'boolean'
    """
    if not labels:
        return Meaning(ColumnType.FLOAT, np.empty(0), np.empty(0), pa.float64())
    if all(label.lower() in ("true", "false") for label in labels):
        truth = np.array([label.lower() == "true" for label in labels])
        return Meaning(ColumnType.BOOLEAN, truth.astype(np.float64), truth, pa.bool_())
    if numbers and (found := _each(labels, read_number)) and not any(map(_is_altered, labels, found)):
        values = np.array([value for value, _ in found])
        if all(integer for _, integer in found):
            return Meaning(ColumnType.INTEGER, values, values.astype(np.int64), pa.int64())
        if not _become_one(labels, values):
            return Meaning(ColumnType.FLOAT, values, values, pa.float64())
    if days := _each(labels, _read_date):
        ordinals = np.array([day.toordinal() - _EPOCH.toordinal() for day in days], dtype=np.int32)
        return Meaning(ColumnType.TEMPORAL, ordinals * np.float64(86400), ordinals, pa.date32())
    if times := _each(labels, _read_time):
        midnight = datetime.min
        return _ticks(labels, [datetime.combine(midnight, clock) - midnight for clock in times], pa.time64)
    if moments := _each(labels, _read_moment):
        zone = "UTC" if any(moment.tzinfo is not None for moment in moments) else None
        aware = [moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC) for moment in moments]
        return _ticks(labels, [moment - _EPOCH for moment in aware], lambda unit: pa.timestamp(unit, zone))
    return Meaning(ColumnType.TEXT, None, labels, pa.string())


def _is_altered(label: str, number: tuple[float, bool]) -> bool:
    """Whether a label is an integer that a double may not hold or is spelt as identifiers are: others would be as one.

    Examples
    --------
    >>> [_is_altered(label, read_number(label)) for label in ("007", "1E5", "9007199254740993", "7", "0.50", "1e-05")]
    [True, True, True, False, False, False]
    """
    beyond = abs(number[0]) >= EXACT_INTEGERS and label.strip().lstrip("+-").isdigit()
    return beyond or CODE.match(label) is not None


def _become_one(labels: list[str], values: Floats) -> bool:
    """Whether labels that are different numbers are the same in double precision."""
    levels = len(np.unique(values))
    with localcontext(Context(traps=[])):  # an exponent may be beyond all bounds
        return levels < len(labels) and levels < len({Decimal(label) for label in labels})


def _ticks(labels: list[str], since: list[timedelta], arrow_type: Callable[[str], pa.DataType]) -> Meaning:
    """Times in microseconds, or in nanoseconds where some have them; text where those are out of range."""
    ticks = np.array([span // _TICK for span in since], dtype=np.int64)
    found = [_NANOSECONDS.search(label) for label in labels]
    further = np.array([int(match[1].ljust(3, "0")) if match else 0 for match in found], dtype=np.int64)
    if not further.any():
        return Meaning(ColumnType.TEMPORAL, seconds(ticks, 1_000_000), ticks, arrow_type("us"))
    if np.abs(ticks).max() >= _MOST_TICKS:
        return Meaning(ColumnType.TEXT, None, labels, pa.string())
    ticks = 1000 * ticks + further
    return Meaning(ColumnType.TEMPORAL, seconds(ticks, 1_000_000_000), ticks, arrow_type("ns"))


def _each(labels: list[str], read: Callable[[str], Any]) -> list[Any] | None:
    """What `read` makes of every label; None as soon as it makes nothing of one."""
    found = []
    for label in labels:
        value = read(label)
        if value is None:
            return None
        found.append(value)
    return found


def _read_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:  # such as 2023-02-29
        return None


def _read_time(text: str) -> time | None:
    try:
        return time.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _read_moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _MOMENT.fullmatch(text) or _DATE.fullmatch(text) else None
    except ValueError:
        return None

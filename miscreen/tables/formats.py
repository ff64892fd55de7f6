"""Which formats are read, how each is recognised, and what its opener is given.

A new format to read is a file with a function that makes a `miscreen.tables.source.TableSource` of an `Opening`, and a
line in `FORMATS`: directories, globs, pipes and the help follow, and a row for its readers goes into docs/formats.md.
The least that such a function can do is to make an Arrow table and give it to `miscreen.tables.memory.open_object`.
It undoes the compression of text, which `Opening.compression` names, and raises `DataError` for what is damaged. It
closes an `Opening.file` that is `owned`, by the table's `close` if that reads on; after an error it is closed in any
case. Of `Opening.resources` it takes no more memory than there is: what the table keeps of it stands in its
`held_bytes`, and what does not fit goes to scratch space, by `miscreen.tables.store.ColumnStore`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from miscreen.errors import DataError
from miscreen.resources import Resources

if TYPE_CHECKING:
    from miscreen.tables import Progress
    from miscreen.tables.columns import ColumnTest
    from miscreen.tables.delimited import ReadOptions


@dataclass(frozen=True)
class Opening:
    """An input on its way to becoming a table.

    Attributes
    ----------
    file : binary file
        At its first byte. Seekable and with a file descriptor for formats that are not streams.
    label : str
        What messages call it.
    suffix : str
        File name extension, lower case, without that of a compression.
    compression : str, optional
        ``gzip`` or ``zstd``, not undone yet; None for formats with a mark.
    size : int, optional
        Bytes of the file, when that is known.
    owned : bool
        Whether it is the table's to close; standard input belongs to whoever started us.
    read : ReadOptions, optional
        How delimited text is read.
    resources : Resources
    text_columns, ignored_columns : callables
        See `miscreen.tables.open_table`.
    once : bool
        Whether each column is read once, neighbours together, so that text need not be kept parsed.
    on_progress : callable, optional
    """

    file: BinaryIO
    label: str
    suffix: str
    compression: str | None
    size: int | None
    owned: bool
    read: ReadOptions | None
    resources: Resources
    text_columns: ColumnTest
    ignored_columns: ColumnTest
    once: bool
    on_progress: Progress | None


@dataclass(frozen=True)
class Format:
    """How a format is recognised and where it is opened.

    Attributes
    ----------
    suffixes : tuple of str
    magic : bytes
        First bytes of every such file; empty for text, which is known by its suffix alone.
    opener : str
        ``module:function`` that takes an `Opening`.
    streams : bool
        Whether opening reads it from its first byte to its last, so that a pipe will do; the others are read column by
        column, and copied from a pipe to scratch space first.
    delimited : bool
        Whether it is delimited text, which `ReadOptions` are for, but for what means missing in any table.
    """

    suffixes: tuple[str, ...]
    magic: bytes
    opener: str
    streams: bool = False
    delimited: bool = False


FORMATS = {
    "parquet": Format((".parquet", ".pq"), b"PAR1", "miscreen.tables.parquet:open_parquet"),
    "arrow": Format((".arrow", ".feather", ".ipc"), b"ARROW1", "miscreen.tables.arrow:open_arrow_file"),
    "arrow stream": Format((".arrows",), b"\xff\xff\xff\xff", "miscreen.tables.arrow:open_arrow_stream"),
    "csv": Format((".csv", ".txt"), b"", "miscreen.tables.delimited:open_delimited", streams=True, delimited=True),
    "tsv": Format((".tsv", ".tab"), b"", "miscreen.tables.delimited:open_delimited", streams=True, delimited=True),
}
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PIPE = "Decompress it first, or pipe it: {} FILE | miscreen rank - ..."
_LOAD = "Load it in Python and hand the table to miscreen.rank, or write it as Parquet"
_JSON = ("JSON, which is not read", "Convert it to CSV or Parquet")
FOREIGN = {  # how what is not read begins, what it is, and what to do
    rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)": ("compressed with bzip2", _PIPE.format("bzcat")),
    rb"\xfd7zXZ\0": ("compressed with xz", _PIPE.format("xzcat")),
    rb"PK\x03\x04": ("compressed with zip", _PIPE.format("unzip -p") + "; save a workbook as CSV"),
    rb"7z\xbc\xaf\x27\x1c": ("compressed with 7z", _PIPE.format("7z x -so")),
    rb"\x04\x22\x4d\x18": ("compressed with lz4", _PIPE.format("lz4cat")),
    rb"FEA1\0": ("Feather version 1, which is not read", "Write it again as Feather 2, which is Arrow"),
    rb"\x89HDF\r\n": ("HDF5, which is not read", _LOAD),
    rb"\x93NUMPY": ("a NumPy array, which is not read from a file", _LOAD),
    rb"\x80[\x02-\x05]": ("a Python pickle, which is not read", _LOAD),
    rb"(?m)(?:\xef\xbb\xbf)?\s*(?:\{\s*(?:[\"}]|$)|\[\s*(?:[\"{]|$))": _JSON,
}
_JSON_SUFFIXES = (".json", ".ndjson", ".jsonl")
_COMPRESSED_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")
SNIFF = 64  # bytes by which a format is known


def known_suffixes() -> list[str]:
    """The suffixes of all formats that are read."""
    return [suffix for known in FORMATS.values() for suffix in known.suffixes]


def suffix_of(path: Path) -> str:
    """The file name extension, lower case, without that of a compression."""
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in _COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def recognise(head: bytes, suffix: str, label: str, *, compressed: bool) -> Format:
    """The format by first bytes, checked against the name; an error where it is one that nobody reads."""
    claimed = next((f for f in FORMATS.values() if suffix in f.suffixes), None)
    binary = min(head) < 9  # text holds no such bytes; a header may well begin with the letters PAR1
    found = next((f for f in FORMATS.values() if f.magic and head.startswith(f.magic) and binary), None)
    if found is not None:
        return found
    foreign = next((told for begin, told in FOREIGN.items() if re.match(begin, head)), None)
    if claimed is None and foreign is None and suffix in _JSON_SUFFIXES:
        foreign = _JSON
    other_text = claimed is not None and not claimed.magic and not claimed.delimited  # which may begin as JSON does
    if foreign is not None and not (foreign is _JSON and other_text):
        raise DataError(f"{label} is {foreign[0]}", foreign[1])
    if claimed is not None and claimed.magic:
        shown = "compressed" if compressed else f"it begins with {head[:6]!r}"
        raise DataError(
            f"{label} is named {suffix} but is no such file: {shown}",
            "Decompress it first" if compressed else "Check that it was written to its end, or give it its proper name",
        )
    return claimed or FORMATS["csv"]

"""Everything that touches files. `open_table` takes a path, standard input, a dataframe or an array.

A new format to read is a file with a function that makes a `miscreen.tables.source.TableSource` of an `Opening`, and a
line in `FORMATS`: directories, globs, pipes and the help follow, and a row for its readers goes into docs/formats.md.
The least that such a function can do is to make an Arrow table and give it to `miscreen.tables.memory.open_object`.
It undoes the compression of text, which `Opening.compression` names, and raises `DataError` for what is damaged. It
closes an `Opening.file` that is `owned`, by the table's `close` if that reads on; after an error it is closed in any
case. Of `Opening.resources` it takes no more memory than there is: what the table keeps of it stands in its
`held_bytes`, and what does not fit goes to scratch space, by `miscreen.tables.store.ColumnStore`.

A new format to write is a line in `miscreen.tables.write.WRITERS`.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from miscreen.errors import DataError, InputError, MiscreenError, ResourceError
from miscreen.resources import Resources

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miscreen.tables.columns import ColumnTest
    from miscreen.tables.delimited import ReadOptions
    from miscreen.tables.source import TableSource

Progress = Callable[[str, int, int | None], None]


def no_columns(names: Sequence[str]) -> NDArray[np.bool_]:
    """The `ColumnTest` that means none of them."""
    import numpy as np

    return np.zeros(len(names), dtype=np.bool_)


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
        See `open_table`.
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
        Whether it is delimited text, which `ReadOptions` are for.
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
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)  # are open, in the process or on the machine
_SNIFF = 64


def open_table(
    source: Any,
    *,
    resources: Resources,
    names: Sequence[str] | None = None,
    read: ReadOptions | None = None,
    text_columns: ColumnTest = no_columns,
    ignored_columns: ColumnTest = no_columns,
    once: bool = False,
    on_progress: Progress | None = None,
) -> TableSource:
    """Open a table of any supported kind.

    Parameters
    ----------
    source : path, str, dataframe or array
        A file, a directory or glob of files (stacked when they share their columns, side by side when they
        share their rows), ``-`` for standard input, a Polars, pandas or pyarrow table, or a NumPy array.
    resources : Resources
    names : sequence of str, optional
        Column names of a NumPy array.
    read : ReadOptions, optional
        How delimited text is read.
    text_columns : callable
        Tells of all columns' names which delimited text is to be taken as labels even if it looks like numbers.
    ignored_columns : callable
        Tells of all columns' names which will not be read, so that what is wrong with their cells is no error.
    once : bool
        Promises that each column will be read once, and neighbours together: wide text is then parsed in parts.
    on_progress : callable, optional
        Called with ("read", bytes done, bytes in all or None) while text is parsed.

    Raises
    ------
    InputError
        When there is no such file, or it is no table.
    DataError
        When the content is damaged or not of the format its name or first bytes claim.
    """
    if read is not None:
        from miscreen.tables.delimited import ReadOptions

        if not isinstance(read, ReadOptions):
            raise InputError(f"read= is {read!r}", "Give miscreen.ReadOptions, such as ReadOptions(delimiter=';')")
    if not isinstance(source, str | os.PathLike):
        if read is not None:
            raise InputError("read= goes with files of delimited text only", "Leave it out; the table is in memory")
        from miscreen.tables.memory import open_object

        return open_object(source, names)
    if names is not None:
        raise InputError("names= goes with a NumPy array only", "Leave it out; the file has names of its own")
    settings = {
        "read": read,
        "resources": resources,
        "text_columns": text_columns,
        "ignored_columns": ignored_columns,
        "once": once,
        "on_progress": on_progress,
        "owned": True,
    }
    if str(source) == "-":
        if sys.stdin is None or sys.stdin.isatty():
            found = "closed" if sys.stdin is None else "a terminal"
            raise InputError(f"standard input is {found}", "Pipe a table into the command, or name a file")
        return _open_stream(sys.stdin.buffer, "standard input", "", {**settings, "owned": False})
    paths = files_of(str(source))
    if len(paths) == 1:
        return _open_path(paths[0], settings)
    from miscreen.tables.joined import join_sources

    share = replace(resources, memory_bytes=max(1, resources.memory_bytes // len(paths)))
    opened: list[TableSource] = []
    try:
        for path in paths:
            opened.append(_open_path(path, {**settings, "resources": share, "once": False}))  # noqa: PERF401  (closed on error)
        joined = join_sources(opened, str(source), ignored_columns)
        joined.files = [file for table in opened for file in table.files]
        return joined
    except BaseException:
        for table in opened:
            table.close()
        raise


def files_of(source: str) -> list[Path]:
    """The files meant by a path: itself, what a directory holds, or what a glob matches; in order of name."""
    if not source:
        raise InputError("the source is an empty text", "Name a file; a variable of the shell may not be set")
    try:
        return _files_of(source)
    except OSError as error:  # such as of a directory that may not be listed
        raise open_error(source, error) from error


def _files_of(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and _is_listed(p))
        if not found:
            raise InputError(f"the directory {source!r} holds no table", f"Known: {', '.join(known_suffixes())}")
        return found
    if path.exists():
        return [path]
    if glob.has_magic(source):
        found = sorted(Path(p) for p in glob.glob(source) if Path(p).is_file())  # noqa: PTH207
        if found:
            return found
        raise InputError(f"no file matches {source!r}", "Check the pattern and the directory")
    parent = path.parent
    if not parent.is_dir():
        raise InputError(f"there is no file {source!r}: the directory {str(parent)!r} does not exist", "Check the path")
    import difflib

    near = difflib.get_close_matches(path.name, [p.name for p in parent.iterdir()], n=3)
    raise InputError(f"there is no file {source!r}", f"Did you mean {' or '.join(near)}?" if near else "Check the path")


def _is_listed(path: Path) -> bool:
    """Whether a file is part of the table that its directory is."""
    return path.name[0] not in "._" and _suffix(path) in known_suffixes()


def check_apart(source: str | os.PathLike[str], output: Path) -> None:
    """`InputError` when a directory or glob would mean an output, too, once it is written."""
    folder, pattern = os.path.split(source)
    within = False
    if Path(source).is_dir():
        within = _is_listed(output) and output.parent.samefile(source)
    elif not Path(source).exists() and glob.has_magic(str(source)) and fnmatch.fnmatchcase(output.name, pattern):
        within = any(output.parent.samefile(found) for found in glob.glob(folder or "."))  # noqa: PTH207
    if within:
        raise InputError(
            f"the output {str(output)!r} would lie among the files of the table, and be one of them from then on",
            "Write it to another directory",
        )


def streams(source: str | os.PathLike[str]) -> bool:
    """Whether any file of a source is of a format that streams, so that reading one column takes reading all."""
    for path in files_of(str(source)):
        try:
            with path.open("rb") as file:
                head = file.read(_SNIFF)
        except OSError as error:
            raise open_error(str(path), error) from error
        compressed = any(head.startswith(magic) for magic in COMPRESSIONS)
        if head and _recognise(head, _suffix(path), str(path), compressed=compressed).streams:
            return True
    return False


def open_error(label: str, error: OSError) -> MiscreenError:
    """What to tell of a file that cannot be opened."""
    if error.errno in TOO_MANY_FILES:
        return ResourceError(f"cannot open {label!r}: too many files are open", "Raise the limit with ulimit -n")
    return InputError(f"cannot open {label!r}: {error.strerror}", "Check the path and its permissions")


def known_suffixes() -> list[str]:
    """The suffixes of all formats that are read."""
    return [suffix for known in FORMATS.values() for suffix in known.suffixes]


def _suffix(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in _COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _open_path(path: Path, settings: dict[str, Any]) -> TableSource:
    label = str(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise open_error(label, error) from error
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        return _open_stream(file, label, _suffix(path), settings)
    try:
        head = file.read(_SNIFF)
        file.seek(0)
    except OSError as error:
        raise DataError(f"cannot read {label!r}: {error.strerror}", "Check the disk") from error
    return _dispatch(file, label, _suffix(path), head, state, settings)


def _open_stream(stream: BinaryIO, label: str, suffix: str, settings: dict[str, Any]) -> TableSource:
    head = b""
    while len(head) < _SNIFF and (more := stream.read1(_SNIFF - len(head))):  # type: ignore[attr-defined]
        head += more
    replayed: Any = io.BufferedReader(_Replayed(head, stream, settings["owned"]))
    return _dispatch(replayed, label, suffix, head, None, settings)


class _Replayed(io.RawIOBase):
    """A pipe from its first byte again, once some were looked at: it may have handed them out a few at a time."""

    def __init__(self, head: bytes, stream: BinaryIO, owned: bool) -> None:
        self._head = head
        self._stream = stream
        self._owned = owned

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            found: int = self._stream.readinto1(buffer)  # type: ignore[attr-defined]
            return found
        some, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)

    def close(self) -> None:
        super().close()
        if self._owned:
            self._stream.close()


def _dispatch(
    file: BinaryIO, label: str, suffix: str, head: bytes, state: os.stat_result | None, settings: dict[str, Any]
) -> TableSource:
    size = None if state is None else state.st_size
    try:
        if not head:
            raise DataError(f"{label} is empty", "Give a table with a header and at least one row")
        compression = next((c for magic, c in COMPRESSIONS.items() if head.startswith(magic)), None)
        chosen = _recognise(head, suffix, label, compressed=compression is not None)
        if settings["read"] is not None and not chosen.delimited:
            raise InputError(
                f"{label} is no delimited text, so delimiter, quote, header and null tokens have no meaning",
                "Leave them out",
            )
        if size is None and not chosen.streams:
            piped, file = file, _spool(file, settings["resources"].scratch_dir)
            if settings["owned"]:
                piped.close()
            settings = {**settings, "owned": True}
        module, _, function = chosen.opener.partition(":")
        opening = Opening(file=file, label=label, suffix=suffix, compression=compression, size=size, **settings)
        opened: TableSource = getattr(import_module(module), function)(opening)
    except BaseException:
        if settings["owned"]:
            file.close()
        raise
    if state is not None:
        opened.files = [(label, state)]
        if chosen.streams:  # it is read by now; delimited text that is not looks for itself whenever it is read
            try:
                opened.check_unchanged()
            except DataError:
                opened.close()
                raise
            opened.files = ()
    return opened


def _recognise(head: bytes, suffix: str, label: str, *, compressed: bool) -> Format:
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


def _spool(stream: BinaryIO, scratch_dir: Path) -> BinaryIO:
    """Copy a pipe to an unnamed scratch file, for formats that must be read out of order."""
    try:
        copy = tempfile.TemporaryFile(dir=scratch_dir)  # noqa: SIM115  (lives as long as the table)
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
    except OSError as error:
        raise ResourceError(
            f"cannot copy standard input to {str(scratch_dir)!r}: {error.strerror}",
            "Name a directory with more space with --scratch",
        ) from error
    return copy


_pools_lock = threading.Lock()
_pools_before: list[tuple[int, int]] = []  # of each run in this process: what the pools were before the first of them


@contextmanager
def library_threads(threads: int) -> Iterator[None]:
    """Hold Arrow's pools to the run's threads; ours is the only other one that is used.

    They are the process's: of runs at once, the last to begin sets them and the last to end gives them back.
    """
    import pyarrow as pa

    with _pools_lock:
        _pools_before.append(_pools_before[0] if _pools_before else (pa.cpu_count(), pa.io_thread_count()))
        pa.set_cpu_count(threads)
        pa.set_io_thread_count(threads)
    try:
        yield
    finally:
        with _pools_lock:
            computing, reading = _pools_before.pop()
            if not _pools_before:
                pa.set_cpu_count(computing)
                pa.set_io_thread_count(reading)

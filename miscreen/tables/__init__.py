"""Everything that touches files. `open_table` takes a path, standard input, a dataframe or an array.

A new format to read is a line in `miscreen.tables.formats.FORMATS`, one to write a line in
`miscreen.tables.write.WRITERS`.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, BinaryIO

from miscreen.errors import DataError, InputError, ResourceError
from miscreen.resources import Resources
from miscreen.tables.files import files_of, open_error
from miscreen.tables.formats import COMPRESSIONS, SNIFF, Opening, recognise, suffix_of

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
        How delimited text is read; of other tables, what means missing.
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
        from miscreen.tables.memory import open_object

        null_values = _null_values_alone(read, "the table")
        return _masked(open_object(source, names), null_values)
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


def _open_path(path: Path, settings: dict[str, Any]) -> TableSource:
    label = str(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise open_error(label, error) from error
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        return _open_stream(file, label, suffix_of(path), settings)
    try:
        head = file.read(SNIFF)
        file.seek(0)
    except OSError as error:
        raise DataError(f"cannot read {label!r}: {error.strerror}", "Check the disk") from error
    return _dispatch(file, label, suffix_of(path), head, state, settings)


def _open_stream(stream: BinaryIO, label: str, suffix: str, settings: dict[str, Any]) -> TableSource:
    head = b""
    while len(head) < SNIFF and (more := stream.read1(SNIFF - len(head))):  # type: ignore[attr-defined]
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
        chosen = recognise(head, suffix, label, compressed=compression is not None)
        null_values = () if chosen.delimited else _null_values_alone(settings["read"], label)
        if size is None and not chosen.streams:
            piped, file = file, _spool(file, label, settings["resources"].scratch_dir)
            if settings["owned"]:
                piped.close()
            settings = {**settings, "owned": True}
        opening = Opening(file=file, label=label, suffix=suffix, compression=compression, size=size, **settings)
        opened = _masked(resolve_name(chosen.opener)(opening), null_values)
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


def _null_values_alone(read: ReadOptions | None, label: str) -> tuple[str, ...]:
    """What means missing in a table that is no delimited text; `InputError` for what else is said of such text."""
    if read is None:
        return ()
    if read != replace(type(read)(), null_values=read.null_values):
        raise InputError(f"{label} is no delimited text: it has no delimiter, quote or header", "Leave them out")
    return read.null_values


def _masked(opened: TableSource, null_values: tuple[str, ...]) -> TableSource:
    if not null_values:
        return opened
    from miscreen.tables.masked import MaskedSource

    return MaskedSource(opened, null_values)


def _spool(stream: BinaryIO, label: str, scratch_dir: Path) -> BinaryIO:
    """Copy a pipe to an unnamed scratch file, for formats that must be read out of order."""
    try:
        copy = tempfile.TemporaryFile(dir=scratch_dir)  # noqa: SIM115  (lives as long as the table)
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
    except OSError as error:
        raise ResourceError(
            f"cannot copy {label} to {str(scratch_dir)!r}: {error.strerror}",
            "Name a directory with more space with --scratch",
        ) from error
    return copy

"""Reading back what `miscreen.tables.write` wrote of a result, such as a ranking."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from miscreen.errors import DataError, InputError
from miscreen.tables.write import DIGEST, METADATA_KEY, WRITERS, Writer, find_writer, read_sidecar

_LOG = logging.getLogger("miscreen")


def read_result(path: Path, what: str, columns: tuple[str, ...], how: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read a result in any of the formats, with its metadata.

    Parameters
    ----------
    path : Path
        ``-`` for standard input; a pipe's format is told by how it begins.
    what : str
        What it is, for messages.
    columns : tuple of str
        Columns that every such result has.
    how : str
        How such a result is made, for messages.

    Raises
    ------
    InputError
        When there is no such file.
    DataError
        When the file is damaged or lacks one of the columns.
    """
    if path.is_dir() or not (path.exists() or str(path) == "-"):
        raise InputError(f"there is no {what} {str(path)!r}", f"Make one with: {how}")
    if str(path) == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError(f"there is no {what} on standard input", f"Pipe one into the command: {how}")
    metadata: dict[str, Any] = {}
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        writer = find_writer(None, path) if path.is_file() else _writer(content)
        table: pa.Table = writer.read(content)
        if writer.embeds:
            metadata = json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}"))
        elif path.is_file() and (beside := read_sidecar(path)):
            if beside.pop(DIGEST, None) == hashlib.sha256(content).hexdigest():
                metadata = beside
            else:
                _LOG.info("%s.meta.json was written with another %s, and is not read", path, path.name)
    except (pa.ArrowException, pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a {what}: {error}", f"Make it anew with: {how}") from error
    if not set(columns) <= set(table.column_names):
        listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
        raise DataError(f"{str(path)!r} is no {what}: it lacks one of the columns {listed}", f"Make one with: {how}")
    for name in columns:
        if table.column(name).null_count and name not in ("score", "step"):
            raise DataError(f"{str(path)!r} is no {what}: a row has no {name}", f"Make it anew with: {how}")
    return table, metadata


def _writer(content: bytes) -> Writer:
    """What wrote a result that came without a name."""
    found = next((w for w in WRITERS.values() if w.begins and content.startswith(w.begins)), None)
    return found or WRITERS["tsv" if b"\t" in content.partition(b"\n")[0] else "csv"]

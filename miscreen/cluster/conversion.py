"""Delimited text made into Arrow once, so that shards need not parse all of it each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from miscreen.cluster.identity import check_unchanged, stamps
from miscreen.errors import DataError, InputError
from miscreen.request import Request
from miscreen.screening import Screen
from miscreen.tables.files import check_apart, streams
from miscreen.tables.source import TableSource
from miscreen.tables.wide import assemble
from miscreen.tables.write import Destination

_LOG = logging.getLogger("miscreen")


@contextmanager
def open_for_shards(source: str | os.PathLike[str], request: Request, directory: Path) -> Iterator[TableSource]:
    """The table of a source, which is that of an Arrow file in a directory where the source is text.

    Raises
    ------
    InputError, DataError, ResourceError
        As `Request.open`; also as `Screen` where text is yet to be converted.
    """
    if not streams(source):
        with request.open(source) as table:
            yield table
        return
    converted = _convert_once(source, request, directory)
    with ExitStack() as stack:
        try:
            table = stack.enter_context(replace(request, read=None).open(converted))
        except DataError as error:
            raise DataError(error.message, "Remove that file, and the text will be converted again") from error
        table.label = str(source)  # what the user knows
        yield table


def _convert_once(source: str | os.PathLike[str], request: Request, directory: Path) -> Path:
    """The Arrow file in a directory that holds the table of a text file, made by whoever comes first.

    The name tells the text's size and time and how it was read, so that a file of another table is never taken.
    """
    metadata = request.metadata()
    files = stamps(source)
    about = [files, *(metadata[name] for name in ("version", "read", "discrete", "exclude", "strata"))]
    if metadata["exclude"] or metadata["target_kind"] == "discrete":  # targets are read though excluded, and as classes
        about += [metadata["target"], metadata["target_kind"]]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    stem = re.sub(r"[^\w.-]", "_", Path(source).name) or "table"
    path = directory / f"{stem}.{digest}.arrow"
    check_apart(source, path)
    with _one_at_a_time(directory):
        if path.exists():
            return path
        with request.open(source) as table:
            Screen(table, request)  # tells of names and targets that are wrong before anything is written
            _LOG.info("%s is text, and is converted once for all shards, to %s", source, path)
            wide = assemble(table, np.arange(len(table.names)), request.resources, request.on_progress)
            unchanged = partial(check_unchanged, source, files)  # since the wait, too
            try:
                Destination(path, "arrow").write(wide.table, None, wide.on_bytes, unchanged)
            except InputError:
                if not path.exists():
                    raise
                # Another host was first, and its file may be in use, which network file systems do not let be replaced.
    return path


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Wait until no other process converts here; without locks several would make the same file, and keep the first."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Delimited text made into Arrow once, so that shards need not parse all of it each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from miscreen.cluster.identity import stamps
from miscreen.request import Request
from miscreen.tables import check_apart
from miscreen.tables.wide import assemble
from miscreen.tables.write import Destination

_LOG = logging.getLogger("miscreen")


def convert_once(source: str | os.PathLike[str], request: Request, directory: Path) -> Path:
    """The Arrow file in a directory that holds the table of a text file, made by whoever comes first.

    The name tells the text's size and time and how it was read, so that a file of another table is never taken.
    """
    metadata = request.metadata()
    about = [stamps(source), *(metadata[name] for name in ("version", "read", "discrete", "exclude", "strata"))]
    if metadata["exclude"] or metadata["target_kind"] == "discrete":  # targets are read though excluded, and as classes
        about += [metadata["target"], metadata["target_kind"]]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    stem = re.sub(r"[^\w.-]", "_", Path(source).name) or "table"
    path = directory / f"{stem}.{digest}.arrow"
    check_apart(source, path)
    with _one_at_a_time(directory):
        if path.exists():
            return path
        _LOG.info("%s is text, and is converted once for all shards, to %s", source, path)
        with request.open(source) as table:
            wide = assemble(table, np.arange(len(table.names)), request.resources, request.on_progress)
            Destination(path, "arrow", force=True).write(wide.table, None, wide.on_bytes)
    return path


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Wait until no other process converts here; without locks several would make the same file, one after another."""
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""What a run is: its input and what was asked, so that results of different runs are never mixed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from miscreen.errors import DataError, InputError
from miscreen.screening import Screen
from miscreen.tables.files import files_of
from miscreen.tables.source import TableSource


@dataclass(frozen=True)
class Identity:
    """The input, cheaply recognised, and all that a ranking depends on besides.

    Attributes
    ----------
    files : list of [str, int, int]
        Name, bytes and time of the last change (ns) of every file; a copy on another disk must keep that time.
    columns : str
        Digest of the names and types of all columns.
    metadata : dict
        `Screen.metadata`: the request, version, shape, and the fingerprints of the targets' values.
    """

    files: list[list[Any]]
    columns: str
    metadata: dict[str, Any]

    @classmethod
    def of(cls, files: list[list[Any]], table: TableSource, screen: Screen) -> Identity:
        """Recognise files by their `stamps` before they were opened, with `table` and `screen` made of them."""
        digest = hashlib.sha256(table.types.tobytes())
        for name in table.names:
            encoded = name.encode("utf-8", "surrogateescape")
            digest.update(len(encoded).to_bytes(4, "little") + encoded)
        return cls(files, digest.hexdigest()[:32], screen.metadata)

    @cached_property
    def digest(self) -> str:
        """Thirty-two letters that differ where anything does."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """For `from_json`."""
        return {"files": self.files, "columns": self.columns, "metadata": self.metadata}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Identity:
        """What `to_json` gave; KeyError or TypeError for anything else."""
        return cls(list(found["files"]), str(found["columns"]), dict(found["metadata"]))

    def difference(self, other: Identity) -> str:
        """In words, what differs between this and another; empty when nothing does."""
        return "; ".join(_differences(self.to_json(), other.to_json()))


def stamps(source: Any) -> list[list[Any]]:
    """Name, size and time of the last change of every file that a source means.

    Raises
    ------
    InputError
        When the source is no file, so that nobody else could open it, or open it again.
    """
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            "a table in memory cannot be opened again, nor by others", "Write it to a file and give its path"
        )
    files = [] if str(source) == "-" else files_of(str(source))
    if not files or not all(path.is_file() for path in files):
        raise InputError(
            "a pipe cannot be read again, nor by others", "Make a file of it first: miscreen convert - data.arrow"
        )
    found = []
    for path in files:
        status = path.stat()
        found.append([path.name, status.st_size, status.st_mtime_ns])
    return found


def check_unchanged(source: Any, files: list[list[Any]]) -> None:
    """`DataError` when a file has changed since these `stamps`: what was read of it may be a mixture."""
    if (now := stamps(source)) != files:
        raise DataError(
            f"the input changed during the run: it was {_shown(files)} and is {_shown(now)}",
            "Start anew when nobody writes to it",
        )


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(name), theirs.get(name)
        if mine == other:
            continue
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            yield from _differences(mine, other)
        elif name == "target_fingerprints":
            yield "the values of the target differ"
        elif name == "columns":
            yield "the names and types of the columns differ"
        elif name == "files":
            brief = len(str(mine) + str(other)) <= 120
            yield f"the input was {_shown(other)} and is {_shown(mine)}" if brief else "the input files differ"
        else:
            yield f"{name} was {_short(other)} and is {_short(mine)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(files: Any) -> str:
    if not isinstance(files, list):
        return repr(files)
    # Not Python's own times, which know no year 10000, as a file system may after a wrong clock.
    return " and ".join(
        f"{name} of {size:,} bytes, changed {str(np.datetime64(changed // 1000, 'us')).replace('T', ' ')}"
        for name, size, changed in files
    )

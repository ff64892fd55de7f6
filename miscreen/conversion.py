"""Parse once, rank many times: a table from one format to another."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from miscreen.errors import InputError, path_given
from miscreen.request import Request
from miscreen.tables import Progress
from miscreen.tables.columns import NameIndex
from miscreen.tables.write import Destination, note_lost_labels

if TYPE_CHECKING:
    from miscreen.tables.delimited import ReadOptions


def convert(
    source: Any,
    path: str | PathLike[str],
    *,
    format: str | None = None,
    force: bool = False,
    exclude: Sequence[str] = (),
    discrete: Sequence[str] = (),
    names: Sequence[str] | None = None,
    read: ReadOptions | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    scratch_dir: str | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Write a table in another format, with the types that were found.

    Parameters
    ----------
    source : path, Polars, pandas or pyarrow table, or NumPy array
        What `miscreen.tables.open_table` takes.
    path : path
        Where to write; the extension names the format unless `format` does.
    force : bool
        Overwrite an existing file.
    exclude : sequence of str
        Names, globs or ``@file``: columns to leave out, whatever their cells hold.
    discrete : sequence of str
        Names, globs or ``@file``: columns of delimited text that may hold numbers and labels, and are text then.
    names, read, threads, memory, scratch_dir, on_progress
        As in `miscreen.rank`.

    Raises
    ------
    InputError, DataError, ResourceError
        As in `miscreen.rank`; also when the output exists, or cannot be written.

    Notes
    -----
    Costs one pass over the table, and one to write it.

    Examples
    --------
    >>> import miscreen, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     miscreen.convert(np.eye(3), f"{folder}/eye.parquet", names=["a", "b", "c"])
    ...     miscreen.describe(f"{folder}/eye.parquet").n_columns
    3
    """
    destination = Destination(path_given("path", path), format, force)
    request = Request.make(
        names=names, exclude=exclude, discrete=discrete, read=read, threads=threads, memory=memory,
        scratch_dir=scratch_dir, on_progress=on_progress,
    )  # fmt: skip
    with request.open(source) as table:
        from miscreen.tables.wide import assemble

        index = NameIndex(table.names, table.label)
        index.many(request.spec.discrete, "--discrete")
        kept = np.delete(np.arange(len(table.names)), index.many(request.exclude, "--exclude"))
        if not len(kept):
            raise InputError(f"no column of {table.label} is left to write", "Check --exclude")
        wide = assemble(table, kept, request.resources, on_progress)
        destination.write(wide.table, None, wide.on_bytes, table.check_unchanged)
        note_lost_labels(wide.table, destination.format, destination.path)

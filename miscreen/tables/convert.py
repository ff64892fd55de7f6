"""Parse once, rank many times: a table from one format to another."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miscreen.resources import Resources
from miscreen.tables import Progress, library_threads, open_table
from miscreen.tables.write import Destination

if TYPE_CHECKING:
    from miscreen.tables.delimited import ReadOptions


def convert(
    source: Any,
    path: str | PathLike[str],
    *,
    format: str | None = None,
    force: bool = False,
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
    names, read, threads, memory, scratch_dir, on_progress
        As in `miscreen.rank`.

    Raises
    ------
    InputError, DataError, ResourceError
        As in `miscreen.rank`; also when the output exists, or cannot be written.

    Examples
    --------
    >>> import miscreen, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     miscreen.convert(np.eye(3), f"{folder}/eye.parquet", names=["a", "b", "c"])
    ...     miscreen.describe(f"{folder}/eye.parquet").n_columns
    3
    """
    destination = Destination(Path(path), format, force)
    resources = Resources.detect(threads, memory, scratch_dir)
    with (
        library_threads(resources.threads),
        open_table(source, resources=resources, names=names, read=read, on_progress=on_progress) as table,
    ):
        from miscreen.tables.wide import assemble

        wide = assemble(table, np.arange(len(table.names)), resources, on_progress)
        destination.write(wide.table, None, wide.on_bytes)

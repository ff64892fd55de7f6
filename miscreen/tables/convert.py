"""Parse once, rank many times: a table from one format to another."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from miscreen.errors import InputError, function_given, path_given
from miscreen.resources import Resources
from miscreen.tables import Progress, library_threads, open_table
from miscreen.tables.columns import NameIndex, expand_patterns, name_matcher
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

    Examples
    --------
    >>> import miscreen, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     miscreen.convert(np.eye(3), f"{folder}/eye.parquet", names=["a", "b", "c"])
    ...     miscreen.describe(f"{folder}/eye.parquet").n_columns
    3
    """
    function_given("on_progress", on_progress)
    destination = Destination(path_given("path", path), format, force)
    resources = Resources.detect(threads, memory, scratch_dir)
    left_out, as_text = expand_patterns(exclude), expand_patterns(discrete)
    with (
        library_threads(resources.threads),
        open_table(
            source, resources=resources, names=names, read=read, text_columns=name_matcher(as_text),
            ignored_columns=name_matcher(left_out), on_progress=on_progress,
        ) as table,
    ):  # fmt: skip
        from miscreen.tables.wide import assemble

        index = NameIndex(table.names, table.label)
        index.many(as_text, "--discrete")
        kept = np.delete(np.arange(len(table.names)), index.many(left_out, "--exclude"))
        if not len(kept):
            raise InputError(f"no column of {table.label} is left to write", "Check --exclude")
        wide = assemble(table, kept, resources, on_progress)
        destination.write(wide.table, None, wide.on_bytes, table.check_unchanged)
        note_lost_labels(wide.table, destination.format, destination.path)

"""What every result is: a table and what it came from, to look at or to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO

from miscreen.errors import path_given

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


def shown(names: Sequence[str]) -> str:
    """The first of some names, for a line that tells what a result is.

    Examples
    --------
    >>> shown(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


class Result:
    """A table with its metadata.

    Attributes
    ----------
    metadata : dict
        Version, options, seed, and what else the result came from.
    """

    def __init__(
        self, table: pa.Table, metadata: Mapping[str, Any], on_bytes: Callable[[int], None] | None = None
    ) -> None:
        self._table = table
        self._on_bytes = on_bytes
        self.metadata = dict(metadata)

    def __len__(self) -> int:
        return len(self._table)

    def to_arrow(self) -> pa.Table:
        """The result as a pyarrow table."""
        return self._table

    def to_polars(self) -> pl.DataFrame:
        """The result as a Polars table."""
        import polars as pl

        frame = pl.from_arrow(self._table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def write(self, path: str | PathLike[str], format: str | None = None, force: bool = False) -> None:
        """Write the result with its metadata; the format follows the extension unless it is given.

        Raises
        ------
        InputError
            When the directory is missing, the format unknown, or the file exists and `force` is not set.
        ResourceError
            When the disk is full.
        """
        from miscreen.tables.write import Destination

        Destination(path_given("path", path), format, force).write(self._table, self.metadata, self._on_bytes)

    def write_to(self, stream: BinaryIO, format: str = "csv") -> None:
        """Write the result to an open binary stream, such as standard output."""
        from miscreen.tables.write import find_writer, write_stream

        write_stream(self._table, stream, find_writer(format), self.metadata, self._on_bytes)

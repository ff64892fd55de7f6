"""Reading back what `miscreen.tables.write` wrote of a result, such as a ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from miscreen.errors import DataError, InputError
from miscreen.tables.write import METADATA_KEY, WRITERS, find_writer


def read_result(path: Path, what: str, columns: tuple[str, ...], how: str) -> tuple[pa.Table, dict[str, Any]]:
    """Read a result in any of the formats, with its metadata.

    Parameters
    ----------
    path : Path
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
    if not path.is_file():
        raise InputError(f"there is no {what} {str(path)!r}", f"Make one with: {how}")
    writer = find_writer(None, path)
    name = next(n for n, w in WRITERS.items() if w is writer)
    metadata: dict[str, Any] = {}
    try:
        if writer.embeds:
            import pyarrow.parquet as pq

            if name == "parquet":
                table = pq.ParquetFile(path).read(use_threads=False)
            else:
                table = pa.ipc.open_file(path.read_bytes()).read_all()
            metadata = json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}"))
        else:
            if name in ("json", "ndjson"):
                frame = pl.read_json(path) if name == "json" else pl.read_ndjson(path)
            else:
                names = dict.fromkeys(("target", "feature", "fell_to"), pl.String)  # 007 is a name
                separator = "\t" if name == "tsv" else ","
                frame = pl.read_csv(path, separator=separator, infer_schema_length=None, schema_overrides=names)
            table = frame.to_arrow()
            sidecar = path.with_name(path.name + ".meta.json")
            if sidecar.is_file():
                metadata = json.loads(sidecar.read_text())
    except (pa.ArrowException, pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a {what}: {error}", f"Make it anew with: {how}") from error
    if not set(columns) <= set(table.column_names):
        listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
        raise DataError(f"{str(path)!r} is no {what}: it lacks one of the columns {listed}", f"Make one with: {how}")
    return table, metadata

"""Writing tables, in every format and with what is known of them.

A new format is a line in `WRITERS`: what is written by it can be read again as a result, such as a ranking.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from miscreen.errors import DataError, InputError, check_choice, first_of
from miscreen.tables.aside import aside, check_output, flush, write_error

# pyarrow and polars are imported where they write or read: paths are checked long before, at the start of a run.

METADATA_KEY = b"miscreen"
DIGEST = "sha256"  # in what lies beside a text file: of that file, so that it is not taken for another's
_LOG = logging.getLogger("miscreen")
_PIECE_BYTES = 16 << 20  # text is made some rows at a time, so that wide tables need no second copy
_NAMES = ("target", "feature", "fell_to")  # columns of results that are text: 007 is a name


def _text(separator: str) -> Callable[[Any, BinaryIO], None]:
    def write(table: Any, file: BinaryIO) -> None:
        import polars as pl
        from polars import selectors

        alone = table.num_columns == 1  # readers skip the line that a missing value would leave empty
        for start, piece in _pieces(table):
            # Readers take numbers as doubles, and the fewest digits that tell a single are those of another double.
            piece = piece.with_columns(selectors.float().cast(pl.Float64))
            made = io.BytesIO()
            missing = '""' if alone else None
            piece.write_csv(made, separator=separator, include_header=start == 0, null_value=missing)
            file.write(made.getbuffer())

    return write


def _read_text(separator: str) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        import polars as pl

        text = dict.fromkeys(_NAMES, pl.String())
        return pl.read_csv(content, separator=separator, infer_schema_length=None, schema_overrides=text).to_arrow()

    return read


def note_lost_labels(table: Any, format: str | None, path: Path | None = None) -> None:
    """Say which columns of a table that was written as text have labels that mean missing where it is read.

    Results are not looked at: whoever reads them knows what an empty cell means in each of their columns.
    """
    from miscreen.model import ColumnType
    from miscreen.tables.encoding import column_types

    text = (column_types(table.schema.types) == ColumnType.TEXT).nonzero()[0].tolist()
    if not text or find_writer(format, path).begins:  # and so no delimited text
        return
    lost: dict[str, str] = {}
    for _, piece in _pieces(table.select(text)):
        lost |= _lost(piece)
    if lost:
        names = list(lost)
        _LOG.info(
            "column %s holds %s, which readers of text take as missing: Parquet and Arrow keep such labels",
            first_of(names), repr(lost[names[0]]) if lost[names[0]] else "empty text",
        )  # fmt: skip


def _lost(piece: Any) -> dict[str, str]:
    """Columns of labels of which some mean missing where they are read, each with such a label."""
    import polars as pl
    from polars import selectors

    from miscreen.tables.labels import NULL_TOKENS

    labels = piece.select(selectors.by_dtype(pl.String, pl.Categorical, pl.Enum).cast(pl.String).str.strip_chars(" \t"))
    missing = pl.all().is_in(NULL_TOKENS) | (pl.all().str.to_lowercase() == "nan")
    found = labels.select(pl.all().filter(missing).first()).to_dicts()  # no row where there are no such columns
    return {name: label for row in found for name, label in row.items() if label is not None}


def _ndjson(table: Any, file: BinaryIO) -> None:
    _note_infinity(table)
    for _, piece in _pieces(table):
        made = io.BytesIO()
        piece.write_ndjson(made)
        file.write(made.getbuffer())


def _read_ndjson(content: bytes) -> Any:
    import polars as pl

    return pl.read_ndjson(io.BytesIO(content)).to_arrow()


def _json(table: Any, file: BinaryIO) -> None:
    _note_infinity(table)
    for start, piece in _pieces(table):
        made = io.BytesIO()
        piece.write_json(made)
        file.write(b"," if start else b"[")
        file.write(made.getbuffer()[1:-1])
    file.write(b"]\n")


def _read_json(content: bytes) -> Any:
    import polars as pl

    return pl.read_json(io.BytesIO(content)).to_arrow()


def _note_infinity(table: Any) -> None:
    """Say which columns lose values, since JSON has no infinity."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    numbers = [i for i, field in enumerate(table.schema) if pt.is_floating(field.type)]
    found = [table.column_names[i] for i in numbers if pc.any(pc.is_inf(table.column(i))).as_py()]
    if found:
        _LOG.info("column %s holds infinity, which JSON has not: it is written as null", first_of(found))


def _panics(arrow_type: Any) -> bool:
    """Whether Polars would panic at text of such values, and say so on standard error."""
    import pyarrow.types as pt

    if pt.is_dictionary(arrow_type):
        return _panics(arrow_type.value_type)
    binary = (pt.is_binary, pt.is_large_binary, pt.is_binary_view, pt.is_fixed_size_binary)
    others = (pt.is_decimal256, pt.is_interval, pt.is_union)
    within = (arrow_type.field(i).type for i in range(arrow_type.num_fields))
    return any(is_such(arrow_type) for is_such in (*others, *binary)) or any(map(_panics, within))


def _pieces(table: Any) -> Iterator[tuple[int, Any]]:
    """Rows as Polars tables that make text in memory: our own writes tell a full disk from other errors."""
    import polars as pl
    import pyarrow as pa

    for field in table.schema:
        if _panics(field.type):
            raise pa.ArrowNotImplementedError(f"{field.type} is not supported")
    rows = max(1, _PIECE_BYTES * max(1, len(table)) // max(1, table.nbytes))
    names = table.column_names
    # Names end at a zero byte in Arrow's C interface, and Polars makes up others for empty ones.
    other = any(not name or "\0" in name for name in names)
    if other:
        table = table.rename_columns([str(i) for i in range(len(names))])
    for start in range(0, max(1, len(table)), rows):
        piece: Any = pl.from_arrow(table.slice(start, rows))
        if other:
            piece.columns = names
        yield start, piece


def _parquet(table: Any, file: BinaryIO) -> None:
    import pyarrow.parquet as pq
    import pyarrow.types as pt

    # Dictionaries and statistics of floats make wide footers several times larger and help no reader; a zstd
    # context for every column takes readers as long as everything else about the column.
    text = [f.name for f in table.schema if pt.is_string(f.type) or pt.is_large_string(f.type)]
    pq.write_table(table, file, use_dictionary=text, write_statistics=False, compression="snappy")


def _read_parquet(content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def _arrow(table: Any, file: BinaryIO) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_arrow(content: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(content).read_all()


@dataclass(frozen=True)
class Writer:
    """A format that can be written.

    Attributes
    ----------
    suffixes : tuple of str
    write : callable
        Puts a pyarrow table into a binary file, from its beginning to its end.
    read : callable
        Makes a pyarrow table of all bytes of such a file; columns need not have the types that were written.
    begins : bytes
        First bytes of every such file, by which one from a pipe is known; empty for delimited text.
    embeds : bool
        Whether the file carries metadata, as the table's schema has them; others have them in a file beside.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Any, BinaryIO], None]
    read: Callable[[bytes], Any]
    begins: bytes = b""
    embeds: bool = False


WRITERS = {
    "csv": Writer((".csv",), _text(","), _read_text(",")),
    "tsv": Writer((".tsv", ".tab"), _text("\t"), _read_text("\t")),
    "parquet": Writer((".parquet", ".pq"), _parquet, _read_parquet, b"PAR1", embeds=True),
    "arrow": Writer((".arrow", ".feather", ".ipc"), _arrow, _read_arrow, b"ARROW1", embeds=True),
    "json": Writer((".json",), _json, _read_json, b"["),
    "ndjson": Writer((".ndjson", ".jsonl"), _ndjson, _read_ndjson, b"{"),
}


def find_writer(format: str | None, path: Path | None = None) -> Writer:
    """The writer for a format's name, or for a path's extension when no name is given."""
    if format is not None:
        check_choice("output format", format, WRITERS)
        return WRITERS[format]
    suffix = path.suffix.lower() if path is not None else ""
    for writer in WRITERS.values():
        if suffix in writer.suffixes:
            return writer
    known = ", ".join(s for w in WRITERS.values() for s in w.suffixes)
    raise InputError(
        f"cannot tell the format of {str(path)!r} from its extension", f"Use one of {known}, or give --format"
    )


@dataclass(frozen=True)
class Destination:
    """A place to write to, checked before the work begins.

    Raises
    ------
    InputError
        On creation: the format is unknown, the directory is missing or not writable, the path is a device or
        pipe, or there is a file already and `force` is not set. A symbolic link stands for what it leads to.
    """

    path: Path
    format: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        given = self.path
        check_output(given, self.force)
        writer = find_writer(self.format, given)
        if given.is_symlink():
            object.__setattr__(self, "path", given.resolve())
        if not (writer.embeds or self._left_behind()):
            check_output(sidecar(self.path), self.force)

    def _left_behind(self) -> bool:
        """Whether what lies beside is of a text file of ours that is no more."""
        return not self.path.exists() and DIGEST in read_sidecar(self.path)

    def write(
        self,
        table: Any,
        metadata: dict[str, Any] | None,
        on_bytes: Callable[[int], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Write a pyarrow table and what is known of it.

        Parameters
        ----------
        table : pyarrow.Table
        metadata : dict, optional
            Goes into the key-value metadata of Parquet and Arrow, or into ``NAME.meta.json`` beside text.
        on_bytes : callable, optional
            Told how many bytes each write put out.
        check : callable, optional
            Called before the file gets its name; what it raises leaves no file.

        Raises
        ------
        ResourceError
            When the disk is full or fails. Nothing is left behind.
        """
        writer = find_writer(self.format, self.path)
        try:
            with ExitStack() as stack:
                file = stack.enter_context(aside(self.path, self.force))
                if metadata is None or writer.embeds:
                    write_stream(table, file, writer, metadata, on_bytes)
                else:
                    # The first entered gets its name last: what lies beside is there before the file is.
                    beside = stack.enter_context(aside(sidecar(self.path), self.force or self._left_behind()))
                    digest = hashlib.sha256()
                    write_stream(table, _Told(file, digest.update), writer, on_bytes=on_bytes)  # type: ignore[arg-type]
                    beside.write(metadata_json({**metadata, DIGEST: digest.hexdigest()}) + b"\n")
                    flush(file)  # a disk that is full for its last bytes shows itself before either has a name
                if check is not None:
                    check()
        except OSError as error:
            named: str | None = error.filename2  # where it was a file's name that could not be had
            raise write_error(self.path if named is None else Path(named), error) from error


def sidecar(path: Path) -> Path:
    """Where the metadata of a text file are."""
    return path.with_name(path.name + ".meta.json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """The metadata beside a text file; empty when there are none."""
    try:
        found = json.loads(sidecar(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def metadata_json(metadata: dict[str, Any]) -> bytes:
    """Metadata as UTF-8 JSON with sorted keys."""
    return json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()


def write_stream(
    table: Any,
    file: BinaryIO,
    writer: Writer,
    metadata: dict[str, Any] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> None:
    """Write a table to an open file, such as standard output."""
    if writer.embeds and metadata is not None:
        table = table.replace_schema_metadata({METADATA_KEY: metadata_json(metadata)})
    try:
        told = file if on_bytes is None else _Told(file, lambda data: on_bytes(memoryview(data).nbytes))
        writer.write(table, told)  # type: ignore[arg-type]
    except _refusals() as error:  # such as lists and bytes as CSV
        if isinstance(error, OSError) and (error.errno is not None or isinstance(error, io.UnsupportedOperation)):
            raise  # of the file, such as one that is only read
        name = next(n for n, w in WRITERS.items() if w is writer)
        raise DataError(
            f"the table cannot be written as {name}: {_refused(table, writer) or str(error).splitlines()[0]}",
            "Write Parquet or Arrow, or leave those columns out, as convert does with --exclude",
        ) from error


def _refused(table: Any, writer: Writer) -> str:
    """Which columns of a table a format does not take, found out by the first row of one of each type."""
    takes: dict[Any, bool] = {}
    for i, field in enumerate(table.schema):
        if field.type not in takes:
            try:
                writer.write(table.select([i]).slice(0, 1), io.BytesIO())
                takes[field.type] = True
            except _refusals():
                takes[field.type] = False
    refused = [field for field in table.schema if not takes[field.type]]
    return f"column {first_of([field.name for field in refused])} is of type {refused[0].type}" if refused else ""


def _refusals() -> tuple[type[BaseException], ...]:
    """What the libraries raise for a type that a format does not have; an `OSError` of theirs has no number."""
    import polars as pl
    import pyarrow as pa

    return (
        OSError,
        pa.ArrowInvalid,
        pa.ArrowNotImplementedError,
        pa.ArrowTypeError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    )


class _Told:
    """A file that tells what was written to it."""

    closed = False

    def __init__(self, file: BinaryIO, on_data: Callable[[Any], None]) -> None:
        self._file = file
        self._on_data = on_data

    def write(self, data: Any) -> int:
        written = self._file.write(data)
        self._on_data(data)
        return written

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self.flush()

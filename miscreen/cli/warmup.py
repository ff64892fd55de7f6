"""``miscreen warmup``: compile every kernel before it is needed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miscreen.cli.options import Quiet, Running
from miscreen.cli.terminal import say
from miscreen.errors import ResourceError
from miscreen.estimators import ESTIMATORS

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 60
NARROW = ("single with gaps", "tiny")  # columns that fit float32
TARGETS = ("number", "group", "label")  # continuous, of two values, of several without an order


def warmup(quiet: Quiet = False) -> None:
    """Compile everything ahead, so that no later run has to.

    It ranks small generated tables with every method, selects from one, and keeps the kernels. Run it once
    before an array job, whose tasks would otherwise compile or wait for the one that does; on every type of
    processor that it may meet.

    \b
    miscreen warmup && sbatch --array=1-100 job.sh
    MISCREEN_CACHE_DIR=$HOME/kernels miscreen warmup

    Time is about half a minute with two processors, or some seconds when there is nothing left to do; memory about
    500 MB, and 200 MB for each processor more, up to three; and a few MB on disk. Kernels are kept where
    MISCREEN_CACHE_DIR says, by default in ~/.cache/miscreen.
    """
    began = time.monotonic()
    Running(quiet=quiet).start()

    from miscreen.kernels._cache import CACHE_DIR, kept_kernels

    if CACHE_DIR is None:
        raise ResourceError(
            "compiled kernels cannot be kept: no cache directory can be written",
            "Set MISCREEN_CACHE_DIR to a directory of yours that can",
        )
    if not quiet:
        say("note", "compiling kernels: about half a minute, unless it has been done before")
    Running(quiet=True).prepare_kernels([*ESTIMATORS, "files", "p-values", "select"])

    import miscreen

    with tempfile.TemporaryDirectory() as directory:
        for source in small_sources(Path(directory)):
            for target in TARGETS:
                for method in ESTIMATORS:  # whose options choose among no kernels
                    miscreen.rank(source, target, method, threads=1)
            miscreen.rank(source, "single", "pearson", features=NARROW, threads=1)  # float32 alone
        read_large_files()
        look_at_columns()
        permute()
        for strategy in ("mrmr", "cmim"):  # pairs, and pairs with the target
            miscreen.select(small_table(), "number", strategy=strategy, top=2, threads=1)
    if not quiet:
        say("done", f"{len(kept_kernels())} kernels in {time.monotonic() - began:.1f} s -> {CACHE_DIR}")


def read_large_files() -> None:
    """What only large or packed files need: cells found without being parsed, many labels, pages, packed buffers."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from miscreen.kernels.delimited import first_alike, index_cells, pread_spans
    from miscreen.kernels.lz4 import unpack_lz4
    from miscreen.tables.footer import Footer
    from miscreen.tables.pages import PageReader

    text = np.frombuffer(bytearray(b"1\n"), dtype=np.uint8)
    index_cells(text, np.zeros(1, dtype=np.int64), ord(","), 1, 1, np.empty((1, 2), dtype=np.uint32))
    none = np.empty(0, dtype=np.int64)
    pread_spans(0, 0, none, none, none, text)
    first_alike(text, none, np.empty(0, dtype=np.uint64), none)
    unpack_lz4(text, none, none, none, text)
    table = small_table()
    for rows in (_ROWS, _ROWS // 2):  # one row group, and several
        written = pa.BufferOutputStream()
        pq.write_table(table, written, row_group_size=rows)
        content = written.getvalue().to_pybytes()

        def read_at(position: int, size: int, content: bytes = content) -> bytes:
            return content[position : position + size]

        reader = PageReader(read_at, Footer(read_at, len(content)))
        for names, dtype in ((table.column_names, np.float64), (NARROW, np.float32)):
            columns = np.array(sorted(map(table.column_names.index, names)))
            reader.read(columns, np.empty((len(columns), _ROWS), dtype=dtype))


def look_at_columns() -> None:
    """What ``describe`` needs beside all methods."""
    import numpy as np

    from miscreen.kernels.survey import presence

    presence(np.zeros((1, 2)), np.empty(1, dtype=np.int64), np.empty(1, dtype=np.bool_))


def permute(*, p_values: bool = True) -> None:
    """What p-values need, of methods that deal out values themselves and of one that does not; one column depends."""
    import miscreen

    for target, methods in {"number": ("spearman", "kde", "bin", "ksg"), "label": ("spearman",)}.items():
        for method in methods:
            miscreen.rank(small_table(), target, method, features=["double", "group"], p_values=p_values, threads=1)


def small_sources(directory: Path) -> Iterator[Any]:
    """The same table in memory and in files: every lane by which values arrive has kernels of its own."""
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    table = small_table()
    yield table
    for source, write in (
        (directory / "table.csv", pyarrow.csv.write_csv),
        (directory / "table.parquet", pyarrow.parquet.write_table),
        (directory / "table.arrow", partial(pyarrow.feather.write_feather, compression="uncompressed")),
    ):
        write(table, source)
        yield source


def small_table() -> pa.Table:
    """Columns of every kind, whole and with values missing, and targets of every kind."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(0)
    number = random.standard_normal(_ROWS)
    gaps = random.random(_ROWS) < 0.1
    columns = {
        "number": number,
        "group": (number > 0).astype(np.int64),
        "label": np.array(["a", "b", "c"])[np.digitize(number, (-0.4, 0.4))],
        "double": random.standard_normal(_ROWS),
        "tiny": random.integers(0, 100, _ROWS, dtype=np.int8),
        "short": random.integers(0, 10_000, _ROWS, dtype=np.int32),
        "single": random.standard_normal(_ROWS).astype(np.float32),
        "zeros": np.maximum(random.standard_normal(_ROWS), 0.0),
        "levels": random.integers(0, 4, _ROWS),
        "colour": random.choice(["red", "green", "blue"], _ROWS),
        "yes": random.random(_ROWS) < 0.5,
    }
    table = {name: pa.array(values) for name, values in columns.items()}
    for name in ("double", "single", "zeros", "levels", "colour", "yes"):
        table[f"{name} with gaps"] = pa.array(columns[name], mask=gaps)
    return pa.table(table)

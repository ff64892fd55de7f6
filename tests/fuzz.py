"""Damaged and odd tables, from a seed: read as a strict reference reader reads them, or refused in clear words.

Run as a program it goes on for as long as it is told, in processes of its own, so that a crash or a hang is noticed
and its case is named: ``python tests/fuzz.py --seconds 600 --seed 1``. One case again: ``--only csv --case 4711``.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from miscreen.errors import MiscreenError
from miscreen.model import ColumnType
from miscreen.resources import Resources
from miscreen.tables import indexed, open_table
from miscreen.tables.delimited import ReadOptions
from miscreen.tables.encoding import encode
from miscreen.tables.labels import NULL_TOKENS

CASE_SECONDS = 240  # a case that takes longer hangs; the first may have to compile
CASE_BYTES = 1 << 30  # and one that takes more memory, of which the making of its table may take most, has no bound
MEMORY = 8 << 20
indexed.LEAST_BYTES = indexed.LEAST_ROW_BYTES = 0  # tables here are small, and are to take the way of large ones, too

HOSTILE = [
    "a",
    "b.c",
    "",
    " ",
    "é",
    "列",
    "x" * 300,
    "[red]x[/red]",
    "%s{0}",
    "$(id)",
    "`id`",
    "'; --",
    "<b>&",
    "\x1b[31m",
]
HOSTILE += ['say "hi"', "a,b", "two\nlines", "tab\t", "\u202eright", "nul\0", "*", "@x", "-o", "=1+1", "\\N", "\r"]

# ---- tables and damage -------------------------------------------------------------------------------------


def names_of(rng: random.Random, n: int) -> list[str]:
    """Distinct names, some of them hostile."""
    return [rng.choice(HOSTILE) + str(i) if rng.random() < 0.3 else f"x{i}" for i in range(n)]


def arrow_table(rng: random.Random) -> pa.Table:
    """A small table of any types, with nulls."""
    n_rows = rng.choice([0, 1, 2, 7, 30, 200])
    n_columns = rng.choice([1, 2, 5, 12]) if rng.random() < 0.95 else 2000
    numbers = np.random.default_rng(rng.getrandbits(64))
    makers: list[Callable[[], Any]] = [
        lambda: numbers.standard_normal(n_rows),
        lambda: numbers.standard_normal(n_rows).astype(np.float32),
        lambda: numbers.integers(-5, 5, n_rows),
        lambda: np.repeat(numbers.integers(-5, 5, n_rows // 7 + 1), 7)[:n_rows].astype(np.int8),
        lambda: np.zeros(n_rows, dtype=np.uint32),
        lambda: numbers.integers(-(2**62), 2**62, n_rows),
        lambda: numbers.integers(0, 200, n_rows).astype(np.uint8),
        lambda: numbers.random(n_rows) < 0.5,
        lambda: numbers.choice(["red", "green", "", "é", "a,b"], n_rows),
        lambda: pa.array(numbers.choice(["u", "v"], n_rows)).dictionary_encode(),
        lambda: pa.array(numbers.integers(0, 10**9, n_rows), pa.timestamp("us")),
        lambda: pa.array(numbers.integers(-999, 10**4, n_rows).astype(np.int32), pa.date32()),
        lambda: pa.array([[1], [], None, [2, 3]] * (n_rows // 4 + 1), pa.list_(pa.int8()))[:n_rows],
        lambda: pa.array([b"x", b"", None] * (n_rows // 3 + 1))[:n_rows],
        lambda: pa.array(list(map(str, range(n_rows))), pa.large_string()),
    ]
    columns = []
    for _ in range(n_columns):
        made = rng.choice(makers if n_columns < 100 else makers[:3])()
        column = made if isinstance(made, pa.Array) else pa.array(made)
        if rng.random() < 0.5 and n_rows and not pa.types.is_dictionary(column.type):
            column = pa.compute.if_else(pa.array(numbers.random(n_rows) < 0.8), column, None)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=names_of(rng, n_columns))


def damage(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, double, overwrite or insert some bytes."""
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        if not found:
            break
        # Half of all damage goes to the end, where binary formats keep what they say of themselves.
        at = rng.randrange(len(found)) if rng.random() < 0.5 else max(0, len(found) - 1 - int(rng.expovariate(1 / 200)))
        how = rng.randrange(7)
        if how <= 1:
            found[at] ^= 1 << rng.randrange(8)
        elif how == 2:
            found[at] = rng.choice(b'\0\1\x7f\x80\xff\n\r",;e-')
        elif how == 3:
            del found[at : at + rng.choice([1, 2, 8, 100])]
        elif how == 4:
            part = found[at : at + rng.choice([1, 8, 50])]
            found[at:at] = part
        elif how == 5:
            found[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"])
        else:
            del found[at:]
    return bytes(found)


# ---- text, beside csv and float ----------------------------------------------------------------------------

_CELLS = [
    "",
    "NA",
    "nan",
    "null",
    "0",
    "-7",
    " 12 ",
    "1.5",
    ".5",
    "5.",
    "1e300",
    "1e-320",
    "1e999",
    "-inf",
    "Infinity",
    "-0",
]
_CELLS += ["9007199254740993", "0.1000000000000000055511151231257827", "1" * 40, "0x10", "1_0", "+3", "++3", "1e", "e1"]
_CELLS += [
    "x",
    "é",
    "a b",
    "true",
    "False",
    "2020-01-02",
    "12:30",
    "1,5",
    'say "hi"',
    "two\nlines",
    "q'q",
    "٣",
    "\u00a01",
    "²",
]
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)", re.ASCII | re.IGNORECASE)


def text_table(rng: random.Random) -> tuple[bytes, str]:
    """Delimited text of a few kinds of cells a column, and its delimiter."""
    delimiter = rng.choice(",,,\t;|")
    n_columns = rng.choice([1, 2, 3, 8]) if rng.random() < 0.95 else 3000
    n_rows = rng.choice([1, 2, 5, 20, 100]) if n_columns < 100 else 3
    end = rng.choice(["\n", "\r\n", "\n\n"])
    pools = [rng.sample(_CELLS, rng.choice([1, 2, 3])) for _ in range(n_columns)]
    numeric = [c for c in _CELLS if _NUMBER.fullmatch(c.strip())]
    if rng.random() < 0.7:
        pools = [rng.sample(numeric, 3) if rng.random() < 0.7 else pool for pool in pools]

    share = rng.choice([0.05, 0.05, 0, 1])
    quoted = [rng.random() < 0.5 for _ in pools] if rng.random() < 0.2 else [False] * n_columns  # as R quotes text

    def shown(cell: str, always: bool) -> str:
        if any(c in cell for c in (delimiter, "\n", "\r", '"')) or always or rng.random() < share:
            return '"' + cell.replace('"', '""') + '"'
        return cell

    rows = [names_of(rng, n_columns)] + [[rng.choice(pool) for pool in pools] for _ in range(n_rows)]
    if rng.random() < 0.05:
        rows[rng.randrange(len(rows))].append("1")
        quoted.append(False)
    mixed = rng.random() < 0.1
    end_of = [rng.choice(["\n", "\r\n"]) if mixed else end for _ in rows]
    text = "".join(delimiter.join(map(shown, row, quoted)) + e for row, e in zip(rows, end_of, strict=True))
    if rng.random() < 0.3:
        text = text.rstrip("\r\n")
    encoding = rng.choice(["utf-8"] * 8 + ["utf-8-sig", "latin-1", "utf-16"])
    return text.encode(encoding, "replace"), delimiter


def reference_text(content: bytes, delimiter: str) -> tuple[list[str], list[list[Any]]]:
    """Names, and the columns as floats or as labels, with None for missing; ValueError where the text is no table."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    lines = re.sub("\r\n", "\n", text).split("\n") if '"' not in text else None
    if lines is not None:
        rows = [line.split(delimiter) for line in lines if line]
    else:
        whole = io.StringIO(text.replace("\r\n", "\n"), newline="\n")
        try:
            rows = [row for row in csv.reader(whole, delimiter=delimiter, strict=True) if row]
        except csv.Error as error:
            raise ValueError(error) from error
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        raise ValueError("no rectangle of two rows")
    names = [name or f"column_{i}" for i, name in enumerate(rows[0], start=1)]
    if len(set(names)) < len(names):
        raise ValueError("doubled names")
    columns = [_reference_column([row[j] for row in rows[1:]]) for j in range(len(names))]
    return names, columns


def _reference_column(cells: list[str]) -> list[Any]:
    bare = [cell.strip(" \t") for cell in cells]
    present = [b not in NULL_TOKENS and b.lower() != "nan" for b in bare]
    first = next((b for b, here in zip(bare, present, strict=True) if here), None)
    if first is None:
        return [None] * len(cells)
    if not _NUMBER.fullmatch(first):
        return [cell if here else None for cell, here in zip(cells, present, strict=True)]
    for b, here in zip(bare, present, strict=True):
        if here and not _NUMBER.fullmatch(b):
            raise ValueError(f"{b!r} among numbers")
    return [float(b) if here else None for b, here in zip(bare, present, strict=True)]


def check_text(rng: random.Random, folder: Path) -> str:
    """One case of delimited text, damaged or not; how it ended."""
    content, delimiter = text_table(rng)
    if damaged := rng.random() < 0.6:
        content = damage(content, rng)
    resources = Resources(rng.choice([1, 2]), rng.choice([MEMORY, 200_000]), folder)
    return compare_text(content, delimiter, folder / "t.csv", resources, damaged)


def compare_text(content: bytes, delimiter: str, path: Path, resources: Resources, damaged: bool) -> str:
    """Read text beside the reference; how it ended. What is not damaged must be read where the reference reads it."""
    path.write_bytes(content)
    try:
        expected = reference_text(content, delimiter)
    except ValueError:
        expected = None
    one, other = (_compare_text(content, expected, delimiter, path, resources, damaged, once) for once in (False, True))
    assert one == other, "parsed whole it is another table"
    return one[0]


def _compare_text(
    content: bytes, expected: Any, delimiter: str, path: Path, resources: Resources, damaged: bool, once: bool
) -> tuple[str, Any]:
    """How it ended, and the numbers and types or the error."""
    try:
        with open_table(path, resources=resources, read=ReadOptions(delimiter=delimiter), once=once) as table:
            everything = np.arange(len(table.names))
            values, found = table.values(everything), table.table(everything)
            names, types = list(table.names), [ColumnType(t) for t in table.types]
    except MiscreenError as error:
        _check_words(error)
        if expected is not None and not damaged and not _odd(content):
            raise AssertionError(f"refused: {error}") from error
        return "refused" if expected is None else "refused, though the reference reads it", str(error)
    if expected is None:
        assert _odd(content), "accepted what is no table"
        return "read, though the reference refuses it", (values.tobytes(), types)
    assert names == expected[0], (names, expected[0])
    for column, row, kind, got in zip(expected[1], values, types, found.columns, strict=True):
        assert np.isnan(row).tolist() == [cell is None for cell in column], (column, row)
        if all(cell is None or isinstance(cell, float) for cell in column):
            assert row[~np.isnan(row)].tolist() == [cell for cell in column if cell is not None]
        elif kind == ColumnType.TEXT and not _odd(content):
            assert got.to_pylist() == column
    return "read", (values.tobytes(), types)


def _odd(content: bytes) -> bool:
    """Text on which readers may differ: carriage returns inside lines, and bytes NUL."""
    return re.search(rb"\r(?!\n)", content) is not None or b"\0" in content


# ---- binary formats, beside pyarrow and polars --------------------------------------------------------------


def check_parquet(rng: random.Random, folder: Path) -> str:
    """One case of Parquet."""
    table, stream = arrow_table(rng), io.BytesIO()
    if rng.random() < 0.2:
        keep = [
            f.name for f in table.schema if not pa.types.is_nested(f.type) and "\0" not in f.name
        ]  # Polars cuts names there
        table = table.select(keep)
        pl.from_arrow(table).write_parquet(stream, row_group_size=rng.choice([3, 1000]))  # type: ignore[union-attr]
    else:
        pq.write_table(
            table,
            stream,
            compression=rng.choice(["none", "snappy", "zstd", "gzip", "lz4", "brotli"]),
            row_group_size=rng.choice([3, 1000]),
            use_dictionary=rng.random() < 0.5,
            data_page_version=rng.choice(["1.0", "2.0"]),
            write_page_checksum=rng.random() < 0.2,
            data_page_size=rng.choice([16, 1 << 20]),
            store_schema=rng.random() < 0.7,
        )
    return _check_binary(rng, folder / "t.parquet", stream.getvalue(), reference_parquet)


def check_arrow(rng: random.Random, folder: Path) -> str:
    """One case of an Arrow file or stream."""
    table, stream = arrow_table(rng), io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=rng.choice([None, "lz4", "zstd"]))
    as_stream = rng.random() < 0.4
    with (pa.ipc.new_stream if as_stream else pa.ipc.new_file)(stream, table.schema, options=options) as writer:
        cut = rng.randrange(len(table) + 1)
        for part in (table[:cut], table[cut:cut], table[cut:]):
            writer.write_table(part, max_chunksize=rng.choice([3, 1000]))
    path = folder / ("t.arrows" if as_stream else "t.arrow")
    return _check_binary(rng, path, stream.getvalue(), reference_stream if as_stream else reference_arrow)


def reference_parquet(content: bytes) -> pa.Table:
    """What pyarrow reads; by several threads it may take more than `CASE_BYTES` for thousands of columns."""
    return pq.read_table(io.BytesIO(content), use_threads=False)


def reference_arrow(content: bytes) -> pa.Table:
    """What pyarrow reads of an Arrow file, and finds valid."""
    read = pa.ipc.open_file(pa.py_buffer(content)).read_all()
    read.validate(full=True)
    return read


def reference_stream(content: bytes) -> pa.Table:
    """What pyarrow reads of an Arrow stream, and finds valid."""
    read = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    read.validate(full=True)
    return read


def _check_binary(rng: random.Random, path: Path, whole: bytes, reference: Callable[[bytes], pa.Table]) -> str:
    content = damage(whole, rng) if rng.random() < 0.9 else whole
    return compare_binary(content, whole, path, Resources(rng.choice([1, 2]), 64 << 20, path.parent), reference)


def compare_binary(
    content: bytes, whole: bytes | None, path: Path, resources: Resources, reference: Callable[[bytes], pa.Table]
) -> str:
    """Read content beside a reference; how it ended. `whole` is what was damaged, where that is known."""
    path.write_bytes(content)
    try:
        with open_table(path, resources=resources) as table:
            everything = np.arange(len(table.names))
            values, found = table.values(everything), table.table(everything)  # numbers must not need the other
            assert values.shape == (len(table.names), table.n_samples)
            assert len(found) == table.n_samples or not len(everything)
            found = pa.Table.from_batches(pa.ipc.open_stream(_stream(found)).read_all().to_batches(), found.schema)
    except MiscreenError as error:
        _check_words(error)
        if content == whole:
            raise
        return "refused"
    try:
        theirs = reference(content)
    except (pa.ArrowException, OSError, ValueError):
        theirs = None
    original = None if whole is None else reference(whole)
    for other, how in ((theirs, "read"), (original, "read, though the reference refuses it")):
        if other is None or other.column_names != found.column_names:
            continue
        if not found.column_names:  # such a table of Arrow's may yet have rows
            return how
        if len(other) != len(found):
            continue
        np.testing.assert_array_equal(values, encode(found))
        if _same(found, other):
            return how
    if theirs is None:
        return "read, though the reference refuses it, and changed"
    raise AssertionError(f"another table than the reference reads: {found.schema} {theirs.schema}")


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _same(one: pa.Table, other: pa.Table) -> bool:
    """Whether tables mean the same to a screen, bit for bit."""
    return bool(encode(one).tobytes() == encode(other).tobytes())


def _check_words(error: MiscreenError) -> None:
    """An error says what is wrong and what to do."""
    assert error.message, error
    assert error.hint, error
    assert "Traceback" not in str(error)


# ---- the command line --------------------------------------------------------------------------------------


def check_command(rng: random.Random, folder: Path) -> str:
    """One command on a damaged file with hostile names and arguments: an exit code of 0, 1 or 2, and clear words."""
    from miscreen.cli import main

    kind = rng.choice(["csv", "parquet", "arrow", "txt"])
    path, stream = folder / f"t.{kind}", io.BytesIO()
    if kind in ("csv", "txt"):
        stream.write(text_table(rng)[0])
    elif kind == "parquet":
        pq.write_table(arrow_table(rng), stream)
    else:
        stream.write(_stream(arrow_table(rng)).to_pybytes())
    content = stream.getvalue()
    path.write_bytes(content if rng.random() < 0.5 or kind in ("parquet", "arrow") else damage(content, rng))
    name = rng.choice(HOSTILE) + rng.choice(["", "0", "1"])
    words = ["", "0", "-1", "1", "3", "1e400", "nan", "x", "auto", "1GB", "*", "[", "@" + str(path), "\ud800", name]
    options = ["--top", "--features", "--exclude", "--discrete", "--continuous", "--min-samples", "--bins", "--k"]
    options += ["--bandwidth", "--memory", "--threads", "--delimiter", "--null", "--quote", "--unit", "--max-levels"]
    verb = rng.choice(["rank", "rank", "select", "describe", "convert"])
    arguments = [verb, str(path)]
    target = rng.choice(["x0", "x1", name])
    if verb == "rank":
        arguments += [f"--target={target}", "--method", rng.choice(["pearson", "bin", "auto"])]
    elif verb == "select":
        arguments += [f"--target={target}", "--method", "pearson", "--top", "2", "--names"]
    elif verb == "convert":
        arguments += [str(folder / rng.choice(["o.csv", "o.parquet", "o.json", "o.what", "no/o.csv"])), "--force"]
    for _ in range(rng.choice([0, 0, 1, 2])):
        arguments.append(f"{rng.choice(options)}={rng.choice(words)}")
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    told = err.getvalue()
    assert code in (0, 1, 2), (code, arguments, told)
    assert "Traceback" not in told, told
    assert code == 0 or ("error: " in told), (arguments, told)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", told), told
    return f"exit code {code}"


CHECKS: dict[str, Callable[[random.Random, Path], str]] = {
    "csv": check_text,
    "parquet": check_parquet,
    "arrow": check_arrow,
    "command": check_command,
}

# ---- processes ---------------------------------------------------------------------------------------------


def run_cases(what: str, seed: int, cases: Iterator[int], report: Callable[[dict[str, Any]], None]) -> None:
    """Run cases in this process, and report each before and after."""
    with tempfile.TemporaryDirectory() as directory:
        for case in cases:
            report({"case": case})
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            ended: dict[str, Any] = {"case": case}
            try:
                ended["end"] = CHECKS[what](random.Random(f"{what} {seed} {case}"), Path(directory))
                grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
                if grown > CASE_BYTES:
                    ended["fault"] = f"took {grown:,} bytes"
            except Exception as error:
                import traceback

                ended["fault"] = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
            report(ended)


def fuzz(what: str, seed: int, first: int, count: int, seconds: float = 1e9) -> tuple[Counter[str], list[str]]:
    """Run cases in a process of its own, and go on with the next when one kills it; the ends and the faults."""
    ends: Counter[str] = Counter()
    faults: list[str] = []
    case, stop, until = first, first + count, time.monotonic() + seconds
    while case < stop and time.monotonic() < until:
        command = [sys.executable, __file__, "--only", what, "--seed", str(seed), "--worker", str(case), str(stop)]
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
        ):
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            pending, heard, killed = b"", time.monotonic(), ""
            while True:
                piece = process.stdout.read()
                if piece:
                    heard = time.monotonic()
                    *lines, pending = (pending + piece).split(b"\n")
                    for line in map(json.loads, lines):
                        case = line["case"]
                        if "end" in line:
                            ends[line["end"]] += 1
                        if "fault" in line:
                            faults.append(f"{what}, seed {seed}, case {case}: {line['fault']}")
                        case += "end" in line or "fault" in line
                elif process.poll() is not None:
                    break
                elif time.monotonic() > heard + CASE_SECONDS:
                    killed = f"no end within {CASE_SECONDS} s"
                    process.kill()
                elif time.monotonic() > until:
                    process.kill()
                    killed = "time is up"
                time.sleep(0.01)
            process.wait()
            if process.returncode and killed != "time is up":
                errors.seek(0)
                said = errors.read()[-1500:].decode(errors="replace")
                faults.append(
                    f"{what}, seed {seed}, case {case}: {killed or f'ended with {process.returncode}'}\n{said}"
                )
                case += 1
    return ends, faults


def main() -> int:
    """Fuzz in rounds until the time is up; 1 when a fault was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", choices=CHECKS, action="append")
    parser.add_argument("--case", type=int, help="run this case alone, here")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # an endless allocation fails instead
        import faulthandler

        faulthandler.enable()
        sink = os.fdopen(os.dup(1), "w")
        run_cases(
            given.only[0], given.seed, iter(range(*given.worker)), lambda r: print(json.dumps(r), file=sink, flush=True)
        )
        return 0
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    if given.case is not None:
        run_cases(given.only[0], seed, iter([given.case]), lambda r: print(r.get("fault", r)))
        return 0
    print(f"seed {seed}", flush=True)
    until = time.monotonic() + given.seconds
    total, found, first = Counter[str](), [], 0
    while time.monotonic() < until:
        for what in given.only or CHECKS:
            ends, faults = fuzz(what, seed, first, 500, until - time.monotonic())
            total.update({f"{what}: {end}": number for end, number in ends.items()})
            found += faults
            for fault in faults:
                print(fault, flush=True)
        first += 500
    for end, number in sorted(total.items()):
        print(f"{number:>9,}  {end}")
    print(f"seed {seed}: {total.total():,} cases, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Write a wide synthetic table from a seed, piece by piece, so that it may be larger than memory.

    python benchmarks/make_table.py wide.csv --rows 1050 --columns 150000

The target ``y`` comes first, then columns ``x0``, ``x1`` and so on of standard normal noise. Evenly spread
planted columns also tell about the target: by turns the number behind it, its square and its sign are added.
Their names are printed. The noise depends on the seed and the column's number alone. A CSV holds the same
numbers as a Parquet file, rounded to --digits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SHAPES = (np.copy, np.square, np.sign)
CSV_ROWS = 16  # rows turned into text at a time


class Table:
    """What a table holds, column by column."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.rows, self.columns = arguments.rows, arguments.columns
        self.seed, self.missing, self.dtype = arguments.seed, arguments.missing, np.dtype(arguments.dtype)
        self.zeros = arguments.zeros
        self.names = [f"x{number}" for number in range(self.columns)]
        spread = np.linspace(0, self.columns - 1, min(arguments.planted, self.columns)).astype(int)
        self.shapes = {int(number): SHAPES[i % len(SHAPES)] for i, number in enumerate(spread)}
        self.latent = np.random.default_rng([self.seed, 0]).standard_normal(self.rows)
        self.y = self.latent.astype(self.dtype)
        if arguments.target == "binary":
            self.y = (self.latent > 0).astype(np.int64)

    def column(self, number: int) -> NDArray[np.floating]:
        random = np.random.default_rng([self.seed, number + 1])
        values = random.standard_normal(self.rows)
        if number in self.shapes:
            values += self.shapes[number](self.latent)
        if self.zeros:
            values = np.maximum(values, 0.0)
        if self.missing:
            values[random.random(self.rows) < self.missing] = np.nan
        return values.astype(self.dtype)

    def lay_out(self, directory: Path) -> NDArray[np.floating]:
        """All columns, one a row, in an unnamed scratch file: files want rows, the seed gives columns."""
        with tempfile.TemporaryFile(dir=directory) as scratch:
            scratch.truncate(self.columns * self.rows * self.dtype.itemsize)
            values = np.memmap(scratch, dtype=self.dtype, mode="r+", shape=(self.columns, self.rows))
        for number in range(self.columns):
            values[number] = self.column(number)
        return values


def write_csv(table: Table, path: Path, digits: int) -> None:
    values = table.lay_out(path.parent)
    pattern = f"%.{digits}g"
    cells = ",".join([pattern] * table.columns)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(["y", *table.names]) + "\n")
        for start in range(0, table.rows, CSV_ROWS):
            rows = np.ascontiguousarray(values[:, start : start + CSV_ROWS].T)
            for y, row in zip(table.y[start : start + CSV_ROWS], rows, strict=True):
                file.write(f"{pattern % y},{(cells % tuple(row.tolist())).replace('nan', '')}\n")


def write_columnar(table: Table, path: Path) -> None:
    """Parquet with one row group, or an Arrow file with one batch, as other programs write them."""
    kind = pa.from_numpy_dtype(table.dtype)
    arrays = [pa.array(table.y)]
    for column in table.lay_out(path.parent):
        valid = None
        if table.missing:
            valid = pa.py_buffer(np.packbits(~np.isnan(column), bitorder="little").tobytes())
        arrays.append(pa.Array.from_buffers(kind, table.rows, [valid, pa.py_buffer(column)]))
    whole = pa.table(arrays, names=["y", *table.names])
    if path.suffix == ".parquet":
        pq.write_table(whole, path, compression="zstd", use_dictionary=False, write_statistics=False)
    else:
        with pa.ipc.new_file(path, whole.schema) as writer:
            writer.write_table(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a wide synthetic table from a seed.")
    parser.add_argument("path", type=Path, help="file to write: .csv, .parquet or .arrow")
    parser.add_argument("--rows", type=int, default=1050)
    parser.add_argument("--columns", type=int, default=10_000, help="columns besides the target")
    parser.add_argument("--target", choices=["continuous", "binary"], default="continuous")
    parser.add_argument("--planted", type=int, default=9, help="columns that tell about the target")
    parser.add_argument("--missing", type=float, default=0.0, help="share of missing values")
    parser.add_argument("--zeros", action="store_true", help="what is negative is 0 instead: half of each column")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--digits", type=int, default=6, help="significant digits in a CSV")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    table = Table(arguments)
    if arguments.path.suffix == ".csv":
        write_csv(table, arguments.path, arguments.digits)
    elif arguments.path.suffix in (".parquet", ".arrow"):
        write_columnar(table, arguments.path)
    else:
        parser.error(f"{arguments.path} ends in none of .csv, .parquet, .arrow")
    print("planted:", *(table.names[number] for number in sorted(table.shapes)))


if __name__ == "__main__":
    main()

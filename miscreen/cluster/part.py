"""Part files: results of a range of features with a checksum, written aside and named when complete."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from miscreen.errors import DataError
from miscreen.partition import Partition
from miscreen.tables.aside import aside, write_error
from miscreen.tables.files import open_error

_KEY = b"miscreen.part"
_DIGEST_KEY = b"miscreen.part.sha256"


@dataclass(frozen=True)
class Part:
    """Partitions on disk, and where they belong.

    Attributes
    ----------
    partitions : sequence of Partition
    about : dict
        What the writer noted: of which run it is and, for a shard, k and n.
    """

    partitions: Sequence[Partition]
    about: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write a Parquet file that appears when it is complete and safe on disk, in place of any other.

        Raises
        ------
        ResourceError
            When the disk is full or fails. Nothing is left behind.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [partition.to_arrow() for partition in self.partitions]
        pieces = [[len(t), {k.decode(): v.decode() for k, v in t.schema.metadata.items()}] for t in tables]
        about = json.dumps({"about": self.about, "pieces": pieces}, sort_keys=True).encode()
        known = {_KEY: about, _DIGEST_KEY: _digest(self.partitions, about).encode()}
        table = pa.concat_tables([t.replace_schema_metadata(known) for t in tables])
        made = io.BytesIO()
        pq.write_table(table, made, compression="zstd", write_statistics=False)
        try:
            with aside(path, force=True) as file:
                file.write(made.getbuffer())
            _sync_directory(path.parent)
        except OSError as error:
            raise write_error(path, error) from error

    @classmethod
    def read(cls, path: Path) -> Part:
        """Read a part and hold it to its checksum.

        Raises
        ------
        DataError
            When it is no part, cut short, or any bit of what it says was changed.
        InputError
            When it cannot be opened.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            content = path.read_bytes()
        except OSError as error:
            raise open_error(str(path), error) from error
        try:
            table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
            known = table.schema.metadata or {}
            about, expected = known[_KEY], known[_DIGEST_KEY]
            noted = json.loads(about)
            bounds = np.cumsum([0, *(rows for rows, _ in noted["pieces"])]).tolist()
            partitions = [
                Partition.from_arrow(table.slice(start, stop - start).replace_schema_metadata(metadata))
                for (start, stop), (_, metadata) in zip(pairwise(bounds), noted["pieces"], strict=True)
            ]
            if bounds[-1] != len(table) or _digest(partitions, about).encode() != expected:
                raise ValueError("its content does not fit its checksum")
            return cls(partitions, noted["about"])
        # A bit in the wrong place makes a reader raise almost anything.
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            reason = "it is no part file" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise DataError(
                f"{str(path)!r} cannot be read as part of a ranking: {reason}", "Remove it, and compute it again"
            ) from error


def _digest(partitions: Sequence[Partition], about: bytes) -> str:
    digest = hashlib.sha256(about)
    for partition in partitions:
        for name, values in partition.arrays().items():
            digest.update(f"{name} {values.dtype.str} {len(values)}\n".encode())
            if values.dtype == object:
                words = [word.encode() for word in values]
                digest.update(np.array([len(word) for word in words], dtype="<i8").tobytes() + b"".join(words))
            elif values.dtype.kind == "f":
                digest.update(np.where(np.isnan(values), np.nan, values).tobytes())  # there are many NaN
            else:
                digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):  # not every file system has this
            raise
    finally:
        os.close(descriptor)

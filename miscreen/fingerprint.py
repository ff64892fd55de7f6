"""A name for the input that its values give it, whatever the format."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Floats
from miscreen.tables.source import TableSource


class Fingerprint:
    """A fingerprint of names and values that is the same for any format, block size and number of threads."""

    def __init__(self, source: TableSource, columns: NDArray[np.intp], targets: Sequence[int]) -> None:
        self.features = np.zeros(len(columns), dtype=np.uint64)
        self._targets: list[int] = []
        self._head = hashlib.sha256()
        for c in (*targets, *columns):
            name = source.names[c].encode()
            self._head.update(len(name).to_bytes(4, "little") + name)

    def add_target(self, raw: Floats) -> None:
        from miscreen.kernels.survey import fingerprints

        out = np.empty(1, dtype=np.uint64)
        fingerprints(raw[np.newaxis], out)
        self._targets.append(int(out[0]))

    def hexdigest(self) -> str:
        digest = self._head.copy()
        digest.update(np.array(self._targets, dtype="<u8").tobytes() + self.features.astype("<u8").tobytes())
        return digest.hexdigest()[:32]

"""What is known of a range of features, in the order of the columns: the unit that travels and that is put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.model import Floats
from miscreen.ranking import Ranking, arrow_column, text_column

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA_KEY = b"miscreen.partition"


@dataclass(frozen=True)
class Findings:
    """Features with regard to one target.

    Attributes
    ----------
    score, mi : float64 arrays, shape (n_features,)
        In nats; NaN without a score.
    n : int64 array, shape (n_features,)
        Samples used.
    status : uint8 array, shape (n_features,)
    method : object array of str, shape (n_features,)
    extras : dict of str to array, shape (n_features,)
        Further columns of the result: numbers (NaN for none), booleans, or str in an object array.
    """

    score: Floats
    mi: Floats
    n: NDArray[np.int64]
    status: NDArray[np.uint8]
    method: NDArray[Any]
    extras: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def empty(cls, n_features: int, extra_columns: Iterable[str]) -> Findings:
        """Room for so many features, to be filled in place."""
        return cls(
            score=np.full(n_features, np.nan),
            mi=np.full(n_features, np.nan),
            n=np.zeros(n_features, dtype=np.int64),
            status=np.zeros(n_features, dtype=np.uint8),
            method=np.full(n_features, "", dtype=object),
            extras={name: np.full(n_features, np.nan) for name in extra_columns},
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, the further columns under ``extra.NAME``."""
        plain: dict[str, NDArray[Any]] = {
            "score": self.score,
            "mi": self.mi,
            "n": self.n,
            "status": self.status,
            "method": self.method,
        }
        return plain | {f"extra.{name}": values for name, values in self.extras.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Findings:
        """What `arrays` has taken apart."""
        extras = {name.removeprefix("extra."): a for name, a in arrays.items() if name.startswith("extra.")}
        return cls(**{n: a for n, a in arrays.items() if not n.startswith("extra.")}, extras=extras)


@dataclass(frozen=True)
class Partition:
    """Neighbouring features of a screen and what was found out about them.

    Attributes
    ----------
    first : int
        Position of the first among all features screened.
    names : sequence of str, length n_features
    kinds : uint8 array, shape (n_features,)
    n_infinite : int64 array, shape (n_features,)
        Infinite values, which count as missing.
    fingerprints : uint64 array, shape (n_features,)
        Of the values of each feature.
    findings : list of Findings
        One for each target.
    notes : dict
        What else must be known of the range once all are put together; JSON.
    """

    first: int
    names: Sequence[str]
    kinds: NDArray[np.uint8]
    n_infinite: NDArray[np.int64]
    fingerprints: NDArray[np.uint64]
    findings: list[Findings]
    notes: dict[str, Any] = field(default_factory=dict)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, those of target i under ``i.NAME``."""
        found: dict[str, NDArray[Any]] = {
            "feature": np.array(self.names, dtype=object),
            "kind": self.kinds,
            "n_infinite": self.n_infinite,
            "fingerprint": self.fingerprints,
        }
        for i, findings in enumerate(self.findings):
            found |= {f"{i}.{name}": values for name, values in findings.arrays().items()}
        return found

    def to_arrow(self) -> pa.Table:
        """A table of a row for each feature, for `from_arrow`."""
        import pyarrow as pa

        about = {"first": self.first, "n_targets": len(self.findings), "notes": self.notes}
        table = pa.table({name: arrow_column(values) for name, values in self.arrays().items()})
        return table.replace_schema_metadata({_METADATA_KEY: json.dumps(about)})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Partition:
        """The partition that `to_arrow` made a table of; KeyError, TypeError or ValueError for any other table."""
        about = json.loads(table.schema.metadata[_METADATA_KEY])
        arrays = {name: _array(table.column(name)) for name in table.column_names}
        findings = []
        for i in range(about["n_targets"]):
            start = f"{i}."
            findings.append(
                Findings.from_arrays({n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)})
            )
        return cls(
            first=about["first"],
            names=arrays["feature"].tolist(),
            kinds=arrays["kind"],
            n_infinite=arrays["n_infinite"],
            fingerprints=arrays["fingerprint"],
            findings=findings,
            notes=about["notes"],
        )


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if pa.types.is_floating(column.type):
        return np.array([np.nan if v is None else v for v in column.to_pylist()])
    return np.array(column.to_pylist(), dtype=column.type.to_pandas_dtype())


def rank_partitions(partitions: Sequence[Partition], metadata: Mapping[str, Any]) -> Ranking:
    """One ranking of all features; whatever takes all of them to be known is worked out here.

    Parameters
    ----------
    partitions : sequence of Partition
        All features, each once; in any order.
    metadata : mapping
        Of `Screen.metadata`: the request, the shape of the table and the targets' fingerprints.

    Returns
    -------
    Ranking
        The same bytes however the features were divided.
    """
    parts = sorted(partitions, key=lambda p: p.first)
    metadata = dict(metadata)
    names = text_column(parts[0].names if len(parts) == 1 else [name for part in parts for name in part.names])
    kinds = np.concatenate([p.kinds for p in parts])
    metadata["n_features_with_infinite_values"] = int(sum(np.count_nonzero(p.n_infinite) for p in parts))
    digest = hashlib.sha256()
    for words in (text_column(metadata["target"]), names):
        digest.update(_with_lengths(words).tobytes())
    values = [np.array(metadata.pop("target_fingerprints"), dtype="<u8"), *(p.fingerprints for p in parts)]
    digest.update(np.concatenate(values).astype("<u8").tobytes())
    metadata["fingerprint"] = digest.hexdigest()[:32]
    rankings = []
    several = len(metadata["target"]) > 1
    for i, target in enumerate(metadata["target"]):
        arrays = [p.findings[i].arrays() for p in parts]
        found = Findings.from_arrays({name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})
        maxima = [p.notes["maxima"][i] for p in parts] if metadata["max_t"] else []
        rankings.append(
            Ranking.from_scores(
                names,
                target if several else None,
                scores=found.score,
                mi=found.mi,
                n=found.n,
                kinds=kinds,
                methods=found.method.tolist(),
                statuses=found.status,
                extras=_with_all_known(found, maxima, metadata),
                metadata=metadata,
                unit=metadata["unit"],
            )
        )
    return Ranking.concat(rankings, metadata) if several else rankings[0]


def _with_lengths(words: pa.StringArray) -> NDArray[np.uint8]:
    """Words of a whole array one after the other, each behind its length in four bytes."""
    _, offsets, text = words.buffers()
    lengths = np.diff(np.frombuffer(offsets, dtype=np.int32)).astype(np.int64)
    found = np.empty(len(text) + 4 * len(words), dtype=np.uint8)
    places = np.cumsum(lengths + 4) - lengths - 4
    is_text = np.ones(len(found), dtype=np.bool_)
    for i in range(4):
        is_text[places + i] = False
        found[places + i] = lengths >> 8 * i & 255
    found[is_text] = np.frombuffer(text, dtype=np.uint8)
    return found


def _with_all_known(
    found: Findings, maxima: Sequence[Sequence[float]], metadata: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """The further columns, with what takes the p-values or the largest statistics of all features."""
    from miscreen.inference.multiple import max_t_p_values, q_values

    extras = dict(found.extras)
    if metadata["p_values"]:
        method = extras.pop("p_method")
        extras["q_value"] = q_values(extras["p_value"], metadata["fdr_method"])
        if metadata["fdr"] is not None:
            extras["selected"] = extras["q_value"] <= metadata["fdr"]
        extras["p_method"] = method
    if metadata["max_t"]:
        extras["p_fwer"] = max_t_p_values(found.score, np.max(maxima, axis=0))
    return extras

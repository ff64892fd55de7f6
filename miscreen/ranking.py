"""The ranking: an ordered table of features and what was found out about each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError, check_choice, path_given, real_number, whole_number
from miscreen.model import Floats, Kind, Status
from miscreen.result import Result, shown

if TYPE_CHECKING:
    import pyarrow as pa

UNITS = {"nats": 1.0, "bits": 1.0 / math.log(2.0)}
_ORDERS = ("score", "p_value", "q_value", "p_fwer")  # columns that tell which features are the best
_ASKED_BY = {"p_value": " with --p-values", "q_value": " with --p-values", "p_fwer": " with --max-t 1000"}


def ranking_order(scores: Floats, statuses: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Positions from the best feature to the worst.

    Larger scores come first, equal ones in order of position, and features without a score last.

    Examples
    --------
    >>> import numpy as np
    >>> ranking_order(np.array([0.1, np.nan, 0.4, 0.1]), np.array([0, 1, 0, 0], dtype=np.uint8))
    array([2, 0, 3, 1])
    """
    scored = statuses == Status.OK.value
    found, rest = np.flatnonzero(scored), np.flatnonzero(~scored)
    keys = -scores[found]
    order = np.argsort(keys)  # in a third of the time that a stable sort takes; what is tied is sorted anew
    placed = keys[order]
    tied = np.zeros(len(keys), dtype=np.bool_)
    tied[1:] = ~(placed[1:] > placed[:-1])
    tied[:-1] |= tied[1:]
    among = np.sort(order[tied])
    order[tied] = among[np.argsort(keys[among], kind="stable")]
    return np.concatenate((found[order], rest))


# Arrays and scalars are put together from buffers: what pyarrow makes of Python's values, or of NumPy's, begins with
# an import of pandas, which can take as long as a run.


def text_column(words: Sequence[str]) -> pa.StringArray:
    """An Arrow array of text."""
    import pyarrow as pa

    text = "".join(words)
    encoded = words if text.isascii() else [word.encode() for word in words]
    offsets = np.zeros(len(words) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(words)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(words), pa.py_buffer(offsets), pa.py_buffer(text.encode()))


def _numbers(values: NDArray[Any]) -> pa.Array:
    """An Arrow array of numbers, NaN as null."""
    import pyarrow as pa

    present = ~np.isnan(values)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [validity, data])


def _scalar(value: float | str) -> pa.Scalar:
    """A number or a text as Arrow takes it beside a column."""
    return text_column([value])[0] if isinstance(value, str) else _numbers(np.array([value]))[0]


def arrow_column(values: NDArray[Any]) -> pa.Array:
    """An Arrow array of numbers (NaN as null), booleans, or text (an object array of str)."""
    import pyarrow as pa

    if values.dtype == object:
        return text_column(values.tolist())
    if values.dtype == np.bool_:
        bits = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.BooleanArray.from_buffers(pa.bool_(), len(values), [None, bits])
    return _numbers(values)


def _settle(table: pa.Table) -> pa.Table:
    """A ranking as it was before it became text: types that empty columns do not tell, infinities JSON has not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = dict.fromkeys(("target", "feature", "kind", "method", "status", "p_method"), pa.string())
    types |= {"rank": pa.int64(), "n": pa.int64(), "selected": pa.bool_()}
    columns = {}
    scored = pc.equal(table.column("status"), _scalar(Status.OK.label))
    infinite = pc.and_(pc.is_null(table.column("score")), scored)  # and so is then the information that is the score
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = types.get(name, pa.float64())
        if kind == pa.bool_() and pa.types.is_string(column.type):
            column = pc.equal(column, _scalar("true"))
        settled = column.cast(kind)
        if name == "score" or name.startswith("mi_"):  # JSON makes infinity null
            settled = pc.if_else(infinite, _scalar(float("inf")), settled)
        columns[name] = settled
    return pa.table(columns)


def measured(table: pa.Table, start: str) -> pa.ChunkedArray:
    """The column of a ranking whose name begins so, as those of information do with ``mi_``; `DataError` for none."""
    name = next((name for name in table.column_names if name.startswith(start)), None)
    if name is None:
        what = "of mutual information" if start == "mi_" else start
        raise DataError(f"the ranking has no column {what}", f"Rank the table again{_ASKED_BY.get(start, '')}")
    return table.column(name)


class Ranking(Result):
    """Every feature with its score, best first; several targets one after the other.

    The columns are ``target`` (when there are several), ``rank``, ``feature``, ``score`` (null without one),
    ``mi_nats`` or ``mi_bits``, ``n`` (rows that the feature shares with the target), ``kind``, ``method``, ``status``
    (``ok``, or why there is no score), and what was asked for: ``r``, ``linfoot``, ``normalized``, ``p_value``,
    ``q_value``, ``selected``, ``p_method``, ``p_fwer``, and ``ci_low`` and ``ci_high`` in the unit of the ranking.

    Attributes
    ----------
    metadata : dict
        Version, options, seed, shape and a fingerprint of the input.
    """

    @classmethod
    def from_scores(
        cls,
        names: Sequence[str] | pa.StringArray,
        target: str | None,
        *,
        scores: Floats,
        mi: Floats,
        n: NDArray[np.int64],
        kinds: NDArray[np.uint8],
        methods: Sequence[str],
        statuses: NDArray[np.uint8],
        extras: Mapping[str, NDArray[Any]],
        metadata: Mapping[str, Any],
        unit: str = "nats",
    ) -> Ranking:
        """Rank features by their scores.

        Parameters
        ----------
        names : sequence of str or pyarrow.StringArray, length n_features
        target : str, optional
            Fills a first column ``target``; without it there is no such column.
        scores, mi : float64 arrays, shape (n_features,)
            In nats; NaN without a score.
        n, kinds, statuses : arrays, shape (n_features,)
            Samples used, `Kind` and `Status` of each feature.
        methods : sequence of str, length n_features
        extras : mapping of str to array
            Further columns, as `arrow_column` takes them; ``ci_low`` and ``ci_high`` in nats.
        metadata : mapping
        unit : str
            ``nats`` or ``bits``.
        """
        import pyarrow as pa

        order = ranking_order(scores, statuses)
        factor = UNITS[unit]
        features = names if isinstance(names, pa.Array) else text_column(names)
        numbers = {method: number for number, method in enumerate(dict.fromkeys(methods))}
        used = np.zeros(len(methods), dtype=np.int64)
        if len(numbers) > 1:
            used[:] = np.fromiter(map(numbers.__getitem__, methods), np.int64, len(methods))

        def labelled(labels: Sequence[str], codes: NDArray[Any]) -> pa.Array:
            if len(codes) and np.all(codes == codes[0]):
                return pa.repeat(_scalar(labels[codes[0]]), len(codes))
            return pa.DictionaryArray.from_arrays(_numbers(codes[order]), text_column(labels)).cast(pa.string())

        columns: dict[str, Any] = {} if target is None else {"target": text_column([target] * len(names))}
        columns |= {
            "rank": _numbers(np.arange(1, len(names) + 1)),
            "feature": features.take(_numbers(order)),
            "score": _numbers(scores[order] * factor),
            f"mi_{unit}": _numbers(mi[order] * factor),
            "n": _numbers(n[order]),
            "kind": labelled([k.label for k in Kind], kinds),
            "method": labelled(list(numbers), used),
            "status": labelled([s.label for s in Status], statuses),
        }
        for name, values in extras.items():
            columns[name] = arrow_column(values[order] * factor if name.startswith("ci_") else values[order])
        return cls(pa.table(columns), metadata)

    @classmethod
    def concat(cls, rankings: Sequence[Ranking], metadata: Mapping[str, Any]) -> Ranking:
        """Rankings of several targets in one, in the order given."""
        import pyarrow as pa

        return cls(pa.concat_tables([r._table for r in rankings]).combine_chunks(), metadata)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Ranking:
        """Read a ranking that was written in any of the formats.

        Raises
        ------
        InputError
            When there is no such file.
        DataError
            When the file is damaged or holds no ranking.
        """
        import pyarrow as pa

        from miscreen.tables.results import read_result

        path = path_given("path", path)
        columns = ("rank", "feature", "score", "status")
        table, metadata = read_result(path, "ranking", columns, "miscreen rank ... -o ranked.parquet")
        try:
            ranking = cls(_settle(table), metadata)._in_order()
            if twice := ranking._ranked_twice():
                raise DataError(f"{str(path)!r} ranks {twice!r} more than once", "Rank the table again")
            return ranking
        except pa.ArrowException as error:
            raise DataError(f"{str(path)!r} cannot be read as a ranking: {error}", "Rank the table again") from error

    def __repr__(self) -> str:
        return f"<Ranking of {len(self):,} rows: {shown(self.names)}>"

    @property
    def names(self) -> list[str]:
        """The features, best first."""
        names: list[str] = self._table.column("feature").to_pylist()
        return names

    @property
    def targets(self) -> list[str]:
        """The targets, in the order in which they were asked for."""
        if "target" in self._table.column_names:
            return list(dict.fromkeys(self._table.column("target").to_pylist()))
        return list(self.metadata.get("target", []))

    def _in_order(self) -> Ranking:
        """Each target's features by rank, as they were written; a file may have been sorted by something else."""
        keys = [self._table.column("rank").to_numpy()]
        if "target" in self._table.column_names:
            targets = self._table.column("target").to_pylist()
            place = {target: number for number, target in enumerate(dict.fromkeys(targets))}
            keys.append(np.array([place[target] for target in targets], dtype=np.intp))
        order = np.lexsort(keys)
        if np.all(order[1:] > order[:-1]):
            return self
        return Ranking(self._table.take(_numbers(order)), self.metadata)

    def _ranked_twice(self) -> str | None:
        """A feature that has several rows of one target."""
        import pyarrow.compute as pc

        keys = [name for name in ("target", "feature") if name in self._table.column_names]
        counted = self._table.group_by(keys, use_threads=False).aggregate([("rank", "count")])
        several = counted.filter(pc.greater(counted.column("rank_count"), _scalar(1)))
        return several.column("feature")[0].as_py() if len(several) else None

    def _keep(self, mask: Any) -> Ranking:
        """The rows whose mask is true, and not null."""
        return Ranking(self._table.filter(mask), self.metadata)

    def for_target(self, target: str) -> Ranking:
        """The ranking for one of several targets; `InputError` when it is not among them."""
        if "target" not in self._table.column_names and self.targets in ([], [target]):
            return self
        if target not in self.targets:
            raise InputError(f"the ranking has no target {target!r}", f"It has {', '.join(self.targets)}")
        import pyarrow.compute as pc

        return self._keep(pc.equal(self._table.column("target"), _scalar(target)))

    def scored(self) -> Ranking:
        """Only the features that have a score."""
        import pyarrow.compute as pc

        return self._keep(pc.equal(self._table.column("status"), _scalar(Status.OK.label)))

    def top(self, k: int) -> Ranking:
        """The best `k` features of each target; `InputError` when `k` is no whole number, or below 0."""
        import pyarrow.compute as pc

        k = whole_number("k", k, 0)
        return self._keep(pc.less_equal(self._table.column("rank"), _scalar(min(k, len(self)))))

    def above(self, min_mi: float) -> Ranking:
        """The features whose mutual information is at least `min_mi`, in the unit of the ranking.

        `InputError` when it is no number.
        """
        import pyarrow.compute as pc

        least = real_number("min_mi", min_mi)
        return self._keep(pc.greater_equal(measured(self._table, "mi_"), _scalar(least)))

    def within_fdr(self, fdr: float) -> Ranking:
        """The features of q-values up to `fdr`.

        `DataError` when the ranking has none, `InputError` when `fdr` is no number.
        """
        import pyarrow.compute as pc

        most = real_number("fdr", fdr)
        return self._keep(pc.less_equal(measured(self._table, "q_value"), _scalar(most)))

    def by(self, column: str) -> Ranking:
        """Each target's features by another column, the best first and equal ones as they were ranked, with new ranks.

        Parameters
        ----------
        column : str
            ``p_value``, ``q_value`` or ``p_fwer``, of which the least are the best, or ``score``.

        Raises
        ------
        InputError
            When `column` is none of these.
        DataError
            When the ranking has no such column.
        """
        import pyarrow as pa

        targets = [self.for_target(one) for one in self.targets] if "target" in self._table.column_names else [self]
        if len(targets) > 1:
            return Ranking.concat([one.by(column) for one in targets], self.metadata)
        order = self.order_by(column)
        ordered = self._table.take(_numbers(order))
        ranks = pa.chunked_array([_numbers(np.arange(1, len(order) + 1))])
        return Ranking(ordered.set_column(ordered.column_names.index("rank"), "rank", ranks), self.metadata)

    def order_by(self, column: str) -> NDArray[np.intp]:
        """The rows of a ranking for one target in the order of `by`, for those who want its ranks as they are."""
        check_choice("order by", column, _ORDERS)
        values = measured(self._table, column).to_numpy()
        best_first = -values if column == "score" else values
        return np.lexsort((self._table.column("rank").to_numpy(), best_first))  # NaN last

    def summary(self) -> dict[str, int]:
        """How many features have each status other than ok, for any target, and how many held infinite values."""
        import pyarrow.compute as pc

        amiss = self._table.filter(pc.not_equal(self._table.column("status"), _scalar(Status.OK.label)))
        pairs = zip(amiss.column("feature").to_pylist(), amiss.column("status").to_pylist(), strict=True)
        counts = Counter(status for _, status in set(pairs))
        found = {s.label: counts[s.label] for s in Status if s != Status.OK and counts[s.label]}
        if infinite := self.metadata.get("n_features_with_infinite_values"):
            found["with infinite values"] = infinite
        return found

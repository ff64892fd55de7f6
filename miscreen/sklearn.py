"""Screening as a step of a scikit-learn pipeline, which the extra ``sklearn`` brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from miscreen.errors import InputError, MiscreenError, installing, real_number, whole_number
from miscreen.estimators import estimator_class
from miscreen.model import ColumnType, Floats
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.screening import screen
from miscreen.tables.columns import NameIndex
from miscreen.tables.encoding import column_type, encode
from miscreen.tables.extended import ExtendedTable
from miscreen.tables.memory import filled, open_column

try:
    from sklearn.base import BaseEstimator
    from sklearn.feature_selection import SelectorMixin
    from sklearn.utils import Tags, assert_all_finite, check_consistent_length, column_or_1d
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(f"miscreen.sklearn needs scikit-learn 1.8 or newer: {error}. {installing('sklearn')}") from error


class MutualInfoSelector(SelectorMixin, BaseEstimator):
    """Keep the columns that `miscreen.rank` puts first: those that tell most about `y`.

    Parameters
    ----------
    k : int, optional
        How many columns to keep, or all that have a score when there are fewer. None leaves it to `threshold`.
    threshold : float, optional
        Keep columns of at least so many nats of mutual information; together with `k`, both must hold.
    method : str
        As in `miscreen.rank`.
    options : mapping, optional
        Options of the method, such as ``{"bandwidth_multiplier": 2}``.
    discrete, continuous : sequences of str
        Names or globs of columns whose kind is not to be guessed; discrete ones are classes without an order. Columns
        of an array, or of a dataframe without names that are text, are x0, x1 and so on.
    target_kind : str, optional
        ``continuous``, or ``discrete``, without an order; by default integers of few values are classes, as in
        `miscreen.rank`.
    max_levels, min_samples, threads, memory
        As in `miscreen.rank`.

    Attributes
    ----------
    scores_ : float64 array, shape (n_features,)
        What columns are ranked by: mutual information in nats, never clamped, but for ``auto``, which ranks by
        evidence; NaN where there is none, such as for a constant.
    ranking_ : Ranking
        All that `miscreen.rank` would tell, mutual information among it.
    n_features_in_ : int
    feature_names_in_ : array of str
        When `X` has column names that are text.

    Notes
    -----
    NaN and infinity mean missing, and take out a row for that column alone. The columns of a dataframe keep their
    types: text is allowed and is discrete, and null means missing. Sparse matrices are refused. `transform` keeps the
    order of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 5))
    >>> y = X[:, 3] ** 2 + 0.1 * rng.standard_normal(200)
    >>> MutualInfoSelector(k=1).fit(X, y).get_support(indices=True)
    array([3])
    """

    def __init__(
        self,
        k: int | None = 10,
        *,
        threshold: float | None = None,
        method: str = "auto",
        options: Mapping[str, Any] | None = None,
        discrete: Sequence[str] = (),
        continuous: Sequence[str] = (),
        target_kind: str | None = None,
        max_levels: int = 20,
        min_samples: int = 10,
        threads: int | None = None,
        memory: int | str | None = None,
    ) -> None:
        self.k = k
        self.threshold = threshold
        self.method = method
        self.options = options
        self.discrete = discrete
        self.continuous = continuous
        self.target_kind = target_kind
        self.max_levels = max_levels
        self.min_samples = min_samples
        self.threads = threads
        self.memory = memory

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def fit(self, X: Any, y: Any) -> MutualInfoSelector:  # noqa: N803  (scikit-learn's name)
        """Score every column of `X` by its mutual information with `y`.

        Parameters
        ----------
        X : array or dataframe, shape (n_samples, n_features)
        y : array, shape (n_samples,)
            Numbers, times or labels, none missing.

        Raises
        ------
        ValueError
            When the request or the data do not allow it; the message is that of `miscreen.rank`.
        """
        if self.k is None and self.threshold is None:
            raise ValueError("nothing says how many features to keep. Give k=, threshold= or both")
        X = _as_frame(X)  # noqa: N806
        validate_data(self, X, y, skip_check_array=True)  # their names, and that there is an outcome
        try:
            k = None if self.k is None else whole_number("k", self.k, 1)
            threshold = None if self.threshold is None else real_number("threshold", self.threshold)
            options = _options(self.method, self.options)
            frame = hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc")
            X = filled(X)  # noqa: N806
            if not frame:
                X = validate_data(self, X, ensure_all_finite=False, ensure_min_samples=2)  # noqa: N806
            elif hasattr(X, "iloc") and X.ndim == 2 and not hasattr(self, "feature_names_in_"):
                # As scikit-learn calls columns whose names are no text.
                X = X.set_axis([f"x{i}" for i in range(self.n_features_in_)], axis=1)  # noqa: N806
            values, held = _encode(y)
            check_consistent_length(X, values)
            request = Request.make(
                method=self.method, names=None if frame else [f"x{i}" for i in range(X.shape[1])],
                discrete=self.discrete, continuous=self.continuous, target_kind=self.target_kind,
                max_levels=self.max_levels, min_samples=self.min_samples, threads=self.threads, memory=self.memory,
                **options,
            )  # fmt: skip
            with request.open(X) as table:
                index = NameIndex(table.names, table.label)  # of columns that the user knows
                for role, patterns in (("discrete", request.spec.discrete), ("continuous", request.spec.continuous)):
                    index.many(patterns, role)
                extended = ExtendedTable(table, values[np.newaxis], "y", held)
                self.ranking_: Ranking = screen(extended, replace(request, targets=extended.further))
                names = table.names
        except MiscreenError as error:  # scikit-learn's tools know how to deal with this one
            raise ValueError(str(error)) from error
        found = self.ranking_.to_arrow().select(["feature", "score", "mi_nats"]).to_pydict()
        position = {name: i for i, name in enumerate(names)}
        best = np.array([position[name] for name in found["feature"]], dtype=np.intp)
        scores = np.array(found["score"], dtype=np.float64)
        self.scores_: Floats = np.empty(len(names))
        self.scores_[best] = scores
        kept = ~np.isnan(scores)
        if threshold is not None:
            nats = np.array(found["mi_nats"], dtype=np.float64)
            if kept.any() and np.isnan(nats[kept]).all():
                raise ValueError(
                    f"threshold= is of mutual information, and method {self.method!r} with these options gives none. "
                    "Give k= instead, or a method or options by which it is estimated"
                )
            kept &= nats >= threshold
        self._support = np.zeros(len(names), dtype=np.bool_)
        self._support[best[kept][:k]] = True
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Keep the columns chosen, in the order of the table.

        Parameters
        ----------
        X : array or dataframe, shape (n_samples, n_features)

        Returns
        -------
        array or dataframe, shape (n_samples, n_chosen)
            A dataframe where ``set_output`` asks for one.
        """
        try:
            X = filled(_as_frame(X))  # noqa: N806
        except InputError as error:
            raise ValueError(str(error)) from error
        kept = super().transform(X)
        if not (hasattr(kept, "columns") and hasattr(X, "__arrow_c_stream__")):
            return kept
        # On the way through an array the columns of a table of several types become objects.
        chosen = self.get_support(indices=True)
        if hasattr(X, "iloc"):
            part = X.iloc[:, chosen].set_axis(kept.columns, axis=1)
            return part if hasattr(kept, "iloc") else type(kept)(pa.Table.from_pandas(part, preserve_index=False))
        if type(kept) is type(X):
            return X[:, chosen]
        table = pa.table(X).select(chosen.tolist())
        return table.to_pandas() if hasattr(kept, "iloc") else type(kept)(table)

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self._support


def _as_frame(data: Any) -> Any:
    """What has Arrow's interface alone as a pyarrow table, whose names scikit-learn knows; all else as it is."""
    known = hasattr(data, "iloc") or type(data).__module__.partition(".")[0] == "polars"
    return pa.table(data) if hasattr(data, "__arrow_c_stream__") and not known else data


def _options(method: str, given: Any) -> dict[str, Any]:
    """The method's options; `InputError` when they are no such."""
    if not isinstance(given, Mapping | None):
        raise InputError(f"options are {given!r}", "Give a mapping of names to values")
    estimator_class(method).make_options(given or {})
    return dict(given or {})


def _encode(y: Any) -> tuple[Floats, ColumnType]:
    """An outcome as numbers, and what they stand for."""
    flat = column_or_1d(y, warn=True)
    if flat.dtype.kind == "f":
        assert_all_finite(flat, input_name="y")
    plain = not hasattr(y, "__len__") or len(getattr(y, "shape", (0,))) > 1
    column = open_column("y", flat if plain else y)  # NumPy knows no categories, and NaN among text as text
    if column.null_count:
        raise InputError(f"y is missing in {column.null_count:,} rows", "Leave out those rows")
    return encode(pa.table({"y": column}))[0].astype(np.float64), column_type(column.type)

"""Mutual information of one pair of columns."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any

from numpy.typing import ArrayLike

from miscreen.errors import DataError, InputError, check_choice
from miscreen.estimators import estimator_class
from miscreen.model import Kind

_PAIRED = {
    "the target 'y'": "y",
    "column 'x'": "x",
    "another target": "another y",
    "--target-kind": "y_kind",
    "Leave it out of --continuous": "Leave out x_kind",
}
_OF_PAIRS = ("max_levels", "min_samples", "threads", "memory")  # keywords of `rank` that a pair has, too


def mutual_info(
    x: ArrayLike,
    y: ArrayLike,
    method: str = "auto",
    *,
    x_kind: str | None = None,
    y_kind: str | None = None,
    unit: str = "nats",
    **screening: Any,
) -> float:
    """Estimate the mutual information of two columns, in nats unless `unit` says bits.

    Parameters
    ----------
    x, y : 1-D array, list, or Polars, pandas or pyarrow column, shape (n_samples,)
        Numbers, text, truth values, categories, dates or times. Null, NaN and infinity mean missing: the pair is
        left out.
    method : str
        As in `miscreen.rank`, which treats `x` as a feature and `y` as the target.
    x_kind, y_kind : str, optional
        ``continuous``, or ``discrete``, without an order; otherwise by type and `max_levels`.
    unit : str
        ``nats`` or ``bits``.
    **screening
        ``max_levels``, ``min_samples``, ``threads``, ``memory`` and the method's options, as in `miscreen.rank`.

    Returns
    -------
    float
        Never clamped, so slightly negative at times.

    Raises
    ------
    InputError
        When the columns differ in length, an option does not exist, or the method gives no mutual information.
    DataError
        When there is no estimate, such as for a constant.

    Notes
    -----
    The very number that `miscreen.rank` gives for the pair, at some milliseconds a call: for many columns, rank
    them.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal(1000)
    >>> round(mutual_info(x, x + rng.standard_normal(1000), "ksg"), 2)  # the truth is ln(2) / 2 = 0.347
    0.36
    >>> round(mutual_info(x > 0, np.where(x > 0, "high", "low"), "bin", unit="bits"), 2)
    1.0
    """
    import pyarrow as pa

    from miscreen.screening import rank
    from miscreen.tables.memory import open_column

    known = {*_OF_PAIRS, *(field.name for field in fields(estimator_class(method).Options))}
    for name in screening:
        if name not in known and name in signature(rank).parameters:
            raise InputError(
                f"mutual_info has no option {name!r}", "Kinds are x_kind and y_kind; for the rest use rank"
            )
    for kind in (x_kind, y_kind):
        if kind is not None:
            check_choice("kind", kind, [k.label for k in Kind])
    columns = {"x": open_column("x", x), "y": open_column("y", y)}
    lengths = {name: len(column) for name, column in columns.items()}
    if lengths["x"] != lengths["y"]:
        raise InputError(f"x has {lengths['x']:,} values and y has {lengths['y']:,}", "Give as many of each")
    try:
        ranking = rank(
            pa.table(columns), "y", method, target_kind=y_kind, unit=unit,
            discrete=["x"] if x_kind == "discrete" else [], continuous=["x"] if x_kind == "continuous" else [],
            **screening,
        )  # fmt: skip
    except DataError as error:
        raise DataError(*(_of_a_pair(text) for text in (error.message, error.hint))) from None
    found = ranking.to_arrow().to_pylist()[0]
    if found["status"] != "ok":
        raise DataError(f"x has no score: {found['status']}", "See the statuses under Formats")
    if found[f"mi_{unit}"] is None:
        raise InputError(
            f"method {method!r} with these options gives a score, but no mutual information",
            "Choose a method or options by which it is estimated",
        )
    return float(found[f"mi_{unit}"])


def _of_a_pair(text: str) -> str:
    """What `miscreen.rank` says of a feature and a target, of x and y."""
    for ranked, paired in _PAIRED.items():
        text = text.replace(ranked, paired)
    return text

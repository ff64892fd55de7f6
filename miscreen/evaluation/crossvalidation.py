"""How well models predict a target from the best columns, when screening never sees the rows tested on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import DataError, InputError, ResourceError, check_choice, truth_value, whole_number
from miscreen.estimators import estimator_class
from miscreen.evaluation.design import Design
from miscreen.evaluation.models import MODELS, Trial, require_scikit_learn
from miscreen.evaluation.result import Evaluation
from miscreen.model import ColumnType, Status
from miscreen.ranking import ranking_order
from miscreen.request import Request
from miscreen.resources import format_bytes
from miscreen.roles import read_alike
from miscreen.screening import Screen
from miscreen.tables.columns import is_named
from miscreen.tables.extended import ExtendedTable
from miscreen.tables.source import TableSource

_LOG = logging.getLogger("miscreen")
_DEFAULT_K = (10, 50, 200)
_SCREENING = (
    "names", "features", "exclude", "discrete", "continuous", "target_kind", "max_levels", "min_samples", "read",
    "threads", "memory", "scratch_dir", "on_progress",
)  # fmt: skip
_COPIES = 3  # of the chosen columns that fitting one model takes


def evaluate(
    source: Any,
    target: str,
    method: str | Sequence[str] = "auto",
    *,
    k: int | Sequence[int] | None = None,
    model: str | Sequence[str] = "elasticnet",
    folds: int = 5,
    groups: str | None = None,
    show_leakage: bool = False,
    seed: int = 0,
    **screening: Any,
) -> Evaluation:
    """Cross-validate models on the best columns, screening anew inside each training fold.

    Parameters
    ----------
    source : path, Polars, pandas or pyarrow table, or NumPy array
        What `miscreen.tables.open_table` takes.
    target : str
        Column to predict. Rows in which it is missing take no part.
    method : str or sequence of str
        Methods of `miscreen.rank`, with their default options.
    k : int or sequence of int, optional
        Numbers of columns to keep; by default those of 10, 50 and 200 that the table has, or all of fewer
        than 10.
    model : str or sequence of str
        ``elasticnet``, ``ridge`` or ``forest``.
    folds : int
        Each row is tested on in one of them.
    groups : str, optional
        A column such as a site or a person; rows of one group are never divided between training and test.
    show_leakage : bool
        Also score the same models on columns chosen with the test rows in view, as is often and wrongly done.
    seed : int
        Of the folds and the forests.
    **screening
        Of the keywords of `miscreen.rank` those that say which columns there are, how text is read and what the
        run may use.

    Returns
    -------
    Evaluation
        Mean and standard deviation over the folds of R-squared, or for classes of the area under the ROC curve.

    Raises
    ------
    InputError
        When scikit-learn is missing, or the request names what does not exist.
    DataError
        When there are too few rows, groups or rows of a class for so many folds.
    ResourceError
        When the memory does not hold the chosen columns.

    Notes
    -----
    All folds are screened in one pass a method over the table. The penalty of a linear model is tuned on the
    columns chosen in the training fold by an inner cross-validation of 5 folds, or by leave-one-out (ridge
    regression). The standard deviation is that of the folds' figures, which share training rows: it is no standard
    error.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> table = rng.standard_normal((150, 41))
    >>> table[:, 40] += table[:, 0] + table[:, 1]
    >>> names = [f"x{i}" for i in range(40)] + ["y"]
    >>> found = evaluate(table, "y", "pearson", k=5, names=names).to_polars()
    >>> found["metric"].item(), 0.4 < found["mean"].item() < 0.7
    ('r2', True)
    """
    require_scikit_learn()
    methods, models = _several(method, "method"), _several(model, "model")
    for name in models:
        check_choice("model", name, MODELS)
    given = k if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    sizes = None if k is None else [whole_number("k", size, 1) for size in given]
    if sizes == []:
        raise InputError("k is empty", "Give one or several numbers of columns")
    folds = whole_number("folds", folds, 2)
    if not isinstance(target, str):
        raise InputError(f"the target is {target!r}", "Give the name of one column")
    if unknown := sorted(set(screening) - set(_SCREENING)):
        raise InputError(f"evaluate has no option {unknown[0]!r}", f"It takes {', '.join(_SCREENING)}")
    if not isinstance(groups, str | None):
        raise InputError(f"the groups are {groups!r}", "Give the name of one column")
    apart = (target,) if groups is None else (target, groups)
    if groups == target:
        raise InputError(f"the groups are the target, {groups!r}", "Name another column with --groups, or none")
    seed = whole_number("seed", seed, 0, 2**32 - 1)
    show_leakage = truth_value("show_leakage", show_leakage)
    requests = [Request.make(target, one, **screening, **estimator_class(one).score_alone) for one in methods]
    asked = {
        name: value for name, value in requests[0].metadata().items() if name in ("version", "target", *_SCREENING)
    }
    requests = [replace(one, exclude=(*one.exclude, *apart)) for one in requests]
    first = requests[0]
    with first.open(source, kept=is_named(apart)) as table:
        design = Design.make(table, first, groups, folds, seed)
        sizes = _sizes(sizes, design.n_features)
        _check_memory(first, max(sizes), table.n_samples)
        chosen = {r.spec.method: _screen(table, r, design, max(sizes), show_leakage) for r in requests}
        figures = _fit(table, first, design, chosen, sizes, models, show_leakage)
    return _result(design, figures, asked, methods=methods, sizes=sizes, models=models, show_leakage=show_leakage)


def _several(given: str | Sequence[str], what: str) -> list[str]:
    names = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{what} is {given!r}", "Name one or several, each once")
    return names


def _sizes(given: list[int] | None, n_features: int) -> list[int]:
    if given is None:
        return [size for size in _DEFAULT_K if size <= n_features] or [n_features]
    if max(given) > n_features:
        raise InputError(f"--k is {max(given):,}, but there are {n_features:,} columns to choose from", "Lower --k")
    return sorted(set(given))


def _check_memory(request: Request, size: int, n_samples: int) -> None:
    needed = size * n_samples * 8 * (1 + _COPIES * request.resources.threads)
    if needed > request.resources.memory_bytes:
        raise ResourceError(
            f"fitting models to {size:,} columns on {request.resources.threads} threads takes {format_bytes(needed)}, "
            f"but the budget is {format_bytes(request.resources.memory_bytes)}",
            "Give more --memory, fewer --threads or a smaller --k",
        )


def _screen(
    table: TableSource, request: Request, design: Design, size: int, show_leakage: bool
) -> list[NDArray[np.intp]]:
    """Positions of the best columns of each fold, best first; those of the whole table last."""
    views = [train for train, _ in design.splits]
    if show_leakage:
        views.append(np.arange(len(design.target.rows)))
    columns = np.array([design.masked(rows) for rows in views])
    held = read_alike(design.target, design.held)
    extended = ExtendedTable(table, columns, f"{design.target.name}, fold", held)
    spec = replace(request.spec, target_kind=design.target.kind)
    job = Screen(extended, replace(request, targets=extended.further, spec=spec))
    part = job.score_partition(range(job.n_features))
    position = {name: i for i, name in enumerate(table.names)}
    best = []
    for findings in part.findings:
        order = ranking_order(findings.score, findings.status)[:size]
        scored = order[findings.status[order] == Status.OK]
        if not len(scored):
            raise DataError("no feature has a score in a training fold", "See the status column of miscreen rank")
        best.append(np.array([position[part.names[i]] for i in scored], dtype=np.intp))
    return best


_Key = tuple[str, int, str, bool]


def _fit(
    table: TableSource,
    request: Request,
    design: Design,
    chosen: dict[str, list[NDArray[np.intp]]],
    sizes: Sequence[int],
    models: Sequence[str],
    show_leakage: bool,
) -> dict[_Key, list[float]]:
    """The figures of all folds by method, number of columns, model and whether the test rows leaked."""
    from threadpoolctl import threadpool_limits

    kinds = (False, True) if show_leakage else (False,)
    cells = [(size, model) for size in reversed(sizes) for model in models]  # the longest first
    total = len(chosen) * len(design.splits) * len(kinds) * len(cells)
    figures: dict[_Key, list[float]] = {}
    # One thread a model, many models at a time; and BLAS adds up in another order on another number of threads.
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(request.resources.threads) as workers,
        _unfinished_fits(total),
    ):
        done = 0
        for method, best in chosen.items():
            for fold in range(len(design.splits)):
                for leaked in kinds:
                    columns = best[-1 if leaked else fold]
                    trial = _trial(table, design, columns, fold)
                    orders = {size: np.argsort(columns[:size]) for size in sizes}  # as in the table: ties fall alike
                    scores = workers.map(lambda cell: trial.score(cell[1], orders[cell[0]]), cells)  # noqa: B023
                    for (size, model), score in zip(cells, scores, strict=True):
                        figures.setdefault((method, size, model, leaked), []).append(score)
                        done += 1
                        if request.on_progress is not None:
                            request.on_progress("fit", done, total)
    return figures


def _trial(table: TableSource, design: Design, columns: NDArray[np.intp], fold: int) -> Trial:
    from miscreen.kernels.survey import rescale_extremes

    values = table.values(columns).astype(np.float64)[:, design.target.rows]
    values[np.isinf(values)] = np.nan
    values = np.ascontiguousarray(values)
    rescale_extremes(values)
    train, test = design.splits[fold]
    return Trial(
        values=values,
        is_text=table.types[columns] == ColumnType.TEXT,
        y=design.y,
        kind=design.target.kind,
        train=train,
        test=test,
        inner=design.inner(train),
        seed=design.seed,
    )


@contextmanager
def _unfinished_fits(total: int) -> Iterator[None]:
    """Tell once, at the end, how many fits stopped before they converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    from sklearn.exceptions import ConvergenceWarning

    stopped = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    if stopped:
        _LOG.info("%d warnings of fits that stopped before they converged, in %d models", len(stopped), total)
    for other in {str(w.message): w for w in caught if w not in stopped}.values():
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


def _result(
    design: Design,
    figures: dict[_Key, list[float]],
    asked: dict[str, Any],
    *,
    methods: Sequence[str],
    sizes: Sequence[int],
    models: Sequence[str],
    show_leakage: bool,
) -> Evaluation:
    import polars as pl

    rows = []
    for method in methods:
        for size in sizes:
            for model in models:
                row: dict[str, Any] = {"method": method, "k": size, "model": model, "metric": design.metric}
                folds: dict[str, float] = {}
                for start, leaked in (("", False), ("leaked_", True))[: 1 + show_leakage]:
                    found = figures[method, size, model, leaked]
                    row |= {f"{start}mean": float(np.mean(found)), f"{start}sd": float(np.std(found, ddof=1))}
                    folds |= {f"{start}fold_{i}": score for i, score in enumerate(found, start=1)}
                rows.append(row | folds)
    metadata = asked | {
        "method": list(methods),
        "k": list(sizes),
        "model": list(models),
        "metric": design.metric,
        "folds": len(design.splits),
        "groups": design.groups,
        "seed": design.seed,
        "n_samples": design.n_samples,
    }
    return Evaluation(pl.DataFrame(rows).to_arrow(), metadata)

"""From a ranking to a table of the chosen columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from miscreen.errors import InputError
from miscreen.inference.options import Inference
from miscreen.model import Kind, ScreenSpec
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.result import Result, shown
from miscreen.screening import screen
from miscreen.selection import strategy_class
from miscreen.selection.chooser import Chooser, NoCandidateError, locate
from miscreen.selection.options import ORDERS, SelectionSpec
from miscreen.selection.steps import Steps
from miscreen.tables.columns import NameIndex, expand_patterns, name_matcher
from miscreen.tables.write import note_lost_labels

if TYPE_CHECKING:
    from miscreen.tables.source import TableSource
    from miscreen.tables.wide import WideTable

_LOG = logging.getLogger("miscreen")
_OF_ANY_RUN = {"names", "read", "threads", "memory", "scratch_dir", "on_progress"}


class Selection(Result):
    """Chosen columns of a table: those kept, then those chosen, as the file has them.

    Attributes
    ----------
    names : list of str
        The chosen features, in the order of choosing.
    steps : Steps
        Why each was chosen. Its `write` makes a file that `select` takes as `selection`.
    ranking : Ranking, optional
        The ranking that they were chosen from; None when an earlier selection was applied.
    """

    def __init__(self, names: list[str], steps: Steps, ranking: Ranking | None, wide: WideTable) -> None:
        super().__init__(wide.table, {"n_selected": len(names), "selection": steps.metadata}, wide.on_bytes)
        self.names = names
        self.steps = steps
        self.ranking = ranking

    def __repr__(self) -> str:
        return f"<Selection of {len(self.names):,} columns of {len(self):,} rows: {shown(self.names)}>"

    def write(self, path: str | PathLike[str], format: str | None = None, force: bool = False) -> None:
        """See `Result.write`; it says which columns have labels that mean missing in text."""
        super().write(path, format, force)
        note_lost_labels(self._table, format, Path(path))

    def write_to(self, stream: BinaryIO, format: str = "csv") -> None:
        """See `Result.write_to`; it says which columns have labels that mean missing in text."""
        super().write_to(stream, format)
        note_lost_labels(self._table, format)


def select(
    source: Any,
    target: str | Sequence[str] | None = None,
    *,
    ranking: Ranking | str | PathLike[str] | None = None,
    strategy: str | None = None,
    top: int | None = None,
    min_mi: float | None = None,
    min_score: float | None = None,
    fdr: float | None = None,
    by: str = ORDERS[0],
    clump_mi: float | None = None,
    pool: int | None = None,
    given: Sequence[str] = (),
    stability: int = 0,
    selection: Steps | str | PathLike[str] | None = None,
    keep: Sequence[str] = (),
    **screening: Any,
) -> Selection:
    """Choose the columns of a table that tell most about a target.

    Parameters
    ----------
    source : path, Polars, pandas or pyarrow table, or NumPy array
        What `miscreen.tables.open_table` takes.
    target : str or sequence of str, optional
        What to rank by. With `ranking` it names the target to use of several. The choices for several targets
        are united; a target for which no feature is left is told of by a warning of the logger ``miscreen``.
    ranking : Ranking or path, optional
        An earlier ranking of the same table; without it the table is ranked first.
    strategy : str, optional
        ``top``, ``threshold``, ``clump``, ``mrmr``, ``mrmr-quotient``, ``jmi``, ``cmim``, ``jmim``, ``disr`` or
        ``submodular``; by default ``top`` where `top` is given, or else ``threshold``.
    top : int, optional
        How many to choose for each target.
    min_mi, min_score : float, optional
        Candidates have at least this mutual information or score, in the ranking's unit.
    fdr : float, optional
        Candidates have q-values up to this false discovery rate.
    by : str
        What the best candidates are the best of: ``score``, ``p_value`` or ``q_value``.
    clump_mi : float, optional
        For ``clump``: a column falls to a better one that it shares more than this mutual information with, in the
        ranking's unit; by default that of a Gaussian pair with correlation 0.6, which is 0.223 nats.
    pool : int, optional
        How many of the best are candidates; by default 5,000 (``submodular``: 2,000), and all for ``top`` and
        ``threshold``.
    given : sequence of str
        Names or globs of columns that are in the model already: chosen before the first step, but not written.
    stability : int
        Rank and choose anew in so many random halves of the rows, and tell how often each column is chosen.
    selection : Steps or path, optional
        Take these columns, chosen before, and choose nothing.
    keep : sequence of str
        Names or globs of further columns, such as the target; they come first.
    **screening
        Every other keyword of `miscreen.rank`.

    Returns
    -------
    Selection
        Columns kept, then features, in the order of choosing.

    Raises
    ------
    InputError
        When it is not said how to choose or what to explain, or an option has no effect with the strategy.
    DataError
        When no feature is left for any target, or a feature of the ranking or the selection is not in the table.
    ResourceError
        When the codes of the candidates, one byte a sample, take more than half of the memory.

    Notes
    -----
    Beside ranking and reading, k steps from M candidates take k M tables of counts, each of O(n): 1.5 microseconds at
    1,000 samples. ``submodular`` takes M^2 / 2 tables and 4 M^2 bytes; ``top`` and ``threshold`` take none.

    Examples
    --------
    >>> import miscreen, numpy as np
    >>> rng = np.random.default_rng(1)
    >>> table = rng.standard_normal((200, 4))
    >>> table[:, 1] += 9 * table[:, 0]
    >>> table[:, 3] += table[:, 0] + table[:, 2]
    >>> names = ["a", "copy of a", "b", "y"]
    >>> miscreen.select(table, "y", names=names, top=2, keep=["y"]).to_arrow().column_names
    ['y', 'a', 'copy of a']
    >>> miscreen.select(table, "y", names=names, strategy="mrmr", top=2).names
    ['a', 'b']
    """
    settings = {
        "top": top, "min_mi": min_mi, "min_score": min_score, "fdr": fdr, "by": by, "clump_mi": clump_mi,
        "pool": pool, "given": tuple(expand_patterns(given)), "stability": stability,
    }  # fmt: skip
    settings = {name: v.item() if isinstance(v, np.generic) else v for name, v in settings.items()}
    keep = expand_patterns(keep)
    for name, given_one, made in (("ranking", ranking, Ranking), ("selection", selection, Steps)):
        if given_one is not None and not isinstance(given_one, made | str | PathLike):
            raise InputError(
                f"{name}= is of type {type(given_one).__name__}",
                f"Give {made.__name__}, or the path of a file of it",
            )
    if selection is not None:
        chosen_anew = target or ranking is not None or strategy or any(v for v in settings.values() if v != ORDERS[0])
        if chosen_anew or set(screening) - _OF_ANY_RUN:
            raise InputError(
                "a selection was given, so nothing is ranked or chosen and other options have no effect",
                "Give nothing but --keep beside it, or leave out --selection",
            )
        return _apply(source, selection if isinstance(selection, Steps) else Steps.read(selection), keep, screening)
    asked = SelectionSpec(strategy or ("threshold" if top is None else "top"), **settings)  # type: ignore[arg-type]
    if ranking is None and not target:
        raise InputError(
            "there is neither a target nor a ranking", "Give --target, or --ranking with an earlier result"
        )
    if ranking is not None:
        if without_effect := sorted(set(screening) - _OF_ANY_RUN):
            raise InputError(
                f"a ranking was given, so nothing is ranked and {', '.join(without_effect)} would have no effect",
                "Leave out options of ranking, or leave out --ranking",
            )
        if stability:
            raise InputError("subsamples are ranked anew, which a ranking given has no rows for", "Leave out --ranking")
    if min_mi is not None and screening.get("mi") is False:
        raise InputError("--min-mi needs what --no-mi leaves out", "Leave out one of them, or give --min-score")
    if fdr is not None:
        Inference(fdr=fdr)  # says what is wrong with it
    if ranking is None:
        screening |= {"fdr": fdr, "p_values": screening.get("p_values", False) or by != ORDERS[0]}
    request = Request.make(target or (), **screening)
    earlier = Ranking.read(ranking) if isinstance(ranking, str | PathLike) else ranking
    needed = name_matcher([*keep, *asked.given])
    with request.open(source, kept=needed) as table:
        spec, unit = (request.spec, request.unit) if earlier is None else _origin(earlier)
        found = screen(table, request) if earlier is None else earlier
        chooser = Chooser(table, request, spec, unit, asked)
        steps = _steps(chooser, found, request.targets or found.targets, asked)
        return _assembled(table, steps, found, keep, request)


def _origin(ranking: Ranking) -> tuple[ScreenSpec, str]:
    """How an earlier ranking came about, as far as its metadata tell, and its unit."""
    about = ranking.metadata
    kind = about.get("target_kind")
    spec = ScreenSpec(
        method=about.get("method", ""),
        options=None,
        discrete=tuple(about.get("discrete", ())),
        continuous=tuple(about.get("continuous", ())),
        target_kind=None if kind is None else Kind[kind.upper()],
        max_levels=about.get("max_levels", 20),
        min_samples=about.get("min_samples", 10),
    )
    return spec, "bits" if "mi_bits" in ranking.to_arrow().column_names else "nats"


def _steps(chooser: Chooser, ranking: Ranking, targets: Sequence[str], asked: SelectionSpec) -> Steps:
    """The steps for every target that has candidates, one after the other; an error when none has."""
    import pyarrow as pa

    if not targets and strategy_class(asked.strategy).needs_target:
        raise InputError("the ranking does not say what its target was", "Give --target")
    parts = []
    without: dict[str | None, NoCandidateError] = {}
    ranked_for: Sequence[str | None] = targets or [None]
    for target in ranked_for:
        try:
            part = chooser.choose(ranking if target is None else ranking.for_target(target), target)
        except NoCandidateError as error:
            without[target] = error
            continue
        if len(targets) > 1:
            part = part.add_column(0, "target", pa.array([target] * len(part), type=pa.string()))
        parts.append(part)
    if not parts:
        raise next(iter(without.values()))
    for target, reason in without.items():
        _LOG.warning("nothing is chosen for the target %r: %s", target, reason.message)
    chosen = {"strategy": asked.strategy} | {k: v for k, v in asdict(asked).items() if v not in (None, (), 0)}
    return Steps(pa.concat_tables(parts).combine_chunks(), {**chosen, "ranking": ranking.metadata})


def _apply(source: Any, steps: Steps, keep: Sequence[str], running: Mapping[str, Any]) -> Selection:
    request = Request.make((), **running)
    with request.open(source) as table:
        return _assembled(table, steps, None, keep, request)


def _assembled(
    table: TableSource, steps: Steps, ranking: Ranking | None, keep: Sequence[str], request: Request
) -> Selection:
    from miscreen.tables.wide import assemble

    index = NameIndex(table.names, table.label)
    kept = index.many(keep, "--keep")
    chosen = locate(index, steps.names, table.label)
    columns = np.concatenate([kept, chosen[~np.isin(chosen, kept)]])
    wide = assemble(table, columns, request.resources, request.on_progress)
    return Selection(steps.names, steps, ranking, wide)

"""From a ranking to a table of the chosen columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from miscreen.errors import DataError, InputError
from miscreen.inference.options import Inference
from miscreen.ranking import Ranking
from miscreen.request import Request
from miscreen.screening import screen
from miscreen.tables.columns import NameIndex, expand_patterns, name_matcher

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from miscreen.tables.wide import WideTable

ORDERS = ("score", "p_value", "q_value")
_OF_ANY_RUN = {"names", "read", "threads", "memory", "scratch_dir", "on_progress"}


@dataclass(frozen=True)
class Selection:
    """Chosen columns of a table.

    Attributes
    ----------
    names : list of str
        The chosen features, best first.
    ranking : Ranking
        The ranking that they were chosen from.
    """

    names: list[str]
    ranking: Ranking
    _wide: WideTable

    def to_arrow(self) -> pa.Table:
        """The columns kept and chosen as a pyarrow table, as the file has them."""
        return self._wide.table

    def to_polars(self) -> pl.DataFrame:
        """The columns kept and chosen as a Polars table."""
        import polars as pl

        frame = pl.from_arrow(self._wide.table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def write(self, path: str | PathLike[str], format: str | None = None, force: bool = False) -> None:
        """Write the columns; see `Ranking.write` for the errors."""
        from miscreen.tables.write import Destination

        Destination(Path(path), format, force).write(self._wide.table, self._metadata(), self._wide.on_bytes)

    def write_to(self, stream: BinaryIO, format: str = "csv") -> None:
        """Write the columns to an open binary stream, such as standard output."""
        from miscreen.tables.write import find_writer, write_stream

        write_stream(self._wide.table, stream, find_writer(format), self._metadata(), self._wide.on_bytes)

    def _metadata(self) -> dict[str, Any]:
        return {"n_selected": len(self.names), "ranking": self.ranking.metadata}


def select(
    source: Any,
    target: str | Sequence[str] | None = None,
    *,
    ranking: Ranking | str | PathLike[str] | None = None,
    top: int | None = None,
    min_mi: float | None = None,
    fdr: float | None = None,
    by: str = "score",
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
        are united.
    ranking : Ranking or path, optional
        An earlier ranking of the same table; without it the table is ranked first.
    top : int, optional
        The best so many features.
    min_mi : float, optional
        Features with at least this mutual information, in the ranking's unit.
    fdr : float, optional
        Features of q-values up to this false discovery rate.
    by : str
        What the best are the best of: ``score``, ``p_value`` or ``q_value``.
    keep : sequence of str
        Names or globs of further columns, such as the target; they come first.
    **screening
        Every other keyword of `miscreen.rank`.

    Returns
    -------
    Selection
        Columns kept, then features, best first.

    Raises
    ------
    InputError
        When none of `top`, `min_mi` and `fdr` is given, or neither `target` nor `ranking`.
    DataError
        When no feature is left, or a feature of the ranking is not in the table.

    Examples
    --------
    >>> import miscreen, numpy as np
    >>> rng = np.random.default_rng(1)
    >>> table = rng.standard_normal((200, 3))
    >>> table[:, 2] += table[:, 0]
    >>> miscreen.select(table, "y", names=["a", "b", "y"], top=1, keep=["y"]).to_arrow().column_names
    ['y', 'a']
    """
    if top is None and min_mi is None and fdr is None:
        raise InputError(
            "nothing says how many features to select",
            "Give --top, --min-mi or --fdr, or several (top=, min_mi=, fdr=)",
        )
    if by not in ORDERS:
        raise InputError(f"there is no order by {by!r}", f"Choose one of {', '.join(ORDERS)}")
    if top is not None and top < 1:
        raise InputError(f"top must be at least 1, not {top}")
    if ranking is None and not target:
        raise InputError(
            "there is neither a target nor a ranking", "Give --target, or --ranking with an earlier result"
        )
    if ranking is not None and (without_effect := sorted(set(screening) - _OF_ANY_RUN)):
        raise InputError(
            f"a ranking was given, so nothing is ranked and {', '.join(without_effect)} would have no effect",
            "Leave out options of ranking, or leave out --ranking",
        )
    if fdr is not None:
        Inference(fdr=fdr)  # says what is wrong with it
    if ranking is None:
        screening |= {"fdr": fdr, "p_values": screening.get("p_values", False) or by != ORDERS[0]}
    request = Request.make(target or (), **screening)
    earlier = Ranking.read(ranking) if isinstance(ranking, str | PathLike) else ranking
    keep = expand_patterns(keep)
    with request.open(source, kept=name_matcher(keep)) as table:
        if earlier is None:
            earlier = screen(table, request)
        chosen = choose(earlier, request.targets, top, min_mi, fdr, by)
        columns = _columns(table.names, table.label, chosen, keep)
        from miscreen.tables.wide import assemble

        return Selection(chosen, earlier, assemble(table, columns, request.resources, request.on_progress))


def choose(
    ranking: Ranking,
    targets: Sequence[str],
    top: int | None,
    min_mi: float | None,
    fdr: float | None = None,
    by: str = "score",
) -> list[str]:
    """The features that a ranking's best rows name, each once; `DataError` when there is none."""
    names: dict[str, None] = {}
    for one in targets or ranking.targets or [""]:
        rows = ranking.for_target(one).scored() if one else ranking.scored()
        if by != ORDERS[0]:
            rows = rows.by(by)
        if top is not None:
            rows = rows.top(top)
        if min_mi is not None:
            rows = rows.above(min_mi)
        if fdr is not None:
            rows = rows.within_fdr(fdr)
        names |= dict.fromkeys(rows.names)
    if not names:
        scored = ranking.scored()
        if not len(scored):
            raise DataError("no feature of the ranking has a score", "See the status column of the ranking")
        if min_mi is None:
            raise DataError(f"no feature has a q-value up to {fdr}", "Raise --fdr, or use --top")
        beside = "" if fdr is None else f" and a q-value up to {fdr}"
        raise DataError(f"no feature reaches a mutual information of {min_mi}{beside}", "Lower --min-mi, or use --top")
    return list(names)


def _columns(names: Sequence[str], label: str, chosen: Sequence[str], keep: Sequence[str]) -> np.ndarray:
    index = NameIndex(names, label)
    kept = index.many(keep, "--keep") if keep else np.empty(0, dtype=np.intp)
    known = set(names)
    missing = [name for name in chosen if name not in known]
    if missing:
        shown = ", ".join(repr(m) for m in missing[:3])
        raise DataError(
            f"{len(missing):,} of the {len(chosen):,} chosen features are not in {label}: {shown}",
            "Use the ranking of this very table",
        )
    positions = np.array([index.one(name, "the selection") for name in chosen], dtype=np.intp)
    return np.concatenate([kept, positions[~np.isin(positions, kept)]])

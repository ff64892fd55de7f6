"""The table of steps: which columns were chosen, in which order, and why."""

from __future__ import annotations

from os import PathLike

from miscreen.errors import DataError, path_given
from miscreen.result import Result, shown


class Steps(Result):
    """What a strategy did: a row for each column chosen, in order, then for columns that fell to one of them.

    The columns are ``target`` (when there are several), ``step`` (empty for a column that was not chosen), ``feature``,
    its ``rank`` and ``score`` in the ranking, and what the strategy tells: ``criterion``, ``relevance_nats``,
    ``redundancy_nats``, ``fell_to``, and ``frequency`` with stability.

    Attributes
    ----------
    metadata : dict
        The strategy with its options, and the ranking's metadata.
    """

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Steps:
        """Read a table of steps that was written in any of the formats.

        Raises
        ------
        InputError
            When there is no such file.
        DataError
            When the file is damaged, is no table of steps, or nothing was chosen in it.
        """
        from miscreen.tables.results import read_result

        path, columns = path_given("path", path), ("step", "feature")
        steps = cls(*read_result(path, "selection", columns, "miscreen select ... --steps -o chosen.json"))
        if not steps.names:
            raise DataError(f"nothing was chosen in {str(path)!r}", "Choose anew")
        return steps

    def __repr__(self) -> str:
        return f"<Steps of {len(self):,} rows: {shown(self.names)}>"

    @property
    def names(self) -> list[str]:
        """The columns chosen, in order, each once."""
        import pyarrow.compute as pc

        chosen = self._table.filter(pc.is_valid(self._table.column("step")))
        return list(dict.fromkeys(str(name) for name in chosen.column("feature").to_pylist()))

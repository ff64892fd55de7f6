"""From a ranking to a subset. The strategies by name: one line each, imported when first used."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from miscreen.errors import check_choice

if TYPE_CHECKING:
    from miscreen.selection.strategy import Strategy

STRATEGIES = {
    "top": "miscreen.selection.ranked:Top",
    "threshold": "miscreen.selection.ranked:Threshold",
    "clump": "miscreen.selection.clump:Clump",
    "mrmr": "miscreen.selection.greedy:Mrmr",
    "mrmr-quotient": "miscreen.selection.greedy:MrmrQuotient",
    "jmi": "miscreen.selection.greedy:Jmi",
    "cmim": "miscreen.selection.greedy:Cmim",
    "jmim": "miscreen.selection.greedy:Jmim",
    "disr": "miscreen.selection.greedy:Disr",
    "submodular": "miscreen.selection.submodular:Submodular",
}


def strategy_class(name: str) -> type[Strategy]:
    """The class behind a strategy's name; `InputError` when there is none."""
    check_choice("strategy", name, STRATEGIES)
    found: type[Strategy] = resolve_name(STRATEGIES[name])
    return found

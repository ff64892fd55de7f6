"""Screen very wide tables: rank every column by its mutual information with a target.

The public names are imported when they are first used, so that ``import miscreen`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

from miscreen._version import __version__

TYPE_CHECKING = False  # without `typing`, whose import is half of a short start
if TYPE_CHECKING:
    from typing import Any

    from miscreen.cluster.merging import merge
    from miscreen.cluster.shards import rank_shard
    from miscreen.conversion import convert
    from miscreen.description import Description, describe
    from miscreen.errors import DataError, InputError, MiscreenError, ResourceError, StoppedError
    from miscreen.evaluation.crossvalidation import evaluate
    from miscreen.evaluation.result import Evaluation
    from miscreen.pair import mutual_info
    from miscreen.ranking import Ranking
    from miscreen.screening import rank
    from miscreen.selection.steps import Steps
    from miscreen.selection.subset import Selection, select
    from miscreen.tables.delimited import ReadOptions

_PUBLIC = {
    "DataError": "miscreen.errors",
    "Description": "miscreen.description",
    "Evaluation": "miscreen.evaluation.result",
    "InputError": "miscreen.errors",
    "MiscreenError": "miscreen.errors",
    "Ranking": "miscreen.ranking",
    "ReadOptions": "miscreen.tables.delimited",
    "ResourceError": "miscreen.errors",
    "Selection": "miscreen.selection.subset",
    "Steps": "miscreen.selection.steps",
    "StoppedError": "miscreen.errors",
    "convert": "miscreen.conversion",
    "describe": "miscreen.description",
    "evaluate": "miscreen.evaluation.crossvalidation",
    "mutual_info": "miscreen.pair",
    "merge": "miscreen.cluster.merging",
    "rank": "miscreen.screening",
    "rank_shard": "miscreen.cluster.shards",
    "select": "miscreen.selection.subset",
}

__all__ = [
    "DataError",
    "Description",
    "Evaluation",
    "InputError",
    "MiscreenError",
    "Ranking",
    "ReadOptions",
    "ResourceError",
    "Selection",
    "Steps",
    "StoppedError",
    "__version__",
    "convert",
    "describe",
    "evaluate",
    "merge",
    "mutual_info",
    "rank",
    "rank_shard",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__

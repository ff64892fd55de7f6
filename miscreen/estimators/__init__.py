"""The estimators by name: one line each, imported when first used.

A new one is a file with a subclass of `miscreen.estimators.estimator.Estimator`, and a line below: the library, the
command line's ``--method``, ``describe`` and ``warmup`` follow, and tests of what holds for every method. Its options
go into `miscreen.cli.options.Screening`, and words for its readers into docs/methods.md, the table of the README and
the docstring of `miscreen.rank`; tests tell which are missing. `python tests/needed_kernels.py` lists its kernels, so
that they are compiled ahead.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from miscreen.errors import check_choice

if TYPE_CHECKING:
    from miscreen.estimators.estimator import Estimator

ESTIMATORS = {
    "auto": "miscreen.estimators.auto:Auto",
    "bin": "miscreen.estimators.binning:Binning",
    "kde": "miscreen.estimators.kde:Kde",
    "ksg": "miscreen.estimators.ksg:Ksg",
    "pearson": "miscreen.estimators.correlation:Pearson",
    "spearman": "miscreen.estimators.correlation:Spearman",
    "copula": "miscreen.estimators.correlation:Copula",
}


def estimator_class(name: str) -> type[Estimator]:
    """The class behind a method's name; `InputError` when there is none."""
    check_choice("method", name, ESTIMATORS)
    found: type[Estimator] = resolve_name(ESTIMATORS[name])
    return found

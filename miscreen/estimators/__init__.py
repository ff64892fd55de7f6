"""The estimators by name: one line each, imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from miscreen.errors import InputError

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
    try:
        module, _, attribute = ESTIMATORS[name].partition(":")
    except KeyError:
        raise InputError(f"there is no method {name!r}", f"Choose one of {', '.join(ESTIMATORS)}") from None
    found: type[Estimator] = getattr(import_module(module), attribute)
    return found

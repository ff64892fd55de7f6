"""What an estimator is: options, a target prepared once, and a score for every batch of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from miscreen.errors import InputError
from miscreen.model import Batch, Scores, Target


@dataclass(frozen=True)
class NoOptions:
    """For estimators that have nothing to set."""


class Estimator(ABC):
    """A measure of dependence, bound to one target.

    Subclasses declare their options as a frozen dataclass that checks itself in ``__post_init__`` (raising
    `InputError`), prepare whatever depends on the target alone in ``__init__``, and must not change
    themselves in `score`, which several threads call at once.

    A feature's score may depend on nothing but its own column, the target and the options: never on the
    other features of the batch, nor on how many there are.
    """

    Options: ClassVar[type[Any]] = NoOptions
    extra_columns: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, target: Target, options: Any) -> None: ...

    @abstractmethod
    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats.

        Missing values are deleted pair by pair: the estimate is the one for the samples in which the
        feature is present.
        """

    @classmethod
    def make_options(cls, given: Mapping[str, Any]) -> Any:
        """The options with defaults for what is not given; `InputError` names the first that is unknown."""
        known = [f.name for f in fields(cls.Options)]
        for name in given:
            if name not in known:
                takes = f"It takes {', '.join(known)}" if known else "It takes no options"
                raise InputError(f"method {cls.__name__.lower()!r} has no option {name!r}", takes)
        return cls.Options(**given)

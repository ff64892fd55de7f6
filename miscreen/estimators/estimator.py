"""What an estimator is: options, a target prepared once, and a score for every batch of features."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import InputError, option, real_number, whole_number
from miscreen.estimators import ESTIMATORS, estimator_class
from miscreen.model import Batch, Dealing, Floats, Scores, Target

_DRAWS = 40  # in one call, where few may be enough: a call takes as long as some scores


def settle_number(options: object, name: str, whole: range | None = None, otherwise: str = "") -> None:
    """Check one number among frozen options, and keep it as Python's own int or float.

    Other numbers, such as NumPy's, would be compiled for anew and could not be written as JSON.

    Parameters
    ----------
    options : object
        A frozen dataclass in its ``__post_init__``; the field is replaced.
    name : str
        The field.
    whole : range, optional
        What a whole number may be. Without it any positive, finite real number may be given.
    otherwise : str, optional
        What may be given in place of a number, for the message.

    Raises
    ------
    InputError
        When the field is not such a number. Neither a bool nor text is one, nor is 8.0 a whole one.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> options = SimpleNamespace(width=2)
    >>> settle_number(options, "width")
    >>> options.width
    2.0
    """
    given = getattr(options, name)
    number: int | float | None
    try:
        number = real_number(name, given, 0.0, math.inf) if whole is None else whole_number(name, given)
    except InputError:
        number = None
    if number is None or (whole is not None and number not in whole):
        if whole is None:
            expected = "a positive number"
        else:
            sort = "whole number" if whole.step == 1 else f"multiple of {whole.step}"
            expected = f"a {sort} from {whole[0]} to {whole[-1]}"
        raise InputError(f"{option(name)} is {given!r}", f"Give {expected}{otherwise and f', or {otherwise}'}")
    object.__setattr__(options, name, number)


@dataclass(frozen=True)
class NoOptions:
    """For estimators that have nothing to set."""


class Estimator(ABC):
    """A measure of dependence, bound to one target.

    Subclasses declare their options as a frozen dataclass that checks itself in ``__post_init__`` (raising
    `InputError`), prepare whatever depends on the target alone in ``__init__``, and must not change
    themselves in `score`, which several threads call at once.

    A feature's score may depend on nothing but its own column, the target and the options: never on the other
    features of the batch, nor on how many there are. What it ranks by may not depend on the order of the samples,
    but for rounding: p-values of two columns of levels take arrangements of one table of counts for the same.

    Attributes
    ----------
    Options : type
        The class of its options.
    score_alone : mapping
        Options by which only the score is estimated and `Scores.mi` left out, for runs that do without it.
    extra_columns : tuple of str
        Every name that `Scores.extras` may hold: columns of numbers, NaN for batches that come without.
    by_order : bool
        Whether `statistic` sees columns of few levels that are no labels as numbers or ranks, so that the few samples
        of a rare level hardly decide.
    table_order : str
        What orders the tables of counts of two columns of levels as `statistic` does, for a test by counts alone (see
        `miscreen.inference.chi_square.table_test`). ``jackknife``, ``miller-madow`` and ``plug-in`` hold for features
        whose `Scores.method` is ``plug-in`` and which have no score but `Scores.mi`; ``chi-square`` holds for two
        columns of labels, whatever is said of them. All others have p-values by permutation.
    """

    Options: ClassVar[type[Any]] = NoOptions
    score_alone: ClassVar[Mapping[str, Any]] = {}
    extra_columns: ClassVar[tuple[str, ...]] = ()
    by_order: ClassVar[bool] = False
    table_order: str = "jackknife"

    @abstractmethod
    def __init__(self, target: Target, options: Any) -> None: ...

    @property
    def margin_free(self) -> bool:
        """Whether `statistic` sees nothing of a feature and of the target but their order, with its ties.

        The statistics of all features that are tied alike then have one null distribution, up to rounding.
        """
        return False

    @abstractmethod
    def score(self, batch: Batch) -> Scores:
        """Estimate the mutual information of each feature with the target, in nats.

        Missing values are deleted pair by pair: the estimate is the one for the samples in which the
        feature is present.

        Features are ranked by `Scores.score` where there is one: in nats as well, and `Scores.mi` may be NaN then.
        """

    def statistic(self, batch: Batch) -> Floats:
        """What `score` ranks the features by, and nothing beside it: larger first, NaN where there is none.

        For permutations, which need no more. An estimator whose `score` computes other things too overrides it.
        """
        scores = self.score(batch)
        return scores.mi if scores.score is None else scores.score

    def arranged(self, dealing: Dealing, orders: NDArray[np.int64]) -> Floats:
        """`statistic` of arrangements of one feature, one a row, up to rounding."""
        found = np.empty(len(orders))
        count = self._in_one_pass(dealing, (*dealing.arrays, 0, orders, math.inf, len(orders), found))
        return self.statistic(dealing.batch(orders)) if count is None else found

    def drawn(self, dealing: Dealing, numbers: range, observed: float, enough: int) -> Floats:
        """`arranged` of the random arrangements of these numbers, or of fewer if so many have reached `observed`."""
        none, found = np.empty((0, len(dealing.samples)), dtype=np.int64), np.empty(len(numbers))
        count = self._in_one_pass(dealing, (*dealing.arrays, numbers.start, none, observed, enough, found))
        if count is not None:
            return found[:count]
        parts: list[Floats] = []
        step = _DRAWS if enough <= len(numbers) else len(numbers)
        reached = 0
        start = numbers.start
        while start < numbers.stop and reached < enough:
            stop = min(start + step, numbers.stop)
            parts.append(self.arranged(dealing, dealing.orders(np.arange(start, stop))))
            reached += int(np.count_nonzero(parts[-1] >= observed))
            start = stop
        return np.concatenate(parts) if parts else np.empty(0)

    def _in_one_pass(self, dealing: Dealing, asked: tuple[Any, ...]) -> int | None:
        """Write `statistic` of arrangements by a kernel that describes the feature once; None where there is none.

        Parameters
        ----------
        dealing : Dealing
        asked : tuple
            The last arguments of every such kernel, in this order: `Dealing.arrays`; the number of the first
            arrangement; the arrangements, one a row, or no rows for the random ones from that number on; a statistic,
            and after how many that reach it none is wanted any more; and float64 (n_arrangements,), to be filled.

        Returns
        -------
        int or None
            How many were written.
        """
        return None

    @classmethod
    def make_options(cls, given: Mapping[str, Any]) -> Any:
        """The options with defaults for what is not given; `InputError` names the first that is unknown."""
        known = [f.name for f in fields(cls.Options)]
        for name in given:
            if name not in known:
                others = [f"--method={method}" for method in ESTIMATORS if _has_option(method, name)]
                takes = f"It takes {', '.join(known)}" if known else "It takes no options"
                takes = f"Leave it out, or give {' or '.join(others)}" if others else takes
                here = f"{cls.__module__}:{cls.__name__}"
                method = next((method for method, where in ESTIMATORS.items() if where == here), here)
                raise InputError(f"method {method!r} has no option {name!r}", takes)
        return cls.Options(**given)


def _has_option(method: str, name: str) -> bool:
    """Whether a method has such an option, as far as it can be imported: what is wrong there is not what was asked."""
    try:
        return name in [f.name for f in fields(estimator_class(method).Options)]
    except Exception:
        return False

"""What a user asks for, checked before any data are touched."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from miscreen._version import __version__
from miscreen.errors import InputError, check_choice, function_given, whole_number
from miscreen.estimators import estimator_class
from miscreen.inference.options import Inference
from miscreen.measures import check_measures
from miscreen.model import Kind, ScreenSpec
from miscreen.ranking import UNITS
from miscreen.resources import Resources, library_threads
from miscreen.tables import Progress, no_columns, open_table
from miscreen.tables.columns import ColumnTest, expand_patterns, is_named, name_matcher
from miscreen.tables.source import TableSource

if TYPE_CHECKING:
    from miscreen.tables.delimited import ReadOptions


@dataclass(frozen=True)
class Request:
    """All that `rank` is asked.

    Attributes
    ----------
    targets : tuple of str
    spec : ScreenSpec
        What a score depends on besides the data.
    features, exclude : tuple of str
        Names and globs; lists in files are expanded by now, since such a file may be a pipe.
    unit : str
        ``nats`` or ``bits``.
    extra : tuple of str
        Further columns, of `miscreen.measures.MEASURES`.
    inference : Inference
    names : sequence of str, optional
        Column names of a NumPy array.
    read : ReadOptions, optional
    resources : Resources
    on_progress : callable, optional
    """

    targets: tuple[str, ...]
    spec: ScreenSpec
    features: tuple[str, ...]
    exclude: tuple[str, ...]
    unit: str
    extra: tuple[str, ...]
    inference: Inference
    names: Sequence[str] | None
    read: ReadOptions | None
    resources: Resources
    on_progress: Progress | None

    @classmethod
    def make(
        cls,
        target: Any = (),
        method: str = "auto",
        *,
        names: Sequence[str] | None = None,
        features: Sequence[str] = (),
        exclude: Sequence[str] = (),
        discrete: Sequence[str] = (),
        continuous: Sequence[str] = (),
        target_kind: str | None = None,
        max_levels: int = 20,
        min_samples: int = 10,
        unit: str = "nats",
        extra: Sequence[str] = (),
        seed: int = 0,
        read: ReadOptions | None = None,
        threads: int | None = None,
        memory: int | str | None = None,
        scratch_dir: str | None = None,
        on_progress: Progress | None = None,
        **further: Any,
    ) -> Request:
        """Check the keywords of `miscreen.rank`; `InputError` says what does not fit.

        Those of `Inference` and options of the method are among `further`.
        """
        of_chance = {field.name: further.pop(field.name) for field in fields(Inference) if field.name in further}
        if target_kind is not None:
            check_choice("target kind", target_kind, [k.label for k in Kind])
        check_choice("unit", unit, UNITS)
        function_given("on_progress", on_progress)
        spec = ScreenSpec(
            method=method,
            options=cls._options(method, further),
            discrete=tuple(expand_patterns(discrete)),
            continuous=tuple(expand_patterns(continuous)),
            target_kind=None if target_kind is None else Kind[target_kind.upper()],
            max_levels=whole_number("max_levels", max_levels, 2),
            min_samples=whole_number("min_samples", min_samples, 2),
            seed=whole_number("seed", seed),
        )
        return cls(
            targets=_target_names(target),
            spec=spec,
            features=tuple(expand_patterns(features)),
            exclude=tuple(expand_patterns(exclude)),
            unit=unit,
            extra=check_measures(extra),
            inference=Inference(**of_chance),
            names=names,
            read=read,
            resources=Resources.detect(threads, memory, scratch_dir),
            on_progress=on_progress,
        )

    @classmethod
    def _options(cls, method: str, given: Mapping[str, Any]) -> Any:
        """Those of the method; what is none may be a keyword of all methods, mistyped."""
        estimator = estimator_class(method)
        options = {field.name for field in fields(estimator.Options)}
        for name in (name for name in given if name not in options):
            keywords = [*inspect.signature(cls.make).parameters, *(field.name for field in fields(Inference))]
            if near := difflib.get_close_matches(name, keywords, 1, 0.8):
                raise InputError(f"there is no keyword {name!r}", f"Did you mean {near[0]}?")
        return estimator.make_options(given)

    @contextmanager
    def open(self, source: Any, kept: ColumnTest = no_columns, *, once: bool = False) -> Iterator[TableSource]:
        """The table, with the pools of all libraries held to the threads allowed.

        Columns excluded are not read, but for the strata and those that `kept` names. `once` promises that each
        column is read once, and neighbours together.
        """
        strata = [] if self.inference.strata is None else [self.inference.strata]
        classes = self.targets if self.spec.target_kind == Kind.DISCRETE else ()
        excluded, wanted = name_matcher(self.exclude), is_named([*strata, *self.targets])
        with (
            library_threads(self.resources.threads),
            open_table(
                source,
                resources=self.resources,
                names=self.names,
                read=self.read,
                text_columns=name_matcher([*self.spec.discrete, *classes]),
                ignored_columns=lambda names: excluded(names) & ~wanted(names) & ~kept(names),
                once=once,
                on_progress=self.on_progress,
            ) as table,
        ):
            yield table

    def metadata(self) -> dict[str, Any]:
        """What a result depends on, as its file says it."""
        spec = self.spec
        return {
            "version": __version__,
            "target": list(self.targets),
            "method": spec.method,
            "options": asdict(spec.options),
            "features": list(self.features),
            "exclude": list(self.exclude),
            "read": None if self.read is None else asdict(self.read) | {"null_values": list(self.read.null_values)},
            "discrete": list(spec.discrete),
            "continuous": list(spec.continuous),
            "target_kind": None if spec.target_kind is None else spec.target_kind.label,
            "max_levels": spec.max_levels,
            "min_samples": spec.min_samples,
            "unit": self.unit,
            "extra": list(self.extra),
            **asdict(self.inference),
            "seed": spec.seed,
        }


def _target_names(target: Any) -> tuple[str, ...]:
    """One or several names; `InputError` when they are no text."""
    names = tuple(target) if isinstance(target, list | tuple) else (target,)
    if not all(isinstance(name, str) for name in names):
        raise InputError(
            f"the target is of type {type(target).__name__}",
            "Give the name of a column, or a list of names; put values into the table as a column",
        )
    return names

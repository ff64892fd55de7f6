"""From a verb that takes groups of options to a function with one parameter an option, as Typer wants it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

from miscreen.cli.options import GROUPS


def flat(verb: Callable[..., None]) -> Callable[..., None]:
    """Spread the groups among the parameters of a verb into options of their own.

    Parameters
    ----------
    verb : callable
        A command whose parameters are Typer's, or annotated with one of `GROUPS`.

    Returns
    -------
    callable
        Takes every option as a keyword, as Typer calls it, and calls `verb` with the groups put together.
    """
    hints = get_type_hints(verb, include_extras=True)
    parameters: list[inspect.Parameter] = []
    members: dict[str, tuple[type[Any], list[str]]] = {}
    for parameter in inspect.signature(verb).parameters.values():
        hint = hints[parameter.name]
        if hint in GROUPS:
            types = get_type_hints(hint, include_extras=True)
            members[parameter.name] = hint, [f.name for f in fields(hint)]
            spread = [(f.name, types[f.name], f.default) for f in fields(hint)]
        else:
            spread = [(parameter.name, hint, parameter.default)]
        for name, annotation, default in spread:
            parameters.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )

    @wraps(verb)
    def spread_out(**values: Any) -> None:
        for name, (group, names) in members.items():
            values[name] = group(**{member: values.pop(member) for member in names})
        verb(**values)

    spread_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {p.name: p.annotation for p in parameters}
    return spread_out

"""What can go wrong, as the user sees it: a sentence, a hint and an exit code."""

from __future__ import annotations

import ast
import math
import operator
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

_OPTION = re.compile(  # or a quoted stretch, such as a name of the user's
    r"""(?<!\w)(?: '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
    | (?<![\w'"-])--(?P<name>[a-z]+(?:-[a-z]+)*)
    (?:[ =](?P<value> \$'(?:\\.|[^'])*' | (?:'[^']*'|"[^"]*"|\\.)+ | [0-9](?:[\w.+-]*\w)? | none\b
                      | (?<==)[^\s'";,]+ ))?""",
    re.VERBOSE,
)
_COMMAND = re.compile(r"\b(?:sbatch|dask|miscreen) ")
_KEYWORDS = {  # where they are not called like their options
    "force": "force=True", "no-mi": "mi=False", "p-values": "p_values=True", "resume": "checkpoints",
    "scratch": "scratch_dir",
}  # fmt: skip
_LONGEST = 60  # characters of a name that a message shows
_OF_READING = {"delimiter": "delimiter={}", "null": "null_values=[{}]", "quote": "quote={}"}


def in_python(text: str) -> str:
    """A message with the command line's options in it as keywords of the library, unless it is a whole command.

    What is quoted stays as it is, but for values of options.

    Examples
    --------
    >>> in_python("Lower --min-samples, or overwrite with --force")
    'Lower min_samples, or overwrite with force=True'
    >>> in_python("add --null '-', or --exclude='age in years'")
    "add read=ReadOptions(null_values=['-']), or exclude='age in years'"
    >>> in_python("no column 'the dask --force of it' for --keep")
    "no column 'the dask --force of it' for keep"
    """

    def keyword(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        if name is None:
            return found[0]
        if value is not None and not re.fullmatch(r"[\d.]+(e-?\d+)?", value):  # text, as it is typed in a shell
            try:
                word = ast.literal_eval(value[1:]) if value.startswith("$") else shlex.split(value)[0]
            except (SyntaxError, ValueError):
                return found[0]
            value = repr("" if (name, word) == ("quote", "none") else word)
        if name in _OF_READING:
            return f"read=ReadOptions({_OF_READING[name].format(value or '...')})"
        called = _KEYWORDS.get(name, name.replace("-", "_"))
        return called if value is None else f"{called}={value}"

    return text if _COMMAND.search(_OPTION.sub("", text)) else _OPTION.sub(keyword, text)


class MiscreenError(Exception):
    """Base of every error that miscreen raises on purpose.

    As text, such as in a traceback, it names keywords of the library; its parts name options of the command line.

    Parameters
    ----------
    message : str
        What was found and what was expected.
    hint : str, optional
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        message = in_python(self.message)
        return f"{message.removesuffix('.')}. {in_python(self.hint)}" if self.hint else message

    def __reduce__(self) -> tuple[type[MiscreenError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class InputError(MiscreenError):
    """The request cannot be carried out as asked: an unknown name, option or path (exit code 2)."""

    exit_code = 2


class DataError(MiscreenError):
    """The data are not what a screen needs: broken, ragged, constant, empty (exit code 1)."""


class ResourceError(MiscreenError):
    """Memory, disk or threads do not suffice (exit code 1).

    Attributes
    ----------
    source : str
        The limit that does not suffice, where it is one of the machine or the job.
    """

    source = ""


class StoppedError(MiscreenError):
    """The run was asked to stop, and can be resumed (exit code 75, EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


def installing(extra: str) -> str:
    """How to get what an extra of the package brings, whether or not an index has the package."""
    return f"Install it with: pip install '.[{extra}]' in a checkout of miscreen, or 'miscreen[{extra}]'"


def option(keyword: str) -> str:
    """What the command line calls a keyword of the library; several words as they are.

    Examples
    --------
    >>> option("max_t"), option("memory in bytes")
    ('--max-t', 'memory in bytes')
    """
    return f"--{keyword.replace('_', '-')}" if keyword.isidentifier() else keyword


def check_choice(what: str, given: Any, known: Iterable[str]) -> None:
    """`InputError` when what was given is none of the words that there are to choose from.

    Examples
    --------
    >>> check_choice("unit", "bit", ("nats", "bits"))
    Traceback (most recent call last):
    miscreen.errors.InputError: there is no unit 'bit'. Choose one of nats, bits
    """
    if not isinstance(given, str) or given not in known:
        raise InputError(f"there is no {what} {given!r}", f"Choose one of {', '.join(known)}")


def whole_number(name: str, given: Any, least: int | None = None, most: int | None = None) -> int:
    """What was given for an option as Python's own int; `InputError` when it is no whole number in these bounds.

    Neither a bool nor text is one, nor is 8.0.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number("top", np.int64(5), 1)
    5
    """
    try:
        number = None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        number = None
    below = number is not None and least is not None and number < least
    above = number is not None and most is not None and number > most
    if number is None or below or above:
        bounds = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most:,}"
        raise InputError(f"{option(name)} must be a whole number{bounds}, not {given!r}")
    return number


def real_number(name: str, given: Any, above: float | None = None, below: float | None = None) -> float:
    """What was given for an option as Python's own float; `InputError` when it is no number, NaN, or not between.

    Examples
    --------
    >>> real_number("threshold", 1)
    1.0
    """
    try:
        number = math.nan if isinstance(given, bool) or not isinstance(given, Real) else float(given)
    except OverflowError:
        number = math.nan
    within = (above is None or number > above) and (below is None or number < below)
    if math.isnan(number) or not within:
        bounds = "" if above is None else f" above {above:g}" if below is None else f" between {above:g} and {below:g}"
        raise InputError(f"{option(name)} must be a number{bounds}, not {given!r}")
    return number


def truth_value(name: str, given: Any) -> bool:
    """What was given for an option that is on or off; `InputError` when it is neither, such as ``"no"``.

    Examples
    --------
    >>> truth_value("p_values", True)
    True
    """
    if type(given).__name__ not in ("bool", "bool_"):  # NumPy's own is none of Python's
        raise InputError(f"{name} must be True or False, not {given!r}")
    return bool(given)


def check_utf8(texts: Sequence[str]) -> None:
    """`InputError` when a text is none, as where Python holds bytes of a command line that are not UTF-8."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        wrong = next(text for text in texts if any("\ud800" <= c <= "\udfff" for c in text))
        raise InputError(f"{wrong!r} is no UTF-8 text, as names of columns and cells are", "Give it in UTF-8") from None


def in_short(text: str, most: int = _LONGEST) -> str:
    """A name or a cell in a message, which leaves out the end of one that would fill a screen.

    Examples
    --------
    >>> print(in_short("age"), in_short("age" * 1000))
    'age' 'ageageageageageageageageageageageageageageageageageageage...'
    """
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")


def first_of(names: Sequence[str]) -> str:
    """The first of some names, and how many more they are, for a message.

    Examples
    --------
    >>> first_of(["age", "iq", "sex"])
    "'age' (and 2 more)"
    """
    return in_short(names[0]) + (f" (and {len(names) - 1:,} more)" if len(names) > 1 else "")


def as_typed(text: str) -> str:
    r"""A text as it is typed in a shell.

    Examples
    --------
    >>> print(as_typed("n/a"), as_typed("it's"), as_typed("\xa05"))
    'n/a' 'it'\''s' $'\u00a05'
    """
    if text.isprintable():
        return "'" + text.replace("'", "'\\''") + "'"
    marked = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = (c if c.isprintable() else ("\\u%04x" if c < "\U00010000" else "\\U%08x") % ord(c) for c in marked)
    return f"$'{''.join(escaped)}'"


def function_given(name: str, given: Any) -> None:
    """`InputError` when what was given for a function to call is neither one nor None."""
    if not (given is None or callable(given)):
        raise InputError(f"{name} must be a function, not {given!r}")


def path_given(name: str, given: Any) -> Path:
    """What was given for a path; `InputError` when it is none, such as a number."""
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"{name} must be a path, not {given!r}")
    return Path(given)

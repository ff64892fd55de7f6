"""Choosing columns by name, glob or a file of names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import InputError, check_utf8, in_short
from miscreen.tables import no_columns

_FEW = 3  # names that a message shows of several
ColumnTest = Callable[[Sequence[str]], NDArray[np.bool_]]
"""Tells which of a table's columns are meant, by their names: bool array of shape (n_columns,)."""


def expand_patterns(patterns: str | Sequence[str]) -> list[str]:
    """Replace every ``@file`` by the lines of that file; a single text is a single pattern."""
    expanded: list[str] = []
    several = isinstance(patterns, Iterable) and not isinstance(patterns, str)
    for pattern in patterns if several else [patterns]:
        if not isinstance(pattern, str):
            raise InputError(f"{pattern!r} cannot name a column", "Give names or globs, as text or as a list of text")
        if not pattern.startswith("@"):
            expanded.append(pattern)
            continue
        try:
            lines = Path(pattern[1:]).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise InputError(
                f"cannot read the list of names {pattern[1:]!r}: {why}",
                "Give a UTF-8 file with one name or glob a line",
            ) from error
        found = [line for line in lines if line]
        if not found:
            raise InputError(f"the list of names {pattern[1:]!r} is empty", "Give a file with one name or glob a line")
        expanded += found
    check_utf8(expanded)
    return expanded


def is_named(chosen: Collection[str]) -> ColumnTest:
    """A test of which of a table's names are among those chosen."""
    exact = frozenset(chosen)
    if not exact:
        return no_columns
    return lambda names: np.fromiter(map(exact.__contains__, names), np.bool_, len(names))


def name_matcher(patterns: Sequence[str]) -> ColumnTest:
    """A test of which of a table's names `NameIndex.many` finds for any of the patterns."""
    exact, globs = is_named(patterns), [p for p in patterns if _is_glob(p)]

    def test(names: Sequence[str]) -> NDArray[np.bool_]:
        found = exact(names)
        for glob in globs:
            if glob not in names:
                found[_matches(glob, names)] = True
        return found

    return test


def _matches(glob: str, names: Sequence[str]) -> list[int]:
    """Where the names are that a glob matches."""
    match = re.compile(translate(glob)).match
    return [i for i, name in enumerate(names) if match(name)]


def _is_glob(pattern: str) -> bool:
    return any(c in pattern for c in "*?[")


class NameIndex:
    """Where each column of a table is; made once, since tables may have a million.

    The first name is looked for among all of them, in a tenth of the time that it takes to note where each is.
    """

    def __init__(self, names: Sequence[str], label: str) -> None:
        self._names = names
        self._label = label
        self._looked = False

    @cached_property
    def _position(self) -> dict[str, int]:
        return dict(zip(self._names, range(len(self._names)), strict=True))

    def _find(self, name: str) -> int | None:
        if self._looked:
            return self._position.get(name)
        self._looked = True
        return self._names.index(name) if name in self._names else None

    def has(self, name: str) -> bool:
        """Whether a column has that exact name."""
        return name in self._position

    def one(self, name: str, role: str) -> int:
        """The position of the column with that exact name; `InputError` with near names when there is none."""
        position = self._find(name)
        if position is None:
            raise InputError(f"{self._label} has no column {in_short(name)} for {role}", self._advice(name))
        return position

    def many(self, patterns: Sequence[str], role: str) -> NDArray[np.intp]:
        """The positions that any name or glob matches, ascending; `InputError` when one matches nothing.

        A pattern that is a column's exact name means that column, whatever characters it holds.
        """
        found: set[int] = set()
        for pattern in patterns:
            exact = self._position.get(pattern)
            if exact is not None:
                found.add(exact)
                continue
            if not _is_glob(pattern):
                parts = pattern.split(",")
                several = len(parts) > 1 and all(map(self.has, parts))
                advice = f"Name each by itself{_repeated(role, parts)}" if several else self._advice(pattern)
                raise InputError(f"{self._label} has no column {in_short(pattern)} for {role}", advice)
            hits = _matches(pattern, self._names)
            if not hits:
                raise InputError(f"{role} {pattern!r} matches no column of {self._label}", "Check the pattern")
            found.update(hits)
        return np.array(sorted(found), dtype=np.intp)

    def _advice(self, name: str) -> str:
        folded = name.casefold()
        near = [n for n in self._names if n.casefold() == folded][:3]
        if not near and len(self._names) <= 20_000:  # comparing all of a wide table's names takes seconds
            near = difflib.get_close_matches(name, self._names, n=3)
        if near:
            return f"Did you mean {' or '.join(in_short(n) for n in near)}?"
        if not self._names:
            return "It has no columns at all"
        if len(self._names) == 1:
            return f"It has one column, {in_short(self._names[0])}: if that is a whole line, give its --delimiter"
        first = ", ".join(map(in_short, self._names[:5]))
        return f"It has {len(self._names):,} columns: {first}{', ...' if len(self._names) > 5 else ''}"


def _repeated(option: str, names: Sequence[str]) -> str:
    """What to type in a shell: an option once for each name.

    Examples
    --------
    >>> _repeated("--exclude", ["iq", "brain volume"])
    ": --exclude=iq --exclude='brain volume'"
    """
    if not option.startswith("--"):  # of a library's call
        return ""
    return ": " + " ".join(f"{option}={quote(name)}" for name in names[:_FEW]) + (" ..." if len(names) > _FEW else "")

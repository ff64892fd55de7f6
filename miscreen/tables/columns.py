"""Choosing columns by name, glob or a file of names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from miscreen.errors import InputError


def expand_patterns(patterns: str | Sequence[str]) -> list[str]:
    """Replace every ``@file`` by the lines of that file; a single text is a single pattern."""
    expanded: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if not pattern.startswith("@"):
            expanded.append(pattern)
            continue
        try:
            lines = Path(pattern[1:]).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read the list of names {pattern[1:]!r}: {error}",
                "Give a UTF-8 file with one name or glob a line",
            ) from error
        expanded += [line for line in lines if line]
    return expanded


def name_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test of whether a name is, or matches, any of the patterns."""
    exact = set(patterns)
    globs = [re.compile(translate(p)).match for p in patterns if any(c in p for c in "*?[")]
    return lambda name: name in exact or any(match(name) for match in globs)


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
            raise InputError(f"{self._label} has no column {name!r} for {role}", self._advice(name))
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
            if not any(c in pattern for c in "*?["):
                raise InputError(f"{self._label} has no column {pattern!r} for {role}", self._advice(pattern))
            matches = re.compile(translate(pattern)).match
            hits = [i for i, name in enumerate(self._names) if matches(name)]
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
            return f"Did you mean {' or '.join(repr(n) for n in near)}?"
        shown = ", ".join(repr(n) for n in self._names[:5])
        return f"It has {len(self._names):,} columns: {shown}{', ...' if len(self._names) > 5 else ''}"

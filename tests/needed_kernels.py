"""Write `miscreen/kernels/needed.tsv`: the kernels that are called, by what, and for which types.

    python tests/needed_kernels.py          write it anew
    python tests/needed_kernels.py --print  print it

Every method ranks the table of ``miscreen warmup`` for each of its targets in a process of its own, which notes the
kernels that it loads. A line has the users ("ksg" for every target, "ksg+discrete" for every one of that kind, "ksg?"
for some), the kernel, and its types; the largest come first. "files" are the lanes of files and what looks at their
columns, "select" the strategies that look at pairs.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import miscreen
from miscreen.cli.warmup import (
    NARROW,
    TARGETS,
    look_at_columns,
    permute,
    read_large_files,
    small_sources,
    small_table,
)
from miscreen.estimators import ESTIMATORS
from miscreen.kernels import _ahead, _jit
from miscreen.model import Kind

Used = dict[tuple[str, str], int]
KINDS = {Kind.CONTINUOUS.label: {"number"}, Kind.DISCRETE.label: {*TARGETS} - {"number"}}


def _called(run: Any) -> Used:
    """Kernels that a run loads, each with the bytes of its machine code."""
    found: dict[tuple[str, str], Any] = {}
    load = _jit._Kernel._load

    def noted_load(kernel: Any, types: tuple[str, ...]) -> Any:
        found[kernel._name, " ".join(types)] = kernel._code(types)
        return load(kernel, types)

    _jit._Kernel._load = noted_load  # type: ignore[method-assign]
    run()
    return {entry: len(code.read() or b"") for entry, code in found.items()}


def _method(method: str, target: str) -> Used:
    return _called(lambda: miscreen.rank(small_table(), target, method, threads=1))


def _files(_: str, target: str) -> Used:
    def run() -> None:
        with tempfile.TemporaryDirectory() as directory:
            for source in small_sources(Path(directory)):
                miscreen.rank(source, target, "pearson", threads=1)
                miscreen.rank(source, "single", "pearson", features=NARROW, threads=1)
        read_large_files()
        look_at_columns()

    return _called(run)


def _permute(_: str, __: str) -> Used:
    methods = _called(lambda: permute(p_values=False))
    return {entry: size for entry, size in _called(permute).items() if entry not in methods}


def _select(_: str, strategy: str) -> Used:
    return _called(lambda: miscreen.select(small_table(), "number", strategy=strategy, top=2, threads=1))


def lines() -> list[str]:
    """The lines of the table."""
    asked = [(_method, method, target) for method in ESTIMATORS for target in TARGETS]
    asked += [(_files, "files", target) for target in TARGETS]
    asked += [(_permute, "p-values", "number")]
    asked += [(_select, "select", strategy) for strategy in ("mrmr", "cmim")]
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        answers = [pool.apply_async(run, arguments) for run, *arguments in asked]
        found = [answer.get() for answer in answers]
    size: Used = {}
    runs: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    asked_of: dict[str, set[str]] = defaultdict(set)
    for (_, user, one), used in zip(asked, found, strict=True):
        asked_of[user].add(one)
        for entry, bytes_ in used.items():
            size[entry] = bytes_
            runs[entry][user].add(one)
    return [
        "\t".join((" ".join(word for u, ran in runs[entry].items() for word in _words(u, ran, asked_of[u])), *entry))
        for entry in sorted(size, key=lambda entry: (-size[entry], entry))
    ]


def _words(user: str, ran: set[str], asked: set[str]) -> list[str]:
    """How the table says for which of the targets asked for a user ran a kernel."""
    if ran == asked:
        return [user]
    words = []
    for kind, targets in (KINDS if user in ESTIMATORS else {}).items():
        if targets <= ran:
            words.append(f"{user}+{kind}")
            ran = ran - targets
    return words + [f"{user}?"] * bool(ran)


if __name__ == "__main__":
    text = "".join(f"{line}\n" for line in lines())
    if "--print" in sys.argv[1:]:
        sys.stdout.write(text)
    else:
        _ahead.NEEDED.write_text(text)

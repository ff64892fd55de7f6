"""Compile kernels ahead in processes of their own, since Numba compiles one at a time in each.

`needed.tsv` says which kernels a method calls, and for which types; a test holds it to what is called, and
``python tests/needed_kernels.py`` writes it anew. What it lacks is compiled when it is called.
"""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from miscreen.kernels import _cache

NEEDED = Path(__file__).with_name("needed.tsv")
_MODULE = "miscreen.kernels._ahead"
_running: list[subprocess.Popen[bytes]] = []  # they end with this process, however it ends


def needed(users: Iterable[str]) -> list[tuple[str, str, bool]]:
    """Kernels and types that methods need, and whether for every target: those first, the largest ahead of all.

    Of the others the smallest come first, since a run begins with what most columns need, which is large.
    """
    rows = [line.split("\t") for line in NEEDED.read_text().splitlines()]
    always, perhaps = set(users), {f"{user}?" for user in users}
    sure = [(kernel, types, True) for who, kernel, types in rows if always.intersection(who.split())]
    rest = [(kernel, types, False) for who, kernel, types in rows if perhaps.intersection(who.split())]
    return sure + [entry for entry in reversed(rest) if (*entry[:2], True) not in sure]


def start(users: Iterable[str], processes: int) -> None:
    """Let so many processes compile what methods need and nobody has compiled yet."""
    users = list(users)
    if _cache.CACHE_DIR is None or not sys.executable:
        return
    if {kernel for kernel, _, always in needed(users) if always} <= set(_cache.kept_kernels()):
        return
    command = [sys.executable, "-P", "-m", _MODULE, *users]
    for _ in range(processes):
        _running.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing comes but the end
    with _cache.Code.saving:
        for code in list(_cache.Code.claims):
            code.release()
        os._exit(0)


def _compile(users: list[str]) -> None:
    for kernel, types, _ in needed(users):
        module, _, name = kernel.partition(".")
        getattr(importlib.import_module(f"miscreen.kernels.{module}"), name).compile_ahead(types.split())


if __name__ == "__main__":
    gc.disable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _compile(sys.argv[1:])

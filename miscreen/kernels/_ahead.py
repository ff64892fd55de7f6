"""Compile kernels ahead in processes of their own, since Numba compiles one at a time in each.

`needed.tsv` says which kernels a method calls, and for which types; a test holds it to what is called, and
``python tests/needed_kernels.py`` writes it anew. What it lacks is compiled when it is called.
"""

from __future__ import annotations

import contextlib
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
_users: list[str] = []  # what this process compiles for, or lets others compile for
_looked_at: set[tuple[str, str]] = set()


def needed(users: Iterable[str]) -> list[tuple[str, str, bool]]:
    """Kernels and types that users need, and whether certainly: those first, the largest ahead of all.

    A user is a method, or ``auto+discrete``: a method with the kind of its target, once that is known. Of what is not
    certain the smallest come first, since a run begins with what most columns need, which is large.
    """
    words = set(users)
    open_still = words - {word.partition("+")[0] for word in words if "+" in word}
    sure, rest = [], []
    for line in NEEDED.read_text().splitlines():
        who, kernel, types = line.split("\t")
        if words.intersection(who.split()):
            sure.append((kernel, types, True))
        elif any(word.strip("?") in words or word.partition("+")[0] in open_still for word in who.split()):
            rest.append((kernel, types, False))
    return sure + rest[::-1]


def start(users: Iterable[str], processes: int) -> None:
    """Let so many processes compile what methods need and nobody has compiled yet."""
    users = list(users)
    if _cache.CACHE_DIR is None or not sys.executable:
        return
    if {kernel for kernel, _, always in needed(users) if always} <= set(_cache.kept_kernels()):
        return
    _users[:] = users
    command = [sys.executable, "-P", "-m", _MODULE, *users]
    for _ in range(processes):
        _running.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )


def expect(user: str) -> None:
    """Say more exactly who will need kernels, such as ``auto+discrete``, to those who compile them."""
    if not _users or user in _users:
        return
    _users.append(user)
    for process in _running:
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has done its work
            os.write(process.stdin.fileno(), f"{user}\n".encode())


def compile_next(*, certain: bool = False) -> bool:
    """Compile what is needed next, unless it is there or somebody is at it; False when nothing is left.

    Who waits for another kernel compiles what is `certain` alone: the rest may take longer, for nothing.
    """
    for kernel, types, sure in needed(_users) if _users else ():
        if (kernel, types) not in _looked_at and (sure or not certain):
            _looked_at.add((kernel, types))
            module, _, name = kernel.partition(".")
            getattr(importlib.import_module(f"miscreen.kernels.{module}"), name).compile_ahead(types.split())
            return True
    return False


def _listen() -> None:
    """Hear what is expected, and end with the parent."""
    for line in sys.stdin:
        _users.append(line.strip())
    with _cache.Code.saving:
        for code in list(_cache.Code.claims):
            code.release()
        os._exit(0)


if __name__ == "__main__":
    gc.disable()
    _users[:] = sys.argv[1:]
    threading.Thread(target=_listen, daemon=True).start()
    while compile_next():
        pass

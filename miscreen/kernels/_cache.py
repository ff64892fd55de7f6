"""Where machine code is kept between runs, and which process compiles what of it.

Numba's own cache key knows neither the options of ``njit`` nor helpers in other files nor a mixed set of
processors, so the directory is keyed by all three: package version, a hash of every kernel source, the processor,
and Numba's version. It is probed before use; where nothing can be written, kernels are compiled anew in each process.

Nor is its index safe: two processes that compile the same kernel for different types may both call their code by
the same name, and one damaged file ends every later run. Here each kernel and signature has a file of its own, named
by what it is and checked by its digest, written aside and renamed; whatever is wrong with one, the kernel is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from miscreen._version import __version__

try:
    import fcntl
except ImportError:  # no such locks: every process compiles for itself
    fcntl = None  # type: ignore[assignment]

_DIGEST_BYTES = 32
_LONGEST_WAIT = 60.0  # seconds for another process to compile a kernel; few take five
_POLL = 0.02


def _processor() -> str:
    """What machine code depends on: model and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        wanted = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
        return "".join(sorted(set(wanted)))
    except OSError:
        return platform.processor() + platform.machine()


def _cache_key() -> str:
    digest = hashlib.sha256(__version__.encode())
    digest.update(_processor().encode())
    for place in getattr(importlib.util.find_spec("numba"), "submodule_search_locations", None) or ():
        digest.update((Path(place) / "_version.py").read_bytes())  # without the time that its import takes
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _ours_alone(directory: Path) -> bool:
    """Whether nobody else can write there, nor put another directory in its place."""
    own, above = directory.stat(), directory.parent.stat()
    owners = {above.st_uid, directory.parent.lstat().st_uid}  # of a link, too
    shared = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    return not own.st_mode & 0o022 and owners <= {0, os.getuid()} and not shared


def _writable(directory: Path, asked_for: bool) -> bool:
    """Whether machine code can be kept there: by us, and put there by nobody else, since it is executed.

    Who asked for a directory knows who may write beside it.
    """
    try:
        if not asked_for:
            directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and (
            directory.stat().st_uid != os.getuid() or not (asked_for or _ours_alone(directory))
        ):
            return False
        with tempfile.NamedTemporaryFile(dir=directory, prefix="probe-") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
    except OSError:
        return False
    return True


def choose_cache_dir() -> Path | None:
    """The first writable of MISCREEN_CACHE_DIR, the user's cache and the scratch directory."""
    key = f"kernels-{_cache_key()}"
    explicit = os.environ.get("MISCREEN_CACHE_DIR")
    if explicit and _writable(Path(explicit) / key, asked_for=True):
        return Path(explicit) / key
    candidates = []
    with contextlib.suppress(RuntimeError):  # nobody's home, as in containers
        candidates.append(Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "miscreen")
    candidates.append(Path(tempfile.gettempdir()) / f"miscreen-{os.getuid() if hasattr(os, 'getuid') else 0}")
    for candidate in candidates:
        if _writable(candidate / key, asked_for=False):
            return candidate / key
    return None


CACHE_DIR = choose_cache_dir()


def kept_kernels() -> list[str]:
    """The kernels whose machine code is kept, as ``module.function``; once for each signature."""
    return [] if CACHE_DIR is None else sorted(p.name.rpartition("-")[0] for p in CACHE_DIR.glob("*.code"))


class Code:
    """The file of one kernel and signature: its machine code, and who is compiling it.

    Of several processes that miss it one compiles, and the others wait for what it keeps. The claim is a lock that
    ends with its process; a file system without locks, or a process that hangs, costs time and nothing else.
    """

    saving = threading.Lock()  # held while a file is written aside, which a process should not leave half done
    claims: ClassVar[set[Code]] = set()  # of this process
    _patient = True

    def __init__(self, directory: Path, kernel: str, key: str) -> None:
        self._file = directory / f"{kernel}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.code"
        self._lock = self._file.with_suffix(".lock")
        self._claim: int | None = None

    def read(self) -> bytes | None:
        """What was kept, unless it is damaged."""
        try:
            content = self._file.read_bytes()
        except OSError:
            return None
        data = content[_DIGEST_BYTES:]
        return data if hashlib.sha256(data).digest() == content[:_DIGEST_BYTES] else None

    def write(self, data: bytes) -> None:
        """Keep it, for all who wait; a full disk or a directory that is gone costs time in the next run, no more."""
        with self.saving, contextlib.suppress(OSError):
            descriptor, aside = tempfile.mkstemp(dir=self._file.parent, prefix="new-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(data).digest() + data)
                os.replace(aside, self._file)
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
        self.release()

    def claimed(self) -> bool:
        """Whether it is there, or somebody is compiling it."""
        if self._file.exists():
            return True
        free = self._try()
        self.release()
        return not free

    def claim(self, meanwhile: Callable[[], bool]) -> None:
        """Be the one who compiles it, once nobody else does; what to do until then says whether it did anything."""
        waited = 0.0
        while Code._patient and not self._try():
            if not meanwhile():
                time.sleep(_POLL)
                waited += _POLL
                Code._patient = waited < _LONGEST_WAIT

    def _try(self) -> bool:
        """Take the lock; False when another process has it, and True as well when there can be none."""
        if fcntl is None or self._claim is not None:
            return True
        with contextlib.suppress(OSError):
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._claim = descriptor
            self.claims.add(self)
        return True

    def release(self) -> None:
        """Let others compile it; whoever waits looks for the file first."""
        if self._claim is not None:
            with contextlib.suppress(OSError):
                self._lock.unlink()
            os.close(self._claim)
            self._claim = None
            self.claims.discard(self)

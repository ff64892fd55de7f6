"""The one place that imports Numba: how kernels are compiled and where their machine code is kept.

Numba's own cache key knows neither the options of ``njit`` nor helpers in other files nor a mixed set of
processors, so the directory is keyed by all three: package version, a hash of every kernel source and the
processor. It is probed before use; where nothing can be written, kernels are compiled anew in each process.

Nor is its index safe: two processes that compile the same kernel for different types may both call their code by
the same name, and one damaged file ends every later run. Here each kernel and signature has a file of its own, named
by what it is and checked by its digest, written aside and renamed; whatever is wrong with one, the kernel is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from miscreen._version import __version__

_F = TypeVar("_F", bound=Callable[..., Any])


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
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _writable(directory: Path) -> bool:
    """Whether machine code can be kept there: by us, and put there by nobody else."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and directory.stat().st_uid != os.getuid():
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
    candidates = []
    if explicit := os.environ.get("MISCREEN_CACHE_DIR"):
        candidates.append(Path(explicit))
    home_cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    candidates.append(Path(home_cache) / "miscreen")
    candidates.append(Path(tempfile.gettempdir()) / f"miscreen-{os.getuid() if hasattr(os, 'getuid') else 0}")
    for candidate in candidates:
        if _writable(candidate / key):
            return candidate / key
    return None


CACHE_DIR = choose_cache_dir()
_DIGEST_BYTES = 32

import numba  # noqa: E402  (after the choice, since it takes its time)
from llvmlite import ir  # noqa: E402
from numba.core import cgutils  # noqa: E402
from numba.core.compiler import CompileResult  # noqa: E402
from numba.core.serialize import dumps  # noqa: E402
from numba.extending import intrinsic  # noqa: E402


class _Kept:
    """Machine code of one kernel on disk; it takes the place of Numba's own cache of a dispatcher."""

    def __init__(self, function: Callable[..., Any], directory: Path) -> None:
        self.cache_path = str(directory)
        self._directory = directory
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def _key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        return self._name, repr(signature), codegen.magic_tuple(), numba.__version__, sys.implementation.cache_tag

    def _file(self, key: tuple[Any, ...]) -> Path:
        return self._directory / f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.code"

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled kernel, or None where there is none that can be trusted."""
        context.refresh()
        key = self._key(signature, context.codegen())
        try:
            content = self._file(key).read_bytes()
            data = content[_DIGEST_BYTES:]
            if hashlib.sha256(data).digest() != content[:_DIGEST_BYTES]:
                return None
            found, parts = pickle.loads(data)
            return CompileResult._rebuild(context, *parts) if found == key else None
        except Exception:  # damaged or unreadable in whatever way: it is compiled and written again
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled kernel; a full disk or a directory that is gone costs time in the next run, no more."""
        if compiled.library.has_dynamic_globals:
            return
        key = self._key(signature, compiled.codegen)
        data = dumps((key, compiled._reduce()))
        with contextlib.suppress(OSError):
            descriptor, aside = tempfile.mkstemp(dir=self._directory, prefix="new-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(data).digest() + data)
                os.replace(aside, self._file(key))
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise


def kept_kernels() -> int:
    """How many compiled kernels are kept on disk."""
    return 0 if CACHE_DIR is None else sum(1 for _ in CACHE_DIR.glob("*.code"))


def kernel(function: _F) -> _F:
    """Compile a serial kernel that releases the GIL. Called from Python; no fastmath."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if CACHE_DIR is not None and function.__module__.startswith(f"{__package__}."):  # whose sources are in its key
        compiled._cache = _Kept(function, CACHE_DIR)
    return compiled


def inner(function: _F) -> _F:
    """Compile a piece of other kernels, inlined by LLVM; it has no cache entry of its own."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


def inlined(function: _F) -> _F:
    """Like `inner`, but inlined whatever its size, to be called per element or made for what it is called with."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return compiled


def _instruction(function: Callable[..., Any]) -> Any:
    """Let kernels use an LLVM instruction; Numba passes the first argument itself."""
    return intrinsic(function)


@_instruction
def bits_of(typing_context: Any, number: Any) -> Any:
    """The 64 bits of a float64, as an int64."""

    def reinterpret(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return numba.int64(numba.float64), reinterpret


@_instruction
def float_of(typing_context: Any, bits: Any) -> Any:
    """The float64 whose 64 bits are those of an int64."""

    def reinterpret(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return numba.float64(numba.int64), reinterpret


@_instruction
def keep_least(typing_context: Any, least: Any, number: Any) -> Any:
    """The least numbers so far, an ascending tuple of float64 that stays in registers, once another is entered.

    Without branches, which would be guessed wrong.
    """

    def keep(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kept, number = arguments
        for place in range(signature.return_type.count):
            other = builder.extract_value(kept, place)
            smaller = builder.fcmp_ordered("<", number, other)
            kept = builder.insert_value(kept, builder.select(smaller, number, other), place)
            number = builder.select(smaller, other, number)
        return kept

    return least(least, number), keep


@_instruction
def byte_at(typing_context: Any, address: Any) -> Any:
    """The byte at an address, as an int64: unlike an array, an address costs a callee no reference counts."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return numba.int64(numba.int64), load


@_instruction
def word_at(typing_context: Any, address: Any) -> Any:
    """The eight bytes at an address, aligned or not, as a uint64 in the processor's byte order."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return numba.uint64(numba.int64), load


@_instruction
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many zeros there are below the lowest bit of a uint64 that is set, as an int64; 64 where none is."""

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return numba.int64(numba.uint64), count


@_instruction
def half_word_at(typing_context: Any, address: Any) -> Any:
    """The four bytes at an address, aligned or not, as a uint32 in the processor's byte order."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(32).as_pointer())
        return builder.load(pointer, align=1)

    return numba.uint32(numba.int64), load


@_instruction
def add_products(typing_context: Any, into: Any, factors: Any, addresses: Any) -> Any:
    """Add to four float64 at an address those at four others, each four times its factor: (0 + 1) + (2 + 3).

    In vectors, which LLVM makes of no loop as short as this.
    """

    def add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        four = ir.VectorType(ir.DoubleType(), 4)
        into, factors, addresses = arguments
        terms = []
        for place in range(4):
            lanes = ir.Constant(four, ir.Undefined)
            for lane in range(4):
                factor = builder.extract_value(factors, place)
                lanes = builder.insert_element(lanes, factor, ir.Constant(ir.IntType(32), lane))
            pointer = builder.inttoptr(builder.extract_value(addresses, place), four.as_pointer())
            terms.append(builder.fmul(lanes, builder.load(pointer, align=8)))
        added = builder.fadd(builder.fadd(terms[0], terms[1]), builder.fadd(terms[2], terms[3]))
        pointer = builder.inttoptr(into, four.as_pointer())
        builder.store(builder.fadd(builder.load(pointer, align=8), added), pointer, align=8)
        return context.get_dummy_value()

    floats, integers = numba.types.UniTuple(numba.float64, 4), numba.types.UniTuple(numba.int64, 4)
    return numba.void(numba.int64, floats, integers), add


@_instruction
def copy_bytes(typing_context: Any, into: Any, address: Any, size: Any) -> Any:
    """Copy so many bytes from one address to another; the two do not overlap."""

    def copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        ends = [builder.inttoptr(end, pointer) for end in arguments[:2]]
        cgutils.raw_memcpy(builder, ends[0], ends[1], arguments[2], 1)
        return context.get_dummy_value()

    return numba.void(numba.int64, numba.int64, numba.int64), copy

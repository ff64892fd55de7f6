"""What kernels are made with, and how they are called: Numba is imported when one has to be compiled, and not before.

A kernel is plain Python until it is called. Its machine code for the types at hand is then read from the cache, or
compiled by `_compile` and kept there, and `_machine` runs it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from miscreen.kernels._cache import CACHE_DIR, Code
from miscreen.kernels._machine import Machine, lay_out

_F = TypeVar("_F", bound=Callable[..., Any])
_loading = threading.RLock()


class _Compilable:
    """What Numba takes for one of its own when it meets it in a kernel."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        functools.update_wrapper(cast(Any, self), function)
        self.py_func = function
        self.options = options

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function as Numba's own."""
        from miscreen.kernels._compile import dispatcher

        return dispatcher(self.py_func, self.options)

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_

    @property
    def targetoptions(self) -> Any:
        """Whether Numba is to paste it."""
        return self.dispatcher.targetoptions


class _Kernel(_Compilable):
    """A kernel and its machine code, for all types that it was called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self._kept = CACHE_DIR is not None and function.__module__.startswith(f"{__package__}.")  # sources in its key
        self._machines: dict[tuple[str, ...], Machine] = {}

    def __call__(self, *arguments: Any) -> Any:
        types: list[str] = []
        slots: list[int | float] = []
        lay_out(arguments, types, slots)
        key = tuple(types)
        return (self._machines.get(key) or self._load(key))(slots)

    def _load(self, types: tuple[str, ...]) -> Machine:
        with _loading:
            if types not in self._machines:
                self._machines[types] = self._kept_machine(types) if self._kept else self._compile(types)
            return self._machines[types]

    def _kept_machine(self, types: tuple[str, ...]) -> Machine:
        code = self._code(types)
        found = self._read(code)
        if found is None:
            from miscreen.kernels._ahead import compile_next

            code.claim(meanwhile=functools.partial(compile_next, certain=True))
            found = self._read(code)
            if found is None:
                try:
                    found = self._compile(types)
                except BaseException:
                    code.release()
                    raise
                code.write(found.packed())
            else:
                code.release()
        return found

    def _code(self, types: Sequence[str]) -> Code:
        assert CACHE_DIR is not None
        return Code(CACHE_DIR, self._name, " ".join(types))

    @staticmethod
    def _read(code: Code) -> Machine | None:
        try:
            return Machine.unpacked(code.read() or b"")
        except Exception:  # damaged or unreadable in whatever way: it is compiled and written again
            return None

    def _compile(self, types: Sequence[str]) -> Machine:
        from miscreen.kernels._compile import compiled

        return compiled(self, types)

    def compile_ahead(self, types: Sequence[str]) -> None:
        """Compile for some types, unless machine code is kept or another process is at it."""
        if not self._code(types).claimed():
            self._load(tuple(types))


def kernel(function: _F) -> _F:
    """Compile a serial kernel that runs without the GIL. Called from Python; no fastmath."""
    return cast(_F, _Kernel(function))


def inner(function: _F) -> _F:
    """Compile a piece of other kernels, inlined by LLVM. It is not kept alone, and Python cannot call it."""
    return cast(_F, _Compilable(function))


def inlined(function: _F) -> _F:
    """Like `inner`, but inlined whatever its size, to be called per element or made for what it is called with."""
    return cast(_F, _Compilable(function, forceinline=True))


def pasted(function: _F) -> _F:
    """Like `inner`, but pasted by Numba where it is called, for a long piece with a caller or two."""
    return cast(_F, _Compilable(function, inline="always"))


class _Instruction:
    """An intrinsic of `_instructions`, which is imported when a kernel that uses it is compiled; not for Python."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def _numba_type_(self) -> Any:
        from miscreen.kernels._compile import instruction

        return instruction(self._name)


add_sixteen: Any = _Instruction("add_sixteen")
add_tile: Any = _Instruction("add_tile")
bits_of: Any = _Instruction("bits_of")
byte_at: Any = _Instruction("byte_at")
call_pread: Any = _Instruction("call_pread")
copy_bytes: Any = _Instruction("copy_bytes")
count_closer: Any = _Instruction("count_closer")
equal_bytes: Any = _Instruction("equal_bytes")
float_of: Any = _Instruction("float_of")
half_word_at: Any = _Instruction("half_word_at")
has_wide_vectors: Any = _Instruction("has_wide_vectors")
ones: Any = _Instruction("ones")
read_eight_numbers: Any = _Instruction("read_eight_numbers")
scan_lanes: Any = _Instruction("scan_lanes")
scan_lanes_for_eight: Any = _Instruction("scan_lanes_for_eight")
scan_lanes_for_sixteen: Any = _Instruction("scan_lanes_for_sixteen")
scan_lanes_for_many: Any = _Instruction("scan_lanes_for_many")
stir_lanes: Any = _Instruction("stir_lanes")
trailing_zeros: Any = _Instruction("trailing_zeros")
unsigned: Any = _Instruction("unsigned")
word_at: Any = _Instruction("word_at")

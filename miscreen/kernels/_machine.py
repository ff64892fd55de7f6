"""Machine code in this process: linked by LLVM, called with the addresses of arrays, without the GIL.

Every kernel is entered by a function ``int32 (slots, result)``. Its arguments lie in slots of eight bytes: a number
in one, an array as Numba lays it out, in 5 + 2 for every dimension (owner, parent, size, item size, address, shape,
strides), a tuple as what it holds. Nobody owns an array in the eyes of a kernel, so none is freed by it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import pickle
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAMES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
_DTYPES = {np.dtype(name): name for name in _NAMES}
_LAID_OUT = 0x101  # of an array's flags: C-contiguous, aligned
_ALIGNED = 0x100
_SCALARS = {bool: "bool", int: "int64", np.int64: "int64", float: "float64", np.float64: "float64"}
_FORMATS = {"bool": "?", "int64": "q", "uint64": "Q", "float64": "d"}  # of results, in C's own alignment
_NONE = -2  # what Numba's functions answer when they return None
_COMPILERS_OWN = re.compile(rb"(?<=\0)__(?!unnamed)[a-z0-9_]+(?=\0)")  # among the symbols of an ELF object file
_OWNER_BYTES = 64  # before the values of an array that a kernel makes; the first eight count its owners

# What kernels ask of Numba's runtime: memory for their arrays, each in one piece with the count of its owners; three
# functions of C whose names Numba has for its own; and the strides of a contiguous array in another shape, the only
# ones that Numba lets kernels reshape. An owner is {count, destructor, its argument, address of the values, ...}.
RUNTIME = f"""
declare ptr @malloc(i64)
declare void @free(ptr)
declare double @frexp(double, ptr)
declare double @ldexp(double, i32)
declare double @nextafter(double, double)

define double @numba_frexp(double %x, ptr %exponent) {{
  %y = call double @frexp(double %x, ptr %exponent)
  ret double %y
}}

define double @numba_ldexp(double %x, i32 %exponent) {{
  %y = call double @ldexp(double %x, i32 %exponent)
  ret double %y
}}

define double @numba_nextafter(double %x, double %towards) {{
  %y = call double @nextafter(double %x, double %towards)
  ret double %y
}}

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %alignment) {{
  %align = zext i32 %alignment to i64
  %room = add i64 %align, {_OWNER_BYTES}
  %bytes = add i64 %size, %room
  %enough = icmp uge i64 %bytes, %size
  br i1 %enough, label %ask, label %none
ask:
  %owner = call ptr @malloc(i64 %bytes)
  %got = icmp ne ptr %owner, null
  br i1 %got, label %lay, label %none
lay:
  %start = ptrtoint ptr %owner to i64
  %first = add i64 %start, %room
  %over = urem i64 %first, %align
  %values = sub i64 %first, %over
  %owners = inttoptr i64 %start to ptr
  store i64 1, ptr %owners
  %place = add i64 %start, 24
  %pointer = inttoptr i64 %place to ptr
  store i64 %values, ptr %pointer
  ret ptr %owner
none:
  ret ptr null
}}

define i32 @numba_attempt_nocopy_reshape(
    i64 %old, ptr %olds, ptr %old_strides, i64 %new, ptr %news, ptr %strides, i64 %item, i32 %fortran) {{
start:
  br label %check
check:
  %left = phi i64 [%new, %start], [%i, %step]
  %stride = phi i64 [%item, %start], [%whole, %step]
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %step, label %done
step:
  %i = sub i64 %left, 1
  %to = getelementptr i64, ptr %strides, i64 %i
  store i64 %stride, ptr %to
  %from = getelementptr i64, ptr %news, i64 %i
  %length = load i64, ptr %from
  %whole = mul i64 %stride, %length
  br label %check
done:
  ret i32 1
}}

define void @NRT_MemInfo_call_dtor(ptr %owner) {{
  call void @free(ptr %owner)
  ret void
}}

"""


def array_type(name: str, dimensions: int, contiguous: bool) -> str:
    """The word for an array: ``float64[:,::1]`` has contiguous rows."""
    return f"{name}[{','.join([':'] * (dimensions - 1) + ['::1' if contiguous else ':'])}]"


@functools.cache
def _array_type(dtype: np.dtype[Any], dimensions: int, flags: int) -> str:
    if dtype not in _DTYPES or not flags & _ALIGNED:
        raise TypeError(f"no kernel takes an array of {dtype!r} with flags {flags:#x}")
    return array_type(_DTYPES[dtype], dimensions, bool(flags & ~_ALIGNED))


def lay_out(arguments: Sequence[Any], types: list[str], slots: list[int | float]) -> None:
    """Append the words for the types of arguments, and what lies in their slots. O(arguments)."""
    for argument in arguments:
        kind = type(argument)
        if kind is np.ndarray:
            types.append(_array_type(argument.dtype, argument.ndim, argument.flags.num & _LAID_OUT))
            slots += (0, 0, argument.size, argument.itemsize, argument.ctypes.data, *argument.shape, *argument.strides)
        elif kind is tuple:
            types.append("(")
            lay_out(argument, types, slots)
            types.append(")")
        elif kind in _SCALARS:
            types.append(_SCALARS[kind])
            slots.append(argument)
        elif kind is np.bool_:  # which is no whole number to `struct`
            types.append("bool")
            slots.append(bool(argument))
        elif kind is np.uint64:
            types.append("uint64")
            slots.append(int(argument.view(np.int64)))
        else:
            raise TypeError(f"no kernel takes a {kind.__name__}")


def slot_formats(types: Sequence[str]) -> str:
    """A letter for every slot, as `struct` has it: ``q`` for whole numbers and addresses, ``d`` for float64.

    Examples
    --------
    >>> slot_formats(["(", "float64", "bool", ")", "uint8[:,::1]"])
    'dqqqqqqqqqq'
    """
    letters = ""
    for word in types:
        if word not in ("(", ")"):
            dimensions = word.count(":") - word.count("::")
            letters += "q" * (5 + 2 * dimensions) if "[" in word else "d" if word == "float64" else "q"
    return letters


class Machine:
    """The machine code of a kernel for some types of arguments, ready to be called with their slots.

    Parameters
    ----------
    symbol : str
        The name of its entry, which no other machine code has.
    types, result : sequences of str
        The words for what it takes and gives.
    code : bytes
        An object file.
    """

    def __init__(self, symbol: str, types: Sequence[str], result: Sequence[str], code: bytes) -> None:
        self._parts = (symbol, tuple(types), tuple(result), code)
        self._name = symbol
        self._pack = struct.Struct(slot_formats(types)).pack
        self._enter = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_char_p)(_linked(symbol, code))
        self._result = None if result[0] == "none" else _Result(result)

    def __call__(self, slots: Sequence[int | float]) -> Any:
        answer = None if self._result is None else ctypes.create_string_buffer(self._result.size)
        status = self._enter(self._pack(*slots), answer)
        if status not in (0, _NONE):
            raise MemoryError(f"{self._name} has no room for its arrays")  # kernels raise nothing else
        return None if self._result is None else self._result.read(answer)

    def packed(self) -> bytes:
        """For `unpacked`, in another process with the same processor."""
        return pickle.dumps(self._parts)

    @classmethod
    def unpacked(cls, data: bytes) -> Machine:
        """What `packed` has put together."""
        return cls(*pickle.loads(data))


class _Result:
    """How a result lies in memory: a number, an array that the kernel has made, or a tuple of such."""

    def __init__(self, words: Sequence[str]) -> None:
        self._is_tuple = words[0] == "("
        self._words = [word for word in words if word not in ("(", ")")]
        self._format = struct.Struct("@" + "".join(_FORMATS.get(word) or slot_formats([word]) for word in self._words))
        self.size = self._format.size

    def read(self, answer: Any) -> Any:
        """The result in a buffer; arrays are copied, and freed."""
        slots = iter(self._format.unpack(answer))
        found = [_array(word, slots) if "[" in word else next(slots) for word in self._words]
        return tuple(found) if self._is_tuple else found[0]


def _array(word: str, slots: Iterator[int]) -> NDArray[Any]:
    owner, _, size, item_size, address = itertools.islice(slots, 5)
    dimensions = len(slot_formats([word])) // 2 - 2
    shape, _ = tuple(itertools.islice(slots, dimensions)), tuple(itertools.islice(slots, dimensions))
    values = np.frombuffer(ctypes.string_at(address, size * item_size), word.partition("[")[0])
    if owner:
        _freeing()(owner)
    return values.reshape(shape).copy()


@functools.cache
def _engine() -> Any:
    """Where machine code is linked, with the runtime that it needs."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault")
    return llvm.create_mcjit_compiler(llvm.parse_assembly(RUNTIME), target)


def _provide(name: str) -> None:
    """Make known to LLVM what its code generator calls for what processors cannot do, such as long division."""
    import llvmlite.binding as llvm

    for library in (None, "libgcc_s.so.1"):
        with contextlib.suppress(OSError, AttributeError, TypeError):
            function = getattr(ctypes.CDLL(library), name)
            llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
            return
    raise ValueError(f"machine code asks for {name}, which is nowhere to be found")  # a call would go to nowhere


def _linked(symbol: str, code: bytes) -> int:
    """The address of a symbol of an object file, once that is linked."""
    import llvmlite.binding as llvm

    engine = _engine()
    if code.startswith(b"\x7fELF"):  # elsewhere sections have such names, and LLVM finds the functions itself
        for name in set(_COMPILERS_OWN.findall(code)):
            _provide(name.decode())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(symbol)
    if not address:
        raise ValueError(f"the machine code has no {symbol}")
    return address


@functools.cache
def _freeing() -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_engine().get_function_address("NRT_MemInfo_call_dtor"))

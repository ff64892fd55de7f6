"""From Python to machine code, by Numba; with `_instructions` the one place that imports it.

Numba would optimise every piece of a kernel by itself, make machine code of it, and then do so again in each that
calls it. Here a piece is typed and lowered alone, and all of it is optimised once, as one with the kernel's entry.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba.core import cgutils, postproc, transforms
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from miscreen.kernels import _instructions
from miscreen.kernels._machine import RUNTIME, Machine, array_type, slot_formats

njit: Any = numba.njit  # whose annotations leave out what they can do, as do those of its types
types: Any = numba.types
PostProcessor: Any = postproc.PostProcessor
_SLOT = ir.IntType(64)

# How Numba counts the owners of an array, but inlined, and without locking the memory: no other thread sees what a
# kernel makes. Numba's own are kept until it has left out the calls that cancel each other.
_COUNTERS = ("NRT_incref", "NRT_decref")
_COUNTS = """
declare void @NRT_MemInfo_call_dtor(ptr)

define void @NRT_incref(ptr %owner) alwaysinline {
  %none = icmp eq ptr %owner, null
  br i1 %none, label %done, label %count
count:
  %owners = load i64, ptr %owner
  %more = add i64 %owners, 1
  store i64 %more, ptr %owner
  br label %done
done:
  ret void
}

define void @NRT_decref(ptr %owner) alwaysinline {
  %none = icmp eq ptr %owner, null
  br i1 %none, label %done, label %count
count:
  %owners = load i64, ptr %owner
  %less = sub i64 %owners, 1
  store i64 %less, ptr %owner
  %last = icmp eq i64 %less, 0
  br i1 %last, label %free, label %done
free:
  call void @NRT_MemInfo_call_dtor(ptr %owner)
  br label %done
done:
  ret void
}
"""


# What Numba does with closures, stencils, with-blocks, expressions of whole arrays and parallel loops: kernels have
# none, and looking for them takes a twelfth of the time.
_NEEDLESS = {
    "dump_parfor_diagnostics",
    "inline_closure_likes",
    "inline_overloads",
    "literal_unroll",
    "nopython_rewrites",
    "with_lifting",
}
_process = PostProcessor.run
_signatures: dict[tuple[Any, tuple[Any, ...]], Any] = {}


class _Passes(Compiler):
    """Numba's, but those that find nothing."""

    def define_pipelines(self) -> list[Any]:
        pipelines: list[Any] = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [found for found in pipeline.passes if found[0]._name not in _NEEDLESS]
        return pipelines


class _Piece(JITCodeLibrary):
    """Lowered functions, to be optimised in what calls them."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


@contextmanager
def _in_pieces() -> Iterator[Any]:
    """Let Numba lower functions and do no more; others who use it in this process wait.

    Nearly all that it makes is kept, so that to look for garbage would take a tenth of the time and find little.
    """
    context = cpu_target.target_context
    codegen = context.codegen()
    with global_compiler_lock:
        library, collecting = codegen._library_class, gc.isenabled()
        gc.disable()
        codegen._library_class = _Piece
        context.get_executable = lambda *_: [].append  # Numba tells functions apart by what they are called through
        types.Function.get_call_type = _called
        PostProcessor.run = _processed
        try:
            yield context
        finally:
            codegen._library_class, PostProcessor.run = library, _process
            del context.get_executable, types.Function.get_call_type
            if collecting:
                gc.enable()


def _called(function: Any, typing: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The signature of an operator or a function of Numba's for what it is called with, worked out once."""
    if named:
        return types.BaseFunction.get_call_type(function, typing, arguments, named)
    found = _signatures.get((function, arguments))
    if found is None:
        found = types.BaseFunction.get_call_type(function, typing, arguments, named)
        _signatures[function, arguments] = found
    return found


def _processed(processor: Any, emit_dels: bool = False, **named: Any) -> None:
    """Find out where variables end, not after every other pass, but where that is written down, before lowering."""
    if emit_dels:
        _process(processor, emit_dels, **named)
    else:
        processor.func_ir.blocks = transforms.canonicalize_cfg(processor.func_ir.blocks)


def dispatcher(function: Any, options: dict[str, Any]) -> Any:
    """A function as one of Numba's, to be called by kernels alone.

    Numba would compile it anew for each constant that it is called with, which LLVM sees by itself once it is inlined.
    """
    options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, **options}
    found = njit(pipeline_class=_Passes, **options)(function)
    template = found.get_call_template
    found.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)
    return found


def instruction(name: str) -> Any:
    """The type of an intrinsic."""
    return cpu_target.typing_context.resolve_value_type(getattr(_instructions, name))


def compiled(kernel: Any, words: Sequence[str]) -> Machine:
    """Compile a kernel of `_jit` for the types that words say."""
    arguments = _types(iter(words))
    with _in_pieces() as context:
        kernel.dispatcher.compile(arguments)
        found = kernel.dispatcher.overloads[arguments]
        found.library._ensure_finalized()
        digest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
        symbol = f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}-{digest}"
        function_type = context.call_conv.get_function_type(found.fndesc.restype, found.fndesc.argtypes)
        result = _words(found.fndesc.restype)
        entry = _entry(symbol, found.fndesc.llvm_func_name, function_type, slot_formats(words), result != ["none"])
        code = _optimised(found.library, entry, symbol)
    return Machine(symbol, words, result, code)


def _types(words: Iterator[str]) -> tuple[Any, ...]:
    """Numba's types of what words say, up to the end or to a closing parenthesis."""
    found: list[Any] = []
    for word in words:
        if word == ")":
            break
        if word == "(":
            found.append(types.Tuple(_types(words)))
        elif "[" in word:
            name, _, dimensions = word.partition("[")
            layout = "C" if "::1" in word else "A"
            found.append(types.Array(getattr(types, name), dimensions.count(",") + 1, layout))
        else:
            found.append(getattr(types, word))
    return tuple(found)


def _words(kind: Any) -> list[str]:
    """What `_types` reads, of the type of a result."""
    if isinstance(kind, types.BaseTuple):
        return ["(", *(word for member in kind for word in _words(member)), ")"]
    if isinstance(kind, types.Array):
        return [array_type(str(kind.dtype), kind.ndim, kind.layout == "C")]
    return [str(kind)]


def _entry(symbol: str, native: str, function_type: Any, letters: str, gives: bool) -> Any:
    """A module with the function that takes slots to the arguments of a native one."""
    module = ir.Module()
    pointer = _SLOT.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.IntType(32), (pointer, pointer)), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    slots, result = function.args
    result_type, error_type, *kinds = function_type.args
    if len(kinds) != len(letters):
        raise TypeError(f"{symbol} takes {len(kinds)} words, not {len(letters)}")
    values = []
    for place, (kind, letter) in enumerate(zip(kinds, letters, strict=True)):
        if (letter == "d") != isinstance(kind, ir.DoubleType):
            raise TypeError(f"{symbol} takes {kind} in slot {place}")
        word = builder.load(builder.gep(slots, [ir.Constant(_SLOT, place)]))
        if isinstance(kind, ir.PointerType):
            values.append(builder.inttoptr(word, kind))
        elif isinstance(kind, ir.IntType):
            values.append(word if kind.width == 64 else builder.trunc(word, kind))
        else:
            values.append(builder.bitcast(word, kind))
    error = cgutils.alloca_once(builder, _SLOT)
    if not gives:
        result = cgutils.alloca_once(builder, _SLOT)  # Numba's functions write None there
    called = ir.Function(module, function_type, native)
    status = builder.call(called, [builder.bitcast(result, result_type), builder.bitcast(error, error_type), *values])
    builder.ret(status)
    return llvm.parse_assembly(cgutils.normalize_ir_text(str(module)))


def _optimised(library: Any, entry: Any, symbol: str) -> bytes:
    """Machine code of a library and the entry to it, of which nothing but the entry can be seen."""
    module = library._final_module.clone()
    entry.data_layout, entry.triple = module.data_layout, module.triple
    module.link_in(entry)
    _hide(module, [symbol, *_COUNTERS])
    whole = JITCodeLibrary(library._codegen, symbol)
    whole._final_module = module
    JITCodeLibrary._optimize_final_module(whole)
    counts = llvm.parse_assembly(_COUNTS)
    counts.data_layout, counts.triple = module.data_layout, module.triple
    module.link_in(counts)
    _hide(module, [symbol])
    passes, builder = library._codegen._module_pass_manager(opt=0)
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    module.verify()
    for function in module.functions:
        name = function.name
        if function.is_declaration and not name.startswith("llvm.") and not _provided(name):
            raise TypeError(f"{symbol} asks for {name}, which no process has without Numba")
    return bytes(library._codegen._tm.emit_object(module))


def _hide(module: Any, seen: Sequence[str]) -> None:
    """Let nothing outside of a module see its functions but some, so that those may be inlined and left out."""
    for function in module.functions:
        if not function.is_declaration and function.name not in seen:
            function.linkage = "internal"


def _provided(name: str) -> bool:
    """Whether a function is in `RUNTIME`, or C's own; Numba adds its own to what this process knows."""
    if name.startswith(("NRT_", "numba_")):
        return f"@{name}(" in RUNTIME
    return llvm.address_of_symbol(name) is not None

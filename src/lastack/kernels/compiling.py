"""Compiles a kernel to an object file that runs without Numba; only in processes made for it (`cache.COMPILING`).

Around Numba's function goes one of C's calling convention, described in `lastack.kernels.stored`. Neither has wrappers
for Python nor counts references, which halves the time of compilation; what is left of Numba's work halves it again.
"""

from __future__ import annotations

import functools
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lastack.kernels import _jit, bundle
from lastack.kernels._jit import compiler_lock, ir, numba, typeof_impl, types
from lastack.kernels.bundle import Stored
from lastack.kernels.stored import Kernel, Kind, file_of, kept, symbol_of

_I64 = ir.IntType(64)


class Compiling(Kernel):
    """A kernel that is compiled in this process, kept, and then run like a stored one; other kernels may call it too.

    Args:
        dispatcher: Numba's own caller of the function.
        function: The function.
    """

    def __init__(self, dispatcher: Any, function: Any) -> None:
        super().__init__(function, lambda name, kinds: _compile_and_keep(dispatcher, name, kinds))
        self.dispatcher = dispatcher


@typeof_impl.register(Compiling)
def _type_of_kernel(kernel: Compiling, context: Any) -> Any:
    return typeof_impl(kernel.dispatcher, context)


def _compile_and_keep(dispatcher: Any, name: str, kinds: tuple[Kind, ...]) -> Stored:
    stored = kept(name, kinds)
    if stored is None:
        stored = _compile(dispatcher, name, kinds)
        path = file_of(stored.symbol)
        if path is not None:
            with suppress(OSError):
                _keep(path, stored)
    return stored


def _keep(path: Path, stored: Stored) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(bundle.pack([stored]))
    temporary.replace(path)


def _type_of(kind: Kind) -> Any:
    if isinstance(kind, str):
        return {"int64": types.int64, "uint64": types.uint64, "flag": types.boolean}[kind]
    form, dtype, writable = kind
    if form == "record":
        return numba.from_dtype(dtype)
    example = np.zeros(1, dtype)
    example.flags.writeable = writable
    return numba.typeof(example)


def _compile(dispatcher: Any, name: str, kinds: tuple[Kind, ...]) -> Stored:
    """Return the object file of a kernel for some kinds of arguments."""
    signature = tuple(map(_type_of, kinds))
    with compiler_lock:
        return _compile_locked(dispatcher, symbol_of(name, kinds), signature)


def _compile_locked(dispatcher: Any, symbol: str, signature: tuple[Any, ...]) -> Stored:
    is_lean = _make_lean(dispatcher.targetctx.codegen())
    dispatcher.compile(signature)
    made = dispatcher.overloads[signature]
    context, described = made.target_context, made.fndesc
    returned = types.unliteral(described.restype)
    result = "flag" if returned is types.boolean else str(returned)
    if result not in ("int64", "uint64", "none", "flag"):
        raise TypeError(f"{symbol} returns {result}, which has no place in a word")
    library = context.codegen().create_library(f"stored.{symbol}")
    library.add_ir_module(_wrapper(context, described, signature, symbol, result))
    library.add_linking_library(made.library)
    if is_lean:
        return Stored(library.object_code(symbol), symbol, result)
    library.enable_object_caching()
    library.finalize()
    return Stored(library.serialize_using_object_code()[2][0], symbol, result)


def _wrapper(context: Any, described: Any, signature: tuple[Any, ...], symbol: str, result: str) -> Any:
    """Return a module with the C function that hands its words on as Numba's values."""
    module = context.create_module(symbol)
    words = sum(2 if isinstance(kind, types.Array) else 1 for kind in signature)
    returned = {"none": ir.VoidType(), "flag": ir.IntType(8)}.get(result, _I64)
    function = ir.Function(module, ir.FunctionType(returned, [_I64] * (words + 1)), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    left = iter(function.args)
    values = [_value(context, builder, kind, left) for kind in signature]
    inner = context.declare_function(module, described)
    status, value = context.call_conv.call_function(builder, inner, described.restype, signature, values)
    with builder.if_then(status.is_error, likely=False):
        builder.store(_I64(1), builder.inttoptr(next(left), _I64.as_pointer()))
    if result == "none":
        builder.ret_void()
    else:
        builder.ret(builder.zext(value, ir.IntType(8)) if result == "flag" else value)
    return module


def _value(context: Any, builder: Any, kind: Any, words: Any) -> Any:
    """Return one of Numba's values, made of the next word or words."""
    word = next(words)
    if kind is types.boolean:
        return builder.icmp_unsigned("!=", word, word.type(0))
    if isinstance(kind, types.Record):
        return builder.inttoptr(word, context.get_value_type(kind))
    if not isinstance(kind, types.Array):
        return word
    length = next(words)
    array = context.make_array(kind)(context, builder)
    size = _I64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    array.data = builder.inttoptr(word, array.data.type)
    array.nitems = length
    array.itemsize = size
    array.shape = _of_one(builder, array.shape.type, length)
    array.strides = _of_one(builder, array.strides.type, size)
    for owner in ("meminfo", "parent"):  # nobody of Numba's owns it
        setattr(array, owner, getattr(array, owner).type(None))
    return array._getvalue()


def _of_one(builder: Any, kind: Any, number: Any) -> Any:
    return builder.insert_value(kind(ir.Undefined), number, 0)


# --- less of Numba's work -----------------------------------------------------------------------------------

# Numba makes each helper ready to run: it optimises it together with all that it calls, and again as a part of each of
# its callers. Here helpers stay as they were written until they are linked into a kernel, which is optimised once. The
# linker may then know that nobody else calls them: more of them become pieces of their callers, and tracking with 1 M
# sessions takes a fifth less time.

#: Passes for what kernels do without: closures, contexts, parallel loops, expressions of arrays, literal arguments.
_UNNEEDED = frozenset(
    {
        "WithLifting",
        "InlineClosureLikes",
        "RewriteDynamicRaises",
        "MakeFunctionToJitFunction",
        "InlineInlinables",
        "FindLiterallyCalls",
        "LiteralUnroll",
        "LiteralPropagationSubPipelinePass",
        "InlineOverloads",
        "NopythonRewrites",
        "NoPythonSupportedFeatureValidation",
        "DumpParforDiagnostics",
    }
)


def _make_lean(codegen: Any) -> bool:
    """Spare this process what stored kernels do not need; False if this version of Numba cannot do without."""
    if _Library is None:
        return False
    codegen._library_class = _Library
    codegen.set_env = lambda *_: None  # Python objects of a function that runs in this process
    _builder.define_nopython_pipeline = _short_pipeline
    _Function.get_call_type = _remembered_type
    _Dispatcher.get_call_type = _type_without_literals
    _instruction._rec_list_vars = _variables_in
    _utils.pysignature = _signature_of
    _event.start_event = _event.end_event = lambda *_, **__: None  # nobody listens
    return True


def _variables_in(instruction: Any, value: Any) -> Any:
    """Return the variables that a part of an instruction names; asked some hundred thousand times."""
    form = type(value)
    if form not in (dict, list, tuple):
        return _variables_of_one(instruction, value)
    found: list[Any] = []
    for each in value.values() if form is dict else value:
        form = type(each)
        if form is _Variable:
            found.append(each)
        elif form not in _WITHOUT_VARIABLES:
            found += _variables_in(instruction, each)
    return found


def _remembered_type(function: Any, context: Any, arguments: Any, named: Any) -> Any:
    """Return the types of a call of one of Numba's functions: what is added to what is asked some thousand times."""
    key = function, *arguments
    found = None if named else _types_of_calls.get(key)
    if found is None:
        found = _type_of_call(function, context, arguments, named)
        if not named:
            _types_of_calls[key] = found
    return found


def _type_without_literals(dispatcher: Any, context: Any, arguments: Any, named: Any) -> Any:
    """Return the types of a call of a helper, which is not to be compiled anew for each constant."""
    plain = tuple(map(types.unliteral, arguments))
    return _type_of_helper(dispatcher, context, plain, named)


def _short_pipeline(state: Any, name: str = "nopython") -> Any:
    passes = _whole_pipeline(state, name)
    if state.func_id.modname.startswith("lastack."):  # Numba's own functions may need all of them
        passes.passes = [each for each in passes.passes if each[0].__name__ not in _UNNEEDED]
        passes.finalize()
    return passes


def _library_class() -> Any:
    class Library(numba.core.codegen.JITCodeLibrary):  # type: ignore[misc]
        """The code of one function as it was written, or of a kernel with all that it calls."""

        def add_llvm_module(self, ll_module: Any) -> None:
            self._final_module.link_in(ll_module)

        def finalize(self) -> None:
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            return 0  # nothing runs in this process before it is linked

        def object_code(self, symbol: str) -> bytes:
            """Link all that a function needs, optimise it and return its object file."""
            module, codegen = self._final_module, self._codegen
            module.data_layout = codegen._data_layout
            for library in self._needed({}):
                if library is not self:
                    module.link_in(library._final_module, preserve=True)
            self._verify_declare_only_symbols()
            for function in module.functions:
                if not function.is_declaration and function.name != symbol:
                    function.linkage = "internal"
            for variable in module.global_variables:
                if (
                    variable.linkage == llvm.Linkage.common
                ):  # where Numba would put Python objects: nobody reads it
                    variable.linkage = "internal"
            options = llvm.create_pipeline_tuning_options(speed_level=int(numba.config.OPT))
            # By itself LLVM takes 225: a tenth more code, and tracking is 2 to 5 % slower.
            options.inlining_threshold = 100
            # Kernels follow links: vectors make them a tenth larger, and no faster.
            options.loop_vectorization = options.loop_interleaving = options.slp_vectorization = False
            builder = llvm.create_pass_builder(codegen._tm, options)
            builder.getModulePassManager().run(module, builder)
            return bytes(codegen._tm.emit_object(module))

        def _needed(self, found: dict[Any, None]) -> dict[Any, None]:
            if self not in found:
                found[self] = None
                for library in self._linking_libraries:
                    library._needed(found)
            return found

    return Library


try:
    import llvmlite.binding as llvm

    _Library = _library_class()
    _builder = numba.core.compiler.DefaultPassBuilder
    _whole_pipeline = _builder.define_nopython_pipeline
    _Function, _Dispatcher = types.BaseFunction, types.Dispatcher
    _type_of_call, _type_of_helper = _Function.get_call_type, _Dispatcher.get_call_type
    _types_of_calls: dict[Any, Any] = {}
    _event, _utils = numba.core.event, numba.core.utils
    _signature_of = functools.cache(_utils.pysignature)
    _instruction, _Variable = numba.core.ir.Inst, numba.core.ir.Var
    _variables_of_one = _instruction._rec_list_vars
    _WITHOUT_VARIABLES = {numba.core.ir.Loc, str, int, bool, type(None)}
except AttributeError:  # none of it is promised
    _Library = None


def main() -> None:
    """Compile the kernel that standard input names and write it to standard output."""
    import importlib

    name, kinds = pickle.load(sys.stdin.buffer)
    module, _, function = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module), function)
    if not isinstance(found, Kernel):
        found = _jit.kernel(found)
    sys.stdout.buffer.write(bundle.pack([found.stored(kinds)]))


if __name__ == "__main__":
    main()

"""Compiles a kernel to an object file that runs without Numba; only in processes made for it (`cache.COMPILING`).

Around Numba's function goes one of C's calling convention, described in `lastack.kernels.stored`. Neither has wrappers
for Python nor counts references, which halves the time of compilation.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lastack.kernels import _jit
from lastack.kernels._jit import compiler_lock, ir, numba, typeof_impl, types
from lastack.kernels.stored import Kernel, Kind, Stored, file_of, kept

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
        path = file_of(name, kinds)
        if path is not None:
            with suppress(OSError):
                _keep(path, stored)
    return stored


def _keep(path: Path, stored: Stored) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(pickle.dumps(stored))
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
        return _compile_locked(dispatcher, name, signature)


def _compile_locked(dispatcher: Any, name: str, signature: tuple[Any, ...]) -> Stored:
    dispatcher.compile(signature)
    made = dispatcher.overloads[signature]
    context, described = made.target_context, made.fndesc
    returned = types.unliteral(described.restype)
    result = "flag" if returned is types.boolean else str(returned)
    if result not in ("int64", "uint64", "none", "flag"):
        raise TypeError(f"{name} returns {result}, which has no place in a word")
    library = context.codegen().create_library(f"stored.{name}")
    symbol = "lastack." + name
    library.add_ir_module(_wrapper(context, described, signature, symbol, result))
    library.add_linking_library(made.library)
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


def main() -> None:
    """Compile the kernel that standard input names and write it to standard output."""
    import importlib

    name, kinds = pickle.load(sys.stdin.buffer)
    module, _, function = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module), function)
    if not isinstance(found, Kernel):
        found = _jit.kernel(found)
    sys.stdout.buffer.write(pickle.dumps(found.stored(kinds)))


if __name__ == "__main__":
    main()

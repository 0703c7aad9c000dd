"""Kernels as machine code that another process compiled: called without Numba, which takes half a second to get ready.

A kernel takes 64-bit integers, flags, one-dimensional arrays and records, and returns an integer or nothing. Its
object file holds one C function: each integer, flag and record (its address) is an int64, an array is its address and
its length, and the last argument is the address of a word that is set if the kernel failed. llvmlite links the file;
what is neither shipped nor kept is made by another process (`lastack.kernels.compiling`), for the types of the call at
hand.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import pickle
import platform
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lastack.kernels import bundle, cache
from lastack.kernels.bundle import Stored

#: What an argument is: `int64`, `uint64`, `flag`, or ("array" | "record", dtype, may be written).
Kind = Any


def kind_of(argument: Any) -> Kind:
    """Return what an argument is to a kernel.

    Raises:
        TypeError: It is nothing that kernels take.
    """
    simple = _SIMPLE.get(type(argument))
    if simple is not None:
        return simple
    if isinstance(argument, np.ndarray) and argument.ndim == 1 and argument.flags.c_contiguous:
        return "array", argument.dtype, argument.flags.writeable
    if isinstance(argument, np.void):
        return "record", argument.dtype, True
    raise TypeError(f"kernels take integers, flags, contiguous 1-D arrays and records, not {argument!r:.80}")


_SIMPLE: dict[type, str] = {
    int: "int64",
    bool: "flag",
    np.bool_: "flag",
    np.int64: "int64",
    np.int32: "int64",
    np.uint64: "uint64",
}


class Kernel:
    """Calls a kernel's machine code, compiled for the types of its first call and kept for all later processes.

    Args:
        function: Its source; only its name is used.
        find: Returns a kernel for kinds of arguments.
    """

    def __init__(self, function: Callable[..., Any], find: Callable[[str, tuple[Kind, ...]], Stored]) -> None:
        functools.update_wrapper(self, function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._find = find
        self._by_type: dict[tuple[type, ...], Callable[..., Any]] = {}
        self._by_kind: dict[tuple[Kind, ...], Callable[..., Any]] = {}

    def stored(self, kinds: tuple[Kind, ...]) -> Stored:
        """Return its machine code for some kinds of arguments."""
        return self._find(self._name, kinds)

    def address(self, kinds: tuple[Kind, ...]) -> int:
        """Return where its C function for some kinds of arguments is in memory."""
        return address_of(self.stored(kinds))

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        types = tuple(map(type, arguments))
        call = self._by_type.get(types)
        if call is None:
            call = self._call_for(types, arguments)
        return call(*arguments)

    def _call_for(self, types: tuple[type, ...], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        if all(kind in _SIMPLE for kind in types):
            call = self._load(tuple(map(kind_of, arguments)))
        else:  # types do not tell arrays of one dtype from those of another
            call = self._call_by_kind
        self._by_type[types] = call
        return call

    def _call_by_kind(self, *arguments: Any) -> Any:
        kinds = tuple(map(kind_of, arguments))
        call = self._by_kind.get(kinds)
        if call is None:
            call = self._by_kind[kinds] = self._load(kinds)
        return call(*arguments)

    def _load(self, kinds: tuple[Kind, ...]) -> Callable[..., Any]:
        stored = self.stored(kinds)
        words = sum(2 if kind[0] == "array" else 1 for kind in kinds)
        result = None if stored.result == "none" else _C[stored.result]
        function = ctypes.CFUNCTYPE(result, *[ctypes.c_int64] * (words + 1))(address_of(stored))
        return _caller(self._name, kinds, function)


_C: dict[str, Any] = {"int64": ctypes.c_int64, "uint64": ctypes.c_uint64, "flag": ctypes.c_bool}


def _caller(name: str, kinds: tuple[Kind, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Python function that takes a kernel's arguments and hands their words to machine code."""
    failed = ctypes.c_int64(0)
    where = ctypes.addressof(failed)

    def check() -> None:
        if failed.value:
            failed.value = 0
            raise RuntimeError(f"{name} failed inside compiled code")

    if all(kind == "int64" for kind in kinds):

        def call_ints(*arguments: Any) -> Any:
            result = function(*arguments, where)
            if failed.value:
                check()
            return result

        return call_ints

    def call(*arguments: Any) -> Any:
        words: list[int] = []
        for kind, argument in zip(kinds, arguments, strict=True):
            if kind[0] == "array":
                words += (argument.ctypes.data, argument.shape[0])
            elif kind[0] == "record":
                words.append(argument.__array_interface__["data"][0])
            else:
                words.append(int(argument))
        result = function(*words, where)
        check()
        return result

    return call


# --- finding ----------------------------------------------------------------------------------------------


def symbol_of(name: str, kinds: tuple[Kind, ...]) -> str:
    """Return the name of a kernel's machine code for some kinds of arguments."""
    return f"{name}-{hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]}"


def file_of(symbol: str) -> Path | None:
    """Return where a kernel is kept; None if it is not: no cache, or sources that its folder's name does not cover."""
    folder = cache.usable() if symbol.startswith("lastack.kernels.") else None
    return folder / f"{symbol}.kernel" if folder is not None else None


def kept(name: str, kinds: tuple[Kind, ...]) -> Stored | None:
    """Return a kernel that was shipped or is in the cache, None if it is in neither."""
    symbol = symbol_of(name, kinds)
    shipped = cache.shipped()
    if shipped is not None and symbol in shipped.kernels:
        return shipped.kernels[symbol]
    path = file_of(symbol)
    if path is None:
        return None
    with suppress(OSError, ValueError):
        return bundle.unpack(path.read_bytes()).kernels.get(symbol)
    return None


def find(name: str, kinds: tuple[Kind, ...]) -> Stored:
    """Return a kernel that was shipped or is in the cache, or let another process compile it.

    Raises:
        RuntimeError: Nobody can compile it.
    """
    found = kept(name, kinds)
    if found is None:
        if cache.compile_missing is None:
            raise RuntimeError(
                f"{name} is not compiled yet, and nothing here compiles it: import lastack.app first"
            )
        made = bundle.unpack(cache.compile_missing(pickle.dumps((name, kinds))))
        found = made.kernels[symbol_of(name, kinds)]
    return found


# --- linking ----------------------------------------------------------------------------------------------


@functools.cache
def _target() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()


def address_of(stored: Stored) -> int:
    """Link a kernel into this process and return the address of its function; it stays for good."""
    shipped = cache.shipped()
    if shipped is not None and shipped.kernels.get(stored.symbol) is stored:
        linked = _link_shipped()
    else:
        linked = _link([stored])
        _linked.append(linked)
    return int(linked.get_function_address(stored.symbol))


@functools.cache
def _link_shipped() -> Any:
    """Link all that was shipped, which takes five times as long as one kernel; a run needs twenty."""
    from lastack.kernels import decode_rare as decode_rare  # defines a symbol that some of them refer to

    shipped = cache.shipped()
    assert shipped is not None
    return _link(shipped.kernels.values())


def _link(kernels: Iterable[Stored]) -> Any:
    import llvmlite.binding as llvm

    machine = _target().create_target_machine(jit=True, codemodel="jitdefault")
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, machine, use_lmm=platform.machine() == "aarch64")
    for kernel in kernels:
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(kernel.code))
    engine.finalize_object()
    return engine


_linked: list[Any] = []

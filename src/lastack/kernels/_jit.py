"""The one door to Numba: the `kernel` decorator, raw loads and prefetch.

Kernels take raw addresses and records, never arrays in helper signatures (an array argument costs atomic
reference counts on every call). The same source runs in four ways (`lastack.kernels.cache`): as plain Python, through
ctypes, with `NUMBA_DISABLE_JIT=1`; called by Numba; and mostly as machine code that another process, which has
Numba, compiled and stored, in which case Numba is not even imported here.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from lastack.kernels import cache

F = TypeVar("F", bound=Callable[..., Any])

# The third level makes the first run a tenth longer and gains nothing that the benchmarks see.
os.environ.setdefault("NUMBA_OPT", "2")

_MODE = cache.mode()
INTERPRETED = _MODE == cache.INTERPRETED
#: Whether the bodies of kernels are only read here, not compiled: the words that they use are Python's then.
PLAIN = _MODE in (cache.INTERPRETED, cache.STORED)
USE_CACHE = _MODE == cache.NUMBA and cache.usable() is not None

if not PLAIN:
    _folder = cache.usable()
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)

    import numba as numba
    from llvmlite import ir as ir
    from numba import types as types
    from numba.core import cgutils as cgutils
    from numba.core.compiler_lock import global_compiler_lock as _compiler_lock
    from numba.extending import intrinsic as intrinsic
    from numba.extending import typeof_impl as typeof_impl

    compiler_lock: Any = _compiler_lock
    _njit: Any = numba.njit
    _config: Any = numba.config
    if _folder is not None:
        _config.CACHE_DIR = str(_folder)
    #: No wrappers and no reference counting: that halves the time of the first compilation.
    _BARE: dict[str, Any] = {
        "nogil": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": False,
    }

if _MODE == cache.NUMBA:

    def kernel(function: F) -> F:
        """Compile a function to machine code that releases the interpreter lock."""
        return _njit(nogil=True, cache=USE_CACHE)(function)  # type: ignore[no-any-return]

elif _MODE == cache.COMPILING:

    def kernel(function: F) -> F:
        """Compile a function to machine code for this process and later ones."""
        from lastack.kernels import compiling

        return compiling.Compiling(_njit(**_BARE)(function), function)  # type: ignore[return-value]

elif _MODE == cache.STORED:

    def kernel(function: F) -> F:
        """Return what runs the stored machine code of a function."""
        from lastack.kernels import stored

        return stored.Kernel(function, stored.find)  # type: ignore[return-value]

else:

    def kernel(function: F) -> F:
        """Return the function itself."""
        return function


def helper(function: F) -> F:
    """Compile a function that is called from kernels only; it is inlined and never cached by itself."""
    return function if PLAIN else _njit(**_BARE)(function)


def _no_record(dtype: np.dtype[Any]) -> Any:
    """Return a function that views memory as one record, for interpreted mode."""
    record = np.dtype((np.record, dtype))

    def view(address: int) -> Any:
        raw: Any = (ctypes.c_char * dtype.itemsize).from_address(int(address))
        return np.frombuffer(raw, record, 1)[0]

    return view


if PLAIN:
    record_at = _no_record

    def store_u8(address: Any, value: Any) -> None:
        """Write a byte."""
        ctypes.c_uint8.from_address(int(address)).value = int(value) & 0xFF

    def store_u16(address: Any, value: Any) -> None:
        """Write a 16-bit number."""
        ctypes.c_uint16.from_address(int(address)).value = int(value) & 0xFFFF

    def store_u32(address: Any, value: Any) -> None:
        """Write a 32-bit number."""
        ctypes.c_uint32.from_address(int(address)).value = int(value) & 0xFFFFFFFF

    def store_u64(address: Any, value: Any) -> None:
        """Write a 64-bit number."""
        ctypes.c_uint64.from_address(int(address)).value = int(value) & 0xFFFFFFFFFFFFFFFF

    def store_be64(address: Any, value: Any) -> None:
        """Write a 64-bit number in network order."""
        store_u64(address, int.from_bytes((int(value) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"), "big"))

    def put_u8(columns: Any, column: Any, row: Any, value: Any) -> None:
        """Write a byte to a row of a column, given the address of the addresses of columns."""
        store_u8(load_le64(columns + 8 * column) + row, value)

    def put_u16(columns: Any, column: Any, row: Any, value: Any) -> None:
        """Write a 16-bit number to a row of a column."""
        store_u16(load_le64(columns + 8 * column) + 2 * row, value)

    def put_u32(columns: Any, column: Any, row: Any, value: Any) -> None:
        """Write a 32-bit number to a row of a column."""
        store_u32(load_le64(columns + 8 * column) + 4 * row, value)

    def put_i64(columns: Any, column: Any, row: Any, value: Any) -> None:
        """Write a 64-bit number to a row of a column."""
        store_u64(load_le64(columns + 8 * column) + 8 * row, value)

    def load_u8(address: int) -> Any:
        """Return the byte at an address."""
        return ctypes.c_uint8.from_address(int(address)).value

    def load_be16(address: int) -> Any:
        """Return the big-endian 16-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 2), "big")

    def load_be32(address: int) -> Any:
        """Return the big-endian 32-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 4), "big")

    def load_be64(address: int) -> Any:
        """Return the big-endian 64-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 8), "big")

    def load_le16(address: int) -> Any:
        """Return the little-endian 16-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 2), "little")

    def load_le32(address: int) -> Any:
        """Return the little-endian 32-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 4), "little")

    def load_le64(address: int) -> Any:
        """Return the little-endian 64-bit number at an address."""
        return int.from_bytes(ctypes.string_at(int(address), 8), "little")

    def prefetch(address: int) -> None:
        """Do nothing: there is no cache to warm in interpreted mode."""

    prefetch_read = prefetch

else:

    def record_at(dtype: np.dtype[Any]) -> Any:
        """Return an intrinsic that views the memory at an address as one record of this type, without a copy."""
        record = numba.from_dtype(dtype)

        def typer(typingctx: Any, address: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return builder.inttoptr(args[0], context.get_value_type(record))

            return record(types.uint64), codegen

        return intrinsic(typer)

    def _storer(bits: int, swap: bool, kind: Any, doc: str) -> Any:
        def typer(typingctx: Any, address: Any, value: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                number = builder.bswap(args[1]) if swap else args[1]
                builder.store(number, builder.inttoptr(args[0], ir.IntType(bits).as_pointer()), align=1)
                return context.get_dummy_value()

            return types.void(types.uint64, kind), codegen

        typer.__doc__ = doc
        return intrinsic(typer)

    store_u8 = _storer(8, False, types.uint8, "Write a byte.")
    store_u16 = _storer(16, False, types.uint16, "Write a 16-bit number.")
    store_u32 = _storer(32, False, types.uint32, "Write a 32-bit number.")
    store_u64 = _storer(64, False, types.uint64, "Write a 64-bit number.")
    store_be64 = _storer(64, True, types.uint64, "Write a 64-bit number in network order.")

    def _putter(bits: int, doc: str) -> Any:
        # an intrinsic, because a helper would be compiled anew for every constant column number
        def typer(typingctx: Any, columns: Any, column: Any, row: Any, value: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                kind = ir.IntType(bits)
                bases = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
                base = builder.load(builder.gep(bases, [args[1]]))
                target = builder.gep(builder.inttoptr(base, kind.as_pointer()), [args[2]])
                builder.store(builder.trunc(args[3], kind) if bits < 64 else args[3], target, align=1)
                return context.get_dummy_value()

            return types.void(types.uint64, types.int64, types.int64, types.int64), codegen

        typer.__doc__ = doc
        return intrinsic(typer)

    put_u8 = _putter(8, "Write a byte to a row of a column, given the address of the addresses of columns.")
    put_u16 = _putter(16, "Write a 16-bit number to a row of a column.")
    put_u32 = _putter(32, "Write a 32-bit number to a row of a column.")
    put_i64 = _putter(64, "Write a 64-bit number to a row of a column.")

    def _loader(bits: int, swap: bool, result: Any, doc: str) -> Any:
        def typer(typingctx: Any, address: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                int_type = ir.IntType(bits)
                value = builder.load(builder.inttoptr(args[0], int_type.as_pointer()), align=1)
                return builder.bswap(value) if swap else value

            return result(types.uint64), codegen

        typer.__doc__ = doc
        return intrinsic(typer)

    load_u8 = _loader(8, False, types.uint8, "Return the byte at an address.")
    load_be16 = _loader(16, True, types.uint16, "Return the big-endian 16-bit number at an address.")
    load_be32 = _loader(32, True, types.uint32, "Return the big-endian 32-bit number at an address.")
    load_be64 = _loader(64, True, types.uint64, "Return the big-endian 64-bit number at an address.")
    load_le16 = _loader(16, False, types.uint16, "Return the little-endian 16-bit number at an address.")
    load_le32 = _loader(32, False, types.uint32, "Return the little-endian 32-bit number at an address.")
    load_le64 = _loader(64, False, types.uint64, "Return the little-endian 64-bit number at an address.")

    def _prefetcher(write: int, doc: str) -> Any:
        def typer(typingctx: Any, address: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                i32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
                kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
                function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
                hints = [ir.Constant(i32, n) for n in (write, 3, 1)]
                builder.call(function, [builder.inttoptr(args[0], pointer), *hints])
                return context.get_dummy_value()

            return types.void(types.uint64), codegen

        typer.__doc__ = doc
        return intrinsic(typer)

    prefetch = _prefetcher(1, "Ask for the cache line at an address, to be written soon.")
    prefetch_read = _prefetcher(0, "Ask for the cache line at an address, which may not be writable.")

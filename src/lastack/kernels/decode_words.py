"""Numbers at an offset of a frame, and the one-integer answer that each step of the decoder gives.

Every number here is int64 but the address, which is uint64: mixing the two in arithmetic would silently give
float64. In interpreted mode both are plain Python integers.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from lastack.kernels._jit import PLAIN, F
from lastack.model.batch import SEGMENT
from lastack.model.enums import Drop

if not PLAIN:
    from lastack.kernels._jit import intrinsic, ir, numba, types

i64: Any = int if PLAIN else np.int64
u64: Any = int if PLAIN else np.uint64

# A step says what comes next as `next layer << 40 | offset`, plus `encap + 1 << 56` when a wrapping was taken
# off; a drop is the negated reason. One integer, because a tuple costs compile time at each of ~100 returns.
LAYER_SHIFT = 40
WRAP_SHIFT = 56
AT_MASK = (1 << LAYER_SHIFT) - 1
LAYER_MASK = 0xFFFF

NOT_IP = -int(Drop.not_ip)
NOT_TCP = -int(Drop.not_tcp)
FRAGMENT = -int(Drop.fragment)
TRUNCATED = -int(Drop.truncated)
BAD_HEADER = -int(Drop.bad_header)
UNKNOWN_LINK = -int(Drop.unknown_link)
TOO_DEEP = -int(Drop.too_deep)
ICMP_ERROR = -int(Drop.icmp_error)


def part(function: F) -> F:
    """Compile a function that only compiled code calls: a helper without the two wrappers that let others call it.

    The wrappers are a third of the time that it takes to compile the decoder.
    """
    wrappers: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return function if PLAIN else numba.njit(nogil=True, inline="never", **wrappers)(function)


def hot(function: F) -> F:
    """Compile a part that always becomes a piece of its caller: for the few functions that every packet takes."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return function if PLAIN else numba.njit(nogil=True, **options)(function)


# What follows are intrinsics rather than helpers: each helper costs the first run about 40 ms of compilation, and
# Numba would compile one for every constant that it is called with.
if PLAIN:

    def u8_at(address: int, at: int) -> int:
        """Return the byte at an offset."""
        return ctypes.c_uint8.from_address(address + at).value

    def be16_at(address: int, at: int) -> int:
        """Return the big-endian 16-bit number at an offset."""
        return int.from_bytes(ctypes.string_at(address + at, 2), "big")

    def be32_at(address: int, at: int) -> int:
        """Return the big-endian 32-bit number at an offset."""
        return int.from_bytes(ctypes.string_at(address + at, 4), "big")

    def be64_at(address: int, at: int) -> int:
        """Return the big-endian 64-bit number at an offset, unsigned: never add it to anything here."""
        return int.from_bytes(ctypes.string_at(address + at, 8), "big")

    def le16_at(address: int, at: int) -> int:
        """Return the little-endian 16-bit number at an offset."""
        return int.from_bytes(ctypes.string_at(address + at, 2), "little")

    def le32_at(address: int, at: int) -> int:
        """Return the little-endian 32-bit number at an offset."""
        return int.from_bytes(ctypes.string_at(address + at, 4), "little")

    def go(layer: int, at: int) -> int:
        """Return the step "this layer starts at this offset"."""
        return layer << LAYER_SHIFT | at

    def unwrap(layer: int, at: int, encap: int) -> int:
        """Return the step "a wrapping was taken off; this layer starts at this offset"."""
        return (encap + 1) << WRAP_SHIFT | layer << LAYER_SHIFT | at

    def wrapped(step: int, encap: int) -> int:
        """Return a step with the mark that a wrapping was taken off, unless it is a drop."""
        return step if step < 0 else step | (encap + 1) << WRAP_SHIFT

    def segment_at(address: int) -> Any:
        """Return the segment record at an address."""
        raw: Any = (ctypes.c_uint8 * SEGMENT.itemsize).from_address(int(address))
        return np.frombuffer(raw, SEGMENT).view(np.recarray)[0]

else:
    _segment_type = numba.from_dtype(SEGMENT)

    def _loader(bits: int, swap: bool, doc: str) -> Any:
        result = types.uint64 if bits == 64 else types.int64

        def typer(typingctx: Any, address: Any, at: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                pointer = builder.inttoptr(builder.add(*args), ir.IntType(bits).as_pointer())
                value = builder.load(pointer, align=1)
                if swap and bits > 8:
                    value = builder.bswap(value)
                return builder.zext(value, ir.IntType(64)) if bits < 64 else value

            return result(types.uint64, types.int64), codegen

        typer.__doc__ = doc
        return intrinsic(typer)

    u8_at = _loader(8, False, "Return the byte at an offset.")
    be16_at = _loader(16, True, "Return the big-endian 16-bit number at an offset.")
    be32_at = _loader(32, True, "Return the big-endian 32-bit number at an offset.")
    be64_at = _loader(64, True, "Return the big-endian 64-bit number at an offset, unsigned.")
    le16_at = _loader(16, False, "Return the little-endian 16-bit number at an offset.")
    le32_at = _loader(32, False, "Return the little-endian 32-bit number at an offset.")

    @intrinsic
    def go(typingctx: Any, layer: Any, at: Any) -> Any:
        """Return the step "this layer starts at this offset"."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.or_(builder.shl(args[0], args[0].type(LAYER_SHIFT)), args[1])

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def unwrap(typingctx: Any, layer: Any, at: Any, encap: Any) -> Any:
        """Return the step "a wrapping was taken off; this layer starts at this offset"."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            step = builder.or_(builder.shl(args[0], args[0].type(LAYER_SHIFT)), args[1])
            wrapping = builder.add(args[2], args[2].type(1))
            return builder.or_(step, builder.shl(wrapping, wrapping.type(WRAP_SHIFT)))

        return types.int64(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def wrapped(typingctx: Any, step: Any, encap: Any) -> Any:
        """Return a step with the mark that a wrapping was taken off, unless it is a drop."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wrapping = builder.add(args[1], args[1].type(1))
            marked = builder.or_(args[0], builder.shl(wrapping, wrapping.type(WRAP_SHIFT)))
            is_drop = builder.icmp_signed("<", args[0], args[0].type(0))
            return builder.select(is_drop, args[0], marked)

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def segment_at(typingctx: Any, address: Any) -> Any:
        """Return the segment record at an address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return _segment_type(types.uint64), codegen

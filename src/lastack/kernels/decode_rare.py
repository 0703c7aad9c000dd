"""The door between the fast path and the general decoder, which is compiled when the first frame needs it.

The general decoder is eight times the code of the fast path. Called as a helper it would be compiled into every
entry kernel; instead they call it through a pointer, by the symbol below. The pointer first leads to a callback
that compiles the decoder (or loads it from the cache) and then puts its address there. A plain capture never waits
for it.
"""

from __future__ import annotations

import ctypes
import traceback
from typing import Any

from lastack.kernels import cache
from lastack.kernels._jit import INTERPRETED, PLAIN, USE_CACHE, kernel
from lastack.kernels.decode_words import UNKNOWN_LINK

if not PLAIN:
    from lastack.kernels._jit import cgutils, intrinsic, ir, numba, types

_SYMBOL = "lastack_decode_rare"
#: Address, caplen, wirelen, link, address of the segment.
_KINDS = ("uint64", "int64", "int64", "int64", "uint64")
_IS_NUMBA = cache.mode() == cache.NUMBA


if PLAIN:

    def decode_rare(address: int, caplen: int, wirelen: int, link: int, seg: Any) -> int:
        """Return what the general decoder returns."""
        from lastack.kernels.decode_layers import decode_layers

        return decode_layers(address, caplen, wirelen, link, seg)

else:

    @intrinsic
    def decode_rare(typingctx: Any, address: Any, caplen: Any, wirelen: Any, link: Any, seg: Any) -> Any:
        """Return what the general decoder returns, called through the pointer."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            i64 = ir.IntType(64)
            words = [*args[:4], builder.ptrtoint(args[4], i64)]
            if not _IS_NUMBA:  # a stored kernel notes a failure, which its code cannot have, in one word more
                words.append(builder.ptrtoint(cgutils.alloca_once(builder, i64), i64))
            kind = ir.FunctionType(i64, [i64] * len(words))
            cell = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, i64, _SYMBOL)
            return builder.call(builder.inttoptr(builder.load(cell), kind.as_pointer()), words)

        return types.int64(types.uint64, types.int64, types.int64, types.int64, seg), codegen


if INTERPRETED:

    def prepare() -> None:
        """Do nothing: nothing is compiled in interpreted mode."""

else:
    import llvmlite.binding

    _compiled: list[Any] = []

    def prepare() -> None:
        """Compile the general decoder, or load it from the cache, so that no frame has to wait for it."""
        if _compiled:
            return
        from lastack.kernels.decode_layers import decode_segment

        if _IS_NUMBA:
            function: Any = numba.cfunc(f"int64({', '.join(_KINDS)})", cache=USE_CACHE)(decode_segment)
            _compiled.append(function)
            _pointer.value = function.address
        else:
            function = kernel(decode_segment)
            _pointer.value = function.address(_KINDS)
            _compiled.append(function)

    def _first_call(address: int, caplen: int, wirelen: int, link: int, segment: int, *_: int) -> int:
        try:
            prepare()
            function = _c_function(_pointer.value)
            return int(function(address, caplen, wirelen, link, segment, *_))
        except (
            BaseException
        ):  # nothing may pass through compiled code: the frame is counted, the next one tries again
            traceback.print_exc()
            return -UNKNOWN_LINK

    _c_int, _c_address = ctypes.c_int64, ctypes.c_uint64
    _c_words = [_c_address, _c_int, _c_int, _c_int, _c_address] + [_c_address] * (not _IS_NUMBA)
    _c_function = ctypes.CFUNCTYPE(_c_int, *_c_words)
    _callback = _c_function(_first_call)
    _pointer = _c_address(ctypes.cast(_callback, ctypes.c_void_p).value or 0)
    llvmlite.binding.add_symbol(_SYMBOL, ctypes.addressof(_pointer))

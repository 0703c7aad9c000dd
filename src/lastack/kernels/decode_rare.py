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

from lastack.kernels._jit import (  # type: ignore[attr-defined]
    INTERPRETED,
    USE_CACHE,
    intrinsic,
    ir,
    numba,
    types,
)
from lastack.kernels.decode_words import UNKNOWN_LINK

_SYMBOL = "lastack_decode_rare"
_ARGUMENTS = "uint64, int64, int64, int64, uint64"  # address, caplen, wirelen, link, address of the segment


if INTERPRETED:
    from lastack.kernels.decode_layers import decode_layers

    def decode_rare(address: int, caplen: int, wirelen: int, link: int, seg: Any) -> int:
        """Return what the general decoder returns."""
        return decode_layers(address, caplen, wirelen, link, seg)

    def prepare() -> None:
        """Do nothing: nothing is compiled in interpreted mode."""

else:
    import llvmlite.binding

    @intrinsic
    def decode_rare(typingctx: Any, address: Any, caplen: Any, wirelen: Any, link: Any, seg: Any) -> Any:
        """Return what the general decoder returns, called through the pointer."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            i64 = ir.IntType(64)
            kind = ir.FunctionType(i64, [i64] * 5)
            cell = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, i64, _SYMBOL)
            function = builder.inttoptr(builder.load(cell), kind.as_pointer())
            return builder.call(function, [*args[:4], builder.ptrtoint(args[4], i64)])

        return types.int64(types.uint64, types.int64, types.int64, types.int64, seg), codegen

    _compiled: list[Any] = []

    def prepare() -> None:
        """Compile the general decoder, or load it from the cache, so that no frame has to wait for it."""
        if _compiled:
            return
        from lastack.kernels.decode_layers import decode_segment

        function: Any = numba.cfunc(f"int64({_ARGUMENTS})", cache=USE_CACHE)(decode_segment)
        _compiled.append(function)
        _pointer.value = function.address

    def _first_call(address: int, caplen: int, wirelen: int, link: int, segment: int) -> int:
        try:
            prepare()
            return int(_compiled[0].ctypes(address, caplen, wirelen, link, segment))
        except (
            BaseException
        ):  # nothing may pass through compiled code: the frame is counted, the next one tries again
            traceback.print_exc()
            return -UNKNOWN_LINK

    _c_int, _c_address = ctypes.c_int64, ctypes.c_uint64
    _callback = ctypes.CFUNCTYPE(_c_int, _c_address, _c_int, _c_int, _c_int, _c_address)(_first_call)
    _pointer = _c_address(ctypes.cast(_callback, ctypes.c_void_p).value or 0)
    llvmlite.binding.add_symbol(_SYMBOL, ctypes.addressof(_pointer))

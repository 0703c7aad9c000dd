"""The door between the fast path and the general decoder, which is compiled when the first frame needs it.

The general decoder is eight times the code of the fast path. Called as a helper it would be compiled into every
entry kernel; instead they call it through a pointer, by the symbol below. The pointer first leads to a callback
that compiles the decoder (or loads it from the cache) and then puts its address there. A plain capture never waits
for it.
"""

from __future__ import annotations

import ctypes
from typing import Any

from lastack.kernels._jit import INTERPRETED, USE_CACHE, intrinsic, ir, numba, types
from lastack.kernels.decode_words import UNKNOWN_LINK
from lastack.model.batch import SEGMENT

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

    _segment_type = numba.from_dtype(SEGMENT)

    @intrinsic
    def _segment_at(typingctx: Any, address: Any) -> Any:
        """Return the segment record at an address."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return _segment_type(types.uint64), codegen

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
        from lastack.kernels.decode_layers import decode_layers

        def decode_segment(address: Any, caplen: Any, wirelen: Any, link: Any, segment: Any) -> Any:
            return decode_layers(address, caplen, wirelen, link, _segment_at(segment))

        function = numba.cfunc(f"int64({_ARGUMENTS})", cache=USE_CACHE)(decode_segment)
        _compiled.append(function)
        _pointer.value = function.address

    @ctypes.CFUNCTYPE(
        ctypes.c_int64, ctypes.c_uint64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64
    )
    def _first_call(address: int, caplen: int, wirelen: int, link: int, segment: int) -> int:
        try:
            prepare()
            return int(_compiled[0].ctypes(address, caplen, wirelen, link, segment))
        except BaseException:  # nothing can pass through compiled code; the frame is counted, the next one tries again
            import traceback

            traceback.print_exc()
            return -UNKNOWN_LINK

    _pointer = ctypes.c_uint64(ctypes.cast(_first_call, ctypes.c_void_p).value or 0)
    llvmlite.binding.add_symbol(_SYMBOL, ctypes.addressof(_pointer))

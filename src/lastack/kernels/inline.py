"""A frame through a live box in one call: decoding and the box's answer."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import kernel
from lastack.kernels.decode import decode_frame
from lastack.kernels.decode_words import i64, u64
from lastack.kernels.expiry import NOBODY, count_answer, offer_one
from lastack.kernels.expiry_layout import gate_at
from lastack.kernels.expiry_table import find_entry
from lastack.kernels.layout import segment_at
from lastack.model.batch import META_FROM_HI, META_ICMP
from lastack.model.enums import Drop

#: Answers of `judge` below MORE: OTHER - Drop reason for a frame without TCP segment; STRANGER for an ICMP error that
#: quotes a session of which there is no entry.
OTHER = -2
STRANGER = -100
_ICMP_ERROR = int(Drop.icmp_error)
FROM_OUTSIDE, FROM_INSIDE, NO_INSIDE = 0, 1, 2


@kernel
def judge(gate: Any, address: Any, length: Any, link: Any, now_ns: Any, side: Any, segment: Any) -> Any:
    """Return what a live box does with a frame: its answer (see `expiry`), MORE, OTHER - reason, or STRANGER.

    Args:
        gate: Address of the GATE.
        address: Address of the frame's first byte.
        length: Its bytes, all of which are there.
        link: Link type number.
        now_ns: The time.
        side: FROM_INSIDE, FROM_OUTSIDE, or NO_INSIDE when sessions may begin from either side.
        segment: Address of a SEGMENT that takes what the frame holds.
    """
    b = gate_at(gate)
    g = segment_at(segment)
    reason = decode_frame(u64(address), i64(length), i64(length), i64(link), g)
    g.ts_ns = now_ns
    if reason != 0:
        if reason == _ICMP_ERROR and (i64(g.meta) & META_ICMP) != 0 and find_entry(b, g) == 0:
            return i64(STRANGER)
        return i64(OTHER) - reason
    opener = i64(NOBODY)
    if side != NO_INSIDE:
        sender = 1 if i64(g.meta) & META_FROM_HI else 0
        opener = i64(sender if side == FROM_INSIDE else 1 - sender)
    result = offer_one(b, g, i64(0), False, False, opener)
    if result >= 0:
        count_answer(b, result)
    return result

"""Retries: SYNs and SYN-ACKs that came again while a session opened, each of which may make a box's entry anew.

Written from docs/reference/definitions.md, section 7.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import ANSWERED, MAX_RETRIES, NEXT_HI, SYNACK_SEEN
from lastack.kernels.pool import need_rare, retry_of, take
from lastack.kernels.silence import P_SYN_ACK, packet_kind


@helper
def note_retry(t: Any, h: Any, i: Any, d: Any, g: Any, before: Any) -> Any:
    """Account for a packet that left the session opening, after it was counted; `before` are the flags it found."""
    kind = packet_kind(g)
    answered = (before & (3 * SYNACK_SEEN)) != 0
    if kind == P_SYN_ACK and not answered:
        return
    r = need_rare(t, i)
    if i64(r.retries) >= MAX_RETRIES:
        t.lost_retries = t.lost_retries + 1
        return
    index = take(t.retry)
    if index == 0:
        t.lost_retries = t.lost_retries + 1
        return
    x = retry_of(t, index)
    x.ns = h.end_ns
    x.what = kind | (NEXT_HI if d == 1 else 0) | (ANSWERED if answered else 0)
    x.next = r.retry
    r.retry = index
    r.retries = i64(r.retries) + 1

"""The short step for a SYN that begins a session and for the SYN-ACK that answers it: floods are made of these two.

The result is that of `lastack.kernels.update.full_step`; the step is taken when nothing else can change.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.fingerprint import place_of, stamp
from lastack.kernels.layout import (
    ACK_SENT,
    CLIENT_HI,
    GAP_FLOOR_NS,
    ISN,
    L_SYN,
    L_SYNACK,
    MASK32,
    N_SYN,
    N_SYNACK,
    SEQ_SENT,
    SYN_SEEN,
    SYN_WINDOW,
    SYNACK_SEEN,
)
from lastack.kernels.lifecycle import scale_of
from lastack.model.batch import ACK, FIN, RST, SYN

_HEARD = SEQ_SENT | ISN | SYN_WINDOW  # of the direction of a SYN or SYN-ACK


@helper
def _first_from(h: Any, k: Any, i: Any, d: Any, g: Any) -> Any:
    """Account for what a direction's first packet says, if that is a SYN or SYN-ACK without payload."""
    h.packets[d] = 1
    h.end[d] = (i64(g.seq) + 1) & MASK32
    h.window[d] = g.window
    i.first[d] = g.seq
    i.wscale = (i64(i.wscale) & (0xF0 if d == 0 else 0x0F)) | (scale_of(g) << (4 * d))
    k.ttl[d] = g.ttl


@helper
def opening_step(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any) -> Any:
    """Account for a session's first SYN or the first SYN-ACK to it; return False, untouched, if more may change."""
    flags = i64(h.bits)
    tcp = i64(g.tcp_flags) & (SYN | FIN | RST | ACK)
    o = 1 - d
    if g.payload != 0 or g.window == 0 or h.packets[d] != 0:
        return False
    if tcp == SYN:
        if flags != 0 or h.packets[o] != 0:
            return False
        _first_from(h, k, i, d, g)
        h.bits = ((_HEARD | SYN_SEEN) << d) | (CLIENT_HI if d == 1 else 0)
        i.count[N_SYN + d] = 1
        i.history = 1 << 4 | L_SYN << 1 | d
        k.last = stamp(t, g, d)
        return True
    gap = g.ts_ns - h.end_ns
    asked = ((_HEARD | SYN_SEEN) << o) | (CLIENT_HI if o == 1 else 0)
    if tcp != SYN | ACK or flags != asked or h.packets[o] != 1 or gap < 0 or gap >= GAP_FLOOR_NS:
        return False
    _first_from(h, k, i, d, g)
    h.end_ns = g.ts_ns
    h.ack[d] = g.ack
    h.bits = flags | (_HEARD | SYNACK_SEEN | ACK_SENT) << d
    i.count[N_SYNACK + d] = 1
    i.synack_ns = g.ts_ns
    i.synack = place_of(t, i, g)
    i.history = 1 << 8 | (L_SYN << 1 | o) << 4 | L_SYNACK << 1 | d
    k.last = stamp(t, g, d)
    return True

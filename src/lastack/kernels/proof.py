"""Evidence around a RST: what the first one looked like when it came, and what came after it.

Written from docs/reference/definitions.md, section 7. PROOF is taken at the first RST of a session, AFTER at the first
packet that follows it.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.fingerprint import MASK31, place_of, stamp
from lastack.kernels.layout import (
    ACK_SENT,
    BEFORE_HI,
    HAS_ACK_STEP,
    HAS_BEFORE,
    HAS_END,
    HAS_EXPECTED,
    HAS_IPID,
    MASK32,
    RACED,
    RST_BOTH,
    RST_FROM_HI,
    RST_TWICE,
    SENDER_SILENT,
    SEQ_SENT,
)
from lastack.kernels.outcome import unacked_of
from lastack.kernels.pool import after_of, close_of, proof_of, take
from lastack.kernels.sequence import ahead
from lastack.model.batch import ACK, META_HAS_IPID, RST


@helper
def take_proof(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any, before_ns: Any) -> Any:
    """Keep the first RST and what both ends had sent when it came; nothing of it may have been accounted for yet.

    `before_ns` is the latest time before it, NEVER if it is the session's first packet.
    """
    c = close_of(t, k)
    c.proof = take(t.proof)
    p = proof_of(t, c)
    flags = i64(h.bits)
    o = 1 - d
    known = RST_FROM_HI if d == 1 else 0
    p.seq = g.seq
    p.ack = g.ack
    p.payload = g.payload
    p.window = g.window
    p.tcp_flags = g.tcp_flags
    p.ttl = g.ttl
    p.rst_ns = g.ts_ns
    p.before_ns = before_ns
    p.place = place_of(t, i, g)
    if i64(g.meta) & META_HAS_IPID:
        p.ipid = g.ipid
        known |= HAS_IPID
    if flags & (SEQ_SENT << d):
        p.end_step = ahead(g.seq, h.end[d])
        known |= HAS_END
    if flags & (ACK_SENT << o):
        p.expected_step = ahead(g.seq, h.ack[o])
        known |= HAS_EXPECTED
    if i64(g.tcp_flags) & ACK and flags & (SEQ_SENT << o):
        p.ack_step = ahead(g.ack, h.end[o])
        known |= HAS_ACK_STEP
    if h.packets[0] != 0 or h.packets[1] != 0:
        last = i64(k.last)
        known |= HAS_BEFORE | (BEFORE_HI if last & 1 else 0)
        back = ((stamp(t, g, 0) >> 1) - (last >> 1)) & MASK31
        if 0 < back < i64(p.place):
            p.before = i64(p.place) - back
    if h.packets[d] == 0:
        known |= SENDER_SILENT
    for end in range(2):
        p.in_flight[end] = min(unacked_of(t, h, k, i, end), i64(MASK32))
    p.known = known


@helper
def note_after(t: Any, k: Any, i: Any, d: Any, g: Any, new: Any) -> Any:
    """Account for a packet after the first RST; `new` is its payload that was not seen before."""
    p = proof_of(t, close_of(t, k))
    if p.after == 0:
        p.after = take(t.after)
    a = after_of(t, p)
    a.packets[d] = i64(a.packets[d]) + 1
    a.new[d] += new
    known = i64(p.known)
    from_sender = d == (1 if known & RST_FROM_HI else 0)
    place = place_of(t, i, g)
    step = ahead(g.seq, p.seq)
    if (i64(g.tcp_flags) & RST) == 0:
        if from_sender and (known & RACED) == 0:
            a.race = place
            a.race_step = step
            a.race_payload = g.payload
            a.race_ttl = g.ttl
            a.race_ns = g.ts_ns
            known |= RACED
    elif not from_sender:
        if (known & RST_BOTH) == 0:
            a.other = place
            known |= RST_BOTH
    elif step != 0:
        a.more = i64(a.more) + 1
        if (known & RST_TWICE) == 0:
            a.rst2 = place
            a.rst2_step = step
            a.rst2_ns = g.ts_ns
            known |= RST_TWICE
    p.known = known

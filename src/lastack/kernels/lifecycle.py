"""Opening and closing: what SYN, FIN, RST and the acknowledgments of them do to a session.

Written from docs/reference/definitions.md, sections 4 and 5. Each function gets the session's records and one
segment; `d` is the segment's direction, `o` the other.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.fingerprint import place_of
from lastack.kernels.layout import (
    ACK_SENT,
    BOTH_FINS,
    CLIENT_HI,
    CROSSED_FINS,
    ESTABLISHED,
    FIN_SEEN,
    FINS_AT_RST,
    HANDSHAKE,
    ISN,
    LATE_SYN,
    N_FIN,
    N_RST,
    NEVER,
    PROVOKED,
    RESET_FIRST,
    RST_AFTER_FINS,
    RST_EFFECTIVE,
    RST_EFFECTIVE_HI,
    RST_SEEN,
    SEQ_SENT,
    SYN_ACKED,
    SYN_SEEN,
    SYN_WINDOW,
    SYNACK_FIRST,
    SYNACK_SEEN,
)
from lastack.kernels.pool import close_of, need_rare, node_of, proof_of, rare_of, take
from lastack.kernels.sequence import ahead, between
from lastack.model.batch import ACK, FIN, NO_WSCALE, RST, SYN
from lastack.model.enums import RstSeq

EXACT, WINDOW, OUTSIDE, UNKNOWN = (
    int(RstSeq.exact),
    int(RstSeq.window),
    int(RstSeq.outside),
    int(RstSeq.unknown),
)
NO_SCALE = 15
LARGEST_SCALE = 14  # RFC 7323, 2.3


@helper
def count(t: Any, i: Any, which: Any) -> Any:
    """Add one to a byte-sized counter; 255 of them move to the RARE record at once."""
    n = i64(i.count[which])
    if n == 255:
        r = need_rare(t, i)
        r.carry[which] = i64(r.carry[which]) + 255
        n = i64(0)
    i.count[which] = n + 1


@helper
def _count_closing(t: Any, i: Any, c: Any, which: Any) -> Any:
    """Add one to a byte-sized counter of FINs or RSTs."""
    n = i64(c.count[which - N_FIN])
    if n == 255:
        r = need_rare(t, i)
        r.carry[which] = i64(r.carry[which]) + 255
        n = i64(0)
    c.count[which - N_FIN] = n + 1


@helper
def acks_syn(h: Any, i: Any, end: Any, ack: Any) -> Any:
    """Return whether an acknowledgment number answers the SYN of direction `end`."""
    return between(i64(ack) - 1, i64(i.first[end]), i64(h.end[end]))


@helper
def window_of(h: Any, i: Any, end: Any) -> Any:
    """Return the receive window of an end in bytes, scaled as far as its scale is known."""
    flags = i64(h.bits)
    window = i64(h.window[end])
    if flags & (SYN_WINDOW << end):
        return window
    if (flags & (ISN << end)) == 0:
        return window << LARGEST_SCALE
    scale0 = i64(i.wscale) & 15
    scale1 = i64(i.wscale) >> 4
    if scale0 == NO_SCALE or scale1 == NO_SCALE:
        return window
    return window << (scale1 if end == 1 else scale0)


@helper
def answers_syn(h: Any, i: Any, d: Any, g: Any) -> Any:
    """Return whether a RST of direction d is the answer to a SYN: RFC 9293, 3.10.7.3 (state SYN-SENT)."""
    return (i64(g.tcp_flags) & ACK) != 0 and acks_syn(h, i, 1 - d, g.ack)


@helper
def rst_place(h: Any, i: Any, d: Any, g: Any) -> Any:
    """Return the RstSeq of a RST: where it lies in the receive window of the end it is sent to."""
    flags = i64(h.bits)
    o = 1 - d
    if (flags & (ACK_SENT << o)) == 0:
        if (flags & (SYN_SEEN << o)) and (flags & (SEQ_SENT << d)) == 0 and answers_syn(h, i, d, g):
            return EXACT
        return UNKNOWN
    seq = i64(g.seq)
    expected = i64(h.ack[o])
    if seq == expected or ((flags & (SEQ_SENT << d)) != 0 and seq == i64(h.end[d])):
        return EXACT
    offset = ahead(seq, expected)
    return WINDOW if 0 < offset < window_of(h, i, o) else OUTSIDE


@helper
def rst_ends(h: Any, i: Any, d: Any, g: Any, place: Any) -> Any:
    """Return whether a RST at a place could end the session."""
    flags = i64(h.bits)
    o = 1 - d
    if (flags & (SYN_SEEN << o)) and (flags & (SEQ_SENT << d)) == 0:
        # An end that acknowledges and sends on has had a SYN-ACK, seen or not, and takes what fits its window. One that
        # only acknowledges may not: ends of Multipath TCP do so before there is an answer, and ignore the RST.
        went_on = (flags & (ACK_SENT << o)) != 0 and ahead(i64(h.end[o]), i64(i.first[o])) > 1
        return answers_syn(h, i, d, g) or (went_on and place != OUTSIDE)
    if (flags & (ACK_SENT << o)) == 0:
        return True
    return place != OUTSIDE


@helper
def start_closing(t: Any, h: Any, k: Any, silence_ns: Any) -> Any:
    """Return the CLOSE record, taking one at the first FIN or RST."""
    if k.close == 0:
        k.close = take(t.close)
        c = close_of(t, k)
        c.fin1_ns = NEVER
        c.fin2_ns = NEVER
        c.closed_ns = NEVER
        c.half_gap = 0
        c.idle_ns = silence_ns
    return close_of(t, k)


@helper
def _write_order(h: Any, k: Any, event: Any) -> Any:
    flags = i64(h.bits)
    place = 0
    for bit in range(4):
        if flags & (FIN_SEEN << bit):
            place += 2
    k.order = i64(k.order) | (event << place)


@helper
def take_fin(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any, position: Any, silence_ns: Any) -> Any:
    """Account for a FIN at a sequence position; return whether its position is another than this end's last."""
    c = start_closing(t, h, k, silence_ns)
    _count_closing(t, i, c, N_FIN + d)
    flags = i64(h.bits)
    o = 1 - d
    if flags & (FIN_SEEN << d):
        return _another_fin(t, i, d, g, position, i64(c.fin[d]))
    _write_order(h, k, d)
    c.fin[d] = position
    c.fin_place[d] = place_of(t, i, g)
    if flags & (FIN_SEEN << o):
        c.fin2_ns = g.ts_ns
        acknowledged = (flags & (ACK_SENT << o)) != 0 and ahead(h.ack[o], position + 1) >= 0
        first = i64(c.fin[o]) + 1
        acknowledges = (flags & (ACK_SENT << d)) != 0 and ahead(h.ack[d], first) >= 0
        acknowledges = acknowledges or ((i64(g.tcp_flags) & (ACK | RST)) == ACK and ahead(g.ack, first) >= 0)
        if (flags & (3 * RST_SEEN)) == 0 and not acknowledged and not acknowledges:
            i.verdict = i64(i.verdict) | CROSSED_FINS
    else:
        c.fin1_ns = g.ts_ns
    h.bits = flags | (FIN_SEEN << d)
    return True


@helper
def _another_fin(t: Any, i: Any, d: Any, g: Any, position: Any, first: Any) -> Any:
    """Keep a further FIN position in the list of distinct ones; return whether it differs from the last FIN's."""
    last = first
    if i.rare != 0:
        r = need_rare(t, i)
        if i64(r.odd) & (4 << d):
            last = i64(r.last_fin[d])
    if position == last and position == first:
        return False
    r = need_rare(t, i)
    if (i64(g.tcp_flags) & (SYN | RST)) == 0:
        r.odd = i64(r.odd) | (4 << d)
        r.last_fin[d] = position
    if position == first:
        return position != last
    index = i64(r.fins[d])
    while index != 0:
        if i64(node_of(t, index).low) == position:
            return position != last
        index = i64(node_of(t, index).next)
    index = take(t.node)
    if index != 0:
        node = node_of(t, index)
        node.low = position
        node.next = r.fins[d]
        r.fins[d] = index
    return position != last


@helper
def take_rst(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any, silence_ns: Any) -> Any:
    """Account for a RST; return whether its sequence number is another than this end's last RST."""
    c = start_closing(t, h, k, silence_ns)
    _count_closing(t, i, c, N_RST + d)
    p = proof_of(t, c)
    flags = i64(h.bits)
    verdict = i64(i.verdict)
    place = rst_place(h, i, d, g)
    if place == WINDOW or place == OUTSIDE:
        r = need_rare(t, i)
        r.marks = i64(r.marks) | (PROVOKED << d)
    if (flags & (3 * RST_SEEN)) == 0:
        verdict |= place
    ends = rst_ends(h, i, d, g, place)
    if (flags & RST_EFFECTIVE) == 0 and ends:
        flags |= RST_EFFECTIVE | (RST_EFFECTIVE_HI if d == 1 else 0)
        fins = ((flags >> 7) & 1) + ((flags >> 8) & 1)
        verdict |= fins << FINS_AT_RST
    elif ends and i64(rare_of(t, i).marks) & (3 * RESET_FIRST):
        r = need_rare(t, i)
        r.marks = i64(r.marks) & ~(3 * RESET_FIRST)
    if (flags & BOTH_FINS) == BOTH_FINS:
        verdict |= RST_AFTER_FINS
    new = (flags & (RST_SEEN << d)) == 0 or p.rst[d] != g.seq
    if (i64(g.tcp_flags) & (SYN | FIN)) == 0:
        p.rst[d] = g.seq
    i.verdict = verdict
    h.bits = flags
    if (flags & (RST_SEEN << d)) == 0:
        _write_order(h, k, 2 | d)
        h.bits = flags | (RST_SEEN << d)
    return new


@helper
def scale_of(g: Any) -> Any:
    """Return the window scale that a SYN or SYN-ACK offers, NO_SCALE without one."""
    scale = i64(g.wscale)
    return i64(NO_SCALE) if scale == NO_WSCALE else min(scale, LARGEST_SCALE)


@helper
def take_syn(t: Any, h: Any, i: Any, d: Any, g: Any, before: Any) -> Any:
    """Account for a SYN or SYN-ACK of a session it belongs to; `before` are the flags as the packet found them."""
    flags = i64(h.bits)
    o = 1 - d
    if (before & (ISN << d)) == 0:
        i.wscale = (i64(i.wscale) & (0xF0 if d == 0 else 0x0F)) | (scale_of(g) << (4 * d))
    if i64(g.tcp_flags) & ACK:
        if (flags & RST_EFFECTIVE) != 0 and (flags & (SYNACK_SEEN << d)) == 0:
            r = need_rare(t, i)
            r.marks = i64(r.marks) | (RESET_FIRST << d)
        if (flags & (3 * SYNACK_SEEN)) == 0:
            i.synack_ns = g.ts_ns
            i.synack = place_of(t, i, g)
            if (flags & (3 * SYN_SEEN)) == 0:
                flags = (flags & ~CLIENT_HI) | (CLIENT_HI if o == 1 else 0)
        flags |= SYNACK_SEEN << d
    else:
        if (flags & (3 * SYN_SEEN)) == 0:
            flags = (flags & ~CLIENT_HI) | (CLIENT_HI if d == 1 else 0)
            if h.packets[0] + h.packets[1] > 1:
                r = need_rare(t, i)
                r.syn_ns = g.ts_ns
                r.odd = i64(r.odd) | LATE_SYN | (SYNACK_FIRST if i.synack_ns != NEVER else 0)
        flags |= SYN_SEEN << d
    h.bits = flags


@helper
def note_opening(t: Any, h: Any, i: Any, d: Any, g: Any) -> Any:
    """Decide, after a packet was accounted for, whether it completed the handshake or shows that one took place."""
    flags = i64(h.bits)
    tcp = i64(g.tcp_flags)
    c = 1 if flags & CLIENT_HI else 0
    s = 1 - c
    acking = (tcp & (ACK | SYN | RST)) == ACK
    if flags & (SYN_SEEN << c):
        if flags & (SYN_SEEN << s):
            if (tcp & (ACK | RST)) == ACK and between(i64(g.ack), i64(i.first[1 - d]) + 1, i64(h.end[1 - d])):
                r = need_rare(t, i)
                r.marks = i64(r.marks) | (SYN_ACKED << (1 - d))
                if i64(r.marks) & (3 * SYN_ACKED) == 3 * SYN_ACKED:
                    i.ct_ns = g.ts_ns
                    flags |= HANDSHAKE | ESTABLISHED
        if (
            not flags & HANDSHAKE
            and flags & (SYNACK_SEEN << s)
            and d == c
            and acking
            and _acks_server(h, i, s, g)
        ):
            i.ct_ns = g.ts_ns
            flags |= HANDSHAKE | ESTABLISHED
        if d == c and acking and (flags & (3 * SYNACK_SEEN)) == 0:
            flags |= ESTABLISHED
        other = (tcp & (ACK | RST)) == ACK and (tcp & (SYN | FIN)) != SYN
        if d == s and other and (flags & (SYNACK_SEEN << s)) == 0 and acks_syn(h, i, c, g.ack):
            flags |= ESTABLISHED
    elif d == c and acking and (flags & (SYNACK_SEEN << s)) and _acks_server(h, i, s, g):
        flags |= ESTABLISHED
    if d == s and (flags & (SYNACK_SEEN << s)) and (tcp & (SYN | RST)) == 0 and g.payload > 0:
        flags |= ESTABLISHED
    h.bits = flags


@helper
def _acks_server(h: Any, i: Any, s: Any, g: Any) -> Any:
    return between(i64(g.ack), i64(i.first[s]) + 1, i64(h.end[s]))


@helper
def note_close(t: Any, h: Any, k: Any, d: Any, g: Any, before: Any) -> Any:
    """Note the ACK of the second FIN; `before` are the flags as the packet found them."""
    if (
        (before & BOTH_FINS) != BOTH_FINS
        or (before & (3 * RST_SEEN))
        or (i64(g.tcp_flags) & (ACK | RST)) != ACK
    ):
        return
    c = close_of(t, k)
    first = i64(k.order) & 1
    if c.closed_ns == NEVER and d == first and ahead(g.ack, i64(c.fin[1 - first]) + 1) >= 0:
        c.closed_ns = g.ts_ns


@helper
def is_over(flags: Any) -> Any:
    """Return whether a SYN now starts a new session: an effective RST or both FINs were seen."""
    return (flags & RST_EFFECTIVE) != 0 or (flags & BOTH_FINS) == BOTH_FINS

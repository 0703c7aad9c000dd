"""One packet into one session: the complete step, and the short one for a quiet segment of an open session.

Both give the same result; the short step is taken when nothing but counters, positions and the silence can change.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.fingerprint import note_ipid, note_oddity, place_of, stamp
from lastack.kernels.history import note_letter
from lastack.kernels.layout import (
    ACK_SENT,
    ANY_FIN_RST,
    ANY_ISN,
    BARE_ACK,
    BOTH_FINS,
    CHALLENGED,
    DATA,
    ESTABLISHED,
    FIN_SEEN,
    HANDSHAKE,
    ISN,
    LETTER_A,
    LETTER_D,
    MASK32,
    N_SYN,
    N_SYNACK,
    NEVER,
    OPEN_GAP_FLOOR_NS,
    PROVOKED,
    REPEATING,
    RST_EFFECTIVE,
    RST_SEEN,
    SEQ_SENT,
    SHADOW,
    SYN_WINDOW,
)
from lastack.kernels.lifecycle import (
    count,
    is_over,
    note_close,
    note_opening,
    start_closing,
    take_fin,
    take_rst,
    take_syn,
)
from lastack.kernels.marks import note_marks
from lastack.kernels.pool import close_of, need_rare, rare_of
from lastack.kernels.proof import note_after, take_proof
from lastack.kernels.retries import note_retry
from lastack.kernels.sequence import ahead, learn_isn, occupy, seen
from lastack.kernels.silence import note_silence
from lastack.model.batch import ACK, FIN, RST, SYN
from lastack.model.enums import TailKind

_T_SYN, _T_DATA, _T_FIN = int(TailKind.syn), int(TailKind.data), int(TailKind.fin)
_T_KEEPALIVE, _T_PROBE = int(TailKind.keepalive), int(TailKind.zero_window)


@helper
def quiet_step(t: Any, h: Any, k: Any, d: Any, g: Any) -> Any:
    """Account for a segment that changes nothing but counters; return False, untouched, if it may change more."""
    flags = i64(h.bits)
    tcp = i64(g.tcp_flags)
    if (tcp & (SYN | FIN | RST | ACK)) != ACK or (flags & (ANY_FIN_RST | REPEATING | SHADOW)) != 0:
        return False
    payload = i64(g.payload)
    wanted = ((ACK_SENT | SEQ_SENT) << d) | ESTABLISHED
    wanted |= ((LETTER_D << d) | DATA) if payload > 0 else (LETTER_A << d)
    end = i64(h.end[d])
    new_end = end + payload
    gap = g.ts_ns - h.end_ns
    if (
        (flags & wanted) != wanted
        or ((flags & ANY_ISN) != 0 and (flags & HANDSHAKE) == 0)
        or i64(g.seq) != end
        or (end ^ new_end) >> 30 != 0
        or gap >= OPEN_GAP_FLOOR_NS
        or h.packets[d] == MASK32
        or g.window == 0
        or g.ttl != k.ttl[d]
    ):
        return False
    if gap > 0:
        h.end_ns = g.ts_ns
        if gap > h.max_idle:
            h.max_idle = gap
    h.packets[d] = i64(h.packets[d]) + 1
    h.bytes[d] += payload
    h.end[d] = new_end
    if ahead(g.ack, h.ack[d]) > 0:
        h.ack[d] = g.ack
    h.window[d] = g.window
    if flags & (SYN_WINDOW << d):
        h.bits = flags & ~(SYN_WINDOW << d)
    note_ipid(k, d, g)
    k.last = stamp(t, g, d)
    return True


@helper
def _is_probe(h: Any, d: Any, g: Any, before: Any) -> Any:
    """Return whether a segment has the shape of a keepalive: at most the last byte, which was acknowledged."""
    o = 1 - d
    known = (SEQ_SENT << d) | (ACK_SENT << o)
    return (
        (i64(g.tcp_flags) & (SYN | FIN | RST)) == 0
        and g.payload <= 1
        and (before & known) == known
        and ((i64(g.seq) + 1) & MASK32) == i64(h.end[d])
        and h.ack[o] == h.end[d]
    )


@helper
def _repeats(
    t: Any, h: Any, i: Any, d: Any, g: Any, before: Any, probe: Any, all_seen: Any, latest_ns: Any
) -> Any:
    """Count retransmissions and keepalives, and how many packets in a row only repeated without an answer.

    `before` and `latest_ns` are flags and latest time as the packet found them.
    """
    tcp = i64(g.tcp_flags)
    keepalive = probe and h.window[1 - d] != 0
    again = all_seen and not keepalive
    if keepalive or again or probe:
        r = need_rare(t, i)
        if keepalive:
            r.keepalives[d] = i64(r.keepalives[d]) + 1
        if again:
            r.retx[d] = i64(r.retx[d]) + 1
        if again and (tcp & (SYN | ACK)) == SYN and (before & ESTABLISHED) != 0 and not is_over(before):
            r.late_syns = i64(r.late_syns) + 1
            r.marks = i64(r.marks) | (PROVOKED << d)
        same_end = ((i64(r.odd) >> 4) & 1) == d
        r.repeats = i64(r.repeats) + 1 if same_end and (before & REPEATING) != 0 else 1
        if r.tail == 0 or not same_end:
            r.tail = 0
            r.tail_place = place_of(t, i, g)
            r.tail_ns = g.ts_ns
            r.progress_ns = latest_ns
        r.tail = i64(r.tail) + 1
        kind = _T_DATA if g.payload > 0 else _T_FIN
        if tcp & SYN:
            kind = _T_SYN
        elif probe:
            kind = _T_KEEPALIVE if keepalive else _T_PROBE
        r.tail_kind = kind
        r.odd = (i64(r.odd) & ~16) | (d << 4)
        h.bits = i64(h.bits) | REPEATING
    elif before & (REPEATING | 3 * RST_SEEN) and i.rare != 0:
        r = need_rare(t, i)
        r.repeats = 0
        r.tail = 0
        h.bits = i64(h.bits) & ~REPEATING


@helper
def _stream(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any, before: Any, latest_ns: Any) -> Any:
    """Place the sequence numbers of a segment that is no RST; return the position of its FIN (or of its end)."""
    tcp = i64(g.tcp_flags)
    payload = i64(g.payload)
    start = i64(g.seq)
    syn = tcp & SYN
    fin = tcp & FIN
    data = start + (1 if syn else 0)
    position = (data + payload) & MASK32
    size = payload + (1 if syn else 0) + (1 if fin else 0)
    plain = (before & (SEQ_SENT << d)) != 0 and ahead(start, h.end[d]) >= 0
    syn_seen = syn != 0 and not plain and seen(t, h, k, i, d, start)
    fin_seen = fin != 0 and not plain and seen(t, h, k, i, d, position)
    probe = _is_probe(h, d, g, before)
    if probe and h.window[1 - d] != 0:
        # a keepalive's byte is not part of the stream
        size = i64(0)
        if payload > 0:
            need_rare(t, i).seen_again[d] += payload
    new = occupy(t, h, k, i, d, start, size)
    _repeats(t, h, i, d, g, before, probe, size > 0 and new == 0, latest_ns)
    if size == 0:
        return position
    new_payload = new - (1 if syn and not syn_seen else 0) - (1 if fin and not fin_seen else 0)
    if new_payload < payload:
        r = need_rare(t, i)
        r.seen_again[d] += payload - new_payload
    if before & ANY_FIN_RST and payload > 0:
        o = 1 - d
        if (
            (before & (FIN_SEEN << o)) != 0
            and (before & (FIN_SEEN << d)) == 0
            and (before & (3 * RST_SEEN)) == 0
            and (tcp & ACK) != 0
            and ahead(g.ack, i64(close_of(t, k).fin[o]) + 1) >= 0
        ):
            c = close_of(t, k)
            c.half_bytes = c.half_bytes + new_payload
        if before & (FIN_SEEN << d):
            beyond = min(ahead(position, close_of(t, k).fin[d]), payload)
            if beyond > 0:
                r = need_rare(t, i)
                r.after_fin[d] += beyond
    return position


@helper
def _answer(t: Any, i: Any, d: Any, g: Any, challenging: Any) -> Any:
    """Note a challenge ACK: known as one, or answering a RST or SYN that was the packet before it."""
    r = rare_of(t, i)
    provoked = i64(r.marks) & (3 * PROVOKED)
    if provoked:
        r.marks = i64(r.marks) & ~(3 * PROVOKED)
        bare = (i64(g.tcp_flags) & (SYN | FIN | RST | ACK)) == ACK and g.payload == 0
        challenging = challenging or (bare and provoked == PROVOKED << (1 - d))
    if challenging:
        r = need_rare(t, i)
        marks = i64(r.marks)
        if (marks & CHALLENGED) == 0:
            r.marks = marks | CHALLENGED
            r.challenge = place_of(t, i, g)


@helper
def full_step(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any, challenging: Any) -> Any:
    """Account for any packet of a session; `challenging` says that it is known to be a challenge ACK."""
    before = i64(h.bits)
    tcp = i64(g.tcp_flags)
    silence = NEVER
    latest_ns = NEVER
    if h.packets[0] != 0 or h.packets[1] != 0:
        note_silence(t, h, k, i, d, g)
        note_marks(t, h, k, i, g.ts_ns)
        latest_ns = h.end_ns
        silence = max(g.ts_ns - latest_ns, i64(0))
    already = i64(0)
    if challenging or before & (REPEATING | 3 * RST_SEEN):
        _answer(t, i, d, g, challenging)
        already = rare_of(t, i).seen_again[d]
    if tcp & RST and (before & (3 * RST_SEEN)) == 0:
        start_closing(t, h, k, silence)
        take_proof(t, h, k, i, d, g, latest_ns)
    if g.ts_ns > h.end_ns:
        h.end_ns = g.ts_ns
    n = i64(h.packets[d]) + 1
    if n > MASK32:
        r = need_rare(t, i)
        r.packet_carry[d] = i64(r.packet_carry[d]) + 1
        # never 0 again: 0 packets means that the end was not seen
        n = i64(1)
    h.packets[d] = n
    new_fin = False
    new_rst = False
    if tcp & SYN:
        count(t, i, (N_SYNACK if tcp & ACK else N_SYN) + d)
    if tcp & RST:
        position = (i64(g.seq) + (1 if tcp & SYN else 0)) & MASK32
        if before & REPEATING:
            need_rare(t, i).repeats = 0
            h.bits = i64(h.bits) & ~REPEATING
    else:
        payload = i64(g.payload)
        h.bytes[d] += payload
        opener = (tcp & (SYN | FIN)) == SYN
        position = _stream(t, h, k, i, d, g, before, latest_ns)
        other_ttl = (before & (SEQ_SENT << d)) != 0 and (before & (3 * RST_SEEN)) == 0 and g.ttl != k.ttl[d]
        if g.window == 0 or other_ttl:
            note_oddity(t, k, i, d, g, other_ttl)
        if opener:
            if (before & (ISN << d)) == 0:
                learn_isn(t, h, i, d, g.seq)
            take_syn(t, h, i, d, g, before)
    if g.payload > 0:
        if (tcp & (ACK | SYN)) == ACK or (tcp & (ACK | SYN | RST)) == SYN:
            h.bits = i64(h.bits) | DATA
    elif (tcp & (ACK | SYN)) == ACK:
        h.bits = i64(h.bits) | BARE_ACK
    if tcp & FIN:
        new_fin = take_fin(t, h, k, i, d, g, position, silence)
    if tcp & RST:
        new_rst = take_rst(t, h, k, i, d, g, silence)
    else:
        flags = i64(h.bits)
        if tcp & ACK:
            if (flags & (ACK_SENT << d)) == 0:
                flags |= ACK_SENT << d
                h.ack[d] = g.ack
            elif ahead(g.ack, h.ack[d]) > 0:
                h.ack[d] = g.ack
        h.window[d] = g.window
        flags = flags | (SYN_WINDOW << d) if tcp & SYN else flags & ~(SYN_WINDOW << d)
        h.bits = flags
        if (flags & ANY_ISN) != 0 and (flags & (HANDSHAKE | RST_EFFECTIVE)) == 0:
            note_opening(t, h, i, d, g)
            if (i64(h.bits) & (ESTABLISHED | ANY_FIN_RST)) == 0 and latest_ns != NEVER:
                note_retry(t, h, i, d, g, before)
    note_letter(t, h, i, d, g, before, new_fin, new_rst)
    if (before & BOTH_FINS) == BOTH_FINS:
        note_close(t, h, k, d, g, before)
    if before & (3 * RST_SEEN):
        new = i64(0)
        if (tcp & RST) == 0:
            new = i64(g.payload) - (rare_of(t, i).seen_again[d] - already)
        note_after(t, k, i, d, g, new)
    elif (tcp & RST) == 0:
        k.ttl[d] = g.ttl
        note_ipid(k, d, g)
    k.last = stamp(t, g, d)

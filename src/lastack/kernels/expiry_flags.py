"""The `flags` engine: each end's SYN, FIN and acknowledged FIN derive the phase (docs/explain/timers.md).

`d` is the direction of the segment, `o` the other; the slow twin is `tests/naive/box.py`.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry_layout import (
    ACKED,
    ACTS,
    FINS,
    HAS_SCALE,
    ISN,
    NEW_SYN,
    SCALED,
    SENT_SYN,
    SENT_SYNACK,
    SYN_ACKED,
    TOP,
    WHO,
)
from lastack.kernels.expiry_table import (
    RESTARTED,
    choose_table,
    end_entry,
    entry_of,
    new_entry,
    rules_of,
    run_clock,
    set_phase,
)
from lastack.kernels.layout import MASK32
from lastack.kernels.sequence import ahead, between
from lastack.model.batch import ACK, FIN, NO_WSCALE, RST, SYN

# classes of segments (firewall.table.Seg), and the events of the same numbers (firewall.table.Act)
SEG_SYN, SEG_SYNACK, SEG_ACK, SEG_DATA, SEG_FIN, SEG_RST = range(6)
A_FIN, A_FIN_RETX, A_RST, A_RST_UNVERIFIED, A_OPENS, A_ACK_OF_FIN, A_ACK_OF_FINS = range(4, 11)
SYN_SENT_PHASE, SYN_RECV_PHASE, UNREPLIED_PHASE, ESTABLISHED_PHASE = range(1, 5)
RESTART = 255
KEEP, ABSOLUTE = 2, 1
IN_WINDOW = 64
NOBODY = 2
FORWARD, DROP, RESET = 0, 1, 2
ENTRY_R, MADE_R, PICKED_R, ADOPTED_R, RESTARTED_R, PASSED_R, NO_ENTRY_R, FULL_R, UNBELIEVED_R, INVALID_R = (
    range(10)
)


@helper
def answer(action: Any, reason: Any, phase: Any) -> Any:
    """Return an answer as one number."""
    return i64(action) | (i64(reason) << 4) | (i64(phase) << 8)


@helper
def seg_of(g: Any) -> Any:
    """Return the class of a segment."""
    tcp = i64(g.tcp_flags)
    if tcp & RST:
        return SEG_RST
    if (tcp & (SYN | FIN)) == SYN:
        return SEG_SYNACK if tcp & ACK else SEG_SYN
    if tcp & FIN:
        return SEG_FIN
    return SEG_DATA if g.payload > 0 else SEG_ACK


@helper
def occupied(g: Any) -> Any:
    """Return how many sequence numbers a segment that is no RST takes."""
    tcp = i64(g.tcp_flags)
    size = i64(g.payload)
    if tcp & SYN:
        size += 1
    if tcp & FIN:
        size += 1
    return size


@helper
def window_in_bytes(e: Any, d: Any) -> Any:
    """Return an end's window, as far as its scale is known."""
    bits = i64(e.bits)
    window = i64(e.window[d])
    if (bits & (SCALED << d)) == 0:
        return window
    if (bits & (ISN << d)) == 0:
        return window << 14
    if (bits & (3 * HAS_SCALE)) != 3 * HAS_SCALE:
        return window
    return window << min(i64(e.scale[d]), 14)


@helper
def fins_acked(e: Any) -> Any:
    """Return how many of the ends' first FINs were acknowledged."""
    bits = i64(e.bits)
    n = i64(0)
    for d in range(2):
        if bits & (FINS << d) and bits & (ACKED << (1 - d)) and ahead(e.ack[1 - d], i64(e.fin[d]) + 1) >= 0:
            n += 1
    return n


@helper
def take_numbers(e: Any, d: Any, g: Any, kind: Any) -> Any:
    """Take the numbers of a segment that is no RST, its FIN apart."""
    bits = i64(e.bits)
    if kind == SEG_SYN or kind == SEG_SYNACK:
        if bits & (ISN << d) and e.isn[d] != g.seq:
            if i64(e.phase) > SYN_RECV_PHASE:
                if kind == SEG_SYN:
                    e.bits = (bits & ~(3 * NEW_SYN)) | (NEW_SYN << d)
                    e.last_seq = g.seq
                    e.last_end = (i64(g.seq) + occupied(g)) & MASK32
                    e.last_win = g.window
                    e.last_wscale = g.wscale
                return
            bits &= ~((ISN | TOP) << d)
        if (bits & (ISN << d)) == 0:
            bits |= ISN << d
            e.isn[d] = g.seq
            bits &= ~(HAS_SCALE << d)
            if i64(g.wscale) != NO_WSCALE:
                bits |= HAS_SCALE << d
                e.scale[d] = g.wscale
        bits |= (SENT_SYN if kind == SEG_SYN else SENT_SYNACK) << d
    end = (i64(g.seq) + occupied(g)) & MASK32
    if (bits & (TOP << d)) == 0 or ahead(end, e.end[d]) > 0:
        e.end[d] = end
        bits |= TOP << d
    tcp = i64(g.tcp_flags)
    if tcp & ACK and ((bits & (ACKED << d)) == 0 or ahead(g.ack, e.ack[d]) > 0):
        e.ack[d] = g.ack
        bits |= ACKED << d
    e.window[d] = g.window
    if tcp & SYN:
        bits &= ~(SCALED << d)
    else:
        bits |= SCALED << d
    e.bits = bits


@helper
def _opens(e: Any, d: Any, g: Any, kind: Any) -> Any:
    """Return whether a segment completes the handshake or shows that one took place."""
    phase = i64(e.phase)
    opener = i64(e.opener)
    if phase == UNREPLIED_PHASE:
        return d != opener
    o = 1 - d
    bits = i64(e.bits)
    tcp = i64(g.tcp_flags)
    acks = (tcp & ACK) != 0
    plain = (tcp & (ACK | SYN)) == ACK
    in_range = (bits & (ISN << o)) != 0 and between(i64(g.ack), i64(e.isn[o]) + 1, i64(e.end[o]))
    both = SENT_SYN << d | SENT_SYN << o
    if (bits & both) == both and acks and in_range:
        bits |= SYN_ACKED << o
        e.bits = bits
        if bits & (SYN_ACKED << d):
            return True
    if d == opener:
        if bits & (SENT_SYNACK << o):
            return plain and in_range
        return plain and (bits & (SENT_SYN << d)) != 0 and (bits & (SENT_SYNACK << d)) == 0
    if bits & (SENT_SYNACK << d):
        return i64(g.payload) > 0 and (tcp & SYN) == 0
    acks_syn = (bits & (ISN << o)) != 0 and between(i64(g.ack) - 1, i64(e.isn[o]), i64(e.end[o]))
    return kind > SEG_SYNACK and acks and (bits & (SENT_SYN << o)) != 0 and acks_syn


@helper
def _acceptable(e: Any, d: Any, g: Any) -> Any:
    """Return whether a segment is acceptable to its receiver (RFC 9293, 3.10.7.4), as far as it is known."""
    o = 1 - d
    if (i64(e.bits) & (ACKED << o)) == 0:
        return True
    size = occupied(g)
    start = ahead(g.seq, e.ack[o])
    if start + max(size, 1) > 0 and start < max(window_in_bytes(e, o), 1):
        return True
    return size == 0 and start == 0


@helper
def _judge_rst(r: Any, e: Any, d: Any, g: Any) -> Any:
    """Return the event that a RST is, -1 if the box does not believe it."""
    if r.rst_check == 0:
        return A_RST
    o = 1 - d
    bits = i64(e.bits)
    if (bits & (ACKED << o)) == 0:
        if bits & (SENT_SYN << o) and (bits & (TOP << d)) == 0:
            if i64(g.tcp_flags) & ACK and between(i64(g.ack) - 1, i64(e.isn[o]), i64(e.end[o])):
                return A_RST
            return -1
        return A_RST
    offset = ahead(g.seq, e.ack[o])
    if offset == 0 or (bits & (TOP << d) and g.seq == e.end[d]):
        return A_RST
    if 0 < offset < window_in_bytes(e, o):
        if r.rst_check == 1:
            return A_RST
        if r.rst_check == 3:
            return A_RST_UNVERIFIED
    return -1


@helper
def timer_of(r: Any, e: Any) -> Any:
    """Return the place of the timer of an entry's phase."""
    closer = i64(e.closer)
    by_responder = 1 if closer != NOBODY and closer != i64(e.opener) else 0
    return i64(r.timer_of[i64(e.phase) * 2 + by_responder])


@helper
def step(r: Any, e: Any, phase: Any, act: Any, d: Any) -> Any:
    """Return the phase that an event leads to."""
    who = (1 if d != i64(e.opener) else 0) + (2 if i64(e.closer) != d else 0)
    return i64(r.next[(phase * ACTS + act) * WHO + who])


@helper
def _refresh_bits(g: Any, kind: Any) -> Any:
    if kind == SEG_RST:
        return 32
    if kind == SEG_SYN:
        return 1
    if kind == SEG_SYNACK:
        return 2
    bits = 16 if kind == SEG_FIN else 0
    if g.payload > 0:
        bits |= 8
    return bits if bits else 4


@helper
def fin_position(g: Any) -> Any:
    """Return the sequence number of a segment's FIN."""
    return (i64(g.seq) + occupied(g) - 1) & MASK32


@helper
def _renew(b: Any, index: Any, d: Any, g: Any, now: Any) -> Any:
    """Begin a new entry in place of an old one: a SYN that did not belong to it was answered."""
    old = entry_of(b, index)
    session = i64(old.session)
    seq, end, window, scale = i64(old.last_seq), i64(old.last_end), i64(old.last_win), i64(old.last_wscale)
    end_entry(b, index, now, RESTARTED)
    index = new_entry(b, g, now)
    e = entry_of(b, index)
    o = 1 - d
    e.opener = o
    e.session = session
    e.table = choose_table(b, g, o)
    bits = (ISN | TOP | SENT_SYN) << o
    if scale != NO_WSCALE:
        bits |= HAS_SCALE << o
        e.scale[o] = scale
    e.bits = bits
    e.isn[o] = seq
    e.end[o] = end
    e.window[o] = window
    set_phase(b, e, index, i64(SYN_RECV_PHASE))
    take_numbers(e, d, g, SEG_SYNACK)
    run_clock(b, e, index, timer_of(rules_of(b, e), e), now)
    return answer(FORWARD, RESTARTED_R, SYN_RECV_PHASE)


@helper
def offer_flags(b: Any, index: Any, d: Any, g: Any, now: Any) -> Any:
    """Decide about a segment of an entry; -1 when the entry was ended and the segment begins a new one."""
    e = entry_of(b, index)
    r = rules_of(b, e)
    kind = i64(seg_of(g))
    if kind == SEG_SYNACK and i64(e.bits) & (NEW_SYN << (1 - d)):
        if ((i64(e.last_seq) + 1) & MASK32) == i64(g.ack):
            return _renew(b, index, d, g, now)
    old = i64(e.phase)
    phase = old
    before = timer_of(r, e)
    acceptable = True
    if r.refresh[before * 2] & IN_WINDOW or r.refresh[before * 2 + 1] & IN_WINDOW:
        acceptable = _acceptable(e, d, g)
    if kind == SEG_RST:
        act = _judge_rst(r, e, d, g)
        if act < 0:
            return answer(DROP, UNBELIEVED_R, old)
        phase = step(r, e, phase, act, d)
    else:
        had = fins_acked(e) if i64(e.bits) & (3 * FINS) else i64(0)
        take_numbers(e, d, g, kind)
        if phase <= UNREPLIED_PHASE and _opens(e, d, g, kind):
            phase = step(r, e, phase, A_OPENS, d)
        if i64(e.bits) & (3 * FINS) and phase != RESTART:
            has = fins_acked(e)
            if has > had:
                phase = step(r, e, phase, A_ACK_OF_FINS if has == 2 else A_ACK_OF_FIN, d)
            had = has
        if phase != RESTART:
            if kind != SEG_FIN:
                phase = step(r, e, phase, kind, d)
            elif i64(e.bits) & (FINS << d):
                phase = step(r, e, phase, A_FIN_RETX, d)
            else:
                if i64(e.closer) == NOBODY:
                    e.closer = d
                e.fin[d] = fin_position(g)
                e.bits = i64(e.bits) | (FINS << d)
                phase = step(r, e, phase, A_FIN, d)
                has = fins_acked(e)
                if has > had and phase != RESTART:
                    phase = step(r, e, phase, A_ACK_OF_FINS if has == 2 else A_ACK_OF_FIN, d)
    if phase == RESTART:
        end_entry(b, index, now, RESTARTED)
        return i64(-1)
    set_phase(b, e, index, phase)
    after = timer_of(r, e)
    mode = i64(r.mode[after])
    if after != before:
        if mode != KEEP:
            run_clock(b, e, index, after, now)
    elif mode != ABSOLUTE:
        mask = i64(r.refresh[after * 2 + (1 if d != i64(e.opener) else 0)])
        if mask & _refresh_bits(g, kind) and (acceptable or (mask & IN_WINDOW) == 0):
            if i64(e.clock) != after:
                run_clock(b, e, index, after, now)
            elif r.per_direction:
                e.since[d] = now
            else:
                e.since[0] = now
                e.since[1] = now
    return answer(FORWARD, ENTRY_R, phase)


@helper
def begin_flags(b: Any, g: Any, d: Any, first: Any, kind: Any, adopt: Any, table: Any, now: Any) -> Any:
    """Make an entry with a segment; return its index."""
    index = new_entry(b, g, now)
    e = entry_of(b, index)
    e.table = table
    e.opener = first
    r = rules_of(b, e)
    phase = i64(UNREPLIED_PHASE)
    if kind == SEG_SYN:
        phase = i64(SYN_SENT_PHASE)
    elif kind == SEG_SYNACK:
        phase = i64(SYN_RECV_PHASE)
    elif adopt:
        phase = i64(ESTABLISHED_PHASE)
    set_phase(b, e, index, phase)
    take_numbers(e, d, g, kind)
    if kind == SEG_FIN:
        e.closer = d
        e.fin[d] = fin_position(g)
        e.bits = i64(e.bits) | (FINS << d)
        set_phase(b, e, index, step(r, e, phase, A_FIN, d))
    run_clock(b, e, index, timer_of(r, e), now)
    return index

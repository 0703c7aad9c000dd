"""Silences between packets: the longest while established, the longest while half-closed, and the gap profile.

The gap profile keeps, for each timer phase and state of what is outstanding, the left-to-right maxima of the silences:
for any idle timer the first entry longer than the timer says when a middlebox would have forgotten the session, and
what had been sent by then.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import (
    ACK_SENT,
    ANY_FIN_RST,
    ANY_ISN,
    BOTH_FINS,
    ESTABLISHED,
    FIN_AGAIN,
    FIN_SEEN,
    GAP_FLOOR_NS,
    GAP_STATE,
    LONGEST,
    MAX_GAPS,
    N_FIN,
    NEXT_HI,
    OPEN_GAP_FLOOR_NS,
    REPEATING,
    RST_EFFECTIVE,
    RST_SEEN,
    SEQ_SENT,
    STALLED,
    SYNACK_SEEN,
    UNACKED,
)
from lastack.kernels.pool import carries, close_of, gap_of, rare_of, take
from lastack.kernels.sequence import ahead
from lastack.model.batch import ACK, FIN, RST, SYN
from lastack.model.enums import PacketKind, TimerPhase

SYN_SENT = int(TimerPhase.syn_sent)
SYN_RECV = int(TimerPhase.syn_recv)
OPEN = int(TimerPhase.established)
FIN1 = int(TimerPhase.fin1)
FIN1_ACKED = int(TimerPhase.fin1_acked)
FIN2 = int(TimerPhase.fin2)
CLOSED = int(TimerPhase.closed)
RESET = int(TimerPhase.rst)
MIDSTREAM = int(TimerPhase.midstream)
P_SYN, P_SYN_ACK, P_ACK = int(PacketKind.syn), int(PacketKind.syn_ack), int(PacketKind.ack)
P_DATA, P_FIN, P_RST = int(PacketKind.data), int(PacketKind.fin), int(PacketKind.rst)
STILL = 3  # packets in a row that only repeat


@helper
def fin_acked(t: Any, h: Any, k: Any, d: Any) -> Any:
    """Return whether the other end acknowledged the direction's first FIN."""
    flags = i64(h.bits)
    o = 1 - d
    if (flags & (FIN_SEEN << d)) == 0 or (flags & (ACK_SENT << o)) == 0:
        return False
    return ahead(h.ack[o], i64(close_of(t, k).fin[d]) + 1) >= 0


@helper
def fins_acked(t: Any, h: Any, k: Any) -> Any:
    """Return how many of the two ends' first FINs were acknowledged."""
    n = 0
    for d in range(2):
        if fin_acked(t, h, k, d):
            n += 1
    return n


@helper
def timer_phase(t: Any, h: Any, k: Any) -> Any:
    """Return the TimerPhase that the packets so far have left behind."""
    flags = i64(h.bits)
    if flags & RST_EFFECTIVE:
        return RESET
    fins = flags & BOTH_FINS
    if fins == BOTH_FINS:
        return CLOSED if fins_acked(t, h, k) == 2 else FIN2
    if fins:
        return FIN1_ACKED if fins_acked(t, h, k) else FIN1
    if flags & ANY_ISN:
        if flags & ESTABLISHED:
            return OPEN
        return SYN_RECV if flags & (3 * SYNACK_SEEN) else SYN_SENT
    return OPEN if h.bytes[0] + h.bytes[1] > 0 else MIDSTREAM


@helper
def packet_kind(g: Any) -> Any:
    """Return the PacketKind of a segment."""
    tcp = i64(g.tcp_flags)
    if tcp & RST:
        return P_RST
    if (tcp & (SYN | FIN)) == SYN:
        return P_SYN_ACK if tcp & ACK else P_SYN
    if tcp & FIN:
        return P_FIN
    return P_DATA if g.payload > 0 else P_ACK


@helper
def _state(t: Any, h: Any, k: Any, r: Any) -> Any:
    """Return the bits of GAP_STATE that hold after the packets so far."""
    flags = i64(h.bits)
    state = 0
    for d in range(2):
        o = 1 - d
        if flags & (SEQ_SENT << d) and ((flags & (ACK_SENT << o)) == 0 or h.end[d] != h.ack[o]):
            state |= UNACKED
        if k.close != 0 and (i64(close_of(t, k).count[d]) > 1 or r.carry[N_FIN + d] != 0):
            state |= FIN_AGAIN
    last = i64(k.last) & 1
    if flags & (SEQ_SENT << last) and h.window[last] == 0:
        state |= STALLED
    if flags & REPEATING and i64(r.repeats) >= STILL:
        state |= STALLED
    return state


@helper
def _keep_gap(t: Any, h: Any, k: Any, i: Any, gap: Any, d: Any, g: Any) -> Any:
    phase = timer_phase(t, h, k)
    if gap < OPEN_GAP_FLOOR_NS and (phase == OPEN or phase == MIDSTREAM):
        return
    r = rare_of(t, i)
    state = _state(t, h, k, r)
    ends = (i64(g.tcp_flags) & (FIN | RST)) != 0
    longest = LONGEST
    index = i64(k.gap)
    place = i64(0)
    if index != 0:
        place = i64(gap_of(t, index).place) + 1
    while index != 0:
        node = gap_of(t, index)
        if i64(node.phase) == phase and gap <= node.gap_ns:
            longest = 0
            if (i64(node.what) & GAP_STATE) == state and not ends:
                return
        index = i64(node.next)
    if place >= MAX_GAPS:
        t.lost_gaps = t.lost_gaps + 1
        return
    index = take(t.gap)
    if index == 0:
        t.lost_gaps = t.lost_gaps + 1
        return
    node = gap_of(t, index)
    node.start_ns = h.end_ns
    node.gap_ns = gap
    for end in range(2):
        node.bytes[end] = h.bytes[end]
        node.packets[end] = h.packets[end]
    node.carry = carries(r)
    node.phase = phase
    node.what = packet_kind(g) | (NEXT_HI if d == 1 else 0) | state | longest
    node.place = place
    node.next = k.gap
    k.gap = index


@helper
def note_silence(t: Any, h: Any, k: Any, i: Any, d: Any, g: Any) -> Any:
    """Account for the silence that a packet ends, before the packet itself changes anything; return it in ns."""
    gap = g.ts_ns - h.end_ns
    if gap <= 0:
        return i64(0)
    flags = i64(h.bits)
    closing = flags & ANY_FIN_RST
    if closing == 0:
        if (flags & ESTABLISHED) and gap > h.max_idle:
            h.max_idle = gap
    elif (closing & (3 * RST_SEEN)) == 0 and (closing & BOTH_FINS) != BOTH_FINS:
        c = close_of(t, k)
        if gap > c.half_gap:
            c.half_gap = gap
    if gap >= GAP_FLOOR_NS:
        _keep_gap(t, h, k, i, gap, d, g)
    return gap

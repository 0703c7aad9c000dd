"""Silences between packets: the longest while established, the longest while half-closed, and the gap profile.

The gap profile keeps, for each timer phase, the left-to-right maxima of the silences: for any idle timer the first
entry longer than the timer says when a middlebox would have forgotten the session, and what had been sent by then.
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
    FIN_SEEN,
    GAP_FLOOR_NS,
    MAX_GAPS,
    OPEN_GAP_FLOOR_NS,
    RST_EFFECTIVE,
    RST_SEEN,
    SYNACK_SEEN,
)
from lastack.kernels.pool import close_of, gap_of, rare_of, take
from lastack.kernels.sequence import ahead
from lastack.model.enums import TimerPhase

SYN_SENT = int(TimerPhase.syn_sent)
SYN_RECV = int(TimerPhase.syn_recv)
OPEN = int(TimerPhase.established)
FIN1 = int(TimerPhase.fin1)
FIN1_ACKED = int(TimerPhase.fin1_acked)
FIN2 = int(TimerPhase.fin2)
CLOSED = int(TimerPhase.closed)
RESET = int(TimerPhase.rst)
MIDSTREAM = int(TimerPhase.midstream)


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
def _keep_gap(t: Any, h: Any, k: Any, i: Any, gap: Any) -> Any:
    phase = timer_phase(t, h, k)
    if gap < OPEN_GAP_FLOOR_NS and (phase == OPEN or phase == MIDSTREAM):
        return
    index = i64(k.gap)
    place = i64(0)
    if index != 0:
        place = i64(gap_of(t, index).place) + 1
    while index != 0:
        node = gap_of(t, index)
        if i64(node.phase) == phase:
            if gap <= node.gap_ns:
                return
            break
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
    r = rare_of(t, i)
    for d in range(2):
        node.bytes[d] = h.bytes[d]
        node.packets[d] = h.packets[d]
        node.carry[d] = min(i64(r.packet_carry[d]), i64(255))
    node.phase = phase
    node.place = place
    node.next = k.gap
    k.gap = index


@helper
def note_silence(t: Any, h: Any, k: Any, i: Any, now_ns: Any) -> Any:
    """Account for the silence that a packet ends, before the packet itself changes anything; return it in ns."""
    gap = now_ns - h.end_ns
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
        _keep_gap(t, h, k, i, gap)
    return gap

"""What became of a session, from its records: opening, ending, states of both ends, Zeek's and Wireshark's words.

Written from docs/reference/definitions.md, section 5. Directions are canonical; `c` is the client's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import (
    ACK_SENT,
    ANY_ISN,
    BARE_ACK,
    BOTH_FINS,
    CLIENT_HI,
    CROSSED_FINS,
    DATA,
    ESTABLISHED,
    FIN_SEEN,
    FINS_AT_RST,
    ICMP_ERROR,
    ISN,
    L_FIN_RST,
    REPEATING,
    RESET_FIRST,
    RST_AFTER_FINS,
    RST_EFFECTIVE,
    RST_EFFECTIVE_HI,
    RST_SEEN,
    SEQ_SENT,
    SYN_SEEN,
    SYNACK_SEEN,
    WRAPPED,
)
from lastack.kernels.pool import close_of, rare_of
from lastack.kernels.sequence import ahead, hole_below, hole_bytes
from lastack.kernels.silence import fin_acked, fins_acked
from lastack.model.enums import ClientBy, Closer, ConnState, Ending, EndpointState, Observed, Opening, Phase

O_ESTABLISHED, O_REFUSED, O_ICMP = int(Opening.established), int(Opening.refused), int(Opening.refused_icmp)
O_UNANSWERED, O_HALF_OPEN, O_ABORTED = int(Opening.unanswered), int(Opening.half_open), int(Opening.aborted)
O_BOTH, O_SYNACK = int(Opening.simultaneous), int(Opening.synack_only)
O_MIDSTREAM, O_STRAY = int(Opening.midstream), int(Opening.stray)
E_CLOSED, E_HALF, E_FIN_RST, E_RST = (
    int(Ending.closed),
    int(Ending.half_closed),
    int(Ending.fin_rst),
    int(Ending.rst),
)
E_CLOSED_RST, E_OPEN = int(Ending.closed_rst), int(Ending.open)
E_VANISHED, E_NEVER = int(Ending.vanished), int(Ending.never_opened)
BY_SYN, BY_SYNACK, BY_PORT, BY_GUESS = (
    int(ClientBy.syn),
    int(ClientBy.synack),
    int(ClientBy.port),
    int(ClientBy.guess),
)
CLOSER_BOTH, CLOSER_CLIENT, CLOSER_SERVER = int(Closer.both), int(Closer.client), int(Closer.server)
S_UNKNOWN, S_SYN_SENT, S_SYN_RECEIVED = (
    int(EndpointState.UNKNOWN),
    int(EndpointState.SYN_SENT),
    int(EndpointState.SYN_RECEIVED),
)
S_ESTABLISHED, S_CLOSED = int(EndpointState.ESTABLISHED), int(EndpointState.CLOSED)
S_FIN_WAIT_1, S_FIN_WAIT_2 = int(EndpointState.FIN_WAIT_1), int(EndpointState.FIN_WAIT_2)
S_CLOSE_WAIT, S_CLOSING = int(EndpointState.CLOSE_WAIT), int(EndpointState.CLOSING)
S_LAST_ACK, S_TIME_WAIT = int(EndpointState.LAST_ACK), int(EndpointState.TIME_WAIT)
Z_S0, Z_S1, Z_SF, Z_REJ, Z_S2, Z_S3, Z_RSTO, Z_RSTR, Z_RSTOS0, Z_RSTRH, Z_SH, Z_SHR, Z_OTH = (
    int(state) for state in ConnState
)
P_OPENING, P_ESTABLISHED, P_HALF = int(Phase.opening), int(Phase.established), int(Phase.half_closed)
P_CLOSING, P_CLOSED = int(Phase.closing), int(Phase.closed)
SEEN_EVICTED, SEEN_ONE_WAY, SEEN_LOSSY = int(Observed.evicted), int(Observed.one_way), int(Observed.lossy)
SEEN_NO_START, SEEN_NO_END = int(Observed.start_missing), int(Observed.end_missing)
SEEN_ALL = int(Observed.complete)
VANISHED_AFTER = 3  # packets in a row that only repeat


@helper
def client_of(h: Any) -> Any:
    """Return the direction that the client sends in."""
    return 1 if i64(h.bits) & CLIENT_HI else 0


@helper
def client_by(h: Any, k: Any) -> Any:
    """Return the ClientBy of a session."""
    flags = i64(h.bits)
    if flags & (3 * SYN_SEEN):
        return BY_SYN
    if flags & (3 * SYNACK_SEEN):
        return BY_SYNACK
    ports = i64(k.ports)
    return BY_PORT if (ports >> 16 < 1024) != (ports & 0xFFFF < 1024) else BY_GUESS


@helper
def opening_of(t: Any, h: Any, i: Any, c: Any) -> Any:
    """Return the Opening of a session."""
    flags = i64(h.bits)
    s = 1 - c
    if (flags & ANY_ISN) == 0:
        one_end = h.packets[0] == 0 or h.packets[1] == 0
        return O_STRAY if one_end and h.bytes[0] + h.bytes[1] == 0 else O_MIDSTREAM
    if flags & ESTABLISHED:
        return O_BOTH if (flags & (3 * SYN_SEEN)) == 3 * SYN_SEEN else O_ESTABLISHED
    if (flags & (3 * SYN_SEEN)) == 0:
        return O_SYNACK
    answered = (flags & (SYNACK_SEEN << s)) != 0
    ended = (flags & RST_EFFECTIVE) != 0
    if flags & (RST_SEEN << c):
        return O_ABORTED
    if answered:
        after = ended and (i64(rare_of(t, i).marks) & (RESET_FIRST << s)) == 0
        return O_ABORTED if after else O_HALF_OPEN
    if ended:
        return O_REFUSED
    return O_ICMP if flags & ICMP_ERROR else O_UNANSWERED


@helper
def ending_of(t: Any, h: Any, i: Any, opening: Any) -> Any:
    """Return the Ending of a session."""
    if opening != O_ESTABLISHED and opening != O_BOTH and opening != O_MIDSTREAM:
        return E_NEVER
    flags = i64(h.bits)
    verdict = i64(i.verdict)
    fins = flags & BOTH_FINS
    if flags & RST_EFFECTIVE:
        before = verdict >> FINS_AT_RST
        if before == 0:
            return E_RST
        if before == 1:
            return E_FIN_RST
    if fins == BOTH_FINS:
        return E_CLOSED_RST if verdict & RST_AFTER_FINS else E_CLOSED
    if fins:
        return E_HALF
    if (flags & REPEATING) != 0 and rare_of(t, i).repeats >= VANISHED_AFTER:
        return E_VANISHED
    return E_OPEN


@helper
def first_closer_of(h: Any, k: Any, i: Any, c: Any) -> Any:
    """Return the Closer of the first FIN or RST."""
    if (i64(h.bits) & (BOTH_FINS | 3 * RST_SEEN)) == 0:
        return 0
    if i64(i.verdict) & CROSSED_FINS:
        return CLOSER_BOTH
    return CLOSER_CLIENT if (i64(k.order) & 1) == c else CLOSER_SERVER


@helper
def close_order_code(h: Any, k: Any, c: Any) -> Any:
    """Return the events of KEY.order seen from the client, under a leading one: two bits each, RST << 1 | server."""
    flags = i64(h.bits)
    n = 0
    for bit in range(4):
        if flags & (FIN_SEEN << bit):
            n += 1
    code = 1
    order = i64(k.order)
    for _place in range(n):
        code = code << 2 | ((order & 3) ^ c)
        order >>= 2
    return code


@helper
def _synchronized(h: Any, c: Any, opening: Any) -> Any:
    """Return both states (client << 4 | server) of a session without FIN and effective RST."""
    flags = i64(h.bits)
    s = 1 - c
    if opening == O_STRAY:
        return S_UNKNOWN << 4 | S_UNKNOWN
    if opening == O_MIDSTREAM:
        return S_ESTABLISHED << 4 | S_ESTABLISHED
    if flags & ESTABLISHED:
        client = S_ESTABLISHED if h.packets[c] != 0 else S_UNKNOWN
        server = S_ESTABLISHED if h.packets[s] != 0 else S_UNKNOWN
        return client << 4 | server
    if flags & (SYN_SEEN << c):
        if flags & (SYNACK_SEEN << s):
            return S_ESTABLISHED << 4 | S_SYN_RECEIVED
        if flags & (SYN_SEEN << s):
            return S_SYN_SENT << 4 | S_SYN_SENT
        return S_SYN_SENT << 4 | S_UNKNOWN
    return S_UNKNOWN << 4 | S_SYN_RECEIVED


@helper
def states_of(t: Any, h: Any, k: Any, i: Any, c: Any, opening: Any) -> Any:
    """Return both EndpointStates, client << 4 | server (RFC 9293, 3.3.2 and figure 5)."""
    flags = i64(h.bits)
    fins = flags & BOTH_FINS
    if flags & RST_EFFECTIVE:
        return S_CLOSED << 4 | S_CLOSED
    if fins == 0:
        return _synchronized(h, c, opening)
    order = i64(k.order)
    while order & 2:  # ineffective RSTs before the first FIN
        order >>= 2
    first = order & 1
    acked = fin_acked(t, h, k, first)
    other_acked = fin_acked(t, h, k, 1 - first)
    if fins != BOTH_FINS:
        closer, other = (S_FIN_WAIT_2 if acked else S_FIN_WAIT_1), S_CLOSE_WAIT
    elif i64(i.verdict) & CROSSED_FINS:
        closer, other = (S_TIME_WAIT if acked else S_CLOSING), (S_TIME_WAIT if other_acked else S_CLOSING)
    else:
        closer, other = S_TIME_WAIT, (S_CLOSED if other_acked else S_LAST_ACK)
    return closer << 4 | other if first == c else other << 4 | closer


@helper
def top_of(history: Any) -> Any:
    """Return the place in bits of the leading one of a history, above all its letters; 0 without any."""
    top = i64(0)
    if history >> np.uint64(32) != 0:
        top += 32
    if history >> np.uint64(top + 16) != 0:
        top += 16
    if history >> np.uint64(top + 8) != 0:
        top += 8
    if history >> np.uint64(top + 4) != 0:
        top += 4
    return top


@helper
def _first_letter(i: Any) -> Any:
    top = top_of(np.uint64(i.history))
    return i64(np.uint64(i.history) >> np.uint64(top - 4) & np.uint64(15)) >> 1 if top > 0 else -1


@helper
def conn_state_of(h: Any, k: Any, i: Any, c: Any) -> Any:
    """Return Zeek's conn_state."""
    flags = i64(h.bits)
    s = 1 - c
    syn = (flags & (ISN << c)) != 0
    synack = (flags & (ISN << s)) != 0
    fins = flags & BOTH_FINS
    ended = (flags & RST_EFFECTIVE) != 0
    if _first_letter(i) == L_FIN_RST:
        return Z_OTH
    if fins == BOTH_FINS and (not ended or i64(i.verdict) >> FINS_AT_RST == 2):
        return Z_SF
    if flags & (3 * RST_SEEN):
        if ended:
            by = 1 if flags & RST_EFFECTIVE_HI else 0
        else:
            by = _first_rst(k)
        if by == s:
            if not syn:
                return Z_RSTRH if synack else Z_OTH
            return Z_RSTR if synack else Z_REJ
        if not syn:
            return Z_OTH
        return Z_RSTOS0 if h.packets[s] == 0 else Z_RSTO
    if fins == FIN_SEEN << c:
        return Z_S2 if synack else Z_SH
    if fins == FIN_SEEN << s:
        return Z_S3 if syn else Z_SHR
    if syn and synack:
        return Z_S1
    return Z_S0 if syn and h.packets[s] == 0 else Z_OTH


@helper
def _first_rst(k: Any) -> Any:
    order = i64(k.order)
    while (order & 2) == 0 and order != 0:
        order >>= 2
    return order & 1


@helper
def completeness_of(h: Any, i: Any) -> Any:
    """Return Wireshark's tcp.completeness bits, as tshark 4.0 computes them; 0 without SYN and SYN-ACK."""
    flags = i64(h.bits)
    bits = 0
    if (flags & ANY_ISN) == 0:
        return bits
    if i.count[0] != 0 or i.count[1] != 0:
        bits |= 1
    if i.count[2] != 0 or i.count[3] != 0:
        bits |= 2
    if flags & BARE_ACK:
        bits |= 4
    if flags & DATA:
        bits |= 8
    if flags & BOTH_FINS:
        bits |= 16
    if flags & (3 * RST_SEEN):
        bits |= 32
    return bits


@helper
def phase_of(t: Any, h: Any, k: Any, i: Any, opening: Any) -> Any:
    """Return the Phase in which the session ended; a RST keeps the phase that it found."""
    flags = i64(h.bits)
    if opening != O_ESTABLISHED and opening != O_BOTH and opening != O_MIDSTREAM:
        return P_OPENING
    fins = 0
    if flags & RST_EFFECTIVE:
        fins = i64(i.verdict) >> FINS_AT_RST
    elif flags & BOTH_FINS:
        fins = 2 if (flags & BOTH_FINS) == BOTH_FINS else 1
    if fins == 0:
        return P_ESTABLISHED
    if fins == 1:
        return P_HALF
    return P_CLOSED if fins_acked(t, h, k) == 2 else P_CLOSING


@helper
def _lossy(t: Any, h: Any, k: Any, i: Any, d: Any) -> Any:
    flags = i64(h.bits)
    o = 1 - d
    if (flags & (SEQ_SENT << d)) == 0 or (flags & (ACK_SENT << o)) == 0:
        return False
    beyond = ahead(h.ack[o], h.end[d])
    if i.first[d] == h.end[d] and (i64(k.steps) >> (4 * d)) & WRAPPED == 0:
        # It occupied nothing: what was seen of it may be keepalives, one number back.
        return beyond > 1
    return beyond > 0 or hole_below(t, h, i, d, h.ack[o])


@helper
def observed_of(t: Any, h: Any, k: Any, i: Any, opening: Any, ending: Any, evicted: Any) -> Any:
    """Return the Observed of a session."""
    if evicted:
        return SEEN_EVICTED
    known = opening == O_ESTABLISHED or opening == O_BOTH or opening == O_MIDSTREAM or opening == O_SYNACK
    if known and (h.packets[0] == 0 or h.packets[1] == 0):
        return SEEN_ONE_WAY
    for d in range(2):
        if _lossy(t, h, k, i, d):
            return SEEN_LOSSY
    if opening == O_MIDSTREAM or opening == O_SYNACK or opening == O_STRAY:
        return SEEN_NO_START
    if ending == E_OPEN or ending == E_HALF or ending == E_VANISHED:
        return SEEN_NO_END
    return SEEN_ALL


@helper
def unacked_of(t: Any, h: Any, k: Any, i: Any, d: Any) -> Any:
    """Return the payload positions of a direction that were not acknowledged."""
    flags = i64(h.bits)
    o = 1 - d
    if (flags & (SEQ_SENT << d)) == 0:
        return i64(0)
    if (flags & (ACK_SENT << o)) == 0 and (i64(k.steps) >> (4 * d)) & WRAPPED:
        # Serial numbers do not reach that far: what was seen, and the holes in it.
        return h.bytes[d] - rare_of(t, i).seen_again[d] + hole_bytes(t, h, i, d)
    high = i64(h.end[d])
    if flags & (FIN_SEEN << d) and ahead(high, i64(close_of(t, k).fin[d]) + 1) == 0:
        high -= 1
    if flags & (ACK_SENT << o):
        low = i64(h.ack[o])
    else:
        low = i64(i.first[d]) + (1 if flags & (ISN << d) else 0)
    return max(ahead(high, low), i64(0))

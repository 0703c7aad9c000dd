"""Window tracking of the `linux_conntrack` engine: tcp_in_window() of nf_conntrack_proto_tcp.c, Linux 6.12.

SACK blocks are not in SEGMENT: where the kernel takes the highest SACKed number, this takes the acknowledgment.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry_flags import occupied
from lastack.kernels.expiry_layout import CLOSE_INIT, LIBERAL, MAXACK, UNACKED, WINDOW_SCALE
from lastack.kernels.layout import MASK32
from lastack.kernels.sequence import ahead
from lastack.model.batch import ACK, FIN, NO_WSCALE, RST, SYN

NO, SS, SR, ES, FW, CW, LA, TW, CL, S2, RETRANS, UNACK = range(12)
SYN_SET, SYNACK_SET, FIN_SET, ACK_SET, RST_SET, NONE_SET = range(6)
MAXACKWINCONST = 66000
ACCEPT, IGNORE, INVALID = 0, 1, 2


@helper
def index_of(g: Any) -> Any:
    """Return the row of the table: get_conntrack_index()."""
    tcp = i64(g.tcp_flags)
    if tcp & RST:
        return RST_SET
    if tcp & SYN:
        return SYNACK_SET if tcp & ACK else SYN_SET
    if tcp & FIN:
        return FIN_SET
    return ACK_SET if tcp & ACK else NONE_SET


@helper
def end_of(g: Any) -> Any:
    """Return segment_seq_plus_len()."""
    return (i64(g.seq) + occupied(g)) & MASK32


@helper
def before(a: Any, b: Any) -> Any:
    """Return whether a sequence number comes before another."""
    return ahead(a, b) < 0


@helper
def take_options(e: Any, d: Any, g: Any) -> Any:
    """Take the window scale: tcp_options()."""
    bits = i64(e.bits) & ~((WINDOW_SCALE | CLOSE_INIT | UNACKED | MAXACK) << d)
    e.scale[d] = 0
    if i64(g.wscale) != NO_WSCALE:
        bits |= WINDOW_SCALE << d
        e.scale[d] = min(i64(g.wscale), 14)
    e.bits = bits


@helper
def _init_sender(e: Any, d: Any, g: Any, direction: Any) -> Any:
    e.end[d] = end_of(g)
    e.maxend[d] = e.end[d]
    e.window[d] = max(i64(g.window), 1)
    take_options(e, d, g)
    if direction == 1 and (i64(e.bits) & (3 * WINDOW_SCALE)) != 3 * WINDOW_SCALE:
        e.scale[0] = 0
        e.scale[1] = 0


@helper
def in_window(r: Any, e: Any, d: Any, g: Any, direction: Any, index: Any) -> Any:
    """Return ACCEPT, IGNORE or INVALID, having taken the numbers of an accepted segment: tcp_in_window()."""
    o = 1 - d
    tcp = i64(g.tcp_flags)
    seq, ack, win, end = i64(g.seq), i64(g.ack), i64(g.window), end_of(g)
    state = i64(e.phase)
    if e.window[d] == 0:
        if tcp & SYN:
            _init_sender(e, d, g, direction)
            if (tcp & ACK) == 0:
                return ACCEPT
        else:
            e.end[d] = end
            e.window[d] = max(win << i64(e.scale[d]), 1)
            e.maxend[d] = (end + i64(e.window[d])) & MASK32
            if e.window[o] == 0:
                e.end[o] = ack
                e.maxend[o] = ack
            elif ack == ((i64(e.end[o]) + 1) & MASK32):
                e.end[o] = ack
    elif tcp & SYN and ahead(end, e.end[d]) > 0 and (state == SS or state == SR):
        _init_sender(e, d, g, direction)
        if direction == 1 and (tcp & ACK) == 0:
            return ACCEPT
    if (tcp & ACK) == 0 or (tcp & RST and ack == 0):
        ack = i64(e.end[o])
    if tcp & RST and seq == 0 and state == SS:
        seq = i64(e.end[d])
        end = seq
    bits = i64(e.bits)
    liberal = r.be_liberal != 0 or (bits & (LIBERAL << d)) != 0
    max_ack_window = max(i64(e.window[d]), MAXACKWINCONST)
    low_ack = i64(e.end[o]) - max_ack_window - 1
    low_end = i64(e.end[d]) - i64(e.window[o]) - 1
    high_ack = i64(e.end[o]) + 1
    if not before(seq, i64(e.maxend[d]) + 1):
        overshot = (end - i64(e.maxend[d]) + 1) & MASK32
        received = e.window[o] != 0 and ahead(end, low_end) > 0
        if received and ahead(ack, low_ack) > 0 and overshot <= i64(e.window[o]) and before(ack, high_ack):
            e.end[d] = end
            e.bits = bits | (UNACKED << d)
            return ACCEPT if liberal else IGNORE
        return ACCEPT if liberal else INVALID
    if not before(ack, high_ack):
        return ACCEPT if liberal else INVALID
    if e.window[o] != 0 and ahead(end, low_end) <= 0:
        return ACCEPT if liberal else IGNORE
    if ahead(ack, low_ack) <= 0:
        return ACCEPT if liberal else IGNORE
    if (tcp & SYN) == 0:
        win = win << i64(e.scale[d])
    e.window[d] = max(i64(e.window[d]), win)
    if ahead(end, e.end[d]) > 0:
        e.end[d] = end
        bits |= UNACKED << d
    if tcp & ACK:
        if (bits & (MAXACK << d)) == 0:
            e.ack[d] = ack
            bits |= MAXACK << d
        elif ahead(ack, e.ack[d]) > 0:
            e.ack[d] = ack
    if e.window[o] != 0 and ahead(end, e.maxend[d]) > 0:
        e.window[o] = i64(e.window[o]) + ahead(end, e.maxend[d])
    if ahead(ack + win, i64(e.maxend[o]) - 1) > 0:
        e.maxend[o] = (ack + win + (1 if win == 0 else 0)) & MASK32
    if ack == i64(e.end[o]):
        bits &= ~(UNACKED << o)
    e.bits = bits
    if index == ACK_SET:
        if (
            i64(e.last_dir) == direction
            and i64(e.last_seq) == seq
            and i64(e.last_ack) == ack
            and i64(e.last_end) == end
            and i64(e.last_win) == win
        ):
            e.retrans = (i64(e.retrans) + 1) & 255
        else:
            e.last_dir = direction
            e.last_seq = seq
            e.last_ack = ack
            e.last_end = end
            e.last_win = win
            e.retrans = 0
    return ACCEPT

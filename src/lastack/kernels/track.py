"""The main loop of a shard: segments in, sessions updated; docs/reference/definitions.md, section 2.

Batches go in four passes so that memory works ahead of the loop: prefetch the slots; look at the slots and prefetch
the two hot lines; look at these and prefetch what an opening or closing needs; then update in order. A candidate
found ahead is verified by its key, because an earlier segment of the batch may have moved or replaced it.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_le32, prefetch, store_u32
from lastack.kernels.decode_words import i64
from lastack.kernels.fingerprint import place_of
from lastack.kernels.flowtable import find, insert, replace, same_key
from lastack.kernels.layout import (
    ACK_SENT,
    ANY_FIN_RST,
    ANY_ISN,
    CLIENT_HI,
    DETACHED,
    ESTABLISHED,
    ICMP_ERROR,
    ISN,
    LETTER_A,
    LETTER_D,
    NEVER,
    QUOTED_HI,
    S_CLOSE,
    S_PIECE,
    S_SEGMENT,
    S_SESSION,
    SEQ_SENT,
    SHADOW,
    SYN_SEEN,
    SYNACK_SEEN,
    TO_INFO,
    TO_KEY,
    hot_at,
    key_at,
    piece_at,
    pool_at,
    segment_at,
    table_at,
)
from lastack.kernels.lifecycle import acks_syn, is_over
from lastack.kernels.opening import opening_step
from lastack.kernels.pool import hot_of, info_of, key_of, need_rare, rare_of
from lastack.kernels.sequence import ahead, between
from lastack.kernels.sessionid import session_id
from lastack.kernels.update import full_step, quiet_step
from lastack.model.batch import ACK, FIN, META_FROM_HI, META_ICMP, RST, SYN

BATCH = 128
ICMP_TOO_BIG = 3 << 8 | 4  # IPv4: fragmentation needed (RFC 1191), which harms no session
QUOTE_REACH = 1 << 30


@helper
def _precedes(h: Any, i: Any, d: Any, seq: Any) -> Any:
    """Return whether a SYN with this sequence number comes just before what was seen of a session (reordering)."""
    flags = i64(h.bits)
    o = 1 - d
    following = (seq + 1) & 0xFFFFFFFF
    if flags & ANY_ISN:
        from_synack = (flags & (SYNACK_SEEN << o)) != 0 and (flags & (ISN << d)) == 0
        if not (from_synack and i64(h.ack[o]) == following):
            return False
    if flags & (SEQ_SENT << d):
        return i64(i.first[d]) == following
    if h.packets[d] != 0:
        return False
    return (flags & (ACK_SENT << o)) != 0 and i64(h.ack[o]) == following


@helper
def _splits(h: Any, i: Any, d: Any, g: Any) -> Any:
    """Return whether a SYN or SYN-ACK (neither FIN nor RST) starts a new session beside the current one."""
    flags = i64(h.bits)
    o = 1 - d
    seq = i64(g.seq)
    same_isn = (flags & (ISN << d)) != 0 and seq == i64(i.first[d])
    if i64(g.tcp_flags) & ACK:
        if same_isn:
            return False
        if flags & (ISN << o):
            return not acks_syn(h, i, o, g.ack)
        if flags & (ISN << d):
            return True
        return not _precedes(h, i, d, seq)
    if is_over(flags):
        return True
    if flags & (ISN << d):
        return not same_isn
    if h.packets[d] == 0 and (flags & (SYN_SEEN << o)) != 0:
        return False
    return not _precedes(h, i, d, seq)


@helper
def _belongs_to_shadow(h: Any, i: Any, d: Any, g: Any) -> Any:
    """Return whether a segment without SYN belongs to the session before this embryonic one."""
    client = 1 if i64(h.bits) & CLIENT_HI else 0
    if d == client:
        return not between(i64(g.seq), i64(i.first[d]), i64(h.end[d]))
    return (i64(g.tcp_flags) & ACK) == 0 or not acks_syn(h, i, client, g.ack)


@helper
def finish(t: Any, index: Any) -> Any:
    """Put a session on the list of finished ones; its row is written when the list is drained."""
    h = hot_of(t, index)
    h.bits = i64(h.bits) | DETACHED
    store_u32(t.finished + t.n_finished * 4, index)
    t.n_finished = t.n_finished + 1


@helper
def _create(t: Any, g: Any) -> Any:
    """Return the index of a fresh record with the segment's key; the caller has made sure that there is room."""
    index = i64(t.free)
    if index != 0:
        t.free = i64(hot_of(t, index).packets[0])
        hot_of(t, index).packets[0] = 0
        hot_of(t, index).bits = 0
    else:
        t.records = t.records + 1
        index = i64(t.records)
    k, i = key_of(t, index), info_of(t, index)
    k.lo0 = g.lo0
    k.lo1 = g.lo1
    k.hi0 = g.hi0
    k.hi1 = g.hi1
    k.ports = g.ports
    k.start_ns = g.ts_ns
    i.synack_ns = NEVER
    i.ct_ns = NEVER
    i.history = 1
    i.origin = g.origin + t.origin_add
    i.wscale = 0xFF
    i.vlan = (i64(g.encap) << 12 | (i64(g.vlan) & 0xFFF)) & 0xFFFF
    t.live = t.live + 1
    t.created = t.created + 1
    h = hot_of(t, index)
    h.end_ns = g.ts_ns
    if (i64(g.tcp_flags) & (SYN | FIN | RST)) != SYN:
        lo_port, hi_port = i64(g.ports) >> 16, i64(g.ports) & 0xFFFF
        sender_hi = (i64(g.meta) & META_FROM_HI) != 0
        client_hi = sender_hi
        if (lo_port < 1024) != (hi_port < 1024):
            client_hi = lo_port < 1024
        h.bits = ESTABLISHED | (CLIENT_HI if client_hi else 0)
    return index


@helper
def _succeed(t: Any, g: Any, old: Any) -> Any:
    """Start a session on a key that holds one already; the earlier one stays reachable as its shadow."""
    index = _create(t, g)
    i = info_of(t, index)
    h_old, i_old = hot_of(t, old), info_of(t, old)
    r = need_rare(t, i)
    r.previous_id = session_id(key_of(t, old), rare_of(t, i_old).previous_id)
    replace(t, i64(g.hash), old, index)
    shadow = old
    if i64(h_old.bits) & SHADOW:
        shadow = i64(rare_of(t, i_old).shadow)
        finish(t, old)
    if (i64(g.tcp_flags) & (SYN | ACK)) == SYN:
        r.shadow = shadow
        hot_of(t, index).bits = i64(hot_of(t, index).bits) | SHADOW
        h_shadow = hot_of(t, shadow)
        h_shadow.bits = i64(h_shadow.bits) | DETACHED
    else:
        finish(t, shadow)
    return index


@helper
def _end_shadow(t: Any, h: Any, i: Any) -> Any:
    r = rare_of(t, i)
    shadow = i64(r.shadow)
    r.shadow = 0
    h.bits = i64(h.bits) & ~SHADOW
    finish(t, shadow)


@helper
def _note_icmp(t: Any, g: Any, index: Any) -> Any:
    """Remember an ICMP error that quotes a segment, and whether it answered the SYN of an embryonic session."""
    if index == 0:
        return
    h, i = hot_of(t, index), info_of(t, index)
    flags = i64(h.bits)
    client = 1 if flags & CLIENT_HI else 0
    d = 1 if i64(g.meta) & META_FROM_HI else 0
    too_big = i64(g.window) == ICMP_TOO_BIG and g.lo0 == 0 and i64(g.lo1 >> 32) == 0xFFFF
    if (flags & (SEQ_SENT << d)) != 0 and not too_big and 0 <= ahead(h.end[d], g.seq) <= QUOTE_REACH:
        r = need_rare(t, i)
        if r.quotes == 0:
            r.quoted = g.window
            r.quote_place = place_of(t, i, g)
            r.quote_ns = g.ts_ns
            r.marks = i64(r.marks) | (QUOTED_HI if d == 1 else 0)
        r.quotes = i64(r.quotes) + 1
    if (
        d == client
        and (flags & (SYN_SEEN << client)) != 0
        and h.packets[1 - client] == 0
        and g.seq == i.first[client]
    ):
        need_rare(t, i).icmp = g.window
        h.bits = flags | ICMP_ERROR
        t.icmp = t.icmp + 1


@helper
def _room(t: Any) -> Any:
    """Return whether one more session can be created now."""
    return t.live < t.limit and (t.filled + 2) * 10 <= (t.mask + 1) * 7 and t.records + 2 < t.capacity


@helper
def _place(t: Any, g: Any, index: Any) -> Any:
    """Account for one segment, given the current session of its key (or 0); return False if there is no room."""
    tcp = i64(g.tcp_flags)
    d = 1 if i64(g.meta) & META_FROM_HI else 0
    challenging = False
    if index != 0 and g.ts_ns - hot_of(t, index).end_ns > t.idle_ns:
        if not _room(t):
            return False
        old = index
        index = _succeed(t, g, old)
        h_new = hot_of(t, index)
        if i64(h_new.bits) & SHADOW:
            _end_shadow(t, h_new, info_of(t, index))
        t.timed_out = t.timed_out + 1
    elif index == 0:
        if not _room(t):
            return False
        index = _create(t, g)
        insert(t, i64(g.hash), index)
    elif (tcp & (SYN | FIN | RST)) == SYN:
        h, i = hot_of(t, index), info_of(t, index)
        if _splits(h, i, d, g):
            if not _room(t):
                return False
            flags = i64(h.bits)
            if (tcp & ACK) == 0 and flags & ESTABLISHED and not is_over(flags):
                r = need_rare(t, i)
                r.late_syns = i64(r.late_syns) + 1
            index = _succeed(t, g, index)
        elif i64(h.bits) & SHADOW:
            client = 1 if i64(h.bits) & CLIENT_HI else 0
            if d != client or (tcp & ACK) != 0:
                _end_shadow(t, h, i)
    else:
        h, i = hot_of(t, index), info_of(t, index)
        if i64(h.bits) & SHADOW:
            if _belongs_to_shadow(h, i, d, g):
                client = 1 if i64(h.bits) & CLIENT_HI else 0
                index = i64(rare_of(t, i).shadow)
                challenging = d != client and (tcp & (SYN | FIN | RST | ACK)) == ACK and g.payload == 0
            else:
                _end_shadow(t, h, i)
    h, k, i = hot_of(t, index), key_of(t, index), info_of(t, index)
    if challenging or not opening_step(t, h, k, i, d, g):
        full_step(t, h, k, i, d, g, challenging)
    return True


@helper
def track(table: Any, segments: Any, start: Any, n: Any) -> Any:
    """Account for segments [start, n) of an array; return where it stopped: n, or the one there is no room for.

    Args:
        table: Address of the shard's TABLE record.
        segments: Address of an array of SEGMENT.
        start: Index of the first segment.
        n: Index after the last one.
    """
    t = table_at(table)
    # none of these changes before Python grows the table
    slots, mask, sessions, found = i64(t.slots), i64(t.mask), i64(t.sessions), i64(t.found)
    closings = i64(pool_at(t.close).address)
    position = i64(start)
    while position < n:
        size = min(i64(BATCH), n - position)
        base = segments + position * S_SEGMENT
        for j in range(size):
            g = segment_at(base + j * S_SEGMENT)
            prefetch(slots + (i64(g.hash) & mask) * 8)
        for j in range(size):
            g = segment_at(base + j * S_SEGMENT)
            tag = i64(g.hash)
            place = tag & mask
            index = i64(0)
            while True:
                slot = slots + place * 8
                index = i64(load_le32(slot))
                if index == 0 or i64(load_le32(slot + 4)) == tag:
                    break
                place = (place + 1) & mask
            store_u32(found + j * 4, index)
            session = sessions + index * S_SESSION
            prefetch(session)
            prefetch(session + TO_KEY)
        for j in range(size):
            # no branch: what it would wait for is on its way; records and items 0 are there, and are nobody's
            g = segment_at(base + j * S_SEGMENT)
            session = sessions + i64(load_le32(found + j * 4)) * S_SESSION
            letter = (LETTER_D if g.payload > 0 else LETTER_A) << (i64(g.meta) & META_FROM_HI)
            odd = (i64(hot_at(session).bits) & (letter | ANY_FIN_RST)) ^ letter
            odd |= i64(g.tcp_flags) & (SYN | FIN | RST)
            prefetch(session + (TO_INFO if odd != 0 else 0))
            closing = closings + i64(key_at(session + TO_KEY).close) * S_CLOSE
            prefetch(closing)
            prefetch(closing + S_CLOSE - 1)
        for j in range(size):
            g = segment_at(base + j * S_SEGMENT)
            index = i64(load_le32(found + j * 4))
            icmp = i64(g.meta) & META_ICMP
            if index != 0:
                h, k = hot_of(t, index), key_of(t, index)
                if (i64(h.bits) & DETACHED) == 0 and same_key(k, g):
                    if icmp == 0 and g.ts_ns - h.end_ns <= t.idle_ns:
                        d = 1 if i64(g.meta) & META_FROM_HI else 0
                        if quiet_step(t, h, k, d, g):
                            continue
                else:
                    index = find(t, g)
            else:
                index = find(t, g)
            if icmp:
                _note_icmp(t, g, index)
            elif not _place(t, g, index):
                return position + j
        position += size
    return position


@kernel
def track_pieces(table: Any, pieces: Any, first: Any, n: Any) -> Any:
    """Account for the segments of pieces [first, n); return n, or the piece with a segment that there is no room for.

    Args:
        table: Address of the shard's TABLE record.
        pieces: Address of an array of PIECE; `done` is moved.
        first: Index of the first piece.
        n: Index after the last one.
    """
    t = table_at(table)
    for j in range(first, n):
        p = piece_at(pieces + j * S_PIECE)
        t.origin_add = p.origin_add
        p.done = track(table, p.address, p.done, p.n)
        if p.done < p.n:
            return i64(j)
    return i64(n)

"""Sessions to columns: one pass over records writes every column of the session record.

Columns are written through raw addresses, one store each; `lastack.kernels.row_columns` says what is stored where.
Absent numbers are the lowest value of their type; enums are codes; history and close order are packed and become text
in `lastack.tracking.rows`. A half-open attempt touches about half of the columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import (
    helper,
    kernel,
    load_le64,
    load_u8,
    put_i64,
    put_u8,
    put_u16,
    put_u32,
    store_be64,
)
from lastack.kernels.decode_words import i64
from lastack.kernels.evidence import has_evidence
from lastack.kernels.fetch import index_of, prefetch_ahead, table_of
from lastack.kernels.fingerprint import COUNTING
from lastack.kernels.layout import (
    ANY_FIN_RST,
    FIN_SEEN,
    HANDSHAKE,
    HAS_END,
    HAS_IPID,
    LATE_SYN,
    MASK32,
    N_FIN,
    N_RST,
    N_SYN,
    N_SYNACK,
    NEVER,
    RST_FROM_HI,
    RST_SEEN,
    RST_SEQ,
    SYN_SEEN,
    SYNACK_FIRST,
)
from lastack.kernels.outcome import (
    O_STRAY,
    client_by,
    client_of,
    close_order_code,
    completeness_of,
    conn_state_of,
    ending_of,
    first_closer_of,
    observed_of,
    opening_of,
    phase_of,
    states_of,
    top_of,
    unacked_of,
)
from lastack.kernels.pool import (
    after_of,
    close_of,
    gap_of,
    hot_of,
    info_of,
    key_of,
    node_of,
    proof_of,
    rare_of,
)
from lastack.kernels.row_columns import (
    A_ACTOR,
    A_AFTER_FIN,
    A_AFTER_RST,
    A_BYTES,
    A_CAUSE,
    A_CLIENT_BY,
    A_CLIENT_IP,
    A_CLIENT_PORT,
    A_CLOSED,
    A_COMPLETE,
    A_CONFIDENCE,
    A_CONN,
    A_CT,
    A_CT_NS,
    A_ENCAP,
    A_END,
    A_ENDING,
    A_EVIDENCE,
    A_FIN,
    A_FIN1,
    A_FIN2,
    A_FIN_UNIQ,
    A_FIRST_CLOSER,
    A_FIRST_PACKET,
    A_GAPS,
    A_HALF_BY,
    A_HALF_BYTES,
    A_HALF_GAP,
    A_HALF_NS,
    A_HARM,
    A_HISTORY,
    A_HISTORY_MORE,
    A_ID,
    A_IDLE_CLOSE,
    A_IPID,
    A_KEEPALIVES,
    A_MARKS,
    A_MAX_IDLE,
    A_NEW,
    A_OBSERVED,
    A_OPENING,
    A_ORDER,
    A_PACKETS,
    A_PHASE,
    A_PREVIOUS,
    A_RETRIES,
    A_RETX,
    A_RST,
    A_RST1,
    A_RST_SEQ,
    A_SENSOR,
    A_SERVER_IP,
    A_SERVER_PORT,
    A_START,
    A_STATE_CLT,
    A_STATE_SRV,
    A_SYN,
    A_SYN_SYNACK,
    A_SYNACK,
    A_SYNACK_ACK,
    A_TTL,
    A_UNACKED,
    A_VLAN,
    ABSENT_I16,
    ABSENT_I32,
    G_CLOSING,
    G_DATA,
    G_EVIDENCE,
    G_GAPS,
    G_HANDSHAKE,
    G_MARKS,
    G_ODD,
    G_RETRIES,
    open_group,
)
from lastack.kernels.sessionid import session_id
from lastack.kernels.verdict import verdict_of
from lastack.model.enums import RstSeq

_UNKNOWN_RST = int(RstSeq.unknown)


@helper
def _address(columns: Any, column: Any, row: Any, high: Any, low: Any) -> Any:
    place = i64(load_le64(columns + column * 8)) + row * 16
    store_be64(place, high)
    store_be64(place + 8, low)


@helper
def _counter(i: Any, r: Any, which: Any) -> Any:
    return i64(i.count[which]) + i64(r.carry[which])


@helper
def _closing_counter(x: Any, r: Any, which: Any) -> Any:
    return i64(x.count[which - N_FIN]) + i64(r.carry[which])


@helper
def _mirrored(history: Any, c: Any) -> Any:
    """Return history letters with the direction bit turned into "by the server"."""
    if c == 0 or history == 0:
        return history
    flip = np.uint64(0x1111111111111111)
    letters = (np.uint64(1) << np.uint64(top_of(history))) - np.uint64(1)
    return history ^ (flip & letters)


@helper
def _write_identity(columns: Any, row: Any, h: Any, k: Any, i: Any, c: Any, previous: Any) -> Any:
    lo_port, hi_port = i64(k.ports) >> 16, i64(k.ports) & 0xFFFF
    put_i64(columns, A_ID, row, session_id(k, previous))
    put_u16(columns, A_SENSOR, row, i64(i.origin >> np.uint64(48)))
    put_i64(columns, A_FIRST_PACKET, row, i64(i.origin & np.uint64(0xFFFFFFFFFFFF)))
    if c == 0:
        _address(columns, A_CLIENT_IP, row, k.lo0, k.lo1)
        _address(columns, A_SERVER_IP, row, k.hi0, k.hi1)
    else:
        _address(columns, A_CLIENT_IP, row, k.hi0, k.hi1)
        _address(columns, A_SERVER_IP, row, k.lo0, k.lo1)
    put_u16(columns, A_CLIENT_PORT, row, hi_port if c else lo_port)
    put_u16(columns, A_SERVER_PORT, row, lo_port if c else hi_port)
    put_u8(columns, A_CLIENT_BY, row, client_by(h, k))
    put_u8(columns, A_ENCAP, row, i64(i.vlan) >> 12)
    put_u16(columns, A_VLAN, row, i64(i.vlan) & 0xFFF)
    put_i64(columns, A_START, row, k.start_ns)
    put_i64(columns, A_END, row, h.end_ns)


@helper
def _write_counts(columns: Any, row: Any, h: Any, i: Any, r: Any, c: Any) -> Any:
    for side in range(2):
        d = c if side == 0 else 1 - c
        put_i64(columns, A_PACKETS + side, row, i64(h.packets[d]) + i64(r.packet_carry[d]) * MASK32)
        put_u32(columns, A_SYN + side, row, _counter(i, r, N_SYN + d))
        put_u32(columns, A_SYNACK + side, row, _counter(i, r, N_SYNACK + d))


@helper
def _write_data(columns: Any, row: Any, h: Any, r: Any, c: Any, opening: Any, unacked: Any) -> Any:
    for side in range(2):
        d = c if side == 0 else 1 - c
        put_i64(columns, A_BYTES + side, row, h.bytes[d])
        put_i64(columns, A_NEW + side, row, h.bytes[d] - r.seen_again[d])
        put_i64(columns, A_UNACKED + side, row, unacked[d])
    put_i64(columns, A_MAX_IDLE, row, 0 if opening == O_STRAY else h.max_idle)


@helper
def _write_odd(columns: Any, row: Any, r: Any, c: Any) -> Any:
    for side in range(2):
        d = c if side == 0 else 1 - c
        put_i64(columns, A_RETX + side, row, i64(r.retx[d]))
        put_i64(columns, A_AFTER_FIN + side, row, r.after_fin[d])
        put_u32(columns, A_KEEPALIVES + side, row, i64(r.keepalives[d]))
    put_i64(columns, A_PREVIOUS, row, i64(r.previous_id))
    put_i64(columns, A_HISTORY_MORE, row, i64(_mirrored(np.uint64(r.history), c)))


@helper
def _write_opening(columns: Any, row: Any, h: Any, k: Any, i: Any, r: Any, touched: Any, n: Any) -> Any:
    """Write when the session opened; return the touched groups."""
    odd = i64(r.odd)
    syn_ns = r.syn_ns if odd & LATE_SYN else k.start_ns
    to_synack = NEVER
    if i64(h.bits) & (3 * SYN_SEEN) and i.synack_ns != NEVER and (odd & SYNACK_FIRST) == 0:
        to_synack = max(i.synack_ns - syn_ns, i64(0))
    put_i64(columns, A_SYN_SYNACK, row, to_synack)
    if (i64(h.bits) & HANDSHAKE) == 0:
        return touched
    whole = max(i.ct_ns - syn_ns, i64(0))
    to_ack = NEVER
    if to_synack != NEVER:
        to_ack = max(whole - to_synack, i64(0))
    touched = open_group(columns, touched, i64(G_HANDSHAKE), n)
    put_u8(columns, A_CT, row, 1)
    put_i64(columns, A_CT_NS, row, whole)
    put_i64(columns, A_SYNACK_ACK, row, to_ack)
    return touched


@helper
def _write_closing(columns: Any, row: Any, t: Any, h: Any, k: Any, i: Any, r: Any, c: Any) -> Any:
    """Write the columns of a session with a FIN or RST."""
    flags = i64(h.bits)
    x = close_of(t, k)
    for side in range(2):
        d = c if side == 0 else 1 - c
        put_u32(columns, A_FIN + side, row, _closing_counter(x, r, N_FIN + d))
        put_u32(columns, A_RST + side, row, _closing_counter(x, r, N_RST + d))
        unique = 1 if flags & (FIN_SEEN << d) else 0
        node = i64(r.fins[d])
        while node != 0:
            unique += 1
            node = i64(node_of(t, node).next)
        put_u32(columns, A_FIN_UNIQ + side, row, unique)
    half_by = 0
    half_ns = NEVER
    half_gap = NEVER
    half_bytes = i64(0)
    rst1 = NEVER
    after_rst = i64(0)
    ttl = ABSENT_I16
    step = ABSENT_I32
    if x.proof != 0:
        p = proof_of(t, x)
        known = i64(p.known)
        rst1 = p.rst_ns
        a = after_of(t, p)
        after_rst = i64(a.packets[0]) + i64(a.packets[1])
        d = 1 if known & RST_FROM_HI else 0
        if known & HAS_END:
            ttl = i64(p.ttl) - i64(k.ttl[d])
        if known & HAS_IPID and (i64(k.steps) >> (4 * d)) & 7 == COUNTING:
            step = (i64(p.ipid) - i64(k.ipid[d])) & 0xFFFF
            if step >= 0x8000:
                step -= 0x10000
    order = i64(k.order)
    if flags & (3 * FIN_SEEN) and (order & 2) == 0:
        half_by = 1 if (order & 1) == c else 2
        stop = h.end_ns
        if (order >> 2) & 2:
            stop = rst1
        elif x.fin2_ns != NEVER:
            stop = x.fin2_ns
        half_ns = max(stop - x.fin1_ns, i64(0))
        half_gap = x.half_gap
        half_bytes = x.half_bytes
    put_i64(columns, A_FIN1, row, x.fin1_ns)
    put_i64(columns, A_FIN2, row, x.fin2_ns)
    put_i64(columns, A_CLOSED, row, x.closed_ns)
    put_i64(columns, A_RST1, row, rst1)
    put_i64(columns, A_IDLE_CLOSE, row, x.idle_ns)
    put_u8(columns, A_HALF_BY, row, half_by)
    put_i64(columns, A_HALF_NS, row, half_ns)
    put_i64(columns, A_HALF_GAP, row, half_gap)
    put_i64(columns, A_HALF_BYTES, row, half_bytes)
    put_u32(columns, A_AFTER_RST, row, after_rst)
    put_u8(columns, A_FIRST_CLOSER, row, first_closer_of(h, k, i, c))
    put_u16(columns, A_ORDER, row, close_order_code(h, k, c))
    put_u8(columns, A_RST_SEQ, row, i64(i.verdict) & RST_SEQ if flags & (3 * RST_SEEN) else _UNKNOWN_RST)
    put_u16(columns, A_TTL, row, ttl)
    put_u32(columns, A_IPID, row, step)


@helper
def _write_outcome(
    columns: Any, row: Any, t: Any, h: Any, k: Any, i: Any, c: Any, opening: Any, unacked: Any, evicted: Any
) -> Any:
    ending = ending_of(t, h, i, opening)
    states = states_of(t, h, k, i, c, opening)
    verdict = verdict_of(h, c, opening, ending, first_closer_of(h, k, i, c), unacked)
    put_u8(columns, A_OPENING, row, opening)
    put_u8(columns, A_ENDING, row, ending)
    put_u8(columns, A_STATE_CLT, row, states >> 4)
    put_u8(columns, A_STATE_SRV, row, states & 15)
    put_u8(columns, A_CONN, row, conn_state_of(h, k, i, c))
    put_u8(columns, A_COMPLETE, row, completeness_of(h, i))
    put_u8(columns, A_CAUSE, row, verdict >> 24)
    put_u8(columns, A_CONFIDENCE, row, (verdict >> 16) & 0xFF)
    put_u8(columns, A_ACTOR, row, (verdict >> 8) & 0xFF)
    put_u8(columns, A_HARM, row, verdict & 0xFF)
    put_u8(columns, A_PHASE, row, phase_of(t, h, k, i, opening))
    put_u8(columns, A_OBSERVED, row, observed_of(t, h, k, i, opening, ending, evicted))


@kernel
def write_rows(tables: Any, owners: Any, indices: Any, n: Any, columns: Any, evicted: Any) -> Any:
    """Write the rows of sessions to columns, in order; return the groups of columns that were written.

    Args:
        tables: Address of the addresses of the shards' TABLE records.
        owners: Address of n shard numbers (u1).
        indices: Address of n record indices (u4).
        n: Number of rows.
        columns: Address of the addresses of the columns, in the order of `COLUMNS`.
        evicted: Address of n flags (u1): whether it left because the table was full; 0 if none did.
    """
    touched = i64(0)
    for row in range(n):
        prefetch_ahead(tables, owners, indices, row, n)
        t = table_of(tables, owners, row)
        index = index_of(indices, row)
        h, k, i = hot_of(t, index), key_of(t, index), info_of(t, index)
        r = rare_of(t, i)
        c = client_of(h)
        _write_identity(columns, row, h, k, i, c, r.previous_id)
        _write_counts(columns, row, h, i, r, c)
        touched = _write_opening(columns, row, h, k, i, r, touched, n)
        opening = opening_of(t, h, i, c)
        unacked = (unacked_of(t, h, k, i, 0), unacked_of(t, h, k, i, 1))
        gone = evicted != 0 and load_u8(evicted + row) != 0
        _write_outcome(columns, row, t, h, k, i, c, opening, unacked[0] + unacked[1], gone)
        put_i64(columns, A_HISTORY, row, i64(_mirrored(np.uint64(i.history), c)))
        if (h.bytes[0] | h.bytes[1] | h.max_idle | unacked[0] | unacked[1]) != 0:
            touched = open_group(columns, touched, i64(G_DATA), n)
            _write_data(columns, row, h, r, c, opening, unacked)
        if i64(h.bits) & ANY_FIN_RST:
            touched = open_group(columns, touched, i64(G_CLOSING), n)
            _write_closing(columns, row, t, h, k, i, r, c)
            if close_of(t, k).marks != 0:
                touched = open_group(columns, touched, i64(G_MARKS), n)
                put_u8(columns, A_MARKS, row, i64(close_of(t, k).marks))
        if i.rare != 0:
            touched = open_group(columns, touched, i64(G_ODD), n)
            _write_odd(columns, row, r, c)
            if r.retries != 0:
                touched = open_group(columns, touched, i64(G_RETRIES), n)
                put_u8(columns, A_RETRIES, row, i64(r.retries))
        if k.gap != 0:
            touched = open_group(columns, touched, i64(G_GAPS), n)
            put_u8(columns, A_GAPS, row, i64(gap_of(t, i64(k.gap)).place) + 1)
        if has_evidence(h, r) != 0:
            touched = open_group(columns, touched, i64(G_EVIDENCE), n)
            put_u8(columns, A_EVIDENCE, row, 1)
    return touched

"""Sessions to columns: one pass over records writes every column of the session record.

Columns are written through raw addresses, one store each; `COLUMNS` says what is stored where. Absent numbers are
the lowest value of their type; enums are codes; history and close order are packed and become text in
`lastack.tracking.rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import (
    helper,
    kernel,
    load_le32,
    load_le64,
    load_u8,
    put_i64,
    put_u8,
    put_u16,
    put_u32,
    store_be64,
)
from lastack.kernels.decode_words import i64
from lastack.kernels.entries import AHEAD, prefetch_session
from lastack.kernels.evidence import has_evidence
from lastack.kernels.fingerprint import COUNTING
from lastack.kernels.layout import (
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
    table_at,
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
from lastack.kernels.sessionid import session_id
from lastack.kernels.verdict import verdict_of
from lastack.model.enums import RstSeq
from lastack.model.fields import FIELDS

_STORED = {"address": "V16", "enum": "u1", "string": "", "list": "u1", "float32": "u1"}
_NUMBERS = {
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "int16": "i2",
    "int32": "i4",
    "int64": "i8",
}
_STRINGS = {"sensor": "u2", "close_order": "u2", "history": "u8"}

#: What is not written here but later, from the rest of the row.
DERIVED = frozenset({"end_panos", "end_asa", "end_fortigate", "end_ipfix"})

#: Stored type of each column that a kernel writes, in the order of the addresses it gets. Zones and applications
#: are not here: they come from configuration.
COLUMNS: dict[str, np.dtype] = {
    f.name: np.dtype(_NUMBERS.get(f.type) or _STRINGS.get(f.name) or _STORED[f.type])
    for f in FIELDS
    if f.name not in DERIVED and (f.type != "string" or f.name in _STRINGS)
}
COLUMNS["history_more"] = np.dtype("u8")

ABSENT_I16 = -(1 << 15)
ABSENT_I32 = -(1 << 31)
_UNKNOWN_RST = int(RstSeq.unknown)
_AT = {name: place for place, name in enumerate(COLUMNS)}
(A_ID, A_SENSOR, A_CLIENT_IP, A_CLIENT_PORT, A_SERVER_IP, A_SERVER_PORT) = (
    _AT[n] for n in ("session_id", "sensor", "client_ip", "client_port", "server_ip", "server_port")
)
A_CLIENT_BY, A_ENCAP, A_VLAN = _AT["client_by"], _AT["encap"], _AT["vlan"]
A_START, A_END = _AT["start_ns"], _AT["end_ns"]
A_PACKETS, A_BYTES, A_NEW, A_RETX = (
    _AT[n + "_clt"] for n in ("packets", "bytes", "new_bytes", "retx_packets")
)
A_SYN, A_SYNACK, A_FIN, A_RST = (_AT[n + "_clt"] for n in ("syn", "synack", "fin", "rst"))
A_FIN_UNIQ, A_CT, A_CT_NS = _AT["fin_clt_uniq"], _AT["ct_count"], _AT["ct_ns"]
A_SYN_SYNACK, A_SYNACK_ACK, A_OPENING = _AT["syn_to_synack_ns"], _AT["synack_to_ack_ns"], _AT["opening"]
A_FIRST_CLOSER, A_ORDER = _AT["first_closer"], _AT["close_order"]
A_FIN1, A_FIN2, A_CLOSED, A_RST1 = (
    _AT[n] for n in ("first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns")
)
A_ENDING, A_HALF_BY, A_HALF_NS = _AT["ending"], _AT["half_closed_by"], _AT["half_closed_ns"]
A_HALF_BYTES, A_HALF_GAP, A_AFTER_FIN = (
    _AT["half_closed_bytes"],
    _AT["half_closed_max_gap_ns"],
    _AT["bytes_after_fin_clt"],
)
A_AFTER_RST, A_UNACKED, A_MAX_IDLE = _AT["packets_after_rst"], _AT["unacked_bytes_clt"], _AT["max_idle_ns"]
A_IDLE_CLOSE, A_KEEPALIVES, A_RST_SEQ = _AT["idle_before_close_ns"], _AT["keepalives_clt"], _AT["rst_seq"]
A_TTL, A_IPID, A_STATE_CLT, A_STATE_SRV = (
    _AT[n] for n in ("rst_ttl_delta", "rst_ipid_jump", "state_clt", "state_srv")
)
A_CONN, A_HISTORY, A_COMPLETE = _AT["conn_state"], _AT["history"], _AT["completeness"]
A_PREVIOUS, A_CAUSE, A_CONFIDENCE, A_ACTOR = (
    _AT[n] for n in ("previous_id", "cause", "cause_confidence", "actor")
)
A_PHASE, A_HARM, A_OBSERVED, A_FIRST_PACKET = (_AT[n] for n in ("phase", "harm", "observed", "first_packet"))
A_GAPS, A_MARKS, A_RETRIES, A_EVIDENCE, A_HISTORY_MORE = (
    _AT[n] for n in ("gaps", "marks", "retries", "evidence", "history_more")
)


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
def _write_identity(columns: Any, row: Any, h: Any, k: Any, i: Any, r: Any, c: Any) -> Any:
    lo_port, hi_port = i64(k.ports) >> 16, i64(k.ports) & 0xFFFF
    put_i64(columns, A_ID, row, session_id(k, r.previous_id))
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
    put_i64(columns, A_PREVIOUS, row, i64(r.previous_id))


@helper
def _write_counts(columns: Any, row: Any, t: Any, h: Any, k: Any, i: Any, r: Any, c: Any) -> Any:
    x = close_of(t, k)
    for side in range(2):
        d = c if side == 0 else 1 - c
        put_i64(columns, A_PACKETS + side, row, i64(h.packets[d]) + i64(r.packet_carry[d]) * MASK32)
        put_i64(columns, A_BYTES + side, row, h.bytes[d])
        put_i64(columns, A_NEW + side, row, h.bytes[d] - r.seen_again[d])
        put_i64(columns, A_RETX + side, row, i64(r.retx[d]))
        put_u32(columns, A_SYN + side, row, _counter(i, r, N_SYN + d))
        put_u32(columns, A_SYNACK + side, row, _counter(i, r, N_SYNACK + d))
        put_u32(columns, A_FIN + side, row, _closing_counter(x, r, N_FIN + d))
        put_u32(columns, A_RST + side, row, _closing_counter(x, r, N_RST + d))
        unique = 1 if i64(h.bits) & (FIN_SEEN << d) else 0
        node = i64(r.fins[d])
        while node != 0:
            unique += 1
            node = i64(node_of(t, node).next)
        put_u32(columns, A_FIN_UNIQ + side, row, unique)
        put_i64(columns, A_AFTER_FIN + side, row, r.after_fin[d])
        put_i64(columns, A_UNACKED + side, row, unacked_of(t, h, k, i, d))
        put_u32(columns, A_KEEPALIVES + side, row, i64(r.keepalives[d]))


@helper
def _write_opening(columns: Any, row: Any, h: Any, k: Any, i: Any, r: Any) -> Any:
    done = (i64(h.bits) & HANDSHAKE) != 0
    odd = i64(r.odd)
    syn_ns = r.syn_ns if odd & LATE_SYN else k.start_ns
    to_synack = NEVER
    if i64(h.bits) & (3 * SYN_SEEN) and i.synack_ns != NEVER and (odd & SYNACK_FIRST) == 0:
        to_synack = max(i.synack_ns - syn_ns, i64(0))
    whole = NEVER
    to_ack = NEVER
    if done:
        whole = max(i.ct_ns - syn_ns, i64(0))
        if to_synack != NEVER:
            to_ack = max(whole - to_synack, i64(0))
    put_u8(columns, A_CT, row, 1 if done else 0)
    put_i64(columns, A_CT_NS, row, whole)
    put_i64(columns, A_SYN_SYNACK, row, to_synack)
    put_i64(columns, A_SYNACK_ACK, row, to_ack)


@helper
def _write_closing(columns: Any, row: Any, t: Any, h: Any, k: Any, i: Any, r: Any, c: Any) -> Any:
    flags = i64(h.bits)
    half_by = 0
    half_ns = NEVER
    half_gap = NEVER
    half_bytes = i64(0)
    fin1, fin2, closed, rst1, idle = NEVER, NEVER, NEVER, NEVER, NEVER
    after_rst = i64(0)
    ttl = ABSENT_I16
    step = ABSENT_I32
    if k.close != 0:
        x = close_of(t, k)
        fin1, fin2, closed, idle = x.fin1_ns, x.fin2_ns, x.closed_ns, x.idle_ns
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
            elif fin2 != NEVER:
                stop = fin2
            half_ns = max(stop - fin1, i64(0))
            half_gap = x.half_gap
            half_bytes = x.half_bytes
    put_i64(columns, A_FIN1, row, fin1)
    put_i64(columns, A_FIN2, row, fin2)
    put_i64(columns, A_CLOSED, row, closed)
    put_i64(columns, A_RST1, row, rst1)
    put_i64(columns, A_IDLE_CLOSE, row, idle)
    put_u8(columns, A_HALF_BY, row, half_by)
    put_i64(columns, A_HALF_NS, row, half_ns)
    put_i64(columns, A_HALF_GAP, row, half_gap)
    put_i64(columns, A_HALF_BYTES, row, half_bytes)
    put_u32(columns, A_AFTER_RST, row, after_rst)
    put_u16(columns, A_ORDER, row, close_order_code(h, k, c))
    place = _UNKNOWN_RST
    if flags & (3 * RST_SEEN):
        place = i64(i.verdict) & RST_SEQ
    put_u8(columns, A_RST_SEQ, row, place)
    put_u16(columns, A_TTL, row, ttl)
    put_u32(columns, A_IPID, row, step)


@helper
def _write_outcome(columns: Any, row: Any, t: Any, h: Any, k: Any, i: Any, c: Any, evicted: Any) -> Any:
    opening = opening_of(t, h, i, c)
    put_i64(columns, A_MAX_IDLE, row, 0 if opening == O_STRAY else h.max_idle)
    ending = ending_of(t, h, i, opening)
    closer = first_closer_of(h, k, i, c)
    states = states_of(t, h, k, i, c, opening)
    unacked = i64(0)
    for d in range(2):
        unacked += unacked_of(t, h, k, i, d)
    verdict = verdict_of(h, c, opening, ending, closer, unacked)
    put_u8(columns, A_OPENING, row, opening)
    put_u8(columns, A_ENDING, row, ending)
    put_u8(columns, A_FIRST_CLOSER, row, closer)
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


@helper
def _mirrored(history: Any, c: Any) -> Any:
    """Return history letters with the direction bit turned into "by the server"."""
    if c == 0 or history == 0:
        return history
    flip = np.uint64(0x1111111111111111)
    top = np.uint64(0)
    while history >> top > np.uint64(1):
        top += np.uint64(4)
    letters = (np.uint64(1) << top) - np.uint64(1)
    return history ^ (flip & letters)


@kernel
def write_rows(tables: Any, owners: Any, indices: Any, n: Any, columns: Any, evicted: Any) -> Any:
    """Write the rows of sessions to columns, in order.

    Args:
        tables: Address of the addresses of the shards' TABLE records.
        owners: Address of n shard numbers (u1).
        indices: Address of n record indices (u4).
        n: Number of rows.
        columns: Address of the addresses of the columns, in the order of `COLUMNS`.
        evicted: Whether they left because the table was full.
    """
    for row in range(n):
        if row + AHEAD < n:
            prefetch_session(tables, owners, indices, row + AHEAD)
        t = table_at(load_le64(tables + i64(load_u8(owners + row)) * 8))
        index = i64(load_le32(indices + row * 4))
        h, k, i = hot_of(t, index), key_of(t, index), info_of(t, index)
        r = rare_of(t, i)
        c = client_of(h)
        _write_identity(columns, row, h, k, i, r, c)
        _write_counts(columns, row, t, h, k, i, r, c)
        _write_opening(columns, row, h, k, i, r)
        _write_closing(columns, row, t, h, k, i, r, c)
        _write_outcome(columns, row, t, h, k, i, c, evicted)
        put_i64(columns, A_HISTORY, row, i64(_mirrored(np.uint64(i.history), c)))
        put_i64(columns, A_HISTORY_MORE, row, i64(_mirrored(np.uint64(r.history), c)))
        count = 0
        if k.gap != 0:
            count = i64(gap_of(t, i64(k.gap)).place) + 1
        put_u8(columns, A_GAPS, row, count)
        put_u8(columns, A_MARKS, row, i64(close_of(t, k).marks))
        put_u8(columns, A_RETRIES, row, i64(r.retries))
        put_u8(columns, A_EVIDENCE, row, has_evidence(h, r))

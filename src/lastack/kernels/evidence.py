"""Evidence to columns: the entry of each session that has one (definitions.md, section 7)."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import (
    helper,
    kernel,
    put_i64,
    put_u8,
    put_u16,
    put_u32,
)
from lastack.kernels.decode_words import i64
from lastack.kernels.fetch import index_of, prefetch_ahead, table_of
from lastack.kernels.fingerprint import highest_ttl, ipid_kind, lowest_ttl, number_at
from lastack.kernels.layout import (
    BEFORE_HI,
    CHALLENGED,
    HAS_ACK_STEP,
    HAS_BEFORE,
    HAS_END,
    HAS_EXPECTED,
    ISN,
    NEVER,
    QUOTED_HI,
    RACED,
    RST_FROM_HI,
    RST_SEEN,
    RST_TWICE,
    SENDER_SILENT,
)
from lastack.kernels.lifecycle import window_of
from lastack.kernels.outcome import client_of
from lastack.kernels.pool import after_of, close_of, hot_of, info_of, key_of, proof_of, rare_of
from lastack.model.fields import EVIDENCE_MEMBERS

_AT = {member.name: place for place, member in enumerate(EVIDENCE_MEMBERS)}
_RST = ("rst_packet", "rst_by", "rst_ns", "rst_flags", "rst_seq", "rst_ack", "rst_window")
R_PACKET, R_BY, R_NS, R_FLAGS, R_SEQ, R_ACK, R_WINDOW = (_AT[name] for name in _RST)
R_TTL, R_IPID, R_PAYLOAD = (_AT[f"rst_{name}"] for name in ("ttl", "ipid", "payload"))
R_SEQ_STEP, R_EXPECTED, R_ACK_STEP, R_SILENT = (
    _AT[f"rst_{name}"] for name in ("seq_step", "expected_step", "ack_step", "sender_silent")
)
B_PACKET, B_BY, B_NS = (_AT[f"before_rst_{name}"] for name in ("packet", "by", "ns"))
S_TTL_LOW, S_TTL_HIGH, S_IPID = (_AT[f"{name}_clt"] for name in ("ttl_low", "ttl_high", "ipid_kind"))
S_FLIGHT, S_AFTER, S_NEW = (_AT[f"{name}_clt"] for name in ("in_flight", "after_rst", "after_rst_new"))
S_FIN, S_WINDOW, S_ZERO = (_AT[name] for name in ("fin_clt_packet", "last_window_clt", "zero_window_clt"))
X_PACKET, X_STEP, X_PAYLOAD, X_TTL, X_NS = (
    _AT[f"race_{name}"] for name in ("packet", "seq_step", "payload", "ttl", "ns")
)
R_MORE, R_OTHER = _AT["rst_more"], _AT["rst_other_packet"]
R2_PACKET, R2_STEP, R2_NS = (_AT[f"rst2_{name}"] for name in ("packet", "seq_step", "ns"))
T_PACKETS, T_BY, T_KIND, T_PACKET, T_START, T_PROGRESS = (
    _AT[f"tail_{name}"] for name in ("packets", "by", "kind", "packet", "start_ns", "progress_ns")
)
M_SYNACK, M_CHALLENGE, M_SYNS = (_AT[n] for n in ("synack_packet", "challenge_packet", "syn_in_session"))
I_TYPE, I_CODE, I_PACKET, I_NS, I_BY, I_COUNT = (
    _AT[f"icmp_{name}"] for name in ("type", "code", "packet", "ns", "by", "count")
)


@helper
def has_evidence(h: Any, r: Any) -> Any:
    """Return 1 if a session has an evidence entry, else 0; `r` is its RARE record."""
    if i64(h.bits) & (3 * RST_SEEN) or r.tail != 0 or r.quotes != 0 or r.late_syns != 0:
        return 1
    return 1 if i64(r.marks) & CHALLENGED else 0


@helper
def _by(d: Any, c: Any) -> Any:
    """Return the Closer of a direction."""
    return 1 if d == c else 2


@helper
def _write_rst(columns: Any, row: Any, i: Any, p: Any, known: Any, c: Any) -> Any:
    d = 1 if known & RST_FROM_HI else 0
    put_i64(columns, R_PACKET, row, number_at(i, i64(p.place)))
    put_u8(columns, R_BY, row, _by(d, c))
    put_i64(columns, R_NS, row, p.rst_ns)
    put_u8(columns, R_FLAGS, row, i64(p.tcp_flags))
    put_u32(columns, R_SEQ, row, i64(p.seq))
    put_u32(columns, R_ACK, row, i64(p.ack))
    put_u16(columns, R_WINDOW, row, i64(p.window))
    put_u8(columns, R_TTL, row, i64(p.ttl))
    put_u16(columns, R_IPID, row, i64(p.ipid))
    put_u32(columns, R_PAYLOAD, row, i64(p.payload))
    put_i64(columns, R_SEQ_STEP, row, i64(p.end_step) if known & HAS_END else NEVER)
    put_i64(columns, R_EXPECTED, row, i64(p.expected_step) if known & HAS_EXPECTED else NEVER)
    put_i64(columns, R_ACK_STEP, row, i64(p.ack_step) if known & HAS_ACK_STEP else NEVER)
    put_u8(columns, R_SILENT, row, 1 if known & SENDER_SILENT else 0)
    put_i64(columns, B_PACKET, row, number_at(i, i64(p.before)))
    if known & HAS_BEFORE:
        put_u8(columns, B_BY, row, _by(1 if known & BEFORE_HI else 0, c))
        put_i64(columns, B_NS, row, p.before_ns)


@helper
def _write_after(columns: Any, row: Any, i: Any, a: Any, known: Any) -> Any:
    if known & RACED:
        put_i64(columns, X_PACKET, row, number_at(i, i64(a.race)))
        put_i64(columns, X_STEP, row, i64(a.race_step))
        put_u32(columns, X_PAYLOAD, row, i64(a.race_payload))
        put_u8(columns, X_TTL, row, i64(a.race_ttl))
        put_i64(columns, X_NS, row, a.race_ns)
    put_u32(columns, R_MORE, row, i64(a.more))
    if known & RST_TWICE:
        put_i64(columns, R2_PACKET, row, number_at(i, i64(a.rst2)))
        put_i64(columns, R2_STEP, row, i64(a.rst2_step))
        put_i64(columns, R2_NS, row, a.rst2_ns)
    put_i64(columns, R_OTHER, row, number_at(i, i64(a.other)))


@helper
def _write_tail(columns: Any, row: Any, i: Any, r: Any, c: Any) -> Any:
    put_u32(columns, T_PACKETS, row, i64(r.tail))
    put_u8(columns, T_BY, row, _by((i64(r.odd) >> 4) & 1, c))
    put_u8(columns, T_KIND, row, i64(r.tail_kind))
    put_i64(columns, T_PACKET, row, number_at(i, i64(r.tail_place)))
    put_i64(columns, T_START, row, r.tail_ns)
    put_i64(columns, T_PROGRESS, row, r.progress_ns)


@helper
def _write_icmp(columns: Any, row: Any, i: Any, r: Any, c: Any) -> Any:
    put_u8(columns, I_TYPE, row, i64(r.quoted) >> 8)
    put_u8(columns, I_CODE, row, i64(r.quoted) & 0xFF)
    put_i64(columns, I_PACKET, row, number_at(i, i64(r.quote_place)))
    put_i64(columns, I_NS, row, r.quote_ns)
    put_u8(columns, I_BY, row, _by(1 if i64(r.marks) & QUOTED_HI else 0, c))
    put_u32(columns, I_COUNT, row, i64(r.quotes))


@helper
def _last_window(h: Any, i: Any, d: Any) -> Any:
    """Return the last window of an end, as sent where its scale is not known."""
    return window_of(h, i, d) if i64(h.bits) & (ISN << d) else i64(h.window[d])


@kernel
def write_evidence(tables: Any, owners: Any, indices: Any, counts: Any, n: Any, columns: Any) -> Any:
    """Write the evidence of those sessions that have it, in the order of their rows.

    Columns must hold what stands for absent: NEVER where a member may be null, else 0.

    Args:
        tables: Address of the addresses of the shards' TABLE records.
        owners: Address of n shard numbers (u1).
        indices: Address of n record indices (u4).
        counts: Address of n numbers of entries (u1), 0 or 1.
        n: Number of sessions.
        columns: Address of the addresses of the columns, in the order of EVIDENCE_MEMBERS.
    """
    row = i64(0)
    for j in range(n):
        prefetch_ahead(tables, owners, indices, j, n)
        t = table_of(tables, owners, j)
        index = index_of(indices, j)
        h, k, i = hot_of(t, index), key_of(t, index), info_of(t, index)
        r = rare_of(t, i)
        c = client_of(h)
        x = close_of(t, k)
        p = proof_of(t, x)
        a = after_of(t, p)
        if x.proof != 0:
            known = i64(p.known)
            _write_rst(columns, row, i, p, known, c)
            _write_after(columns, row, i, a, known)
        for side in range(2):
            d = c if side == 0 else 1 - c
            put_u8(columns, S_TTL_LOW + side, row, lowest_ttl(t, k, i, d))
            put_u8(columns, S_TTL_HIGH + side, row, highest_ttl(t, k, i, d))
            put_u8(columns, S_IPID + side, row, ipid_kind(k, d))
            if x.proof != 0:
                put_i64(columns, S_FLIGHT + side, row, i64(p.in_flight[d]))
            put_u32(columns, S_AFTER + side, row, i64(a.packets[d]))
            put_i64(columns, S_NEW + side, row, a.new[d])
            put_i64(columns, S_FIN + side, row, number_at(i, i64(x.fin_place[d])))
            put_u32(columns, S_WINDOW + side, row, _last_window(h, i, d))
            put_u32(columns, S_ZERO + side, row, i64(r.zero[d]))
        put_i64(columns, M_SYNACK, row, number_at(i, i64(i.synack)))
        put_i64(columns, M_CHALLENGE, row, number_at(i, i64(r.challenge)))
        put_u32(columns, M_SYNS, row, i64(r.late_syns))
        if r.tail != 0:
            _write_tail(columns, row, i, r, c)
        if r.quotes != 0:
            _write_icmp(columns, row, i, r, c)
        row += 1

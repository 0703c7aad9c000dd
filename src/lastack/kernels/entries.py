"""Lists of a session to columns: gap profiles, marks and retries, entry by entry in the order of the rows."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_u8, prefetch, put_i64, put_u8
from lastack.kernels.decode_words import i64
from lastack.kernels.fetch import (
    STEP,
    index_of,
    prefetch_close,
    prefetch_gap,
    prefetch_rare,
    prefetch_session,
    table_of,
)
from lastack.kernels.layout import (
    ANSWERED,
    FIN_AGAIN,
    LONGEST,
    MASK32,
    NEXT_HI,
    S_MARK,
    S_RETRY,
    STALLED,
    UNACKED,
    pool_at,
)
from lastack.kernels.outcome import client_of
from lastack.kernels.pool import close_of, gap_of, hot_of, info_of, key_of, mark_of, rare_of, retry_of
from lastack.model.fields import GAP_MEMBERS, MARK_MEMBERS, RETRY_MEMBERS

_GAP = {member.name: place for place, member in enumerate(GAP_MEMBERS)}
G_PHASE, G_START, G_LENGTH, G_BYTES, G_PACKETS = (
    _GAP[name] for name in ("phase", "start_ns", "gap_ns", "bytes_clt", "packets_clt")
)
G_LONGEST, G_UNACKED, G_STALLED, G_FIN_AGAIN, G_NEXT, G_NEXT_BY = (
    _GAP[name] for name in ("longest", "unacked", "stalled", "fin_again", "next", "next_by")
)
_MARK = {member.name: place for place, member in enumerate(MARK_MEMBERS)}
M_SINCE, M_AGE, M_BYTES, M_PACKETS = (
    _MARK[name] for name in ("since_ns", "age_ns", "bytes_clt", "packets_clt")
)
_RETRY = {member.name: place for place, member in enumerate(RETRY_MEMBERS)}
R_NS, R_BY, R_KIND, R_ANSWERED = (_RETRY[name] for name in ("ns", "by", "kind", "answered"))


@helper
def _prefetch_gaps(tables: Any, owners: Any, indices: Any, j: Any, n: Any) -> Any:
    if j + 3 * STEP < n:
        prefetch_session(tables, owners, indices, j + 3 * STEP)
    if j + 2 * STEP < n:
        t = table_of(tables, owners, j + 2 * STEP)
        index = index_of(indices, j + 2 * STEP)
        prefetch_gap(t, key_of(t, index).gap)
    if j + STEP < n:
        t = table_of(tables, owners, j + STEP)
        index = index_of(indices, j + STEP)
        prefetch_gap(t, gap_of(t, i64(key_of(t, index).gap)).next)


@helper
def _prefetch_marks(tables: Any, owners: Any, indices: Any, j: Any, n: Any) -> Any:
    if j + 3 * STEP < n:
        prefetch_session(tables, owners, indices, j + 3 * STEP)
    if j + 2 * STEP < n:
        t = table_of(tables, owners, j + 2 * STEP)
        index = index_of(indices, j + 2 * STEP)
        prefetch_close(t, key_of(t, index))
    if j + STEP < n:
        t = table_of(tables, owners, j + STEP)
        index = index_of(indices, j + STEP)
        mark = i64(close_of(t, key_of(t, index)).mark)
        prefetch(pool_at(t.mark).address + mark * S_MARK)


@helper
def _prefetch_retries(tables: Any, owners: Any, indices: Any, j: Any, n: Any) -> Any:
    if j + 3 * STEP < n:
        prefetch_session(tables, owners, indices, j + 3 * STEP)
    if j + 2 * STEP < n:
        t = table_of(tables, owners, j + 2 * STEP)
        index = index_of(indices, j + 2 * STEP)
        prefetch_rare(t, info_of(t, index))
    if j + STEP < n:
        t = table_of(tables, owners, j + STEP)
        index = index_of(indices, j + STEP)
        retry = i64(rare_of(t, info_of(t, index)).retry)
        prefetch(pool_at(t.retry).address + retry * S_RETRY)


@helper
def _write_sent(columns: Any, first_bytes: Any, first_packets: Any, row: Any, x: Any, c: Any) -> Any:
    """Write what both ends had sent: two columns of bytes and two of packets, the client's first."""
    for side in range(2):
        d = c if side == 0 else 1 - c
        carry = (i64(x.carry) >> (4 * d)) & 15
        put_i64(columns, first_bytes + side, row, x.bytes[d])
        put_i64(columns, first_packets + side, row, i64(x.packets[d]) + carry * MASK32)


@helper
def _write_what(columns: Any, row: Any, what: Any, c: Any) -> Any:
    """Write what was outstanding in a silence, and the kind and sender of the packet that ended it."""
    put_u8(columns, G_LONGEST, row, 1 if what & LONGEST else 0)
    put_u8(columns, G_UNACKED, row, 1 if what & UNACKED else 0)
    put_u8(columns, G_STALLED, row, 1 if what & STALLED else 0)
    put_u8(columns, G_FIN_AGAIN, row, 1 if what & FIN_AGAIN else 0)
    put_u8(columns, G_NEXT, row, what & 7)
    put_u8(columns, G_NEXT_BY, row, 1 if (1 if what & NEXT_HI else 0) == c else 2)


@kernel
def write_gaps(tables: Any, owners: Any, indices: Any, counts: Any, n: Any, columns: Any) -> Any:
    """Write the gap profiles of sessions in the order of their rows, oldest entry first.

    Args:
        tables: Address of the addresses of the shards' TABLE records.
        owners: Address of n shard numbers (u1).
        indices: Address of n record indices (u4).
        counts: Address of n numbers of entries (u1), none of them 0: sessions without entries are left out.
        n: Number of sessions.
        columns: Address of the addresses of the columns, in the order of GAP_MEMBERS.
    """
    place = i64(0)
    for j in range(n):
        _prefetch_gaps(tables, owners, indices, j, n)
        size = i64(load_u8(counts + j))
        t = table_of(tables, owners, j)
        index = index_of(indices, j)
        c = client_of(hot_of(t, index))
        node = i64(key_of(t, index).gap)
        place += size
        at = place
        while node != 0:
            at -= 1
            g = gap_of(t, node)
            put_u8(columns, G_PHASE, at, i64(g.phase))
            put_i64(columns, G_START, at, g.start_ns)
            put_i64(columns, G_LENGTH, at, g.gap_ns)
            _write_sent(columns, G_BYTES, G_PACKETS, at, g, c)
            _write_what(columns, at, i64(g.what), c)
            node = i64(g.next)


@kernel
def write_marks(tables: Any, owners: Any, indices: Any, counts: Any, n: Any, columns: Any) -> Any:
    """Write the marks of sessions in the order of their rows, lowest age first.

    The arguments are those of `write_gaps`, with columns in the order of MARK_MEMBERS.
    """
    place = i64(0)
    for j in range(n):
        _prefetch_marks(tables, owners, indices, j, n)
        size = i64(load_u8(counts + j))
        t = table_of(tables, owners, j)
        index = index_of(indices, j)
        c = client_of(hot_of(t, index))
        place += size
        at = place
        node = i64(close_of(t, key_of(t, index)).mark)
        while node != 0:
            m = mark_of(t, node)
            at -= 1
            put_i64(columns, M_SINCE, at, m.since)
            put_i64(columns, M_AGE, at, m.until)
            _write_sent(columns, M_BYTES, M_PACKETS, at, m, c)
            node = i64(m.next)


@kernel
def write_retries(tables: Any, owners: Any, indices: Any, counts: Any, n: Any, columns: Any) -> Any:
    """Write the retries of sessions in the order of their rows, oldest first.

    The arguments are those of `write_gaps`, with columns in the order of RETRY_MEMBERS.
    """
    place = i64(0)
    for j in range(n):
        _prefetch_retries(tables, owners, indices, j, n)
        size = i64(load_u8(counts + j))
        t = table_of(tables, owners, j)
        index = index_of(indices, j)
        c = client_of(hot_of(t, index))
        place += size
        at = place
        node = i64(rare_of(t, info_of(t, index)).retry)
        while node != 0:
            x = retry_of(t, node)
            what = i64(x.what)
            at -= 1
            put_i64(columns, R_NS, at, x.ns)
            put_u8(columns, R_BY, at, 1 if (1 if what & NEXT_HI else 0) == c else 2)
            put_u8(columns, R_KIND, at, what & 7)
            put_u8(columns, R_ANSWERED, at, 1 if what & ANSWERED else 0)
            node = i64(x.next)

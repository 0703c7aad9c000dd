"""Asks memory for the records of rows that come soon: in steps, because one record says where the next one is.

Rows are written in the order of their start times, so the records of most lie together; what closing, silences and
oddities added lies anywhere, and waiting for it took more than half of the time of a session that closed.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, load_le32, load_le64, load_u8, prefetch
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import (
    S_AFTER,
    S_CLOSE,
    S_GAP,
    S_PROOF,
    S_RARE,
    S_SESSION,
    TO_INFO,
    TO_KEY,
    pool_at,
    table_at,
)
from lastack.kernels.pool import close_of, info_of, key_of, proof_of

#: Rows between asking for a record and for what it points to.
STEP = 6
_LINE = 64  # bytes


@helper
def table_of(tables: Any, owners: Any, j: Any) -> Any:
    """Return the TABLE of the session of row j."""
    return table_at(load_le64(tables + i64(load_u8(owners + j)) * 8))


@helper
def index_of(indices: Any, j: Any) -> Any:
    """Return the record index of the session of row j."""
    return i64(load_le32(indices + j * 4))


@helper
def prefetch_session(tables: Any, owners: Any, indices: Any, j: Any) -> Any:
    """Ask for the records that every session has, of row j."""
    t = table_of(tables, owners, j)
    index = index_of(indices, j)
    session = t.sessions + index * S_SESSION
    prefetch(session)
    prefetch(session + TO_KEY)
    prefetch(session + TO_INFO)


@helper
def prefetch_close(t: Any, k: Any) -> Any:
    """Ask for the CLOSE record of a session, if it has one; its KEY must be here."""
    if k.close != 0:
        at = pool_at(t.close).address + i64(k.close) * S_CLOSE
        prefetch(at)
        prefetch(at + _LINE)


@helper
def prefetch_gap(t: Any, node: Any) -> Any:
    """Ask for a GAP item, if there is one."""
    if node != 0:
        at = pool_at(t.gap).address + i64(node) * S_GAP
        prefetch(at)
        prefetch(at + S_GAP - 1)


@helper
def prefetch_rare(t: Any, i: Any) -> Any:
    """Ask for the RARE record of a session, if it has one; its INFO must be here."""
    if i.rare != 0:
        at = pool_at(t.rare).address + i64(i.rare) * S_RARE
        for line in range(0, S_RARE, _LINE):
            prefetch(at + line)


@helper
def prefetch_proof(t: Any, k: Any) -> Any:
    """Ask for the PROOF record of a session, if it has one; its KEY and CLOSE must be here."""
    if k.close != 0:
        proof = i64(close_of(t, k).proof)
        if proof != 0:
            at = pool_at(t.proof).address + proof * S_PROOF
            prefetch(at)
            prefetch(at + _LINE)


@helper
def prefetch_after(t: Any, k: Any) -> Any:
    """Ask for the AFTER record of a session, if it has one; its KEY, CLOSE and PROOF must be here."""
    if k.close != 0:
        x = close_of(t, k)
        if x.proof != 0:
            after = i64(proof_of(t, x).after)
            if after != 0:
                at = pool_at(t.after).address + after * S_AFTER
                prefetch(at)
                prefetch(at + _LINE)


@helper
def prefetch_ahead(tables: Any, owners: Any, indices: Any, j: Any, n: Any) -> Any:
    """Ask for all records that the rows after row j will need, each when what points to it has come."""
    if j + 3 * STEP < n:
        prefetch_session(tables, owners, indices, j + 3 * STEP)
    if j + 2 * STEP < n:
        t = table_of(tables, owners, j + 2 * STEP)
        index = index_of(indices, j + 2 * STEP)
        k = key_of(t, index)
        prefetch_close(t, k)
        prefetch_rare(t, info_of(t, index))
        prefetch_gap(t, k.gap)
    if j + STEP < n:
        t = table_of(tables, owners, j + STEP)
        index = index_of(indices, j + STEP)
        prefetch_proof(t, key_of(t, index))
    if j + STEP // 2 < n:
        t = table_of(tables, owners, j + STEP // 2)
        index = index_of(indices, j + STEP // 2)
        prefetch_after(t, key_of(t, index))

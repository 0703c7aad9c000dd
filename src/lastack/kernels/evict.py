"""Making room: which sessions leave when the table is at its limit, and giving back those whose rows are written."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_le32, store_u8, store_u32, store_u64
from lastack.kernels.decode_words import i64
from lastack.kernels.flowhash import flow_hash
from lastack.kernels.flowtable import remove
from lastack.kernels.layout import DETACHED, ESTABLISHED, MASK32, SHADOW, table_at
from lastack.kernels.lifecycle import is_over
from lastack.kernels.pool import free_session, hot_of, info_of, key_of, rare_of
from lastack.kernels.track import finish

OVER, EMBRYONIC, IDLE = 0, 1, 2  #: order in which sessions are evicted


@kernel
def list_live(table: Any, indices: Any, classes: Any, ends: Any, starts: Any, origins: Any) -> Any:
    """Write every session that is in the table to columns; return their number.

    `indices` (u4), `classes` (u1: OVER, EMBRYONIC, IDLE), `ends`, `starts` (i8, ns) and `origins` (u8) are addresses.
    """
    t = table_at(table)
    n = i64(0)
    for index in range(1, t.records + 1):
        h = hot_of(t, index)
        flags = i64(h.bits)
        if flags & DETACHED:
            continue
        k, i = key_of(t, index), info_of(t, index)
        kind = IDLE
        if is_over(flags):
            kind = OVER
        elif (flags & ESTABLISHED) == 0:
            kind = EMBRYONIC
        store_u32(indices + n * 4, index)
        store_u8(classes + n, kind)
        store_u64(ends + n * 8, h.end_ns)
        store_u64(starts + n * 8, k.start_ns)
        store_u64(origins + n * 8, i64(i.origin))
        n += 1
    return n


@kernel
def list_starts(table: Any, indices: Any, n: Any, starts: Any, origins: Any) -> Any:
    """Write start time (i8) and origin (u8) of n sessions to columns."""
    t = table_at(table)
    for j in range(n):
        index = i64(load_le32(indices + j * 4))
        store_u64(starts + j * 8, key_of(t, index).start_ns)
        store_u64(origins + j * 8, i64(info_of(t, index).origin))


@kernel
def list_all(table: Any, indices: Any, starts: Any, origins: Any) -> Any:
    """Write every session that is held, finished ones and shadows included, to columns; return their number.

    `indices` (u4), `starts` (i8, ns) and `origins` (u8) are addresses.
    """
    t = table_at(table)
    n = i64(0)
    for index in range(1, t.records + 1):
        i = info_of(t, index)
        if i.history != 0:  # only records that were given back have none
            store_u32(indices + n * 4, index)
            store_u64(starts + n * 8, key_of(t, index).start_ns)
            store_u64(origins + n * 8, i64(i.origin))
            n += 1
    return n


@helper
def _leave(t: Any, index: Any) -> Any:
    k = key_of(t, index)
    tag = i64(flow_hash(k.lo0, k.lo1, k.hi0, k.hi1, k.ports)) & MASK32
    remove(t, tag, index)
    h = hot_of(t, index)
    if i64(h.bits) & SHADOW:
        finish(t, i64(rare_of(t, info_of(t, index)).shadow))
    finish(t, index)


@kernel
def leave(table: Any, indices: Any, n: Any) -> Any:
    """Take sessions out of the table and put them, and the shadows they hold, on the finished list."""
    t = table_at(table)
    for j in range(n):
        _leave(t, i64(load_le32(indices + j * 4)))


@kernel
def free_finished(table: Any) -> Any:
    """Give back every session of the finished list; their rows must have been written."""
    t = table_at(table)
    for j in range(t.n_finished):
        free_session(t, i64(load_le32(t.finished + j * 4)))
    t.n_finished = 0

"""Pools of equal-sized items in reserved memory: taking one and giving it back never moves another."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, load_le32, store_u32, store_u64
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import (
    DETACHED,
    S_AFTER,
    S_CLOSE,
    S_GAP,
    S_MARK,
    S_NODE,
    S_PROOF,
    S_RARE,
    S_RETRY,
    S_SESSION,
    TO_INFO,
    TO_KEY,
    after_at,
    close_at,
    gap_at,
    hot_at,
    info_at,
    key_at,
    mark_at,
    node_at,
    pool_at,
    proof_at,
    rare_at,
    retry_at,
)


@helper
def clear(address: Any, size: Any) -> Any:
    """Write zeros over an item; the tail of a size that is no multiple of 8 is written too."""
    a = address
    for offset in range(0, size - 7, 8):
        store_u64(a + offset, 0)
    if size & 4:
        store_u32(a + size - 4, 0)


@helper
def take(pool_address: Any) -> Any:
    """Return the index of a zeroed item, or 0 (counted) when the pool is full."""
    pool = pool_at(pool_address)
    index = i64(pool.free)
    if index != 0:
        address = pool.address + index * pool.stride
        pool.free = i64(load_le32(address))
        clear(address, pool.stride)
        return index
    if pool.used + 1 >= pool.capacity:
        pool.failed = pool.failed + 1
        return i64(0)
    pool.used = pool.used + 1
    return i64(pool.used)


@helper
def give_back(pool_address: Any, index: Any) -> Any:
    """Put an item back; its first four bytes become the link of the free list."""
    pool = pool_at(pool_address)
    store_u32(pool.address + index * pool.stride, pool.free)
    pool.free = index


@helper
def hot_of(t: Any, index: Any) -> Any:
    """Return the HOT record of a session."""
    return hot_at(t.sessions + index * S_SESSION)


@helper
def key_of(t: Any, index: Any) -> Any:
    """Return the KEY record of a session."""
    return key_at(t.sessions + index * S_SESSION + TO_KEY)


@helper
def info_of(t: Any, index: Any) -> Any:
    """Return the INFO record of a session."""
    return info_at(t.sessions + index * S_SESSION + TO_INFO)


@helper
def close_of(t: Any, k: Any) -> Any:
    """Return the CLOSE record of a session that has one."""
    return close_at(pool_at(t.close).address + i64(k.close) * S_CLOSE)


@helper
def rare_of(t: Any, i: Any) -> Any:
    """Return the RARE record of a session; item 0 (always zero) when it has none."""
    return rare_at(pool_at(t.rare).address + i64(i.rare) * S_RARE)


@helper
def need_rare(t: Any, i: Any) -> Any:
    """Return the RARE record of a session, taking one if it has none."""
    if i.rare == 0:
        i.rare = take(t.rare)
    return rare_at(pool_at(t.rare).address + i64(i.rare) * S_RARE)


@helper
def gap_of(t: Any, index: Any) -> Any:
    """Return a GAP item."""
    return gap_at(pool_at(t.gap).address + index * S_GAP)


@helper
def proof_of(t: Any, c: Any) -> Any:
    """Return the PROOF record of a CLOSE record that has one."""
    return proof_at(pool_at(t.proof).address + i64(c.proof) * S_PROOF)


@helper
def after_of(t: Any, p: Any) -> Any:
    """Return the AFTER record of a PROOF record; item 0 (always zero) when it has none."""
    return after_at(pool_at(t.after).address + i64(p.after) * S_AFTER)


@helper
def mark_of(t: Any, index: Any) -> Any:
    """Return a MARK item."""
    return mark_at(pool_at(t.mark).address + index * S_MARK)


@helper
def retry_of(t: Any, index: Any) -> Any:
    """Return a RETRY item."""
    return retry_at(pool_at(t.retry).address + index * S_RETRY)


@helper
def carries(r: Any) -> Any:
    """Return how often the packets of both ends wrapped, as two nibbles; `r` is a RARE record."""
    return min(i64(r.packet_carry[0]), i64(15)) | min(i64(r.packet_carry[1]), i64(15)) << 4


@helper
def node_of(t: Any, index: Any) -> Any:
    """Return a NODE item."""
    return node_at(pool_at(t.node).address + index * S_NODE)


@helper
def free_nodes(t: Any, head: Any) -> Any:
    """Give back a whole NODE list."""
    index = i64(head)
    while index != 0:
        following = i64(node_of(t, index).next)
        give_back(t.node, index)
        index = following


@helper
def free_session(t: Any, index: Any) -> Any:
    """Give back a session's records, extensions included; its row must have been written."""
    k, i = key_of(t, index), info_of(t, index)
    if k.close != 0:
        c = close_of(t, k)
        if c.proof != 0:
            p = proof_of(t, c)
            if p.after != 0:
                give_back(t.after, i64(p.after))
            give_back(t.proof, i64(c.proof))
        mark = i64(c.mark)
        while mark != 0:
            following = i64(mark_of(t, mark).next)
            give_back(t.mark, mark)
            mark = following
        give_back(t.close, i64(k.close))
    gap = i64(k.gap)
    while gap != 0:
        following = i64(gap_of(t, gap).next)
        give_back(t.gap, gap)
        gap = following
    if i.rare != 0:
        r = rare_of(t, i)
        for d in range(2):
            free_nodes(t, r.holes[d])
            free_nodes(t, r.fins[d])
        retry = i64(r.retry)
        while retry != 0:
            following = i64(retry_of(t, retry).next)
            give_back(t.retry, retry)
            retry = following
        give_back(t.rare, i64(i.rare))
    clear(t.sessions + index * S_SESSION, S_SESSION)
    hot_of(t, index).packets[0] = t.free
    hot_of(t, index).bits = DETACHED
    t.free = index
    t.live = t.live - 1

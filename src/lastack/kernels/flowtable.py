"""The hash table of live sessions: linear probing over eight-byte slots (record index, 32-bit hash).

Deletion shifts back, so there are no tombstones; the hash in the slot lets the table grow without touching
records. A slot with index 0 is empty.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_le32, store_u32
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import MASK32, table_at
from lastack.kernels.pool import key_of


@helper
def same_key(k: Any, g: Any) -> Any:
    """Return whether a record's key is the segment's."""
    return k.lo1 == g.lo1 and k.hi1 == g.hi1 and k.ports == g.ports and k.lo0 == g.lo0 and k.hi0 == g.hi0


@helper
def find(t: Any, g: Any) -> Any:
    """Return the record index of the current session of the segment's key, or 0."""
    tag = i64(g.hash)
    position = tag & t.mask
    while True:
        slot = t.slots + position * 8
        index = i64(load_le32(slot))
        if index == 0:
            return i64(0)
        if i64(load_le32(slot + 4)) == tag and same_key(key_of(t, index), g):
            return index
        position = (position + 1) & t.mask


@helper
def insert(t: Any, tag: Any, index: Any) -> Any:
    """Put a record into the first empty slot of its chain; the caller has made sure that there is room."""
    position = tag & t.mask
    while load_le32(t.slots + position * 8) != 0:
        position = (position + 1) & t.mask
    store_u32(t.slots + position * 8, index)
    store_u32(t.slots + position * 8 + 4, tag)
    t.filled = t.filled + 1


@helper
def slot_of(t: Any, tag: Any, index: Any) -> Any:
    """Return the position of a record that is in the table."""
    position = tag & t.mask
    while i64(load_le32(t.slots + position * 8)) != index:
        position = (position + 1) & t.mask
    return position


@helper
def replace(t: Any, tag: Any, old: Any, new: Any) -> Any:
    """Let the slot of one record point to another of the same key."""
    store_u32(t.slots + slot_of(t, tag, old) * 8, new)


@helper
def remove(t: Any, tag: Any, index: Any) -> Any:
    """Empty a record's slot and shift its chain back (Knuth, TAOCP 3, 6.4, algorithm R)."""
    hole = slot_of(t, tag, index)
    position = hole
    while True:
        position = (position + 1) & t.mask
        slot = t.slots + position * 8
        other = load_le32(slot)
        if other == 0:
            break
        other_tag = load_le32(slot + 4)
        home = i64(other_tag) & t.mask
        if ((position - home) & t.mask) >= ((position - hole) & t.mask):
            store_u32(t.slots + hole * 8, other)
            store_u32(t.slots + hole * 8 + 4, other_tag)
            hole = position
    store_u32(t.slots + hole * 8, 0)
    t.filled = t.filled - 1


@kernel
def rehash(old_slots: Any, old_mask: Any, table: Any) -> Any:
    """Copy every filled slot of an old array into the new, empty one of the TABLE record at an address."""
    t = table_at(table)
    t.filled = 0
    for position in range(old_mask + 1):
        slot = old_slots + position * 8
        index = i64(load_le32(slot))
        if index != 0:
            insert(t, i64(load_le32(slot + 4)) & MASK32, index)

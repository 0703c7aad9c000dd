"""Where decoded segments go: the array of their shard, written there once."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, kernel, load_le64, prefetch, record_at, store_u64
from lastack.kernels.decode_words import hot, i64, segment_at, u64
from lastack.kernels.layout import S_SEGMENT

SHARDS = 8  #: the flow table is always split in so many parts, whatever the number of threads
_BYTE_SHIFT = 5  # of the top hash byte
_HASH_SHIFT = 61  # of the whole hash
_AHEAD = 3  # segments
_NEARLY_FULL = 64  # segments: to look after each of the last ones would cost more than their room
_MUCH = 1 << 62

#: Room for the segments of each shard: an array, and perhaps another one for what that does not hold.
PLACES = np.dtype(
    [
        ("next", "u8", SHARDS),      # address of the next segment of each shard
        ("end", "u8", SHARDS),       # address after the last for which there is room
        ("rest", "u8", SHARDS),      # address of the other array; 0 without one, or once it is in use
        ("rest_end", "u8", SHARDS),
        ("left", "u8", SHARDS),      # address after the last segment of the first array, once the other is in use
        ("spare", "u8"),             # address of a SEGMENT for scratch
    ]
)  # fmt: skip
assert PLACES.fields is not None
assert PLACES.fields["next"][1] == 0, "`into_shard` takes the address of the record as that of this field"

places_at = record_at(PLACES)


@helper
def copy_segment(source: Any, target: Any) -> Any:
    """Copy one SEGMENT."""
    for offset in range(0, S_SEGMENT, 8):
        store_u64(target + np.uint64(offset), load_le64(source + np.uint64(offset)))


@hot
def into_shard(target: Any, h: int) -> Any:
    """Return the next segment of the shard of a hash, with its time and origin; it is taken.

    Args:
        target: Address of PLACES, time, origin.
        h: Hash of the session.
    """
    slot = target[0] + (h >> u64(_HASH_SHIFT) << u64(3))
    address = u64(load_le64(slot))
    store_u64(slot, address + u64(S_SEGMENT))
    # Dozens of arrays are filled at a time in lock step: without this each segment would wait for its line.
    prefetch(address + u64(_AHEAD * S_SEGMENT))
    prefetch(address + u64((_AHEAD + 1) * S_SEGMENT - 1))
    seg = segment_at(address)
    seg.ts_ns = target[1]
    seg.origin = target[2]
    return seg


@helper
def copy_into_shard(places: Any, source: Any) -> Any:
    """Copy a segment to the next place of its shard.

    Args:
        places: Address of PLACES.
        source: Address of the SEGMENT.
    """
    slot = places + u64((i64(segment_at(source).shard) >> _BYTE_SHIFT) << 3)
    address = u64(load_le64(slot))
    copy_segment(source, address)
    store_u64(slot, address + u64(S_SEGMENT))


@helper
def room_in(places: Any) -> Any:
    """Return how many segments fit whichever shards they belong to, after leaving arrays that are nearly full.

    Args:
        places: Address of PLACES.
    """
    p = places_at(places)
    least = i64(_MUCH)
    for s in range(SHARDS):
        room = i64(p.end[s]) - i64(p.next[s])
        if room < _NEARLY_FULL * S_SEGMENT and p.rest[s] != 0:
            p.left[s] = p.next[s]
            p.next[s] = p.rest[s]
            p.end[s] = p.rest_end[s]
            p.rest[s] = u64(0)
            room = i64(p.end[s]) - i64(p.next[s])
        least = min(least, room)
    return least // S_SEGMENT


@kernel
def scatter(segments: Any, order: Any, n: Any, shards: Any, filled: Any) -> Any:
    """Copy segments in a given order to the arrays of their shards.

    Args:
        segments: Address of SEGMENTs.
        order: Array of n places among them.
        n: How many.
        shards: Addresses of the SHARDS arrays.
        filled: Segments in each, continued.
    """
    for j in range(n):
        source = segments + np.uint64(i64(order[j]) * S_SEGMENT)
        s = i64(segment_at(source).shard) >> _BYTE_SHIFT
        copy_segment(source, shards[s] + np.uint64(filled[s] * S_SEGMENT))
        filled[s] += 1

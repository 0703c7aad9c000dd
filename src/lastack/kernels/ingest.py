"""From bytes of a capture to segments, split by shard: walk, decode and scatter in cache-sized blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, kernel, load_le64, store_u64
from lastack.kernels.decode import decode_frame
from lastack.kernels.decode_words import i64, u64
from lastack.kernels.layout import S_SEGMENT, segment_at
from lastack.kernels.walk import walk
from lastack.kernels.walk_lanes import walk_lanes
from lastack.kernels.walk_state import WALK_MORE
from lastack.model.batch import META_ICMP
from lastack.model.enums import Drop

BLOCK = 1024  #: frames that are walked before they are decoded
SHARDS = 8  #: the flow table is always split in so many parts, whatever the number of threads
SHARD_SHIFT = 5  # of the top hash byte
MAX_LINK = 512
_ICMP_ERROR = int(Drop.icmp_error)

#: What one call of `ingest` counted.
TALLY = np.dtype(
    [
        ("packets", "i8"),
        ("drops", "i8", 16),    # by Drop
        ("encaps", "i8", 16),   # segments by Encap
        ("links", "i8", MAX_LINK),
        ("first_ns", "i8"),     # earliest and latest time, meaningful with packets > 0
        ("last_ns", "i8"),
        ("backwards", "i8"),    # packets earlier than the one before
        ("head_ns", "i8"),      # time of the first packet
        ("previous_ns", "i8"),  # time of the last one
    ]
)  # fmt: skip


@helper
def copy_segment(source: Any, target: Any) -> Any:
    """Copy one SEGMENT."""
    for offset in range(0, S_SEGMENT, 8):
        store_u64(target + np.uint64(offset), load_le64(source + np.uint64(offset)))


@helper
def _decode_block(
    base: Any, frames: Any, first: Any, n: Any, number: Any, origin: Any, block: Any, tally: Any
) -> Any:
    """Decode n frames into a block of SEGMENTs and count them; return how many segments there are.

    The block is copied to the shards only when it is whole: copying each segment at once would read wide what was
    just written narrow, which the processor cannot forward.
    """
    filled = i64(0)
    earliest, latest = tally["first_ns"], tally["last_ns"]
    previous, backwards = tally["previous_ns"], i64(0)
    if tally["packets"] == 0 and n > 0:
        earliest = latest = previous = frames[first]["ts_ns"]
        tally["head_ns"] = previous
    link, links = i64(-1), i64(0)
    for j in range(n):
        f = frames[first + j]
        ts_ns = f["ts_ns"]
        earliest = min(earliest, ts_ns)
        latest = max(latest, ts_ns)
        if ts_ns < previous:
            backwards += 1
        previous = ts_ns
        if i64(f["link"]) != link:
            if links:
                tally["links"][min(link, MAX_LINK - 1)] += links
            link, links = i64(f["link"]), i64(0)
        links += 1
        g = segment_at(block + filled * S_SEGMENT)
        g.meta = 0
        reason = i64(decode_frame(u64(base + f["offset"]), i64(f["caplen"]), i64(f["wirelen"]), link, g))
        tally["drops"][reason] += 1
        if reason == 0:
            tally["encaps"][i64(g.encap)] += 1
        elif reason != _ICMP_ERROR or (i64(g.meta) & META_ICMP) == 0:
            continue
        g.ts_ns = ts_ns
        g.origin = origin + number + j
        filled += 1
    if links:
        tally["links"][min(link, MAX_LINK - 1)] += links
    tally["packets"] += n
    tally["first_ns"], tally["last_ns"] = earliest, latest
    tally["previous_ns"] = previous
    tally["backwards"] += backwards
    return filled


@helper
def _split(block: Any, n: Any, shards: Any, filled: Any, lane: Any) -> Any:
    """Copy the segments of a block to the arrays of the shards of a lane."""
    for j in range(n):
        source = u64(block + j * S_SEGMENT)
        s = i64(segment_at(source).shard) >> SHARD_SHIFT
        there = lane * SHARDS + s
        copy_segment(source, shards[lane * (SHARDS + 1) + s] + u64(filled[there] * S_SEGMENT))
        filled[there] += 1


@kernel
def ingest(
    base: Any,
    position: Any,
    end: Any,
    state: Any,
    interfaces: Any,
    frames: Any,
    shards: Any,
    filled: Any,
    capacity: Any,
    origin: Any,
    tally: Any,
) -> Any:
    """Walk and decode the records between two offsets; segments go to the array of their shard.

    Stops where the walk must (`state.status`) or when an array could overflow (status WALK_MORE).

    Args:
        base: Address of offset 0.
        position: First offset.
        end: Offset after the last byte.
        state: WALK_STATE record.
        interfaces: INTERFACE array.
        frames: Scratch array of BLOCK FRAMEs.
        shards: Addresses of SHARDS segment arrays and, last, of a scratch array of BLOCK SEGMENTs.
        filled: Segments in each, continued.
        capacity: Segments that each holds.
        origin: Sensor << 48; the packet number of the walk is added.
        tally: TALLY record, continued.
    """
    while True:
        for s in range(SHARDS):
            if filled[s] + BLOCK > capacity:
                state["status"] = WALK_MORE
                return
        number = i64(state["packets"])
        n = walk(base, position, end, state, interfaces, frames)
        block = i64(shards[SHARDS])
        n = _decode_block(base, frames, 0, n, number + 1, origin, block, tally)
        _split(block, n, shards, filled, i64(0))
        position = i64(state["next"])
        if state["status"] != WALK_MORE:
            return


@kernel
def ingest_lanes(
    base: Any,
    lanes: Any,
    end: Any,
    state: Any,
    interfaces: Any,
    frames: Any,
    shards: Any,
    filled: Any,
    capacity: Any,
    origin: Any,
    tallies: Any,
) -> Any:
    """Walk several stretches in lock step and decode them: what `ingest` does, faster for large packets.

    Args:
        base: Address of offset 0.
        lanes: LANE array of the stretches.
        end: Offset after the last byte.
        state: WALK_STATE record, for counters.
        interfaces: INTERFACE array.
        frames: Scratch array of BLOCK FRAMEs.
        shards: For each lane, one after the other, addresses of SHARDS segment arrays and of a scratch array of BLOCK
            SEGMENTs.
        filled: For each lane, one after the other, segments in each array.
        capacity: Segments that each array holds, enough for the longest stretch.
        origin: Sensor << 48; packets are counted in each lane from 1.
        tallies: TALLY array, one for each lane.
    """
    room = len(frames) // len(lanes)
    while walk_lanes(base, lanes, end, state, interfaces, frames) > 0:
        for lane in range(len(lanes)):
            tally = tallies[lane]
            block = i64(shards[lane * (SHARDS + 1) + SHARDS])
            n = i64(lanes[lane]["count"])
            n = _decode_block(base, frames, lane * room, n, i64(tally["packets"]) + 1, origin, block, tally)
            _split(block, n, shards, filled, i64(lane))


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
        s = i64(segment_at(source).shard) >> SHARD_SHIFT
        copy_segment(source, shards[s] + np.uint64(filled[s] * S_SEGMENT))
        filled[s] += 1

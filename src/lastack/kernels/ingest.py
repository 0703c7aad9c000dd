"""From bytes of a capture to segments, split by shard: walk, decode and scatter in cache-sized blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, kernel, load_le64, store_u64
from lastack.kernels.decode import decode_frame
from lastack.kernels.decode_words import i64, u64
from lastack.kernels.layout import S_SEGMENT, segment_at
from lastack.kernels.walk import walk
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
        ("segments", "i8"),
        ("drops", "i8", 16),    # by Drop
        ("encaps", "i8", 16),   # segments by Encap
        ("links", "i8", MAX_LINK),
        ("first_ns", "i8"),     # earliest and latest time, meaningful with packets > 0
        ("last_ns", "i8"),
        ("backwards", "i8"),    # packets earlier than the one before
        ("previous_ns", "i8"),
    ]
)  # fmt: skip


@helper
def copy_segment(source: Any, target: Any) -> Any:
    """Copy one SEGMENT."""
    for offset in range(0, S_SEGMENT, 8):
        store_u64(target + np.uint64(offset), load_le64(source + np.uint64(offset)))


@helper
def _note_time(tally: Any, ts_ns: Any) -> Any:
    if tally["packets"] == 0:
        tally["first_ns"] = ts_ns
        tally["last_ns"] = ts_ns
    else:
        if ts_ns < tally["first_ns"]:
            tally["first_ns"] = ts_ns
        if ts_ns > tally["last_ns"]:
            tally["last_ns"] = ts_ns
        if ts_ns < tally["previous_ns"]:
            tally["backwards"] = tally["backwards"] + 1
    tally["previous_ns"] = ts_ns


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
        shards: Addresses of SHARDS segment arrays and, last, of one scratch SEGMENT.
        filled: Segments in each, continued.
        capacity: Segments that each holds.
        origin: Sensor << 48; the packet number of the walk is added.
        tally: TALLY record, continued.
    """
    spare = shards[SHARDS]
    scratch = segment_at(spare)
    while True:
        for s in range(SHARDS):
            if filled[s] + BLOCK > capacity:
                state["status"] = WALK_MORE
                return
        number = i64(state["packets"])
        n = walk(base, position, end, state, interfaces, frames)
        for j in range(n):
            f = frames[j]
            _note_time(tally, f["ts_ns"])
            tally["packets"] = tally["packets"] + 1
            link = i64(f["link"])
            tally["links"][min(link, MAX_LINK - 1)] += 1
            scratch.meta = np.uint8(0)
            reason = i64(
                decode_frame(u64(base + f["offset"]), i64(f["caplen"]), i64(f["wirelen"]), link, scratch)
            )
            tally["drops"][reason] += 1
            if reason == 0:
                tally["segments"] = tally["segments"] + 1
                tally["encaps"][i64(scratch.encap)] += 1
            elif reason != _ICMP_ERROR or (i64(scratch.meta) & META_ICMP) == 0:
                continue
            scratch.ts_ns = f["ts_ns"]
            scratch.origin = np.uint64(origin + number + j + 1)
            s = i64(scratch.shard) >> SHARD_SHIFT
            copy_segment(spare, shards[s] + np.uint64(filled[s] * S_SEGMENT))
            filled[s] += 1
        position = i64(state["next"])
        if state["status"] != WALK_MORE:
            return


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

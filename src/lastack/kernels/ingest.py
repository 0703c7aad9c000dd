"""From bytes of a capture to segments, split by shard: each record is walked, decoded and placed in one go.

So the processor fetches the next records while it decodes this one. Walking a block of records first, then decoding
it, then copying the segments to their shards cost nearly twice as much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import kernel
from lastack.kernels.decode import UNDECIDED, decode_common
from lastack.kernels.decode_rare import decode_rare
from lastack.kernels.decode_words import hot, i64, part, segment_at, u64
from lastack.kernels.sharding import PLACES, copy_into_shard, into_shard, places_at, room_in
from lastack.kernels.walk import packet_at, rules_of
from lastack.kernels.walk_lanes import packet_in_lane
from lastack.kernels.walk_state import WALK_MORE
from lastack.model.batch import META_ICMP
from lastack.model.enums import Drop

MAX_LINK = 512
_S_PLACES = PLACES.itemsize
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


@part
def _odd_frame(
    result: int,
    address: int,
    caplen: int,
    wirelen: int,
    link: int,
    ts_ns: int,
    origin: int,
    places: int,
    tally: Any,
) -> None:
    """Count a frame of which `decode_common` made no segment, after asking the general decoder if it is undecided."""
    reason = -result
    if result == UNDECIDED:
        spare = u64(places_at(places).spare)
        seg = segment_at(spare)
        seg.meta = 0
        reason = i64(decode_rare(address, caplen, wirelen, link, seg))
        if reason == 0 or (reason == _ICMP_ERROR and (i64(seg.meta) & META_ICMP) != 0):
            seg.ts_ns = ts_ns
            seg.origin = origin
            copy_into_shard(places, spare)
            if reason == 0:
                tally["encaps"][i64(seg.encap)] += 1
    tally["drops"][reason] += 1


@hot
def _take(base: Any, frame: Any, origin: Any, places: Any, tally: Any) -> None:
    """Count a frame and place its segment, if it holds one."""
    ts_ns = i64(frame["ts_ns"])
    if tally["packets"] == 0:
        tally["first_ns"] = tally["last_ns"] = tally["head_ns"] = tally["previous_ns"] = ts_ns
    tally["packets"] += 1
    if ts_ns < tally["previous_ns"]:
        tally["backwards"] += 1
        tally["first_ns"] = min(tally["first_ns"], ts_ns)
    if ts_ns > tally["last_ns"]:
        tally["last_ns"] = ts_ns
    tally["previous_ns"] = ts_ns
    link = i64(frame["link"])
    tally["links"][min(link, MAX_LINK - 1)] += 1
    address = u64(base + u64(frame["offset"]))
    caplen = i64(frame["caplen"])
    wirelen = i64(frame["wirelen"])
    encap = decode_common(address, caplen, wirelen, link, into_shard, (places, ts_ns, origin))
    if encap >= 0:
        tally["drops"][0] += 1
        tally["encaps"][encap] += 1
    else:
        _odd_frame(encap, address, caplen, wirelen, link, ts_ns, origin, places, tally)


@kernel
def ingest(
    base: Any,
    position: Any,
    end: Any,
    state: Any,
    interfaces: Any,
    frames: Any,
    places: Any,
    origin: Any,
    tally: Any,
) -> Any:
    """Walk and decode the records between two offsets; segments go to the array of their shard.

    Stops where the walk must (`state.status`) or when an array could overflow (status WALK_MORE).

    Args:
        base: Address of offset 0, uint64.
        position: First offset.
        end: Offset after the last byte.
        state: WALK_STATE record.
        interfaces: INTERFACE array.
        frames: Scratch array of one FRAME.
        places: PLACES array of one, moved on.
        origin: Sensor << 48; the packet number of the walk is added.
        tally: TALLY record, continued.
    """
    rules = rules_of(state, interfaces)
    there = np.uint64(places.ctypes.data)
    frame = frames[0]
    number = i64(state["packets"])
    n = 0
    status = WALK_MORE
    while status == WALK_MORE:
        room = i64(room_in(there))
        if room == 0:
            break
        while room > 0:
            room -= 1
            after = packet_at(base, position, end, state, rules, frame)
            if after < 0:
                status = -after
                break
            position = after
            n += 1
            _take(base, frame, u64(origin + number + n), there, tally)
    if status == WALK_MORE or rules.is_pcap:
        state["next"] = position
    state["status"] = status
    state["packets"] += np.uint64(n)
    if n > 0:
        state["last_ns"] = tally["previous_ns"]


@kernel
def ingest_lanes(
    base: Any,
    lanes: Any,
    end: Any,
    state: Any,
    interfaces: Any,
    frames: Any,
    places: Any,
    origin: Any,
    tallies: Any,
) -> Any:
    """Walk several stretches in lock step and decode them: what `ingest` does, faster for large packets.

    Args:
        base: Address of offset 0, uint64.
        lanes: LANE array of the stretches.
        end: Offset after the last byte.
        state: WALK_STATE record, for counters.
        interfaces: INTERFACE array.
        frames: Scratch array of one FRAME.
        places: PLACES array, one for each lane, with room for all segments of the longest stretch, be it in the
            second arrays; moved on.
        origin: Sensor << 48; packets are counted in each lane from 1.
        tallies: TALLY array, one for each lane.
    """
    rules = rules_of(state, interfaces)
    frame = frames[0]
    there = np.uint64(places.ctypes.data)
    taken = room = 1
    total = 0
    while taken != 0 and room != 0:
        room = i64(room_in(there))
        for k in range(1, len(lanes)):
            room = min(room, i64(room_in(there + u64(k * _S_PLACES))))
        rounds = room
        while rounds > 0 and taken != 0:
            rounds -= 1
            taken = 0
            for k in range(len(lanes)):
                if packet_in_lane(base, lanes[k], end, state, rules, frame):
                    tally = tallies[k]
                    number = i64(tally["packets"]) + 1
                    _take(base, frame, u64(origin + number), there + u64(k * _S_PLACES), tally)
                    taken += 1
            total += taken
    state["packets"] += np.uint64(total)

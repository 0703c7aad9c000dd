"""The walk over several stretches of one window in lock step.

The place of a record is known only from the one before it, so a single walk over full-size packets waits for memory
at each record. Walks that take turns wait together. The stretches come from `Capture.cuts`: guesses, so a lane is
good only if it ends exactly where the next one begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, prefetch
from lastack.kernels.walk_pcap import pcap_record
from lastack.kernels.walk_pcapng import pcapng_packet
from lastack.kernels.walk_state import KIND_PCAP, WALK_END, WALK_MORE

#: One stretch.
LANE = np.dtype(
    [
        ("position", "i8"),  # offset of the next record, moved by the walk
        ("stop", "i8"),      # offset where the next lane begins: no record is walked that begins there or later
        ("count", "u4"),     # answer: frames filled by this call
        ("status", "u4"),    # WALK_MORE while there is more to walk, else why it stopped
    ]
)  # fmt: skip

_LINE = np.uint64(64)


@helper
def walk_lanes(base: Any, lanes: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Walk up to `len(frames) // len(lanes)` records of each lane, in turns, and return how many in all.

    The frames of lane k begin at frame k * (len(frames) // len(lanes)). A lane whose status is not WALK_MORE is left
    alone; WALK_END means that its stretch is done (or its next record is not whole). `state` gets counters, not
    `next` and `status`.

    Args:
        base: Address of the buffer, uint64; offsets count from it.
        lanes: LANE array.
        end: Offset after the last byte of the buffer that may be read.
        state: WALK_STATE record.
        interfaces: INTERFACE array of the current section.
        frames: FRAME array.
    """
    big_endian = state["big_endian"] != 0
    header = np.int64(state["header"])
    swap = state["swap_lengths"]
    limit = np.int64(state["limit"])
    tick_ns = np.int64(state["tick_ns"])
    link = state["link"]
    is_pcap = state["kind"] == KIND_PCAP
    plain = np.int64(state["interfaces"])
    if big_endian:
        plain = np.int64(0)
    table = np.uint64(interfaces.ctypes.data)
    room = len(frames) // len(lanes)
    total = 0
    for k in range(len(lanes)):
        lanes[k]["count"] = 0
    for turn in range(room):
        active = 0
        for k in range(len(lanes)):
            lane = lanes[k]
            if lane["status"] != WALK_MORE:
                continue
            position = lane["position"]
            if position >= lane["stop"]:
                lane["status"] = WALK_END
                continue
            frame = frames[k * room + turn]
            if is_pcap:
                after = pcap_record(base, position, end, big_endian, header, swap, limit, tick_ns, frame)
                frame["link"] = link
                frame["iface"] = 0
            else:
                after = pcapng_packet(base, position, end, limit, plain, state, table, frame)
            if after < 0:
                lane["status"] = -after
                if not is_pcap:
                    lane["position"] = state["next"]
                continue
            # By the turn of this lane the next header, and the packet's own after it, will have come.
            ahead = base + np.uint64(after)
            prefetch(ahead)
            prefetch(ahead + _LINE)
            lane["position"] = after
            lane["count"] = turn + 1
            active += 1
        total += active
        if active == 0:
            break
    state["packets"] += np.uint64(total)
    return total

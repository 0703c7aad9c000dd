"""The walk over several stretches of one window in lock step.

The place of a record is known only from the one before it, so a single walk over full-size packets waits for memory
at each record. Walks that take turns wait together. The stretches come from `Capture.cuts`: guesses, so a lane is
good only if it ends exactly where the next one begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import prefetch_read
from lastack.kernels.decode_words import hot
from lastack.kernels.walk import packet_at
from lastack.kernels.walk_state import WALK_END, WALK_MORE

#: One stretch.
LANE = np.dtype(
    [
        ("position", "i8"),  # offset of the next record, moved by the walk
        ("stop", "i8"),      # offset where the next lane begins: no record is walked that begins there or later
        ("status", "i8"),    # WALK_MORE while there is more to walk, else why it stopped
    ]
)  # fmt: skip

_LINE = np.uint64(64)


@hot
def packet_in_lane(base: Any, lane: Any, end: Any, state: Any, rules: Any, frame: Any) -> Any:
    """Fill a frame from the next packet of a lane and return whether there was one.

    When there is none, the status of the lane tells why; WALK_END means that its stretch is done (or its next record
    is not whole). `state` gets counters, not `next` and `status`.

    Args:
        base: Address of the buffer, uint64; offsets count from it.
        lane: LANE record.
        end: Offset after the last byte of the buffer that may be read.
        state: WALK_STATE record.
        rules: `Rules` of the state.
        frame: FRAME record.
    """
    if lane["status"] != WALK_MORE:
        return False
    position = lane["position"]
    if position >= lane["stop"]:
        lane["status"] = WALK_END
        return False
    after = packet_at(base, position, end, state, rules, frame)
    if after < 0:
        lane["status"] = -after
        if not rules.is_pcap:
            lane["position"] = state["next"]
        return False
    # By the turn of this lane the next header, and the packet's own after it, will have come.
    ahead = base + np.uint64(after)
    prefetch_read(ahead)
    prefetch_read(ahead + _LINE)
    lane["position"] = after
    return True

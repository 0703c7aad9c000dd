"""What stands in the table now, and whose time is up: for runs that do not end.

A session is in one of four classes, and each has a time of silence after which it leaves: over (both FINs or an
effective RST), half-open (never established), half-closed (one FIN), established. Times are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.kernels import evict
from lastack.kernels.layout import BOTH_FINS, FIN_SEEN, HANDSHAKE, NEVER
from lastack.model.units import NS_PER_S
from lastack.tracking.shard import Shard


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Silence after which a session leaves the table, ns.

    Attributes:
        established_ns: Established or mid-stream, no FIN.
        half_open_ns: The handshake is not complete.
        half_closed_ns: One end has sent its FIN.
        closed_ns: Over; what comes until then still belongs to it.
    """

    established_ns: int = 24 * 3600 * NS_PER_S
    half_open_ns: int = 180 * NS_PER_S
    half_closed_ns: int = 24 * 3600 * NS_PER_S
    closed_ns: int = 30 * NS_PER_S


@dataclass(slots=True)
class Standing:
    """How many sessions of each class are in the table.

    Attributes:
        established: Established or mid-stream, no FIN.
        half_open: Not established.
        half_closed: One FIN.
        closed: Over, and waiting for late packets.
        handshakes: Of all of them, those whose handshake was seen.
        half_closed_ages_s: Seconds since the first FIN of each half-closed session.
    """

    established: int = 0
    half_open: int = 0
    half_closed: int = 0
    closed: int = 0
    handshakes: int = 0
    half_closed_ages_s: list[Any] = field(default_factory=list)

    @property
    def live(self) -> int:
        """All that can go on."""
        return self.established + self.half_open + self.half_closed


@dataclass(frozen=True, slots=True)
class Step:
    """The clock was set while sessions stood.

    Attributes:
        before_ns: Time just before.
        by_ns: How far it went, negative for back.
    """

    before_ns: int
    by_ns: int


def sweep(shard: Shard, now_ns: int, timeouts: Timeouts, standing: Standing, steps: list[Step]) -> int:
    """Put the sessions whose time is up on the finished list, count the others, and return how many left.

    Args:
        shard: Of the table.
        now_ns: Time now, on the clock of the packets.
        timeouts: When a session leaves.
        standing: Added to.
        steps: Settings of the clock within the longest timeout.
    """
    indices, classes, ends, _, _ = shard.standing()
    sessions = shard.records()
    hot, key = sessions["hot"], sessions["key"]
    bits = hot["bits"][indices]
    fins = bits & BOTH_FINS
    half = (classes == evict.IDLE) & (fins != 0) & (fins != BOTH_FINS)
    limits = np.full(len(indices), timeouts.established_ns, np.int64)
    limits[classes == evict.OVER] = timeouts.closed_ns
    limits[classes == evict.EMBRYONIC] = timeouts.half_open_ns
    limits[half] = timeouts.half_closed_ns
    idle = silence(ends, now_ns, steps)
    due = idle > limits
    kept = ~due
    standing.closed += int(((classes == evict.OVER) & kept).sum())
    standing.half_open += int(((classes == evict.EMBRYONIC) & kept).sum())
    standing.half_closed += int((half & kept).sum())
    standing.established += int(((classes == evict.IDLE) & ~half & kept).sum())
    standing.handshakes += int((((bits & HANDSHAKE) != 0) & kept).sum())
    waiting = indices[half & kept]
    if len(waiting):
        places = key["close"][waiting]
        first = shard.closings(int(places.max()))["fin1_ns"][places]
        first = first[first != NEVER]
        standing.half_closed_ages_s.append(np.maximum(silence(first, now_ns, steps), 0) / NS_PER_S)
    leaving = np.ascontiguousarray(indices[due])
    if len(leaving):
        evict.leave(shard.address, leaving.ctypes.data, len(leaving))
    return len(leaving)


def silence(ends: Any, now_ns: int, steps: list[Step]) -> Any:
    """Return how long ago some times were, in spite of clocks that were set; rather too short than too long."""
    idle = now_ns - ends
    for step in steps:
        if step.by_ns > 0:
            idle = np.where(ends <= step.before_ns, idle - step.by_ns, idle)
        else:
            idle = np.where(ends > now_ns, idle - step.by_ns, idle)
    return idle


def open_sessions(shards: list[Shard], most: int) -> tuple[Any, Any]:
    """Return shards and record indices of sessions that are not over: half-closed ones first, then the oldest.

    Args:
        shards: The table.
        most: How many at most.
    """
    owners, places, ranks, starts = [], [], [], []
    for number, shard in enumerate(shards):
        indices, classes, _, begun, _ = shard.standing()
        alive = classes != evict.OVER
        fins = shard.records()["hot"]["bits"][indices] & (3 * FIN_SEEN)
        owners.append(np.full(int(alive.sum()), number, np.uint8))
        places.append(indices[alive])
        ranks.append((fins == 0)[alive])
        starts.append(begun[alive])
    owner, place = np.concatenate(owners), np.concatenate(places)
    order = np.lexsort((np.concatenate(starts), np.concatenate(ranks)))[:most]
    return owner[order], place[order]

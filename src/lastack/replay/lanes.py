"""What-if's view of a box's timers: one number for each stage of a session and setting, nothing else.

A *stage* is the timer phase that the session record keeps silences by, with two differences: sessions that were met in
mid-stream count as established (the box has known them all along), and a RST that could not be verified is a stage of
its own. A *lane* is a stage together with who closed first, for boxes whose timers depend on it (IPVS).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

#: Longer than any capture: no limit.
FOREVER_NS = 2**62


class Stage(IntEnum):
    """What a box that follows both ends would call the session; the first eight are those of the session record."""

    syn_sent = 0
    syn_recv = 1
    established = 2
    fin1 = 3
    fin1_acked = 4
    fin2 = 5
    closed = 6
    rst = 7
    rst_unverified = 8


STAGES = len(Stage)
#: Lanes: the stages with the client as first closer (or nobody), then with the server; and the shortest of them all.
SHORTEST = 2 * STAGES
LANES = SHORTEST + 1


class Meets(IntEnum):
    """What becomes of a packet that meets no entry: refused, let pass (or taken up as a new entry), or it depends."""

    refused = 0
    passed = 1
    open = 2


@dataclass(frozen=True, slots=True)
class Meeting:
    """What becomes of packets that meet no entry, by class; a SYN always makes one."""

    syn_ack: int = Meets.refused
    other: int = Meets.refused
    fin: int = Meets.refused
    rst: int = Meets.refused

    @property
    def open(self) -> bool:
        """Whether any class depends on what the record does not keep, or an entry may come again."""
        return {self.syn_ack, self.other, self.fin, self.rst} not in ({0}, {1})


@dataclass(frozen=True, slots=True)
class Lanes:
    """Timers of J settings, ordered so that none is shorter in a later setting.

    Attributes:
        ns: Length in nanoseconds, shape (LANES, J); `FOREVER_NS` for no limit.
        absolute: Whether the lane's timer counts time since it was started, shape (LANES,); else silence.
        timer: Number of the timer that runs in each lane, shape (LANES,): an absolute clock goes on through lanes
            that have the same one.
        meeting: What becomes of packets that meet no entry.
        renews: Whether a repeated SYN, and a repeated SYN-ACK, restart the timers of `syn_sent` and of `syn_recv`
            where these are idle, shape (2, 2).
        plain_opening: Whether an opening follows from this: each of its stages has one timer, and both ends one clock.
        conntrack: The box is Linux conntrack: a shorter timer may run while something is not acknowledged, which is in
            the lanes from `STAGES` on (who closed first makes no difference to it).
        other: For conntrack, `ns` under the other reading.
    """

    ns: NDArray[np.int64]
    absolute: NDArray[np.bool_]
    timer: NDArray[np.int64]
    meeting: Meeting = Meeting()
    renews: NDArray[np.bool_] = field(default_factory=lambda: np.ones((2, 2), np.bool_))
    plain_opening: bool = True
    conntrack: bool = False
    other: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        assert self.ns.shape[0] == LANES, "one row for each lane"
        assert bool((self.ns[:, 1:] >= self.ns[:, :-1]).all()), "settings are ordered from short to long"

    @property
    def settings(self) -> int:
        """Number of settings."""
        return int(self.ns.shape[1])

    def only(self, setting: int) -> Lanes:
        """Return one of the settings alone."""
        here = slice(setting, setting + 1)
        return replace(self, ns=self.ns[:, here], other=None if self.other is None else self.other[:, here])


@dataclass(frozen=True, slots=True)
class Readings:
    """The kindest and the harshest reading of timers that the session record cannot tell apart.

    Attributes:
        kind: Breaks a session only if every reading does.
        harsh: Breaks a session if any reading does; the same object as `kind` when all is exact.
        why: Reasons for the difference, in words; empty when there is none.
    """

    kind: Lanes
    harsh: Lanes
    why: tuple[str, ...] = field(default=())

    @property
    def exact(self) -> bool:
        """Whether both readings are one."""
        return self.kind is self.harsh

    @property
    def settings(self) -> int:
        """Number of settings."""
        return self.kind.settings


def lanes_of(
    seconds: dict[Stage, float], absolute: frozenset[Stage] = frozenset(), meeting: Meeting | None = None
) -> Lanes:
    """Return one setting in which each stage has a timer of its own, for tests and examples.

    Args:
        seconds: Length for each stage; a stage that is not named has no limit.
        absolute: Stages whose timer counts from their start.
        meeting: See `Lanes`.
    """
    ns = np.full((LANES, 1), FOREVER_NS, np.int64)
    for stage, length in seconds.items():
        ns[[stage, STAGES + stage], 0] = round(length * 1e9)
    ns[SHORTEST] = ns[:SHORTEST].min(axis=0)
    flags = np.array([Stage(lane % STAGES) in absolute for lane in range(LANES)])
    return Lanes(ns, flags, np.arange(LANES, dtype=np.int64) % STAGES, meeting or Meeting())

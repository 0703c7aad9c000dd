"""What a replay adds up to: packets by answer, entries over time, sessions that broke."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.firewall.table import Box
from lastack.kernels.expiry_layout import NEVER_NS
from lastack.replay.outcome import Harm, Why


@dataclass(frozen=True, slots=True)
class Crowd:
    """Entries over time.

    Attributes:
        made: Entries made.
        mean: Entries held, averaged over the time from the first packet to the last.
        p99: So many or fewer were held for 99 % of that time.
        peak: Most held at a time.
        peak_ns: When that was reached first.
        held_s: Mean life of an entry in seconds (those open at the end count up to there).
    """

    made: int = 0
    mean: float = 0.0
    p99: int = 0
    peak: int = 0
    peak_ns: int = 0
    held_s: float = 0.0


def crowd_of(made_ns: Any, gone_ns: Any, first_ns: int, last_ns: int) -> Crowd:
    """Return the entries over time, given when each was made and when it ended.

    Args:
        made_ns: i8 array.
        gone_ns: i8 array; later than `last_ns` for those that were still there.
        first_ns: First packet.
        last_ns: Last packet.
    """
    if not len(made_ns):
        return Crowd()
    ended = np.minimum(gone_ns, last_ns)
    # one that goes and one that comes at the same instant are never there together
    times = np.concatenate([ended[gone_ns <= last_ns], made_ns])
    steps = np.concatenate(
        [np.full(len(times) - len(made_ns), -1, np.int64), np.ones(len(made_ns), np.int64)]
    )
    order = np.argsort(times, kind="stable")
    times, held = times[order], np.cumsum(steps[order])
    peak = int(np.argmax(held))
    span = last_ns - first_ns
    if span <= 0:
        return Crowd(len(made_ns), float(held[peak]), int(held[peak]), int(held[peak]), int(times[peak]), 0.0)
    lasting = np.diff(np.append(times, last_ns)).astype(np.float64)
    by_size = np.argsort(held, kind="stable")
    # before the first entry there was none
    covered = float(times[0] - first_ns) + np.cumsum(lasting[by_size])
    at = min(int(np.searchsorted(covered, 0.99 * span)), len(held) - 1)
    total = float((ended - made_ns).sum())
    return Crowd(
        len(made_ns),
        total / span,
        int(held[by_size[at]]),
        int(held[peak]),
        int(times[peak]),
        total / len(made_ns) / 1e9,
    )


@dataclass(frozen=True, slots=True)
class Broken:
    """A session that a packet was refused of for want of an entry.

    Attributes:
        row: Its session record (some fields).
        harm: What that did.
        broken_ns: When the entry ended whose lack was met.
        timer: Name of the timer that ended it; empty if none did.
        state: The entry's last phase.
        why: Why it ended.
        app: Application whose table it ran on, empty for the others.
        first_refused: Number of the first packet refused.
        first_refused_ns: Its time.
        refused: Packets refused, of the client and of the server.
        lost_bytes: Their payload.
        uncertain: That packet may have come before the box noticed that the entry was due.
    """

    row: dict[str, Any]
    harm: Harm
    broken_ns: int
    timer: str
    state: str
    why: Why
    app: str
    first_refused: int
    first_refused_ns: int
    refused: tuple[int, int]
    lost_bytes: tuple[int, int]
    uncertain: bool


@dataclass(slots=True)
class Replayed:
    """What one box would have done to the packets of a run.

    Attributes:
        box: The box.
        sessions: Sessions, strays included.
        answers: Packets by (action, reason).
        crowd: Entries over time.
        ends: Entries by why they ended.
        broken: Sessions that broke, in order of their first packets.
        broken_keys: (shard, record) of each, to compare boxes.
        harms: How many by harm.
    """

    box: Box
    sessions: int = 0
    answers: Counter[tuple[int, int]] = field(default_factory=Counter)
    crowd: Crowd = field(default_factory=Crowd)
    ends: Counter[Why] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    broken_keys: set[tuple[int, int]] = field(default_factory=set)
    harms: Counter[Harm] = field(default_factory=Counter)

    @property
    def lost_bytes(self) -> int:
        """Payload refused of sessions that broke."""
        return sum(sum(one.lost_bytes) for one in self.broken)


class LifeSpans:
    """When entries were made and ended, kept as two columns."""

    def __init__(self) -> None:
        self._made: list[Any] = []
        self._gone: list[Any] = []
        self.ends: Counter[Why] = Counter()

    def add(self, lives: Any) -> None:
        """Take LIFE records."""
        if not len(lives):
            return
        self._made.append(lives["made_ns"].copy())
        self._gone.append(lives["gone_ns"].copy())
        for why, count in zip(*np.unique(lives["why"], return_counts=True), strict=True):
            self.ends[Why(int(why))] += int(count)

    def add_moments(self, made_ns: Any, gone_ns: Any) -> None:
        """Take moments at which entries were made and at which they ended; these need not be pairs in order."""
        self._made.append(made_ns)
        self._gone.append(gone_ns)

    def __len__(self) -> int:
        return sum(map(len, self._made))

    def join(self, other: LifeSpans) -> None:
        """Take those of another."""
        self._made += other._made
        self._gone += other._gone
        self.ends.update(other.ends)

    def crowd(self, first_ns: int, last_ns: int) -> Crowd:
        """Return the entries over time."""
        if not self._made:
            return Crowd()
        gone = np.concatenate(self._gone)
        gone[gone >= NEVER_NS] = np.iinfo(np.int64).max
        return crowd_of(np.concatenate(self._made), gone, first_ns, last_ns)

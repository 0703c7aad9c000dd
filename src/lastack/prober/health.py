"""Whether a target counts as up: results go in, changes of state come out; no clock, no socket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lastack.prober.outcome import Opening, Result


class State(StrEnum):
    """What a monitor says of a target."""

    unknown = "unknown"
    up = "up"
    down = "down"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a target is asked and when its state changes.

    Attributes:
        interval_ns: Between two probes.
        up_interval_ns: The same while up; 0 is `interval_ns` (F5's up-interval).
        timeout_ns: For one probe.
        up_after: Good answers in a row that make it up.
        down_after: Bad ones in a row that make it down.
    """

    interval_ns: int = 5_000_000_000
    up_interval_ns: int = 0
    timeout_ns: int = 2_000_000_000
    up_after: int = 1
    down_after: int = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A target changed its state.

    Attributes:
        before: The old state.
        after: The new one.
        result: What decided it.
        lasted_ns: How long the old state lasted.
    """

    before: State
    after: State
    result: Result
    lasted_ns: int


class Health:
    """The state of one target.

    Args:
        schedule: When it changes.
        now_ns: Any clock that only goes forward.
    """

    def __init__(self, schedule: Schedule, now_ns: int) -> None:
        self.schedule = schedule
        self.state = State.unknown
        self.since_ns = now_ns
        self.last: Result | None = None
        self.results: dict[Opening, int] = {}
        self._good = 0
        self._bad = 0

    def offer(self, result: Result, now_ns: int) -> Change | None:
        """Take a result; return the change that it brings."""
        self.last = result
        self.results[result.opening] = self.results.get(result.opening, 0) + 1
        if result.opening is Opening.error:
            return None  # this host could not ask: that says nothing of the target
        if result.up:
            self._good, self._bad = self._good + 1, 0
            wanted = State.up if self._good >= self.schedule.up_after else self.state
        else:
            self._good, self._bad = 0, self._bad + 1
            wanted = State.down if self._bad >= self.schedule.down_after else self.state
        if wanted is self.state:
            return None
        change = Change(self.state, wanted, result, now_ns - self.since_ns)
        self.state, self.since_ns = wanted, now_ns
        return change

    def pause_ns(self) -> int:
        """Return the time from one probe to the next."""
        schedule = self.schedule
        if self.state is State.up and schedule.up_interval_ns:
            return schedule.up_interval_ns
        return schedule.interval_ns

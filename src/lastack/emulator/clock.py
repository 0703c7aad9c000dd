"""The time of a box: real time, or faster, so that a test of long timers is short."""

from __future__ import annotations

import time


class BoxClock:
    """A clock that runs `speed` times as fast as real time.

    Args:
        speed: 1 is real time; 10 makes a timer of 30 s pass in 3 s.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._wall = time.time_ns()
        self._start = time.monotonic_ns()

    @staticmethod
    def real_ns() -> int:
        """Return the monotonic clock, in ns."""
        return time.monotonic_ns()

    def now(self) -> int:
        """Return the box's time: ns since the epoch, never backwards."""
        elapsed = time.monotonic_ns() - self._start
        return self._wall + (elapsed if self.speed == 1.0 else int(elapsed * self.speed))

    def real_until(self, when_ns: int) -> int:
        """Return the real ns until a time of the box; negative if it has passed."""
        return int((when_ns - self.now()) / self.speed)

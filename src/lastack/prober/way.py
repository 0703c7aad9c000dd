"""What the runner asks of each way in which trials' connections come to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lastack.prober.trial import Side, Trial


class Way(Protocol):
    """Does the near end's part of trials."""

    near: Side

    @property
    def live(self) -> int:
        """Trials at present."""

    @property
    def waiting(self) -> int:
        """Trials that are not begun yet."""

    def start(self, trials: Sequence[Trial]) -> None:
        """Begin trials, at the rate that was asked for."""

    def stop(self, number: int, why: str) -> int:
        """Give a trial up; return how long its talk came through, in ns."""

    def close(self) -> None:
        """Give up all of it."""

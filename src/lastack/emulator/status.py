"""A running box at a glance: what it holds and what went through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """A running box, for a live view.

    Attributes:
        seconds: Since it started, real time.
        live: Entries.
        phases: Entries by phase.
        packets: Segments by (action, reason).
        counts: Everything else.
        ended: Entries that ended, by why.
    """

    seconds: float
    live: int
    phases: dict[str, int] = field(default_factory=dict)
    packets: dict[tuple[str, str], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)


def status_json(status: Status) -> dict[str, Any]:
    """Return a status as JSON values."""
    return {
        "seconds": round(status.seconds, 3),
        "live": status.live,
        "phases": status.phases,
        "packets": [
            {"action": action, "reason": reason, "packets": n}
            for (action, reason), n in sorted(status.packets.items())
        ],
        "counts": status.counts,
        "ended": status.ended,
    }

"""What a run can be told, what it tells while it works, and what it says at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lastack.app.room import address_bytes, memory_bytes
from lastack.model.errors import InputError
from lastack.query.zones import Classes
from lastack.store.manifest import ClockDifference
from lastack.tracking.ledger import Ledger

#: Memory of one session, all in, that the default limit counts with.
BYTES_PER_SESSION = 320
_SHARE_OF_MEMORY = 0.5
_SHARE_OF_ADDRESSES = 0.35
_MOST_SESSIONS = 64_000_000
_SMALL_WINDOW = 1 << 20


def default_max_sessions() -> int:
    """Return how many sessions fit in half of the memory that this process may use (at most 64 million)."""
    most = min(int(memory_bytes() * _SHARE_OF_MEMORY) // BYTES_PER_SESSION, _MOST_SESSIONS)
    if address_bytes() is None:
        return most
    # Imported before the room is measured: kernels take some of it.
    from lastack.tracking.shard import address_bytes_per_session

    # A table reserves room for all its sessions at once; what reads, decodes and writes needs some too.
    room = int((address_bytes() or 0) * _SHARE_OF_ADDRESSES)
    return max(1, min(most, room // address_bytes_per_session()))


def default_window_bytes() -> int | None:
    """Return how many bytes of a capture to take at a time where address space is limited; None to adapt elsewhere.

    Arrays for the worst case are reserved for each of them, a hundred times as much as a window has.
    """
    return None if address_bytes() is None else _SMALL_WINDOW


def default_threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How to track.

    Attributes:
        threads: Threads to use; None means as many as there are processors.
        max_sessions: Most sessions held at a time; None means what half of the memory holds.
        idle_timeout_ns: Sessions that are silent for longer end; None means that no timer cuts a session.
        follow: Read on when a capture grows.
        window_bytes: Bytes of a capture taken at a time; None adapts. Results do not depend on it.
        classes: Zones and applications that sessions of captures get; None leaves them unclassified.
        reclassify: Give them to the sessions of datasets too, instead of those that they were kept with.
        clock_offsets: By how many ns the clock of a sensor is ahead, by name of its captures or a pattern of names; it
            is taken off their times. Tasks only.
        duplicates_ns: Packets that captures of two sensors have within so many ns are counted once; None to count
            each. Tasks only.
    """

    threads: int | None = None
    max_sessions: int | None = None
    idle_timeout_ns: int | None = None
    follow: bool = False
    window_bytes: int | None = None
    classes: Classes | None = None
    reclassify: bool = False
    clock_offsets: Mapping[str, int] = field(default_factory=dict)
    duplicates_ns: int | None = None

    @property
    def dataset_classes(self) -> Classes | None:
        """Zones and applications that sessions of datasets get, None to leave them as they are."""
        return self.classes if self.reclassify else None


@dataclass(frozen=True, slots=True)
class ProgressState:
    """How far a run is.

    Attributes:
        bytes_read: Bytes of the captures, as stored.
        bytes_total: All bytes, None when that is not known (pipes, growing files).
        packets: Packets read.
        sessions_live: Sessions held.
        rows: Rows written.
        seconds: Since the start.
    """

    bytes_read: int
    bytes_total: int | None
    packets: int
    sessions_live: int
    rows: int
    seconds: float


class Progress(Protocol):
    """What is called while a run works, from the thread that started it."""

    def __call__(self, state: ProgressState) -> None:
        """Take note of how far the run is."""


@dataclass(slots=True)
class RunSummary:
    """What a run has read and written.

    Attributes:
        ledger: Where every packet went.
        problems: Flaws of the captures, each `capture: place: what; remedy`.
        sessions: Rows written, strays included.
        evicted: Of them, those that left because the table was full.
        captures: Names in the order of their first packets.
        seconds: Time taken.
        lost: Entries of gap profiles and hole lists that did not fit, by kind.
        duplicates: Packets left out because another sensor had them, as was asked for.
        clocks: How the clocks of sensors differ.
        clock_offsets: What was taken off the times of captures, in ns.
    """

    ledger: Ledger = field(default_factory=Ledger)
    problems: list[Any] = field(default_factory=list)
    sessions: int = 0
    evicted: int = 0
    captures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    clocks: list[ClockDifference] = field(default_factory=list)
    clock_offsets: dict[str, int] = field(default_factory=dict)

    def tell_flaws(self, capture: str, flaws: Sequence[object], count: int, orphans: int) -> None:
        """Take note of what was wrong with a capture.

        Args:
            capture: Its name.
            flaws: Those of which the words were kept.
            count: How many there were.
            orphans: Packets of interfaces that it does not describe.
        """
        self.ledger.add_orphans(orphans)
        self.problems.extend(f"{capture}: {flaw}" for flaw in flaws)
        if more := count - len(flaws):
            self.problems.append(f"{capture}: {more} more flaws of the kinds above")

    def refuse_unreadable(self) -> None:
        """Tell flawed captures with some packets from those without any.

        Raises:
            InputError: There are flaws and no packets.
        """
        if self.problems and not self.ledger.packets:
            raise InputError(f"nothing could be read: {self.problems[0]}")

    @property
    def first_ns(self) -> int | None:
        """Earliest packet time."""
        return self.ledger.first_ns

    @property
    def last_ns(self) -> int | None:
        """Latest packet time."""
        return self.ledger.last_ns

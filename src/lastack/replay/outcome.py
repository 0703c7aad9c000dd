"""What a box does to packets and sessions: the words and records that the evaluator, its twin and what-if share.

Open loop: packets are those of the capture. A session that the box would have broken goes on in the capture, and each
of its later packets meets the box as it then is; what the ends would have done instead is not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Action(IntEnum):
    """What the box does with a segment; `reset`: it is not forwarded and its sender gets a RST."""

    forward = 0
    drop = 1
    reset = 2


class Reason(IntEnum):
    """Why: the box's view of a segment when it came."""

    entry = 0  #: it belongs to an entry
    made = 1  #: a SYN that made an entry
    picked_up = 2  #: made an entry in mid-stream
    adopted = 3  #: its session was under way when the capture began; the entry is taken as known
    restarted = 4  #: a SYN that ended the entry of an earlier session and made one
    passed = 5  #: there is no entry, and the box lets it pass
    no_entry = 6  #: there is no entry
    table_full = 7  #: there is no entry, and no room for one
    rst_unbelieved = 8  #: a RST that the box does not believe
    invalid = 9  #: out of the window, or in no state that knows it (Linux: INVALID)


REFUSED_FOR_ENTRY = (Reason.no_entry, Reason.table_full)


class Why(IntEnum):
    """Why an entry ended."""

    open = 0  #: it was still there at the end
    expired = 1
    restarted = 2  #: a SYN began a new session on its tuple
    evicted = 3  #: the table was full
    deleted = 4  #: a RST ended it at once (Linux, before any reply)


class Harm(StrEnum):
    """What refusing packets did to a session: the worst that applies.

    `data_lost`: payload was refused. `close_lost`: a FIN or RST was refused before the close had passed, so an end
    hangs in CLOSE_WAIT or FIN_WAIT_2. `open_failed`: the handshake was not complete. `late_ack`: nothing of these.
    """

    none = "none"
    late_ack = "late_ack"
    close_lost = "close_lost"
    data_lost = "data_lost"
    open_failed = "open_failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happened to one packet.

    Attributes:
        number: Of the packet, from 1.
        session: Place of its session, in order of first packets.
        action: What the box did with it.
        reason: Why.
        phase: Phase (or `Ct`) code of the entry after it; 0 without entry.
    """

    number: int
    session: int
    action: Action
    reason: Reason
    phase: int


@dataclass(frozen=True, slots=True)
class Life:
    """One entry of a session.

    Attributes:
        made_ns: When it was made.
        gone_ns: When it ended, None if it was still there at the end.
        why: Why it ended.
        phase: Its last phase (or `Ct`) code.
        timer: Place of the timer that ran last.
        table: Place of its table in the box.
    """

    made_ns: int
    gone_ns: int | None
    why: Why
    phase: int
    timer: int
    table: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What happened to one session.

    Attributes:
        session: Its place, in order of first packets.
        lives: Its entries, in order.
        broken_ns: When the entry ended whose lack the first refused packet met (the packet's time when there never
            was one, for the table was full); None when no packet was refused for want of an entry.
        phase: Phase code in which that entry ended, 0 without.
        timer: Place of the timer that ended it, -1 without.
        first_refused: Number of the first packet refused for want of an entry, 0 without.
        first_refused_ns: Its time, 0 without.
        refused: Packets refused for want of an entry, by end (the end with the smaller address and port first).
        lost_bytes: Their payload, a RST's not counted.
        lost_fins: FINs among them.
        lost_rsts: RSTs among them.
        denied: Packets refused for another reason (RST not believed, invalid).
        uncertain: A packet came while the entry may or may not have been there (resolution of the timer).
        harm: What it did.
    """

    session: int
    lives: tuple[Life, ...]
    broken_ns: int | None = None
    phase: int = 0
    timer: int = -1
    first_refused: int = 0
    first_refused_ns: int = 0
    refused: tuple[int, int] = (0, 0)
    lost_bytes: tuple[int, int] = (0, 0)
    lost_fins: tuple[int, int] = (0, 0)
    lost_rsts: tuple[int, int] = (0, 0)
    denied: int = 0
    uncertain: bool = False
    harm: Harm = Harm.none

    @property
    def broken(self) -> bool:
        """Whether a packet was refused for want of an entry."""
        return self.first_refused != 0


def harm_of(*, refused: int, opened: bool, over: bool, lost_bytes: int, lost_closes: int) -> Harm:
    """Return the worst that refusing packets did.

    Args:
        refused: Packets refused for want of an entry.
        opened: Whether the box had seen the handshake completed (or took the session as known).
        over: Whether both FINs, or a RST that it believed, had passed.
        lost_bytes: Payload refused.
        lost_closes: FINs and RSTs refused.
    """
    if refused == 0:
        return Harm.none
    if not opened:
        return Harm.open_failed
    if lost_bytes:
        return Harm.data_lost
    return Harm.close_lost if lost_closes and not over else Harm.late_ack

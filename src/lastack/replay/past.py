"""What is known of each session's past: the columns of the record that a box's timers are judged by, as arrays.

Strays (packets of no session) are left out: no box keeps an entry for them that outlives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Silences:
    """Silences of all sessions, in order of session and time: left-to-right maxima in each timer phase.

    Attributes:
        row: Session that each belongs to.
        stage: Stage it fell in.
        start_ns: The packet before it.
        gap_ns: Its length.
        sent: What client and server had sent before it: payload of each, packets of each; shape (silences, 4).
        unacked: Something sent was not acknowledged.
        stalled: The last packet said a window of 0, or several only repeated.
        fin_again: A FIN had come more than once.
        next: `PacketKind` of the packet that ended it.
    """

    row: NDArray[np.int64]
    stage: NDArray[np.uint8]
    start_ns: NDArray[np.int64]
    gap_ns: NDArray[np.int64]
    sent: NDArray[np.int64]
    unacked: NDArray[np.bool_]
    stalled: NDArray[np.bool_]
    fin_again: NDArray[np.bool_]
    next: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Marks:
    """Silences of half-closes by the time since the first FIN, and what had been sent before (as `Silences`)."""

    row: NDArray[np.int64]
    since_ns: NDArray[np.int64]
    age_ns: NDArray[np.int64]
    sent: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Retries:
    """What came again while sessions opened, in order of session and time.

    Attributes:
        row: Session that each belongs to.
        ns: When.
        kind: 0 for a SYN, 1 for a SYN-ACK.
        answered: Whether a SYN-ACK had come before.
    """

    row: NDArray[np.int64]
    ns: NDArray[np.int64]
    kind: NDArray[np.int64]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Past:
    """Sessions as timers see them; times are nanoseconds since the epoch, `NEVER` for what did not happen.

    Attributes:
        session_id: Their ids.
        start: First packet.
        end: Last packet.
        enters: Moment at which each stage began, shape (sessions, STAGES); a stage that began only in between and
            whose moment is not kept (the first FIN's ACK) stays `NEVER`.
        last: Stage of the last packet.
        closer: 0 when the client closed first or nobody did, 1 for the server.
        by_responder: 1 when the end closed first that a box takes for the responder: of a session that it meets in
            the middle, who did not send the first packet.
        unacked: At the end, payload was not acknowledged.
        sent: All that was sent: payload of client and server, packets of both; shape (sessions, 4).
        met: The box has known the session before the capture did (mid-stream, SYN-ACK only).
        repeated_syn: A SYN came more than once: it makes an entry again.
        tried: A SYN or SYN-ACK came more than once, and `retries` has the moments of all of them.
        only_syns: Nothing but SYNs came, so that every packet makes the entry that it may need.
        repeated_answer: A SYN-ACK came more than once.
        repeated_fin: A FIN came more than once.
        unseen_open: It was established, but not by a handshake that was seen whole: when is not known.
        odd: A box may read its packets differently: a RST of doubtful worth or in one packet with a FIN, ports that
            were in use, a simultaneous open, a start in the middle with a RST; or it had more silences than its gap
            profile holds.
        silences: Gap profiles.
        marks: Silences of half-closes.
        retries: What came again in openings that are `tried`.
    """

    session_id: NDArray[np.uint64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    enters: NDArray[np.int64]
    last: NDArray[np.uint8]
    closer: NDArray[np.uint8]
    by_responder: NDArray[np.uint8]
    unacked: NDArray[np.bool_]
    sent: NDArray[np.int64]
    met: NDArray[np.bool_]
    repeated_syn: NDArray[np.bool_]
    tried: NDArray[np.bool_]
    only_syns: NDArray[np.bool_]
    repeated_answer: NDArray[np.bool_]
    repeated_fin: NDArray[np.bool_]
    unseen_open: NDArray[np.bool_]
    odd: NDArray[np.bool_]
    silences: Silences
    marks: Marks
    retries: Retries

    def __len__(self) -> int:
        return len(self.start)

    @property
    def again(self) -> NDArray[np.bool_]:
        """Sessions in which SYNs or FINs came again at a moment that the record does not tell."""
        return (self.repeated_syn & ~self.tried) | self.repeated_fin

    def take(self, which: NDArray[np.bool_]) -> Past:
        """Return some of the sessions, in their order."""
        if which.all():
            return self
        place = np.cumsum(which) - 1
        columns: dict[str, Any] = {}
        for name in Past.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Silences | Marks | Retries):
                rows = which[value.row]
                parts = {part: getattr(value, part)[rows] for part in type(value).__dataclass_fields__}
                columns[name] = type(value)(**{**parts, "row": place[parts["row"]]})
            else:
                columns[name] = value[which]
        return Past(**columns)

"""A moment at which a box might forget a session: the form that all kinds of them have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.past import Past

#: Silences shorter than this are not in the gap profile (docs/reference/definitions.md, section 5) ...
FLOOR_NS = 1_000_000_000
#: ... nor those shorter than this while established.
OPEN_FLOOR_NS = 5_000_000_000
#: No `PacketKind`.
UNTOLD = 255


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates in order of session and time.

    Attributes:
        row: Session.
        lane: Lane whose timer would end it.
        base_ns: What the timer counts from.
        length_ns: Longest timer that would still end it.
        lost_ns: First packet that is lost, as far as it is known: the one that the silence or the run ends with.
        sent: What was sent before, shape (candidates, 4) as in `Silences`; -1 where it depends on the timer.
        returns: The packet that follows is a SYN, or one that makes an entry again: nothing is lost.
        next: `PacketKind` of that packet, `UNTOLD` where the record does not say.
    """

    row: NDArray[np.int64]
    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]
    length_ns: NDArray[np.int64]
    lost_ns: NDArray[np.int64]
    sent: NDArray[np.int64]
    returns: NDArray[np.bool_]
    next: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.row)

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Return some of them, by a mask or by their places."""
        if which.dtype == np.bool_ and which.all():
            return self
        return Candidates(*(getattr(self, name)[which] for name in Candidates.__dataclass_fields__))


def untold(n: int) -> NDArray[np.uint8]:
    """Return `UNTOLD` for n candidates."""
    return np.full(n, UNTOLD, np.uint8)


def of_silences(
    past: Past, which: NDArray[np.int64], lane: NDArray[np.int64], *, returns: bool
) -> Candidates:
    """Return some of the silences as candidates."""
    s = past.silences
    start, gap = s.start_ns[which], s.gap_ns[which]
    back = np.full(len(which), returns, np.bool_)
    return Candidates(s.row[which], lane, start, gap, start + gap, s.sent[which], back, s.next[which])


def joined(parts: list[Candidates]) -> Candidates:
    """Return candidates of several kinds in order of session and time."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in Candidates.__dataclass_fields__
    ]
    # By what the timer counts from; on one clock the earlier end is the first that it can lose.
    order = np.lexsort((columns[4], columns[2], columns[0]))
    return Candidates(*(column[order] for column in columns))

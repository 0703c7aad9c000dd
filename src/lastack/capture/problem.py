"""What was wrong with a capture that could still be read: a structured note, kept in bounded number."""

from __future__ import annotations

from dataclasses import dataclass, field

_KEPT = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw of a capture.

    Attributes:
        offset: Byte of the (decompressed) stream where it begins, if it has a place.
        packet: Number of the packet there, counted from 1, if it is known.
        what: What was found.
        remedy: What was done about it, or what the reader can do.
    """

    offset: int | None
    packet: int | None
    what: str
    remedy: str

    def __str__(self) -> str:
        place = []
        if self.packet is not None:
            place.append(f"packet {self.packet}")
        if self.offset is not None:
            place.append(f"byte {self.offset}")
        return f"{', '.join(place)}: {self.what}; {self.remedy}" if place else f"{self.what}; {self.remedy}"


@dataclass(slots=True)
class Problems:
    """The flaws of one capture: the first 200 are kept, all are counted."""

    kept: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, offset: int | None, packet: int | None, what: str, remedy: str) -> None:
        """Note a flaw."""
        self.count += 1
        if len(self.kept) < _KEPT:
            self.kept.append(Problem(offset, packet, what, remedy))

"""The ledger: every packet of the input is in exactly one of its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lastack.model.enums import Drop, Encap


@dataclass(slots=True)
class Ledger:
    """Where the packets of an input went.

    Attributes:
        packets: Packets read.
        segments: Packets of session rows, strays not included.
        stray: Packets of stray rows.
        drops: Packets without a session, by reason.
        encaps: TCP segments by what carried them.
        links: Packets by link type number.
        backwards: Packets earlier than the one before them in their capture.
        first_ns: Earliest time, None without packets.
        last_ns: Latest time.
        duplicates: Packets left out because another sensor had them, when that was asked for.
    """

    packets: int = 0
    segments: int = 0
    stray: int = 0
    drops: dict[Drop, int] = field(default_factory=dict)
    encaps: dict[Encap, int] = field(default_factory=dict)
    links: dict[int, int] = field(default_factory=dict)
    backwards: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    duplicates: int = 0

    @property
    def residual(self) -> int:
        """Packets that are in no line; 0 unless there is a bug."""
        return self.packets - self.segments - self.stray - sum(self.drops.values()) - self.duplicates

    def balances(self) -> bool:
        """Return whether packets in = packets of sessions + strays + drops (+ duplicates)."""
        return self.residual == 0

    def add_tally(self, tally: Any) -> None:
        """Add what one `ingest` counted (a TALLY record); its segments stay to be placed."""
        if tally["packets"] == 0:
            return
        self.packets += int(tally["packets"])
        self.backwards += int(tally["backwards"])
        first, last = int(tally["first_ns"]), int(tally["last_ns"])
        self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
        self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        for number in tally["drops"].nonzero()[0]:
            if (drop := Drop(number)) != Drop.none:
                self.drops[drop] = self.drops.get(drop, 0) + int(tally["drops"][drop])
        for number in tally["encaps"].nonzero()[0]:
            encap = Encap(number)
            self.encaps[encap] = self.encaps.get(encap, 0) + int(tally["encaps"][encap])
        for link in tally["links"].nonzero()[0]:
            self.links[int(link)] = self.links.get(int(link), 0) + int(tally["links"][link])

    def add_orphans(self, count: int) -> None:
        """Add packets of pcapng interfaces that the capture does not describe."""
        if count:
            self.packets += count
            self.drops[Drop.unknown_link] = self.drops.get(Drop.unknown_link, 0) + count

"""The ledger: every packet of the input is in exactly one of its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
        """Add what `ingest` counted, a TALLY record or an array of them; its segments stay to be placed."""
        tallies = np.atleast_1d(tally)
        counted = tallies["packets"] != 0
        if not counted.any():
            return
        self.packets += int(tallies["packets"].sum())
        self.backwards += int(tallies["backwards"].sum())
        first, last = int(tallies["first_ns"][counted].min()), int(tallies["last_ns"][counted].max())
        self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
        self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        for drop, n in _counts(tallies["drops"]):
            if drop != Drop.none:
                self.drops[Drop(drop)] = self.drops.get(Drop(drop), 0) + n
        for encap, n in _counts(tallies["encaps"]):
            self.encaps[Encap(encap)] = self.encaps.get(Encap(encap), 0) + n
        for link, n in _counts(tallies["links"]):
            self.links[link] = self.links.get(link, 0) + n

    def add_orphans(self, count: int) -> None:
        """Add packets of pcapng interfaces that the capture does not describe."""
        if count:
            self.packets += count
            self.drops[Drop.unknown_link] = self.drops.get(Drop.unknown_link, 0) + count


def _counts(rows: Any) -> list[tuple[int, int]]:
    """Return the number of each column with a sum, and its sum."""
    sums = rows.sum(axis=0)
    return [(int(place), int(sums[place])) for place in sums.nonzero()[0]]

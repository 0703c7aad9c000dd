"""The kinds of capture: how many packets and sessions, how long the packets, who closes."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shape:
    """One generated capture.

    Attributes:
        key: The letter it is asked for by.
        about: What it stands for, in a line of a table.
        packets: Packets of ordinary sessions.
        sessions: Ordinary sessions, all active from the beginning to the end of the capture.
        snaplen: Bytes kept of each frame.
        attackers: Sources of a SYN flood that never acknowledge; their packets come on top.
        answered: Share of the flood's SYNs that get a SYN-ACK.
        handshakes_only: Every session is a handshake of this many packets and stays live; 0 for ordinary ones.
        short: Every session opens, talks and ends in this many packets (7 or more); 0 for ordinary ones. Of both kinds
            a thousand are under way at a time.
    """

    key: str
    about: str
    packets: int
    sessions: int
    snaplen: int = 96
    attackers: int = 0
    answered: float = 0.3
    handshakes_only: int = 0
    short: int = 0

    @property
    def all_packets(self) -> int:
        """Packets of the capture."""
        return self.packets + self.attackers + int(self.attackers * self.answered)


SHAPES = {
    shape.key: shape
    for shape in (
        Shape("s", "headers, 50 k sessions", 4_000_000, 50_000),
        Shape("a", "headers, 1 M sessions, all active", 20_000_000, 1_000_000),
        Shape("b", "full-size packets, 100 k sessions", 5_000_000, 100_000, snaplen=65_535),
        Shape("c", "SYN flood, 5.7 M half-open sessions", 2_564_000, 128_200, attackers=5_720_000),
    )
}
#: All live at the end: what a session costs in memory, established and half-open.
LIVE = {
    "live-established": Shape("le", "10 M established sessions", 30_000_000, 10_000_000, handshakes_only=3),
    "live-half-open": Shape("lh", "10 M half-open sessions", 20_000_000, 10_000_000, handshakes_only=2),
}
#: More sessions than the table may hold.
LIMITED = {
    "stay half-open": Shape("lim-h", "stay half-open", 40_000_000, 20_000_000, handshakes_only=2),
    "open, talk and end": Shape("lim-s", "open, talk and end", 140_000_000, 20_000_000, short=7),
}


def smaller(shape: Shape, factor: int) -> Shape:
    """Return the same shape with `factor` times fewer packets and sessions."""
    return replace(
        shape,
        packets=shape.packets // factor,
        sessions=shape.sessions // factor,
        attackers=shape.attackers // factor,
    )

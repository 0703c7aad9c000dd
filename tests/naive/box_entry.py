"""What the slow box remembers of a session, and how it reads a segment."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from tests.naive.packets import ACK, FIN, RST, SYN, Packet
from tests.naive.serial import MOD, distance

from lastack.firewall.table import Refresh, Seg

Key = tuple[tuple[str, int], tuple[str, int]]


@dataclass(slots=True)
class End:
    """What a box knows of one end; None is unknown."""

    isn: int | None = None
    top: int | None = None  # highest sequence number sent, plus one
    ack: int | None = None  # highest acknowledgment sent
    window: int = 0  # last one sent, as sent
    scale: int | None = None
    scaled: bool = False  # whether the last window is to be scaled
    fin: int | None = None  # position of the first FIN
    sent_syn: bool = False
    sent_synack: bool = False
    syn_acked: bool = False  # after the SYNs of both


@dataclass(slots=True)
class Entry:
    """One entry of the table."""

    table: int
    opener: int  # end 0 is the one with the smaller address and port
    made_ns: int
    session: int
    phase: int = 0
    clock: int = -1  # place of the timer that runs
    since: list[int] = field(default_factory=list)  # by end
    latest_ns: int = 0
    ends: tuple[End, End] = field(default_factory=lambda: (End(), End()))
    closer: int | None = None  # who sent the first FIN
    in_phase: int = 0  # number of the change that brought it to its phase, over all entries
    new_syn: Packet | None = (
        None  # a SYN that does not belong to what is known; the entry waits for its answer
    )
    linux: Any = None

    def fins(self) -> int:
        """Return how many ends sent a FIN."""
        return sum(end.fin is not None for end in self.ends)

    def fins_acked(self) -> int:
        """Return how many of the two FINs are acknowledged."""
        n = 0
        for me, other in (self.ends, self.ends[::-1]):
            if me.fin is not None and other.ack is not None:
                n += distance(other.ack, (me.fin + 1) % MOD) >= 0
        return n


def number(address: str) -> int:
    """Return an address as the 128-bit number that selectors use."""
    ip = ip_address(address)
    return int(ip) if ip.version == 6 else int(ip) | 0xFFFF00000000


def seg_of(packet: Packet) -> Seg:
    """Return the class of a segment that meets no entry."""
    flags = packet.flags
    if flags & RST:
        return Seg.rst
    if flags & SYN and not flags & FIN:
        return Seg.syn_ack if flags & ACK else Seg.syn
    if flags & FIN:
        return Seg.fin
    return Seg.data if packet.payload else Seg.ack


def refresh_bits(packet: Packet) -> int:
    """Return what a segment is to a refresh mask."""
    kind = seg_of(packet)
    if kind is Seg.rst:
        return int(Refresh.rst)
    if kind is Seg.syn:
        return int(Refresh.syn)
    if kind is Seg.syn_ack:
        return int(Refresh.syn_ack)
    bits = (int(Refresh.fin) if kind is Seg.fin else 0) | (int(Refresh.data) if packet.payload else 0)
    return bits or int(Refresh.ack)


def fin_position(packet: Packet) -> int:
    """Return the sequence number of a segment's FIN."""
    return (packet.seq + bool(packet.flags & SYN) + packet.payload) % MOD

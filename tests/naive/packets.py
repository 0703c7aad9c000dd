"""What the reader hands to the tracker: a TCP segment, or the quotation of one in an ICMP error."""

from __future__ import annotations

from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128


@dataclass(frozen=True, slots=True)
class Icmp:
    """Type and code of the ICMP error that quotes the segment; `v6` tells ICMPv6 from ICMP."""

    v6: bool
    type: int
    code: int


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP segment as it was on the wire; addresses are text, `payload` is the length in bytes."""

    ts_ns: int
    src: str
    sport: int
    dst: str
    dport: int
    seq: int
    ack: int
    flags: int
    payload: int = 0
    window: int = 65535
    wscale: int | None = None
    ttl: int = 64
    ipid: int | None = None
    encap: str = "none"
    vlan: int = 0
    number: int = 0
    icmp: Icmp | None = None


@dataclass(slots=True)
class Capture:
    """What one file holds: segments in order, and how many frames were dropped for each reason."""

    packets: list[Packet] = field(default_factory=list)
    drops: dict[str, int] = field(default_factory=dict)
    frames: int = 0

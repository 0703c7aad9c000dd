"""TCP segments of raw trials: their bytes, and back; no options but the MSS of a SYN."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lastack.wire.build import checksum

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_HEAD = struct.Struct(">HHIIBBHHH")
_MSS = struct.pack(">BBH", 2, 4, 1400)
_TCP = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment.

    Attributes:
        sport: Source port.
        dport: Destination port.
        seq: Sequence number.
        ack: Acknowledgment number.
        flags: The flag byte.
        window: As it stands in the header.
        payload: Its data.
    """

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int = 65_535
    payload: bytes = b""


def pack(segment: Segment, source: bytes, destination: bytes) -> bytes:
    """Return a segment's bytes.

    Args:
        segment: The segment.
        source: Packed source address; empty leaves the checksum to the kernel (IPv6 raw sockets).
        destination: Packed destination address.
    """
    options = _MSS if segment.flags & SYN else b""
    head = _HEAD.pack(
        segment.sport, segment.dport, segment.seq & 0xFFFFFFFF, segment.ack & 0xFFFFFFFF,
        (20 + len(options)) // 4 << 4, segment.flags, segment.window, 0, 0,
    )  # fmt: skip
    data = head + options + segment.payload
    if not source:
        return data
    pseudo = source + destination + struct.pack(">HH", _TCP, len(data))
    return data[:16] + struct.pack(">H", checksum(pseudo + data)) + data[18:]


def unpack(data: bytes) -> Segment | None:
    """Return the segment in the bytes of a TCP header and what follows, None if they are too few."""
    if len(data) < _HEAD.size:
        return None
    sport, dport, seq, ack, words, flags, window, _, _ = _HEAD.unpack_from(data)
    head = (words >> 4) * 4
    if head < _HEAD.size or head > len(data):
        return None
    return Segment(sport, dport, seq, ack, flags, window, data[head:])

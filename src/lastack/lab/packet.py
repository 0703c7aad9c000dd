"""Reads just enough of a frame to wait for it and to count it; on purpose not the product's decoder."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment as its header tells it."""

    src: str
    sport: int
    dst: str
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    payload: int


def segment_of(frame: bytes, ethernet: bool = True) -> Segment | None:
    """Return the TCP segment of an Ethernet (or raw IP) frame, or None: no tunnels, no extension headers."""
    at = 0
    if ethernet:
        at = 14
        while frame[at - 2 : at] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        if frame[at - 2 : at] not in (b"\x08\x00", b"\x86\xdd"):
            return None
    if frame[at] >> 4 == 4:
        head = (frame[at] & 15) * 4
        total = struct.unpack_from(">H", frame, at + 2)[0]
        protocol, source, target = frame[at + 9], frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    else:
        head = 40
        total = head + struct.unpack_from(">H", frame, at + 4)[0]
        protocol, source, target = frame[at + 6], frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    if protocol != 6:
        return None
    tcp = at + head
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from(">HHIIBBH", frame, tcp)
    payload = total - head - (offset >> 4) * 4
    return Segment(
        str(ipaddress.ip_address(source)), sport, str(ipaddress.ip_address(target)), dport,
        seq, ack, flags, window, payload,
    )  # fmt: skip


def syn_packet(src: str, sport: int, dst: str, dport: int, seq: int) -> bytes:
    """Return a bare IPv4 SYN with correct checksums, for a raw socket with its own IP header."""
    addresses = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 5 << 4, SYN, 1024, 0, 0)
    total = checksum(addresses + struct.pack(">HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
    # the kernel fills in the length, the identification and the header checksum
    return struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 6, 0) + addresses + tcp


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)

"""The SYN of a half-open probe, and what its answers say; bytes only."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from hashlib import blake2s

_WORDS = struct.Struct(">HHIIBBHHHBBH")
_SIZE = 24  # bytes: a TCP header with the option MSS
SYN, RST, ACK = 2, 4, 16
WINDOW, MSS = 64240, 1460
TCP = 6


def position(key: bytes, address: bytes, port: int, source_port: int) -> int:
    """Return the sequence number of the SYN to a target: nobody else can guess it, and nothing has to be remembered."""
    digest = blake2s(
        address + port.to_bytes(2, "big") + source_port.to_bytes(2, "big"), digest_size=4, key=key
    )
    return int.from_bytes(digest.digest(), "big")


def syn(source: bytes, destination: bytes, source_port: int, port: int, sequence: int) -> bytes:
    """Return a SYN segment with its checksum (RFC 9293, 3.1).

    Args:
        source: Packed source address; empty leaves the checksum to the kernel (IPv6 raw sockets).
        destination: Packed destination address.
        source_port: Ours.
        port: The target's.
        sequence: Initial sequence number.
    """
    words = (source_port, port, sequence, 0, (_SIZE // 4) << 4, SYN, WINDOW)
    segment = _WORDS.pack(*words, 0, 0, 2, 4, MSS)
    if not source:
        return segment
    total = sum(struct.unpack(">12H", segment)) + TCP + _SIZE
    pairs = struct.unpack(f">{(len(source) + len(destination)) // 2}H", source + destination)
    total += sum(pairs)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return segment[:16] + struct.pack(">H", ~total & 0xFFFF) + segment[18:]


@dataclass(frozen=True, slots=True)
class Reply:
    """A segment that may answer a probe.

    Attributes:
        port: Port of its sender.
        refused: It is a RST; else a SYN-ACK.
        acknowledged: Its acknowledgment number.
    """

    port: int
    refused: bool
    acknowledged: int


def read_reply(data: bytes, source_port: int) -> Reply | None:
    """Return what a TCP segment says to a SYN of `source_port`, None if it is no answer."""
    if len(data) < 20:
        return None
    port, to, _, acknowledged, _, flags = struct.unpack_from(">HHIIBB", data)
    if to != source_port or not flags & ACK:
        return None
    if flags & RST:
        return Reply(port, True, acknowledged)
    return Reply(port, False, acknowledged) if flags & SYN else None


def tcp_of_ipv4(packet: bytes) -> bytes:
    """Return the TCP segment of an IPv4 packet as raw sockets hand it out; empty if it is cut."""
    return packet[(packet[0] & 15) * 4 :] if packet else b""


def pack_address(address: str) -> bytes:
    """Return the bytes of an address, 4 or 16."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)

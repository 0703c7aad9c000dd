"""Packets made from scratch with right lengths and checksums; `lastack.wire.wrap` puts them into frames.

A packet is its bytes and the layer they start with (`lastack.wire.layers`), so that what carries it can say so.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from lastack.model.batch import ACK, SYN
from lastack.wire import layers

DEFAULT_TTL = 64
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_CHECKSUM_AT = {_TCP: 16, _UDP: 6, _ICMP: 2, _ICMPV6: 2}


@dataclass(frozen=True, slots=True)
class Packet:
    """Bytes and the layer they start with."""

    layer: int
    data: bytes


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def tcp(
    sport: int,
    dport: int,
    *,
    seq: int = 0,
    ack: int = 0,
    flags: int = ACK,
    window: int = 65535,
    options: bytes = b"",
    payload: bytes = b"",
) -> Packet:
    """Return a TCP segment; its checksum is filled in by the IP header around it. Options are padded."""
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4
    header = struct.pack(
        ">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4, flags, window, 0, 0
    )
    return Packet(layers.TCP, header + options + payload)


def syn(sport: int, dport: int, *, seq: int = 0, wscale: int = 7, flags: int = SYN) -> Packet:
    """Return a SYN with the usual options: maximum segment size, and window scale."""
    options = struct.pack(">BBHBBBB", 2, 4, 1460, 1, 3, 3, wscale)
    return tcp(sport, dport, seq=seq, flags=flags, options=options)


def udp(sport: int, dport: int, payload: bytes) -> Packet:
    """Return a UDP datagram; its checksum is filled in by the IP header around it."""
    return Packet(layers.UDP, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload)


def icmp_error(quoted: bytes, *, kind: int = 3, code: int = 1, version: int = 4) -> Packet:
    """Return an ICMP error (ICMPv6 with version 6) that quotes the start of a packet."""
    layer = layers.ICMP if version == 4 else layers.ICMPV6
    return Packet(layer, struct.pack(">BBHI", kind, code, 0, 0) + quoted)


def _with_checksum(protocol: int, pseudo: bytes, data: bytes) -> bytes:
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(data) < at + 2:
        return data
    zeroed = data[:at] + b"\0\0" + data[at + 2 :]
    value = checksum(zeroed if protocol == _ICMP else pseudo + zeroed)
    if protocol == _UDP and value == 0:
        value = 0xFFFF  # 0 would mean "no checksum" (RFC 768)
    return data[:at] + struct.pack(">H", value) + data[at + 2 :]


def ipv4(
    source: str,
    destination: str,
    packet: Packet,
    *,
    ttl: int = DEFAULT_TTL,
    ipid: int = 0,
    options: bytes = b"",
    total: int | None = None,
) -> Packet:
    """Return an IPv4 packet around a payload; `total` overrides the length field, 0 as offload writes it."""
    protocol = packet.layer - layers.PROTOCOL
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    pseudo = ends + struct.pack(">BBH", 0, protocol, len(packet.data))
    data = _with_checksum(protocol, pseudo, packet.data)
    return Packet(layers.IPV4, _ipv4_header(ends, protocol, len(data), ttl, ipid, options, 0, total) + data)


def _ipv4_header(
    ends: bytes,
    protocol: int,
    size: int,
    ttl: int,
    ipid: int,
    options: bytes,
    fragment: int,
    total: int | None,
) -> bytes:
    options += bytes(-len(options) % 4)
    length = 20 + len(options)
    total = length + size if total is None else total
    fields = struct.pack(
        ">BBHHHBBH", 4 << 4 | length // 4, 0, total & 0xFFFF, ipid, fragment, ttl, protocol, 0
    )
    header = fields + ends + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def ipv4_fragments(packet: Packet, size: int) -> list[Packet]:
    """Return an IPv4 packet without options in fragments of so many bytes of payload, a multiple of 8."""
    header, payload = packet.data[:20], packet.data[20:]
    ipid, ttl, protocol = struct.unpack(">4xH2xBB", header[:10])
    made = []
    for at in range(0, len(payload), size):
        part = payload[at : at + size]
        more = 0x2000 if at + size < len(payload) else 0
        fresh = _ipv4_header(header[12:20], protocol, len(part), ttl, ipid, b"", more | at // 8, None)
        made.append(Packet(layers.IPV4, fresh + part))
    return made


def ipv6(
    source: str,
    destination: str,
    packet: Packet,
    *,
    hops: int = DEFAULT_TTL,
    extensions: tuple[tuple[int, bytes], ...] = (),
    length: int | None = None,
) -> Packet:
    """Return an IPv6 packet around a payload.

    Args:
        source: Address of the sender.
        destination: Address of the receiver.
        packet: What it carries.
        hops: Hop limit.
        extensions: Extension headers in order: own number and all bytes behind the first, which is filled in.
        length: Overrides the payload length field; 0 as a jumbogram has it.
    """
    protocol = packet.layer - layers.PROTOCOL
    ends = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    pseudo = ends + struct.pack(">II", len(packet.data), protocol)
    data = _with_checksum(protocol, pseudo, packet.data)
    following = protocol
    for number, body in reversed(extensions):
        data = bytes([following]) + body + data
        following = number
    size = len(data) if length is None else length
    header = struct.pack(">IHBB", 6 << 28, size & 0xFFFF, following, hops)
    return Packet(layers.IPV6, header + ends + data)


def hop_by_hop_jumbo(length: int) -> tuple[int, bytes]:
    """Return a hop-by-hop header with a jumbo payload option (RFC 2675), for `ipv6(extensions=…)`."""
    return 0, bytes([0, 0xC2, 4]) + struct.pack(">I", length)


def fragment_header(offset: int, *, more: bool, ident: int = 1) -> tuple[int, bytes]:
    """Return an IPv6 fragment header for `ipv6(extensions=…)`; the offset is in bytes, a multiple of 8."""
    return 44, struct.pack(">BHI", 0, offset | more, ident)

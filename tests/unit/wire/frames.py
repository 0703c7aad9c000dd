"""Every kind of frame that the decoder reads, built once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

from lastack.model.enums import Encap
from lastack.wire import layers
from lastack.wire.build import Packet, fragment_header, icmp_error, ipv4, ipv6, syn, tcp
from lastack.wire.linktypes import LINK_TYPES
from lastack.wire.wrap import WRAPPINGS, WRAPPINGS_OF_IPV6, frame

A4, B4 = "10.1.2.3", "10.1.2.4"
A6, B6 = "2001:db8::1", "2001:db8::2"
PAYLOAD = b"hello, world"
_OPTIONS = bytes([1, 1, 8, 10]) + bytes(8)


def packets() -> Iterator[tuple[str, Packet]]:
    """Yield IP packets that end in TCP, with their names."""
    data = tcp(40000, 443, seq=7, ack=9, flags=0x18, window=512, options=_OPTIONS, payload=PAYLOAD)
    opening = syn(443, 40000, seq=0xFFFFFFFF, flags=0x12)
    yield "v4", ipv4(A4, B4, data, ipid=4711, ttl=61)
    yield "v4 syn-ack", ipv4(B4, A4, opening, ttl=255)
    yield "v4 options", ipv4(A4, B4, data, options=b"\x94\x04\0\0")
    yield "v4 length 0", ipv4(A4, B4, data, total=0)
    yield "v6", ipv6(A6, B6, data, hops=3)
    yield "v6 syn-ack", ipv6(B6, A6, opening)
    yield "v6 extensions", ipv6(A6, B6, data, extensions=((0, b"\0" + bytes(6)), (60, b"\1" + bytes(14))))
    yield "v6 authentication", ipv6(A6, B6, data, extensions=((51, b"\4" + bytes(22)),))
    yield "v6 first fragment", ipv6(A6, B6, data, extensions=(fragment_header(0, more=True),))


def icmp_errors() -> Iterator[tuple[str, Packet]]:
    """Yield ICMP errors that quote 8 bytes of TCP."""
    lost = ipv4(A4, B4, syn(40000, 443, seq=77), ipid=5).data[:28]
    yield "icmp", ipv4("10.9.9.9", A4, icmp_error(lost, kind=3, code=3))
    yield "icmp time", ipv4("10.9.9.9", A4, icmp_error(lost, kind=11, code=0))
    lost = ipv6(A6, B6, syn(40000, 443, seq=77)).data[:48]
    yield "icmpv6", ipv6("2001:db8::9", A6, icmp_error(lost, kind=1, code=4, version=6))


def frames_by_link() -> Iterator[tuple[str, int, bytes]]:
    """Yield each packet in each link type that can carry it: name, link type, frame."""
    for row in LINK_TYPES:
        for name, packet in [*packets(), *icmp_errors()]:
            if row.layer in (layers.IPV4, layers.IPV6) and packet.layer != row.layer:
                continue
            yield f"{row.name} {row.number} {name}", row.number, frame(packet, row.number)


def frames_by_wrapping() -> Iterator[tuple[str, Encap, bytes]]:
    """Yield each packet in each wrapping, in Ethernet."""
    for name, packet in packets():
        for number, (encap, wrap) in enumerate(WRAPPINGS):
            yield f"{encap.name} {number} {name}", encap, frame(wrap(packet), 1)
        if packet.layer == layers.IPV6:
            for encap, wrap in WRAPPINGS_OF_IPV6:
                yield f"{encap.name} {name}", encap, frame(wrap(packet), 1)


def nested_frames() -> Iterator[tuple[str, bytes]]:
    """Yield a packet in each pair of wrappings that fit into one another, in Ethernet."""
    packet = dict(packets())["v6"]
    for first, (_, inner) in enumerate((*WRAPPINGS, *WRAPPINGS_OF_IPV6)):
        for second, (_, outer) in enumerate(WRAPPINGS):
            try:
                yield f"{first} in {second}", frame(outer(inner(packet)), 1)
            except ValueError:
                continue  # one cannot carry the other

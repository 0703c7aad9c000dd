"""Every kind of frame that the decoder reads, built once for all tests."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from lastack.model.enums import Encap
from lastack.wire import layers
from lastack.wire.build import Packet, fragment_header, icmp_error, ipv4, ipv4_fragments, ipv6, syn, tcp, udp
from lastack.wire.linktypes import LINK_TYPES
from lastack.wire.wrap import WRAPPINGS, WRAPPINGS_OF_IPV6, ethernet, frame, gtpu, mpls, ppp, vlan

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


def rare_frames() -> Iterator[tuple[str, bytes]]:
    """Yield headers that few frames have, each around the same packet, in Ethernet."""
    packet = dict(packets())["v4"]
    ip, inner = packet.data, ethernet(packet).data
    kind = struct.pack(">H", packet.layer)

    def ether(ethertype: int, data: bytes) -> bytes:
        return inner[:12] + struct.pack(">H", ethertype) + data

    def over_ip(layer: int, data: bytes) -> bytes:
        return frame(ipv4("192.0.2.1", "192.0.2.2", Packet(layer, data)), 1)

    def over_udp(port: int, data: bytes) -> bytes:
        return frame(ipv4("192.0.2.1", "192.0.2.2", udp(50001, port, data)), 1)

    yield "vn-tag", ether(layers.VNTAG, bytes(4) + kind + ip)
    yield "e-tag", ether(layers.ETAG, bytes(6) + kind + ip)
    yield "cisco metadata", ether(layers.CISCO_METADATA, b"\1\1\0\1\0\5" + kind + ip)
    yield "trill", ether(layers.TRILL, struct.pack(">HHH", 5, 1, 2) + inner)
    yield "trill with options", ether(layers.TRILL, struct.pack(">HHH", 1 << 6 | 5, 1, 2) + bytes(4) + inner)
    yield "backbone in a service tag", frame(vlan(Packet(layers.ITAG, bytes(4) + inner), 5, 0x88A8), 1)
    yield "nsh", ether(layers.NSH, struct.pack(">HBBI", 0x0FC2, 2, 3, 255) + inner)
    yield "nsh with metadata", ether(layers.NSH, struct.pack(">HBBI", 0x0FC6, 1, 1, 255) + bytes(16) + ip)
    yield "marvell tag", ether(layers.EDSA, b"\0\0\xc0\x0a\0\0" + kind + ip)
    yield "arista time of 64 bits", ether(layers.ARISTA, b"\0\1\1\x10" + bytes(8) + kind + ip)
    yield "arista time of 48 bits", ether(layers.ARISTA, b"\0\1\0\x20" + bytes(6) + kind + ip)
    yield "macsec, integrity only", ether(layers.MACSEC, b"\0\0" + bytes(4) + kind + ip + bytes(16))
    yield "macsec with channel", ether(layers.MACSEC, b"\x20\0" + bytes(12) + kind + ip + bytes(16))
    yield "jumbo llc", ether(layers.LLC_JUMBO, b"\xaa\xaa\x03\0\0\0" + kind + ip)
    snap = b"\xaa\xaa\x03\0\0\0" + kind + ip
    yield "802.3 with snap", ether(len(snap), snap)
    yield "802.3 with ip sap", ether(3 + len(ip), b"\x06\x06\x03" + ip)
    yield (
        "pptp",
        over_ip(layers.GRE, struct.pack(">HHHHI", 0x3001, 0x880B, len(ip) + 2, 1, 5) + ppp(packet).data),
    )
    yield "gre with checksum", over_ip(layers.GRE, b"\x80\0" + kind + bytes(4) + ip)
    yield "wccp 1", over_ip(layers.GRE, struct.pack(">HH", 0, layers.WCCP) + ip)
    yield "wccp 2", over_ip(layers.GRE, struct.pack(">HHI", 0, layers.WCCP, 0x01000000) + ip)
    yield "gre in udp", over_udp(layers.GRE_PORT, b"\0\0" + kind + ip)
    yield "mpls in udp", over_udp(layers.MPLS_PORT, mpls(packet).data)
    yield "mpls in ip", over_ip(layers.MPLS_IP, mpls(packet).data)
    yield "mpls without control word", frame(Packet(layers.MPLS, struct.pack(">I", 0x12345140) + inner), 1)
    yield "vxlan-gpe", over_udp(layers.VXLAN_GPE_PORT, struct.pack(">BHBI", 0x0C, 0, 1, 7 << 8) + ip)
    yield "etherip", over_ip(layers.ETHERIP, b"\x30\0" + inner)
    yield "ethernet in ip", over_ip(layers.ETHERNET_IP, inner)
    yield "gtp-u, no options", over_udp(layers.GTPU_PORT, struct.pack(">BBHI", 0x30, 0xFF, len(ip), 1) + ip)
    yield "gtp-u in vlan", frame(vlan(gtpu(packet)), 1)
    yield (
        "l2tp with offset",
        over_udp(layers.L2TP_PORT, struct.pack(">HHHH3x", 0x0202, 1, 1, 3) + ppp(packet, framed=True).data),
    )
    yield (
        "authentication header",
        over_ip(layers.AUTHENTICATION, struct.pack(">BBHII12x", 6, 4, 0, 1, 1) + ip[20:]),
    )
    yield "4 in 6", frame(ipv6("2001:db8::8", "2001:db8::9", Packet(layers.IPIP, ip)), 1)
    yield "first fragment", frame_of_first_fragment()


def frame_of_first_fragment() -> bytes:
    """Return an Ethernet frame with the first of two fragments."""
    whole = ipv4(A4, B4, tcp(40000, 443, seq=7, flags=0x18, payload=bytes(40)), ipid=9)
    return frame(ipv4_fragments(whole, 40)[0], 1)

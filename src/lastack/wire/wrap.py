"""Wrappings and frames around a built packet: one function for each encapsulation and link type that is read.

`WRAPPINGS` and `FRAMES` list them, so that tests go through all; adding a link type adds a line here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lastack.model.enums import Encap
from lastack.wire import layers
from lastack.wire.build import Packet, ipv4, ipv6, udp
from lastack.wire.linktypes import BY_NUMBER

_OUTER = ("192.0.2.1", "198.51.100.2")
_OUTER6 = ("2001:db8:ffff::1", "2001:db8:ffff::2")
_MACS = bytes.fromhex("020000000001") + bytes.fromhex("020000000002")
_PPP_NUMBERS = {layers.IPV4: 0x0021, layers.IPV6: 0x0057, layers.MPLS: 0x0281}
_NLPIDS = {layers.IPV4: 0xCC, layers.IPV6: 0x8E}


def _type(packet: Packet) -> bytes:
    """Return the Ethertype of a packet, which must have one."""
    layer = {layers.ETHERNET: layers.BRIDGED, layers.PPP: layers.PPP_TYPE}.get(packet.layer, packet.layer)
    if layer < layers.FIRST_ETHERTYPE:
        raise ValueError(f"layer {packet.layer:#x} has no Ethertype")
    return struct.pack(">H", layer)


def _only(packet: Packet, *allowed: int) -> None:
    if packet.layer not in allowed:
        raise ValueError(f"layer {packet.layer:#x} cannot be carried here")


def ethernet(packet: Packet) -> Packet:
    """Return an Ethernet frame without padding."""
    if packet.layer == layers.ETHERNET:
        return packet
    return Packet(layers.ETHERNET, _MACS + _type(packet) + packet.data)


def vlan(packet: Packet, vid: int = 10, tpid: int = 0x8100) -> Packet:
    """Return a packet behind a VLAN tag."""
    return Packet(tpid, struct.pack(">H", vid) + _type(packet) + packet.data)


def qinq(packet: Packet) -> Packet:
    """Return a packet behind two VLAN tags."""
    return vlan(vlan(packet, 20), 30, 0x88A8)


def mpls(packet: Packet, labels: tuple[int, ...] = (100, 200)) -> Packet:
    """Return an IP packet or an Ethernet frame (with a control word) behind a label stack."""
    _only(packet, layers.IPV4, layers.IPV6, layers.ETHERNET)
    stack = [label << 12 | 64 for label in labels]
    stack[-1] |= 0x100
    word = bytes(4) if packet.layer == layers.ETHERNET else b""
    return Packet(layers.MPLS, struct.pack(f">{len(stack)}I", *stack) + word + packet.data)


def ppp(packet: Packet, *, framed: bool = False, compressed: bool = False) -> Packet:
    """Return a packet behind a PPP protocol number."""
    _only(packet, *_PPP_NUMBERS)
    number = _PPP_NUMBERS[packet.layer]
    head = bytes([number]) if compressed and number < 256 else struct.pack(">H", number)
    return Packet(layers.PPP, (b"\xff\x03" if framed else b"") + head + packet.data)


def pppoe(packet: Packet) -> Packet:
    """Return a packet in a PPPoE session."""
    inner = ppp(packet).data
    return Packet(layers.PPPOE, struct.pack(">BBHH", 0x11, 0, 7, len(inner)) + inner)


def gre(packet: Packet, *, key: int | None = None, sequence: int | None = None) -> Packet:
    """Return a packet in GRE over IPv4."""
    flags = (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    fields = b"".join(struct.pack(">I", field) for field in (key, sequence) if field is not None)
    return _over_ip(layers.GRE, struct.pack(">H", flags) + _type(packet) + fields + packet.data)


def erspan(packet: Packet, version: int = 2) -> Packet:
    """Return a mirrored Ethernet frame in ERSPAN type I, II or III."""
    frame = ethernet(packet).data
    if version == 1:
        return _over_ip(layers.GRE, struct.pack(">HH", 0, layers.ERSPAN2) + frame)
    if version == 2:
        head = struct.pack(">HHIHHI", 0x1000, layers.ERSPAN2, 1, 1 << 12, 0, 0)
        return _over_ip(layers.GRE, head + frame)
    head = struct.pack(">HHIHHIHH", 0x1000, layers.ERSPAN3, 1, 2 << 12, 0, 0, 0, 1)
    return _over_ip(layers.GRE, head + bytes(8) + frame)


def vxlan(packet: Packet, port: int = layers.VXLAN_PORT) -> Packet:
    """Return an Ethernet frame in VXLAN."""
    return _over_udp(port, struct.pack(">II", 8 << 24, 42 << 8) + ethernet(packet).data)


def geneve(packet: Packet) -> Packet:
    """Return a packet in Geneve, with an option of 8 bytes."""
    return _over_udp(layers.GENEVE_PORT, b"\x02\0" + _type(packet) + bytes(12) + packet.data)


def gtpu(packet: Packet) -> Packet:
    """Return an IP packet in GTP-U, with a sequence number and an extension header."""
    _only(packet, layers.IPV4, layers.IPV6)
    head = struct.pack(">BBHI", 0x36, 0xFF, len(packet.data) + 8, 1)
    return _over_udp(layers.GTPU_PORT, head + b"\0\1\0\x85" + b"\1\0\0\0" + packet.data)


def ipip(packet: Packet) -> Packet:
    """Return an IP packet in IP: IPv4 in IPv4, or IPv6 in IPv6."""
    _only(packet, layers.IPV4, layers.IPV6)
    if packet.layer == layers.IPV4:
        return ipv4(*_OUTER, Packet(layers.IPIP, packet.data))
    return ipv6(*_OUTER6, Packet(layers.SIXIN4, packet.data))


def sixin4(packet: Packet) -> Packet:
    """Return an IPv6 packet in IPv4."""
    _only(packet, layers.IPV6)
    return ipv4(*_OUTER, Packet(layers.SIXIN4, packet.data))


def teredo(packet: Packet) -> Packet:
    """Return an IPv6 packet in Teredo, with an origin indication."""
    _only(packet, layers.IPV6)
    return _over_udp(layers.TEREDO_PORT, bytes(8) + packet.data)


def fabricpath(packet: Packet) -> Packet:
    """Return an Ethernet frame in FabricPath."""
    return Packet(layers.FABRICPATH, b"\0\x7f" + ethernet(packet).data)


def l2tp(packet: Packet) -> Packet:
    """Return a packet in L2TP version 2, with a length field."""
    inner = ppp(packet, framed=True).data
    return _over_udp(layers.L2TP_PORT, struct.pack(">HHHH", 0x4002, 8 + len(inner), 1, 1) + inner)


def l2tp3(packet: Packet) -> Packet:
    """Return an Ethernet frame in L2TP version 3 over IP, with a sublayer."""
    return _over_ip(layers.L2TP_IP, struct.pack(">II", 7, 0) + ethernet(packet).data)


def backbone(packet: Packet) -> Packet:
    """Return an Ethernet frame in a provider backbone frame (IEEE 802.1ah)."""
    return Packet(layers.ITAG, struct.pack(">I", 5) + ethernet(packet).data)


def _over_ip(layer: int, data: bytes) -> Packet:
    return ipv4(*_OUTER, Packet(layer, data), ttl=17)


def _over_udp(port: int, data: bytes) -> Packet:
    return ipv4(*_OUTER, udp(50000, port, data), ttl=17)


#: A way to wrap an IP packet and what the decoder calls it.
WRAPPINGS: tuple[tuple[Encap, Callable[[Packet], Packet]], ...] = (
    (Encap.vlan, vlan),
    (Encap.qinq, qinq),
    (Encap.mpls, mpls),
    (Encap.mpls, lambda packet: mpls(ethernet(packet))),
    (Encap.pppoe, pppoe),
    (Encap.gre, gre),
    (Encap.gre, lambda packet: gre(ethernet(packet), key=1, sequence=2)),
    (Encap.erspan, lambda packet: erspan(packet, 1)),
    (Encap.erspan, lambda packet: erspan(packet, 2)),
    (Encap.erspan, lambda packet: erspan(packet, 3)),
    (Encap.vxlan, vxlan),
    (Encap.vxlan, lambda packet: vxlan(packet, layers.VXLAN_LINUX_PORT)),
    (Encap.geneve, geneve),
    (Encap.gtpu, gtpu),
    (Encap.ipip, ipip),
    (Encap.fabricpath, fabricpath),
    (Encap.l2tp, l2tp),
    (Encap.l2tp, l2tp3),
    (Encap.other, backbone),
)
#: Those that carry IPv6 only.
WRAPPINGS_OF_IPV6 = ((Encap.sixin4, sixin4), (Encap.teredo, teredo))


def _family(packet: Packet) -> int:
    """Return the address family by the numbers of OpenBSD."""
    return 2 if packet.layer == layers.IPV4 else 24


def _snap(packet: Packet) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + _type(packet) + packet.data


def _wifi(packet: Packet) -> bytes:
    return struct.pack("<H", 0x0288) + bytes(22) + bytes(2) + _snap(packet)


def _radiotap(packet: Packet) -> bytes:
    # Time stamp and flags; the flags announce padding of the 26-byte header to 28.
    head = struct.pack("<BBHIQB7x", 0, 0, 24, 3, 0, 0x20)
    data = _wifi(packet)
    return head + data[:26] + bytes(2) + data[26:]


def _nflog(packet: Packet) -> bytes:
    data = struct.pack("<HHI", 8, 1, 0) + struct.pack("<HH", 4 + len(packet.data), 9) + packet.data
    return b"\x02\0\0\0" + data


def _juniper(packet: Packet) -> bytes:
    # Extensions: the medium, type 3, is Ethernet; its encapsulation, type 6, is Ethernet too.
    return b"MGC\x80" + struct.pack(">H6B", 6, 3, 1, 1, 6, 1, 14) + ethernet(packet).data


_FRAMES: dict[int, Callable[[Packet], bytes]] = {
    layers.ETHERNET: lambda packet: ethernet(packet).data,
    layers.IP: lambda packet: packet.data,
    layers.IPV4: lambda packet: packet.data,
    layers.IPV6: lambda packet: packet.data,
    layers.MPLS: lambda packet: mpls(packet).data,
    layers.PPPOE: lambda packet: pppoe(packet).data,
    layers.LLC: _snap,
    layers.PPP: lambda packet: ppp(packet, compressed=True).data,
    layers.PPP_HDLC: lambda packet: ppp(packet, framed=True).data,
    layers.CHDLC: lambda packet: b"\x0f\0" + _type(packet) + packet.data,
    layers.FAMILY: lambda packet: struct.pack("<I", _family(packet)) + packet.data,
    layers.SLL: lambda packet: struct.pack(">HHH8x", 0, 1, 6) + _type(packet) + packet.data,
    layers.SLL2: lambda packet: _type(packet) + struct.pack(">HIHBB8x", 0, 2, 1, 0, 6) + packet.data,
    layers.FRELAY: lambda packet: b"\x18\x41\x03" + bytes([_NLPIDS[packet.layer]]) + packet.data,
    layers.FDDI: lambda packet: b"\x50" + _MACS + _snap(packet),
    layers.TOKEN_RING: lambda packet: (
        b"\x10\x40" + _MACS[:6] + b"\x82" + _MACS[7:] + b"\x02\0" + _snap(packet)
    ),
    layers.WIFI: _wifi,
    layers.PRISM: lambda packet: struct.pack("<II", 0x44, 144) + bytes(136) + _wifi(packet),
    layers.AVS: lambda packet: struct.pack(">II", 0x80211001, 64) + bytes(56) + _wifi(packet),
    layers.RADIOTAP: _radiotap,
    layers.PPI: lambda packet: struct.pack("<BBHI", 0, 0, 8, 1) + ethernet(packet).data,
    layers.NFLOG: _nflog,
    layers.PKTAP: lambda packet: struct.pack("<III", 108, 1, 1) + bytes(96) + ethernet(packet).data,
    layers.PFLOG: lambda packet: bytes([61, _family(packet)]) + bytes(62) + packet.data,
    layers.SUNATM: lambda packet: b"\x02\0\0\0" + _snap(packet),
    layers.JUNIPER: _juniper,
    layers.TAGGED: lambda packet: _type(packet) + packet.data,
    layers.IPOIB: lambda packet: _type(packet) + bytes(2) + packet.data,
}


_SOLARIS = {layers.IPV4: 2, layers.IPV6: 26}
#: Link types whose frames are not what their row says: in the other byte order, or with something in the skipped part.
_OTHER_FRAMES: dict[int, Callable[[Packet], bytes]] = {
    9: lambda packet: ppp(packet, compressed=True).data,
    108: lambda packet: struct.pack(">I", _family(packet)) + packet.data,
    109: lambda packet: struct.pack("<III", _family(packet), 0, 0) + packet.data,
    226: lambda packet: struct.pack(">BBHI16x", 1, _SOLARIS[packet.layer], 0, len(packet.data)) + packet.data,
}


def frame(packet: Packet, link: int) -> bytes:
    """Return a packet in a frame of a link type.

    Raises:
        KeyError: The link type is not read.
        ValueError: It cannot carry such a packet.
    """
    if link in _OTHER_FRAMES:
        return _OTHER_FRAMES[link](packet)
    row = BY_NUMBER[link]
    return bytes(row.skip) + _FRAMES[row.layer](packet)

"""Link headers, readably: a function each, listed by the layer they take off."""

from __future__ import annotations

from collections.abc import Callable

from lastack.model.enums import Drop
from lastack.wire import layers
from lastack.wire.linktypes import BY_NUMBER
from lastack.wire.view import Dropped, Next, View, Walk

_UNNUMBERED = 3
_SNAP_ETHERNET = (bytes(3), b"\x00\x00\xf8")  # Ethertypes follow; the second is IEEE 802.1H
_SNAP_BRIDGED = b"\x00\x80\xc2"
_BRIDGED_ETHERNET = (1, 7)
_PPP_NUMBERS = {0x21: layers.IPV4, 0x57: layers.IPV6, 0x281: layers.MPLS, 0x283: layers.MPLS}
_NLPIDS = {0xCC: layers.IPV4, 0x8E: layers.IPV6, 0xCF: layers.PPP}
_FAMILIES = {2: layers.IPV4, 10: layers.IPV6, 24: layers.IPV6, 28: layers.IPV6, 30: layers.IPV6}
_COOKED_HARDWARE = {801: layers.WIFI, 802: layers.PRISM, 803: layers.RADIOTAP}
_NFULA_PAYLOAD = 9
_JUNIPER_NO_LINK, _JUNIPER_EXTENSIONS = 0x02, 0x80


def start(link: int, view: View) -> Next:
    """Return the first header of a frame of a link type."""
    row = BY_NUMBER.get(link)
    if row is None:
        raise Dropped(Drop.unknown_link)
    return Next(row.layer, view.skip(row.skip))


def typed(ethertype: int, view: View) -> Next:
    """Return what an Ethertype announces; lower numbers announce nothing."""
    if ethertype < layers.FIRST_ETHERTYPE:
        raise Dropped(Drop.not_ip)
    return Next(ethertype, view)


def by_ethertype(view: View) -> Next:
    """Take off an Ethertype, or the length of IEEE 802.3 behind which LLC starts."""
    view.need(2)
    if view.u16() <= 1500:
        return Next(layers.LLC, view.skip(2))
    return typed(view.u16(), view.skip(2))


def read_ethernet(view: View, walk: Walk) -> Next:
    """Take off an Ethernet header."""
    return by_ethertype(view.skip(12))


def _by_nlpid(view: View) -> Next:
    view.need(1)
    if view.u8() in _NLPIDS:
        return Next(_NLPIDS[view.u8()], view.skip(1))
    if view.u8() != 0x80:
        raise Dropped(Drop.not_ip)
    oui, number = view.bytes(1, 3), view.u16(4)
    if oui == bytes(3):
        return typed(number, view.skip(6))
    if oui == _SNAP_BRIDGED and number in _BRIDGED_ETHERNET:
        return Next(layers.ETHERNET, view.skip(6))
    raise Dropped(Drop.not_ip)


def read_llc(view: View, walk: Walk) -> Next:
    """Take off an IEEE 802.2 header."""
    saps = view.bytes(0, 3)[:2]
    if view.u8(2) != _UNNUMBERED:
        raise Dropped(Drop.not_ip)
    if saps == b"\x06\x06":
        return Next(layers.IPV4, view.skip(3))
    if saps == b"\xfe\xfe":
        return _by_nlpid(view.skip(3))
    if saps != b"\xaa\xaa":
        raise Dropped(Drop.not_ip)
    view.need(8)
    oui, number = view.bytes(3, 3), view.u16(6)
    if oui in _SNAP_ETHERNET:
        return typed(number, view.skip(8))
    if oui == _SNAP_BRIDGED and number in _BRIDGED_ETHERNET:
        return Next(layers.ETHERNET, view.skip(10))
    raise Dropped(Drop.not_ip)


def read_ppp(view: View, walk: Walk) -> Next:
    """Take off PPP's protocol number of one or two bytes, and address and control if they are there."""
    if view.left() >= 2 and view.u16() == 0xFF03:
        view = view.skip(2)
    size = 1 if view.u8() % 2 else 2
    number = int.from_bytes(view.bytes(0, size), "big")
    if number not in _PPP_NUMBERS:
        raise Dropped(Drop.not_ip)
    return Next(_PPP_NUMBERS[number], view.skip(size))


def read_ppp_hdlc(view: View, walk: Walk) -> Next:
    """Tell Cisco HDLC from PPP by the first byte."""
    return Next(layers.CHDLC if view.u8() in (0x0F, 0x8F) else layers.PPP, view)


def read_chdlc(view: View, walk: Walk) -> Next:
    """Take off a Cisco HDLC header."""
    view.need(4)
    return typed(view.u16(2), view.skip(4))


def read_family(view: View, walk: Walk) -> Next:
    """Take off an address family, whose small number tells its byte order."""
    view.need(4)
    family = min(view.u32(), view.little32())
    if family not in _FAMILIES:
        raise Dropped(Drop.not_ip)
    return Next(_FAMILIES[family], view.skip(4))


def _cooked(protocol: int, hardware: int, view: View) -> Next:
    if hardware in _COOKED_HARDWARE:
        return Next(_COOKED_HARDWARE[hardware], view)
    if protocol == 4:
        return Next(layers.LLC, view)
    return typed(protocol, view)


def read_sll(view: View, walk: Walk) -> Next:
    """Take off a Linux cooked header."""
    view.need(16)
    return _cooked(view.u16(14), view.u16(2), view.skip(16))


def read_sll2(view: View, walk: Walk) -> Next:
    """Take off a Linux cooked header of version 2."""
    view.need(20)
    return _cooked(view.u16(0), view.u16(8), view.skip(20))


def read_frame_relay(view: View, walk: Walk) -> Next:
    """Take off a Q.922 address of two to four bytes and an NLPID (RFC 2427) or Cisco's Ethertype."""
    view.need(2)
    size = 1
    while view.u8(size - 1) % 2 == 0:
        if size == 4:
            raise Dropped(Drop.bad_header)
        size += 1
    if size == 1:
        raise Dropped(Drop.bad_header)
    view = view.skip(size)
    view.need(2)
    if view.u8() != _UNNUMBERED:
        return typed(view.u16(), view.skip(2))
    return _by_nlpid(view.skip(2 if view.u8(1) == 0 else 1))


def read_fddi(view: View, walk: Walk) -> Next:
    """Take off an FDDI header."""
    view.need(13)
    if view.u8() >> 4 not in (0x5, 0xD):
        raise Dropped(Drop.not_ip)
    return Next(layers.LLC, view.skip(13))


def read_token_ring(view: View, walk: Walk) -> Next:
    """Take off a token ring header and its routing information."""
    view.need(14)
    if view.u8(1) >> 6 != 1:
        raise Dropped(Drop.not_ip)
    routing = view.u8(14) & 0x1F if view.u8(8) & 0x80 else 0
    return Next(layers.LLC, view.skip(14 + routing))


def read_ppi(view: View, walk: Walk) -> Next:
    """Take off a per-packet information header."""
    view.need(8)
    if view.little16(2) < 8:
        raise Dropped(Drop.bad_header)
    return start(view.little32(4), view.skip(view.little16(2)))


def read_pktap(view: View, walk: Walk) -> Next:
    """Take off Apple's header."""
    view.need(12)
    length, kind, link = view.little32(0), view.little32(4), view.little32(8)
    if not 12 <= length <= 0xFFFF:
        raise Dropped(Drop.bad_header)
    if kind != 1:
        raise Dropped(Drop.not_ip)
    return start(link, view.skip(length))


def read_pflog(view: View, walk: Walk) -> Next:
    """Take off OpenBSD's header, padded to 4 bytes."""
    if view.u8() < 4:
        raise Dropped(Drop.bad_header)
    return Next(layers.IP, view.skip(-(-view.u8() // 4) * 4))


def read_juniper(view: View, walk: Walk) -> Next:
    """Take off the header that Juniper's routers and firewalls put before a captured frame."""
    view.need(6)
    if view.bytes(0, 3) != b"MGC":
        raise Dropped(Drop.bad_header)
    flags = view.u8(3)
    view = view.skip(6 + view.u16(4) if flags & _JUNIPER_EXTENSIONS else 4)
    return Next(layers.IP, view.skip(4)) if flags & _JUNIPER_NO_LINK else Next(layers.ETHERNET, view)


def read_tagged(view: View, walk: Walk) -> Next:
    """Take off the Ethertype behind the tag of a switch chip."""
    return by_ethertype(view)


def read_ipoib(view: View, walk: Walk) -> Next:
    """Take off the four bytes of IP over InfiniBand (RFC 4391): an Ethertype, and two that mean nothing."""
    view.need(4)
    return typed(view.u16(), view.skip(4))


def read_sunatm(view: View, walk: Walk) -> Next:
    """Take off the header of SunATM: LAN emulation or LLC."""
    view.need(4)
    match view.u8() & 15:
        case 1:
            return Next(layers.ETHERNET, view.skip(6))
        case 2:
            return Next(layers.LLC, view.skip(4))
    raise Dropped(Drop.not_ip)


def read_nflog(view: View, walk: Walk) -> Next:
    """Find the packet among the attributes of a netfilter log message."""
    view = view.skip(4)
    view.need(1)
    read = View.u16 if view.u8() == 0 else View.little16
    while True:
        view.need(4)
        length, kind = read(view, 0), read(view, 2)
        if length < 4:
            raise Dropped(Drop.bad_header)
        if kind & 0x7FFF == _NFULA_PAYLOAD:
            return Next(layers.IP, view.skip(4))
        view = view.skip(-(-length // 4) * 4)


READERS: dict[int, Callable[[View, Walk], Next]] = {
    layers.ETHERNET: read_ethernet,
    layers.LLC: read_llc,
    layers.PPP: read_ppp,
    layers.PPP_HDLC: read_ppp_hdlc,
    layers.CHDLC: read_chdlc,
    layers.FAMILY: read_family,
    layers.SLL: read_sll,
    layers.SLL2: read_sll2,
    layers.FRELAY: read_frame_relay,
    layers.FDDI: read_fddi,
    layers.TOKEN_RING: read_token_ring,
    layers.PPI: read_ppi,
    layers.PKTAP: read_pktap,
    layers.PFLOG: read_pflog,
    layers.SUNATM: read_sunatm,
    layers.NFLOG: read_nflog,
    layers.JUNIPER: read_juniper,
    layers.TAGGED: read_tagged,
    layers.IPOIB: read_ipoib,
}

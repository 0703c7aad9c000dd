"""Tunnels over IP, readably: GRE and ERSPAN, those over UDP, IP in IP and Ethernet in IP."""

from __future__ import annotations

from collections.abc import Callable

from lastack.model.enums import Drop, Encap
from lastack.wire import layers
from lastack.wire.encapsulation import NEXT_PROTOCOLS, looks_like_ethernet, wrapped
from lastack.wire.link import typed
from lastack.wire.view import Dropped, Next, View, Walk

_NOT_TCP = Drop.not_tcp
_CARRIED = {layers.BRIDGED: layers.ETHERNET, layers.PPP_TYPE: layers.PPP}


def _carried(ethertype: int, view: View) -> Next:
    if ethertype in _CARRIED:
        return Next(_CARRIED[ethertype], view)
    return typed(ethertype, view)


def read_gre(view: View, walk: Walk) -> Next:
    """Take off a GRE header (RFC 2784, 2890) or PPTP's version of it (RFC 2637)."""
    view.need(4)
    flags, ethertype = view.u16(0), view.u16(2)
    checksum, routing, key, sequence = (bool(flags & bit) for bit in (0x8000, 0x4000, 0x2000, 0x1000))
    version, acknowledged = flags & 7, bool(flags & 0x80)
    if routing or version > 1:
        raise Dropped(_NOT_TCP)
    if version == 1 and not sequence:
        raise Dropped(_NOT_TCP)  # an acknowledgement without a packet
    fields = [checksum, key, sequence, version == 1 and acknowledged]
    view = view.skip(4 + 4 * sum(fields))
    if ethertype == layers.ERSPAN2:  # type I has neither a sequence number nor a header of its own
        return Next(layers.ETHERNET, view.skip(8 if sequence else 0), Encap.erspan)
    if ethertype == layers.ERSPAN3:
        return _read_erspan3(view)
    if ethertype == layers.WCCP:  # version 2 puts 4 bytes in front of the packet
        return Next(layers.IPV4, view.skip(0 if view.u8() >> 4 == 4 else 4), Encap.gre)
    return wrapped(Encap.gre, _carried(ethertype, view))


def _read_erspan3(view: View) -> Next:
    view.need(12)
    kind, has_subheader = view.u16(10) >> 10 & 31, view.u16(10) & 1
    after = view.skip(20 if has_subheader else 12)
    match kind:
        case 0:
            return Next(layers.ETHERNET, after, Encap.erspan)
        case 2:
            return Next(layers.IP, after, Encap.erspan)
    raise Dropped(_NOT_TCP)


def _read_vxlan(view: View) -> Next:
    view.need(8)
    if not view.u8() & 8:
        raise Dropped(_NOT_TCP)
    if view.u8() & 4 and view.u8(3):
        if view.u8(3) not in NEXT_PROTOCOLS:
            raise Dropped(Drop.not_ip)
        return Next(NEXT_PROTOCOLS[view.u8(3)], view.skip(8), Encap.vxlan)
    return Next(layers.ETHERNET, view.skip(8), Encap.vxlan)


def _read_geneve(view: View) -> Next:
    view.need(8)
    if view.u8() >> 6:
        raise Dropped(_NOT_TCP)
    options = (view.u8() & 0x3F) * 4
    return wrapped(Encap.geneve, _carried(view.u16(2), view.skip(8 + options)))


def _read_gtpu(view: View) -> Next:
    view.need(8)
    flags = view.u8()
    if flags >> 4 != 3 or view.u8(1) != 0xFF:
        raise Dropped(_NOT_TCP)
    extension = 0
    size = 8
    if flags & 7:
        view.need(12)
        extension = view.u8(11) if flags & 4 else 0
        size = 12
    view = view.skip(size)
    while extension:
        size = view.u8() * 4
        if size == 0:
            raise Dropped(Drop.bad_header)
        extension = view.bytes(0, size)[-1]
        view = view.skip(size)
    if view.u8() >> 4 not in (4, 6):
        raise Dropped(_NOT_TCP)
    return Next(layers.IP, view, Encap.gtpu)


def _read_teredo(view: View) -> Next:
    view.need(4)
    if view.u16() == 1:  # authentication: client id, authentication data, 8 bytes of nonce, confirmation
        view = view.skip(4 + view.u8(2) + view.u8(3) + 9)
    if view.u16() == 0:  # origin indication
        view = view.skip(8)
    if view.u8() >> 4 != 6:
        raise Dropped(_NOT_TCP)
    return Next(layers.IPV6, view, Encap.teredo)


def _read_l2tp3_data(view: View) -> Next:
    for skip in (0, 4, 8, 12):  # sizes of cookie and sublayer are agreed elsewhere
        if looks_like_ethernet(view.skip(skip)):
            return Next(layers.ETHERNET, view.skip(skip), Encap.l2tp)
    raise Dropped(_NOT_TCP)


def _read_l2tp(view: View) -> Next:
    view.need(8)
    flags = view.u16()
    version, control = flags & 15, flags & 0x8000
    if control or version not in (2, 3):
        raise Dropped(_NOT_TCP)
    if version == 3:
        return _read_l2tp3_data(view.skip(8))
    view = view.skip(6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0))
    if flags & 0x0200:
        view = view.skip(2 + view.u16())
    return Next(layers.PPP, view, Encap.l2tp)


#: Readers of tunnels by UDP port; those of the second table also when it is the source.
_BY_PORT: dict[int, Callable[[View], Next]] = {
    layers.VXLAN_PORT: _read_vxlan,
    layers.VXLAN_LINUX_PORT: _read_vxlan,
    layers.VXLAN_GPE_PORT: _read_vxlan,
    layers.GENEVE_PORT: _read_geneve,
    layers.GRE_PORT: lambda view: Next(layers.GRE, view),
    layers.MPLS_PORT: lambda view: Next(layers.MPLS, view),
}
_BY_EITHER_PORT: dict[int, Callable[[View], Next]] = {
    layers.GTPU_PORT: _read_gtpu,
    layers.TEREDO_PORT: _read_teredo,
    layers.L2TP_PORT: _read_l2tp,
}
_ORDER = (
    layers.VXLAN_PORT,
    layers.VXLAN_LINUX_PORT,
    layers.VXLAN_GPE_PORT,
    layers.GTPU_PORT,
    layers.GENEVE_PORT,
    layers.TEREDO_PORT,
    layers.L2TP_PORT,
    layers.GRE_PORT,
    layers.MPLS_PORT,
)


def read_udp(view: View, walk: Walk) -> Next:
    """Take off a UDP header in front of a tunnel, known by its port; the first that fits in a fixed order."""
    view.need(8)
    source, destination = view.u16(0), view.u16(2)
    for port in _ORDER:
        if port == destination or (port == source and port in _BY_EITHER_PORT):
            reader = _BY_PORT.get(port) or _BY_EITHER_PORT[port]
            return reader(view.skip(8))
    raise Dropped(_NOT_TCP)


def read_authentication(view: View, walk: Walk) -> Next:
    """Take off an authentication header behind IPv4 (RFC 4302)."""
    view.need(8)
    return Next(layers.PROTOCOL + view.u8(), view.skip((view.u8(1) + 2) * 4))


def read_etherip(view: View, walk: Walk) -> Next:
    """Take off an EtherIP header (RFC 3378)."""
    view.need(2)
    if view.u8() >> 4 != 3:
        raise Dropped(_NOT_TCP)
    return Next(layers.ETHERNET, view.skip(2), Encap.other)


def read_l2tp_ip(view: View, walk: Walk) -> Next:
    """Take off the session id of L2TPv3 directly over IP; 0 is the control channel."""
    if view.u32() == 0:
        raise Dropped(_NOT_TCP)
    return _read_l2tp3_data(view.skip(4))


READERS: dict[int, Callable[[View, Walk], Next]] = {
    layers.UDP: read_udp,
    layers.GRE: read_gre,
    layers.IPIP: lambda view, walk: Next(layers.IP, view, Encap.ipip),
    layers.IPIP_OLD: lambda view, walk: Next(layers.IP, view, Encap.ipip),
    layers.SIXIN4: lambda view, walk: Next(layers.IPV6, view, Encap.sixin4),
    layers.AUTHENTICATION: read_authentication,
    layers.ETHERIP: read_etherip,
    layers.L2TP_IP: read_l2tp_ip,
    layers.MPLS_IP: lambda view, walk: Next(layers.MPLS, view),
    layers.ETHERNET_IP: lambda view, walk: Next(layers.ETHERNET, view, Encap.other),
}

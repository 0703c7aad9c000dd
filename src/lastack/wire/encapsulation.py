"""What Ethertypes carry in front of IP, readably: tags, label stacks, PPPoE, Ethernet in Ethernet."""

from __future__ import annotations

from collections.abc import Callable

from lastack.model.enums import Drop, Encap
from lastack.wire import layers
from lastack.wire.link import by_ethertype
from lastack.wire.view import Dropped, Next, View, Walk

#: "Next protocol" numbers of NSH and VXLAN-GPE.
NEXT_PROTOCOLS = {1: layers.IPV4, 2: layers.IPV6, 3: layers.ETHERNET, 4: layers.NSH, 5: layers.MPLS}
_ARISTA_SIZES = {1: 12, 2: 10}
_LEADS_TO_IP = (*layers.VLAN_TYPES, layers.MPLS, layers.PPPOE, layers.ITAG, layers.FABRICPATH)


def wrapped(encap: Encap, following: Next) -> Next:
    """Return a step with the mark that a wrapping was taken off."""
    return Next(following.layer, following.view, encap)


def looks_like_ethernet(view: View) -> bool:
    """Return whether an Ethernet frame that leads to IP seems to start here."""
    if view.left() < 15:
        return False
    match view.u16(12):
        case layers.IPV4:
            return view.u8(14) >> 4 == 4
        case layers.IPV6:
            return view.u8(14) >> 4 == 6
        case ethertype:
            return ethertype in _LEADS_TO_IP


def looks_like_ip(view: View, wire_end: int) -> bool:
    """Return whether an IP packet that fits what carries it seems to start here."""
    if view.left() < 20:
        return False
    match view.u8() >> 4:
        case 4:
            return view.u8() & 15 >= 5 and view.at + view.u16(2) <= wire_end
        case 6:
            return view.at + 40 + view.u16(4) <= wire_end
    return False


def read_vlan(view: View, walk: Walk) -> Next:
    """Take off an IEEE 802.1Q tag."""
    view.need(4)
    walk.vlan = view.u16() & 0xFFF
    return wrapped(Encap.vlan, by_ethertype(view.skip(2)))


def read_mpls(view: View, walk: Walk) -> Next:
    """Take off a label stack (RFC 3032) and guess what it carries, for no header says it."""
    while not view.u32() & 0x100:
        view = view.skip(4)
    view = view.skip(4)
    nibble = view.u8() >> 4
    if not looks_like_ip(view, walk.wire_end):
        if nibble == 0 and looks_like_ethernet(view.skip(4)):  # behind a control word (RFC 4385)
            return Next(layers.ETHERNET, view.skip(4), Encap.mpls)
        if looks_like_ethernet(view):
            return Next(layers.ETHERNET, view, Encap.mpls)
    if nibble in (4, 6):
        return Next(layers.IP, view, Encap.mpls)
    raise Dropped(Drop.not_ip)


def read_pppoe(view: View, walk: Walk) -> Next:
    """Take off a PPPoE session header (RFC 2516)."""
    view.need(6)
    if view.bytes(0, 2) != b"\x11\x00":
        raise Dropped(Drop.not_ip)
    return Next(layers.PPP, view.skip(6), Encap.pppoe)


def read_nsh(view: View, walk: Walk) -> Next:
    """Take off a network service header (RFC 8300)."""
    view.need(8)
    length = (view.u16() & 0x3F) * 4
    if length < 8:
        raise Dropped(Drop.bad_header)
    if view.u8(3) not in NEXT_PROTOCOLS:
        raise Dropped(Drop.not_ip)
    return Next(NEXT_PROTOCOLS[view.u8(3)], view.skip(length), Encap.other)


def read_fabricpath(view: View, walk: Walk) -> Next:
    """Take off Cisco FabricPath's tag, behind which an Ethernet frame starts."""
    view.need(6)
    return Next(layers.ETHERNET, view.skip(2), Encap.fabricpath)


def read_itag(view: View, walk: Walk) -> Next:
    """Take off the service tag of provider backbone bridges (IEEE 802.1ah)."""
    view.need(6)
    return Next(layers.ETHERNET, view.skip(4), Encap.other)


def read_trill(view: View, walk: Walk) -> Next:
    """Take off a TRILL header (RFC 6325)."""
    view.need(6)
    options = view.u16() >> 6 & 31
    return Next(layers.ETHERNET, view.skip(6 + 4 * options), Encap.other)


def read_vntag(view: View, walk: Walk) -> Next:
    """Take off a VN-Tag."""
    view.need(6)
    return wrapped(Encap.other, by_ethertype(view.skip(4)))


def read_six_byte_tag(view: View, walk: Walk) -> Next:
    """Take off an IEEE 802.1BR E-tag, Cisco's metadata with a security group, or Marvell's switch tag."""
    view.need(6)
    return wrapped(Encap.other, by_ethertype(view.skip(6)))


def read_arista(view: View, walk: Walk) -> Next:
    """Take off the time stamp that Arista's switches put into a copied frame."""
    view.need(6)
    form = view.u8(3) >> 4
    if view.u16() != 1 or form not in _ARISTA_SIZES:
        raise Dropped(Drop.not_ip)
    return wrapped(Encap.other, by_ethertype(view.skip(_ARISTA_SIZES[form])))


def read_macsec(view: View, walk: Walk) -> Next:
    """Take off an IEEE 802.1AE tag of a frame that is neither encrypted nor changed."""
    view.need(6)
    if view.u8() & 0x0C:
        raise Dropped(Drop.not_ip)
    return wrapped(Encap.other, by_ethertype(view.skip(14 if view.u8() & 0x20 else 6)))


READERS: dict[int, Callable[[View, Walk], Next]] = {
    **dict.fromkeys(layers.VLAN_TYPES, read_vlan),
    layers.MPLS: read_mpls,
    layers.MPLS_UPSTREAM: read_mpls,
    layers.PPPOE: read_pppoe,
    layers.LLC_JUMBO: lambda view, walk: Next(layers.LLC, view),
    layers.BRIDGED: lambda view, walk: Next(layers.ETHERNET, view, Encap.other),
    layers.PPP_TYPE: lambda view, walk: Next(layers.PPP, view, Encap.other),
    layers.NSH: read_nsh,
    layers.FABRICPATH: read_fabricpath,
    layers.ITAG: read_itag,
    layers.TRILL: read_trill,
    layers.VNTAG: read_vntag,
    layers.ETAG: read_six_byte_tag,
    layers.CISCO_METADATA: read_six_byte_tag,
    layers.EDSA: read_six_byte_tag,
    layers.ARISTA: read_arista,
    layers.MACSEC: read_macsec,
}

"""What Ethertypes carry in front of IP: tags, label stacks, PPPoE and Ethernet in Ethernet."""

from __future__ import annotations

from typing import Any

from lastack.kernels.decode_link import by_ethertype
from lastack.kernels.decode_words import (
    BAD_HEADER,
    NOT_IP,
    TRUNCATED,
    be16_at,
    be32_at,
    go,
    part,
    u8_at,
    unwrap,
    wrapped,
)
from lastack.model.enums import Encap
from lastack.wire import layers

_VLAN, _MPLS, _PPPOE, _OTHER = int(Encap.vlan), int(Encap.mpls), int(Encap.pppoe), int(Encap.other)
_FABRICPATH = int(Encap.fabricpath)
_TAG1, _TAG2, _TAG3, _TAG4 = layers.VLAN_TYPES


@part
def is_vlan(ethertype: int) -> bool:
    """Return whether an Ethertype announces a VLAN tag."""
    return ethertype == _TAG1 or ethertype == _TAG2 or ethertype == _TAG3 or ethertype == _TAG4


@part
def looks_like_ethernet(address: int, at: int, end: int) -> bool:
    """Return whether an Ethernet frame that leads to IP seems to start at an offset."""
    if end - at < 15:
        return False
    ethertype = be16_at(address, at + 12)
    nibble = u8_at(address, at + 14) >> 4
    if ethertype == layers.IPV4:
        return nibble == 4
    if ethertype == layers.IPV6:
        return nibble == 6
    return (
        is_vlan(ethertype)
        or ethertype == layers.MPLS
        or ethertype == layers.PPPOE
        or ethertype == layers.ITAG
        or ethertype == layers.FABRICPATH
    )


@part
def looks_like_ip(address: int, at: int, end: int, wire_end: int) -> bool:
    """Return whether an IP packet that fits the frame seems to start at an offset."""
    if end - at < 20:
        return False
    first = u8_at(address, at)
    if first >> 4 == 4:
        return first & 15 >= 5 and at + be16_at(address, at + 2) <= wire_end
    return first >> 4 == 6 and at + 40 + be16_at(address, at + 4) <= wire_end


@part
def read_mpls(address: int, at: int, end: int, wire_end: int) -> int:
    """Return the step past a label stack.

    Nothing says what a label carries: an IP packet that fits, else a pseudowire with Ethernet (with or without the
    control word of RFC 4385), else IP by its first nibble.
    """
    label = 0
    while label & 0x100 == 0:
        if end - at < 4:
            return TRUNCATED
        label = be32_at(address, at)
        at += 4
    if end - at < 1:
        return TRUNCATED
    nibble = u8_at(address, at) >> 4
    if not looks_like_ip(address, at, end, wire_end):
        if nibble == 0 and looks_like_ethernet(address, at + 4, end):
            return unwrap(layers.ETHERNET, at + 4, _MPLS)
        if looks_like_ethernet(address, at, end):
            return unwrap(layers.ETHERNET, at, _MPLS)
    if nibble == 4 or nibble == 6:
        return unwrap(layers.IP, at, _MPLS)
    return NOT_IP


@part
def read_nsh(address: int, at: int, end: int) -> int:
    """Return the step past a network service header (RFC 8300)."""
    if end - at < 8:
        return TRUNCATED
    length = (be16_at(address, at) & 0x3F) << 2
    if length < 8:
        return BAD_HEADER
    return wrapped(go_next_protocol(u8_at(address, at + 3), at + length), _OTHER)


@part
def go_next_protocol(protocol: int, at: int) -> int:
    """Return the step for a "next protocol" number of NSH and VXLAN-GPE."""
    if protocol == 1:
        return go(layers.IPV4, at)
    if protocol == 2:
        return go(layers.IPV6, at)
    if protocol == 3:
        return go(layers.ETHERNET, at)
    if protocol == 4:
        return go(layers.NSH, at)
    return go(layers.MPLS, at) if protocol == 5 else NOT_IP


@part
def read_ethernet_in_ethernet(layer: int, address: int, at: int, end: int) -> int:
    """Return the step past a header between two Ethernet headers, or between one and its Ethertype."""
    if end - at < 6:
        return TRUNCATED
    if layer == layers.FABRICPATH:
        return unwrap(layers.ETHERNET, at + 2, _FABRICPATH)
    if layer == layers.ITAG:
        return unwrap(layers.ETHERNET, at + 4, _OTHER)
    if layer == layers.TRILL:
        return unwrap(layers.ETHERNET, at + 6 + ((be16_at(address, at) >> 6 & 31) << 2), _OTHER)
    if layer == layers.VNTAG:
        return wrapped(by_ethertype(address, at + 4, end), _OTHER)
    if layer == layers.ARISTA:
        form = u8_at(address, at + 3) >> 4  # seconds in 4 bytes or 2, after subtype and format
        if be16_at(address, at) != 1 or (form != 1 and form != 2):
            return NOT_IP
        return wrapped(by_ethertype(address, at + (12 if form == 1 else 10), end), _OTHER)
    if layer == layers.ETAG or layer == layers.CISCO_METADATA or layer == layers.EDSA:
        return wrapped(by_ethertype(address, at + 6, end), _OTHER)
    # MACsec: readable when neither encrypted nor changed; an 8-byte channel identifier may follow.
    control = u8_at(address, at)
    if control & 0x0C:
        return NOT_IP
    return wrapped(by_ethertype(address, at + (14 if control & 0x20 else 6), end), _OTHER)


@part
def read_ethertype(layer: int, address: int, at: int, end: int, wire_end: int, seg: Any) -> int:
    """Return the step past the payload header of an Ethertype that is not IP."""
    if is_vlan(layer):
        if end - at < 4:
            return TRUNCATED
        seg.vlan = be16_at(address, at) & 0xFFF
        return wrapped(by_ethertype(address, at + 2, end), _VLAN)
    if layer == layers.MPLS or layer == layers.MPLS_UPSTREAM:
        return read_mpls(address, at, end, wire_end)
    if layer == layers.PPPOE:
        if end - at < 6:
            return TRUNCATED
        return unwrap(layers.PPP, at + 6, _PPPOE) if be16_at(address, at) == 0x1100 else NOT_IP
    if layer == layers.LLC_JUMBO:
        return go(layers.LLC, at)
    if layer == layers.BRIDGED:
        return unwrap(layers.ETHERNET, at, _OTHER)
    if layer == layers.PPP_TYPE:
        return unwrap(layers.PPP, at, _OTHER)
    if layer == layers.NSH:
        return read_nsh(address, at, end)
    if (
        layer == layers.FABRICPATH
        or layer == layers.ITAG
        or layer == layers.TRILL
        or layer == layers.VNTAG
        or layer == layers.ETAG
        or layer == layers.CISCO_METADATA
        or layer == layers.ARISTA
        or layer == layers.EDSA
        or layer == layers.MACSEC
    ):
        return read_ethernet_in_ethernet(layer, address, at, end)
    return NOT_IP

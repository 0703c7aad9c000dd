"""Link headers: each is taken off, and the Ethertype (or the next layer) behind it found.

Every reader first asks how many captured bytes are left: an offset beyond the end is an offset with a negative rest.
"""

from __future__ import annotations

import numpy as np

from lastack.kernels.decode_wifi import read_avs, read_prism, read_radiotap, read_wifi
from lastack.kernels.decode_words import (
    BAD_HEADER,
    NOT_IP,
    TRUNCATED,
    UNKNOWN_LINK,
    be16_at,
    be32_at,
    go,
    i64,
    le16_at,
    le32_at,
    part,
    u8_at,
)
from lastack.wire import layers
from lastack.wire.linktypes import LINK_TYPES

_SKIP_SHIFT = 16
#: Layer | skip << 16 by link type number; 0 where nothing is known. Built from the table of link types.
STARTS = np.zeros(max(row.number for row in LINK_TYPES) + 1, np.uint32)
for _row in LINK_TYPES:
    STARTS[_row.number] = _row.skip << _SKIP_SHIFT | _row.layer
_KNOWN = len(STARTS)

_MAX_LENGTH_FIELD = 1500  # above, and below the first Ethertype, the field means nothing (IEEE 802.3, 3.2.6)
_OUI_ETHERNET, _OUI_BRIDGE_TUNNEL, _OUI_BRIDGED = 0, 0xF8, 0x80C2
_ARPHRD_WIFI, _ARPHRD_PRISM, _ARPHRD_RADIOTAP = 801, 802, 803
_SLL_LLC = 4
_NFULA_PAYLOAD = 9
_JUNIPER_MAGIC = 0x4D474300  # "MGC"
_JUNIPER_NO_LINK, _JUNIPER_EXTENSIONS = 0x02, 0x80


@part
def start_of(link: int, at: int) -> int:
    """Return the step to the first header of a link type that has a reader."""
    start = i64(STARTS[link]) if 0 <= link < _KNOWN else 0
    if start == layers.UNKNOWN:
        return UNKNOWN_LINK
    return go(start & 0xFFFF, at + (start >> _SKIP_SHIFT))


@part
def typed(ethertype: int, at: int) -> int:
    """Return the step to the payload of an Ethertype."""
    return go(ethertype, at) if ethertype >= layers.FIRST_ETHERTYPE else NOT_IP


@part
def by_ethertype(address: int, at: int, end: int) -> int:
    """Return the step past the Ethertype or 802.3 length at an offset."""
    if end - at < 2:
        return TRUNCATED
    ethertype = be16_at(address, at)
    if ethertype <= _MAX_LENGTH_FIELD:
        return go(layers.LLC, at + 2)
    return typed(ethertype, at + 2)


@part
def read_nlpid(address: int, at: int, end: int) -> int:
    """Return the step past a network layer protocol identifier (RFC 2427)."""
    if end - at < 1:
        return TRUNCATED
    nlpid = u8_at(address, at)
    if nlpid == 0xCC:
        return go(layers.IPV4, at + 1)
    if nlpid == 0x8E:
        return go(layers.IPV6, at + 1)
    if nlpid == 0xCF:
        return go(layers.PPP, at + 1)
    if nlpid != 0x80:
        return NOT_IP
    if end - at < 6:
        return TRUNCATED
    oui = be32_at(address, at) & 0xFFFFFF
    pid = be16_at(address, at + 4)
    if oui == _OUI_ETHERNET:
        return typed(pid, at + 6)
    if oui == _OUI_BRIDGED and (pid == 1 or pid == 7):
        return go(layers.ETHERNET, at + 6)
    return NOT_IP


@part
def read_llc(address: int, at: int, end: int) -> int:
    """Return the step past an 802.2 header and what it announces: SNAP, an NLPID or IPv4."""
    if end - at < 3:
        return TRUNCATED
    saps = be16_at(address, at)
    if u8_at(address, at + 2) != 3:  # unnumbered information
        return NOT_IP
    if saps == 0x0606:
        return go(layers.IPV4, at + 3)
    if saps == 0xFEFE:
        return read_nlpid(address, at + 3, end)
    if saps != 0xAAAA:
        return NOT_IP
    if end - at < 8:
        return TRUNCATED
    oui = be32_at(address, at + 2) & 0xFFFFFF
    pid = be16_at(address, at + 6)
    if oui == _OUI_ETHERNET or oui == _OUI_BRIDGE_TUNNEL:
        return typed(pid, at + 8)
    if oui == _OUI_BRIDGED and (pid == 1 or pid == 7):
        return go(layers.ETHERNET, at + 10)  # two bytes of padding (RFC 2684, 5.2)
    return NOT_IP


@part
def read_ppp(address: int, at: int, end: int) -> int:
    """Return the step past PPP's protocol field, which may be compressed to one byte (RFC 1661, 6.5)."""
    if end - at >= 2 and be16_at(address, at) == 0xFF03:
        at += 2
    if end - at < 1:
        return TRUNCATED
    protocol = u8_at(address, at)
    at += 1
    if protocol & 1 == 0:
        if end - at < 1:
            return TRUNCATED
        protocol = protocol << 8 | u8_at(address, at)
        at += 1
    if protocol == 0x21:
        return go(layers.IPV4, at)
    if protocol == 0x57:
        return go(layers.IPV6, at)
    if protocol == 0x281 or protocol == 0x283:
        return go(layers.MPLS, at)
    return NOT_IP


@part
def read_frame_relay(address: int, at: int, end: int) -> int:
    """Return the step past a Q.922 address and an NLPID, or the Ethertype of Cisco's encapsulation."""
    if end - at < 2:
        return TRUNCATED
    if u8_at(address, at) & 1:
        return BAD_HEADER
    at += 1
    extra = 0
    while u8_at(address, at) & 1 == 0:
        at += 1
        extra += 1
        if extra > 2:
            return BAD_HEADER
        if end - at < 1:
            return TRUNCATED
    at += 1
    if end - at < 2:
        return TRUNCATED
    if u8_at(address, at) != 3:
        return typed(be16_at(address, at), at + 2)
    return read_nlpid(address, at + 2 if u8_at(address, at + 1) == 0 else at + 1, end)


@part
def read_cooked(protocol: int, hardware: int, at: int) -> int:
    """Return the step into a Linux cooked frame."""
    if hardware == _ARPHRD_RADIOTAP:
        return go(layers.RADIOTAP, at)
    if hardware == _ARPHRD_WIFI:
        return go(layers.WIFI, at)
    if hardware == _ARPHRD_PRISM:
        return go(layers.PRISM, at)
    if protocol == _SLL_LLC:
        return go(layers.LLC, at)
    return typed(protocol, at)


@part
def read_token_ring(address: int, at: int, end: int) -> int:
    """Return the step past a token ring header and its routing information."""
    if end - at < 14:
        return TRUNCATED
    if u8_at(address, at + 1) & 0xC0 != 0x40:
        return NOT_IP
    if u8_at(address, at + 8) & 0x80 == 0:
        return go(layers.LLC, at + 14)
    if end - at < 15:
        return TRUNCATED
    return go(layers.LLC, at + 14 + (u8_at(address, at + 14) & 0x1F))


@part
def read_nflog(address: int, at: int, end: int) -> int:
    """Return the step to the packet among the attributes of a netfilter log message."""
    at += 4
    # Attributes are in the byte order of their host: the first one's length is never a multiple of 256.
    big = end - at >= 1 and u8_at(address, at) == 0
    while end - at >= 4:
        length = be16_at(address, at) if big else le16_at(address, at)
        kind = be16_at(address, at + 2) if big else le16_at(address, at + 2)
        if length < 4:
            return BAD_HEADER
        if kind & 0x7FFF == _NFULA_PAYLOAD:
            return go(layers.IP, at + 4)
        at += (length + 3) & ~3
    return TRUNCATED


@part
def read_family(address: int, at: int, end: int) -> int:
    """Return the step past the address family of a BSD loopback; every system has its own number for IPv6."""
    if end - at < 4:
        return TRUNCATED
    big = be32_at(address, at)
    family = big if big < 0x10000 else le32_at(address, at)
    if family == 2:
        return go(layers.IPV4, at + 4)
    if family == 10 or family == 24 or family == 28 or family == 30:
        return go(layers.IPV6, at + 4)
    return NOT_IP


@part
def read_juniper(address: int, at: int, end: int) -> int:
    """Return the step past the header that Juniper's routers and firewalls put before a captured frame."""
    if end - at < 6:
        return TRUNCATED
    word = be32_at(address, at)
    if word & ~0xFF != _JUNIPER_MAGIC:
        return BAD_HEADER
    at += 6 + be16_at(address, at + 4) if word & _JUNIPER_EXTENSIONS else 4
    return go(layers.IP, at + 4) if word & _JUNIPER_NO_LINK else go(layers.ETHERNET, at)


@part
def read_capture_header(layer: int, address: int, at: int, end: int) -> int:
    """Return the step past the header that a capture program put in front of a frame."""
    if layer == layers.PPI:
        if end - at < 8:
            return TRUNCATED
        length = le16_at(address, at + 2)
        if length < 8:
            return BAD_HEADER
        return start_of(le32_at(address, at + 4), at + length)
    if layer == layers.PKTAP:
        if end - at < 12:
            return TRUNCATED
        length = le32_at(address, at)
        if length < 12 or length > 0xFFFF:
            return BAD_HEADER
        if le32_at(address, at + 4) != 1:
            return NOT_IP
        return start_of(le32_at(address, at + 8), at + length)
    if layer == layers.NFLOG:
        return read_nflog(address, at, end)
    if layer == layers.PFLOG:
        if end - at < 1:
            return TRUNCATED
        length = u8_at(address, at)
        return go(layers.IP, at + ((length + 3) & ~3)) if length >= 4 else BAD_HEADER
    if layer == layers.SUNATM:
        if end - at < 4:
            return TRUNCATED
        kind = u8_at(address, at) & 15
        if kind == 1:
            return go(layers.ETHERNET, at + 6)
        return go(layers.LLC, at + 4) if kind == 2 else NOT_IP
    if layer == layers.JUNIPER:
        return read_juniper(address, at, end)
    if layer == layers.TAGGED:
        return by_ethertype(address, at, end)
    if layer == layers.IPOIB:
        if end - at < 4:
            return TRUNCATED
        return typed(be16_at(address, at), at + 4)
    if layer == layers.RADIOTAP:
        return read_radiotap(address, at, end)
    if layer == layers.PRISM:
        return read_prism(address, at, end)
    return read_avs(address, at, end)


@part
def read_link(layer: int, address: int, at: int, end: int) -> int:
    """Return the step past a link header."""
    if layer == layers.ETHERNET:
        return by_ethertype(address, at + 12, end)
    if layer == layers.LLC:
        return read_llc(address, at, end)
    if layer == layers.SLL:
        if end - at < 16:
            return TRUNCATED
        return read_cooked(be16_at(address, at + 14), be16_at(address, at + 2), at + 16)
    if layer == layers.SLL2:
        if end - at < 20:
            return TRUNCATED
        return read_cooked(be16_at(address, at), be16_at(address, at + 8), at + 20)
    if layer == layers.FAMILY:
        return read_family(address, at, end)
    if layer == layers.PPP_HDLC:
        if end - at < 1:
            return TRUNCATED
        first = u8_at(address, at)
        return go(layers.CHDLC if first == 0x0F or first == 0x8F else layers.PPP, at)
    if layer == layers.PPP:
        return read_ppp(address, at, end)
    if layer == layers.CHDLC:
        if end - at < 4:
            return TRUNCATED
        return typed(be16_at(address, at + 2), at + 4)
    if layer == layers.FRELAY:
        return read_frame_relay(address, at, end)
    if layer == layers.WIFI:
        return read_wifi(address, at, end, i64(0))
    if layer == layers.WIFI_PADDED:
        return read_wifi(address, at, end, i64(3))
    if layer == layers.FDDI:
        if end - at < 13:
            return TRUNCATED
        control = u8_at(address, at) & 0xF0
        return go(layers.LLC, at + 13) if control == 0x50 or control == 0xD0 else NOT_IP
    if layer == layers.TOKEN_RING:
        return read_token_ring(address, at, end)
    return read_capture_header(layer, address, at, end)

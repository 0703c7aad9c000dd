"""Tunnels over IP: GRE and ERSPAN, those over UDP, IP in IP and Ethernet in IP."""

from __future__ import annotations

from lastack.kernels.decode_ethertype import go_next_protocol, looks_like_ethernet
from lastack.kernels.decode_link import typed
from lastack.kernels.decode_words import (
    BAD_HEADER,
    NOT_TCP,
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

_GRE, _ERSPAN, _VXLAN, _GENEVE = int(Encap.gre), int(Encap.erspan), int(Encap.vxlan), int(Encap.geneve)
_GTPU, _IPIP, _SIXIN4, _TEREDO = int(Encap.gtpu), int(Encap.ipip), int(Encap.sixin4), int(Encap.teredo)
_L2TP, _OTHER = int(Encap.l2tp), int(Encap.other)
_GRE_CHECKSUM, _GRE_ROUTING, _GRE_KEY, _GRE_SEQUENCE, _PPTP_ACK = 0x8000, 0x4000, 0x2000, 0x1000, 0x80
_L2TP_CONTROL, _L2TP_LENGTH, _L2TP_SEQUENCE, _L2TP_OFFSET = 0x8000, 0x4000, 0x0800, 0x0200


@part
def tunnelled(ethertype: int, at: int) -> int:
    """Return the step to what a tunnel carries, named by an Ethertype."""
    if ethertype == layers.BRIDGED:
        return go(layers.ETHERNET, at)
    if ethertype == layers.PPP_TYPE:
        return go(layers.PPP, at)
    return typed(ethertype, at)


@part
def read_gre(address: int, at: int, end: int) -> int:
    """Return the step past a GRE header (RFC 2784, 2890), version 1 being PPTP's, and past ERSPAN's and WCCP's."""
    if end - at < 4:
        return TRUNCATED
    flags = be16_at(address, at)
    ethertype = be16_at(address, at + 2)
    version = flags & 7
    if flags & _GRE_ROUTING or version > 1:
        return NOT_TCP
    at += 4
    at += 4 if flags & _GRE_CHECKSUM else 0
    at += 4 if flags & _GRE_KEY else 0
    at += 4 if flags & _GRE_SEQUENCE else 0
    if version == 1:
        if flags & _GRE_SEQUENCE == 0:
            return NOT_TCP  # an acknowledgement without a packet
        at += 4 if flags & _PPTP_ACK else 0
    if ethertype == layers.ERSPAN2:
        # Type I has neither a sequence number nor a header of its own.
        return unwrap(layers.ETHERNET, at + 8 if flags & _GRE_SEQUENCE else at, _ERSPAN)
    if ethertype == layers.ERSPAN3:
        if end - at < 12:
            return TRUNCATED
        word = be16_at(address, at + 10)
        kind = word >> 10 & 31
        at += 20 if word & 1 else 12
        if kind == 0:
            return unwrap(layers.ETHERNET, at, _ERSPAN)
        return unwrap(layers.IP, at, _ERSPAN) if kind == 2 else NOT_TCP
    if ethertype == layers.WCCP:
        if end - at < 1:
            return TRUNCATED
        # Version 2 puts 4 bytes in front of the packet under the same type.
        return unwrap(layers.IPV4, at if u8_at(address, at) >> 4 == 4 else at + 4, _GRE)
    return wrapped(tunnelled(ethertype, at), _GRE)


@part
def read_vxlan(address: int, at: int, end: int) -> int:
    """Return the step past a VXLAN header (RFC 7348), with its generic protocol extension."""
    if end - at < 8:
        return TRUNCATED
    flags = u8_at(address, at)
    if flags & 8 == 0:
        return NOT_TCP
    if flags & 4 and u8_at(address, at + 3):
        return wrapped(go_next_protocol(u8_at(address, at + 3), at + 8), _VXLAN)
    return unwrap(layers.ETHERNET, at + 8, _VXLAN)


@part
def read_gtpu(address: int, at: int, end: int) -> int:
    """Return the step past a GTP-U header (TS 29.281, 5.1) and its extension headers to an IP packet."""
    if end - at < 8:
        return TRUNCATED
    flags = u8_at(address, at)
    if flags & 0xF0 != 0x30 or u8_at(address, at + 1) != 0xFF:
        return NOT_TCP
    if flags & 7 == 0:
        at += 8
    else:
        if end - at < 12:
            return TRUNCATED
        extension = u8_at(address, at + 11) if flags & 4 else 0
        at += 12
        while extension:
            if end - at < 1:
                return TRUNCATED
            length = u8_at(address, at) << 2
            if length == 0:
                return BAD_HEADER
            at += length
            if end < at:
                return TRUNCATED
            extension = u8_at(address, at - 1)
    if end - at < 1:
        return TRUNCATED
    nibble = u8_at(address, at) >> 4
    return unwrap(layers.IP, at, _GTPU) if nibble == 4 or nibble == 6 else NOT_TCP


@part
def read_teredo(address: int, at: int, end: int) -> int:
    """Return the step past Teredo's authentication and origin indications (RFC 4380, 5.1.1) to an IPv6 packet."""
    if end - at < 4:
        return TRUNCATED
    if be16_at(address, at) == 1:
        at += 13 + u8_at(address, at + 2) + u8_at(address, at + 3)
        if end - at < 2:
            return TRUNCATED
    if be16_at(address, at) == 0:
        at += 8
        if end - at < 1:
            return TRUNCATED
    return unwrap(layers.IPV6, at, _TEREDO) if u8_at(address, at) >> 4 == 6 else NOT_TCP


@part
def read_l2tp3_data(address: int, at: int, end: int) -> int:
    """Return the step into an L2TPv3 session: sizes of cookie and sublayer are agreed elsewhere, so each is tried."""
    for skip in range(0, 16, 4):
        if looks_like_ethernet(address, at + skip, end):
            return unwrap(layers.ETHERNET, at + skip, _L2TP)
    return NOT_TCP


@part
def read_l2tp(address: int, at: int, end: int) -> int:
    """Return the step past an L2TP header over UDP (RFC 2661, RFC 3931)."""
    if end - at < 8:
        return TRUNCATED
    flags = be16_at(address, at)
    if flags & _L2TP_CONTROL:
        return NOT_TCP
    if flags & 15 == 3:
        return read_l2tp3_data(address, at + 8, end)
    if flags & 15 != 2:
        return NOT_TCP
    at += 8 if flags & _L2TP_LENGTH else 6
    at += 4 if flags & _L2TP_SEQUENCE else 0
    if flags & _L2TP_OFFSET:
        if end - at < 2:
            return TRUNCATED
        at += 2 + be16_at(address, at)
    return unwrap(layers.PPP, at, _L2TP)


@part
def read_udp(address: int, at: int, end: int) -> int:
    """Return the step into a tunnel over UDP, known by its port."""
    if end - at < 8:
        return TRUNCATED
    source = be16_at(address, at)
    port = be16_at(address, at + 2)
    at += 8
    if port == layers.VXLAN_PORT or port == layers.VXLAN_LINUX_PORT or port == layers.VXLAN_GPE_PORT:
        return read_vxlan(address, at, end)
    if port == layers.GTPU_PORT or source == layers.GTPU_PORT:
        return read_gtpu(address, at, end)
    if port == layers.GENEVE_PORT:
        if end - at < 8:
            return TRUNCATED
        first = u8_at(address, at)
        if first >> 6:
            return NOT_TCP
        return wrapped(tunnelled(be16_at(address, at + 2), at + 8 + ((first & 0x3F) << 2)), _GENEVE)
    if port == layers.TEREDO_PORT or source == layers.TEREDO_PORT:
        return read_teredo(address, at, end)
    if port == layers.L2TP_PORT or source == layers.L2TP_PORT:
        return read_l2tp(address, at, end)
    if port == layers.GRE_PORT:
        return go(layers.GRE, at)
    return go(layers.MPLS, at) if port == layers.MPLS_PORT else NOT_TCP


@part
def read_protocol(layer: int, address: int, at: int, end: int) -> int:
    """Return the step past the payload header of an IP protocol that is neither TCP nor ICMP."""
    if layer == layers.UDP:
        return read_udp(address, at, end)
    if layer == layers.GRE:
        return read_gre(address, at, end)
    if layer == layers.IPIP or layer == layers.IPIP_OLD:
        return unwrap(layers.IP, at, _IPIP)
    if layer == layers.SIXIN4:
        return unwrap(layers.IPV6, at, _SIXIN4)
    if layer == layers.AUTHENTICATION:
        if end - at < 8:
            return TRUNCATED
        return go(layers.PROTOCOL + u8_at(address, at), at + ((u8_at(address, at + 1) + 2) << 2))
    if layer == layers.ETHERIP:
        if end - at < 2:
            return TRUNCATED
        return unwrap(layers.ETHERNET, at + 2, _OTHER) if u8_at(address, at) >> 4 == 3 else NOT_TCP
    if layer == layers.L2TP_IP:
        if end - at < 4:
            return TRUNCATED
        return read_l2tp3_data(address, at + 4, end) if be32_at(address, at) else NOT_TCP
    if layer == layers.MPLS_IP:
        return go(layers.MPLS, at)
    if layer == layers.ETHERNET_IP:
        return unwrap(layers.ETHERNET, at, _OTHER)
    return NOT_TCP

"""The general decoder: one layer after the other, until TCP, an ICMP error or a reason to drop the frame."""

from __future__ import annotations

from typing import Any

from lastack.kernels.decode_ethertype import read_ethertype
from lastack.kernels.decode_ip import read_ipv4, read_ipv6
from lastack.kernels.decode_link import read_link, start_of
from lastack.kernels.decode_tcp import read_quoted_tcp, read_tcp
from lastack.kernels.decode_tunnel import read_protocol
from lastack.kernels.decode_words import (
    AT_MASK,
    BAD_HEADER,
    ICMP_ERROR,
    LAYER_MASK,
    LAYER_SHIFT,
    NOT_IP,
    NOT_TCP,
    TOO_DEEP,
    TRUNCATED,
    WRAP_SHIFT,
    be16_at,
    i64,
    part,
    segment_at,
    u8_at,
)
from lastack.model.enums import Encap
from lastack.wire import layers

_VLAN, _QINQ = int(Encap.vlan), int(Encap.qinq)
_MAX_U32 = 0xFFFFFFFF
_IS_QUOTED = 0x10000


@part
def read_ip(address: int, at: int, end: int, quoted: int, seg: Any) -> int:
    """Return the step past an IP header of the version that its first nibble tells."""
    if end - at < 1:
        return TRUNCATED
    version = u8_at(address, at) >> 4
    if version == 4:
        return read_ipv4(address, at, end, quoted, seg)
    return read_ipv6(address, at, end, quoted, seg) if version == 6 else BAD_HEADER


@part
def quotes_a_lost_packet(layer: int, kind: int) -> bool:
    """Return whether an ICMP type says that the packet it quotes did not arrive."""
    if layer == layers.ICMPV6:
        return kind == 1 or kind == 3
    return kind == 3 or kind == 11


@part
def decode_layers(address: int, caplen: int, wirelen: int, link: int, seg: Any) -> int:
    """Return what `decode_frame` returns, for any link type and wrapping."""
    wire_end = min(max(wirelen, caplen), _MAX_U32)
    seg.payload = wire_end
    seg.ack = wire_end
    seg.encap = 0
    seg.vlan = 0
    seg.meta = 0
    end = i64(caplen)
    step = start_of(link, i64(0))
    wrappings = i64(0)
    quoted = i64(0)  # type and code of the ICMP error whose quotation is being read
    seen_ip = False
    while step >= 0:
        wrapping = step >> WRAP_SHIFT
        layer = step >> LAYER_SHIFT & LAYER_MASK
        at = step & AT_MASK
        if wrapping:
            wrappings += 1
            if wrappings > layers.MAX_WRAPPINGS:
                return -TOO_DEEP
            tagged = wrapping - 1 == _VLAN and (i64(seg.encap) == _VLAN or i64(seg.encap) == _QINQ)
            seg.encap = _QINQ if tagged else wrapping - 1
        if layer == layers.TCP:
            if not quoted:
                return -read_tcp(address, at, end, i64(seg.payload), seg)
            if read_quoted_tcp(address, at, min(end, i64(seg.payload)), quoted & 0xFFFF, seg):
                return -ICMP_ERROR
            break
        if layer == layers.IPV4:
            seen_ip = True
            step = read_ipv4(address, at, end, quoted, seg)
        elif layer == layers.IPV6:
            seen_ip = True
            step = read_ipv6(address, at, end, quoted, seg)
        elif layer == layers.IP:
            seen_ip = True
            step = read_ip(address, at, end, quoted, seg)
        elif quoted:
            break
        elif layer == layers.ICMP or layer == layers.ICMPV6:
            quoted = _IS_QUOTED
            if end - at < 8 or not quotes_a_lost_packet(layer, u8_at(address, at)):
                break
            quoted |= be16_at(address, at)
            step = (layers.IPV4 if layer == layers.ICMP else layers.IPV6) << LAYER_SHIFT | (at + 8)
        elif layer >= layers.FIRST_ETHERTYPE:
            step = read_ethertype(layer, address, at, end, i64(seg.payload), seg)
        elif layer >= layers.PROTOCOL:
            step = read_protocol(layer, address, at, end)
        else:
            step = read_link(layer, address, at, end)
    if quoted:
        seg.meta = 0
        return -ICMP_ERROR
    return -NOT_TCP if step == NOT_IP and seen_ip else -step


def decode_segment(address: int, caplen: int, wirelen: int, link: int, segment: int) -> int:
    """Return what `decode_layers` returns; the segment is given by its address, so that C can call this."""
    return decode_layers(address, caplen, wirelen, link, segment_at(segment))

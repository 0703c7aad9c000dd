"""IPv4 and IPv6 headers: each takes the layer off, and leaves addresses, TTL and the end on the wire in the segment.

While a frame is being taken apart its segment is the scratch pad: `lo` holds the source, `hi` the destination,
`payload` the offset at which the current IP packet ends on the wire and `ack` the offset at which the frame does: no
length is believed beyond it, but those of headers inside the first fragment of a tunnel packet.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels.decode_words import (
    BAD_HEADER,
    FRAGMENT,
    TRUNCATED,
    be16_at,
    be32_at,
    be64_at,
    go,
    i64,
    part,
    u8_at,
    u64,
)
from lastack.model.batch import META_HAS_IPID
from lastack.wire.layers import PROTOCOL

IPV4_HEADER = 20
IPV6_HEADER = 40
V4_MAPPED = 0xFFFF00000000
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_IPV6_IN_IP, _IP_IN_IP = 41, 4
_MOBILITY, _HIP, _SHIM6 = 135, 139, 140
_OPT_PAD1, _OPT_JUMBO = 0, 0xC2
_MAX_U32 = 0xFFFFFFFF
_MORE_V4, _MORE_V6 = 0x2000, 1  # flags: more fragments follow


@part
def read_ipv4(address: int, at: int, end: int, quoted: int, seg: Any) -> int:
    """Return the step past an IPv4 header.

    A quoted header's length is not believed: old routers rewrite it (RFC 1812, 4.3.2.3).
    """
    if end - at < IPV4_HEADER:
        return TRUNCATED
    first = u8_at(address, at)
    header = (first & 15) << 2
    if first >> 4 != 4 or header < IPV4_HEADER:
        return BAD_HEADER
    total = be16_at(address, at + 2)
    if total and not quoted:
        if total < header:
            return BAD_HEADER
        seg.payload = min(at + total, i64(seg.ack))
    fragment = be16_at(address, at + 6)
    if fragment & 0x1FFF:
        return FRAGMENT
    if fragment & _MORE_V4:
        seg.ack = _MAX_U32
    if end - at < header:
        return TRUNCATED
    seg.ipid = be16_at(address, at + 4)
    seg.ttl = u8_at(address, at + 8)
    seg.meta = META_HAS_IPID
    seg.lo0 = u64(0)
    seg.hi0 = u64(0)
    seg.lo1 = u64(be32_at(address, at + 12)) | u64(V4_MAPPED)
    seg.hi1 = u64(be32_at(address, at + 16)) | u64(V4_MAPPED)
    return go(PROTOCOL + u8_at(address, at + 9), at + header)


@part
def jumbo_length(address: int, at: int, end: int) -> int:
    """Return the length in a jumbo payload option (RFC 2675) among the options at [at, end), or 0."""
    while at + 6 <= end:
        option = u8_at(address, at)
        if option == _OPT_JUMBO:
            return be32_at(address, at + 2)
        at += 1 if option == _OPT_PAD1 else 2 + u8_at(address, at + 1)
    return 0


@part
def read_ipv6(address: int, at: int, end: int, quoted: int, seg: Any) -> int:
    """Return the step past an IPv6 header and its extension headers."""
    if end - at < IPV6_HEADER:
        return TRUNCATED
    if u8_at(address, at) >> 4 != 6:
        return BAD_HEADER
    length = be16_at(address, at + 4)
    if length and not quoted:
        seg.payload = min(at + IPV6_HEADER + length, i64(seg.ack))
    seg.ttl = u8_at(address, at + 7)
    seg.ipid = 0
    seg.meta = 0
    seg.lo0 = be64_at(address, at + 8)
    seg.lo1 = be64_at(address, at + 16)
    seg.hi0 = be64_at(address, at + 24)
    seg.hi1 = be64_at(address, at + 32)
    after = u8_at(address, at + 6)
    at += IPV6_HEADER
    if after == _HOP_BY_HOP and length == 0 and not quoted and end - at >= 8:
        jumbo = jumbo_length(address, at + 2, min(end, at + ((u8_at(address, at + 1) + 1) << 3)))
        if jumbo:
            seg.payload = min(at + jumbo, i64(seg.ack))
    while True:
        if after == _AUTHENTICATION:
            unit, more = 2, 2
        elif after == _FRAGMENT:
            unit, more = 0, 8
        elif (
            after == _HOP_BY_HOP
            or after == _ROUTING
            or after == _DESTINATION
            or after == _MOBILITY
            or after == _HIP
            or after == _SHIM6
        ):
            unit, more = 3, 1
        else:
            break
        if end - at < 8:
            return TRUNCATED
        if after == _FRAGMENT:
            fragment = be16_at(address, at + 2)
            if fragment & 0xFFF8:
                return FRAGMENT
            if fragment & _MORE_V6:
                seg.ack = _MAX_U32
        after = u8_at(address, at)
        at += more if unit == 0 else (u8_at(address, at + 1) + more) << unit
    # 4-in-6 and 6-in-6 are both "IP in IP"; only IPv6 in IPv4 has a name of its own.
    if after == _IPV6_IN_IP:
        after = _IP_IN_IP
    return go(PROTOCOL + after, at)

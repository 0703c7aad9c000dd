"""From one captured frame to one TCP segment: the way that nearly all packets take, and the door to the rest.

Ethernet or a cooked capture with up to two VLAN tags, or raw IP; then IPv4 without options or IPv6 without extension
headers; then TCP: that is decoded here in about ten nanoseconds. What is plainly not TCP is dropped here too.
Whatever differs goes through the general decoder (`decode_layers`), which gives the same answers, but slower.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import kernel
from lastack.kernels.decode_rare import decode_rare
from lastack.kernels.decode_tcp import TCP_HEADER, order_ends, put_key, window_scale
from lastack.kernels.decode_words import (
    BAD_HEADER,
    ICMP_ERROR,
    NOT_IP,
    NOT_TCP,
    be16_at,
    be32_at,
    be64_at,
    hot,
    i64,
    le32_at,
    part,
    u8_at,
    u64,
)
from lastack.kernels.flowhash import flow_hash
from lastack.model.batch import META_HAS_IPID, META_ICMP, NO_WSCALE, SYN
from lastack.wire import layers

_EN10MB, _SLL, _SLL2 = 1, 113, 276
_RAW, _RAW_BSD, _IPV4, _IPV6 = 101, 12, 228, 229
_TAG, _SERVICE_TAG = layers.VLAN_TYPES[:2]
_ARP, _LLDP, _EAPOL = 0x0806, 0x88CC, 0x888E
_SNAP, _NLPID, _IP_SAP, _MAX_LENGTH_FIELD = 0xAAAA, 0xFEFE, 0x0606, 1500
_HOP_BY_HOP, _ICMP, _IGMP, _TCP, _UDP, _ICMPV6 = 0, 1, 2, 6, 17, 58
_V4_MAPPED = 0xFFFF00000000
_V4_TCP = 40  # an IPv4 header without options and a TCP header without
_V6_TCP = 60
_FRAGMENT_PROTOCOL = 0xFF00FF1F  # of bytes 6 to 9 of an IPv4 header, least significant first
UNDECIDED = -100  #: not one of the common kinds: `decode_rare` knows


@part
def other_protocol(address: int, at: int, protocol: int) -> int:
    """Return why at least 8 bytes of an IP payload hold no TCP; undecided if they may be a tunnel or quote TCP."""
    if protocol == _UDP:
        source = be16_at(address, at)
        port = be16_at(address, at + 2)
        tunnel = (
            port == layers.VXLAN_PORT
            or port == layers.VXLAN_LINUX_PORT
            or port == layers.VXLAN_GPE_PORT
            or port == layers.GENEVE_PORT
            or port == layers.GRE_PORT
            or port == layers.MPLS_PORT
            or port == layers.GTPU_PORT
            or port == layers.TEREDO_PORT
            or port == layers.L2TP_PORT
            or source == layers.GTPU_PORT
            or source == layers.TEREDO_PORT
            or source == layers.L2TP_PORT
        )
        return UNDECIDED if tunnel else NOT_TCP
    kind = u8_at(address, at)
    if (protocol == _ICMP and (kind == 0 or kind == 8)) or (protocol == _ICMPV6 and kind >= 128):
        return ICMP_ERROR  # quotes nothing
    return NOT_TCP if protocol == _IGMP else UNDECIDED


@part
def no_plain_tcp(ethertype: int, address: int, at: int, left: int) -> int:
    """Return why there is no TCP behind an Ethernet type, else undecided: there may be, but not in the plain way.

    Without what is said here of the chatter of a LAN, the first spanning tree, IGMP or MLD packet would have the
    general decoder compiled.
    """
    if ethertype == _ARP or ethertype == _LLDP or ethertype == _EAPOL:
        return NOT_IP
    if ethertype <= _MAX_LENGTH_FIELD and left >= 3:
        saps = be16_at(address, at)
        return UNDECIDED if saps == _SNAP or saps == _NLPID or saps == _IP_SAP else NOT_IP
    if ethertype == layers.IPV4 and left >= 24 and be16_at(address, at + 6) & 0x1FFF == 0:
        protocol = u8_at(address, at + 9)
        if u8_at(address, at) == 0x45 and left >= 28 and be16_at(address, at + 2) >= 28:
            return UNDECIDED if protocol == _TCP else other_protocol(address, at + 20, protocol)
        # IGMP has a router alert option (RFC 3376, 4).
        if u8_at(address, at) == 0x46 and be16_at(address, at + 2) >= 24 and protocol == _IGMP:
            return NOT_TCP
    if ethertype == layers.IPV6 and left >= 48 and u8_at(address, at) >> 4 == 6:
        protocol = u8_at(address, at + 6)
        if protocol == _HOP_BY_HOP:
            # MLD has a router alert in 8 bytes of it (RFC 3810, 5).
            mld = left >= 56 and be16_at(address, at + 40) == _ICMPV6 << 8 and u8_at(address, at + 48) >= 128
            return ICMP_ERROR if mld else UNDECIDED
        return UNDECIDED if protocol == _TCP else other_protocol(address, at + 40, protocol)
    return UNDECIDED


@part
def start_of_ip(address: int, caplen: int, link: int) -> int:
    """Return offset << 16 | Ethernet type of what a frame of a common link type other than Ethernet holds, else 0."""
    if link == _SLL2 and caplen >= 40:
        return 20 << 16 | be16_at(address, 0)
    if link == _SLL and caplen >= 36:
        return 16 << 16 | be16_at(address, 14)
    if (link == _RAW or link == _RAW_BSD or link == _IPV4 or link == _IPV6) and caplen >= 20:
        version = u8_at(address, 0) >> 4
        if (link == _IPV4 and version != 4) or (link == _IPV6 and version != 6):
            return 0
        return layers.IPV4 if version == 4 else layers.IPV6
    return 0


@hot
def decode_common(address: int, caplen: int, wirelen: int, link: int, place: Any, target: Any) -> int:
    """Return the wrapping (`Encap`) of a frame of the common kinds and fill its segment.

    Else the answer is negative: minus the drop reason, or undecided. An ICMP error among these quotes nothing.

    Args:
        address: Address of the frame's first byte, unsigned.
        caplen: Bytes captured.
        wirelen: Bytes on the wire.
        link: Link type number of the capture file.
        place: Called with `target` and the hash of the session once it is sure that there is a segment; returns the
            SEGMENT to fill. A segment that is written once, where it stays, costs a third less than one that is copied.
        target: For `place`.
    """
    if link == _EN10MB:
        if caplen < 34:
            return UNDECIDED
        ethertype = be16_at(address, 12)
        at = i64(14)
    else:
        start = start_of_ip(address, caplen, link)
        if start == 0:
            return UNDECIDED
        ethertype = start & 0xFFFF
        at = start >> 16
    # An IP length may claim more than the frame had on the wire; a damaged file, more captured than on the wire.
    # Found here and not where the payload is computed: there it would cost four times as much.
    frame_end = max(wirelen, caplen)
    vlan = i64(0)
    tags: int = i64(0)  # also the value of Encap: none, vlan, qinq
    if ethertype == _TAG or ethertype == _SERVICE_TAG:
        vlan = be16_at(address, at) & 0xFFF
        ethertype = be16_at(address, at + 2)
        at += 4
        tags = i64(1)
        if ethertype == _TAG:
            vlan = be16_at(address, at) & 0xFFF
            ethertype = be16_at(address, at + 2)
            at += 4
            tags = i64(2)
    left = caplen - at
    if ethertype == layers.IPV4:
        tcp = at + 20
        total = be16_at(address, at + 2)
        # Fragment offset 0 and protocol 6 in one comparison.
        plain = left >= _V4_TCP and (le32_at(address, at + 6) & _FRAGMENT_PROTOCOL) == _TCP << 24
        if not plain or u8_at(address, at) != 0x45 or total < _V4_TCP:
            return no_plain_tcp(ethertype, address, at, left)
        header = u8_at(address, tcp + 12) >> 4 << 2
        if header < TCP_HEADER:
            return BAD_HEADER
        # Address << 16 | port of both ends in one word each: what `order_ends` does, in half the steps.
        both = be64_at(address, at + 12)
        ports = u64(be32_at(address, tcp))
        sender = (both >> u64(32) << u64(16)) | (ports >> u64(16))
        receiver = ((both & u64(0xFFFFFFFF)) << u64(16)) | (ports & u64(0xFFFF))
        from_hi = i64(sender > receiver)
        change = (sender ^ receiver) & (u64(0) - u64(from_hi))
        lo = sender ^ change
        hi = receiver ^ change
        lo1 = (lo >> u64(16)) | u64(_V4_MAPPED)
        hi1 = (hi >> u64(16)) | u64(_V4_MAPPED)
        lo_hi = ((lo & u64(0xFFFF)) << u64(16)) | (hi & u64(0xFFFF))
        h = flow_hash(u64(0), lo1, u64(0), hi1, lo_hi)
        seg = place(target, h)
        put_key(seg, u64(0), lo1, u64(0), hi1, i64(lo_hi), META_HAS_IPID | from_hi, h)
        seg.ipid = be16_at(address, at + 4)
        seg.ttl = u8_at(address, at + 8)
        wire_end = min(at + total, frame_end)
    elif ethertype == layers.IPV6:
        if left < _V6_TCP or u8_at(address, at) >> 4 != 6 or u8_at(address, at + 6) != _TCP:
            return no_plain_tcp(ethertype, address, at, left)
        length = be16_at(address, at + 4)
        if length < TCP_HEADER:
            return UNDECIDED
        tcp = at + 40
        header = u8_at(address, tcp + 12) >> 4 << 2
        if header < TCP_HEADER:
            return BAD_HEADER
        src0 = be64_at(address, at + 8)
        src1 = be64_at(address, at + 16)
        dst0 = be64_at(address, at + 24)
        dst1 = be64_at(address, at + 32)
        lo0, lo1, hi0, hi1, ordered, from_hi = order_ends(src0, src1, dst0, dst1, be32_at(address, tcp))
        h = flow_hash(lo0, lo1, hi0, hi1, u64(ordered))
        seg = place(target, h)
        put_key(seg, lo0, lo1, hi0, hi1, ordered, from_hi, h)
        seg.ipid = 0
        seg.ttl = u8_at(address, at + 7)
        wire_end = min(tcp + length, frame_end)
    else:
        return no_plain_tcp(ethertype, address, at, left)
    flags = u8_at(address, tcp + 13)
    seg.seq = be32_at(address, tcp + 4)
    seg.ack = be32_at(address, tcp + 8)
    seg.tcp_flags = flags
    seg.window = be16_at(address, tcp + 14)
    seg.payload = max(wire_end - tcp - header, 0)
    seg.vlan = vlan
    seg.encap = tags
    seg.wscale = NO_WSCALE
    if flags & SYN:
        seg.wscale = window_scale(address, tcp + TCP_HEADER, min(tcp + header, caplen, wire_end))
    return tags


@hot
def _at_once(target: Any, h: int) -> Any:
    """Return the segment that the caller wants filled."""
    return target


@hot
def decode_frame(address: Any, caplen: Any, wirelen: Any, link: Any, seg: Any) -> int:
    """Return 0 and fill the segment, or return why there is none (`lastack.model.enums.Drop`).

    All fields but `ts_ns` and `origin` are filled. For `Drop.icmp_error` with `META_ICMP` in `meta` they are those
    of the quoted header; after any other drop they mean nothing. Nothing outside the captured bytes is read.

    Args:
        address: Address of the frame's first byte, unsigned.
        caplen: Bytes captured.
        wirelen: Bytes on the wire.
        link: Link type number of the capture file.
        seg: A record of `lastack.model.batch.SEGMENT`; also the scratch pad.
    """
    result = decode_common(address, caplen, wirelen, link, _at_once, seg)
    if result >= 0:
        return 0
    if result == UNDECIDED:
        return decode_rare(address, caplen, wirelen, link, seg)
    if result == ICMP_ERROR:
        seg.meta = 0
    return -result


@kernel
def decode_many(base: int, frames: Any, segments: Any, counts: Any) -> int:
    """Return how many segments were made of frames, in order; ICMP errors that quote TCP are among them.

    Args:
        base: Address that the frames' offsets count from.
        frames: Array of `FRAME`.
        segments: Array of `SEGMENT`, one for each frame.
        counts: Packets by `Drop` reason, added to; int64, one for each reason.
    """
    made = 0
    for i in range(len(frames)):
        frame = frames[i]
        seg = segments[made]
        seg.ts_ns = frame.ts_ns
        seg.origin = u64(i + 1)
        address = u64(base) + u64(frame.offset)
        reason = decode_frame(address, i64(frame.caplen), i64(frame.wirelen), i64(frame.link), seg)
        counts[reason] += 1
        if reason == 0 or (reason == -ICMP_ERROR and i64(seg.meta) & META_ICMP):
            made += 1
    return made

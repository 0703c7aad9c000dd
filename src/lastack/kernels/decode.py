"""From one captured frame to one TCP segment: the way that nearly all packets take, and the door to the rest.

Ethernet or a cooked capture with up to two VLAN tags, or raw IP; then IPv4 without options or IPv6 without extension
headers; then TCP: that is decoded here in about ten nanoseconds. What is plainly not TCP is dropped here too.
Whatever differs goes through the general decoder (`decode_layers`), which gives the same answers, but slower.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import kernel
from lastack.kernels.decode_rare import decode_rare
from lastack.kernels.decode_tcp import TCP_HEADER, set_key, window_scale
from lastack.kernels.decode_words import be16_at, be32_at, be64_at, hot, i64, part, u8_at, u64
from lastack.model.batch import META_HAS_IPID, META_ICMP, NO_WSCALE, SYN
from lastack.model.enums import Drop
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
_UNDECIDED = -1
_NOT_IP, _NOT_TCP, _BAD_HEADER = int(Drop.not_ip), int(Drop.not_tcp), int(Drop.bad_header)
_ICMP_ERROR = int(Drop.icmp_error)


@part
def other_protocol(address: int, at: int, protocol: int, seg: Any) -> int:
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
        return _UNDECIDED if tunnel else _NOT_TCP
    kind = u8_at(address, at)
    if (protocol == _ICMP and (kind == 0 or kind == 8)) or (protocol == _ICMPV6 and kind >= 128):
        seg.meta = 0  # quotes nothing
        return _ICMP_ERROR
    return _NOT_TCP if protocol == _IGMP else _UNDECIDED


@part
def chatter(ethertype: int, address: int, at: int, left: int, seg: Any) -> int:
    """Return the drop reason of what every LAN says all the time, else undecided.

    Without this, the first spanning tree, IGMP or MLD packet would have the general decoder compiled.
    """
    if ethertype == _ARP or ethertype == _LLDP or ethertype == _EAPOL:
        return _NOT_IP
    if ethertype <= _MAX_LENGTH_FIELD and left >= 3:
        saps = be16_at(address, at)
        return _UNDECIDED if saps == _SNAP or saps == _NLPID or saps == _IP_SAP else _NOT_IP
    if ethertype == layers.IPV4 and left >= 24:
        # IGMP has a router alert option (RFC 3376, 4).
        plain = u8_at(address, at) == 0x46 and be16_at(address, at + 6) & 0x1FFF == 0
        if plain and be16_at(address, at + 2) >= 24 and u8_at(address, at + 9) == _IGMP:
            return _NOT_TCP
    if ethertype == layers.IPV6 and left >= 56 and be16_at(address, at + 40) == _ICMPV6 << 8:
        # MLD has it in a hop-by-hop header of 8 bytes (RFC 3810, 5).
        if u8_at(address, at) >> 4 == 6 and u8_at(address, at + 6) == 0 and u8_at(address, at + 48) >= 128:
            seg.meta = 0
            return _ICMP_ERROR
    return _UNDECIDED


@hot
def decode_common(address: int, caplen: int, wirelen: int, link: int, seg: Any) -> int:
    """Return what `decode_frame` returns for a frame of the common kinds, else undecided."""
    if link == _EN10MB and caplen >= 34:
        ethertype = be16_at(address, 12)
        at = i64(14)
    elif link == _SLL2 and caplen >= 40:
        ethertype = be16_at(address, 0)
        at = i64(20)
    elif link == _SLL and caplen >= 36:
        ethertype = be16_at(address, 14)
        at = i64(16)
    elif (link == _RAW or link == _RAW_BSD or link == _IPV4 or link == _IPV6) and caplen >= 20:
        version = u8_at(address, 0) >> 4
        if (link == _IPV4 and version != 4) or (link == _IPV6 and version != 6):
            return _UNDECIDED
        ethertype = i64(layers.IPV4) if version == 4 else i64(layers.IPV6)
        at = i64(0)
    else:
        return _UNDECIDED
    # An IP length may claim more than the frame had on the wire; a damaged file, more captured than on the wire.
    # Found here and not where the payload is computed: there it would cost four times as much.
    frame_end = max(wirelen, caplen)
    vlan = i64(0)
    tags = i64(0)  # also the value of Encap: none, vlan, qinq
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
        if left < 28:
            return chatter(ethertype, address, at, left, seg)
        total = be16_at(address, at + 2)
        if (u8_at(address, at) ^ 0x45) | (be16_at(address, at + 6) & 0x1FFF) or total < 28:
            return chatter(ethertype, address, at, left, seg)
        protocol = u8_at(address, at + 9)
        if protocol != _TCP:
            return other_protocol(address, at + 20, protocol, seg)
        if left < _V4_TCP or total < _V4_TCP:
            return _UNDECIDED
        src0 = u64(0)
        dst0 = u64(0)
        src1 = u64(be32_at(address, at + 12)) | u64(_V4_MAPPED)
        dst1 = u64(be32_at(address, at + 16)) | u64(_V4_MAPPED)
        seg.ipid = be16_at(address, at + 4)
        seg.ttl = u8_at(address, at + 8)
        meta = i64(META_HAS_IPID)
        tcp = at + 20
        wire_end = min(at + total, frame_end)
    elif ethertype == layers.IPV6:
        if left < 48:
            return _UNDECIDED
        if u8_at(address, at) >> 4 != 6:
            return _UNDECIDED
        protocol = u8_at(address, at + 6)
        if protocol == _HOP_BY_HOP:
            return chatter(ethertype, address, at, left, seg)
        if protocol != _TCP:
            return other_protocol(address, at + 40, protocol, seg)
        length = be16_at(address, at + 4)
        if left < _V6_TCP or length < TCP_HEADER:
            return _UNDECIDED
        src0 = be64_at(address, at + 8)
        src1 = be64_at(address, at + 16)
        dst0 = be64_at(address, at + 24)
        dst1 = be64_at(address, at + 32)
        seg.ipid = 0
        seg.ttl = u8_at(address, at + 7)
        meta = i64(0)
        tcp = at + 40
        wire_end = min(tcp + length, frame_end)
    else:
        return chatter(ethertype, address, at, left, seg)
    header = u8_at(address, tcp + 12) >> 4 << 2
    if header < TCP_HEADER:
        return _BAD_HEADER
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
    set_key(seg, src0, src1, dst0, dst1, be32_at(address, tcp), meta)
    return 0


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
    reason = decode_common(address, caplen, wirelen, link, seg)
    if reason == _UNDECIDED:
        reason = decode_rare(address, caplen, wirelen, link, seg)
    return reason


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
        if reason == 0 or (reason == _ICMP_ERROR and i64(seg.meta) & META_ICMP):
            made += 1
    return made

"""From one captured frame to one TCP segment: the way that nearly all packets take, and the door to the rest.

Ethernet with up to two VLAN tags, then IPv4 without options or IPv6 without extension headers, then TCP, all of it
captured, is decoded here in about ten nanoseconds. Whatever differs goes through `decode_layers`.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel
from lastack.kernels.decode_layers import decode_layers
from lastack.kernels.decode_tcp import TCP_HEADER, set_key, window_scale
from lastack.kernels.decode_words import be16_at, be32_at, be64_at, i64, u8_at, u64
from lastack.model.batch import META_HAS_IPID, META_ICMP, NO_WSCALE, SYN
from lastack.model.enums import Drop
from lastack.wire import layers

_EN10MB = 1
_TAG, _SERVICE_TAG = layers.VLAN_TYPES[:2]
_TCP = layers.TCP - layers.PROTOCOL
_ICMP = int(Drop.icmp_error)
_BAD_HEADER = int(Drop.bad_header)
_V4_MAPPED = 0xFFFF00000000
_V4_TCP = 40  # an IPv4 header without options and a TCP header without
_V6_TCP = 60


@helper
def decode_frame(address: int, caplen: int, wirelen: int, link: int, seg: Any) -> int:
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
    if link != _EN10MB or caplen < 14 + _V4_TCP:
        return decode_layers(address, caplen, wirelen, link, seg)
    ethertype = be16_at(address, 12)
    at = i64(14)
    vlan = i64(0)
    tags = i64(0)  # also the value of Encap: none, vlan, qinq
    if ethertype == _TAG or ethertype == _SERVICE_TAG:
        vlan = be16_at(address, 14) & 0xFFF
        ethertype = be16_at(address, 16)
        at = i64(18)
        tags = i64(1)
        if ethertype == _TAG:
            vlan = be16_at(address, 18) & 0xFFF
            ethertype = be16_at(address, 20)
            at = i64(22)
            tags = i64(2)
    left = caplen - at
    if ethertype == layers.IPV4 and left >= _V4_TCP:
        total = be16_at(address, at + 2)
        odd = (u8_at(address, at) ^ 0x45) | (be16_at(address, at + 6) & 0x1FFF) | (u8_at(address, at + 9) ^ _TCP)
        if odd or total < _V4_TCP:
            return decode_layers(address, caplen, wirelen, link, seg)
        src0 = u64(0)
        dst0 = u64(0)
        src1 = u64(be32_at(address, at + 12)) | u64(_V4_MAPPED)
        dst1 = u64(be32_at(address, at + 16)) | u64(_V4_MAPPED)
        seg.ipid = be16_at(address, at + 4)
        seg.ttl = u8_at(address, at + 8)
        meta = i64(META_HAS_IPID)
        tcp = at + 20
        wire_end = at + total
    elif ethertype == layers.IPV6 and left >= _V6_TCP:
        length = be16_at(address, at + 4)
        odd = (u8_at(address, at) >> 4 ^ 6) | (u8_at(address, at + 6) ^ _TCP)
        if odd or length < TCP_HEADER:
            return decode_layers(address, caplen, wirelen, link, seg)
        src0 = be64_at(address, at + 8)
        src1 = be64_at(address, at + 16)
        dst0 = be64_at(address, at + 24)
        dst1 = be64_at(address, at + 32)
        seg.ipid = 0
        seg.ttl = u8_at(address, at + 7)
        meta = i64(0)
        tcp = at + 40
        wire_end = tcp + length
    else:
        return decode_layers(address, caplen, wirelen, link, seg)
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
        if reason == 0 or (reason == _ICMP and i64(seg.meta) & META_ICMP):
            made += 1
    return made

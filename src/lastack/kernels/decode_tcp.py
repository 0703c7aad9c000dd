"""The last step of decoding: a TCP header, or its first 8 bytes in an ICMP quotation, becomes a segment."""

from __future__ import annotations

from typing import Any

from lastack.kernels.decode_words import BAD_HEADER, TRUNCATED, be16_at, be32_at, hot, i64, part, u8_at, u64
from lastack.kernels.flowhash import flow_hash
from lastack.model.batch import META_FROM_HI, META_ICMP, NO_WSCALE, SYN

TCP_HEADER = 20
_WITH_FLAGS = 14  # bytes of header up to and with the flags
_WITH_WINDOW = 16
_QUOTED = 8  # what every router quotes of a transport header (RFC 792): ports and sequence number
_OPT_END, _OPT_NOP, _OPT_WSCALE = 0, 1, 3


@hot
def order_ends(src0: int, src1: int, dst0: int, dst1: int, ports: int) -> tuple[int, int, int, int, int, int]:
    """Return the ends in order as (lo0, lo1, hi0, hi1, ports of both), and 1 if the sender is the higher one.

    `ports` is source << 16 | destination. The direction of a packet is a coin toss to the branch predictor, so the
    ends are exchanged under a mask.
    """
    swapped = (ports & 0xFFFF) << 16 | ports >> 16
    above1 = (src1 > dst1) | ((src1 == dst1) & (ports > swapped))
    from_hi = i64((src0 > dst0) | ((src0 == dst0) & above1))
    mask = u64(0) - u64(from_hi)
    change0 = (src0 ^ dst0) & mask
    change1 = (src1 ^ dst1) & mask
    lo_hi = ports ^ ((ports ^ swapped) & -from_hi)
    return src0 ^ change0, src1 ^ change1, dst0 ^ change0, dst1 ^ change1, lo_hi, from_hi


@hot
def put_key(seg: Any, lo0: int, lo1: int, hi0: int, hi1: int, ports: int, meta: int, h: int) -> None:
    """Fill the ends, hash, shard and meta of a segment; `h` is the `flow_hash` of the ends."""
    seg.lo0 = lo0
    seg.lo1 = lo1
    seg.hi0 = hi0
    seg.hi1 = hi1
    seg.ports = ports
    seg.meta = meta
    seg.hash = i64(h & u64(0xFFFFFFFF))
    seg.shard = i64(h >> u64(56))


@hot
def set_key(seg: Any, src0: int, src1: int, dst0: int, dst1: int, ports: int, meta: int) -> None:
    """Fill the ends, hash, shard and meta of a segment; `ports` is source << 16 | destination."""
    lo0, lo1, hi0, hi1, lo_hi, from_hi = order_ends(src0, src1, dst0, dst1, ports)
    put_key(seg, lo0, lo1, hi0, hi1, lo_hi, meta | from_hi, flow_hash(lo0, lo1, hi0, hi1, u64(lo_hi)))


assert META_FROM_HI == 1, "`from_hi` is used as this bit"


@part
def window_scale(address: int, at: int, end: int) -> int:
    """Return the shift of the window scale option among the options at [at, end), or NO_WSCALE."""
    while at < end:
        kind = u8_at(address, at)
        if kind == _OPT_END:
            break
        if kind == _OPT_NOP:
            at += 1
            continue
        if at + 1 >= end:
            break
        length = u8_at(address, at + 1)
        if kind == _OPT_WSCALE and length == 3 and at + 2 < end:
            return u8_at(address, at + 2)
        if length < 2:
            break
        at += length
    return NO_WSCALE


@part
def read_tcp(address: int, at: int, end: int, wire_end: int, seg: Any) -> int:
    """Return 0 with the segment of the TCP header at an offset, or a negated drop reason.

    Addresses (source in `lo`, destination in `hi`), `meta`, `ttl`, `ipid`, `vlan` and `encap` are in place.
    """
    have = min(end, wire_end) - at
    if have < _WITH_FLAGS:
        return TRUNCATED
    header = u8_at(address, at + 12) >> 4 << 2
    if header < TCP_HEADER:
        return BAD_HEADER
    flags = u8_at(address, at + 13)
    seg.seq = be32_at(address, at + 4)
    seg.ack = be32_at(address, at + 8)
    seg.tcp_flags = flags
    seg.window = be16_at(address, at + 14) if have >= _WITH_WINDOW else 0
    seg.payload = max(wire_end - at - header, 0)
    seg.wscale = window_scale(address, at + TCP_HEADER, at + min(header, have)) if flags & SYN else NO_WSCALE
    ports = be32_at(address, at)
    set_key(seg, u64(seg.lo0), u64(seg.lo1), u64(seg.hi0), u64(seg.hi1), ports, i64(seg.meta))
    return 0


@part
def read_quoted_tcp(address: int, at: int, end: int, type_code: int, seg: Any) -> int:
    """Return True with the key of the TCP header that an ICMP error quotes, False if too little is there."""
    if end - at < _QUOTED:
        return False
    seg.seq = be32_at(address, at + 4)
    seg.ack = 0
    seg.tcp_flags = 0
    seg.window = type_code
    seg.payload = 0
    seg.wscale = NO_WSCALE
    ports = be32_at(address, at)
    meta = i64(seg.meta) | META_ICMP
    set_key(seg, u64(seg.lo0), u64(seg.lo1), u64(seg.hi0), u64(seg.hi1), ports, meta)
    return True

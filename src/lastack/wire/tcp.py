"""TCP headers and the segment that a frame is decoded into, readably."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.model.batch import NO_WSCALE, SYN
from lastack.model.enums import Drop, Encap
from lastack.wire.view import Dropped, View, Walk


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment, or the header that an ICMP error quotes.

    Attributes:
        source: Address of the sender, 16 bytes.
        destination: Address of the receiver, 16 bytes.
        sport: Port of the sender.
        dport: Port of the receiver.
        seq: Sequence number.
        ack: Acknowledgement number.
        flags: CWR ECE URG ACK PSH RST SYN FIN.
        window: As sent; of a quotation, the ICMP error's type << 8 | code.
        payload: Bytes of payload on the wire.
        wscale: Window scale option, NO_WSCALE without one.
        ttl: TTL or hop limit.
        ipid: IPv4 identification, None for IPv6.
        vlan: Innermost VLAN id.
        encap: The wrapping that was taken off last.
        quoted: Whether an ICMP error quotes this header.
    """

    source: bytes
    destination: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    payload: int
    wscale: int
    ttl: int
    ipid: int | None
    vlan: int
    encap: Encap
    quoted: bool = False


def window_scale(options: bytes) -> int:
    """Return the shift of the window scale option (RFC 7323), or NO_WSCALE."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 == len(options) or options[at + 1] < 2:
            break
        if options[at] == 3 and options[at + 1] == 3 and at + 2 < len(options):
            return options[at + 2]
        at += options[at + 1]
    return NO_WSCALE


def read_tcp(view: View, walk: Walk) -> Segment:
    """Return the segment of a TCP header (RFC 9293, 3.1); what lies behind the IP packet's end is not of it."""
    inside = View(view.data[: max(walk.wire_end, 0)], view.at)
    inside.need(14)
    header = inside.u8(12) // 16 * 4
    if header < 20:
        raise Dropped(Drop.bad_header)
    flags = inside.u8(13)
    options = inside.data[view.at + 20 : view.at + header]
    return Segment(
        source=walk.source,
        destination=walk.destination,
        sport=inside.u16(0),
        dport=inside.u16(2),
        seq=inside.u32(4),
        ack=inside.u32(8),
        flags=flags,
        window=inside.u16(14) if inside.left() >= 16 else 0,
        payload=max(walk.wire_end - view.at - header, 0),
        wscale=window_scale(options) if flags & SYN else NO_WSCALE,
        ttl=walk.ttl,
        ipid=walk.ipid,
        vlan=walk.vlan,
        encap=walk.encap,
    )


def read_quoted_tcp(view: View, walk: Walk, type_code: int) -> Segment:
    """Return what the first 8 bytes of a quoted TCP header tell."""
    inside = View(view.data[: max(walk.wire_end, 0)], view.at)
    inside.need(8)
    return Segment(
        source=walk.source,
        destination=walk.destination,
        sport=inside.u16(0),
        dport=inside.u16(2),
        seq=inside.u32(4),
        ack=0,
        flags=0,
        window=type_code,
        payload=0,
        wscale=NO_WSCALE,
        ttl=walk.ttl,
        ipid=walk.ipid,
        vlan=walk.vlan,
        encap=walk.encap,
        quoted=True,
    )

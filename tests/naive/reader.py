"""A slow, independent reader: capture file -> `Packet`s in order and drops by reason."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from tests.naive.files import Frame, frames_of, frames_of_file
from tests.naive.links import Drop, Wrap, ethernet, ethertype, need, ppp, to_ip, u16
from tests.naive.packets import Capture, Icmp, Packet

TCP, UDP, ICMP, ICMP6, GRE, IPIP, IP6 = 6, 17, 1, 58, 47, 4, 41
EXTENSIONS = (0, 43, 60, 135)  # hop-by-hop, routing, destination options, mobility: length in units of 8
UDP_TUNNELS = {4789: "vxlan", 6081: "geneve", 2152: "gtpu", 3544: "teredo", 1701: "l2tp"}


def read(source: Path | bytes) -> Capture:
    """Return the segments and the drops of a capture, given as a path or as its bytes."""
    frames = frames_of(source) if isinstance(source, bytes) else frames_of_file(Path(source))
    capture = Capture()
    for frame in frames:
        capture.frames += 1
        try:
            packet = segment(frame)
        except Drop as reason:
            word = str(reason)
        else:
            capture.packets.append(packet)
            if packet.icmp is None:
                continue
            word = "icmp_error"
        capture.drops[word] = capture.drops.get(word, 0) + 1
    return capture


def segment(frame: Frame) -> Packet:
    """Return the segment that a frame carries.

    Raises:
        Drop: It carries none; the text says why.
    """
    wrap = Wrap()
    data = to_ip(frame.link, frame.data, wrap)
    before = len(frame.data) - len(data)  # bytes below the IP header, for IP length 0
    return ip(frame, data, wrap, max(frame.wirelen, len(frame.data)) - before)


def address(raw: bytes) -> str:
    """Return the text of an address; IPv4 mapped into IPv6 is IPv4."""
    value = ipaddress.ip_address(raw)
    mapped = value.ipv4_mapped if isinstance(value, ipaddress.IPv6Address) else None
    return str(mapped or value)


def ip(frame: Frame, data: bytes, wrap: Wrap, wire: int, fragment: int = 0) -> Packet:
    """Follow an IP header; `wire` is the bytes on the wire from here on, `fragment` whether a fragment carries it."""
    need(data, 1)
    version = data[0] >> 4
    if version == 4:
        need(data, 20)
        header = (data[0] & 15) * 4
        if header < 20:
            raise Drop("bad_header")
        total = u16(data, 2) or wire
        if u16(data, 6) & 0x1FFF:
            raise Drop("fragment")
        more = u16(data, 6) & 0x2000
        protocol, ttl, ipid = data[9], data[8], u16(data, 4)
        src, dst = address(data[12:16]), address(data[16:20])
        need(data, header)
    elif version == 6:
        need(data, 40)
        protocol, header, jumbo, part = extensions(data)
        if part >> 3:
            raise Drop("fragment")
        more = part & 1
        length = u16(data, 4) or jumbo
        total = 40 + length if length else wire
        ttl, ipid = data[7], None
        src, dst = address(data[8:24]), address(data[24:40])
    else:
        raise Drop("bad_header")
    if total < header:
        raise Drop("bad_header")
    body, left, rest = data[header:], total - header, wire - header
    if not fragment:  # of a fragmented tunnel packet the rest is in other frames
        left = min(left, rest)
    if protocol == TCP:
        return tcp(frame, body, wrap, left, (src, dst, ttl, ipid))
    if protocol in (ICMP, ICMP6):
        return icmp(frame, body[:left], wrap, protocol == ICMP6)
    return tunnel(frame, protocol, body, wrap, rest, version, fragment | more)


def extensions(data: bytes) -> tuple[int, int, int, int]:
    """Return protocol, header length, jumbo length (0 without) and fragment field of an IPv6 packet."""
    protocol, at, jumbo, part = data[6], 40, 0, 0
    while protocol in EXTENSIONS or protocol in (44, 51):
        need(data, at + 8)
        following = data[at]
        if protocol == 44:
            part |= u16(data, at + 2)
            length = 8
        elif protocol == 51:
            length = (data[at + 1] + 2) * 4
        else:
            length = (data[at + 1] + 1) * 8
        if protocol == 0:
            jumbo = jumbo_length(data[at + 2 : at + length]) or jumbo
        at += length
        if part >> 3:
            break
        protocol = following
    return protocol, at, jumbo, part


def jumbo_length(options: bytes) -> int:
    """Return the length of a jumbo payload option, 0 without one."""
    at = 0
    while at + 2 <= len(options):
        if options[at] == 0:
            at += 1
            continue
        if options[at] == 0xC2 and at + 6 <= len(options):
            return int.from_bytes(options[at + 2 : at + 6], "big")
        at += 2 + options[at + 1]
    return 0


def tcp(frame: Frame, data: bytes, wrap: Wrap, left: int, lower: tuple[str, str, int, int | None]) -> Packet:
    """Read a TCP header; `left` is the bytes on the wire from here on by the IP length."""
    data = data[:left]
    need(data, 14)
    offset = (data[12] >> 4) * 4
    if offset < 20:
        raise Drop("bad_header")
    src, dst, ttl, ipid = lower
    return Packet(
        frame.ts_ns, src, u16(data, 0), dst, u16(data, 2),
        int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big"), data[13],
        max(0, left - offset), u16(data, 14) if len(data) >= 16 else 0, window_scale(data[20:offset]),
        ttl, ipid, wrap.encap, wrap.vlan, frame.number,
    )  # fmt: skip


def window_scale(options: bytes) -> int | None:
    """Return the shift of a window scale option, None without one."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2 or at + options[at + 1] > len(options):
            return None
        if options[at] == 3 and options[at + 1] == 3:
            return options[at + 2]
        at += options[at + 1]
    return None


def icmp(frame: Frame, data: bytes, wrap: Wrap, v6: bool) -> Packet:
    """Return the quotation of a TCP header in an ICMP error, else drop the packet as `icmp_error`."""
    wanted = (1, 3) if v6 else (3, 11)
    quote = data[8:]
    if len(data) < 8 or data[0] not in wanted or not quote:
        raise Drop("icmp_error")
    if v6 and quote[0] >> 4 == 6 and len(quote) >= 48 and quote[6] == TCP:
        src, dst, inner, ttl = address(quote[8:24]), address(quote[24:40]), quote[40:], quote[7]
    elif not v6 and quote[0] >> 4 == 4 and len(quote) >= 28 and quote[9] == TCP:
        if u16(quote, 6) & 0x1FFF:
            raise Drop("icmp_error")
        header = (quote[0] & 15) * 4
        src, dst, inner, ttl = address(quote[12:16]), address(quote[16:20]), quote[header:], quote[8]
    else:
        raise Drop("icmp_error")
    if len(inner) < 8:
        raise Drop("icmp_error")
    return Packet(
        frame.ts_ns, src, u16(inner, 0), dst, u16(inner, 2), int.from_bytes(inner[4:8], "big"), 0, 0, ttl=ttl,
        encap=wrap.encap, vlan=wrap.vlan, number=frame.number, icmp=Icmp(v6, data[0], data[1]),
    )  # fmt: skip


def tunnel(
    frame: Frame, protocol: int, data: bytes, wrap: Wrap, wire: int, version: int, fragment: int
) -> Packet:
    """Follow a tunnel to the IP packet inside."""

    def inner(rest: bytes) -> Packet:
        return ip(frame, rest, wrap, wire - (len(data) - len(rest)), fragment)

    if protocol in (IPIP, IP6):
        wrap.enter("sixin4" if protocol == IP6 and version == 4 else "ipip")
        return inner(data)
    if protocol == GRE:
        return inner(gre(data, wrap))
    if protocol == UDP:
        need(data, 8)
        for port in (u16(data, 2), u16(data, 0)):
            if port in UDP_TUNNELS:
                return inner(udp_tunnel(UDP_TUNNELS[port], data[8:], wrap))
    raise Drop("not_tcp")


def gre(data: bytes, wrap: Wrap) -> bytes:
    """Peel GRE with its optional words; ERSPAN types I and II, WCCP and Ethernet bridging included."""
    flags, kind = u16(data, 0), u16(data, 2)
    at = 4 + 4 * bool(flags & 0xC000) + 4 * bool(flags & 0x2000) + 4 * bool(flags & 0x1000)
    if flags & 7 == 1:  # PPTP's enhanced GRE has an acknowledgement instead
        at += 4 * bool(flags & 0x80)
    need(data, at)
    if kind == 0x88BE:
        wrap.enter("erspan")
        return ethernet(data[at + 8 * bool(flags & 0x1000) :], wrap)
    wrap.enter("gre")
    body = data[at:]
    if kind == 0x883E:  # WCCP: a redirect header of 4 bytes unless IP starts at once
        return body if body[:1] and body[0] >> 4 == 4 else body[4:]
    if kind == 0x6558:
        return ethernet(body, wrap)
    if kind == 0x880B:
        return ppp(body, wrap)
    return ethertype(kind, body, wrap)


def udp_tunnel(name: str, data: bytes, wrap: Wrap) -> bytes:
    """Peel VXLAN, Geneve, GTP-U, Teredo or L2TP."""
    wrap.enter(name)
    if name == "vxlan":
        need(data, 8)
        return ethernet(data[8:], wrap)
    if name == "geneve":
        need(data, 8)
        return ethertype_or_bridge(u16(data, 2), data[8 + 4 * (data[0] & 0x3F) :], wrap)
    if name == "gtpu":
        need(data, 8)
        if data[1] != 0xFF:
            raise Drop("not_tcp")
        at = 12 if data[0] & 7 else 8
        following = data[11] if data[0] & 4 and len(data) > 11 else 0
        while following:
            need(data, at + 1)
            length = max(1, data[at]) * 4
            need(data, at + length)
            following = data[at + length - 1]
            at += length
        return data[at:]
    if name == "teredo":
        if (
            data[:2] == b"\0\1"
        ):  # authentication (RFC 4380, 5.1.1): client identifier and value, nonce, confirmation
            need(data, 4)
            data = data[4 + data[2] + data[3] + 9 :]
        if data[:2] == b"\0\0":
            data = data[8:]
        if data[:1] and data[0] >> 4 == 6:
            return data
    if (
        name == "l2tp"
    ):  # RFC 2661: data messages of version 2; with length, sequence numbers and offset as flags say
        need(data, 8)
        flags = u16(data, 0)
        if flags & 0x800F == 2:
            at = 6 + 2 * bool(flags & 0x4000) + 4 * bool(flags & 0x0800)
            if flags & 0x0200:
                at += 2 + u16(data, at)
            return ppp(data[at:], wrap)
    raise Drop("not_tcp")


def ethertype_or_bridge(kind: int, data: bytes, wrap: Wrap) -> bytes:
    """Follow an EtherType that may also be Ethernet in Ethernet."""
    return ethernet(data, wrap) if kind == 0x6558 else ethertype(kind, data, wrap)

"""Packets as a capture file that any tool reads: classic pcap, nanoseconds, raw IP (link type 101).

Frames are cut after the TCP header, as a short snap length would do: sizes are told by the headers.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from pathlib import Path

from tests.naive.packets import Packet

RAW = 101
LONGEST_IP = 65535
ROUTER4, ROUTER6 = "192.0.2.254", "2001:db8::fe"


def write(path: Path, packets: Iterable[Packet]) -> Path:
    """Write a capture file and return its path."""
    path.write_bytes(to_bytes(packets))
    return path


def to_bytes(packets: Iterable[Packet]) -> bytes:
    """Return the packets as the bytes of a capture file."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, RAW)]
    for packet in packets:
        data, wirelen = _quotation(packet) if packet.icmp else _segment(packet)
        seconds, nanoseconds = divmod(packet.ts_ns, 10**9)
        parts.append(struct.pack("<IIII", seconds, nanoseconds, len(data), wirelen) + data)
    return b"".join(parts)


def _segment(packet: Packet) -> tuple[bytes, int]:
    options = b"" if packet.wscale is None else struct.pack("BBBB", 3, 3, packet.wscale, 0)
    header = struct.pack(
        ">HHIIBBHHH",
        packet.sport, packet.dport, packet.seq, packet.ack, (20 + len(options)) << 2, packet.flags,
        packet.window, 0, 0,
    )  # fmt: skip
    tcp = header + options
    ip = _ip(packet.src, packet.dst, 6, len(tcp) + packet.payload, packet.ttl, packet.ipid or 0)
    return ip + tcp, len(ip) + len(tcp) + packet.payload


def _ip(src: str, dst: str, protocol: int, length: int, ttl: int, ipid: int) -> bytes:
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if source.version == 6:
        total = length if length <= LONGEST_IP else 0
        return struct.pack(">IHBB", 6 << 28, total, protocol, ttl) + source.packed + target.packed
    # A length that does not fit is written as 0, as segmentation offload does: the frame's counts then.
    total = 20 + length if 20 + length <= LONGEST_IP else 0
    start = struct.pack(">BBHHHBBH", 0x45, 0, total, ipid, 0, ttl, protocol, 0)
    return start + source.packed + target.packed


def _quotation(packet: Packet) -> tuple[bytes, int]:
    assert packet.icmp is not None, "only ICMP errors quote"
    inner = _ip(packet.src, packet.dst, 6, 20, packet.ttl, 0) + struct.pack(
        ">HHI", packet.sport, packet.dport, packet.seq
    )
    body = struct.pack(">BBHI", packet.icmp.type, packet.icmp.code, 0, 0) + inner
    router, protocol = (ROUTER6, 58) if packet.icmp.v6 else (ROUTER4, 1)
    data = _ip(router, packet.src, protocol, len(body), 64, 0) + body
    return data, len(data)

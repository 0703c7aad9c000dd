"""RSTs that a box sends in the name of an end: as the answer to a segment, or when an entry expires."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from lastack.emulator.fragments import _ip_at
from lastack.model.batch import ACK, FIN, RST, SYN
from lastack.wire.build import checksum

_RAW_IP = 101
_MOST_MACS = 65_536


class Macs:
    """The link header with which frames of an address came, so that a RST can be sent to it."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[bool, bytes]] = OrderedDict()

    def learn(self, frame: memoryview, inside: bool, link: int) -> None:
        """Remember the sender's side and link header, swapped."""
        if link == _RAW_IP:
            return
        at = _ip_at(frame, link)
        if at < 0:
            return
        version = frame[at] >> 4
        sender = bytes(frame[at + 12 : at + 16] if version == 4 else frame[at + 8 : at + 24])
        if sender not in self._known:
            self._known[sender] = (inside, swapped(frame, at))
            if len(self._known) > _MOST_MACS:
                self._known.popitem(last=False)

    def header_to(self, address: bytes) -> tuple[bool, bytes] | None:
        """Return side and link header for a frame to an address, None if it was never seen."""
        return self._known.get(address)


def swapped(frame: memoryview, at: int) -> bytes:
    """Return the link header of an answer to a frame whose IP header is at `at`."""
    return bytes(frame[6:12]) + bytes(frame[0:6]) + bytes(frame[12:at]) if at else b""


def answer_reset(frame: memoryview, link: int) -> bytes:
    """Return the RST that answers a segment (RFC 9293, 3.10.7.1), in the name of its receiver; empty for a RST."""
    at = _ip_at(frame, link)
    if at < 0:
        return b""
    version = frame[at] >> 4
    tcp = at + ((frame[at] & 15) * 4 if version == 4 else 40)
    if len(frame) < tcp + 20 or (version == 6 and frame[at + 6] != 6):
        return b""
    sport, dport, seq, ack = struct.unpack_from(">HHII", frame, tcp)
    flags = frame[tcp + 13]
    if flags & RST:
        return b""
    if version == 4:
        source, target = bytes(frame[at + 12 : at + 16]), bytes(frame[at + 16 : at + 20])
        total = frame[at + 2] << 8 | frame[at + 3]
        length = total - (tcp - at) - (frame[tcp + 12] >> 4) * 4
    else:
        source, target = bytes(frame[at + 8 : at + 24]), bytes(frame[at + 24 : at + 40])
        length = (frame[at + 4] << 8 | frame[at + 5]) - (frame[tcp + 12] >> 4) * 4
    if flags & ACK:
        segment = (dport, sport, ack, 0, RST)
    else:
        occupied = max(length, 0) + bool(flags & SYN) + bool(flags & FIN)
        segment = (dport, sport, 0, (seq + occupied) & 0xFFFFFFFF, RST | ACK)
    return swapped(frame, at) + packet(target, source, *segment)


def packet(source: bytes, target: bytes, sport: int, dport: int, seq: int, ack: int, flags: int) -> bytes:
    """Return an IP packet with a segment without payload.

    Args:
        source: Packed address, 4 or 16 bytes.
        target: The same.
        sport: Source port.
        dport: Destination port.
        seq: Sequence number.
        ack: Acknowledgment number.
        flags: TCP flags.
    """
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 0, 0, 0)
    pseudo = source + target + struct.pack(">II", len(tcp), 6)
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + source + target + tcp
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + source + target
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + tcp


def expiry_resets(life: Any, mask: int, link: int, macs: Macs) -> Iterator[tuple[bool, bytes]]:
    """Yield the RSTs of an expired entry as (towards the inside, frame).

    Args:
        life: LIFE record of the entry.
        mask: `lastack.firewall.table.Reset`: which ends get one.
        link: What frames begin with.
        macs: Where the ends are.
    """
    opener = int(life["opener"])
    ports = int(life["ports"])
    ends = []
    for half, port in (("lo", ports >> 16), ("hi", ports & 0xFFFF)):
        packed = int(life[f"{half}0"]).to_bytes(8, "big") + int(life[f"{half}1"]).to_bytes(8, "big")
        ends.append((packed[12:] if packed[:12] == b"\0" * 10 + b"\xff\xff" else packed, port))
    for bit, to in ((1, opener), (2, 1 - opener)):
        if not mask & bit:
            continue
        (target, dport), (source, sport) = ends[to], ends[1 - to]
        # the receiver expects what it has acknowledged; without an ACK what the other end has sent
        seq = int(life["ack"][to]) or int(life["end"][1 - to])
        made = packet(source, target, sport, dport, seq, int(life["end"][to]), RST | ACK)
        if link == _RAW_IP:
            yield bit == 1, made
            continue
        known = macs.header_to(target)
        if known is not None:
            yield known[0], known[1] + made

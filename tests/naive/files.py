"""Frames of a capture file: classic pcap in all its magics, pcapng, and either under gzip."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: magic read as big-endian -> (byte order, nanoseconds a tick, bytes of a record header)
PCAP_MAGICS = {
    0xA1B2C3D4: (">", 1000, 16),
    0xD4C3B2A1: ("<", 1000, 16),
    0xA1B23C4D: (">", 1, 16),
    0x4D3CB2A1: ("<", 1, 16),
    0xA1B2CD34: (">", 1000, 24),  # Kuznetzov's patched libpcap
    0x34CDB2A1: ("<", 1000, 24),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: `wirelen` is its length before the snap length cut it."""

    number: int
    ts_ns: int
    link: int
    wirelen: int
    data: bytes


def frames_of(blob: bytes) -> Iterator[Frame]:
    """Yield the frames of a capture file given as bytes, in file order, numbered from 1."""
    if blob[:2] == b"\x1f\x8b":
        blob = _gunzip(blob)
    magic = int.from_bytes(blob[:4], "big")
    if magic in PCAP_MAGICS:
        yield from _pcap(blob, *PCAP_MAGICS[magic])
    elif magic == 0x0A0D0D0A:
        yield from _pcapng(blob)
    else:
        raise ValueError(f"not a capture: magic {magic:#010x}")


def frames_of_file(path: Path) -> Iterator[Frame]:
    """Yield the frames of a capture file."""
    return frames_of(path.read_bytes())


def _gunzip(blob: bytes) -> bytes:
    try:
        return gzip.decompress(blob)
    except (EOFError, OSError):  # a cut archive: keep what can be had
        import zlib

        return zlib.decompressobj(31).decompress(blob)


def _pcap(blob: bytes, order: str, tick: int, header: int) -> Iterator[Frame]:
    major, minor = struct.unpack_from(order + "HH", blob, 4)
    (link,) = struct.unpack_from(order + "I", blob, 20)
    link &= 0x03FFFFFF  # the top bits say how long the FCS is
    at, number = 24, 0
    while at + header <= len(blob):
        seconds, fraction, caplen, wirelen = struct.unpack_from(order + "IIII", blob, at)
        if (major, minor) < (2, 3) or ((major, minor) == (2, 3) and caplen > wirelen):
            caplen, wirelen = wirelen, caplen
        at += header
        if at + caplen > len(blob):
            return
        number += 1
        yield Frame(number, seconds * 10**9 + fraction * tick, link, wirelen, blob[at : at + caplen])
        at += caplen


def _pcapng(blob: bytes) -> Iterator[Frame]:
    at, number, order = 0, 0, "<"
    interfaces: list[tuple[int, int, int, int]] = []  # link, snaplen, ticks a second, offset in seconds
    while at + 12 <= len(blob):
        if blob[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if blob[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", blob, at)
        if length < 12 or at + length > len(blob):
            return
        body = blob[at + 8 : at + length - 4]
        at += length
        if kind == 1:
            interfaces.append(_interface(body, order))
        elif kind in (2, 6):  # the obsolete packet block and the enhanced one
            number += 1
            if kind == 6:
                iface, high, low, caplen, wirelen = struct.unpack_from(order + "IIIII", body)
            else:
                iface, _, high, low, caplen, wirelen = struct.unpack_from(order + "HHIIII", body)
            link, _, rate, offset = interfaces[iface]
            ticks = (high << 32) | low
            ts_ns = (ticks * 10**9) // rate + offset * 10**9
            yield Frame(number, ts_ns, link, wirelen, body[20 : 20 + caplen])
        elif kind == 3:
            number += 1
            (wirelen,) = struct.unpack_from(order + "I", body)
            link, snaplen, _, _ = interfaces[0]
            caplen = min(wirelen, snaplen or wirelen, len(body) - 4)
            yield Frame(number, 0, link, wirelen, body[4 : 4 + caplen])


def _interface(body: bytes, order: str) -> tuple[int, int, int, int]:
    link, _, snaplen = struct.unpack_from(order + "HHI", body)
    rate, offset, at = 10**6, 0, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == 9 and length >= 1:
            rate = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == 14 and length >= 8:
            offset = struct.unpack_from(order + "q", value)[0]
        at += 4 + length + (-length) % 4
    return link, snaplen, rate, offset

"""Captures of every dialect, byte by byte, and the packets that a reader must find in them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastack.capture.problem import Problem
from lastack.capture.source import open_capture
from lastack.model.batch import FRAME

START_S = 1_700_000_000


@dataclass(frozen=True)
class Packet:
    """One packet as a reader hands it out."""

    ts_ns: int
    data: bytes
    wirelen: int
    link: int = 1
    iface: int = 0


def packets(
    count: int, unit_ns: int = 1000, size: Callable[[int], int] = lambda k: 60 + k % 7
) -> list[Packet]:
    """Return packets one millisecond and three units apart, each with bytes of its own."""
    made = []
    for k in range(count):
        data = bytes((k * 31 + j * 7) & 0xFF for j in range(size(k)))
        made.append(Packet(START_S * 10**9 + k * (1_000_000 + 3 * unit_ns), data, len(data) + k % 3))
    return made


def pcap(
    content: list[Packet],
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    link: int = 1,
    snaplen: int = 262_144,
) -> bytes:
    """Return a classic pcap file; the magic number says units and size of the record header."""
    unit = 1 if magic in (0xA1B23C4D, 0xA12B3C4D) else 1000
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)
    for packet in content:
        lengths = [len(packet.data), packet.wirelen]
        if version < (2, 3):
            lengths.reverse()
        seconds, ns = divmod(packet.ts_ns, 10**9)
        out += struct.pack(order + "IIII", seconds, ns // unit, *lengths)
        if magic == 0xA1B2CD34:
            out += struct.pack(order + "IHBB", 3, 8, 4, 0)
        out += packet.data
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", options: bytes = b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link: int = 1, snaplen: int = 0, order: str = "<", options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(
    ticks: int, data: bytes, wirelen: int, iface: int = 0, order: str = "<", options: bytes = b""
) -> bytes:
    head = struct.pack(order + "IIIII", iface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wirelen)
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def obsolete(ticks: int, data: bytes, wirelen: int, iface: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "HHIIII", iface, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wirelen)
    return block(2, head + data, order)


def simple(data: bytes, wirelen: int, order: str = "<") -> bytes:
    return block(3, struct.pack(order + "I", wirelen) + data, order)


def statistics(iface: int, received: int, dropped: int, order: str = "<") -> bytes:
    options = option(4, struct.pack(order + "Q", received), order) + option(
        5, struct.pack(order + "Q", dropped), order
    )
    return block(5, struct.pack(order + "III", iface, 0, 0) + options, order)


def pcapng(content: list[Packet], order: str = "<") -> bytes:
    """Return a pcapng file of one section and one interface with microseconds."""
    out = section(order) + interface(order=order)
    for packet in content:
        out += enhanced(packet.ts_ns // 1000, packet.data, packet.wirelen, order=order)
    return out


@dataclass
class Reading:
    """What came out of a capture."""

    packets: list[Packet]
    problems: list[Problem]
    kind: str
    compression: str | None

    @property
    def problem_free(self) -> bool:
        return not self.problems

    def said(self, words: str) -> bool:
        return any(words in str(problem) for problem in self.problems)


def read(path: str | Path, target: int = 1 << 20, batch: int = 64, **options: Any) -> Reading:
    """Read a whole capture through windows of some size and batches of so many frames."""
    found: list[Packet] = []
    frames = np.zeros(batch, FRAME)
    with open_capture(path, **options) as capture:
        for window in capture.windows(target):
            while count := capture.walk(window, frames):
                found += [_packet(int(window.base), frame) for frame in frames[:count]]
        return Reading(found, list(capture.problems), capture.kind, capture.compression)


def _packet(base: int, frame: Any) -> Packet:
    import ctypes

    data = ctypes.string_at(base + int(frame["offset"]), int(frame["caplen"]))
    return Packet(int(frame["ts_ns"]), data, int(frame["wirelen"]), int(frame["link"]), int(frame["iface"]))

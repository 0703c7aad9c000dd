"""Writes captured frames as pcap (nanoseconds) or pcapng, under a temporary name that is then renamed."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LINK_ETHERNET, LINK_RAW = 1, 101


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: time in ns since the epoch, length on the wire, bytes, and where it was seen."""

    ts_ns: int
    wirelen: int
    data: bytes
    interface: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """One capture point of a pcapng file."""

    name: str
    link: int
    snaplen: int
    received: int = 0
    dropped: int = 0


def write_pcap(path: Path, frames: Iterable[Frame], link: int, snaplen: int) -> None:
    """Write a classic pcap with nanosecond times."""
    with _replacing(path) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, link))
        for frame in frames:
            data = frame.data[:snaplen]
            seconds, nanoseconds = divmod(frame.ts_ns, 10**9)
            out.write(struct.pack("<IIII", seconds, nanoseconds, len(data), frame.wirelen) + data)


def write_pcapng(path: Path, frames: list[Frame], interfaces: list[Interface], application: str) -> None:
    """Write one section with its interfaces, the frames, and each interface's statistics at the end."""
    with _replacing(path) as out:
        out.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((4, application))))
        for interface in interfaces:
            options = _options((2, interface.name), (9, b"\x09"))
            out.write(_block(1, struct.pack("<HHI", interface.link, 0, interface.snaplen) + options))
        for frame in frames:
            data = frame.data[: interfaces[frame.interface].snaplen]
            head = struct.pack(
                "<IIIII",
                frame.interface,
                frame.ts_ns >> 32,
                frame.ts_ns & 0xFFFFFFFF,
                len(data),
                frame.wirelen,
            )
            out.write(_block(6, head + data + b"\0" * (-len(data) % 4)))
        last = frames[-1].ts_ns if frames else 0
        for number, interface in enumerate(interfaces):
            counts = ((4, struct.pack("<Q", interface.received)), (5, struct.pack("<Q", interface.dropped)))
            out.write(
                _block(5, struct.pack("<III", number, last >> 32, last & 0xFFFFFFFF) + _options(*counts))
            )


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(*options: tuple[int, str | bytes]) -> bytes:
    out = b""
    for code, value in options:
        raw = value.encode() if isinstance(value, str) else value
        out += struct.pack("<HH", code, len(raw)) + raw + b"\0" * (-len(raw) % 4)
    return out + b"\0\0\0\0"


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as out:
        yield out
    temporary.replace(path)

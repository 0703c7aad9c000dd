"""The blocks of pcapng that Python reads: sections, interfaces and their statistics; packets are the walker's."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.kernels.walk_state import INTERFACE, TICKS_BINARY, TICKS_OVER, TICKS_TIMES

_I64_MAX = (1 << 63) - 1
_U64_MAX = (1 << 64) - 1
_NS_PER_S = 1_000_000_000
_TEXT_LIMIT = 4096  # characters kept of one comment or name


@dataclass(slots=True)
class Section:
    """One section: everything between two section headers."""

    offset: int
    big_endian: bool
    version: tuple[int, int]
    hardware: str = ""
    os: str = ""
    application: str = ""
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Interface:
    """One interface of one section, with its statistics when the writer left them.

    Attributes:
        number: Counted through all sections of the file, from 0.
        section: Number of its section, from 0.
        link: Link type number.
        snaplen: Snap length in bytes, 0 for no limit.
        resolution: Byte of `if_tsresol`: 10^-n, or 2^-n with the top bit set.
        offset_s: Seconds that are added to each time.
        received: Packets that the interface received, if told.
        dropped: Packets that the interface dropped, if told.
        os_dropped: Packets that the operating system dropped, if told.
    """

    number: int
    section: int
    link: int
    snaplen: int
    resolution: int = 6
    offset_s: int = 0
    name: str = ""
    description: str = ""
    filter: str = ""
    hardware: str = ""
    os: str = ""
    fcs_bytes: int | None = None
    comments: list[str] = field(default_factory=list)
    received: int | None = None
    dropped: int | None = None
    os_dropped: int | None = None

    @property
    def resolution_text(self) -> str:
        """The time resolution in words, such as `10^-6 s`."""
        return resolution_text(self.resolution)


def resolution_text(resolution: int) -> str:
    """Return a byte of `if_tsresol` in words, such as `10^-6 s`."""
    return f"2^-{resolution & 0x7F} s" if resolution & 0x80 else f"10^-{resolution} s"


def byte_order(block: bytes | memoryview) -> str | None:
    """Return `<` or `>` from the byte order mark of a section header, or None if it has none."""
    mark = bytes(block[8:12])
    return {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(mark)


def _options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, position)
        value = body[position + 4 : position + 4 + size]
        if code == 0 or len(value) < size:
            return
        yield code, value
        position += 4 + (size + 3 & ~3)


def _text(value: bytes) -> str:
    return value[:_TEXT_LIMIT].split(b"\0")[0].decode("utf-8", "replace")


def parse_section(block: bytes, offset: int) -> Section | None:
    """Return the section that a whole section header block opens, or None if it is none."""
    order = byte_order(block)
    if order is None or len(block) < 28:
        return None
    section = Section(offset, order == ">", struct.unpack_from(order + "HH", block, 12))
    for code, value in _options(block[24:-4], order):
        if code == 1 and len(section.comments) < 100:
            section.comments.append(_text(value))
        elif code == 2:
            section.hardware = _text(value)
        elif code == 3:
            section.os = _text(value)
        elif code == 4:
            section.application = _text(value)
    return section


def parse_interface(block: bytes, order: str, number: int, section: int) -> Interface | None:
    """Return the interface that a whole interface description block describes, or None if the block is too short."""
    if len(block) < 20:
        return None
    link, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
    interface = Interface(number, section, link, snaplen)
    for code, value in _options(block[16:-4], order):
        if code == 1 and len(interface.comments) < 100:
            interface.comments.append(_text(value))
        elif code in _INTERFACE_TEXTS:
            setattr(interface, _INTERFACE_TEXTS[code], _text(value))
        elif code == 9 and value:
            interface.resolution = value[0]
        elif code == 11 and value:
            interface.filter = _text(value[1:]) if value[0] == 0 else f"({len(value) - 1} bytes of BPF)"
        elif code == 13 and value:
            interface.fcs_bytes = value[0]
        elif code == 14 and len(value) == 8:
            interface.offset_s = struct.unpack(order + "q", value)[0]
    return interface


_INTERFACE_TEXTS = {2: "name", 3: "description", 12: "os", 15: "hardware"}


def read_statistics(block: bytes, order: str, interfaces: list[Interface]) -> bool:
    """Note the counters of a whole interface statistics block; False if it names no known interface."""
    if len(block) < 24:
        return False
    index = struct.unpack_from(order + "I", block, 8)[0]
    if index >= len(interfaces):
        return False
    for code, value in _options(block[20:-4], order):
        if len(value) == 8 and code in _STATISTICS:
            # A later block counts from the start of the capture too, so the last one stands.
            setattr(interfaces[index], _STATISTICS[code], struct.unpack(order + "Q", value)[0])
    return True


_STATISTICS = {4: "received", 5: "dropped", 7: "os_dropped"}


def time_ns(ticks: int, interface: Interface) -> int:
    """Return the time of a packet in nanoseconds since the epoch, as the walker computes it."""
    row = walker_row(interface)
    ticks = min(ticks, int(row["limit"]))
    power = interface.resolution & 0x7F
    per_second = 1 << power if interface.resolution & 0x80 else 10**power
    return ticks * _NS_PER_S // per_second + int(row["offset_ns"])


def walker_row(interface: Interface) -> Any:
    """Return the INTERFACE record by which the walker reads the packets of an interface."""
    row = np.zeros(1, INTERFACE)
    # Beyond ±73 years of offset no sum of a real time fits; nonsense is cut there instead of wrapping.
    offset_ns = max(-(1 << 61), min(1 << 61, interface.offset_s * _NS_PER_S))
    room_ns = _I64_MAX - max(0, offset_ns)
    power = interface.resolution & 0x7F
    scale, shift = 1, 0
    if interface.resolution & 0x80:
        mode, shift = TICKS_BINARY, power
        limit = ((room_ns // _NS_PER_S) << power) - 1
    elif power <= 9:
        mode, scale = TICKS_TIMES, 10 ** (9 - power)
        limit = room_ns // scale
    elif power <= 28:
        mode, scale = TICKS_OVER, 10 ** (power - 9)
        limit = room_ns * scale
    else:
        mode, limit = TICKS_OVER, 0  # 64 bits of ticks are less than a nanosecond
    row["link"], row["snaplen"], row["number"] = interface.link, interface.snaplen, interface.number
    row["mode"], row["scale"], row["shift"] = mode, scale, shift
    row["limit"], row["offset_ns"] = min(limit, _U64_MAX), offset_ns
    return row[0]

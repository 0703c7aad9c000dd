"""The time of the first packet, read by plain Python so that ordering many files needs no compiled code."""

from __future__ import annotations

import struct

from lastack.capture.pcap import PcapHeader
from lastack.capture.pcapng import time_ns
from lastack.capture.problem import Problems
from lastack.capture.sections import READ, Sections
from lastack.kernels.walk_pcapng import (
    BLOCK_ENHANCED,
    BLOCK_INTERFACE,
    BLOCK_PACKET,
    BLOCK_SECTION,
    BLOCK_SIMPLE,
)


def first_pcap_time_ns(data: memoryview, header: PcapHeader) -> int | None:
    """Return the time of the record that some bytes begin with, or None if it is cut."""
    if len(data) < header.record_header:
        return None
    seconds, fraction = struct.unpack_from(">II" if header.big_endian else "<II", data)
    return int(seconds * 1_000_000_000 + fraction * (1 if header.nanoseconds else 1000))


def first_pcapng_time_ns(data: memoryview) -> int | None:
    """Return the time of the first packet among the blocks that some bytes begin with, or None if there is none."""
    sections = Sections(Problems())
    position = 0
    while position + 12 <= len(data):
        block = data[position:]
        kind, size = struct.unpack_from(sections.order + "II", block)
        if kind in (BLOCK_ENHANCED, BLOCK_PACKET) and len(block) >= 28:
            number, high, low = struct.unpack_from(sections.order + "III", block, 8)
            if kind == BLOCK_PACKET:
                number = struct.unpack_from(sections.order + "H", block, 8)[0]
            known = sections.interfaces[-int(sections.state["interfaces"][0]) or len(sections.interfaces) :]
            return time_ns(high << 32 | low, known[number]) if number < len(known) else None
        if kind == BLOCK_SIMPLE:
            return 0
        if kind in (BLOCK_SECTION, BLOCK_INTERFACE):
            result, size = sections.read(block, position, 1)
            if result != READ:
                return None
        elif size < 12:
            return None
        position += size
    return None

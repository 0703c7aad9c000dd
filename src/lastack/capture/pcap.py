"""The file header of classic pcap, in every dialect, and the walker's state that follows from it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.capture.formats import PCAP_MAGICS
from lastack.kernels.walk_state import KIND_PCAP, SWAP_ALWAYS, SWAP_IF_LARGER, SWAP_NEVER, WALK_STATE

HEADER_BYTES = 24

_SANE_CAPLEN = 262_144
_SANE_SNAPLEN = 16 << 20  # above this a snap length is a writer's "no limit", not a size of real packets
# Link types whose packets are legitimately huge (D-Bus, USBPcap, EBHSCR), as in libpcap.
_HUGE_LINKS = {231: 128 << 20, 249: 128 << 20, 279: 8 << 20}


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """What the file header says.

    Attributes:
        magic: Magic number as its writer meant it.
        major: Format version before the dot.
        minor: Format version after the dot.
        big_endian: Byte order of the numbers.
        nanoseconds: Times count nanoseconds instead of microseconds.
        record_header: Bytes of each record header.
        snaplen: Snap length as written.
        link: Link type number.
        fcs_bytes: Bytes of frame check sequence at the end of each frame, if the writer tells.
        size: Bytes of this header.
    """

    magic: int
    major: int
    minor: int
    big_endian: bool
    nanoseconds: bool
    record_header: int
    snaplen: int
    link: int
    fcs_bytes: int | None
    size: int

    @property
    def odd_version(self) -> bool:
        """Whether no known writer uses this version number."""
        return self.major != 2


def parse_header(head: bytes) -> PcapHeader | None:
    """Return the file header that a stream begins with, or None if there is none or it is cut."""
    if len(head) < HEADER_BYTES:
        return None
    for big_endian in (False, True):
        order = ">" if big_endian else "<"
        magic, major, minor, _, _, snaplen, network = struct.unpack_from(order + "IHHIIII", head)
        if magic in PCAP_MAGICS:
            nanoseconds, record_header, extra = PCAP_MAGICS[magic]
            # Link field: type in the low 16 bits; bit 26 says that the top 4 bits count 16-bit words of FCS.
            fcs_bytes = (network >> 28) * 2 if network & 0x0400_0000 else None
            return PcapHeader(
                magic, major, minor, big_endian, nanoseconds, record_header, snaplen, network & 0xFFFF, fcs_bytes,
                HEADER_BYTES + extra,
            )  # fmt: skip
    return None


def walk_state(header: PcapHeader) -> Any:
    """Return the WALK_STATE array of one that walks the records after a header."""
    state = np.zeros(1, WALK_STATE)
    state["kind"] = KIND_PCAP
    state["big_endian"] = header.big_endian
    state["header"] = header.record_header
    state["tick_ns"] = 1 if header.nanoseconds else 1000
    state["link"] = header.link
    state["orphan_at"] = -1
    version = (header.major, header.minor)
    state["swap_lengths"] = (
        SWAP_ALWAYS if version < (2, 3) else SWAP_IF_LARGER if version == (2, 3) else SWAP_NEVER
    )
    sane = header.snaplen if header.snaplen <= _SANE_SNAPLEN else 0
    state["limit"] = max(_SANE_CAPLEN, sane, _HUGE_LINKS.get(header.link, 0))
    return state

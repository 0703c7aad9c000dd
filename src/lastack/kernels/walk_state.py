"""What a walker knows between two calls: one record for every file format, and one for each pcapng interface.

A walker turns the bytes of a capture file into FRAME records. Python fills these records from file, section and
interface headers; the kernels only read them, except for the fields marked as answers and counters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, load_be32, load_le32

KIND_PCAP = 0
KIND_PCAPNG = 1

WALK_MORE = 0  #: the frame array is full; walk on at `next`
WALK_END = 1  #: less than one whole record lies between `next` and the end
WALK_META = 2  #: at `next` lies a whole block that Python must read before the walk goes on
WALK_CORRUPT = 3  #: what lies at `next` cannot be a record

SWAP_NEVER = 0
SWAP_IF_LARGER = 1  #: version 2.3: writers disagreed about the order of the two lengths
SWAP_ALWAYS = 2  #: version 2.2 and older

WALK_STATE = np.dtype(
    [
        ("kind", "u4"),          # KIND_*
        ("big_endian", "u4"),    # 1: numbers of this file (or section) are big-endian
        ("header", "u4"),        # pcap: bytes of a record header, 16 or 24
        ("swap_lengths", "u4"),  # pcap: SWAP_*
        ("link", "u4"),          # pcap: link type number
        ("limit", "u4"),         # pcap: most captured bytes a sane record has; pcapng: most bytes of a block
        ("tick_ns", "i8"),       # pcap: nanoseconds of one unit of the sub-second field, 1000 or 1
        ("interfaces", "u4"),    # pcapng: interfaces described so far in this section
        ("status", "u4"),        # answer: WALK_*
        ("next", "i8"),          # answer: offset after the last whole record
        ("last_ns", "i8"),       # answer: time of the latest frame
        ("packets", "u8"),       # counter: frames handed out
        ("untimed", "u8"),       # counter: frames whose block has no time (simple packet blocks; their time is 0)
        ("orphans", "u8"),       # counter: packets skipped because no interface with their number was described
        ("orphan_at", "i8"),     # answer: offset of the first such packet's block, -1 without one
    ]
)  # fmt: skip

COUNTERS = ("packets", "untimed", "orphans")

TICKS_TIMES = 0  #: ns = ticks * scale
TICKS_OVER = 1  #: ns = ticks // scale
TICKS_BINARY = 2  #: ns = ticks * 10⁹ / 2^shift

#: How to read the packets of one pcapng interface.
INTERFACE = np.dtype(
    [
        ("link", "u4"),
        ("snaplen", "u4"),    # 0: no limit
        ("number", "u4"),     # counted through all sections of the file, from 0
        ("mode", "u4"),       # TICKS_*
        ("scale", "u8"),
        ("shift", "u8"),
        ("limit", "u8"),      # ticks beyond this are taken as this: the time would not fit in 64 bits
        ("offset_ns", "i8"),
    ]
)  # fmt: skip


@helper
def load32(address: Any, big_endian: Any) -> Any:
    """Return the 32-bit number at an address in the byte order of the file."""
    if big_endian:
        return load_be32(address)
    return load_le32(address)

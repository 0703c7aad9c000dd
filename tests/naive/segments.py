"""Packets of the slow twins as the SEGMENT records that compiled code reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.naive.packets import Packet
from tests.unit.wire.guarded import reference_hash

from lastack.model.address import parse_address
from lastack.model.batch import META_FROM_HI, META_HAS_IPID, NO_WSCALE, SEGMENT


def end_key(address: str, port: int) -> tuple[bytes, int]:
    """Return what orders the ends of a session: the smaller one is `lo`."""
    return parse_address(address), port


def to_segments(packets: Sequence[Packet]) -> Any:
    """Return a SEGMENT array of packets (no quotations of ICMP errors), as the decoder would make them."""
    segments = np.zeros(len(packets), SEGMENT)
    for place, packet in enumerate(packets):
        here, there = end_key(packet.src, packet.sport), end_key(packet.dst, packet.dport)
        lo, hi = min(here, there), max(here, there)
        halves = [int.from_bytes(part, "big") for end in (lo, hi) for part in (end[0][:8], end[0][8:])]
        ports = lo[1] << 16 | hi[1]
        hashed = reference_hash(*halves, ports)
        meta = (META_FROM_HI if here == hi and lo != hi else 0) | (
            0 if packet.ipid is None else META_HAS_IPID
        )
        segments[place] = (
            packet.ts_ns, *halves, packet.number or place + 1, ports, packet.seq, packet.ack, packet.payload,
            hashed & 0xFFFFFFFF, packet.window, packet.ipid or 0, packet.vlan, packet.flags, meta, packet.ttl, 0,
            NO_WSCALE if packet.wscale is None else packet.wscale, hashed >> 56,
        )  # fmt: skip
    return segments

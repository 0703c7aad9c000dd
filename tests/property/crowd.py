"""Many conversations at once: the same packets between other ends, so that a capture has windows, shards and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st
from tests.naive.packets import Packet
from tests.property.strategies import packet_lists
from tests.property.walk import numbered


def between_others(packet: Packet, number: int) -> Packet:
    """Return a packet as others would have sent it, who are told apart by a number below 2¹⁶."""
    return replace(packet, src=_other(packet.src, number), dst=_other(packet.dst, number))


def _other(address: str, number: int) -> str:
    if ":" in address:
        return address.replace("::", f":{number:x}::")
    return f"10.{number >> 8}.{number & 255}.{address.rsplit('.', 1)[1]}"


def crowd(lists: Sequence[Sequence[Packet]], copies: int) -> list[Packet]:
    """Return packet lists side by side, in the order of their places, each between several pairs of ends."""
    longest = max(map(len, lists), default=0)
    side_by_side = [
        between_others(packets[i], number * copies + copy)
        for i in range(longest)
        for number, packets in enumerate(lists)
        if i < len(packets)
        for copy in range(copies)
    ]
    return numbered(side_by_side)


def in_time_order(packets: Sequence[Packet]) -> list[Packet]:
    """Return packets in their order with times that rise at each of them."""
    moved: list[Packet] = []
    for packet in packets:
        least = moved[-1].ts_ns + 1 if moved else packet.ts_ns
        moved.append(replace(packet, ts_ns=max(packet.ts_ns, least)))
    return moved


def crowds(copies: int = 5) -> st.SearchStrategy[list[Packet]]:
    """Return the strategy of crowds: up to six packet lists, each several times."""
    return st.lists(packet_lists(), min_size=1, max_size=6).map(lambda lists: crowd(lists, copies))

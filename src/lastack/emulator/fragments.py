"""Later fragments have no TCP header: they go the way of the first fragment of their packet."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

#: Packets remembered; the oldest is forgotten first.
_MOST = 4096
_ETHERTYPE_4, _ETHERTYPE_6 = 0x0800, 0x86DD
_FRAGMENT_HEADER = 44
_RAW_IP = 101


T = TypeVar("T")


class Remembered(Generic[T]):
    """Something about each of the packets that came in fragments lately."""

    def __init__(self) -> None:
        self._by_packet: OrderedDict[bytes, T] = OrderedDict()

    def put(self, key: bytes, what: T) -> None:
        """Remember something about a packet; the oldest packet is forgotten when there are many."""
        self._by_packet[key] = what
        if len(self._by_packet) > _MOST:
            self._by_packet.popitem(last=False)

    def get(self, key: bytes) -> T | None:
        """Return what is remembered, None if nothing is."""
        return self._by_packet.get(key)


class Fragments:
    """What was decided about the first fragments of recent packets."""

    def __init__(self) -> None:
        self._passed = Remembered[bool]()

    @staticmethod
    def first(frame: memoryview, link: int) -> bool:
        """Return whether a frame is the first fragment of a packet (offset 0, more to come)."""
        at = _ip_at(frame, link)
        if at < 0:
            return False
        if frame[at] >> 4 == 4:
            return bool(frame[at + 6] & 0x20)
        return frame[at + 6] == _FRAGMENT_HEADER

    def remember(self, frame: memoryview, link: int, *, passed: bool) -> None:
        """Keep what was decided about a first fragment."""
        key = _key(frame, link)
        if key is not None:
            self._passed.put(key, passed)

    def follows(self, frame: memoryview, link: int) -> bool:
        """Return whether the first fragment of a later one's packet was passed on."""
        key = _key(frame, link)
        return key is not None and bool(self._passed.get(key))


def _ip_at(frame: memoryview, link: int) -> int:
    """Return where the IP header is, -1 if there is none (two VLAN tags at most)."""
    at = 0
    if link != _RAW_IP:
        at = 14
        if len(frame) < 34:
            return -1
        kind = frame[12] << 8 | frame[13]
        while kind in (0x8100, 0x88A8) and at < 22 and len(frame) >= at + 4:
            kind = frame[at + 2] << 8 | frame[at + 3]
            at += 4
        if kind not in (_ETHERTYPE_4, _ETHERTYPE_6):
            return -1
    need = 20 if len(frame) > at and frame[at] >> 4 == 4 else 40
    return at if len(frame) >= at + need else -1


def _key(frame: memoryview, link: int) -> bytes | None:
    """Return what all fragments of a packet share: addresses, protocol, identification."""
    at = _ip_at(frame, link)
    if at < 0:
        return None
    if frame[at] >> 4 == 4:
        return (
            bytes(frame[at + 4 : at + 6]) + bytes(frame[at + 9 : at + 10]) + bytes(frame[at + 12 : at + 20])
        )
    if frame[at + 6] != _FRAGMENT_HEADER or len(frame) < at + 48:
        return None
    return bytes(frame[at + 44 : at + 48]) + bytes(frame[at + 8 : at + 40])

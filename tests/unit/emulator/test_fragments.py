"""Later fragments follow their first one, whatever the link, and what is remembered is bounded."""

from __future__ import annotations

from lastack.emulator.fragments import Fragments, Remembered
from lastack.wire import build

TAGGED = bytes(12) + bytes.fromhex("88a80064810000050800")


def test_follows__only_its_own_first_fragment() -> None:
    known = Fragments()
    packet = build.ipv4("10.0.0.1", "10.0.0.2", build.tcp(1, 2, payload=bytes(99)), ipid=7)
    other = build.ipv4("10.0.0.1", "10.0.0.2", build.tcp(1, 2, payload=bytes(99)), ipid=8)
    for head, link in ((b"", 101), (bytes(12) + b"\x08\x00", 1), (TAGGED, 1)):
        first, later = (memoryview(head + one.data) for one in build.ipv4_fragments(packet, 64))
        stranger = memoryview(head + build.ipv4_fragments(other, 64)[1].data)
        assert known.first(first, link)
        assert not known.first(later, link)
        known.remember(first, link, passed=True)
        assert known.follows(later, link)
        assert not known.follows(stranger, link)
        known.remember(first, link, passed=False)
        assert not known.follows(later, link)


def test_remembered__forgets_the_oldest() -> None:
    what = Remembered[int]()
    for number in range(10_000):
        what.put(number.to_bytes(4, "big"), number)
    assert what.get((9_999).to_bytes(4, "big")) == 9_999
    assert what.get((0).to_bytes(4, "big")) is None
    assert len(what._by_packet) < 10_000

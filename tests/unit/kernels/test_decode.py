"""The compiled decoder against its readable twin, frame by frame, between unreadable pages."""

from __future__ import annotations

import pytest
from tests.unit.wire import frames
from tests.unit.wire.guarded import GuardedDecoder

from lastack.model.enums import Drop
from lastack.wire import wrap
from lastack.wire.decode import decode
from lastack.wire.linktypes import LINK_TYPES

BY_LINK = list(frames.frames_by_link())
BY_WRAPPING = [(name, frame) for name, _, frame in frames.frames_by_wrapping()]
NESTED = list(frames.nested_frames())
RARE = list(frames.rare_frames())
# Cutting takes time: of the packets that end in the same code, one each.
CUT_LINKS = [row for row in BY_LINK if row[0].endswith((" v4", "v6 extensions", " icmp", "icmpv6"))]
CUT_WRAPPINGS = [row for row in BY_WRAPPING if row[0].endswith(("v4 syn-ack", " v6"))]


@pytest.fixture(scope="module")
def kernel() -> GuardedDecoder:
    return GuardedDecoder()


def same_at_every_cut(kernel: GuardedDecoder, frame: bytes, link: int) -> None:
    for length in range(len(frame) + 1):
        cut = frame[:length]
        assert kernel(cut, len(frame), link) == decode(cut, len(frame), link), f"cut to {length} bytes"


@pytest.mark.parametrize(("name", "link", "frame"), CUT_LINKS, ids=[row[0] for row in CUT_LINKS])
def test_decode__agrees_with_twin_at_every_cut_of_every_link_type(kernel, name, link, frame):
    same_at_every_cut(kernel, frame, link)


@pytest.mark.parametrize(("name", "frame"), CUT_WRAPPINGS, ids=[row[0] for row in CUT_WRAPPINGS])
def test_decode__agrees_with_twin_at_every_cut_of_every_wrapping(kernel, name, frame):
    same_at_every_cut(kernel, frame, 1)


@pytest.mark.parametrize(("name", "frame"), RARE, ids=[row[0] for row in RARE])
def test_decode__agrees_with_twin_at_every_cut_of_rare_headers(kernel, name, frame):
    same_at_every_cut(kernel, frame, 1)


@pytest.mark.parametrize("row", LINK_TYPES, ids=lambda row: f"{row.name}-{row.number}")
def test_decode__reads_every_packet_in_every_link_type(kernel, row):
    for name, link, frame in BY_LINK:
        if link == row.number:
            answer = kernel(frame, len(frame), link)
            assert answer == decode(frame, len(frame), link), name
            assert answer.segment is not None, name


def test_decode__reads_cisco_hdlc_and_framed_ppp_of_link_type_ppp(kernel):
    # Serial lines of Cisco routers are kept as PPP, whatever runs on them.
    for name, packet in frames.packets():
        for inside in (104, 50):
            frame = wrap.frame(packet, inside)
            answer = kernel(frame, len(frame), 9)
            assert answer == decode(frame, len(frame), 9) == kernel(frame, len(frame), inside), name
            assert answer.segment is not None, name


def test_decode__reads_ip_behind_a_juniper_header_without_link_layer(kernel):
    for name, packet in frames.packets():
        frame = b"MGC\x02" + bytes(4) + packet.data
        answer = kernel(frame, len(frame), 178)
        assert answer == decode(frame, len(frame), 178), name
        assert answer.segment is not None, name
        same_at_every_cut(kernel, frame, 178)


def test_decode__reads_every_packet_in_every_wrapping(kernel):
    for name, encap, frame in frames.frames_by_wrapping():
        answer = kernel(frame, len(frame), 1)
        assert answer == decode(frame, len(frame), 1), name
        assert answer.segment is not None, name
        assert answer.segment.encap is encap, name


def test_decode__reads_every_pair_of_wrappings(kernel):
    for name, frame in NESTED:
        answer = kernel(frame, len(frame), 1)
        assert answer == decode(frame, len(frame), 1), name
        assert answer.drop is Drop.none, name


@pytest.mark.parametrize(("name", "link", "frame"), BY_LINK[::13], ids=[row[0] for row in BY_LINK[::13]])
def test_decode__agrees_with_twin_on_every_changed_byte(kernel, name, link, frame):
    for at in range(len(frame)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            bad = bytearray(frame)
            bad[at] ^= flip
            assert kernel(bytes(bad), len(frame), link) == decode(bytes(bad), len(frame), link), (at, flip)


CHATTER = {
    "arp": bytes(12) + b"\x08\x06" + bytes(28),
    "lldp": bytes(12) + b"\x88\xcc" + bytes(46),
    "spanning tree": bytes(12) + b"\0\x26\x42\x42\x03" + bytes(43),
    "igmp": bytes(12) + b"\x08\0\x46" + bytes(2) + b"\x20" + bytes(5) + b"\x02" + bytes(22),
    "mld": bytes(12)
    + b"\x86\xdd\x60"
    + bytes(4)
    + b"\x24\0\1"
    + bytes(32)
    + b"\x3a\0\5\2"
    + bytes(4)
    + b"\x8f"
    + bytes(27),
    "ping": bytes(12)
    + b"\x08\0\x45"
    + bytes(2)
    + b"\x54"
    + bytes(5)
    + b"\x01"
    + bytes(10)
    + b"\x08"
    + bytes(63),
    "neighbour": bytes(12) + b"\x86\xdd\x60" + bytes(4) + b"\x20\x3a\xff" + bytes(32) + b"\x87" + bytes(31),
    "dns": bytes(12)
    + b"\x08\0\x45"
    + bytes(2)
    + b"\x54"
    + bytes(5)
    + b"\x11"
    + bytes(10)
    + b"\0\x35\0\x35"
    + bytes(60),
}


@pytest.mark.parametrize("name", CHATTER)
def test_decode__drops_the_chatter_of_a_lan_as_the_twin_does(kernel, name):
    frame = CHATTER[name]
    same_at_every_cut(kernel, frame, 1)
    for at in range(12, len(frame)):
        for value in (0, 1, 2, 6, 0x11, 0x20, 0x3A, 0x45, 0x60, 0x86, 0xAA, 0xFE, 0xFF):
            changed = frame[:at] + bytes([value]) + frame[at + 1 :]
            assert kernel(changed, len(frame), 1) == decode(changed, len(frame), 1), (at, value)


def test_decode__unknown_link_is_counted(kernel):
    for link in (2, 147, 277, 65535, 0xFFFFFFFF):
        assert kernel(bytes(80), 80, link).drop is Drop.unknown_link


def test_decode__wire_length_below_captured_length_reads_on(kernel):
    frame = next(frame for name, _, frame in BY_LINK if name == "EN10MB 1 v4 length 0")
    assert kernel(frame, 0, 1) == kernel(frame, len(frame), 1) == decode(frame, 0, 1)

"""The compiled decoder against its readable twin, frame by frame, between unreadable pages."""

from __future__ import annotations

import pytest

from lastack.model.enums import Drop
from lastack.wire.decode import decode
from tests.unit.wire import frames
from tests.unit.wire.guarded import GuardedDecoder

BY_LINK = list(frames.frames_by_link())
BY_WRAPPING = list(frames.frames_by_wrapping())
NESTED = list(frames.nested_frames())


@pytest.fixture(scope="module")
def kernel() -> GuardedDecoder:
    return GuardedDecoder()


def cut_everywhere(kernel: GuardedDecoder, frame: bytes, link: int) -> None:
    for length in range(len(frame) + 1):
        cut = frame[:length]
        assert kernel(cut, len(frame), link) == decode(cut, len(frame), link), f"cut to {length} bytes"


@pytest.mark.parametrize(("name", "link", "frame"), BY_LINK, ids=[row[0] for row in BY_LINK])
def test_decode__agrees_with_twin_at_every_cut_of_every_link_type(kernel, name, link, frame):
    cut_everywhere(kernel, frame, link)


@pytest.mark.parametrize(("name", "encap", "frame"), BY_WRAPPING, ids=[row[0] for row in BY_WRAPPING])
def test_decode__agrees_with_twin_at_every_cut_of_every_wrapping(kernel, name, encap, frame):
    cut_everywhere(kernel, frame, 1)


@pytest.mark.parametrize(("name", "frame"), NESTED, ids=[row[0] for row in NESTED])
def test_decode__agrees_with_twin_on_nested_wrappings(kernel, name, frame):
    answer = kernel(frame, len(frame), 1)
    assert answer == decode(frame, len(frame), 1)
    assert answer.drop is Drop.none


@pytest.mark.parametrize(("name", "link", "frame"), BY_LINK[::7], ids=[row[0] for row in BY_LINK[::7]])
def test_decode__agrees_with_twin_on_every_flipped_byte(kernel, name, link, frame):
    for at in range(len(frame)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            bad = bytearray(frame)
            bad[at] ^= flip
            assert kernel(bytes(bad), len(frame), link) == decode(bytes(bad), len(frame), link), (at, flip)


def test_decode__unknown_link_is_counted(kernel):
    for link in (2, 147, 277, 65535, 0xFFFFFFFF):
        assert kernel(bytes(80), 80, link).drop is Drop.unknown_link


def test_decode__wire_length_below_captured_length_reads_on(kernel):
    frame = dict((name, data) for name, _, data in BY_LINK)["EN10MB 1 v4 length 0"]
    assert kernel(frame, 0, 1) == kernel(frame, len(frame), 1) == decode(frame, 0, 1)

"""The compiled decoder against its readable twin on frames that nobody would send."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.wire import frames
from tests.unit.wire.guarded import GuardedDecoder

from lastack.wire.decode import decode
from lastack.wire.linktypes import LINK_TYPES

LINKS = [row.number for row in LINK_TYPES]
SEEDS = (
    [(link, frame) for _, link, frame in frames.frames_by_link()]
    + [(1, frame) for _, _, frame in frames.frames_by_wrapping()]
    + [(1, frame) for _, frame in frames.nested_frames()]
    + [(1, frame) for _, frame in frames.rare_frames()]
)
SETTINGS = settings(
    max_examples=400,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
# Values that mean something somewhere: Ethertypes, protocols, ports, flags.
WORDS = (
    "0800 86dd 8100 88a8 9100 8847 8864 8903 88e7 894f 22eb 88be 6558 880b 883e 0806 8870 0600 05dc 05dd "
    "12b5 2118 12b6 17c1 0868 0dd8 06a5 1292 19eb 0000 ffff 00 01 04 06 11 29 2f 32 33 3a 2c 2b 3c 45 46 4f "
    "60 61 ff aaaa03000000 aaaa030080c2 fefe03cc 060603 ff03 0021 21 0057 c2040001 03030e 1fff 2000 3000 b081 "
    "03 0b 0001 8000 4000 0f 8f 80211000"
)
MAGIC = [bytes.fromhex(word) for word in WORDS.split(" ")]


@pytest.fixture(scope="module")
def kernel() -> GuardedDecoder:
    return GuardedDecoder()


def same(kernel: GuardedDecoder, frame: bytes, wirelen: int, link: int) -> None:
    assert kernel(frame, wirelen, link) == decode(frame, wirelen, link)


@st.composite
def mutated(draw) -> tuple[int, bytes]:
    link, frame = draw(st.sampled_from(SEEDS))
    data = bytearray(frame)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        piece = draw(st.one_of(st.sampled_from(MAGIC), st.binary(min_size=1, max_size=2)))
        if draw(st.booleans()):
            data[at : at + len(piece)] = piece
        elif draw(st.booleans()):
            data[at:at] = piece
        else:
            del data[at : at + len(piece)]
    return link, bytes(data)


@given(case=mutated(), wirelen=st.one_of(st.none(), st.integers(0, 70000)))
@SETTINGS
def test_decode__agrees_with_twin_on_mutated_frames(kernel, case, wirelen):
    link, frame = case
    same(kernel, frame, len(frame) if wirelen is None else wirelen, link)


@given(link=st.sampled_from(LINKS), pieces=st.lists(st.sampled_from(MAGIC), max_size=40))
@SETTINGS
def test_decode__agrees_with_twin_on_magic_numbers_in_any_order(kernel, link, pieces):
    frame = b"".join(pieces)
    same(kernel, frame, len(frame), link)


@given(link=st.sampled_from(LINKS), frame=st.binary(max_size=200))
@SETTINGS
def test_decode__agrees_with_twin_on_noise(kernel, link, frame):
    same(kernel, frame, len(frame), link)

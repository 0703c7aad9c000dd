"""The compiled machine gives the answer of the slow box for every packet, and ends each entry at the same time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.boxes import differences, fate_differences
from tests.naive.packets import Packet
from tests.property.any_box import boxes, flag_tables, linux_tables
from tests.property.strategies import packet_lists

from lastack.firewall.table import Box


def segments(packets: list[Packet]) -> list[Packet]:
    return [packet for packet in packets if packet.icmp is None]


@given(packet_lists(), boxes(flag_tables()), st.booleans())
def test_flags_engine__equals_the_slow_box(packets: list[Packet], box: Box, adopt: bool):
    found = differences(segments(packets), box, adopt=adopt)
    assert not found, found


@given(packet_lists(), boxes(linux_tables()), st.booleans())
def test_linux_engine__equals_the_slow_box(packets: list[Packet], box: Box, adopt: bool):
    found = differences(segments(packets), box, adopt=adopt)
    assert not found, found


# each example sets up a tracker and a table
@settings(max_examples=max(20, settings.default.max_examples // 3))
@given(packet_lists(), boxes(), st.booleans())
def test_evaluator__gives_each_session_the_fate_of_the_slow_replay(
    packets: list[Packet], box: Box, adopt: bool
):
    packets = [replace(packet, number=i) for i, packet in enumerate(segments(packets), 1)]
    found = fate_differences(packets, box, adopt=adopt)
    assert not found, found

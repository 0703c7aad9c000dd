"""The short steps of the tracker against the full one: every column of every row, with and without them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.naive.packets import Packet
from tests.naive.write import write
from tests.property.strategies import mutated, noise

import lastack
from lastack.kernels import track
from lastack.kernels._jit import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="the interpreted lane runs it: only there can steps be left out"
)


def _table(packets: list[Packet]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        table = lastack.track(write(Path(folder) / "packets.pcap", packets), threads=1).table
    return table.drop_columns(["sensor"])  # another path each time


def _same_without(short_step: str, packets: list[Packet]) -> None:
    table = _table(packets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, short_step, lambda *_: False)
        assert _table(packets).to_pylist() == table.to_pylist()


@given(mutated())
def test_opening_step__equals_the_full_one_in_conversations(packets: list[Packet]) -> None:
    _same_without("opening_step", packets)


@given(noise())
def test_opening_step__equals_the_full_one_in_noise(packets: list[Packet]) -> None:
    _same_without("opening_step", packets)


@given(mutated())
def test_quiet_step__equals_the_full_one_in_conversations(packets: list[Packet]) -> None:
    _same_without("quiet_step", packets)


@given(noise())
def test_quiet_step__equals_the_full_one_in_noise(packets: list[Packet]) -> None:
    _same_without("quiet_step", packets)

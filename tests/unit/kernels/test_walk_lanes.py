"""Lanes walk the same records as one walk does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.capture.build import Packet, interface, packets, pcap, pcapng

from lastack.capture.source import open_capture
from lastack.kernels._jit import kernel
from lastack.kernels.walk import rules_of
from lastack.kernels.walk_lanes import LANE, packet_in_lane
from lastack.kernels.walk_state import WALK_CORRUPT, WALK_END, WALK_META, WALK_MORE
from lastack.model.batch import FRAME


@kernel
def walk_in_lanes(
    base: Any, lanes: Any, end: Any, state: Any, interfaces: Any, frames: Any, owners: Any
) -> Any:
    """Fill frames until no lane has more, note whose they are, and return their number."""
    rules = rules_of(state, interfaces)
    total, before = 0, -1
    while total != before:
        before = total
        for k in range(len(lanes)):
            if packet_in_lane(base, lanes[k], end, state, rules, frames[total]):
                owners[total] = k
                total += 1
    return total


def lanes_of(data: bytes, folder: Path, count: int) -> tuple[list[list[int]], Any]:
    """Return the times that each lane of the first window found, and the lanes."""
    (folder / "x").write_bytes(data)
    found: list[list[int]] = [[] for _ in range(count)]
    with open_capture(folder / "x") as capture:
        for window in capture.windows():
            starts = capture.cuts(window, count)
            assert len(starts) == count
            lanes = np.zeros(count, LANE)
            lanes["position"], lanes["stop"] = starts, [*starts[1:], window.end]
            frames, owners = np.zeros(1000, FRAME), np.zeros(1000, np.int64)
            total = walk_in_lanes(
                window.base, lanes, window.end, capture.state[0], capture.table, frames, owners
            )
            for k in range(count):
                found[k] = frames["ts_ns"][:total][owners[:total] == k].tolist()
            return found, lanes
    raise AssertionError("no window")


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("make", [pcap, pcapng], ids=["pcap", "pcapng"])
def test_lanes__together_find_every_record_in_order(
    tmp_path: Path, make: Callable[[list[Packet]], bytes], count: int
) -> None:
    wanted = packets(500)
    found, lanes = lanes_of(make(wanted), tmp_path, count)
    assert list(chain(*found)) == [packet.ts_ns for packet in wanted]
    assert (lanes["position"] == lanes["stop"]).all()
    assert (lanes["status"] == WALK_END).all()


def test_lanes__each_stops_at_its_own_trouble(tmp_path: Path) -> None:
    wanted = packets(400)
    data = bytearray(pcap(wanted))
    place = len(pcap(wanted[:50]))
    data[place + 8 : place + 12] = b"\xff\xff\xff\xff"
    found, lanes = lanes_of(bytes(data), tmp_path, 2)
    assert found[0] == [packet.ts_ns for packet in wanted[:50]]
    assert lanes["status"].tolist() == [WALK_CORRUPT, WALK_END]
    assert lanes["position"][0] == place


def test_lanes__stop_at_what_python_must_read(tmp_path: Path) -> None:
    wanted = packets(400)
    data = pcapng(wanted) + interface()
    found, lanes = lanes_of(data, tmp_path, 2)
    assert list(chain(*found)) == [packet.ts_ns for packet in wanted]
    assert lanes["status"].tolist() == [WALK_END, WALK_META]
    assert WALK_MORE not in lanes["status"]

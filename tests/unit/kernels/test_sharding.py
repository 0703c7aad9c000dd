"""Segments go to the array of their shard, and the walk stops before an array is full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastack.capture.source import open_capture
from lastack.capture.writer import PcapWriter
from lastack.kernels.ingest import TALLY, ingest
from lastack.kernels.sharding import PLACES, SHARDS
from lastack.kernels.walk_state import WALK_END, WALK_MORE
from lastack.model.batch import FRAME, SEGMENT
from lastack.wire import build

PACKETS = 300
_BYTES = SEGMENT.itemsize


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Packets of many sessions, in IPv4 and IPv6."""
    path = tmp_path / "x.pcap"
    with PcapWriter(path, link=101) as writer:
        for n in range(PACKETS):
            segment = build.tcp(2000 + n, 443, seq=n)
            whole = build.ipv4("10.0.0.1", "192.0.2.1", segment) if n % 3 else None
            writer.write(
                n, whole.data if whole is not None else build.ipv6("2001:db8::1", "2001:db8::2", segment).data
            )
    return path


def fill(path: Path, room: int) -> tuple[list[Any], Any, list[int]]:
    """Return the segments of each shard, the tally and the statuses of the calls; arrays hold `room` segments."""
    found: list[list[Any]] = [[] for _ in range(SHARDS)]
    arrays = [np.zeros(room, SEGMENT) for _ in range(SHARDS)]
    starts = np.array([array.ctypes.data for array in arrays], np.uint64)
    spare, places, tally = np.zeros(1, SEGMENT), np.zeros(1, PLACES), np.zeros(1, TALLY)
    places["spare"], places["end"] = spare.ctypes.data, starts + np.uint64(room * _BYTES)
    statuses = []
    with open_capture(path) as opened:
        for window in opened.windows():
            position = window.position
            while not statuses or statuses[-1] == WALK_MORE:
                places["next"] = starts
                state = opened.state[0]
                ingest(
                    window.base,
                    position,
                    window.end,
                    state,
                    opened.table,
                    np.zeros(1, FRAME),
                    places,
                    0,
                    tally[0],
                )
                position = int(state["next"])
                statuses.append(int(state["status"]))
                for shard in range(SHARDS):
                    filled = (int(places["next"][0][shard]) - int(starts[shard])) // _BYTES
                    assert filled <= room
                    found[shard].append(arrays[shard][:filled].copy())
            opened.settle(window)
    return [np.concatenate(pieces) for pieces in found], tally[0], statuses


def test_ingest__puts_every_segment_into_the_array_of_its_shard_in_order(capture: Path) -> None:
    shards, tally, statuses = fill(capture, PACKETS)
    assert statuses == [WALK_END]
    for shard, segments in enumerate(shards):
        assert (segments["shard"] >> 5 == shard).all()
        assert (np.diff(segments["origin"].astype(np.int64)) > 0).all()
    assert sorted(np.concatenate(shards)["origin"].tolist()) == list(range(1, PACKETS + 1))
    assert tally["packets"] == tally["drops"][0] == tally["encaps"][0] == tally["links"][101] == PACKETS


def test_ingest__stops_before_an_array_is_full_and_goes_on_when_there_is_room(capture: Path) -> None:
    whole, tally, _ = fill(capture, PACKETS)
    pieces, again, statuses = fill(capture, 7)
    assert statuses[:-1] == [WALK_MORE] * (len(statuses) - 1)
    assert len(statuses) > 2
    for left, right in zip(whole, pieces, strict=True):
        assert left.tobytes() == right.tobytes()
    assert again == tally


def test_ingest__leaves_an_array_that_is_nearly_full_for_the_other_one(capture: Path) -> None:
    whole, tally, _ = fill(capture, PACKETS)
    room = 70  # with 64 left an array counts as nearly full
    firsts, others = ([np.zeros(n, SEGMENT) for _ in range(SHARDS)] for n in (room, PACKETS))
    begins, rests = (np.array([a.ctypes.data for a in some], np.uint64) for some in (firsts, others))
    spare, places, again = np.zeros(1, SEGMENT), np.zeros(1, PLACES), np.zeros(1, TALLY)
    places["spare"] = spare.ctypes.data
    places["next"], places["end"] = begins, begins + np.uint64(room * _BYTES)
    places["rest"], places["rest_end"] = rests, rests + np.uint64(PACKETS * _BYTES)
    with open_capture(capture) as opened:
        window = next(opened.windows())
        state = opened.state[0]
        ingest(
            window.base,
            window.position,
            window.end,
            state,
            opened.table,
            np.zeros(1, FRAME),
            places,
            0,
            again[0],
        )
        assert state["status"] == WALK_END
    assert again[0] == tally
    for shard in range(SHARDS):
        at = {name: int(places[name][0][shard]) for name in ("next", "left", "rest")}
        assert at["rest"] == 0
        first = firsts[shard][: (at["left"] - int(begins[shard])) // _BYTES]
        other = others[shard][: (at["next"] - int(rests[shard])) // _BYTES]
        assert 0 < len(first) < room
        assert np.concatenate([first, other]).tobytes() == whole[shard].tobytes()

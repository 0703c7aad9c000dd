"""The bare walkers: why and where they stop."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from tests.unit.capture.build import Packet, packets, pcap

from lastack.capture.pcap import parse_header, walk_state
from lastack.kernels.resync import resync
from lastack.kernels.walk import walk_frames
from lastack.kernels.walk_state import INTERFACE, WALK_CORRUPT, WALK_END, WALK_MORE
from lastack.model.batch import FRAME

TABLE = np.zeros(1, INTERFACE)


def walked(data: bytes, room: int = 100, position: int = 24, end: int | None = None) -> tuple[Any, Any]:
    """Return the frames that a walk over some bytes fills, and its state."""
    buffer = np.frombuffer(data, np.uint8)
    header = parse_header(data)
    assert header is not None
    state = walk_state(header)
    frames = np.zeros(room, FRAME)
    end = len(data) if end is None else end
    count = walk_frames(np.uint64(buffer.ctypes.data), position, end, state[0], TABLE, frames)
    return frames[:count], state[0]


def test_walk__stops_when_the_frames_are_full() -> None:
    data = pcap(packets(10))
    frames, state = walked(data, room=4)
    assert (len(frames), state["status"], state["next"]) == (4, WALK_MORE, len(pcap(packets(4))))
    assert state["packets"] == 4
    assert state["last_ns"] == packets(4)[-1].ts_ns


@pytest.mark.parametrize("missing", [1, 5, 60, 61, 75])
def test_walk__leaves_an_incomplete_record(missing: int) -> None:
    data = pcap(packets(3, size=lambda k: 60))
    frames, state = walked(data, end=len(data) - missing)
    assert (len(frames), state["status"], state["next"]) == (2, WALK_END, 24 + 2 * 76)


def test_walk__an_impossible_length_is_corrupt_even_at_the_end() -> None:
    data = pcap(packets(1)) + struct.pack("<IIII", 1, 1, 262_145, 262_145)
    frames, state = walked(data)
    assert (len(frames), state["status"], state["next"]) == (1, WALK_CORRUPT, len(data) - 16)


def test_walk__no_room_is_no_record() -> None:
    frames, state = walked(pcap(packets(1)), room=0)
    assert (len(frames), state["status"], state["next"]) == (0, WALK_MORE, 24)


def test_walk__offsets_count_from_the_base() -> None:
    frames, _ = walked(pcap(packets(2, size=lambda k: 60)))
    assert frames["offset"].tolist() == [40, 116]


def test_resync__finds_the_next_record_from_any_byte() -> None:
    wanted = packets(60)
    data = pcap(wanted)
    buffer = np.frombuffer(data, np.uint8)
    header = parse_header(data)
    assert header is not None
    state = walk_state(header)
    starts = [len(pcap(wanted[:k])) for k in range(61)]
    seconds = wanted[0].ts_ns // 10**9
    base = np.uint64(buffer.ctypes.data)
    for position in range(24, starts[50]):
        found = resync(base, position, len(data), state[0], seconds - 1, seconds + 9, True, False)
        assert found == next(start for start in starts if start >= position)


def test_resync__finds_nothing_in_noise() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 200_000).astype(np.uint8)
    header = parse_header(pcap([]))
    assert header is not None
    state = walk_state(header)
    base = np.uint64(noise.ctypes.data)
    assert resync(base, 0, len(noise), state[0], 0, 1 << 32, True, True) == -1


def test_resync__a_short_chain_is_believed_only_at_the_end_of_the_capture() -> None:
    wanted = [Packet(packet.ts_ns, packet.data, len(packet.data)) for packet in packets(3)]
    data = b"\xff" * 100 + pcap(wanted)[24:]
    buffer = np.frombuffer(data, np.uint8)
    header = parse_header(pcap([]))
    assert header is not None
    state = walk_state(header)
    base = np.uint64(buffer.ctypes.data)
    assert resync(base, 0, len(data), state[0], 0, 1 << 32, True, True) == 100
    assert resync(base, 0, len(data), state[0], 0, 1 << 32, False, False) == -1
    # what may begin a little before cannot be told either
    assert 84 < -2 - resync(base, 0, len(data), state[0], 0, 1 << 32, False, True) <= 100

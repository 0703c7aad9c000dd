"""Decoding in lock step: full-size packets take it, and it gives what the plain walk gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lastack
from lastack.app import merging, parts
from lastack.capture.writer import PcapWriter
from lastack.kernels.sharding import SHARDS
from lastack.wire import build

SESSIONS = 50


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Full-size packets of some sessions, more of them than the first window takes."""
    path = tmp_path_factory.mktemp("large") / "large.pcap"
    with PcapWriter(path, link=101) as writer:
        for n in range(6000):
            turn, port = divmod(n, SESSIONS)
            part = build.tcp(2000 + port, 443, seq=1 + 1400 * turn, payload=bytes(1400))
            packet = build.syn(2000 + port, 443) if turn == 0 else part
            writer.write(n * 1000, build.ipv4("10.0.0.1", "192.0.2.1", packet).data)
    return path


@pytest.mark.parametrize("threads", [1, 2])
def test_lanes__give_the_rows_of_the_plain_walk(
    large: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    in_lock_step = parts.Lanes.decode

    def counted(some: parts.Lanes, *others: Any) -> None:
        taken.append(len(some.parts))
        in_lock_step(some, *others)

    monkeypatch.setattr(parts.Lanes, "decode", counted)
    fast = lastack.track(large, threads=threads).table
    assert taken
    plain = lastack.track(large, threads=threads, window_bytes=1 << 16).table
    assert fast.equals(plain)
    assert fast.num_rows == SESSIONS


def test_parts__keep_their_memory_for_a_stretch_that_is_a_little_larger() -> None:
    some, nothing = parts.PartSet(), np.zeros(SHARDS)
    places = some.room_for([50 << 20], nothing).parts[0].places.copy()
    assert some.room_for([51 << 20], nothing).parts[0].places == places


def test_pieces__of_no_parts_are_none() -> None:
    assert parts.pieces_of_parts([]).shape == (SHARDS, 0)
    assert len(parts.tallies_of([])) == 0


def test_lanes__with_more_segments_than_expected_go_on_in_other_memory(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = lastack.track(large, threads=2).table
    left = []
    pieces = parts.pieces_of_parts

    def counted(some: list[parts.Part]) -> Any:
        left.extend(part for part in some if part.places["left"].any())
        return pieces(some)

    monkeypatch.setattr(merging, "pieces_of_parts", counted)
    monkeypatch.setattr(parts, "_MARGIN", 0.1)
    monkeypatch.setattr(parts, "_LEAST_NEAR", 70)
    assert lastack.track(large, threads=2).table.equals(expected)
    assert left

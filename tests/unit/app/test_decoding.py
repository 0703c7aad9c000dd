"""Decoding in lock step: full-size packets take it, and it gives what the plain walk gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lastack
from lastack.app import decoding, parts
from lastack.capture.writer import PcapWriter
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
    in_lock_step = decoding.decode_lanes

    def counted(some: list[parts.Part], *others: Any) -> None:
        taken.append(len(some))
        in_lock_step(some, *others)

    monkeypatch.setattr(decoding, "decode_lanes", counted)
    fast = lastack.track(large, threads=threads).table
    assert taken
    plain = lastack.track(large, threads=threads, window_bytes=1 << 16).table
    assert fast.equals(plain)
    assert fast.num_rows == SESSIONS


def test_make_room__keeps_its_memory_for_a_stretch_that_is_a_little_larger() -> None:
    part = parts.Part()
    part.make_room(50 << 20)
    places = part.places.copy()
    part.make_room(51 << 20)
    assert part.places == places


def test_lanes__with_more_segments_than_expected_go_on_in_other_memory(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = lastack.track(large, threads=2).table
    left = []
    runs = parts.Part.runs

    def counted(part: parts.Part) -> Any:
        found = runs(part)
        left.extend(some for some in found if len(some) > 1)
        return found

    monkeypatch.setattr(parts.Part, "runs", counted)
    monkeypatch.setattr(parts, "_MARGIN", 0.1)
    monkeypatch.setattr(parts, "_LEAST_NEAR", 70)
    assert lastack.track(large, threads=2).table.equals(expected)
    assert left

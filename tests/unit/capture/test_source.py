"""Windows: files, pipes, growing files; the cuts, parts and first times that the pipeline uses."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.capture.build import (
    Packet,
    enhanced,
    interface,
    packets,
    pcap,
    pcapng,
    read,
    section,
    simple,
    statistics,
)

from lastack.capture.source import Capture, open_capture
from lastack.kernels.walk_state import WALK_END
from lastack.model.batch import FRAME
from lastack.model.errors import InputError

MAKERS: list[Callable[[list[Packet]], bytes]] = [pcap, pcapng]
KINDS = ["pcap", "pcapng"]


def in_a_pipe(data: bytes) -> str:
    """Return the name of a pipe that holds some bytes and has no writer any more."""
    reader, writer = os.pipe()
    os.write(writer, data)
    name = f"/dev/fd/{os.dup(reader)}"
    os.close(reader)
    os.close(writer)
    return name


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), max_size=60),
    target=st.integers(1, 20_000),
    batch=st.integers(1, 70),
    make=st.sampled_from(MAKERS),
    mapped=st.booleans(),
)
def test_windows__size_of_windows_and_batches_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    target: int,
    batch: int,
    make: Callable[[list[Packet]], bytes],
    mapped: bool,
) -> None:
    wanted = packets(len(sizes), size=lambda k: sizes[k])
    path = tmp_path_factory.mktemp("x") / "x"
    path.write_bytes(make(wanted))
    reading = read(path, target, batch, follow=not mapped, wait=lambda: False)
    assert (reading.packets, reading.problems) == (wanted, [])


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_windows__a_record_larger_than_the_window_is_read(
    tmp_path: Path, make: Callable[[list[Packet]], bytes]
) -> None:
    wanted = packets(5, size=lambda k: 200_000 if k == 2 else 60)
    (tmp_path / "x").write_bytes(make(wanted))
    assert read(tmp_path / "x", target=4096).packets == wanted
    assert read(tmp_path / "x", target=4096, follow=True, wait=lambda: False).packets == wanted


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_windows__do_not_overlap_and_reach_the_end(
    tmp_path: Path, make: Callable[[list[Packet]], bytes]
) -> None:
    data = make(packets(500))
    (tmp_path / "x").write_bytes(data)
    frames = np.zeros(64, FRAME)
    reached = 24 if make is pcap else len(section() + interface())
    with open_capture(tmp_path / "x") as capture:
        for window in capture.windows(4096):
            assert window.origin + window.position == reached
            while capture.walk(window, frames):
                pass
            reached = window.origin + window.position
        assert window.last
        assert capture.consumed_bytes == capture.size_bytes == reached == len(data)


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_pipe__is_read_to_its_end(make: Callable[[list[Packet]], bytes]) -> None:
    wanted = packets(400)
    reading = read(in_a_pipe(make(wanted)), target=4096)
    assert (reading.packets, reading.problems) == (wanted, [])


def test_pipe__has_no_size() -> None:
    with open_capture(in_a_pipe(pcap(packets(1)))) as capture:
        assert capture.size_bytes is None


def test_pipe__without_bytes_is_an_input_error() -> None:
    with pytest.raises(InputError, match="empty"):
        open_capture(in_a_pipe(b""))


def test_pipe__packets_come_before_the_writer_is_done() -> None:
    wanted = packets(6)
    data = pcap(wanted)
    reader, writer = os.pipe()
    os.write(writer, data[: len(pcap(wanted[:3])) + 5])
    frames = np.zeros(64, FRAME)
    counts = []
    with open_capture(f"/dev/fd/{reader}") as capture:
        for window in capture.windows():
            while count := capture.walk(window, frames):
                counts.append(count)
            if len(counts) == 1:
                os.write(writer, data[len(pcap(wanted[:3])) + 5 :])
                os.close(writer)
    os.close(reader)
    assert counts == [3, 3]


def test_standard_input__is_named_by_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = packets(10)
    with Path(in_a_pipe(pcap(wanted))).open("rb") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert read("-").packets == wanted
        assert not pipe.closed


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
@pytest.mark.parametrize("step", [1, 37, 5000])
def test_follow__reads_a_file_while_it_grows(
    tmp_path: Path, make: Callable[[list[Packet]], bytes], step: int
) -> None:
    wanted = packets(12)
    data = make(wanted)
    path = tmp_path / "x"
    path.write_bytes(b"")
    rest = [data[k : k + step] for k in range(0, len(data), step)]

    def grow() -> bool:
        if not rest:
            return False
        with path.open("ab") as file:
            file.write(rest.pop(0))
        return True

    reading = read(path, follow=True, wait=grow)
    assert (reading.packets, reading.problems) == (wanted, [])


def test_follow__reads_a_compressed_file_while_it_grows(tmp_path: Path) -> None:
    wanted = packets(50)
    data = gzip.compress(pcap(wanted[:20])) + gzip.compress(pcap(wanted)[len(pcap(wanted[:20])) :])
    path = tmp_path / "x"
    path.write_bytes(data[:7])
    rest = [data[k : k + 90] for k in range(7, len(data), 90)]

    def grow() -> bool:
        if not rest:
            return False
        with path.open("ab") as file:
            file.write(rest.pop(0))
        return True

    reading = read(path, follow=True, wait=grow)
    assert (reading.packets, reading.problems) == (wanted, [])


def test_follow__hands_out_packets_as_they_come(tmp_path: Path) -> None:
    wanted = packets(3)
    path = tmp_path / "x"
    path.write_bytes(pcap(wanted[:1]))
    seen_at_wait: list[int] = []
    frames = np.zeros(8, FRAME)
    count = 0

    def grow() -> bool:
        seen_at_wait.append(count)
        with path.open("ab") as file:
            file.write(pcap(wanted)[len(pcap(wanted[:1])) :])
        return len(seen_at_wait) < 2

    with open_capture(path, follow=True, wait=grow) as capture:
        for window in capture.windows():
            while found := capture.walk(window, frames):
                count += found
    assert seen_at_wait == [1, 3]


def test_follow__ends_when_the_file_is_rotated_away(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pcap(packets(2)))

    def rotate() -> bool:
        path.rename(tmp_path / "x.1")
        path.write_bytes(pcap([]))
        return True

    assert len(read(path, follow=True, wait=rotate).packets) == 2


FIRST = packets(3)
STARTS = {
    "pcap": (pcap(FIRST), FIRST[0].ts_ns),
    "nanoseconds": (pcap(FIRST, ">", 0xA1B23C4D), FIRST[0].ts_ns),
    "pcapng": (pcapng(FIRST, ">"), FIRST[0].ts_ns),
    "no packets": (pcap([]), None),
    "no blocks": (section() + interface(), None),
    "simple": (section() + interface() + simple(b"abcd", 4), 0),
    "late": (section() + interface() + statistics(0, 1, 1) * 3000 + enhanced(77, b"abcd", 4), 77_000),
    "second interface": (section() + interface() * 2 + enhanced(5, b"abcd", 4, 1), 5000),
}


@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
@pytest.mark.parametrize("name", STARTS)
def test_first_time__is_known_without_consuming_anything(tmp_path: Path, name: str, piped: bool) -> None:
    data, wanted = STARTS[name]
    path = tmp_path / "x"
    path.write_bytes(data)
    if piped and len(data) > 60_000:
        pytest.skip("a pipe holds 64 KiB")
    with open_capture(in_a_pipe(data) if piped else path) as capture:
        assert capture.first_time_ns() == wanted
        frames = np.zeros(64, FRAME)
        count = sum(capture.walk(window, frames) for window in capture.windows())
    assert count == len(read(path).packets)


def walked_in_parts(capture: Capture, target: int, parts: int) -> list[tuple[int, ...]]:
    """Walk each window in parts, as threads would, and check that each part ends where the next begins."""
    from lastack.kernels.walk import walk_frames

    found: list[tuple[int, ...]] = []
    frames = np.zeros(1 << 14, FRAME)
    for window in capture.windows(target):
        starts = capture.cuts(window, parts)
        states = capture.split(len(starts))
        whole = 0
        for k, start in enumerate(starts):
            stop = starts[k + 1] if k + 1 < len(starts) else window.end
            count = walk_frames(window.base, start, stop, states[k], capture.table, frames)
            found += [tuple(frame) for frame in frames[:count].tolist()]
            whole = k + 1
            if states[k]["status"] != WALK_END or (k + 1 < len(starts) and states[k]["next"] != stop):
                break
        capture.join(states[:whole])
        if capture.settle(window) or whole < len(starts):
            while count := capture.walk(window, frames):
                found += [tuple(frame) for frame in frames[:count].tolist()]
    return found


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_cuts__parts_joined_are_the_whole(
    tmp_path: Path, make: Callable[[list[Packet]], bytes], parts: int
) -> None:
    wanted = packets(2000)
    path = tmp_path / "x"
    path.write_bytes(make(wanted))
    with open_capture(path) as capture:
        found = walked_in_parts(capture, 1 << 16, parts)
        assert capture.packets == 2000
    assert [row[0] for row in found] == [packet.ts_ns for packet in wanted]
    with open_capture(path) as capture:
        window = next(capture.windows(1 << 16))
        assert len(capture.cuts(window, parts)) == parts


def test_join__adds_counters_and_keeps_the_last_place(tmp_path: Path) -> None:
    lost, time = enhanced(1, b"abcd", 4, 9), enhanced(10**15, b"x" * 60, 60)
    (tmp_path / "x").write_bytes(section() + interface() + (lost + time) * 600)
    with open_capture(tmp_path / "x") as capture:
        assert len(walked_in_parts(capture, 1 << 14, 3)) == 600
        assert capture.packets == 600
        assert any("600 packets belong to interfaces" in problem.what for problem in capture.problems)

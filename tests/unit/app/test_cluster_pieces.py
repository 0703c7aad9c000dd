"""One large capture in pieces gives the rows, numbers and notes of one walk through it, wherever it is cut."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.test_cluster import (
    BUSY,
    CAPTURES,
    OPTIONS,
    ROOT,
    SAMPLE,
    alone,
    frames_of,
    rows,
    stages,
    write,
)

from lastack.app.cluster import ClusterRun
from lastack.app.cluster_fetch import opened_head, whole_of
from lastack.app.cluster_pieces import cut
from lastack.app.jobs import InProcess
from lastack.capture.writer import PcapngWriter, PcapWriter
from lastack.model.batch import ACK
from lastack.wire import build

BUSY_FRAMES = frames_of(ROOT / "tests" / "captures" / BUSY)


def in_pieces(path: str, work: Path, piece_bytes: int) -> tuple[list[Any], Any, ClusterRun]:
    batches: list[Any] = []
    run = ClusterRun(InProcess(), work, piece_bytes)
    summary = run.track([path], OPTIONS, batches.append)
    return batches, summary, run


def assert_same_in_pieces(path: str, work: Path, piece_bytes: int) -> ClusterRun:
    one, said = alone([path])
    many, told, run = in_pieces(path, work, piece_bytes)
    assert rows(many) == rows(one)
    assert told.ledger == said.ledger
    assert told.captures == said.captures
    assert list(map(str, told.problems)) == list(map(str, said.problems))
    return run


def pieces_of(path: str, piece_bytes: int) -> int:
    with opened_head(path) as capture:
        return len(cut(whole_of(path), capture, piece_bytes))


@pytest.mark.parametrize("kind", [PcapWriter, PcapngWriter])
def test_pieces__a_capture_is_cut_into_many_and_none_is_read_twice(kind: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "busy")
    with kind(path) as writer:
        if kind is PcapngWriter:
            writer.add_interface(1)
        for time_ns, data in BUSY_FRAMES:
            writer.write(time_ns, data)
    size = Path(path).stat().st_size
    for parts in (2, 3, 7):
        count = pieces_of(path, size // parts)
        assert count > 1
        run = assert_same_in_pieces(path, tmp_path / f"{parts}", size // parts)
        assert stages(run)["map"] == (count, 0, 0)


@pytest.mark.parametrize("path", CAPTURES[::6], ids=lambda path: Path(path).name)
def test_pieces__small_captures_of_all_kinds_survive_any_cut(path: str, tmp_path: Path) -> None:
    assert_same_in_pieces(path, tmp_path / "work", 400)


def test_pieces__times_that_go_back_at_a_cut_are_counted_once(tmp_path: Path) -> None:
    frames = BUSY_FRAMES
    half = len(frames) // 2
    path = write(tmp_path / "back.pcap", [*frames[half:], *frames[:half]])
    assert_same_in_pieces(path, tmp_path / "work", Path(path).stat().st_size // 2)


def like_records(count: int) -> bytes:
    """Return a TCP payload that looks like a run of pcap records, which a search for a start falls for."""
    seconds = BUSY_FRAMES[0][0] // 10**9
    return (struct.pack("<IIII", seconds, 0, 40, 40) + bytes(40)) * count


def test_pieces__a_capture_of_a_capture_misleads_no_cut(tmp_path: Path) -> None:
    path = tmp_path / "inner.pcap"
    start = BUSY_FRAMES[0][0]
    with PcapWriter(path, link=101) as writer:
        for n in range(200):
            data = like_records(20)
            segment = build.tcp(40000, 80, seq=1 + n * len(data), ack=1, flags=ACK, payload=data)
            writer.write(start + n * 10**6, build.ipv4("10.0.0.1", "192.0.2.1", segment).data)
    record = (path.stat().st_size - 24) // 200
    piece = 40 * record + record // 2
    with opened_head(str(path)) as capture:
        starts = [piece.start for piece in cut(whole_of(str(path)), capture, piece)][1:]
    assert any((start - 24) % record for start in starts if start), "no guess was wrong: this proves nothing"
    run = assert_same_in_pieces(str(path), tmp_path / "work", piece)
    assert stages(run)["map"][0] == len(starts) + 2


@pytest.mark.parametrize("place", [0.1, 0.5, 0.97])
def test_pieces__damage_is_told_as_in_one_walk(place: float, tmp_path: Path) -> None:
    data = bytearray((ROOT / "tests" / "captures" / BUSY).read_bytes())
    at = int(len(data) * place)
    data[at : at + 40] = b"\xff" * 40
    path = tmp_path / "damaged.pcap"
    path.write_bytes(data)
    assert_same_in_pieces(str(path), tmp_path / "work", len(data) // 4)


def test_pieces__a_capture_that_ends_inside_a_record_costs_one_task_more(tmp_path: Path) -> None:
    data = (ROOT / "tests" / "captures" / BUSY).read_bytes()[:-5]
    path = tmp_path / "ends.pcap"
    path.write_bytes(data)
    run = assert_same_in_pieces(str(path), tmp_path / "work", len(data) // 4)
    assert stages(run)["map"] == (pieces_of(str(path), len(data) // 4) + 1, 0, 0)


def test_pieces__interfaces_described_on_the_way_are_known_to_all_that_follows(tmp_path: Path) -> None:
    whole = Path(SAMPLE).read_bytes()
    twice = tmp_path / "sections.pcapng"
    twice.write_bytes(whole + whole)
    run = assert_same_in_pieces(str(twice), tmp_path / "work", len(whole) // 2)
    assert stages(run)["map"][0] > 1


def test_pieces__a_second_run_reads_nothing_again(tmp_path: Path) -> None:
    data = bytearray((ROOT / "tests" / "captures" / BUSY).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    path = tmp_path / "damaged.pcap"
    path.write_bytes(data)
    first = in_pieces(str(path), tmp_path / "work", len(data) // 4)
    again = in_pieces(str(path), tmp_path / "work", len(data) // 4)
    tasks, skipped, _ = stages(again[2])["map"]
    assert tasks == skipped == stages(first[2])["map"][0]
    assert rows(again[0]) == rows(first[0])


def test_pieces__a_large_capture_and_its_rotated_neighbour_overlap_as_in_one_process(tmp_path: Path) -> None:
    frames = BUSY_FRAMES
    paths = [write(tmp_path / f"{n}.pcap", frames[n::2]) for n in range(2)]
    one, _ = alone(paths)
    batches: list[Any] = []
    ClusterRun(InProcess(), tmp_path / "work", Path(paths[0]).stat().st_size // 4).track(
        paths, OPTIONS, batches.append
    )
    assert rows(batches) == rows(one)


def test_pieces__one_elephant_session_is_one_row_however_many_pieces_it_crosses(tmp_path: Path) -> None:
    start, packets = BUSY_FRAMES[0][0], []
    for n in range(3000):
        segment = build.tcp(40000, 443, seq=1 + 100 * n, ack=1, flags=ACK, payload=bytes(100))
        packets.append((start + n * 10**6, build.ipv4("10.0.0.1", "192.0.2.1", segment).data))
        if n % 10 == 0:
            small = build.tcp(41000 + n, 443, seq=7, ack=1, flags=ACK)
            packets.append((start + n * 10**6 + 5, build.ipv4("10.0.0.2", "192.0.2.1", small).data))
    path = write(tmp_path / "elephant.pcap", packets, link=101)
    run = assert_same_in_pieces(path, tmp_path / "work", Path(path).stat().st_size // 6)
    assert stages(run)["map"] == (6, 0, 0)
    assert max(row["packets_clt"] for row in rows(alone([path])[0])) == 3000

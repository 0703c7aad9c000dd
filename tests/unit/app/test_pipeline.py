"""Captures in, rows out: growing files, full tables and cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.capture.build import START_S, enhanced, interface, section

import lastack
from lastack.app import pipeline
from lastack.app.options import TrackOptions
from lastack.capture.writer import PcapWriter
from lastack.model.batch import ACK, SYN
from lastack.model.errors import InputError
from lastack.tracking import tracker
from lastack.wire import build, wrap

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"


def rows_of(path: Path, options: TrackOptions) -> tuple[Any, Any]:
    batches: list[Any] = []
    summary = pipeline.track_captures([str(path)], options, batches.append)
    return pa.Table.from_batches(batches), summary


def test_follow__reads_what_is_appended_until_the_wait_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SAMPLE.read_bytes()
    growing = tmp_path / "growing.pcapng"
    growing.write_bytes(whole[:100_000])
    waits: list[int] = []

    def wait() -> bool:
        waits.append(1)
        if len(waits) == 1:
            with growing.open("ab") as file:
                file.write(whole[100_000:])
        return len(waits) < 3

    monkeypatch.setattr(pipeline, "_until_interrupted", wait)
    followed, summary = rows_of(growing, TrackOptions(follow=True, threads=1))
    at_once = lastack.track(SAMPLE)
    assert followed.num_rows == len(at_once)
    assert summary.ledger.balances()
    assert set(followed["session_id"].to_pylist()) == set(at_once.table["session_id"].to_pylist())


def test_track__a_full_table_evicts_and_still_balances() -> None:
    few, summary = rows_of(SAMPLE, TrackOptions(max_sessions=1, threads=1))
    # each of the eight shards holds at least 64 sessions
    assert summary.ledger.balances()
    assert few.num_rows >= len(lastack.track(SAMPLE))


def test_track__small_windows_change_nothing() -> None:
    small = lastack.track(SAMPLE, window_bytes=4096, threads=2)
    assert small.table.equals(lastack.track(SAMPLE, threads=1).table)


def test_sessions__repr_is_one_line() -> None:
    assert "\n" not in repr(lastack.track(SAMPLE))


def test_track__a_full_table_still_gives_a_sorted_table(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    with PcapWriter(path, link=101) as writer:
        for number in range(2000):
            packet = build.ipv4(f"10.0.{number >> 8}.{number & 255}", "192.0.2.1", build.syn(40000, 80))
            writer.write(number * 1_000_000, packet.data)
    sessions = lastack.track(path, max_sessions=1)
    assert sessions.summary.evicted > 0
    starts = sessions["start_ns"]
    assert len(starts) == 2000
    assert (starts[1:] >= starts[:-1]).all()


def test_track__what_leaves_a_small_table_comes_in_few_batches_and_is_judged_as_if_it_came_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.pcap"
    with PcapWriter(path, link=101) as writer:
        for number in range(2000):
            client = f"10.0.{number >> 8}.{number & 255}"
            writer.write(number * 1_000_000, build.ipv4(client, "192.0.2.1", build.syn(40000, 80)).data)
            if number % 2:
                answer = build.tcp(80, 40000, seq=9, ack=1, flags=SYN | ACK)
                writer.write(number * 1_000_000 + 1, build.ipv4("192.0.2.1", client, answer).data)
    options = TrackOptions(max_sessions=1 << 10, threads=1)
    together: list[Any] = []
    summary = pipeline.track_captures([str(path)], options, together.append)
    assert summary.evicted > 0
    monkeypatch.setattr(tracker, "MOST_WAITING", 1)
    apart: list[Any] = []
    pipeline.track_captures([str(path)], options, apart.append)
    assert len(together) < len(apart)
    assert pa.Table.from_batches(together).to_pylist() == pa.Table.from_batches(apart).to_pylist()


def test_track__no_silence_however_long_splits_a_session(tmp_path: Path) -> None:
    # A damaged time stamp may lie centuries ahead: it is no reason for a second session that nobody opened.
    segments = [build.tcp(40000, 445, seq=seq, payload=b"x") for seq in (1, 2)]
    data = [wrap.ethernet(build.ipv4("10.0.0.1", "10.0.0.2", segment)).data for segment in segments]
    ticks = (START_S * 10**6, START_S * 10**6 << 5)
    blocks = [enhanced(at, frame, len(frame)) for at, frame in zip(ticks, data, strict=True)]
    path = tmp_path / "far.pcapng"
    path.write_bytes(section() + interface() + b"".join(blocks))
    (row,) = lastack.track(path).table.to_pylist()
    assert (row["packets_clt"], row["new_bytes_clt"]) == (2, 2)


def test_track__a_capture_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken.pcapng", tmp_path / "whole.pcap"
    broken.write_bytes(section()[:20] + bytes(range(64)))
    with pytest.raises(InputError, match=r"nothing could be read: .*broken\.pcapng.*damaged"):
        lastack.track(broken)
    with PcapWriter(whole) as writer:
        writer.write(0, bytes(60))
    assert len(lastack.track(whole)) == 0
    assert len(lastack.track(broken, whole)) == 0

"""Sensors whose clocks differ are told apart by what both saw; packets seen twice can be counted once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.unit.app.test_cluster import alone, rows, write

from lastack.app import cluster_choice
from lastack.app.clock_notes import clock_notes
from lastack.app.clocks import Seen, clock_differences
from lastack.app.cluster import ClusterRun
from lastack.app.jobs import InProcess
from lastack.app.options import RunSummary, TrackOptions
from lastack.app.sessions import run_of
from lastack.app.sightings import EVERY, MOST, SIGHTING, Sightings
from lastack.cli.main import cli
from lastack.model.batch import ACK, FIN, SEGMENT, SYN
from lastack.model.errors import UsageError
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run, run_from_json
from lastack.wire import build

MS = 10**6
START = 1_700_000_000 * 10**9
WAY = 2 * MS  # between the sensors
Frame = tuple[int, bytes]


def session(number: int, start_ns: int, *, way: int = WAY) -> list[tuple[int, int, bytes]]:
    """Return (time at the client's sensor, time at the server's, packet) of a session, 40 ms there and back."""
    client, server = f"10.0.{number >> 8}.{number & 255}", "192.0.2.1"
    ends = {True: (client, server, 40_000, 443), False: (server, client, 443, 40_000)}
    script = [
        (0, True, 100, 0, SYN), (40, False, 900, 101, SYN | ACK), (41, True, 101, 901, ACK),
        (60, True, 101, 901, FIN | ACK), (100, False, 901, 102, FIN | ACK), (101, True, 102, 902, ACK),
    ]  # fmt: skip
    found = []
    for step, (after, from_client, seq, ack, flags) in enumerate(script):
        source, target, port, other = ends[from_client]
        data = build.ipv4(
            source, target, build.tcp(port, other, seq=seq, ack=ack, flags=flags), ipid=1 + 8 * number + step
        ).data
        at = start_ns + after * MS
        found.append((at, at + way if from_client else at - way, data))
    return found


def traffic(sessions: int = 120, seconds: float = 12.0) -> list[tuple[int, int, bytes]]:
    step = int(seconds * 1e9 / sessions)
    return sorted(packet for n in range(sessions) for packet in session(n, START + n * step))


def at_sensors(
    packets: list[tuple[int, int, bytes]], folder: Path, ahead_ns: int, ppm: float = 0.0
) -> list[str]:
    """Write what two sensors capture, the second with a clock that is ahead and may drift."""
    near = sorted((near, data) for near, _, data in packets)
    far = sorted((at + ahead_ns + round((at - START) * ppm / 1e6), data) for _, at, data in packets)
    return [
        write(folder / f"{name}.pcap", frames, link=101) for name, frames in (("near", near), ("far", far))
    ]


def track(paths: list[str], work: Path, **options: Any) -> tuple[list[Any], RunSummary]:
    batches: list[Any] = []
    summary = ClusterRun(InProcess(), work).track(paths, TrackOptions(threads=1, **options), batches.append)
    assert summary.ledger.balances()
    return rows(batches), summary


@pytest.mark.parametrize("ahead_ms", [-350, 0, 7])
def test_clocks__the_difference_is_found_whatever_the_way_between_the_sensors(
    ahead_ms: int, tmp_path: Path
) -> None:
    _, summary = track(at_sensors(traffic(), tmp_path, ahead_ms * MS), tmp_path / "work")
    (pair,) = summary.clocks
    sign = 1 if pair.second.endswith("far.pcap") else -1
    assert abs(sign * pair.offset_ns - ahead_ms * MS) < 1000
    assert pair.by == "packets"
    assert WAY <= pair.uncertainty_ns < WAY + MS
    assert pair.order_affected == (ahead_ms == -350)  # answers take 36 ms at least
    assert pair.shared == 1.0
    assert pair.drift_ppm is None, "12 seconds tell no drift"
    assert run_from_json(dict(run_json(run_of(summary)))).clocks == (pair,)


def run_json(run: Run) -> Any:
    import json
    from dataclasses import asdict

    return json.loads(json.dumps(asdict(run)))


def test_clocks__a_drift_is_measured_where_there_is_time_for_it(tmp_path: Path) -> None:
    _, summary = track(at_sensors(traffic(200, 600.0), tmp_path, 3 * MS, ppm=25.0), tmp_path / "work")
    (pair,) = summary.clocks
    sign = 1 if pair.second.endswith("far.pcap") else -1
    assert pair.drift_ppm is not None
    assert sign * pair.drift_ppm == pytest.approx(25.0, abs=0.01)


def test_clocks__answers_before_their_question_bound_the_difference(tmp_path: Path) -> None:
    packets = traffic()
    asking = [(near, data) for near, _, data in packets if data[12] == 10]
    answering = [(far - 500 * MS, data) for _, far, data in packets if data[12] == 192]
    paths = [
        write(tmp_path / f"{name}.pcap", sorted(f), link=101)
        for name, f in (("in", asking), ("out", answering))
    ]
    _, summary = track(paths, tmp_path / "work")
    (pair,) = summary.clocks
    assert (pair.by, pair.first, pair.second) == ("handshakes", *paths)
    assert pair.offset_ns == (38 - 500) * MS
    assert pair.order_affected
    assert "is behind" in clock_notes(pair, dropped=False)[0]


def test_clocks__sensors_with_nothing_in_common_are_not_compared(tmp_path: Path) -> None:
    packets = traffic()
    paths = [
        write(tmp_path / f"{name}.pcap", [(near, data) for near, _, data in some], link=101)
        for name, some in (
            ("a", packets[:300]),
            ("b", [p for n in range(500, 550) for p in session(n, START)]),
        )
    ]
    assert not track(paths, tmp_path / "work")[1].clocks


def test_clocks__rotated_files_are_one_sensor(tmp_path: Path) -> None:
    near, far = (frame for frame in at_sensors(traffic(), tmp_path, 5 * MS))
    packets = traffic()
    third = len(packets) // 3
    parts = [
        write(
            tmp_path / f"near{n}.pcap", [(t, d) for t, _, d in packets[n * third : (n + 1) * third]], link=101
        )
        for n in range(3)
    ]
    whole = track([near, far], tmp_path / "work1")[1].clocks[0]
    (pair,) = track([*parts, far], tmp_path / "work2")[1].clocks
    assert abs(pair.offset_ns) == abs(whole.offset_ns)
    assert pair.packets == whole.packets


def test_clock_offset__takes_the_difference_off_and_nothing_else(tmp_path: Path) -> None:
    packets = traffic()
    near, far = at_sensors(packets, tmp_path, 900 * MS)
    right = at_sensors(packets, tmp_path / "right", 0) if (tmp_path / "right").mkdir() is None else []
    corrected, summary = track([near, far], tmp_path / "work1", clock_offsets={"far*": 900 * MS})
    wanted, _ = track(right, tmp_path / "work2")
    different = {"sensor", "session_id", "previous_id"}
    assert [{k: v for k, v in row.items() if k not in different} for row in corrected] == [
        {k: v for k, v in row.items() if k not in different} for row in wanted
    ]
    assert abs(summary.clocks[0].offset_ns) < 1000
    assert run_of(summary).clock_offsets == {far: 900 * MS}
    with pytest.raises(UsageError, match="no capture is called so"):
        track([near], tmp_path / "work3", clock_offsets={"other.pcap": 1})


def test_duplicates__what_two_sensors_saw_is_counted_once(tmp_path: Path) -> None:
    packets = traffic()
    near, far = at_sensors(packets, tmp_path, 0)
    once, summary = track([near, far], tmp_path / "work", duplicates_ns=20 * MS)
    assert summary.duplicates == len(packets)
    assert run_of(summary).residual == 0
    assert sum(row["packets_clt"] + row["packets_srv"] for row in once) == len(packets)
    assert {row["ending"] for row in once} == {row["ending"] for row in rows(alone([near])[0])}
    twice, _ = track([near, far], tmp_path / "work")
    assert sum(row["packets_clt"] + row["packets_srv"] for row in twice) == 2 * len(packets)


def test_duplicates__stretches_of_any_size_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = at_sensors(traffic(40, 1.0), tmp_path, 0)
    wanted, _ = track(paths, tmp_path / "work1", duplicates_ns=20 * MS)
    monkeypatch.setattr("lastack.app.cluster_order._CHUNK", 3)
    monkeypatch.setattr("lastack.app.cluster_order._AT_ONCE", 7)
    found, _ = track(paths, tmp_path / "work2", duplicates_ns=20 * MS)
    assert found == wanted


def test_duplicates__a_packet_that_was_sent_twice_stays_sent_twice(tmp_path: Path) -> None:
    packets = session(1, START, way=MS // 10)
    again = packets[3]
    packets.insert(4, (again[0] + MS, again[1] + MS, again[2]))
    found, summary = track(at_sensors(packets, tmp_path, 0), tmp_path / "work", duplicates_ns=20 * MS)
    assert summary.duplicates == 7
    (row,) = found
    assert row["packets_clt"] + row["packets_srv"] == 7


def test_duplicates__copies_too_far_apart_are_two_packets(tmp_path: Path) -> None:
    paths = at_sensors(traffic(), tmp_path, 500 * MS)
    assert track(paths, tmp_path / "work", duplicates_ns=20 * MS)[1].duplicates == 0
    _, summary = track(paths, tmp_path / "work", duplicates_ns=20 * MS, clock_offsets={"far.pcap": 500 * MS})
    assert summary.duplicates == len(traffic())


def test_sightings__two_large_captures_keep_the_same_flows() -> None:
    segments = np.zeros(40_000, SEGMENT)
    segments["tcp_flags"] = SYN
    generator = random.Random(5)
    segments["hash"] = [generator.getrandbits(32) for _ in range(len(segments))]
    segments["seq"] = np.arange(len(segments))
    samples = []
    for order in (np.arange(len(segments)), np.arange(len(segments))[::-1]):
        sightings = Sightings()
        for first in range(0, len(segments), 1000):
            for shard in (0, 1):  # odd and even, as if the hash had told it
                some = segments[order[first : first + 1000]]
                sightings.add(shard, some[some["seq"] % 2 == shard])
        samples.append((sightings.array, sightings.limit))
    keys = [set(sample["key"].tolist()) for sample, _ in samples]
    assert MOST // 2 < len(keys[0]) <= MOST
    assert keys[0] == keys[1]


def test_clocks__many_sensors_are_not_compared_each_with_each() -> None:
    sample = np.zeros(10, SIGHTING)
    sample["rank"] = sample["key"] = np.arange(10)
    sensors = [Seen(f"{'x' * n}.pcap", 0, 1, sample, EVERY) for n in range(1, 300)]
    assert len(clock_differences(sensors)) == 298


def test_analyze__tells_of_clocks_and_duplicates_and_takes_the_remedy_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_choice, "ProcessPool", lambda workers: InProcess())
    near, far = at_sensors(traffic(), tmp_path, 400 * MS)
    for tasks in (["--workers", "1"], []):  # and without tasks
        said = CliRunner().invoke(cli, ["analyze", near, far, *tasks])
        assert said.exit_code == 0, said.output
        notes = " ".join(said.stderr.split())
        assert "packets are in the wrong order; correct it: --clock-offset" in notes
        assert "--drop-duplicates counts them once" in notes
    remedy = notes.partition("correct it: ")[2].split()[:2]
    done = CliRunner().invoke(cli, ["analyze", "--drop-duplicates", near, far, *remedy])
    assert done.exit_code == 0, done.output
    assert "720 packets were in captures of two sensors, and are counted once" in done.stderr
    assert "wrong order" not in done.stderr
    kept = str(tmp_path / "kept")
    CliRunner().invoke(cli, ["analyze", near, far, *remedy, "-o", kept])
    number = str(rows(list(Dataset.open(kept).scan()))[0]["session_id"])
    shown = CliRunner().invoke(cli, ["show", number, "--from", kept])
    assert shown.exit_code == 0, shown.output
    assert "the record counts" not in shown.stderr, "packets are found again with the same clock"
    cut = str(tmp_path / "cut.pcapng")
    CliRunner().invoke(cli, ["sessions", kept, "--packets", cut])
    assert rows(alone([cut])[0])[0]["packets_clt"] == 8
    bad = CliRunner().invoke(cli, ["analyze", near, far, "--clock-offset", "far.pcap:1ms"])
    assert "write such as b.pcap=+0.8ms" in bad.stderr

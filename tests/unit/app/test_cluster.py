"""Tracking in tasks and files gives the rows of one process: same order, ids, verdicts, ledger, problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.capture.build import section

from lastack.app.cluster import ClusterRun
from lastack.app.config import load_classes
from lastack.app.jobs import InProcess, Outcome, Task, Told, result_of, run_task
from lastack.app.options import RunSummary, TrackOptions
from lastack.app.pipeline import track_captures
from lastack.capture.writer import PcapWriter
from lastack.model.arrow import session_schema
from lastack.model.batch import ACK, SYN
from lastack.model.errors import InputError, LastackError, UsageError
from lastack.wire import build

ROOT = Path(__file__).parents[3]
CAPTURES = sorted(str(path) for path in (ROOT / "tests" / "captures").glob("*.pcap"))
SAMPLE = str(ROOT / "samples" / "closes.pcapng")
SHARED = ROOT.parent / "shared" / "captures"
OPTIONS = TrackOptions(threads=1)


def rows(batches: list[Any]) -> list[Any]:
    table: list[Any] = pa.Table.from_batches(batches, session_schema()).to_pylist()
    return table


def alone(paths: Sequence[str], options: TrackOptions = OPTIONS) -> tuple[list[Any], RunSummary]:
    batches: list[Any] = []
    summary = track_captures(paths, options, batches.append)
    return batches, summary


def in_tasks(
    paths: Sequence[str], work: Path, options: TrackOptions = OPTIONS
) -> tuple[list[Any], RunSummary, ClusterRun]:
    batches: list[Any] = []
    run = ClusterRun(InProcess(), work)
    summary = run.track(paths, options, batches.append)
    return batches, summary, run


def assert_same(paths: Sequence[str], work: Path, options: TrackOptions = OPTIONS) -> int:
    """Hold one process and tasks together; return the number of rows."""
    one, said = alone(paths, options)
    many, told, run = in_tasks(paths, work, options)
    assert rows(many) == rows(one)
    assert [batch.num_rows for batch in many] == [batch.num_rows for batch in one]
    assert told.ledger == said.ledger
    assert told.ledger.balances()
    for name in ("sessions", "evicted", "captures", "lost", "clocks"):
        assert getattr(told, name) == getattr(said, name)
    assert list(map(str, told.problems)) == list(map(str, said.problems))
    assert not run.missing
    return told.sessions


def frames_of(path: Path) -> list[tuple[int, bytes]]:
    """Return (time, bytes) of a classic little-endian pcap of microseconds or nanoseconds."""
    data = path.read_bytes()
    unit = 1 if data[:4] == b"\x4d\x3c\xb2\xa1" else 1000
    found, position = [], 24
    while position < len(data):
        seconds, fraction, size = (
            int.from_bytes(data[position + n : position + n + 4], "little") for n in (0, 4, 8)
        )
        found.append((seconds * 10**9 + fraction * unit, data[position + 16 : position + 16 + size]))
        position += 16 + size
    return found


def write(path: Path, frames: Sequence[tuple[int, bytes]], link: int = 1) -> str:
    with PcapWriter(path, link=link) as writer:
        for time_ns, data in frames:
            writer.write(time_ns, data)
    return str(path)


BUSY = "many_on_one_server.pcap"


@pytest.mark.parametrize("path", [*CAPTURES, SAMPLE], ids=lambda path: Path(path).name)
def test_cluster__each_capture_gives_the_rows_of_one_process(path: str, tmp_path: Path) -> None:
    assert_same([path], tmp_path / "work")


def test_cluster__all_captures_at_once_give_the_rows_of_one_process(tmp_path: Path) -> None:
    assert assert_same([*CAPTURES, SAMPLE], tmp_path / "work") > 300


def test_cluster__sessions_that_cross_rotated_files_stay_one(tmp_path: Path) -> None:
    frames = frames_of(ROOT / "tests" / "captures" / BUSY)
    third = len(frames) // 3
    paths = [write(tmp_path / f"{n}.pcap", frames[n * third : (n + 1) * third]) for n in range(3)]
    whole = write(tmp_path / "whole.pcap", frames[: 3 * third])
    crossing = assert_same(paths, tmp_path / "work")
    assert crossing == len(rows(alone([whole])[0]))


def test_cluster__overlapping_files_of_sensors_are_merged_as_one_process_does(tmp_path: Path) -> None:
    frames = frames_of(ROOT / "tests" / "captures" / BUSY)
    paths = [write(tmp_path / f"sensor{n}.pcap", frames[n::3]) for n in range(3)]
    paths.append(write(tmp_path / "same.pcap", frames[10:40]))  # the same packets, seen by two
    assert_same(paths, tmp_path / "work")


def test_cluster__equal_times_and_packets_out_of_order_are_merged_as_one_process_does(tmp_path: Path) -> None:
    frames = [(time // 10**8 * 10**8, data) for time, data in frames_of(ROOT / "tests" / "captures" / BUSY)]
    for n in range(5, len(frames) - 1, 7):
        frames[n], frames[n + 1] = frames[n + 1], frames[n]
    paths = [write(tmp_path / f"{n}.pcap", frames[n::2]) for n in range(2)]
    assert_same(paths, tmp_path / "work")


def test_cluster__chunks_smaller_than_files_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastack.app.cluster_order._CHUNK", 3)
    monkeypatch.setattr("lastack.app.cluster_order._AT_ONCE", 7)
    frames = frames_of(ROOT / "tests" / "captures" / BUSY)
    paths = [write(tmp_path / f"{n}.pcap", frames[n::3]) for n in range(3)]
    assert_same(paths, tmp_path / "work")


def test_cluster__a_crowd_over_all_shards_is_seen(tmp_path: Path) -> None:
    flood = []
    for n in range(60):
        client = f"10.0.0.{n + 1}"
        answer = build.ipv4("192.0.2.1", client, build.tcp(80, 40000, seq=9, ack=1, flags=SYN | ACK))
        flood.append((n * 10**8, build.ipv4(client, "192.0.2.1", build.syn(40000, 80)).data))
        flood.append((n * 10**8 + 10**6, answer.data))
    paths = [write(tmp_path / f"{n}.pcap", flood[n::2], link=101) for n in range(2)]
    assert_same(paths, tmp_path / "work")
    causes = {row["cause"] for row in rows(in_tasks(paths, tmp_path / "work")[0])}
    assert causes == {"syn_flood"}


def test_cluster__a_session_limit_keeps_the_ledger_balanced(tmp_path: Path) -> None:
    frames = [
        (n * 10**6, build.ipv4(f"10.0.{n >> 8}.{n & 255}", "192.0.2.1", build.syn(40000, 80)).data)
        for n in range(900)
    ]
    path = write(tmp_path / "many.pcap", frames, link=101)
    options = TrackOptions(threads=1, max_sessions=1, idle_timeout_ns=10**9)
    batches, summary, _ = in_tasks([path], tmp_path / "work", options)
    one, said = alone([path], options)
    assert summary.evicted == said.evicted > 0
    assert summary.ledger == said.ledger
    assert sorted(map(str, rows(batches))) == sorted(map(str, rows(one)))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real captures beside the checkout")
def test_cluster__real_captures_give_the_rows_of_one_process(tmp_path: Path) -> None:
    kinds = {".pcap", ".pcapng", ".cap"}
    files = [p for p in sorted(SHARED.rglob("*")) if p.suffix in kinds and p.stat().st_size < 3_000_000]
    assert files
    for number, path in enumerate(files[:60:3]):
        try:
            alone([str(path)])
        except LastackError:
            continue
        assert_same([str(path)], tmp_path / str(number))


def stages(run: ClusterRun) -> dict[str, tuple[int, int, int]]:
    return {stage.name: (stage.tasks, stage.skipped, stage.failed) for stage in run.stages}


def test_cluster__a_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    paths, work = CAPTURES[:4], tmp_path / "work"
    first, _, run = in_tasks(paths, work)
    assert stages(run) == {"map": (4, 0, 0), "track": (8, 0, 0), "judge": (8, 0, 0)}
    again, _, run = in_tasks(paths, work)
    assert stages(run) == {"map": (4, 4, 0), "track": (8, 8, 0), "judge": (8, 8, 0)}
    assert rows(again) == rows(first)
    _, _, run = in_tasks(CAPTURES[:5], work)  # one capture more: the others are not read again
    assert stages(run)["map"] == (5, 4, 0)
    run.clean()
    assert not work.exists()


def test_cluster__a_result_cut_short_by_a_crash_is_made_again(tmp_path: Path) -> None:
    paths, work = CAPTURES[:2], tmp_path / "work"
    first = rows(in_tasks(paths, work)[0])
    victim = next((work / "track").glob("*/rows.arrows"))
    victim.write_bytes(victim.read_bytes()[:-1])
    again, _, run = in_tasks(paths, work)
    assert rows(again) == first
    assert stages(run)["track"] == (8, 7, 0)


class Failing(InProcess):
    """Cannot do some tasks, as a machine with a full disk."""

    def __init__(self, *broken: str) -> None:
        self._broken = broken

    def run(self, tasks: Sequence[Task], told: Told) -> None:
        for task in tasks:
            bad = any(task.name.endswith(name) for name in self._broken)
            told(Outcome(task.name, "no space left on device (on host7:1)") if bad else run_task(task))


def test_cluster__a_capture_that_cannot_be_mapped_is_named_and_the_rest_is_whole(tmp_path: Path) -> None:
    paths, batches = CAPTURES[:4], []  # type: ignore[var-annotated]
    run = ClusterRun(Failing(paths[1]), tmp_path / "work")
    summary = run.track(paths, OPTIONS, batches.append)
    assert list(run.missing) == [paths[1]]
    assert any(paths[1] in str(p) and "no space left" in str(p) for p in summary.problems)
    assert rows(batches) == rows(alone([paths[0], *paths[2:]])[0])
    again, _, run = in_tasks(paths, tmp_path / "work")
    assert stages(run)["map"] == (4, 3, 0)
    assert rows(again) == rows(alone(paths)[0])


def test_cluster__a_shard_that_fails_ends_the_run_and_what_was_made_stays(tmp_path: Path) -> None:
    run = ClusterRun(Failing("track shard 3"), tmp_path / "work")
    with pytest.raises(LastackError, match=r"track shard 3: no space left .* run the same command again"):
        run.track(CAPTURES[:3], OPTIONS, lambda batch: None)
    _, _, run = in_tasks(CAPTURES[:3], tmp_path / "work")
    assert stages(run) == {"map": (3, 3, 0), "track": (8, 7, 0), "judge": (8, 0, 0)}


def test_cluster__damaged_captures_among_good_ones_are_told_as_by_one_process(tmp_path: Path) -> None:
    garbage, cut = tmp_path / "garbage.pcap", tmp_path / "cut.pcap"
    garbage.write_bytes(b"this is no capture" * 10)
    cut.write_bytes(Path(CAPTURES[3]).read_bytes()[:-7])
    paths = [*CAPTURES[:3], str(garbage), str(cut)]
    assert_same(paths, tmp_path / "work")
    assert any("garbage.pcap" in str(p) for p in in_tasks(paths, tmp_path / "work")[1].problems)


def test_cluster__only_unreadable_captures_are_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"nothing of use here, but some bytes")
    with pytest.raises(InputError, match=r"bad\.pcap"):
        in_tasks([str(bad)], tmp_path / "work")


def test_cluster__a_capture_damaged_before_its_first_packet_is_an_error_unless_others_have_some(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.pcapng"
    broken.write_bytes(section()[:20] + bytes(range(64)))
    with pytest.raises(InputError, match=r"nothing could be read: .*broken\.pcapng.*damaged"):
        in_tasks([str(broken)], tmp_path / "work")
    assert_same([*CAPTURES[:2], str(broken)], tmp_path / "work")


def test_cluster__pipes_and_growing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="standard input"):
        in_tasks(["-"], tmp_path / "work")
    with pytest.raises(UsageError, match="--follow"):
        in_tasks(CAPTURES[:1], tmp_path / "work", TrackOptions(follow=True))


def fill(folder: Path, text: str) -> dict[str, Any]:
    (folder / "text").write_text(text)
    if text == "fail":
        raise OSError(28, "No space left on device")
    return {"length": len(text)}


def test_run_task__a_failure_leaves_nothing_and_is_told_with_its_place(tmp_path: Path) -> None:
    task = Task("t", str(tmp_path / "out"), fill, ("fail",))
    outcome = run_task(task)
    assert outcome.problem is not None
    assert "No space left on device" in outcome.problem
    assert outcome.where in outcome.problem
    assert not list(tmp_path.iterdir())


def test_run_task__a_result_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    task = Task("t", str(tmp_path / "out"), fill, ("hello",))
    assert not run_task(task).skipped
    assert result_of(str(tmp_path / "out")) is not None
    assert run_task(task).skipped


def test_cluster__zones_and_applications_are_those_of_one_process(tmp_path: Path) -> None:
    config = tmp_path / "zones.toml"
    config.write_text('[zones.inside]\ncidr = ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"]\n')
    options = TrackOptions(threads=1, classes=load_classes(str(config)))
    assert_same([*CAPTURES[:5], SAMPLE], tmp_path / "work", options)
    zones = {row["server_zone"] for row in rows(in_tasks([SAMPLE], tmp_path / "work", options)[0])}
    assert "inside" in zones


def test_cluster__many_captures_with_a_bad_one_are_done_and_a_second_run_does_one_more(
    tmp_path: Path,
) -> None:
    paths = []
    for n in range(120):
        start = (n + 1) * 10**8
        syn = build.ipv4(f"10.0.{n >> 8}.{n & 255}", "192.0.2.1", build.syn(40000, 80)).data
        answer = build.tcp(80, 40000, seq=9, ack=1, flags=SYN | ACK)
        reply = build.ipv4("192.0.2.1", f"10.0.{n >> 8}.{n & 255}", answer).data
        # The answer comes when the next file has begun.
        paths.append(write(tmp_path / f"{n}.pcap", [(start, syn), (start + 15 * 10**7, reply)], link=101))
    Path(paths[80]).write_bytes(b"this is no capture" * 10)
    assert assert_same(paths[:119], tmp_path / "work") == 118
    _, summary, run = in_tasks(paths, tmp_path / "work")
    assert stages(run)["map"] == (119, 118, 0)
    assert summary.sessions == 119
    assert any("80.pcap: not a capture" in str(problem) for problem in summary.problems)

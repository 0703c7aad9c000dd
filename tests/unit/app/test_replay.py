"""Captures through boxes: equal to the slow replay, whatever the threads, lanes and windows; entries over time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.fates import evaluate
from tests.naive.packets import Packet
from tests.naive.reader import read
from tests.naive.segments import end_key
from tests.unit.capture.build import section
from tests.unit.firewall.talk import HANDSHAKE, talk

from lastack.app.options import TrackOptions
from lastack.app.profiles import load_profile
from lastack.app.replay import replay_captures
from lastack.firewall.compile import compile_box
from lastack.firewall.policy import Policy
from lastack.firewall.settings import with_settings
from lastack.firewall.table import Box, Room
from lastack.model.errors import InputError, UsageError
from lastack.replay.events import Replayed, crowd_of
from lastack.replay.forks import at_the_latest, difference, is_coarse

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "samples/closes.pcapng"
SHARED = ROOT.parent / "shared/captures"


def box(name: str, *sets: str) -> Box:
    profile = load_profile(name)
    strict = {"loose": False} if name == "linux_conntrack" else {}
    policy = Policy(name, name, switches=strict)
    return compile_box(profile, with_settings(policy, profile, sets, (), ranges=False))


BOXES = {
    "panos": box("panos", "half_closed=2s", "tcp=3s"),
    "linux": box("linux_conntrack", "close_wait=2s", "established=3s"),
    "pf": box("pf", "closing=2s", "established=3s"),
}


def replayed(paths: list[Path], one: Box, **options: Any) -> Replayed:
    (done,), _ = replay_captures([str(path) for path in paths], [one], TrackOptions(**options))
    return done


def summary(done: Replayed) -> tuple[Any, ...]:
    broken = [
        (one.row["session_id"], one.broken_ns, one.refused, one.lost_bytes, one.harm, one.state)
        for one in done.broken
    ]
    return done.sessions, dict(done.answers), dict(done.ends), done.crowd, broken


def slow_summary(packets: list[Packet], one: Box) -> list[tuple[Any, ...]]:
    """Return (first packet refused, when the entry ended, packets, payload, harm) of each broken session."""
    _, fates = evaluate(packets, one)
    return sorted(
        (fate.first_refused, fate.broken_ns, sum(fate.refused), sum(fate.lost_bytes), fate.harm)
        for fate in fates
        if fate.broken
    )


def fast_summary(done: Replayed) -> list[tuple[Any, ...]]:
    return sorted(
        (one.first_refused, one.broken_ns, sum(one.refused), sum(one.lost_bytes), one.harm)
        for one in done.broken
    )


@pytest.mark.parametrize("name", BOXES)
def test_replay__breaks_the_sessions_of_the_slow_replay(name: str):
    packets = [packet for packet in read(SAMPLE).packets if packet.icmp is None]
    done = replayed([SAMPLE], BOXES[name])
    assert fast_summary(done) == slow_summary(packets, BOXES[name])
    assert done.broken


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared captures are not here")
@pytest.mark.parametrize("name", BOXES)
def test_every_capture_at_hand__breaks_as_the_slow_replay_says(name: str):
    compared = 0
    for path in sorted(SHARED.glob("*cap*")):
        if path.stat().st_size > 400_000 or path.is_dir():
            continue
        try:
            packets = [packet for packet in read(path).packets if packet.icmp is None]
        except ValueError:
            continue
        if not packets:
            continue
        assert fast_summary(replayed([path], BOXES[name])) == slow_summary(packets, BOXES[name]), path.name
        compared += 1
    assert compared > 15


def test_client_and_server__are_told_apart(tmp_path: Path):
    from tests.naive.write import write

    for first, second in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")):
        ends = ((first, 40_000), (second, 443))
        packets = talk(HANDSHAKE + "1 >F 1 <A 40 <D 41 <D", ends)
        path = write(tmp_path / f"{first}.pcap", packets)
        (one,) = replayed([path], box("panos_legacy")).broken
        assert (one.refused, one.lost_bytes) == ((0, 2), (0, 200)), end_key(*ends[0])


def test_threads_and_windows__change_nothing():
    assert (
        summary(replayed([SAMPLE], BOXES["panos"], threads=1))
        == summary(replayed([SAMPLE], BOXES["panos"], threads=3))
        == summary(replayed([SAMPLE], BOXES["panos"], window_bytes=4096))
    )


@pytest.mark.parametrize("name", BOXES)
def test_one_table_that_never_fills__does_what_eight_lanes_do(name: str):
    wide = replace(BOXES[name], room=Room(limit=1_000_000))
    assert summary(replayed([SAMPLE], wide)) == summary(replayed([SAMPLE], replace(BOXES[name], room=Room())))


def test_small_table__never_holds_more_than_it_may():
    done = replayed([SAMPLE], replace(BOXES["panos"], room=Room(limit=7)))
    assert done.crowd.peak == 7


def test_several_captures__are_one_input(tmp_path: Path):
    from tests.naive.write import write

    packets = talk(HANDSHAKE + "1 >F 1 <A 40 <D")
    parts = [write(tmp_path / "a.pcap", packets[:4]), write(tmp_path / "b.pcap", packets[4:])]
    done = replayed(parts, box("panos_legacy"))
    assert [(one.first_refused, one.lost_bytes) for one in done.broken] == [(2, (0, 100))]


def test_coarse_timers__are_run_at_their_latest_too(tmp_path: Path):
    from tests.naive.write import write

    pf = box("pf", "closing=30s")
    assert is_coarse(pf)
    path = write(tmp_path / "late.pcap", talk(HANDSHAKE + "1 >F 1 <A 35 <D"))
    early, late = (replayed([path], one) for one in (pf, at_the_latest(pf)))
    assert [one.uncertain for one in early.broken] == [True]
    assert not late.broken
    assert difference("late", early, late).only_assumed == 1


spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 60)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(spans)
def test_entries_over_time__are_what_counting_each_instant_gives(found: list[tuple[int, int]]):
    first, last = 0, 60
    made = np.array([start for start, _ in found], np.int64)
    gone = np.array([start + length for start, length in found], np.int64)
    crowd = crowd_of(made, gone, first, last)
    held = [sum(start <= t < start + length for start, length in found) for t in range(first, last)]
    assert crowd.peak == max(held)
    assert crowd.peak_ns == held.index(max(held))
    assert crowd.mean == pytest.approx(sum(held) / len(held))
    assert sum(h <= crowd.p99 for h in held) >= 0.99 * len(held)
    assert crowd.p99 == 0 or sum(h < crowd.p99 for h in held) < 0.99 * len(held)


def test_more_sessions_than_allowed__is_an_error_that_names_the_option(tmp_path: Path):
    from tests.naive.write import write

    crowd = [Packet(n, "10.0.0.1", 1024 + n, "10.0.0.2", 443, 1, 0, 2) for n in range(1200)]
    path = write(tmp_path / "crowd.pcap", crowd)
    with pytest.raises(UsageError, match="--max-sessions"):
        replayed([path], BOXES["panos"], max_sessions=64)


def test_replay__a_capture_damaged_before_its_first_packet_is_an_error_unless_others_have_some(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.pcapng"
    broken.write_bytes(section()[:20] + bytes(range(64)))
    with pytest.raises(InputError, match=r"nothing could be read: .*broken\.pcapng.*damaged"):
        replayed([broken], BOXES["panos"])
    both, said = replay_captures([str(SAMPLE), str(broken)], [BOXES["panos"]], TrackOptions())
    assert both[0].sessions == replayed([SAMPLE], BOXES["panos"]).sessions
    assert [problem for problem in said.problems if "broken.pcapng" in problem]

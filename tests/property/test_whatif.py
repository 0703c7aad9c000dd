"""The fast what-if (from session records) is held against the slow box (packet by packet)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from tests.naive.fates import evaluate, follow
from tests.naive.packets import ACK, FIN, SYN, Packet
from tests.naive.reader import read
from tests.naive.write import write
from tests.property.boxes import BOXES, compare, readings, shipped
from tests.property.talks import BASE_NS, Talk, captures_of_talks

import lastack
from lastack.firewall.table import Box, Ct, Table
from lastack.replay.harm import Loss
from lastack.replay.holding import Window
from lastack.replay.judge import judge
from lastack.replay.lanes import LANES, Lanes, Readings, Stage, lanes_of
from lastack.replay.past import Past
from lastack.replay.recorded import past_of
from lastack.replay.sweep import Sweep

ROOT = Path(__file__).resolve().parents[2]
OWN = [*sorted((ROOT / "tests" / "captures").glob("*.pcap")), ROOT / "samples" / "closes.pcapng"]
SHARED = sorted((ROOT.parent / "shared" / "captures").glob("*cap*"))
PROFILES: dict[str, Table] = {
    "panos": shipped("panos", tcp=60, tcp_half_closed=6, tcp_time_wait=3),
    "panos_legacy": shipped("panos_legacy", tcp=60, tcp_wait=5),
    "fortigate": shipped("fortigate"),
    "cisco_asa": shipped("cisco_asa"),
    "linux_conntrack": shipped("linux_conntrack", fin_wait=3, close_wait=2, last_ack=2, time_wait=3),
    "rfc6146": shipped("rfc6146"),
    "ipvs": shipped("ipvs"),
    "checkpoint": shipped("checkpoint"),
}
#: Boxes about which the record leaves something open.
OPEN = ("linux_conntrack", "rfc6146")


def _linux(strict: bool, **seconds: float) -> Table:
    table = PROFILES["linux_conntrack"]
    assert table.linux is not None
    rows = list(table.timers)
    for name, length in seconds.items():
        rows[Ct[name]] = replace(rows[Ct[name]], ns=round(length * 1e9))
    return replace(table, timers=tuple(rows), linux=replace(table.linux, loose=not strict))


_SHORT = {
    "established": 60, "unack": 20, "retrans": 20, "fin_wait": 10, "close_wait": 5, "last_ack": 5, "time_wait": 20,
    "syn_sent": 10, "syn_recv": 10,
}  # fmt: skip
LINUX = {
    "short": _linux(False, **_SHORT),
    "short_strict": _linux(True, **_SHORT),
    "unlike_caps": _linux(
        False,
        **{
            **_SHORT,
            "unack": 40,
            "retrans": 15,
            "close_wait": 50,
            "fin_wait": 60,
            "last_ack": 10,
            "time_wait": 5,
        },
    ),
}


def _rows(packets: list[Packet], folder: Path) -> object:
    return lastack.track(write(folder / "talks.pcap", packets)).table


@given(captures_of_talks())
def test_whatif__equals_the_slow_box(tmp_path_factory: pytest.TempPathFactory, packets: list[Packet]) -> None:
    rows = _rows(packets, tmp_path_factory.mktemp("talks"))
    for name, table in {**BOXES, **PROFILES}.items():
        found = compare(packets, table, rows)
        assert not found.wrong, name
        if name not in OPEN:
            assert found.exact == found.sessions, name


@given(captures_of_talks())
def test_whatif__equals_the_slow_box_on_any_linux(
    tmp_path_factory: pytest.TempPathFactory, packets: list[Packet]
) -> None:
    rows = _rows(packets, tmp_path_factory.mktemp("talks"))
    for name, table in LINUX.items():
        assert not compare(packets, table, rows).wrong, name


def _half_closed(acks: int, handshake_s: float, silence_s: float) -> list[Packet]:
    """Return a session whose server acknowledges the client's FIN so often, and closes after a silence."""
    talk = Talk(0, BASE_NS)
    steps = [
        (0.0, 0, SYN, 0), (0.01, 1, SYN | ACK, 0), (handshake_s, 0, ACK, 0), (0.01, 0, ACK, 10), (0.001, 1, ACK, 0),
        (0.01, 1, ACK, 10), (0.001, 0, ACK, 0), (0.01, 0, FIN | ACK, 0), *[(0.01, 1, ACK, 0)] * acks,
        (silence_s, 1, FIN | ACK, 0), (0.01, 0, ACK, 0),
    ]  # fmt: skip
    for wait_s, end, flags, payload in steps:
        talk.now += round(wait_s * 1e9)
        talk.send(end, flags, payload)
    return [replace(packet, number=i) for i, packet in enumerate(talk.packets, 1)]


@pytest.mark.parametrize(
    ("acks", "handshake_s", "exact"),
    [
        pytest.param(1, 0.01, True, id="one_ack_of_the_fin"),
        pytest.param(2, 0.01, True, id="too_few_acks_for_the_timer_of_repeats"),
        pytest.param(4, 0.01, False, id="four_identical_acks_start_the_timer_of_repeats"),
        pytest.param(3, 12.0, False, id="an_entry_made_by_the_ack_of_the_handshake_never_notes_a_window"),
    ],
)
def test_whatif__calls_no_linux_session_exact_whose_shorter_timer_may_run(
    tmp_path: Path, acks: int, handshake_s: float, exact: bool
) -> None:
    packets = _half_closed(acks, handshake_s, silence_s=30.0)
    rows = _rows(packets, tmp_path)
    found = compare(packets, LINUX["unlike_caps"], rows)
    assert (found.wrong, found.exact) == ([], int(exact))
    assert found.broken == int(not exact), "15 s of repeats or of a window of 0, not 50 s of close_wait"


@given(captures_of_talks())
def test_entries__stand_as_long_as_in_the_slow_box(
    tmp_path_factory: pytest.TempPathFactory, packets: list[Packet]
) -> None:
    past = past_of(_rows(packets, tmp_path_factory.mktemp("talks")))
    first, last = packets[0].ts_ns, packets[-1].ts_ns
    followed = follow(packets)
    for name, table in {**BOXES, **PROFILES}.items():
        if name in OPEN or not len(past):
            continue
        _, fates = evaluate(followed, Box((table,)))
        stood = sum(min(life.gone_ns or last, last) - life.made_ns for fate in fates for life in fate.lives)
        sweep = Sweep(1, readings(table, False), Window(first, last))
        sweep.add(past, np.zeros(len(past), np.int64))
        out = sweep.outcome()
        assert out.area_s[0, 0] == pytest.approx(stood / 1e9, rel=1e-9, abs=1e-6), name
        lives = [life for fate in fates for life in fate.lives]
        moments = {
            moment for life in lives for moment in (life.made_ns, life.gone_ns or last) if moment <= last
        }
        held = [
            sum(life.made_ns <= moment and (life.gone_ns is None or moment < life.gone_ns) for life in lives)
            for moment in moments
        ]
        assert out.counted
        assert out.peak_entries[0] == max(held, default=0), name


@pytest.mark.parametrize("name", [*BOXES, "panos", "linux_conntrack"])
def test_whatif__equals_the_slow_box_on_every_own_capture(name: str) -> None:
    table = {**BOXES, **PROFILES}[name]
    sessions = exact = 0
    for path in OWN:
        found = compare(read(path).packets, table, lastack.track(path).table)
        assert not found.wrong, path.name
        sessions, exact = sessions + found.sessions, exact + found.exact
    assert sessions > 300
    if name in BOXES:
        assert exact > 0.97 * sessions


@pytest.mark.shared
@pytest.mark.skipif(not SHARED, reason="no shared captures beside the project")
@pytest.mark.parametrize("name", [*BOXES, "panos"])
def test_whatif__equals_the_slow_box_on_shared_captures(name: str) -> None:
    table = {**BOXES, **PROFILES}[name]
    for path in SHARED:
        found = compare(read(path).packets, table, lastack.track(path).table)
        assert not found.wrong, path.name


def _swept(seconds: list[float], absolute: frozenset[Stage]) -> Readings:
    base = dict.fromkeys(Stage, 5.0)
    opening = Stage.syn_sent in absolute
    each = [
        lanes_of(
            {
                **base, Stage.established: t, Stage.fin1: t / 2, Stage.fin1_acked: t / 2,
                **({Stage.syn_sent: t / 5, Stage.syn_recv: t / 3} if opening else {}),
            },
            absolute - {Stage.syn_sent},
        )
        for t in seconds
    ]  # fmt: skip
    shared = each[0].timer.copy()
    shared[[int(Stage.fin1_acked), LANES // 2 + int(Stage.fin1_acked)]] = shared[
        [int(Stage.fin1), LANES // 2 + int(Stage.fin1)]
    ]
    lanes = Lanes(np.concatenate([one.ns for one in each], axis=1), each[0].absolute, shared)
    return Readings(lanes, lanes)


#: What counts since its start, not since the last packet; how long openings may take is swept too with the third.
_ABSOLUTE = [
    frozenset(),
    frozenset({Stage.fin1, Stage.fin1_acked, Stage.established}),
    frozenset({Stage.syn_sent}),
    frozenset({Stage.syn_sent, Stage.syn_recv, Stage.fin1, Stage.fin1_acked}),
]
_SETTINGS = [5.0, 6.0, 7.0, 12.0, 24.0, 40.0, 65.0, 200.0, 900.0]


@given(captures_of_talks())
def test_sweep__is_the_sum_of_the_verdicts_on_each_setting(
    tmp_path_factory: pytest.TempPathFactory, packets: list[Packet]
) -> None:
    past = past_of(_rows(packets, tmp_path_factory.mktemp("talks")))
    for absolute in _ABSOLUTE if len(past) else ():
        _sweep_is_the_sum(past, absolute)


def _sweep_is_the_sum(past: Past, absolute: frozenset[Stage]) -> None:
    swept = _swept(_SETTINGS, absolute)
    window = Window(int(past.start.min()), int(past.end.max()) + 1)
    # In two parts that are merged: parts of an input may be added apart.
    half = np.arange(len(past)) % 2 == 0
    sweep, other = Sweep(1, swept, window), Sweep(1, swept, window)
    for part, which in ((sweep, half), (other, ~half)):
        part.add(past.take(which), np.zeros(int(which.sum()), np.int64))
    sweep.merge(other)
    out = sweep.outcome()
    for j in range(swept.settings):
        lanes = swept.kind.only(j)
        one = judge(past, Readings(lanes, lanes))
        assert out.broken_least[0, j] == one.kind.broken.sum()
        assert out.broken_most[0, j] == one.harsh.broken.sum()
        assert out.lost_least[0, j] == one.kind.lost_least[:, :2].sum()
        assert out.lost_most[0, j] == one.harsh.lost_most[:, :2].sum()
        losses = np.bincount(one.kind.loss[one.kind.broken], minlength=len(Loss))
        assert out.losses[:, j].tolist() == losses.tolist()
        alone = Sweep(1, Readings(lanes, lanes), window)
        alone.add(past, np.zeros(len(past), np.int64))
        assert out.area_s[0, j] == pytest.approx(alone.outcome().area_s[0, 0])
    if Stage.syn_sent not in absolute:
        assert (np.diff(out.broken_most[0]) <= 0).all(), "longer timers never break more"


def test_ports_in_use__are_the_same_from_a_dataset_and_from_one_batch(tmp_path: Path) -> None:
    from lastack.app.grouped import open_source

    odd = 0
    for name in ("port_reused", "keepalive_rebooted", "reconnect_after_crash", "peer_rebooted", "refused"):
        path = ROOT / "tests" / "captures" / f"{name}.pcap"
        rows = lastack.track(path).table
        with open_source([str(path)]) as source:
            ids = source.used_ports()
        alone, together = past_of(rows), past_of(rows, ids)
        assert alone.odd.tolist() == together.odd.tolist(), name
        odd += int(alone.odd.sum())
    assert odd > 0

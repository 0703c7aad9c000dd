"""Timers of connections that are not open yet, found in captures of simulated paths, packet by packet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.naive.packets import ACK, FIN, SYN, Packet
from tests.naive.write import write

import lastack
from lastack.replay.deaths import Kind, told_by
from lastack.replay.finder import Found, Sessions, find_timers

S = 10**9
BASE_NS = 1_700_000_000 * S
RTT_S = 0.05


class Session:
    """Packets of one session, as they pass on the client's side of a box."""

    def __init__(self, number: int, start_s: float) -> None:
        self.ends = ((f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 40000), ("192.0.2.1", 443))
        self.start_s = start_s
        self.packets: list[Packet] = []

    def send(self, at_s: float, end: int, flags: int, seq: int, ack: int = 0, payload: int = 0) -> None:
        """Send a segment at a time since the session's start."""
        (src, sport), (dst, dport) = self.ends[end], self.ends[1 - end]
        ts_ns = BASE_NS + round((self.start_s + at_s) * 1e9)
        self.packets.append(Packet(ts_ns, src, sport, dst, dport, seq, ack, flags, payload, ttl=64, ipid=1))

    def handshake(
        self, answered_s: float, acked_s: float, stack: tuple[float, int], timer_s: float = np.inf
    ) -> None:
        """Open; the server sends its SYN-ACK again until it is acknowledged, the box drops what comes too late."""
        self.send(0, 0, SYN, 1000)
        first_s, most = stack
        for again in range(most + 1):
            later_s = first_s * (2**again - 1)
            if again == 0 or (answered_s + later_s < acked_s and later_s < timer_s):
                self.send(answered_s + later_s, 1, SYN | ACK, 5000, 1001)
        self.send(acked_s, 0, ACK, 1001, 5001)

    def talk(self, at_s: float) -> None:
        """Ask, answer, close."""
        for delay, end, flags, seq, ack, payload in (
            (0.001, 0, ACK, 1001, 5001, 100), (RTT_S, 1, ACK, 5001, 1101, 1000), (RTT_S, 0, ACK, 1101, 6001, 0),
            (0.01, 1, FIN | ACK, 6001, 1101, 0), (0.001, 0, FIN | ACK, 1101, 6002, 0), (RTT_S, 1, ACK, 6002, 1102, 0),
        ):  # fmt: skip
            at_s += delay
            self.send(at_s, end, flags, seq, ack, payload)

    def ask_in_vain(self, at_s: float) -> None:
        """Ask again and again, without an answer."""
        for again in (0, 0.3, 0.9, 2.1, 4.5):
            self.send(at_s + 0.001 + again, 0, ACK, 1001, 5001, 100)


def _found(sessions: list[Session], folder: Path) -> list[Found]:
    packets = sorted((p for one in sessions for p in one.packets), key=lambda packet: packet.ts_ns)
    path = write(folder / "path.pcap", [replace(p, number=i) for i, p in enumerate(packets, 1)])
    rows = lastack.track(path).table
    told = told_by(rows, Kind.embryonic)
    everywhere = np.zeros(len(told.row), np.int64)
    ids = rows["session_id"].to_numpy()[told.row]
    measured = (told.survived, told.killed, told.age_survived, told.age_killed, told.how, told.foreign)
    return find_timers(
        Sessions(ids, *measured, {"all": everywhere}, {"all": ("every path",)}), Kind.embryonic
    )


#: When servers send a SYN-ACK again first, and how often: Linux, Windows, an old system, one with SYN cookies.
STACKS = ((1.0, 5), (1.0, 2), (3.0, 3), (1.0, 0))


def _slow_clients(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return how long clients take to acknowledge a SYN-ACK, in seconds: most at once, some for long."""
    return np.where(rng.random(count) < 0.7, 0.001, rng.lognormal(0.5, 1.0, count))


@pytest.mark.parametrize("timer_s", [10.0, 20.0])
def test_finder__finds_an_embryonic_timer_within_5_percent(tmp_path: Path, timer_s: float) -> None:
    rng = np.random.default_rng(int(timer_s))
    waits = _slow_clients(rng, 200_000)
    late, soon = waits[waits >= timer_s][:50], waits[waits < timer_s][:9_950]
    assert len(late) == 50
    sessions = []
    for number, wait in enumerate(rng.permutation(np.concatenate([late, soon])).tolist()):
        one = Session(number, number * 0.5)
        acked = RTT_S + wait
        one.handshake(RTT_S, acked, STACKS[number % 4], timer_s)
        (one.ask_in_vain if wait >= timer_s else one.talk)(acked)
        sessions.append(one)
    (found,) = _found(sessions, tmp_path)
    assert found.mode == "absolute"
    assert found.expiry == "silent"
    assert found.estimate_ns == pytest.approx(timer_s * S, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_finder__claims_no_embryonic_timer_where_servers_are_slow_and_some_die(
    tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sessions = []
    answers, waits = rng.lognormal(0.0, 1.5, 3_000), _slow_clients(rng, 3_000)
    for number in range(3_000):
        one = Session(number, number * 0.5)
        answered = RTT_S + float(answers[number])
        acked = answered + float(waits[number])
        one.handshake(answered, acked, STACKS[number % 4])
        # A server that is overloaded answers the handshake, and then nothing more, however long it all took.
        (one.ask_in_vain if rng.random() < 0.03 else one.talk)(acked)
        sessions.append(one)
    assert not _found(sessions, tmp_path)

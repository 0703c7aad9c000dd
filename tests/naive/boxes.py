"""The compiled machine and the slow box side by side, on the same packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tests.naive.box import NaiveBox
from tests.naive.fates import evaluate
from tests.naive.packets import Packet
from tests.naive.segments import end_key, to_segments
from tests.naive.tracker import Tracker

from lastack.firewall.machine import Machine
from lastack.firewall.table import FOREVER_NS, Box
from lastack.replay.evaluate import evaluation
from lastack.replay.outcome import Fate

Life = tuple[int, int, int, int, int, int, int]


def naive_run(packets: Sequence[Packet], box: Box, adopt: bool) -> tuple[list[Any], list[Life], Any]:
    """Return answers, ended entries and facts of the slow box."""
    tracker, naive = Tracker(), NaiveBox(box)
    answers, facts = [], []
    for packet in packets:
        known = len(tracker.sessions)
        session = tracker.feed(packet)
        assert session is not None
        fresh = session == known
        opener = tracker.sessions[session].client_by_flags
        answers.append(
            tuple(map(int, naive.offer(packet, session, fresh=fresh, adopt=adopt and fresh, opener=opener)))
        )
        if opener is not None:
            here, there = tracker.sessions[session].low, tracker.sessions[session].high
            opener = opener if end_key(*here) <= end_key(*there) else 1 - opener
        facts.append(session << 8 | (2 if opener is None else opener) << 2 | (adopt and fresh) << 1 | fresh)
    last = max((packet.ts_ns for packet in packets), default=0)
    for key, entry in list(naive.entries.items()):
        due = naive.deadline(entry)
        naive.end(key, due if due <= last else None, 1 if due <= last else 0)  # type: ignore[arg-type]
    lives = [
        (s, x.made_ns, FOREVER_NS if x.gone_ns is None else x.gone_ns, int(x.why), x.phase, x.timer, x.table)
        for s, x in naive.lives
    ]
    return answers, sorted(lives), np.array(facts, np.uint64)


def compiled_run(
    packets: Sequence[Packet], box: Box, facts: Any, *, live: bool = False
) -> tuple[list[Any], list[Life]]:
    """Return answers and ended entries of the compiled machine."""
    machine = Machine(box, live=live)
    numbers = machine.run(to_segments(packets), facts)
    machine.flush(max((packet.ts_ns for packet in packets), default=0))
    ended = machine.take_ended()
    names = ("session", "made_ns", "gone_ns", "why", "phase", "timer", "table")
    lives = [tuple(int(life[name]) for name in names) for life in ended]
    return [(n & 15, n >> 4 & 15, n >> 8) for n in map(int, numbers)], sorted(lives)  # type: ignore[return-value]


def differences(packets: Sequence[Packet], box: Box, *, adopt: bool = True, live: bool = False) -> list[str]:
    """Return what the two say differently, a line each; empty if nothing."""
    slow, slow_lives, facts = naive_run(packets, box, adopt)
    fast, fast_lives = compiled_run(packets, box, facts, live=live)
    found = [
        f"packet {i + 1} {packets[i]}: slow {a}, fast {b}"
        for i, (a, b) in enumerate(zip(slow, fast, strict=True))
        if a != b
    ]
    return found or [
        f"entry {life}: {'slow' if life in slow_lives else 'fast'} only"
        for life in sorted(set(slow_lives) ^ set(fast_lives))
    ]


def fate_differences(packets: Sequence[Packet], box: Box, *, adopt: bool = True) -> list[str]:
    """Return what the slow replay and the compiled evaluator say differently of sessions."""
    verdicts, slow = evaluate(list(packets), box, adopt=adopt)
    fast, answers, sessions = evaluation(to_segments(packets), box, adopt=adopt)
    found = [
        f"packet {v.number}: slow {v}, fast {int(a)} {int(s)}"
        for v, a, s in zip(verdicts, answers, sessions, strict=True)
        if (v.action | v.reason << 4 | v.phase << 8, v.session) != (int(a), int(s))
    ]
    if len(slow) != len(fast):
        return [*found, f"{len(slow)} sessions, {len(fast)} fast"]
    first: dict[int, Packet] = {}
    for packet, verdict in zip(packets, verdicts, strict=True):
        first.setdefault(verdict.session, packet)
    for one, other in zip(slow, fast, strict=True):
        packet = first[one.session]
        ends = sorted([(packet.src, packet.sport), (packet.dst, packet.dport)])
        if end_key(*ends[0]) > end_key(*ends[1]):
            one = turned(one)
        if one != other:
            found.append(f"session {one.session}: slow {one}, fast {other}")
    return found


def turned(fate: Fate) -> Fate:
    """Return a fate with the ends swapped."""
    return replace(
        fate,
        refused=fate.refused[::-1],
        lost_bytes=fate.lost_bytes[::-1],
        lost_fins=fate.lost_fins[::-1],
        lost_rsts=fate.lost_rsts[::-1],
    )

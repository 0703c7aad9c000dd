"""The slow replay: verdicts of the slow box, and the fate of each session of the slow tracker."""

from __future__ import annotations

from dataclasses import dataclass

from tests.naive.box import NaiveBox
from tests.naive.packets import FIN, RST, Packet
from tests.naive.tracker import Tracker

from lastack.firewall.table import PHASE_CODE, Box, Ct
from lastack.firewall.words import Phase
from lastack.replay.outcome import REFUSED_FOR_ENTRY, Action, Fate, Life, Reason, Verdict, Why, harm_of


@dataclass(frozen=True, slots=True)
class Step:
    """A packet as the slow tracker placed it, which no box has a part in.

    Attributes:
        packet: The packet.
        session: Number of its session.
        end: Which end of the session sent it.
        fresh: Whether it is the first one of its session.
        opener: The client as flags tell it so far, None without.
    """

    packet: Packet
    session: int
    end: int
    fresh: bool
    opener: int | None


@dataclass(frozen=True, slots=True)
class Followed:
    """A capture as the slow tracker saw it: the same for each box.

    Attributes:
        steps: The packets of sessions, in order.
        sessions: Number of sessions.
        last_ns: Time of the latest packet, of a session or not.
    """

    steps: list[Step]
    sessions: int
    last_ns: int


def follow(packets: list[Packet]) -> Followed:
    """Return where the slow tracker places packets."""
    tracker = Tracker()
    steps: list[Step] = []
    openers: dict[int, int] = {}
    for packet in packets:
        known = len(tracker.sessions)
        session = tracker.feed(packet)
        if session is None:
            continue
        client = tracker.sessions[session].client_by_flags
        if client is not None:
            openers[session] = client
        end = tracker.sessions[session].sender(packet)
        steps.append(Step(packet, session, end, session == known, openers.get(session)))
    return Followed(steps, len(tracker.sessions), max((packet.ts_ns for packet in packets), default=0))


def evaluate(
    packets: list[Packet] | Followed, box: Box, *, adopt: bool = True
) -> tuple[list[Verdict], list[Fate]]:
    """Return a verdict for each packet and the fate of each session of the slow tracker."""
    followed = packets if isinstance(packets, Followed) else follow(packets)
    naive = NaiveBox(box)
    verdicts: list[Verdict] = []
    seen: list[tuple[Packet, int, Verdict]] = []
    counting: set[int] = set()  # sessions that had an entry, or were refused one
    lacking: dict[int, tuple[Packet, Life | None]] = {}  # the entry whose lack the first refused packet met
    for step in followed.steps:
        packet, session = step.packet, step.session
        action, reason, phase = naive.offer(
            packet, session, fresh=step.fresh, adopt=adopt and step.fresh, opener=step.opener
        )
        verdict = Verdict(packet.number, session, action, reason, phase)
        if reason not in (*REFUSED_FOR_ENTRY, Reason.passed) or reason is Reason.table_full:
            counting.add(session)
        if reason in REFUSED_FOR_ENTRY and session in counting and session not in lacking:
            last = next((life for owner, life in naive.lives[::-1] if owner == session), None)
            lacking[session] = (packet, last)
        verdicts.append(verdict)
        seen.append((packet, step.end, verdict))
    for key, entry in list(naive.entries.items()):
        due = naive.deadline(entry)
        over = due <= followed.last_ns
        naive.end(key, due if over else None, Why.expired if over else Why.open)
    return verdicts, [fate(box, i, seen, naive.lives, lacking) for i in range(followed.sessions)]


def fate(
    box: Box,
    session: int,
    seen: list[tuple[Packet, int, Verdict]],
    ended: list[tuple[int, Life]],
    lacking: dict[int, tuple[Packet, Life | None]],
) -> Fate:
    """Return what became of one session."""
    mine = [(packet, end, verdict) for packet, end, verdict in seen if verdict.session == session]
    lives = tuple(life for owner, life in ended if owner == session)
    denied = sum(
        verdict.reason in (Reason.rst_unbelieved, Reason.invalid) and verdict.action is not Action.forward
        for _, _, verdict in mine
    )
    if session not in lacking:
        return Fate(session, lives, denied=denied)
    first, last = lacking[session]
    refused = [
        (packet, end)
        for packet, end, verdict in mine
        if verdict.reason in REFUSED_FOR_ENTRY and verdict.number >= first.number
    ]
    opened = over = False
    resolution = 0
    if last is not None:
        table = box.tables[last.table]
        resolution = table.timers[last.timer].resolution_ns
        codes = PHASE_CODE
        if table.linux is not None:
            opened = last.phase not in (Ct.syn_sent, Ct.syn_recv, Ct.syn_sent2)
            over = last.phase in (Ct.last_ack, Ct.time_wait, Ct.close)
        else:
            opened = last.phase not in (codes[Phase.syn_sent], codes[Phase.syn_recv])
            over = last.phase in (codes[Phase.fin2], codes[Phase.closed], codes[Phase.rst])
    count = [sum(end == side for _, end in refused) for side in (0, 1)]
    lost = [sum(p.payload for p, end in refused if end == side and not p.flags & RST) for side in (0, 1)]
    fins = [sum(bool(p.flags & FIN) for p, end in refused if end == side) for side in (0, 1)]
    rsts = [sum(bool(p.flags & RST) for p, end in refused if end == side) for side in (0, 1)]
    gone = first.ts_ns if last is None or last.gone_ns is None else last.gone_ns
    return Fate(
        session,
        lives,
        broken_ns=gone,
        phase=last.phase if last else 0,
        timer=last.timer if last else -1,
        first_refused=first.number,
        first_refused_ns=first.ts_ns,
        refused=(count[0], count[1]),
        lost_bytes=(lost[0], lost[1]),
        lost_fins=(fins[0], fins[1]),
        lost_rsts=(rsts[0], rsts[1]),
        denied=denied,
        uncertain=last is not None and last.why is Why.expired and first.ts_ns < gone + resolution,
        harm=harm_of(
            refused=len(refused),
            opened=opened,
            over=over,
            lost_bytes=sum(lost),
            lost_closes=sum(fins) + sum(rsts),
        ),
    )

"""The slow replay: verdicts of the slow box, and the fate of each session of the slow tracker."""

from __future__ import annotations

from tests.naive.box import NaiveBox
from tests.naive.packets import FIN, RST, Packet
from tests.naive.tracker import Tracker

from lastack.firewall.table import PHASE_CODE, Box, Ct
from lastack.firewall.words import Phase
from lastack.replay.outcome import REFUSED_FOR_ENTRY, Action, Fate, Life, Reason, Verdict, Why, harm_of


def evaluate(packets: list[Packet], box: Box, *, adopt: bool = True) -> tuple[list[Verdict], list[Fate]]:
    """Return a verdict for each packet and the fate of each session of the slow tracker."""
    tracker, naive = Tracker(), NaiveBox(box)
    verdicts: list[Verdict] = []
    seen: list[tuple[Packet, int, Verdict]] = []
    openers: dict[int, int] = {}
    counting: set[int] = set()  # sessions that had an entry, or were refused one
    lacking: dict[int, tuple[Packet, Life | None]] = {}  # the entry whose lack the first refused packet met
    for packet in packets:
        known = len(tracker.sessions)
        session = tracker.feed(packet)
        if session is None:
            continue
        fresh = session == known
        client = tracker.sessions[session].client_by_flags
        if client is not None:
            openers[session] = client
        opener = openers.get(session)
        action, reason, phase = naive.offer(
            packet, session, fresh=fresh, adopt=adopt and fresh, opener=opener
        )
        verdict = Verdict(packet.number, session, action, reason, phase)
        if reason not in (*REFUSED_FOR_ENTRY, Reason.passed) or reason is Reason.table_full:
            counting.add(session)
        if reason in REFUSED_FOR_ENTRY and session in counting and session not in lacking:
            last = next((life for owner, life in naive.lives[::-1] if owner == session), None)
            lacking[session] = (packet, last)
        verdicts.append(verdict)
        seen.append((packet, tracker.sessions[session].sender(packet), verdict))
    last = max((packet.ts_ns for packet in packets), default=0)
    for key, entry in list(naive.entries.items()):
        due = naive.deadline(entry)
        naive.end(key, due if due <= last else None, Why.expired if due <= last else Why.open)
    return verdicts, [fate(box, i, seen, naive.lives, lacking) for i in range(len(tracker.sessions))]


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

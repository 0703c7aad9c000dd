"""Openings in which SYNs or SYN-ACKs came again, packet by packet: each may restart a timer or make the entry anew.

The record keeps the moments of all of them (`retries`), so that nothing is left open. A session is one *branch* for all
settings; where a packet comes too late for some of them it is split there, so that the work grows with what differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.lanes import STAGES, Lanes, Meets, Stage
from lastack.replay.past import Past

_NONE, _SYN, _SYN_ACK, _LAST = -1, 0, 1, 2
_SENT, _RECV = int(Stage.syn_sent), int(Stage.syn_recv)


@dataclass(frozen=True, slots=True)
class Branches:
    """Openings, each for the settings `since <= j < until`; together a session's branches are all settings.

    Attributes:
        row: Session.
        since: First setting.
        until: Setting after the last.
        lane: Stage that the box has it in, `syn_sent` or `syn_recv`.
        base_ns: What the timer of that stage counts from.
        alive: Whether there is an entry at the end.
        broke: Whether a packet was refused.
        first_lane: Stage in which the entry ended that the first refused packet lacked.
        first_base_ns: What its timer counted from.
        first_lost_ns: That packet.
        passed: Packets of client and server that passed, shape (branches, 2).
    """

    row: NDArray[np.int64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]
    alive: NDArray[np.bool_]
    broke: NDArray[np.bool_]
    first_lane: NDArray[np.int64]
    first_base_ns: NDArray[np.int64]
    first_lost_ns: NDArray[np.int64]
    passed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def chosen(self, which: NDArray[Any]) -> Branches:
        """Return some of them."""
        return Branches(*(getattr(self, name)[which] for name in Branches.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Away:
    """Times in which an entry was gone before a packet made it again, for the settings `since <= j < until`."""

    row: NDArray[np.int64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]
    back_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def chosen(self, which: NDArray[Any]) -> Away:
        """Return some of them."""
        return Away(*(getattr(self, name)[which] for name in Away.__dataclass_fields__))


def joined_away(parts: list[Away]) -> Away:
    """Return several as one."""
    names = Away.__dataclass_fields__
    return Away(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of openings with retries.

    Attributes:
        known: Sessions that this is about, shape (sessions,).
        branches: Their branches, in order of session.
        away: Their entries' absences.
        over: Whether the record says that the opening ended, shape (sessions,).
        tried: Packets of client and server in the opening, shape (sessions, 2).
    """

    known: NDArray[np.bool_]
    branches: Branches
    away: Away
    over: NDArray[np.bool_]
    tried: NDArray[np.int64]


def opened_of(past: Past, lanes: Lanes) -> Opened | None:
    """Return what became of the openings whose retries are all known, None without any.

    Args:
        past: The sessions.
        lanes: The timers.
    """
    begun = (int(Stage.syn_sent), int(Stage.syn_recv), int(Stage.established))
    timers = lanes.timer[list(begun)]
    runs_on = bool(lanes.absolute[begun[2]]) and bool((timers[:2] == timers[2]).any())
    if not lanes.plain_opening or runs_on or lanes.meeting.syn_ack != Meets.refused or not past.tried.any():
        return None
    rows = np.flatnonzero(past.tried)
    times, kinds, over = _sequences(past, rows)
    branches, away, sound = _played(past, lanes, rows, times, kinds)
    known = past.tried.copy()
    known[rows[~sound]] = False
    is_over = np.zeros(len(past), np.bool_)
    is_over[rows] = over
    tried = np.zeros((len(past), 2), np.int64)
    tried[rows] = np.stack([(kinds == _SYN).sum(axis=1) + 1, (kinds == _SYN_ACK).sum(axis=1)], axis=1)
    branches = branches.chosen(known[branches.row])
    order = np.lexsort((branches.since, branches.row))
    return Opened(known, branches.chosen(order), away.chosen(known[away.row]), is_over, tried)


def _sequences(
    past: Past, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the times and kinds of what followed the first SYN of each session, and whether the opening ended."""
    place = np.full(len(past), -1, np.int64)
    place[rows] = np.arange(len(rows))
    t = past.retries
    mine = place[t.row] >= 0
    row, ns, kind, answered = place[t.row[mine]], t.ns[mine], t.kind[mine], t.answered[mine]
    answer = past.enters[rows, _RECV]
    last = past.enters[rows, Stage.established :].min(axis=1)
    i, k = np.flatnonzero(answer != NEVER), np.flatnonzero(last != NEVER)
    # The first SYN-ACK stands between those before and those after it, whatever the clock says.
    rank = np.concatenate([np.where(answered, 2, 0), np.full(len(i), 1), np.full(len(k), 3)])
    row = np.concatenate([row, i, k])
    ns = np.concatenate([ns, answer[i], last[k]])
    kind = np.concatenate([kind, np.full(len(i), _SYN_ACK), np.full(len(k), _LAST)])
    order = np.lexsort((np.arange(len(row)), rank, row))
    row, ns, kind = row[order], ns[order], kind[order]
    nth = np.arange(len(row)) - np.searchsorted(row, row)
    times = np.zeros((len(rows), int(nth.max(initial=-1)) + 1), np.int64)
    kinds = np.full(times.shape, _NONE, np.int64)
    times[row, nth], kinds[row, nth] = ns, kind
    if times.size:
        times = np.maximum.accumulate(np.maximum(times, past.start[rows][:, None]), axis=1)
    return times, kinds, last != NEVER


def _played(
    past: Past, lanes: Lanes, rows: NDArray[np.int64], times: NDArray[np.int64], kinds: NDArray[np.int64]
) -> tuple[Branches, Away, NDArray[np.bool_]]:
    """Return branches, absences, and which sessions the rules here are enough for."""
    n = len(rows)
    zero, no = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    passed = np.zeros((n, 2), np.int64)
    passed[:, 0] = 1
    b = Branches(
        np.arange(n),
        zero,
        zero + lanes.settings,
        zero + _SENT,
        past.start[rows],
        ~no,
        no,
        zero,
        zero,
        zero,
        passed,
    )
    refuses_last = _last_is_refused(past, lanes, rows)
    by_rst = np.isin(
        past.enters[rows, Stage.established :].argmin(axis=1) + int(Stage.established),
        (Stage.rst, Stage.rst_unverified),
    )
    sound = ~no
    doubtful = _has_doubtful_silence(past, lanes)[rows]
    aways: list[Away] = []
    for place in range(times.shape[1]):
        now, kind = times[b.row, place], kinds[b.row, place]
        b = _split(b, lanes, now, kind != _NONE)
        now, kind = times[b.row, place], kinds[b.row, place]
        is_syn, is_answer, is_last = kind == _SYN, kind == _SYN_ACK, kind == _LAST
        # Conntrack takes up a session at its handshake's last ACK.
        taken = ~b.alive & is_last & ~refuses_last[b.row] & lanes.conntrack
        lacking = ~b.alive & (is_answer | is_last) & ~taken
        newly = lacking & ~b.broke
        # A SYN makes the entry again, and what the box has seen of the session begins with it.
        back = np.flatnonzero(~b.alive & (is_syn | taken))
        aways.append(
            Away(b.row[back], b.since[back], b.until[back], b.lane[back], b.base_ns[back], now[back])
        )
        first = [
            np.where(newly, new, old)
            for new, old in ((b.lane, b.first_lane), (b.base_ns, b.first_base_ns), (now, b.first_lost_ns))
        ]
        makes = ~b.alive & is_syn
        alive = b.alive | is_syn | taken
        answered = b.alive & is_answer & (b.lane == _SENT)
        moves = answered & bool(lanes.timer[_SENT] != lanes.timer[_RECV])
        renews = np.zeros(len(b), np.bool_)
        for stage in (_SENT, _RECV):
            here = b.alive & (np.where(answered, _RECV, b.lane) == stage) & ~lanes.absolute[stage]
            renews |= here & ((is_syn & lanes.renews[stage, 0]) | (is_answer & lanes.renews[stage, 1]))
        if lanes.conntrack and place:
            # A SYN-ACK that answers a SYN which conntrack had ignored begins anew (nf_conntrack_tcp_packet).
            renews |= b.alive & is_answer & (b.lane == _RECV) & (kinds[b.row, place - 1] == _SYN)
        lane = np.where(makes, _SENT, np.where(answered, _RECV, b.lane))
        base = np.where(makes | moves | renews, now, b.base_ns)
        through = np.stack([is_syn, b.alive & is_answer], axis=1)
        # What takes a session up otherwise, and what conntrack takes up later, is not followed.
        stays = ~b.alive & is_last & (refuses_last[b.row] == (lanes.conntrack and lanes.meeting.open))
        sound[b.row[(stays & ~taken) | (taken & doubtful[b.row])]] = False
        lagging = b.alive & is_last & (b.lane == _SENT) & (past.enters[rows[b.row], _RECV] != NEVER)
        sound[b.row[lagging & (by_rst[b.row] | np.bool_(lanes.conntrack))]] = False
        b = replace(
            b, lane=lane, base_ns=base, alive=alive, broke=b.broke | lacking, passed=b.passed + through,
            first_lane=first[0], first_base_ns=first[1], first_lost_ns=first[2],
        )  # fmt: skip
    away = joined_away(aways) if aways else Away(*(zero[:0] for _ in Away.__dataclass_fields__))
    return replace(b, row=rows[b.row]), replace(away, row=rows[away.row]), sound


def _split(b: Branches, lanes: Lanes, now: NDArray[np.int64], meets: NDArray[np.bool_]) -> Branches:
    """Return branches told apart by whether the entry is still there."""
    gone = b.since.copy()
    for stage in (_SENT, _RECV):
        i = np.flatnonzero(b.alive & meets & (b.lane == stage))
        enough = np.searchsorted(lanes.ns[stage], now[i] - b.base_ns[i], "right")
        gone[i] = np.clip(enough, b.since[i], b.until[i])
    dead = np.flatnonzero(gone > b.since)
    if not len(dead):
        return b
    lives = np.flatnonzero(gone < b.until)
    kept = replace(b, since=gone).chosen(lives)
    lost = replace(b, until=gone, alive=np.zeros(len(b), np.bool_)).chosen(dead)
    names = Branches.__dataclass_fields__
    return Branches(*(np.concatenate([getattr(kept, name), getattr(lost, name)]) for name in names))


def _has_doubtful_silence(past: Past, lanes: Lanes) -> NDArray[np.bool_]:
    """Return which sessions have a silence for which it matters that no reply was seen yet (conntrack's `unack`)."""
    s = past.silences
    found = np.zeros(len(past), np.bool_)
    if lanes.conntrack:
        established = s.stage == Stage.established
        found[s.row[established & (s.gap_ns >= lanes.ns[STAGES + Stage.established, 0])]] = True
    return found


def _last_is_refused(past: Past, lanes: Lanes, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the packet that ends each opening is refused when it meets no entry."""
    stages = past.enters[rows, Stage.established :].argmin(axis=1) + int(Stage.established)
    meeting = lanes.meeting
    fate = np.full(len(rows), meeting.other)
    fate[stages == Stage.fin1] = meeting.fin
    fate[(stages == Stage.rst) | (stages == Stage.rst_unverified)] = meeting.rst
    result: NDArray[np.bool_] = fate == Meets.refused
    return result

"""Moments at which a box might forget a session: each silence and each run of an absolute timer, in order of time.

A silence of length X in a stage with an idle timer of length T forgets the session if X >= T (an entry is there while
now < start + T); the first such silence decides, and the left-to-right maxima of the silences hold the first one that
is longer than any T. An absolute timer that was started at s forgets it if a packet that the timer should outlive
comes at s + T or later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.lanes import STAGES, Lanes, Stage
from lastack.replay.past import Past

#: Stages in the order of a session's life that can begin at a known moment.
_LIFE = (
    Stage.syn_sent, Stage.syn_recv, Stage.established, Stage.fin1, Stage.fin2, Stage.closed, Stage.rst_unverified,
    Stage.rst,
)  # fmt: skip
_OPENING = (Stage.syn_sent, Stage.syn_recv)
#: Silences shorter than this are not kept in the opening stages.
_FLOOR_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates in order of session and time.

    Attributes:
        row: Session.
        lane: Lane whose timer would end it.
        base_ns: What the timer counts from.
        length_ns: Longest timer that would still end it.
        lost_ns: First packet that is lost, as far as it is known: the one that the silence or the run ends with.
        sent: What was sent before, shape (candidates, 4) as in `Silences`; -1 where it depends on the timer.
        returns: The packet that follows is a SYN, or one that makes an entry again: nothing is lost.
    """

    row: NDArray[np.int64]
    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]
    length_ns: NDArray[np.int64]
    lost_ns: NDArray[np.int64]
    sent: NDArray[np.int64]
    returns: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Runs:
    """Which timer runs at the end of each session's past.

    Attributes:
        lane: Its lane.
        base_ns: What it counts from: the last packet, or its start when it is absolute.
    """

    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]


def candidates_of(past: Past, lanes: Lanes, harsh: bool) -> tuple[Candidates, Runs]:
    """Return the candidates that some setting of `lanes` would decide on, and what runs at the end.

    Args:
        past: The sessions.
        lanes: The timers; all settings share which of them are absolute.
        harsh: Where the record leaves a silence open, take the longest that may have been, else the shortest.
    """
    offset = past.closer.astype(np.int64) * STAGES
    shortest = lanes.ns[:, 0]
    parts = [
        _silences(past, lanes, offset, shortest),
        _opening(past, lanes, Stage.syn_sent, harsh),
        _opening(past, lanes, Stage.syn_recv, harsh),
        _repeats(past, lanes),
    ]
    runs = _runs(past, lanes, offset, shortest, parts)
    merged = _joined(parts)
    if lanes.recreates:
        merged = _recreated(past, merged)
    return merged, runs


def _silences(past: Past, lanes: Lanes, offset: NDArray[np.int64], shortest: NDArray[np.int64]) -> Candidates:
    s = past.silences
    lane = s.stage + offset[s.row]
    wanted = (s.gap_ns >= shortest[lane]) & ~lanes.absolute[lane]
    # The silences of the opening stages are what `_opening` makes of them: most of them end with another SYN.
    wanted &= s.stage >= Stage.established
    i = np.flatnonzero(wanted)
    i = i[s.gap_ns[i] >= shortest[lane[i]]]
    nothing = np.zeros(len(i), np.bool_)
    ends = s.start_ns[i] + s.gap_ns[i]
    return Candidates(s.row[i], lane[i], s.start_ns[i], s.gap_ns[i], ends, s.sent[i], nothing)


def _repeats(past: Past, lanes: Lanes) -> Candidates:
    """Return the silences of unanswered SYNs that end with another SYN: it makes the entry again."""
    s = past.silences
    i = np.flatnonzero(s.stage == Stage.syn_sent)
    if lanes.absolute[Stage.syn_sent]:
        i = i[:0]
    i = i[s.gap_ns[i] >= lanes.ns[Stage.syn_sent, 0]]
    ends = s.start_ns[i] + s.gap_ns[i]
    i = i[ends < past.enters[s.row[i], Stage.syn_recv :].min(axis=1)]
    lane = np.full(len(i), int(Stage.syn_sent), np.int64)
    ends = s.start_ns[i] + s.gap_ns[i]
    return Candidates(s.row[i], lane, s.start_ns[i], s.gap_ns[i], ends, s.sent[i], np.ones(len(i), np.bool_))


def _opening(past: Past, lanes: Lanes, stage: Stage, harsh: bool) -> Candidates:
    """Return one candidate a session: the silence before the answer (or the handshake's last ACK) that the box awaits.

    SYNs that are repeated make a new entry, so that only the last silence counts; it is known when nothing was
    repeated, or when it is long enough to be in the gap profile.
    """
    begin = past.enters[:, stage]
    later = past.enters[:, stage + 1 :].min(axis=1)
    rows = np.flatnonzero((begin != NEVER) & (later != NEVER) & ~past.met)
    whole = later[rows] - begin[rows]
    rows = rows[whole >= lanes.ns[stage, 0]]
    whole = later[rows] - begin[rows]
    base = begin[rows]
    repeated = np.flatnonzero(past.repeated_syn[rows])
    if len(repeated):
        at = rows[repeated]
        last, known = _last_silence(past, stage, at, later[at])
        if lanes.absolute[stage] and stage is Stage.syn_recv:
            known[:] = False
        unknown = whole[repeated] if harsh else np.zeros(len(at), np.int64)
        whole[repeated] = np.where(known, last, unknown)
        base[repeated] = later[at] - whole[repeated]
    enough = whole >= lanes.ns[stage, 0]
    rows, whole, base = rows[enough], whole[enough], base[enough]
    lane = np.full(len(rows), int(stage), np.int64)
    sent = np.full((len(rows), 4), -1, np.int64)
    return Candidates(rows, lane, base, whole, later[rows], sent, np.zeros(len(rows), np.bool_))


def _last_silence(
    past: Past, stage: Stage, rows: NDArray[np.int64], until: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the silence of a stage that ends at `until`, and whether the gap profile has it."""
    s = past.silences
    place = np.full(len(past), -1, np.int64)
    place[rows] = np.arange(len(rows))
    i = np.flatnonzero((s.stage == stage) & (place[s.row] >= 0))
    i = i[s.start_ns[i] + s.gap_ns[i] == until[place[s.row[i]]]]
    last = np.zeros(len(rows), np.int64)
    known = np.zeros(len(rows), np.bool_)
    last[place[s.row[i]]] = s.gap_ns[i]
    known[place[s.row[i]]] = True
    return last, known


def _runs(
    past: Past,
    lanes: Lanes,
    offset: NDArray[np.int64],
    shortest: NDArray[np.int64],
    parts: list[Candidates],
) -> Runs:
    """Add a candidate for each run of an absolute timer that ends before its session does; return the last runs.

    The moments of first ACKs of a FIN are not kept: a timer of its own for that stage begins with the first FIN here,
    which `lastack.replay.readings` takes into account.
    """
    n = len(past)
    began = past.start.copy()
    timer = np.full(n, -1, np.int64)
    lane_now = np.zeros(n, np.int64)
    for stage in _LIFE:
        rows = np.flatnonzero(past.enters[:, stage] != NEVER)
        lane = int(stage) + offset[rows]
        changed = lanes.timer[lane] != timer[rows]
        moved = rows[changed]
        if stage > Stage.syn_recv:
            _end_runs(past, lanes, shortest, moved, lane_now, began, past.enters[moved, stage], timer, parts)
        began[moved] = past.enters[moved, stage]
        timer[rows] = lanes.timer[lane]
        lane_now[rows] = lane
    last = past.last + offset
    everyone = np.arange(n)
    _end_runs(past, lanes, shortest, everyone, lane_now, began, past.end, timer, parts)
    # A stage whose own moment is not kept runs on the timer of its lane, from what is known.
    still = lanes.absolute[last]
    base = np.where(still, began, past.end)
    return Runs(last, base)


def _end_runs(
    past: Past,
    lanes: Lanes,
    shortest: NDArray[np.int64],
    rows: NDArray[np.int64],
    lane_now: NDArray[np.int64],
    began: NDArray[np.int64],
    ends: NDArray[np.int64],
    timer: NDArray[np.int64],
    parts: list[Candidates],
) -> None:
    lane = lane_now[rows]
    length = ends - began[rows]
    running = (timer[rows] >= 0) & lanes.absolute[lane] & (lane % STAGES >= Stage.established)
    i = np.flatnonzero(running & (length >= shortest[lane]) & (length > 0))
    if len(i):
        sent = np.full((len(i), 4), -1, np.int64)
        none = np.zeros(len(i), np.bool_)
        parts.append(Candidates(rows[i], lane[i], began[rows[i]], length[i], ends[i], sent, none))


def _joined(parts: list[Candidates]) -> Candidates:
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    columns = [
        np.concatenate([getattr(part, name) for part in parts]) for name in Candidates.__dataclass_fields__
    ]
    order = np.lexsort((columns[2], columns[0]))
    return Candidates(*(column[order] for column in columns))


def _recreated(past: Past, found: Candidates) -> Candidates:
    """Mark what a box with loose pickup survives: the packet that meets no entry is neither FIN nor RST."""
    closing = np.zeros(len(found), np.bool_)
    for stage in (Stage.fin1, Stage.fin2, Stage.rst, Stage.rst_unverified):
        closing |= past.enters[found.row, stage] == found.lost_ns
    opening = found.lane % STAGES < Stage.established
    returns = found.returns | (~closing & ~opening)
    return Candidates(
        found.row, found.lane, found.base_ns, found.length_ns, found.lost_ns, found.sent, returns
    )

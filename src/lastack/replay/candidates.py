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
from lastack.replay.lanes import SHORTEST, STAGES, Lanes, Meeting, Meets, Stage
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

    def chosen(self, which: NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        if which.all():
            return self
        return Candidates(*(getattr(self, name)[which] for name in Candidates.__dataclass_fields__))


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
        *_opening(past, lanes, Stage.syn_sent, harsh),
        *_opening(past, lanes, Stage.syn_recv, harsh),
        _repeats(past, lanes),
    ]
    runs = _runs(past, lanes, offset, shortest, parts)
    return _met(past, _sure(past, _joined(parts), lanes, harsh), lanes.meeting, harsh), runs


def _silences(past: Past, lanes: Lanes, offset: NDArray[np.int64], shortest: NDArray[np.int64]) -> Candidates:
    s = past.silences
    lane = s.stage + offset[s.row]
    i = np.flatnonzero((s.gap_ns >= shortest[lane]) & ~lanes.absolute[lane])
    # The silences of the opening stages are what `_opening` makes of them.
    i = i[s.stage[i] >= Stage.established]
    return _of_silences(past, i, lane[i], returns=False)


def _of_silences(
    past: Past, which: NDArray[np.int64], lane: NDArray[np.int64], *, returns: bool
) -> Candidates:
    s = past.silences
    start, gap = s.start_ns[which], s.gap_ns[which]
    back = np.full(len(which), returns, np.bool_)
    return Candidates(s.row[which], lane, start, gap, start + gap, s.sent[which], back)


def _repeats(past: Past, lanes: Lanes) -> Candidates:
    """Return the silences of unanswered SYNs that end with another SYN: it makes the entry again."""
    s = past.silences
    stage = int(Stage.syn_sent)
    i = np.flatnonzero((s.stage == stage) & (s.gap_ns >= lanes.ns[stage, 0]) & ~lanes.absolute[stage])
    i = i[past.repeated_syn[s.row[i]]]
    i = i[s.start_ns[i] + s.gap_ns[i] < past.enters[s.row[i], Stage.syn_recv :].min(axis=1)]
    return _of_silences(past, i, np.full(len(i), stage, np.int64), returns=True)


def _opening(past: Past, lanes: Lanes, stage: Stage, harsh: bool) -> list[Candidates]:
    """Return the silences before the answer to a SYN, or before the ACK that completes the handshake.

    The moments of both are kept, so that a silence between them is known below the floor of the gap profile, unless
    something was repeated. A SYN that is repeated makes an entry again, and which packet ends a silence is not kept:
    then the kind reading knows the last silence at most, and the harsh one takes the whole stage for one.
    """
    begin = past.enters[:, stage]
    later = past.enters[:, stage + 1 :].min(axis=1)
    waits = stage is Stage.syn_recv
    goes_on = waits | lanes.absolute[stage] | (past.repeated_syn & ~past.only_syns)
    until = np.where((later == NEVER) & goes_on & ~past.only_syns, past.end, later)
    rows = np.flatnonzero((begin != NEVER) & (until != NEVER))
    if lanes.absolute[stage]:
        unknown = past.unseen_open & (begin == NEVER)
        begin = np.where(unknown, past.start, begin)
        until = np.where(past.unseen_open, past.end, until)
        rows = np.flatnonzero((begin != NEVER) & (until != NEVER))
    rows = rows[until[rows] - begin[rows] >= lanes.ns[stage, 0]]
    again = past.repeated_syn[rows]
    found = []
    if lanes.absolute[stage]:
        # When such a session was established is not known: it may have been at its end.
        unseen = past.unseen_open[rows]
        once = rows[~again & ~unseen]
        if harsh:
            found.append(_whole(stage, rows[unseen], begin[rows[unseen]], until[rows[unseen]]))
    else:
        s = past.silences
        i = np.flatnonzero((s.stage == stage) & (s.gap_ns >= lanes.ns[stage, 0]))
        i = i[~past.repeated_syn[s.row[i]]]
        found.append(_of_silences(past, i, np.full(len(i), int(stage), np.int64), returns=False))
        several = again | (waits & (past.repeated_answer[rows] | (later[rows] == NEVER)))
        once = rows[~several]
        once = once[until[once] - begin[once] < _FLOOR_NS]
    found.append(_whole(stage, once, begin[once], until[once]))
    open_ = rows[again]
    if harsh and waits:
        found.append(_whole(stage, open_, begin[open_], until[open_]))
    elif len(open_):
        last, known = _last_silence(past, stage, open_, later[open_])
        last = np.where(known, last, until[open_] - begin[open_] if harsh else 0)
        enough = last >= lanes.ns[stage, 0]
        open_, last = open_[enough], last[enough]
        found.append(_whole(stage, open_, until[open_] - last, until[open_]))
    return found


def _whole(
    stage: Stage, rows: NDArray[np.int64], base: NDArray[np.int64], until: NDArray[np.int64]
) -> Candidates:
    lane = np.full(len(rows), int(stage), np.int64)
    sent = np.full((len(rows), 4), -1, np.int64)
    return Candidates(rows, lane, base, until - base, until, sent, np.zeros(len(rows), np.bool_))


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
        # On one timer the first FIN's ACK, whose moment is not kept, is taken to have come before its end.
        acked = (lane % STAGES == Stage.fin1) & (lanes.timer[lane] == lanes.timer[lane + 1])
        lane = np.where(acked, lane + 1, lane)
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


def _sure(past: Past, found: Candidates, lanes: Lanes, harsh: bool) -> Candidates:
    """Replace the candidates of odd sessions: none for the kind reading, the whole session for the harsh one."""
    if not past.odd.any():
        return found
    kept = found.chosen(~past.odd[found.row])
    if not harsh:
        return kept
    rows = np.flatnonzero(past.odd)
    rows = rows[past.end[rows] - past.start[rows] >= lanes.ns[SHORTEST, 0]]
    lane = np.full(len(rows), SHORTEST, np.int64)
    nothing = np.zeros((len(rows), 4), np.int64)
    length = past.end[rows] - past.start[rows]
    none = np.zeros(len(rows), np.bool_)
    return _joined([kept, Candidates(rows, lane, past.start[rows], length, past.start[rows], nothing, none)])


def _met(past: Past, found: Candidates, meeting: Meeting, harsh: bool) -> Candidates:
    """Mark the candidates after which nothing is lost, as the packet that meets no entry is let pass or makes one.

    What an entry that was made anew is in is not known any more, so the kind reading loses nothing after it; the
    harsh one takes it as never made if a later packet of another class may be refused.
    """
    classes = (meeting.syn_ack, meeting.other, meeting.fin, meeting.rst)
    if set(classes) == {Meets.refused}:
        return found
    fate = np.full(len(found), meeting.other, np.int64)
    fate[found.lane % STAGES == Stage.syn_sent] = meeting.syn_ack
    for stage, met in (
        (Stage.fin1, meeting.fin), (Stage.fin2, meeting.fin), (Stage.rst, meeting.rst),
        (Stage.rst_unverified, meeting.rst),
    ):  # fmt: skip
        fate[past.enters[found.row, stage] == found.lost_ns] = met
    if harsh:
        saved = (fate == Meets.passed) & np.bool_(set(classes) == {Meets.passed})
    else:
        saved = fate != Meets.refused
        # All that follows a saved one of the same session is saved as well.
        starts = np.searchsorted(found.row, found.row)
        so_far = np.cumsum(saved) - saved
        saved |= so_far - so_far[starts] > 0
    returns = found.returns | saved
    return Candidates(
        found.row, found.lane, found.base_ns, found.length_ns, found.lost_ns, found.sent, returns
    )

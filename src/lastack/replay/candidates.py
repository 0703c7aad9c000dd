"""Moments at which a box might forget a session: each silence and each run of an absolute timer, in order of time.

A silence of length X in a stage with an idle timer of length T forgets the session if X >= T (an entry is there while
now < start + T); the first such silence decides, and the left-to-right maxima of the silences hold the first one that
is longer than any T. An absolute timer that was started at s forgets it if a packet that the timer should outlive
comes at s + T or later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lastack.replay.candidate import FLOOR_NS, OPEN_FLOOR_NS, Candidates, joined, of_silences, untold
from lastack.replay.columns import NEVER
from lastack.replay.conntrack import lanes_at_the_end, lanes_of_silences, met_again
from lastack.replay.lanes import SHORTEST, STAGES, Lanes, Meets, Stage
from lastack.replay.opening import opening_candidates
from lastack.replay.past import Past

#: Stages in the order of a session's life that can begin at a known moment.
_LIFE = (
    Stage.syn_sent, Stage.syn_recv, Stage.established, Stage.fin1, Stage.fin2, Stage.closed, Stage.rst_unverified,
    Stage.rst,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Runs:
    """Which timer runs at the end of each session's past.

    Attributes:
        lane: Its lane.
        base_ns: What it counts from: the last packet, or its start when it is absolute.
    """

    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]


def candidates_of(
    past: Past, lanes: Lanes, harsh: bool, played: NDArray[np.bool_]
) -> tuple[Candidates, Runs]:
    """Return the candidates that some setting of `lanes` would decide on, and what runs at the end.

    Args:
        past: The sessions.
        lanes: The timers; all settings share which of them are absolute.
        harsh: Where the record leaves a silence open, take the longest that may have been, else the shortest.
        played: Sessions whose opening is looked at elsewhere (`lastack.replay.retries`).
    """
    # Conntrack's lanes are not told apart by who closed first, but by whether a shorter timer may run.
    offset = np.zeros(len(past), np.int64) if lanes.conntrack else past.by_responder.astype(np.int64) * STAGES
    shortest = lanes.ns[:, 0]
    lane = (
        lanes_of_silences(past, harsh) if lanes.conntrack else past.silences.stage + offset[past.silences.row]
    )
    parts = [_silences(past, lanes, lane, shortest), *opening_candidates(past, lanes, harsh, played)]
    if harsh:
        parts += _below_floor(past, lanes, offset + STAGES * lanes.conntrack, shortest)
    runs = _runs(past, lanes, offset, shortest, parts)
    found = joined(parts)
    if lanes.conntrack and lanes.meeting.open:
        return _sure(past, met_again(past, found, lanes, harsh), lanes, harsh), runs
    return _met(past, _sure(past, found, lanes, harsh), lanes, harsh), runs


def _silences(past: Past, lanes: Lanes, lane: NDArray[np.int64], shortest: NDArray[np.int64]) -> Candidates:
    s = past.silences
    i = np.flatnonzero((s.gap_ns >= shortest[lane]) & ~lanes.absolute[lane])
    # The silences of the opening stages are what `lastack.replay.opening` makes of them.
    i = i[s.stage[i] >= Stage.established]
    return of_silences(past, i, lane[i], returns=False)


def _below_floor(
    past: Past, lanes: Lanes, offset: NDArray[np.int64], shortest: NDArray[np.int64]
) -> list[Candidates]:
    """Return a silence as long as the record may have left out, for each stage with a timer shorter than that."""
    found = []
    for place, stage in enumerate(_LIFE[2:], 3):  # the opening stages are looked at apart
        floor = OPEN_FLOOR_NS if stage is Stage.established else FLOOR_NS
        begin = past.enters[:, stage]
        rows = np.flatnonzero((begin != NEVER) & (shortest[int(stage) + offset] < floor))
        lane = int(stage) + offset[rows]
        rows, lane = rows[~lanes.absolute[lane]], lane[~lanes.absolute[lane]]
        until = past.end[rows]
        for following in _LIFE[place:]:
            until = np.minimum(past.enters[rows, following], until)
        length = np.minimum(until - begin[rows], floor - 1)
        i = np.flatnonzero(length >= shortest[lane])
        base = begin[rows[i]]
        sent = np.full((len(i), 4), -1, np.int64)
        found.append(
            Candidates(
                rows[i],
                lane[i],
                base,
                length[i],
                base + length[i],
                sent,
                np.zeros(len(i), np.bool_),
                untold(len(i)),
            )
        )
    return found


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
            _end_runs(past, lanes, shortest, rows, lane_now, began, past.enters[rows, stage], timer, parts)
        began[moved] = past.enters[moved, stage]
        timer[rows] = lanes.timer[lane]
        lane_now[rows] = lane
    last = lanes_at_the_end(past) if lanes.conntrack else past.last + offset
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
        parts.append(
            Candidates(rows[i], lane[i], began[rows[i]], length[i], ends[i], sent, none, untold(len(i)))
        )


def _sure(past: Past, found: Candidates, lanes: Lanes, harsh: bool) -> Candidates:
    """Replace the candidates of odd sessions: none for the kind reading, the whole session for the harsh one."""
    odd = past.odd
    if not odd.any():
        return found
    kept = found.chosen(~odd[found.row])
    if not harsh:
        return kept
    rows = np.flatnonzero(odd)
    rows = rows[past.end[rows] - past.start[rows] >= lanes.ns[SHORTEST, 0]]
    lane = np.full(len(rows), SHORTEST, np.int64)
    nothing = np.zeros((len(rows), 4), np.int64)
    length = past.end[rows] - past.start[rows]
    none = np.zeros(len(rows), np.bool_)
    whole = Candidates(
        rows, lane, past.start[rows], length, past.start[rows], nothing, none, untold(len(rows))
    )
    return joined([kept, whole])


def _met(past: Past, found: Candidates, lanes: Lanes, harsh: bool) -> Candidates:
    """Mark the candidates after which nothing is lost, as the packet that meets no entry is let pass or makes one.

    What an entry that was made anew is in is not known any more, so the kind reading loses nothing after it; the
    harsh one takes it as never made if a later packet of another class may be refused.
    """
    meeting = lanes.meeting
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
    sent = found.sent
    if harsh:
        saved = (fate == Meets.passed) & np.bool_(set(classes) == {Meets.passed})
    else:
        saved = fate != Meets.refused
        if meeting.other != Meets.refused:
            saved |= _after_a_pause(past, found, lanes)
        # All that follows a saved one of the same session is saved as well.
        starts = np.searchsorted(found.row, found.row)
        so_far = np.cumsum(saved) - saved
        saved |= so_far - so_far[starts] > 0
        # A later packet of a class that passes may make an entry, so that nothing else is lost.
        sent = past.sent[found.row]
    returns = found.returns | saved
    return replace(found, sent=sent, returns=returns)


def _after_a_pause(past: Past, found: Candidates, lanes: Lanes) -> NDArray[np.bool_]:
    """Return which candidates come after a silence in which any timer might have ended the entry, to be made again."""
    s = past.silences
    first = np.full(len(past), NEVER, np.int64)
    i = np.flatnonzero(s.gap_ns >= lanes.ns[SHORTEST, 0])
    np.minimum.at(first, s.row[i], s.start_ns[i])
    result: NDArray[np.bool_] = first[found.row] < found.base_ns
    return result

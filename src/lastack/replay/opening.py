"""Candidates of the opening stages: the silence before the answer to a SYN, and before the ACK that completes it all.

The moments of both are in the record, so that what lies between is known below the floor of the gap profile, unless
something was repeated. A SYN that is repeated makes an entry again if it must, and which packet ends a silence is not
kept: then the kind reading takes what is certain, and the harsh one the whole stage for one silence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastack.replay.candidate import FLOOR_NS, Candidates, of_silences, untold
from lastack.replay.columns import NEVER
from lastack.replay.lanes import Lanes, Stage
from lastack.replay.past import Past


def opening_candidates(past: Past, lanes: Lanes, harsh: bool, played: NDArray[np.bool_]) -> list[Candidates]:
    """Return the candidates of both stages, of sessions that are not played.

    Args:
        past: The sessions.
        lanes: The timers.
        harsh: Which reading.
        played: Sessions that `lastack.replay.retries` looks at.
    """
    found = [_repeats(past, lanes)]
    for stage in (Stage.syn_sent, Stage.syn_recv):
        found += (
            _absolute(past, lanes, stage, harsh)
            if lanes.absolute[stage]
            else _idle(past, lanes, stage, harsh)
        )
    return [part.chosen(~played[part.row]) for part in found] if played.any() else found


def _repeats(past: Past, lanes: Lanes) -> Candidates:
    """Return the silences of unanswered SYNs that end with another SYN: it makes the entry again."""
    s = past.silences
    stage = int(Stage.syn_sent)
    i = np.flatnonzero((s.stage == stage) & (s.gap_ns >= lanes.ns[stage, 0]) & ~lanes.absolute[stage])
    i = i[past.repeated_syn[s.row[i]]]
    i = i[s.start_ns[i] + s.gap_ns[i] < past.enters[s.row[i], Stage.syn_recv :].min(axis=1)]
    return of_silences(past, i, np.full(len(i), stage, np.int64), returns=True)


def _absolute(past: Past, lanes: Lanes, stage: Stage, harsh: bool) -> list[Candidates]:
    """Return the runs of timers that start with the stage, or go on from the one before it.

    When a SYN was repeated the entry may have been made again by it, or may not. When no whole handshake was seen, the
    session may have been in the stage to its end.
    """
    begin = past.enters[:, stage]
    shared = stage is Stage.syn_recv and lanes.timer[stage] == lanes.timer[Stage.syn_sent]
    if shared:
        began = past.enters[:, Stage.syn_sent]
        begin = np.where((begin != NEVER) & (began != NEVER), began, begin)
    begin = np.where(past.unseen_open & (begin == NEVER), past.start, begin)
    later = past.enters[:, stage + 1 :].min(axis=1)
    until = np.where((later == NEVER) | past.unseen_open, past.end, later)
    until = np.where(past.only_syns, NEVER, until)
    rows = np.flatnonzero(
        (begin != NEVER) & (until != NEVER) & ~(past.met & past.unseen_open & (begin == NEVER))
    )
    rows = rows[until[rows] - begin[rows] >= lanes.ns[stage, 0]]
    open_ = past.repeated_syn[rows] | past.unseen_open[rows]
    if not harsh:
        rows = rows[~open_]
    return [_whole(stage, rows, begin[rows], until[rows])]


def _idle(past: Past, lanes: Lanes, stage: Stage, harsh: bool) -> list[Candidates]:
    """Return the silences of a stage whose timer every packet restarts."""
    waits = stage is Stage.syn_recv
    begin = past.enters[:, stage]
    later = past.enters[:, stage + 1 :].min(axis=1)
    goes_on = (waits | past.repeated_syn) & ~past.only_syns
    until = np.where((later == NEVER) & goes_on, past.end, later)
    rows = np.flatnonzero((begin != NEVER) & (until != NEVER))
    rows = rows[until[rows] - begin[rows] >= lanes.ns[stage, 0]]
    again = past.repeated_syn[rows]
    s = past.silences
    i = np.flatnonzero((s.stage == stage) & (s.gap_ns >= lanes.ns[stage, 0]))
    i = i[~past.repeated_syn[s.row[i]]]
    found = [of_silences(past, i, np.full(len(i), int(stage), np.int64), returns=False)]
    several = again | (waits & (past.repeated_answer[rows] | (later[rows] == NEVER)))
    once = rows[~several]
    once = once[until[once] - begin[once] < FLOOR_NS]
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
    return Candidates(
        rows, lane, base, until - base, until, sent, np.zeros(len(rows), np.bool_), untold(len(rows))
    )


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

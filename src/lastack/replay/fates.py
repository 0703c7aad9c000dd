"""What becomes of each session under each of J settings, in pieces: from which setting to which what ends it.

A piece is a candidate that is the first to end its session for the settings `since <= j < until`. Settings are ordered
from short to long timers, so a session's pieces follow each other, and from `survives_from` on it lives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.candidate import Candidates
from lastack.replay.candidates import Runs, candidates_of
from lastack.replay.lanes import LANES, Lanes
from lastack.replay.past import Past


@dataclass(frozen=True, slots=True)
class Fates:
    """Pieces in order of session and setting, and the rest of the settings.

    Attributes:
        what: The candidates that end a session in some setting.
        since: First setting of each.
        until: Setting after the last of each.
        survives_from: First setting in which each session lives to its end, shape (sessions,).
        runs: What runs at the end of those that live.
        away: Candidates after which the entry is made again: since, until, and the candidate's place in `passed`.
        passed: Those candidates.
    """

    what: Candidates
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    survives_from: NDArray[np.int64]
    runs: Runs
    passed: Candidates
    passed_until: NDArray[np.int64]


def fates_of(past: Past, lanes: Lanes, harsh: bool = False) -> Fates:
    """Return what becomes of sessions under all settings of `lanes`.

    Args:
        past: The sessions.
        lanes: The timers, from short to long.
        harsh: See `lastack.replay.candidates.candidates_of`.
    """
    found, runs = candidates_of(past, lanes, harsh)
    ends = _settings_that_end(found, lanes)
    survives = np.zeros(len(past), np.int64)
    fatal = ~found.returns
    passed, passed_until = found.chosen(~fatal), ends[~fatal]
    if not fatal.all():
        found, ends = found.chosen(fatal), ends[fatal]
    if len(found) == 0:
        return Fates(found, ends, ends, survives, runs, passed, passed_until)
    # A running maximum within each session: rows ascend, so a row's number times more than any setting separates them.
    step = lanes.settings + 1
    reach = np.maximum.accumulate(found.row * step + ends)
    before = np.concatenate([[-1], reach[:-1]])
    since = np.maximum(before - found.row * step, 0)
    first = ends > since
    survives[found.row] = reach - found.row * step  # the last of a row's values stays
    return Fates(found.chosen(first), since[first], ends[first], survives, runs, passed, passed_until)


def _settings_that_end(found: Candidates, lanes: Lanes) -> NDArray[np.int64]:
    """Return how many settings, counted from the shortest, have a timer that is not longer than each candidate."""
    if lanes.settings == 1:
        ends: NDArray[np.int64] = (found.length_ns >= lanes.ns[found.lane, 0]).astype(np.int64)
        return ends
    ends = np.zeros(len(found), np.int64)
    for lane in range(LANES):
        here = found.lane == lane
        if here.any():
            ends[here] = np.searchsorted(lanes.ns[lane], found.length_ns[here], "right")
    return ends

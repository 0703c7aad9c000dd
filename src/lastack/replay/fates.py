"""What becomes of each session under each of J settings, in pieces: from which setting to which what ends it.

A piece is a candidate that is the first to end its session for the settings `since <= j < until`. Settings are ordered
from short to long timers. Where SYNs came again an entry may have been made anew by one of them, with every timer for
reasons of its own: such openings are played (`lastack.replay.retries`), and what follows is cut to their branches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.replay.candidate import Candidates, untold
from lastack.replay.candidates import Runs, candidates_of
from lastack.replay.lanes import LANES, Lanes
from lastack.replay.past import Past
from lastack.replay.retries import Away, Branches, Opened, joined_away, opened_of


@dataclass(frozen=True, slots=True)
class Ends:
    """The last entry of each session, for the settings `since <= j < until`: together they are all settings.

    Attributes:
        row: Session.
        since: First setting of each.
        until: Setting after the last of each.
        lane: Lane in which it ends.
        base_ns: What the timer counts from.
    """

    row: NDArray[np.int64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    lane: NDArray[np.int64]
    base_ns: NDArray[np.int64]

    def chosen(self, which: NDArray[Any]) -> Ends:
        """Return some of them."""
        return Ends(*(getattr(self, name)[which] for name in Ends.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Fates:
    """Pieces in order of session and setting, and how long entries stand.

    Attributes:
        what: The candidates that break a session in some setting.
        since: First setting of each.
        until: Setting after the last of each.
        ends: Last entries, of all sessions in all settings.
        away: Times in which an entry was gone and nothing was refused.
        open: Sessions in which a SYN came again and that were not played.
    """

    what: Candidates
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    ends: Ends
    away: Away
    open: NDArray[np.bool_]


def fates_of(past: Past, lanes: Lanes, harsh: bool = False) -> Fates:
    """Return what becomes of sessions under all settings of `lanes`.

    Args:
        past: The sessions.
        lanes: The timers, from short to long.
        harsh: See `lastack.replay.candidates.candidates_of`.
    """
    opened = opened_of(past, lanes)
    played = np.zeros(len(past), np.bool_) if opened is None else opened.known
    found, runs = candidates_of(past, lanes, harsh, played)
    enough = _settings_that_end(found, lanes)
    fatal = ~found.returns
    back = found.chosen(~fatal)
    away = Away(
        back.row, np.zeros(len(back), np.int64), enough[~fatal], back.lane, back.base_ns, back.lost_ns
    )
    if not fatal.all():
        found, enough = found.chosen(fatal), enough[fatal]
    what, since, until, ends = _pieces(past, lanes, found, enough, runs)
    fates = Fates(what, since, until, ends, away, past.repeated_syn & ~played)
    return fates if opened is None else _cut(past, lanes, fates, opened, harsh)


def _pieces(
    past: Past, lanes: Lanes, found: Candidates, enough: NDArray[np.int64], runs: Runs
) -> tuple[Candidates, NDArray[np.int64], NDArray[np.int64], Ends]:
    """Return the candidates that are the first of a session in some setting, with those, and all last entries."""
    n = len(past)
    survives = np.zeros(n, np.int64)
    since = until = enough
    if len(found):
        # A running maximum within each session: rows ascend, so a row's number times more than any setting
        # separates them.
        step = lanes.settings + 1
        reach = np.maximum.accumulate(found.row * step + enough)
        before = np.concatenate([[-1], reach[:-1]])
        since = np.maximum(before - found.row * step, 0)
        survives[found.row] = reach - found.row * step  # the last of a row's values stays
        first = enough > since
        found, since, until = found.chosen(first), since[first], enough[first]
    lives = np.flatnonzero(survives < lanes.settings)
    rows = (found.row, lives)
    all_ = np.full(len(lives), lanes.settings)
    ends = Ends(
        np.concatenate(rows),
        np.concatenate([since, survives[lives]]),
        np.concatenate([until, all_]),
        np.concatenate([found.lane, runs.lane[lives]]),
        np.concatenate([found.base_ns, runs.base_ns[lives]]),
    )
    return found, since, until, ends


def _cut(past: Past, lanes: Lanes, fates: Fates, opened: Opened, harsh: bool) -> Fates:
    """Return fates in which what follows an opening that was played is cut to the branches of it."""
    b = opened.branches
    whole = (b.since == 0) & (b.until == lanes.settings) & b.alive & ~b.broke & opened.over[b.row]
    away = joined_away([fates.away, opened.away])
    if whole.all():
        return replace(fates, away=away)
    ours = np.zeros(len(past), np.bool_)
    ours[b.row[~whole]] = True
    b = b.chosen(~whole)
    keep_what, keep_ends = ~ours[fates.what.row], ~ours[fates.ends.row]
    # What follows: each branch that goes on, with each last entry that the session has in some of its settings.
    ends = fates.ends.chosen(~keep_ends)
    ends = ends.chosen(np.lexsort((ends.since, ends.row)))
    goes_on = b.alive & opened.over[b.row]
    left = np.flatnonzero(goes_on)
    first = np.searchsorted(ends.row, b.row[left])
    count = np.searchsorted(ends.row, b.row[left], "right") - first
    i = np.repeat(left, count)
    k = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(i))
    since, until = np.maximum(b.since[i], ends.since[k]), np.minimum(b.until[i], ends.until[k])
    some = since < until
    i, k, since, until = i[some], k[some], since[some], until[some]
    later = _piece_of(fates, ends.row[k], since)
    stop = np.flatnonzero(~goes_on)
    here = b.chosen(stop)
    new_ends = Ends(
        np.concatenate([b.row[i], here.row]),
        np.concatenate([since, here.since]),
        np.concatenate([until, here.until]),
        np.concatenate([ends.lane[k], here.lane]),
        np.concatenate([ends.base_ns[k], here.base_ns]),
    )
    # Broken later only, broken while opening (and perhaps later too), and never on again.
    only = np.flatnonzero(~b.broke[i] & (later >= 0))
    both = np.flatnonzero(b.broke[i])
    dead = np.flatnonzero(here.broke)
    what = [
        fates.what.chosen(keep_what),
        fates.what.chosen(later[only]),
        _broken(b.chosen(i[both]), _sent_then(past, fates, opened, b.chosen(i[both]), later[both], harsh)),
        _broken(here.chosen(dead), _sent_stopped(past, opened, here.chosen(dead))),
    ]
    all_since = np.concatenate([fates.since[keep_what], since[only], since[both], here.since[dead]])
    all_until = np.concatenate([fates.until[keep_what], until[only], until[both], here.until[dead]])
    joined = Candidates(
        *(np.concatenate([getattr(w, n) for w in what]) for n in Candidates.__dataclass_fields__)
    )
    order = np.lexsort((all_since, joined.row))
    kept = fates.ends.chosen(keep_ends)
    every = Ends(
        *(np.concatenate([getattr(kept, n), getattr(new_ends, n)]) for n in Ends.__dataclass_fields__)
    )
    return Fates(joined.chosen(order), all_since[order], all_until[order], every, away, fates.open)


def _piece_of(fates: Fates, rows: NDArray[np.int64], settings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of the piece that breaks a session in a setting, -1 for one that lives."""
    if not len(fates.what):
        return np.full(len(rows), -1, np.int64)
    step = int(fates.until.max()) + 1
    keys = fates.what.row * step + fates.since
    # In an order of its own: pieces of a session do not overlap.
    at = np.searchsorted(keys, rows * step + np.minimum(settings, step - 1), "right") - 1
    at = np.maximum(at, 0)
    found = (fates.what.row[at] == rows) & (fates.since[at] <= settings) & (settings < fates.until[at])
    return np.where(found, at, -1)


def _broken(b: Branches, sent: NDArray[np.int64]) -> Candidates:
    """Return the first refusals of branches as candidates."""
    none = np.zeros(len(b), np.bool_)
    length = b.first_lost_ns - b.first_base_ns
    return Candidates(
        b.row, b.first_lane, b.first_base_ns, length, b.first_lost_ns, sent, none, untold(len(b))
    )


def _sent_then(
    past: Past, fates: Fates, opened: Opened, b: Branches, later: NDArray[np.int64], harsh: bool
) -> NDArray[np.int64]:
    """Return what passed of sessions whose opening broke and went on: all, or up to the piece that broke it again."""
    sent = past.sent[b.row].copy()
    again = np.flatnonzero(later >= 0)
    known = fates.what.sent[later[again]]
    # Where the record does not have the moment, at least nothing and at most everything passed.
    open_ = np.zeros_like(known) if harsh else past.sent[b.row[again]]
    sent[again] = np.where(known[:, :1] >= 0, known, open_)
    sent[:, 2:] -= opened.tried[b.row] - b.passed
    return sent


def _sent_stopped(past: Past, opened: Opened, b: Branches) -> NDArray[np.int64]:
    """Return what passed of sessions whose opening ended without an entry, or with nothing after it."""
    sent = np.zeros((len(b), 4), np.int64)
    sent[:, 2:] = b.passed
    nothing_after = ~opened.over[b.row]
    sent[nothing_after, :2] = past.sent[b.row[nothing_after], :2]
    return sent


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

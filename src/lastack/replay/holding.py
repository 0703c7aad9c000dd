"""How long entries stand in the session table, and how many at a time, under each of J settings.

An entry stands from a session's first packet to `base + timer`, with the base that its last piece of fate names; so
the sum over sessions is a sum of bases and a number of timers for each lane and setting, whatever the settings are.
How many there are at a time is counted entry by entry for a single setting, at `SAMPLES` moments for several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.events import LifeSpans
from lastack.replay.fates import Fates
from lastack.replay.lanes import FOREVER_NS, LANES, Lanes
from lastack.replay.past import Past
from lastack.replay.pieces import Steps
from lastack.replay.retries import Away

#: Moments at which the table is counted where it is not counted entry by entry.
SAMPLES = 1024
#: Entries that are counted one by one at most; more are sampled.
MOST_COUNTED = 20_000_000
_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a what-if is about: that of the captures.

    Attributes:
        since_ns: Its first packet.
        until_ns: Its last packet.
    """

    since_ns: int
    until_ns: int

    @property
    def seconds(self) -> float:
        """Its length; never 0."""
        return max(self.until_ns - self.since_ns, 1) * _NS


class Holding:
    """Adds up how long the entries of sessions stand within a window, and when they come and go.

    Args:
        groups: Number of groups that the sums are told apart by.
        lanes: Timers of the J settings.
        window: Time outside of which nothing counts.
    """

    def __init__(self, groups: int, lanes: Lanes, window: Window) -> None:
        self._groups, self._lanes, self._window = groups, lanes, window
        self._fixed = Steps(groups, lanes.settings)
        self._held = Steps(1, lanes.settings)
        self._held_timers: dict[int, Steps] = {}
        self._timers: dict[int, Steps] = {}
        self._came = np.zeros((lanes.settings + 1, SAMPLES + 1), np.float64)
        self._bases: dict[int, NDArray[np.float64]] = {}
        self._spans = LifeSpans() if lanes.settings == 1 else None

    def add(self, past: Past, fates: Fates, groups: NDArray[np.int64]) -> None:
        """Take in sessions and their fates under the lanes' timers."""
        np.add.at(self._came[0], self._bin(past.start), 1.0)
        ends = fates.ends
        self._stand(groups[ends.row], ends.since, ends.until, past.start[ends.row], ends.base_ns, ends.lane)
        if len(fates.away):
            self._away(groups[fates.away.row], fates.away)
        if self._spans is not None:
            self._count(past, fates)

    def _count(self, past: Past, fates: Fates) -> None:
        """Take in when each entry comes and goes, under the one setting that there is."""
        assert self._spans is not None
        ns = self._lanes.ns[:, 0]
        gone = _moved(fates.ends.base_ns, ns[fates.ends.lane])
        self._spans.add_moments(past.start[fates.ends.row], gone)
        some = np.flatnonzero(fates.away.since < fates.away.until)
        away = fates.away.chosen(some)
        self._spans.add_moments(away.back_ns, _moved(away.base_ns, ns[away.lane]))
        if len(self._spans) > MOST_COUNTED:
            self._spans = None

    def _stand(
        self,
        groups: NDArray[np.int64],
        since: NDArray[np.int64],
        until: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        base_ns: NDArray[np.int64],
        lanes: NDArray[np.int64],
    ) -> None:
        """Add entries that stand from a start to a base plus the timer of a lane, for some settings each."""
        for lane in np.flatnonzero(np.bincount(lanes, minlength=LANES)).tolist():
            i = np.flatnonzero(lanes == lane)
            group, first, last = groups[i], since[i], until[i]
            start, base = start_ns[i], base_ns[i]
            timers = self._lanes.ns[lane]
            # From `cut` on the timer reaches beyond the window, and the entry stands to its end.
            cut = np.clip(np.searchsorted(timers, self._window.until_ns - base, "left"), first, last)
            self._fixed.add(group, first, cut, _seconds(base - start))
            self._fixed.add(group, cut, last, _seconds(self._window.until_ns - start))
            self._timer(lane).add(group, first, cut)
            everything = np.zeros(len(i), np.int64)
            self._held.add(everything, first, last, _seconds(base - start))
            _of(self._held_timers, lane, 1, self._lanes.settings).add(everything, first, last)
            if timers[0] < FOREVER_NS:
                self._go(lane, first, last, base)

    def _away(self, groups: NDArray[np.int64], away: Away) -> None:
        """Take away the time between an entry's end and the packet that makes it again."""
        for lane in np.unique(away.lane).tolist():
            one, group = away.chosen(away.lane == lane), groups[away.lane == lane]
            back = np.minimum(one.back_ns, self._window.until_ns)
            self._fixed.add(group, one.since, one.until, _seconds(one.base_ns - back))
            self._timer(lane).add(group, one.since, one.until)
            self._go(lane, one.since, one.until, one.base_ns)
            at = self._bin(one.back_ns)
            some = one.since < one.until
            np.add.at(self._came, (one.since[some], at[some]), 1.0)
            np.add.at(self._came, (one.until[some], at[some]), -1.0)

    def _timer(self, lane: int) -> Steps:
        return _of(self._timers, lane, self._groups, self._lanes.settings)

    def _go(
        self, lane: int, since: NDArray[np.int64], until: NDArray[np.int64], base_ns: NDArray[np.int64]
    ) -> None:
        if lane not in self._bases:
            self._bases[lane] = np.zeros((self._lanes.settings + 1, SAMPLES + 1), np.float64)
        bases = self._bases[lane]
        at = self._bin(base_ns)
        always = since == 0
        bases[0] += np.bincount(at[always], minlength=SAMPLES + 1)
        later = ~always
        np.add.at(bases, (since[later], at[later]), 1.0)
        ends = until < self._lanes.settings
        np.add.at(bases, (until[ends], at[ends]), -1.0)

    def _bin(self, moments_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first sample at or after each moment; what lies outside of the window is put at its edge."""
        step = self._step_ns()
        into = np.clip(moments_ns - self._window.since_ns, 0, (SAMPLES - 1) * step)
        result: NDArray[np.int64] = -(-into // step)
        return result

    def _step_ns(self) -> int:
        return max(1, -(-(self._window.until_ns - self._window.since_ns) // (SAMPLES - 1)))

    def merge(self, other: Holding) -> None:
        """Take in another part of the input."""
        self._fixed.merge(other._fixed)
        self._came += other._came
        self._held.merge(other._held)
        if self._spans is not None and other._spans is not None:
            self._spans.join(other._spans)
        if other._spans is None or (self._spans is not None and len(self._spans) > MOST_COUNTED):
            self._spans = None
        for lane, steps in other._timers.items():
            self._timer(lane).merge(steps)
        for lane, steps in other._held_timers.items():
            _of(self._held_timers, lane, 1, self._lanes.settings).merge(steps)
        for lane, bases in other._bases.items():
            if lane in self._bases:
                self._bases[lane] += bases
            else:
                self._bases[lane] = bases

    @property
    def spans(self) -> LifeSpans | None:
        """When entries came and went, under a single setting; None where they are not counted one by one."""
        return self._spans

    def area_s(self) -> NDArray[np.float64]:
        """Return entries times seconds, shape (groups, J)."""
        area = self._fixed.sums()
        for lane, steps in self._timers.items():
            area += steps.sums() * (np.minimum(self._lanes.ns[lane], FOREVER_NS) * _NS)
        return area

    def held_s(self) -> NDArray[np.float64]:
        """Return how long all entries stand together, beyond the window too, shape (J,); infinite without a limit."""
        held: NDArray[np.float64] = self._held.sums()[0]
        for lane, steps in self._held_timers.items():
            counts = steps.sums()[0]
            timers = self._lanes.ns[lane]
            held += np.where(timers < FOREVER_NS, counts * timers * _NS, np.where(counts > 0.5, np.inf, 0.0))
        return held

    def entries(self) -> NDArray[np.float64]:
        """Return the entries at each sample, shape (J, SAMPLES)."""
        came = np.cumsum(np.cumsum(self._came, axis=0)[:-1], axis=1)
        table = came[:, :SAMPLES]
        moments = np.arange(SAMPLES, dtype=np.float64)
        for lane, bases in self._bases.items():
            gone = np.cumsum(np.cumsum(bases, axis=0)[:-1], axis=1)[:, :SAMPLES]
            for j, timer in enumerate(self._lanes.ns[lane].tolist()):
                # Between two samples entries are taken to go evenly.
                then = moments - timer / self._step_ns()
                table[j] -= np.interp(then, moments, gone[j], left=0.0)
        return np.maximum(table, 0.0)


def _of(steps: dict[int, Steps], lane: int, keys: int, settings: int) -> Steps:
    if lane not in steps:
        steps[lane] = Steps(keys, settings)
    return steps[lane]


def _moved(base_ns: NDArray[np.int64], length_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return moments later by a length, for ever where that has no limit."""
    limited = np.minimum(length_ns, FOREVER_NS - 1)
    result: NDArray[np.int64] = np.where(length_ns >= FOREVER_NS, NEVER, base_ns + limited)
    return result


def _seconds(ns: NDArray[np.int64]) -> NDArray[np.float64]:
    return ns.astype(np.float64) * _NS

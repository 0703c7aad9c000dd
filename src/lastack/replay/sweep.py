"""What J settings of some timers break and what they cost, in one pass over the sessions, whatever J is.

Each session adds a few pieces (`lastack.replay.fates`) to arrays of differences over the settings, so that memory
does not grow with the sessions and parts of the input can be added apart and merged. Broken sessions, lost bytes and
the mean of the table's entries are exact (under both readings, where there are two). Its peak and percentiles are exact
for a single setting; for several they are taken at `SAMPLES` moments, and an entry that comes and goes between two of
them may be missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.events import Crowd, LifeSpans
from lastack.replay.fates import Fates, fates_of
from lastack.replay.harm import Loss, loss_of
from lastack.replay.holding import Holding, Window
from lastack.replay.lanes import Readings
from lastack.replay.past import Past
from lastack.replay.pieces import Steps, add_lost


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for J settings and G groups of sessions.

    Attributes:
        sessions: Sessions of each group, shape (G,).
        broken_least: Sessions broken under the kindest reading, shape (G, J).
        broken_most: Under the harshest.
        lost_least: Payload lost for certain, in bytes, shape (G, J).
        lost_most: The most that may be lost.
        losses: Broken sessions by `Loss`, kindest reading, shape (len(Loss), J).
        area_s: Entries times seconds within the window, shape (G, J).
        held_s: How long all entries stand together, beyond the window too, shape (J,).
        entries: Entries at each moment of `SAMPLES`, shape (J, SAMPLES).
        window: The time it is about.
        spans: When entries came and went, under a single setting; None where they were not counted one by one.
    """

    sessions: NDArray[np.int64]
    broken_least: NDArray[np.int64]
    broken_most: NDArray[np.int64]
    lost_least: NDArray[np.int64]
    lost_most: NDArray[np.int64]
    losses: NDArray[np.int64]
    area_s: NDArray[np.float64]
    held_s: NDArray[np.float64]
    entries: NDArray[np.float64]
    window: Window
    spans: LifeSpans | None = None

    @property
    def mean_entries(self) -> NDArray[np.float64]:
        """Mean entries over the window, shape (J,); exact."""
        result: NDArray[np.float64] = self.area_s.sum(axis=0) / self.window.seconds
        return result

    @property
    def counted(self) -> bool:
        """Whether peak and percentile are of every entry, not of sampled moments."""
        return self.spans is not None

    @property
    def peak_entries(self) -> NDArray[np.float64]:
        """Most entries at any moment (of those that were sampled, unless `counted`), shape (J,)."""
        if self.spans is not None:
            return np.array([self._crowd(self.spans).peak], np.float64)
        result: NDArray[np.float64] = self.entries.max(axis=1)
        return result

    @property
    def p99_entries(self) -> NDArray[np.float64]:
        """Entries that are not exceeded for 99 % of the time, shape (J,)."""
        if self.spans is not None:
            return np.array([self._crowd(self.spans).p99], np.float64)
        result: NDArray[np.float64] = np.percentile(self.entries, 99, axis=1)
        return result

    def _crowd(self, spans: LifeSpans) -> Crowd:
        return spans.crowd(self.window.since_ns, self.window.until_ns)

    @property
    def arrivals_per_s(self) -> float:
        """New sessions per second over the window."""
        return float(self.sessions.sum()) / self.window.seconds

    @property
    def little_entries(self) -> NDArray[np.float64]:
        """Entries that Little's law gives, arrivals times mean holding time (J. D. C. Little, 1961), shape (J,).

        What the table settles at when arrivals go on like this; the window begins with an empty table and cuts off
        what stands beyond it, so its own mean is lower.
        """
        result: NDArray[np.float64] = self.held_s / self.window.seconds
        return result


class Sweep:
    """Adds up sessions that run on the same timers; merge parts, then ask for the outcome.

    Args:
        groups: Number of groups (applications) that sessions are told apart by.
        readings: Timers of the J settings.
        window: The time it is about.
    """

    def __init__(self, groups: int, readings: Readings, window: Window) -> None:
        self._readings, self._window = readings, window
        settings = readings.settings
        self._sessions = np.zeros(groups, np.int64)
        self._broken = [Steps(groups, settings), Steps(groups, settings)]
        self._least, self._most = Steps(groups, settings), Steps(groups, settings)
        self._losses = Steps(len(Loss), settings)
        self._holding = Holding(groups, readings.kind, window)

    def add(self, past: Past, groups: NDArray[np.int64]) -> None:
        """Take in sessions.

        Args:
            past: The sessions.
            groups: Group of each.
        """
        if len(past) == 0:
            return
        self._sessions += np.bincount(groups, minlength=len(self._sessions))
        readings = self._readings
        kind = fates_of(past, readings.kind, harsh=False)
        # One pass serves both readings when neither the timers nor the record leave anything open.
        single = readings.exact and not (kind.open | past.odd | past.unseen_open).any()
        harsh = kind if single else fates_of(past, readings.harsh, harsh=True)
        surely, _ = add_lost(past, kind, readings.kind, groups, self._least, self._most if single else None)
        if not single:
            add_lost(past, harsh, readings.harsh, groups, None, self._most)
        for steps, fates in zip(self._broken, (kind, harsh), strict=True):
            steps.add(groups[fates.what.row], fates.since, fates.until)
        self._add_losses(past, kind, surely)
        self._holding.add(past, kind, groups)

    def _add_losses(self, past: Past, fates: Fates, surely: NDArray[np.int64]) -> None:
        """Add each piece to what it loses: up to some setting data is lost, from there on something less."""
        what = fates.what
        for lost, since, until in ((1, fates.since, surely), (0, surely, fates.until)):
            bytes_lost = np.full(len(what), lost, np.int64)
            loss = loss_of(past, what.row, what.lane, what.lost_ns, bytes_lost).astype(np.int64)
            self._losses.add(loss, since, until)

    def merge(self, other: Sweep) -> None:
        """Take in what another part of the input added up under the same timers."""
        self._sessions += other._sessions
        for mine, theirs in zip(self._steps(), other._steps(), strict=True):
            mine.merge(theirs)
        self._holding.merge(other._holding)

    def _steps(self) -> tuple[Steps, ...]:
        return (*self._broken, self._least, self._most, self._losses)

    def outcome(self) -> Outcome:
        """Return the answer."""
        broken = [_whole(steps) for steps in self._broken]
        return Outcome(
            self._sessions.copy(),
            broken[0],
            broken[1],
            _whole(self._least),
            _whole(self._most),
            _whole(self._losses),
            self._holding.area_s(),
            self._holding.held_s(),
            self._holding.entries(),
            self._window,
            self._holding.spans,
        )


def _whole(steps: Steps) -> NDArray[np.int64]:
    return np.rint(steps.sums()).astype(np.int64)


def together(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome for all sessions of sweeps over the same settings, groups and window."""
    first = outcomes[0]
    sums = {
        name: sum(getattr(outcome, name) for outcome in outcomes)
        for name in Outcome.__dataclass_fields__
        if name not in ("window", "spans")
    }
    return Outcome(**sums, window=first.window, spans=_joined([outcome.spans for outcome in outcomes]))


def _joined(parts: list[LifeSpans | None]) -> LifeSpans | None:
    whole = LifeSpans()
    for part in parts:
        if part is None:
            return None
        whole.join(part)
    return whole

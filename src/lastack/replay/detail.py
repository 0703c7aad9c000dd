"""One setting in detail: the sessions that break, one by one, and what states the table's entries are in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import EndpointState
from lastack.replay.columns import NEVER
from lastack.replay.harm import Loss, hanging
from lastack.replay.holding import Window
from lastack.replay.judge import Judged, judge
from lastack.replay.lanes import STAGES, Readings, Stage
from lastack.replay.past import Past

#: Stages that are told apart in a table of states: the ACK of the first FIN has no moment of its own in the record.
STATES = {
    "opening": (Stage.syn_sent, Stage.syn_recv),
    "established": (Stage.established,),
    "half_closed": (Stage.fin1, Stage.fin1_acked),
    "closing": (Stage.fin2, Stage.closed),
    "reset": (Stage.rst, Stage.rst_unverified),
}
_STATE_OF = np.array([next(i for i, s in enumerate(STATES.values()) if stage in s) for stage in Stage])
_ORDER = (
    Stage.syn_sent, Stage.syn_recv, Stage.established, Stage.fin1, Stage.fin2, Stage.closed, Stage.rst_unverified,
    Stage.rst,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broken:
    """One session that breaks, surely or perhaps.

    Attributes:
        session_id: Its id.
        surely: Whether it breaks under every reading.
        exact: Whether moment and bytes are exact.
        forgotten_ns: When the box forgot it, in ns since the epoch.
        stage: Stage in which it did.
        loss: What was lost.
        lost_bytes: Payload lost of client and server, at least.
        lost_bytes_most: At most.
        hangs: States that the ends are left in, `UNKNOWN` for an end that is not.
    """

    session_id: int
    surely: bool
    exact: bool
    forgotten_ns: int
    stage: Stage
    loss: Loss
    lost_bytes: tuple[int, int]
    lost_bytes_most: tuple[int, int]
    hangs: tuple[EndpointState, EndpointState]


@dataclass(slots=True)
class Detail:
    """What one setting does, session by session.

    Attributes:
        window: The time it is about.
        broken: Sessions that break, at most `limit` of them.
        limit: Most sessions to list; None for all.
        total: Sessions that break surely or perhaps.
        exact: Sessions on which all is known exactly.
        sessions: All sessions.
        state_s: Seconds that entries were in each of `STATES`, within the window.
    """

    window: Window
    broken: list[Broken] = field(default_factory=list)
    limit: int | None = None
    total: int = 0
    exact: int = 0
    sessions: int = 0
    state_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(STATES)))

    def add(self, past: Past, readings: Readings) -> None:
        """Take in sessions that run on one setting's timers."""
        found = judge(past, readings)
        self.sessions += len(past)
        self.exact += int(found.exact.sum())
        rows = np.flatnonzero(found.harsh.broken | found.kind.broken)
        self.total += len(rows)
        room = len(rows) if self.limit is None else max(0, self.limit - len(self.broken))
        if room and len(rows):
            self.broken += _listed(past, found, rows[:room])
        self.state_s += _states(past, found, self.window)

    def merge(self, other: Detail) -> None:
        """Take in another part of the input."""
        self.broken += other.broken
        if self.limit is not None:
            del self.broken[self.limit :]
        self.total += other.total
        self.exact += other.exact
        self.sessions += other.sessions
        self.state_s += other.state_s


def _listed(past: Past, found: Judged, rows: NDArray[np.int64]) -> list[Broken]:
    surely = found.kind.broken[rows]
    sides = [
        np.where(surely, getattr(found.kind, n)[rows], getattr(found.harsh, n)[rows])
        for n in ("died_ns", "lane", "loss")
    ]
    died, lane, loss = sides
    left = hanging(past, rows, lane, died)
    cells: list[list[Any]] = [
        past.session_id[rows].tolist(), surely.tolist(), found.exact[rows].tolist(), died.tolist(),
        (lane % STAGES).tolist(), loss.tolist(), found.kind.lost_least[rows, :2].tolist(),
        np.maximum(found.harsh.lost_most, found.kind.lost_most)[rows, :2].tolist(), left.tolist(),
    ]  # fmt: skip
    return [
        Broken(
            i, sure, exact, moment, Stage(stage), Loss(cost), tuple(least), tuple(most),
            (EndpointState(ends[0]), EndpointState(ends[1])),
        )
        for i, sure, exact, moment, stage, cost, least, most, ends in zip(*cells, strict=True)
    ]  # fmt: skip


def _states(past: Past, found: Judged, window: Window) -> NDArray[np.float64]:
    """Return the seconds that entries spend in each state until they go; those met in the middle from then on."""
    gone = np.minimum(found.kind.removed_ns, window.until_ns)
    sums = np.zeros(len(STATES))
    state = np.full(len(past), -1, np.int64)
    since = past.start.copy()
    for stage in _ORDER:
        rows = np.flatnonzero(past.enters[:, stage] != NEVER)
        now = np.minimum(past.enters[rows, stage], gone[rows])
        was = state[rows]
        spent = (now - since[rows]).clip(0)
        known = was >= 0
        sums += np.bincount(was[known], spent[known], len(STATES)) * 1e-9
        state[rows], since[rows] = _STATE_OF[stage], np.maximum(now, since[rows])
    known = state >= 0
    sums += np.bincount(state[known], (gone - since).clip(0)[known], len(STATES)) * 1e-9
    return sums

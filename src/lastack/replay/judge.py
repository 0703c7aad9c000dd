"""The verdict on every session under one setting: broken or not, when, what it cost, and how long its entry stood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.fates import Fates, fates_of
from lastack.replay.harm import loss_of
from lastack.replay.known import sent_by
from lastack.replay.lanes import FOREVER_NS, Lanes, Readings
from lastack.replay.past import Past


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One row a session.

    Attributes:
        broken: The box forgot it and a packet that came later was lost.
        died_ns: When the entry went, `NEVER` for sessions that live.
        lane: Lane it was forgotten in, or that it ended in.
        lost_least: Payload lost for certain, client's and server's, then packets; shape (sessions, 4).
        lost_most: The most that may have been lost.
        loss: `lastack.replay.harm.Loss`.
        removed_ns: When the entry went in the end, `NEVER` for never.
    """

    broken: NDArray[np.bool_]
    died_ns: NDArray[np.int64]
    lane: NDArray[np.int64]
    lost_least: NDArray[np.int64]
    lost_most: NDArray[np.int64]
    loss: NDArray[np.uint8]
    removed_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.broken)


@dataclass(frozen=True, slots=True)
class Judged:
    """Both readings of one setting.

    Attributes:
        kind: What breaks under every reading of what the record leaves open.
        harsh: What breaks under any of them.
        exact: Sessions on which both agree, with the bytes lost known to the byte.
    """

    kind: Verdicts
    harsh: Verdicts
    exact: NDArray[np.bool_]


def judge(past: Past, readings: Readings) -> Judged:
    """Return the verdicts on sessions under one setting.

    Args:
        past: The sessions.
        readings: Timers of exactly one setting.
    """
    kind = _verdicts(past, readings.kind, harsh=False)
    harsh = _verdicts(past, readings.harsh, harsh=True)
    agree = (kind.broken == harsh.broken) & (kind.died_ns == harsh.died_ns)
    agree &= (kind.lost_least[:, :2] == harsh.lost_most[:, :2]).all(axis=1)
    return Judged(kind, harsh, agree & ~past.odd)


def _verdicts(past: Past, lanes: Lanes, harsh: bool) -> Verdicts:
    assert lanes.settings == 1, "a verdict is on one setting"
    fates = fates_of(past, lanes, harsh)
    n = len(past)
    what = fates.what
    died = np.full(n, NEVER, np.int64)
    lane, base = np.zeros(n, np.int64), np.zeros(n, np.int64)
    lane[fates.ends.row], base[fates.ends.row] = fates.ends.lane, fates.ends.base_ns
    removed = _removed(lane, base, lanes)
    least, most = np.zeros((n, 4), np.int64), np.zeros((n, 4), np.int64)
    died[what.row] = what.base_ns + lanes.ns[what.lane, 0]
    lane[what.row] = what.lane
    low, high = sent_before(past, fates, died[what.row])
    least[what.row], most[what.row] = past.sent[what.row] - high, past.sent[what.row] - low
    loss = np.zeros(n, np.uint8)
    lost = (most if harsh else least)[what.row, :2].sum(axis=1)
    loss[what.row] = loss_of(past, what.row, what.lane, what.lost_ns, lost)
    return Verdicts(died != NEVER, died, lane, least, most, loss, removed)


def sent_before(
    past: Past, fates: Fates, died_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and the most that sessions had sent when each piece ended them, shape (pieces, 4)."""
    what = fates.what
    low = what.sent.copy()
    open_ = np.flatnonzero(what.sent[:, 0] < 0)
    high = low.copy()
    low[open_], high[open_] = sent_by(past, what.row[open_], died_ns[open_])
    return low, high


def _removed(lane: NDArray[np.int64], base_ns: NDArray[np.int64], lanes: Lanes) -> NDArray[np.int64]:
    length = lanes.ns[lane, 0]
    result: NDArray[np.int64] = np.where(
        length >= FOREVER_NS, NEVER, base_ns + np.minimum(length, FOREVER_NS - 1)
    )
    return result

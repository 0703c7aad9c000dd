"""Pieces of fates with a value each, added up over settings: a value counts for the settings `since <= j < until`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastack.replay.fates import Fates
from lastack.replay.known import known_of
from lastack.replay.lanes import STAGES, Lanes, Stage
from lastack.replay.past import Past


class Steps:
    """Sums over settings, one row for each key: adding costs the same for one setting as for all.

    Args:
        keys: Rows.
        settings: J.
    """

    def __init__(self, keys: int, settings: int) -> None:
        self._differences = np.zeros((keys, settings + 1), np.float64)

    def add(
        self,
        keys: NDArray[np.int64],
        since: NDArray[np.int64],
        until: NDArray[np.int64],
        values: NDArray[np.float64] | float = 1.0,
    ) -> None:
        """Add values to the settings from `since` to before `until`; nothing where that is empty."""
        flat = self._differences.reshape(-1)
        width = self._differences.shape[1]
        weights = np.broadcast_to(np.asarray(values, np.float64), keys.shape)
        inside = np.flatnonzero(until > since)
        at = keys[inside] * width
        flat += np.bincount(at + since[inside], weights[inside], len(flat))
        flat -= np.bincount(at + until[inside], weights[inside], len(flat))

    def merge(self, other: Steps) -> None:
        """Take another part of the input in."""
        self._differences += other._differences

    def sums(self) -> NDArray[np.float64]:
        """Return the sums, shape (keys, settings)."""
        result: NDArray[np.float64] = np.cumsum(self._differences, axis=1)[:, :-1]
        return result


def add_lost(
    past: Past, fates: Fates, lanes: Lanes, keys: NDArray[np.int64], least: Steps | None, most: Steps | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add the payload that each piece loses; return up to which setting some of it is lost, surely and perhaps.

    A silence fixes what was sent before it. For an absolute timer the curve of what a session had sent is known at
    some moments only (`lastack.replay.known`), which gives the least and the most.
    """
    what = fates.what
    total = past.sent[what.row, :2].sum(axis=1)
    fixed = what.sent[:, 0] >= 0
    before = np.where(fixed, what.sent[:, :2].sum(axis=1), 0)
    opening = what.lane % STAGES < Stage.established
    exact = fixed | opening
    lost = (total - before).astype(np.float64)
    i = np.flatnonzero(exact & (lost > 0))
    for steps in filter(None, (least, most)):
        steps.add(keys[what.row[i]], fates.since[i], fates.until[i], lost[i])
    surely = np.where(lost > 0, fates.until, fates.since)
    perhaps = surely.copy()
    k = np.flatnonzero(~exact)
    if len(k):
        surely[k], perhaps[k] = _add_open(past, fates, lanes, keys, k, total, least, most)
    return surely, perhaps


def _add_open(
    past: Past,
    fates: Fates,
    lanes: Lanes,
    keys: NDArray[np.int64],
    pieces: NDArray[np.int64],
    total: NDArray[np.int64],
    least: Steps | None,
    most: Steps | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    what, since, until = fates.what, fates.since, fates.until
    rows, which = np.unique(what.row[pieces], return_inverse=True)
    known = known_of(past, rows)
    first = np.searchsorted(known.row, rows)
    count = np.diff(np.append(first, len(known.row)))
    curve = known.sent[:, :2].sum(axis=1)
    key = keys[what.row[pieces]]
    a, b = since[pieces], until[pieces]
    if most is not None:
        most.add(key, a, b, total[pieces].astype(np.float64))
    if least is not None:
        least.add(key, a, b, (total[pieces] - curve[first[which]]).astype(np.float64))
    surely, perhaps = a.copy(), a.copy()
    for nth in range(int(count.max())):
        here = np.flatnonzero(count[which] > nth)
        point = first[which[here]] + nth
        lane, base = what.lane[pieces[here]], what.base_ns[pieces[here]]
        reached = np.clip(_index(lanes, lane, known.since_ns[point] - base), a[here], b[here])
        step = curve[point] - (curve[point - 1] if nth else 0)
        if most is not None:
            most.add(key[here], reached, b[here], -step.astype(np.float64))
        # The point at which all was sent is the first that reaches the total: what comes before it counts.
        unfinished = curve[point] < total[pieces[here]]
        before_all = (curve[point - 1] if nth else np.zeros(len(point))) < total[pieces[here]]
        perhaps[here] = np.where(before_all, reached, perhaps[here])
        follows = np.flatnonzero(count[which[here]] > nth + 1)
        passed = np.clip(_index(lanes, lane, known.before_ns[point] - base), a[here], b[here])
        step = curve[np.minimum(point + 1, len(curve) - 1)] - curve[point]
        h = here[follows]
        if least is not None:
            least.add(key[h], passed[follows], b[h], -step[follows].astype(np.float64))
        surely[here] = np.where(unfinished, passed, surely[here])
    return surely, perhaps


def _index(lanes: Lanes, lane: NDArray[np.int64], length_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first setting whose timer is longer."""
    result = np.zeros(len(lane), np.int64)
    for one in np.unique(lane):
        here = lane == one
        result[here] = np.searchsorted(lanes.ns[one], length_ns[here], "right")
    return result

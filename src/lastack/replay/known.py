"""What a session had sent at a moment, from all that the record knows: exact during every silence that it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.lanes import Stage
from lastack.replay.past import Past


@dataclass(frozen=True, slots=True)
class Known:
    """Points of the curves of what sessions had sent, in order of session and time.

    Attributes:
        row: Session.
        since_ns: After this moment, at least `sent` had been sent.
        before_ns: Before this moment, at most that.
        sent: Payload and packets as in `Silences`, shape (points, 4).
    """

    row: NDArray[np.int64]
    since_ns: NDArray[np.int64]
    before_ns: NDArray[np.int64]
    sent: NDArray[np.int64]


def known_of(past: Past, rows: NDArray[np.int64]) -> Known:
    """Return the points of some sessions; with a last point for the whole of each.

    Args:
        past: The sessions.
        rows: Which of them, without repeats.
    """
    wanted = np.zeros(len(past), np.bool_)
    wanted[rows] = True
    s, m = past.silences, past.marks
    i, k = np.flatnonzero(wanted[s.row]), np.flatnonzero(wanted[m.row])
    k = k[past.enters[m.row[k], Stage.fin1] != NEVER]
    fin = past.enters[m.row[k], Stage.fin1]
    row = np.concatenate([s.row[i], m.row[k], rows])
    since = np.concatenate([s.start_ns[i], fin + m.since_ns[k], past.end[rows]])
    ends = (s.start_ns[i] + s.gap_ns[i], fin + m.age_ns[k], np.full(len(rows), NEVER))
    before = np.concatenate(ends)
    sent = np.concatenate([s.sent[i], m.sent[k], past.sent[rows]])
    order = np.lexsort((since, row))
    row, before = row[order], before[order]
    ranks = np.unique(before, return_inverse=True)
    highest = np.maximum.accumulate(row * len(order) + ranks[1]) - row * len(order)
    return Known(row, since[order], ranks[0][highest], sent[order])


def sent_by(
    past: Past, rows: NDArray[np.int64], moments_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and the most that sessions had sent before given moments, each of shape (rows, 4).

    Args:
        past: The sessions.
        rows: Which of them; may repeat.
        moments_ns: A moment for each.
    """
    least = np.zeros((len(rows), 4), np.int64)
    most = past.sent[rows].copy()
    # A session that has begun has sent its first packet, whoever that was; no payload is certain.
    if len(rows) == 0:
        return least, most
    unique, which = np.unique(rows, return_inverse=True)
    known = known_of(past, unique)
    first = np.searchsorted(known.row, unique)
    # Points are few per session: step through the first, second, … of every session at once.
    count = np.bincount(np.searchsorted(unique, known.row), minlength=len(unique))
    for nth in range(int(count.max())):
        here = np.flatnonzero(count[which] > nth)
        point = first[which[here]] + nth
        passed = known.since_ns[point] < moments_ns[here]
        least[here[passed]] = np.maximum(least[here[passed]], known.sent[point[passed]])
        ahead = known.before_ns[point] >= moments_ns[here]
        most[here[ahead]] = np.minimum(most[here[ahead]], known.sent[point[ahead]])
    opening = moments_ns <= np.minimum(past.enters[rows, Stage.established], past.enters[rows, Stage.fin1])
    most[opening, :2] = np.minimum(most[opening, :2], least[opening, :2])
    return least, most

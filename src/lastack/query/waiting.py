"""Sessions that still waited for something when the capture ended: how many, since when, and the oldest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.address import format_address
from lastack.model.units import NS_PER_S
from lastack.query.columns import column, numbers, valid
from lastack.query.overview import Waiting
from lastack.query.quantiles import Percentiles, Quantiles

_OLDEST = 5
_SHOWN = ("session_id", "client_ip", "client_port", "server_ip", "server_port")


class Waiters:
    """Sessions that wait since the time in one column; the age is only known when the capture ends."""

    def __init__(self, since: str) -> None:
        self._since = since
        self._times = Quantiles()
        self._oldest: list[dict[str, Any]] = []

    def add(self, batch: Any, chosen: NDArray[np.bool_]) -> None:
        """Take in the chosen rows of a batch."""
        times = column(batch, self._since)
        rows = np.flatnonzero(chosen & valid(times))
        if len(rows) == 0:
            return
        since = numbers(times)[rows].astype(np.int64)
        # Kept negated: the p90 of the ages is then the p90 of these, whatever the end of the capture will be.
        self._times.add(-since)
        first = rows[np.argsort(since, kind="stable")[:_OLDEST]]
        cells = {name: column(batch, name).take(first).to_pylist() for name in _SHOWN}
        moments = times.take(first).to_pylist()
        found = [
            {**{name: cells[name][i] for name in _SHOWN}, "since_ns": moments[i]} for i in range(len(first))
        ]
        self._keep(found)

    def merge(self, other: Waiters) -> None:
        """Take another part of the input in."""
        self._times.merge(other._times)
        self._keep(other._oldest)

    def waiting(self, end_ns: int | None) -> Waiting:
        """Return ages at the end of the capture, and the oldest."""
        times = self._times.percentiles()
        if end_ns is None or times.count == 0:
            return Waiting()
        ages = [
            None if value is None else max(0, end_ns + value)
            for value in (times.minimum, times.p50, times.p90, times.p99, times.maximum)
        ]
        oldest = tuple(
            {
                **row,
                "client_ip": format_address(row["client_ip"]),
                "server_ip": format_address(row["server_ip"]),
                "age_ns": max(0, end_ns - row["since_ns"]),
            }
            for row in self._oldest
        )
        return Waiting(Percentiles(times.count, times.exact, *ages), oldest)

    def _keep(self, rows: list[dict[str, Any]]) -> None:
        both = sorted([*self._oldest, *rows], key=lambda row: (row["since_ns"], row["session_id"]))
        self._oldest = both[:_OLDEST]


class Pending:
    """Unanswered SYNs so near the end of the capture that their answer may only be cut off.

    Only times within the margin of the latest one seen are kept: the end can only move on.
    """

    margin_ns = NS_PER_S

    def __init__(self) -> None:
        self._times = np.empty(0, np.int64)

    def add(self, end_ns: NDArray[np.int64]) -> None:
        """Take in the times of last SYNs."""
        times = np.concatenate([self._times, end_ns])
        if len(times):
            self._times = times[times >= times.max() - self.margin_ns]

    def merge(self, other: Pending) -> None:
        """Take another part of the input in."""
        self.add(other._times)

    def count(self, end_ns: int | None) -> int:
        """Return how many are within the margin of the end of the capture."""
        if end_ns is None:
            return 0
        return int(np.count_nonzero(self._times >= end_ns - self.margin_ns))

"""Attempts of a flow table counted by place (a server in a minute), shard by shard, without a copy of any of them.

Places, servers and clients are hashes; `lastack.diagnosis.crowd` makes the same ones of rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lastack.kernels import crowds, layout
from lastack.tracking.jobs import Run, in_turn
from lastack.tracking.memory import Reserve

_FEW = 16  # slots of a hash table, at least
_LISTED_SHARE = 8  # one in so many records is listed at most: in a flood, lists would be as long as the table


def count_half_open(tables: Sequence[Any], minute_ns: int, run: Run) -> tuple[Any, Any, Any, list[Any]]:
    """Return servers, minutes and numbers of the attempts with SYN and SYN-ACK that nobody established or reset.

    The last part of the answer says which records of each shard they are; none if they are too many to be listed.

    Args:
        tables: SESSION records of each shard.
        minute_ns: Length of what is a minute here.
        run: Runs functions, at the same time if it can, and returns their results in order.
    """
    scratch = _Scratch(max(map(len, tables), default=0))
    parts = run([_HalfOpen(sessions, minute_ns, scratch) for sessions in tables])
    *columns, rows = zip(*parts, strict=True)
    servers, minutes, counts = map(np.concatenate, columns)
    return servers, minutes, counts, list(rows)


def count_clients(
    tables: Sequence[Any], rows: Sequence[Any], places: Any, shift_ns: int, minute_ns: int, most: int
) -> Any:
    """Return how many different clients the half-open attempts at some places have; those beyond some are not counted.

    Shard by shard, for in a flood the first one has enough of them after a few records.

    Args:
        tables: SESSION records of each shard.
        rows: Which of them are half-open attempts, as `count_half_open` says it.
        places: Hashes of the places.
        shift_ns: Minutes are counted from this on.
        minute_ns: Length of a minute.
        most: Number of clients that is enough.
    """
    slots = indexed(places)
    clients, numbers = np.empty(len(places) * most, np.uint64), np.zeros(len(places), np.int64)
    for sessions, some in zip(tables, rows, strict=True):
        wanting = crowds.gather_clients(
            sessions.ctypes.data, len(sessions), some, slots, places, clients, numbers, shift_ns, minute_ns
        )
        if not wanting:
            break
    return numbers


def count_attempts(tables: Sequence[Any], places: Any, minute_ns: int, run: Run) -> Any:
    """Return how many sessions began with a SYN at some places.

    Args:
        tables: SESSION records of each shard.
        places: Hashes of the places, all different.
        minute_ns: Length of what is a minute here.
        run: Runs functions, at the same time if it can, and returns their results in order.
    """
    slots = indexed(places)
    counts = run([_Attempts(sessions, slots, places, minute_ns) for sessions in tables])
    return np.sum(counts, axis=0, dtype=np.int64)


def indexed(places: Any) -> Any:
    """Return a hash table over places, as `lastack.kernels.crowds.index_places` makes it."""
    slots = np.zeros(max(_FEW, 1 << (2 * len(places)).bit_length()), np.uint32)
    crowds.index_places(places, slots)
    return slots


def at_places(
    addresses: Any, ports: Any, starts: Any, rows: Any, places: Any, slots: Any, minute_ns: int
) -> Any:
    """Return which of some rows are at some places, bool.

    Args:
        addresses: Server addresses of all rows, 16 bytes each.
        ports: Server ports, uint16.
        starts: Start times, int64.
        rows: Which rows, as an index array.
        places: Hashes of the places.
        slots: Their hash table (`indexed`).
        minute_ns: Length of what is a minute here.
    """
    found = np.zeros(len(rows), np.uint8)
    rows = np.array(rows, np.int64)  # a kernel is compiled for contiguous arrays that can be written
    crowds.mark_places(
        addresses.ctypes.data, ports.ctypes.data, starts.ctypes.data, rows, slots, places, minute_ns, found
    )
    return found.view(bool)


_Arrays = tuple[Any, Any, Any, Any, Any]


class _Scratch:
    """Arrays for the places of one shard, used again: new memory costs as much as the count.

    As many places as records may come, but few do: reserved memory costs nothing until it is touched.

    Args:
        most: Records of a shard.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._spare: list[_Arrays] = []

    def take(self) -> _Arrays:
        """Return slots (zeros), places, servers, minutes and counts, which nobody else has."""
        with contextlib.suppress(IndexError):  # several threads may want the last ones
            return self._spare.pop()
        slots = 1 << (2 * self._most).bit_length()
        kinds = np.uint64, np.uint64, np.int64, np.int64
        one, two, three, four = (Reserve(self._most * 8).array(kind, self._most) for kind in kinds)
        return Reserve(slots * 4).array(np.uint32, slots), one, two, three, four

    def give_back(self, arrays: _Arrays) -> None:
        """Let others have the arrays."""
        self._spare.append(arrays)


class _HalfOpen:
    """The half-open attempts of one shard, counted by place: a function without arguments."""

    def __init__(self, sessions: Any, minute_ns: int, scratch: _Scratch) -> None:
        self._sessions, self._minute_ns, self._scratch = sessions, minute_ns, scratch

    def __call__(self) -> tuple[Any, Any, Any, Any]:
        n = len(self._sessions)
        rows = np.zeros(n // _LISTED_SHARE + 1, np.uint32)
        arrays = self._scratch.take()
        used = int(crowds.count_half_open(self._sessions.ctypes.data, n, *arrays, rows, self._minute_ns))
        *_, servers, minutes, counts = (array[:used].copy() for array in arrays)
        self._scratch.give_back(arrays)
        found = int(counts.sum())
        return servers, minutes, counts, rows[: found if found <= len(rows) else 0]


class _Attempts:
    """The attempts of one shard at some places: a function without arguments."""

    def __init__(self, sessions: Any, slots: Any, places: Any, minute_ns: int) -> None:
        self._sessions, self._slots, self._places, self._minute_ns = sessions, slots, places, minute_ns

    def __call__(self) -> Any:
        counts = np.zeros(len(self._places), np.int64)
        crowds.count_attempts(
            self._sessions.ctypes.data, len(self._sessions), self._slots, self._places, counts,
            self._minute_ns,
        )  # fmt: skip
        return counts


def prepare() -> None:
    """Compile what counts, or load it, so that no run has to wait for it."""
    nothing = np.empty(0, layout.SESSION)
    one = np.zeros(1, np.uint64)
    tables = [nothing, nothing]

    *_, rows = count_half_open(tables, 1, in_turn)
    count_clients(tables, rows, one, 0, 1, 1)
    count_attempts(tables, one, 1, in_turn)
    no_numbers = np.empty(0, np.int64)
    at_places(np.empty(0, "S16"), np.empty(0, np.uint16), no_numbers, no_numbers, one, indexed(one), 1)

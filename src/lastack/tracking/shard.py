"""One shard of the flow table: its memory, its growth and its limit; the work is done in `lastack.kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lastack.kernels import evict, layout
from lastack.kernels.flowtable import rehash
from lastack.kernels.merging import in_order
from lastack.kernels.track import BATCH, track_pieces
from lastack.tracking.memory import Reserve
from lastack.tracking.merge import run_of_columns, run_of_records

_FIRST_SLOTS, _FEW_SLOTS = 1 << 10, 1 << 15
_SLOT = 8  # bytes
_FINISHED = 4  # bytes of a number in the list of finished sessions
_EVICT_SHARE = 16  # of a full table leaves at once
#: Sessions that left and may wait until their rows are written together with others.
MOST_WAITING = 1 << 12
#: Bytes in small pages before large ones begin: with fewer, a large page would cost more than it saves. What most
#: sessions have soon needs large ones; what few have may never fill half of one.
_SMALL, _SMALL_OF_FEW = 128 << 10, 512 << 10
_OF_MOST = ("close", "rare")
_POOLS = {
    "close": layout.CLOSE, "rare": layout.RARE, "gap": layout.GAP, "node": layout.NODE, "proof": layout.PROOF,
    "after": layout.AFTER, "mark": layout.MARK, "retry": layout.RETRY,
}  # fmt: skip
_POOL_SHARE = {
    "gap": 4.0,
    "node": 4.0,
    "mark": 4.0,
    "retry": 4.0,
}  # items a session, as address space; else one


def address_bytes_per_session() -> int:
    """Return the bytes of address space that a shard reserves for each session of its limit."""
    pools = sum(int(dtype.itemsize * _POOL_SHARE.get(name, 1.0)) for name, dtype in _POOLS.items())
    return layout.SESSION.itemsize + pools + _FINISHED


def pieces_of(pieces: Sequence[tuple[int, int, int]]) -> Any:
    """Return an array of PIECE, given for each its address, its number of segments and what their origins lack."""
    some = np.zeros(len(pieces), layout.PIECE)
    some["address"], some["n"], some["origin_add"] = np.array(pieces, np.int64).reshape(-1, 3).T
    return some


class Shard:
    """The sessions of one part of the key space.

    Args:
        limit: Most sessions held at a time.
        idle_ns: Sessions that are silent for longer end.
    """

    def __init__(self, limit: int, idle_ns: int) -> None:
        capacity = limit + MOST_WAITING + 2 * BATCH + 16
        self._reserves: list[Reserve] = []
        self.control: Any = np.zeros(1, layout.TABLE)
        self._pools = {name: np.zeros(1, layout.POOL) for name in _POOLS}
        self.control["sessions"] = self._reserve(capacity * layout.SESSION.itemsize, _SMALL)
        for name, dtype in _POOLS.items():
            items = int(capacity * _POOL_SHARE.get(name, 1.0))
            pool = self._pools[name]
            pool["address"], pool["stride"], pool["capacity"] = (
                self._reserve(items * dtype.itemsize, _SMALL if name in _OF_MOST else _SMALL_OF_FEW),
                dtype.itemsize,
                items,
            )
            self.control[name] = pool.ctypes.data
        finished = Reserve(capacity * _FINISHED)
        self._finished: Any = finished.array(np.uint32)
        self._found = np.zeros(BATCH, np.uint32)
        self.control["finished"] = finished.address
        self.control["found"] = self._found.ctypes.data
        self.control["capacity"] = capacity
        self.control["limit"] = limit
        self.control["idle_ns"] = idle_ns
        self.address = self.control.ctypes.data
        self._use_slots(_FIRST_SLOTS)
        self._sorted: Any = None
        self._limit = limit
        self._waiting: list[tuple[Any, bool]] = []
        self.waiting = 0  #: sessions whose rows wait to be written, at the head of the finished list

    def _reserve(self, size: int, small: int) -> int:
        reserve = Reserve(size, small)
        self._reserves.append(reserve)
        return reserve.address

    def _use_slots(self, count: int) -> None:
        size = count * _SLOT
        self._slots = Reserve(size, 0 if size > _SMALL_OF_FEW else None)
        self._slots.populate()
        self.control["slots"] = self._slots.address
        self.control["mask"] = count - 1

    def _grow(self) -> None:
        old, mask = self._slots, int(self.control["mask"][0])
        self._use_slots((mask + 1) * (4 if mask < _FEW_SLOTS else 2))
        rehash(old.address, mask, self.address)

    def feed(self, pieces: Any, first: int = 0) -> int:
        """Account for an array of PIECE from one on; return their number, or the one at which the limit was reached."""
        while True:
            place = int(track_pieces(self.address, pieces.ctypes.data, first, len(pieces)))
            if place == len(pieces) or not self.grow_if_crowded():
                return place
            first = place

    def grow_if_crowded(self) -> bool:
        """Add slots if they are what lacked; return whether they were."""
        control = self.control[0]
        if (control["filled"] + 2) * 10 <= (control["mask"] + 1) * 7:
            return False
        self._grow()
        return True

    def records(self) -> Any:
        """Return the SESSION records as an array that shares the table's memory; free ones have no SYN."""
        return self._reserves[0].array(layout.SESSION, int(self.control["records"][0]) + 1)

    def closings(self, most: int) -> Any:
        """Return the CLOSE records up to a place, as an array that shares the table's memory."""
        # behind the sessions come the pools, in their order
        reserve = self._reserves[1 + list(_POOLS).index("close")]
        return reserve.array(np.uint8, (most + 1) * layout.CLOSE.itemsize).view(layout.CLOSE)

    @property
    def live(self) -> int:
        """Sessions held, those whose row is still to be written included."""
        return int(self.control["live"][0])

    @property
    def evicted(self) -> int:
        """Sessions that left because the table was full."""
        return int(self.control["evicted"][0])

    def finished(self) -> Any:
        """Return the indices of sessions that ended, but for those that were told to wait."""
        return self._finished[self.waiting : int(self.control["n_finished"][0])]

    def wait(self, *, evicted: bool) -> None:
        """Let the finished sessions wait for their rows, beside those that they leave the table to.

        Args:
            evicted: Whether they left because the table was full.
        """
        self._waiting.append((self.sorted_finished(), evicted))
        self.waiting = int(self.control["n_finished"][0])
        self.control["limit"] = self._limit + self.waiting

    def left(self) -> list[tuple[Any, bool]]:
        """Return the sessions that wait, as they left: indices in order, and whether the table was full."""
        return self._waiting

    def free_finished(self) -> None:
        """Forget the finished sessions; their rows must have been written."""
        evict.free_finished(self.address)
        self._waiting, self.waiting = [], 0
        self.control["limit"] = self._limit

    def standing(self) -> tuple[Any, Any, Any, Any, Any]:
        """Return indices of the sessions held, their classes (`kernels.evict`), last and first times, and origins."""
        room = int(self.control["records"][0]) + 1
        indices, classes = np.empty(room, np.uint32), np.empty(room, np.uint8)
        ends, starts, origins = (np.empty(room, np.int64) for _ in range(3))
        addresses = [a.ctypes.data for a in (indices, classes, ends, starts, origins)]
        n = evict.list_live(self.address, *addresses)
        return indices[:n], classes[:n], ends[:n], starts[:n], origins[:n]

    def evict(self) -> None:
        """Put a sixteenth of the limit on the finished list: oldest closed first, then half-open, then idle."""
        indices, classes, ends, _starts, origins = self.standing()
        wanted = min(len(indices), max(1, self._limit // _EVICT_SHARE))
        chosen: list[Any] = []
        for kind in (evict.OVER, evict.EMBRYONIC, evict.IDLE):
            places = np.flatnonzero(classes == kind)
            left = wanted - sum(map(len, chosen))
            if left <= 0:
                break
            if len(places) > left:
                last = np.partition(ends[places], left - 1)[left - 1]
                sure = places[ends[places] < last]
                ties = places[ends[places] == last]
                ties = ties[np.argsort(origins[ties], kind="stable")][: left - len(sure)]
                places = np.concatenate([sure, ties])
            chosen.append(places)
        leaving = indices[np.concatenate(chosen)]
        self.control["evicted"] += len(leaving)
        evict.leave(self.address, leaving.ctypes.data, len(leaving))

    def sorted_finished(self) -> Any:
        """Return the finished sessions' indices in order of (start time, first packet)."""
        indices = self.finished().copy()
        starts, origins = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
        evict.list_starts(
            self.address, indices.ctypes.data, len(indices), starts.ctypes.data, origins.ctypes.data
        )
        return indices[np.lexsort((origins, starts))]

    def in_order(self) -> Any:
        """Return every session held as a RUN in order of (start time, first packet), see `lastack.kernels.merging`.

        It answers with record indices. The shard must not be fed while the run is in use.
        """
        control = self.control[0]
        # records are numbered as sessions begin: nothing is to be sorted unless times ran back or records were reused
        if in_order(self.address):
            return run_of_records(int(control["sessions"]), int(control["records"]))
        return self.sorted_run()

    def sorted_run(self) -> Any:
        """Return what `in_order` does, of sessions whose records are in any order."""
        room = int(self.control["records"][0])
        indices = np.empty(room, np.uint32)
        starts, origins = np.empty(room, np.int64), np.empty(room, np.int64)
        n = evict.list_all(self.address, indices.ctypes.data, starts.ctypes.data, origins.ctypes.data)
        order = np.lexsort((origins[:n], starts[:n]))
        self._sorted = starts[order], origins[order], indices[order]
        return run_of_columns(*self._sorted)

    def lost(self) -> dict[str, int]:
        """Return what did not fit: entries of gap profiles, of marks, of retries and of hole lists."""
        return {name: int(self.control[f"lost_{name}"][0]) for name in ("gaps", "marks", "retries", "holes")}

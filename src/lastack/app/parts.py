"""Decoded segments of stretches of a capture: the arrays that they are in, and the calls that fill these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lastack.capture.window import Window
from lastack.kernels.ingest import TALLY, ingest, ingest_lanes
from lastack.kernels.layout import PIECE
from lastack.kernels.sharding import PLACES, SHARDS
from lastack.model.batch import FRAME, SEGMENT
from lastack.tracking.memory import Reserve, segments_at

_BYTES = SEGMENT.itemsize
_LEAST_RECORD = 48  # bytes of the smallest record that can hold a TCP segment
_SLACK = 2048  # segments
_MARGIN, _LEAST_NEAR = 1.25, 512  # of what is expected; segments
_LINE = 64  # bytes
_WORTH_HUGE = 1 << 20  # bytes of all arrays: with fewer, the room that a large page leaves empty costs more
_SPARE_FACTOR = 3  # address space costs nothing, and new memory for a larger window would be touched anew


class Part:
    """Segments of one part of a window, an array for each shard.

    Args:
        places: Where the next segment of each shard goes, a PLACES array of one.
        tally: Takes what is counted, a TALLY array of one.

    Attributes:
        frames: Scratch.
        before: Packets of the capture before this part.
    """

    def __init__(self, places: Any, tally: Any) -> None:
        self.places, self.tally = places, tally
        self.frames: Any = np.zeros(1, FRAME)
        self.before = 0
        self._spare = np.zeros(1, SEGMENT)
        self.places["spare"] = self._spare.ctypes.data

    def use(self, begins: Any, rest: Any, held: Sequence[Reserve]) -> None:
        """Note where segments go.

        Args:
            begins: Addresses of the first arrays.
            rest: Addresses of the other arrays.
            held: Their memory, for the segments may still be read when the capture has been decoded to its end.
        """
        self.begins, self.rest, self._held = begins, rest, held

    def segments(self, shard: int) -> list[Any]:
        """Return the segments of a shard, in order, as arrays that share their memory, valid until the next stretch."""
        return [segments_at(int(p["address"]), int(p["n"])) for p in pieces_of_parts([self])[shard]]

    def decode(self, window: Window, start: int, end: int, state: Any, interfaces: Any, sensor: int) -> None:
        """Walk and decode [start, end) of a window."""
        ingest(
            window.base,
            start,
            end,
            state,
            interfaces,
            self.frames,
            self.places,
            sensor << 48,
            self.tally[0],
        )


def pieces_of_parts(parts: Sequence[Part]) -> Any:
    """Return the runs of segments of some parts, in order, as PIECE records: a row for each shard.

    Args:
        parts: Decoded parts.
    """
    if not parts:
        return np.zeros((SHARDS, 0), PIECE)
    places = _joined([part.places for part in parts])
    begins = np.array([part.begins for part in parts])
    before = np.array([part.before for part in parts])
    after, left = places["next"], places["left"]
    moved = left != 0
    if not moved.any():
        return _pieces(begins, after, before)
    rest = np.array([part.rest for part in parts])
    first = _pieces(begins, np.where(moved, left, after), before)
    second = _pieces(rest, np.where(moved, after, rest), before)
    return np.stack([first, second], axis=-1).reshape(SHARDS, -1)


def tallies_of(parts: Sequence[Part]) -> Any:
    """Return a TALLY array of what some parts counted."""
    return _joined([part.tally for part in parts]) if parts else np.zeros(0, TALLY)


def _joined(arrays: Sequence[Any]) -> Any:
    """Return arrays of records as one: NumPy joins bytes ten times as fast as fields that are arrays themselves."""
    dtype = arrays[0].dtype
    return np.concatenate([array.view((np.void, dtype.itemsize)) for array in arrays]).view(dtype)


def _pieces(begins: Any, ends: Any, before: Any) -> Any:
    """Return PIECE records of segments from some addresses to others, given a row of each for every part."""
    pieces = np.zeros((SHARDS, len(before)), PIECE)
    pieces["address"], pieces["n"] = begins.T, ((ends - begins) // np.uint64(_BYTES)).T
    pieces["origin_add"] = before
    return pieces


class Lanes:
    """Parts of one stretch side by side, decoded in lock step or each by itself.

    Args:
        places: PLACES array, one for each.
        tallies: TALLY array, one for each.
    """

    def __init__(self, places: Any, tallies: Any) -> None:
        self._places, self._tallies = places, tallies
        self.parts = [Part(places[k : k + 1], tallies[k : k + 1]) for k in range(len(places))]

    def __getitem__(self, some: slice) -> Lanes:
        """Return neighbouring ones."""
        few = Lanes.__new__(Lanes)
        few._places, few._tallies, few.parts = self._places[some], self._tallies[some], self.parts[some]
        return few

    def use(self, begins: Any, ends: Any, rest: Any, rest_bytes: int, held: Sequence[Reserve]) -> None:
        """Make room, given addresses (uint64): a row for each part.

        Args:
            begins: Of the first arrays.
            ends: Of what follows them.
            rest: Of the arrays for what they do not hold.
            rest_bytes: Size of each of these.
            held: The memory of all.
        """
        places = self._places
        places["next"], places["end"], places["rest"] = begins, ends, rest
        places["rest_end"] = rest + np.uint64(rest_bytes)
        places["left"] = 0
        self._tallies[:] = 0
        for part, first, other in zip(self.parts, begins, rest, strict=True):
            part.use(first, other, held)

    def decode(self, lanes: Any, window: Window, state: Any, interfaces: Any, sensor: int) -> None:
        """Walk and decode one stretch of a window for each part; `lanes` say where they begin and stop."""
        ingest_lanes(
            window.base,
            lanes,
            window.end,
            state,
            interfaces,
            self.parts[0].frames,
            self._places,
            sensor << 48,
            self._tallies,
        )


class PartSet:
    """The parts of one stretch at a time, and their memory."""

    def __init__(self) -> None:
        self._lanes = Lanes(np.zeros(0, PLACES), np.zeros(0, TALLY))
        self._near: Reserve | None = None
        self._rest: Reserve | None = None

    def leave_memory(self) -> list[Reserve]:
        """Return the memory of the segments for other use; nobody may need them any more."""
        left = [] if self._near is None else [self._near]
        self._near = None
        return left

    def room_for(self, sizes: Sequence[int], per_byte: Any) -> Lanes:
        """Return parts for some stretches, with room for what is to be expected of all of them side by side.

        What is expected is filled first: arrays for the worst case have pages of their own, and the first touch of a
        page costs as much as 50 segments.

        Args:
            sizes: Bytes of the stretches.
            per_byte: Segments of each shard to be expected in a byte.
        """
        n = len(sizes)
        if n > len(self._lanes.parts):
            self._lanes = Lanes(np.zeros(n, PLACES), np.zeros(n, TALLY))
        rest_bytes = _most(max(sizes)) * _BYTES
        if self._rest is None or n * SHARDS * rest_bytes > self._rest.size:
            self._rest = Reserve(n * SHARDS * rest_bytes)
        counts = (per_byte * max(sizes) * _MARGIN).astype(np.int64) + _LEAST_NEAR
        # odd numbers of lines: arrays must not compete for the same places of the cache
        lines = -(-counts * _BYTES // _LINE) | 1
        needed = int(lines.sum()) * _LINE * n
        if self._near is None or needed > self._near.size:
            self._near = Reserve(_SPARE_FACTOR * needed, small=0 if needed >= _WORTH_HUGE else None)
        ends = np.cumsum(np.tile(lines * _LINE, n)).reshape(n, SHARDS) + self._near.address
        rest = self._rest.address + rest_bytes * np.arange(n * SHARDS).reshape(n, SHARDS)
        some = self._lanes[:n]
        held = self._near, self._rest
        begins = (ends - lines * _LINE).astype(np.uint64)
        some.use(begins, ends.astype(np.uint64), rest.astype(np.uint64), rest_bytes, held)
        return some


def _most(size: int) -> int:
    """Return more segments than a stretch of so many bytes can contain, the same for one that is a little larger.

    New memory for each window that is larger than the one before would be touched anew.
    """
    return 2 << (size // _LEAST_RECORD + _SLACK - 1).bit_length()

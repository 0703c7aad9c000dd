"""Decoded segments of stretches of a capture: the arrays that they are in, and the calls that fill these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lastack.capture.window import Window
from lastack.kernels.ingest import TALLY, ingest, ingest_lanes
from lastack.kernels.sharding import PLACES, SHARDS
from lastack.model.batch import FRAME, SEGMENT
from lastack.tracking.memory import Reserve, segments_at

_BYTES = SEGMENT.itemsize
_LEAST_RECORD = 48  # bytes of the smallest record that can hold a TCP segment
_SLACK = 2048  # segments
_WORTH_HUGE = 16 << 20  # bytes of a stretch whose segments take large pages
_MARGIN, _LEAST_NEAR = 1.25, 512  # of what is expected; segments
_LINE = 64  # bytes
_SPARE_FACTOR = 3  # address space costs nothing, and new memory for a larger window would be touched anew


class Part:
    """Segments of one part of a window, an array for each shard.

    Args:
        huge: Take large pages for the segments of large stretches: a fifth of the time for the first touch, but up to
            2 MB more for each shard.

    Attributes:
        places: Where the next segment of each shard goes, a PLACES array of one.
        frames: Scratch.
        tally: What was counted, a TALLY array of one.
        before: Packets of the capture before this part.
    """

    def __init__(self, *, huge: bool = False) -> None:
        self._huge = huge
        self._capacity = 0
        self._reserves: list[Reserve] = []
        self._own: Any = np.zeros(SHARDS, np.uint64)  # addresses of the reserves
        self._begins: Any = self._own  # addresses of the first segments
        self._near: Reserve | None = None
        self._spare = np.zeros(1, SEGMENT)
        self.places: Any = np.zeros(1, PLACES)
        self.places["spare"] = self._spare.ctypes.data
        self.frames = np.zeros(1, FRAME)
        self.tally: Any = np.zeros(1, TALLY)
        self.before = 0

    def make_room(self, size: int, near: tuple[Reserve, Any, Any] | None = None) -> None:
        """Hold what a stretch of so many bytes can contain.

        Args:
            size: Bytes.
            near: Memory to fill first, with the beginnings and ends of an array for each shard; None for none. Arrays
                for the worst case have pages of their own, and the first touch of a page costs as much as 50 segments.
        """
        capacity = size // _LEAST_RECORD + _SLACK
        if capacity > self._capacity:
            # Twice that and more: windows grow, and new memory for each larger one would be touched anew.
            self._capacity = 2 << (capacity - 1).bit_length()
            small = 0 if self._huge and size >= _WORTH_HUGE else None
            self._reserves = [Reserve(self._capacity * _BYTES, small) for _ in range(SHARDS)]
            self._own = np.array([reserve.address for reserve in self._reserves], np.uint64)
        own_ends = self._own + np.uint64(self._capacity * _BYTES)
        # it is held, for the segments may still be read when the capture has been decoded to its end
        self._near, self._begins, ends = (None, self._own, own_ends) if near is None else near
        self.places["next"], self.places["end"] = self._begins, ends
        self.places["rest"], self.places["rest_end"] = 0 if near is None else self._own, own_ends
        self.places["left"] = 0
        self.tally[:] = 0

    def runs(self) -> list[list[tuple[int, int]]]:
        """Return (address, number) of each run of segments, for each shard in order."""
        places = self.places[0]
        shards = zip(
            self._begins.tolist(),
            places["left"].tolist(),
            self._own.tolist(),
            places["next"].tolist(),
            strict=True,
        )
        return [
            [(begin, (left - begin) // _BYTES), (own, (after - own) // _BYTES)]
            if left
            else [(begin, (after - begin) // _BYTES)]
            for begin, left, own, after in shards
        ]

    def counts(self) -> Any:
        """Return how many segments each shard has."""
        return np.array([sum(n for _, n in runs) for runs in self.runs()])

    def segments(self, shard: int) -> list[Any]:
        """Return the segments of a shard, in order, as arrays that share their memory, valid until the next stretch."""
        return [segments_at(address, n) for address, n in self.runs()[shard]]

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


class PartSet:
    """The parts of one stretch at a time, and memory that parts in lock step share."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._lanes: list[Part] = []
        self._near: Reserve | None = None

    def walks(self, sizes: Sequence[int]) -> list[Part]:
        """Return parts for stretches that are walked one by one, with room for what stretches of so many bytes hold."""
        self._parts.extend(Part(huge=True) for _ in range(len(sizes) - len(self._parts)))
        parts = self._parts[: len(sizes)]
        for part, size in zip(parts, sizes, strict=True):
            part.make_room(size)
        return parts

    def lanes(self, sizes: Sequence[int], per_byte: Any) -> list[Part]:
        """Return parts for stretches in lock step, with room for what is to be expected of all of them side by side.

        Args:
            sizes: Bytes of the stretches.
            per_byte: Segments of each shard to be expected in a byte.
        """
        self._lanes.extend(Part() for _ in range(len(sizes) - len(self._lanes)))
        parts = self._lanes[: len(sizes)]
        counts = (per_byte * max(sizes) * _MARGIN).astype(np.int64) + _LEAST_NEAR
        # odd numbers of lines: arrays must not compete for the same places of the cache
        lines = -(-counts * _BYTES // _LINE) | 1
        needed = int(lines.sum()) * _LINE * len(parts)
        if self._near is None or needed > self._near.size:
            self._near = Reserve(_SPARE_FACTOR * needed, small=0)
        ends = np.cumsum(np.tile(lines * _LINE, len(parts))).reshape(len(parts), SHARDS) + self._near.address
        begins = ends - lines * _LINE
        for part, size, begin, end in zip(parts, sizes, begins, ends, strict=True):
            part.make_room(size, (self._near, begin.astype(np.uint64), end.astype(np.uint64)))
        return parts


def decode_lanes(
    parts: list[Part], lanes: Any, window: Window, state: Any, interfaces: Any, sensor: int
) -> None:
    """Walk and decode one stretch of a window for each part, in lock step; `lanes` say where they begin and stop."""
    places = np.concatenate([part.places for part in parts])
    tallies = np.zeros(len(parts), TALLY)
    ingest_lanes(
        window.base,
        lanes,
        window.end,
        state,
        interfaces,
        parts[0].frames,
        places,
        sensor << 48,
        tallies,
    )
    for k, part in enumerate(parts):
        part.places[0] = places[k]
        part.tally[0] = tallies[k]

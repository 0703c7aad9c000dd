"""Several captures as one stream of stretches in time order.

Captures that do not overlap in time (rotated files) are taken one after the other at full speed. Where they overlap,
their segments are merged by the latest time that their capture has reached, then by capture: the order inside each
capture stays, and the result does not depend on how the captures are cut or listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lastack.app.decoding import Decoder
from lastack.app.parts import Part, pieces_of_parts
from lastack.kernels.layout import PIECE
from lastack.kernels.sharding import SHARDS, scatter
from lastack.model.batch import SEGMENT
from lastack.tracking.memory import RAW, Reserve

_FOREVER = int(np.iinfo(np.int64).max)
_NEVER = int(np.iinfo(np.int64).min)

_NOTHING = np.empty(0, RAW), np.empty(0, np.int64)

#: Opens the capture of a rank.
Open = Callable[[int], Decoder]


class Stretch:
    """Segments that follow each other, split by shard, and the tallies of what was read for them.

    Attributes:
        parts: Newly decoded parts, for the ledger.
        lasts: The segments stay while the next stretch is decoded, if decoders keep theirs (`ahead`).
    """

    def __init__(self, parts: list[Part], merged: tuple[list[int], Any] | None = None) -> None:
        self.parts = parts
        self.lasts = merged is None
        if merged is None:
            self._pieces = pieces_of_parts(parts)
        else:
            self._pieces = np.zeros((SHARDS, 1), PIECE)
            self._pieces["address"][:, 0], self._pieces["n"][:, 0] = merged

    def pieces(self, shard: int) -> Any:
        """Return the runs of segments of a shard, an array of PIECE."""
        return self._pieces[shard]

    def runs(self, shard: int) -> list[tuple[int, int, int]]:
        """Return (address, number, packets of its capture before) of each run of segments of a shard."""
        return [(address, n, before) for address, _, n, before in self._pieces[shard].tolist() if n]


class _Head:
    """One capture: what comes next from it, and when."""

    def __init__(self, rank: int, first_ns: int | None, opener: Open) -> None:
        self.rank = rank
        self.bound = _NEVER if first_ns is None else first_ns  # nothing still to come is earlier
        self.started = False
        self._open = opener
        self._decoder: Decoder | None = None
        self._batches: Iterator[list[Part]] = iter(())
        self._latest = _NEVER
        self.segments: Any = np.empty(0, RAW)
        self.keys: Any = np.empty(0, np.int64)

    @property
    def ended(self) -> bool:
        return self.bound == _FOREVER

    def decode(self) -> list[Part]:
        """Return the next decoded stretch, none at the end of the capture."""
        if not self.started:
            self.started = True
            self._decoder = self._open(self.rank)
            self._batches = self._decoder.batches()
        parts = next(self._batches, [])
        if not parts:
            self.bound = _FOREVER
            if self._decoder is not None:
                self._decoder.capture.close()
        for part in parts:
            if part.tally["packets"][0]:
                self._latest = max(self._latest, int(part.tally["last_ns"][0]))
        if parts:
            self.bound = max(self.bound, self._latest)
        return parts

    def keep(self, parts: list[Part], before: int) -> None:
        """Let decoded segments wait, with the latest time that the capture had reached at each of them."""
        for part in parts:
            raw = np.concatenate([run.view(RAW) for shard in range(SHARDS) for run in part.segments(shard)])
            if len(raw):
                raw = raw[np.argsort(raw.view(SEGMENT)["origin"], kind="stable")]
                new = raw.view(SEGMENT)
                new["origin"] += np.uint64(part.before)
                keys = np.maximum.accumulate(np.maximum(new["ts_ns"], before))
                before = int(keys[-1])
                self.segments = np.concatenate([self.segments, raw])
                self.keys = np.concatenate([self.keys, keys])

    def take_before(self, bound: int) -> tuple[Any, Any]:
        """Remove and return the waiting segments earlier than a time, with their keys."""
        n = len(self.keys) if bound == _FOREVER else int(np.searchsorted(self.keys, bound, "left"))
        taken = self.segments[:n], self.keys[:n]
        self.segments, self.keys = self.segments[n:], self.keys[n:]
        return taken


class Stream:
    """Captures in the order of their first packets, as stretches.

    Args:
        first_ns: Time of the first packet of each capture, rising; None where it is not known.
        opener: Opens the capture of a rank.
    """

    def __init__(self, first_ns: Sequence[int | None], opener: Open) -> None:
        self._heads = [_Head(rank, time, opener) for rank, time in enumerate(first_ns)]
        self._reserves: list[Reserve] = []
        self._capacity = -1

    def __iter__(self) -> Iterator[Stretch]:
        while self._heads:
            yield from self._alone(self._heads[0])
            self._heads = [head for head in self._heads if not head.ended or len(head.keys)]

    def _alone(self, head: _Head) -> Iterator[Stretch]:
        """Take the first capture as it is, until another one begins before what was decoded ends."""
        others = self._heads[1:]
        while True:
            before = head._latest
            parts = head.decode()
            if not parts:
                return
            if any(other.bound <= head.bound for other in others):
                head.keep(parts, before)
                yield Stretch(parts, self._merge())
                yield from self._together()
                return
            yield Stretch(parts)

    def _together(self) -> Iterator[Stretch]:
        """Merge until every capture that was begun has ended."""
        while any(head.started and (len(head.keys) or not head.ended) for head in self._heads):
            slowest = min(self._heads, key=lambda head: (head.bound, head.rank))
            parts: list[Part] = []
            if not slowest.ended:
                before = slowest._latest
                parts = slowest.decode()
                slowest.keep(parts, before)
            yield Stretch(parts, self._merge())
            self._heads = [head for head in self._heads if not head.ended or len(head.keys)]

    def _merge(self) -> tuple[list[int], Any]:
        bound = min(head.bound for head in self._heads)
        # Of thousands of captures few have something waiting, and to join the empty arrays of all would cost the most.
        taken = [_NOTHING, *(head.take_before(bound) for head in self._heads if len(head.keys))]
        segments = np.ascontiguousarray(np.concatenate([segments for segments, _ in taken]))
        order = np.argsort(np.concatenate([keys for _, keys in taken]), kind="stable")
        if len(segments) > self._capacity:
            self._capacity = 2 * len(segments) + 1024
            self._reserves = [Reserve(self._capacity * SEGMENT.itemsize) for _ in range(SHARDS)]
        addresses = [reserve.address for reserve in self._reserves]
        filled = np.zeros(SHARDS, np.int64)
        if len(segments):
            scatter(
                np.uint64(segments.ctypes.data), order, len(segments), np.array(addresses, np.uint64), filled
            )
        return addresses, filled

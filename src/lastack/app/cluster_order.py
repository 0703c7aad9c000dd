"""The segments of one shard from all captures, in the order in which a single process would have tracked them.

That order is: by the latest time that the capture had reached at the segment (not earlier than its first packet), then
by capture, then by place. Where captures do not overlap, files are handed on as they lie in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.app.duplicates import Duplicates
from lastack.model.batch import SEGMENT
from lastack.store.s3 import root_of
from lastack.store.shuffle import read_segments
from lastack.tracking.memory import RAW

_NEVER = int(np.iinfo(np.int64).min)
_AT_ONCE = 1 << 18  # segments read between two merges
_CHUNK = 1 << 16  # segments of a capture that wait to be merged, so that many captures at once stay in memory


@dataclass(frozen=True, slots=True)
class Mapped:
    """A capture whose segments are in files.

    Attributes:
        parts: Folder of each piece's files, and what to add to its packet numbers.
        rank: Number of the capture in the run, its sensor number.
        first_ns: Time of its first packet, None if it is not known.
        last_ns: Latest time of its packets, None without packets.
    """

    parts: tuple[tuple[str, int], ...]
    rank: int
    first_ns: int | None
    last_ns: int | None


def in_order(
    captures: Sequence[Mapped], shard: int, duplicates: Duplicates | None = None
) -> Iterator[tuple[Any, int]]:
    """Yield arrays of SEGMENT and what to add to their origin.

    Args:
        captures: In the order of their ranks.
        shard: Which.
        duplicates: What leaves out packets that another capture had, None to keep them.
    """
    for group in _groups(captures, duplicates.window_ns if duplicates is not None else 0):
        if len(group) == 1:
            for name, before in group[0].parts:
                for segments in read_segments(root_of(name), shard):
                    yield segments, (group[0].rank << 48) + before
        else:
            for segments, times in _merged(group, shard):
                yield (segments if duplicates is None else duplicates.once(segments, times)), 0


def _groups(captures: Sequence[Mapped], margin_ns: int) -> list[list[Mapped]]:
    """Return captures that overlap in time, or nearly so, together; those whose first time is not known do with all."""
    known = [capture for capture in captures if capture.last_ns is not None]
    if any(capture.first_ns is None for capture in known):
        return [known]
    groups: list[list[Mapped]] = []
    latest = _NEVER
    for capture in sorted(known, key=lambda c: (c.first_ns or 0, c.rank)):
        first, last = capture.first_ns or 0, capture.last_ns or 0
        if groups and first - margin_ns <= latest:
            groups[-1].append(capture)
        else:
            groups.append([capture])
        latest = max(latest, last)
    return groups


class _Head:
    """What comes next of one capture."""

    def __init__(self, capture: Mapped, shard: int) -> None:
        self.rank = capture.rank
        self._latest = _first(capture)
        self._source = _chunks(capture, shard)
        self.ended = False
        self.segments: Any = np.empty(0, RAW)
        self.keys: Any = np.empty(0, np.int64)

    @property
    def bound(self) -> int:
        """Nothing still to be read has a lower key."""
        return self._latest

    def read(self) -> int:
        """Read a chunk, and return how many segments it has."""
        segments = next(self._source, None)
        if segments is None:
            self.ended = True
            return 0
        keys = np.maximum.accumulate(np.maximum(segments["ts_ns"], self._latest))
        self._latest = int(keys[-1])
        self.segments = np.concatenate([self.segments, segments.view(RAW)])
        self.keys = np.concatenate([self.keys, keys])
        return len(segments)

    def take(self, bound: int | None) -> tuple[Any, Any]:
        """Remove and return what has keys below a bound, everything without one."""
        n = len(self.keys) if bound is None else int(np.searchsorted(self.keys, bound, "left"))
        taken = self.segments[:n], self.keys[:n]
        self.segments, self.keys = self.segments[n:], self.keys[n:]
        return taken


def _first(capture: Mapped) -> int:
    return _NEVER if capture.first_ns is None else capture.first_ns


def _chunks(capture: Mapped, shard: int) -> Iterator[Any]:
    for name, before in capture.parts:
        add = np.uint64((capture.rank << 48) + before)
        for segments in read_segments(root_of(name), shard):
            for first in range(0, len(segments), _CHUNK):
                some = segments[first : first + _CHUNK].view(RAW).copy().view(SEGMENT)
                some["origin"] += add
                yield some


def _merged(group: Sequence[Mapped], shard: int) -> Iterator[tuple[Any, Any]]:
    waiting = sorted(group, key=lambda capture: (_first(capture), capture.rank))
    heads: list[_Head] = []
    while waiting or heads:
        read = 0
        while read < _AT_ONCE:
            # A capture is opened when the others have come to its first packet: of thousands, few overlap at a time.
            going = [head for head in heads if not head.ended]
            bound = min((head.bound for head in going), default=None)
            while waiting and (bound is None or _first(waiting[0]) <= bound):
                heads.append(_Head(waiting.pop(0), shard))
                going.append(heads[-1])
                bound = heads[-1].bound if bound is None else min(bound, heads[-1].bound)
            if not going:
                break
            read += min(going, key=lambda head: (head.bound, head.rank)).read()
        open_bounds = [head.bound for head in heads if not head.ended]
        open_bounds += [_first(capture) for capture in waiting[:1]]
        bound = min(open_bounds, default=None)
        heads.sort(key=lambda head: head.rank)
        taken = [head.take(bound) for head in heads if len(head.keys)]
        heads = [head for head in heads if not head.ended or len(head.keys)]
        segments = np.concatenate([np.empty(0, RAW), *(segments for segments, _ in taken)])
        if len(segments):
            keys = np.concatenate([keys for _, keys in taken])
            order = np.argsort(keys, kind="stable")
            yield segments[order].view(SEGMENT), keys[order]

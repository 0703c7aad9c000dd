"""Packets that tell sensors apart: a sample of the SYN, FIN and RST segments of a capture, the same in every capture.

Whether a flow is in the sample depends on its hash alone, so that two sensors that saw the same flow both keep it. What
they have in common tells how their clocks differ, and how much was captured twice (`app.clocks`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.model.batch import FIN, META_FROM_HI, META_ICMP, RST, SYN
from lastack.tracking.memory import RAW

#: One segment of the sample. `key` is a hash of what does not change between two sensors: all but TTL and VLAN.
SIGHTING = np.dtype(
    [
        ("rank", "u4"),  # of the flow: those with low ranks are in the sample
        ("from_hi", "u1"),
        ("tcp_flags", "u1"),
        ("seq", "u4"),
        ("ack", "u4"),
        ("ts_ns", "i8"),
        ("key", "u8"),
    ]
)
MOST = 4096  #: sightings of a capture
EVERY = 1 << 32  #: the limit of a sample that holds every flow
_SAME = ("lo0", "lo1", "hi0", "hi1", "ports", "seq", "ack", "payload", "window", "ipid", "tcp_flags")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_RANK = np.uint32(0x9E3779B1)
_SHARD_SHIFT = 29  # ranks rise with the shard


def same_key(segments: Any) -> Any:
    """Return a hash of each segment that two sensors agree on when they saw the same packet."""
    key = np.zeros(len(segments), np.uint64)
    for name in _SAME:
        key = (key ^ segments[name].astype(np.uint64)) * _MIX
        key ^= key >> np.uint64(29)
    return (key ^ (segments["meta"] & META_FROM_HI).astype(np.uint64)) * _MIX


class Sightings:
    """The sample of one capture as it is read.

    Attributes:
        limit: Flows with ranks below are in the sample.
        first_ns: Earliest time of the packets that were read, 0 before there are any.
        last_ns: Latest time.
    """

    def __init__(self) -> None:
        self.limit = EVERY
        self.first_ns = self.last_ns = 0
        self._kept: list[Any] = []
        self._count = 0

    def cover(self, first_ns: int, last_ns: int) -> None:
        """Take note of the time that some packets span."""
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)

    def add(self, shard: int, segments: Any) -> None:
        """Take note of an array of SEGMENT, all of one shard."""
        if shard << _SHARD_SHIFT >= self.limit:
            return  # a large capture has enough in its first shards, and the others cost nothing
        wanted = (segments["tcp_flags"] & (SYN | FIN | RST)) != 0
        some = segments.view(RAW)[wanted].view(segments.dtype)
        some = some[(some["meta"] & META_ICMP) == 0]
        ranks = (some["hash"] * _RANK >> np.uint32(32 - _SHARD_SHIFT)) + np.uint32(shard << _SHARD_SHIFT)
        if self.limit < EVERY:
            low = ranks < self.limit
            some, ranks = some[low], ranks[low]
        if not len(some):
            return
        seen = np.empty(len(some), SIGHTING)
        for name in ("tcp_flags", "seq", "ack", "ts_ns"):
            seen[name] = some[name]
        seen["rank"], seen["key"], seen["from_hi"] = ranks, same_key(some), some["meta"] & META_FROM_HI
        self._kept.append(seen)
        self._count += len(seen)
        if self._count > 2 * MOST:
            self._trim()

    @property
    def array(self) -> Any:
        """The sample, at most `MOST` of them."""
        if self._count > MOST:
            self._trim()
        return np.concatenate([np.empty(0, SIGHTING), *self._kept])

    def _trim(self) -> None:
        whole = np.concatenate(self._kept)
        self.limit = int(np.partition(whole["rank"], MOST)[MOST])
        self._kept = [whole[whole["rank"] < self.limit]]
        self._count = len(self._kept[0])


def joined(samples: list[tuple[Any, int]]) -> tuple[Any, int]:
    """Return the samples of pieces or rotated files, each with its limit, as one with its limit."""
    limit = min((limit for _, limit in samples), default=EVERY)
    parts = [sample[sample["rank"] < limit] for sample, _ in samples]
    return np.concatenate([np.empty(0, SIGHTING), *parts]), limit

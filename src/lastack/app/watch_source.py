"""Where a watch gets its segments: an interface's ring, or a capture on standard input."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from lastack.app.decoding import Decoder
from lastack.app.parts import Part, pieces_of_parts
from lastack.capture.live import LiveCapture
from lastack.capture.source import Capture, open_capture
from lastack.kernels.decode import decode_many
from lastack.kernels.ingest import MAX_LINK, TALLY
from lastack.kernels.sharding import SHARDS, scatter
from lastack.model.batch import META_ICMP, SEGMENT
from lastack.tracking.jobs import in_turn
from lastack.tracking.memory import Reserve
from lastack.tracking.shard import pieces_of

AT_ONCE = 1 << 15  #: packets taken from a ring together

#: Segments of a shard: address, number, packets that came before.


class Source(Protocol):
    """Packets as they come."""

    name: str
    ended: bool

    @property
    def drops(self) -> int:
        """Packets lost before they could be read."""

    @property
    def up(self) -> bool:
        """Whether packets can come."""

    def take(self, timeout_s: float) -> list[Any]:
        """Wait for packets, decode them, and return TALLY records of them; none when nothing came.

        What they hold is given by `pieces` until the next call.
        """

    def pieces(self, shard: int) -> Any:
        """Return what was taken of one shard, an array of PIECE."""

    def refresh(self) -> int:
        """Look after counters and the interface; return packets lost since the last time."""

    def close(self) -> None:
        """Close the interface or the pipe."""


class RingSource:
    """Packets of an interface.

    Args:
        capture: The open capture.
    """

    def __init__(self, capture: LiveCapture) -> None:
        self.name = capture.name
        self.ended = False
        self._capture = capture
        self._packets = 0
        self._before = 0
        self._previous_ns: int | None = None
        self._segments = np.zeros(AT_ONCE, SEGMENT)
        self._order = np.arange(AT_ONCE, dtype=np.int64)
        self._reserves = [Reserve(AT_ONCE * SEGMENT.itemsize) for _ in range(SHARDS)]
        self._addresses = np.array([reserve.address for reserve in self._reserves], np.uint64)
        self._filled = np.zeros(SHARDS, np.int64)

    @property
    def drops(self) -> int:
        """Packets that the kernel dropped."""
        return self._capture.drops

    @property
    def up(self) -> bool:
        """Whether the interface is up."""
        return self._capture.up

    def take(self, timeout_s: float) -> list[Any]:
        """Return what came, as one TALLY."""
        self._filled[:] = 0
        if self._capture.fileno() < 0:
            select.select([], [], [], timeout_s)
            return []
        frames = self._capture.frames(AT_ONCE)
        if not len(frames):
            self._capture.release()
            if not self._capture.wait(timeout_s):
                return []
            frames = self._capture.frames(AT_ONCE)
        tally = self._decode(frames) if len(frames) else None
        self._capture.release()
        return [] if tally is None else [tally]

    def _decode(self, frames: Any) -> Any:
        count = len(frames)
        self._segments["meta"] = 0
        counts = np.zeros(16, np.int64)
        made = int(decode_many(self._capture.address, frames, self._segments, counts))
        scatter(
            np.uint64(self._segments.ctypes.data), self._order[:made], made, self._addresses, self._filled
        )
        self._before, self._packets = self._packets, self._packets + count
        tally = np.zeros(1, TALLY)
        record = tally[0]
        times = frames["ts_ns"]
        record["packets"] = count
        record["drops"] = counts
        segments = self._segments[:made]
        whole = segments["encap"][(segments["meta"] & META_ICMP) == 0]
        record["encaps"] = np.bincount(whole, minlength=16)[:16]
        record["links"][min(self._capture.link, MAX_LINK - 1)] = count
        record["first_ns"], record["last_ns"] = times.min(), times.max()
        late = int((times[1:] < times[:-1]).sum())
        if self._previous_ns is not None and int(times[0]) < self._previous_ns:
            late += 1
        record["backwards"] = late
        record["head_ns"], record["previous_ns"] = times[0], times[-1]
        self._previous_ns = int(times[-1])
        return record

    def pieces(self, shard: int) -> Any:
        """Return the segments of one shard."""
        return pieces_of([(int(self._addresses[shard]), int(self._filled[shard]), self._before)])

    def refresh(self) -> int:
        """Return packets that the kernel dropped since the last time."""
        return self._capture.refresh()

    def close(self) -> None:
        """Close the capture."""
        self._capture.close()


class PipeSource:
    """A capture that is written into standard input while it is read."""

    def __init__(self) -> None:
        self.name = "stdin"
        self.ended = False
        self.drops = 0
        self.up = True
        self._capture: Capture | None = None
        self._batches: Iterator[list[Part]] = iter(())
        self._parts: list[Part] = []
        self._told = 0

    @property
    def problems(self) -> list[str]:
        """Flaws of the capture."""
        return [str(problem) for problem in self._capture.problems] if self._capture is not None else []

    def take(self, timeout_s: float) -> list[Any]:
        """Return what came, as TALLYs."""
        self._parts = []
        if not self._ready(timeout_s):
            return []
        if self._capture is None:
            self._capture = open_capture("-")
            self._batches = Decoder(self._capture, 0, 1, in_turn, 8 << 20).batches()
        parts = next(self._batches, None)
        if parts is None:
            self.ended = True
            return []
        self._parts = parts
        return [part.tally[0] for part in parts]

    def _ready(self, timeout_s: float) -> bool:
        try:
            return bool(select.select([sys.stdin.fileno()], [], [], timeout_s)[0])
        except (OSError, ValueError):
            return True

    def pieces(self, shard: int) -> Any:
        """Return the segments of one shard."""
        return pieces_of_parts(self._parts)[shard]

    def refresh(self) -> int:
        """Return 0: what fed the pipe knows what it dropped, and does not say."""
        return 0

    def orphans(self) -> int:
        """Return packets of interfaces that the capture does not describe, found since the last time."""
        if self._capture is None:
            return 0
        now = int(self._capture.state["orphans"][0])
        new, self._told = now - self._told, now
        return new

    def close(self) -> None:
        """Close the capture."""
        if self._capture is not None:
            self._capture.close()

"""Decoding a capture window by window, in parts that several threads take at the same time.

Parts begin at guessed record starts; a part counts only if the one before it ended exactly there, so the result is
that of one walk from the first byte to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lastack.app.parts import Lanes, Part, PartSet, pieces_of_parts
from lastack.app.sightings import Sightings
from lastack.capture.source import Capture
from lastack.capture.window import Window
from lastack.kernels.sharding import SHARDS
from lastack.kernels.walk_lanes import LANE
from lastack.kernels.walk_state import WALK_END
from lastack.tracking.jobs import Run
from lastack.tracking.memory import Reserve

_FIRST_WINDOW = 4 << 20
_LEAST_WINDOW, _MOST_WINDOW = 1 << 20, 320 << 20
_PACKETS_PER_WINDOW = 1 << 19  # many, so that the part of the table that a shard needs stays in the cache
_WORTH_SPLITTING = 512 << 10
_LANES = 8
# Bytes of an average record: with smaller ones the processor sees the next record coming. Lanes cost a quarter more
# with headers only, one walk three times as much with full-size packets, and what comes may be larger than what came.
_WORTH_LANES = 160
_LANE_BYTES = 128 << 10  # a lane's least stretch


class Decoder:
    """One capture on its way to segments.

    Args:
        capture: The open capture.
        sensor: Its number among the captures of the run.
        parts: How many parts of a window to decode at the same time.
        run: What runs functions at the same time.
        window_bytes: Bytes taken at a time, None to aim at a number of packets.
        held: Memory for segments that an earlier capture had; None for new memory.
        clock_ns: Taken off all times.
        sightings: Told of all segments, None if nobody wants to compare sensors.
        ahead: Keep the segments of a stretch while the next one is decoded, in memory of its own.
    """

    def __init__(
        self,
        capture: Capture,
        sensor: int,
        parts: int,
        run: Run,
        window_bytes: int | None = None,
        held: PartSet | None = None,
        clock_ns: int = 0,
        sightings: Sightings | None = None,
        ahead: bool = False,
    ) -> None:
        self.capture = capture
        self.sensor = sensor
        self._run = run
        self._fixed = window_bytes
        self._clock_ns = clock_ns
        self._sightings = sightings
        self._threads = parts
        self._set = held if held is not None else PartSet()
        self._other_set = PartSet() if ahead else self._set
        self._record_bytes = 0
        self._per_byte: Any = np.zeros(SHARDS)  # segments of each shard in a byte of the capture
        self._latest_ns: int | None = None  # time of the packet before the next part

    def batches(self) -> Iterator[list[Part]]:
        """Yield the parts of one stretch after another, in order; each list is valid until the next (or one more)."""
        for window in self._windows():
            while window.position < window.end:
                start = window.position
                parts = self._decode_lanes(window) or self._decode(window)
                counts = pieces_of_parts(parts)["n"].sum(axis=1)
                if self._clock_ns or self._sightings is not None:
                    for part in parts:
                        self._look(part)
                yield parts
                self._set, self._other_set = self._other_set, self._set
                more = self.capture.settle(window)
                if window.position > start:
                    self._per_byte = counts / (window.position - start)
                if not more:
                    break

    def leave_memory(self) -> list[Reserve]:
        """Return the memory that segments had, for other use; nobody may need them any more."""
        return self._set.leave_memory() + self._other_set.leave_memory()

    def _look(self, part: Part) -> None:
        for shard in range(SHARDS):
            for segments in part.segments(shard):
                if self._clock_ns:
                    segments["ts_ns"] -= self._clock_ns
                if self._sightings is not None:
                    self._sightings.add(shard, segments)
        if not part.tally["packets"][0]:
            return
        for name in ("first_ns", "last_ns", "head_ns", "previous_ns"):
            part.tally[name] -= self._clock_ns
        if self._sightings is not None:
            self._sightings.cover(int(part.tally["first_ns"][0]), int(part.tally["last_ns"][0]))

    def _windows(self) -> Iterator[Window]:
        target = self._fixed or _FIRST_WINDOW
        source = self.capture.windows(target)
        try:
            window = next(source)
            while True:
                start, before = window.position, self.capture.packets
                yield window
                walked, packets = window.position - start, self.capture.packets - before
                if packets:
                    self._record_bytes = walked // packets
                if packets and self._fixed is None:
                    target = min(max(_PACKETS_PER_WINDOW * walked // packets, _LEAST_WINDOW), _MOST_WINDOW)
                window = source.send(target)
        except StopIteration:
            return

    def _decode_lanes(self, window: Window) -> list[Part]:
        """Decode a window in lock step; nothing is taken, and nothing returned, if that is not worth it or fails."""
        size = window.end - window.position
        wanted = min(self._threads * _LANES, size // _LANE_BYTES)
        if self._record_bytes < _WORTH_LANES or wanted < _LANES:
            return []
        starts = self.capture.cuts(window, wanted)
        lanes = np.zeros(len(starts), LANE)
        lanes["position"], lanes["stop"] = starts, [*starts[1:], window.end]
        sizes = (lanes["stop"] - lanes["position"]).tolist()
        some = self._set.room_for(sizes, self._per_byte)
        parts = some.parts
        groups = -(-len(starts) // _LANES)
        states = self.capture.split(groups)
        jobs = []
        for group in range(groups):
            few = slice(group * _LANES, (group + 1) * _LANES)
            arguments = window, states[group], self.capture.table, self.sensor
            jobs.append(_DecodeLanes(self.capture, some[few], lanes[few], *arguments))
        self._run(list(jobs))
        if not ((lanes["status"] == WALK_END).all() and (lanes["position"][:-1] == lanes["stop"][:-1]).all()):
            return []
        before = self.capture.packets
        for part in parts:
            part.before = before
            before += int(part.tally["packets"][0])
        self._join_times(parts)
        states[-1]["next"], states[-1]["status"] = lanes["position"][-1], lanes["status"][-1]
        self.capture.join(states)
        return parts

    def _decode(self, window: Window) -> list[Part]:
        size = window.end - window.position
        wanted = min(self._threads, 1 + size // _WORTH_SPLITTING)
        starts = self.capture.cuts(window, wanted) if wanted > 1 else [window.position]
        ends = [*starts[1:], window.end]
        sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        parts = self._set.room_for(sizes, self._per_byte).parts
        states = self.capture.split(len(starts))
        interfaces = self.capture.table
        jobs = []
        for part, start, end, state in zip(parts, starts, ends, states, strict=True):
            jobs.append(_Decode(self.capture, part, window, start, end, state, interfaces, self.sensor))
        self._run(list(jobs))
        good = 1
        while good < len(parts):
            state = states[good - 1]
            if state["status"] != WALK_END or state["next"] != starts[good]:
                break
            good += 1
        before = self.capture.packets
        for part, state in zip(parts[:good], states[:good], strict=True):
            part.before = before
            before += int(state["packets"])
        self.capture.join(states[:good])
        self._join_times(parts[:good])
        return parts[:good]

    def _join_times(self, parts: list[Part]) -> None:
        """Count the first packet of a part as earlier than the one before where it is: parts cannot know."""
        for part in parts:
            tally = part.tally[0]
            if tally["packets"]:
                if self._latest_ns is not None and tally["head_ns"] < self._latest_ns:
                    part.tally["backwards"] += 1
                self._latest_ns = int(tally["previous_ns"])


class _Decode:
    """One part to decode: a function without arguments."""

    def __init__(self, capture: Capture, part: Part, *arguments: Any) -> None:
        self._capture = capture
        self._part = part
        self._arguments = arguments

    def __call__(self) -> None:
        self._part.decode(*self._arguments)
        _window, start, _end, state, *_ = self._arguments
        self._capture.drop(start, int(state["next"]))


class _DecodeLanes:
    """Neighbouring parts to decode in lock step: a function without arguments."""

    def __init__(self, capture: Capture, parts: Lanes, lanes: Any, *arguments: Any) -> None:
        self._capture = capture
        self._parts = parts
        self._lanes = lanes
        self._arguments = arguments

    def __call__(self) -> None:
        start = int(self._lanes["position"][0])
        self._parts.decode(self._lanes, *self._arguments)
        self._capture.drop(start, int(self._lanes["position"][-1]))

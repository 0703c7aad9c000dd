"""Decoding a capture window by window, in parts that several threads take at the same time.

Parts begin at guessed record starts; a part counts only if the one before it ended exactly there, so the result is
that of one walk from the first byte to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lastack.app.sightings import Sightings
from lastack.capture.source import Capture
from lastack.capture.window import Window
from lastack.kernels.ingest import TALLY, ingest, ingest_lanes
from lastack.kernels.sharding import PLACES, SHARDS
from lastack.kernels.walk_lanes import LANE
from lastack.kernels.walk_state import WALK_END
from lastack.model.batch import FRAME, SEGMENT
from lastack.tracking.memory import Reserve
from lastack.tracking.tracker import Run

_LEAST_RECORD = 48  # bytes of the smallest record that can hold a TCP segment
_SLACK = 2048  # segments
_FIRST_WINDOW = 4 << 20
_LEAST_WINDOW, _MOST_WINDOW = 1 << 20, 320 << 20
_PACKETS_PER_WINDOW = 1 << 19  # many, so that the part of the table that a shard needs stays in the cache
_WORTH_HUGE = 16 << 20  # bytes of a stretch whose segments take large pages
_WORTH_SPLITTING = 512 << 10
_LANES = 8
# Bytes of an average record: with smaller ones the processor sees the next record coming. Lanes cost a quarter more
# with headers only, one walk three times as much with full-size packets, and what comes may be larger than what came.
_WORTH_LANES = 160
_LANE_BYTES = 128 << 10  # a lane's least stretch


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
        self._spare = np.zeros(1, SEGMENT)
        self.places: Any = np.zeros(1, PLACES)
        self.places["spare"] = self._spare.ctypes.data
        self.frames = np.zeros(1, FRAME)
        self.tally: Any = np.zeros(1, TALLY)
        self.before = 0

    def make_room(self, size: int) -> None:
        """Hold what a stretch of so many bytes can contain."""
        capacity = size // _LEAST_RECORD + _SLACK
        if capacity > self._capacity:
            # Twice that and more: windows grow, and new memory for each larger one would be touched anew.
            self._capacity = 2 << (capacity - 1).bit_length()
            self._reserves = [Reserve(self._capacity * SEGMENT.itemsize) for _ in range(SHARDS)]
            if self._huge and size >= _WORTH_HUGE:
                for reserve in self._reserves:
                    reserve.use_huge_pages()
        starts = np.array([reserve.address for reserve in self._reserves], np.uint64)
        self.places["next"] = starts
        self.places["end"] = starts + np.uint64(self._capacity * SEGMENT.itemsize)
        self.tally[:] = 0

    @property
    def filled(self) -> list[int]:
        """Segments of each shard."""
        ends = self.places["next"][0].tolist()
        return [
            (end - reserve.address) // SEGMENT.itemsize
            for end, reserve in zip(ends, self._reserves, strict=True)
        ]

    def address(self, shard: int) -> int:
        """Return the address of a shard's segments."""
        return self._reserves[shard].address

    def segments(self, shard: int) -> Any:
        """Return the segments of a shard as an array, valid until the next stretch."""
        size = self.filled[shard] * SEGMENT.itemsize
        return self._reserves[shard].array(np.uint8, size).view(SEGMENT)

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


class Decoder:
    """One capture on its way to segments.

    Args:
        capture: The open capture.
        sensor: Its number among the captures of the run.
        parts: How many parts of a window to decode at the same time.
        run: What runs functions at the same time.
        window_bytes: Bytes taken at a time, None to aim at a number of packets.
        held: Parts of an earlier capture, whose memory is used again; None for new memory.
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
        held: list[Part] | None = None,
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
        self._parts = held if held is not None else []
        self._parts.extend(Part(huge=True) for _ in range(parts - len(self._parts)))
        self._other_parts = [Part(huge=True) for _ in range(parts)] if ahead else self._parts
        self._record_bytes = 0
        self._latest_ns: int | None = None  # time of the packet before the next part

    def batches(self) -> Iterator[list[Part]]:
        """Yield the parts of one stretch after another, in order; each list is valid until the next (or one more)."""
        for window in self._windows():
            while window.position < window.end:
                parts = self._decode_lanes(window) or self._decode(window)
                if self._clock_ns or self._sightings is not None:
                    for part in parts:
                        self._look(part)
                yield parts
                self._parts, self._other_parts = self._other_parts, self._parts
                if not self.capture.settle(window):
                    break

    def _look(self, part: Part) -> None:
        for shard in range(SHARDS):
            segments = part.segments(shard)
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
        while len(self._parts) < len(starts):
            self._parts.append(Part())
        parts = self._parts[: len(starts)]
        for part, lane in zip(parts, lanes, strict=True):
            part.make_room(int(lane["stop"] - lane["position"]))
        groups = -(-len(starts) // _LANES)
        states = self.capture.split(groups)
        jobs = []
        for group in range(groups):
            some = slice(group * _LANES, (group + 1) * _LANES)
            jobs.append(
                _DecodeLanes(
                    self.capture,
                    parts[some],
                    lanes[some],
                    window,
                    states[group],
                    self.capture.table,
                    self.sensor,
                )
            )
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
        parts = self._parts[: len(starts)]
        states = self.capture.split(len(starts))
        interfaces = self.capture.table
        jobs = []
        for part, start, end, state in zip(parts, starts, ends, states, strict=True):
            part.make_room(end - start)
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

    def __init__(self, capture: Capture, parts: list[Part], lanes: Any, *arguments: Any) -> None:
        self._capture = capture
        self._parts = parts
        self._lanes = lanes
        self._arguments = arguments

    def __call__(self) -> None:
        start = int(self._lanes["position"][0])
        decode_lanes(self._parts, self._lanes, *self._arguments)
        self._capture.drop(start, int(self._lanes["position"][-1]))

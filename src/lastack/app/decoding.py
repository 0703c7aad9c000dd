"""Decoding a capture window by window, in parts that several threads take at the same time.

Parts begin at guessed record starts; a part counts only if the one before it ended exactly there, so the result is
that of one walk from the first byte to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from lastack.capture.source import Capture
from lastack.capture.window import Window
from lastack.kernels.ingest import BLOCK, SHARDS, TALLY, ingest
from lastack.kernels.walk_state import WALK_END
from lastack.model.batch import FRAME, SEGMENT
from lastack.tracking.memory import Reserve

_LEAST_RECORD = 48  # bytes of the smallest record that can hold a TCP segment
_FIRST_WINDOW = 4 << 20
_LEAST_WINDOW, _MOST_WINDOW = 1 << 20, 64 << 20
_PACKETS_PER_WINDOW = 1 << 17
_WORTH_SPLITTING = 512 << 10

Run = Callable[[list[Callable[[], Any]]], list[Any]]


def runner(executor: Executor | None) -> Run:
    """Return a function that runs functions, at the same time with an executor, and returns their results in order."""
    if executor is None:
        return lambda jobs: [job() for job in jobs]

    def run(jobs: list[Callable[[], Any]]) -> list[Any]:
        futures = [executor.submit(job) for job in jobs[1:]]
        results = [jobs[0]()] if jobs else []
        return results + [future.result() for future in futures]

    return run


class Part:
    """Segments of one part of a window, an array for each shard.

    Attributes:
        filled: Segments of each shard.
        tally: What was counted, a TALLY array of one.
        before: Packets of the capture before this part.
    """

    def __init__(self) -> None:
        self._capacity = 0
        self._reserves: list[Reserve] = []
        self._addresses = np.zeros(SHARDS + 1, np.uint64)
        self._scratch = np.zeros(1, SEGMENT)
        self._frames = np.zeros(BLOCK, FRAME)
        self.filled = np.zeros(SHARDS, np.int64)
        self.tally: Any = np.zeros(1, TALLY)
        self.before = 0

    def make_room(self, size: int) -> None:
        """Hold what a stretch of so many bytes can contain."""
        capacity = size // _LEAST_RECORD + 2 * BLOCK
        if capacity > self._capacity:
            self._reserves = [Reserve(capacity * SEGMENT.itemsize) for _ in range(SHARDS)]
            self._addresses[:-1] = [r.address for r in self._reserves]
            self._addresses[-1] = self._scratch.ctypes.data
            self._capacity = capacity
        self.filled[:] = 0
        self.tally[:] = 0

    def address(self, shard: int) -> int:
        """Return the address of a shard's segments."""
        return int(self._addresses[shard])

    def segments(self, shard: int) -> Any:
        """Return the segments of a shard as an array, valid until the next stretch."""
        size = int(self.filled[shard]) * SEGMENT.itemsize
        return self._reserves[shard].array(np.uint8, size).view(SEGMENT)

    def decode(self, window: Window, start: int, end: int, state: Any, interfaces: Any, sensor: int) -> None:
        """Walk and decode [start, end) of a window."""
        ingest(
            window.base,
            start,
            end,
            state,
            interfaces,
            self._frames,
            self._addresses,
            self.filled,
            self._capacity,
            sensor << 48,
            self.tally[0],
        )


class Decoder:
    """One capture on its way to segments.

    Args:
        capture: The open capture.
        sensor: Its number among the captures of the run.
        parts: How many parts of a window to decode at the same time.
        run: What runs functions at the same time.
        window_bytes: Bytes taken at a time, None to aim at a number of packets.
    """

    def __init__(
        self, capture: Capture, sensor: int, parts: int, run: Run, window_bytes: int | None = None
    ) -> None:
        self.capture = capture
        self.sensor = sensor
        self._run = run
        self._fixed = window_bytes
        self._parts = [Part() for _ in range(parts)]

    def batches(self) -> Iterator[list[Part]]:
        """Yield the parts of one stretch after another, in order; each list is valid until the next."""
        for window in self._windows():
            while window.position < window.end:
                yield self._decode(window)
                if not self.capture.settle(window):
                    break

    def _windows(self) -> Iterator[Window]:
        target = self._fixed or _FIRST_WINDOW
        source = self.capture.windows(target)
        try:
            window = next(source)
            while True:
                start, before = window.position, self.capture.packets
                yield window
                walked, packets = window.position - start, self.capture.packets - before
                if packets and self._fixed is None:
                    target = min(max(_PACKETS_PER_WINDOW * walked // packets, _LEAST_WINDOW), _MOST_WINDOW)
                window = source.send(target)
        except StopIteration:
            return

    def _decode(self, window: Window) -> list[Part]:
        size = window.end - window.position
        wanted = min(len(self._parts), 1 + size // _WORTH_SPLITTING)
        starts = self.capture.cuts(window, wanted) if wanted > 1 else [window.position]
        ends = [*starts[1:], window.end]
        parts = self._parts[: len(starts)]
        states = self.capture.split(len(starts))
        interfaces = self.capture.table
        jobs = []
        for part, start, end, state in zip(parts, starts, ends, states, strict=True):
            part.make_room(end - start)
            jobs.append(_Decode(part, window, start, end, state, interfaces, self.sensor))
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
        return parts[:good]


class _Decode:
    """One part to decode: a function without arguments."""

    def __init__(self, part: Part, *arguments: Any) -> None:
        self._part = part
        self._arguments = arguments

    def __call__(self) -> None:
        self._part.decode(*self._arguments)

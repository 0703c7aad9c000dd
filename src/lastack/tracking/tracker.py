"""Follows TCP sessions: feed segments by shard, take rows. No input, no threads, no clock.

Shards do not know of each other, so their `feed` may run at the same time; everything else is for one caller.
Rows come out sorted by (start time, first packet). While the table has room they all come from `flush`; when it is
full, ended sessions leave first, then a sixteenth of the rest is evicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.kernels.layout import NO_LIMIT_NS
from lastack.kernels.sharding import SHARDS
from lastack.tracking.attempt import Attempts
from lastack.tracking.attempts import attempts, both_ways, half_open
from lastack.tracking.jobs import Run
from lastack.tracking.memory import Reserve
from lastack.tracking.merge import merged, stretches
from lastack.tracking.rows import RowBuffer, RowMemory
from lastack.tracking.shard import MOST_WAITING, Shard

ROWS_PER_BATCH = 1 << 16
_WORTH_SHARING = 1 << 15  # rows: a batch takes some milliseconds of Python, whatever its size

_LEAST_LIMIT = 64  # sessions of one shard


@dataclass(frozen=True, slots=True)
class Left:
    """Rows of sessions that left before the end of the input.

    Attributes:
        batch: The rows.
        sizes: How many left at a time, in order.
    """

    batch: Any
    sizes: Sequence[int]

    def parts(self) -> Iterator[Any]:
        """Yield a record batch for each time that some left."""
        first = 0
        for size in self.sizes:
            yield self.batch.slice(first, size) if size < self.batch.num_rows else self.batch
            first += size


def _packed(groups: Sequence[tuple[Any, bool]], most: int) -> Iterator[list[tuple[Any, bool]]]:
    """Yield groups of sessions together that are at most so many; larger ones are cut."""
    some: list[tuple[Any, bool]] = []
    room = most
    for indices, evicted in groups:
        for first in range(0, len(indices), most):
            part = indices[first : first + most]
            if len(part) > room:
                yield some
                some, room = [], most
            some.append((part, evicted))
            room -= len(part)
    if some:
        yield some


def _batch_size(rows: int) -> int:
    """Return how many of some rows a batch takes: two threads shall have as many, and batches be few."""
    batches = max(round(rows / ROWS_PER_BATCH), 2 if rows >= _WORTH_SHARING else 1)
    return -(-rows // batches)


class Tracker:
    """The flow table.

    Args:
        max_sessions: Most sessions held at a time, over all shards; each shard holds an equal share.
        idle_timeout_ns: Sessions that are silent for longer end; None means never.
    """

    def __init__(self, max_sessions: int, idle_timeout_ns: int | None = None) -> None:
        limit = max(-(-max_sessions // SHARDS), _LEAST_LIMIT)
        idle_ns = NO_LIMIT_NS if idle_timeout_ns is None else idle_timeout_ns
        self.shards = [Shard(limit, idle_ns) for _ in range(SHARDS)]
        self._addresses = np.array([shard.address for shard in self.shards], np.uint64)
        self.sensors: list[str] = []
        self._memory = RowMemory(ROWS_PER_BATCH)

    def feed(self, shard: int, pieces: Any) -> list[Left]:
        """Account for segments of one shard; return the rows of sessions that had to leave.

        Args:
            shard: Number of the shard.
            pieces: Array of PIECE, in order: SEGMENTs that all belong to it (`lastack.tracking.shard.pieces_of`).
        """
        table = self.shards[shard]
        rows: list[Left] = []
        place = table.feed(pieces)
        while place < len(pieces):
            evicting = not len(table.finished())
            if evicting:
                table.evict()
            table.wait(evicted=evicting)
            # A small table loses a handful at a time: a batch for each of these took a hundred times as long.
            if table.waiting >= MOST_WAITING:
                rows.extend(self._drain(table))
            place = table.feed(pieces, place)
        if table.waiting and len(table.finished()):
            table.wait(evicted=False)  # what ended since then is forgotten with the others
        rows.extend(self._drain(table))
        return rows

    def _drain(self, table: Shard) -> Iterator[Left]:
        """Yield the rows of the sessions that wait, and forget them."""
        owner = self.shards.index(table)
        for some in _packed(table.left(), ROWS_PER_BATCH):
            indices = np.concatenate([part for part, _ in some])
            sizes = [len(part) for part, _ in some]
            evicted = np.repeat(np.array([gone for _, gone in some], np.uint8), sizes)
            buffer = RowBuffer(len(indices), self._memory)
            buffer.write(self._addresses, np.full(len(indices), owner, np.uint8), indices, evicted)
            yield Left(buffer.batch(self.sensors), sizes)
        if table.waiting:
            table.free_finished()

    def drain(self) -> Iterator[Any]:
        """Yield record batches of the sessions that have ended so far, shard by shard, and forget them."""
        for table in self.shards:
            if len(table.finished()):
                table.wait(evicted=False)
                for left in self._drain(table):
                    yield from left.parts()

    def flush(self, run: Run) -> Iterator[Callable[[], Any]]:
        """End every session; yield functions that each make one record batch of rows, in order.

        The functions may run at the same time; the tracker must not be fed any more.

        Args:
            run: Runs functions, at the same time if it can, and returns their results in order.
        """
        runs = run([shard.in_order for shard in self.shards])
        for part in stretches(
            runs, _batch_size(sum(int(part["stop"][0] - part["head"][0]) for part in runs))
        ):
            yield _Rows(self, part)

    def use(self, memory: Iterable[Reserve]) -> None:
        """Write rows to memory that had another use before: new memory would be zeroed by the system."""
        for some in memory:
            self._memory.give(some)

    def rows(self, owners: Any, indices: Any) -> Any:
        """Return the record batch of some sessions, given their shards and record indices."""
        buffer = RowBuffer(len(owners), self._memory)
        buffer.write(self._addresses, owners, indices)
        return buffer.batch(self.sensors)

    def both_ways(self) -> bool:
        """Return whether any session held has packets of both ends."""
        return both_ways(shard.records() for shard in self.shards)

    def tables(self) -> list[Any]:
        """Return the SESSION records of each shard."""
        return [shard.records() for shard in self.shards]

    def half_open(self) -> Attempts:
        """Return the attempts held that were answered by a SYN-ACK and never completed or reset."""
        return half_open(shard.records() for shard in self.shards)

    def attempts(self) -> Attempts:
        """Return every attempt held to open a session."""
        return attempts(shard.records() for shard in self.shards)

    @property
    def live(self) -> int:
        """Sessions held."""
        return sum(shard.live for shard in self.shards)

    @property
    def evicted(self) -> int:
        """Sessions that left because the table was full."""
        return sum(shard.evicted for shard in self.shards)

    def lost(self) -> dict[str, int]:
        """Return how many entries of gap profiles and hole lists did not fit."""
        total: dict[str, int] = {}
        for shard in self.shards:
            for name, count in shard.lost().items():
                total[name] = total.get(name, 0) + count
        return total


class _Rows:
    """One record batch to be made: some sessions in order."""

    def __init__(self, tracker: Tracker, part: Any) -> None:
        self._tracker = tracker
        self._part = part

    def __call__(self) -> Any:
        return self._tracker.rows(*merged(self._part))

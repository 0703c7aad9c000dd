"""The judged rows of all shards as one sequence, in the batches that a single process would have written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.app.cluster_reduce import EARLY, ROWS, read_batches
from lastack.model.arrow import session_schema
from lastack.store.s3 import S3Folder, root_of
from lastack.tracking.merge import merged, run_of_columns, stretches
from lastack.tracking.tracker import ROWS_PER_BATCH


def rows_in_order(judged: Sequence[str]) -> Iterator[Any]:
    """Yield record batches: rows that left early shard by shard, then all others by (start time, first packet).

    Args:
        judged: Folders of the results of `judge_shard`, by shard.
    """
    with tempfile.TemporaryDirectory(prefix="lastack-") as temporary:
        yield from _in_order([_at_hand(name, Path(temporary)) for name in judged])


def _at_hand(name: str, temporary: Path) -> Path:
    """Return the folder of a result, which is read twice and out of step with others: copied here if it is far."""
    folder = root_of(name)
    return folder.download(temporary / folder.name) if isinstance(folder, S3Folder) else folder


def _in_order(judged: Sequence[Path]) -> Iterator[Any]:
    for place in judged:
        yield from read_batches(place / EARLY)
    paths = [place / ROWS for place in judged]
    runs = [_order_of(path) for path in paths]
    streams = [_Stream(path) for path in paths]
    for part in stretches([run_of_columns(*run) for run in runs], ROWS_PER_BATCH):
        some, _ = merged(part)
        counts = np.bincount(some, minlength=len(streams))
        taken = [part for stream, n in zip(streams, counts, strict=True) for part in stream.take(int(n))]
        # Rows of a shard keep their order, so that sorting by shard says where each of them was put.
        order = np.empty(len(some), np.int64)
        order[np.argsort(some, kind="stable")] = np.arange(len(some))
        table = pa.Table.from_batches(taken, session_schema()).unify_dictionaries()
        yield from table.take(pa.array(order)).combine_chunks().to_batches()


def _order_of(path: Path) -> tuple[Any, Any]:
    """Return start time and origin of each row."""
    starts, origins = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in read_batches(path):
        sensors = np.asarray(batch.column("sensor").indices).astype(np.int64)
        starts.append(batch.column("start_ns").to_numpy())
        origins.append(sensors << 48 | batch.column("first_packet").to_numpy().astype(np.int64))
    return np.concatenate(starts), np.concatenate(origins)


class _Stream:
    """Rows of one shard, a number at a time."""

    def __init__(self, path: Path) -> None:
        self._batches = read_batches(path)
        self._rest: Any = None

    def take(self, n: int) -> Iterator[Any]:
        while n:
            if self._rest is None or not self._rest.num_rows:
                self._rest = next(self._batches)
            part = self._rest.slice(0, n)
            self._rest = self._rest.slice(part.num_rows)
            n -= part.num_rows
            yield part

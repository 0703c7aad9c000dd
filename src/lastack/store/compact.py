"""Merges small neighbouring segments, so that a dataset that is written for days stays a handful of files.

Each row is rewritten a few times at most: only segments of about one size are merged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lastack.model.arrow import session_schema
from lastack.store.conform import conform
from lastack.store.manifest import Segment
from lastack.store.writer import SEGMENT_ROWS

FAN = 8  #: segments that become one
_BATCH = 16_384
_GROUP = 32_768  # rows that are in memory at a time, some 50 MB; the capture goes on meanwhile


def choose(
    segments: Sequence[Segment], written_s: Sequence[float], span_s: float, most_rows: int = SEGMENT_ROWS
) -> slice | None:
    """Return which neighbouring segments to merge next, None if none are worth it.

    Args:
        segments: All segments, oldest first.
        written_s: When each was written, Unix time.
        span_s: Longest time that one segment may cover, so that retention by age stays sharp.
        most_rows: Rows that a merged segment may have.
    """
    for last in range(len(segments), FAN - 1, -1):
        some = segments[last - FAN : last]
        rows = [segment.rows for segment in some]
        times = written_s[last - FAN : last]
        if sum(rows) <= most_rows and 2 * max(rows) <= sum(rows) and max(times) - min(times) <= span_s:
            return slice(last - FAN, last)
    return None


def merge(folder: Path, segments: Sequence[Segment], name: str) -> Segment | None:
    """Write some segments as one new file and return it; None if they are not all of this version's schema.

    Args:
        folder: The dataset's.
        segments: What to merge.
        name: Name of the new file, in the same folder.

    Raises:
        OSError: It could not be written (a full disk); nothing is left behind.
    """
    schema = session_schema()
    temporary = folder / f".{name}.tmp"
    written = max((folder / segment.file).stat().st_mtime for segment in segments)
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            waiting: list[Any] = []
            rows = 0
            for segment in segments:
                with pq.ParquetFile(folder / segment.file) as source:
                    if source.schema_arrow.names != schema.names:
                        return None
                    for batch in source.iter_batches(_BATCH):
                        waiting.append(pa.Table.from_batches([conform(batch)]).cast(schema))
                        rows += batch.num_rows
                        if rows >= _GROUP:
                            writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
                            waiting, rows = [], 0
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
        sync(temporary)
        os.utime(temporary, (written, written))
        final = temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    low = min(segment.start_ns[0] for segment in segments)
    high = max(segment.start_ns[1] for segment in segments)
    return Segment(name, sum(segment.rows for segment in segments), final.stat().st_size, (low, high))


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The second half of tracking on many machines: the segments of one shard become rows, then judged rows.

A verdict takes from other sessions whether half-open attempts come in crowds and whether the captures see both
directions. Shards do not know of each other, so each first writes what the others need (`track_shard`), and only then
are its rows judged (`judge_shard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.app.cluster_order import Mapped, in_order
from lastack.app.duplicates import Duplicates
from lastack.diagnosis.around import Around, around_rows
from lastack.diagnosis.crowd import Crowd
from lastack.diagnosis.engine import diagnose
from lastack.diagnosis.links import Links
from lastack.model.arrow import session_schema
from lastack.query.classify import Classifier
from lastack.query.zones import Classes
from lastack.store.s3 import S3Folder, open_input, root_of
from lastack.tracking.attempt import Attempts
from lastack.tracking.jobs import in_turn
from lastack.tracking.shard import pieces_of
from lastack.tracking.tracker import Tracker

EARLY, ROWS = "early.arrows", "rows.arrows"  #: rows that left because the table was full, and all others
_HALF_OPEN, _ATTEMPTS = "half-open.arrow", "attempts.arrow"
_schema = cache(session_schema)
_ATTEMPT = pa.schema(
    [
        ("server_ip", pa.binary(16)),
        ("server_port", pa.uint16()),
        ("client_ip", pa.binary(16)),
        ("start_ns", pa.int64()),
    ]
)


def track_shard(
    folder: Path,
    shard: int,
    captures: Sequence[Mapped],
    sensors: Sequence[str],
    max_sessions: int,
    idle_timeout_ns: int | None,
    duplicates_ns: int | None = None,
) -> dict[str, Any]:
    """Write the rows of one shard, in order of (start time, first packet), without verdicts.

    Args:
        folder: Empty.
        shard: Which.
        captures: All captures of the run, by rank.
        sensors: Names of the captures, by rank.
        max_sessions: Most sessions held at a time over all shards; this one holds its share.
        idle_timeout_ns: Sessions that are silent for longer end; None means never.
        duplicates_ns: Packets that two captures have within so many ns are counted once; None to count each.
    """
    duplicates = Duplicates(duplicates_ns) if duplicates_ns is not None else None
    tracker = Tracker(max_sessions, idle_timeout_ns)
    tracker.sensors = list(sensors)
    segments = 0

    def early() -> Iterator[Any]:
        nonlocal segments
        for some, origin_add in in_order(captures, shard, duplicates):
            segments += len(some)
            for left in tracker.feed(shard, pieces_of([(some.ctypes.data, len(some), origin_add)])):
                for batch in left.parts():
                    yield diagnose(batch, around_rows(batch))

    left = write_batches(folder / EARLY, early())
    seen = tracker.both_ways() or left > 0
    _write_attempts(folder / _HALF_OPEN, tracker.half_open())
    _write_attempts(folder / _ATTEMPTS, tracker.attempts())
    rows = write_batches(folder / ROWS, (job() for job in tracker.flush(in_turn)))
    return {
        "segments": segments,
        "sessions": left + rows,
        "early": left,
        "evicted": tracker.evicted,
        "duplicates": duplicates.count if duplicates is not None else 0,
        "lost": tracker.lost(),
        "both_ways": seen,
    }


def judge_shard(
    folder: Path, shard: int, tracked: Sequence[str], both_ways: bool, classes: Classes | None
) -> dict[str, Any]:
    """Write the rows of one shard with verdicts, zones and applications.

    Args:
        folder: Empty.
        shard: Which.
        tracked: Folders of the results of `track_shard` for all shards.
        both_ways: Whether both directions were seen of any session.
        classes: Zones and applications, None to leave rows unclassified.
    """
    places = [root_of(place) for place in tracked]
    around = _around(places, both_ways)
    links = Links()
    classify: Callable[[Any], Any] = Classifier(classes) if classes is not None else _as_it_is
    early = (classify(links.resolve(batch)) for batch in read_batches(places[shard] / EARLY))
    left = write_batches(folder / EARLY, early)
    late = (diagnose(batch, around) for batch in read_batches(places[shard] / ROWS))
    rows = write_batches(folder / ROWS, (classify(links.resolve(batch)) for batch in late))
    return {"early": left, "rows": rows}


def _around(places: Sequence[Path | S3Folder], both_ways: bool) -> Around:
    """Return what a verdict takes from the whole run."""
    half_open = _joined([_read_attempts(place / _HALF_OPEN) for place in places])

    def attempts_on(ports: Any) -> Attempts:
        wanted = np.zeros(1 << 16, bool)
        wanted[ports] = True
        found = []
        for place in places:
            some = _read_attempts(place / _ATTEMPTS)
            chosen = wanted[some.server_port]
            columns = (some.server_ip, some.server_port, some.client_ip, some.start_ns)
            found.append(Attempts(*(column[chosen] for column in columns)))
        return _joined(found)

    return Around(Crowd(half_open, attempts_on), both_ways)


def write_batches(path: Path, batches: Iterable[Any]) -> int:
    """Write record batches of the session schema as an Arrow stream, no file if there are none; return the rows."""
    rows = 0
    schema = _schema()
    with ExitStack() as stack:
        writer: Any = None
        for batch in batches:
            writer = writer or stack.enter_context(pa.ipc.new_stream(str(path), schema))
            writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)
            rows += batch.num_rows
    return rows


def read_batches(path: Path | S3Folder) -> Iterator[Any]:
    """Yield the record batches of an Arrow stream, mapped; none if there is no file."""
    try:
        source = open_input(path)
    except FileNotFoundError:
        return
    with source:
        yield from pa.ipc.open_stream(source)


def _write_attempts(path: Path, attempts: Attempts) -> None:
    columns = [
        _addresses(attempts.server_ip),
        pa.array(np.ascontiguousarray(attempts.server_port, np.uint16)),
        _addresses(attempts.client_ip),
        pa.array(np.ascontiguousarray(attempts.start_ns, np.int64)),
    ]
    with pa.ipc.new_file(str(path), _ATTEMPT) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_ATTEMPT))


def _addresses(column: Any) -> Any:
    # NumPy's S16 would lose trailing zero bytes on the way through Python objects.
    data = pa.py_buffer(np.ascontiguousarray(column, "S16").view(np.uint8))
    return pa.Array.from_buffers(pa.binary(16), len(column), [None, data])


def _read_attempts(path: Path | S3Folder) -> Attempts:
    batch = pa.ipc.open_file(open_input(path)).get_batch(0)
    server, port, client, start = batch.columns
    return Attempts(_bytes(server), port.to_numpy(), _bytes(client), start.to_numpy())


def _bytes(column: Any) -> Any:
    return np.frombuffer(column.buffers()[1] or b"", "S16")[: len(column)]


def _joined(parts: Sequence[Attempts]) -> Attempts:
    names = ("server_ip", "server_port", "client_ip", "start_ns")
    return Attempts(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _as_it_is(batch: Any) -> Any:
    return batch

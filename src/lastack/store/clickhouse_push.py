"""Brings segments of sessions into ClickHouse: each session once, however often and wherever it is cut off.

A segment is known by its content, so that a copy of a dataset is the same. It goes in blocks, each one insert with a
token by which the server, and its materialised view, recognise an insert that comes again after an answer was lost. A
segment is in the ledger once all of it is there. Sessions that another segment has brought already (segments were
merged, or the captures analyzed again) are left out.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lastack.model.arrow import session_schema
from lastack.store import clickhouse_schema as schema
from lastack.store.clickhouse_errors import MissingTableError
from lastack.store.clickhouse_segments import Source, blocks, identity, opened
from lastack.store.clickhouse_server import Server
from lastack.store.clickhouse_stored import check_version
from lastack.store.manifest import Run
from lastack.store.place import Place

#: An insert that is older may no longer be remembered by its token.
_REMEMBERED_S = 3600
_IDS = "lastack_ids"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was brought.

    Attributes:
        segments: Segments that were looked at.
        there: Of them, segments that were there already, whole.
        rows: Rows of all segments.
        inserted: Rows that were inserted now.
        seconds: How long it took.
    """

    segments: int = 0
    there: int = 0
    rows: int = 0
    inserted: int = 0
    seconds: float = 0.0

    @property
    def known(self) -> int:
        """Rows that were there already."""
        return self.rows - self.inserted


Told = Callable[[Pushed], None]


class Loader:
    """Brings segments into one database.

    Args:
        server: The server, with that database.

    Attributes:
        inserted: Rows that were inserted, of all segments.
    """

    def __init__(self, server: Server) -> None:
        self.inserted = 0
        self._server = server
        self._columns = session_schema()

    def push(
        self, source: Source, told: Callable[[int, int], None] | None = None, *, look: bool = True
    ) -> int:
        """Bring a segment; return the rows that were inserted, -1 if all of it was there already.

        Args:
            source: The segment.
            told: Called after each block with its rows, and those of them that were inserted.
            look: Look for its sessions under other segments; not needed for what has just been made.

        Raises:
            FileNotFoundError: The segment is gone: it was merged or let go.
            SegmentError: The segment cannot be read.
            InputError: The server is gone; what has been brought so far stays, and another push goes on there.
        """
        rows = self._server.shared.rows
        with opened(source) as stream:
            segment = identity(source.name, stream)
            if rows((f"SELECT 1 FROM {schema.PUSHED} WHERE {schema.SEGMENT} = ? LIMIT 1", [segment])):
                return -1
            stream.seek(0)
            begun = self._begun(segment)
            low = high = None
            inserted = total = 0
            for number, block in enumerate(blocks(stream, source.name)):
                ends = pc.min_max(block.column("start_ns")).as_py()
                low = ends["min"] if low is None else min(low, ends["min"])
                high = ends["max"] if high is None else max(high, ends["max"])
                total += block.num_rows
                fresh = 0
                if number >= begun:
                    fresh = self._insert(segment, number, block, look=look, again=number == begun)
                    inserted += fresh
                    self.inserted += fresh
                if told is not None:
                    told(block.num_rows, fresh)
        self._close(segment, total, inserted, low or 0, high or 0)
        return inserted

    def _begun(self, segment: str) -> int:
        """Return the last block of a segment that has arrived, perhaps in part; -1 if none has."""
        ((last,),) = self._server.shared.rows(
            (
                f"SELECT maxOrNull({schema.BLOCK}) FROM {schema.SESSIONS} WHERE {schema.SEGMENT} = ?",
                [segment],
            )
        )
        return -1 if last is None else int(last)

    def _insert(self, segment: str, number: int, block: Any, *, look: bool, again: bool) -> int:
        known = self._known(block, segment) if look or again else None
        rows = block
        if known is not None and len(known):
            rows = block.filter(pc.invert(pc.is_in(block.column("session_id"), known)))
        if rows.num_rows:
            count = rows.num_rows
            rows = rows.append_column(schema.SEGMENT, pa.array([segment] * count).dictionary_encode())
            rows = rows.append_column(schema.BLOCK, pa.array([number] * count, pa.uint32()))
            self._server.shared.insert(schema.SESSIONS, rows, f"{segment}/{number}")
        return int(rows.num_rows)

    def _known(self, block: Any, segment: str) -> Any:
        """Return the ids of a block's sessions that the server has from another segment, or from this one for long.

        What this segment has brought lately is not looked at: the insert is repeated whole, and its token tells the
        server, and each materialised view, which parts of it they have.
        """
        ends = pc.min_max(block.column("start_ns")).as_py()
        condition = (
            f"start_ns BETWEEN ? AND ? AND ({schema.SEGMENT} <> ? "
            f"OR {schema.ARRIVED} < now() - INTERVAL {_REMEMBERED_S} SECOND)"
        )
        values = [ends["min"], ends["max"], segment]
        found = self._server.shared.rows(
            (f"SELECT 1 FROM {schema.SESSIONS} WHERE {condition} LIMIT 1", values)
        )
        if not found:
            return None
        with self._server.session() as session:
            session.rows((f"CREATE TEMPORARY TABLE {_IDS} (session_id UInt64) ENGINE = Memory", []))
            try:
                session.insert(_IDS, pa.table({"session_id": block.column("session_id")}))
                ids = session.rows(
                    (
                        f"SELECT session_id FROM {schema.SESSIONS} WHERE {condition} "
                        f"AND session_id IN (SELECT session_id FROM {_IDS})",
                        values,
                    )
                )
            finally:
                session.rows((f"DROP TEMPORARY TABLE IF EXISTS {_IDS}", []))
        return pa.array([number for (number,) in ids], pa.uint64())

    def _close(self, segment: str, rows: int, inserted: int, low: int, high: int) -> None:
        names = (schema.SEGMENT, "rows", "inserted", "first_ns", "last_ns")
        kinds = (pa.string(), pa.uint64(), pa.uint64(), pa.int64(), pa.int64())
        values = (segment, rows, inserted, low, high)
        table = pa.table({n: pa.array([v], kind) for n, v, kind in zip(names, values, kinds, strict=True)})
        self._server.shared.insert(schema.PUSHED, table, f"{segment}/done")

    def put_run(self, run: Run) -> None:
        """Say what a run has read; what it said before is replaced."""
        first = run.first_ns if run.first_ns is not None else ""
        name = hashlib.blake2b(f"{first}|{'|'.join(run.captures)}".encode(), digest_size=16).hexdigest()
        content = json.dumps(asdict(run), ensure_ascii=False)
        self._server.shared.insert(schema.RUNS, pa.table({"run": [name], "content": [content]}))


def prepare(place: Place, keep_days: int | None = None) -> Server:
    """Return a database that sessions can go to; it and its tables are made where they are not there.

    Args:
        place: Where it is.
        keep_days: Days to keep sessions for; None leaves tables that are there as they are.

    Raises:
        InputError: Nobody answers, or the tables that are there are not those of this version.
        AccessError: This user may not make them, or is not let in.
    """
    try:
        server = Server(place)
    except MissingTableError:
        with Server(place, database=False) as bare:
            bare.shared.rows((f"CREATE DATABASE IF NOT EXISTS {_name(place.path)}", []))
        server = Server(place)
    try:
        check_version(server)
    except MissingTableError:
        for statement in [*schema.schema(keep_days), schema.insert_versions()]:
            server.shared.rows((statement, []))
        return server
    if keep_days is not None:
        for statement in schema.retention(keep_days):
            server.shared.rows((statement, []))
    return server


def _name(database: str) -> str:
    return "`" + database.replace("\\", "\\\\").replace("`", "\\`") + "`"


def push_all(
    loader: Loader, sources: list[tuple[Source, int]], told: Told | None = None, *, look: bool = True
) -> Pushed:
    """Bring segments one after the other.

    Args:
        loader: The database.
        sources: The segments, and the rows of each.
        told: Called after each block.
        look: As for `Loader.push`.

    Raises:
        FileNotFoundError, InputError: As `Loader.push` does.
    """
    began = time.monotonic()
    state = Pushed()

    def note(rows: int, fresh: int) -> None:
        nonlocal state
        state = replace(
            state,
            rows=state.rows + rows,
            inserted=state.inserted + fresh,
            seconds=time.monotonic() - began,
        )
        if told is not None:
            told(state)

    for source, rows in sources:
        there = loader.push(source, note, look=look) < 0
        state = replace(state, segments=state.segments + 1, there=state.there + there)
        if there:
            note(rows, 0)
    return replace(state, seconds=time.monotonic() - began)

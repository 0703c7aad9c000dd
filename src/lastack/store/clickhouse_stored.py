"""Sessions in a ClickHouse database, asked in its own dialect: the same answers as from a folder of segments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lastack.model.arrow import session_schema
from lastack.model.errors import InputError
from lastack.model.fields import BY_NAME, SCHEMA_VERSION
from lastack.query.ast import Node
from lastack.query.classify_sql import classified_source
from lastack.query.dialect import Fragment
from lastack.query.dialect_clickhouse import CLICKHOUSE
from lastack.query.questions import Grouped, GroupedAnswer, Histogram
from lastack.query.reuse_sql import USED_PORTS_COLUMNS, used_ports, used_ports_sql
from lastack.query.sql import filter_sql
from lastack.query.zones import Classes
from lastack.store import clickhouse_schema as schema
from lastack.store.answering import answer_grouped, answer_histogram
from lastack.store.clickhouse_server import Server
from lastack.store.conform import conform
from lastack.store.dataset import Order
from lastack.store.manifest import Run, run_from_json
from lastack.store.stored import Part

#: The order in which the table keeps rows, so that reading in it needs no sorting.
_KEPT = f"intDiv(start_ns, {3600 * 10**9}), server_ip, server_port, start_ns, session_id"
_TEMPORARY = ("lastack_groups", "lastack_listed")


class ClickHouseSessions:
    """The sessions of one database.

    Args:
        server: The server, with that database.
        classes: Zones and applications that they get, None to leave them as they were kept.

    Raises:
        InputError: There are none, or the tables are of a version that this one cannot read.
        AccessError: The server does not let this user in.
    """

    def __init__(self, server: Server, classes: Classes | None = None) -> None:
        self.server = server
        self._classes = classes
        check_version(server)

    def classified(self, classes: Classes | None) -> ClickHouseSessions:
        """Return the sessions as they look with other zones and applications; with None as they were kept."""
        twin = object.__new__(ClickHouseSessions)
        twin.server, twin._classes = self.server, classes
        return twin

    @property
    def stamp(self) -> str:
        """What changes whenever sessions come."""
        ((number, last),) = self.server.shared.rows(
            (f"SELECT count(), toString(max(pushed)) FROM {schema.PUSHED}", [])
        )
        return f"{number}-{last}"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The database as one part; its time is that of the rows too, which may be older than the runs it knows."""
        rows = self.server.shared.rows
        # These three need no look at the rows: every part knows the ends of what it is partitioned by.
        ((count, first, last),) = rows(
            (f"SELECT count(), minOrNull(start_ns), maxOrNull(start_ns) FROM {schema.SESSIONS}", [])
        )
        ((segments,),) = rows((f"SELECT uniqExact({schema.SEGMENT}) FROM {schema.PUSHED}", []))
        kept = rows((f"SELECT content FROM {schema.RUNS} FINAL ORDER BY run", []))
        runs = _widest([run_from_json(json.loads(content)) for (content,) in kept])
        if not runs:
            ((last,),) = rows((f"SELECT maxOrNull(end_ns) FROM {schema.SESSIONS}", []))
        seen = Run(first_ns=first, last_ns=last)
        return (Part(self.server.place.shown, count, "complete", segments, (*runs, seen)),)

    @property
    def source(self) -> Fragment:
        """What stands after FROM, and its values."""
        table: Fragment = (schema.SESSIONS, [])
        return table if self._classes is None else classified_source(self._classes, table, CLICKHOUSE)

    def scan(
        self,
        where: Node | None = None,
        columns: Sequence[str] | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Yield rows as they come from the server, in the order of its table, or sorted; ties by id."""
        if limit == 0:
            return
        names = list(columns) if columns is not None else list(session_schema().names)
        condition, values = filter_sql(where, dialect=CLICKHOUSE)
        wanted = ", ".join(CLICKHOUSE.name(BY_NAME[name].name) for name in names)
        source, before = self.source
        by = f"{order.sql(CLICKHOUSE)}, start_ns, session_id" if order is not None else _KEPT
        text = f"SELECT {wanted} FROM {source} WHERE {condition} ORDER BY {by}"
        if limit is not None:
            text += f" LIMIT {int(limit)}"
        for batch in self.server.shared.batches((text, [*before, *values])):
            if batch.num_rows:
                yield conform(batch)

    def grouped(self, question: Grouped, threads: int | None = None) -> GroupedAnswer:
        """Return the server's answer; how many threads it uses is its own affair."""
        with self.server.session() as session:
            answer = answer_grouped(session.rows, self.source, question, CLICKHOUSE)
            session.rows((f"DROP TEMPORARY TABLE IF EXISTS {', '.join(_TEMPORARY)}", []))
            return answer

    def histogram(self, question: Histogram, threads: int | None = None) -> list[tuple[Any, list[int]]]:
        """Return the server's answer."""
        return answer_histogram(self.server.shared.rows, self.source, question, CLICKHOUSE)

    def used_ports(self, threads: int | None = None) -> NDArray[np.uint64]:
        """Return the server's answer."""
        batches = list(self.server.shared.batches(used_ports_sql((schema.SESSIONS, []), CLICKHOUSE)))
        if not batches:
            return np.zeros(0, np.uint64)
        table = pa.Table.from_batches(batches)
        return used_ports(*(np.asarray(table.column(name)) for name in USED_PORTS_COLUMNS))


def check_version(server: Server) -> None:
    """Refuse tables that are not those of this version.

    Raises:
        InputError: There are none, or they are others; the message has the remedy.
    """
    rows = server.shared.rows((f"SELECT name, value FROM {schema.META} FINAL", []))
    told: dict[str, str] = dict(rows)
    where, version = server.place.shown, told.get("schema_version", "")
    if not version.isdigit() or int(version) > SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema version {version or 'unknown'} is not {SCHEMA_VERSION}, which this LastACK reads; "
            f"use LastACK {told.get('lastack_version', '')} or later"
        )
    found = server.shared.rows(
        (
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = ?",
            [schema.SESSIONS],
        )
    )
    columns: dict[str, str] = dict(found)
    lacking = schema.missing_columns(columns)
    if lacking:
        raise InputError(
            f"{where}: made by LastACK {told.get('lastack_version', '')}; its sessions lack what this one keeps: "
            f"push into another database, or run there: {'; '.join(lacking)}"
        )


def _widest(runs: list[Run]) -> list[Run]:
    """Return the runs without those that are part of another: a dataset makes one of many old ones."""
    kept: list[Run] = []
    for run in sorted(runs, key=lambda r: (r.first_ns or 0, -(r.last_ns or 0))):
        inside = any(
            set(run.captures) <= set(other.captures)
            and (other.first_ns or 0) <= (run.first_ns or 0)
            and (run.last_ns or 0) <= (other.last_ns or 0)
            for other in kept
        )
        if not inside:
            kept.append(run)
    return kept

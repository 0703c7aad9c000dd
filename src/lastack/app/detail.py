"""Runs one setting in detail: the sessions that break, and the states of the table's entries."""

from __future__ import annotations

from typing import Any

from lastack.app.grouped import Source
from lastack.app.pasts import each_past, window_of
from lastack.app.whatif import Runner, parts_of
from lastack.query.ast import Node
from lastack.replay.detail import Detail
from lastack.replay.past import Past
from lastack.replay.scenario import Scenario

#: What a list of broken sessions tells of them, beside what broke.
ENDS = (
    "session_id",
    "client_ip",
    "client_port",
    "server_ip",
    "server_port",
    "start_ns",
    "first_packet",
    "sensor",
)


def run_detail(source: Source, one: Scenario, where: Node | None = None, limit: int | None = None) -> Detail:
    """Return what a setting does, session by session, in order of the input.

    Args:
        source: The sessions.
        one: A scenario of one setting.
        where: Sessions that it is about.
        limit: Most sessions to list; None for all.
    """
    window = window_of(source)
    readings = Runner(one, 1, window).readings

    def work(batch: Any, past: Past) -> Detail:
        part = Detail(window, limit=limit)
        for (place, repeats), which in parts_of(one.boxes[0], batch, past):
            part.add(past.take(which), readings[place][repeats])
        return part

    whole = Detail(window, limit=limit)
    for part in each_past(source, where, work):
        whole.merge(part)
    return whole


def ends_of(source: Source, sessions: set[int]) -> dict[int, dict[str, Any]]:
    """Return `ENDS` of sessions by their id."""
    found: dict[int, dict[str, Any]] = {}
    if not sessions:
        return found
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(sessions), pa.uint64())
    for batch in source.scan(None, ENDS):
        rows = batch.filter(pc.is_in(batch.column("session_id"), wanted))
        for row in rows.to_pylist():
            found[row["session_id"]] = row
    return found

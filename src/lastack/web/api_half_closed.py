"""Half-closed sessions: those that wait now, how long such waits last, and when boxes forget them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lastack.app.profiles import all_profiles
from lastack.app.series import distribution
from lastack.model.errors import InputError
from lastack.model.units import format_duration
from lastack.query.ast import Node
from lastack.query.emit import base_filter
from lastack.query.keys import parse_keys
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS
from lastack.query.parse import parse_filter
from lastack.query.questions import FINE, Grouped
from lastack.query.series import all_of
from lastack.store.dataset import Order
from lastack.store.standing import open_now
from lastack.store.stored import Folders, Stored
from lastack.view.grouped import to_json
from lastack.web.api_grouped import distribution_json
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.params import WHICH, Param
from lastack.web.rows import plain_rows

_COLUMNS = (
    "session_id", "start_ns", "client_ip", "client_port", "server_ip", "server_port", "app", "half_closed_by",
    "first_fin_ns", "half_closed_ns", "half_closed_bytes", "end_ns",
)  # fmt: skip


def half_closed(ask: Ask) -> dict[str, Any]:
    """Return sessions that wait, the spread of all such times, and the timers of known boxes."""
    source = ask.snapshot.source
    where = base_filter(ask.where, strays=False)
    key = parse_keys(ask.values["by"])[0]
    waiting = all_of(parse_filter("ending = half_closed"), where)
    most = ask.values["limit"]
    rows = _oldest(source.stored, waiting, most, ask.snapshot.run.last_ns or 0)
    standing = 0
    for dataset, now_ns in _open_now(source.stored):
        try:
            rows += _oldest(dataset, waiting, most, now_ns)
            counted = dataset.grouped(Grouped(parse_measures("sessions"), (), waiting), source.threads)
            standing += int(counted.total.values["sessions"])
        except InputError:  # the watch has replaced it meanwhile; the next answer has it
            continue
    rows.sort(key=lambda row: int(row["first_fin_ns"]))
    measures = parse_measures(
        "half_closed_backlog,sessions,half_close_used,p50(half_closed),p99(half_closed),max(half_closed)"
    )
    by_key = Grouped(measures, (key,), where, top=20)
    ever = all_of(parse_filter("half_closed > 0"), where)
    spread = distribution(source, METRICS["half_closed"], ever, key, 6, FINE)
    return {
        "waiting": rows[:most],
        "open_now": standing,
        "table": to_json(source.grouped(by_key)),
        "spread": distribution_json(spread),
        "timers": timers(),
    }


def _oldest(stored: Stored, where: Node | None, most: int, now_ns: int) -> list[dict[str, Any]]:
    """Return the sessions that wait longest, with their age at a time."""
    order = Order("first_fin_ns")
    rows = [row for batch in stored.scan(where, _COLUMNS, order, most) for row in plain_rows(batch)]
    for row in rows:
        row["age_ns"] = max(0, now_ns - int(row["first_fin_ns"]))
    return rows


def _open_now(stored: Stored) -> Iterator[tuple[Folders, int]]:
    """Yield what stands open beside datasets that a watch writes to."""
    for dataset in stored.datasets if isinstance(stored, Folders) else ():
        found = open_now(dataset)
        if found is not None:
            yield Folders([found[0]]), found[1]


def timers() -> list[dict[str, Any]]:
    """Return how long boxes of known vendors keep a half-closed session, the shortest first, those alike together."""
    named: dict[int, list[str]] = {}
    for profile in all_profiles():
        timer = profile.half_closed()
        if timer is not None and timer.ns is not None:
            named.setdefault(timer.ns, []).append(profile.title)
    return [{"ns": ns, "text": format_duration(ns), "boxes": sorted(named[ns])} for ns in sorted(named)]


def known_timers(ask: Ask) -> dict[str, Any]:
    """Return how long boxes of known vendors keep a half-closed session."""
    return {"timers": timers()}


ENDPOINTS = (
    Endpoint("/timers", "How long boxes of known vendors keep a half-closed session", known_timers),
    Endpoint(
        "/half-closed",
        "Sessions of which one end has closed: those that wait, the spread, vendors' timers",
        half_closed,
        (
            *WHICH,
            Param(
                "by",
                "text",
                "Spread apart by this key.",
                "app",
                choices=("app", "port", "client.zone", "server.zone"),
            ),
            Param("limit", "whole", "Waiting sessions to list, the oldest first.", 100, low=1, high=1000),
        ),
    ),
)

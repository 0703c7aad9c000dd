"""Sessions: a page of rows for a table, or all of them as a stream for programs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from lastack.model.fields import BY_NAME, FIELDS
from lastack.query.ast import Node
from lastack.query.emit import base_filter
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS, Shape
from lastack.query.parse import parse_filter
from lastack.query.questions import Grouped
from lastack.query.series import all_of
from lastack.store.dataset import Order, empty_batch
from lastack.web.endpoint import Ask, Download, Endpoint
from lastack.web.params import WHICH, BadParameterError, Param
from lastack.web.rows import plain_rows

#: Rows that paging reaches; beyond it a filter is quicker for everybody.
MOST_PAGED = 20_000
_MOST_PAGE = 1_000
_MOST_STREAMED = 50_000_000
#: Columns of a page when none are asked for.
USUAL = (
    "session_id", "start_ns", "end_ns", "client_ip", "client_port", "server_ip", "server_port", "app", "opening",
    "ending", "close_order", "cause", "harm", "actor", "observed", "ct_ns", "half_closed_ns", "max_idle_ns",
    "packets_clt", "packets_srv", "bytes_clt", "bytes_srv", "syn_clt", "fin_clt", "fin_srv", "rst_clt", "rst_srv",
    "bytes_after_fin_clt", "bytes_after_fin_srv", "client_zone", "server_zone",
)  # fmt: skip
_MEDIA = {"csv": "text/csv; charset=utf-8", "arrow": "application/vnd.apache.arrow.stream"}
_SORT = Param(
    "sort", "text", "Sort by this name, `-name` for largest first.", "-start", example="-half_closed"
)
_COLUMNS = Param(
    "columns", "text", "Fields, with commas between; the usual ones if not given, `all` for all."
)
_STRAYS = Param("strays", "flag", "Lone packets too, which are no sessions.", False)


def sessions(ask: Ask) -> dict[str, Any]:
    """Return one page of sessions, and how many there are."""
    first, size = ask.values["offset"], ask.values["limit"]
    names = _columns(ask.values["columns"])
    where = base_filter(ask.where, strays=ask.values["strays"])
    order = Order.parse(ask.values["sort"])
    wanted = min(first + size, MOST_PAGED)
    where = all_of(where, _edge(ask, where, order, wanted))
    rows: list[dict[str, Any]] = []
    place = 0
    for batch in ask.snapshot.source.scan(where, names, order, wanted):
        ask.job.check()
        if place + batch.num_rows > first:
            rows += plain_rows(batch.slice(max(0, first - place)))
        place += batch.num_rows
    question = Grouped(parse_measures("sessions"), (), ask.where, strays=ask.values["strays"])
    total = ask.snapshot.source.grouped(question).total.values["sessions"]
    return {"total": total, "offset": first, "reachable": min(total, MOST_PAGED), "rows": rows}


def _edge(ask: Ask, where: Node | None, order: Order, wanted: int) -> Node | None:
    """Return a filter that leaves out what is beyond the last row wanted, None where that cannot be told.

    Sorting millions of rows with all their columns is slow; the sort column alone tells where the page ends.
    """
    metric = METRICS[order.metric]
    column = metric.columns[0]
    if metric.shape is not Shape.column or not column.endswith("_ns"):
        return None
    last, found = None, 0
    for batch in ask.snapshot.source.scan(where, (column,), order, wanted):
        ask.job.check()
        found += batch.num_rows
        last = batch.column(0)[batch.num_rows - 1].as_py()
    if found < wanted or last is None or last < 0:
        return None
    return parse_filter(f"{column} {'>=' if order.descending else '<='} {last}")


def stream(ask: Ask) -> Download:
    """Return all sessions that pass, in pieces, in bounded memory."""
    form = ask.values["format"]
    names = _columns(ask.values["columns"])
    if form == "csv":
        names = tuple(name for name in names if BY_NAME[name].type != "list")
    where = base_filter(ask.where, strays=ask.values["strays"])
    sort = ask.values["sort"]
    order = Order.parse(sort) if sort else None
    batches = ask.snapshot.source.scan(where, names, order, ask.values["limit"])

    def checked() -> Iterator[Any]:
        for batch in batches:
            ask.job.check()
            yield batch

    make = _csv if form == "csv" else _arrow
    return Download(f"sessions.{form}", _MEDIA[form], make(checked(), names))


def _csv(batches: Iterator[Any], names: tuple[str, ...]) -> Iterator[bytes]:
    import csv

    def lines(rows: list[dict[str, Any]]) -> bytes:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(list(row.values()) for row in rows)
        return out.getvalue().encode()

    yield (",".join(names) + "\n").encode()
    for batch in batches:
        for start in range(0, batch.num_rows, 8192):
            yield lines(plain_rows(batch.slice(start, 8192)))


def _arrow(batches: Iterator[Any], names: tuple[str, ...]) -> Iterator[bytes]:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, empty_batch(names).schema) as writer:
        for batch in batches:
            # Dictionaries of enums may grow from one batch to the next; as plain texts they need no replacing.
            writer.write_batch(batch)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _columns(text: str | None) -> tuple[str, ...]:
    if not text:
        return USUAL
    if text == "all":
        return tuple(field.name for field in FIELDS)
    from lastack.query.metrics import nearest

    names = tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    for name in names:
        if name not in BY_NAME:
            near = nearest(name, list(BY_NAME))
            hint = f"did you mean {near}?" if near else "/api/v1/vocabulary lists them"
            raise BadParameterError("columns", f"columns: no field is called {name[:80]!r}: {hint}")
    return names or USUAL


ENDPOINTS = (
    Endpoint(
        "/sessions",
        "A page of sessions",
        sessions,
        (
            *WHICH,
            _SORT,
            Param("limit", "whole", "Rows of the page.", 100, low=1, high=_MOST_PAGE),
            Param("offset", "whole", "Rows before it.", 0, high=MOST_PAGED - 1),
            _COLUMNS,
            _STRAYS,
        ),
        help=f"Paging reaches the first {MOST_PAGED:,} rows of an order; /sessions/all has no such end.",
    ),
    Endpoint(
        "/sessions/all",
        "All sessions that pass, as a stream",
        stream,
        (
            *WHICH,
            Param("sort", "text", "Sort by this name; nothing for the order in which sessions ended."),
            Param("limit", "whole", "Rows at most.", low=1, high=_MOST_STREAMED),
            _COLUMNS,
            _STRAYS,
            Param("format", "text", "Arrow IPC stream or CSV.", "csv", choices=("csv", "arrow")),
        ),
        media=("text/csv", "application/vnd.apache.arrow.stream"),
        cached=False,
    ),
)

"""Makes a question of the texts that people give: on a command line, in a URL, from Python."""

from __future__ import annotations

from lastack.query.keys import TIMES, parse_keys
from lastack.query.measure_text import parse_measures
from lastack.query.parse import parse_filter
from lastack.query.questions import Grouped, parse_having, parse_sort


def parse_question(
    metrics: str,
    by: str = "",
    where: str = "",
    having: str = "",
    *,
    every_ns: int | None = None,
    sort: str = "",
    top: int | None = None,
    strays: bool = False,
) -> Grouped:
    """Return the question that some texts ask.

    Args:
        metrics: A list of metrics, as `sessions,rst.srv/connection,p99(ct)`.
        by: A list of keys, as `server,port`; none for one row.
        where: A filter on sessions.
        having: A filter on the groups.
        every_ns: Width of buckets of time; `time` becomes the first key unless a time is among them.
        sort: A metric or key, with `-` or `+` before it if need be; the first metric if empty.
        top: Rows that are listed, None for all.
        strays: Look at lone packets too, which are no sessions.

    Raises:
        UsageError: One of them is wrong; the message points at the place.
    """
    if every_ns is not None and not {part.strip().casefold() for part in by.split(",")} & set(TIMES):
        by = f"time,{by}" if by.strip() else "time"
    measures, keys = parse_measures(metrics), parse_keys(by, every_ns)
    node, more = parse_having(having, measures, keys)
    order, needed = parse_sort(sort, (*measures, *more), keys) if sort else (None, ())
    return Grouped(measures, keys, parse_filter(where), node, (*more, *needed), order, top, strays)

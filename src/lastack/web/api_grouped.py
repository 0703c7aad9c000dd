"""Grouped questions: tables, charts over time, levels and distributions."""

from __future__ import annotations

from typing import Any

from lastack.app.series import distribution, level_chart, time_chart
from lastack.query.emit import base_filter
from lastack.query.keys import TIMES, parse_keys
from lastack.query.levels import LEVELS
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS, Kind, Metric, nearest
from lastack.query.questions import FINE, Grouped, parse_having, parse_sort
from lastack.query.series import Distribution, TimeChart, nice_width
from lastack.view.grouped import to_json
from lastack.view.quantities import plain_value, unit_of
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.params import WHICH, BadParameterError, Param

_METRICS = Param(
    "metrics", "text", "What is measured, with commas between.", "sessions", example="rst.srv/connection"
)
_BY = Param("by", "text", "Keys, with commas between.", "", example="service")
_EVERY = Param(
    "every", "duration", "Width of the buckets; one that suits the time if not given.", example="10m"
)
_TIME = Param("time", "text", "The time that counts.", "end_time", choices=tuple(TIMES))
_SPREAD = frozenset({Kind.number, Kind.duration, Kind.size})


def table(ask: Ask) -> dict[str, Any]:
    """Return grouped rows with the others and the total."""
    measures, keys = (
        parse_measures(ask.values["metrics"]),
        parse_keys(ask.values["by"] or "", ask.values["every"]),
    )
    having, more = parse_having(ask.values["having"] or "", measures, keys)
    order = None
    if ask.values["sort"]:
        order, wanted = parse_sort(ask.values["sort"], (*measures, *more), keys)
        more = (*more, *wanted)
    question = Grouped(
        measures, keys, ask.where, having, more, order, ask.values["top"], strays=ask.values["strays"]
    )
    return to_json(ask.snapshot.source.grouped(question))


def series(ask: Ask) -> dict[str, Any]:
    """Return measures over time, a line for each of the largest groups."""
    question = Grouped(
        parse_measures(ask.values["metrics"]),
        parse_keys(ask.values["by"] or ""),
        ask.where,
        top=ask.values["top"],
    )
    return chart_json(time_chart(ask.snapshot.source, question, _width(ask), ask.values["time"]))


def level(ask: Ask) -> dict[str, Any]:
    """Return how many sessions are in a state over time."""
    chart = level_chart(ask.snapshot.source, LEVELS[ask.values["name"]], ask.where, _width(ask))
    return chart_json(chart)


def spread(ask: Ask) -> dict[str, Any]:
    """Return how a quantity is spread over sessions."""
    metric = quantity(ask.values["metric"])
    keys = parse_keys(ask.values["by"] or "")
    if len(keys) > 1:
        raise BadParameterError("by", "by: one key at most here")
    where = base_filter(ask.where, strays=False)
    key = keys[0] if keys else None
    return distribution_json(distribution(ask.snapshot.source, metric, where, key, ask.values["top"], FINE))


def quantity(name: str) -> Metric:
    """Return the metric of a name, if its values can be spread over buckets.

    Raises:
        BadParameterError: It is no quantity.
    """
    metric = METRICS.get(name)
    if metric is None or metric.kind not in _SPREAD:
        near = nearest(name, [m.name for m in METRICS.values() if m.kind in _SPREAD])
        raise BadParameterError(
            "metric", f"metric: {name[:80]!r} is no duration, size or number; {near or 'ct'} is one"
        )
    return metric


def chart_json(chart: TimeChart) -> dict[str, Any]:
    """Return lines over time as columns."""
    return {
        "starts_ns": list(chart.starts),
        "width_ns": chart.width_ns,
        "total": chart.total,
        "series": [
            {
                "name": line.name,
                "metric": line.measure.name,
                "unit": unit_of(line.measure),
                "percent": line.measure.percent,
                "values": [plain_value(value) for value in line.values],
            }
            for line in chart.series
        ],
    }


def distribution_json(found: Distribution) -> dict[str, Any]:
    """Return a distribution as counts for each bucket; the last count is above the last edge."""
    unit = {Kind.duration: "ns", Kind.size: "bytes"}.get(found.kind, "count")
    return {"quantity": found.name, "unit": unit, "up_to": list(found.edges), "counts": found.counts}


def _width(ask: Ask) -> int:
    every: int | None = ask.values["every"]
    return every or nice_width(*ask.span)


ENDPOINTS = (
    Endpoint(
        "/table",
        "Metrics of sessions by keys, the largest groups first, with the others and the total",
        table,
        (
            *WHICH,
            _METRICS,
            _BY,
            Param("having", "text", "Only groups whose sums pass a filter.", "", example="rst.srv > 10"),
            Param("sort", "text", "A metric or key; `+` before it for smallest first.", ""),
            Param("top", "whole", "Groups to list.", 20, low=1, high=10_000),
            Param("every", "duration", "Width of the buckets of a key `time`."),
            Param("strays", "flag", "Lone packets too, which are no sessions.", False),
        ),
    ),
    Endpoint(
        "/series",
        "Metrics over time",
        series,
        (*WHICH, _METRICS, _BY, _EVERY, _TIME, Param("top", "whole", "Groups apart.", 8, low=1, high=50)),
    ),
    Endpoint(
        "/level",
        "How many sessions are in a state over time",
        level,
        (*WHICH, Param("name", "text", "The state.", "half_closed_now", choices=tuple(LEVELS)), _EVERY),
    ),
    Endpoint(
        "/distribution",
        "How a duration, size or number is spread over sessions",
        spread,
        (
            *WHICH,
            Param("metric", "text", "The quantity.", "ct", example="half_closed"),
            _BY,
            Param("top", "whole", "Values of the key apart.", 6, low=1, high=50),
        ),
    ),
)

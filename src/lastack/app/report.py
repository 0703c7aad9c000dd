"""Gathers everything that the report shows, by questions to one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lastack.app.grouped import Source
from lastack.app.profiles import load_profile, profile_names
from lastack.app.series import distribution, level_chart, time_chart
from lastack.diagnosis.explain import explain
from lastack.model.enums import Cause
from lastack.query.ast import Comparison, Node, Span
from lastack.query.columns import enum_codes
from lastack.query.compare import standing_out
from lastack.query.emit import base_filter
from lastack.query.keys import Key, parse_keys
from lastack.query.levels import LEVELS
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS
from lastack.query.questions import FINE, Grouped, GroupedAnswer, Sort, parse_having
from lastack.query.series import TimeChart, all_of, key_filter
from lastack.query.survey import COLUMNS, Survey
from lastack.store.place import shown
from lastack.view.reportdata import CauseGroup, Example, ReportData

_SHARES = "failed_share,cut_share,syn/attempt,rst.clt/connection,rst.srv/connection"
_ENDS = f"sessions,attempts,{_SHARES},avg(ct),harmed,bytes"
#: Boxes whose half-closed timers are drawn into the distribution, as people meet them most.
_BOXES = (
    "gcp_cloud_nat",
    "linux_conntrack",
    "panos",
    "azure_load_balancer",
    "aws_nlb",
    "cisco_asa",
    "checkpoint",
)
_TOP = 10
_MOST = 10_000  # groups that are looked at for harm
_EXAMPLES = 2


def gather(
    source: Source,
    inputs: Sequence[str],
    where: Node | None = None,
    text: str = "",
    every_ns: int | None = None,
) -> ReportData:
    """Return what a report on some sessions shows.

    Args:
        source: The sessions.
        inputs: What was read, as the user named it.
        where: Sessions that the report is about.
        text: The same as the user wrote it.
        every_ns: Width of the buckets of the time charts, None for one that suits the span.
    """
    survey = Survey()
    for batch in source.scan(where, COLUMNS):
        survey.add(batch)

    def chart(metrics: str, by: str = "", time: str = "time") -> TimeChart:
        question = Grouped(parse_measures(metrics), parse_keys(by), where, top=_TOP)
        return time_chart(source, question, every_ns, time)

    return ReportData(
        inputs=tuple(map(shown, inputs)),
        where=text,
        run=source.run,
        overview=survey.overview(source.run.last_ns, _TOP),
        endings=chart("sessions", "ending", "end_time"),
        failures=chart("refused,unanswered,half_open,aborted"),
        resets=chart("rst.clt,rst.srv"),
        half_closed=level_chart(source, LEVELS["half_closed_now"], where, every_ns),
        tables=_tables(source, where),
        causes=_causes(source, where),
        times={
            name: distribution(source, METRICS[name], where, digits=FINE)
            for name in ("ct", "half_closed", "idle_before_close")
        },
        timers=_timers(),
        notes=list(source.notes),
    )


def _timers() -> dict[str, int]:
    timers = {name: load_profile(name).half_closed() for name in _BOXES if name in profile_names()}
    return {name: timer.ns for name, timer in timers.items() if timer is not None and timer.ns is not None}


def _tables(source: Source, where: Node | None) -> dict[str, GroupedAnswer]:
    """Return the lists that have something to say: one application, or no zone, is no list."""
    measures = parse_measures(_ENDS)
    found: dict[str, GroupedAnswer] = {}
    for one, keys in (("services", "service"), ("clients", "client")):
        by = parse_keys(keys)
        found[f"Busiest {one}"] = source.grouped(Grouped(measures, by, where, top=_TOP))
        title, harmed = _harmed(source, by, where)
        found[f"{one.capitalize()} {title}"] = source.grouped(
            Grouped(measures, by, where, harmed, sort=Sort("harmed"), top=_TOP)
        )
    for title, keys in (("Applications", "app"), ("Zones", "zones")):
        answer = source.grouped(Grouped(measures, parse_keys(keys), where, top=_TOP))
        if answer.groups > 1:
            found[title] = answer
    return {title: answer for title, answer in found.items() if answer.rows}


def _harmed(source: Source, keys: tuple[Key, ...], where: Node | None) -> tuple[str, Node | None]:
    """Return the groups to list for their harm, as a filter on groups, and what they have in common.

    Where many took harm, the largest ones always did; those are listed that took more than the others' rate explains.
    """
    measures = parse_measures("harmed,sessions")
    having, _ = parse_having("harmed > 0", measures, keys)
    answer = source.grouped(Grouped(measures, keys, where, having, top=_MOST))
    outstanding = standing_out(answer, "harmed", "sessions")[:_TOP] if len(answer.rows) > _TOP else []
    if not outstanding:
        return "whose sessions took harm", having
    columns = [replace(key, metric=key.column) for key in keys]
    return "that take more harm than the others", key_filter(columns, outstanding)


def _causes(source: Source, where: Node | None) -> list[CauseGroup]:
    """Return every cause with its first sessions as examples."""
    question = Grouped(parse_measures("sessions,harmed"), parse_keys("cause"), where)
    rows = source.grouped(question).rows
    wanted = _first(source, where, {row.keys[0]: min(_EXAMPLES, row.values["sessions"]) for row in rows})
    kept = _rows(source, [place for places in wanted.values() for place in places])
    groups = []
    for row in rows:
        cause = row.keys[0]
        examples = [Example(kept[place], explain(kept[place])) for place in wanted[cause] if place in kept]
        groups.append(CauseGroup(cause, row.values["sessions"], row.values["harmed"], tuple(examples)))
    return sorted(groups, key=lambda group: (group.harmed == 0, -group.sessions))


def _first(source: Source, where: Node | None, needed: dict[str, int]) -> dict[str, list[tuple[int, int]]]:
    """Return id and start of the first sessions of each cause, reading no further than needed."""
    found: dict[str, list[tuple[int, int]]] = {cause: [] for cause in needed}
    columns = ("cause", "session_id", "start_ns")
    for batch in source.scan(base_filter(where, strays=False), columns):
        missing = {cause for cause, places in found.items() if len(places) < needed[cause]}
        if not missing:
            break
        codes = enum_codes(batch, "cause")
        for cause in missing:
            for row in np.flatnonzero(codes == Cause[cause])[: needed[cause] - len(found[cause])]:
                number, start = (batch.column(name)[int(row)].as_py() for name in columns[1:])
                found[cause].append((number, start))
    return found


def _rows(source: Source, places: list[tuple[int, int]]) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the rows of some sessions; their starts let the engine pass over most of a dataset."""
    if not places:
        return {}
    numbers, starts = zip(*places, strict=True)
    node = all_of(_one_of("start", starts), _one_of("session_id", numbers))
    batches = source.scan(node)
    return {(row["session_id"], row["start_ns"]): row for batch in batches for row in batch.to_pylist()}


def _one_of(name: str, values: Sequence[int]) -> Node:
    return Comparison(METRICS[name], "in", tuple(Span(value, value) for value in sorted(set(values))))

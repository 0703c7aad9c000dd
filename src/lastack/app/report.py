"""Gathers everything that the report shows, by questions to one source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lastack.app.grouped import Source
from lastack.app.profiles import load_profile, profile_names
from lastack.app.series import distribution, level_chart, time_chart
from lastack.diagnosis.explain import explain
from lastack.query.ast import Comparison, Node, Span
from lastack.query.keys import parse_keys
from lastack.query.levels import LEVELS
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS
from lastack.query.questions import FINE, Grouped, GroupedAnswer, parse_having, parse_sort
from lastack.query.series import TimeChart, all_of, none_of
from lastack.query.survey import COLUMNS, Survey
from lastack.store.dataset import scan_datasets
from lastack.view.reportdata import CauseGroup, Example, ReportData

_SHARES = "failed_share,cut_share,syn/attempt,rst.clt/connection,rst.srv/connection"
_ENDS = f"sessions,attempts,{_SHARES},p50(ct),harmed,bytes"
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
    for batch in scan_datasets(source.datasets, where, COLUMNS):
        survey.add(batch)

    def chart(metrics: str, by: str = "", time: str = "time") -> TimeChart:
        question = Grouped(parse_measures(metrics), parse_keys(by), where, top=_TOP)
        return time_chart(source, question, every_ns, time)

    return ReportData(
        inputs=tuple(inputs),
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
    found: dict[str, GroupedAnswer] = {}
    for title, keys, sort, having in (
        ("Busiest services", "service", "sessions", ""),
        ("Services whose sessions took harm", "service", "harmed", "harmed > 0"),
        ("Busiest clients", "client", "sessions", ""),
        ("Clients whose sessions took harm", "client", "harmed", "harmed > 0"),
        ("Applications", "app", "sessions", ""),
        ("Zones", "zones", "sessions", ""),
    ):
        measures, by = parse_measures(_ENDS), parse_keys(keys)
        node, more = parse_having(having, measures, by)
        order, _ = parse_sort(sort, measures, by)
        answer = source.grouped(Grouped(measures, by, where, node, more, order, _TOP))
        if answer.rows and (answer.groups > 1 or keys in ("service", "client")):
            found[title] = answer
    return found


def _causes(source: Source, where: Node | None) -> list[CauseGroup]:
    question = Grouped(parse_measures("sessions,harmed,example"), parse_keys("cause"), where)
    rows = source.grouped(question).rows
    wanted: dict[str, list[int]] = {row.keys[0]: [row.values["example"]] for row in rows}
    for _ in range(_EXAMPLES - 1):
        seen = tuple(Span(number, number) for numbers in wanted.values() for number in numbers)
        if not seen:
            break
        other = none_of(Comparison(METRICS["session_id"], "in", seen))
        again = source.grouped(replace(question, where=all_of(where, other)))
        for row in again.rows:
            wanted[row.keys[0]].append(row.values["example"])
    kept = _rows(source, [number for numbers in wanted.values() for number in numbers])
    groups = [
        CauseGroup(
            row.keys[0],
            row.values["sessions"],
            row.values["harmed"],
            tuple(Example(kept[n], explain(kept[n])) for n in wanted[row.keys[0]] if n in kept),
        )
        for row in rows
    ]
    return sorted(groups, key=lambda group: (group.harmed == 0, -group.sessions))


def _rows(source: Source, numbers: list[int]) -> dict[int, dict[str, Any]]:
    """Return the rows of some sessions by their ids."""
    if not numbers:
        return {}
    node = Comparison(METRICS["session_id"], "in", tuple(Span(number, number) for number in numbers))
    batches = scan_datasets(source.datasets, node)
    return {row["session_id"]: row for batch in batches for row in batch.to_pylist()}

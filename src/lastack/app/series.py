"""Makes the numbers of charts: measures over time, for the largest groups and the others, and distributions."""

from __future__ import annotations

import dataclasses
from typing import Any

from lastack.app.grouped import Source
from lastack.model.errors import UsageError
from lastack.model.units import format_duration
from lastack.query.ast import Node
from lastack.query.keys import Key, time_key
from lastack.query.levels import Level, running
from lastack.query.measure_text import parse_measures
from lastack.query.measures import Measure
from lastack.query.metrics import Kind, Metric
from lastack.query.parse import parse_filter
from lastack.query.questions import Grouped, GroupedRow, Histogram, log_edges
from lastack.query.series import (
    MOST_BUCKETS,
    Distribution,
    Series,
    TimeChart,
    all_of,
    filled,
    key_filter,
    line,
    nice_width,
    none_of,
)
from lastack.view.quantities import keys_cells

_OTHERS = "others"


def time_chart(
    source: Source, question: Grouped, every_ns: int | None = None, time: str = "time"
) -> TimeChart:
    """Return the measures of a question over time.

    Args:
        source: The sessions.
        question: Its measures; with keys, a line for each of its first `top` groups and one for the others. Its keys
            are none of time.
        every_ns: Width of the buckets, None for one that suits the span.
        time: The time that counts, one of `query.keys.TIMES`.
    """
    width = every_ns or nice_width(source.run.first_ns, source.run.last_ns)
    bucket = time_key(width, time)
    if not question.keys:
        found = _by_time(source, question, bucket, question.where)
        lines = [found.get((), {measure.name: {} for measure in question.measures})]
        starts = filled(list(lines[0].values()), width)
        series = [line(m.name, m, lines[0][m.name], starts) for m in question.measures]
        return TimeChart(starts, width, tuple(series), len(series) == 1 and series[0].measure.adds_up)
    ranked = source.grouped(question)
    groups = [row.keys for row in ranked.rows]
    if not groups:
        return TimeChart((), width, ())
    among = key_filter(question.keys, groups)
    # Where every group is shown, a filter that every session passes would only cost time.
    chosen = question.where if ranked.others is None else all_of(question.where, among)
    by_group = _by_time(source, question, bucket, chosen, len(groups))
    rest: dict[str, dict[int, Any]] = {}
    if ranked.others is not None:
        plain = dataclasses.replace(question, keys=())
        rest = _by_time(source, plain, bucket, all_of(question.where, none_of(among))).get((), {})
    starts = filled([values for found in [*by_group.values(), rest] for values in found.values()], width)
    series = []
    for measure in question.measures:
        for group in groups:
            name = _name(question, group, measure)
            series.append(line(name, measure, by_group.get(group, {}).get(measure.name, {}), starts))
        if rest:
            name = _OTHERS if len(question.measures) == 1 else f"{measure.name} {_OTHERS}"
            series.append(line(name, measure, rest[measure.name], starts))
    return TimeChart(
        starts, width, tuple(series), len(question.measures) == 1 and question.measures[0].adds_up
    )


def level_chart(
    source: Source, level: Level, where: Node | None = None, every_ns: int | None = None, strays: bool = False
) -> TimeChart:
    """Return how many sessions are in a state over time.

    Args:
        source: The sessions.
        level: The state.
        where: Sessions that are looked at.
        every_ns: Width of the buckets, None for one that suits the span.
        strays: Look at lone packets too.
    """
    width = every_ns or nice_width(source.run.first_ns, source.run.last_ns)
    (sessions,) = parse_measures("sessions")
    inside = all_of(parse_filter(level.where), where)

    def counted(time: Metric, chosen: Node | None) -> dict[int, int]:
        question = Grouped((sessions,), (Key("moment", time, width),), chosen, strays=strays)
        return {row.keys[0]: row.values["sessions"] for row in _few(source, question, width, 1)}

    begun, ended = counted(level.begin, inside), counted(level.end, all_of(parse_filter(level.ended), inside))
    starts = filled([begun, ended], width)
    values = tuple(running(begun, ended, starts))
    return TimeChart(starts, width, (Series(level.name, level.measure, values),))


def distribution(
    source: Source,
    metric: Metric,
    where: Node | None = None,
    key: Key | None = None,
    top: int = 5,
    digits: tuple[int, ...] = (1, 2, 5),
) -> Distribution:
    """Return how a duration, size or number is spread over sessions, in buckets that grow by a factor.

    Args:
        source: The sessions.
        metric: The quantity; sessions for which it is unknown are left out.
        where: Sessions that are looked at.
        key: Apart for each of its values, the most frequent ones.
        top: Values of the key that are shown apart.
        digits: Where the edges are in each power of ten.
    """
    # 0 has a bucket of its own: many durations and sizes are nothing at all, and logarithms know no zero.
    edges = (0, *log_edges(1, 5 * 10**17 if metric.kind is Kind.duration else 10**15, digits))
    rows = source.histogram(Histogram(metric, edges, where, key))
    rows.sort(key=lambda row: -sum(row[1]))
    counts = {_text(key, value): tuple(numbers) for value, numbers in rows[:top]}
    if rows[top:]:
        counts[_OTHERS] = tuple(map(sum, zip(*(numbers for _, numbers in rows[top:]), strict=True)))
    return (
        Distribution(metric.name, metric.kind, edges, counts).trimmed()
        if counts
        else Distribution(metric.name, metric.kind, (), {})
    )


def _by_time(
    source: Source, question: Grouped, bucket: Key, where: Node | None, groups: int = 1
) -> dict[tuple[Any, ...], dict[str, dict[int, Any]]]:
    """Return group -> measure -> start of bucket -> value; of so many groups at most."""
    asked = Grouped(question.measures, (bucket, *question.keys), where, strays=question.strays)
    found: dict[tuple[Any, ...], dict[str, dict[int, Any]]] = {}
    for row in _few(source, asked, bucket.width_ns or 1, groups):
        start, *group = row.keys
        lines = found.setdefault(tuple(group), {measure.name: {} for measure in question.measures})
        for name, value in row.values.items():
            lines[name][start] = value
    return found


def _few(source: Source, question: Grouped, width_ns: int, groups: int) -> list[GroupedRow]:
    """Return the rows of a question by time, of so many groups at most.

    Raises:
        UsageError: There are more buckets than a chart can have; they are not read.
    """
    answer = source.grouped(dataclasses.replace(question, top=MOST_BUCKETS * groups))
    if answer.groups > len(answer.rows):
        raise UsageError(
            f"graph: more than {MOST_BUCKETS:,} buckets of {format_duration(width_ns)} with sessions in them; give a "
            "larger --every, or a filter such as -f 'start > 2026-01-31'"
        )
    return answer.rows


def _name(question: Grouped, group: tuple[Any, ...], measure: Measure) -> str:
    text = " → ".join(text for _, text in keys_cells(question.keys, group))
    return text if len(question.measures) == 1 else f"{measure.name} {text}"


def _text(key: Key | None, value: Any) -> str:
    return "sessions" if key is None else keys_cells((key,), (value,))[0][1]

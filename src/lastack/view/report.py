"""The report as one HTML page: everything inline, no script, readable in the dark, on paper and offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lastack import __version__
from lastack.model.units import format_duration
from lastack.query.measures import Measure
from lastack.query.overview import FAILURES, Ledger
from lastack.query.quantiles import Percentiles
from lastack.query.questions import GroupedAnswer, GroupedRow
from lastack.query.series import TimeChart
from lastack.view.cells import count, endpoint, instant, plural, share, words
from lastack.view.findings import findings_of
from lastack.view.grouped import title_lines
from lastack.view.overview import ENDINGS, OPENINGS
from lastack.view.quantities import keys_cells, measure_cell, width_text
from lastack.view.reportdata import CauseGroup, ReportData
from lastack.view.svg import distribution_bars, time_bars

#: Ending -> class of its colour, in the order in which they are stacked: the good ones at the bottom.
_ENDING_CLASSES = {
    "closed": "good", "closed_rst": "fine", "open": "idle", "half_closed": "half", "fin_rst": "warn", "rst": "bad",
    "vanished": "lost", "never_opened": "failed",
}  # fmt: skip
_OPENING_CLASSES = {
    "established": "good", "refused": "bad", "refused_icmp": "warn", "unanswered": "failed", "half_open": "half",
    "aborted": "lost", "pending": "idle",
}  # fmt: skip
#: Shares from which a cell is marked.
_ALARMING = 0.2
#: Distribution -> its title, and what it is.
_SPREADS = {
    "ct": ("Handshake time", "first SYN to the ACK that completes the handshake"),
    "half_closed": (
        "Half-closed time",
        "first FIN to second FIN, first RST or last packet; a line is where such a box forgets it by default",
    ),
    "idle_before_close": (
        "Silence before the end",
        "just before the first FIN or RST; a peak at a round number is often a timer",
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a whole, as a bar of parts and its legend show it."""

    name: str
    number: int
    share: str
    percent: float
    css: str
    meaning: str


def render_report(data: ReportData, title: str = "") -> str:
    """Return the page.

    Args:
        data: What it shows.
        title: Its title, by default the names of the inputs.
    """
    environment = Environment(
        loader=PackageLoader("lastack.view"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    overview, run = data.overview, data.run
    page = environment.get_template("report.html.j2")
    return page.render(
        title=title or ", ".join(data.inputs),
        version=__version__,
        data=data,
        span=_span(data),
        cards=_cards(data),
        findings=findings_of(overview),
        openings=_openings(overview.ledger),
        endings=_endings(overview.ledger),
        ledger=overview.ledger,
        packets=_packets(data),
        charts=_charts(data),
        tables={name: _table(answer) for name, answer in data.tables.items()},
        causes=[_cause(group, overview.ledger.sessions) for group in data.causes],
        times=_times(data),
        waiting=_waiting(data),
        observed=_observed(data),
        problems=[*data.notes, *(p for p in run.problems if p not in data.notes)],
        command=f"lastack sessions {data.inputs[0]} -f FILTER" if len(data.inputs) == 1 else "",
        plural=plural,
        count=count,
    )


def _span(data: ReportData) -> str:
    first, last = data.run.first_ns, data.run.last_ns
    if first is None or last is None:
        return "nothing was captured"
    return f"{instant(first, digits=0)} to {instant(last, digits=0)} UTC, {format_duration(last - first)}"


def _cards(data: ReportData) -> list[dict[str, str]]:
    ledger, overview = data.overview.ledger, data.overview
    failed = ledger.attempts - ledger.established
    running = ledger.established + sum(ledger.midstream.values())
    cut = sum(ledger.endings.get(name, 0) + ledger.midstream.get(name, 0) for name in ("rst", "fin_rst"))
    harmed = sum(n for name, n in overview.harms.items() if name not in ("none", "unknown"))
    handshake = overview.handshakes.get("ct_ns", Percentiles())
    waits = overview.half_closed.ages.count

    def card(name: str, number: str, aside: str, alert: int = 0) -> dict[str, str]:
        return {"name": name, "number": number, "aside": aside, "css": "alert" if alert else ""}

    return [
        card("sessions", count(ledger.sessions), plural(ledger.attempts, "attempt")),
        card(
            "did not open",
            share(failed, ledger.attempts),
            f"{failed:,} of {ledger.attempts:,} attempts",
            failed,
        ),
        card("ended by a RST", share(cut, running), f"{cut:,} of {running:,} established"),
        card("took harm", share(harmed, ledger.sessions), plural(harmed, "session"), harmed),
        card("still half-closed", count(waits), "when the capture ends"),
        card("handshake, median", _time(handshake.p50), f"99 % within {_time(handshake.p99)}"),
    ]


def _openings(ledger: Ledger) -> list[Part]:
    numbers = {"established": ledger.established, **{name: ledger.failures.get(name, 0) for name in FAILURES}}
    return _parts(numbers, ledger.attempts, _OPENING_CLASSES, OPENINGS, ledger.residual)


def _endings(ledger: Ledger) -> list[Part]:
    numbers = {name: ledger.endings.get(name, 0) + ledger.midstream.get(name, 0) for name in _ENDING_CLASSES}
    whole = ledger.established + sum(ledger.midstream.values())
    return _parts(numbers, whole, _ENDING_CLASSES, ENDINGS, ledger.ending_residual)


def _parts(
    numbers: dict[str, int], whole: int, classes: dict[str, str], meanings: dict[str, str], residual: int
) -> list[Part]:
    parts = [
        Part(words(name), n, share(n, whole), 100 * n / whole, classes[name], meanings.get(name, ""))
        for name, n in numbers.items()
        if n
    ]
    if residual:
        percent = 100 * abs(residual) / max(1, whole)
        parts.append(
            Part(
                "residual",
                residual,
                share(residual, whole),
                percent,
                "lost",
                "in none of these: please report this",
            )
        )
    return parts


def _packets(data: ReportData) -> str:
    run = data.run
    parts = [f"{run.segments:,} in sessions"]
    parts += [f"{run.stray:,} stray"] if run.stray else []
    parts += [f"{n:,} {words(name)}" for name, n in sorted(run.drops.items(), key=lambda kv: -kv[1])]
    if run.duplicates:
        parts.append(f"{run.duplicates:,} seen by two sensors, left out")
    return f"{plural(run.packets, 'packet')} = {' + '.join(parts)}"


def _charts(data: ReportData) -> list[dict[str, Any]]:
    ranks = list(_ENDING_CLASSES)
    ordered = sorted(
        data.endings.series, key=lambda s: ranks.index(s.name) if s.name in ranks else len(ranks)
    )
    endings = TimeChart(data.endings.starts, data.endings.width_ns, tuple(ordered))
    every = f", every {width_text(data.endings.width_ns)}"
    ended = [_ENDING_CLASSES.get(line.name, "idle") for line in ordered]
    failed = [_OPENING_CLASSES.get(line.name, "bad") for line in data.failures.series]
    sides = ["clt", "srv"]
    first, last = f"by the time of their first packet{every}", f"by the time of their last packet{every}"
    sent = f"packets, by who sent them and when their session began{every}"
    waiting = f"one end has closed, the other has not; at the end of each bucket{every}"
    return [
        _chart("How sessions ended, over time", f"sessions {last}", endings, ended, 260),
        _chart("Attempts that failed, over time", f"attempts {first}", data.failures, failed, 170),
        _chart("RSTs over time", sent, data.resets, sides, 170),
        _chart("Half-closed sessions", waiting, data.half_closed, ["half"], 150),
    ]


def _chart(title: str, aside: str, chart: TimeChart, classes: list[str], height: int) -> dict[str, Any]:
    names = {"rst.clt": "client", "rst.srv": "server", "half_closed_now": "half-closed"}
    legend = [
        {"name": words(names.get(series.name, series.name)), "css": css}
        for series, css in zip(chart.series, classes, strict=True)
        if any(series.values)
    ]
    drawn = bool(legend)
    return {
        "title": title,
        "aside": aside,
        "legend": legend,
        "svg": Markup(time_bars(chart, classes, title, height)) if drawn else "",
    }


def _table(answer: GroupedAnswer) -> dict[str, Any]:
    measures = answer.question.measures
    drawn = answer.question.order.name
    largest = max((row.values[drawn] or 0 for row in answer.rows), default=0) or 1

    def cells(row: GroupedRow) -> list[dict[str, Any]]:
        return [_cell(measure, row.values[measure.name]) for measure in measures]

    rows = [
        {
            "keys": [text for _, text in keys_cells(answer.question.keys, row.keys)],
            "cells": cells(row),
            "bar": 100 * (row.values[drawn] or 0) / largest,
        }
        for row in answer.rows
    ]
    blank: Any = tuple(
        bytes(16) if key.metric.columns[0].endswith("_ip") else 0 for key in answer.question.keys
    )
    return {
        "titles": [title for title, _ in keys_cells(answer.question.keys, blank)],
        "heads": [{"lines": [line for line in title_lines(m) if line], "help": m.help} for m in measures],
        "rows": rows,
        "others": cells(answer.others) if answer.others is not None else None,
        "total": cells(answer.total),
        "groups": answer.groups,
    }


def _cell(measure: Measure, value: Any) -> dict[str, Any]:
    alarming = measure.name in ("failed_share", "cut_share") and value is not None and value >= _ALARMING
    return {"text": measure_cell(measure, value), "alarm": alarming}


def _cause(group: CauseGroup, sessions: int) -> dict[str, Any]:
    examples = []
    for example in group.examples:
        row, verdict = example.row, example.verdict
        examples.append(
            {
                "ends": " → ".join(
                    endpoint(row[f"{end}_ip"], row[f"{end}_port"]) for end in ("client", "server")
                ),
                "id": row["session_id"],
                "when": instant(row["start_ns"], digits=3),
                "lasted": format_duration(max(0, row["end_ns"] - row["start_ns"])),
                "sentence": verdict.sentence[:1].upper() + verdict.sentence[1:],
                "confidence": f"{100 * verdict.confidence:.0f} %",
                "proof": [
                    {
                        "packet": f"packet {fact.packet}" if fact.packet else "",
                        "at": f"+{format_duration(fact.time_ns - row['start_ns'])}"
                        if fact.time_ns is not None and fact.time_ns >= row["start_ns"]
                        else "",
                        "shows": fact.shows,
                    }
                    for fact in verdict.proof
                ],
                "advice": verdict.advice,
            }
        )
    title = group.examples[0].verdict.title if group.examples else words(group.cause)
    return {
        "cause": group.cause,
        "title": title[:1].upper() + title[1:],
        "sessions": group.sessions,
        "share": share(group.sessions, sessions),
        "harmed": group.harmed,
        "examples": examples,
    }


def _times(data: ReportData) -> list[dict[str, Any]]:
    found = []
    for name, spread in data.times.items():
        title, aside = _SPREADS[name]
        marks = _marks(data.timers) if name == "half_closed" else {}
        known = sum(sum(counts) for counts in spread.counts.values())
        if known:
            svg = Markup(distribution_bars(spread, title, marks))
            found.append({"title": title, "aside": aside, "sessions": known, "svg": svg})
    return found


def _marks(timers: dict[str, int]) -> dict[str, int]:
    """Return one line for each length, with the boxes that have it."""
    named: dict[int, list[str]] = {}
    for name, ns in sorted(timers.items(), key=lambda item: item[1]):
        named.setdefault(ns, []).append(name.replace("_", " "))
    return {f"{format_duration(ns)}: {', '.join(names)}": ns for ns, names in named.items()}


def _waiting(data: ReportData) -> list[dict[str, Any]]:
    found = []
    for name, waiting in (("half-closed", data.overview.half_closed), ("half-open", data.overview.half_open)):
        for row in waiting.oldest:
            found.append(
                {
                    "what": name,
                    "age": format_duration(row["age_ns"]),
                    "client": f"{row['client_ip']}:{row['client_port']}",
                    "server": f"{row['server_ip']}:{row['server_port']}",
                    "id": row["session_id"],
                }
            )
    return found


def _observed(data: ReportData) -> list[Part]:
    seen = data.overview.observed
    whole = sum(seen.values())
    classes = {
        "complete": "good",
        "end_missing": "fine",
        "start_missing": "idle",
        "lossy": "warn",
        "one_way": "half",
        "evicted": "lost",
    }
    meanings = {
        "complete": "first to last packet seen", "end_missing": "the capture ended before they did",
        "start_missing": "already running when first seen", "lossy": "packets are missing from the capture",
        "one_way": "only one direction was seen", "evicted": "left the table early, as it was full",
    }  # fmt: skip
    return _parts({name: seen.get(name, 0) for name in classes}, whole, classes, meanings, 0)


def _time(ns: int | None) -> str:
    return "-" if ns is None else format_duration(ns)

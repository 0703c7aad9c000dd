"""What became of generated flows: a table with a summary, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from lastack.lab.traffic import FlowReport, Summary, summarise
from lastack.model.units import format_duration, format_size
from lastack.view.page import Page

_HEAD = ("flow", "close", "opened", "up", "down", "first FIN", "last byte", "after FIN", "closed", "outcome")


def render_flows(reports: Sequence[FlowReport], limit: int | None = 20, page: Page | None = None) -> str:
    """Return a table of flows and a summary for each way of closing.

    Args:
        reports: The flows.
        limit: Most flows in the table, None for all; the summary has all.
        page: Where to write it; for the terminal by default.
    """
    page = page or Page()
    shown = reports if limit is None else reports[:limit]
    page.grid([_row(report) for report in shown], "rlrrrlrrrt", _HEAD)
    if len(shown) < len(reports):
        page.line(f"  … and {len(reports) - len(shown):,} flows more (--all, or --format csv)")
    page.line()
    for summary in summarise(reports):
        page.say(_sentence(summary), indent="", hang="  ")
    return page.text()


def _row(report: FlowReport) -> tuple[str, ...]:
    found = report.finding()
    begun, opened = report.near.begun_ns, report.near.opened_ns
    fin = f"{found.first_fin_by} {_time(found.first_fin_ns)}" if found.first_fin_by else "-"
    outcome = found.outcome
    if found.outcome in ("refused", "not closed") and found.detail:
        outcome += f": {found.detail}"
    return (
        str(report.flow),
        report.plan.close,
        "-" if begun is None or opened is None else format_duration(opened - begun),
        _amount(report.far.received, report.plan.up_bytes),
        _amount(report.near.received, report.plan.down_bytes),
        fin,
        _time(found.last_byte_ns),
        _time(found.after_fin_ns),
        _time(found.done_ns),
        outcome,
    )


def _amount(got: int, planned: int) -> str:
    if not planned:
        return "-"
    return format_size(got) if got == planned else f"{format_size(got)}/{format_size(planned)}"


def _time(ns: int | None) -> str:
    return "-" if ns is None else format_duration(ns)


def _sentence(summary: Summary) -> str:
    outcomes = ", ".join(f"{count:,} {name}" for name, count in summary.outcomes.items())
    noun = "flow" if summary.flows == 1 else "flows"
    text = f"{summary.close}: {summary.flows:,} {noun}, {outcomes}"
    if summary.stopped_after_fin_ns is not None:
        least, middle, most = (format_duration(ns) for ns in summary.stopped_after_fin_ns)
        when = least if least == most else f"{least} to {most}, median {middle}"
        text += f"; the last byte came {when} after the first FIN"
    if summary.bytes_received != summary.bytes_planned:
        text += f"; {format_size(summary.bytes_received)} of {format_size(summary.bytes_planned)} arrived"
    else:
        text += f"; all {format_size(summary.bytes_planned)} arrived"
    return text


def flows_csv(reports: Sequence[FlowReport]) -> str:
    """Return one line a flow with every step of both ends; times in ns since the flow began, absent is empty."""
    out = io.StringIO()
    rows = [report.row() for report in reports]
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flows_json(reports: Sequence[FlowReport], clock_error_ns: int) -> str:
    """Return flows and summaries as JSON.

    Args:
        reports: The flows.
        clock_error_ns: How wrong the far end's times may be.
    """
    summaries = [
        {
            "close": each.close,
            "flows": each.flows,
            "outcomes": each.outcomes,
            "bytes_received": each.bytes_received,
            "bytes_planned": each.bytes_planned,
            "stopped_after_fin_ns": each.stopped_after_fin_ns,
        }
        for each in summarise(reports)
    ]
    facts = {
        "clock_error_ns": clock_error_ns,
        "summaries": summaries,
        "flows": [report.row() for report in reports],
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"

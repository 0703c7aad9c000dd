"""The overview: the ledger, and what stands out."""

from __future__ import annotations

from typing import Any

from lastack.query.keys import parse_keys
from lastack.query.measure_text import parse_measures
from lastack.query.questions import Grouped, Sort
from lastack.query.survey import COLUMNS, Survey
from lastack.view.findings import findings_of
from lastack.view.grouped import to_json
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.ledger import ledger
from lastack.web.params import WHICH

#: Sessions that are looked at one by one for findings; more take longer than a person waits.
_MOST_SURVEYED = 3_000_000
_TIMES = "p50(ct),p90(ct),p99(ct),p50(half_closed),p90(half_closed),p99(half_closed)"
_RESETS = "rst.clt,rst.srv,resets.clt,resets.srv"


def overview(ask: Ask) -> dict[str, Any]:
    """Return the ledger."""
    run = ask.snapshot.run
    return {"first_ns": run.first_ns, "last_ns": run.last_ns, **ledger(ask)}


def times(ask: Ask) -> dict[str, Any]:
    """Return handshake and half-closed times, and RSTs by side."""
    answer = ask.snapshot.source.grouped(
        Grouped(parse_measures(f"sessions,{_TIMES},{_RESETS}"), (), ask.where)
    )
    total: dict[str, Any] = to_json(answer)["total"]
    return total


def findings(ask: Ask) -> dict[str, Any]:
    """Return what stands out, each with the filter that leads to its sessions."""
    (sessions,) = parse_measures("sessions")
    counted = ask.snapshot.source.grouped(Grouped((sessions,), (), ask.where)).total.values["sessions"]
    if counted > _MOST_SURVEYED:
        return {"sessions": counted, "surveyed": False, "findings": _largest(ask)}
    survey = Survey()
    for batch in ask.snapshot.source.scan(ask.where, COLUMNS):
        ask.job.check()
        survey.add(batch)
    found = findings_of(survey.overview(ask.snapshot.run.last_ns))
    return {
        "sessions": counted,
        "surveyed": True,
        "findings": [{"text": f.text, "where": f.where, "weight": f.weight} for f in found],
    }


def _largest(ask: Ask) -> list[dict[str, Any]]:
    """Return the services with most harm, where there are too many sessions to look at each."""
    question = Grouped(
        parse_measures("harmed,sessions"), parse_keys("service"), ask.where, sort=Sort("harmed"), top=5
    )
    found = []
    for row in to_json(ask.snapshot.source.grouped(question))["rows"]:
        address, port = row["server.ip"], row["server.port"]
        where = f"server.ip = {address} and server.port = {port} and harm not in {{none, unknown}}"
        text = f"{row['harmed']:,} of {row['sessions']:,} sessions with {address} port {port} took harm"
        if row["harmed"]:
            found.append({"text": text, "where": where, "weight": row["harmed"]})
    return found


ENDPOINTS = (
    Endpoint("/overview", "The ledger: how sessions opened and ended, each counted once", overview, WHICH),
    Endpoint("/times", "Handshake and half-closed times, RSTs by side", times, WHICH),
    Endpoint("/findings", "What stands out, with filters that lead on", findings, WHICH),
)

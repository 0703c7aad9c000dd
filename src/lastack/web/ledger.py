"""The ledger of sessions by one grouped question, so that it is there at once even for millions of sessions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lastack.query.keys import parse_keys
from lastack.query.measure_text import parse_measures
from lastack.query.overview import FAILURES
from lastack.query.parse import parse_filter
from lastack.query.questions import Grouped
from lastack.query.series import all_of
from lastack.query.waiting import Pending
from lastack.view.overview import ENDINGS, OPENINGS
from lastack.web.endpoint import Ask

#: Way of ending -> class of its colour, the good ones first.
ENDING_CLASSES = {
    "closed": "good", "closed_rst": "fine", "open": "idle", "half_closed": "half", "fin_rst": "warn", "rst": "bad",
    "vanished": "lost", "never_opened": "failed",
}  # fmt: skip
OPENING_CLASSES = {
    "established": "good", "refused": "bad", "refused_icmp": "warn", "unanswered": "failed", "half_open": "half",
    "aborted": "idle", "pending": "fine",
}  # fmt: skip
_CONNECTED = ("established", "simultaneous")
_BESIDE = ("synack_only", "midstream", "stray")
_HARMED = ("open_failed", "data_lost", "close_lost", "stalled")
_RST = ("rst", "fin_rst")


def ledger(ask: Ask) -> dict[str, Any]:
    """Return how sessions opened and ended, each counted once, with what each way means."""
    keys = parse_keys("opening,ending,harm,cause,observed")
    last = ask.snapshot.run.last_ns
    pending_from = (last or 0) - Pending.margin_ns
    source, measures = ask.snapshot.source, parse_measures("sessions")
    answer = source.grouped(Grouped(measures, keys, ask.where))
    # Apart, for the segments know their latest times: only the last ones are read.
    late = parse_filter(f"opening = unanswered and end_ns >= {max(0, pending_from)}")
    pending = int(source.grouped(Grouped(measures, (), all_of(late, ask.where))).total.values["sessions"])
    opened: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    harms: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    harmed_by: Counter[str] = Counter()
    observed: Counter[str] = Counter()
    for row in answer.rows:
        opening, ending, harm, cause, seen = row.keys
        sessions = int(row.values["sessions"])
        opened[opening] += sessions
        if opening in (*_CONNECTED, "midstream"):
            ended[ending] += sessions
        harms[harm] += sessions
        causes[cause] += sessions
        observed[seen] += sessions
        if harm in _HARMED:
            harmed_by[cause] += sessions
    total = sum(opened.values())
    connected = sum(opened[name] for name in _CONNECTED)
    attempts = total - sum(opened[name] for name in _BESIDE)
    failures = {**{name: opened[name] for name in FAILURES if name != "pending"}, "pending": pending}
    failures["unanswered"] -= pending
    running = connected + opened["midstream"]
    openings = {"established": connected, **failures}
    return {
        "sessions": total,
        "attempts": attempts,
        "established": connected,
        "midstream": opened["midstream"],
        "synack_only": opened["synack_only"],
        "failed": attempts - connected,
        "running": running,
        "cut": sum(ended[name] for name in _RST),
        "harmed": sum(harms[name] for name in _HARMED),
        "half_closed": ended["half_closed"],
        "openings": _parts(openings, attempts, OPENING_CLASSES, OPENINGS, "opening"),
        "endings": _parts(dict(ended), running, ENDING_CLASSES, ENDINGS, "ending"),
        "residual": attempts - sum(openings.values()),
        "harms": dict(harms),
        "observed": dict(observed),
        "causes": [
            {"cause": name, "sessions": n, "harmed": harmed_by[name]}
            for name, n in sorted(causes.items(), key=lambda item: (-harmed_by[item[0]], -item[1]))
        ],
    }


def _parts(
    numbers: dict[str, int], whole: int, classes: dict[str, str], meanings: dict[str, str], field: str
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "sessions": numbers.get(name, 0),
            "share": numbers.get(name, 0) / whole if whole else None,
            "css": css,
            "meaning": meanings.get(name, ""),
            "where": _where(field, name),
        }
        for name, css in classes.items()
        if numbers.get(name, 0)
    ]


def _where(field: str, name: str) -> str:
    if field == "opening":
        if name == "established":
            return "opening in {established, simultaneous}"
        return "opening = unanswered" if name == "pending" else f"opening = {name}"
    return f"ending = {name} and opening in {{established, simultaneous, midstream}}"

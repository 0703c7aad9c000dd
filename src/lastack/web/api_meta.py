"""What the server has: its data, the words of its questions, and whether a filter is one."""

from __future__ import annotations

from typing import Any

from lastack import __version__
from lastack.diagnosis.rules import RULES
from lastack.model.fields import FIELDS
from lastack.query.keys import ALIASES, TIMES
from lastack.query.levels import LEVELS
from lastack.query.measure_text import CALLS
from lastack.query.metrics import METRICS, Kind, Shape
from lastack.query.vocabulary import COUNTS, DENOMINATORS, RATES, SHARES
from lastack.view.overview import ENDINGS, OPENINGS
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.params import FILTER

_ENDS = ("client", "server")


def status(ask: Ask) -> dict[str, Any]:
    """Return what is served and which version of it."""
    run = ask.snapshot.run
    return {
        "lastack": __version__,
        "version": ask.snapshot.version,
        "datasets": [
            {"name": name, "sessions": part.rows, "state": part.state, "segments": part.segments}
            for name, part in zip(ask.settings.names, ask.snapshot.parts, strict=True)
        ],
        "sessions": ask.snapshot.rows,
        "growing": ask.snapshot.growing,
        "first_ns": run.first_ns,
        "last_ns": run.last_ns,
        "packets": run.packets,
        "in_sessions": run.segments,
        "stray": run.stray,
        "dropped": dict(run.drops),
        "residual": run.residual,
        "notes": [*ask.snapshot.notes, *run.problems][:50],
    }


def vocabulary(ask: Ask) -> dict[str, Any]:
    """Return every word of filters, metrics and keys."""
    groupable = {Kind.enum, Kind.text, Kind.address, Kind.number}
    keys = [m.name for m in METRICS.values() if m.shape is Shape.column and m.kind in groupable]
    return {
        "filters": [
            {"name": m.name, "kind": m.kind.value, "help": m.help, "values": list(m.vocabulary)}
            for m in METRICS.values()
        ],
        "metrics": [
            *({"name": name, "help": help_} for name, (_, help_) in COUNTS.items()),
            *({"name": name, "help": help_} for name, (_, _, help_) in SHARES.items()),
            *({"name": name, "help": help_} for name, help_ in RATES.items()),
        ],
        "calls": CALLS,
        "per": DENOMINATORS,
        "keys": [*ALIASES, *TIMES, *keys],
        "levels": {name: level.help for name, level in LEVELS.items()},
        "fields": [
            {"name": f.name, "type": f.type, "unit": f.unit, "help": f.help, "nullable": f.nullable}
            for f in FIELDS
        ],
        "causes": [
            {"name": rule.code.name, "title": rule.title, "shape": rule.shape, "limits": rule.limits}
            for rule in RULES
        ],
        "openings": OPENINGS,
        "endings": ENDINGS,
    }


def check(ask: Ask) -> dict[str, Any]:
    """Return that a filter is one; a mistake is answered before this is called."""
    given = ask.values["filter"]
    return {"filter": given[0] if given else "", "good": True}


ENDPOINTS = (
    Endpoint("/status", "The data, its version, and the ledger of its packets", status, cached=False),
    Endpoint("/vocabulary", "Every name that filters, metrics and keys use", vocabulary),
    Endpoint(
        "/filter",
        "Is this a filter?",
        check,
        (FILTER,),
        help="Answers 400 with the place of the mistake and the nearest name if it is none.",
    ),
)

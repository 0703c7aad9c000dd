"""What a firewall's timers would have done to the sessions: curves over a timer, and the sessions that break."""

from __future__ import annotations

from typing import Any

from lastack.app.detail import ends_of, run_detail
from lastack.app.profiles import all_profiles, profile_names
from lastack.app.scenarios import configured, sweep_of
from lastack.app.whatif import run_whatif
from lastack.firewall.policy import effective
from lastack.model.errors import LastackError
from lastack.query.emit import base_filter
from lastack.replay.scenario import Scenario
from lastack.view.whatif_data import broken_record, whatif_json
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.params import WHICH, BadParameterError, Param

_MOST_SETS = 40
_PATIENCE = 10  # every session is played: some minutes for tens of millions
_NAMES = tuple(profile_names())
_PROFILE = Param("profile", "text", "The box.", "panos" if "panos" in _NAMES else _NAMES[0], choices=_NAMES)
_SET = Param("set", "text", "Timers, with commas between.", "", example="half_closed=30s,established=1h")
_APPS = Param(
    "apps", "text", "Timers of applications, with commas between.", "", example="ssh.half_closed=1h"
)


def profiles(ask: Ask) -> dict[str, Any]:
    """Return the boxes that are known, with the timers that can be turned."""
    found = []
    for profile in all_profiles():
        try:
            one = configured(profile.name, config="none")
        except LastackError:  # a host has no table on the path: nothing to ask of it
            continue
        values = effective(one.profile, one.policy)
        found.append(
            {
                "name": profile.name,
                "title": profile.title,
                "timers": [
                    {"name": name, "seconds": None if v.ns is None else v.ns / 1e9}
                    for name, v in values.items()
                ],
            }
        )
    return {"profiles": found}


def whatif(ask: Ask) -> dict[str, Any]:
    """Return broken sessions and table entries, for one setting or over a timer's values."""
    base = _scenario(ask)
    scenarios = [base]
    if ask.values["sweep"]:
        values = ask.values["sweep"].partition("/")[2]
        if values and (not values.isdigit() or int(values) > 200):
            raise BadParameterError("sweep", "sweep: at most 200 values")
        scenarios.append(sweep_of(base, ask.values["sweep"]))
    where = base_filter(ask.where, strays=False)
    return whatif_json(run_whatif(ask.snapshot.source, scenarios, where))


def broken(ask: Ask) -> dict[str, Any]:
    """Return the sessions that a setting breaks."""
    source = ask.snapshot.source
    detail = run_detail(source, _scenario(ask), base_filter(ask.where, strays=False), ask.values["limit"])
    ends = ends_of(source, {one.session_id for one in detail.broken})
    rows = []
    for one in detail.broken:
        row = broken_record(one, ends.get(one.session_id, {}))
        for name in ("session_id", "start_ns", "forgotten_ns"):
            row[name] = None if row.get(name) is None else str(row[name])
        row.pop("sensor", None)
        rows.append(row)
    return {"broken": detail.total, "sessions": detail.sessions, "rows": rows}


def _scenario(ask: Ask) -> Scenario:
    def several(name: str) -> list[str]:
        parts = [part.strip() for part in (ask.values[name] or "").split(",") if part.strip()]
        if len(parts) > _MOST_SETS:
            raise BadParameterError(name, f"{name}: {_MOST_SETS} at most")
        return parts

    return configured(ask.values["profile"], None, several("set"), several("apps"), config="none")


ENDPOINTS = (
    Endpoint("/profiles", "Boxes whose behaviour is known, with their timers", profiles),
    Endpoint(
        "/whatif",
        "What a firewall's timers would have broken, and what its table would have held",
        whatif,
        (
            *WHICH,
            _PROFILE,
            _SET,
            _APPS,
            Param("sweep", "text", "A timer over a range.", "", example="half_closed=5s..1h/25"),
        ),
        patience=_PATIENCE,
    ),
    Endpoint(
        "/whatif/sessions",
        "The sessions that a setting breaks",
        broken,
        (*WHICH, _PROFILE, _SET, _APPS, Param("limit", "whole", "Sessions to list.", 100, low=1, high=1000)),
        patience=_PATIENCE,
    ),
)

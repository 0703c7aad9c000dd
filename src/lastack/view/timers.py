"""Hidden timers for people and programs: what was found, how sure, where, and which known systems have one like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastack.firewall.text import duration_text
from lastack.model.units import format_duration
from lastack.replay.deaths import Kind
from lastack.replay.finder import Found
from lastack.replay.matching import Match
from lastack.store.place import shown
from lastack.view.cells import count, plural
from lastack.view.page import Page

_KINDS = {
    Kind.half_closed: "half-closed timer",
    Kind.idle: "idle timer of established sessions",
    Kind.embryonic: "timer of half-open sessions",
}
_MODES = {
    "idle": "counts silence (idle)",
    "absolute": "counts from the start of the phase, whatever is sent (absolute)",
    "unknown": "may be idle or absolute, the sessions fit both",
}
_EXPIRIES = {
    "silent": "the path then drops packets in silence",
    "rst_on_next": "the next packet is answered with a RST",
    "rst_at_expiry": "a RST is sent when it runs out",
    "mixed": "sometimes silence, sometimes a RST",
}


def render_timers(
    found: Sequence[tuple[Found, Sequence[Match]]],
    deaths: Mapping[Kind, int],
    watched: Mapping[Kind, int],
    source: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        found: Hidden timers and the systems that match.
        deaths: Sessions that died, by kind.
        watched: Sessions that tell anything, by kind.
        source: Inputs as the user named them.
    """
    page = Page()
    page.heading("Hidden timers", f"{plural(len(found), 'timer')} found")
    if not found:
        page.say("None: no length of silence, and no age, above which sessions die as a rule.", style="good")
    for one, matching in found:
        _timer(page, one, matching, source)
    page.heading("What this rests on")
    rows = [
        [_KINDS[kind], count(watched[kind]), count(deaths.get(kind, 0))] for kind in Kind if kind in watched
    ]
    page.grid(rows, "lrr", ["", "sessions that tell something", "of them died"])
    page.say(
        "A timer is claimed only from 5 deaths on, when at most 2 % live beyond it, and when chance would do the "
        "same in less than one of a million searches; docs/explain/timer-finder.md has the statistics.",
        hang="    ",
        style="dim",
    )
    return page.text()


def _timer(page: Page, one: Found, matching: Sequence[Match], source: Sequence[str]) -> None:
    where = "" if one.scope == "all" else f"{one.scope} "
    page.heading(f"{format_duration(one.estimate_ns)} on {where}{one.place}", _KINDS[one.kind])
    step = one.step
    low = format_duration(step.survived_ns) if step.survived_ns else "nothing"
    page.say(f"Longest survived {low}, shortest killed {format_duration(step.killed_ns)}.")
    page.say(f"It {_MODES[one.mode]}; {_EXPIRIES[one.expiry]}.", hang="    ")
    page.say(
        f"{plural(step.deaths, 'session')} died beyond it, {count(step.survivors)} lived; of the {count(step.below)} "
        f"just below it {count(step.deaths_below)} died.",
        hang="    ",
    )
    if one.expiry.startswith("rst"):
        origin = (
            f"{one.foreign:.0%} of these RSTs have a TTL that their sender does not use: a box sent them."
            if one.foreign
            else "The RSTs look like those of the end they name: a box that speaks for it, or its own timer."
        )
        page.say(origin, hang="    ")
    if matching:
        rows = [
            [match.profile, duration_text(match.ns), match.timer, ", ".join(match.fits)] for match in matching
        ]
        page.say("Consistent with the defaults of:")
        page.grid([["  " + row[0], *row[1:]] for row in rows], "lrll", ["", "default", "timer", "fits too"])
    else:
        page.say("No known system has such a default; somebody set it.")
    names = " ".join(map(shown, source)) or "CAPTURE"
    page.say(f"An example: lastack show {one.examples[0]} -i {names}", style="dim")


def timers_json(
    found: Sequence[tuple[Found, Sequence[Match]]], deaths: Mapping[Kind, int], watched: Mapping[Kind, int]
) -> dict[str, Any]:
    """Return the same as JSON values; times in seconds."""
    return {
        "timers": [
            {
                "kind": one.kind.name,
                "seconds": round(one.estimate_ns / 1e9, 3),
                "longest_survived_s": round(one.step.survived_ns / 1e9, 3),
                "shortest_killed_s": round(one.step.killed_ns / 1e9, 3),
                "mode": one.mode,
                "expiry": one.expiry,
                "foreign_rst_share": round(one.foreign, 3),
                "scope": one.scope,
                "place": one.place,
                "deaths": one.step.deaths,
                "survivors_beyond": one.step.survivors,
                "below": one.step.below,
                "deaths_below": one.step.deaths_below,
                "chance": one.step.chance,
                "examples": list(one.examples),
                "matches": [
                    {"profile": m.profile, "timer": m.timer, "seconds": m.ns / 1e9, "fits": list(m.fits)}
                    for m in matching
                ],
            }
            for one, matching in found
        ],
        "watched": {kind.name: number for kind, number in watched.items()},
        "died": {kind.name: number for kind, number in deaths.items()},
    }

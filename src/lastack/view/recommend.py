"""Recommended timers for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastack.firewall.policy import effective
from lastack.firewall.settings import timers_of
from lastack.firewall.text import duration_text
from lastack.model.units import format_duration
from lastack.replay.recommend import Gain, Point
from lastack.replay.scenario import Answer
from lastack.view.cells import UNKNOWN, count, plural, share
from lastack.view.page import Page
from lastack.view.whatif import entries_text, range_text

_MOST_POINTS = 15


def render_advice(
    point: Point,
    curve: Sequence[Point],
    gains: Sequence[Gain],
    answers: tuple[Answer, Answer],
    most: int,
    sessions: int,
) -> str:
    """Return the page.

    Args:
        point: What to set.
        curve: The best combinations.
        gains: Overrides worth having.
        answers: The box as it is, and as recommended.
        most: Sessions that may break.
        sessions: All sessions.
    """
    page = Page()
    now, then = answers
    profile = now.scenario.profile
    page.heading(
        f"Smallest timers of {profile.title}",
        f"that break at most {count(most)} of {plural(sessions, 'session')}",
    )
    before = effective(profile, now.scenario.policy)
    rows = []
    for role, ns in point.values_ns.items():
        timers = timers_of(profile, role)
        rows.append(
            [
                role,
                duration_text(ns),
                duration_text(before[timers[0].name].ns),
                ", ".join(t.name for t in timers),
            ]
        )
    page.grid(rows, "lrrl", ["", "set to", "is now", "timer"])
    rows = []
    for title, answer in (("as it is", now), ("recommended", then)):
        out = answer.outcome
        rows.append(
            [
                title,
                range_text(int(out.broken_least.sum()), int(out.broken_most.sum())),
                share(int(out.broken_most.sum()), sessions),
                *(
                    entries_text(float(v[0]))
                    for v in (out.mean_entries, out.peak_entries, out.little_entries)
                ),
            ]
        )
    page.grid(rows, "lrrrrr", ["run as a whole", "broken", "", "mean", "peak entries", "settles at"])
    sets = " ".join(f"--set {role}={_plain(ns)}" for role, ns in point.values_ns.items())
    page.say(f"Try it: lastack whatif DATASET --profile {now.scenario.policy.profile} {sets}", style="dim")
    window = format_duration(round(now.outcome.window.seconds * 1e9))
    page.say(
        f"The capture lasted {window}: what is rarer or longer than that was not there to be seen.",
        style="notice",
    )
    if gains:
        page.heading("Overrides worth having", "a value of its own for one application")
        page.grid(
            [
                [
                    g.group,
                    g.timer,
                    duration_text(g.value_ns),
                    duration_text(g.others_ns),
                    entries_text(g.saved),
                    count(g.broken),
                ]
                for g in gains
            ],
            "llrrrr",
            ["application", "timer", "its own", "all others", "entries saved", "broken"],
        )
    page.heading("Broken sessions against table size", "the best combinations, each timer alone counted")
    names = list(point.values_ns)
    shown = _thinned(list(curve))
    page.grid(
        [
            [
                count(p.broken),
                share(p.broken, sessions),
                entries_text(p.saved),
                *(duration_text(p.values_ns[n]) for n in names),
            ]
            for p in shown
        ],
        "rrr" + "r" * len(names),
        ["broken at most", "", "entries saved", *names],
    )
    if not shown:
        page.say(UNKNOWN)
    return page.text()


def _thinned(points: list[Point]) -> list[Point]:
    if len(points) <= _MOST_POINTS:
        return points
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(_MOST_POINTS)]


def _plain(ns: int) -> str:
    """Return a value as `--set` takes it."""
    return f"{ns // 10**9}s"


def advice_json(
    point: Point, curve: Sequence[Point], gains: Sequence[Gain], most: int, sessions: int, then: Answer
) -> Mapping[str, Any]:
    """Return the same as JSON values; times in seconds."""
    return {
        "sessions": sessions,
        "may_break": most,
        "timers_s": {role: ns / 1e9 for role, ns in point.values_ns.items()},
        "broken_least": int(then.outcome.broken_least.sum()),
        "broken_most": int(then.outcome.broken_most.sum()),
        "mean_entries": round(float(then.outcome.mean_entries[0]), 3),
        "peak_entries": round(float(then.outcome.peak_entries[0]), 3),
        "overrides": [
            {
                "application": g.group,
                "timer": g.timer,
                "seconds": g.value_ns / 1e9,
                "others_s": g.others_ns / 1e9,
                "entries_saved": round(g.saved, 3),
                "broken_most": g.broken,
            }
            for g in gains
        ],
        "curve": [
            {
                "broken_most": p.broken,
                "entries_saved": round(p.saved, 3),
                "timers_s": {role: ns / 1e9 for role, ns in p.values_ns.items()},
            }
            for p in curve
        ],
    }

"""Firewall profiles for people: the list, and everything about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastack.firewall.profile import Profile, Timer
from lastack.firewall.schema_timers import range_text
from lastack.firewall.text import duration_text
from lastack.firewall.words import Engine, Mode, OnExpiry, Phase
from lastack.model.units import NS_PER_S
from lastack.view.cells import UNKNOWN, words
from lastack.view.page import Page

#: What starts the half-closed timer, by the first of these phases that it runs in.
_STARTS = {
    Phase.fin1: "first FIN",
    Phase.fin1_acked: "first FIN acked",
    Phase.fin2: "both FINs",
    Phase.closed: "both FINs",
}
_MODES = {Mode.idle: "idle", Mode.absolute: "absolute", Mode.keep: "idle"}


def half_close_facts(profile: Profile) -> dict[str, Any]:
    """Return how long a half-closed session lives and what starts that time.

    `timer` is the one that runs once the FIN is acknowledged; `start` is `none` where the established timer goes on.
    `asked` tells that an open question can change the mode or the start.
    """
    timer = profile.half_closed()
    established = profile.timer_of(Phase.established)
    facts: dict[str, Any] = {"timer": None, "seconds": None, "start": "none", "mode": None, "asked": False}
    if timer is None:
        return facts
    facts.update(timer=timer.name, seconds=_seconds(timer.ns), mode=_MODES[timer.mode])
    if established is None or established.name != timer.name:
        first = next(phase for phase in Phase if phase in timer.phases and phase in _STARTS)
        facts["start"] = _STARTS[first]
        if profile.engine is Engine.host:
            facts["start"] = "close" if "app_close" in timer.start else "shutdown"
    changed = {path for fork in profile.forks for reading in fork.readings for path in reading.changes}
    facts["asked"] = bool(changed & {f"timers.{timer.name}.mode", "phases.fin1", "phases.fin1_acked"})
    return facts


def profile_row(profile: Profile) -> dict[str, Any]:
    """Return one line of the list as values."""
    facts = half_close_facts(profile)
    timer = profile.half_closed()
    established = profile.timer_of(Phase.established)
    return {
        "name": profile.name,
        "title": profile.title,
        "kind": str(profile.kind),
        "half_closed_s": facts["seconds"],
        "half_closed_timer": facts["timer"],
        "starts_at": facts["start"],
        "counts": facts["mode"],
        "open_question": facts["asked"],
        "established_s": _seconds(established.ns) if established else None,
        "on_expiry": str(timer.on_expiry) if timer else None,
        "confidence": str(profile.confidence),
    }


def render_list(profiles: Sequence[Profile]) -> str:
    """Return the list for a terminal; a title that does not fit is cut."""
    page = Page()
    heads = ["name", "half closed", "starts at", "counts", "at its end", "confidence"]
    rows = [_list_row(profile) for profile in profiles]
    widths = [max(len(row[i]) for row in [*rows, heads]) for i in range(len(heads))]
    room = max(12, page.width - sum(widths) - 2 * len(heads) - 2)
    titles = [p.title if len(p.title) <= room else f"{p.title[: room - 1].rstrip()}…" for p in profiles]
    page.grid([[*row, title] for row, title in zip(rows, titles, strict=True)], "lrlllll", [*heads, "system"])
    page.line()
    page.say(
        "half closed: how long an entry lives once one end has sent FIN. starts at -: it has no timer of its own, the "
        "established one goes on. ?: no source settles it, both readings are run. `lastack profiles show NAME` "
        "has every timer with its source.",
        style="dim",
    )
    return page.text()


def _list_row(profile: Profile) -> list[str]:
    timer, row = profile.half_closed(), profile_row(profile)
    if timer is None:
        return [profile.name, *[UNKNOWN] * 4, row["confidence"]]
    return [
        profile.name,
        duration_text(timer.ns),
        UNKNOWN if row["starts_at"] == "none" else row["starts_at"],
        f"{row['counts']}{'?' if row['open_question'] else ''}",
        _expiry(row["on_expiry"]),
        row["confidence"],
    ]


def render_profile(profile: Profile) -> str:
    """Return everything about one profile."""
    page = Page()
    page.heading(f"{profile.title} ({profile.name})", f"{profile.kind}, confidence {profile.confidence}")
    if profile.vendor:
        page.say(f"{profile.vendor}, {profile.versions}")
    page.heading("Timers", "default, what it counts, when it runs")
    for timer in profile.timers.values():
        _timer(page, profile, timer)
    _phases(page, profile)
    _effects(page, profile)
    if profile.forks:
        page.heading("Not known", "both readings are run where it matters")
        for fork in profile.forks:
            answers = ", ".join(
                f"{r.name} (assumed)" if r.name == fork.assumed else r.name for r in fork.readings
            )
            page.say(f"{fork.name}: {fork.question} Readings: {answers}.", hang="    ")
    if profile.switches:
        page.heading("Switches", "--set NAME=on")
        for switch in profile.switches:
            state = "on" if switch.default else "off"
            note = f" {switch.note}" if switch.note else ""
            page.say(f"{switch.name} ({state}): {switch.vendor_name}.{note}", hang="    ")
    for title, texts in (
        ("Notes", profile.notes),
        ("What the model cannot express", profile.cannot),
        ("Sources", profile.sources),
    ):
        if texts:
            page.heading(title)
            for text in texts:
                page.say(text, hang="    ")
    return page.text()


def profile_json(profile: Profile) -> dict[str, Any]:
    """Return everything about one profile as JSON values."""
    return {
        "name": profile.name,
        "title": profile.title,
        "vendor": profile.vendor,
        "kind": str(profile.kind),
        "engine": str(profile.engine),
        "versions": profile.versions,
        "confidence": str(profile.confidence),
        "sources": list(profile.sources),
        "override_scopes": list(profile.override_scopes),
        "timers": {name: _timer_json(timer, profile) for name, timer in profile.timers.items()},
        "phases": {
            str(phase): {"client": p.client, "server": p.server} for phase, p in profile.phases.items()
        },
        "no_session": {str(key): str(word) for key, word in profile.effects.no_session.items()},
        "no_session_outside": {str(k): str(word) for k, word in profile.effects.no_session_outside.items()},
        "rst_check": str(profile.effects.rst_check),
        "table_full": str(profile.effects.table_full),
        "table_size": profile.effects.table_size,
        "transitions": [
            {"phase": str(t.phase), "event": str(t.event), "by": str(t.by), "to": str(t.to)}
            for t in profile.transitions
        ],
        "caps": [
            {"when": str(c.when), "timer": c.timer, "phases": list(map(str, c.phases)), "count": c.count}
            for c in profile.caps
        ],
        "clamps": [{"timer": clamp.timer, "at_most": clamp.at_most} for clamp in profile.clamps],
        "options": dict(profile.options),
        "forks": [
            {
                "name": f.name,
                "question": f.question,
                "readings": [r.name for r in f.readings],
                "assumed": f.assumed,
            }
            for f in profile.forks
        ],
        "switches": [
            {"name": s.name, "vendor_name": s.vendor_name, "default": s.default, "note": s.note}
            for s in profile.switches
        ],
        "notes": list(profile.notes),
        "cannot": list(profile.cannot),
    }


def _timer(page: Page, profile: Profile, timer: Timer) -> None:
    where = [words(phase) for phase in timer.phases]
    caps = [
        f"limits the timer that runs on {words(cap.when)}" for cap in profile.caps if cap.timer == timer.name
    ]
    text = f"{timer.name}: {duration_text(timer.ns)}, {_counts(timer)}; "
    text += ", ".join(where + caps) if where or caps else "runs in no phase by default"
    page.say(f"{text}.", hang="      ")
    told = (
        [f"range {range_text(timer)}"] if timer.minimum_ns is not None or timer.maximum_ns is not None else []
    )
    told += [_scopes(timer)] if timer.scopes != ("global", "app") else []
    told += [_formula(timer)] if timer.effective else []
    told += [f"an entry may stay {duration_text(timer.resolution_ns)} longer"] if timer.resolution_ns else []
    told += [f"at its end: {_expiry(timer.on_expiry)}"] if timer.on_expiry is not OnExpiry.silent else []
    told += [f"confidence {timer.confidence}"] if timer.confidence is not profile.confidence else []
    page.say(f"{timer.vendor_name}{'; ' if told else ''}{'; '.join(told)}", "      ", style="dim")
    for text in (timer.note, f"Source: {timer.source}" if timer.source else ""):
        if text:
            page.say(text, "      ", style="dim")


def _phases(page: Page, profile: Profile) -> None:
    page.heading("What runs when", "phase, timer")
    rows = []
    for phase in Phase:
        pair = profile.phases.get(phase)
        if pair is None:
            continue
        name = (
            pair.client
            if pair.client == pair.server
            else f"{pair.client} if the client closed first, else {pair.server}"
        )
        rows.append([words(phase), name])
    page.grid(rows, "ll")
    for rule in profile.transitions:
        who = "" if rule.by == "any" else f" from the {words(rule.by)}"
        page.say(f"In {words(rule.phase)}, {words(rule.event)}{who} leads to {words(rule.to)}.", hang="    ")
    for clamp in profile.clamps:
        page.say(f"{clamp.timer} never exceeds {clamp.at_most}, whatever is configured.")


def _effects(page: Page, profile: Profile) -> None:
    effects = profile.effects
    page.heading("What it does")
    met = ", ".join(f"{words(key)}: {word}" for key, word in effects.no_session.items())
    page.say(f"segments that meet no session: {met}", hang="    ")
    if effects.no_session_outside != effects.no_session:
        met = ", ".join(f"{words(key)}: {word}" for key, word in effects.no_session_outside.items())
        page.say(f"the same from outside: {met}", hang="    ")
    page.say(f"RST check: {words(effects.rst_check)}; table full: {words(effects.table_full)}")
    if effects.table_size:
        page.say(f"table size by default: {effects.table_size:,} entries (used only when table_size is set)")
    if profile.override_scopes:
        page.say(f"settings, strongest first: {', '.join(profile.override_scopes)}", hang="    ")


def _timer_json(timer: Timer, profile: Profile) -> dict[str, Any]:
    return {
        "vendor_name": timer.vendor_name,
        "seconds": _seconds(timer.ns),
        "min": _seconds(timer.minimum_ns),
        "max": _seconds(timer.maximum_ns),
        "mode": str(timer.mode),
        "refresh_by": str(timer.refresh_by),
        "on_expiry": str(timer.on_expiry),
        "start": list(timer.start),
        "phases": list(map(str, timer.phases)),
        "scopes": list(timer.scopes),
        "resolution": _seconds(timer.resolution_ns),
        "confidence": str(timer.confidence),
        "source": timer.source or "; ".join(profile.sources),
        "note": timer.note,
    }


def _counts(timer: Timer) -> str:
    if timer.mode is Mode.idle:
        return "idle" if timer.refresh_by == "any" else f"idle, restarted by {words(timer.refresh_by)}"
    return "absolute" if timer.mode is Mode.absolute else "keeps the running time until a packet comes"


def _scopes(timer: Timer) -> str:
    return f"set {' and '.join(timer.scopes)} only" if timer.scopes else "fixed"


def _formula(timer: Timer) -> str:
    pieces = []
    for above, minus, times in timer.effective:
        value = f"{times} × (T − {duration_text(minus)})" if minus >= 0 else f"T + {duration_text(-minus)}"
        pieces.append(f"above {duration_text(above)} it runs {value}" if above else f"it runs {value}")
    return ", ".join(pieces)


def _expiry(word: Any) -> str:
    return words(str(word)).replace("rst", "RST") if word else UNKNOWN


def _seconds(ns: int | None) -> float | None:
    if ns is None:
        return None
    return ns // NS_PER_S if ns % NS_PER_S == 0 else ns / NS_PER_S

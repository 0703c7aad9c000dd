"""A what-if for people: what breaks, what it costs, what the table holds, and how exact all that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lastack.firewall.policy import effective
from lastack.firewall.text import duration_text
from lastack.model.enums import EndpointState
from lastack.model.units import format_duration, format_size
from lastack.replay.detail import STATES, Broken, Detail
from lastack.replay.harm import Loss
from lastack.replay.holding import SAMPLES
from lastack.replay.load import Load
from lastack.replay.scenario import Answer, Whatif
from lastack.view.cells import UNKNOWN, count, endpoint, instant, plural, share
from lastack.view.page import Page

LOSSES = {
    Loss.data_lost: "payload did not arrive",
    Loss.close_lost: "a FIN or RST was lost: an end hangs in CLOSE_WAIT or FIN_WAIT_2",
    Loss.open_failed: "the handshake came too late",
    Loss.late_ack: "only a late ACK or a repeat was lost",
}


def range_text(least: int, most: int) -> str:
    """Return `12`, or `12-15` when the record leaves some open."""
    return count(least) if least == most else f"{count(least)}-{count(most)}"


def size_range(least: int, most: int) -> str:
    """Return an amount of payload, or its bounds."""
    return format_size(least) if least == most else f"{format_size(least)} - {format_size(most)}"


def entries_text(entries: float) -> str:
    """Return a number of table entries."""
    if math.isinf(entries):
        return "no limit"
    return f"{entries:,.0f}" if entries >= 10 else f"{entries:.2g}"


def render_single(
    answer: Answer, whole: Whatif, detail: Detail, forks: Sequence[Answer], loads: Sequence[tuple[str, Load]]
) -> str:
    """Return the page about one box in one setting.

    Args:
        answer: The outcome.
        whole: What it is part of.
        detail: The same setting, session by session.
        forks: The outcome under other answers to open questions.
        loads: What growth or a flood does to the table, by name.
    """
    page = Page()
    _head(page, answer, whole)
    _timers(page, answer)
    _broken(page, answer, detail)
    _groups(page, answer)
    _entries(page, answer, detail)
    for name, found in loads:
        _load(page, name, found, answer)
    _forks(page, answer, forks)
    _exactness(page, whole, answer.why, detail)
    return page.text()


def _head(page: Page, answer: Answer, whole: Whatif) -> None:
    sessions = int(answer.outcome.sessions.sum())
    page.heading(
        f"What {answer.scenario.profile.title} would have done",
        f"{plural(sessions, 'session')} in {format_duration(round(whole.window.seconds * 1e9))}",
    )


def _timers(page: Page, answer: Answer) -> None:
    profile, policy = answer.scenario.profile, answer.scenario.policy
    scopes = [effective(profile, policy, place) for place in range(len(policy.overrides) + 1)]
    used = {name for pair in profile.phases.values() for name in (pair.client, pair.server)}
    for place, values in enumerate(scopes):
        parts = [
            f"{name} {duration_text(value.ns)}{'*' if value.ns != value.configured_ns else ''}"
            for name, value in values.items()
            if name in used and (not place or value.set_by == "override")
        ]
        title = policy.overrides[place - 1].application.name if place else "timers"
        page.say(f"{title}: {', '.join(parts)}", hang="    ")
    if any(value.ns != value.configured_ns for values in scopes for value in values.values()):
        page.say("* the box runs another time than is configured", "    ", style="dim")


def _broken(page: Page, answer: Answer, detail: Detail) -> None:
    outcome = answer.outcome
    least, most = int(outcome.broken_least[:, 0].sum()), int(outcome.broken_most[:, 0].sum())
    total = int(outcome.sessions.sum())
    page.heading("Sessions that break", f"{range_text(least, most)} of {count(total)}, {share(most, total)}")
    if most == 0:
        page.say("None: every packet would have found its entry.", style="good")
        return
    rows = [
        [loss.name.replace("_", " "), count(int(outcome.losses[loss, 0])), meaning]
        for loss, meaning in LOSSES.items()
        if outcome.losses[loss, 0]
    ]
    if most > least:
        rows.append(["perhaps", count(most - least), "the session record leaves it open (see below)"])
    page.grid(rows, "lrt")
    lost = size_range(int(outcome.lost_least[:, 0].sum()), int(outcome.lost_most[:, 0].sum()))
    page.say(f"Payload lost: {lost}. List them: --list")


def _groups(page: Page, answer: Answer) -> None:
    outcome = answer.outcome
    mean = outcome.area_s[:, 0] / outcome.window.seconds
    order = sorted(
        range(len(answer.groups)), key=lambda g: (-int(outcome.broken_most[g, 0]), -float(mean[g]))
    )
    rows = [
        [
            answer.groups[g],
            count(int(outcome.sessions[g])),
            range_text(int(outcome.broken_least[g, 0]), int(outcome.broken_most[g, 0])),
            share(int(outcome.broken_most[g, 0]), int(outcome.sessions[g])),
            size_range(int(outcome.lost_least[g, 0]), int(outcome.lost_most[g, 0])),
            entries_text(float(mean[g])),
        ]
        for g in order
        if outcome.sessions[g]
    ]
    if len(rows) > 1:
        page.heading("By application")
        page.grid(rows, "lrrrrr", ["", "sessions", "broken", "", "payload lost", "mean entries"])


def _entries(page: Page, answer: Answer, detail: Detail) -> None:
    outcome = answer.outcome
    page.heading("Session table")
    mean, p99, peak = (
        float(outcome.mean_entries[0]),
        float(outcome.p99_entries[0]),
        float(outcome.peak_entries[0]),
    )
    how = "" if outcome.counted else f" (at {SAMPLES:,} moments)"
    most = f"99 % of the time at most {entries_text(p99)}, peak {entries_text(peak)}{how}"
    page.say(f"Entries: mean {entries_text(mean)}, {most}")
    rate, little = outcome.arrivals_per_s, float(outcome.little_entries[0])
    held = little / rate if rate else 0.0
    text = "for ever" if math.isinf(held) else format_duration(round(held * 1e9))
    page.say(
        f"Little's law: {rate:.3g} sessions/s, each held {text}, settle at {entries_text(little)} entries "
        "if they go on like this; the capture begins with an empty table and cuts off what stands at its end.",
        hang="    ",
    )
    total = float(detail.state_s.sum())
    if total > 0:
        parts = [
            [
                name.replace("_", " "),
                entries_text(float(s) / outcome.window.seconds),
                share(round(s * 1e6), round(total * 1e6)),
            ]
            for name, s in zip(STATES, detail.state_s.tolist(), strict=True)
            if s
        ]
        page.grid(parts, "lrr", ["in state", "mean entries", ""])


def _load(page: Page, name: str, found: Load, answer: Answer) -> None:
    page.heading(name)
    if found.size == 0:
        page.say(
            f"The table would hold {entries_text(found.offered)} entries. Give --table-size to know when it is full."
        )
        return
    if found.factor < 1:
        page.say(
            f"The box shortens its timers to {found.factor:.0%} of their length, which breaks more sessions than are "
            "counted above.",
            hang="    ",
            style="notice",
        )
    if found.refused <= 0:
        page.say(
            f"It settles at {entries_text(found.settles)} of {count(found.size)} entries: it does not fill."
        )
        return
    when = (
        ""
        if found.seconds_to_full is None
        else f" after {format_duration(round(found.seconds_to_full * 1e9))}"
    )
    page.say(
        f"Full{when}: {entries_text(found.offered)} entries are wanted, {count(found.size)} are there.",
        style="bad",
    )
    full = answer.scenario.profile.effects
    what = {
        "drop_new": "Then {} of new sessions get no entry: they do not open.",
        "evict_then_drop_new": "Then {} of new sessions push out another entry, first of {}; or get none.",
        "scale_timers": "Even so {} of new sessions get no entry.",
    }[full.table_full.value]
    phases = ", ".join(phase.value for phase in full.evict) or "any state"
    page.say(what.format(f"{found.refused:.0%}", phases))


def _forks(page: Page, answer: Answer, forks: Sequence[Answer]) -> None:
    if not forks:
        return
    page.heading("Open questions about this box")
    own = answer.outcome
    mine = (int(own.broken_least.sum()), int(own.broken_most.sum()))
    rows = []
    for fork in forks:
        out = fork.outcome
        theirs = (int(out.broken_least.sum()), int(out.broken_most.sum()))
        verdict = "no difference" if theirs == mine else "the verdict hangs on it"
        rows.append(
            [fork.scenario.name, range_text(*theirs), entries_text(float(out.mean_entries[0])), verdict]
        )
    page.grid(rows, "lrrl", ["if", "broken", "mean entries", f"(assumed: {range_text(*mine)} broken)"])


def _exactness(page: Page, whole: Whatif, why: Sequence[str], detail: Detail) -> None:
    page.heading("How exact this is")
    if detail.exact == detail.sessions and not why:
        page.say("Exact for every session: which breaks, when, and the bytes lost.")
    elif detail.exact == detail.sessions:
        page.say("Exact for every one of these sessions. With others this box may leave open:")
    else:
        page.say(
            f"Exact for {count(detail.exact)} of {plural(detail.sessions, 'session')}; for the others bounds are shown."
        )
    for reason in why:
        page.say(f"• {reason}", "    ", "      ", "dim")
    if whole.odd:
        page.say(
            f"{plural(whole.odd, 'session')} may be read differently by a box: RSTs of doubtful worth, ports that "
            "were still in use, simultaneous opens, or more silences than the record keeps.",
            hang="    ",
            style="dim",
        )
    page.say(
        "Open loop: what the ends would have done instead (retries, keepalives) is not simulated, and the table is "
        "taken to have room. docs/explain/what-if.md says more.",
        hang="    ",
        style="dim",
    )


def render_load(found: Load, per_s: float, hold_ns: int) -> str:
    """Return what a stream of entries does to a table, with the share of it that would still fit."""
    page = Page()
    page.heading("Entries = arrivals × holding time")
    page.say(f"{per_s:g}/s × {duration_text(hold_ns)} = {found.offered:,.0f} entries")
    if found.size:
        if found.refused:
            seconds = found.seconds_to_full or 0.0
            page.say(
                f"A table of {count(found.size)} is full after {format_duration(round(seconds * 1e9))}. "
                f"It is enough if {found.size / found.offered:.0%} of the arrivals stay that long, or all of them "
                f"for {format_duration(round(found.size / per_s * 1e9))}.",
                style="bad",
            )
        else:
            page.say(
                f"A table of {count(found.size)} holds them: {found.offered / found.size:.0%} full.",
                style="good",
            )
    return page.text()


def render_compare(whole: Whatif) -> str:
    """Return several boxes side by side."""
    page = Page()
    first = whole.answers[0].outcome
    page.heading(
        "What these boxes would have done",
        f"{plural(int(first.sessions.sum()), 'session')} in {format_duration(round(whole.window.seconds * 1e9))}",
    )
    rows = []
    for answer in whole.answers:
        out = answer.outcome
        half = answer.scenario.profile.half_closed()
        values = effective(answer.scenario.profile, answer.scenario.policy)
        rows.append(
            [
                answer.scenario.name,
                UNKNOWN if half is None else duration_text(values[half.name].ns),
                range_text(int(out.broken_least.sum()), int(out.broken_most.sum())),
                count(int(out.losses[Loss.data_lost, 0])),
                count(int(out.losses[Loss.close_lost, 0])),
                size_range(int(out.lost_least.sum()), int(out.lost_most.sum())),
                entries_text(float(out.mean_entries[0])),
                entries_text(float(out.peak_entries[0])),
                "bounds" if _open(answer) else "",
            ]
        )
    heads = [
        "",
        "half-closed",
        "broken",
        "data lost",
        "close lost",
        "payload lost",
        "mean",
        "peak entries",
        "",
    ]
    page.grid(rows, "lrrrrrrrl", heads)
    for answer in whole.answers:
        if _open(answer):
            page.say(f"{answer.scenario.name}: {'; '.join(answer.why)}", "  ", "    ", "dim")
    return page.text()


def _open(answer: Answer) -> bool:
    """Return whether the record leaves open what this box breaks."""
    out = answer.outcome
    same = (out.broken_least == out.broken_most).all() and (out.lost_least == out.lost_most).all()
    return bool(answer.why) and not same


def render_list(detail: Detail, ends: dict[int, dict[str, Any]]) -> str:
    """Return the sessions that break, one line each."""
    page = Page(width=200)
    rows = [_row(one, ends.get(one.session_id, {})) for one in detail.broken]
    heads = ["session", "client", "server", "forgotten UTC", "in", "cost", "payload lost", "left hanging"]
    page.table(rows, "lllllllr"[:7] + "l", [heads])
    if detail.total > len(detail.broken):
        page.say(f"and {count(detail.total - len(detail.broken))} more (--limit)", "", style="dim")
    return page.text()


def _row(one: Broken, ends: dict[str, Any]) -> list[str]:
    client = endpoint(ends["client_ip"], ends["client_port"]) if ends else UNKNOWN
    server = endpoint(ends["server_ip"], ends["server_port"]) if ends else UNKNOWN
    hanging = [
        f"{side} {state.name}"
        for side, state in zip(("client", "server"), one.hangs, strict=True)
        if state != EndpointState.UNKNOWN
    ]
    return [
        str(one.session_id),
        client,
        server,
        instant(one.forgotten_ns, digits=3),
        one.stage.name,
        one.loss.name if one.surely else f"{one.loss.name}?",
        size_range(sum(one.lost_bytes), sum(one.lost_bytes_most)),
        ", ".join(hanging) or UNKNOWN,
    ]

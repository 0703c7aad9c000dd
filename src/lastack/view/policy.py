"""A timer policy for people: what each timer really is, what is wrong, what changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastack.firewall.commit import scope_name
from lastack.firewall.compile import resolved
from lastack.firewall.diff import Change
from lastack.firewall.policy import Effective, Policy, effective
from lastack.firewall.problems import Problem, Severity, line_of
from lastack.firewall.profile import Profile
from lastack.firewall.text import duration_text
from lastack.model.units import NS_PER_S
from lastack.view.cells import UNKNOWN, plural
from lastack.view.page import Page

_STYLE = {Severity.error: "bad", Severity.warning: "notice", Severity.note: "dim"}


def render_problems(page: Page, problems: Sequence[Problem], path: str, source: str) -> None:
    """Add what is wrong with a document, worst first, with its lines."""
    in_order = sorted(problems, key=lambda problem: line_of(source, problem.path))
    for severity in Severity:
        for problem in in_order:
            if problem.severity is severity:
                page.say(f"{severity}: {problem.text(path, source)}", "", "  ", _STYLE[severity])


def render_policy(page: Page, policy: Policy, profile: Profile) -> None:
    """Add the time that each timer really runs, globally and for each application."""
    profile = resolved(profile, policy)
    scopes = [effective(profile, policy, place) for place in range(len(policy.overrides) + 1)]
    page.heading(f"{policy.name}: {profile.title}", "effective times")
    names = [name for name, timer in profile.timers.items() if timer.phases or name in policy.timers]
    rows = [
        [
            name,
            duration_text(profile.timers[name].ns),
            *(_cell(values[name], scopes[0][name], i) for i, values in enumerate(scopes)),
        ]
        for name in names
    ]
    heads = ["timer", "default", *(scope_name(policy, place) for place in range(len(scopes)))]
    page.grid(rows, "l" + "r" * (len(heads) - 1), heads)
    for number, override in enumerate(policy.overrides, 1):
        page.say(f"{number}. {override.application.name}: {override.application.text()}", hang="     ")
    turned_ = [f"{name} {'on' if position else 'off'}" for name, position in policy.switches.items()]
    if turned_:
        page.say(f"switches: {', '.join(turned_)}")
    if policy.table_size:
        page.say(f"table size: {policy.table_size:,} entries")


def _cell(value: Effective, everywhere: Effective, place: int) -> str:
    """Return a time, with `*` where a clamp or a formula made it another than was configured."""
    if place and value.set_by != "override" and value.ns == everywhere.ns:
        return UNKNOWN
    return f"{duration_text(value.ns)}{'*' if value.ns != value.configured_ns else ''}"


def render_changes(page: Page, changes: Sequence[Change], running: str) -> None:
    """Add what differs from a running policy."""
    if not changes:
        page.heading(f"Against {running}", "nothing changes")
        return
    page.heading(f"Against {running}", plural(len(changes), "change"))
    rows = [
        [change.scope, _what(change), _side(change, True), "→", _side(change, False)] for change in changes
    ]
    page.grid(rows, "lllll")


def _what(change: Change) -> str:
    if change.kind == "timer":
        return change.name
    return f"{change.kind} {change.name}".strip()


def _side(change: Change, before: bool) -> str:
    value = change.before if before else change.after
    if change.kind == "timer":
        real = change.effective_before if before else change.effective_after
        assert not isinstance(value, (str, bool)), "a timer is a number of ns"
        text = duration_text(value)
        return text if real == value else f"{text} (in effect {duration_text(real)})"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)


def problem_json(problem: Problem, source: str) -> dict[str, Any]:
    """Return a problem as JSON values."""
    return {
        "severity": str(problem.severity),
        "path": problem.path,
        "line": line_of(source, problem.path) or None,
        "message": problem.message,
        "remedy": problem.remedy,
    }


def policy_json(policy: Policy, profile: Profile) -> dict[str, Any]:
    """Return what each timer really is, in seconds, as JSON values; null is never."""
    profile = resolved(profile, policy)
    scopes = []
    for place in range(len(policy.overrides) + 1):
        values = effective(profile, policy, place)
        application = policy.overrides[place - 1].application if place else None
        scopes.append(
            {
                "scope": scope_name(policy, place),
                "matches": application.text() if application else None,
                "timers": {
                    name: {
                        "configured": _seconds(value.configured_ns),
                        "effective": _seconds(value.ns),
                        "set_by": value.set_by,
                        "clamped_by": value.clamped_by or None,
                    }
                    for name, value in values.items()
                },
            }
        )
    return {"name": policy.name, "profile": profile.name, "table_size": policy.table_size, "scopes": scopes}


def change_json(change: Change) -> dict[str, Any]:
    """Return a change as JSON values, timers in seconds."""
    timer = change.kind == "timer"
    return {
        "scope": change.scope,
        "kind": change.kind,
        "name": change.name,
        "before": _seconds(change.before) if timer else change.before,
        "after": _seconds(change.after) if timer else change.after,
        "effective_before": _seconds(change.effective_before),
        "effective_after": _seconds(change.effective_after),
    }


def _seconds(ns: Any) -> float | None:
    if not isinstance(ns, int):
        return None
    return ns // NS_PER_S if ns % NS_PER_S == 0 else ns / NS_PER_S


def template(profile: Profile) -> str:
    """Return a policy file to start from: every timer that can be set, at its default, commented out."""
    lines = [
        f"# A timer policy for {profile.title}. Check it: lastack policy check FILE [--running FILE]",
        f'profile = "{profile.name}"',
        "",
        "# Global values; those commented out are the defaults.",
        "[timers]",
    ]
    for timer in profile.timers.values():
        if "global" in timer.scopes:
            value = "never" if timer.ns is None else f"{timer.ns / NS_PER_S:g}s"
            lines.append(f'# {timer.name} = "{value}"  # {timer.vendor_name}')
    if profile.switches:
        lines += ["", "[switches]"]
        lines += [f"# {s.name} = {str(s.default).lower()}  # {s.vendor_name}" for s in profile.switches]
    half = profile.half_closed()
    settable = (
        half
        if half and "app" in half.scopes
        else next((t for t in profile.timers.values() if "app" in t.scopes), None)
    )
    if settable is not None and settable.ns is not None:
        lines += [
            "",
            "# Values for one application; of several that match, the first wins.",
            "# [[override]]",
            '# app = "ssh"              # or ports = "8000-8100", zone = "dmz"',
            f'# timers.{settable.name} = "{settable.ns / NS_PER_S:g}s"',
            "#",
            "# [zones]",
            '# dmz = ["10.2.0.0/16"]',
            "# [apps.backup]",
            '# ports = [873, "8000-8100"]',
            '# zone = "dmz"',
        ]
    return "\n".join(lines) + "\n"

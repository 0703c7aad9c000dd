"""What changes for sessions when one policy replaces another."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.firewall.commit import scope_name
from lastack.firewall.compile import resolved
from lastack.firewall.policy import Effective, Policy, effective
from lastack.firewall.profile import Profile


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a running and a candidate policy.

    Attributes:
        scope: `global`, or an application.
        kind: `timer`, `switch`, `reading`, `table`, `override` (added, removed, moved) or `profile`.
        name: Of the timer or switch; empty for a whole override.
        before: What is configured now, in the units of its kind; None for never or for nothing.
        after: What would be.
        effective_before: What really runs now, timers only.
        effective_after: What would really run.
    """

    scope: str
    kind: str
    name: str
    before: int | str | bool | None
    after: int | str | bool | None
    effective_before: int | None = None
    effective_after: int | None = None


def diff_policies(
    running: Policy, running_profile: Profile, candidate: Policy, candidate_profile: Profile
) -> list[Change]:
    """Return what changes, global values first, then applications in the candidate's order.

    A timer is listed when what is configured or what really runs changes. An application that only one of them
    overrides is compared with the global values of the other, and listed as added or removed too.
    """
    changes: list[Change] = []
    if running_profile.name != candidate_profile.name:
        changes.append(Change("global", "profile", "", running_profile.name, candidate_profile.name))
    for kind, before, after in (
        ("switch", _switches(running, running_profile), _switches(candidate, candidate_profile)),
        (
            "reading",
            {**running_profile.readings, **running.readings},
            {**candidate_profile.readings, **candidate.readings},
        ),
        ("table", {"table_size": running.table_size}, {"table_size": candidate.table_size}),
    ):
        for name in dict.fromkeys([*before, *after]):
            if before.get(name) != after.get(name):
                changes.append(Change("global", kind, name, before.get(name), after.get(name)))
    old, new = resolved(running_profile, running), resolved(candidate_profile, candidate)
    changes += _timers("global", effective(old, running), effective(new, candidate))
    return changes + _overrides(running, old, candidate, new)


def _switches(policy: Policy, profile: Profile) -> dict[str, bool]:
    return {switch.name: policy.switches.get(switch.name, switch.default) for switch in profile.switches}


def _timers(scope: str, before: dict[str, Effective], after: dict[str, Effective]) -> list[Change]:
    changes = []
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            continue  # another profile: its timers are other ones, and the change of profile is said
        if (old.configured_ns, old.ns) != (new.configured_ns, new.ns):
            changes.append(Change(scope, "timer", name, old.configured_ns, new.configured_ns, old.ns, new.ns))
    return changes


def _overrides(running: Policy, old: Profile, candidate: Policy, new: Profile) -> list[Change]:
    changes: list[Change] = []
    before = {scope_name(running, place): place for place in range(len(running.overrides), 0, -1)}
    after = {scope_name(candidate, place): place for place in range(len(candidate.overrides), 0, -1)}
    names = [
        *sorted(after, key=after.__getitem__),
        *(name for name in sorted(before, key=before.__getitem__) if name not in after),
    ]
    for name in names:
        was, now = before.get(name, 0), after.get(name, 0)
        if not was or not now:
            application = (candidate.overrides[now - 1] if now else running.overrides[was - 1]).application
            text = application.text()
            changes.append(Change(name, "override", "", text if was else None, text if now else None))
        elif running.overrides[was - 1].application != candidate.overrides[now - 1].application:
            old_text = running.overrides[was - 1].application.text()
            new_text = candidate.overrides[now - 1].application.text()
            changes.append(Change(name, "override", "matches", old_text, new_text))
        changes += _timers(name, effective(old, running, was), effective(new, candidate, now))
    common = [name for name in names if name in before and name in after]
    if common != sorted(common, key=before.__getitem__):
        order = [sorted(common, key=place.__getitem__) for place in (before, after)]
        changes.append(Change("global", "override", "order", ", ".join(order[0]), ", ".join(order[1])))
    return changes

"""A policy: what an administrator configures on a box, and which time each timer then really runs.

Values are kept as configured; `effective` resolves them: override over global over default, then the product's own
formula, then its clamps. Durations are integer nanoseconds; None is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lastack.firewall.application import Application
from lastack.firewall.profile import Profile, Timer


@dataclass(frozen=True, slots=True)
class Override:
    """Values of some timers for one application; of several overrides that match a session the first wins."""

    application: Application
    timers: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Policy:
    """The configuration of one box.

    Attributes:
        name: Its name, for reports and for names in exports.
        profile: Name or path of the profile it configures.
        timers: Global values by timer.
        overrides: Values for applications, in order.
        switches: Positions of the product's switches.
        readings: Answers to the profile's open questions.
        table_size: Most entries, None for no limit.
        applications: Applications that it may name, declared in it or in the configuration in force.
    """

    name: str
    profile: str
    timers: Mapping[str, int | None] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    switches: Mapping[str, bool] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)
    table_size: int | None = None
    applications: Mapping[str, Application] = field(default_factory=dict)

    def scope(self, place: int) -> Mapping[str, int | None]:
        """Return what is configured for one scope: 0 is global, n the n-th override over it."""
        return {**self.timers, **self.overrides[place - 1].timers} if place else dict(self.timers)


@dataclass(frozen=True, slots=True)
class Effective:
    """One timer as it runs.

    Attributes:
        timer: The timer.
        configured_ns: What is configured, or the default.
        ns: What really runs.
        set_by: `default`, `global` or `override`.
        clamped_by: Timer that limits it, empty when none does.
    """

    timer: Timer
    configured_ns: int | None
    ns: int | None
    set_by: str
    clamped_by: str = ""


def effective(profile: Profile, policy: Policy | None = None, place: int = 0) -> dict[str, Effective]:
    """Return how long each timer of a profile really runs.

    Args:
        profile: The profile, its switches and readings already turned.
        policy: What is configured; nothing when None.
        place: 0 for sessions without override, n for those of the n-th.
    """
    own = policy.overrides[place - 1].timers if policy and place else {}
    everywhere = policy.timers if policy else {}
    found: dict[str, Effective] = {}
    for name, timer in profile.timers.items():
        if name in own:
            configured, by = own[name], "override"
        elif name in everywhere:
            configured, by = everywhere[name], "global"
        else:
            configured, by = timer.ns, "default"
        if configured == 0 and timer.zero_is_never:
            configured = None
        found[name] = Effective(
            timer, configured, None if configured is None else timer.effective_ns(configured), by
        )
    for clamp in profile.clamps:
        limit, value = found[clamp.at_most].ns, found[clamp.timer]
        if limit is not None and (value.ns is None or value.ns > limit):
            found[clamp.timer] = Effective(
                value.timer, value.configured_ns, limit, value.set_by, clamp.at_most
            )
    return found

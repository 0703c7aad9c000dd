"""Recommends timers for stored sessions: sweeps each alone, chooses, and runs the choice as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from lastack.app.grouped import Source
from lastack.app.pasts import groups_of
from lastack.app.whatif import run_whatif, scenario, swept
from lastack.firewall.settings import ROLES, check_value, timers_of
from lastack.model.errors import UsageError
from lastack.query.ast import Node
from lastack.replay.recommend import Curve, Gain, Point, best_within, overrides, pareto
from lastack.replay.scenario import Answer, Scenario

_ROLES = ("established", "half_closed", "time_wait")
_SHORTEST_NS, _LONGEST_NS, _VALUES = 10**9, 7 * 86_400 * 10**9, 72


@dataclass(slots=True)
class Advice:
    """What to set.

    Attributes:
        point: Values of the timers, with the sessions that they break at most.
        curve: The best combinations for every number of broken sessions.
        gains: Overrides worth having, best first.
        now: The box as it is.
        then: The box as recommended, run as a whole.
        most: Sessions that may break.
        sessions: All sessions.
        notes: What a person must know of the input.
    """

    point: Point
    curve: list[Point]
    gains: list[Gain]
    now: Answer
    then: Answer
    most: int
    sessions: int
    notes: list[str] = field(default_factory=list)


def recommend(source: Source, base: Scenario, share: float, where: Node | None = None) -> Advice:
    """Return the smallest timers that break at most a share of the sessions.

    Args:
        source: The sessions.
        base: The box as it is.
        share: Share of sessions that may break, 0.0001 for 0.01 %.
        where: Sessions that it is about.

    Raises:
        UsageError: The box has no timer that can be configured, or there is no session.
    """
    groups = groups_of(source, where, 32)
    sweeps = _sweeps(base)
    if not sweeps:
        raise UsageError(f"{base.profile.name} has no timer that can be configured")
    whole = run_whatif(source, [base, *sweeps.values()], where, groups)
    now, answers = whole.answers[0], dict(zip(sweeps, whole.answers[1:], strict=True))
    curves = [_curve(name, answer) for name, answer in answers.items()]
    sessions = int(now.outcome.sessions.sum())
    if not sessions:
        raise UsageError("there is no session to go by: the input has none, or none passes the filter")
    most = int(share * sessions)
    point = best_within(curves, most)
    names = {role: [timer.name for timer in timers_of(base.profile, role)] for role in point.values_ns}
    timers = {name: ns for role, ns in point.values_ns.items() for name in names[role]}
    policy = replace(base.policy, timers={**base.policy.timers, **timers})
    chosen = scenario(policy.profile, policy, "recommended")
    then = run_whatif(source, [chosen], where, groups).answers[0]
    gains = [gain for curve in curves for gain in overrides(curve, groups.names, most)]
    gains.sort(key=lambda gain: -gain.saved)
    return Advice(point, pareto(curves), gains[:5], now, then, most, sessions, list(whole.notes))


def _sweeps(base: Scenario) -> dict[str, Scenario]:
    """Return a sweep for each timer that this product lets people set, over the values that it takes."""
    found: dict[str, Scenario] = {}
    for role in _ROLES:
        try:
            timers = timers_of(base.profile, role)
        except UsageError:
            continue  # the box has none of its own there
        values = [
            ns
            for ns in _grid()
            if all(timer.scopes and not check_value(base.profile, timer, ns, "global") for timer in timers)
        ]
        if values and role in ROLES:
            found[role] = swept(base, role, values)
    return found


def _grid() -> list[int]:
    values = np.geomspace(_SHORTEST_NS, _LONGEST_NS, _VALUES)
    # What people would type: seconds, then fives, then minutes, then hours.
    steps = np.select([values < 20e9, values < 120e9, values < 7200e9], [1e9, 5e9, 60e9], 3600e9)
    return sorted({int(value) for value in np.rint(values / steps) * steps})


def _curve(name: str, answer: Answer) -> Curve:
    out = answer.outcome
    timers = timers_of(answer.scenario.profile, name)
    return Curve(
        name,
        answer.scenario.settings,
        out.broken_most - out.broken_most[:, -1:],
        out.area_s / out.window.seconds,
        out.little_entries,
        all("app" in timer.scopes for timer in timers),
    )

"""Runs what-if questions: several boxes, or one with a timer swept, over the same stored sessions in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from lastack.app.grouped import Source
from lastack.app.pasts import Groups, each_past, groups_of, window_of
from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_box, compile_profile, resolved
from lastack.firewall.policy import Policy
from lastack.firewall.profile import single_readings
from lastack.firewall.settings import timers_of
from lastack.firewall.table import FOREVER_NS, PHASE_CODE, Box, Ct
from lastack.firewall.words import Phase
from lastack.model.errors import UsageError
from lastack.query.ast import Node
from lastack.replay.holding import Window
from lastack.replay.lanes import Readings
from lastack.replay.load import Load, load, scaled
from lastack.replay.past import Past
from lastack.replay.readings import readings_of
from lastack.replay.scenario import Answer, Scenario, Whatif
from lastack.replay.scopes import places_of
from lastack.replay.sweep import Outcome, Sweep, together


def scenario(
    profile: str,
    policy: Policy | None = None,
    name: str = "",
    readings: dict[str, str] | None = None,
) -> Scenario:
    """Return one box as it is configured.

    Args:
        profile: Name or file of the profile.
        policy: Its configuration; the defaults when None.
        name: What tables call it.
        readings: Answers to open questions.

    Raises:
        UsageError: There is no such profile, or it is no box on a path.
    """
    found = load_profile(profile)
    policy = policy or Policy(found.name, profile)
    box = compile_box(found, policy, readings)
    turned = resolved(found, policy, readings)
    return Scenario(name or found.name, turned, policy, (box,))


def swept(base: Scenario, timer: str, values_ns: Sequence[int]) -> Scenario:
    """Return a scenario in which a timer takes each of some values, for every application.

    Args:
        base: The box as it is otherwise.
        timer: Name of the timer, in any of the words that `--set` takes.
        values_ns: The values, from short to long.

    Raises:
        UsageError: The system has no such timer, or it cannot be configured.
    """
    timers = timers_of(base.profile, timer)
    for one in timers:
        if not one.scopes:
            raise UsageError(f"--sweep {timer}: {one.name} cannot be configured on {base.profile.title}")
    names = [one.name for one in timers]
    boxes = [_with(base, _set(base.policy, names, ns)) for ns in values_ns]
    return replace(base, boxes=tuple(boxes), settings=tuple(values_ns), swept=timer)


def _with(base: Scenario, policy: Policy) -> Box:
    """Return the scenario's box under another policy; its profile has its questions answered already."""
    box = base.boxes[0]
    tables = [compile_profile(base.profile, policy, place) for place in range(len(box.tables))]
    return replace(box, tables=tuple(tables))


def _set(policy: Policy, names: Sequence[str], ns: int) -> Policy:
    """Return a policy with timers set globally; overrides for applications stay as they are."""
    return replace(policy, timers={**policy.timers, **dict.fromkeys(names, ns)})


def forks_of(base: Scenario) -> list[Scenario]:
    """Return the box under each other answer to an open question, as far as it makes another box."""
    others = []
    assumed, *rest = single_readings(base.profile.forks)
    current = {**assumed, **base.profile.readings, **base.policy.readings}
    for reading in rest:
        changed = {key: value for key, value in reading.items() if value != assumed.get(key)}
        ((fork, answer),) = changed.items()
        if current.get(fork) == answer:
            continue
        box = compile_box(base.profile, base.policy, {**base.policy.readings, fork: answer})
        if box.tables != base.boxes[0].tables:
            others.append(replace(base, name=f"{fork} = {answer}", boxes=(box,), settings=(), swept=""))
    return others


class Runner:
    """Adds sessions up for one scenario; each thread has one, and they are merged in the end.

    Args:
        one: The scenario.
        groups: Number of groups.
        window: The time it is about.
    """

    def __init__(self, one: Scenario, groups: int, window: Window) -> None:
        self.scenario = one
        self._groups, self._window = groups, window
        places = range(len(one.boxes[0].tables))
        self.readings: list[tuple[Readings, Readings]] = [
            (self._of(place, False), self._of(place, True)) for place in places
        ]
        self._sweeps: dict[tuple[int, bool], Sweep] = {}

    def _of(self, place: int, repeats: bool) -> Readings:
        return readings_of([box.tables[place] for box in self.scenario.boxes], repeats)

    def fresh(self) -> Runner:
        """Return an empty runner of the same scenario."""
        twin = object.__new__(Runner)
        twin.scenario, twin._groups, twin._window = self.scenario, self._groups, self._window
        twin.readings, twin._sweeps = self.readings, {}
        return twin

    def add(self, batch: Any, past: Past, groups: Any) -> None:
        """Take in sessions."""
        for (place, repeats), which in parts_of(self.scenario.boxes[0], batch, past):
            sweep = self._sweep(place, repeats)
            sweep.add(past.take(which), groups[which])

    def _sweep(self, place: int, repeats: bool) -> Sweep:
        if (place, repeats) not in self._sweeps:
            readings = self.readings[place][repeats]
            self._sweeps[place, repeats] = Sweep(self._groups, readings, self._window)
        return self._sweeps[place, repeats]

    def merge(self, other: Runner) -> None:
        """Take in what another runner of the same scenario added up."""
        for key, sweep in other._sweeps.items():
            if key in self._sweeps:
                self._sweeps[key].merge(sweep)
            else:
                self._sweeps[key] = sweep

    def outcome(self) -> Outcome:
        """Return the answer over all applications."""
        self._sweep(0, False)
        return together([sweep.outcome() for sweep in self._sweeps.values()])

    def why(self) -> tuple[str, ...]:
        """Return what the record leaves open for the sessions that were seen."""
        reasons = [
            reason
            for (place, repeats) in sorted(self._sweeps)
            for reason in self.readings[place][repeats].why
        ]
        return tuple(dict.fromkeys(reasons))


def parts_of(box: Box, batch: Any, past: Past) -> list[tuple[tuple[int, bool], Any]]:
    """Return the sessions of a batch by the table they run on and by whether SYNs or FINs came again."""
    places = places_of(batch, box)
    repeats = past.again
    found = []
    for place in np.unique(places).tolist():
        for again in (False, True):
            which = (places == place) & (repeats == again)
            if which.any():
                found.append(((place, again), which))
    return found


def run_whatif(
    source: Source, scenarios: Sequence[Scenario], where: Node | None = None, groups: Groups | None = None
) -> Whatif:
    """Return the answers to scenarios, in one pass over the sessions.

    Args:
        source: The sessions.
        scenarios: What to ask.
        where: Sessions that it is about.
        groups: Applications to tell apart; those with most sessions by default.
    """
    groups = groups or groups_of(source, where)
    window = window_of(source)
    runners = [Runner(one, max(1, len(groups.names)), window) for one in scenarios]

    idle: SimpleQueue[list[Runner]] = SimpleQueue()
    every: list[list[Runner]] = []

    def work(batch: Any, past: Past) -> int:
        try:
            own = idle.get_nowait()
        except Empty:
            own = [runner.fresh() for runner in runners]
            every.append(own)
        of = groups.of(batch)
        for runner in own:
            runner.add(batch, past, of)
        idle.put(own)
        return int(past.odd.sum())

    answer = Whatif([], window, notes=list(source.notes))
    answer.odd = sum(each_past(source, where, work))
    for found in every:
        for runner, part in zip(runners, found, strict=True):
            runner.merge(part)
    for runner in runners:
        answer.answers.append(Answer(runner.scenario, runner.outcome(), groups.names, runner.why()))
    return answer


def loads_of(
    answer: Answer, growth: float | None, flood_per_s: float | None, table_size: int | None
) -> list[tuple[str, Load]]:
    """Return what more sessions, or SYNs that nobody completes, do to the table of a setting.

    Args:
        answer: The outcome under one setting.
        growth: Times the sessions.
        flood_per_s: SYNs a second.
        table_size: Entries that the table holds; what the policy or the profile says when None.
    """
    one, out = answer.scenario, answer.outcome
    size = table_size or one.policy.table_size or one.profile.effects.table_size or 0
    room = compile_box(one.profile, replace(one.policy, table_size=size or None)).room
    rate, settles = out.arrivals_per_s, float(out.little_entries[0])
    hold = settles / rate if rate else 0.0
    found: list[tuple[str, Load]] = []
    if table_size and not growth and not flood_per_s:
        growth = 1.0
    if growth:
        title = "As many sessions as now, for ever" if growth == 1 else f"{growth:g} times the sessions"
        found.append((title, scaled(load(size, 0.0, rate * growth, hold), room)))
    if flood_per_s:
        timer = one.boxes[0].tables[0].timer_of or ()
        timers = one.boxes[0].tables[0].timers
        # Nobody answers: the entry stays in its first phase, and a repeated SYN comes from another address.
        first = timers[timer[PHASE_CODE[Phase.syn_sent]][0]] if timer else timers[int(Ct.syn_sent)]
        stands = first.ns / 1e9 if first.ns < FOREVER_NS else float("inf")
        title = f"SYN flood of {flood_per_s:,.0f}/s that nobody answers ({first.name}, {stands:g} s)"
        found.append((title, scaled(load(size, settles * (growth or 1), flood_per_s, stands), room)))
    return found

"""Runs what-if questions: several boxes, or one with a timer swept, over the same stored sessions in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from lastack.app.grouped import Source
from lastack.app.pasts import Groups, each_past, groups_of, window_of
from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_box, resolved
from lastack.firewall.policy import Policy
from lastack.firewall.profile import Profile, single_readings
from lastack.firewall.settings import timers_of
from lastack.firewall.table import Box
from lastack.model.errors import UsageError
from lastack.query.ast import Node
from lastack.replay.holding import Window
from lastack.replay.lanes import Readings
from lastack.replay.past import Past
from lastack.replay.readings import readings_of
from lastack.replay.scopes import places_of
from lastack.replay.sweep import Outcome, Sweep, together


@dataclass(frozen=True, slots=True)
class Scenario:
    """One box in J settings, from short to long timers.

    Attributes:
        name: For tables: the profile, or what differs.
        profile: The system.
        policy: Its configuration.
        boxes: The box in each setting; they differ in lengths of timers only.
        settings: The swept timer's value in each setting, in ns; empty when nothing is swept.
        swept: Name of the swept timer.
    """

    name: str
    profile: Profile
    policy: Policy
    boxes: tuple[Box, ...]
    settings: tuple[int, ...] = ()
    swept: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a scenario.

    Attributes:
        scenario: What was asked.
        outcome: Sums by group and setting.
        groups: Names of the groups.
        why: What the session record leaves open about this box; empty when all of it is exact.
    """

    scenario: Scenario
    outcome: Outcome
    groups: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(slots=True)
class Whatif:
    """Answers to all scenarios, over the same sessions.

    Attributes:
        answers: One for each scenario.
        window: The time they are about.
        odd: Sessions that a box may read differently than the record does.
        notes: What a person must know of the input.
    """

    answers: list[Answer]
    window: Window
    odd: int = 0
    notes: list[str] = field(default_factory=list)


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
    boxes = [compile_box(base.profile, _set(base.policy, [t.name for t in timers], ns)) for ns in values_ns]
    return replace(base, boxes=tuple(boxes), settings=tuple(values_ns), swept=timer)


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
    repeats = past.repeated_syn | past.repeated_fin
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

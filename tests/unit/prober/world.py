"""A path with a box on it, in virtual time: both ends of every trial run their real code, the network is simulated."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from lastack.prober.end import Command, Do, Send, TrialEnd, Wake
from lastack.prober.findings import Finding, conclude
from lastack.prober.plan import Plan, Scope
from lastack.prober.trial import Side, Trial, combine

MS = 1_000_000
S = 1_000_000_000


@dataclass(frozen=True)
class Box:
    """What stands on the path; a time of 0 is no timer.

    `expiry`: silent, reset_sender, reset_both, reset_at_expiry.
    """

    half_closed_ns: int = 0
    established_ns: int = 0
    absolute: bool = False
    expiry: str = "silent"
    loss: float = 0.0
    delay_ns: int = 1 * MS
    late_ns: int = 3 * MS  # how late the program's own timers fire, at most


class World:
    """Virtual time and its events."""

    def __init__(self, box: Box, seed: int = 0) -> None:
        self.box = box
        self.now = 0
        self.random = random.Random(seed)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._order), call))

    def step(self) -> bool:
        if not self._heap:
            return False
        when, _, call = heapq.heappop(self._heap)
        self.now = max(self.now, when)
        call()
        return True


@dataclass
class _Half:
    end: TrialEnd
    sent: int = 0
    acked: int = 0
    shut: bool = False
    gone: bool = False
    commands: list[Command] = field(default_factory=list)


class Connection:
    """One trial: two ends and the box's entry."""

    def __init__(self, world: World, trial: Trial, over: Callable[[Connection], None]) -> None:
        self.world = world
        self.trial = trial
        self.halves = {side: _Half(TrialEnd(trial, side)) for side in Side}
        self._over = over
        self._told = False
        self._fins = 0
        self._deadline: int | None = None
        self._dead = False
        self.began = world.now
        self._touch()
        self.pass_on(Side.client, self._request)

    def _request(self) -> None:
        self._carry_out(Side.server, self.halves[Side.server].end.begin(self.world.now))

    def _timer(self) -> int:
        return self.world.box.half_closed_ns if self._fins else self.world.box.established_ns

    def _touch(self, restart: bool = False) -> None:
        """Let the entry see a packet; find out whether it is too late."""
        now, ns = self.world.now, self._timer()
        if self._deadline is not None and now >= self._deadline:
            self._dead = True
            return
        if restart or self._deadline is None or not self.world.box.absolute:
            self._deadline = now + ns if ns else None
            if self.world.box.expiry == "reset_at_expiry" and self._deadline is not None:
                self.world.at(self._deadline, self._expire)

    def _expire(self) -> None:
        if self._deadline is not None and self.world.now >= self._deadline and not self._dead:
            self._dead = True
            for side in Side:
                self._reset(side)

    def _reset(self, side: Side) -> None:
        half = self.halves[side]
        if not half.gone:
            self._carry_out(side, half.end.broke("ECONNRESET", self.world.now))

    def pass_on(self, side: Side, arrive: Callable[[], None], fin: bool = False, tries: int = 0) -> None:
        """Send something through the box; lost packets are sent again, and count as such for both ends."""
        world, box = self.world, self.world.box
        half = self.halves[side]

        def at_box() -> None:
            if self._fins == 2 or (half.gone and tries):
                return
            if world.random.random() < box.loss:
                half.end.report.retransmitted += 0 if half.end.waiting else 1
                world.at(world.now + 200 * MS << tries, lambda: self.pass_on(side, arrive, fin, tries + 1))
                return
            before = self._dead
            self._touch(restart=fin and self._fins == 0)
            if fin:
                self._fins += 1
                self._touch(restart=True)
            if self._dead:
                if not before or box.expiry.startswith("reset"):
                    self._answer(side)
                return
            world.at(world.now + box.delay_ns, arrive)

        world.at(world.now + box.delay_ns, at_box)

    def _answer(self, side: Side) -> None:
        expiry, world = self.world.box.expiry, self.world
        if expiry in ("reset_sender", "reset_both"):
            world.at(world.now + world.box.delay_ns, lambda: self._reset(side))
        if expiry == "reset_both":
            world.at(world.now + world.box.delay_ns, lambda: self._reset(side.other))

    def _carry_out(self, side: Side, commands: list[Command]) -> None:
        half, other, world = self.halves[side], self.halves[side.other], self.world
        for command in commands:
            match command:
                case Send(data):
                    half.sent += len(data)
                    self.pass_on(side, lambda data=data: self._arrive(side.other, data))  # type: ignore[misc]
                case Wake(at_ns):
                    late = world.random.randrange(world.box.late_ns + 1)
                    world.at(at_ns + late, lambda: self._tick(side))
                case Do.shut_write:
                    if not half.shut:
                        half.shut = True
                        self.pass_on(side, lambda: self._fin_arrives(side.other), fin=True)
                case Do.quick_ack:
                    pass
                case Do.close:
                    half.gone = True
                    if not half.shut:
                        half.shut = True
                        self.pass_on(side, lambda: self._fin_arrives(side.other), fin=True)
                case Do.abort:
                    half.gone = True
        del other
        if all(each.gone for each in self.halves.values()) and not self._told:
            self._told = True
            self._over(self)

    def _arrive(self, side: Side, data: bytes) -> None:
        half, sender = self.halves[side], self.halves[side.other]
        if half.gone:
            return
        length = len(data)

        def acked() -> None:
            sender.acked += length

        self.pass_on(side, acked)
        self._carry_out(side, half.end.received(data, self.world.now))

    def _fin_arrives(self, side: Side) -> None:
        half = self.halves[side]
        self.pass_on(side, lambda: None)
        if not half.gone:
            self._carry_out(side, half.end.ended(self.world.now))

    def _tick(self, side: Side) -> None:
        half = self.halves[side]
        if not half.gone:
            self._carry_out(side, half.end.tick(self.world.now, half.sent - half.acked))

    def stop(self) -> None:
        for half in self.halves.values():
            if not half.gone:
                half.end.stop("given up")
                half.gone = True
        self._told = True


def explore(scope: Scope, box: Box, seed: int = 0) -> tuple[list[Finding], int]:
    """Run a plan in the simulated world; return the findings and how long it took, in ns of virtual time."""
    world = World(box, seed)
    plan = Plan(scope)
    live: dict[int, Connection] = {}
    began: dict[int, int] = {}
    state = {"done": False}

    def over(one: Connection) -> None:
        live.pop(one.trial.number, None)
        ends = {side: one.halves[side].end.report for side in Side}
        plan.offer(combine(one.trial, ends[one.trial.sender], ends[one.trial.sender.other]))

    def step() -> None:
        for number, trial in enumerate(plan.next(world.now)):

            def begin(trial: Trial = trial) -> None:
                live[trial.number] = Connection(world, trial, over)
                began[trial.number] = world.now

            world.at(world.now + number * 2 * MS, begin)
        for number in plan.superfluous(began, world.now):
            one = live.pop(number, None)
            if one is not None:
                lived = one.halves[Side.client].end.lived_ns
                one.stop()
                plan.abandon(number, lived)
        if plan.finished(world.now):
            state["done"] = True
        else:
            world.at(world.now + 100 * MS, step)

    step()
    while not state["done"]:
        assert world.step(), "the plan waits for something that never comes"
        assert world.now < 10 * scope.deadline_ns, "the plan does not end"
    return [conclude(inquiry, scope.longest_ns) for inquiry in plan.inquiries.values()], world.now

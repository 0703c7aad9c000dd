"""Raw trials in a simulated world: what passes a box after a wait is found, and nothing is taken for what it is not."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.prober.plan import Plan, Scope
from lastack.prober.question import RAW, Question
from lastack.prober.raw_end import Command, Emit, RawEnd
from lastack.prober.segment import FIN, RST, SYN, Segment, pack, unpack
from lastack.prober.trial import EndReport, Outcome, Side, Trial, combine
from lastack.wire.build import ipv4, tcp

MS, S = 10**6, 10**9


@dataclass
class World:
    """Virtual time, and a box with one idle timer for each stage of a session; 0 is no timer."""

    opening_ns: int = 0
    closed_ns: int = 0
    reset_ns: int = 0
    answers: bool = False  # with RST what it has no session for
    loss: float = 0.0
    now: int = 0
    heap: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def at(self, when: int, call: Callable[[], None]) -> None:
        heapq.heappush(self.heap, (when, next(self.order), call))

    def run(self) -> None:
        while self.heap:
            when, _, call = heapq.heappop(self.heap)
            self.now = max(when, self.now)
            call()


class Session:
    """One raw trial through the box."""

    def __init__(self, world: World, trial: Trial) -> None:
        self.world = world
        self.ends = {side: RawEnd(trial, side, 1000 if side is Side.client else 9000) for side in Side}
        self.stage_ns = world.opening_ns
        self.fins: set[Side] = set()
        self.seen = 0
        self.alive = True
        self.known = False
        self.do(Side.client, self.ends[Side.client].begin(0))

    def do(self, side: Side, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Emit):
                self.world.at(self.world.now + MS, lambda one=command: self.box(side, one))  # type: ignore[misc]
            else:
                self.world.at(command.at_ns, lambda: self.do(side, self.ends[side].tick(self.world.now)))

    def box(self, side: Side, emit: Emit) -> None:
        world = self.world
        if world.random.random() < world.loss:
            return
        if self.stage_ns and self.seen and world.now - self.seen >= self.stage_ns:
            self.alive = False
        if not self.alive:
            if world.answers:
                rst = Segment(2, 1, emit.ack, 0, RST)
                self.do(side, self.ends[side].received(rst, world.now))
            return
        self.seen = world.now
        if emit.payload and not self.fins:
            self.stage_ns = 0
        if emit.flags & FIN:
            self.fins.add(side)
        if len(self.fins) == 2:
            self.stage_ns = world.closed_ns
        if emit.flags & RST:
            self.stage_ns = world.reset_ns
        segment = Segment(1, 2, emit.seq, emit.ack, emit.flags, payload=emit.payload)
        other = side.other
        if other is Side.server and emit.flags == SYN and not self.known:
            self.known = True
            self.do(other, self.ends[other].begin(world.now))
        if self.known or other is Side.client:
            self.do(other, self.ends[other].received(segment, world.now))

    def reports(self) -> tuple[EndReport, EndReport]:
        sender = self.ends[Side.client].trial.sender
        return self.ends[sender].report, self.ends[sender.other].report


def ask(world: World, question: Question, wait_ns: int) -> tuple[Outcome, EndReport, EndReport]:
    trial = Trial(1, question.name, question.sender, None, wait_ns, 0, question.via, question.raw)
    session = Session(world, trial)
    world.run()
    sender, receiver = session.reports()
    return combine(trial, sender, receiver).outcome, sender, receiver


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("question", RAW, ids=lambda question: question.name)
def test_every_question__is_kept_before_the_timer_and_broken_after(question: Question, answers: bool) -> None:
    def world() -> World:
        return World(2 * S, 3 * S, 1 * S, answers)

    timer = {"opening": 2 * S, "closed": 3 * S, "reset": 1 * S}[question.topic.value]
    outcome, sender, receiver = ask(world(), question, timer - 100 * MS)
    assert outcome is Outcome.kept
    assert receiver.last
    assert abs(sender.waited_ns - (timer - 100 * MS)) < 5 * MS
    outcome, sender, receiver = ask(world(), question, timer + 100 * MS)
    assert outcome is (Outcome.reset if answers else Outcome.silent)
    assert not receiver.last
    assert sender.over
    assert receiver.over


@pytest.mark.parametrize("question", RAW, ids=lambda question: question.name)
def test_no_timer__passes_always(question: Question) -> None:
    for wait_ns in (0, 10 * MS, 100 * S):
        assert ask(World(), question, wait_ns)[0] is Outcome.kept


@given(st.sampled_from(RAW), st.integers(0, 10**6))
def test_loss__makes_a_trial_that_counts_not_or_a_right_one(question: Question, seed: int) -> None:
    world = World(loss=0.2, random=random.Random(seed))
    outcome, sender, receiver = ask(world, question, 100 * MS)
    # a lost late segment is sent again, so only both lost look like a box that drops
    assert outcome in (Outcome.kept, Outcome.failed, Outcome.silent)
    assert (outcome is Outcome.kept) <= receiver.last
    assert sender.over or outcome is Outcome.failed


def test_plan__leaves_out_what_cannot_be_asked_and_shares_anew() -> None:
    from lastack.prober.question import FORWARD, REVERSE
    from lastack.prober.trial import Via

    plan = Plan(Scope(FORWARD + REVERSE + RAW, connections=400, raw_each=20))
    assert {question.via for question in plan.leave_out(Via.reverse)} == {Via.reverse}
    plan.leave_out(Via.raw)
    trials = plan.next(0)
    assert {trial.via for trial in trials} == {Via.connect}
    assert len(trials) == 400


@given(
    st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
    st.integers(0, 63), st.integers(0, 65535), st.binary(max_size=40),
)  # fmt: skip
def test_segment__comes_back_and_is_that_of_another_maker(
    sport: int, dport: int, seq: int, ack: int, flags: int, window: int, payload: bytes
) -> None:
    segment = Segment(sport, dport, seq, ack, flags, window, payload)
    source, destination = b"\x0a\0\0\1", b"\x0a\0\0\2"
    made = pack(segment, source, destination)
    assert unpack(made) == segment
    options = b"\x02\x04\x05\x78" if flags & SYN else b""
    other = tcp(sport, dport, seq=seq, ack=ack, flags=flags, window=window, options=options, payload=payload)
    assert made == ipv4("10.0.0.1", "10.0.0.2", other).data[20:]


@given(st.binary(max_size=80))
def test_unpack__takes_any_bytes(data: bytes) -> None:
    unpack(data)

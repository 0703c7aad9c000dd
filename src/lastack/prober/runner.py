"""The near end of a path test: opens the trials of a plan, collects both ends' reports, and feeds the plan."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from lastack.model.errors import InputError, UsageError
from lastack.prober import protocol
from lastack.prober.asking import Asking, connect
from lastack.prober.connection import TrialSocket, abort, pending_error
from lastack.prober.end import TrialEnd
from lastack.prober.loop import BROKEN, Loop
from lastack.prober.plan import Plan
from lastack.prober.reuse import Reuse, ReuseTest
from lastack.prober.trial import EndReport, Sample, Side, Trial, combine

_STEP_NS = 100_000_000
_PUMP_NS = 4_000_000
_POLL_NS = 500_000_000
_CONNECT_NS = 10_000_000_000
#: Polls that may fail in a row before the run gives up: the far end, or the whole path, is gone.
_FAILED_POLLS = 6


@dataclass(frozen=True, slots=True)
class Target:
    """Where the responder is.

    Attributes:
        host: Name or address.
        port: TCP port.
        token: The shared secret, empty without one.
        source: Local address to send from, empty for the kernel's choice.
        family: `AF_INET`, `AF_INET6`, or 0 for what the name gives first.
        rate: Connections opened a second.
    """

    host: str
    port: int
    token: str = ""
    source: str = ""
    family: int = 0
    rate: int = 500


@dataclass(slots=True)
class Facts:
    """What a run found out beside its questions.

    Attributes:
        peer: Address and port of the responder.
        seen_as: How the responder sees this end.
        local: How this end sees itself.
        connect_ns: Time of each handshake.
        rtt_ns: Smoothed round-trip time of some connections.
        failures: Connections that could not be opened, by reason.
        elapsed_ns: How long the run took.
        most: Connections at once.
    """

    peer: tuple[str, int] = ("", 0)
    seen_as: tuple[str, int] = ("", 0)
    local: tuple[str, int] = ("", 0)
    connect_ns: list[int] = field(default_factory=list)
    rtt_ns: list[int] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    reuse: list[Reuse] = field(default_factory=list)
    elapsed_ns: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is: for a progress display."""

    elapsed_ns: int
    live: int
    samples: int


class Runner:
    """Runs a plan against a responder.

    Args:
        target: Where the responder is.
        plan: What to try.
        told: Called a few times a second with the status.
        reuse: Whether ports are opened again after a close.
    """

    def __init__(
        self,
        target: Target,
        plan: Plan,
        told: Callable[[Status], None] | None = None,
        *,
        reuse: bool = True,
    ) -> None:
        self.facts = Facts()
        self.plan = plan
        self._target = target
        self._told = told
        self._loop = Loop()
        self._run = token_hex(10)
        self._family, self._address = resolve(target)
        self._queue: list[Trial] = []
        self._open: dict[int, TrialSocket | _Connecting] = {}
        self._began: dict[int, int] = {}
        self._mine: dict[int, EndReport] = {}
        self._trials: dict[int, Trial] = {}
        self._partial: dict[int, Trial] = {}  # offered on one report, the other is awaited
        self._theirs: dict[int, EndReport] = {}
        self._after = 0
        self._polls_failed = 0
        self._start = 0
        self._problem: str | None = None
        self._samples = 0
        self._wants_reuse = reuse
        self._reuse: ReuseTest | None = None
        self._last_offer = 0

    def run(self) -> None:
        """Run until the plan is finished; an interrupt leaves what was found in the plan.

        Raises:
            InputError: The responder cannot be reached, or refuses.
        """
        try:
            self._hello()
            self._start = self._loop.now()
            if self._wants_reuse:
                self._reuse = ReuseTest(
                    self._loop,
                    self._family,
                    self._address,
                    self._run,
                    self._target.token,
                    self.plan.scope.longest_ns,
                    self._target.source,
                )
                self.facts.reuse = self._reuse.results
            self._step()
            self._poll()
            self._loop.run()
            if self._problem:
                raise InputError(self._problem)
        finally:
            self.facts.elapsed_ns = self._loop.now() - self._start if self._start else 0
            for one in list(self._open.values()):
                one.stop("the run is over")
            self._loop.close()

    def _hello(self) -> None:
        answers: list[dict[str, Any]] = []

        def answered(members: dict[str, Any]) -> None:
            answers.append(members)
            self._loop.stop()

        self._ask("hello", answered)
        self._loop.run()
        members = answers[0]
        name = f"{self._target.host} port {self._target.port}"
        if "error" in members:
            raise InputError(
                f"{name}: {members['error']}; is `lastack probe responder --port {self._target.port}` running there?"
            )
        try:
            self.facts.seen_as = (str(members["you"][0]), int(members["you"][1]))
            self.facts.peer = (str(self._address[0]), int(self._address[1]))
            most, wait = int(members["max_connections"]), int(members["max_wait_ns"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise InputError(
                f"{name}: its hello is not understood; are both ends the same version?"
            ) from error
        scope = self.plan.scope
        if scope.longest_ns > wait:
            raise UsageError(
                f"{name}: waits at most {wait // 10**9} s; start it with --longest to allow more"
            )
        if scope.connections + 20 > most:
            raise UsageError(f"{name}: allows {most} connections at once; ask for fewer with --connections")

    def _ask(self, operation: str, answered: Callable[[dict[str, Any]], None], **members: Any) -> None:
        line = protocol.encode(operation, self._run, self._target.token, **members)
        Asking(self._loop, self._family, self._address, line, answered, self._target.source)

    def _step(self) -> None:
        """Start what the plan wants, as fast as allowed, and give up what teaches nothing any more."""
        now = self._loop.now()
        elapsed = now - self._start
        idle = not self._queue
        self._queue += self.plan.next(elapsed)
        if idle and self._queue:
            self._pump()
        self.facts.most = max(self.facts.most, len(self._open))
        for number in self.plan.superfluous(self._began, now):
            self._give_up(number)
        if self._told is not None:
            self._told(Status(elapsed, len(self._open), self._samples))
        if self._problem or (not self._queue and self.plan.finished(elapsed) and not self._lingering(now)):
            self._loop.stop()
            return
        self._loop.at(now + _STEP_NS, self._step)

    def _pump(self) -> None:
        """Open the next connections, evenly spread over time: a burst would measure this program's own queue."""
        now = self._loop.now()
        each = 10**9 // self._target.rate
        for _ in range(max(_PUMP_NS // each, 1)):
            if self._queue:
                self._begin(self._queue.pop(0))
        if self._queue and not self._problem:
            self._loop.at(now + max(each, _PUMP_NS), self._pump)

    def _lingering(self, now: int) -> bool:
        """Whether ports are still to be opened again, or reports of the far end on the last trials to come."""
        if self._reuse is not None and not self._reuse.done:
            return True
        return bool(self._partial) and now - self._last_offer < 2 * _POLL_NS

    def _begin(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        line = protocol.encode("trial", self._run, self._target.token, trial=trial.to_json())
        try:
            sock = connect(self._family, self._address, self._target.source)
        except OSError as error:
            self._failed(trial, error.strerror or str(error))
            return
        self._open[trial.number] = _Connecting(self, sock, trial, line)

    def connected(self, trial: Trial, sock: socket.socket, line: bytes, took_ns: int) -> None:
        """Go on with a trial whose connection stands."""
        self.facts.connect_ns.append(took_ns)
        if not self.facts.local[0]:
            self.facts.local = sock.getsockname()[:2]
        try:
            sock.send(line)
        except OSError as error:
            abort(sock)
            self.opening_failed(trial, error.strerror or str(error))
            return
        self._began[trial.number] = self._loop.now()
        one = TrialSocket(self._loop, sock, TrialEnd(trial, Side.client), self._over)
        if not one.end.report.over:
            self._open[trial.number] = one
            one.start([])

    def opening_failed(self, trial: Trial, why: str) -> None:
        """Note a connection that could not be opened."""
        self._open.pop(trial.number, None)
        self._failed(trial, why)

    def _failed(self, trial: Trial, why: str) -> None:
        self.facts.failures[why] = self.facts.failures.get(why, 0) + 1
        report = EndReport(trial.number, error=why, over=True)
        self._offer(combine(trial, report, None))

    def _over(self, one: TrialSocket) -> None:
        report = one.end.report
        self._open.pop(report.number, None)
        if one.rtt_ns:
            self.facts.rtt_ns.append(one.rtt_ns)
        self._mine[report.number] = report
        self._match(report.number)

    def _match(self, number: int) -> None:
        """Offer what is known of a trial once its sender has told, and again once both ends have."""
        trial = self._trials.get(number)
        if trial is None:
            return
        mine, theirs = self._mine.get(number), self._theirs.get(number)
        sender, receiver = (mine, theirs) if trial.sender is Side.client else (theirs, mine)
        if sender is None:
            if mine is not None and mine.over and mine.error and not mine.last and not mine.reset:
                self._offer(combine(trial, EndReport(number, error=mine.error, over=True), mine))
                self._trials.pop(number, None)
            return
        if trial.sender is Side.server and mine is None:
            # the far end has told: what this end has seen by now is all it will see
            one = self._open.get(number)
            if one is not None:
                self._theirs[number] = sender
                one.stop("the far end is done")
                return
        sample = combine(trial, sender, receiver)
        if number in self._partial:
            self._partial.pop(number)
            self.plan.amend(sample)
        else:
            self._offer(sample)
            if receiver is None:
                self._partial[number] = trial
                return
        self._trials.pop(number, None)

    def _offer(self, sample: Sample) -> None:
        self._samples += 1
        self._last_offer = self._loop.now()
        self.plan.offer(sample)

    def _give_up(self, number: int) -> None:
        one = self._open.get(number)
        trial = self._trials.pop(number, None)
        talked = 0
        if trial is not None and trial.talk_ns and isinstance(one, TrialSocket):
            talked = one.end.lived_ns
        self.plan.abandon(number, talked)
        self._queue = [waiting for waiting in self._queue if waiting.number != number]
        if one is not None:
            one.stop("not needed any more")

    def _poll(self) -> None:
        self._ask("reports", self._polled, after=self._after)

    def _polled(self, members: dict[str, Any]) -> None:
        if "error" in members:
            self._polls_failed += 1
            if self._polls_failed >= _FAILED_POLLS:
                self._problem = f"the responder does not answer any more: {members['error']}"
        else:
            self._polls_failed = 0
            self._after = int(members["next"])
            for values in members["reports"]:
                report = EndReport.from_json(values)
                self._theirs[report.number] = report
                self._match(report.number)
        self._loop.at(self._loop.now() + _POLL_NS, self._poll)


class _Connecting:
    """A trial's connection that does not stand yet."""

    def __init__(self, runner: Runner, sock: socket.socket, trial: Trial, line: bytes) -> None:
        self._runner = runner
        self._loop = runner._loop
        self._sock = sock
        self._trial = trial
        self._line = line
        self._since = self._loop.now()
        self._open = True
        self._timer = self._loop.at(self._since + _CONNECT_NS, lambda: self._fail("no answer to SYN"))
        self._loop.watch(sock.fileno(), self._event)

    def _event(self, events: int) -> None:
        if not self._open:
            return
        if events & BROKEN and (error := pending_error(self._sock)):
            self._fail(error)
        elif events & select.EPOLLOUT:
            self._end()
            self._runner.connected(self._trial, self._sock, self._line, self._loop.now() - self._since)

    def _end(self) -> None:
        self._open = False
        self._timer.cancel()
        self._loop.forget(self._sock.fileno())

    def _fail(self, why: str) -> None:
        if self._open:
            self.stop(why)
            self._runner.opening_failed(self._trial, why)

    def stop(self, why: str) -> None:
        """Give the connection up."""
        if self._open:
            self._end()
            abort(self._sock)


def resolve(target: Target) -> tuple[int, tuple[Any, ...]]:
    """Return family and socket address of a target.

    Raises:
        UsageError: The name has no address.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, target.family, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{target.host}: {error.strerror}") from error
    family, _, _, _, address = found[0]
    return int(family), tuple(address)

"""The near end of a path test: opens the trials of a plan, collects both ends' reports, and feeds the plan."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

from lastack.model.errors import AccessError, InputError, UsageError
from lastack.prober import protocol
from lastack.prober.asking import Asking
from lastack.prober.facts import Facts, Status, Untested
from lastack.prober.loop import Loop
from lastack.prober.opener import Opener, Told
from lastack.prober.plan import Plan
from lastack.prober.raw_check import unreachable
from lastack.prober.raw_end import OPEN_NS
from lastack.prober.raw_flows import RawClient
from lastack.prober.raw_port import plain
from lastack.prober.reuse import ReuseTest
from lastack.prober.reverse_runner import ReverseRunner
from lastack.prober.target import Target, resolve
from lastack.prober.trial import EndReport, Outcome, Sample, Side, Trial, Via, combine
from lastack.prober.way import Way

_STEP_NS = 100_000_000
_POLL_NS = 500_000_000
#: Polls that may fail in a row before the run gives up: the far end, or the whole path, is gone.
_FAILED_POLLS = 6
#: How long a raw trial's other report may take once one end is done; on top of a poll.
_RAW_PATIENCE_NS = 8_000_000_000
_RAW_LATE_NS = 300_000_000


_WHAT = {
    Via.raw: "opening time, segments after a close",
    Via.reverse: "connections that the other end opens",
}


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
        self._ways: dict[Via, Way] = {}
        self._asking: list[Asking] = []
        self._raw: RawClient | None = None
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
            self._open_ways(self._hello())
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
            self._loop.at(self._start, self._step)
            self._poll()
            self._loop.run()
            if self._problem:
                raise InputError(self._problem)
        finally:
            self.facts.elapsed_ns = self._loop.now() - self._start if self._start else 0
            for way in self._ways.values():
                way.close()
            for one in self._asking:
                one.stop()
            self._loop.close()

    def _hello(self) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []

        def answered(members: dict[str, Any]) -> None:
            answers.append(members)
            self._loop.stop()

        self._ask("hello", answered, {})
        self._loop.run()
        members = answers[0]
        name = f"{self._target.host} port {self._target.port}"
        if "error" in members:
            raise InputError(
                f"{name}: {members['error']}; is `lastack probe responder --port {self._target.port}` running there?"
            )
        try:
            if members["version"] != protocol.VERSION:
                raise InputError(f"{name}: is of another version of LastACK; use the same at both ends")
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
        return members

    def _open_ways(self, hello: dict[str, Any]) -> None:
        """Make what carries the trials; leave out the questions that neither end can be asked."""
        target = self._target
        wanted = {inquiry.question.via for inquiry in self.plan.inquiries.values()}
        self._ways[Via.connect] = Opener(
            self._loop, self._family, self._address, self._line_of, Told(self._connected, self._over),
            target.source, target.rate,
        )  # fmt: skip
        if Via.raw in wanted:
            why = self._open_raw(hello)
            if why:
                self._leave_out(Via.raw, why)
        if Via.reverse in wanted:
            why = self._open_reverse(hello)
            if why:
                self._leave_out(Via.reverse, why)

    def _open_raw(self, hello: dict[str, Any]) -> str:
        version = 6 if self._family == socket.AF_INET6 else 4
        far = (plain(str(self._address[0])), hello.get("raw_port"))
        if not isinstance(far[1], int) or not 0 < far[1] < 65_536:
            return f"the responder has no raw sockets: {str(hello.get('raw_why'))[:200]}"
        try:
            self._raw = RawClient(
                self._loop, version, (far[0], far[1]), self._announce,
                lambda report: self._over(report, 0), self._note_began, self._target.source, self._target.rate,
            )  # fmt: skip
        except AccessError as error:
            return f"this end {error}"
        self._ways[Via.raw] = self._raw
        return unreachable(self._loop, self._raw)

    def _open_reverse(self, hello: dict[str, Any]) -> str:
        if not hello.get("reverse"):
            return "the responder was not started with --allow-reverse"
        target, answers = self._target, list[str]()
        address = target.source or ("::" if self._family == socket.AF_INET6 else "0.0.0.0")
        told = Told(lambda number, local, took_ns: self._note_began(number), self._over)
        way = ReverseRunner(
            self._loop,
            address,
            target.reverse_port,
            self._ask,
            told,
            self.plan.scope.connections,
            target.rate,
        )

        def answered(why: str) -> None:
            answers.append(why)
            self._loop.stop()

        way.offer(answered)
        self._loop.run()
        if answers[0]:
            way.close()
        else:
            self._ways[Via.reverse] = way
        return answers[0]

    def _leave_out(self, via: Via, why: str) -> None:
        names = tuple(question.name for question in self.plan.leave_out(via))
        self.facts.untested.append(Untested(names, _WHAT[via], why))

    def _announce(self, trials: Sequence[Trial], answered: Callable[[int, str], None]) -> None:
        def replied(reply: dict[str, Any]) -> None:
            tag = reply.get("tag")
            if type(tag) is int and 0 < tag < 65_536:
                answered(tag, "")
            else:
                answered(0, str(reply.get("error", "the responder's reply is not understood"))[:200])

        self._ask("batch", replied, protocol.batch(trials))

    def _ask(
        self, operation: str, answered: Callable[[dict[str, Any]], None], members: dict[str, Any]
    ) -> None:
        line = protocol.encode(operation, self._run, self._target.token, **members)
        self._asking = [one for one in self._asking if one.asks]
        one = Asking(self._loop, self._family, self._address, line, answered, self._target.source)
        self._asking.append(one)

    def _line_of(self, trial: Trial) -> bytes:
        return protocol.encode("trial", self._run, self._target.token, trial=trial.to_json())

    def _step(self) -> None:
        """Start what the plan wants, as fast as allowed, and give up what teaches nothing any more."""
        now = self._loop.now()
        elapsed = now - self._start
        fresh: dict[Via, list[Trial]] = {}
        for trial in self.plan.next(elapsed):
            self._trials[trial.number] = trial
            fresh.setdefault(trial.via, []).append(trial)
        for via, trials in fresh.items():
            self._ways[via].start(trials)
        live = sum(way.live for way in self._ways.values())
        self.facts.most = max(self.facts.most, live)
        for number in self.plan.superfluous(self._began, now):
            self._give_up(number)
        if self._told is not None:
            self._told(Status(elapsed, live, self._samples))
        waiting = any(way.waiting for way in self._ways.values())
        if self._problem or (not waiting and self.plan.finished(elapsed) and not self._lingering(now)):
            self._loop.stop()
            return
        self._loop.at(now + _STEP_NS, self._step)

    def _lingering(self, now: int) -> bool:
        """Whether ports are still to be opened again, or reports of the far end on the last trials to come."""
        if self._reuse is not None and not self._reuse.done:
            return True
        return bool(self._partial) and now - self._last_offer < 2 * _POLL_NS

    def _connected(self, number: int, local: tuple[str, int], took_ns: int) -> None:
        self.facts.connect_ns.append(took_ns)
        if not self.facts.local[0]:
            self.facts.local = local
        self._note_began(number)

    def _note_began(self, number: int) -> None:
        self._began[number] = self._loop.now()

    def _over(self, report: EndReport, rtt_ns: int) -> None:
        """Take the report of this end."""
        if rtt_ns:
            self.facts.rtt_ns.append(rtt_ns)
        trial = self._trials.get(report.number)
        if trial is None:
            return
        if report.error and report.number not in self._began:
            self._failed(trial, report.error)
            return
        self._mine[report.number] = report
        if trial.via is Via.raw:
            self._await_theirs(trial, report)
        self._match(report.number)

    def _failed(self, trial: Trial, why: str) -> None:
        """Note a trial whose connection could not be opened."""
        self.facts.failures[why] = self.facts.failures.get(why, 0) + 1
        self._trials.pop(trial.number, None)
        self._offer(combine(trial, EndReport(trial.number, error=why, over=True), None))

    def _match(self, number: int) -> None:
        """Offer what is known of a trial once its sender has told, and again once both ends have."""
        trial = self._trials.get(number)
        if trial is None:
            return
        near = self._ways[trial.via].near
        mine, theirs = self._mine.get(number), self._theirs.get(number)
        sender, receiver = (mine, theirs) if trial.sender is near else (theirs, mine)
        if trial.via is Via.raw:
            self._match_raw(trial, sender, receiver)
            return
        if sender is None:
            if mine is not None and mine.over and mine.error and not mine.last and not mine.reset:
                self._offer(combine(trial, EndReport(number, error=mine.error, over=True), mine))
                self._trials.pop(number, None)
            elif mine is None and theirs is not None and theirs.error and number not in self._began:
                self._failed(trial, theirs.error)
            return
        if trial.sender is not near and mine is None:
            # the far end has told: what this end has seen by now is all it will see
            if sender.error and number not in self._began:
                self._failed(trial, sender.error)
                return
            self._ways[trial.via].stop(number, "the far end is done")
            if number not in self._trials or number in self._mine:
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

    def _match_raw(self, trial: Trial, sender: EndReport | None, receiver: EndReport | None) -> None:
        """Offer a raw trial once both ends have told: only together they know."""
        number = trial.number
        if sender is not None and receiver is not None:
            self._trials.pop(number, None)
            self._offer(combine(trial, sender, receiver))
        elif number not in self._mine and self._raw is not None:
            # what is on its way gets a moment longer
            raw = self._raw
            self._loop.at(self._loop.now() + _RAW_LATE_NS, lambda: raw.finish(number))

    def _await_theirs(self, trial: Trial, mine: EndReport) -> None:
        """Decide a raw trial of which the responder does not tell in time."""
        number, now = trial.number, self._loop.now()
        sent = trial.sender is Side.client and mine.outcome in (Outcome.silent, Outcome.reset)
        # the responder tells at once of what arrives, and of an opening that failed, so silence is an answer
        patience_ns = _RAW_PATIENCE_NS
        if sent:
            patience_ns = 3 * _POLL_NS + max(self._began[number] + OPEN_NS - now, 0)

        def late() -> None:
            if self._trials.pop(number, None) is None:
                return
            if sent:
                self._offer(combine(trial, mine, EndReport(number)))
            else:
                why = mine.error or "the responder did not tell of it"
                self._offer(combine(trial, EndReport(number, Outcome.failed, error=why, over=True), None))

        self._loop.at(now + patience_ns, late)

    def _offer(self, sample: Sample) -> None:
        self._samples += 1
        self._last_offer = self._loop.now()
        self.plan.offer(sample)

    def _give_up(self, number: int) -> None:
        trial = self._trials.pop(number, None)
        talked = self._ways[trial.via].stop(number, "not needed any more") if trial is not None else 0
        self.plan.abandon(number, talked if trial is not None and trial.talk_ns else 0)

    def _poll(self) -> None:
        self._ask("reports", self._polled, {"after": self._after})

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

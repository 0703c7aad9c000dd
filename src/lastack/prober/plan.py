"""What a path test tries and in which order, without sockets: trials go out, samples come in.

All questions run at once. Each has a search (silent trials) and a few talkers, which send all the time: a silent
connection dies of an idle timer and of an absolute one, a talking one only of an absolute one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from lastack.prober.end import GRACE_NS
from lastack.prober.question import FORWARD, Question
from lastack.prober.search import Search
from lastack.prober.trial import Outcome, Sample, Trial, Via

TALKERS = 3
_TALK_NS = (250_000_000, 500_000_000, 1_000_000_000)
#: A talker that outlives the silent bound by this factor shows that talk keeps the connection.
OUTLIVES = 1.2
#: How long it takes until the last trial of a wave has begun and both ends have told of it.
_RAMP_NS = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """How far a test goes.

    Attributes:
        questions: What to find out.
        shortest_ns: Shortest wait.
        longest_ns: Longest wait.
        connections: At once, over all questions that take connections of the kernel.
        raw_each: Raw trials at once, for each question of that kind.
        fine: Connections of a later round, for each question.
        deadline_ns: When the last wait must be over, from the start; a later round is left out if it would not be.
        talk: Whether talkers are sent.
    """

    questions: tuple[Question, ...] = FORWARD
    shortest_ns: int = 500_000_000
    longest_ns: int = 150_000_000_000
    connections: int = 1000
    raw_each: int = 48
    fine: int = 80
    deadline_ns: int = 180_000_000_000
    talk: bool = True


@dataclass(slots=True)
class Inquiry:
    """What is known about one question so far."""

    question: Question
    search: Search
    talkers: list[Sample] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    talking: int = 0

    @property
    def outlived_ns(self) -> int:
        """The time at which talk has shown that it keeps the connection; 0 while no bound is known."""
        broken = self.search.bound().broken_ns
        return int(broken * OUTLIVES) if broken else 0


class Plan:
    """Decides which trials to start, and when all is known that can be.

    Args:
        scope: How far the test goes.
        done: Samples of an earlier, interrupted run over the same scope.
    """

    def __init__(self, scope: Scope, done: tuple[Sample, ...] = ()) -> None:
        self.asked = scope
        self._done = done
        self._numbers = count(1 + max((s.trial.number for s in done), default=0))
        self._live: dict[int, Trial] = {}
        self._lay_out(scope)

    def _lay_out(self, scope: Scope) -> None:
        self.scope = scope
        self.inquiries = {question.name: self._inquiry(question) for question in scope.questions}
        self._fresh = True
        self._dense = False
        for sample in self._done:
            self._recall(sample)

    def _inquiry(self, question: Question) -> Inquiry:
        scope = self.scope
        if question.waits_ns is not None:
            return Inquiry(question, Search(*question.waits_ns, question.trials, fine=0))
        if question.via is Via.raw:
            coarse = scope.raw_each
        else:
            sharing = sum(each.via is not Via.raw for each in scope.questions)
            coarse = max(scope.connections // sharing - (TALKERS if scope.talk else 0), 2)
        return Inquiry(question, Search(scope.shortest_ns, scope.longest_ns, coarse, min(scope.fine, coarse)))

    def leave_out(self, via: Via) -> list[Question]:
        """Take back the questions of a kind that cannot be asked, before any trial is given out; return them."""
        out = [question for question in self.scope.questions if question.via is via]
        rest = tuple(question for question in self.scope.questions if question.via is not via)
        self._lay_out(replace(self.scope, questions=rest))
        return out

    def _recall(self, sample: Sample) -> None:
        inquiry = self.inquiries.get(sample.trial.question)
        if inquiry is None or sample.bad:
            return
        inquiry.samples.append(sample)
        if sample.trial.talk_ns:
            inquiry.talkers.append(sample)
        else:
            inquiry.search.offer(sample.trial.wait_ns, sample.waited_ns, kept=sample.kept)

    @property
    def live(self) -> int:
        """Trials given out and not answered."""
        return len(self._live)

    def next(self, elapsed_ns: int) -> list[Trial]:
        """Return the trials to start now, those with the longest waits first.

        Args:
            elapsed_ns: Since the start of the run.
        """
        left = self.scope.deadline_ns - elapsed_ns - GRACE_NS
        trials: list[Trial] = []
        for inquiry in self.inquiries.values():
            known = {sample.trial.wait_ns for sample in inquiry.samples} if self._fresh else set()
            if self._fresh:
                trials += self._talkers(inquiry)
            elif inquiry.search.pending == 0:
                inquiry.search.advance(left)
            for wait in inquiry.search.take():
                if wait in known or inquiry.search.useless(wait):
                    inquiry.search.drop(wait)
                else:
                    trials.append(self._trial(inquiry.question, wait, 0))
        if not self._fresh:
            self._use_what_is_free(elapsed_ns)
        self._fresh = False
        return sorted(trials, key=lambda trial: (not trial.talk_ns, -trial.wait_ns))

    def _use_what_is_free(self, elapsed_ns: int) -> None:
        """Send a second wave between the first one's waits once half of that is over.

        Where the deadline has no room for a second round, this is what makes the bound of a long timer narrow: half
        of a geometric row is short, and its connections are free again when the long ones have hardly begun.
        """
        if self._dense or self.scope.deadline_ns >= 2 * self.scope.longest_ns:
            return
        live = Counter(trial.via is Via.raw for trial in self._live.values())
        inquiries = [one for one in self.inquiries.values() if one.question.waits_ns is None]
        sharing = sum(one.question.via is not Via.raw for one in inquiries)
        free = self.scope.connections - live[False]
        if free * 2 < self.scope.connections:
            return
        self._dense = True
        for inquiry in inquiries:
            raw = inquiry.question.via is Via.raw
            count = self.scope.raw_each // 2 if raw else free // sharing
            inquiry.search.densify(count, self.scope.longest_ns - elapsed_ns - _RAMP_NS)

    def _trial(self, question: Question, wait_ns: int, talk_ns: int) -> Trial:
        trial = Trial(
            next(self._numbers), question.name, question.sender, question.closer, wait_ns, talk_ns,
            question.via, question.raw,
        )  # fmt: skip
        self._live[trial.number] = trial
        return trial

    def _talkers(self, inquiry: Inquiry) -> Iterator[Trial]:
        if not self.scope.talk or not inquiry.question.talks:
            return
        for talk_ns in _TALK_NS[len(inquiry.talkers) : TALKERS]:
            inquiry.talking += 1
            yield self._trial(inquiry.question, self.scope.longest_ns, talk_ns)

    def offer(self, sample: Sample) -> None:
        """Take the outcome of a trial."""
        if self._live.pop(sample.trial.number, None) is None:
            return
        inquiry = self.inquiries[sample.trial.question]
        inquiry.samples.append(sample)
        wait = sample.trial.wait_ns
        if sample.trial.talk_ns:
            inquiry.talking -= 1
            if not sample.bad and sample.outcome is not Outcome.failed:
                inquiry.talkers.append(sample)
        elif sample.bad or sample.outcome is Outcome.failed:
            inquiry.search.skip(wait)
        else:
            inquiry.search.offer(wait, sample.waited_ns, kept=sample.kept)

    def amend(self, sample: Sample) -> None:
        """Replace a sample, now that the other end's report has come too."""
        inquiry = self.inquiries[sample.trial.question]
        for listed in (inquiry.samples, inquiry.talkers):
            for index, old in enumerate(listed):
                if old.trial.number == sample.trial.number:
                    listed[index] = sample
        if sample.outcome is Outcome.unheard and not sample.trial.talk_ns:
            inquiry.search.correct(sample.trial.wait_ns, sample.waited_ns)

    def superfluous(self, started: dict[int, int], now_ns: int) -> list[int]:
        """Return the numbers of live trials that teach nothing any more; each is to be given up with `abandon`.

        Args:
            started: When the wait of a trial began, by its number, in ns.
            now_ns: The same clock.
        """
        out = []
        for number, trial in self._live.items():
            inquiry = self.inquiries[trial.question]
            if trial.talk_ns:
                enough = inquiry.outlived_ns
                if (
                    enough
                    and number in started
                    and now_ns - started[number] > enough + 2 * trial.talk_ns + GRACE_NS
                ):
                    out.append(number)
            elif inquiry.search.useless(trial.wait_ns):
                out.append(number)
        return out

    def abandon(self, number: int, talked_ns: int = 0) -> None:
        """Take a trial back; a talker counts by how long its data came through.

        Args:
            number: Of the trial.
            talked_ns: For how long a talker was answered; 0 when nobody knows.
        """
        trial = self._live.pop(number, None)
        if trial is None:
            return
        inquiry = self.inquiries[trial.question]
        if trial.talk_ns:
            inquiry.talking -= 1
            if talked_ns:
                lives = talked_ns >= inquiry.outlived_ns
                sample = (
                    Sample(trial, Outcome.kept, talked_ns)
                    if lives
                    else Sample(trial, Outcome.silent, talked_ns, died_ns=talked_ns + trial.talk_ns)
                )
                inquiry.talkers.append(sample)
                inquiry.samples.append(sample)
        else:
            inquiry.search.drop(trial.wait_ns)

    def finished(self, elapsed_ns: int) -> bool:
        """Return whether nothing is live and nothing more is worth trying."""
        if self._fresh or self._live:
            return False
        left = self.scope.deadline_ns - elapsed_ns - GRACE_NS
        return not any(inquiry.search.advance(left) for inquiry in self.inquiries.values())

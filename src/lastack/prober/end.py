"""One end of a trial, without sockets: events and times go in, commands come out.

Both ends run this. After the opening words the closer sends FIN; the sender waits, silent or talking, sends the
last data and watches whether it is acknowledged; the receiver notes what comes.

Words on the connection: client `request`, server `ok`; with both directions open and the server as sender also client
`go`. Then chunks of `CHUNK` bytes: `.` while talking, `!` as the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from lastack.prober.trial import EndReport, Outcome, Side, Trial

OK = b"ok\n"
GO = b"go\n"
CHUNK = 16
TALK = b"." * (CHUNK - 1) + b"\n"
LAST = b"!" * (CHUNK - 1) + b"\n"
#: How long data may stay unacknowledged before the path counts as dead: Linux sends it three times by then.
GRACE_NS = 2_500_000_000
#: How long the receiver stays beyond the moment at which the sender must have given up.
MARGIN_NS = 3_000_000_000
_FIRST_LOOK_NS = 2_000_000
_LAST_LOOK_NS = 100_000_000


class Do(Enum):
    """A command without arguments."""

    shut_write = auto()  # send FIN, keep reading
    quick_ack = auto()  # acknowledge what was read now, not after a delay
    close = auto()  # close in good order
    abort = auto()  # close without waiting for anything; sends a RST


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `tick` at a time."""

    at_ns: int


Command = Do | Send | Wake


class TrialEnd:
    """One end's part of a trial.

    Args:
        trial: What is to be done.
        side: Which end this is.
    """

    def __init__(self, trial: Trial, side: Side) -> None:
        self.trial = trial
        self.report = EndReport(trial.number)
        self.side = side
        self._sends = trial.sender is side
        self._buffer = b""
        self._start_ns: int | None = None  # of the wait
        self._next_ns = 0  # next chunk
        self._sent_ns = 0
        self._look_ns = _FIRST_LOOK_NS
        self._pending = False  # data sent and not known to be acknowledged
        self._last_sent = False
        self._lived_ns = 0
        self._ready = side is Side.server

    @property
    def waiting(self) -> bool:
        """Whether the wait has begun."""
        return self._start_ns is not None

    @property
    def lived_ns(self) -> int:
        """How long into the wait data is known to have come through: acknowledged (sender) or received."""
        return self._lived_ns if self._sends else self.report.waited_ns

    def begin(self, now_ns: int) -> list[Command]:
        """Server: the request was read, say ok and, as the closer, send FIN."""
        commands: list[Command] = [Send(OK)]
        if self.trial.closer is Side.server:
            commands.append(Do.shut_write)
        return commands + self._limit(now_ns)

    def received(self, data: bytes, now_ns: int) -> list[Command]:
        """Take bytes from the other end."""
        self._buffer += data
        commands: list[Command] = []
        if not self._ready:
            if len(self._buffer) < len(OK):
                return commands
            if not self._buffer.startswith(OK):
                return self._fail(f"the responder said {self._buffer[:80]!r} instead of ok")
            self._buffer = self._buffer[len(OK) :]
            self._ready = True
            commands += self._opened(now_ns)
        if not self._sends:
            commands += self._take_chunks(now_ns)
        elif self.trial.closer is None and self.side is Side.server and self._buffer.startswith(GO):
            self._buffer = b""
            commands += self._wait(now_ns)
        return commands

    def _opened(self, now_ns: int) -> list[Command]:
        """Client: ok was read."""
        if self.trial.closer is Side.client:
            return [Do.shut_write, *self._limit(now_ns)]
        if self.trial.closer is None:
            return self._wait(now_ns) if self._sends else [Send(GO), *self._limit(now_ns)]
        return []  # the server's FIN is on its way

    def _limit(self, now_ns: int) -> list[Command]:
        """Start the receiver's clock with the opening words: it never waits for ever."""
        if self._sends:
            return []
        if self._start_ns is None:
            self._start_ns = now_ns
        # an ACK delayed by 40 ms may find the entry of a box gone that its data still found; and once this end has sent
        # FIN, Linux takes the wish to acknowledge at once only before the data comes
        return [Do.quick_ack, Wake(now_ns + self.trial.wait_ns + GRACE_NS + MARGIN_NS)]

    def _wait(self, now_ns: int) -> list[Command]:
        self._start_ns = now_ns
        step = self.trial.talk_ns or self.trial.wait_ns
        self._next_ns = now_ns + min(step, self.trial.wait_ns)
        return [Do.quick_ack, Wake(self._next_ns)]

    def ended(self, now_ns: int) -> list[Command]:
        """Take the other end's FIN."""
        if self._sends:
            if self.trial.closer is self.side.other and self._ready and not self.waiting:
                return self._wait(now_ns)
            if self.report.over:
                return []
            if not self.waiting:
                return self._fail("the other end closed before the wait")
            return []
        self.report.over = True
        return [Do.close]

    def _take_chunks(self, now_ns: int) -> list[Command]:
        while len(self._buffer) >= CHUNK:
            chunk, self._buffer = self._buffer[:CHUNK], self._buffer[CHUNK:]
            self.report.chunks += 1
            self.report.last = self.report.last or chunk == LAST
            assert self._start_ns is not None
            self.report.waited_ns = now_ns - self._start_ns
        return []

    def broke(self, error: str, now_ns: int) -> list[Command]:
        """Take the end of the connection by a RST or another error."""
        if self.report.over:
            return []
        self.report.reset = True
        self.report.error = error
        self.report.over = True
        start = self._start_ns
        if start is not None:
            self.report.died_ns = now_ns - start
        if self._sends:
            if start is None:
                self.report.outcome = Outcome.failed
            elif self._pending:
                self.report.outcome = Outcome.reset
                self.report.waited_ns = self.report.died_ns = self._sent_ns - start
                self.report.latency_ns = now_ns - self._sent_ns
            else:
                self.report.outcome = Outcome.reset_early
                self.report.waited_ns = now_ns - start
        return [Do.abort]

    def tick(self, now_ns: int, unacked: int) -> list[Command]:
        """Go on at a time that was asked for.

        Args:
            now_ns: This end's clock.
            unacked: Bytes that the kernel holds unacknowledged.
        """
        if self.report.over:
            return []
        if not self._sends:
            if self._start_ns is None or now_ns < self._start_ns + self.trial.wait_ns + GRACE_NS:
                return []
            self.report.over = True
            return [Do.abort]
        if self._start_ns is None:
            return []
        if self._pending:
            commands = self._look(now_ns, unacked)
            if commands:
                return commands
        if now_ns < self._next_ns:
            return [Wake(self._next_ns)]
        return self._speak(now_ns)

    def _look(self, now_ns: int, unacked: int) -> list[Command]:
        """Whether what was sent is acknowledged; empty when it is and talk goes on."""
        assert self._start_ns is not None
        if unacked == 0:
            self._pending = False
            self._look_ns = _FIRST_LOOK_NS
            self.report.chunks += 1
            self._lived_ns = self._sent_ns - self._start_ns
            if not self._last_sent:
                return []
            self.report.outcome = Outcome.kept
            self.report.over = True
            return [Do.close]
        if now_ns - self._sent_ns >= GRACE_NS:
            self.report.outcome = Outcome.silent
            self.report.waited_ns = self.report.died_ns = self._sent_ns - self._start_ns
            self.report.over = True
            return [Do.abort]
        self._look_ns = min(self._look_ns * 2, _LAST_LOOK_NS)
        return [Wake(min(now_ns + self._look_ns, self._sent_ns + GRACE_NS))]

    def _speak(self, now_ns: int) -> list[Command]:
        assert self._start_ns is not None
        end_ns = self._start_ns + self.trial.wait_ns
        self._last_sent = now_ns >= end_ns
        self._pending = True
        self._sent_ns = now_ns
        self.report.waited_ns = now_ns - self._start_ns
        if not self._last_sent:
            self._next_ns = min(now_ns + self.trial.talk_ns, end_ns)
        return [Send(LAST if self._last_sent else TALK), Wake(now_ns + self._look_ns)]

    def stop(self, why: str) -> list[Command]:
        """Give the trial up."""
        return [] if self.report.over else self._fail(why)

    def _fail(self, why: str) -> list[Command]:
        self.report.over = True
        self.report.error = why
        if self._sends:
            self.report.outcome = Outcome.failed
        return [Do.abort]

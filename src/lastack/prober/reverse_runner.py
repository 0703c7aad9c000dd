"""The near end of trials whose connections the responder opens: a listening port that only it can use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

from lastack.prober import protocol
from lastack.prober.connection import TrialSocket
from lastack.prober.limits import Limits
from lastack.prober.loop import Loop
from lastack.prober.opener import Told
from lastack.prober.responder import Responder, Watched
from lastack.prober.trial import EndReport, Outcome, Side, Trial, alike

#: Asks the responder something: operation, what to do with the reply, members.
Ask = Callable[[str, Callable[[dict[str, Any]], None], dict[str, Any]], None]

_AGAIN_NS = 300_000_000


class ReverseRunner:
    """Listens, and lets the responder open connections.

    Args:
        loop: The loop.
        address: Where to listen; `::` is every address of both families.
        port: TCP port; 0 lets the kernel choose.
        ask: Asks the responder.
        told: Told of the trials.
        connections: At once, at most.
        rate: Connections a second.

    Raises:
        UsageError: The port is taken, or the address is not one of this host.
    """

    near = Side.server

    def __init__(
        self, loop: Loop, address: str, port: int, ask: Ask, told: Told, connections: int, rate: int
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._told = told
        self._rate = rate
        self._secret = token_hex(16)
        self._open: dict[int, TrialSocket] = {}
        self._queue: deque[Trial] = deque()
        self._asking = False
        limits = Limits(connections=connections + 50, per_source=connections + 50, runs=4)
        watched = Watched(self._began, self._over)
        self._listener = Responder(loop, address, port, self._secret, limits, watched=watched)
        self.port = self._listener.port

    def offer(self, answered: Callable[[str], None]) -> None:
        """Ask the responder whether it can open connections; `answered` gets why not, or an empty text."""
        members = {"port": self.port, "secret": self._secret, "rate": self._rate}

        def ask() -> None:
            self._ask("reverse", replied, members)

        def replied(reply: dict[str, Any]) -> None:
            if reply.get("looking"):
                self._loop.at(self._loop.now() + _AGAIN_NS, ask)
            else:
                answered(str(reply.get("error", "")))

        ask()

    @property
    def live(self) -> int:
        """Trials at present."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Trials that are not announced yet."""
        return len(self._queue) + self._asking

    def start(self, trials: Sequence[Trial]) -> None:
        """Announce trials to the responder."""
        self._queue.extend(sorted(trials, key=lambda trial: trial.question))
        self._next()

    def _next(self) -> None:
        if self._asking or not self._queue:
            return
        batch = alike(self._queue, protocol.MAX_BATCH)
        self._asking = True

        def answered(reply: dict[str, Any]) -> None:
            self._asking = False
            if "error" in reply:
                for trial in batch:
                    outcome = Outcome.failed if trial.sender is Side.server else None
                    report = EndReport(trial.number, outcome=outcome, error=str(reply["error"]), over=True)
                    self._told.over(report, 0)
            self._next()

        self._ask("batch", answered, protocol.batch(batch))

    def _began(self, one: TrialSocket) -> None:
        number = one.end.trial.number
        self._open[number] = one
        self._told.began(number, ("", 0), 0)

    def _over(self, report: EndReport, rtt_ns: int) -> None:
        self._open.pop(report.number, None)
        self._told.over(report, rtt_ns)

    def stop(self, number: int, why: str) -> int:
        """Give a trial up; return how long its talk came through, in ns."""
        self._queue = deque(trial for trial in self._queue if trial.number != number)
        one = self._open.get(number)
        if one is None:
            return 0
        lived = one.end.lived_ns
        one.stop(why)
        return lived

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._queue.clear()
        self._listener.close()

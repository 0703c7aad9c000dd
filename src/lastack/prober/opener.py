"""Opens the connections of trials at a steady rate, and does the client's part of each."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lastack.prober.asking import connect
from lastack.prober.connection import TrialSocket, abort, pending_error
from lastack.prober.end import TrialEnd
from lastack.prober.loop import BROKEN, Loop
from lastack.prober.trial import EndReport, Side, Trial

_PUMP_NS = 4_000_000
_CONNECT_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of trials.

    Attributes:
        began: The connection of a trial stands: its number, the local address, the time of its handshake in ns.
        over: This end's part is over: its report, and the connection's round-trip time in ns, 0 if not known.
    """

    began: Callable[[int, tuple[str, int], int], None]
    over: Callable[[EndReport, int], None]


class Opener:
    """Opens connections, evenly spread over time: a burst would measure this program's own queue.

    Args:
        loop: The loop.
        family: Address family.
        address: Where to.
        line_of: Gives the request that opens a trial's connection.
        told: Who is told.
        source: Local address, empty for the kernel's choice.
        rate: Connections a second.
        patience: Connections in a row that may fail before the rest is not tried; 0 for any number.
    """

    near = Side.client

    def __init__(
        self,
        loop: Loop,
        family: int,
        address: tuple[Any, ...],
        line_of: Callable[[Trial], bytes],
        told: Told,
        source: str = "",
        rate: int = 500,
        patience: int = 0,
    ) -> None:
        self.loop = loop
        self.line_of = line_of
        self.told = told
        self._family = family
        self._address = address
        self._source = source
        self._each_ns = 10**9 // rate
        self._queue: deque[Trial] = deque()
        self._open: dict[int, TrialSocket | _Connecting] = {}
        self._pumping = False
        self._patience = patience
        self._failures = 0
        self._closed = False

    @property
    def live(self) -> int:
        """Connections at present."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Trials whose connection is not begun yet."""
        return len(self._queue)

    def start(self, trials: Iterable[Trial]) -> None:
        """Open the connections of trials, one after another."""
        self._queue.extend(trials)
        if not self._pumping:
            self._pump()

    def _pump(self) -> None:
        now = self.loop.now()
        for _ in range(max(_PUMP_NS // self._each_ns, 1)):
            if self._queue:
                self._begin(self._queue.popleft())
        self._pumping = bool(self._queue) and not self._closed
        if self._pumping:
            self.loop.at(now + max(self._each_ns, _PUMP_NS), self._pump)

    def _begin(self, trial: Trial) -> None:
        try:
            sock = connect(self._family, self._address, self._source)
        except OSError as error:
            self._failed(trial, error.strerror or str(error))
            return
        self._open[trial.number] = _Connecting(self, sock, trial)

    def connected(self, trial: Trial, sock: socket.socket, took_ns: int) -> None:
        """Go on with a trial whose connection stands."""
        local = sock.getsockname()
        try:
            sock.send(self.line_of(trial))
        except OSError as error:
            abort(sock)
            self.failed(trial, error.strerror or str(error))
            return
        self._failures = 0
        self.told.began(trial.number, (str(local[0]), int(local[1])), took_ns)
        one = TrialSocket(self.loop, sock, TrialEnd(trial, Side.client), self._over)
        self._open[trial.number] = one
        one.start([])

    def failed(self, trial: Trial, why: str) -> None:
        """Note a connection that could not be opened."""
        self._open.pop(trial.number, None)
        self._failed(trial, why)

    def _failed(self, trial: Trial, why: str) -> None:
        self._failures += 1
        if self._patience and self._failures >= self._patience:
            rest, self._queue = self._queue, deque()
            for each in rest:
                self.told.over(
                    EndReport(each.number, error=f"not tried after others failed: {why}", over=True), 0
                )
        self.told.over(EndReport(trial.number, error=why, over=True), 0)

    def _over(self, one: TrialSocket) -> None:
        self._open.pop(one.end.report.number, None)
        self.told.over(one.end.report, one.rtt_ns)

    def stop(self, number: int, why: str) -> int:
        """Give a trial up; return how long its talk came through, in ns."""
        self._queue = deque(trial for trial in self._queue if trial.number != number)
        one = self._open.get(number)
        lived = one.end.lived_ns if isinstance(one, TrialSocket) else 0
        if one is not None:
            one.stop(why)
            self._open.pop(number, None)
        return lived

    def close(self) -> None:
        """Give up all of it."""
        self._closed = True
        self._queue.clear()
        for one in list(self._open.values()):
            one.stop("the run is over")
        self._open.clear()


class _Connecting:
    """A trial's connection that does not stand yet."""

    def __init__(self, opener: Opener, sock: socket.socket, trial: Trial) -> None:
        self._opener = opener
        self._loop = opener.loop
        self._sock = sock
        self._trial = trial
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
            self._opener.connected(self._trial, self._sock, self._loop.now() - self._since)

    def _end(self) -> None:
        self._open = False
        self._timer.cancel()
        self._loop.forget(self._sock.fileno())

    def _fail(self, why: str) -> None:
        if self._open:
            self.stop(why)
            self._opener.failed(self._trial, why)

    def stop(self, why: str) -> None:
        """Give the connection up."""
        if self._open:
            self._end()
            abort(self._sock)

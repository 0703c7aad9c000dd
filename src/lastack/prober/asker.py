"""Asks targets whether they answer, thousands at once: by half-open SYN, or by connect() where that is not allowed."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from lastack.model.errors import AccessError
from lastack.prober.attempt import Attempt, Done
from lastack.prober.loop import Loop, Timer
from lastack.prober.outcome import Opening, Result
from lastack.prober.syn_socket import Answer, SynSocket

#: A SYN may be lost: it is sent again after this time, as Linux does.
RETRY_NS = 1_000_000_000
_SEND_STEP_NS = 2_000_000


class Asker(Protocol):
    """Asks one target; calls back once."""

    method: str

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Ask, and call `done` with the result at the latest after the timeout."""

    def close(self) -> None:
        """Give everything back."""


class SynAsker:
    """Half-open: SYN, and the kernel's RST to the SYN-ACK; the application never sees a connection.

    Args:
        loop: The loop.
        source4: Local IPv4 address, empty for the kernel's choice.
        source6: Local IPv6 address, the same.
        rate: SYNs sent a second.

    Raises:
        AccessError: CAP_NET_RAW is missing.
    """

    method = "syn"

    def __init__(self, loop: Loop, source4: str = "", source6: str = "", rate: int = 20_000) -> None:
        self._loop = loop
        self._sources = {4: source4, 6: source6}
        self._sockets: dict[int, SynSocket] = {}
        self._waiting: dict[tuple[str, int], _Pending] = {}
        self._queue: deque[_Pending] = deque()
        self._each_ns = 10**9 // rate
        self._next_ns = 0
        self._sending = False
        self._socket(4)  # tells at once whether it is allowed

    def _socket(self, version: int) -> SynSocket:
        sock = self._sockets.get(version)
        if sock is None:
            sock = self._sockets[version] = SynSocket(version, self._sources[version])
            self._loop.watch(sock.fileno(), lambda events: self._receive(version))
        return sock

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Ask a target, see `Asker`; a target that is being asked is not asked twice."""
        key = (address, port)
        known = self._waiting.get(key)
        if known is not None:
            known.done.append(done)
            return
        pending = self._waiting[key] = _Pending(address, port, timeout_ns, done)
        self._queue.append(pending)
        if not self._sending:
            self._send()

    def _send(self) -> None:
        now = self._loop.now()
        self._next_ns = max(self._next_ns, now - _SEND_STEP_NS)
        while self._queue and self._next_ns <= now:
            pending = self._queue.popleft()
            if pending.over:
                continue
            self._next_ns += self._each_ns
            try:
                self._one(pending, now)
            except BlockingIOError:
                self._queue.appendleft(pending)
                break
        self._sending = bool(self._queue)
        if self._sending:
            self._loop.at(max(self._next_ns, now + _SEND_STEP_NS // 2), self._send)

    def _one(self, pending: _Pending, now: int) -> None:
        version = 6 if ":" in pending.address else 4
        try:
            sent = self._socket(version).send(pending.address, pending.port)
        except BlockingIOError:
            raise
        except OSError as error:
            detail = error.strerror or str(error)
            self._finish(pending, Result(Opening.error, attempts=pending.attempts, detail=detail))
            return
        pending.attempts += 1
        pending.sent.append(sent)
        if pending.attempts == 1:
            pending.deadline_ns = now + pending.timeout_ns
        wake = min(pending.deadline_ns, now + RETRY_NS)
        pending.timer = self._loop.at(wake, lambda: self._late(pending))

    def _late(self, pending: _Pending) -> None:
        if pending.over:
            return
        if self._loop.now() >= pending.deadline_ns:
            self._receive_all()
            if not pending.over:
                detail = f"no answer to {pending.attempts} SYN"
                self._finish(pending, Result(Opening.filtered, attempts=pending.attempts, detail=detail))
            return
        self._queue.append(pending)
        if not self._sending:
            self._send()

    def _receive_all(self) -> None:
        for version in list(self._sockets):
            self._receive(version)

    def _receive(self, version: int) -> None:
        more = True
        while more:
            more = False
            for answer in self._sockets[version].receive():
                more = True
                self._take(answer)

    def _take(self, answer: Answer) -> None:
        pending = self._waiting.get((answer.address, answer.port))
        if pending is None:
            return
        before = [sent for sent in pending.sent if sent <= answer.at_ns]
        rtt = answer.at_ns - before[-1] if before else None
        n = pending.attempts
        match answer.kind:
            case "synack":
                result = Result(Opening.up, rtt, n)
            case "rst":
                result = Result(Opening.refused, rtt, n, detail="RST")
            case _:
                kind, code = answer.icmp or (None, None)
                result = Result(Opening.unreachable, rtt, n, kind, code, answer.reporter, answer.detail)
        self._finish(pending, result)

    def _finish(self, pending: _Pending, result: Result) -> None:
        pending.over = True
        if pending.timer is not None:
            pending.timer.cancel()
        self._waiting.pop((pending.address, pending.port), None)
        for done in pending.done:
            done(result)

    def close(self) -> None:
        """Give the ports back."""
        for sock in self._sockets.values():
            self._loop.forget(sock.fileno())
            sock.close()
        self._sockets.clear()


class _Pending:
    """A target that is being asked."""

    __slots__ = ("address", "attempts", "deadline_ns", "done", "over", "port", "sent", "timeout_ns", "timer")

    def __init__(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        self.address = address
        self.port = port
        self.timeout_ns = timeout_ns
        self.done = [done]
        self.sent: list[int] = []
        self.attempts = 0
        self.deadline_ns = 0
        self.timer: Timer | None = None
        self.over = False


class ConnectAsker:
    """A whole handshake with connect(), then a RST: needs no privilege, but the application may see a connection.

    Args:
        loop: The loop.
        source4: Local IPv4 address, empty for the kernel's choice.
        source6: Local IPv6 address, the same.
        at_once: Connections at once; more wait their turn.
    """

    method = "connect"

    def __init__(self, loop: Loop, source4: str = "", source6: str = "", at_once: int = 2000) -> None:
        self._loop = loop
        self._sources = {4: source4, 6: source6}
        self._at_once = at_once
        self._live: set[Attempt] = set()
        self._queue: deque[tuple[str, int, int, Done]] = deque()

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Ask a target, see `Asker`."""
        self._queue.append((address, port, timeout_ns, done))
        self._start()

    def _start(self) -> None:
        while self._queue and len(self._live) < self._at_once:
            address, port, timeout_ns, done = self._queue.popleft()
            one = Attempt(self._loop, (address, port), timeout_ns, self._sources[6 if ":" in address else 4])
            one.done = self._after(one, done)
            self._live.add(one)

    def _after(self, one: Attempt, done: Done) -> Done:
        def ended(result: Result) -> None:
            self._live.discard(one)
            done(result)
            if self._queue:
                self._start()

        return ended

    def close(self) -> None:
        """Forget what waits, and close what is open."""
        self._queue.clear()
        for one in list(self._live):
            one.stop()
        self._live.clear()


def best_asker(loop: Loop, method: str, source4: str = "", source6: str = "") -> tuple[Asker, str]:
    """Return the asker for a method and, if it is not the one that was hoped for, why.

    Args:
        loop: The loop.
        method: `syn`, `connect`, or `auto` for the first where it is allowed.
        source4: Local IPv4 address.
        source6: Local IPv6 address.

    Raises:
        AccessError: `syn` was asked for and is not allowed.
    """
    if method == "connect":
        return ConnectAsker(loop, source4, source6), ""
    try:
        return SynAsker(loop, source4, source6), ""
    except AccessError as error:
        if method == "syn":
            raise
        return ConnectAsker(loop, source4, source6), str(error)

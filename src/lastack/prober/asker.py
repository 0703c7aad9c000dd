"""Asks targets whether they answer, thousands at once: by half-open SYN, or by connect() where that is not allowed."""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol

from lastack.model.errors import AccessError
from lastack.prober.connection import abort, pending_error
from lastack.prober.loop import BROKEN, Loop, Timer
from lastack.prober.outcome import Opening, Result, icmp_words
from lastack.prober.syn_socket import Answer, SynSocket

Done = Callable[[Result], None]
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
        self._sources = {socket.AF_INET: source4, socket.AF_INET6: source6}
        self._at_once = at_once
        self._live: set[_Connect] = set()
        self._queue: deque[tuple[str, int, int, Done]] = deque()

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Ask a target, see `Asker`."""
        self._queue.append((address, port, timeout_ns, done))
        self._start()

    def _start(self) -> None:
        while self._queue and len(self._live) < self._at_once:
            address, port, timeout_ns, done = self._queue.popleft()
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            one = _Connect(self._loop, family, self._sources[family], (address, port), timeout_ns)
            one.done = self._after(one, done)
            self._live.add(one)

    def _after(self, one: _Connect, done: Done) -> Done:
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


_REFUSED = "ECONNREFUSED"
_UNREACHABLE = ("EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "ENONET", "EACCES", "EPROTO")
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class _Connect:
    """One connect()."""

    def __init__(
        self,
        loop: Loop,
        family: socket.AddressFamily,
        source: str,
        target: tuple[str, int],
        timeout_ns: int,
    ) -> None:
        self.done: Done = lambda result: None
        self._loop = loop
        self._family = family
        self._since = loop.now()
        self._over = False
        self._timer: Timer | None = None
        try:
            self._sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            detail = error.strerror or str(error)
            loop.at(self._since, lambda: self._fail(detail))
            return
        try:
            self._sock.setblocking(False)
            self._sock.setsockopt(*_RECVERR[family], 1)
            if source:
                self._sock.bind((source, 0))
            self._sock.connect_ex(target)
        except OSError as error:
            detail = error.strerror or str(error)
            self._sock.close()
            loop.at(self._since, lambda: self._fail(detail))
            return
        self._timer = loop.at(self._since + timeout_ns, self._late)
        loop.watch(self._sock.fileno(), self._event)

    def _event(self, events: int) -> None:
        if self._over:
            return
        rtt = self._loop.now() - self._since
        if events & BROKEN and (error := pending_error(self._sock)):
            self._finish(self._failure(error, rtt))
        elif events & select.EPOLLOUT:
            self._finish(Result(Opening.up, rtt))

    def _failure(self, error: str, rtt: int) -> Result:
        if error == _REFUSED:
            kind = self._icmp()
            if kind is None:
                return Result(Opening.refused, rtt, detail="RST")
            return self._unreachable(kind, rtt, error)
        if error in _UNREACHABLE:
            return self._unreachable(self._icmp(), rtt, error)
        if error == "ETIMEDOUT":
            return Result(Opening.filtered, detail="no answer")
        return Result(Opening.error, detail=error)

    def _unreachable(self, icmp: tuple[int, int, str] | None, rtt: int, error: str) -> Result:
        if icmp is None:
            return Result(Opening.unreachable, rtt, detail=error)
        kind, code, reporter = icmp
        words = icmp_words(4 if self._family == socket.AF_INET else 6, kind, code)
        return Result(Opening.unreachable, rtt, 1, kind, code, reporter, words)

    def _icmp(self) -> tuple[int, int, str] | None:
        """Return type, code and sender of the ICMP error behind a failure."""
        try:
            _, extra, _, _ = self._sock.recvmsg(256, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        for level, name, value in extra:
            if (level, name) == _RECVERR[self._family] and len(value) >= 16:
                _, origin, kind, code = struct.unpack_from("=IBBB", value)
                if origin in (2, 3):
                    at = 20 if self._family == socket.AF_INET else 24
                    size = 4 if self._family == socket.AF_INET else 16
                    return kind, code, socket.inet_ntop(self._family, value[at : at + size])
        return None

    def _late(self) -> None:
        if not self._over:
            self._finish(Result(Opening.filtered, detail="no answer"))

    def _finish(self, result: Result) -> None:
        self.stop()
        self.done(result)

    def _fail(self, detail: str) -> None:
        """Tell of a connection that could not even be begun."""
        if not self._over:
            self._over = True
            self.done(Result(Opening.error, detail=detail))

    def stop(self) -> None:
        """Close the connection without a word."""
        if not self._over and self._timer is not None:
            self._timer.cancel()
            self._loop.forget(self._sock.fileno())
            abort(self._sock)
        self._over = True


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

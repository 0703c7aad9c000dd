"""The far end of a path test: one listening port that does its part of trials and tells what it saw.

Safe to leave open: it never connects anywhere, sends nothing before a connection is established and a valid request
came, and holds bounded numbers of connections, runs and reports for a bounded time.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lastack.model.errors import LastackError, UsageError
from lastack.prober import protocol
from lastack.prober.connection import TrialSocket, abort
from lastack.prober.end import TrialEnd
from lastack.prober.loop import BROKEN, Loop
from lastack.prober.trial import Side, Trial

_REQUEST_NS = 5_000_000_000
_REPORTS_A_REPLY = 2_000
_SWEEP_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a responder spends at most.

    Attributes:
        connections: At once, of all sources.
        per_source: At once, of one address.
        runs: Whose reports are kept.
        reports: Kept of one run.
        wait_ns: Longest wait of a trial.
        keep_ns: How long a run without connections is remembered.
    """

    connections: int = 8192
    per_source: int = 4096
    runs: int = 64
    reports: int = 50_000
    wait_ns: int = protocol.MAX_WAIT_NS
    keep_ns: int = 3600 * 10**9


@dataclass(slots=True)
class _RunLog:
    """The reports of one run, in the order in which they were ready."""

    source: str
    seen_ns: int
    reports: list[dict[str, Any]] = field(default_factory=list)
    live: int = 0


@dataclass(slots=True)
class Counts:
    """What a responder has done."""

    accepted: int = 0
    trials: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Responder:
    """Listens, and does its part of every trial.

    Args:
        loop: The loop to live in.
        address: Where to listen; `::` is every address of both families.
        port: TCP port; 0 lets the kernel choose.
        token: What a runner must know; empty for none.
        limits: What it spends at most.
        told: Called with a line on each run that begins and each refusal.

    Raises:
        UsageError: The address is not one of this host, or the port is taken.
        AccessError: The port needs privileges.
    """

    def __init__(
        self,
        loop: Loop,
        address: str = "::",
        port: int = 0,
        token: str = "",
        limits: Limits | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.counts = Counts()
        self._loop = loop
        self._token = token
        self._limits = limits or Limits()
        self._told = told or (lambda line: None)
        self._runs: OrderedDict[str, _RunLog] = OrderedDict()
        self._sources: Counter[str] = Counter()
        self._sockets: set[TrialSocket] = set()
        self._openings: set[_Opening] = set()
        self._listener = listen(address, port)
        self.port: int = self._listener.getsockname()[1]
        loop.watch(self._listener.fileno(), self._accept)
        loop.at(loop.now() + _SWEEP_NS, self._sweep)

    @property
    def connections(self) -> int:
        """Connections at present."""
        return len(self._sockets) + len(self._openings)

    def _accept(self, events: int) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # out of descriptors, or the connection is gone already: the next event tries again
                self.counts.refused[errno.errorcode.get(error.errno or 0, "error")] += 1
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.at(self._loop.now() + 100_000_000, lambda: self._accept(0))
                    return
                continue
            sock.setblocking(False)
            source = str(peer[0])
            self.counts.accepted += 1
            full = self.connections >= self._limits.connections
            if full or self._sources[source] >= self._limits.per_source:
                self._refuse(sock, "too many connections")
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sources[source] += 1
            _Opening(self, sock, peer)

    def _refuse(self, sock: socket.socket, why: str) -> None:
        self.counts.refused[why] += 1
        with contextlib.suppress(OSError):
            sock.send(protocol.refusal(why))
        sock.close()

    def left(self, source: str) -> None:
        """Note that a connection of a source is over."""
        self._sources[source] -= 1
        if self._sources[source] <= 0:
            del self._sources[source]

    def serve(self, opening: _Opening, line: bytes, rest: bytes) -> None:
        """Do what a request asks for."""
        try:
            body = protocol.decode(line, self._token)
            run = self._run_of(body["run"], opening.source)
            match body["op"]:
                case "hello":
                    opening.answer(self._hello(opening))
                case "reports":
                    opening.answer(self._reports(run, body.get("after")))
                case "trial":
                    self._trial(opening, run, Trial.from_json(body.get("trial") or {}), rest)
        except LastackError as error:
            self.counts.refused[str(error)[:60]] += 1
            self._told(f"{opening.source}: refused: {error}")
            opening.answer({"error": str(error)})

    def _run_of(self, name: str, source: str) -> _RunLog:
        run = self._runs.get(name)
        if run is None:
            if len(self._runs) >= self._limits.runs:
                idle = next((key for key, log in self._runs.items() if not log.live), None)
                if idle is None:
                    raise UsageError("too many runs at once; try later")
                del self._runs[idle]
            run = self._runs[name] = _RunLog(source, self._loop.now())
            self._told(f"{source}: run {name} begins")
        run.seen_ns = self._loop.now()
        self._runs.move_to_end(name)
        return run

    def _hello(self, opening: _Opening) -> dict[str, Any]:
        return {
            "version": protocol.VERSION,
            "you": list(opening.peer[:2]),
            "me": list(opening.sock.getsockname()[:2]),
            "max_wait_ns": self._limits.wait_ns,
            "max_connections": min(self._limits.connections, self._limits.per_source),
        }

    def _reports(self, run: _RunLog, after: Any) -> dict[str, Any]:
        if type(after) is not int or after < 0:
            raise UsageError("reports after which one?")
        part = run.reports[after : after + _REPORTS_A_REPLY]
        return {"reports": part, "next": after + len(part), "live": run.live}

    def _trial(self, opening: _Opening, run: _RunLog, trial: Trial, rest: bytes) -> None:
        if trial.wait_ns > self._limits.wait_ns:
            raise UsageError(f"a wait is at most {self._limits.wait_ns // 10**9} s here")
        if len(run.reports) + run.live >= self._limits.reports:
            raise UsageError(f"a run has at most {self._limits.reports} trials here")
        if trial.talk_ns and trial.talk_ns < 50_000_000:
            raise UsageError("talk at most 20 times a second")
        self.counts.trials += 1
        run.live += 1
        end = TrialEnd(trial, Side.server)
        sock = opening.release()
        source = opening.source

        def over(done: TrialSocket) -> None:
            self._sockets.discard(done)
            run.live -= 1
            run.reports.append(done.end.report.to_json())
            self.left(source)

        one = TrialSocket(self._loop, sock, end, over)
        self._sockets.add(one)
        one.start(end.begin(self._loop.now()))
        one.feed(rest)

    def _sweep(self) -> None:
        """Forget runs that nobody asked about for long."""
        now = self._loop.now()
        for name in [n for n, log in self._runs.items() if now - log.seen_ns > self._limits.keep_ns]:
            if not self._runs[name].live:
                del self._runs[name]
        self._loop.at(now + _SWEEP_NS, self._sweep)

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for one in list(self._sockets):
            one.stop("the responder stops")
        for opening in list(self._openings):
            opening.drop()


class _Opening:
    """A connection whose request has not come yet, or whose answer has not left yet."""

    def __init__(self, responder: Responder, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        self.sock = sock
        self.peer = peer
        self.source = str(peer[0])
        self._responder = responder
        self._loop = responder._loop
        self._buffer = b""
        self._out = b""
        self._open = True
        responder._openings.add(self)
        self._loop.watch(sock.fileno(), self._event)
        self._timer = self._loop.at(self._loop.now() + _REQUEST_NS, self.drop)

    def _event(self, events: int) -> None:
        if self._out:
            self._flush()
            return
        while self._open and not self._out:
            try:
                data = self.sock.recv(protocol.MAX_REQUEST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.drop()
                return
            self._buffer += data
            if b"\n" in self._buffer:
                line, rest = self._buffer.split(b"\n", 1)
                self._responder.serve(self, line, rest)
                return
            if len(self._buffer) > protocol.MAX_REQUEST:
                self.drop()
                return
        if self._open and events & BROKEN:
            self.drop()

    def answer(self, members: dict[str, Any]) -> None:
        """Send a reply and close once it has left."""
        self._out = protocol.reply(members)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                self._out = self._out[self.sock.send(self._out) :]
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        self._end()
        self.sock.close()
        self._responder.left(self.source)

    def release(self) -> socket.socket:
        """Hand the socket over to a trial."""
        self._end()
        return self.sock

    def drop(self) -> None:
        """End the connection without an answer."""
        if self._open:
            self._end()
            abort(self.sock)
            self._responder.left(self.source)

    def _end(self) -> None:
        self._open = False
        self._timer.cancel()
        self._loop.forget(self.sock.fileno())
        self._responder._openings.discard(self)


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket, of both families where the address is `::`.

    Raises:
        UsageError: The address is not one of this host, or the port is taken.
        AccessError: The port needs privileges.
    """
    from lastack.model.errors import AccessError

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        family, address = socket.AF_INET, "0.0.0.0" if address == "::" else address
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        family, address = socket.AF_INET, "0.0.0.0" if address == "::" else address
        sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        sock.bind((address, port))
        sock.listen(4096)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EACCES:
            raise AccessError(f"port {port} needs privileges; take one above 1023") from error
        raise UsageError(f"cannot listen on {address} port {port}: {error.strerror}") from error
    return sock

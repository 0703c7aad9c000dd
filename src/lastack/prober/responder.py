"""The far end of a path test: one listening port that does its part of trials and tells what it saw.

Safe to leave open: it connects nowhere (or, where that is allowed, back to who asked), sends nothing before a
connection is established and a valid request came, and holds bounded numbers of connections, runs and reports for a
bounded time.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lastack.model.errors import LastackError, UsageError
from lastack.prober import protocol
from lastack.prober.connection import TrialSocket, abort
from lastack.prober.end import TrialEnd
from lastack.prober.extras import Extras
from lastack.prober.limits import Counts, Limits
from lastack.prober.listening import listen
from lastack.prober.loop import BROKEN, Loop
from lastack.prober.opener import Told
from lastack.prober.runlog import RunLog
from lastack.prober.trial import EndReport, Side, Trial, Via

_REQUEST_NS = 5_000_000_000
_REPORTS_A_REPLY = 2_000
_SWEEP_NS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Watched:
    """Who is told of trials that come as connections.

    Attributes:
        began: A trial's connection stands and its request came.
        over: This end's part is over: its report, and the round-trip time in ns, 0 if not known.
    """

    began: Callable[[TrialSocket], None]
    over: Callable[[EndReport, int], None]


class Responder:
    """Listens, and does its part of every trial.

    Args:
        loop: The loop to live in.
        address: Where to listen; `::` is every address of both families.
        port: TCP port; 0 lets the kernel choose.
        token: What a runner must know; empty for none.
        limits: What it spends at most.
        told: Called with a line on each run that begins and each refusal.
        extras: What it does beside that.
        watched: Told of each trial's beginning and end.

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
        extras: Extras | None = None,
        watched: Watched | None = None,
    ) -> None:
        self.counts = Counts()
        self._loop = loop
        self._token = token
        self._limits = limits or Limits()
        self._told = told or (lambda line: None)
        self._extras = extras or Extras()
        self._watched = watched
        self._runs: OrderedDict[str, RunLog] = OrderedDict()
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
        back = self._extras.back
        return len(self._sockets) + len(self._openings) + (back.live if back else 0)

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
                    opening.answer(self._hello(opening, body.get("nonce")))
                case "reports":
                    opening.answer(self._reports(run, body.get("after")))
                case "batch":
                    opening.answer(self._batch(run, body))
                case "reverse":
                    self._reverse(opening, run, body)
                case "trial":
                    self._trial(opening, run, Trial.from_json(body.get("trial") or {}), rest)
        except LastackError as error:
            self.counts.refused[str(error)[:60]] += 1
            self._told(f"{opening.source}: refused: {error}")
            opening.answer({"error": str(error)})

    def _run_of(self, name: str, source: str) -> RunLog:
        run = self._runs.get(name)
        if run is None:
            if len(self._runs) >= self._limits.runs:
                idle = next((key for key, log in self._runs.items() if not log.live), None)
                if idle is None:
                    raise UsageError("too many runs at once; try later")
                self._forget(idle)
            run = self._runs[name] = RunLog(source, self._loop.now())
            self._told(f"{source}: run {name} begins")
        run.seen_ns = self._loop.now()
        self._runs.move_to_end(name)
        return run

    def _reverse(self, opening: _Opening, run: RunLog, body: dict[str, Any]) -> None:
        back = self._extras.back
        if back is None:
            raise UsageError("not allowed there: start the responder with --allow-reverse")
        told = Told(lambda number, local, took_ns: None, lambda report, rtt_ns: run.take(report))
        opening.answer(back.check(run, opening.peer, body, told))

    def _batch(self, run: RunLog, body: dict[str, Any]) -> dict[str, Any]:
        trials = protocol.trials_of(body)
        for trial in trials:
            self._check(trial)
        self._room(run, len(trials))
        via = trials[0].via
        if via is Via.raw and self._extras.raw is not None:
            answer = {"tag": self._extras.raw.expect(run.source, trials, run.take)}
        elif via is Via.reverse and run.opener is not None:
            room = min(self._limits.connections - self.connections, self._limits.per_source)
            if run.opener.live + run.opener.waiting + len(trials) > room:
                raise UsageError("too many connections")
            run.opener.start(trials)
            answer = {"opening": len(trials)}
        else:
            raise UsageError(f"no {via} trials here")
        run.live += len(trials)
        self.counts.trials += len(trials)
        return answer

    def _forget(self, name: str) -> None:
        run = self._runs.pop(name)
        if run.opener is not None and self._extras.back is not None:
            self._extras.back.forget(run.opener)

    def _hello(self, opening: _Opening, nonce: Any) -> dict[str, Any]:
        raw = self._extras.raw
        return {
            "version": protocol.VERSION,
            "you": list(opening.peer[:2]),
            "me": list(opening.sock.getsockname()[:2]),
            "max_wait_ns": self._limits.wait_ns,
            "max_connections": min(self._limits.connections, self._limits.per_source),
            "raw_port": raw.port if raw else 0,
            "raw_why": "" if raw else self._extras.raw_why,
            "reverse": self._extras.back is not None,
            "nonce": nonce if isinstance(nonce, str) and len(nonce) <= 64 else "",
        }

    def _reports(self, run: RunLog, after: Any) -> dict[str, Any]:
        if type(after) is not int or after < 0:
            raise UsageError("reports after which one?")
        part = run.reports[after : after + _REPORTS_A_REPLY]
        return {"reports": part, "next": after + len(part), "live": run.live}

    def _check(self, trial: Trial) -> None:
        if trial.wait_ns > self._limits.wait_ns:
            raise UsageError(f"a wait is at most {self._limits.wait_ns // 10**9} s here")
        if trial.talk_ns and trial.talk_ns < 50_000_000:
            raise UsageError("talk at most 20 times a second")

    def _room(self, run: RunLog, wanted: int) -> None:
        if len(run.reports) + run.live + wanted > self._limits.reports:
            raise UsageError(f"a run has at most {self._limits.reports} trials here")

    def _trial(self, opening: _Opening, run: RunLog, trial: Trial, rest: bytes) -> None:
        self._check(trial)
        self._room(run, 1)
        if trial.raw is not None:
            raise UsageError("a raw trial has no connection")
        self.counts.trials += 1
        run.live += 1
        end = TrialEnd(trial, Side.server)
        sock = opening.release()
        source = opening.source

        def over(done: TrialSocket) -> None:
            self._sockets.discard(done)
            run.take(done.end.report)
            self.left(source)
            if self._watched is not None:
                self._watched.over(done.end.report, done.rtt_ns)

        one = TrialSocket(self._loop, sock, end, over)
        self._sockets.add(one)
        if self._watched is not None:
            self._watched.began(one)
        one.start(end.begin(self._loop.now()))
        one.feed(rest)

    def _sweep(self) -> None:
        """Forget runs that nobody asked about for long."""
        now = self._loop.now()
        for name in [n for n, log in self._runs.items() if now - log.seen_ns > self._limits.keep_ns]:
            if not self._runs[name].live:
                self._forget(name)
        self._loop.at(now + _SWEEP_NS, self._sweep)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._extras.back is not None:
            self._extras.back.close()
        if self._extras.raw is not None:
            self._extras.raw.close()
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

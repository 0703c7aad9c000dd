"""A short conversation over a whole connection: send, close the own direction if asked to, expect an answer."""

from __future__ import annotations

import re
import select
import socket
from dataclasses import dataclass

from lastack.prober.asker import Done
from lastack.prober.connection import abort, pending_error
from lastack.prober.loop import BROKEN, Loop, Timer
from lastack.prober.outcome import Opening, Result

_MOST = 65_536
_REFUSED = ("ECONNREFUSED",)
_UNREACHABLE = ("EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "EACCES")


@dataclass(frozen=True, slots=True)
class Script:
    """What is said and expected.

    Attributes:
        send: Bytes to send first.
        half_close: Send FIN after them: the answer must come through a half-closed connection.
        expect: What the answer must contain; None takes any answer, or a FIN where nothing is sent.
    """

    send: bytes = b""
    half_close: bool = False
    expect: re.Pattern[bytes] | None = None


class TalkAsker:
    """Talks to targets by a script.

    Args:
        loop: The loop.
        script: What is said.
        source4: Local IPv4 address, empty for the kernel's choice.
        source6: Local IPv6 address, the same.
    """

    method = "talk"

    def __init__(self, loop: Loop, script: Script, source4: str = "", source6: str = "") -> None:
        self._loop = loop
        self._script = script
        self._live: set[_Talk] = set()
        self._sources = {4: source4, 6: source6}

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Talk to a target; `done` gets `up` when the conversation worked."""
        source = self._sources[6 if ":" in address else 4]
        one = _Talk(self._loop, self._script, source, address, port, timeout_ns)

        def ended(result: Result) -> None:
            self._live.discard(one)
            done(result)

        one.done = ended
        self._live.add(one)

    def close(self) -> None:
        """Close what is open."""
        for one in list(self._live):
            one.stop()
        self._live.clear()


class _Talk:
    """One conversation."""

    def __init__(
        self, loop: Loop, script: Script, source: str, address: str, port: int, timeout_ns: int
    ) -> None:
        self.done: Done = lambda result: None
        self._loop = loop
        self._script = script
        self._since = loop.now()
        self._rtt: int | None = None
        self._got = b""
        self._over = False
        self._timer: Timer | None = None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._sock.setblocking(False)
            if source:
                self._sock.bind((source, 0))
            self._sock.connect_ex((address, port))
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
        if events & BROKEN and (error := pending_error(self._sock)):
            self._broke(error)
            return
        if self._rtt is None and events & select.EPOLLOUT:
            self._rtt = self._loop.now() - self._since
            self._speak()
        if not self._over and events & (select.EPOLLIN | select.EPOLLRDHUP):
            self._listen()

    def _speak(self) -> None:
        try:
            if self._script.send:
                self._sock.sendall(self._script.send)
            if self._script.half_close:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._finish(Opening.failed, f"sending: {error.strerror}")

    def _listen(self) -> None:
        while not self._over:
            try:
                data = self._sock.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:
                self._finish(Opening.failed, f"{error.strerror} after {len(self._got)} bytes")
                return
            self._got += data
            if self._satisfied(ended=not data):
                self._finish(Opening.up, f"{len(self._got)} bytes")
            elif not data or len(self._got) > _MOST:
                self._finish(Opening.failed, f"the answer, {len(self._got)} bytes, is not what was expected")

    def _satisfied(self, *, ended: bool) -> bool:
        expect = self._script.expect
        if expect is not None:
            return expect.search(self._got) is not None
        return bool(self._got) or (ended and not self._script.send)

    def _broke(self, error: str) -> None:
        if self._rtt is not None:
            self._finish(Opening.failed, f"{error} after {len(self._got)} bytes")
        elif error in _REFUSED:
            self._finish(Opening.refused, "RST")
        elif error in _UNREACHABLE:
            self._finish(Opening.unreachable, error)
        else:
            self._finish(Opening.filtered if error == "ETIMEDOUT" else Opening.error, error)

    def _late(self) -> None:
        if self._over:
            return
        if self._rtt is None:
            self._finish(Opening.filtered, "no answer")
        else:
            side = "after our FIN" if self._script.half_close else "after the handshake"
            self._finish(Opening.failed, f"silence {side}")

    def _finish(self, opening: Opening, detail: str) -> None:
        self.stop()
        self.done(Result(opening, self._rtt, detail=detail))

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

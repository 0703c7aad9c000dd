"""One connect() that ends in one result: what every way of asking with a whole handshake shares."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable

from lastack.prober.connection import abort, pending_error
from lastack.prober.loop import BROKEN, Loop, Timer
from lastack.prober.outcome import Opening, Result, icmp_words

Done = Callable[[Result], None]

_UNREACHABLE = ("EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "ENONET", "EACCES", "EPROTO")
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_FROM_ICMP = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6


class Attempt:
    """A connection that is being opened; `done` is called once, with the result.

    What is to happen once it stands is in `opened` and `event`, for subclasses.

    Args:
        loop: The loop.
        target: Address and port.
        timeout_ns: For all of it.
        source: Local address, empty for the kernel's choice.
    """

    def __init__(self, loop: Loop, target: tuple[str, int], timeout_ns: int, source: str = "") -> None:
        self.done: Done = lambda result: None
        self.rtt_ns: int | None = None
        self.over = False
        self._loop = loop
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._since = loop.now()
        self._timer: Timer | None = None
        self.sock: socket.socket | None = None
        try:
            self.sock = socket.socket(self._family, socket.SOCK_STREAM)
            self.sock.setblocking(False)
            self.sock.setsockopt(*_RECVERR[self._family], 1)
            if source:
                self.sock.bind((source, 0))
            self.sock.connect_ex(target)
        except OSError as error:
            result = Result(Opening.error, detail=error.strerror or str(error))
            loop.at(self._since, lambda: self.finish(result))
            return
        self._timer = loop.at(self._since + timeout_ns, self._late)
        loop.watch(self.sock.fileno(), self._event)

    def _event(self, events: int) -> None:
        if self.over or self.sock is None:
            return
        if events & BROKEN and (error := pending_error(self.sock)):
            self.finish(self.broke(error) if self.rtt_ns is not None else self._refusal(error))
            return
        if self.rtt_ns is None and events & select.EPOLLOUT:
            self.rtt_ns = self._loop.now() - self._since
            self.opened(self.sock)
        if not self.over and events & (select.EPOLLIN | select.EPOLLRDHUP):
            self.readable(self.sock)

    def opened(self, sock: socket.socket) -> None:
        """Go on once the handshake is done."""
        self.finish(Result(Opening.up, self.rtt_ns))

    def readable(self, sock: socket.socket) -> None:
        """Go on when something came, or the other end's FIN."""

    def broke(self, error: str) -> Result:
        """Return the result of a connection that stood and then broke."""
        return Result(Opening.failed, self.rtt_ns, detail=error)

    def expired(self) -> Result:
        """Return the result when the time is over."""
        return Result(Opening.filtered, detail="no answer")

    def _refusal(self, error: str) -> Result:
        """Return the result of a handshake that failed."""
        rtt = self._loop.now() - self._since
        if error == "ECONNREFUSED" or error in _UNREACHABLE:
            icmp = self._icmp()
            if icmp is not None:
                kind, code, reporter = icmp
                words = icmp_words(4 if self._family == socket.AF_INET else 6, kind, code)
                return Result(Opening.unreachable, rtt, 1, kind, code, reporter, words)
            if error == "ECONNREFUSED":
                return Result(Opening.refused, rtt, detail="RST")
            return Result(Opening.unreachable, rtt, detail=error)
        if error == "ETIMEDOUT":
            return Result(Opening.filtered, detail="no answer")
        return Result(Opening.error, detail=error)

    def _icmp(self) -> tuple[int, int, str] | None:
        """Return type, code and sender of the ICMP error behind a failure."""
        assert self.sock is not None
        try:
            _, extra, _, _ = self.sock.recvmsg(256, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        for level, name, value in extra:
            if (level, name) == _RECVERR[self._family] and len(value) >= 16:
                _, origin, kind, code = struct.unpack_from("=IBBB", value)
                if origin in _FROM_ICMP:
                    at, size = (20, 4) if self._family == socket.AF_INET else (24, 16)
                    return kind, code, socket.inet_ntop(self._family, value[at : at + size])
        return None

    def _late(self) -> None:
        self.finish(self.expired())

    def finish(self, result: Result) -> None:
        """Close the connection and tell the result, once."""
        if not self.over:
            self.stop()
            self.done(result)

    def stop(self) -> None:
        """Close the connection without a word."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self.sock is not None:
            self._loop.forget(self.sock.fileno())
            abort(self.sock)

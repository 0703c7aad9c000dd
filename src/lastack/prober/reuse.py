"""Opening the same four-tuple again after a close: from how long after it the path lets the new session through.

For each wait one connection is opened, closed by FIN (the responder first, so that this host keeps no TIME_WAIT of its
own) or by RST, and opened again from the same port.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass
from typing import Any

from lastack.prober import protocol
from lastack.prober.connection import abort, pending_error
from lastack.prober.loop import BROKEN, Loop

WAYS = ("fin", "rst")
WAITS_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
#: A SYN that is answered within this time was let through; Linux sends the second one after 1 s.
_FIRST_SYN_NS = 900_000_000
_PATIENCE_NS = 3_500_000_000


@dataclass(frozen=True, slots=True)
class Reuse:
    """One port opened again.

    Attributes:
        way: How the first connection was closed: `fin` or `rst`.
        wait_ns: From the close to the new SYN.
        outcome: `works`, `late` (a repeated SYN got through), `silent`, `refused`, or `failed` (never closed).
        took_ns: Time of the new handshake, None without one.
    """

    way: str
    wait_ns: int
    outcome: str
    took_ns: int | None = None


class ReuseTest:
    """Opens ports again after several waits, all at once.

    Args:
        loop: The loop.
        family: Address family.
        address: Of the responder.
        run: Name of the run.
        token: The shared secret.
        longest_ns: Longest wait.
        source: Local address, empty for the kernel's choice.
    """

    def __init__(
        self,
        loop: Loop,
        family: int,
        address: tuple[Any, ...],
        run: str,
        token: str,
        longest_ns: int,
        source: str = "",
    ) -> None:
        self.results: list[Reuse] = []
        self.loop = loop
        self.family = family
        self.address = address
        self.source = source
        self.hello = protocol.encode("hello", run, token)
        waits = [round(s * 1e9) for s in WAITS_S if s * 1e9 <= longest_ns]
        self.missing = len(waits) * len(WAYS)
        for way in WAYS:
            for wait_ns in waits:
                _Port(self, way, wait_ns)

    @property
    def done(self) -> bool:
        """Whether every port was opened again."""
        return self.missing == 0

    def take(self, result: Reuse) -> None:
        """Keep a result."""
        self.missing -= 1
        self.results.append(result)


class _Port:
    """A port used twice."""

    def __init__(self, test: ReuseTest, way: str, wait_ns: int) -> None:
        self._test = test
        self._way = way
        self._wait_ns = wait_ns
        self._port = 0
        self._second = False
        self._since = 0
        self._sock: socket.socket | None = None
        self._open()

    def _open(self) -> None:
        test = self._test
        family = socket.AddressFamily(test.family)
        any_address = test.source or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        sock = socket.socket(family, socket.SOCK_STREAM)
        self._since = test.loop.now()
        self._sent = False
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((any_address, self._port))
            sock.connect_ex(test.address)
        except OSError:
            sock.close()
            self._done("failed")
            return
        self._sock = sock
        self._timer = test.loop.at(self._since + _PATIENCE_NS, self._late)
        test.loop.watch(sock.fileno(), self._event)

    def _event(self, events: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if events & BROKEN and (error := pending_error(sock)):
            self._end(aborted=True)
            refused = error in ("ECONNREFUSED", "ECONNRESET")
            self._done("refused" if refused and self._second else "silent" if self._second else "failed")
            return
        if events & select.EPOLLOUT and not self._sent:
            self._connected(sock)
        elif events & (select.EPOLLIN | select.EPOLLRDHUP):
            self._read(sock)

    def _connected(self, sock: socket.socket) -> None:
        if self._second:
            took = self._test.loop.now() - self._since
            self._end(aborted=True)
            self._done("works" if took < _FIRST_SYN_NS else "late", took)
            return
        self._sent = True
        self._port = sock.getsockname()[1]
        if self._way == "rst":
            self._end(aborted=True)
            self._again()
            return
        try:
            sock.send(self._test.hello)
        except OSError:
            self._end(aborted=True)
            self._done("failed")

    def _read(self, sock: socket.socket) -> None:
        try:
            while sock.recv(4096):
                pass
        except BlockingIOError:
            return
        except OSError:
            self._end(aborted=True)
            self._done("failed")
            return
        self._end(aborted=False)
        self._again()

    def _again(self) -> None:
        self._second = True
        loop = self._test.loop
        # a moment for the last segments of the first connection, so that the box has seen them
        self._closed = loop.now()
        loop.at(self._closed + max(self._wait_ns, 20_000_000), self._open)

    def _late(self) -> None:
        if self._sock is not None:
            self._end(aborted=True)
            self._done("silent" if self._second else "failed")

    def _end(self, *, aborted: bool) -> None:
        sock, self._sock = self._sock, None
        self._timer.cancel()
        if sock is not None:
            self._test.loop.forget(sock.fileno())
            if aborted:
                abort(sock)
            else:
                sock.close()

    def _done(self, outcome: str, took_ns: int | None = None) -> None:
        self._test.take(Reuse(self._way, self._wait_ns, outcome, took_ns))

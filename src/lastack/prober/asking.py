"""One question to the responder over a connection of its own: connect, ask, read the line, close."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Callable
from typing import Any

from lastack.prober import protocol
from lastack.prober.connection import abort, pending_error
from lastack.prober.loop import BROKEN, Loop

_PATIENCE_NS = 10_000_000_000

Answered = Callable[[dict[str, Any]], None]


def connect(family: int, address: tuple[Any, ...], source: str = "") -> socket.socket:
    """Return a socket that is connecting.

    Raises:
        OSError: The kernel refused at once: no route, no port left.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, errno.errorcode.get(code, "error"))
    except OSError:
        sock.close()
        raise
    return sock


class Asking:
    """A request and its reply.

    Args:
        loop: The loop.
        family: Address family.
        address: Of the responder.
        request: The line to send.
        answered: Called once with the reply's members, or with `{"error": why}`.
        source: Local address to send from, empty for the kernel's choice.
        patience_ns: How long to wait for the reply.
    """

    def __init__(
        self,
        loop: Loop,
        family: int,
        address: tuple[Any, ...],
        request: bytes,
        answered: Answered,
        source: str = "",
        patience_ns: int = _PATIENCE_NS,
    ) -> None:
        self._loop = loop
        self._request = request
        self._answered = answered
        self._buffer = b""
        self._sock: socket.socket | None = None
        try:
            self._sock = connect(family, address, source)
        except OSError as error:
            reason = error.strerror or str(error)
            loop.at(loop.now(), lambda: answered({"error": reason}))
            return
        late = {"error": f"no answer in {patience_ns // 10**9} s"}
        self._timer = loop.at(loop.now() + patience_ns, lambda: self._end(late))
        loop.watch(self._sock.fileno(), self._event)

    @property
    def asks(self) -> bool:
        """Whether the answer is still to come."""
        return self._sock is not None

    def _event(self, events: int) -> None:
        sock = self._sock
        if sock is None:
            return
        if events & BROKEN and (error := pending_error(sock)):
            self._end({"error": error})
            return
        try:
            if self._request:
                self._request = self._request[sock.send(self._request) :]
            while True:
                data = sock.recv(65536)
                if not data:
                    self._end(self._parse())
                    return
                self._buffer += data
                if len(self._buffer) > protocol.MAX_REPLY:
                    self._end({"error": "the reply is too long: this is no responder"})
                    return
        except BlockingIOError:
            return
        except OSError as problem:
            self._end({"error": errno.errorcode.get(problem.errno or 0, str(problem))})

    def _parse(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            members = json.loads(self._buffer)
            if isinstance(members, dict):
                return members
        return {"error": f"no responder of LastACK answers there (it said {self._buffer[:40]!r})"}

    def _end(self, members: dict[str, Any]) -> None:
        if self._sock is None:
            return
        if "error" in members:
            self.stop()
        else:
            self._forget().close()
        self._answered(members)

    def stop(self) -> None:
        """Ask no longer; `answered` is not called any more."""
        if self._sock is not None:
            abort(self._forget())

    def _forget(self) -> socket.socket:
        assert self._sock is not None
        sock, self._sock = self._sock, None
        self._timer.cancel()
        self._loop.forget(sock.fileno())
        return sock

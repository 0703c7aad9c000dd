"""A socket that does one end of a trial: events of the loop become the end's events, its commands become calls."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable

from lastack.prober.end import Command, Do, Send, TrialEnd, Wake
from lastack.prober.loop import BROKEN, Loop

_TCP_INFO_BYTES = 104
_TOTAL_RETRANS = 100  # offset of tcpi_total_retrans in struct tcp_info (linux/tcp.h)
_RTT = 68  # tcpi_rtt, in us
_READ = 4096


def tcp_info(sock: socket.socket) -> tuple[int, int]:
    """Return (segments sent again, smoothed round-trip time in ns) of a connection; zeros if unknown."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0, 0
    if len(info) < _TCP_INFO_BYTES:
        return 0, 0
    return (
        struct.unpack_from("=I", info, _TOTAL_RETRANS)[0],
        struct.unpack_from("=I", info, _RTT)[0] * 1000,
    )


def unacknowledged(sock: socket.socket) -> int:
    """Return the bytes that the kernel holds and the other end has not acknowledged (SIOCOUTQ)."""
    return int(struct.unpack("=i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def pending_error(sock: socket.socket) -> str:
    """Return the name of the error that the socket holds, empty without one."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.errorcode.get(code, str(code)) if code else ""


def abort(sock: socket.socket) -> None:
    """Close a socket so that the kernel keeps nothing of it: a RST instead of a FIN that nobody may answer."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TrialSocket:
    """A connected socket that does one end of a trial.

    Args:
        loop: The loop; the socket is not watched yet.
        sock: Connected, not blocking.
        end: The end's part.
        over: Called once, when the end is over and the socket closed.
        early: Bytes that were read already.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        end: TrialEnd,
        over: Callable[[TrialSocket], None],
    ) -> None:
        self.end = end
        self.sock = sock
        self.rtt_ns = 0
        self._loop = loop
        self._over = over
        self._noted = False
        self._open = True
        loop.watch(sock.fileno(), self._event)

    def start(self, commands: list[Command]) -> None:
        """Carry out the first commands."""
        self._do(commands)
        if self._open:
            self._read()

    def stop(self, why: str) -> None:
        """Give the trial up."""
        if self._open:
            self._do(self.end.stop(why))
            self._finish(aborted=True)

    def feed(self, data: bytes) -> None:
        """Take bytes that came together with the opening words."""
        if data and self._open:
            self._do(self.end.received(data, self._loop.now()))

    def _event(self, events: int) -> None:
        if events & (select.EPOLLIN | select.EPOLLRDHUP) or not events & BROKEN:
            self._read()
        if self._open and events & BROKEN:
            error = pending_error(self.sock)
            if error:
                self._broke(error)

    def _read(self) -> None:
        while self._open:
            try:
                data = self.sock.recv(_READ)
            except BlockingIOError:
                return
            except OSError as error:
                self._broke(errno.errorcode.get(error.errno or 0, str(error)))
                return
            now = self._loop.now()
            if data:
                self._do(self.end.received(data, now))
            else:
                self._do(self.end.ended(now))
                return

    def _broke(self, error: str) -> None:
        self._do(self.end.broke(error, self._loop.now()))
        self._finish(aborted=True)

    def _tick(self) -> None:
        if self._open:
            self._do(self.end.tick(self._loop.now(), unacknowledged(self.sock)))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            if not self._open:
                return
            match command:
                case Send(data):
                    try:
                        self.sock.send(data)
                    except OSError as error:
                        self._broke(errno.errorcode.get(error.errno or 0, str(error)))
                case Wake(at_ns):
                    self._loop.at(at_ns, self._tick)
                case Do.shut_write:
                    with contextlib.suppress(OSError):
                        self.sock.shutdown(socket.SHUT_WR)
                case Do.quick_ack:
                    self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                case Do.close:
                    self._finish(aborted=False)
                case Do.abort:
                    self._finish(aborted=True)
        self._note()

    def _note(self) -> None:
        """Keep the sender's repeats up to the wait: later ones are what the trial is about."""
        if not self._noted and self._open and self.end.waiting:
            self._noted = True
            retransmitted, self.rtt_ns = tcp_info(self.sock)
            if self.end.trial.sender is self.end.side:
                self.end.report.retransmitted = retransmitted

    def _finish(self, *, aborted: bool) -> None:
        if not self._open:
            return
        if self.end.trial.sender is not self.end.side:
            self.end.report.retransmitted = tcp_info(self.sock)[0]
        self._open = False
        self._loop.forget(self.sock.fileno())
        if aborted:
            abort(self.sock)
        else:
            self.sock.close()
        self._over(self)

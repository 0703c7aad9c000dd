"""Passes frames between two interfaces through a box: AF_PACKET sockets with virtio-net headers.

With the header a frame of up to 64 KiB with a checksum that is still to be made crosses the box untouched, so that
segmentation offload goes on working. Needs CAP_NET_RAW in the interfaces' network namespace.
"""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Any

from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine
from lastack.model.errors import AccessError, UsageError

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _VNET_HDR, _IGNORE_OUTGOING = 1, 15, 23
_MR_PROMISC = 1
_ETH_P_ALL = 3
HEADER = 10  # bytes of struct virtio_net_hdr
_BUFFER = 70_000
_AT_ONCE = 64
_ADVANCE_NS = 20_000_000
_SOCKET_BUFFER = 8 << 20

Poll = Callable[[int], None]


def open_interface(name: str) -> socket.socket:
    """Return a packet socket on an interface.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: There is no such interface.
    """
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise AccessError(
            "the emulator needs CAP_NET_RAW: run as root, in a lab (`lastack lab run emulator`), or `unshare -Urn`"
        ) from error
    try:
        sock.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
        sock.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
        sock.bind((name, _ETH_P_ALL))
        index = socket.if_nametoindex(name)
        sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8s", index, _MR_PROMISC, 0, b""))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UsageError(f"interface {name}: {error.strerror}") from error
    return sock


class Bridge:
    """The box between two interfaces.

    Args:
        engine: What decides.
        inside: Name of the interface towards the side that opens sessions.
        outside: Name of the other.
        clock: The box's time.
    """

    def __init__(self, engine: Engine, inside: str, outside: str, clock: BoxClock) -> None:
        self.engine = engine
        self._clock = clock
        self._sockets = (open_interface(outside), open_interface(inside))  # by bool(inside)
        self._space = ctypes.create_string_buffer(_BUFFER)
        self._view = memoryview(self._space).cast("B")
        self._address = ctypes.addressof(self._space) + HEADER
        self._epoll = select.epoll()
        self._others: dict[int, Poll] = {}
        for sock in self._sockets:
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._stopped = False

    def watch(self, fd: int, handler: Poll) -> None:
        """Call a handler when another descriptor is readable."""
        self._others[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching it."""
        if self._others.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def stop(self) -> None:
        """Make `run` return."""
        self._stopped = True

    def run(self, every_s: float, told: Callable[[], None]) -> None:
        """Pass frames until stopped.

        Args:
            every_s: How often `told` is called, in real seconds.
            told: For a live view.
        """
        inside, outside = self._sockets[1].fileno(), self._sockets[0].fileno()
        next_told = self._clock.real_ns() + int(every_s * 1e9)
        next_advance = 0
        while not self._stopped:
            for fd, _ in self._epoll.poll(self._sleep_s(next_told), 16):
                if fd == inside:
                    self._pass(True)
                elif fd == outside:
                    self._pass(False)
                elif handler := self._others.get(fd):
                    handler(fd)
            real = self._clock.real_ns()
            if real >= next_advance:
                next_advance = real + _ADVANCE_NS
                self.engine.advance(self._clock.now())
                self._flush()
            if real >= next_told:
                next_told = real + int(every_s * 1e9)
                told()

    def _sleep_s(self, next_told: int) -> float:
        wait = max(next_told - self._clock.real_ns(), 0)
        due = self.engine.next_deadline()
        if due is not None:
            wait = min(wait, max(self._clock.real_until(due), 1_000_000))
        return wait / 1e9

    def _pass(self, inside: bool) -> None:
        source, target = self._sockets[inside], self._sockets[not inside]
        receive, send = source.recv_into, target.send
        view, address, engine, clock = self._view, self._address, self.engine, self._clock
        for _ in range(_AT_ONCE):
            try:
                size = receive(view)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    engine.counts.cut += 1
                break
            if size <= HEADER:
                continue
            if engine.offer(view[HEADER:size], address, inside, clock.now()):
                try:
                    send(view[:size])
                except OSError:
                    engine.counts.cut += 1
            if engine.out:
                self._flush()

    def _flush(self) -> None:
        out, self.engine.out = self.engine.out, []
        for one in out:
            try:
                self._sockets[one.inside].send(bytes(HEADER) + one.frame)
            except OSError:
                self.engine.counts.cut += 1

    def close(self) -> None:
        """Leave the interfaces."""
        for sock in self._sockets:
            sock.close()
        self._epoll.close()


def dropped_by_kernel(sock: Any) -> int:
    """Return the frames that did not fit a packet socket's buffer since the last call."""
    return int(struct.unpack("II", sock.getsockopt(_SOL_PACKET, 6, 8))[1])

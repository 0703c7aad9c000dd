"""Passes frames between two interfaces through a box: AF_PACKET sockets with virtio-net headers.

With the header a frame of up to 64 KiB with a checksum that is still to be made crosses the box untouched, so that
segmentation offload goes on working. Needs CAP_NET_RAW in the interfaces' network namespace.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine
from lastack.emulator.loop import Loop
from lastack.model.errors import AccessError, UsageError

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _STATISTICS, _VNET_HDR, _IGNORE_OUTGOING = 1, 6, 15, 23
_MR_PROMISC = 1
_ETH_P_ALL = 3
HEADER = 10  # bytes of struct virtio_net_hdr
_BUFFER = 70_000
_AT_ONCE = 64
_SOCKET_BUFFER = 8 << 20


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


class Bridge(Loop):
    """The box between two interfaces.

    Args:
        engine: What decides.
        inside: Name of the interface towards the side that opens sessions.
        outside: Name of the other.
        clock: The box's time.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: There is no such interface, or both are the same.
    """

    def __init__(self, engine: Engine, inside: str, outside: str, clock: BoxClock) -> None:
        if inside == outside:
            raise UsageError(f"--inside and --outside are the same interface, {inside}")
        self._sockets = (open_interface(outside), open_interface(inside))  # by bool(inside)
        super().__init__(engine, clock)
        self._lost = 0
        self._space = ctypes.create_string_buffer(_BUFFER)
        self._view = memoryview(self._space).cast("B")
        self._address = ctypes.addressof(self._space) + HEADER
        self.watch(self._sockets[True].fileno(), lambda _: self._pass(True))
        self.watch(self._sockets[False].fileno(), lambda _: self._pass(False))

    def _pass(self, inside: bool) -> None:
        source, target = self._sockets[inside], self._sockets[not inside]
        receive, send = source.recv_into, target.send
        view, address, engine, clock = self._view, self._address, self.engine, self.clock
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
                self.flush()

    def flush(self) -> None:
        """Send what the engine wants to send by itself."""
        out, self.engine.out = self.engine.out, []
        for one in out:
            try:
                self._sockets[one.inside].send(bytes(HEADER) + one.frame)
            except OSError:
                self.engine.counts.cut += 1

    def lost(self) -> int:
        """Return the frames that did not fit the sockets' buffers so far."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                # the kernel starts again from 0 when it is asked
                self._lost += struct.unpack("II", sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
        return self._lost

    def close(self) -> None:
        """Leave the interfaces."""
        self.lost()
        for sock in self._sockets:
            sock.close()
        super().close()

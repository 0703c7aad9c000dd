"""Captures interfaces of a host through AF_PACKET: no other process to start, stop or wait for."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lastack.lab.host import Host
from lastack.lab.packet import Segment, segment_of
from lastack.lab.waiting import wait_until

LINK_ETHERNET, LINK_RAW = 1, 101
_ETH_P_ALL, _SOL_PACKET, _PACKET_AUXDATA, _PACKET_STATISTICS = 3, 263, 8, 6
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_QUEUE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame.

    Attributes:
        ts_ns: Nanoseconds since the epoch.
        wirelen: Bytes on the wire.
        data: Bytes captured.
    """

    ts_ns: int
    wirelen: int
    data: bytes


class Sniffer:
    """Every frame that an interface sends or receives from the moment of creation.

    A veth pair delivers synchronously: when a socket call that sends has returned, its packets are already in
    this socket's queue, so `drain` after the fact misses nothing.

    Args:
        host: Where the interface is.
        interface: Its name.
        link: Its link type.
    """

    def __init__(self, host: Host, interface: str, link: int = LINK_ETHERNET) -> None:
        self.link = link
        self.name = f"{host.name}:{interface}"
        self.frames: list[Frame] = []
        self.dropped = 0
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUE_BYTES)
        except PermissionError:  # in a user namespace the ordinary limit holds
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _await_timestamps(host)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((interface, _ETH_P_ALL))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a frame has come."""
        return self._socket.fileno()

    def take(self) -> Frame | None:
        """Return the next frame that waits, None if there is none."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(70_000, 256)
        except BlockingIOError:
            return None
        ts_ns, wirelen = 0, len(data)
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", value[:16])
                ts_ns = seconds * 10**9 + nanoseconds
            elif level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                status, wirelen, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
                if status & _VLAN_VALID:
                    # the kernel takes the outer tag off a received frame; it was on the wire
                    kind_of_tag = tpid if status & _VLAN_TPID_VALID else 0x8100
                    data = data[:12] + struct.pack(">HH", kind_of_tag, tci) + data[12:]
                    wirelen += 4
        return Frame(ts_ns, wirelen, data)

    def drain(self) -> list[Frame]:
        """Return all frames so far, those in the queue included."""
        while (frame := self.take()) is not None:
            self.frames.append(frame)
        return self.frames

    def segments(self) -> list[Segment]:
        """Return the TCP segments so far (those not inside a tunnel)."""
        found = (segment_of(frame.data, self.link != LINK_RAW) for frame in self.drain())
        return [segment for segment in found if segment is not None]

    def close(self) -> int:
        """Stop, and return how many frames the kernel dropped because nobody took them in time."""
        if self._socket.fileno() >= 0:
            _, self.dropped = struct.unpack(
                "=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            )
            self._socket.close()
        return self.dropped


def _await_timestamps(host: Host) -> None:
    """Return when packets get their time as they arrive.

    The kernel begins to stamp packets a moment after the first socket has asked for it (netstamp_work); until then
    they get the time at which they are read, which may be seconds later.
    """
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        probe.bind(("127.0.0.1", 0))
        probe.connect(probe.getsockname())

        def stamped_on_arrival() -> bool:
            probe.send(b"?")
            sent_ns = time.time_ns()
            time.sleep(0.001)
            _, ancillary, _, _ = probe.recvmsg(16, 64)
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
            return bool(seconds * 10**9 + nanoseconds <= sent_ns)

        wait_until(stamped_on_arrival, "time stamps of the kernel")


class Recorder:
    """Hands over the frames of some interfaces as they come, from a thread, until it is closed.

    Args:
        sniffers: The interfaces; they are closed with the recorder.
        sink: Called with the number of the interface in that list, and the frame.
    """

    def __init__(self, sniffers: list[Sniffer], sink: Callable[[int, Frame], None]) -> None:
        self._sniffers, self._sink = sniffers, sink
        self._wake, self._stop = os.pipe()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lab-recorder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        for sniffer in self._sniffers:
            waiting.register(sniffer.fileno(), select.POLLIN)
        try:
            stopped = False
            while not stopped:
                # one more round after the wish to stop: what is in the queues belongs to the capture
                stopped = any(fd == self._wake for fd, _ in waiting.poll())
                for number, sniffer in enumerate(self._sniffers):
                    while (frame := sniffer.take()) is not None:
                        self._sink(number, frame)
        except BaseException as error:
            self.failure = error

    def close(self) -> int:
        """Hand over what is left, stop, and return how many frames were dropped.

        Raises:
            OSError: The sink could not write.
        """
        os.close(self._stop)
        self._thread.join()
        os.close(self._wake)
        dropped = 0
        for sniffer in self._sniffers:
            with contextlib.suppress(OSError):
                dropped += sniffer.close()
        if self.failure is not None:
            raise self.failure
        return dropped

"""Captures one interface of a namespace through AF_PACKET: no other process to start, stop or wait for."""

from __future__ import annotations

import socket
import struct

from closelab import netns
from closelab.files import LINK_ETHERNET, LINK_RAW, Frame
from closelab.packet import Segment, segment_of

_ETH_P_ALL, _SOL_PACKET, _PACKET_AUXDATA, _PACKET_STATISTICS = 3, 263, 8, 6
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6


class Sniffer:
    """Every frame that an interface sends or receives from the moment of creation.

    A veth pair delivers synchronously: when a socket call that sends has returned, its packets are already in
    this socket's queue, so `drain` after the fact misses nothing.
    """

    def __init__(self, namespace: str, interface: str, link: int = LINK_ETHERNET, number: int = 0) -> None:
        self.link = link
        self.number = number
        self.frames: list[Frame] = []
        with netns.inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.bind((interface, _ETH_P_ALL))
        self._socket.setblocking(False)

    def drain(self) -> list[Frame]:
        """Return all frames so far, those in the queue included."""
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(70_000, 256)
            except BlockingIOError:
                return self.frames
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
            self.frames.append(Frame(ts_ns, wirelen, data, self.number))

    def segments(self) -> list[Segment]:
        """Return the TCP segments so far (those not inside a tunnel)."""
        found = (segment_of(frame.data, self.link != LINK_RAW) for frame in self.drain())
        return [segment for segment in found if segment is not None]

    def close(self) -> tuple[int, int]:
        """Stop, and return how many frames the kernel saw and how many of them it dropped."""
        seen, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._socket.close()
        return seen, dropped

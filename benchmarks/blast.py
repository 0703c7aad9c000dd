"""Sends TCP sessions that open, ask, answer and close as frames, many with each system call (sendmmsg(2)).

python -m benchmarks.blast INTERFACE --seconds 4 --rate 1e9      needs CAP_NET_RAW; prints packets and seconds

Each round has sessions of other clients, so that no session is met a second time within some hundred thousand.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import socket
import struct
import time
from typing import Any

import numpy as np

SESSIONS = 6_000
PACKETS = 10  # of a session
_STRIDE = 1_000  # sessions that are open at a time, as on a real link
_ROUNDS = 100
_AT_ONCE = 500
_QDISC_BYPASS = 20
_SOL_PACKET = 263
#: struct mmsghdr (recvmmsg(2)) of a 64-bit system.
_MESSAGE = np.dtype(
    [
        ("name", "u8"), ("namelen", "u8"), ("iov", "u8"), ("iovlen", "u8"), ("control", "u8"), ("controllen", "u8"),
        ("flags", "u8"), ("sent", "u8"),
    ]
)  # fmt: skip
_SOURCE, _TARGET = 26, 30  # where the addresses of a frame are


class Blast:
    """Frames in one stretch of memory, ready to be sent by hundreds.

    Args:
        interface: Name of the interface to send on.
    """

    def __init__(self, interface: str) -> None:
        made = [frames_of_session(number) for number in range(SESSIONS)]
        order = [
            (number, step)
            for first in range(0, SESSIONS, _STRIDE)
            for step in range(PACKETS)
            for number in range(first, first + _STRIDE)
        ]
        frames = [made[number][step] for number, step in order]
        lengths = np.array([len(frame) for frame in frames], np.uint64)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.uint64)
        self._bytes: Any = np.frombuffer(b"".join(frames), np.uint8).copy()
        up = np.array([_STEPS[step][0] for _, step in order], bool)
        self._clients = (starts + np.where(up, _SOURCE, _TARGET).astype(np.uint64)).astype(np.int64)
        self._vectors: Any = np.empty((len(frames), 2), np.uint64)
        self._vectors[:, 0] = starts + np.uint64(self._bytes.ctypes.data)
        self._vectors[:, 1] = lengths
        self._messages: Any = np.zeros(len(frames), _MESSAGE)
        self._messages["iov"] = np.arange(len(frames), dtype=np.uint64) * 16 + self._vectors.ctypes.data
        self._messages["iovlen"] = 1
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
        self._socket.bind((interface, 0))
        self._call = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._place = self._round = 0

    def send(self) -> int:
        """Send the next few hundred frames and return how many went out."""
        if self._place == 0:
            self._bytes[self._clients + 1] = 100 + self._round % _ROUNDS
            self._round += 1
        count = min(_AT_ONCE, len(self._messages) - self._place)
        address = self._messages.ctypes.data + self._place * _MESSAGE.itemsize
        done = int(self._call(self._socket.fileno(), ctypes.c_void_p(address), count, 0))
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._place = (self._place + done) % len(self._messages)
        return done


#: From the client?, sequence number, acknowledgement, flags, bytes of payload.
_STEPS = (
    (1, 100, 0, 0x02, 0), (0, 500, 101, 0x12, 0), (1, 101, 501, 0x10, 0), (1, 101, 501, 0x18, 200),
    (0, 501, 301, 0x18, 1000), (1, 301, 1501, 0x10, 0), (1, 301, 1501, 0x11, 0), (0, 1501, 302, 0x10, 0),
    (0, 1501, 302, 0x11, 0), (1, 302, 1502, 0x10, 0),
)  # fmt: skip


def frames_of_session(number: int, network: int = 100) -> list[bytes]:
    """Return the Ethernet frames of a session, in order.

    Args:
        number: Of the session, below 60,000: its client's address and port.
        network: Second byte of that address.
    """
    client = bytes([10, network, number >> 8, number & 255])
    server, port = bytes([10, 250, 0, 1 + number % 200]), 1024 + number
    return [_frame(client, server, port, *step) for step in _STEPS]


def _frame(
    client: bytes, server: bytes, port: int, up: int, seq: int, ack: int, flags: int, size: int
) -> bytes:
    source, target = (client, server) if up else (server, client)
    ports = (port, 443) if up else (443, port)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + size, 1, 0x4000, 64, 6, 0, source, target)
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 1024, 0, 0)
    return bytes.fromhex("0200000000020200000000010800") + ip + tcp + bytes(size)


def main() -> None:
    """Send for some seconds, at most so many packets a second; print how many went out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interface")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=float, default=1e9)
    options = parser.parse_args()
    blast = Blast(options.interface)
    sent = 0
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < options.seconds:
        if sent > options.rate * passed:
            time.sleep(0.001)
        else:
            sent += blast.send()
    print(sent, time.monotonic() - begun)


if __name__ == "__main__":
    main()

"""SYNs by the thousand: their bytes are made, handed to the kernel and read back in columns, not one by one.

One `sendmmsg` or `recvmmsg` moves what a batch holds; numpy lays out the kernel's structures. For IPv4 on 64-bit Linux;
the others are asked one by one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.prober.syn_packet import ACK, MSS, RST, SYN, TCP, WINDOW

U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]

#: A TCP header with the option MSS (RFC 9293, 3.1).
_SEGMENT = np.dtype(
    [("sport", ">u2"), ("port", ">u2"), ("sequence", ">u4"), ("acknowledged", ">u4"), ("words", "u1"), ("flags", "u1"),
     ("window", ">u2"), ("sum", ">u2"), ("urgent", ">u2"), ("option", "u1"), ("length", "u1"), ("mss", ">u2")]
)  # fmt: skip
_ADDRESS = np.dtype(
    [("family", "=u2"), ("port", ">u2"), ("address", ">u4"), ("zero", "u8")]
)  # struct sockaddr_in
_IOVEC = np.dtype([("base", "=u8"), ("bytes", "=u8")])
_MESSAGE = np.dtype(  # struct mmsghdr (linux/socket.h), with its padding
    [("name", "=u8"), ("name_bytes", "=u4"), ("_a", "=u4"), ("vectors", "=u8"), ("vector_count", "=u8"),
     ("control", "=u8"), ("control_bytes", "=u8"), ("flags", "=i4"), ("_b", "=u4"), ("bytes", "=u4"), ("_c", "=u4")]
)  # fmt: skip
_STAMP = np.dtype([("bytes", "=u8"), ("level", "=i4"), ("kind", "=i4"), ("seconds", "=i8"), ("ns", "=i8")])
_AF_INET, _SOL_SOCKET, _SO_TIMESTAMPNS, _MSG_DONTWAIT = 2, 1, 35, 0x40
#: An IPv4 header with every option and a TCP header without.
_ROOM = 80
#: Errors of a full queue: the same segments can leave a moment later.
FULL = (errno.EAGAIN, errno.ENOBUFS)
_LIBC = ctypes.CDLL(None, use_errno=True)


def possible() -> bool:
    """Return whether this system has the calls, and structures of the layout that is written here."""
    return (
        sys.platform == "linux"
        and struct.calcsize("P") == 8
        and all(hasattr(_LIBC, name) for name in ("sendmmsg", "recvmmsg"))
    )


def positions(key: bytes, addresses: U32, ports: NDArray[np.uint16], source_port: int) -> U32:
    """Return the sequence numbers of SYNs to targets, which who does not know the key cannot guess.

    Args:
        key: 16 random bytes.
        addresses: IPv4 addresses as numbers.
        ports: Of the targets.
        source_port: Ours.
    """
    first, second = np.frombuffer(key, np.uint64)
    mixed = (addresses.astype(np.uint64) << np.uint64(16)) | ports
    for secret in (first ^ np.uint64(source_port), second):
        mixed = mixed ^ secret  # the finisher of splitmix64, twice, keyed
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(32)).astype(np.uint32)


def syns(
    sources: U32, addresses: U32, ports: NDArray[np.uint16], source_port: int, sequences: U32
) -> NDArray[Any]:
    """Return SYN segments with their checksums, one a row."""
    rows = np.zeros(len(addresses), _SEGMENT)
    rows["sport"] = source_port
    rows["port"] = ports
    rows["sequence"] = sequences
    rows["words"] = (_SEGMENT.itemsize // 4) << 4
    rows["flags"] = SYN
    rows["window"] = WINDOW
    rows["option"], rows["length"], rows["mss"] = 2, 4, MSS
    total = rows.view(">u2").reshape(len(rows), -1).sum(axis=1, dtype=np.uint32) + TCP + _SEGMENT.itemsize
    for address in (sources, addresses):
        total += (address >> np.uint32(16)) + (address & np.uint32(0xFFFF))
    for _ in range(2):
        total = (total >> np.uint32(16)) + (total & np.uint32(0xFFFF))
    rows["sum"] = ~total & np.uint32(0xFFFF)
    return rows


class Load:
    """Segments laid out for the kernel, to be sent a few at a time.

    Args:
        segments: As `syns` makes them.
        addresses: Where they go.
    """

    def __init__(self, segments: NDArray[Any], addresses: U32) -> None:
        self._segments = segments
        self._names = np.zeros(len(segments), _ADDRESS)
        self._names["family"], self._names["address"] = _AF_INET, addresses
        self._messages, self._vectors = _messages(segments, self._names)

    def send(self, fd: int, start: int, stop: int) -> tuple[int, int]:
        """Send segments from start to stop; return how many left and the error that stopped the rest, 0 without one."""
        at = start
        asked_again = False
        while at < stop:
            place = ctypes.c_void_p(self._messages.ctypes.data + at * _MESSAGE.itemsize)
            sent = _LIBC.sendmmsg(fd, place, stop - at, _MSG_DONTWAIT)
            if sent > 0:
                at += sent
                asked_again = False
                continue
            code = ctypes.get_errno()
            if code == errno.EINTR:
                continue
            if asked_again or code in FULL:
                return at - start, code
            asked_again = True  # it may be an ICMP error of another target, kept for this socket
        return at - start, 0


def _messages(rows: NDArray[Any], names: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the kernel's list of messages, and the vectors that it points to and that must live as long."""
    count = len(rows)
    steps = np.arange(count, dtype=np.uint64)
    vectors = np.zeros(count, _IOVEC)
    vectors["base"] = rows.ctypes.data + steps * np.uint64(rows.strides[0])
    vectors["bytes"] = rows.strides[0]
    messages = np.zeros(count, _MESSAGE)
    messages["name"] = names.ctypes.data + steps * np.uint64(names.itemsize)
    messages["name_bytes"] = names.itemsize
    messages["vectors"] = vectors.ctypes.data + steps * np.uint64(_IOVEC.itemsize)
    messages["vector_count"] = 1
    return messages, vectors


class Reader:
    """Reads answers from a raw IPv4 socket that has SO_TIMESTAMPNS.

    Args:
        fd: The socket.
        source_port: Ours.
        count: Packets of one call.
    """

    def __init__(self, fd: int, source_port: int, count: int = 512) -> None:
        self._fd = fd
        self._source_port = source_port
        self._data = np.zeros((count, _ROOM), np.uint8)
        self._names = np.zeros(count, _ADDRESS)
        self._stamps = np.zeros(count, _STAMP)
        self._fresh, self._vectors = _messages(self._data, self._names)
        steps = np.arange(count, dtype=np.uint64)
        self._fresh["control"] = self._stamps.ctypes.data + steps * np.uint64(_STAMP.itemsize)
        self._fresh["control_bytes"] = _STAMP.itemsize
        self._messages = self._fresh.copy()
        self._rows = np.arange(count)

    def read(self) -> tuple[int, NDArray[Any] | None]:
        """Return how many packets there were, and the answers among them: address, port, refused, number, time.

        `number` is what the answer acknowledges, less 1: the SYN's sequence number. The times are ns of the kernel's
        wall clock.
        """
        self._messages[:] = self._fresh  # the kernel writes lengths into it
        count = _LIBC.recvmmsg(
            self._fd, ctypes.c_void_p(self._messages.ctypes.data), len(self._messages), _MSG_DONTWAIT, None
        )
        if count <= 0:
            return 0, None
        data, rows = self._data[:count], self._rows[:count]
        head = (data[:, 0] & 15).astype(np.int64) * 4
        whole = self._messages["bytes"][:count] >= head + 20
        at = np.where(whole, head, 0)[:, None]
        tcp = np.ascontiguousarray(data[rows[:, None], at + np.arange(20)])
        seen = tcp.view(_SEGMENT_START).reshape(count)
        flags = seen["flags"]
        good = whole & (seen["port"] == self._source_port) & (flags & ACK != 0) & (flags & (SYN | RST) != 0)
        answers = np.zeros(int(good.sum()), ANSWER)
        answers["address"] = self._names["address"][:count][good]
        answers["port"] = seen["sport"][good]
        answers["refused"] = (flags & RST != 0)[good]
        answers["number"] = seen["acknowledged"][good].astype(np.uint32) - np.uint32(1)
        stamps = self._stamps[:count][good]
        answers["at_ns"] = stamps["seconds"] * 10**9 + stamps["ns"]
        return count, answers


_SEGMENT_START = np.dtype(
    [("sport", ">u2"), ("port", ">u2"), ("sequence", ">u4"), ("acknowledged", ">u4"), ("words", "u1"), ("flags", "u1"),
     ("rest", "V6")]
)  # fmt: skip
ANSWER = np.dtype([("address", "u4"), ("port", "u2"), ("refused", "?"), ("number", "u4"), ("at_ns", "i8")])


def error_name(code: int) -> str:
    """Return an error number in words."""
    return os.strerror(code)

"""A packet ring shared with the kernel (TPACKET_V2, packet(7)): slots of one size, read without a copy or a loop.

All slots have the same size, so the headers of many frames are read as columns: no work is done for each packet in
Python. The kernel fills slots in order and marks them; `frames` takes those that are marked, `release` gives them
back. A full ring drops what comes next, and the socket counts it.
"""

from __future__ import annotations

import mmap
import socket
import struct
from typing import Any

import numpy as np

from lastack.model.batch import FRAME

SOL_PACKET = 263
_RX_RING, _VERSION, _RESERVE = 5, 10, 12
_TPACKET_V2 = 1
_USER, _VLAN_VALID, _VLAN_TPID_VALID = 1, 1 << 4, 1 << 6
_TAG = 4  # bytes of a VLAN tag, room for which is left before each frame
_MACS = 12
_HEADROOM = 128  # bytes of a slot before the frame: header, address, reserve, alignment
_BLOCK = 1 << 20
_QTAG = 0x8100
_OUTGOING = 4

#: struct tpacket2_hdr and, behind it, struct sockaddr_ll (linux/if_packet.h).
_SLOT = np.dtype(
    {
        "names": [
            "status",
            "len",
            "snaplen",
            "mac",
            "net",
            "sec",
            "nsec",
            "tci",
            "tpid",
            "ifindex",
            "pkttype",
        ],
        "formats": ["u4", "u4", "u4", "u2", "u2", "u4", "u4", "u2", "u2", "i4", "u1"],
        "offsets": [0, 4, 8, 12, 14, 16, 20, 24, 26, 36, 42],
    }
)


def slot_bytes(snaplen: int) -> int:
    """Return the size of a slot that holds frames of up to `snaplen` bytes: a power of two."""
    size = 256
    while size < snaplen + _HEADROOM:
        size *= 2
    return size


class Ring:
    """The receive ring of a packet socket.

    Args:
        sock: The packet socket, not bound yet.
        snaplen: Bytes kept of each frame.
        size: Bytes of the ring; halved until the system grants it.
        ethernet: Frames have Ethernet headers: a VLAN tag that the interface took off is put back.
        both_ways: Index of an interface (the loopback) of which outgoing frames come again, 0 for none.

    Raises:
        OSError: The system gives no ring at all.
    """

    def __init__(self, sock: socket.socket, snaplen: int, size: int, ethernet: bool, both_ways: int) -> None:
        self._slot = slot_bytes(snaplen)
        self._ethernet = ethernet
        self._both_ways = both_ways
        sock.setsockopt(SOL_PACKET, _VERSION, _TPACKET_V2)
        sock.setsockopt(SOL_PACKET, _RESERVE, _TAG)
        block = max(_BLOCK, self._slot)
        blocks = max(size // block, 2)
        while True:
            frames = blocks * block // self._slot
            try:
                sock.setsockopt(SOL_PACKET, _RX_RING, struct.pack("4I", block, blocks, self._slot, frames))
                self._map = mmap.mmap(sock.fileno(), blocks * block)
                break
            except OSError:
                if blocks <= 2:
                    raise
                blocks //= 2
        self.slots = frames
        self.size = blocks * block
        self._bytes: Any = np.frombuffer(self._map, np.uint8)
        self.address = int(self._bytes.ctypes.data)
        layout: Any = {**_fields(_SLOT), "itemsize": self._slot}
        self._headers: Any = self._bytes.view(np.dtype(layout))
        self._head = 0
        self._taken = 0
        self.skipped = 0  # frames of the loopback seen a second time

    def frames(self, most: int, link: int) -> Any:
        """Return FRAMEs of waiting packets, oldest first; offsets count from `address`.

        They stay valid until `release`, which must come before the next call.

        Args:
            most: Frames at most.
            link: Link type number that they get.
        """
        until = min(self._head + most, self.slots)
        headers = self._headers[self._head : until]
        ready = (headers["status"] & _USER) != 0
        count = len(ready) if ready.all() else int(np.argmin(ready))
        headers = headers[:count]
        self._taken = count
        starts = np.arange(self._head, self._head + count, dtype=np.int64) * self._slot
        if self._both_ways:
            twice = (headers["ifindex"] == self._both_ways) & (headers["pkttype"] == _OUTGOING)
            if twice.any():
                self.skipped += int(twice.sum())
                headers, starts = headers[~twice], starts[~twice]
        frames = np.empty(len(headers), FRAME)
        frames["ts_ns"] = headers["sec"].astype(np.int64) * 1_000_000_000 + headers["nsec"]
        frames["offset"] = starts + headers["mac"]
        frames["caplen"], frames["wirelen"] = headers["snaplen"], headers["len"]
        frames["link"], frames["iface"] = link, 0
        if self._ethernet:
            self._put_tags_back(headers, frames)
        return frames

    def _put_tags_back(self, headers: Any, frames: Any) -> None:
        """Undo the interface's taking off of VLAN tags, as libpcap does."""
        tagged = np.flatnonzero(((headers["status"] & _VLAN_VALID) != 0) & (headers["snaplen"] >= _MACS))
        if not len(tagged):
            return
        start = frames["offset"][tagged].astype(np.int64)
        span = start[:, None] + np.arange(_MACS)
        self._bytes[span - _TAG] = self._bytes[span]
        known = (headers["status"][tagged] & _VLAN_TPID_VALID) != 0
        tpid = np.where(known, headers["tpid"][tagged], _QTAG)
        tci = headers["tci"][tagged]
        for at, value in ((8, tpid >> 8), (9, tpid & 255), (10, tci >> 8), (11, tci & 255)):
            self._bytes[start + at] = value
        frames["offset"][tagged] -= np.uint64(_TAG)
        frames["caplen"][tagged] += _TAG
        frames["wirelen"][tagged] += _TAG

    def release(self) -> None:
        """Give the slots of the last `frames` back to the kernel."""
        self._headers["status"][self._head : self._head + self._taken] = 0
        self._head = (self._head + self._taken) % self.slots
        self._taken = 0

    def close(self) -> None:
        """Unmap the ring."""
        self._headers = self._bytes = np.empty(0, np.uint8)
        self._map.close()


def _fields(dtype: Any) -> dict[str, list[Any]]:
    names = list(dtype.names)
    return {
        "names": names,
        "formats": [dtype.fields[name][0] for name in names],
        "offsets": [dtype.fields[name][1] for name in names],
    }

"""Live capture from a network interface through AF_PACKET (packet(7)); needs CAP_NET_RAW and nothing else.

An interface that goes down and comes up again goes on by itself; one that is removed and made anew is opened again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import select
import socket
import struct
from typing import Any

from lastack.capture.live_ring import SOL_PACKET, Ring
from lastack.model.errors import AccessError, InputError

ANY = "any"
_ETH_P_ALL = 3
_ADD_MEMBERSHIP, _STATISTICS = 1, 6
_MR_PROMISC = 1
_ATTACH_FILTER = 26
_TO_KEEP = 0x6  # BPF_RET | BPF_K
_LINK_ETHERNET, _LINK_RAW = 1, 101
#: ARPHRD_* of interfaces whose frames have an Ethernet header (ETHER, LOOPBACK).
_WITH_ETHERNET = (1, 772)
_IFF_UP = 0x1
_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_LOOPBACK = 772
DEFAULT_SNAPLEN = 256
DEFAULT_RING = 64 << 20


class LiveCapture:
    """Packets of one interface, or of `any`, as they come.

    Args:
        name: Name of the interface, or `any`.
        snaplen: Bytes kept of each frame; headers of TCP in tunnels fit in 256.
        ring_bytes: Bytes of the ring.
        promiscuous: Take frames for other stations too.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        InputError: There is no such interface, or it gives no ring.

    Attributes:
        link: Link type number of the frames (pcap LINKTYPE).
        drops: Packets that the kernel dropped because the ring was full.
        up: Whether the interface is there and up.
    """

    def __init__(
        self,
        name: str,
        snaplen: int = DEFAULT_SNAPLEN,
        ring_bytes: int = DEFAULT_RING,
        promiscuous: bool = True,
    ) -> None:
        self.name = name
        self.drops = 0
        self.link = _LINK_ETHERNET
        self._settings = (snaplen, ring_bytes, promiscuous)
        self._sock: socket.socket | None = None
        self._ring: Ring | None = None
        self._index = 0
        self._skipped = 0
        if name != ANY and name not in {found for _, found in socket.if_nameindex()}:
            names = ", ".join(found for _, found in socket.if_nameindex())
            raise InputError(f"{name}: there is no such interface; there are {names}, and any")
        self._open()
        self.up = self._is_up()

    def _open(self) -> None:
        snaplen, ring_bytes, promiscuous = self._settings
        kind = _hardware(self.name)
        ethernet = self.name != ANY and kind in _WITH_ETHERNET
        self.link = _LINK_ETHERNET if ethernet else _LINK_RAW
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW if ethernet else socket.SOCK_DGRAM, 0)
        except PermissionError:
            raise AccessError(
                f"{self.name}: capturing needs CAP_NET_RAW; run as root, give the service "
                "AmbientCapabilities=CAP_NET_RAW, or pipe: tcpdump -U -w - | lastack watch -"
            ) from None
        try:
            self._index = 0 if self.name == ANY else socket.if_nametoindex(self.name)
            keep = ctypes.create_string_buffer(struct.pack("HBBI", _TO_KEEP, 0, 0, snaplen))
            program = struct.pack("HxxxxxxP", 1, ctypes.addressof(keep))
            sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
            both_ways = _loopback() if self.name == ANY else self._index if kind == _LOOPBACK else 0
            ring = Ring(sock, snaplen, ring_bytes, ethernet, both_ways)
            sock.bind((self.name if self._index else "", _ETH_P_ALL))
            if promiscuous and self._index:
                membership = struct.pack("iHH8s", self._index, _MR_PROMISC, 0, b"")
                with contextlib.suppress(OSError):  # what is addressed to us still comes
                    sock.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, membership)
        except OSError as error:
            sock.close()
            raise InputError(f"{self.name}: cannot be captured from: {error.strerror or error}") from None
        self._sock, self._ring = sock, ring

    @property
    def address(self) -> int:
        """Address that the offsets of frames count from."""
        return self._ring.address if self._ring is not None else 0

    @property
    def ring_bytes(self) -> int:
        """Bytes of the ring that the system granted."""
        return self._ring.size if self._ring is not None else 0

    def fileno(self) -> int:
        """Return the file descriptor of the socket, -1 while the interface is gone."""
        return self._sock.fileno() if self._sock is not None else -1

    def wait(self, timeout_s: float) -> bool:
        """Wait for a packet; return whether there may be one."""
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLERR)
        found = poll.poll(max(timeout_s, 0) * 1000)
        if found and found[0][1] & select.POLLERR:
            self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN, told once
        return bool(found) and bool(found[0][1] & select.POLLIN)

    def frames(self, most: int) -> Any:
        """Return FRAMEs of waiting packets; valid until `release`, which must follow."""
        assert self._ring is not None, "ask only after wait() returned True"
        return self._ring.frames(most, self.link)

    def release(self) -> None:
        """Let the kernel have the last frames' places again."""
        if self._ring is not None:
            self._ring.release()

    def refresh(self) -> int:
        """Look after counters and the interface, once a second or so; return packets dropped since the last time."""
        lost = 0
        if self._sock is not None:
            try:
                counters = self._sock.getsockopt(SOL_PACKET, _STATISTICS, 8)
                lost = struct.unpack("II", counters)[1]
            except OSError:
                lost = 0
            self.drops += lost
        if self.name != ANY and _index_of(self.name) != self._index:
            self._reopen()
        self.up = self._is_up()
        return lost

    def restart(self) -> None:
        """Begin anew: forget what waits in the ring, and what did not fit, since the interface was opened.

        Raises:
            InputError: The interface is gone.
        """
        self.close()
        self._open()
        self.drops = 0

    def _reopen(self) -> None:
        self.close()
        if _index_of(self.name):
            # It may be half made: the next time will do.
            with contextlib.suppress(InputError, AccessError, OSError):
                self._open()

    def _is_up(self) -> bool:
        if self.name == ANY:
            return True
        return self._sock is not None and bool((_asked(self.name, _SIOCGIFFLAGS) or 0) & _IFF_UP)

    def close(self) -> None:
        """Close the socket and unmap the ring."""
        if self._ring is not None:
            self._ring.close()
        if self._sock is not None:
            self._sock.close()
        self._ring, self._sock, self._index = None, None, -1


def _index_of(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _loopback() -> int:
    return _index_of("lo")


def _hardware(name: str) -> int:
    """Return the ARPHRD_* type of an interface; Ethernet if it cannot be told."""
    if name == ANY:
        return 0
    kind = _asked(name, _SIOCGIFHWADDR)
    return _WITH_ETHERNET[0] if kind is None else kind


def _asked(name: str, request: int) -> int | None:
    """Return the 16-bit answer of the kernel to a question about an interface (netdevice(7)), None without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock.fileno(), request, struct.pack("16s24x", name.encode()[:15]))
        except OSError:
            return None
    return int(struct.unpack_from("H", answer, 16)[0])

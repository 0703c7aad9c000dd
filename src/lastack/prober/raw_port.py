"""Raw sockets for trials that the kernel must not take part in.

A kernel answers segments for which it has no socket by RST. So the port is held by a listening socket with a filter
that lets nothing through: the kernel finds the socket, drops the segment and says nothing, while raw sockets see it
before.
Needs CAP_NET_RAW, and no rule in a packet filter.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from lastack.model.errors import AccessError, UsageError
from lastack.prober.bpf import DROP, attach_filter, port_filter
from lastack.prober.segment import Segment, pack, unpack
from lastack.prober.syn_packet import pack_address, tcp_of_ipv4
from lastack.prober.syn_socket import source_to

_IPV6_CHECKSUM = 7
_BUFFER = 4 << 20
_AT_ONCE = 512
NEEDS = (
    "needs CAP_NET_RAW: run it as root, or with "
    "`setpriv --inh-caps +net_raw --ambient-caps +net_raw lastack …`, or in a container with that capability"
)


def plain(address: str) -> str:
    """Return an address as it is written: IPv4 addresses of dual-stack sockets without `::ffff:`."""
    return address.removeprefix("::ffff:") if "." in address else address


class QuietPort:
    """A port of this host to which the kernel answers nothing.

    Args:
        address: Local address; `::` is every one of both families.
        port: TCP port; 0 lets the kernel choose.

    Raises:
        UsageError: The port is taken, or the address is not one of this host.
    """

    def __init__(self, address: str, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if family == socket.AF_INET6:
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
            attach_filter(self._sock, DROP)
            self._sock.bind((address, port))
            self._sock.listen(1)
        except OSError as error:
            self._sock.close()
            raise UsageError(f"{address} port {port}: {error.strerror}") from error
        self.port: int = self._sock.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._sock.close()


class RawPort:
    """Sends and reads TCP segments of one address family.

    Args:
        version: 4 or 6.
        port: The port whose segments are read.
        far: Whether that is the port of the other end; else it is the own one.
        source: Local address, empty for what the routes choose.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: The source is not an address of this host.
    """

    def __init__(self, version: int, port: int, *, far: bool, source: str = "") -> None:
        self._version = version
        self._source = source
        self._sources: dict[str, bytes] = {}
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            self._sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        except PermissionError as error:
            raise AccessError(NEEDS) from error
        except OSError as error:
            raise UsageError(f"no raw socket of IPv{version}: {error.strerror}") from error
        try:
            self._sock.setblocking(False)
            attach_filter(self._sock, port_filter(version, port, source=far))
            if version == 6:
                self._sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, 16)
            if source:
                self._sock.bind((source, 0))
        except OSError as error:
            self._sock.close()
            raise UsageError(f"{source}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._sock.fileno()

    def send(self, address: str, segment: Segment) -> str:
        """Send a segment; return why it could not be sent, empty if it was."""
        packed = pack_address(address)
        source = self._own(address) if self._version == 4 else b""
        try:
            self._sock.sendto(pack(segment, source, packed), (address, 0))
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
        return ""

    def _own(self, address: str) -> bytes:
        if self._source:
            return pack_address(self._source)
        known = self._sources.get(address)
        if known is None:
            if len(self._sources) > _AT_ONCE:
                self._sources.clear()
            known = self._sources[address] = source_to(address)
        return known

    def read(self) -> Iterator[tuple[str, Segment]]:
        """Yield what has come, each with the address of its sender."""
        for _ in range(_AT_ONCE):
            try:
                data, peer = self._sock.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error, kept for this socket: its segment counts as lost
            segment = unpack(tcp_of_ipv4(data) if self._version == 4 else data)
            if segment is not None:
                yield str(peer[0]).partition("%")[0], segment

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def missing() -> str:
    """Return why this process has no raw sockets, with the remedy; empty if it has."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()
    except OSError:
        return NEEDS
    return ""

"""The raw socket of half-open probes: SYN out, SYN-ACK, RST or ICMP error in.

The kernel itself sends the RST that ends each half-open connection: to it a SYN-ACK to our port is unexpected. The
port is held by a bound socket that does not listen, so that no connection of this host can have it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from lastack.model.errors import AccessError, UsageError
from lastack.prober.bpf import attach_filter, port_filter
from lastack.prober.outcome import icmp_words
from lastack.prober.syn_packet import (
    pack_address,
    position,
    read_reply,
    syn,
    tcp_of_ipv4,
)

_SO_TIMESTAMPNS = 35
_IP_RECVERR, _IPV6_RECVERR, _IPV6_CHECKSUM = 11, 25, 7
_BUFFER = 4 << 20
_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err (linux/errqueue.h)
_ORIGIN_LOCAL = 1
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a target.

    Attributes:
        address: Of the target.
        port: Of the target.
        kind: `synack`, `rst` or `icmp`.
        at_ns: Wall clock of the kernel when it came.
        icmp: Type and code.
        reporter: Who sent the ICMP error.
        detail: In words.
        sequence: Number of the SYN that is answered.
    """

    address: str
    port: int
    kind: str
    at_ns: int
    icmp: tuple[int, int] | None = None
    reporter: str = ""
    detail: str = ""
    sequence: int = 0


class SynSocket:
    """Sends SYNs of one address family and reads what answers them.

    Args:
        version: 4 or 6.
        source: Local address, empty for what the routes choose.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: The source is not an address of this host.
    """

    def __init__(self, version: int, source: str = "") -> None:
        self.version = version
        self._family = socket.AF_INET if version == 4 else socket.AF_INET6
        self.key = os.urandom(16)
        self._sources: dict[str, bytes] = {}
        self._source = source
        try:
            self._raw = socket.socket(self._family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        except PermissionError as error:
            raise AccessError(
                "half-open probes need CAP_NET_RAW: run as root, or `setcap cap_net_raw+ep` on the interpreter, "
                "or use --method connect"
            ) from error
        self._hold = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            self._hold.bind((source, 0))
            if source:
                self._raw.bind((source, 0))
        except OSError as error:
            self.close()
            raise UsageError(f"{source}: {error.strerror}") from error
        self.source_port: int = self._hold.getsockname()[1]
        self._prepare()

    def _prepare(self) -> None:
        raw = self._raw
        raw.setblocking(False)
        program = port_filter(self.version, self.source_port)
        attach_filter(raw, program)
        raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        if self.version == 4:
            raw.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, 16)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._raw.fileno()

    def send(self, address: str, port: int) -> int:
        """Send a SYN and return the wall clock, in ns.

        Raises:
            BlockingIOError: The kernel's queue is full; try again later.
            OSError: There is no way to the target.
        """
        packed = pack_address(address)
        sequence = position(self.key, packed, port, self.source_port)
        source = self._source_to(address) if self.version == 4 else b""
        segment = syn(source, packed, self.source_port, port, sequence)
        now = time.time_ns()
        try:
            self._raw.sendto(segment, (address, 0))
        except OSError as error:
            if error.errno in (errno.ENOBUFS, errno.EAGAIN):
                raise BlockingIOError(error.errno, "the queue is full") from error
            # what is reported may be an ICMP error of another target, kept for this socket: ask once more
            self._raw.sendto(segment, (address, 0))
        return now

    def _source_to(self, address: str) -> bytes:
        if self._source:
            return pack_address(self._source)
        known = self._sources.get(address)
        if known is None:
            known = self._sources[address] = source_to(address)
        return known

    def receive(self) -> Iterator[Answer]:
        """Yield the answers that are there."""
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, peer = self._raw.recvmsg(512, 256)
            except BlockingIOError:
                break
            except OSError:
                continue  # a pending ICMP error: its details come from the error queue
            address = str(peer[0])
            segment = tcp_of_ipv4(data) if self.version == 4 else data
            reply = read_reply(segment, self.source_port)
            if reply is None:
                continue
            kind, sequence = "rst" if reply.refused else "synack", (reply.acknowledged - 1) & 0xFFFFFFFF
            if sequence == self._position(address, reply.port):
                yield Answer(address, reply.port, kind, _stamp(extra), sequence=sequence)
        for answer in self.errors():
            if answer.sequence == self._position(answer.address, answer.port):
                yield answer

    def _position(self, address: str, port: int) -> int:
        return position(self.key, pack_address(address), port, self.source_port)

    def errors(self) -> Iterator[Answer]:
        """Yield the ICMP errors that are there; whether their `sequence` is one that was sent is for the caller."""
        for _ in range(_AT_ONCE):
            try:
                data, extra, _, peer = self._raw.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if len(data) >= 20 and self.version == 4 and data[0] >> 4 == 4 and data[9] == socket.IPPROTO_TCP:
                data = tcp_of_ipv4(data)
            if len(data) < 8 or peer is None:
                continue
            source_port, port, sequence = struct.unpack_from(">HHI", data)
            address = str(peer[0])
            if source_port != self.source_port:
                continue
            for level, kind, value in extra:
                if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                    yield self._error(address, port, value, _stamp(extra), sequence)

    def _error(self, address: str, port: int, value: bytes, at_ns: int, sequence: int) -> Answer:
        _, origin, kind, code, _, _, _ = _ERROR.unpack_from(value)
        if origin == _ORIGIN_LOCAL:
            detail = "no answer to ARP or neighbour discovery"
            return Answer(address, port, "icmp", at_ns, None, "", detail, sequence)
        rest = value[_ERROR.size :]
        reporter = ""
        if self.version == 4 and len(rest) >= 8:
            reporter = socket.inet_ntop(socket.AF_INET, rest[4:8])
        elif len(rest) >= 24:
            reporter = socket.inet_ntop(socket.AF_INET6, rest[8:24])
        return Answer(
            address,
            port,
            "icmp",
            at_ns,
            (kind, code),
            reporter,
            icmp_words(self.version, kind, code),
            sequence,
        )

    def close(self) -> None:
        """Give the port back."""
        self._raw.close()
        self._hold.close()


def source_to(address: str) -> bytes:
    """Return the packed address that the kernel sends from to an address; zeros without a route."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # a new socket each time: one that is connected again keeps its first address
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return bytes(16 if family == socket.AF_INET6 else 4)  # sending tells what is wrong
        return pack_address(probe.getsockname()[0])


def _stamp(extra: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in extra:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("=qq", value[:16])
            return int(seconds) * 10**9 + int(ns)
    return time.time_ns()

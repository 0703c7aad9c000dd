"""Routes packets through a box with two TUN devices, and translates addresses if it is a NAT.

With the virtio-net header and offloads, segments of 64 KiB with unfinished checksums go through as one packet.
Needs CAP_NET_ADMIN in the network namespace, and /dev/net/tun.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import ipaddress
import os
import struct
from collections.abc import Sequence

from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine
from lastack.emulator.loop import Loop
from lastack.emulator.nat import Inbound, Nat
from lastack.emulator.resets import answer_reset
from lastack.emulator.tun_routes import Routes
from lastack.firewall.table import Seg
from lastack.model.batch import ACK, FIN, RST, SYN
from lastack.model.errors import AccessError, UsageError

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x1, 0x1000, 0x4000
_CSUM, _TSO4, _TSO6 = 1, 2, 4
_NEEDS_CSUM = 1
_HEADER = 10
_BUFFER = 70_000
_AT_ONCE = 64
_RESET = 1  # NO_SESSION_CODE


def open_tun(pattern: str) -> tuple[int, str]:
    """Return a new TUN device's descriptor and name.

    Args:
        pattern: Name, with `%d` for a number.

    Raises:
        AccessError: It may not be made.
        UsageError: The system has none.
    """
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessError(f"/dev/net/tun: {error.strerror}; a routed box needs it") from error
        raise UsageError(f"/dev/net/tun: {error.strerror}; leave --tun away for a transparent box") from error
    try:
        request = struct.pack("16sH22x", pattern.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR)
        name = fcntl.ioctl(fd, _TUNSETIFF, request)[:16].rstrip(b"\0").decode()
        fcntl.ioctl(fd, _TUNSETOFFLOAD, _CSUM | _TSO4 | _TSO6)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessError("a TUN device needs CAP_NET_ADMIN: run as root, or in a lab") from error
        raise UsageError(f"TUN device: {error.strerror}") from error
    return fd, name


class TunBox(Loop):
    """The box as a router between two interfaces.

    Args:
        engine: What decides; its link is RAW_IP.
        inside: Name of the interface towards the side that opens sessions.
        outside: Name of the other.
        clock: The box's time.
        nat: Translates what leaves; None for a router.

    Raises:
        AccessError: CAP_NET_ADMIN is missing.
        UsageError: An interface does not exist.
    """

    def __init__(
        self, engine: Engine, inside: str, outside: str, clock: BoxClock, nat: Nat | None = None
    ) -> None:
        if inside == outside:
            raise UsageError(f"--inside and --outside are the same interface, {inside}")
        self.nat = nat
        self._fds: list[int] = []
        self._routes: Routes | None = None
        try:
            names = []
            for pattern in ("lastack-in%d", "lastack-out%d"):
                fd, name = open_tun(pattern)
                self._fds.append(fd)
                names.append(name)
            own: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address] = (
                [ipaddress.ip_address(address) for address in nat.options.addresses] if nat else ()
            )
            ports = (nat.options.low, nat.options.high) if nat else (1, 0)
            self._routes = Routes(inside, outside, (names[0], names[1]), own, ports)
        except BaseException:
            self._leave()
            raise
        super().__init__(engine, clock)
        self._in, self._out = self._fds
        self._space = ctypes.create_string_buffer(_BUFFER)
        self._view = memoryview(self._space).cast("B")
        self._address = ctypes.addressof(self._space) + _HEADER
        if nat is not None:
            engine.on_ended = nat.forget
        self.watch(self._in, self._from_inside)
        self.watch(self._out, self._from_outside)

    def _read(self, fd: int) -> int:
        """Return the bytes of the next packet with its header, 0 when there is none."""
        try:
            return os.readv(fd, [self._view])
        except BlockingIOError:
            return 0
        except OSError:
            self.engine.counts.cut += 1
            return 0

    def _write(self, fd: int, data: memoryview | bytes) -> None:
        try:
            os.write(fd, data)
        except OSError:
            self.engine.counts.cut += 1

    def _from_inside(self, fd: int) -> None:
        view, engine, nat, out = self._view, self.engine, self.nat, self._out
        for _ in range(_AT_ONCE):
            size = self._read(fd)
            if size <= _HEADER:
                break
            packet = view[_HEADER:size]
            if nat is not None and not nat.may_leave(packet):
                continue
            passed = engine.offer(packet, self._address, True, self.clock.now())
            if engine.waiting:
                # an earlier session on these ports is over, and its translation with it
                self.flush()
                passed = passed and (nat is None or nat.may_leave(packet))
            if passed and (
                nat is None
                or nat.leave(packet, partial=bool(view[0] & _NEEDS_CSUM), has_entry=engine.has_entry)
            ):
                self._write(out, view[:size])
            if engine.out:
                self.flush()

    def _from_outside(self, fd: int) -> None:
        view, engine, nat = self._view, self.engine, self.nat
        for _ in range(_AT_ONCE):
            size = self._read(fd)
            if size <= _HEADER:
                break
            packet = view[_HEADER:size]
            if nat is not None:
                what = nat.enter(packet, partial=bool(view[0] & _NEEDS_CSUM))
                if what is Inbound.own:
                    # written where it came from, it goes to this host itself
                    self._write(self._out, view[:size])
                    continue
                if what is Inbound.unknown:
                    self._refuse(packet)
                    continue
            if engine.offer(packet, self._address, False, self.clock.now()):
                self._write(self._in, view[:size])
            if nat is not None:
                nat.entered(has_entry=engine.has_entry)
            if engine.out:
                self.flush()

    def _refuse(self, packet: memoryview) -> None:
        """Answer by RST what met no mapping, where the profile answers what meets no entry."""
        if len(packet) < 40 or packet[9 if packet[0] >> 4 == 4 else 6] != 6:
            return
        at = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
        flags = packet[at + 13] if len(packet) > at + 13 else RST
        kind = Seg.fin if flags & FIN else Seg.syn_ack if flags & SYN else Seg.data
        # nobody may begin from outside: a SYN is never answered (RFC 5382, REQ-4)
        if flags & RST or flags & (SYN | ACK) == SYN:
            return
        if self.engine.box.tables[0].no_session[kind][1] == _RESET:
            reset = answer_reset(packet, self.engine.link)
            if reset:
                self.engine.counts.resets += 1
                self._write(self._out, bytes(_HEADER) + reset)

    def flush(self) -> None:
        """Send what the engine wants to send by itself."""
        out, self.engine.out = self.engine.out, []
        for one in out:
            frame = bytearray(one.frame)
            packet = memoryview(frame)
            if (
                not one.inside
                and self.nat is not None
                and not (
                    self.nat.may_leave(packet) and self.nat.leave(packet, partial=False, has_entry=False)
                )
            ):
                continue
            self._write(self._in if one.inside else self._out, bytes(_HEADER) + frame)
        self.engine.forget_ended()

    def _leave(self) -> None:
        if self._routes is not None:
            self._routes.close()
        for fd in self._fds:
            os.close(fd)

    def close(self) -> None:
        """Take routes and devices away."""
        self._leave()
        super().close()

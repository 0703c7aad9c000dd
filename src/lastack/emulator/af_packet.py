"""Passes frames between two interfaces through a box: AF_PACKET sockets with virtio-net headers.

With the header a frame of up to 64 KiB with a checksum that is still to be made crosses the box untouched, so that
segmentation offload goes on working. Needs CAP_NET_RAW in the interfaces' network namespace.

The kernel takes the outer VLAN tag off a frame before a packet socket sees it. Tagged frames therefore have a socket of
their own on each interface, where the tag is asked for and put back; the others do not pay for that.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import NamedTuple

from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine
from lastack.emulator.loop import Loop
from lastack.model.errors import AccessError, UsageError

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _STATISTICS, _AUXDATA, _VNET_HDR, _IGNORE_OUTGOING = 1, 6, 8, 15, 23
_SO_ATTACH_FILTER = 26
_MR_PROMISC = 1
_ETH_P_ALL, _ETH_P_8021Q = 3, 0x8100
HEADER = 10  # bytes of struct virtio_net_hdr
_MACS_END = HEADER + 12
_TAG = 4
_BUFFER = 70_000
_AT_ONCE = 64
_SOCKET_BUFFER = 8 << 20
#: Classic BPF: load whether there is a tag (SKF_AD_VLAN_TAG_PRESENT), compare with 0, accept, drop.
_LOAD_TAGGED, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_TAG_PRESENT = (1 << 32) - 0x1000 + 48
_AUXDATA_FORM = struct.Struct("=IIIHHHH")
_TPID_VALID = 1 << 6


class Cable(NamedTuple):
    """The sockets of an interface: for frames without and with a VLAN tag."""

    plain: socket.socket
    tagged: socket.socket


def open_interface(name: str) -> Cable:
    """Return packet sockets on an interface.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: There is no such interface.
    """
    plain = _open(name, tagged=False)
    try:
        return Cable(plain, _open(name, tagged=True))
    except BaseException:
        plain.close()
        raise


def _open(name: str, *, tagged: bool) -> socket.socket:
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
        if tagged:
            sock.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        _filter(sock, tagged=tagged)
        sock.bind((name, _ETH_P_ALL))
        index = socket.if_nametoindex(name)
        sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("iHH8s", index, _MR_PROMISC, 0, b""))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UsageError(f"interface {name}: {error.strerror}") from error
    return sock


def _filter(sock: socket.socket, *, tagged: bool) -> None:
    """Let only frames with, or only frames without a VLAN tag into a socket that receives nothing yet."""
    absent, present = (1, 0) if tagged else (0, 1)
    program = b"".join(
        struct.pack("=HBBI", *line)
        for line in (
            (_LOAD_TAGGED, 0, 0, _TAG_PRESENT),
            (_JUMP_EQUAL, absent, present, 0),
            (_RETURN, 0, 0, (1 << 32) - 1),
            (_RETURN, 0, 0, 0),
        )
    )
    space = ctypes.create_string_buffer(program)
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(space))
    )


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
        cables = [open_interface(outside)]
        try:
            cables.append(open_interface(inside))
        except BaseException:
            _close(cables)
            raise
        self._cables = cables  # by bool(inside)
        super().__init__(engine, clock)
        self._lost = 0
        self._space = ctypes.create_string_buffer(_BUFFER)
        self._view = memoryview(self._space).cast("B")
        self._address = ctypes.addressof(self._space) + HEADER
        self.watch(cables[True].plain.fileno(), lambda _: self._pass(True))
        self.watch(cables[False].plain.fileno(), lambda _: self._pass(False))
        self.watch(cables[True].tagged.fileno(), lambda _: self._pass_tagged(True))
        self.watch(cables[False].tagged.fileno(), lambda _: self._pass_tagged(False))

    def _pass(self, inside: bool) -> None:
        receive, send = self._cables[inside].plain.recv_into, self._cables[not inside].plain.send
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

    def _pass_tagged(self, inside: bool) -> None:
        view, engine = self._view, self.engine
        source, target = self._cables[inside].tagged, self._cables[not inside].plain
        for _ in range(_AT_ONCE):
            try:
                # with a gap where the tag belongs
                size, auxiliary, _flags, _from = source.recvmsg_into(
                    [view[:_MACS_END], view[_MACS_END + _TAG :]], 256
                )
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    engine.counts.cut += 1
                break
            if size <= _MACS_END or not auxiliary:
                continue
            status, _, _, _, _, tag, kind = _AUXDATA_FORM.unpack_from(auxiliary[0][2])
            tpid = kind if status & _TPID_VALID else _ETH_P_8021Q
            struct.pack_into(">HH", view, _MACS_END, tpid, tag)
            _shift(view, _TAG)
            size += _TAG
            if engine.offer(view[HEADER:size], self._address, inside, self.clock.now()):
                try:
                    target.send(view[:size])
                except OSError:
                    engine.counts.cut += 1
            if engine.out:
                self.flush()

    def flush(self) -> None:
        """Send what the engine wants to send by itself."""
        out, self.engine.out = self.engine.out, []
        for one in out:
            try:
                self._cables[one.inside].plain.send(bytes(HEADER) + one.frame)
            except OSError:
                self.engine.counts.cut += 1

    def lost(self) -> int:
        """Return the frames that did not fit the sockets' buffers so far."""
        for cable in self._cables:
            for sock in cable:
                if sock.fileno() >= 0:
                    # the kernel starts again from 0 when it is asked
                    self._lost += struct.unpack("II", sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
        return self._lost

    def close(self) -> None:
        """Leave the interfaces."""
        self.lost()
        _close(self._cables)
        super().close()


def _shift(view: memoryview, by: int) -> None:
    """Tell a virtio-net header that the frame behind it has become longer in front."""
    flags, gso, length = struct.unpack_from("=BBH", view)
    if gso:
        struct.pack_into("=H", view, 2, length + by)
    if flags & 1:
        (start,) = struct.unpack_from("=H", view, 6)
        struct.pack_into("=H", view, 6, start + by)


def _close(cables: list[Cable]) -> None:
    for cable in cables:
        for sock in cable:
            sock.close()

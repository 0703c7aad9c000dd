"""Classic BPF programs that decide which segments a socket of ours is shown."""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
_STEP = struct.Struct("HBBI")
#: Shows nothing: a listening socket with it keeps the kernel from answering.
DROP = _STEP.pack(0x06, 0, 0, 0)


def port_filter(version: int, port: int, *, source: bool = False) -> bytes:
    """Return a program that lets only segments to a port through, or from it (`source`).

    Raw IPv4 sockets are shown the IP header, raw IPv6 sockets begin with the TCP header.
    """
    at = 0 if source else 2
    load = [(0xB1, 0, 0, 0), (0x48, 0, 0, at)] if version == 4 else [(0x28, 0, 0, at)]
    program = [*load, (0x15, 0, 1, port), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)]
    return b"".join(_STEP.pack(*step) for step in program)


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Let a program decide what a socket is shown."""
    buffer = ctypes.create_string_buffer(program)
    packed = struct.pack("HP", len(program) // _STEP.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)

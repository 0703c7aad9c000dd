"""The connection on which the two programs agree: lines of JSON, a proof of the token, a comparison of clocks.

Every connection, this one and those of flows, begins with 24 bytes of the end that connected: a magic, a session and
the number of the flow. So one port serves all, and data connections need no second word.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from lastack.lab.netns import LabError
from lastack.model.errors import AccessError

VERSION = 1
_PREAMBLE = struct.Struct(">4s16sI")
PREAMBLE_BYTES = _PREAMBLE.size
_CONTROL, _DATA = b"LTC1", b"LTD1"
_LONGEST_LINE = 256 << 10

OpenSocket = Callable[[int], socket.socket]


def control_preamble() -> bytes:
    """Return the first bytes of a control connection."""
    return _PREAMBLE.pack(_CONTROL, bytes(16), 0)


def data_preamble(session: bytes, flow: int) -> bytes:
    """Return the first bytes of a flow's connection."""
    return _PREAMBLE.pack(_DATA, session, flow)


def read_preamble(data: bytes) -> tuple[bytes, int] | None:
    """Return session and flow that a connection belongs to, None if it is a control connection.

    Raises:
        LabError: It is neither: something else has connected.
    """
    magic, session, flow = _PREAMBLE.unpack(data)
    if magic == _CONTROL:
        return None
    if magic != _DATA:
        raise LabError("what connected does not speak this protocol")
    return session, flow


class Control:
    """A control connection.

    Args:
        reader: Its reading side; the preamble has been read.
        writer: Its writing side.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        sock = writer.get_extra_info("socket")
        # it may be silent for as long as a flow lasts, through boxes that forget
        for level, option, value in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        ):
            sock.setsockopt(level, option, value)
        self.peer: str = writer.get_extra_info("peername")[0].removeprefix("::ffff:")

    async def tell(self, kind: str, **content: Any) -> None:
        """Send one message."""
        self._writer.write(json.dumps({"type": kind, **content}).encode() + b"\n")
        await self._writer.drain()

    async def hear(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the next message.

        Raises:
            LabError: The connection has ended, or what came is no message, or nothing came in time.
        """
        try:
            line = await asyncio.wait_for(self._reader.readline(), timeout_s)
        except TimeoutError as error:
            raise LabError(f"{self.peer} says nothing for {timeout_s:g} s") from error
        except (ValueError, OSError) as error:
            raise LabError(f"the control connection with {self.peer} broke: {error}") from error
        if not line.endswith(b"\n"):
            raise LabError(f"{self.peer} ended the control connection")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LabError(f"{self.peer} does not speak this protocol: {line[:40]!r}") from error
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise LabError(f"{self.peer} does not speak this protocol: {line[:40]!r}")
        return message

    async def expect(self, kind: str, timeout_s: float | None = 10.0) -> dict[str, Any]:
        """Return the next message, which must be of a kind.

        Raises:
            AccessError: The other end refuses us.
            LabError: As `hear`, or it is of another kind.
        """
        message = await self.hear(timeout_s)
        if message["type"] == "refused":
            raise AccessError(f"{self.peer} refuses: {message.get('why', '')}")
        if message["type"] != kind:
            raise LabError(f"{self.peer} said {message['type']!r} where {kind!r} was due")
        return message

    async def close(self) -> None:
        """End it."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def admit(control: Control, token: str) -> None:
    """Let the other end prove that it knows the token.

    Raises:
        AccessError: It does not.
        LabError: As `Control.hear`.
    """
    nonce = os.urandom(16).hex()
    await control.tell("welcome", version=VERSION, nonce=nonce, token=bool(token))
    hello = await control.expect("hello")
    if hello.get("version") != VERSION:
        await control.tell(
            "refused", why=f"version {VERSION} is spoken here; use the same LastACK at both ends"
        )
        raise AccessError(f"{control.peer} speaks version {hello.get('version')!r}, not {VERSION}")
    if not hmac.compare_digest(str(hello.get("proof", "")), _proof(token, nonce)):
        await control.tell("refused", why="wrong token")
        raise AccessError(f"{control.peer} does not know the token")


async def present(control: Control, token: str) -> None:
    """Prove to the other end that we know the token.

    Raises:
        LabError: As `Control.hear`.
    """
    welcome = await control.expect("welcome")
    await control.tell("hello", version=VERSION, proof=_proof(token, str(welcome.get("nonce", ""))))


def _proof(token: str, nonce: str) -> str:
    return hmac.new(token.encode(), nonce.encode(), hashlib.sha256).hexdigest()


async def clock_ahead_ns(control: Control, questions: int = 7) -> tuple[int, int]:
    """Return how far the other end's clock is ahead, and how wrong that may be: half of the shortest round trip."""
    best = (1 << 62, 0)
    for _ in range(questions):
        asked_ns = time.monotonic_ns()
        await control.tell("clock")
        answer = await control.expect("clock")
        now_ns = time.monotonic_ns()
        there_ns = answer.get("now_ns")
        if not isinstance(there_ns, int):
            raise LabError(f"{control.peer} has no clock: {answer!r}")
        best = min(best, (now_ns - asked_ns, there_ns - (asked_ns + now_ns) // 2))
    return best[1], best[0] // 2


def reason(error: OSError) -> str:
    """Return why a connection could not be opened, in the system's words (asyncio has words of its own)."""
    if isinstance(error, TimeoutError):
        return "no answer"
    known = error.errno is not None and error.errno > 0
    return os.strerror(error.errno) if known and error.errno is not None else error.strerror or str(error)


async def dial(address: str, port: int, open_socket: OpenSocket, timeout_s: float) -> socket.socket:
    """Return a new connection, non-blocking.

    Raises:
        OSError: It could not be opened; TimeoutError when nothing answered in time.
    """
    loop = asyncio.get_running_loop()
    family, _, _, _, target = (await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM))[0]
    sock = open_socket(family)
    try:
        sock.setblocking(False)
        await asyncio.wait_for(loop.sock_connect(sock, target), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def tcp_socket(family: int) -> socket.socket:
    """Return a plain TCP socket of where this thread is."""
    return socket.socket(family, socket.SOCK_STREAM)


async def streams(sock: socket.socket) -> Control:
    """Return a control connection on a socket whose preamble is behind it."""
    return Control(*await asyncio.open_connection(sock=sock, limit=_LONGEST_LINE))

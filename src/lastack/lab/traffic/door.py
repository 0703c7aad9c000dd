"""The listening port of either program: sorts what connects into flows, control connections, and strangers."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable

from lastack.lab.netns import LabError
from lastack.lab.traffic.control import PREAMBLE_BYTES, OpenSocket, read_preamble

_BACKLOG = 4096
_PREAMBLE_S = 5.0
_STRANGERS = 256

OnFlow = Callable[[socket.socket, bytes, int], None]
OnControl = Callable[[socket.socket], Awaitable[None]]


class Door:
    """Accepts connections and asks each who it is.

    Args:
        on_flow: Takes a connection that belongs to a flow: the socket, the session, the flow's number.
        on_control: Takes a control connection; awaited in a task of its own. None where none is welcome.
    """

    def __init__(self, on_flow: OnFlow, on_control: OnControl | None = None) -> None:
        self._on_flow, self._on_control = on_flow, on_control
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = 0
        self._listener: socket.socket | None = None
        self.strangers = 0

    def open(self, address: str, port: int, open_socket: OpenSocket) -> int:
        """Listen, and return the port.

        Args:
            address: Address to listen at; empty for all, IPv4 and IPv6.
            port: Port, 0 for any.
            open_socket: Makes the listening socket.

        Raises:
            LabError: The port is taken, or the address is not ours.
        """
        raise_file_limit()
        listener = open_socket(socket.AF_INET if address and ":" not in address else socket.AF_INET6)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if not address:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((address, port))
            # a queue of 100, which asyncio's servers ask for, resets connections when many come at once
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise LabError(f"cannot listen at {address or '*'} port {port}: {error.strerror}") from error
        self._listener = listener
        self._start(self._accept(listener))
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end what is being asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.05)  # no descriptor is free; the queue keeps what waits
                continue
            if self._asking >= _STRANGERS:
                sock.close()
                self.strangers += 1
            else:
                self._start(self._ask(sock))

    async def _ask(self, sock: socket.socket) -> None:
        self._asking += 1
        control = False
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            flow = read_preamble(await asyncio.wait_for(_exactly(sock, PREAMBLE_BYTES), _PREAMBLE_S))
            control = flow is None
            if flow is not None:
                self._on_flow(sock, *flow)
            elif self._on_control is None:
                raise LabError("no control connection is welcome here")
        except (OSError, LabError, TimeoutError):
            self.strangers += 1
            sock.close()
            return
        except asyncio.CancelledError:
            sock.close()
            raise
        finally:
            self._asking -= 1
        if control and self._on_control is not None:
            await self._on_control(sock)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise ConnectionError("it ended")
        data += more
    return data


def raise_file_limit() -> None:
    """Allow this process as many open sockets as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

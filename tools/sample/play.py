"""Forty seconds of a little network, for the README's first command: real sessions and trouble.

What is wrong in it, for the reader to find: the mail service is down (refused), remote desktops are
filtered (unanswered) or prohibited (ICMP), the API resets every sixth session, downloads are cancelled,
a monitor probes without ever connecting, one desk crashes, and the firewall forgets half-closed sessions
after 8 s of silence, so that the slow replies of the batch server get lost while the quick ones arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from tools.sample.network import DESKS, OFFICE, Network, built

from lastack.capture.writer import PcapngWriter
from lastack.lab.packet import syn_packet

DURATION_S = 40.0
_SNAPLEN = 96
_TCP_REPAIR = 19
_Serve = Callable[[socket.socket, int], Awaitable[None]]


def make(path: Path) -> int:
    """Play the network, write the capture, and return its number of frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with built() as net:
        asyncio.run(Play(net).run())
        frames = net.sniffer.drain()
        if net.sniffer.close():
            raise RuntimeError("the kernel dropped packets of the capture: run it again on a quieter machine")
        with PcapngWriter(path, "LastACK tools/make_captures.py") as out:
            out.add_interface(net.sniffer.link, _SNAPLEN, "firewall:room")
            for frame in frames:
                out.write(frame.ts_ns, frame.data[:_SNAPLEN], frame.wirelen)
        return len(frames)


class Play:
    """The traffic: a list of conversations with their starting times, from a fixed seed."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.random = random.Random(1981)
        self.served = 0

    async def run(self) -> None:
        """Serve and talk for the duration, then leave everything as it is: some sessions stay open."""
        servers = [
            self._serve("web", 443, self._web), self._serve("web", 443, self._web, 6),
            self._serve("web", 80, self._web), self._serve("api", 8080, self._api),
            self._serve("database", 5432, self._database), self._serve("batch", 9000, self._batch),
            self._serve("web", 22, self._database),
        ]  # fmt: skip
        tasks = [asyncio.create_task(each) for each in (*servers, *self._conversations())]
        await asyncio.sleep(DURATION_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _conversations(self) -> list[Awaitable[None]]:
        plan: list[Awaitable[None]] = []
        at = self.random.uniform
        for _ in range(86):
            plan.append(self._later(at(0, 38), self._browse(self._desk(), 443)))
        for _ in range(24):
            plan.append(self._later(at(0, 38), self._browse(self._desk(), 443, version=6)))
        for _ in range(16):
            plan.append(self._later(at(0, 38), self._browse(self._desk(), 80, cancel=True)))
        for _ in range(66):
            plan.append(self._later(at(0, 38), self._call_api(self._desk())))
        for number in (12, 13, 14, 15, 16):
            plan.append(self._later(at(0, 2), self._query(number, 5432)))
        plan.append(self._later(1, self._query(11, 22)))
        for start, think in (
            (0.5, 3),
            (2, 5),
            (3, 16),
            (4, 6.5),
            (8, 12),
            (14, 4),
            (20, 11),
            (30, 2),
            (34, 30),
        ):
            plan.append(self._later(start, self._run_batch(self._desk(), think)))
        for number in range(10):
            plan.append(self._later(number * 3.7 + 0.4, self._try(17, "mail", 25)))
        for start in (5, 19):
            plan.append(self._later(start, self._try(18, "desktop", 3389)))
        plan.append(self._later(9, self._try(18, "desktop", 5900)))
        for number in range(8):
            plan.append(self._later(number * 5 + 0.1, self._probe(number)))
        for number in range(13):
            plan.append(self._later(number * 3 + 0.2, self._check_health()))
        plan.append(self._later(12, self._crash(19)))
        return plan

    def _desk(self) -> int:
        return self.random.choice(list(DESKS))

    async def _later(self, delay: float, action: Awaitable[None]) -> None:
        await asyncio.sleep(delay)
        with contextlib.suppress(OSError):
            await action

    # the servers

    async def _serve(self, name: str, port: int, serve: _Serve, version: int = 4) -> None:
        listener = self.net.server(name, port, version)
        loop = asyncio.get_running_loop()
        running = set()
        try:
            while True:
                accepted, _ = await loop.sock_accept(listener)
                accepted.setblocking(False)
                self.net.open.append(accepted)
                self.served += 1
                task = asyncio.create_task(self._guarded(serve, accepted, self.served))
                running.add(task)
                task.add_done_callback(running.discard)
        finally:
            for task in running:
                task.cancel()

    async def _guarded(self, serve: _Serve, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            await serve(sock, number)

    async def _web(self, sock: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        requests = 0
        while await loop.sock_recv(sock, 4096):
            requests += 1
            await asyncio.sleep(0.004 + 0.02 * (number % 7))
            await loop.sock_sendall(sock, bytes(1200 + 700 * (number % 9)))
            if number % 3 == 0 and requests == 1:
                break  # an old server: one answer, and it closes first
        sock.close()

    async def _api(self, sock: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        if await loop.sock_recv(sock, 4096):
            await asyncio.sleep(0.03)
            if number % 6 == 0:
                _reset(sock)  # overloaded
                return
            await loop.sock_sendall(sock, bytes(300))
            await loop.sock_recv(sock, 4096)
        sock.close()

    async def _database(self, sock: socket.socket, _number: int) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, 4096):
            await loop.sock_sendall(sock, bytes(3 * len(data)))
        sock.close()

    async def _batch(self, sock: socket.socket, _number: int) -> None:
        # as `ssh host sort < data`: the answer can only begin after the client's FIN
        loop = asyncio.get_running_loop()
        think = struct.unpack(">d", await loop.sock_recv(sock, 8))[0]
        while await loop.sock_recv(sock, 65536):
            pass
        await asyncio.sleep(think)
        await loop.sock_sendall(sock, bytes(2500))
        sock.close()

    # the desks

    async def _dial(self, desk: int, name: str, port: int, version: int = 4) -> socket.socket:
        sock = self.net.desk(desk, version)
        await asyncio.get_running_loop().sock_connect(sock, (self.net.address(name, version), port))
        return sock

    async def _browse(self, desk: int, port: int, version: int = 4, cancel: bool = False) -> None:
        loop = asyncio.get_running_loop()
        sock = await self._dial(desk, "web", port, version)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            await loop.sock_sendall(sock, bytes(420))
            if cancel:
                await asyncio.sleep(0.2)
                sock.close()  # with the answer unread: the kernel resets
                return
            if not await loop.sock_recv(sock, 65536):
                break
            await asyncio.sleep(self.random.uniform(0.05, 1.0))
        sock.close()

    async def _call_api(self, desk: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self._dial(desk, "api", 8080)
        await loop.sock_sendall(sock, bytes(150))
        await loop.sock_recv(sock, 4096)
        sock.close()

    async def _query(self, desk: int, port: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self._dial(desk, "database" if port == 5432 else "web", port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 6)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 6)
        for _ in range(self.random.randrange(3, 7)):
            await loop.sock_sendall(sock, bytes(80))
            await loop.sock_recv(sock, 4096)
            await asyncio.sleep(self.random.uniform(0.3, 9))
        # kept open: a pool

    async def _run_batch(self, desk: int, think: float) -> None:
        loop = asyncio.get_running_loop()
        sock = await self._dial(desk, "batch", 9000)
        await loop.sock_sendall(sock, struct.pack(">d", think) + bytes(4000))
        sock.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(sock, 4096):
            pass
        sock.close()

    async def _try(self, desk: int, name: str, port: int) -> None:
        sock = await self._dial(desk, name, port)
        sock.close()

    async def _check_health(self) -> None:
        _reset(await self._dial(22, "api", 8080))

    async def _probe(self, number: int) -> None:
        with self.net.office.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            target = self.net.address("web")
            raw.sendto(syn_packet(f"{OFFICE}.21", 33000 + number, target, 443, 7000 + number), (target, 0))

    async def _crash(self, desk: int) -> None:
        loop = asyncio.get_running_loop()
        sock = await self._dial(desk, "database", 5432)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_sendall(sock, bytes(2000))
        # the desk loses power with the answer on its way; what comes finds a host that knows nothing
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        sock.close()


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

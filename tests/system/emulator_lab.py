"""The emulator in the middle of a lab, on a thread of this process, and hand-made frames to send through it."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from lastack.app.boxes import BoxWords, make_box
from lastack.app.emulate import warm_up
from lastack.emulator.af_packet import Bridge
from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import ETHERNET, RAW_IP, Engine
from lastack.emulator.loop import Loop
from lastack.emulator.nat import Nat
from lastack.emulator.tun import TunBox
from lastack.lab import Host, Lab, wait_until
from lastack.wire.build import Packet

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CLIENT_MAC, SERVER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_PACKET_IGNORE_OUTGOING, _SOL_PACKET = 23, 263
#: Seconds that something that must not happen is waited for.
SILENCE_S = 0.15


class Emulated:
    """A running emulator between the interfaces of a lab's box.

    Args:
        lab: Of the topology `emulator`.
        words: As on the command line.
        speed: Of its clock.
        guarded: Whether sessions begin inside only where the profile says so.
        tun: Route, in a lab that is `routed`.
        nat: Translate besides.
    """

    def __init__(
        self,
        lab: Lab,
        words: BoxWords,
        *,
        speed: float = 1.0,
        guarded: bool = True,
        tun: bool = False,
        nat: Nat | None = None,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.box, _, _ = make_box(words)
        warm_up(self.box)
        link = RAW_IP if tun or nat else ETHERNET
        self.engine = Engine(self.box, link, guarded=guarded, logged=self.events.append)
        self.nat = nat
        self.clock = BoxClock(speed)
        self.engine.machine.begin(self.clock.now())
        with lab.box.entered():
            self.bridge: Loop = (
                TunBox(self.engine, "inside", "outside", self.clock, nat)
                if tun or nat
                else Bridge(self.engine, "inside", "outside", self.clock)
            )
        self._namespace = lab.box
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.bridge.run(0.02, lambda: None)
        except BaseException as error:
            self._failure = error

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [one for one in list(self.events) if one["event"] == event]

    def await_event(self, event: str, number: int = 1, **members: Any) -> dict[str, Any]:
        """Return the n-th event of a kind with these members, once it has come."""
        found: list[dict[str, Any]] = []

        def came() -> bool:
            found[:] = [one for one in self.of(event) if all(one[k] == v for k, v in members.items())]
            return len(found) >= number

        wait_until(came, f"event {event} {members}; there are {self.events[-5:]}")
        return found[number - 1]

    def __enter__(self) -> Emulated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bridge.stop()
        self._thread.join(5)
        with self._namespace.entered():
            self.bridge.close()
        if self._failure is not None:
            raise self._failure


@contextlib.contextmanager
def connected(
    lab: Lab, port: int, version: int = 4, source: int = 0
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield client's and server's end of a connection through the lab.

    Args:
        lab: Where.
        port: Of the server.
        version: Of IP.
        source: Port of the client, 0 for any.
    """
    with lab.server.socket(FAMILIES[version]) as listener, lab.client.socket(FAMILIES[version]) as client:
        for each in (listener, client):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.server.address(version), port))
        listener.listen()
        if source:
            client.bind((lab.client.address(version), source))
        client.settimeout(3)
        client.connect((lab.server.address(version), port))
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(3)
            yield client, accepted


def exactly(end: socket.socket, number: int) -> bytes:
    """Return so many bytes from a socket, however many pieces they come in."""
    got = bytearray()
    while len(got) < number:
        part = end.recv(number - len(got))
        assert part, f"the end after {len(got)} of {number} bytes"
        got += part
    return bytes(got)


def hears(end: socket.socket, within_s: float = SILENCE_S) -> bool:
    """Return whether anything, an end or an error included, comes to a socket in time."""
    return bool(select.select([end], [], [], within_s)[0])


def error_of(end: socket.socket) -> int:
    """Return the error that waits on a socket, 0 for none."""
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class Wire:
    """The cable of a host, for frames made by hand: what is sent goes to the box, what comes is kept.

    Args:
        host: Client or server.
        peer: Ethernet address of the other end.
    """

    def __init__(self, host: Host, own: bytes, peer: bytes) -> None:
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("eth0", 3))
        self._socket.setblocking(False)
        self._head = peer + own
        self.came: list[bytes] = []

    def send(self, packet: Packet) -> bytes:
        """Send an IP packet; return its frame."""
        kind = b"\x86\xdd" if packet.data[0] >> 4 == 6 else b"\x08\x00"
        frame = self._head + kind + packet.data
        self._socket.send(frame)
        return frame

    def take(self) -> list[bytes]:
        """Return every frame that has come so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.came.append(self._socket.recv(70_000))
        return self.came

    def got(self, frame: bytes, within_s: float = 2.0) -> bool:
        """Return whether a frame comes out here in time."""
        with contextlib.suppress(Exception):
            wait_until(lambda: frame in self.take(), "a frame", within_s)
        return frame in self.came

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()


@contextlib.contextmanager
def wires(lab: Lab) -> Iterator[tuple[Wire, Wire]]:
    """Yield the cables of client and server."""
    with (
        Wire(lab.client, CLIENT_MAC, SERVER_MAC) as inside,
        Wire(lab.server, SERVER_MAC, CLIENT_MAC) as outside,
    ):
        yield inside, outside


def policy(folder: Path, text: str) -> BoxWords:
    """Return the box of a policy file with this text."""
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return BoxWords(policy=str(path), config="none")


def profile(name: str, *sets: str, apps: Sequence[str] = (), forks: Sequence[str] = ()) -> BoxWords:
    """Return the box of a profile with some timers set."""
    return BoxWords(profile=name, sets=tuple(sets), apps=tuple(apps), forks=tuple(forks), config="none")


def stays(condition: Callable[[], object], for_s: float = SILENCE_S) -> bool:
    """Return whether a condition holds, and goes on holding for a while."""
    with contextlib.suppress(Exception):
        wait_until(lambda: not condition(), "a change", for_s)
        return False
    return bool(condition())

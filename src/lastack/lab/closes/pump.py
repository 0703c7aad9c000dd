"""A TUN or TAP device whose traffic is wrapped by hand: for encapsulations that the running kernel may lack.

The TCP inside is made by the kernels of the two hosts; only the wrapping is ours. What is pumped at one host
arrives, unwrapped, at the other; the wire carries the wrapped form.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Callable

from lastack.lab.closes.stage import INNER_CLIENT, INNER_SERVER, Stage
from lastack.lab.host import Host

_TUNSETIFF, _TUN, _TAP, _NO_PI = 0x400454CA, 1, 2, 0x1000


class Pump:
    """One host's end: a device `name` on one side, a socket on the wire on the other, a thread in between."""

    def __init__(
        self, host: Host, name: str, ethernet: bool, wire: socket.socket,
        wrap: Callable[[bytes], bytes], unwrap: Callable[[bytes], bytes | None], target: tuple[object, ...],
    ) -> None:  # fmt: skip
        with host.entered():
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            mode = (_TAP if ethernet else _TUN) | _NO_PI
            fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), mode))
        self._wire, self._wrap, self._unwrap, self._target = wire, wrap, unwrap, target
        self._wire.setblocking(False)
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"pump-{name}")
        self._thread.start()

    def _run(self) -> None:
        while True:
            wire = self._wire.fileno()
            ready, _, _ = select.select([self._device, wire, self._wake], [], [])
            if self._wake in ready:
                return
            if self._device in ready:
                self._wire.sendto(self._wrap(os.read(self._device, 70_000)), self._target)
            if wire in ready:
                inner = self._unwrap(self._wire.recv(70_000))
                if inner is not None:
                    os.write(self._device, inner)

    def close(self) -> None:
        """Stop the thread and remove the device."""
        os.close(self._stop)
        self._thread.join()
        for fd in (self._wake, self._device):
            os.close(fd)
        self._wire.close()


def address(stage: Stage, device: str, ethernet: bool, mtu: int = 1400) -> None:
    """Give both devices the inner addresses, which the lab's connections use from now on."""
    for host, mine, peer, mac, peer_mac in (
        (stage.lab.client, INNER_CLIENT, INNER_SERVER, "02:00:00:00:01:01", "02:00:00:00:01:02"),
        (stage.lab.server, INNER_SERVER, INNER_CLIENT, "02:00:00:00:01:02", "02:00:00:00:01:01"),
    ):
        commands = [f"link set {device} addrgenmode none"]
        if ethernet:
            commands.append(f"link set {device} address {mac}")
        commands += [
            f"link set {device} mtu {mtu} up",
            f"addr add {mine[4]}/24 dev {device}",
            f"addr add {mine[6]}/64 dev {device} nodad",
        ]
        if ethernet:
            commands += [
                f"neigh replace {peer[version]} lladdr {peer_mac} dev {device} nud permanent"
                for version in (4, 6)
            ]
        host.ip(*commands)
    stage.client, stage.server = dict(INNER_CLIENT), dict(INNER_SERVER)

"""The stage of a pattern: a lab, a capture of one of its wires, and words for what recipes do to both ends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from lastack.lab.host import Host
from lastack.lab.packet import Segment
from lastack.lab.sniffer import LINK_ETHERNET, Frame, Sniffer
from lastack.lab.topology import Lab
from lastack.lab.waiting import wait_until

PORT, CLIENT_PORT = 8080, 40001
#: Addresses inside a tunnel between the two hosts.
INNER_CLIENT = {4: "198.51.100.1", 6: "2001:db8:1::1"}
INNER_SERVER = {4: "198.51.100.2", 6: "2001:db8:1::2"}


class Closable(Protocol):
    """What ends with the stage."""

    def close(self) -> object:
        """End it."""


class Stage:
    """A lab with a capture running on one of its interfaces.

    Args:
        lab: The lab, built.
        clt_port: The client's first port; patterns that need more take the next ones.

    Attributes:
        wire: The capture.
        client: Addresses of the client by IP version; a pattern that builds a tunnel changes them.
        server: Addresses of the server.
        behind_nat: Whether the capture is made beyond a NAT.
        outer: The capture to keep when `wire` looks inside a tunnel, else None.
        captured: Frames and link type that another program has captured, to keep instead of `wire`'s.
        pumps: Further things that end with the stage.
        open: Sockets that end with the stage.
    """

    def __init__(self, lab: Lab, clt_port: int = CLIENT_PORT) -> None:
        self.lab, self.clt_port = lab, clt_port
        self.client, self.server = dict(lab.client.addresses), dict(lab.server.addresses)
        self.behind_nat = False
        self.outer: Sniffer | None = None
        self.captured: tuple[list[Frame], int] | None = None
        self.pumps: list[Closable] = []
        self.open: list[socket.socket] = []
        self._sniffers: list[Sniffer] = []
        self.wire: Sniffer

    @property
    def shown(self) -> dict[int, str]:
        """The client's addresses as the capture shows them: those of a NAT when it is made behind it."""
        return self.lab.box.addresses if self.behind_nat else self.client

    def host(self, side: str) -> Host:
        """Return the host of `clt` or `srv`."""
        return self.lab.client if side == "clt" else self.lab.server

    def raw(self, side: str) -> socket.socket:
        """Return a raw IPv4 socket of a host that takes whole packets."""
        made = self.host(side).socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.open.append(made)
        return made

    def socket(self, side: str, version: int = 4) -> socket.socket:
        """Return a new blocking TCP socket of a host; it is closed with the stage at the latest."""
        made = self.host(side).socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        made.settimeout(8)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.open.append(made)
        return made

    def rules(self, side: str, hook: str = "input", rule: str = "") -> None:
        """Filter at `input` (seen on the wire, then lost) or `output` (never seen); no rule ends it."""
        chain = f"chain c {{\n type filter hook {hook} priority filter; policy accept;\n {rule}\n}}"
        self.host(side).nft(chain if rule else "")

    def sysctl(self, side: str, key: str, value: str | int) -> None:
        """Set `net/...` of a host."""
        self.host(side).sysctl(key, value)

    def watch(self, host: Host, device: str, link: int = LINK_ETHERNET) -> None:
        """Capture a device from now on; it becomes `wire`."""
        self.wire = Sniffer(host, device, link)
        self._sniffers.append(self.wire)

    def watch_inside(self, device: str, link: int = LINK_ETHERNET) -> None:
        """Count on a tunnel device of the client from now on; the capture of the wire is the one to keep."""
        self.outer = self.wire
        self.watch(self.lab.client, device, link)

    def capture(self) -> tuple[list[Frame], int]:
        """Return the frames to keep and their link type."""
        if self.captured is not None:
            return self.captured
        kept = self.outer or self.wire
        return kept.drain(), kept.link

    def wait_segments(self, count: int, match: Callable[[Segment], bool], what: str) -> None:
        """Return once `count` segments that match were seen on the wire."""
        wait_until(lambda: sum(map(match, self.wire.segments())) >= count, f"{count} x {what}")

    def close(self) -> None:
        """End what the recipe has opened."""
        for thing in (*self.pumps, *self._sniffers, *self.open):
            with contextlib.suppress(OSError):
                thing.close()


@contextlib.contextmanager
def staged(lab: Lab, watch: str = "clt", clt_port: int = CLIENT_PORT) -> Iterator[Stage]:
    """Build a lab, watch it at the client (`clt`) or the server (`srv`), and take all away at the end.

    Args:
        lab: The lab, not built yet.
        watch: At which end of the wire the capture is made.
        clt_port: The client's first port.
    """
    with lab:
        stage = Stage(lab, clt_port)
        try:
            for host in (lab.client, lab.server):
                # one SYN a second is easier to follow than four quick ones of newer kernels; older ones lack the key
                with contextlib.suppress(FileNotFoundError):
                    host.sysctl("net/ipv4/tcp_syn_linear_timeouts", 0)
            stage.behind_nat = lab.topology == "nat" and watch == "srv"
            stage.watch(stage.host(watch), "eth0")
            yield stage
        finally:
            stage.close()


def scratch(stage: Stage, name: str) -> Path:
    """Return a path for a file that goes with the lab."""
    return stage.lab.folder / name

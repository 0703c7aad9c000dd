"""Two hosts and a wire: a client and a server namespace, one veth pair, and a capture running on it."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from closelab import netns
from closelab.files import LINK_ETHERNET
from closelab.packet import Segment
from closelab.sniffer import Sniffer

CLIENT = {4: "192.0.2.1", 6: "2001:db8::1"}
SERVER = {4: "192.0.2.2", 6: "2001:db8::2"}
# inside a tunnel between the two
INNER_CLIENT = {4: "198.51.100.1", 6: "2001:db8:1::1"}
INNER_SERVER = {4: "198.51.100.2", 6: "2001:db8:1::2"}
CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Closable(Protocol):
    """What ends with the lab."""

    def close(self) -> None:
        """End it."""


class Lab:
    """One client host, one server host, one wire; fixed addresses and neighbours, so that only TCP is seen.

    Attributes:
        clt: Namespace of the client.
        srv: Namespace of the server.
        wire: The capture on one end of the wire.
        client: Addresses of the client by IP version; a recipe that builds a tunnel changes them.
        server: Addresses of the server.
        outer: The capture to keep when `wire` looks inside a tunnel, else None.
        captured_file: A capture that another program wrote, to keep instead of `wire`.
    """

    def __init__(self, clt: str, srv: str) -> None:
        self.clt, self.srv = clt, srv
        self.client, self.server = dict(CLIENT), dict(SERVER)
        self.inner_client, self.inner_server = dict(INNER_CLIENT), dict(INNER_SERVER)
        self.outer: Sniffer | None = None
        self.captured_file: Path | None = None
        self.pumps: list[Closable] = []
        self.open: list[socket.socket] = []
        self.sniffers: list[Sniffer] = []
        self.wire: Sniffer

    def namespace(self, side: str) -> str:
        """Return the namespace of `clt` or `srv`."""
        return self.clt if side == "clt" else self.srv

    def socket(self, side: str, version: int = 4) -> socket.socket:
        """Return a new blocking TCP socket of a host; it is closed with the lab at the latest."""
        with netns.inside(self.namespace(side)):
            made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        made.settimeout(8)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.open.append(made)
        return made

    def rules(self, side: str, hook: str = "input", rule: str = "") -> None:
        """Filter at `input` (seen on the wire, then lost) or `output` (never seen); no rule ends it."""
        chain = f"chain c {{\n type filter hook {hook} priority filter; policy accept;\n {rule}\n}}"
        netns.rules(self.namespace(side), chain if rule else "")

    def sysctl(self, side: str, key: str, value: str) -> None:
        """Set `net/...` of a host."""
        netns.sysctl(self.namespace(side), key, value)

    def watch_inside(self, device: str, link: int = LINK_ETHERNET) -> None:
        """Count on a tunnel device of the client from now on; the capture of the wire is the one to keep."""
        self.outer = self.wire
        self.watch(self.clt, device, link)

    def watch(self, namespace: str, device: str, link: int = LINK_ETHERNET) -> None:
        """Capture a device from now on; it becomes `wire`."""
        self.wire = Sniffer(namespace, device, link)
        self.sniffers.append(self.wire)

    def written_to(self, path: Path) -> bool:
        """Move the file that another program has captured to `path`, if there is one."""
        if self.captured_file is not None:
            shutil.move(self.captured_file, path)
        return self.captured_file is not None

    def wait_segments(self, count: int, match: Callable[[Segment], bool], what: str) -> None:
        """Return once `count` segments that match were seen on the wire."""
        netns.wait_until(lambda: sum(map(match, self.wire.segments())) >= count, f"{count} x {what}")


@contextlib.contextmanager
def built(watch: str = "clt") -> Iterator[Lab]:
    """Build a lab that watches the wire at the end of `watch`; it is removed also after a failure."""
    names: list[str] = []
    lab = None
    try:
        names = [netns.add("clt"), netns.add("srv")]
        lab = Lab(*names)
        _join(lab)
        lab.watch(lab.namespace(watch), "eth0")
        yield lab
    finally:
        if lab is not None:
            for thing in (*lab.pumps, *lab.sniffers, *lab.open):
                thing.close()
        for name in names:
            netns.remove(name)


def _join(lab: Lab) -> None:
    pair = ("type", "veth", "peer", "name", "eth0", "address", SERVER_MAC, "netns", lab.srv)
    netns.run("ip", "link", "add", "eth0", "netns", lab.clt, "address", CLIENT_MAC, *pair)
    for name, mine, peer, peer_mac in (
        (lab.clt, CLIENT, SERVER, SERVER_MAC),
        (lab.srv, SERVER, CLIENT, CLIENT_MAC),
    ):
        commands = [
            "link set lo up",
            "link set eth0 addrgenmode none",
            "link set eth0 up",
            f"addr add {mine[4]}/24 dev eth0",
            f"addr add {mine[6]}/64 dev eth0 nodad",
            f"neigh replace {peer[4]} lladdr {peer_mac} dev eth0 nud permanent",
            f"neigh replace {peer[6]} lladdr {peer_mac} dev eth0 nud permanent",
        ]
        # reports of multicast groups, which IPv6 sends at moments of its own
        quiet = (
            "chain c {\n type filter hook output priority filter;\n icmpv6 type mld2-listener-report drop\n}"
        )
        netns.rules(name, quiet, "quiet")
        netns.run("ip", "-n", name, "-batch", "-", stdin="\n".join(commands))
        # one SYN a second is easier to follow than four quick ones of newer kernels; older ones lack the key
        with contextlib.suppress(FileNotFoundError):
            netns.sysctl(name, "net/ipv4/tcp_syn_linear_timeouts", "0")

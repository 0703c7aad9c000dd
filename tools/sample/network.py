"""A little network for the sample: offices, a firewall with a real session table, and a room of servers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator

from lastack.lab import Host
from lastack.lab.reaper import Reaper
from lastack.lab.sniffer import Sniffer

OFFICE, ROOM = "198.51.100", "192.0.2"
OFFICE_6, ROOM_6 = "2001:db8:a", "2001:db8:b"
DESKS = range(11, 23)
SERVERS = {"web": 10, "api": 20, "database": 30, "batch": 40, "mail": 50, "desktop": 60}

_FIREWALL = """
chain forward {
  type filter hook forward priority filter; policy drop;
  ct state invalid drop
  ct state established,related accept
  ct state new tcp flags & (fin | syn | rst | ack) == syn accept
  meta l4proto udp accept
}
"""
_ROOM = """
chain input {
  type filter hook input priority filter;
  tcp dport 3389 drop
  tcp dport 5900 reject with icmpx admin-prohibited
}
"""
#: The firewall forgets a half-closed session after this many seconds of silence: the sample's hidden timer.
HALF_CLOSED_TIMER_S = 8


class Network:
    """Three hosts in a row; `sniffer` sees what passes between the firewall and the servers."""

    def __init__(self, office: Host, firewall: Host, room: Host) -> None:
        self.office, self.firewall, self.room = office, firewall, room
        self.open: list[socket.socket] = []
        self.sniffer: Sniffer

    def desk(self, number: int, version: int = 4, port: int = 0) -> socket.socket:
        """Return an unconnected socket of a desk, bound to its address."""
        address = f"{OFFICE}.{number}" if version == 4 else f"{OFFICE_6}::{number}"
        return self._socket(self.office, version, address, port)

    def server(self, name: str, port: int, version: int = 4) -> socket.socket:
        """Return a listening socket of a server."""
        made = self._socket(self.room, version, self.address(name, version), port)
        made.listen(256)
        return made

    @staticmethod
    def address(name: str, version: int = 4) -> str:
        """Return the address of a server."""
        return f"{ROOM}.{SERVERS[name]}" if version == 4 else f"{ROOM_6}::{SERVERS[name]}"

    def _socket(self, host: Host, version: int, address: str, port: int) -> socket.socket:
        made = host.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.setblocking(False)
        self.open.append(made)
        return made


@contextlib.contextmanager
def built() -> Iterator[Network]:
    """Build the network, and remove all of it at the end, also after a failure."""
    with contextlib.ExitStack() as stack:
        hosts = []
        for role in ("office", "firewall", "room"):
            host = Host(role)
            stack.callback(host.namespace.close)
            hosts.append(host)
        reaper = Reaper([host.namespace.fd for host in hosts], "")
        stack.callback(reaper.finish)
        net = Network(*hosts)
        _cable(net, "office", net.office, OFFICE, OFFICE_6, DESKS)
        _cable(net, "room", net.room, ROOM, ROOM_6, SERVERS.values())
        _arm(net.firewall)
        net.room.nft(_ROOM)
        net.sniffer = Sniffer(net.firewall, "room")
        stack.callback(net.sniffer.close)
        stack.callback(lambda: [sock.close() for sock in net.open])
        yield net


def _cable(net: Network, port: str, hosts: Host, prefix: str, prefix_6: str, numbers: Iterable[int]) -> None:
    net.firewall.ip(f"link add {port} type veth peer name eth0 netns {hosts.namespace.path}")
    # IPv6 sends reports and solicitations at its own moments; they are not what the sample is about
    common = ["link set lo up", "link set eth0 addrgenmode none", "link set eth0 up"]
    for number in numbers:
        common += [
            f"addr add {prefix}.{number}/24 dev eth0",
            f"addr add {prefix_6}::{number}/64 dev eth0 nodad",
        ]
    hosts.ip(*common, f"route add default via {prefix}.1", f"route add ::/0 via {prefix_6}::1")
    net.firewall.ip(
        "link set lo up",
        f"link set {port} addrgenmode none",
        f"link set {port} up",
        f"addr add {prefix}.1/24 dev {port}",
        f"addr add {prefix_6}::1/64 dev {port} nodad",
    )


def _arm(firewall: Host) -> None:
    firewall.nft(_FIREWALL)
    firewall.sysctl("net/ipv4/ip_forward", 1)
    firewall.sysctl("net/ipv6/conf/all/forwarding", 1)
    firewall.sysctl("net/netfilter/nf_conntrack_tcp_loose", 0)
    for phase in ("fin_wait", "close_wait"):
        firewall.sysctl(f"net/netfilter/nf_conntrack_tcp_timeout_{phase}", HALF_CLOSED_TIMER_S)

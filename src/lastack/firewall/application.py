"""Applications as a policy sees them: server ports, and where clients and servers are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from lastack.firewall.document import Node
from lastack.firewall.problems import near

Network = IPv4Network | IPv6Network
Ports = tuple[tuple[int, int], ...]
_RANGE = re.compile(r"(\d{1,5})(?:\s*(?:-|\.\.)\s*(\d{1,5}))?")
ANY_PORT: Ports = ((0, 65535),)

#: Server ports by the names of IANA's registry of services (and `smb`, `rdp`, `mssql`, `oracle` as people say them).
WELL_KNOWN: Mapping[str, int] = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "dns": 53,
    "http": 80,
    "kerberos": 88,
    "pop3": 110,
    "sunrpc": 111,
    "nntp": 119,
    "epmap": 135,
    "imap": 143,
    "bgp": 179,
    "ldap": 389,
    "https": 443,
    "smb": 445,
    "shell": 514,
    "printer": 515,
    "rtsp": 554,
    "submission": 587,
    "ipp": 631,
    "ldaps": 636,
    "rsync": 873,
    "imaps": 993,
    "pop3s": 995,
    "mssql": 1433,
    "oracle": 1521,
    "mqtt": 1883,
    "nfs": 2049,
    "mysql": 3306,
    "rdp": 3389,
    "postgresql": 5432,
    "amqp": 5672,
    "vnc": 5900,
    "redis": 6379,
    "http-alt": 8080,
}


@dataclass(frozen=True, slots=True)
class Application:
    """Sessions of one kind.

    Attributes:
        name: Its name.
        ports: Lowest and highest server port of each range.
        clients: Networks its clients are in; empty for any.
        servers: Networks its servers are in; empty for any.
    """

    name: str
    ports: Ports = ANY_PORT
    clients: tuple[Network, ...] = ()
    servers: tuple[Network, ...] = ()

    def text(self) -> str:
        """Return what it matches in words."""
        parts = [f"port {ports_text(self.ports)}" if self.ports != ANY_PORT else "any port"]
        parts += [f"clients {', '.join(map(str, self.clients))}"] if self.clients else []
        parts += [f"servers {', '.join(map(str, self.servers))}"] if self.servers else []
        return ", ".join(parts)

    def covers(self, other: Application) -> bool:
        """Return whether every session that `other` matches is matched by this one too (never wrongly yes)."""
        return (
            all(any(low <= a and b <= high for low, high in self.ports) for a, b in other.ports)
            and _within(self.clients, other.clients)
            and _within(self.servers, other.servers)
        )


def ports_text(ports: Ports) -> str:
    """Return ranges of ports as `22, 8000-8100`."""
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ports)


def parse_ports(text: str) -> Ports:
    """Return the ranges that `22`, `8000-8100` or `80,443` name.

    Raises:
        ValueError: It names none.
    """
    found = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a port or a range such as 8000-8100")
        low, high = int(match[1]), int(match[2] or match[1])
        if not 0 <= low <= high <= 65535:
            raise ValueError(f"{part.strip()} is not a range within 0-65535")
        found.append((low, high))
    return tuple(found)


def read_applications(node: Node, zones: Mapping[str, tuple[Network, ...]]) -> dict[str, Application]:
    """Return the applications of a table of tables, `[apps.NAME]`."""
    return {name: read_application(item, name, zones) for name, item in node.named("apps").items()}


def read_application(node: Node, name: str, zones: Mapping[str, tuple[Network, ...]]) -> Application:
    """Return the application that a table describes: `ports`, `server_zone` (or `zone`) and `client_zone`."""
    if node.has("zone") and node.has("server_zone"):
        node.error("zone", "means the same as server_zone", "leave one out")
    servers = _zones(node, "server_zone", zones) + _zones(node, "zone", zones)
    application = Application(name, read_ports(node), _zones(node, "client_zone", zones), servers)
    node.finish()
    return application


def read_ports(node: Node) -> Ports:
    """Return the ports of a table: a number, a text such as `"80, 8000-8100"`, or a list of both."""
    if not node.has("ports"):
        return ANY_PORT
    value = node.values["ports"]
    try:
        parts = [str(part) for part in (value if isinstance(value, list) else [value])]
        return parse_ports(",".join(parts))
    except ValueError as reason:
        node.error("ports", str(reason))
        return ANY_PORT


def read_zones(node: Node) -> dict[str, tuple[Network, ...]]:
    """Return the networks of each zone, `[zones] dmz = ["10.2.0.0/16"]` or `[zones.dmz] cidr = […]`."""
    table = node.table("zones")
    found = {}
    for name, value in table.values.items():
        if isinstance(value, Mapping):
            zone = table.table(name)
            found[name] = _networks(zone, "cidr")
            zone.has("priority")
            if zone.has("vlan"):
                zone.warn("vlan", "is not looked at: a policy knows a zone by its addresses only")
            zone.finish()
        else:
            found[name] = _networks(table, name)
    return found


def _networks(node: Node, key: str) -> tuple[Network, ...]:
    networks = []
    texts = node.words(key)
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as reason:
            node.error(key, str(reason))
    if not texts:
        node.error(key, "has no network", f'write {key} = ["10.0.0.0/8"]')
    return tuple(networks)


def _zones(node: Node, key: str, zones: Mapping[str, tuple[Network, ...]]) -> tuple[Network, ...]:
    """Return the networks of one zone, or of several in a list."""
    several = isinstance(node.values.get(key), list)
    names = node.words(key) if several else tuple(filter(None, [node.text(key, "")]))
    for name in names:
        if name not in zones:
            node.error(
                key, f"no zone is called {name!r}", near(name, zones) if zones else "declare it under [zones]"
            )
    return tuple(network for name in names for network in zones.get(name, ()))


def _within(outer: tuple[Network, ...], inner: tuple[Network, ...]) -> bool:
    if not outer:
        return True
    return bool(inner) and all(any(_holds(big, small) for big in outer) for small in inner)


def _holds(big: Network, small: Network) -> bool:
    if isinstance(big, IPv4Network):
        return isinstance(small, IPv4Network) and small.subnet_of(big)
    return isinstance(small, IPv6Network) and small.subnet_of(big)

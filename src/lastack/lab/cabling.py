"""Cables and addresses: veth pairs between hosts, and neighbours that need not be asked for.

Addresses are those for documentation (RFC 5737, RFC 3849). Neighbours are fixed and IPv6 keeps quiet, so that a capture
shows TCP and little else, and the first SYN does not wait for ARP.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastack.lab.host import Host

#: Prefixes of the client's and the server's network, by IP version; `.1`/`::1` is the box, `.2`/`::2` the host.
INSIDE = {4: "198.51.100.", 6: "2001:db8:a::"}
OUTSIDE = {4: "192.0.2.", 6: "2001:db8:b::"}
#: One network for both ends: there is no router between them.
SHARED = {4: "192.0.2.", 6: "2001:db8::"}
_LENGTH = {4: 24, 6: 64}
# Reports of multicast groups, which IPv6 sends at moments of its own.
_QUIET = """chain output {
  type filter hook output priority filter;
  icmpv6 type { mld2-listener-report, nd-router-solicit } drop
}"""


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a cable.

    Attributes:
        host: Where it is plugged in.
        device: Name of the interface there.
        mac: Its Ethernet address.
        number: Last part of its IP addresses; 0 for an interface without addresses.
    """

    host: Host
    device: str
    mac: str
    number: int = 0


def wake(host: Host) -> None:
    """Bring up the loopback of a new host and keep it quiet."""
    host.nft(_QUIET, "quiet")
    host.ip("link set lo up")
    for kind in ("all", "default"):
        host.sysctl(f"net/ipv4/conf/{kind}/rp_filter", 0)
        host.sysctl(f"net/ipv6/conf/{kind}/accept_dad", 0)


def plug(left: Port, right: Port, prefix: dict[int, str]) -> None:
    """Join two hosts by a cable and give both ends addresses of a network.

    Args:
        left: One end.
        right: The other.
        prefix: The network, by IP version.
    """
    left.host.run(
        ["ip", "link", "add", left.device, "address", left.mac, "type", "veth",
         "peer", "name", right.device, "address", right.mac, "netns", right.host.namespace.path]
    )  # fmt: skip
    for mine in (left, right):
        lines = [f"link set {mine.device} addrgenmode none", f"link set {mine.device} up"]
        if mine.number:
            for version, start in prefix.items():
                nodad = " nodad" if version == 6 else ""
                lines.append(f"addr add {start}{mine.number}/{_LENGTH[version]} dev {mine.device}{nodad}")
        mine.host.ip(*lines)


def introduce(mine: Port, peer: Port, prefix: dict[int, str]) -> None:
    """Tell one port the Ethernet address of another on the same network, for good."""
    mine.host.ip(
        *(
            f"neigh replace {start}{peer.number} lladdr {peer.mac} dev {mine.device} nud permanent"
            for start in prefix.values()
        )
    )


def route(mine: Port, gateway_number: int, prefix: dict[int, str]) -> None:
    """Send everything else through a neighbour."""
    for version, start in prefix.items():
        everything = "default" if version == 4 else "::/0"
        mine.host.ip(f"route add {everything} via {start}{gateway_number} dev {mine.device}")

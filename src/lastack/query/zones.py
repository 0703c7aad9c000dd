"""Zones and applications: what they are, and which of them an address, a port and a VLAN belong to.

This is the plain reading, one session at a time, that explains itself; `lastack.query.classify` does the same for
columns, `lastack.query.classify_sql` for a query engine, and tests hold the three equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lastack.model.address import V4_PREFIX

#: Application of a session that none fits.
UNCLASSIFIED = "unclassified"
#: Priority of a zone that has none; smaller ones are asked first.
USUAL_PRIORITY = 100
MOST_PORT, MOST_VLAN = 65_535, 4_094
_ALL_PORTS = ((0, MOST_PORT),)


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring addresses, 16 bytes each (IPv4 mapped into IPv6), and how they were written."""

    low: bytes
    high: bytes
    text: str

    def holds(self, address: bytes) -> bool:
        """Return whether an address is in it."""
        return self.low <= address <= self.high

    @property
    def v4(self) -> bool:
        """Whether it is one of IPv4."""
        return self.low.startswith(V4_PREFIX) and self.high.startswith(V4_PREFIX)


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the network.

    Attributes:
        name: Its name.
        blocks: Addresses; empty for all.
        vlans: Ranges of VLAN ids, both ends included; empty for all, also for packets without a tag.
        priority: Zones with smaller ones are asked first, those of the same in the order of the file.
        path: Where it is written, such as `zone[2]`.
    """

    name: str
    blocks: tuple[Block, ...] = ()
    vlans: tuple[tuple[int, int], ...] = ()
    priority: int = USUAL_PRIORITY
    path: str = ""

    def holds(self, address: bytes, vlan: int) -> bool:
        """Return whether an end with this address, seen on this VLAN, is in it."""
        on_vlan = not self.vlans or any(low <= vlan <= high for low, high in self.vlans)
        return on_vlan and (not self.blocks or any(block.holds(address) for block in self.blocks))


@dataclass(frozen=True, slots=True)
class Application:
    """A service, known by the server's port and by the zones of both ends.

    Attributes:
        name: Its name; several entries may share it.
        ports: Ranges of server ports, both ends included; empty for all.
        client_zones: Zones that the client must be in one of; empty for any or none.
        server_zones: The same for the server.
        path: Where it is written.
    """

    name: str
    ports: tuple[tuple[int, int], ...] = ()
    client_zones: tuple[str, ...] = ()
    server_zones: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One range of ports of an application; the first candidate that fits names the application.

    Attributes:
        application: The application.
        ports: The range, both ends included.
        order: How imprecise it is: width of the range, whether the server's zone and the client's are free, place.
    """

    application: Application
    ports: tuple[int, int]
    order: tuple[int, bool, bool, int]

    def fits(self, port: int, client_zone: str | None, server_zone: str | None) -> bool:
        """Return whether a session with these is one of the application."""
        app = self.application
        return (
            self.ports[0] <= port <= self.ports[1]
            and (not app.client_zones or client_zone in app.client_zones)
            and (not app.server_zones or server_zone in app.server_zones)
        )


@dataclass(frozen=True, slots=True)
class Classes:
    """The zones and applications of a configuration.

    Attributes:
        zones: In the order of the file.
        applications: In the order of the file.
        source: Where they come from, for people.
    """

    zones: tuple[Zone, ...] = ()
    applications: tuple[Application, ...] = ()
    source: str = ""
    by_priority: tuple[Zone, ...] = field(init=False, compare=False)
    candidates: tuple[Candidate, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_priority", tuple(sorted(self.zones, key=lambda zone: zone.priority)))
        object.__setattr__(self, "candidates", tuple(_candidates(self.applications)))

    def zone_of(self, address: bytes, vlan: int = 0) -> Zone | None:
        """Return the first zone that holds an address seen on a VLAN (0: none)."""
        return next((zone for zone in self.by_priority if zone.holds(address, vlan)), None)

    def application_of(self, port: int, client_zone: str | None, server_zone: str | None) -> Candidate | None:
        """Return the most precise candidate for a server port and two zones, None if none fits.

        The narrowest range of ports goes first, then what names the server's zone, then what names the client's,
        then what is written first.
        """
        fits = (c for c in self.candidates if c.fits(port, client_zone, server_zone))
        return next(fits, None)


def _candidates(applications: Sequence[Application]) -> Iterator[Candidate]:
    found = [
        Candidate(app, ports, (ports[1] - ports[0], not app.server_zones, not app.client_zones, place))
        for place, app in enumerate(applications)
        for ports in app.ports or _ALL_PORTS
    ]
    yield from sorted(found, key=lambda candidate: candidate.order)

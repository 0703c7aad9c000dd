"""Zones and applications for people: as they are asked, and why one was taken."""

from __future__ import annotations

from collections.abc import Iterator

from lastack.model.address import format_address
from lastack.query.zones import UNCLASSIFIED, Application, Candidate, Classes, Zone
from lastack.view.page import Page

_ALL = (0, 65_535)
_REJECTED = 4  # entries that did not fit and are told


def render_classes(classes: Classes, width: int | None = None, colour: bool | None = None) -> str:
    """Return the zones and applications of a configuration, in the order in which they are asked."""
    page = Page(width, colour)
    page.heading("Zones", f"the first that fits is taken; from {classes.source}")
    rows = [[zone.name, str(zone.priority), _zone_text(zone)] for zone in classes.by_priority]
    page.grid(rows, "lrt", ["name", "priority", "what is in it"])
    page.heading("Applications", "the first that fits is taken")
    rows = [
        [candidate.application.name, _ports(candidate.ports), _zones_text(candidate.application)]
        for candidate in classes.candidates
    ]
    page.grid(rows, "lrt", ["name", "server port", "zones"])
    page.say(f"Everything else is {UNCLASSIFIED}.")
    return page.text()


def _zone_text(zone: Zone) -> str:
    parts = [", ".join(block.text for block in zone.blocks)] if zone.blocks else []
    if zone.vlans:
        parts.append("VLAN " + ", ".join(_range(low, high) for low, high in zone.vlans))
    return " on ".join(parts)


def _zones_text(app: Application) -> str:
    parts = []
    if app.client_zones:
        parts.append(f"clients in {' or '.join(app.client_zones)}")
    if app.server_zones:
        parts.append(f"servers in {' or '.join(app.server_zones)}")
    return ", ".join(parts) or "any"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _ports(ports: tuple[int, int]) -> str:
    return "any" if ports == _ALL else _range(*ports)


def render_explanation(
    classes: Classes,
    server_ip: bytes,
    port: int | None = None,
    client_ip: bytes | None = None,
    vlan: int = 0,
    width: int | None = None,
    colour: bool | None = None,
) -> str:
    """Return which zones and which application a session gets, and why.

    Args:
        classes: The configuration.
        server_ip: Address of the server.
        port: Its port, None to leave the application out.
        client_ip: Address of the client, None if it is not known.
        vlan: VLAN that the session was seen on.
        width: Characters of a line.
        colour: Show colours.
    """
    page = Page(width, colour)
    names: list[str | None] = [None, None]
    for place, (title, address) in enumerate((("client", client_ip), ("server", server_ip))):
        if address is not None:
            zone = classes.zone_of(address, vlan)
            names[place] = zone.name if zone is not None else None
            page.heading(f"{title} {format_address(address)}: {names[place] or 'in no zone'}")
            page.grid(list(_zone_steps(classes, address, vlan)), "llt")
    if port is not None:
        found = classes.application_of(port, names[0], names[1])
        page.heading(f"port {port}: {found.application.name if found is not None else UNCLASSIFIED}")
        page.grid(list(_app_steps(classes, port, names[0], names[1])), "lrt")
        if client_ip is None and any(app.client_zones for app in classes.applications):
            page.say("Some applications ask for the client's zone: --client ADDRESS gives it.")
    return page.text()


def _zone_steps(classes: Classes, address: bytes, vlan: int) -> Iterator[list[str]]:
    """Yield what was asked: the zones whose addresses fit, up to the one that was taken, and the next ones."""
    taken = False
    for zone in classes.by_priority:
        block = next((block for block in zone.blocks if block.holds(address)), None)
        if zone.blocks and block is None:
            continue
        where = block.text if block is not None else "any address"
        if not zone.holds(address, vlan):
            wanted = ", ".join(_range(low, high) for low, high in zone.vlans)
            yield ["no", zone.name, f"{where}, but only on VLAN {wanted}, and this is {vlan or 'no VLAN'}"]
        elif taken:
            yield ["no", zone.name, f"{where}, but it is asked later (priority {zone.priority})"]
        else:
            taken = True
            yield ["yes", zone.name, f"{where}, priority {zone.priority}"]
    if not taken:
        yield ["", "", "no other zone has this address"]


def _app_steps(classes: Classes, port: int, client: str | None, server: str | None) -> Iterator[list[str]]:
    """Yield the candidates that have the port, in the order in which they are asked."""
    taken, rejected = False, 0
    for candidate in classes.candidates:
        if not candidate.ports[0] <= port <= candidate.ports[1]:
            continue
        app, text = candidate.application, f"port {_ports(candidate.ports)}"
        if candidate.fits(port, client, server) and not taken:
            taken = True
            yield ["yes", app.name, f"{text}, {_why(candidate)}"]
        elif taken:
            rejected += 1
            if rejected <= _REJECTED:
                yield ["no", app.name, f"{text}, but it is less precise, or written later"]
        else:
            zones = _zones_text(app)
            yield ["no", app.name, f"{text}, but it wants {zones}"]
    if not taken:
        yield ["", "", "no application has this port and these zones"]


def _why(candidate: Candidate) -> str:
    zones = _zones_text(candidate.application)
    return "any zones" if zones == "any" else zones

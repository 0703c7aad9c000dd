"""The configuration file: zones and applications, and every mistake in it with its line.

    [zones.dmz]
    cidr = ["192.0.2.0/24", "2001:db8:1::/48"]
    vlan = [10, "20-29"]          # optional
    priority = 10                 # optional: smaller is asked first (100)

    [apps.web]
    ports = [80, 443, "8000-8800"]
    server_zone = "dmz"           # optional, as client_zone; one name or several

`[zones] dmz = ["192.0.2.0/24"]` is short for a zone with nothing but addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lastack.app.profiles import read_toml
from lastack.firewall.application import parse_ports
from lastack.firewall.document import Node
from lastack.firewall.problems import Problem, Severity, line_of, near
from lastack.model.address import V4_PREFIX
from lastack.model.errors import InputError
from lastack.query.zones import (
    MOST_PORT,
    MOST_VLAN,
    UNCLASSIFIED,
    USUAL_PRIORITY,
    Application,
    Block,
    Classes,
    Zone,
)
from lastack.query.zones_check import overlaps

_TOLD = 20


@dataclass(slots=True)
class Checked:
    """A configuration file that was read.

    Attributes:
        path: The file.
        classes: Its zones and applications; those that could be read, if there are mistakes.
        problems: Mistakes, warnings and notes, in the order of the file.
        text: The file.
    """

    path: str
    classes: Classes
    problems: list[Problem] = field(default_factory=list)
    text: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is no mistake in it."""
        return all(problem.severity is not Severity.error for problem in self.problems)

    def line(self, problem: Problem) -> int:
        """Return the line of a problem, that of the value itself where it names one; 0 if it cannot be told."""
        line = line_of(self.text, problem.path) if problem.path else 0
        value = problem.message.split("'")[1] if problem.message.startswith("'") else ""
        lines = self.text.splitlines()
        for number in range(line, min(len(lines), line + 10_000) + 1) if line and value else ():
            if number > line and lines[number - 1].lstrip().startswith("["):
                break
            if value in lines[number - 1]:
                return number
        return line

    def told(self, problem: Problem) -> str:
        """Return `file:line: path: what; remedy`."""
        line = self.line(problem)
        place = f"{self.path}:{line}" if line else self.path
        return f"{place}: {problem.text()}"


def load_classes(path: str) -> Classes:
    """Return the zones and applications of a configuration file.

    Raises:
        InputError: It cannot be read, or has mistakes; all of them are told.
        AccessError: There is no permission to read it.
    """
    checked = check_config(path)
    errors = [problem for problem in checked.problems if problem.severity is Severity.error]
    if errors:
        more = f"\nand {len(errors) - _TOLD} more mistakes" if len(errors) > _TOLD else ""
        raise InputError("\n".join(checked.told(problem) for problem in errors[:_TOLD]) + more)
    return checked.classes


def check_config(path: str) -> Checked:
    """Return what a configuration file says, and everything that is wrong or remarkable in it.

    Raises:
        InputError: It cannot be read at all.
        AccessError: There is no permission to read it.
    """
    text, document = read_toml(path)
    problems: list[Problem] = []
    root = Node(document, "", problems)
    zones = tuple(_zone(name, item, root) for name, item in _tables(root, "zones", problems).items())
    known = [zone.name for zone in zones]
    apps = tuple(
        _application(Node(item, f"apps.{name}", problems), name, known)
        for name, item in _tables(root, "apps", problems).items()
    )
    root.finish()
    classes = Classes(zones, apps, path)
    checked = Checked(path, classes, problems, text)
    if checked.usable:
        problems += overlaps(classes)
    problems.sort(key=checked.line)
    return checked


def _tables(root: Node, key: str, problems: list[Problem]) -> Mapping[str, Any]:
    values = root.values.get(key, {})
    root.has(key)
    if isinstance(values, Mapping):
        return values
    remedy = f"write [{key}.NAME] for each" if isinstance(values, list) else f"begin it with [{key}.NAME]"
    problems.append(Problem(Severity.error, key, "must be a table with a table for each name", remedy))
    return {}


def _zone(name: str, item: Any, root: Node) -> Zone:
    path = f"zones.{name}"
    if isinstance(item, list | str):
        return Zone(name, _blocks(Node({"cidr": item}, "", []), path, root), (), USUAL_PRIORITY, path)
    node = Node(item, path, root.problems)
    zone = Zone(
        name=name,
        blocks=_blocks(node, node.at("cidr"), root) if node.has("cidr") else (),
        vlans=_vlans(node) if node.has("vlan") else (),
        priority=node.whole("priority", USUAL_PRIORITY, least=-(1 << 31)),
        path=path,
    )
    if isinstance(item, Mapping) and set(item) <= {"priority"}:
        node.error("", "has neither addresses nor VLANs", 'write cidr = ["10.0.0.0/8"]')
    node.finish()
    return zone


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _blocks(node: Node, path: str, root: Node) -> tuple[Block, ...]:
    found = []
    values = _items(node.values["cidr"])
    if not values:
        root.problems.append(Problem(Severity.error, path, "is empty", 'write cidr = ["10.0.0.0/8"]'))
    for text in values:
        try:
            if not isinstance(text, str):
                raise ValueError("is not a text such as '10.0.0.0/8'")
            found.append(_block(text))
        except ValueError as reason:
            root.problems.append(Problem(Severity.error, path, f"{str(text)!r} {reason}"))
    return tuple(found)


def _block(text: str) -> Block:
    """Return the addresses that a CIDR block or a single address names.

    Raises:
        ValueError: It is none; the message goes on after the text.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError("is no address and no CIDR block") from None
        raise ValueError(f"has bits set beyond its length; write {meant} or {text.split('/')[0]}") from None
    low, high = network.network_address.packed, network.broadcast_address.packed
    return Block(low, high, text) if network.version == 6 else Block(V4_PREFIX + low, V4_PREFIX + high, text)


def _vlans(node: Node) -> tuple[tuple[int, int], ...]:
    found = []
    for item in _items(node.values["vlan"]):
        try:
            ranges = _ranges(item)
        except ValueError:
            node.error("vlan", f"{str(item)!r} is no VLAN id and no range", 'write 10 or "20-29"')
            continue
        if any(high > MOST_VLAN for _, high in ranges):
            node.error("vlan", f"{str(item)!r} is beyond {MOST_VLAN}, the largest VLAN id")
            continue
        found += ranges
    if not found and node.values["vlan"] == []:
        node.error("vlan", "is empty", 'write vlan = [10, "20-29"], or leave it out')
    return tuple(found)


def _ranges(item: Any) -> list[tuple[int, int]]:
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise ValueError(item)
    return list(parse_ports(str(item)))


def _application(node: Node, name: str, zones: list[str]) -> Application:
    if name == UNCLASSIFIED:
        node.error("", f"{UNCLASSIFIED!r} is the name of what no application fits", "choose another name")
    ports: list[tuple[int, int]] = []
    if node.has("ports"):
        for item in _items(node.values["ports"]):
            try:
                ports += _ranges(item)
            except ValueError:
                node.error(
                    "ports",
                    f"{str(item)!r} is no port and no range within 0-{MOST_PORT}",
                    'write 443 or "8000-8800"',
                )
        if node.values["ports"] == []:
            node.error("ports", "is empty", "leave it out for any port")
    client = _names(node, "client_zone", zones)
    server = _names(node, "server_zone", zones)
    if node.has("zone"):  # as policies call it
        if node.has("server_zone"):
            node.error("zone", "is another word for server_zone", "keep one of them")
        server = _names(node, "zone", zones)
    if not node.values:
        node.error("", "has neither ports nor zones: it would be everything", "write ports = [443]")
    node.finish()
    return Application(name, tuple(dict.fromkeys(ports)), client, server, node.path)


def _names(node: Node, key: str, zones: list[str]) -> tuple[str, ...]:
    if not node.has(key):
        return ()
    found = []
    for item in _items(node.values[key]):
        if item in zones:
            found.append(str(item))
        else:
            remedy = near(str(item), zones) if zones else "declare it as [zones.NAME]"
            node.error(key, f"{str(item)!r} is the name of no zone", remedy)
    return tuple(dict.fromkeys(found))

"""Zones and applications as SQL over the columns of session rows: the same answers as for columns in memory.

Both are `CASE` expressions whose branches stand in the order in which they are asked; an engine evaluates them only
where a question uses them. Values are bound, never written into the text.
"""

from __future__ import annotations

from typing import Any

from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.zones import UNCLASSIFIED, Candidate, Classes, Zone


def classified_source(classes: Classes, source: Fragment, dialect: Dialect = DUCKDB) -> Fragment:
    """Return a source like another one whose zones and applications are those of a configuration.

    Args:
        classes: The zones and applications.
        source: What stands after FROM, and its values.
        dialect: The engine's words.
    """
    client, server = (_zone(classes, f"{end}_ip", dialect) for end in ("client", "server"))
    app = _application(classes, dialect)
    zones = _replaced(source, {"client_zone": client, "server_zone": server}, dialect)
    return _replaced(zones, {"app": app}, dialect)


def _replaced(source: Fragment, columns: dict[str, Fragment], dialect: Dialect) -> Fragment:
    texts = ", ".join(f"{text} AS {dialect.name(name)}" for name, (text, _) in columns.items())
    values = [value for _, values in columns.values() for value in values]
    return f"(SELECT * REPLACE ({texts}) FROM {source[0]})", [*values, *source[1]]


def _case(branches: list[Fragment], results: list[str], otherwise: str | None) -> Fragment:
    last = "NULL" if otherwise is None else "?"
    values: list[Any] = []
    text = ""
    for (condition, bound), result in zip(branches, results, strict=True):
        text += f" WHEN {condition} THEN ?"
        values += [*bound, result]
    values += [] if otherwise is None else [otherwise]
    return (f"CASE{text} ELSE {last} END" if branches else last), values


def _zone(classes: Classes, address: str, dialect: Dialect) -> Fragment:
    zones = classes.by_priority
    text, values = _case([_in_zone(zone, address, dialect) for zone in zones], [z.name for z in zones], None)
    return dialect.text(text), values


def _in_zone(zone: Zone, address: str, dialect: Dialect) -> Fragment:
    parts, values = [], []
    for terms, name in (
        ([(block.low, block.high) for block in zone.blocks], address),
        (list(zone.vlans), "vlan"),
    ):
        if terms:
            parts.append("(" + " OR ".join(f"{dialect.name(name)} BETWEEN ? AND ?" for _ in terms) + ")")
            values += [value for term in terms for value in term]
    return " AND ".join(parts) or "true", values


def _application(classes: Classes, dialect: Dialect) -> Fragment:
    found = classes.candidates
    names = [candidate.application.name for candidate in found]
    return _case([_fits(candidate, dialect) for candidate in found], names, UNCLASSIFIED)


def _fits(candidate: Candidate, dialect: Dialect) -> Fragment:
    parts = [f"{dialect.name('server_port')} BETWEEN ? AND ?"]
    values: list[Any] = list(candidate.ports)
    app = candidate.application
    for zones, name in ((app.client_zones, "client_zone"), (app.server_zones, "server_zone")):
        if zones:
            parts.append(f"{dialect.name(name)} IN ({', '.join('?' for _ in zones)})")
            values += zones
    return " AND ".join(parts), values

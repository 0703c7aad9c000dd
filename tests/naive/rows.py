"""Rows of two engines side by side: one form for both, and a list of what differs.

The fields compared are those that the twin computes; `previous` is compared through the first packet of the
row it names, because one engine links by id and the other by place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastack.model.address import format_address
from lastack.model.fields import FIELDS

#: What needs configuration, a hash or a diagnosis is not the twin's business.
IGNORED = {
    "session_id", "sensor", "client_zone", "server_zone", "app", "cause", "cause_confidence", "actor", "harm",
    "previous_id", "end_panos", "end_asa", "end_fortigate", "end_ipfix",
}  # fmt: skip
COMPARED = tuple(field.name for field in FIELDS if field.name not in IGNORED)

Row = dict[str, Any]


def from_table(table: Any) -> list[Row]:
    """Return a pyarrow Table of sessions as rows in the twin's form."""
    rows = table.to_pylist()
    places = {row["session_id"]: i for i, row in enumerate(rows)}
    for row in rows:
        row["client_ip"] = format_address(row["client_ip"])
        row["server_ip"] = format_address(row["server_ip"])
        row["gaps"] = [tuple(gap.values()) for gap in row["gaps"]]
        row["marks"] = [tuple(mark.values()) for mark in row["marks"]]
        row["retries"] = [tuple(retry.values()) for retry in row["retries"]]
        row["previous"] = places.get(row["previous_id"]) if row["previous_id"] else None
    return rows


def place(row: Row) -> tuple[Any, ...]:
    """Return what tells a row from the others of its capture: both ends and its first packet."""
    ends = sorted([(row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])])
    return (*ends, row["first_packet"])


def name(row: Row) -> str:
    """Return a row's short name for people."""
    ends = f"{row['client_ip']}:{row['client_port']}>{row['server_ip']}:{row['server_port']}"
    return f"{ends}#{row['first_packet']}"


def normal(rows: Sequence[Row]) -> list[Row]:
    """Return rows in one order, with the compared fields only."""
    kept = []
    for row in rows:
        previous = row.get("previous")
        kept.append(
            {field: row[field] for field in COMPARED}
            | {"previous": None if previous is None else rows[previous]["first_packet"]}
        )
    return sorted(kept, key=place)


def compare(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> list[str]:
    """Return what differs between two lists of rows, one line each, empty if nothing does."""
    a = {place(row): row for row in normal(rows_a)}
    b = {place(row): row for row in normal(rows_b)}
    found = [f"only in a: {name(a[key])}" for key in a.keys() - b.keys()]
    found += [f"only in b: {name(b[key])}" for key in b.keys() - a.keys()]
    for key in sorted(a.keys() & b.keys()):
        for field in (*COMPARED, "previous"):
            found += [f"{name(a[key])} {line}" for line in differences(field, a[key][field], b[key][field])]
    return found


def differences(field: str, a: Any, b: Any) -> list[str]:
    """Return what differs between two values of a field, one line each; an entry of evidence member by member."""
    if field == "evidence" and len(a) == len(b) == 1:
        return [
            f"{field}.{member}: {a[0].get(member)!r} != {b[0].get(member)!r}"
            for member in sorted(a[0].keys() | b[0].keys())
            if a[0].get(member, ...) != b[0].get(member, ...)
        ]
    return [] if a == b else [f"{field}: {a!r} != {b!r}"]

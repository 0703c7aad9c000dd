"""Session rows as JSON values that a browser keeps exactly: ids and times of day are decimal texts."""

from __future__ import annotations

from typing import Any

from lastack.model.address import format_address
from lastack.model.fields import BY_NAME, Field

_IDS = frozenset({"session_id", "previous_id"})


def plain_rows(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch."""
    names = batch.schema.names
    return [{name: _plain(BY_NAME[name], row[name]) for name in names} for row in batch.to_pylist()]


def _plain(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.type == "address":
        return format_address(value)
    if field.name in _IDS or field.unit == "ns since epoch":
        return str(value)
    if field.type == "list":
        members = {member.name: member for member in field.members}
        return [{name: _plain(members[name], item) for name, item in entry.items()} for entry in value]
    if field.type == "float32":
        return round(value, 4)
    return value

"""The session record as an Arrow schema, and the only place that says how a field type is stored."""

from __future__ import annotations

import functools
from typing import Any

import pyarrow as pa

from lastack.model.fields import FIELDS, SCHEMA_VERSION, Field


def arrow_type(field: Field) -> Any:
    """Return the Arrow type of a field: enums and strings are dictionary-coded, lists hold structs."""
    match field.type:
        case "address":
            return pa.binary(16)
        case "string":
            return pa.dictionary(pa.int32(), pa.string())
        case "enum":
            return pa.dictionary(pa.uint8(), pa.string())
        case "bool":
            return pa.bool_()
        case "list":
            members = [pa.field(m.name, arrow_type(m), nullable=m.nullable) for m in field.members]
            return pa.list_(pa.field("item", pa.struct(members), nullable=False))
        case name:
            return getattr(pa, name)()


@functools.cache
def session_schema() -> Any:
    """Return the Arrow schema of the session record, with unit and help of each field as metadata."""
    fields = [
        pa.field(f.name, arrow_type(f), nullable=f.nullable, metadata={"unit": f.unit, "help": f.help})
        for f in FIELDS
    ]
    return pa.schema(fields, metadata={"lastack.schema_version": str(SCHEMA_VERSION)})


def enum_values(field: Field) -> Any:
    """Return the Arrow dictionary of an enum field, indexed by the member's value."""
    assert field.enum is not None, f"{field.name} has no vocabulary"
    names = {member.value: member.name for member in field.enum}
    return pa.array([names[i] for i in range(len(names))], pa.string())

"""The session record as an Arrow schema, and the only place that says how a field type is stored."""

from __future__ import annotations

import functools
from enum import IntEnum
from typing import Any

import numpy as np
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
    return enum_words(field.enum)


@functools.cache
def enum_words(vocabulary: type[IntEnum]) -> Any:
    """Return the names of the members of an enum as an Arrow array, indexed by the member's value."""
    names = {member.value: member.name for member in vocabulary}
    return pa.array([names[i] for i in range(len(names))], pa.string())


def coded(codes: Any, words: Any) -> Any:
    """Return a dictionary column over the memory of its codes.

    Args:
        codes: NumPy array, one place of a word for each row.
        words: Arrow array.
    """
    kind = pa.dictionary(pa.from_numpy_dtype(codes.dtype), pa.string())
    return pa.DictionaryArray.from_buffers(kind, len(codes), [None, pa.py_buffer(codes)], words)


def nullable(kind: Any, values: Any, absent: int) -> Any:
    """Return a column of numbers over their memory, in which one value stands for an absent one.

    Args:
        kind: Arrow type of the numbers.
        values: NumPy array of such numbers.
        absent: What stands for an absent value.
    """
    valid = values != absent
    missing = len(values) - int(np.count_nonzero(valid))
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little")) if missing else None
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(values)], missing)

"""Gives rows that a query engine answered the types of the session record back."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lastack.model.arrow import arrow_type, enum_values, session_schema
from lastack.model.fields import BY_NAME, Field


def conform(batch: Any) -> Any:
    """Return a batch of some of the record's columns in the record's own types.

    DuckDB answers enums as texts, addresses as blobs of any length, and lists with nullable items.
    """
    whole = session_schema()
    names = batch.schema.names
    arrays = [_column(batch.column(name), BY_NAME[name]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([whole.field(name) for name in names]))


def _column(array: Any, field: Field) -> Any:
    match field.type:
        case "enum":
            return _enum(array, field)
        case "string":
            return (
                array if pa.types.is_dictionary(array.type) else array.cast(pa.string()).dictionary_encode()
            )
        case "list":
            return _entries(array, field)
        case _:
            return array.cast(arrow_type(field))


def _enum(array: Any, field: Field) -> Any:
    members = enum_values(field)
    if pa.types.is_dictionary(array.type):
        array = array.cast(pa.string())
    return pa.DictionaryArray.from_arrays(pc.index_in(array, members).cast(pa.uint8()), members)


def _entries(array: Any, field: Field) -> Any:
    target = arrow_type(field)
    if array.type == target:
        return array
    entries = array.flatten()
    members = [_column(entries.field(member.name), member) for member in field.members]
    structs = pa.StructArray.from_arrays(
        members, fields=[target.value_type.field(i) for i in range(len(members))]
    )
    lengths = pc.list_value_length(array).fill_null(0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), structs, type=target)

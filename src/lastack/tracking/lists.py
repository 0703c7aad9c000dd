"""Lists of the session record to Arrow: kernels fill a column for each member, offsets come from the counts of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.kernels.entries import write_gaps, write_marks, write_retries
from lastack.kernels.evidence import write_evidence
from lastack.kernels.layout import NEVER
from lastack.model.arrow import arrow_type, coded, enum_values, nullable
from lastack.model.fields import Field

#: By field, what writes its entries: (tables, owners, indices, counts, n, columns) of rows that have any; all addresses
#: but n.
_WRITERS: dict[str, Callable[..., Any]] = {
    "gaps": write_gaps,
    "marks": write_marks,
    "retries": write_retries,
    "evidence": write_evidence,
}


def entries(field: Field, counts: Any, sessions: tuple[Any, Any, Any] | None) -> Any:
    """Return the column of a list field.

    Args:
        field: The field.
        counts: Entries of each row.
        sessions: Addresses of shards' TABLE records, shard and record index of each row; None without rows.
    """
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    columns = [_room(member, total) for member in field.members]
    if total:
        assert sessions is not None, "entries come from written rows"
        addresses = np.array([column.ctypes.data for column in columns], np.uint64)
        rows = np.flatnonzero(counts != 0)  # of bools: six times as fast as of bytes
        some = [np.take(a, rows) for a in (*sessions[1:], counts)]
        owners, indices, sizes = (a.ctypes.data for a in some)
        _WRITERS[field.name](
            sessions[0].ctypes.data, owners, indices, sizes, len(rows), addresses.ctypes.data
        )
    kind = arrow_type(field)
    members = [_member(m, values) for m, values in zip(field.members, columns, strict=True)]
    items = pa.StructArray.from_arrays(members, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=kind)


def _room(member: Field, total: int) -> Any:
    """Return room for a member of all entries, filled with what stands for absent."""
    if member.nullable:
        return np.full(total, NEVER, np.int64)
    return np.zeros(total, np.uint8 if member.type in ("enum", "bool") else member.type)


def _member(member: Field, values: Any) -> Any:
    if member.enum is not None:
        return coded(values, enum_values(member))
    if member.type == "bool":
        return pa.array(values.astype(np.bool_))
    return nullable(arrow_type(member), values, NEVER) if member.nullable else pa.array(values)


def prepare() -> None:
    """Compile what writes entries, or load it, so that no session has to wait for it."""
    for writer in _WRITERS.values():
        writer(0, 0, 0, 0, 0, 0)

"""The list columns of a batch laid flat: each member of all entries as one array, made once for whoever asks."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.model.arrow import enum_words
from lastack.model.fields import FIELDS

#: Fields of the entries of the list columns, by name.
_MEMBERS = {
    field.name: {member.name: member for member in field.members} for field in FIELDS if field.type == "list"
}


class FlatLists:
    """The entries of all rows of a batch.

    Args:
        batch: Record batch or one-chunk table of the session record; columns that it lacks are taken as empty.
    """

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._kept: dict[tuple[str, str], Any] = {}

    def column(self, name: str) -> Any:
        """Return a column as one array, None where the batch has none."""
        place = self._batch.schema.get_field_index(name)
        if place < 0:
            return None
        column = self._batch.column(place)
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def offsets(self, name: str) -> Any:
        """Return the place of the first entry of each row, and behind the last one; None without such a column."""
        column = self.column(name)
        return None if column is None else np.asarray(column.offsets)

    def member(self, name: str, member: str) -> Any:
        """Return a member of all entries, 0 where it is absent and codes of an enum; None where there is nothing."""
        if (name, member) not in self._kept:
            flat = self._field(name, member)
            if flat is not None:
                vocabulary = _MEMBERS[name][member].enum if member in _MEMBERS[name] else None
                flat = codes_of(flat, vocabulary) if hasattr(flat, "dictionary") else numbers(flat)
            self._kept[name, member] = flat
        return self._kept[name, member]

    def valid(self, name: str, member: str) -> Any:
        """Return which entries have a member; None where all have it, or there is nothing."""
        key = name, f"{member}?"
        if key not in self._kept:
            flat = self._field(name, member)
            self._kept[key] = None if flat is None or not flat.null_count else validity(flat)
        return self._kept[key]

    def _field(self, name: str, member: str) -> Any:
        column = self.column(name)
        # `values` ignores the slice of the parent, as do its offsets
        values: Any = None if column is None else column.values
        place = -1 if values is None else values.type.get_field_index(member)
        return None if place < 0 or not len(values) else values.field(place)


def numbers(column: Any) -> Any:
    """Return the values of a column of numbers or booleans; 0 where one is absent."""
    if pa.types.is_boolean(column.type):
        return (column.fill_null(False) if column.null_count else column).to_numpy(zero_copy_only=False)
    dtype = np.dtype(column.type.to_pandas_dtype())
    values = np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)]
    return np.where(validity(column), values, np.zeros(1, dtype)) if column.null_count else values


def validity(column: Any) -> Any:
    """Return which places of a column that has absent values have one."""
    bits = np.frombuffer(column.buffers()[0], np.uint8)
    first = column.offset >> 3
    some = np.unpackbits(bits[first : (column.offset + len(column) + 7) >> 3], bitorder="little")
    return some[column.offset & 7 :][: len(column)].view(bool)


def valid_at(column: Any, rows: Any) -> Any:
    """Return which of some places of a column that has absent values have one."""
    bits = np.frombuffer(column.buffers()[0], np.uint8)
    at = rows + column.offset
    return (bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1 != 0


def numbers_at(column: Any, rows: Any) -> Any:
    """Return some values of a column of numbers; 0 where one is absent."""
    if not column.null_count or pa.types.is_boolean(column.type):
        return numbers(column)[rows]
    dtype = np.dtype(column.type.to_pandas_dtype())
    values = np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)][rows]
    values[~valid_at(column, rows)] = 0
    return values


def codes_of(column: Any, vocabulary: type[IntEnum] | None) -> Any:
    """Return the values of an enum column's members, uint8.

    Args:
        column: Dictionary-coded column.
        vocabulary: The enum; None takes the dictionary as ordered by value.
    """
    indices = column.indices.to_numpy(zero_copy_only=False)
    if vocabulary is None:
        return indices.astype(np.uint8, copy=False)
    words = column.dictionary
    if words.equals(enum_words(vocabulary)):
        return indices.astype(np.uint8, copy=False)
    table = np.array([vocabulary[word].value for word in words.to_pylist()] or [0], np.uint8)
    return table[indices]

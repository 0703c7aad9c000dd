"""The columns of a batch as arrays: list columns laid flat, each member of all entries as one, made once for all."""

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


class Entries:
    """The entry of a list column that counts for each row.

    Args:
        at: Its place among the entries of the batch; anything where a row has none.
        has: Which rows have one.
    """

    def __init__(self, at: Any, has: Any) -> None:
        self.has = has
        self.some = bool(has.any())
        self.at = np.maximum(at, 0)
        self.empty = np.flatnonzero(~has)

    def take(self, places: Any) -> Entries:
        """Return the entries of some of the rows."""
        return Entries(self.at.take(places), self.has.take(places))


class BatchArrays:
    """The columns of a batch, and the entries of its list columns, for whoever asks.

    Args:
        batch: Record batch or one-chunk table of the session record; columns that it lacks are taken as empty.
    """

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._columns: dict[str, Any] = {}
        self._fields: dict[tuple[str, str], Any] = {}
        self._kept: dict[tuple[str, str], Any] = {}

    def column(self, name: str) -> Any:
        """Return a column as one array, None where the batch has none."""
        if name not in self._columns:
            place = self._batch.schema.get_field_index(name)
            column: Any = None if place < 0 else self._batch.column(place)
            chunked = isinstance(column, pa.ChunkedArray)
            self._columns[name] = column.combine_chunks() if chunked else column
        return self._columns[name]

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

    def at(self, name: str, member: str, entries: Entries) -> Any:
        """Return a member of the entry of each row, 0 where it is absent or a row has none; None without any."""
        flat = self._field(name, member)
        if flat is None:
            return None
        if flat.null_count and not pa.types.is_boolean(flat.type):
            found = numbers_at(flat, entries.at)
        else:
            found = self.member(name, member).take(entries.at)
        found[entries.empty] = 0
        return found

    def valid_at(self, name: str, member: str, entries: Entries) -> Any:
        """Return which rows have an entry that has a member."""
        flat = self._field(name, member)
        if flat is None or not flat.null_count:
            return entries.has if flat is not None else np.zeros(len(entries.has), bool)
        return entries.has & valid_at(flat, entries.at)

    def _field(self, name: str, member: str) -> Any:
        if (name, member) not in self._fields:
            column = self.column(name)
            # `values` ignores the slice of the parent, as do its offsets
            values: Any = None if column is None else column.values
            place = -1 if values is None else values.type.get_field_index(member)
            self._fields[name, member] = None if place < 0 or not len(values) else values.field(place)
        return self._fields[name, member]


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
        return numbers(column).take(rows)
    dtype = np.dtype(column.type.to_pandas_dtype())
    values = np.frombuffer(column.buffers()[1], dtype)[column.offset :].take(rows)
    values *= valid_at(column, rows)
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

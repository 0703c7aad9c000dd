"""Session columns as NumPy arrays for rules: some rows of a batch, the nested evidence laid flat, nothing copied twice.

A column is fetched when a rule first asks for it. Enum columns come as the member's value whatever dictionary the
batch has, so that rows from a dataset and rows from the tracker look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.model.arrow import arrow_type, enum_words
from lastack.model.enums import Closer
from lastack.model.fields import BY_NAME, FIELDS

#: Fields of the entries of the list columns, by name.
_MEMBERS = {
    field.name: {member.name: member for member in field.members} for field in FIELDS if field.type == "list"
}


class Columns:
    """Some rows of a record batch of the session record.

    Args:
        batch: Record batch or one-chunk table; columns that it lacks are taken as empty.
        rows: Which rows, as an index array; None for all.
        around: The run around the rows (`lastack.diagnosis.around`), None if nothing is known of it.
        challenged: Whether the session that each row follows on its ports answered its SYN (`lastack.diagnosis.links`).
    """

    def __init__(self, batch: Any, rows: Any = None, around: Any = None, *, challenged: bool = False) -> None:
        self.around = around
        self.challenged = challenged
        self._batch = batch
        self._rows = rows
        self.n = batch.num_rows if rows is None else len(rows)
        self._kept: dict[str, Any] = {}

    def _whole(self, name: str) -> Any:
        place = self._batch.schema.get_field_index(name)
        if place < 0:
            return None
        column = self._batch.column(place)
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _some(self, values: Any) -> Any:
        return values if self._rows is None else values[self._rows]

    def code(self, name: str) -> Any:
        """Return an enum column as uint8 values of its members; 0 where the batch has no such column."""
        if name not in self._kept:
            column = self._whole(name)
            vocabulary = BY_NAME[name].enum if name in BY_NAME else None
            self._kept[name] = (
                np.zeros(self.n, np.uint8) if column is None else self._some(codes_of(column, vocabulary))
            )
        return self._kept[name]

    def number(self, name: str) -> Any:
        """Return a number column; 0 where a value is absent."""
        if name not in self._kept:
            column = self._whole(name)
            if column is None:
                values = np.zeros(self.n, np.int64)
            else:
                values = _numbers(column) if self._rows is None else _numbers_at(column, self._rows)
            self._kept[name] = values
        return self._kept[name]

    def present(self, name: str) -> Any:
        """Return which rows have a value in a nullable column."""
        key = f"{name}?"
        if key not in self._kept:
            column = self._whole(name)
            if column is None:
                self._kept[key] = np.zeros(self.n, bool)
            elif column.null_count == 0:
                self._kept[key] = np.ones(self.n, bool)
            else:
                self._kept[key] = valid_at(column, self.rows)
        return self._kept[key]

    def address(self, name: str) -> Any:
        """Return an address column as 16 bytes a row (dtype S16)."""
        return self._some(self.whole(name))

    def whole(self, name: str) -> Any:
        """Return a column without absent values for all rows of the batch: numbers, or addresses as dtype S16."""
        column = self._whole(name)
        kind = "S16" if pa.types.is_fixed_size_binary(column.type) else column.type.to_pandas_dtype()
        return np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column)]

    @property
    def rows(self) -> Any:
        """The rows of the batch that these columns have, as an index array."""
        return np.arange(self.n) if self._rows is None else self._rows

    def evidence(self, member: str) -> Any:
        """Return a member of the evidence for each row; 0 (or False) where a row has none."""
        key = f"evidence.{member}"
        if key not in self._kept:
            self._kept[key] = self._spread("evidence", member)
        return self._kept[key]

    def any_evidence(self, member: str) -> bool:
        """Return whether any entry of evidence of the batch has a member that is not 0."""
        values = self._entries("evidence")[2]
        place = -1 if values is None else values.type.get_field_index(member)
        return place >= 0 and bool(np.any(_numbers(values.field(place))))

    @property
    def has_evidence(self) -> Any:
        """Which rows have evidence."""
        return self._entries("evidence")[1] > 0

    def _entries(self, name: str) -> tuple[Any, Any, Any]:
        """Return (place of the last entry, number of entries, struct array) of a list column."""
        key = f"{name}[]"
        if key not in self._kept:
            column = self._whole(name)
            if column is None:
                nothing = np.zeros(self.n, np.int64)
                self._kept[key] = (nothing, nothing, None)
            else:
                offsets = np.asarray(column.offsets)
                first, after = self._some(offsets[:-1]), self._some(offsets[1:])
                # `values` ignores the slice of the parent, as do its offsets
                last, count = after.astype(np.int64) - 1, (after - first).astype(np.int64)
                if name == "gaps":
                    _step_back(last, count, column.values, self._progress_ns())
                self._kept[key] = (last, count, column.values)
        entries: tuple[Any, Any, Any] = self._kept[key]
        return entries

    def _progress_ns(self) -> Any:
        """Return when each session still made progress: before the repeats that it ends with, and before a RST."""
        limit = np.full(self.n, np.iinfo(np.int64).max)
        for present, moment in (
            (self.evidence_present("tail_progress_ns"), self.evidence("tail_progress_ns")),
            (self.present("first_rst_ns"), self.number("first_rst_ns")),
        ):
            limit = np.where(present, np.minimum(limit, moment), limit)
        return limit

    def _spread(self, name: str, member: str) -> Any:
        last, count, values = self._entries(name)
        place = -1 if values is None else values.type.get_field_index(member)
        if place < 0 or len(values) == 0:
            return np.zeros(self.n, np.int64)
        flat = values.field(place)
        vocabulary = _MEMBERS[name][member].enum if member in _MEMBERS[name] else None
        flat = codes_of(flat, vocabulary) if hasattr(flat, "dictionary") else _numbers(flat)
        found = flat[np.maximum(last, 0)]
        return np.where(count > 0, found, np.zeros(1, flat.dtype))

    def evidence_present(self, member: str) -> Any:
        """Return which rows have a value in a member of the evidence that can be absent."""
        last, count, values = self._entries("evidence")
        place = -1 if values is None else values.type.get_field_index(member)
        if place < 0 or len(values) == 0:
            return np.zeros(self.n, bool)
        flat = values.field(place)
        valid = (
            flat.is_valid().to_numpy(zero_copy_only=False) if flat.null_count else np.ones(len(flat), bool)
        )
        return (count > 0) & valid[np.maximum(last, 0)]

    def last_gap(self, member: str) -> Any:
        """Return a member of the entry of the gap profile that counts for each row; 0 without one.

        It is the latest of the longest silences of a phase that ended while the session made progress: none between its
        repeats or after a RST.
        """
        key = f"gaps.{member}"
        if key not in self._kept:
            self._kept[key] = self._spread("gaps", member)
        return self._kept[key]

    @property
    def has_gap(self) -> Any:
        """Which rows have an entry of the gap profile that counts."""
        return self._entries("gaps")[1] > 0

    def derived(self, key: str, make: Callable[[Columns], Any]) -> Any:
        """Return what `make` derives from the columns, made once for all rules that ask."""
        name = f"={key}"
        if name not in self._kept:
            self._kept[name] = make(self)
        return self._kept[name]

    def of(self, stem: str, side: Any, *, evidence: bool = False) -> Any:
        """Return `stem_clt` or `stem_srv`, by what `side` (`Closer` codes) says of each row; 0 for neither.

        Args:
            stem: Name without its suffix.
            side: Which end, one code for each row.
            evidence: Whether it is a pair of the evidence.
        """
        get = self.evidence if evidence else self.number
        clt, srv = get(f"{stem}_clt"), get(f"{stem}_srv")
        return np.where(
            side == Closer.client, clt, np.where(side == Closer.server, srv, np.zeros(1, clt.dtype))
        )


def _step_back(last: Any, count: Any, gaps: Any, limit_ns: Any) -> None:
    """Step back over silences that end after a moment, and over those that an earlier one of their phase outlasted."""
    if not len(gaps):
        return
    start, length = (_numbers(gaps.field(gaps.type.get_field_index(name))) for name in ("start_ns", "gap_ns"))
    ends = start + length
    longest = gaps.field(gaps.type.get_field_index("longest")).to_numpy(zero_copy_only=False)
    while (
        after := (count > 0) & ((ends[np.maximum(last, 0)] > limit_ns) | ~longest[np.maximum(last, 0)])
    ).any():
        last -= after
        count -= after


def other(side: Any) -> Any:
    """Return the other end: client for server and the reverse, none for anything else."""
    return _OTHER[side]


_OTHER = np.array([Closer.none, Closer.server, Closer.client, Closer.none], np.uint8)


def batch_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows given as dicts as a record batch of the session record; columns that they lack are left out."""
    names = [name for name in BY_NAME if rows and name in rows[0]]
    kinds = [arrow_type(BY_NAME[name]) for name in names]
    arrays = [pa.array([row[name] for row in rows], kind) for name, kind in zip(names, kinds, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names)


def _numbers(column: Any) -> Any:
    if column.null_count:
        column = column.fill_null(False if str(column.type) == "bool" else 0)
    return column.to_numpy(zero_copy_only=False)


def _numbers_at(column: Any, rows: Any) -> Any:
    """Return some values of a column of numbers; 0 where one is absent."""
    if not column.null_count or pa.types.is_boolean(column.type):
        return _numbers(column)[rows]
    dtype = np.dtype(column.type.to_pandas_dtype())
    values = np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)][rows]
    values[~valid_at(column, rows)] = 0
    return values


def valid_at(column: Any, rows: Any) -> Any:
    """Return which of some places of a column that has absent values have one."""
    bits = np.frombuffer(column.buffers()[0], np.uint8)
    at = rows + column.offset
    return (bits[at >> 3] >> (at & 7).astype(np.uint8)) & 1 != 0


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

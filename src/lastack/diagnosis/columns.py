"""Session columns as NumPy arrays for rules: some rows of a batch, the nested evidence laid flat, nothing copied twice.

A column is fetched when a rule first asks for it. Enum columns come as the member's value whatever dictionary the
batch has, so that rows from a dataset and rows from the tracker look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.diagnosis.arrays import BatchArrays, Entries, codes_of, numbers, numbers_at, valid_at, validity
from lastack.model.arrow import arrow_type
from lastack.model.enums import Closer, are
from lastack.model.fields import BY_NAME


class Columns:
    """Some rows of a record batch of the session record.

    Args:
        batch: Record batch or one-chunk table; columns that it lacks are taken as empty.
        rows: Which rows, as an index array; None for all.
        around: The run around the rows (`lastack.diagnosis.around`), None if nothing is known of it.
        challenged: Whether the session that each row follows on its ports answered its SYN (`lastack.diagnosis.links`).
        arrays: The arrays of the batch, if others ask for them too.
    """

    def __init__(
        self,
        batch: Any,
        rows: Any = None,
        around: Any = None,
        *,
        challenged: bool = False,
        arrays: BatchArrays | None = None,
    ) -> None:
        self.around = around
        self.challenged = challenged
        self._batch = batch
        self._arrays = arrays if arrays is not None else BatchArrays(batch)
        self._rows = rows
        self.n = batch.num_rows if rows is None else len(rows)
        self._kept: dict[Hashable, Any] = {}
        #: The columns of which these are some rows, and the places of these rows among them.
        self._whole: tuple[Columns, Any] | None = None

    def _some(self, values: Any) -> Any:
        return values if self._rows is None else values.take(self._rows)

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what has a key, made once; of what others have made of more rows, these rows are taken."""
        found = self._known(key)
        if found is None:
            found = self._kept[key] = make()
        return found

    def _known(self, key: Hashable) -> Any:
        found = self._kept.get(key)
        if found is None and self._whole is not None:
            whole, places = self._whole
            known = whole._known(key)
            if known is not None:
                found = self._nothing if known is whole._nothing else _taken(known, places)
                self._kept[key] = found
        return found

    def code(self, name: str) -> Any:
        """Return an enum column as uint8 values of its members; 0 where the batch has no such column."""

        def make() -> Any:
            column = self._arrays.column(name)
            vocabulary = BY_NAME[name].enum if name in BY_NAME else None
            return np.zeros(self.n, np.uint8) if column is None else self._some(codes_of(column, vocabulary))

        return self._once(name, make)

    def number(self, name: str) -> Any:
        """Return a number column; 0 where a value is absent."""

        def make() -> Any:
            column = self._arrays.column(name)
            if column is None:
                return np.zeros(self.n, np.int64)
            return numbers(column) if self._rows is None else numbers_at(column, self._rows)

        return self._once(name, make)

    def present(self, name: str) -> Any:
        """Return which rows have a value in a nullable column."""

        def make() -> Any:
            column = self._arrays.column(name)
            if column is None:
                return np.zeros(self.n, bool)
            if not column.null_count:
                return np.ones(self.n, bool)
            return validity(column) if self._rows is None else valid_at(column, self._rows)

        return self._once(f"{name}?", make)

    def address(self, name: str) -> Any:
        """Return an address column as 16 bytes a row (dtype S16)."""
        return self._some(self.whole(name))

    def whole(self, name: str) -> Any:
        """Return a column without absent values for all rows of the batch: numbers, or addresses as dtype S16."""
        column = self._arrays.column(name)
        kind = "S16" if pa.types.is_fixed_size_binary(column.type) else column.type.to_pandas_dtype()
        return np.frombuffer(column.buffers()[1], kind)[column.offset : column.offset + len(column)]

    @property
    def rows(self) -> Any:
        """The rows of the batch that these columns have, as an index array."""
        return np.arange(self.n) if self._rows is None else self._rows

    def evidence(self, member: str) -> Any:
        """Return a member of the evidence for each row; 0 (or False) where a row has none."""
        return self._once(f"evidence.{member}", lambda: self._spread("evidence", member))

    def with_evidence(self, member: str) -> Any:
        """Return which rows of the batch have a member of the evidence that is not 0, as an index array."""
        flat = self._arrays.member("evidence", member)
        if flat is None:
            return np.empty(0, np.int64)
        offsets = self._arrays.offsets("evidence")
        # those of a part of a batch lie among the entries of the whole
        entries = np.flatnonzero(flat[offsets[0] : offsets[-1]]) + offsets[0]
        return np.searchsorted(offsets, entries, "right") - 1

    @property
    def has_evidence(self) -> Any:
        """Which rows have evidence."""
        return self._entries("evidence").has

    def _entries(self, name: str) -> Entries:
        """Return which entry of a list column counts for each row."""

        def make() -> Entries:
            offsets = self._arrays.offsets(name)
            if offsets is None:
                return Entries(np.zeros(self.n, np.int64), np.zeros(self.n, bool))
            first, after = self._some(offsets[:-1]), self._some(offsets[1:])
            last, count = after.astype(np.int64) - 1, after - first
            if name == "gaps":
                self._step_back(last, count)
            return Entries(last, count > 0)

        entries: Entries = self._once(f"{name}[]", make)
        return entries

    def _step_back(self, last: Any, count: Any) -> None:
        """Step back over silences that end too late, and over those that an earlier one of their phase outlasted."""
        rows = np.flatnonzero(count)
        start, length, longest = (
            self._arrays.member("gaps", name) for name in ("start_ns", "gap_ns", "longest")
        )
        if start is None or not len(rows):
            return
        limit_ns = self.some(rows)._progress_ns()
        # few rows have more to step back over: asking all of them again would cost as much as the first time
        while len(rows):
            at = last[rows]
            over = np.flatnonzero((start[at] + length[at] > limit_ns) | ~longest[at])
            rows, limit_ns = rows[over], limit_ns[over]
            last[rows] -= 1
            count[rows] -= 1
            left = count[rows] > 0
            rows, limit_ns = rows[left], limit_ns[left]

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
        entries = self._entries(name)
        found = self._arrays.at(name, member, entries) if entries.some else None
        return self._nothing if found is None else found

    @property
    def _nothing(self) -> Any:
        if "0" not in self._kept:
            self._kept["0"] = np.zeros(self.n, np.int64)
            self._kept["0"].flags.writeable = False
        return self._kept["0"]

    def evidence_present(self, member: str) -> Any:
        """Return which rows have a value in a member of the evidence that can be absent."""

        def make() -> Any:
            entries = self._entries("evidence")
            return self._arrays.valid_at("evidence", member, entries)

        return self._once(f"evidence.{member}?", make)

    def last_gap(self, member: str) -> Any:
        """Return a member of the entry of the gap profile that counts for each row; 0 without one.

        It is the latest of the longest silences of a phase that ended while the session made progress: none between its
        repeats or after a RST.
        """
        return self._once(f"gaps.{member}", lambda: self._spread("gaps", member))

    @property
    def has_gap(self) -> Any:
        """Which rows have an entry of the gap profile that counts."""
        return self._entries("gaps").has

    def some(self, places: Any) -> Columns:
        """Return some of the rows, by their places among these, as columns of their own."""
        rows = places if self._rows is None else self._rows.take(places)
        some = Columns(self._batch, rows, self.around, challenged=self.challenged, arrays=self._arrays)
        some._whole = self, places
        return some

    def where(self, likely: Any, ask: Callable[[Columns], Any]) -> Any:
        """Return what `ask` says of the rows of a mask, 0 or False elsewhere; it is asked about these only.

        Args:
            likely: Which rows may have it, bool: cheap to tell.
            ask: Says of some columns which rows have it, or how much.
        """
        places = np.flatnonzero(likely)
        if not len(places):
            return np.zeros(self.n, bool)
        if len(places) == self.n:
            return ask(self)
        answer = ask(self.some(places))
        found = np.zeros(self.n, answer.dtype)
        found[places] = answer
        return found

    def derived(self, key: Hashable, make: Callable[[Columns], Any]) -> Any:
        """Return what `make` derives from the columns, row by row; made once for all rules that ask."""
        return self._once((key,), lambda: make(self))

    def of(self, stem: str, side: Any, *, evidence: bool = False) -> Any:
        """Return `stem_clt` or `stem_srv`, by what `side` (`Closer` codes) says of each row; 0 for neither.

        Args:
            stem: Name without its suffix.
            side: Which end, one code for each row.
            evidence: Whether it is a pair of the evidence.
        """
        get = self.evidence if evidence else self.number
        clt, srv = get(f"{stem}_clt"), get(f"{stem}_srv")
        if clt is srv:  # neither says anything
            return clt
        of_clt, neither = self._side(side)
        found = np.where(of_clt, clt, srv)
        found[neither] = 0
        return found

    def _side(self, side: Any) -> tuple[Any, Any]:
        """Return which rows a side is the client's of, and the rows of neither end as an index array."""
        key = f"side {id(side)}"
        if key not in self._kept:
            # the codes are kept too: while they live, no other array has their identity
            of_clt = are(side, Closer.client)
            neither = np.flatnonzero(np.logical_not(of_clt | are(side, Closer.server)))
            self._kept[key] = side, of_clt, neither
        _, of_clt, neither = self._kept[key]
        return of_clt, neither


def _taken(values: Any, places: Any) -> Any:
    """Return some rows of what was made of more: of a column, of several, or of entries."""
    return tuple(part.take(places) for part in values) if isinstance(values, tuple) else values.take(places)


def other(side: Any) -> Any:
    """Return the other end: client for server and the reverse, none for anything else."""
    return _OTHER.take(side)


_OTHER = np.array([Closer.none, Closer.server, Closer.client, Closer.none], np.uint8)


def batch_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows given as dicts as a record batch of the session record; columns that they lack are left out."""
    names = [name for name in BY_NAME if rows and name in rows[0]]
    kinds = [arrow_type(BY_NAME[name]) for name in names]
    arrays = [pa.array([row[name] for row in rows], kind) for name, kind in zip(names, kinds, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names)

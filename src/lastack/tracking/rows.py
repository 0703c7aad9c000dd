"""Columns to Arrow: buffers that kernels fill become a record batch of the session record without another copy."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.kernels.layout import LETTERS
from lastack.kernels.row_columns import ABSENT_I16, ABSENT_I32, COLUMNS, DERIVED, G_ODD, GROUP_OF
from lastack.kernels.rows import write_rows
from lastack.model.arrow import arrow_type, coded, enum_values, nullable, session_schema
from lastack.model.fields import BY_NAME, FIELDS, Field
from lastack.tracking.lists import entries
from lastack.tracking.memory import Reserve

UNCLASSIFIED = "unclassified"
_ORDER_LETTERS = "FfRr"
_NO_CODE = ""  # name of the column of zeros that dictionaries of one word share
_LEAST_CONSTANT = 1 << 10  # rows
_LINE, _STAGGER = 64, 192  # bytes
_MOST_SPARE = 4  # of a table's batches
_ABSENT = {
    "int64": np.iinfo(np.int64).min,
    "int32": ABSENT_I32,
    "int16": ABSENT_I16,
    "uint64": 0,
}


def _order_texts() -> list[str]:
    texts = [""] * 512
    for code in range(1, 512):
        letters = ""
        rest = code
        while rest > 1:
            letters = _ORDER_LETTERS[rest & 3] + letters
            rest >>= 2
        texts[code] = letters if rest == 1 else ""
    return texts


_ORDER_TEXTS = pa.array(_order_texts(), pa.string())


def history_text(packed: int, more: int = 0) -> str:
    """Return the letters of packed history: four bits each under a leading one, lower case for the server."""
    letters = ""
    for word in (more, packed):
        part = ""
        while word > 1:
            letter = LETTERS[(word & 15) >> 1]
            part = (letter.lower() if word & 1 else letter) + part
            word >>= 4
        letters = part + letters
    return letters


_history = functools.lru_cache(maxsize=1 << 14)(history_text)


def _plain(field: Field, values: Any) -> Any:
    kind = arrow_type(field)
    if not field.nullable:
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    return nullable(kind, values, _ABSENT[field.type])


def _histories(packed: Any, more: Any) -> Any:
    # a hash table, not a sort: histories are few and rows are many
    found = pa.array(packed).dictionary_encode()
    codes, words = found.indices.to_numpy(), [_history(code) for code in found.dictionary.to_pylist()]
    if more is not None and more.any():
        codes, places = codes.copy(), {word: place for place, word in enumerate(words)}
        for row in np.flatnonzero(more):
            codes[row] = places.setdefault(_history(int(packed[row]), int(more[row])), len(places))
        words = list(places)
    return coded(codes, pa.array(words, pa.string()))


class RowMemory:
    """Memory for the columns of some rows, used again when the record batch that had it is gone.

    Fresh memory costs as much as what is written to it: the system zeroes every page.

    Args:
        most: Rows of a large batch; small ones get memory of their own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._spare: list[Any] = []

    def columns(self, n: int) -> dict[str, Any]:
        """Return an array for each column with room for n rows."""
        size = _bytes_of(n)
        memory = self._lease(size) if n > self._most // 4 else np.empty(size, np.uint8)
        columns: dict[str, Any] = {}
        at = 0
        for name, dtype in COLUMNS.items():
            columns[name] = memory[at : at + n * dtype.itemsize].view(dtype)
            at += _place_of_next(n * dtype.itemsize)
        return columns

    def give(self, memory: Reserve) -> None:
        """Take memory that had another use before, if it is wanted."""
        if len(self._spare) < _MOST_SPARE:
            memory.forget_beyond(_bytes_of(self._most))
            self._spare.append(memory.array(np.uint8))

    def _lease(self, size: int) -> Any:
        memory: Any = None
        with contextlib.suppress(IndexError):  # several threads may want the last one
            memory = self._spare.pop()
        if memory is None or len(memory) < size:
            memory = np.empty(max(size, _bytes_of(self._most)), np.uint8)
        return np.asarray(_Lease(memory, self._spare))


def _bytes_of(n: int) -> int:
    return sum(_place_of_next(n * dtype.itemsize) for dtype in COLUMNS.values())


def _place_of_next(size: int) -> int:
    """Return how far behind a column the next one begins.

    Never whole pages: the places of a row in all columns would compete for the same lines of the cache.
    """
    return -(-size // _LINE) * _LINE + _STAGGER


class _Lease:
    """Memory that an array holds; it goes back to the spare ones with the last array that shares it."""

    def __init__(self, memory: Any, spare: list[Any]) -> None:
        self._memory = memory
        self._spare = spare
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        if len(self._spare) < _MOST_SPARE:
            self._spare.append(self._memory)


class RowBuffer:
    """Room for the rows of up to n sessions, filled by `write` and turned into one record batch.

    Args:
        n: Number of rows.
        memory: Where the columns are, None for memory of their own.
    """

    def __init__(self, n: int, memory: RowMemory | None = None) -> None:
        self._n = n
        self._columns = (memory or RowMemory(0)).columns(n)
        self._addresses = np.array([a.ctypes.data for a in self._columns.values()], np.uint64)
        self._sessions: tuple[Any, Any, Any] | None = None
        self._touched = 0

    def write(self, tables: Any, owners: Any, indices: Any, evicted: Any = None) -> None:
        """Write one session to each row.

        Args:
            tables: Addresses of the shards' TABLE records.
            owners: Shard of each session.
            indices: Record index of each session.
            evicted: Whether each left because the table was full, uint8; None if none did.
        """
        owners, indices = np.ascontiguousarray(owners, np.uint8), np.ascontiguousarray(indices, np.uint32)
        self._sessions = (tables, owners, indices)
        self._touched = int(
            write_rows(
                tables.ctypes.data,
                owners.ctypes.data,
                indices.ctypes.data,
                self._n,
                self._addresses.ctypes.data,
                0 if evicted is None else evicted.ctypes.data,
            )
        )

    def batch(self, sensors: Sequence[str]) -> Any:
        """Return the rows as a record batch of the session schema; the buffer must not be used afterwards."""
        names = pa.array(list(sensors), pa.string())
        return pa.RecordBatch.from_arrays([self._column(f, names) for f in FIELDS], schema=_schema())

    def _column(self, field: Field, sensors: Any) -> Any:
        name = field.name
        if name == "sensor" and len(sensors) == 1:
            return pa.DictionaryArray.from_arrays(_constant(_NO_CODE, self._n), sensors, safe=False)
        if name not in COLUMNS or (name in GROUP_OF and not GROUP_OF[name][0] & self._touched):
            return _constant(name, self._n)
        more = self._columns["history_more"] if self._touched & G_ODD else None
        return _made(field, self._columns, more, sensors, self._sessions)


def _made(field: Field, columns: Mapping[str, Any], more: Any, sensors: Any, sessions: Any) -> Any:
    """Return a column that a kernel filled."""
    values = columns[field.name]
    match field.name:
        case "sensor":
            return coded(values.astype(np.int32), sensors)
        case "close_order":
            return coded(values.astype(np.int32), _ORDER_TEXTS)
        case "history":
            return _histories(values, more)
        case "cause_confidence":
            return pa.array(values.astype(np.float32) / np.float32(100))
    if field.type == "list":
        return entries(field, values, sessions)
    if field.type == "address":
        return pa.Array.from_buffers(pa.binary(16), len(values), [None, pa.py_buffer(values)])
    if field.type == "enum":
        return coded(values, enum_values(field))
    return _plain(field, values)


def _constant(name: str, n: int) -> Any:
    """Return the column of n rows where no session has anything to say; it is made once and shared."""
    size = max(_LEAST_CONSTANT, 1 << (n - 1).bit_length() if n else 0)
    return _constants(name, size).slice(0, n)


@functools.cache
def _constants(name: str, n: int) -> Any:
    if name == _NO_CODE:
        return pa.array(np.zeros(n, np.int32))
    field = BY_NAME[name]
    if name == "app":
        return coded(np.zeros(n, np.int32), pa.array([UNCLASSIFIED], pa.string()))
    if field.type == "string" and field.nullable:
        return pa.nulls(n, arrow_type(field))
    if name in DERIVED:
        return coded(np.zeros(n, np.uint8), enum_values(field))
    values = np.full(n, GROUP_OF[name][1]).astype(COLUMNS[name])
    return _made(field, {name: values}, None, None, None)


@functools.cache
def _schema() -> Any:
    return session_schema()


def stray_packets(batch: Any) -> int:
    """Return how many packets of a record batch are in stray rows."""
    opening = batch.column("opening")
    code = opening.dictionary.to_pylist().index("stray")
    stray = np.asarray(opening.indices) == code
    return int(
        np.asarray(batch.column("packets_clt"))[stray].sum()
        + np.asarray(batch.column("packets_srv"))[stray].sum()
    )

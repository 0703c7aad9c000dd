"""Columns to Arrow: buffers that kernels fill become a record batch of the session record without another copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.kernels import rows as kernel_rows
from lastack.kernels.layout import LETTERS
from lastack.model.arrow import arrow_type, enum_values, session_schema
from lastack.model.fields import FIELDS, Field
from lastack.tracking.lists import entries

UNCLASSIFIED = "unclassified"
_ORDER_LETTERS = "FfRr"
_ABSENT = {
    "int64": np.iinfo(np.int64).min,
    "int32": kernel_rows.ABSENT_I32,
    "int16": kernel_rows.ABSENT_I16,
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


def _bitmap(valid: Any) -> Any:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _plain(field: Field, values: Any) -> Any:
    kind = arrow_type(field)
    if not field.nullable:
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
    valid = values != _ABSENT[field.type]
    missing = len(values) - int(np.count_nonzero(valid))
    bitmap = _bitmap(valid) if missing else None
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(values)], missing)


def _coded(codes: Any, words: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes), words, safe=False)


def _histories(packed: Any, more: Any) -> Any:
    if more.any():
        texts = [history_text(int(a), int(b)) for a, b in zip(packed, more, strict=True)]
        return pa.array(texts, pa.string()).dictionary_encode()
    # a hash table, not a sort: histories are few and rows are many
    coded = pa.array(packed).dictionary_encode()
    words = pa.array([history_text(code) for code in coded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices, words, safe=False)


class RowBuffer:
    """Room for the rows of up to n sessions, filled by `write` and turned into one record batch.

    Args:
        n: Number of rows.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._columns = {name: np.empty(n, dtype) for name, dtype in kernel_rows.COLUMNS.items()}
        self._addresses = np.array([a.ctypes.data for a in self._columns.values()], np.uint64)
        self._sessions: tuple[Any, Any, Any] | None = None

    def write(self, tables: Any, owners: Any, indices: Any, *, evicted: bool = False) -> None:
        """Write one session to each row.

        Args:
            tables: Addresses of the shards' TABLE records.
            owners: Shard of each session.
            indices: Record index of each session.
            evicted: Whether they left because the table was full.
        """
        owners, indices = np.ascontiguousarray(owners, np.uint8), np.ascontiguousarray(indices, np.uint32)
        self._sessions = (tables, owners, indices)
        kernel_rows.write_rows(
            tables.ctypes.data,
            owners.ctypes.data,
            indices.ctypes.data,
            self._n,
            self._addresses.ctypes.data,
            evicted,
        )

    def _column(self, field: Field, sensors: Any) -> Any:
        n = self._n
        match field.name:
            case "sensor":
                return _coded(self._columns["sensor"].astype(np.int32), sensors)
            case "close_order":
                return _coded(self._columns["close_order"].astype(np.int32), _ORDER_TEXTS)
            case "history":
                return _histories(self._columns["history"], self._columns["history_more"])
            case "app":
                return _coded(np.zeros(n, np.int32), pa.array([UNCLASSIFIED], pa.string()))
            case "client_zone" | "server_zone":
                return pa.nulls(n, arrow_type(field))
            case "cause_confidence":
                return pa.array(self._columns[field.name].astype(np.float32) / np.float32(100))
            case name if name in kernel_rows.DERIVED:
                return _coded(np.zeros(n, np.uint8), enum_values(field))
        values = self._columns[field.name]
        if field.type == "list":
            return entries(field, values, self._sessions)
        if field.type == "address":
            return pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(values)])
        if field.type == "enum":
            return _coded(values, enum_values(field))
        return _plain(field, values)

    def batch(self, sensors: Sequence[str]) -> Any:
        """Return the rows as a record batch of the session schema; the buffer must not be used afterwards."""
        names = pa.array(list(sensors), pa.string())
        return pa.RecordBatch.from_arrays([self._column(f, names) for f in FIELDS], schema=session_schema())


def stray_packets(batch: Any) -> int:
    """Return how many packets of a record batch are in stray rows."""
    opening = batch.column("opening")
    code = opening.dictionary.to_pylist().index("stray")
    stray = np.asarray(opening.indices) == code
    return int(
        np.asarray(batch.column("packets_clt"))[stray].sum()
        + np.asarray(batch.column("packets_srv"))[stray].sum()
    )

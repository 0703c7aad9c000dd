"""Session rows for tests: a few by hand, or many at random, in the schema of the record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lastack.model.address import parse_address
from lastack.model.arrow import arrow_type, enum_values, session_schema
from lastack.model.fields import BY_NAME, FIELDS, Field

DEFAULTS: dict[str, Any] = {
    "sensor": "test.pcap",
    "client_ip": "10.0.0.1",
    "client_port": 40000,
    "server_ip": "192.0.2.1",
    "server_port": 443,
    "app": "unclassified",
    "start_ns": 1_700_000_000_000_000_000,
    "end_ns": 1_700_000_001_500_000_000,
    "packets_clt": 5,
    "packets_srv": 4,
    "ending": "closed",
    "conn_state": "SF",
    "history": "ShADadFf",
    "cause": "clean_close",
    "harm": "none",
    "observed": "complete",
    "phase": "closed",
    "first_packet": 1,
    "gaps": [],
    "marks": [],
    "retries": [],
    "evidence": [],
}


def _value(field: Field, given: dict[str, Any]) -> Any:
    if field.name in given:
        value = given[field.name]
    elif field.name in DEFAULTS:
        value = DEFAULTS[field.name]
    elif field.nullable:
        return None
    elif field.type == "enum":
        assert field.enum is not None
        return field.enum(0).name
    else:
        value = "" if field.type == "string" else 0
    return parse_address(value) if field.type == "address" and isinstance(value, str) else value


def rows(*given: dict[str, Any]) -> Any:
    """Return a batch with one row for each dict; what a dict leaves out is a plain closed session."""
    numbered = [{"session_id": i + 1, **row} for i, row in enumerate(given)]
    arrays = []
    for field in FIELDS:
        values = [_value(field, row) for row in numbered]
        if field.type == "enum":
            members = enum_values(field).to_pylist()
            codes = pa.array([members.index(v) for v in values], pa.uint8())
            arrays.append(pa.DictionaryArray.from_arrays(codes, enum_values(field)))
        elif field.type == "string":
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(values, arrow_type(field)))
    return pa.RecordBatch.from_arrays(arrays, schema=session_schema())


def random_rows(count: int, seed: int = 0, *, extreme: bool = False) -> Any:
    """Return a batch of random rows; `extreme` takes integers from the whole range of their type."""
    rng = np.random.default_rng(seed)
    arrays = []
    for field in FIELDS:
        array = _random_column(field, count, rng, extreme)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=session_schema())


def _random_column(field: Field, count: int, rng: np.random.Generator, extreme: bool) -> Any:
    nulls = rng.random(count) < 0.3 if field.nullable else None
    if field.type == "enum":
        members = enum_values(field)
        codes = rng.integers(0, len(members), count).astype(np.uint8)
        return pa.DictionaryArray.from_arrays(pa.array(codes), members)
    if field.type == "string":
        words = ["", "a", "Ff", "fR", "ShADad", "web", "with space", 'quo"te', "x\ny", "ß*?"]
        texts = pa.array(words).take(pa.array(rng.integers(0, len(words), count)))
        if nulls is not None:
            texts = pa.array([None if gone else t for t, gone in zip(texts.to_pylist(), nulls, strict=True)])
        return texts.cast(pa.string()).dictionary_encode()
    if field.type == "address":
        raw = np.zeros((count, 16), np.uint8)
        v6 = rng.random(count) < 0.3
        raw[:, 10:12] = 255
        raw[:, 12] = 10
        raw[:, 14:] = rng.integers(0, 4, (count, 2))
        raw[v6, :10] = [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0]
        raw[v6, 10:15] = 0
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(raw.tobytes())])
    if field.type == "list":
        return pa.array([_random_entries(field, rng, extreme) for _ in range(count)], arrow_type(field))
    if field.type == "bool":
        return pa.array(rng.random(count) < 0.5)
    kind = np.dtype(field.type)
    if kind.kind == "f":
        return pa.array(rng.integers(0, 11, count).astype(np.float32) / np.float32(10))
    limits = np.iinfo(kind)
    high = 5 if "ns" not in field.unit else 10**10
    values = rng.integers(0, high, count).astype(np.int64).clip(0, limits.max).astype(kind)
    if field.unit == "ns since epoch":
        values = values + 1_700_000_000_000_000_000
    if extreme:
        edges = np.array([limits.min, limits.max, limits.max - 1, 0, 1], kind)
        values = np.where(rng.random(count) < 0.3, edges[rng.integers(0, 5, count)], values)
    return pa.array(values, pa.from_numpy_dtype(kind), mask=nulls)


def _random_entries(field: Field, rng: np.random.Generator, extreme: bool) -> list[dict[str, Any]]:
    if rng.random() < 0.8:
        return []
    count = int(rng.integers(1, 4))
    columns = [_random_column(member, count, rng, extreme) for member in field.members]
    fields = [pa.field(m.name, c.type) for m, c in zip(field.members, columns, strict=True)]
    entries: list[dict[str, Any]] = pa.StructArray.from_arrays(columns, fields=fields).to_pylist()
    return entries


assert set(DEFAULTS) <= set(BY_NAME)

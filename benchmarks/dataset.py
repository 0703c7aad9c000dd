"""Writes a dataset of millions of sessions that look like a day of a company's network.

Every row begins as a real one: a session of `samples/closes.pcapng`, which real kernels made, so that its fields fit
together. It then gets ends (services and clients by Zipf's law, each service with habits of its own), a time of a
working day, a round trip and a size. The same seed gives the same rows on every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import lastack
from lastack.model.fields import FIELDS, Field
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "closes.pcapng"
BLOCK = 250_000
DAY_S = 86_400
START_NS = 1_790_000_000_000_000_000 // (DAY_S * 10**9) * (DAY_S * 10**9)
SERVICES, CLIENTS = 3_000, 200_000
_PORTS = np.array([443, 80, 8080, 5432, 3306, 22, 25, 389, 445, 6379, 9092, 8443, 53, 1433, 5671], np.uint16)
_PORT_WEIGHTS = np.array([38, 9, 12, 8, 5, 3, 3, 4, 5, 4, 3, 3, 1, 1, 1], float)
#: Share of sessions by ending of the sample session they begin as: most close well on a healthy network.
_MIX = {
    "closed": 0.90,
    "rst": 0.04,
    "fin_rst": 0.03,
    "never_opened": 0.025,
    "half_closed": 0.002,
    "open": 0.003,
}


def write_dataset(path: Path, rows: int, seed: int = 7) -> None:
    """Write a dataset of so many sessions, replacing one that is there."""
    rng = np.random.default_rng(seed)
    samples = lastack.track(str(SAMPLE)).table.combine_chunks()
    crowd = _Crowd(rng, samples)
    with DatasetWriter(path, "overwrite" if path.exists() else "new") as writer:
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            writer.write(crowd.block(first, count, rows))
        end = START_NS + DAY_S * 10**9
        writer.finish(Run(("generated",), START_NS, end, rows, packets=12 * rows, segments=12 * rows))


class _Crowd:
    def __init__(self, rng: np.random.Generator, samples: Any) -> None:
        self._rng = rng
        self._samples = samples
        endings = np.array(samples.column("ending").to_pylist())
        weights = np.array([_MIX.get(name, 0) / max(1, (endings == name).sum()) for name in endings])
        self._usual = weights / weights.sum()
        self._bad = np.flatnonzero(endings != "closed")
        self._popularity = _zipf(SERVICES, 1.05)
        self._activity = _zipf(CLIENTS, 0.8)
        self._server_ip = _addresses(10, 0, rng.permutation(1 << 12)[:SERVICES])
        self._server_port = rng.choice(_PORTS, SERVICES, p=_PORT_WEIGHTS / _PORT_WEIGHTS.sum())
        self._client_ip = _addresses(172, 16, rng.permutation(1 << 20)[:CLIENTS])
        self._round_trip = rng.lognormal(np.log(2e6), 1.2, SERVICES)
        # one service in fifty is in trouble: half of its sessions end badly
        self._trouble = rng.random(SERVICES) < 0.02
        self._apps = _words(["web", "database", "mail", "directory", "files", "queue", "unclassified"])
        self._app_of = rng.integers(0, 7, SERVICES).astype(np.int32)
        self._zones = _words(["Internet", "Office", "Branch", "DC/Prod", "DC/Test", "DMZ"])

    def block(self, first: int, count: int, rows: int) -> Any:
        rng = self._rng
        service = rng.choice(SERVICES, count, p=self._popularity)
        client = rng.choice(CLIENTS, count, p=self._activity)
        shape = rng.choice(len(self._usual), count, p=self._usual)
        sick = self._trouble[service] & (rng.random(count) < 0.5)
        shape[sick] = rng.choice(self._bad, int(sick.sum()))
        sample = self._samples.take(pa.array(shape))
        columns = {field.name: sample.column(field.name) for field in FIELDS}
        start = _day(first, count, rows, rng)
        columns |= self._times(columns, start, service, rng)
        columns["session_id"] = pa.array(rng.integers(0, 2**63, count).astype(np.uint64))
        columns["client_ip"] = self._client_ip.take(pa.array(client))
        columns["server_ip"] = self._server_ip.take(pa.array(service))
        columns["client_port"] = pa.array(rng.integers(32768, 61000, count).astype(np.uint16))
        columns["server_port"] = pa.array(self._server_port[service])
        columns["app"] = self._apps(self._app_of[service])
        columns["client_zone"] = self._zones((client % 3).astype(np.int32))
        columns["server_zone"] = self._zones((3 + service % 3).astype(np.int32))
        columns["first_packet"] = pa.array(np.arange(first, first + count, dtype=np.uint64) * 12 + 1)
        scale = rng.lognormal(0, 1.5, count)
        for name in ("bytes_clt", "bytes_srv", "new_bytes_clt", "new_bytes_srv"):
            columns[name] = pa.array((_numbers(columns[name]) * scale).astype(np.uint64))
        for field in FIELDS:
            if field.type == "list":
                columns[field.name] = _moved(
                    field, columns[field.name], start - _numbers(sample.column("start_ns"))
                )
        table = pa.table(columns)
        return pa.RecordBatch.from_arrays(
            [column.combine_chunks() for column in table.columns], names=table.column_names
        )

    def _times(self, columns: Any, start: Any, service: Any, rng: np.random.Generator) -> dict[str, Any]:
        """Return the times of the sample sessions, moved to the new start and stretched."""
        old = _numbers(columns["start_ns"])
        stretch = rng.lognormal(0, 1, len(start))
        handshake = (self._round_trip[service] * rng.lognormal(0, 0.3, len(start))).astype(np.int64)
        found: dict[str, Any] = {"start_ns": pa.array(start)}
        for name in ("end_ns", "first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns"):
            absent = _absent(columns[name])
            later = np.where(absent, 0, _numbers(columns[name]) - old) * stretch
            found[name] = pa.array(start + later.astype(np.int64), mask=absent)
        for name in ("half_closed_ns", "half_closed_max_gap_ns", "idle_before_close_ns", "max_idle_ns"):
            longer = (_numbers(columns[name]) * stretch).astype(np.int64)
            found[name] = pa.array(longer, mask=_absent(columns[name]))
        for name, part in (("ct_ns", 1.0), ("syn_to_synack_ns", 0.7), ("synack_to_ack_ns", 0.3)):
            taken = (handshake * part).astype(np.int64)
            found[name] = pa.array(taken, mask=_absent(columns[name]))
        return found


def _zipf(count: int, power: float) -> Any:
    weights = 1 / np.arange(1, count + 1) ** power
    return weights / weights.sum()


def _addresses(first: int, second: int, rest: Any) -> Any:
    raw = np.zeros((len(rest), 16), np.uint8)
    raw[:, 10:12] = 255
    raw[:, 12] = first
    raw[:, 13] = second + (rest >> 16)
    raw[:, 14] = rest >> 8 & 255
    raw[:, 15] = rest & 255
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rest), [None, pa.py_buffer(raw.tobytes())])


def _words(texts: list[str]) -> Any:
    dictionary = pa.array(texts, pa.string())
    return lambda codes: pa.DictionaryArray.from_arrays(pa.array(codes), dictionary)


def _day(first: int, count: int, rows: int, rng: np.random.Generator) -> Any:
    """Return sorted start times: the inverse of a day with a busy noon, so that blocks follow each other."""
    place = (first + np.sort(rng.random(count)) * count) / rows
    hours = np.linspace(0, 24, 2_000)
    busy = np.cumsum(1 + 4 * np.exp(-(((hours - 13) / 4.5) ** 2)))
    seconds = np.interp(place, (busy - busy[0]) / (busy[-1] - busy[0]), hours * 3_600)
    return START_NS + (seconds * 1e9).astype(np.int64)


def _moved(field: Field, column: Any, by_ns: Any) -> Any:
    """Return a column of lists whose times of day are moved by as much as the sessions are."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    entries, by = lists.flatten(), np.repeat(by_ns, pc.list_value_length(lists).fill_null(0).to_numpy())
    members = []
    for member in field.members:
        values = entries.field(member.name)
        if member.unit == "ns since epoch":
            # a time that is not known is 0 or null, and stays so
            known = (_numbers(values) != 0) & ~_absent(values)
            values = pa.array(_numbers(values) + np.where(known, by, 0), values.type, mask=_absent(values))
        members.append(values)
    kind = entries.type
    structs = pa.StructArray.from_arrays(members, fields=[kind.field(n) for n in range(kind.num_fields)])
    starts = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).fill_null(0).to_numpy())])
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), structs, type=lists.type)


def _numbers(column: Any) -> Any:
    return np.asarray(column.fill_null(0) if column.null_count else column)


def _absent(column: Any) -> Any:
    return np.asarray(column.is_null())

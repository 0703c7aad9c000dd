"""Which packets of a key belong to which of its sessions, and what the record says after each of them.

The tracker itself is the judge: it is fed the packets of one four-tuple, and its records are read in between. So a
ladder can never tell another story than the session's row.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.kernels.layout import NO_LIMIT_NS, SESSION, SHADOW
from lastack.kernels.row_columns import COLUMNS, GROUP_OF
from lastack.kernels.rows import write_rows
from lastack.model.batch import FIN, META_ICMP, RST, SYN
from lastack.tracking.shard import Shard, pieces_of

#: A segment's origin is the place of its capture among those that were read, above so many bits of packet number.
PACKET_BITS = 48

#: Columns that a step tells, with their absent numbers as the kernel writes them.
STEP_COLUMNS = (
    "session_id", "client_ip", "client_port", "start_ns", "end_ns", "opening", "ending", "phase", "state_clt",
    "state_srv", "packets_clt", "packets_srv", "bytes_clt", "bytes_srv", "new_bytes_clt", "new_bytes_srv",
    "retx_packets_clt", "retx_packets_srv", "keepalives_clt", "keepalives_srv", "first_packet",
)  # fmt: skip

#: Those that a kernel only writes for sessions with something to say there.
_LEFT_OUT = tuple(name for name in STEP_COLUMNS if name in GROUP_OF)

#: What the record of a session says, by STEP_COLUMNS.
Row = dict[str, Any]


class _Records:
    """A shard of its own whose records can be read while it is fed.

    Args:
        segments: SEGMENT array of one key, in the order of the input.
        idle_ns: Silence that cuts a session, None for none.
    """

    def __init__(self, segments: Any, idle_ns: int | None) -> None:
        self._segments = np.ascontiguousarray(segments)
        room = sum(alone for alone, _ in _stretches(segments, idle_ns)) + 16  # nothing else starts a session
        self._shard = Shard(room, NO_LIMIT_NS if idle_ns is None else idle_ns)
        control = self._shard.control[0]
        held: Any = (ctypes.c_uint8 * ((room + 1) * SESSION.itemsize)).from_address(int(control["sessions"]))
        self._hot: Any = np.frombuffer(held, SESSION)["hot"]  # record 0 is none
        self._columns = {name: np.zeros(1, dtype) for name, dtype in COLUMNS.items()}
        self._addresses = np.array([array.ctypes.data for array in self._columns.values()], np.uint64)
        self._tables = np.array([self._shard.address], np.uint64)
        self._owner, self._index = np.zeros(1, np.uint8), np.zeros(1, np.uint32)
        self._fed = 0

    def feed(self, until: int) -> None:
        """Account for the segments up to a place."""
        if until > self._fed:
            some = self._segments[self._fed : until]
            self._shard.feed(pieces_of([(some.ctypes.data, len(some), 0)]))
            self._fed = until

    @property
    def count(self) -> int:
        """Sessions so far."""
        return int(self._shard.control["records"][0])

    def packets(self, session: int) -> int:
        """Return the packets of a session so far; of session -1, which is none, 0."""
        sent = self._hot["packets"][session + 1]
        return int(sent[0]) + int(sent[1])

    def embryonic(self, session: int) -> bool:
        """Return whether the session before this one can still get packets."""
        return bool(int(self._hot["bits"][session + 1]) & SHADOW)

    def row(self, session: int) -> Row:
        """Return what the record of a session says now."""
        self._index[0] = session + 1
        tables, owner, index = (a.ctypes.data for a in (self._tables, self._owner, self._index))
        for name in _LEFT_OUT:
            self._columns[name][0] = GROUP_OF[name][1]
        write_rows(tables, owner, index, 1, self._addresses.ctypes.data, 0)
        return {name: self._columns[name][0].item() for name in STEP_COLUMNS}


@dataclass(frozen=True, slots=True)
class Placed:
    """The sessions of a key.

    Attributes:
        owner: For each segment the number of its session, from 0; an ICMP error goes to the one it came in.
        ids: Session id of each session.
        first: Place of the first packet of each session.
    """

    owner: Any
    ids: tuple[int, ...]
    first: tuple[int, ...]


def place(segments: Any, idle_ns: int | None = None) -> Placed:
    """Return the session of each packet of one key, as the tracker places it.

    Args:
        segments: SEGMENT array of one key, in the order of the input.
        idle_ns: Silence that cuts a session, None for none.
    """
    owner = np.zeros(len(segments), np.int64)
    if not len(segments):
        return Placed(owner, (), ())
    records = _Records(segments, idle_ns)
    shadow, position = -1, 0
    for alone, end in _stretches(segments, idle_ns):
        while position < end:
            newest = records.count - 1
            embryonic = newest >= 0 and records.embryonic(newest)
            until = position + 1 if alone or embryonic or newest < 0 else end
            before = records.packets(newest)
            records.feed(until)
            target = newest
            if records.count - 1 > newest:
                target = records.count - 1
                if not embryonic:  # a SYN that splits an embryonic session hands the older one on
                    shadow = newest
            elif embryonic and records.packets(newest) == before and not _quotation(segments[position]):
                target = shadow
            owner[position:until] = target
            position = until
    count = records.count
    ids = tuple(int(records.row(number)["session_id"]) for number in range(count))
    first = {int(n): int(at) for n, at in zip(*np.unique(owner, return_index=True), strict=True)}
    return Placed(owner, ids, tuple(first[number] for number in range(count)))


def follow(segments: Any, session: int, stops: Iterable[int], idle_ns: int | None = None) -> Iterator[Row]:
    """Yield what the record of a session says after some of the key's packets.

    Args:
        segments: SEGMENT array of one key, in the order of the input: all its packets, as `place` got them.
        session: Number of the session.
        stops: Places among the segments, rising, none before the session's first packet.
        idle_ns: Silence that cuts a session, None for none.
    """
    records = _Records(segments, idle_ns)
    for stop in stops:
        records.feed(stop + 1)
        yield records.row(session)


def _quotation(segment: Any) -> bool:
    return bool(int(segment["meta"]) & META_ICMP)


def _stretches(segments: Any, idle_ns: int | None) -> Iterator[tuple[bool, int]]:
    """Yield (alone, end) of stretches: a segment that may start a session is alone, all others are together."""
    alone = (segments["tcp_flags"] & (SYN | FIN | RST)) == SYN
    if idle_ns is not None:
        latest = np.maximum.accumulate(segments["ts_ns"])
        alone[1:] |= segments["ts_ns"][1:] - latest[:-1] > idle_ns
    at = 0
    for place_ in np.flatnonzero(alone).tolist():
        if place_ > at:
            yield False, place_
        at = place_ + 1
        yield True, at
    if at < len(segments):
        yield False, len(segments)

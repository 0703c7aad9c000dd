"""The one thing that a verdict takes from other sessions: whether a half-open attempt is one of a crowd.

A *crowd* is at least `CROWD` half-open attempts without a RST on one server (address and port) within a minute, from
at least `CLIENTS` addresses, that make up at least `SHARE` of the attempts on it then. Minutes are counted twice, once
from the full minute and once from the half, so that a burst across a border counts as one. It depends on
the attempts alone: not on threads, shards or the order in which rows are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastack.diagnosis.columns import Columns
from lastack.model.enums import Opening, are
from lastack.model.units import NS_PER_S
from lastack.tracking.attempt import Attempts
from lastack.tracking.jobs import Run, in_turn

CROWD = 20
CLIENTS = 10
SHARE = 0.1
_SAMPLE = 1 << 16  # attempts
MINUTE_NS = 60 * NS_PER_S
HALF_NS = MINUTE_NS // 2

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


def _mixed(*words: Any) -> Any:
    """Return 64-bit hashes of columns of words; two places in 2**64 meet, which would add up their counts."""
    total = np.zeros(len(words[0]), np.uint64)
    for number, word in enumerate(words):
        total = (total ^ word.astype(np.uint64)) * _ODD[number % 3]
        total ^= total >> np.uint64(29)
    return total


def _address(column: Any) -> Any:
    words = np.ascontiguousarray(column, "S16").view(">u8").reshape(-1, 2)
    return _mixed(words[:, 0], words[:, 1])


def _servers(attempts: Attempts) -> Any:
    """Return the server of each attempt as one number."""
    return _mixed(_address(attempts.server_ip), attempts.server_port)


def _places(servers: Any, start_ns: Any, shift_ns: int) -> Any:
    """Return server and minute of each attempt as one number, minutes counted from a shift on."""
    return _mixed(servers, (start_ns + shift_ns) // MINUTE_NS)


class _Counts(Protocol):
    """What must be counted to find crowds; `shift` is that from which minutes are counted."""

    def half_open(self, shift: int) -> tuple[Any, Any]:
        """Return places of half-open attempts, and how many there were at each."""

    def clients(self, shift: int, places: Any) -> Any:
        """Return how many different clients some places had, or `CLIENTS` if more."""

    def attempts(self, places: Mapping[int, Any]) -> dict[int, Any]:
        """Return how many attempts there were at some places, by shift."""


class Crowds(Protocol):
    """Says which attempts were made in a crowd."""

    def holds_rows(self, cols: Columns) -> Any:
        """Return which rows are attempts made in a crowd."""


class Crowd:
    """The crowded places of a run.

    Args:
        half_open: Half-open attempts without a RST.
        attempts: Gives all attempts on some server ports; only asked if it must be known how many there are.
    """

    def __init__(self, half_open: Attempts, attempts: Callable[[Any], Attempts]) -> None:
        self._places: dict[int, Any] = {}
        if len(half_open) >= CROWD:
            self._places = _crowded(_OfAttempts(half_open, attempts))
        self._halves: tuple[Any, Any] | None = None

    @classmethod
    def of_tables(cls, tables: Sequence[Any], run: Run = in_turn) -> Self:
        """Return the crowds among the sessions of a flow table.

        Args:
            tables: SESSION records of each shard.
            run: Runs functions, at the same time if it can, and returns their results in order.
        """
        # Imported late: a question to a dataset must not load the compiler.
        from lastack.tracking.crowds import indexed

        crowd = cls.__new__(cls)
        counts = _OfTables(tables, run)
        crowd._places = _crowded(counts)
        halves = [half for shift, places in crowd._places.items() for half in counts.halves(shift, places)]
        every = np.unique(np.concatenate([*halves, np.empty(0, np.uint64)]))
        crowd._halves = (every, indexed(every))
        return crowd

    def holds(self, attempts: Attempts) -> Any:
        """Return which attempts were made in a crowd."""
        found = np.zeros(len(attempts), bool)
        servers = _servers(attempts) if self._places else None
        for shift, crowded in self._places.items():
            found |= _in(_places(servers, attempts.start_ns, shift), crowded)
        return found

    def holds_rows(self, cols: Columns) -> Any:
        """Return which rows are attempts made in a crowd."""
        if self._halves is None:
            return self.holds(attempts_of(cols))
        from lastack.tracking.crowds import at_places

        server, port, start = (cols.whole(name) for name in ("server_ip", "server_port", "start_ns"))
        return at_places(server, port, start, cols.rows, *self._halves, HALF_NS)


def _crowded(counts: _Counts) -> dict[int, Any]:
    """Return the crowded places, by the shift from which their minutes are counted."""
    found: dict[int, tuple[Any, Any]] = {}
    for shift in (0, HALF_NS):
        places, half_open = counts.half_open(shift)
        many = half_open >= CROWD
        places, half_open = places[many], half_open[many]
        if len(places):
            many = counts.clients(shift, places) >= CLIENTS
            found[shift] = (places[many], half_open[many])
    found = {shift: (places, half_open) for shift, (places, half_open) in found.items() if len(places)}
    if not found:
        return {}
    tried = counts.attempts({shift: places for shift, (places, _) in found.items()})
    return {shift: places[half >= SHARE * tried[shift]] for shift, (places, half) in found.items()}


class _OfAttempts:
    """Counts of attempts that are at hand as columns."""

    def __init__(self, half_open: Attempts, attempts: Callable[[Any], Attempts]) -> None:
        self._half_open = half_open
        self._tried = attempts
        self._servers, self._clients = _servers(half_open), _address(half_open.client_ip)
        self._at: dict[int, tuple[Any, Any]] = {}

    def half_open(self, shift: int) -> tuple[Any, Any]:
        """Return places and how many half-open attempts each has."""
        places, inverse = _coded(_places(self._servers, self._half_open.start_ns, shift))
        self._at[shift] = places, inverse
        return places, np.bincount(inverse, minlength=len(places))

    def clients(self, shift: int, places: Any) -> Any:
        """Return how many clients some places had: of a part of the attempts, if that shows enough."""
        known, inverse = self._at[shift]
        at = np.full(len(known), len(places), np.int64)
        at[_index_in(known, places)] = np.arange(len(places))
        inverse = at[inverse]
        some = _clients(self._clients[:_SAMPLE], inverse[:_SAMPLE], len(places))
        if (some >= CLIENTS).all() or len(inverse) <= _SAMPLE:
            return some
        return _clients(self._clients, inverse, len(places))

    def attempts(self, places: Mapping[int, Any]) -> dict[int, Any]:
        """Return how many attempts there were at some places."""
        found = self._tried(np.unique(self._half_open.server_port))
        servers = _servers(found)
        return {
            shift: _counted(some, _places(servers, found.start_ns, shift)) for shift, some in places.items()
        }


class _OfTables:
    """Counts of attempts in a flow table: by half minutes, of which every minute has two."""

    def __init__(self, tables: Sequence[Any], run: Run) -> None:
        from lastack.tracking.crowds import count_half_open

        self._tables, self._run = tables, run
        self._servers, self._halves, self._half_open, self._rows = count_half_open(tables, HALF_NS, run)
        self._made: dict[int, tuple[Any, Any, Any]] = {}

    def half_open(self, shift: int) -> tuple[Any, Any]:
        """Return places and how many half-open attempts each has."""
        minutes = (self._halves + shift // HALF_NS) >> 1
        places, inverse = _coded(_mixed(self._servers, minutes))
        last = np.zeros(len(places), np.int64)
        last[inverse] = np.arange(len(inverse))
        self._made[shift] = places, self._servers[last], minutes[last]
        return places, np.bincount(inverse, self._half_open, len(places)).astype(np.int64)

    def clients(self, shift: int, places: Any) -> Any:
        """Return how many clients some places had, `CLIENTS` if more."""
        from lastack.tracking.crowds import count_clients

        return count_clients(self._tables, self._rows, places, shift, MINUTE_NS, CLIENTS)

    def attempts(self, places: Mapping[int, Any]) -> dict[int, Any]:
        """Return how many attempts there were at some places."""
        from lastack.tracking.crowds import count_attempts

        halves = {shift: self.halves(shift, some) for shift, some in places.items()}
        every = np.unique(np.concatenate([half for both in halves.values() for half in both]))
        tried = count_attempts(self._tables, every, HALF_NS, self._run)
        return {
            shift: sum(tried[np.searchsorted(every, half)] for half in both) for shift, both in halves.items()
        }

    def halves(self, shift: int, places: Any) -> tuple[Any, Any]:
        """Return the two halves of some places, as places by half minutes."""
        known, servers, minutes = self._made[shift]
        at = _index_in(known, places)
        first = 2 * minutes[at] - shift // HALF_NS
        return _mixed(servers[at], first), _mixed(servers[at], first + 1)


def _coded(places: Any) -> tuple[Any, Any]:
    """Return the different places, and which of them each is: a hash table, not a sort, for they are few."""
    coded = pa.array(places).dictionary_encode()
    return coded.dictionary.to_numpy().copy(), coded.indices.to_numpy()


def _in(wanted: Any, places: Any) -> Any:
    """Return which of some places are among a few."""
    return pc.is_in(pa.array(wanted), value_set=pa.array(places)).to_numpy(zero_copy_only=False)


def _index_in(all_of_them: Any, some: Any) -> Any:
    """Return where each of some places is among all of them."""
    return pc.index_in(pa.array(some), value_set=pa.array(all_of_them)).to_numpy()


def _counted(places: Any, all_of_them: Any) -> Any:
    """Return how often each place comes among all of them."""
    at = pc.index_in(pa.array(all_of_them), value_set=pa.array(places)).drop_null().to_numpy()
    return np.bincount(at, minlength=len(places))


def _clients(clients: Any, places: Any, count: int) -> Any:
    """Return the number of different client addresses at each of the first places; others are left out."""
    chosen = np.flatnonzero(places < count)
    order = np.lexsort((clients[chosen], places[chosen]))
    place, address = places[chosen][order], clients[chosen][order]
    other = np.ones(len(order), bool)
    other[1:] = (place[1:] != place[:-1]) | (address[1:] != address[:-1])
    return np.bincount(place[other], minlength=count)


def attempts_of(cols: Columns) -> Attempts:
    """Return the rows as attempts."""
    return Attempts(
        cols.address("server_ip"),
        cols.number("server_port"),
        cols.address("client_ip"),
        cols.number("start_ns"),
    )


def _half_open_rows(cols: Columns) -> Any:
    """Return which rows are half-open attempts without a RST."""
    half_open = are(cols.code("opening"), Opening.half_open)
    return half_open & (cols.number("rst_clt") == 0) & (cols.number("rst_srv") == 0)


def crowd_of_rows(batch: Any) -> Crowd:
    """Return the crowds among the rows of one record batch, for rows that leave before the end of the input."""
    cols = Columns(batch)
    half_open = np.flatnonzero(_half_open_rows(cols))
    tried = np.flatnonzero(cols.number("syn_clt") > 0)
    return Crowd(attempts_of(Columns(batch, half_open)), lambda _: attempts_of(Columns(batch, tried)))


def crowds_of_groups(batch: Any, sizes: Sequence[int]) -> Crowds:
    """Return the crowds among the rows of each of some groups that follow each other in a record batch.

    Args:
        batch: Rows.
        sizes: How many rows each group has.
    """
    stops = np.cumsum(sizes)
    starts = stops - sizes
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(_half_open_rows(Columns(batch)))])
    some = np.flatnonzero(before[stops] - before[starts] >= CROWD)
    return _Groups(
        [
            (
                int(starts[at]),
                int(stops[at]),
                crowd_of_rows(batch.slice(int(starts[at]), int(stops[at] - starts[at]))),
            )
            for at in some
        ]
    )


class _Groups:
    """Crowds of rows that left at different times; each counts for its own rows only."""

    def __init__(self, groups: Sequence[tuple[int, int, Crowd]]) -> None:
        self._groups = groups

    def holds_rows(self, cols: Columns) -> Any:
        """Return which rows are attempts made in a crowd."""
        rows = cols.rows
        found = np.zeros(cols.n, bool)
        attempts = attempts_of(cols) if self._groups else None
        for start, stop, crowd in self._groups:
            assert attempts is not None
            found |= (rows >= start) & (rows < stop) & crowd.holds(attempts)
        return found

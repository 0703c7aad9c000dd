"""The one thing that a verdict takes from other sessions: whether a half-open attempt is one of a crowd.

A *crowd* is at least `CROWD` half-open attempts without a RST on one server (address and port) within a minute, from
at least `CLIENTS` addresses, that make up at least `SHARE` of the attempts on it then. Minutes are counted twice, once
from the full minute and once from the half, so that a burst across a border counts as one. It depends on
the attempts alone: not on threads, shards or the order in which rows are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastack.diagnosis.columns import Columns
from lastack.model.enums import Opening
from lastack.model.units import NS_PER_S
from lastack.tracking.attempt import Attempts

CROWD = 20
CLIENTS = 10
SHARE = 0.1
_SAMPLE = 1 << 16  # attempts
MINUTE_NS = 60 * NS_PER_S

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


@dataclass(frozen=True, slots=True)
class _HalfOpen:
    """Half-open attempts as hashes of their server and client, and their times."""

    servers: Any
    clients: Any
    start_ns: Any


#: Runs functions and returns their results in order.
Run = Callable[[list[Callable[[], Any]]], list[Any]]


def _in_turn(jobs: list[Callable[[], Any]]) -> list[Any]:
    return [job() for job in jobs]


class Crowd:
    """The crowded places of a run.

    Args:
        half_open: Half-open attempts without a RST.
        attempts: Gives all attempts on some server ports; only asked if it must be known how many there are.
    """

    def __init__(self, half_open: Attempts, attempts: Callable[[Any], Attempts]) -> None:
        everyone: list[tuple[Any, Any]] = []

        def tried(places: Any, shift_ns: int) -> Any:
            if not everyone:
                found = attempts(np.unique(half_open.server_port))
                everyone.append((_servers(found), found.start_ns))
            return _counted(places, _places(*everyone[0], shift_ns))

        hashed = _HalfOpen(_servers(half_open), _address(half_open.client_ip), half_open.start_ns)
        self._places = _crowded(hashed, tried)

    @classmethod
    def of_tables(cls, tables: Sequence[tuple[Any, Any]], run: Run = _in_turn) -> Self:
        """Return the crowds among the sessions of a flow table.

        Args:
            tables: (HOT, KEY) records of each shard.
            run: Runs functions, at the same time if it can, and returns their results in order.
        """
        # Imported late: a question to a dataset must not load the compiler.
        from lastack.tracking.attempts import count_attempts, half_open_hashes

        def tried(places: Any, shift_ns: int) -> Any:
            return count_attempts(tables, places, shift_ns, MINUTE_NS, run)

        crowd = cls.__new__(cls)
        crowd._places = _crowded(_HalfOpen(*half_open_hashes(tables, run)), tried)
        return crowd

    def holds(self, attempts: Attempts) -> Any:
        """Return which attempts were made in a crowd."""
        found = np.zeros(len(attempts), bool)
        servers = _servers(attempts) if self._places else None
        for shift, crowded in self._places.items():
            found |= _in(_places(servers, attempts.start_ns, shift), crowded)
        return found


def _crowded(half_open: _HalfOpen, tried: Callable[[Any, int], Any]) -> dict[int, Any]:
    """Return the crowded places, by the shift from which their minutes are counted."""
    found: dict[int, Any] = {}
    if len(half_open.start_ns) < CROWD:
        return found
    for shift in (0, MINUTE_NS // 2):
        # a hash table, not a sort: in a flood millions of attempts have few places
        coded = pa.array(_places(half_open.servers, half_open.start_ns, shift)).dictionary_encode()
        places, inverse = coded.dictionary.to_numpy(), coded.indices.to_numpy()
        counts = np.bincount(inverse, minlength=len(places))
        crowded = counts >= CROWD
        if crowded.any():
            crowded &= _many_clients(half_open.clients, inverse, crowded)
        if crowded.any():
            places, counts = places[crowded], counts[crowded]
            enough = counts >= SHARE * tried(places, shift)
            found[shift] = places[enough]
    return found


def _in(wanted: Any, places: Any) -> Any:
    """Return which of some places are among a few."""
    return pc.is_in(pa.array(wanted), value_set=pa.array(places)).to_numpy(zero_copy_only=False)


def _counted(places: Any, all_of_them: Any) -> Any:
    """Return how often each place comes among all of them."""
    at = pc.index_in(pa.array(all_of_them), value_set=pa.array(places)).drop_null().to_numpy()
    return np.bincount(at, minlength=len(places))


def _many_clients(clients: Any, inverse: Any, crowded: Any) -> Any:
    """Return at which places there are at least CLIENTS different client addresses.

    A part of the attempts is looked at first: if it has enough, so has the whole.
    """
    some = np.flatnonzero(crowded[inverse[:_SAMPLE]])
    enough = _clients(clients, inverse, some, len(crowded)) >= CLIENTS
    if (enough | ~crowded).all() or len(inverse) <= _SAMPLE:
        return enough
    rest = np.flatnonzero((crowded & ~enough)[inverse])
    return enough | (_clients(clients, inverse, rest, len(crowded)) >= CLIENTS)


def _clients(clients: Any, inverse: Any, chosen: Any, count: int) -> Any:
    """Return the number of different client addresses at each place, of the chosen attempts."""
    pairs = np.empty((len(chosen), 2), np.uint64)
    pairs[:, 0], pairs[:, 1] = inverse[chosen], clients[chosen]
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    place, address = pairs[order, 0], pairs[order, 1]
    other = np.ones(len(order), bool)
    other[1:] = (place[1:] != place[:-1]) | (address[1:] != address[:-1])
    return np.bincount(place[other].astype(np.int64), minlength=count)


def attempts_of(cols: Columns) -> Attempts:
    """Return the rows as attempts."""
    return Attempts(
        cols.address("server_ip"),
        cols.number("server_port"),
        cols.address("client_ip"),
        cols.number("start_ns"),
    )


def crowd_of_rows(batch: Any) -> Crowd:
    """Return the crowds among the rows of one record batch, for rows that leave before the end of the input."""
    cols = Columns(batch)
    opening = cols.code("opening")
    half_open = np.flatnonzero(
        (opening == Opening.half_open) & (cols.number("rst_clt") == 0) & (cols.number("rst_srv") == 0)
    )
    tried = np.flatnonzero(cols.number("syn_clt") > 0)
    return Crowd(attempts_of(Columns(batch, half_open)), lambda _: attempts_of(Columns(batch, tried)))

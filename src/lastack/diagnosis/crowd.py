"""The one thing that a verdict takes from other sessions: whether a half-open attempt is one of a crowd.

A *crowd* is at least `CROWD` half-open attempts without a RST on one server (address and port) within a minute, from
at least `CLIENTS` addresses, that make up at least `SHARE` of the attempts on it then. Minutes are counted twice, once
from the full minute and once from the half, so that a burst across a border counts as one. It depends on
the attempts alone: not on threads, shards or the order in which rows are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns
from lastack.model.enums import Opening
from lastack.model.units import NS_PER_S

CROWD = 20
CLIENTS = 10
SHARE = 0.1
MINUTE_NS = 60 * NS_PER_S

#: Server address and port, and the minute: what attempts are counted by.
PLACE = np.dtype([("ip", "S16"), ("port", "u2"), ("minute", "i8")])


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts to open a session, as columns.

    Attributes:
        server_ip: S16.
        server_port: uint16.
        client_ip: S16.
        start_ns: int64.
    """

    server_ip: Any
    server_port: Any
    client_ip: Any
    start_ns: Any

    def __len__(self) -> int:
        return len(self.start_ns)

    def places(self, shift_ns: int) -> Any:
        """Return the place of each attempt, minutes counted from a shift on."""
        places = np.empty(len(self), PLACE)
        places["ip"], places["port"] = self.server_ip, self.server_port
        places["minute"] = (self.start_ns + shift_ns) // MINUTE_NS
        return places


class Crowd:
    """The crowded places of a run.

    Args:
        half_open: Half-open attempts without a RST.
        attempts: All attempts on the servers of `half_open`; only asked for if there may be a crowd.
    """

    def __init__(self, half_open: Attempts, attempts: Any) -> None:
        self._places: dict[int, list[Any]] = {}
        if len(half_open) < CROWD:
            return
        everyone: Attempts | None = None
        for shift in (0, MINUTE_NS // 2):
            places, inverse, counts = np.unique(
                _raw(half_open.places(shift)), return_inverse=True, return_counts=True
            )
            crowded = np.flatnonzero(counts >= CROWD)
            if not len(crowded):
                continue
            everyone = attempts() if everyone is None else everyone
            all_places, all_counts = np.unique(_raw(everyone.places(shift)), return_counts=True)
            totals = dict(zip(all_places.tolist(), all_counts.tolist(), strict=True))
            self._places[shift] = [
                places[i]
                for i in crowded
                if len(np.unique(half_open.client_ip[inverse == i])) >= CLIENTS
                and counts[i] >= SHARE * totals.get(places[i].item(), 0)
            ]

    def holds(self, attempts: Attempts) -> Any:
        """Return which attempts were made in a crowd."""
        found = np.zeros(len(attempts), bool)
        for shift, crowded in self._places.items():
            if crowded:
                found |= np.isin(_raw(attempts.places(shift)), np.array(crowded))
        return found


def _raw(places: Any) -> Any:
    # As byte strings, for NumPy sorts no records; of equal length, so the zeros that it strips tell nothing apart.
    return np.ascontiguousarray(places).view(f"S{PLACE.itemsize}")


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
    return Crowd(attempts_of(Columns(batch, half_open)), lambda: attempts_of(Columns(batch, tried)))

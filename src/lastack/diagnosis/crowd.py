"""The one thing that a verdict takes from other sessions: whether a half-open attempt is one of a crowd.

A *crowd* is at least `CROWD` half-open attempts without a RST on one server (address and port) within a minute, from
at least `CLIENTS` addresses, that make up at least `SHARE` of the attempts on it then. Minutes are counted twice, once
from the full minute and once from the half, so that a burst across a border counts as one. It depends on
the attempts alone: not on threads, shards or the order in which rows are written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns
from lastack.model.enums import Opening
from lastack.model.units import NS_PER_S
from lastack.tracking.attempt import Attempts

CROWD = 20
CLIENTS = 10
SHARE = 0.1
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
    words = np.ascontiguousarray(column, "S16").view("<u8").reshape(-1, 2)
    return _mixed(words[:, 0], words[:, 1])


def _places(attempts: Attempts, shift_ns: int) -> Any:
    """Return server and minute of each attempt as one number, minutes counted from a shift on."""
    minutes = (attempts.start_ns + shift_ns) // MINUTE_NS
    return _mixed(_address(attempts.server_ip), attempts.server_port, minutes)


class Crowd:
    """The crowded places of a run.

    Args:
        half_open: Half-open attempts without a RST.
        attempts: Gives all attempts on some server ports; only asked if there may be a crowd.
    """

    def __init__(self, half_open: Attempts, attempts: Callable[[Any], Attempts]) -> None:
        self._places: dict[int, Any] = {}
        if len(half_open) < CROWD:
            return
        everyone: Attempts | None = None
        for shift in (0, MINUTE_NS // 2):
            places, inverse, counts = np.unique(
                _places(half_open, shift), return_inverse=True, return_counts=True
            )
            crowded = counts >= CROWD
            if not crowded.any():
                continue
            if everyone is None:
                everyone = attempts(np.unique(half_open.server_port))
            tried = np.bincount(_found(places, _places(everyone, shift)), minlength=len(places) + 1)[:-1]
            crowded &= (_clients(half_open, inverse, len(places)) >= CLIENTS) & (counts >= SHARE * tried)
            self._places[shift] = places[crowded]

    def holds(self, attempts: Attempts) -> Any:
        """Return which attempts were made in a crowd."""
        found = np.zeros(len(attempts), bool)
        for shift, crowded in self._places.items():
            found |= np.isin(_places(attempts, shift), crowded)
        return found


def _found(places: Any, wanted: Any) -> Any:
    """Return the index of each wanted place in sorted places, their number where it is not one of them."""
    at = np.searchsorted(places, wanted)
    at[places[np.minimum(at, len(places) - 1)] != wanted] = len(places)
    return at


def _clients(attempts: Attempts, inverse: Any, count: int) -> Any:
    """Return the number of different client addresses at each place."""
    order = np.lexsort((addresses := _address(attempts.client_ip), inverse))
    place, address = inverse[order], addresses[order]
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


def crowd_of_rows(batch: Any) -> Crowd:
    """Return the crowds among the rows of one record batch, for rows that leave before the end of the input."""
    cols = Columns(batch)
    opening = cols.code("opening")
    half_open = np.flatnonzero(
        (opening == Opening.half_open) & (cols.number("rst_clt") == 0) & (cols.number("rst_srv") == 0)
    )
    tried = np.flatnonzero(cols.number("syn_clt") > 0)
    return Crowd(attempts_of(Columns(batch, half_open)), lambda _: attempts_of(Columns(batch, tried)))

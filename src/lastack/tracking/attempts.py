"""Attempts to open a session, read from the flow table before its rows are written: what a verdict needs of others.

A pass over one word of each record; the addresses of those that count are then fetched. This is for shards that are in
processes of their own: which places are to be counted is known only when all shards have told their half-open attempts,
and by then their tables are gone. Where all tables are at hand, `lastack.tracking.crowds` asks them without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lastack.kernels.layout import CLIENT_HI, DETACHED, ESTABLISHED, RST_SEEN, SYN_SEEN, SYNACK_SEEN
from lastack.tracking.attempt import Attempts

_STRETCH = 1 << 18  # records looked at together


def half_open(tables: Iterable[Any]) -> Attempts:
    """Return the sessions held with SYN and SYN-ACK that nobody established or reset.

    Args:
        tables: SESSION records of each shard.
    """
    wanted, unwanted = (SYN_SEEN, SYNACK_SEEN), ESTABLISHED | 3 * RST_SEEN

    def pick(bits: Any) -> Any:
        found = (bits & unwanted) == 0
        for flag in wanted:
            found &= (bits & (3 * flag)) != 0
        return found

    return _gather(tables, pick)


def attempts(tables: Iterable[Any]) -> Attempts:
    """Return every session held that began with a SYN.

    Args:
        tables: SESSION records of each shard.
    """
    return _gather(tables, lambda bits: (bits & (3 * SYN_SEEN)) != 0)


def both_ways(tables: Iterable[Any]) -> bool:
    """Return whether any session held has packets of both ends."""
    for sessions in tables:
        hot = sessions["hot"]
        for first in range(0, len(hot), _STRETCH):
            packets = hot["packets"][first : first + _STRETCH]
            live = (
                hot["bits"][first : first + _STRETCH] & DETACHED
            ) == 0  # a free record links to the next there
            if bool(((packets[:, 0] > 0) & (packets[:, 1] > 0) & live).any()):
                return True
    return False


def _gather(tables: Iterable[Any], pick: Any) -> Attempts:
    parts = list(_parts(tables, pick))
    if not parts:
        nothing = np.empty(0, "S16")
        return Attempts(nothing, np.empty(0, np.uint16), nothing, np.empty(0, np.int64))
    return Attempts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _parts(tables: Iterable[Any], pick: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    for sessions in tables:
        hot, key = sessions["hot"], sessions["key"]
        for first in range(0, len(hot), _STRETCH):
            bits, keys = hot["bits"][first : first + _STRETCH], key[first : first + _STRETCH]
            found = np.flatnonzero(pick(bits))
            if len(found):
                yield _columns(bits[found], keys[found])


def _columns(bits: Any, keys: Any) -> tuple[Any, Any, Any, Any]:
    high = (bits & CLIENT_HI) != 0
    lo, hi = _address(keys["lo0"], keys["lo1"]), _address(keys["hi0"], keys["hi1"])
    lo_port, hi_port = keys["ports"] >> np.uint32(16), keys["ports"] & np.uint32(0xFFFF)
    port = np.where(high, lo_port, hi_port).astype(np.uint16)
    return np.where(high, lo, hi), port, np.where(high, hi, lo), keys["start_ns"].copy()


def _address(high: Any, low: Any) -> Any:
    """Return addresses as the 16 bytes that a row has."""
    words = np.empty((len(high), 2), ">u8")
    words[:, 0], words[:, 1] = high, low
    return words.view("S16")[:, 0]

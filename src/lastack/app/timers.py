"""Searches stored sessions for hidden timers on their paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.app.grouped import Source
from lastack.app.pasts import without_strays
from lastack.app.profiles import all_profiles
from lastack.model.address import format_address
from lastack.query.ast import Node
from lastack.query.columns import column
from lastack.replay.changepoint import FEWEST_DEATHS
from lastack.replay.columns import NEVER, one_array, whole_numbers
from lastack.replay.deaths import COLUMNS, How, Kind, Told, told_by
from lastack.replay.finder import Found, Sessions, find_timers
from lastack.replay.matching import Match, matches

_ALL = "all"
_V4_PREFIX = bytes(10) + b"\xff\xff"


@dataclass(slots=True)
class Search:
    """What a search found.

    Attributes:
        found: Hidden timers with the known systems that have such a one.
        deaths: Sessions that died, by kind of timer: what a search has to go by.
        watched: Sessions that tell anything, by kind.
        notes: What a person must know of the input.
    """

    found: list[tuple[Found, list[Match]]] = field(default_factory=list)
    deaths: dict[Kind, int] = field(default_factory=dict)
    watched: dict[Kind, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def search_timers(source: Source, where: Node | None = None, kinds: Sequence[Kind] = tuple(Kind)) -> Search:
    """Return the hidden timers that sessions show.

    Args:
        source: The sessions.
        where: Those that it is about.
        kinds: Kinds of timers to look for.
    """
    parts: dict[Kind, list[tuple[Told, dict[str, Any]]]] = {kind: [] for kind in kinds}
    for batch in source.scan(where, COLUMNS):
        batch = without_strays(batch)
        for kind in kinds:
            told = told_by(batch, kind)
            if len(told.row):
                parts[kind].append((told, _places(batch, told.row)))
    search = Search(notes=list(source.notes))
    profiles = all_profiles()
    for kind in kinds:
        if not parts[kind]:
            continue
        sessions = _joined(parts[kind])
        search.watched[kind] = len(sessions.session_id)
        search.deaths[kind] = int(np.count_nonzero(sessions.how != How.alive))
        search.found += [(found, matches(found, profiles)) for found in find_timers(sessions, kind)]
    return search


def _places(batch: Any, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return ids and addresses of some rows: what places are made of."""
    taken = batch.take(rows)
    raw = {}
    for name in ("client_ip", "server_ip"):
        array = one_array(taken, name)
        raw[name] = np.frombuffer(array.buffers()[1], np.dtype("V16"), len(array), 16 * array.offset).copy()
    zones = [column(taken, name).to_pylist() for name in ("client_zone", "server_zone")]
    pairs = np.array([f"{a} to {b}" if a and b else "" for a, b in zip(*zones, strict=True)], object)
    return {**raw, "id": whole_numbers(one_array(taken, "session_id")), "zones": pairs}


def _joined(parts: list[tuple[Told, dict[str, Any]]]) -> Sessions:
    told = {
        name: np.concatenate([getattr(part, name) for part, _ in parts])
        for name in Told.__dataclass_fields__
        if name != "row"
    }
    raw = {name: np.concatenate([places[name] for _, places in parts]) for name in parts[0][1]}
    dead = told["killed"] != NEVER
    places: dict[str, NDArray[np.int64]] = {_ALL: np.zeros(len(dead), np.int64)}
    names: dict[str, tuple[str, ...]] = {_ALL: ("every path",)}
    keys: tuple[tuple[str, Any, Callable[[Any], str]], ...] = (
        ("zones", raw["zones"].astype(str), str),
        ("server network", _network(raw["server_ip"]), _network_name),
        ("client network", _network(raw["client_ip"]), _network_name),
        ("server", raw["server_ip"].view("S16"), _address_name),
        ("client", raw["client_ip"].view("S16"), _address_name),
    )
    for scope, values, name_of in keys:
        places[scope], names[scope] = _numbered(values, dead, name_of)
    return Sessions(raw["id"], **told, places=places, names=names)


def _network(addresses: NDArray[Any]) -> NDArray[Any]:
    """Return the /24 of IPv4 and the /64 of IPv6 addresses."""
    octets = addresses.view(np.uint8).reshape(-1, 16).copy()
    v4 = (octets[:, :12] == np.frombuffer(_V4_PREFIX, np.uint8)).all(axis=1)
    octets[v4, 15] = 0
    octets[~v4, 8:] = 0
    return octets.reshape(-1).view("S16")


def _numbered(
    values: NDArray[Any], dead: NDArray[np.bool_], name_of: Callable[[Any], str]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the places with enough deaths for a claim as numbers, -1 for all others, and their names."""
    found, counts = np.unique(values[dead], return_counts=True)
    found = found[counts >= FEWEST_DEATHS]
    if len(found) == 0:
        return np.full(len(values), -1, np.int64), ()
    at = np.minimum(np.searchsorted(found, values), len(found) - 1)
    names = tuple(name_of(value) for value in found)
    numbers = np.where(found[at] == values, at, -1)
    if "" in names:  # sessions without zones
        numbers[numbers == names.index("")] = -1
    return numbers, names


def _address(value: bytes) -> bytes:
    return bytes(value).ljust(16, b"\0")  # NumPy drops zeros at the end


def _address_name(value: bytes) -> str:
    return format_address(_address(value))


def _network_name(value: bytes) -> str:
    address = _address(value)
    return f"{format_address(address)}/{24 if address.startswith(_V4_PREFIX) else 64}"

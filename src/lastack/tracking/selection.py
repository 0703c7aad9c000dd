"""Which packets of a long session a person wants to see: its ends, what opens and closes it, and its silences."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from lastack.model.batch import FIN, META_ICMP, RST, SYN
from lastack.tracking.placing import PACKET_BITS

_HEAD, _TAIL = 5, 6  # packets at the ends that are worth more than others
_SILENCE_NS = 1_000_000_000
_FEW = 3  # so many hidden packets take about as much room as the line that would stand for them


def shown_places(mine: Any, most: int | None, always: Collection[int] = ()) -> Any:
    """Return the places of the packets to show one by one, rising.

    Args:
        mine: SEGMENT array of one session.
        most: How many, None for all.
        always: Numbers of packets that must be among them.
    """
    n = len(mine)
    if most is None or n <= most + _FEW:
        return np.arange(n)
    worth = _worth(mine, most, always)
    shown = np.zeros(n, np.bool_)
    shown[np.argsort(-worth, kind="stable")[:most]] = True
    hidden = np.flatnonzero(np.diff(np.concatenate([[True], shown, [True]]).astype(np.int8)))
    for first, after in zip(hidden[0::2], hidden[1::2], strict=True):
        if after - first < _FEW:
            shown[first:after] = True
    return np.flatnonzero(shown)


def _worth(mine: Any, most: int, always: Collection[int]) -> Any:
    """Return how much each packet is worth showing."""
    n = len(mine)
    place = np.arange(n)
    from_ends = np.minimum(place, n - 1 - place)
    worth = 1.0 / (1 + from_ends)
    worth[:_HEAD] += 900
    worth[-_TAIL:] += 900
    special = ((mine["tcp_flags"] & (SYN | FIN | RST)) != 0) | ((mine["meta"] & META_ICMP) != 0)
    _add(worth, np.flatnonzero(special), 700, most // 3, around=1)
    _add(worth, np.flatnonzero((mine["window"] == 0) & ~special), 100, most // 6)
    latest = np.maximum.accumulate(mine["ts_ns"])
    silences = np.diff(latest)
    longest = np.argsort(-silences, kind="stable")[: max(1, most // 8)]
    for at in longest[silences[longest] >= _SILENCE_NS]:
        worth[at : at + 2] += 500
    if always:
        numbers = mine["origin"] & np.uint64((1 << PACKET_BITS) - 1)
        worth[np.isin(numbers, np.array(sorted(always), np.uint64))] += 5000
    return worth


def _add(worth: Any, places: Any, points: float, most: int, around: int = 0) -> None:
    """Give points to the first and last few of some places, and a few to their neighbours."""
    if len(places) > most:
        places = np.concatenate([places[: most // 2], places[-(most - most // 2) :]])
    for step in range(1, around + 1):
        for near in (places - step, places + step):
            worth[near[(near >= 0) & (near < len(worth))]] += points / 4
    worth[places] += points

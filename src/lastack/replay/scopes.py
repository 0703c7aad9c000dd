"""Which of a box's tables each session runs on: the first selector that matches, as when its entry was made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.firewall.table import Box, Selector
from lastack.replay.columns import one_array, whole_numbers

#: Columns that selectors look at.
COLUMNS = ("client_ip", "server_ip", "server_port")


def places_of(batch: Any, box: Box) -> NDArray[np.int64]:
    """Return the place in `box.tables` of each session of a batch.

    Args:
        batch: Rows with `COLUMNS`.
        box: The box.
    """
    ports = whole_numbers(one_array(batch, "server_port")).astype(np.int64)
    places = np.zeros(len(ports), np.int64)
    free = np.ones(len(ports), np.bool_)
    for selector in box.selectors:
        found = free & _matches(batch, selector, ports)
        places[found] = selector.table
        free &= ~found
    return places


def _matches(batch: Any, selector: Selector, ports: NDArray[np.int64]) -> NDArray[np.bool_]:
    found = (ports >= selector.ports[0]) & (ports <= selector.ports[1])
    for networks, name in ((selector.clients, "client_ip"), (selector.servers, "server_ip")):
        if networks:
            found &= _within(one_array(batch, name), networks)
    result: NDArray[np.bool_] = found
    return result


def _within(addresses: Any, networks: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    raw = np.frombuffer(addresses.buffers()[1], ">u8", 2 * len(addresses), 16 * addresses.offset)
    high, low = raw[0::2].astype(np.uint64), raw[1::2].astype(np.uint64)
    inside = np.zeros(len(addresses), np.bool_)
    for network, mask in networks:
        halves = [
            (np.uint64(number >> 64), np.uint64(number & 0xFFFF_FFFF_FFFF_FFFF)) for number in (network, mask)
        ]
        (net_high, net_low), (mask_high, mask_low) = halves
        inside |= ((high & mask_high) == net_high) & ((low & mask_low) == net_low)
    return inside

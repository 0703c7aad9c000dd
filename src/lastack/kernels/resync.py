"""The search for a record start somewhere in the middle of a capture.

The answer is a guess: eight plausible record headers that follow each other. Two uses: to cut a window into parts
that are walked at the same time (each part must then be checked to end exactly where the next begins), and to go on
after damage. The latter must find the same start in every window: what only later bytes decide is not passed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, kernel, load_be32, load_le32
from lastack.kernels.walk_pcapng import BLOCK_ENHANCED, BLOCK_PACKET, BLOCK_SECTION, BLOCK_SIMPLE
from lastack.kernels.walk_state import KIND_PCAP, SWAP_ALWAYS, SWAP_NEVER, load32

CHAIN = 8  #: plausible headers in a row that make a record start believable
CHAIN_AT_END = 2  #: as many are enough when the last ends exactly at the end of the capture
REACH = 4 << 20  #: bytes that the chain may take; longer ones are not believed, so that the search ends

# Below an Ethernet header's size a first record is not believed: a false header 16 to 30 bytes before a true
# one
# would have such a length, and its chain joins the true one.
_LEAST_CAPLEN = 14
_NO, _YES, _OPEN = 0, 1, 2  # open: bytes beyond the window decide


@helper
def _pcap_chain(base: Any, start: Any, end: Any, state: Any, first_s: Any, last_s: Any, final: Any) -> Any:
    """Return whether plausible pcap records follow each other from an offset on: _NO, _YES or _OPEN."""
    big_endian = state["big_endian"] != 0
    header = np.int64(state["header"])
    limit = np.int64(state["limit"])
    swap = state["swap_lengths"]
    per_second = 1_000_000_000 // np.int64(state["tick_ns"])
    beyond = _NO if final else _OPEN
    position = start
    for link in range(CHAIN):
        if position == end and final and link >= CHAIN_AT_END:
            return _YES
        if position + header > end:
            return beyond
        address = base + np.uint64(position)
        seconds = np.int64(load32(address, big_endian))
        if seconds < first_s or seconds > last_s:
            return _NO
        caplen = np.int64(load32(address + np.uint64(8), big_endian))
        wirelen = np.int64(load32(address + np.uint64(12), big_endian))
        if swap != SWAP_NEVER and (swap == SWAP_ALWAYS or caplen > wirelen):
            caplen, wirelen = wirelen, caplen
        if caplen > limit or caplen > wirelen:
            return _NO
        if link == 0 and caplen < _LEAST_CAPLEN:
            return _NO
        if np.int64(load32(address + np.uint64(4), big_endian)) >= per_second:
            return _NO
        position += header + caplen
        if position - start > REACH:
            return _NO
        if position > end:
            return beyond
    return _YES


@helper
def resync_pcap(
    base: Any, position: Any, end: Any, state: Any, first_s: Any, last_s: Any, final: Any, exact: Any
) -> Any:
    """Return the first offset from `position` on where plausible pcap records begin, else what `resync` does.

    Args:
        base: Address of the buffer, uint64.
        position: First offset to try.
        end: Offset after the last byte.
        state: WALK_STATE record of the file.
        first_s: Earliest plausible time of a record, seconds since the epoch.
        last_s: Latest plausible time.
        final: The capture ends at `end`.
        exact: Pass over no offset that bytes beyond `end` decide.
    """
    last = end - np.int64(state["header"])
    while position <= last:
        found = _pcap_chain(base, position, end, state, first_s, last_s, final)
        if found == _YES:
            return position
        if exact and found == _OPEN:
            break
        position += 1
    return -1 if final or not exact else -2 - position


@helper
def _section(base: Any, position: Any, end: Any, beyond: Any) -> Any:
    """Return whether a whole section header, of either byte order, begins at an offset; `beyond` if more bytes tell."""
    address = base + np.uint64(position)
    if load_le32(address) != BLOCK_SECTION:
        return _NO
    if load_le32(address + np.uint64(8)) == 0x1A2B3C4D:
        size = np.int64(load_le32(address + np.uint64(4)))
    elif load_be32(address + np.uint64(8)) == 0x1A2B3C4D:
        size = np.int64(load_be32(address + np.uint64(4)))
    else:
        return _NO
    if size < 28 or size & 3 != 0 or size > REACH:
        return _NO
    if position + size > end:
        return beyond
    return (
        _YES if load_le32(base + np.uint64(position + size - 4)) == load_le32(address + np.uint64(4)) else _NO
    )


@helper
def _pcapng_chain(base: Any, start: Any, end: Any, state: Any, final: Any) -> Any:
    """Return whether plausible pcapng blocks follow each other, the first with a packet: _NO, _YES or _OPEN."""
    big_endian = state["big_endian"] != 0
    limit = np.int64(state["limit"])
    beyond = _NO if final else _OPEN
    position = start
    for link in range(CHAIN):
        if position == end and final and link >= 1:
            return _YES
        if position + 12 > end:
            return beyond
        found = _section(base, position, end, beyond)
        if found != _NO:
            return found
        address = base + np.uint64(position)
        kind = np.int64(load32(address, big_endian))
        size = np.int64(load32(address + np.uint64(4), big_endian))
        if size < 12 or size & 3 != 0 or size > limit or position + size - start > REACH:
            return _NO
        if position + size > end:
            return beyond
        if load32(base + np.uint64(position + size - 4), big_endian) != size:
            return _NO
        if kind == BLOCK_ENHANCED or kind == BLOCK_PACKET:
            if size < 32:
                return _NO
            if np.int64(load32(address + np.uint64(20), big_endian)) > size - 32:
                return _NO
            if kind == BLOCK_ENHANCED and load32(address + np.uint64(8), big_endian) >= max(
                1, state["interfaces"]
            ):
                return _NO
        elif kind == BLOCK_SIMPLE:
            if size < 16:
                return _NO
        elif link == 0:
            # Any number could be the type of an unknown block: a chain begins with a packet.
            return _NO
        position += size
    return _YES


@helper
def resync_pcapng(base: Any, position: Any, end: Any, state: Any, final: Any, exact: Any) -> Any:
    """Return the first offset from `position` on, in steps of 4, where plausible pcapng blocks begin, as `resync` does.

    Args:
        base: Address of the buffer, uint64.
        position: First offset to try, a multiple of 4 away from a true block.
        end: Offset after the last byte.
        state: WALK_STATE record of the current section.
        final: The capture ends at `end`.
        exact: Pass over no offset that bytes beyond `end` decide.
    """
    while position + 12 <= end:
        found = _pcapng_chain(base, position, end, state, final)
        if found == _YES:
            return position
        if exact and found == _OPEN:
            break
        position += 4
    return -1 if final or not exact else -2 - position


@kernel
def resync(
    base: Any, position: Any, end: Any, state: Any, first_s: Any, last_s: Any, final: Any, exact: Any
) -> Any:
    """Return the first offset from `position` on where plausible records begin, for every format.

    Without one: -1, or, when `exact` and the capture goes on behind `end`, -2 - the first offset that is not decided.
    """
    if state["kind"] == KIND_PCAP:
        return resync_pcap(base, position, end, state, first_s, last_s, final, exact)
    return resync_pcapng(base, position, end, state, final, exact)

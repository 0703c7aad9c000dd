"""The walk over the records of a classic pcap file."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, load_be32, load_le32, prefetch
from lastack.kernels.decode_words import hot
from lastack.kernels.walk_state import SWAP_ALWAYS, SWAP_NEVER, WALK_CORRUPT, WALK_END, WALK_MORE

_AHEAD = np.uint64(4096)  # the hardware prefetcher stops at page ends; this carries it over


@helper
def pcap_record(
    base: Any,
    position: Any,
    end: Any,
    big_endian: Any,
    header: Any,
    swap: Any,
    limit: Any,
    tick_ns: Any,
    frame: Any,
) -> Any:
    """Fill time, place and lengths of a frame from one record and return where the next one begins.

    The answer is negative if there is no whole sane record: minus its WALK_* status.
    """
    if position + header > end:
        return -WALK_END
    address = base + np.uint64(position)
    if big_endian:
        seconds = np.int64(load_be32(address))
        fraction = np.int64(load_be32(address + np.uint64(4)))
        caplen = np.int64(load_be32(address + np.uint64(8)))
        wirelen = np.int64(load_be32(address + np.uint64(12)))
    else:
        seconds = np.int64(load_le32(address))
        fraction = np.int64(load_le32(address + np.uint64(4)))
        caplen = np.int64(load_le32(address + np.uint64(8)))
        wirelen = np.int64(load_le32(address + np.uint64(12)))
    if swap != SWAP_NEVER and (swap == SWAP_ALWAYS or caplen > wirelen):
        caplen, wirelen = wirelen, caplen
    if caplen > limit:
        return -WALK_CORRUPT
    data = position + header
    if data + caplen > end:
        return -WALK_END
    # A fraction of a second or more is nonsense that occurs; it is added as it stands.
    frame["ts_ns"] = seconds * 1_000_000_000 + fraction * tick_ns
    frame["offset"] = np.uint64(data)
    frame["caplen"] = caplen
    frame["wirelen"] = wirelen
    return data + caplen


@hot
def plain_record(
    base: Any, position: Any, end: Any, header: Any, limit: Any, tick_ns: Any, frame: Any
) -> Any:
    """Do what `pcap_record` does, for a little-endian file with its lengths in order: nearly every file."""
    data = position + header
    if data > end:
        return -WALK_END
    address = base + np.uint64(position)
    caplen = np.int64(load_le32(address + np.uint64(8)))
    if caplen > limit:
        return -WALK_CORRUPT
    after = data + caplen
    if after > end:
        return -WALK_END
    seconds = np.int64(load_le32(address))
    fraction = np.int64(load_le32(address + np.uint64(4)))
    frame["ts_ns"] = seconds * 1_000_000_000 + fraction * tick_ns
    frame["offset"] = np.uint64(data)
    frame["caplen"] = caplen
    frame["wirelen"] = load_le32(address + np.uint64(12))
    return after


@helper
def walk_pcap(base: Any, position: Any, end: Any, state: Any, frames: Any) -> Any:
    """Fill frames from the records that lie whole between two offsets and return their number.

    Args:
        base: Address of the buffer, uint64; offsets count from it.
        position: Offset of a record header.
        end: Offset after the last byte of the buffer that may be read.
        state: WALK_STATE record; `status` and `next` tell where and why the walk stopped.
        frames: FRAME array; at most its length is filled.
    """
    big_endian = state["big_endian"] != 0
    header = np.int64(state["header"])
    swap = state["swap_lengths"]
    limit = np.int64(state["limit"])
    tick_ns = np.int64(state["tick_ns"])
    link = state["link"]
    room = len(frames)
    status = WALK_MORE
    n = 0
    while n < room:
        prefetch(base + np.uint64(position) + _AHEAD)
        frame = frames[n]
        after = pcap_record(base, position, end, big_endian, header, swap, limit, tick_ns, frame)
        if after < 0:
            status = -after
            break
        frame["link"] = link
        frame["iface"] = 0
        position = after
        n += 1
    state["next"] = position
    state["status"] = status
    state["packets"] += np.uint64(n)
    if n > 0:
        state["last_ns"] = frames[n - 1]["ts_ns"]
    return n

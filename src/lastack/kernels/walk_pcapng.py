"""The walk over the blocks of a pcapng file: packets become frames, other blocks are skipped or left to Python.

The walker stops at section headers, interface descriptions and interface statistics (`WALK_META`); Python reads them
and walks on. All other blocks are skipped by their length. Both copies of a block's length must agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, load_be16, load_be32, load_le16, load_le32, prefetch, record_at
from lastack.kernels.walk_state import (
    INTERFACE,
    TICKS_OVER,
    TICKS_TIMES,
    WALK_CORRUPT,
    WALK_END,
    WALK_META,
    WALK_MORE,
    load32,
)

BLOCK_SECTION = 0x0A0D0D0A  #: a palindrome: reads the same in both byte orders
BLOCK_INTERFACE = 1
BLOCK_PACKET = 2  #: obsolete, still written by old tools
BLOCK_SIMPLE = 3
BLOCK_STATISTICS = 5
BLOCK_ENHANCED = 6

_AHEAD = np.uint64(4096)
_NS_PER_S = np.uint64(1_000_000_000)
_LOW32 = np.uint64(0xFFFFFFFF)
_U32 = np.uint64(32)
_U64 = np.uint64(64)
_INTERFACE_BYTES = INTERFACE.itemsize

interface_at = record_at(INTERFACE)


@helper
def binary_ticks_ns(ticks: Any, shift: Any) -> Any:
    """Return ticks of 2^-shift seconds in nanoseconds, rounded down, exact through a product of 96 bits."""
    if shift <= _U32:
        seconds = ticks >> shift
        rest = ticks - (seconds << shift)
        return np.int64(seconds * _NS_PER_S + ((rest * _NS_PER_S) >> shift))
    seconds = np.uint64(0)
    rest = ticks
    if shift < _U64:
        seconds = ticks >> shift
        rest = ticks - (seconds << shift)
    low = (rest & _LOW32) * _NS_PER_S
    high = (rest >> _U32) * _NS_PER_S + (low >> _U32)
    beyond = shift - _U32
    part = np.uint64(0)
    if beyond < _U64:
        part = high >> beyond
    return np.int64(seconds * _NS_PER_S + part)


@helper
def ticks_to_ns(ticks: Any, interface: Any) -> Any:
    """Return the time of a packet of an INTERFACE in nanoseconds since the epoch, rounded down."""
    if ticks > interface["limit"]:
        ticks = np.uint64(interface["limit"])
    mode = interface["mode"]
    if mode == TICKS_TIMES:
        return np.int64(ticks * np.uint64(interface["scale"])) + np.int64(interface["offset_ns"])
    if mode == TICKS_OVER:
        return np.int64(ticks // np.uint64(interface["scale"])) + np.int64(interface["offset_ns"])
    return binary_ticks_ns(ticks, np.uint64(interface["shift"])) + np.int64(interface["offset_ns"])


@helper
def pcapng_packet(
    base: Any, position: Any, end: Any, big_endian: Any, limit: Any, known: Any, state: Any, table: Any, frame: Any
) -> Any:
    """Fill a frame from the next packet block and return where the block after it begins.

    Other blocks are skipped. `table` is the address of the INTERFACE array: an array argument would cost two atomic
    operations per packet. The answer is negative if no packet comes: minus a WALK_* status, `state.next` telling
    where the walk stopped.
    """
    status = WALK_END
    while position + 12 <= end:
        address = base + np.uint64(position)
        if big_endian:
            kind = np.int64(load_be32(address))
            size = np.int64(load_be32(address + np.uint64(4)))
        else:
            kind = np.int64(load_le32(address))
            size = np.int64(load_le32(address + np.uint64(4)))
        if kind == BLOCK_SECTION:
            # Its length may be in the other byte order: Python decides whether it is whole.
            status = WALK_META
            break
        if size < 12 or size > limit or size & 3 != 0:
            status = WALK_CORRUPT
            break
        after = position + size
        if after > end:
            break
        if load32(base + np.uint64(after - 4), big_endian) != size:
            status = WALK_CORRUPT
            break
        if kind == BLOCK_ENHANCED or kind == BLOCK_PACKET:  # noqa: SIM109  (a tuple test compiles worse)
            if size < 32:
                status = WALK_CORRUPT
                break
            if big_endian:
                high = np.uint64(load_be32(address + np.uint64(12)))
                low = np.uint64(load_be32(address + np.uint64(16)))
                caplen = np.int64(load_be32(address + np.uint64(20)))
                wirelen = np.int64(load_be32(address + np.uint64(24)))
            else:
                high = np.uint64(load_le32(address + np.uint64(12)))
                low = np.uint64(load_le32(address + np.uint64(16)))
                caplen = np.int64(load_le32(address + np.uint64(20)))
                wirelen = np.int64(load_le32(address + np.uint64(24)))
            if caplen > size - 32:
                status = WALK_CORRUPT
                break
            if kind == BLOCK_ENHANCED:
                iface = np.int64(load32(address + np.uint64(8), big_endian))
            elif big_endian:
                iface = np.int64(load_be16(address + np.uint64(8)))
            else:
                iface = np.int64(load_le16(address + np.uint64(8)))
            if iface < known:
                interface = interface_at(table + np.uint64(iface * _INTERFACE_BYTES))
                frame["ts_ns"] = ticks_to_ns((high << _U32) | low, interface)
                frame["offset"] = np.uint64(position + 28)
                frame["caplen"] = caplen
                frame["wirelen"] = wirelen
                frame["link"] = interface["link"]
                frame["iface"] = interface["number"]
                return after
            state["orphans"] += np.uint64(1)
            state["orphan_at"] = position
        elif kind == BLOCK_SIMPLE:
            if size < 16:
                status = WALK_CORRUPT
                break
            if known > 0:
                # The block tells no captured length: it is the snap length of interface 0, at most the
                # wire length.
                interface = interface_at(table)
                wirelen = np.int64(load32(address + np.uint64(8), big_endian))
                caplen = wirelen
                snaplen = np.int64(interface["snaplen"])
                if snaplen != 0 and caplen > snaplen:
                    caplen = snaplen
                if caplen > size - 16:
                    caplen = size - 16
                frame["ts_ns"] = 0
                frame["offset"] = np.uint64(position + 12)
                frame["caplen"] = caplen
                frame["wirelen"] = wirelen
                frame["link"] = interface["link"]
                frame["iface"] = interface["number"]
                state["untimed"] += np.uint64(1)
                return after
            state["orphans"] += np.uint64(1)
            state["orphan_at"] = position
        elif kind == BLOCK_INTERFACE or kind == BLOCK_STATISTICS:  # noqa: SIM109
            status = WALK_META
            break
        position = after
    state["next"] = position
    return -status


@helper
def walk_pcapng(base: Any, position: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Fill frames from the packet blocks that lie whole between two offsets and return their number.

    Args:
        base: Address of the buffer, uint64; offsets count from it.
        position: Offset of a block.
        end: Offset after the last byte of the buffer that may be read.
        state: WALK_STATE record; `status` and `next` tell where and why the walk stopped.
        interfaces: INTERFACE array of the current section, `state.interfaces` of them valid.
        frames: FRAME array; at most its length is filled.
    """
    big_endian = state["big_endian"] != 0
    limit = np.int64(state["limit"])
    known = np.int64(state["interfaces"])
    table = np.uint64(interfaces.ctypes.data)
    room = len(frames)
    n = 0
    while n < room:
        prefetch(base + np.uint64(position) + _AHEAD)
        after = pcapng_packet(base, position, end, big_endian, limit, known, state, table, frames[n])
        if after < 0:
            break
        position = after
        n += 1
    if n == room:
        state["next"] = position
        state["status"] = WALK_MORE
    else:
        state["status"] = -after
    state["packets"] += np.uint64(n)
    if n > 0:
        state["last_ns"] = frames[n - 1]["ts_ns"]
    return n

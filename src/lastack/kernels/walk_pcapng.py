"""The walk over the blocks of a pcapng file: packets become frames, other blocks are skipped or left to Python.

The walker stops at section headers, interface descriptions and interface statistics (`WALK_META`); Python reads them
and walks on. All other blocks are skipped by their length. Both copies of a block's length must agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, load_be16, load_le16, load_le32, prefetch, record_at
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
def _next_packet(base: Any, position: Any, end: Any, state: Any, table: Any, frame: Any) -> Any:
    """Fill a frame from the next packet block of any kind; the slow way of `pcapng_packet`, with the same answer."""
    big_endian = state["big_endian"] != 0
    limit = np.int64(state["limit"])
    known = np.int64(state["interfaces"])
    status = WALK_END
    while position + 12 <= end:
        address = base + np.uint64(position)
        kind = np.int64(load32(address, big_endian))
        size = np.int64(load32(address + np.uint64(4), big_endian))
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
        if kind in (BLOCK_INTERFACE, BLOCK_STATISTICS):
            status = WALK_META
            break
        if kind in (BLOCK_ENHANCED, BLOCK_PACKET):
            if size < 32 or np.int64(load32(address + np.uint64(20), big_endian)) > size - 32:
                status = WALK_CORRUPT
                break
            if kind == BLOCK_ENHANCED:
                iface = np.int64(load32(address + np.uint64(8), big_endian))
            elif big_endian:
                iface = np.int64(load_be16(address + np.uint64(8)))
            else:
                iface = np.int64(load_le16(address + np.uint64(8)))
            if iface < known:
                _fill(
                    address,
                    position,
                    big_endian,
                    interface_at(table + np.uint64(iface * _INTERFACE_BYTES)),
                    frame,
                )
                return after
            if state["orphans"] == 0:
                state["orphan_at"] = position
            state["orphans"] += np.uint64(1)
        elif kind == BLOCK_SIMPLE:
            if size < 16:
                status = WALK_CORRUPT
                break
            if known > 0:
                interface = interface_at(table)
                # The block tells no captured length: it is the snap length of interface 0, at most the wire length.
                wirelen = np.int64(load32(address + np.uint64(8), big_endian))
                caplen = min(wirelen, size - 16)
                snaplen = np.int64(interface["snaplen"])
                if snaplen != 0 and caplen > snaplen:
                    caplen = snaplen
                frame["ts_ns"] = 0
                frame["offset"] = np.uint64(position + 12)
                frame["caplen"] = caplen
                frame["wirelen"] = wirelen
                frame["link"] = interface["link"]
                frame["iface"] = interface["number"]
                state["untimed"] += np.uint64(1)
                return after
            if state["orphans"] == 0:
                state["orphan_at"] = position
            state["orphans"] += np.uint64(1)
        position = after
    state["next"] = position
    return -status


@helper
def _fill(address: Any, position: Any, big_endian: Any, interface: Any, frame: Any) -> None:
    """Fill a frame from an enhanced or obsolete packet block."""
    high = np.uint64(load32(address + np.uint64(12), big_endian))
    low = np.uint64(load32(address + np.uint64(16), big_endian))
    frame["ts_ns"] = ticks_to_ns((high << _U32) | low, interface)
    frame["offset"] = np.uint64(position + 28)
    frame["caplen"] = load32(address + np.uint64(20), big_endian)
    frame["wirelen"] = load32(address + np.uint64(24), big_endian)
    frame["link"] = interface["link"]
    frame["iface"] = interface["number"]


@helper
def pcapng_packet(
    base: Any, position: Any, end: Any, limit: Any, plain: Any, state: Any, table: Any, frame: Any
) -> Any:
    """Fill a frame from the next packet block and return where the block after it begins.

    Other blocks are skipped. The answer is negative if no packet comes: minus a WALK_* status, `state.next` telling
    where the walk stopped. Interfaces below `plain` may go the fast way: those of a little-endian section, 0 in
    another. `table` is the address of the INTERFACE array: an array argument would cost two atomic operations.
    """
    # Only what nearly every block is, so small that it is inlined; all else goes the slow way.
    if position + 32 <= end:
        address = base + np.uint64(position)
        size = np.int64(load_le32(address + np.uint64(4)))
        after = position + size
        iface = np.int64(load_le32(address + np.uint64(8)))
        if load_le32(address) == BLOCK_ENHANCED and size >= 32 and size <= limit and size & 3 == 0:
            if iface < plain and after <= end and load_le32(base + np.uint64(after - 4)) == size:
                interface = interface_at(table + np.uint64(iface * _INTERFACE_BYTES))
                high = np.uint64(load_le32(address + np.uint64(12)))
                ticks = (high << _U32) | np.uint64(load_le32(address + np.uint64(16)))
                caplen = np.int64(load_le32(address + np.uint64(20)))
                if caplen <= size - 32 and interface["mode"] == TICKS_TIMES and ticks <= interface["limit"]:
                    ns = np.int64(ticks * np.uint64(interface["scale"])) + np.int64(interface["offset_ns"])
                    frame["ts_ns"] = ns
                    frame["offset"] = np.uint64(position + 28)
                    frame["caplen"] = caplen
                    frame["wirelen"] = load_le32(address + np.uint64(24))
                    frame["link"] = interface["link"]
                    frame["iface"] = interface["number"]
                    return after
    return _next_packet(base, position, end, state, table, frame)


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
    limit = np.int64(state["limit"])
    plain = np.int64(state["interfaces"])
    if state["big_endian"] != 0:
        plain = np.int64(0)
    table = np.uint64(interfaces.ctypes.data)
    room = len(frames)
    n = 0
    while n < room:
        prefetch(base + np.uint64(position) + _AHEAD)
        after = pcapng_packet(base, position, end, limit, plain, state, table, frames[n])
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

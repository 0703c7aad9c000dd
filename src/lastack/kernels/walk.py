"""One walker for every capture format: `walk` inside kernels, `walk_frames` from Python."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lastack.kernels._jit import helper, kernel
from lastack.kernels.decode_words import hot, i64
from lastack.kernels.walk_pcap import pcap_record, plain_record, walk_pcap
from lastack.kernels.walk_pcapng import pcapng_packet, walk_pcapng
from lastack.kernels.walk_state import KIND_PCAP, SWAP_NEVER


@helper
def walk(base: Any, position: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Fill frames from whole records between two offsets and return their number; see `walk_pcap`, `walk_pcapng`."""
    if state["kind"] == KIND_PCAP:
        return walk_pcap(base, position, end, state, frames)
    return walk_pcapng(base, position, end, state, interfaces, frames)


class Rules(NamedTuple):
    """What of a WALK_STATE stays the same through a walk, read from memory once."""

    is_pcap: Any
    is_plain: Any  # pcap whose records go the fast way
    big_endian: Any
    header: Any
    swap: Any
    limit: Any
    tick_ns: Any
    link: Any
    plain: Any  # pcapng: interfaces whose packets may go the fast way
    table: Any  # pcapng: address of the INTERFACE array


@hot
def rules_of(state: Any, interfaces: Any) -> Rules:
    """Return what stays the same through a walk."""
    big_endian = state["big_endian"] != 0
    return Rules(
        state["kind"] == KIND_PCAP,
        state["kind"] == KIND_PCAP and not big_endian and state["swap_lengths"] == SWAP_NEVER,
        big_endian,
        np.int64(state["header"]),
        np.int64(state["swap_lengths"]),
        np.int64(state["limit"]),
        np.int64(state["tick_ns"]),
        np.int64(state["link"]),
        i64(0) if big_endian else np.int64(state["interfaces"]),
        np.uint64(interfaces.ctypes.data),
    )


@hot
def packet_at(base: Any, position: Any, end: Any, state: Any, rules: Any, frame: Any) -> Any:
    """Fill a frame from the packet at an offset and return where the next one begins.

    The answer is negative if there is none: minus its WALK_* status. For pcapng `state.next` tells where.

    Args:
        base: Address of the buffer, uint64; offsets count from it.
        position: Offset of a record or block.
        end: Offset after the last byte of the buffer that may be read.
        state: WALK_STATE record.
        rules: Rules of the state.
        frame: FRAME record.
    """
    if rules.is_plain:
        frame["link"] = rules.link
        return plain_record(base, position, end, rules.header, rules.limit, rules.tick_ns, frame)
    if rules.is_pcap:
        frame["link"] = rules.link
        return pcap_record(
            base,
            position,
            end,
            rules.big_endian,
            rules.header,
            rules.swap,
            rules.limit,
            rules.tick_ns,
            frame,
        )
    return pcapng_packet(base, position, end, rules.limit, rules.plain, state, rules.table, frame)


@kernel
def walk_frames(base: Any, position: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Fill frames as `walk` does, called from Python: `base` is a numpy.uint64, `state` one WALK_STATE record."""
    return walk(base, position, end, state, interfaces, frames)

"""One walker for every capture format: `walk` inside kernels, `walk_frames` from Python."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel
from lastack.kernels.walk_pcap import walk_pcap
from lastack.kernels.walk_pcapng import walk_pcapng
from lastack.kernels.walk_state import KIND_PCAP


@helper
def walk(base: Any, position: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Fill frames from whole records between two offsets and return their number; see `walk_pcap`, `walk_pcapng`."""
    if state["kind"] == KIND_PCAP:
        return walk_pcap(base, position, end, state, frames)
    return walk_pcapng(base, position, end, state, interfaces, frames)


@kernel
def walk_frames(base: Any, position: Any, end: Any, state: Any, interfaces: Any, frames: Any) -> Any:
    """Fill frames as `walk` does, called from Python: `base` is a numpy.uint64, `state` one WALK_STATE record."""
    return walk(base, position, end, state, interfaces, frames)

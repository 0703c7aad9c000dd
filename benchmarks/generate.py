"""Writes a capture of a shape, the same bytes on every machine: seeds are fixed, nothing reads a clock."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from benchmarks.frames import HEADERS_MOST, put_packets
from benchmarks.shapes import Shape

_START_US = 1_700_000_000_000_000
_CHUNK = 1 << 19


def bytes_needed(shape: Shape) -> int:
    """Return an upper bound of the size of a shape's capture."""
    average = 790 if shape.snaplen > 1500 else 104
    return shape.all_packets * average


def generate(shape: Shape, path: Path) -> int:
    """Write the capture, and return its number of packets."""
    rng = np.random.default_rng(2024)
    lengths, order = _sessions_and_order(shape, rng)
    positions = np.zeros(shape.sessions, np.uint16)
    filler = rng.integers(0, 256, 1 << 16, np.uint8)
    most = HEADERS_MOST + min(shape.snaplen, 1500)
    chunk = _CHUNK if shape.snaplen < 1500 else _CHUNK >> 2
    out = np.empty(2 * chunk * most, np.uint8)
    # the attackers whose SYN is answered have the lower numbers
    answered_below = shape.sessions + int(shape.attackers * shape.answered)
    ts_us, written = _START_US, 0
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, shape.snaplen, 1))
        for begin in range(0, order.size, chunk):
            part = order[begin : begin + chunk]
            size, count, ts_us = put_packets(
                out, part, lengths, positions, shape.sessions, answered_below, ts_us, shape.snaplen, filler
            )
            file.write(memoryview(out[:size]))
            written += count
    temporary.replace(path)
    return written


def _sessions_and_order(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the length of each session, and the session of each packet in the order of the capture."""
    if each := shape.handshakes_only or shape.short:
        never = 20  # nobody gets to this end
        lengths = np.full(shape.sessions, shape.short or never, np.uint16)
        rows = np.arange(shape.sessions, dtype=np.int32).reshape(-1, min(1000, shape.sessions))
        return lengths, np.repeat(rows, each, axis=0).reshape(-1)
    average = shape.packets // shape.sessions
    lengths = rng.integers(average // 2, average + average // 2 + 1, shape.sessions)
    # exactly as many packets as the shape says
    missing = shape.packets - int(lengths.sum())
    lengths[: abs(missing) % shape.sessions] += np.int64(np.sign(missing))
    lengths += np.int64(np.sign(missing) * (abs(missing) // shape.sessions))
    lengths = lengths.astype(np.uint16)
    order = np.repeat(np.arange(shape.sessions, dtype=np.int32), lengths)
    if shape.attackers:
        flood = np.arange(shape.sessions, shape.sessions + shape.attackers, dtype=np.int32)
        order = np.concatenate([order, flood])
    rng.shuffle(order)
    return lengths, order

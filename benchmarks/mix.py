"""The mix: many real captures joined end to end, again and again, each time at later times and other addresses.

Takes the Ethernet captures beside the checkout (`../shared/captures`) when they are there, and the project's own
sample and patterns in any case. A checksum stays right: what is added to one half of an address is taken from the
other half (one's complement).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.naive.files import Frame, frames_of_file

ROOT = Path(__file__).resolve().parents[1]
_PAUSE_US = 1_000_000


def sources() -> list[Path]:
    """Return the captures to join, in a fixed order."""
    shared = ROOT.parent / "shared" / "captures"
    theirs = sorted(path for path in shared.glob("*") if path.suffix != ".csv" and path.is_file())
    own = sorted((ROOT / "tests" / "captures").glob("*.pcap"))
    return [path for path in theirs if path.name != "README.md"] + own + [ROOT / "samples" / "closes.pcapng"]


def write_mix(path: Path, packets: int) -> tuple[int, str]:
    """Write about `packets` packets; return how many, and what they are made of."""
    frames, files = _frames()
    blob, at, seconds, microseconds, addresses = _records(frames)
    rounds = max(1, packets // len(frames))
    span_us = int(microseconds.max()) + _PAUSE_US
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for number in range(rounds):
            moved = blob.copy()
            times = seconds * 1_000_000 + microseconds + number * span_us
            _store32(moved, at, times // 1_000_000)
            _store32(moved, at + 4, times % 1_000_000)
            for first, last in addresses:
                _add16(moved, first, number)
                _add16(moved, last, 65_535 - number % 65_535)
            out.write(memoryview(moved))
    temporary.replace(path)
    return rounds * len(frames), f"{len(files)} real captures, {len(frames)} packets, {rounds} times"


def _frames() -> tuple[list[tuple[int, Frame]], list[Path]]:
    """Return (time in us from the start, frame) of all Ethernet frames, file after file."""
    joined: list[tuple[int, Frame]] = []
    used = []
    begin_us = 0
    for path in sources():
        frames = list(_ethernet(path))
        if not frames:
            continue
        used.append(path)
        first = min(frame.ts_ns for frame in frames)
        # a capture of several days must not push all the others to the end of time
        shifted = [min((frame.ts_ns - first) // 1000, 600_000_000) for frame in frames]
        joined += [(begin_us + us, frame) for us, frame in zip(shifted, frames, strict=True)]
        begin_us += max(shifted) + _PAUSE_US
    return joined, used


def _ethernet(path: Path) -> Iterator[Frame]:
    try:
        for frame in frames_of_file(path):
            if frame.link == 1 and len(frame.data) >= 14:
                yield frame
    except (ValueError, EOFError, struct.error):
        return  # damaged on purpose: some of the shared captures are


def _records(frames: list[tuple[int, Frame]]) -> tuple[np.ndarray, ...]:
    """Return the records as one block, where each begins, its time in two parts, and the halves of its addresses."""
    parts, begins, times = [], [], []
    halves: list[tuple[int, int]] = []
    at = 0
    for us, frame in frames:
        begins.append(at)
        times.append(us)
        parts.append(
            struct.pack("<IIII", 0, 0, len(frame.data), max(frame.wirelen, len(frame.data))) + frame.data
        )
        halves += [(at + 16 + first, at + 16 + last) for first, last in _address_halves(frame.data)]
        at += 16 + len(frame.data)
    pairs = np.array(halves, np.int64).reshape(-1, 2)
    blob = np.frombuffer(b"".join(parts), np.uint8)
    us_all = np.array(times, np.int64)
    start = np.full(us_all.size, 1_700_000_000, np.int64)
    return blob, np.array(begins, np.int64), start, us_all, [(pairs[:, 0], pairs[:, 1])]


def _address_halves(data: bytes) -> list[tuple[int, int]]:
    at = 12
    while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, at = data[at : at + 2], at + 2
    if kind == b"\x08\x00" and len(data) >= at + 20:
        return [(at + 12, at + 14), (at + 16, at + 18)]
    if kind == b"\x86\xdd" and len(data) >= at + 40:
        return [(at + 12, at + 14), (at + 28, at + 30)]
    return []


def _store32(blob: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
    for byte in range(4):
        blob[at + byte] = (values >> (8 * byte)) & 0xFF


def _add16(blob: np.ndarray, at: np.ndarray, value: int) -> None:
    total = (blob[at].astype(np.int64) << 8 | blob[at + 1]) + value
    total = (total & 0xFFFF) + (total >> 16)
    blob[at] = total >> 8
    blob[at + 1] = total & 0xFF

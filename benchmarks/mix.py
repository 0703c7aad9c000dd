"""The mix: many real captures joined end to end, again and again, each time at later times and other addresses.

Takes the Ethernet captures beside the checkout (`../shared/captures`) when they are there, and the project's own
sample and patterns in any case. A checksum stays right: what is added to one half of an address is taken from the
other half (one's complement).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tests.naive.files import Frame, frames_of_file

ROOT = Path(__file__).resolve().parents[1]
_PAUSE_US = 1_000_000
_START_S = 1_700_000_000
#: Scans are two of the largest captures, one packet a session; in every round they would be half of all packets.
_SCAN, _ROUNDS_PER_SCAN = "synscan", 16


def sources() -> list[Path]:
    """Return the captures to join, in a fixed order."""
    shared = ROOT.parent / "shared" / "captures"
    theirs = sorted(path for path in shared.glob("*") if path.suffix != ".csv" and path.is_file())
    own = sorted((ROOT / "tests" / "captures").glob("*.pcap"))
    return [path for path in theirs if path.name != "README.md"] + own + [ROOT / "samples" / "closes.pcapng"]


def write_mix(path: Path, packets: int) -> tuple[int, str]:
    """Write about `packets` packets; return how many, and what they are made of."""
    found = sources()
    usual = _Block([path for path in found if _SCAN not in path.name])
    scans = _Block([path for path in found if _SCAN in path.name])
    per_round = usual.packets + scans.packets / _ROUNDS_PER_SCAN
    rounds = max(1, round(packets / per_round))
    written = 0
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for number in range(rounds):
            at_us = number * (usual.span_us + scans.span_us)
            written += usual.write(out, at_us, number)
            if number % _ROUNDS_PER_SCAN == _ROUNDS_PER_SCAN - 1:
                written += scans.write(out, at_us + usual.span_us, number)
    temporary.replace(path)
    files = len(usual.files) + len(scans.files)
    return (
        written,
        f"{files} real captures of {usual.packets + scans.packets:,} packets, joined {rounds} times",
    )


class _Block:
    """The frames of some captures, one after the other, as records that can be moved in time and address."""

    def __init__(self, paths: list[Path]) -> None:
        frames, self.files = _frames(paths)
        self.packets = len(frames)
        self.span_us = 0
        if frames:
            self._records, self._at, self._us, self._halves = _records(frames)
            self.span_us = int(self._us.max()) + _PAUSE_US

    def write(self, out: BinaryIO, at_us: int, number: int) -> int:
        """Write the records with times from `at_us` and addresses of their own; return how many."""
        if not self.packets:
            return 0
        moved = self._records.copy()
        times = self._us + at_us
        _store32(moved, self._at, _START_S + times // 1_000_000)
        _store32(moved, self._at + 4, times % 1_000_000)
        _add16(moved, self._halves[:, 0], number)
        _add16(moved, self._halves[:, 1], 65_535 - number % 65_535)
        out.write(memoryview(moved))
        return self.packets


def _frames(paths: list[Path]) -> tuple[list[tuple[int, Frame]], list[Path]]:
    """Return (time in us from the start, frame) of all Ethernet frames, file after file, and the files used."""
    joined: list[tuple[int, Frame]] = []
    used = []
    begin_us = 0
    for path in paths:
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


def _records(frames: list[tuple[int, Frame]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the records as one block, where each begins, its time in us, and where the halves of addresses are."""
    parts, begins, halves = [], [], []
    at = 0
    for _, frame in frames:
        begins.append(at)
        parts.append(
            struct.pack("<IIII", 0, 0, len(frame.data), max(frame.wirelen, len(frame.data))) + frame.data
        )
        halves += [(at + 16 + first, at + 16 + last) for first, last in _address_halves(frame.data)]
        at += 16 + len(frame.data)
    times = np.array([us for us, _ in frames], np.int64)
    return (
        np.frombuffer(b"".join(parts), np.uint8),
        np.array(begins, np.int64),
        times,
        np.array(halves, np.int64).reshape(-1, 2),
    )


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

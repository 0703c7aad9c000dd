"""The packets of one session, found again in the captures that its record came from."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lastack.app import prepare
from lastack.app.decoding import Decoder
from lastack.app.merging import Stream
from lastack.app.options import Progress, ProgressState, default_threads
from lastack.app.running import crew_of
from lastack.capture.series import CaptureFile, order_captures
from lastack.capture.source import Capture, open_capture
from lastack.kernels.sharding import SHARDS
from lastack.model.batch import META_ICMP, SEGMENT
from lastack.model.errors import InputError
from lastack.tracking.placing import PACKET_BITS, Placed, place

#: Packets of one four-tuple that are held at most: 80 bytes each.
MOST_PACKETS = 8_000_000
_PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Key:
    """The two ends of a session, in the order in which the tracker keeps them.

    Attributes:
        words: The four halves of both addresses as numbers, the smaller end first.
        ports: Port of the smaller end << 16 | port of the other.
    """

    words: tuple[int, int, int, int]
    ports: int

    @classmethod
    def of(cls, client_ip: bytes, client_port: int, server_ip: bytes, server_port: int) -> Key:
        """Return the key of two ends, given in either order."""
        (low, low_port), (high, high_port) = sorted([(client_ip, client_port), (server_ip, server_port)])
        halves = (low[:8], low[8:], high[:8], high[8:])
        words = tuple(int.from_bytes(half, "big") for half in halves)
        return cls(words, low_port << 16 | high_port)  # type: ignore[arg-type]  # four halves


class Keys:
    """One or several keys, and which segments belong to one of them."""

    def __init__(self, keys: Collection[Key]) -> None:
        self._ports = np.array(sorted({key.ports for key in keys}), np.uint32)
        self._words = np.array(sorted({(*key.words, key.ports) for key in keys}), np.uint64).view("V40")[:, 0]
        self.alone = len(self._words) == 1

    def among(self, segments: Any) -> Any:
        """Return a copy of those segments that belong to one of the keys."""
        place = np.searchsorted(self._ports, segments["ports"])
        found = segments[self._ports[np.minimum(place, len(self._ports) - 1)] == segments["ports"]]
        return found[np.isin(key_words(found), self._words)]


def key_words(segments: Any) -> Any:
    """Return the key of each segment as 40 bytes that can be compared."""
    words = np.empty((len(segments), 5), np.uint64)
    for column, name in enumerate(("lo0", "lo1", "hi0", "hi1", "ports")):
        words[:, column] = segments[name]
    return words.view("V40")[:, 0]


@dataclass(slots=True)
class Slice:
    """The packets of a session.

    Attributes:
        captures: Captures in the order in which they were read; `origin >> 48` of a segment is a place among them.
        segments: SEGMENT array of all packets between the two ends, earlier and later sessions included.
        session: Number of the session among those of the ends, from 0.
        owner: For each segment the number of its session.
        notes: What a person must know about the reading.
    """

    captures: list[str]
    segments: Any
    session: int
    owner: Any
    notes: list[str] = field(default_factory=list)

    @property
    def places(self) -> Any:
        """Places of the session's own packets and of the ICMP errors that quote them, among the segments."""
        return np.flatnonzero(self.owner == self.session)

    @property
    def own(self) -> Any:
        """The session's packets, a SEGMENT array, without ICMP errors."""
        mine = self.segments[self.places]
        return mine[(mine["meta"] & META_ICMP) == 0]


def packet_number(origin: Any) -> int:
    """Return the number of a packet in its capture, from 1."""
    return int(origin) & ((1 << PACKET_BITS) - 1)


def capture_rank(origin: Any) -> int:
    """Return the place of a packet's capture among those that were read."""
    return int(origin) >> PACKET_BITS


def find_packets(
    row: dict[str, Any],
    paths: Sequence[str],
    *,
    idle_ns: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    clock_ns: Mapping[str, int] | None = None,
) -> Slice:
    """Return the packets of a session, in the order in which the tracker saw them.

    Reading stops when all packets that the record counts were found. Port reuse is settled by the tracker: it is run
    over all packets between the two ends, and the session with the record's id is taken.

    Args:
        row: The session's record.
        paths: Captures that it was made from, all of them: an earlier session of the same ends may be in any.
        idle_ns: Silence that cut sessions when the record was made, None for none.
        threads: Threads to use, None for one per processor.
        progress: Called now and then.
        clock_ns: What was taken off the times of some captures when the record was made.

    Raises:
        InputError: A capture cannot be read, or the session is not in them (any more).
    """
    key = Key.of(row["client_ip"], row["client_port"], row["server_ip"], row["server_port"])
    prepare.ensure()
    files = order_captures(paths, clock_ns=clock_ns).files
    reader = Reader(files, Keys([key]), threads or default_threads(), progress)
    checked = 0
    while reader.more():
        fresh = len(reader.segments) - checked
        # Placing costs as much as there is: not at each new packet of busy ends, but when some more have come.
        if fresh and (fresh >= checked // 8 or not reader.new):
            checked += fresh
            if _all_there(row, reader, idle_ns):
                break
    reader.close()
    placed = place(reader.segments, idle_ns)
    session = session_of(row, reader.segments, placed)
    if session is None:
        raise InputError(_missing(row, paths, len(reader.segments)))
    found = Slice(reader.captures, reader.segments, session, placed.owner)
    found.notes += [*reader.notes, *_differences(row, found)]
    return found


class Reader:
    """Captures in the order of the tracker, of which only the packets of some keys are kept.

    Args:
        files: The captures.
        keys: Whose packets.
        threads: Threads to use.
        progress: Called now and then.

    Attributes:
        captures: Paths of the captures.
        segments: SEGMENT array of the packets so far.
        new: How many of them came with the last stretch.
        notes: What a person must know.
    """

    def __init__(self, files: list[CaptureFile], keys: Keys, threads: int, progress: Progress | None) -> None:
        self.captures = [file.path for file in files]
        self._clocks = [file.clock_ns for file in files]
        self.segments: Any = np.empty(0, SEGMENT)
        self.new = 0
        self.notes: list[str] = []
        self._keys = keys
        self._shards = range(SHARDS)  # of one key: until the first packet tells which one it is
        self._threads, self._progress = threads, progress
        self._stack = ExitStack()
        self._run = self._stack.enter_context(crew_of(threads)).run
        self._open: list[Capture] = []
        self._packets, self._started, self._told = 0, time.monotonic(), 0.0
        self._total = sum(Path(path).stat().st_size for path in self.captures)
        self._stretches = iter(Stream([file.first_ns for file in files], self._opener))

    def _opener(self, rank: int) -> Decoder:
        capture = self._stack.enter_context(open_capture(self.captures[rank]))
        self._open.append(capture)
        return Decoder(capture, rank, self._threads, self._run, clock_ns=self._clocks[rank])

    def more(self) -> bool:
        """Read on by one stretch; False at the end of all captures."""
        stretch = next(self._stretches, None)
        if stretch is None:
            return False
        found = [self.segments]
        for shard in self._shards:
            found += [self._mine(*run) for run in stretch.runs(shard)]
            if self._keys.alone and any(len(some) for some in found):
                self._shards = range(shard, shard + 1)
                break
        self.new = sum(map(len, found[1:]))
        if self.new:
            self.segments = np.concatenate(found)
        self._packets += sum(int(part.tally["packets"][0]) for part in stretch.parts)
        self._tell()
        if len(self.segments) < MOST_PACKETS:
            return True
        self.segments = self.segments[:MOST_PACKETS]
        self.notes.append(
            f"more than {MOST_PACKETS:,} packets between the ends asked for: the later ones are left out"
        )
        return False

    def _mine(self, address: int, n: int, before: int) -> Any:
        held: Any = (ctypes.c_uint8 * (n * SEGMENT.itemsize)).from_address(address)
        mine = self._keys.among(np.frombuffer(held, SEGMENT))
        mine["origin"] += np.uint64(before)
        return mine

    def close(self) -> None:
        """Close the captures."""
        self._stack.close()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._progress is None or now - self._told < _PROGRESS_EVERY_S:
            return
        self._told = now
        read = sum(capture.consumed_bytes for capture in self._open)
        seconds = now - self._started
        self._progress(ProgressState(read, self._total, self._packets, len(self.segments), 0, seconds))


def _all_there(row: dict[str, Any], reader: Reader, idle_ns: int | None) -> bool:
    """Return whether every packet of the session was read."""
    wanted = int(row["packets_clt"]) + int(row["packets_srv"])
    if len(reader.segments) < wanted:
        return False
    placed = place(reader.segments, idle_ns)
    session = session_of(row, reader.segments, placed)
    if session is None:
        return False
    quoted = (reader.segments["meta"] & META_ICMP) != 0
    mine = placed.owner == session
    if row["opening"] == "refused_icmp" and not (mine & quoted).any():
        return False  # the error comes after the last packet
    return int((mine & ~quoted).sum()) >= wanted


def session_of(row: dict[str, Any], segments: Any, placed: Placed) -> int | None:
    """Return the number of a record's session among those of its ends, None if it is not there."""
    if row["session_id"] in placed.ids:
        return placed.ids.index(row["session_id"])
    # The id depends on the earlier sessions of these ends; those may be in captures that are gone.
    for number, first in enumerate(placed.first):
        packet = segments[first]
        same_number = packet_number(packet["origin"]) == row["first_packet"]
        if int(packet["ts_ns"]) == row["start_ns"] and same_number:
            return number
    return None


def _missing(row: dict[str, Any], paths: Sequence[str], packets: int) -> str:
    where = ", ".join(paths)
    if not packets:
        what = "no packet between these ends is in"
    else:
        what = f"none of the {packets:,} packets between these ends begins this session in"
    return (
        f"{what} {where}: changed since the record was made (from {row['sensor']}), or read with another "
        "--idle-timeout; name the right files with --captures"
    )


def _differences(row: dict[str, Any], found: Slice) -> list[str]:
    wanted, got = int(row["packets_clt"]) + int(row["packets_srv"]), len(found.own)
    if got == wanted:
        return []
    return [
        f"the record counts {wanted:,} packets, the captures now have {got:,} of this session "
        "(changed, cut, or read with other options since)"
    ]

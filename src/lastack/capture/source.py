"""A capture of any format, compression and origin, read as windows of bytes for the walking kernels.

The loop of a reader:

    with open_capture("x.pcapng.gz") as capture:
        for window in capture.windows(32 << 20):
            while count := capture.walk(window, frames):
                ...  # frames[:count] lie at window.base + frame.offset

A kernel that walks by itself is called with `window.base, window.position, window.end, capture.state[0],
capture.table`; after it, `capture.settle(window)` does what Python must do and tells whether to call it again.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from types import TracebackType
from typing import Any

import numpy as np

from lastack.capture import formats, pcap
from lastack.capture.compressed import CompressedBytes
from lastack.capture.firsttime import first_pcap_time_ns, first_pcapng_time_ns
from lastack.capture.pcapng import Interface, Section, byte_order
from lastack.capture.problem import Problem, Problems
from lastack.capture.rawbytes import RawBytes, Wait
from lastack.capture.repair import Repair, plausible_seconds
from lastack.capture.sections import BAD, READ, Sections
from lastack.capture.window import BUFFER_CAP, MappedFile, Storage, StreamBuffer, Window, view_of
from lastack.kernels.walk_state import COUNTERS, WALK_CORRUPT, WALK_END, WALK_META
from lastack.model.errors import InputError

_PEEK = 1 << 16
_PEEK_CAP = 16 << 20
_PREFACE = 1 << 20
_CUT_DAYS = 40


def open_capture(path: str | os.PathLike[str], *, follow: bool = False, wait: Wait | None = None) -> Capture:
    """Open a capture file, or standard input for `-`; format and compression are recognised by content.

    Args:
        path: File name, or `-`.
        follow: Read on when the file grows, until `wait` returns False or the file is rotated away.
        wait: Called at the end of a growing file; sleeps 0.2 s and returns True by default.

    Raises:
        InputError: There is no such file, it is empty, or it is not a capture (the message says what it looks like).
        AccessError: There is no permission to read it.
    """
    raw = RawBytes(path, follow=follow, wait=wait)
    storage: Storage | None = None
    try:
        problems = Problems()
        head = raw.peek(512, 6)
        if not head:
            raise InputError(
                f"{raw.name}: the file is empty; check that the capture was running and its disk not full"
            )
        compression = formats.compression_of(head)
        if compression is not None:
            storage = StreamBuffer(CompressedBytes(raw, compression, problems))
        else:
            storage = _mapped(raw, problems) or StreamBuffer(raw)
        return Capture(raw, problems, compression, storage)
    except BaseException:
        if storage is not None:
            storage.close()
        raw.close()
        raise


class Capture:
    """One capture that is being read.

    Attributes:
        name: What the user called it.
        kind: `pcap` or `pcapng`.
        compression: `gzip`, `zstd`, `bzip2`, `xz`, `lz4` or None.
        header: File header of a classic pcap, else None.
        state: WALK_STATE array of one, for the walker.
        stream_bytes: Bytes of the (decompressed) stream that windows have reached.
        drop: Lets go of the bytes between two offsets of the last window; any thread may call it.
    """

    def __init__(self, raw: RawBytes, problems: Problems, compression: str | None, storage: Storage) -> None:
        self._raw = raw
        self._problems = problems
        self._storage = storage
        self.drop = storage.drop
        self._sections = Sections(problems)
        self.name = raw.name
        self.compression = compression
        head = bytes(view_of(storage.window(0, _PEEK, pcap.HEADER_BYTES), 512))
        self.kind = _recognise(head, self.name, compression)
        self.header = pcap.parse_header(head) if self.kind == "pcap" else None
        self.state: Any = pcap.walk_state(self.header) if self.header is not None else self._sections.state
        self._orphan_at: int | None = None
        self.stream_bytes = 0
        self._start = self.header.size if self.header is not None else 0
        self._from: int | None = None
        self._first_s = 0
        self._repair = Repair(self.state, self.header, problems)
        if self.header is not None and self.header.odd_version:
            version = f"{self.header.major}.{self.header.minor}"
            problems.add(4, None, f"pcap version {version} is not known", "it was read as version 2.4")

    @property
    def table(self) -> Any:
        """INTERFACE array for the walker; ask for it again after each `settle`, it may have grown."""
        return self._sections.table

    @property
    def sections(self) -> list[Section]:
        """Sections of a pcapng file met so far."""
        return self._sections.sections

    @property
    def interfaces(self) -> list[Interface]:
        """Interfaces of a pcapng file met so far; FRAME.iface counts them."""
        return self._sections.interfaces

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the file as stored, None for pipes."""
        return self._raw.size

    @property
    def consumed_bytes(self) -> int:
        """Bytes of the file as stored that were read so far, for progress."""
        return self._raw.consumed

    @property
    def packets(self) -> int:
        """Packets walked so far."""
        return int(self.state["packets"][0])

    @property
    def problems(self) -> list[Problem]:
        """Flaws found so far (the first 200)."""
        return self._problems.kept

    @property
    def problem_count(self) -> int:
        """How many flaws were found so far."""
        return self._problems.count

    def first_time_ns(self) -> int | None:
        """Return the time of the first packet without consuming it, or None if none is near the start.

        Call it before `windows`.
        """
        if self.header is not None:
            least = self._start + self.header.record_header
            return first_pcap_time_ns(
                view_of(self._storage.window(0, _PEEK, least))[self._start :], self.header
            )
        window = self._storage.window(0, _PEEK)
        while (found := first_pcapng_time_ns(view_of(window))) is None:
            if window.last or window.end >= _PEEK_CAP:
                return None
            window = self._storage.window(0, 4 * window.end, window.end + 1)
        return found

    def windows(self, target_bytes: int = 32 << 20) -> Generator[Window, int | None, None]:
        """Yield the capture piece by piece; each window must be walked to its end before the next is asked for.

        A number of bytes that is sent becomes the target of the windows to come.
        """
        target = min(max(target_bytes, 1 << 12), BUFFER_CAP)
        position, least = self._start, 1
        if self._from is not None:
            position = self._from
        while True:
            window = self._storage.window(position, target, least)
            held = window.end - window.position
            self.stream_bytes = window.origin + window.end
            if not self._repair.lost or self._repair.find(window):
                # Sections and interfaces at the start are read first, so that `cuts` knows byte order and numbers.
                self._read_blocks(window)
            if not self._repair.lost and window.position < window.end:
                wanted = yield window
                target = min(max(wanted or target, 1 << 12), BUFFER_CAP)
            reached = window.origin + window.position
            if window.last or (held >= BUFFER_CAP and reached == position):
                break
            least = window.end - window.position + 1
            if reached == position and held >= target:
                # Nothing fitted: the next record is larger than the window, or a search needs more to go by.
                least = min(2 * held, BUFFER_CAP)
            position = reached
        self._finish(window)

    def walk(self, window: Window, frames: Any) -> int:
        """Fill frames from a window and return their number; 0 when the window is used up."""
        from lastack.kernels.walk import walk_frames

        while not self._repair.lost:
            count = walk_frames(window.base, window.position, window.end, self.state[0], self.table, frames)
            more = self.settle(window)
            if count or not more:
                return int(count)
        return 0

    def settle(self, window: Window) -> bool:
        """Do what Python must do where a walker stopped, move the window there, and tell whether to walk on in it.

        After False the window must not be walked any more: ask for the next one.
        """
        window.position = int(self.state["next"][0])
        if self.state["orphans"][0] and self._orphan_at is None:
            self._orphan_at = window.origin + int(self.state["orphan_at"][0])
        status = self.state["status"][0]
        if status == WALK_END:
            return False
        if status == WALK_META:
            return self._read_blocks(window)
        if status == WALK_CORRUPT:
            return self._repair.lose(window)
        return True

    def split(self, count: int) -> Any:
        """Return a WALK_STATE array of so many copies for walking parts of a window at the same time."""
        parts = np.repeat(self.state, count)
        for name in COUNTERS:
            parts[name] = 0
        return parts

    def join(self, parts: Any) -> None:
        """Take over the states of parts that were walked, in order, each up to the start of the next one.

        `settle` the window afterwards: it goes on where the last of these parts stopped.
        """
        before = self.state[0].copy()
        self.state[0] = parts[-1]
        for name in COUNTERS:
            self.state[name] = before[name] + parts[name].sum()
        first_orphans = parts["orphan_at"][parts["orphans"] > 0]
        if before["orphans"] or not len(first_orphans):
            self.state["orphan_at"] = before["orphan_at"]
        else:
            self.state["orphan_at"] = first_orphans[0]
        times = parts["last_ns"][parts["packets"] > 0]
        self.state["last_ns"] = times[-1] if len(times) else before["last_ns"]

    @property
    def divisible(self) -> bool:
        """Whether the capture can be read in pieces: a plain file that is not compressed."""
        return isinstance(self._storage, MappedFile)

    def preface(self) -> tuple[int, int]:
        """Read the sections and interfaces at the start of a pcapng file; return how many of each are known."""
        if self.kind == "pcapng" and not self.sections:
            self._read_blocks(self._storage.window(0, _PREFACE))
        return len(self.sections), len(self.interfaces)

    def record_after(self, offset: int) -> int | None:
        """Return a guess of where the first record from an offset on begins, None if none is near.

        Offsets must rise from call to call, and `windows` must not have been called.
        """
        from lastack.kernels.resync import REACH, resync

        self.preface()
        if self.header is not None and not self._first_s:
            self._first_s = (self.first_time_ns() or 0) // 1_000_000_000
        window = self._storage.window(offset & ~3, REACH)
        last_s = self._first_s + _CUT_DAYS * 86_400
        where = window.base, window.position, window.end
        found = resync(*where, self.state[0], self._first_s, last_s, window.last, False)
        return int(found) if found >= 0 else None

    def read_only(
        self, start: int | None, end: int | None, packets: int = 0, last_ns: int = 0
    ) -> tuple[int, int]:
        """Let `windows` yield the records of one piece; it is the caller's to prove that one begins at its start.

        Args:
            start: Byte where the first record begins, None for the start of the capture.
            end: Byte after the last, None for the end of the capture.
            packets: Packets of the capture before, so that numbers go on.
            last_ns: Time of the last of them.

        Returns:
            How many sections and interfaces of a pcapng file are known at its start.
        """
        if end is not None:
            assert isinstance(self._storage, MappedFile), "only plain files are divisible"
            self._storage.limit(end)
        if start is None:
            return 0, 0
        self._from = start
        known = self.preface()
        self.state["packets"], self.state["last_ns"] = packets, last_ns
        return known

    def cuts(self, window: Window, count: int) -> list[int]:
        """Return offsets, rising from `window.position`, where parts of a window may begin; at most so many.

        All but the first are guesses: the walk of a part must be checked to end where the next one begins.
        """
        from lastack.kernels.resync import REACH, resync

        starts = [window.position]
        step = (window.end - window.position) // count & ~3  # pcapng blocks lie at multiples of 4
        first_s, last_s = plausible_seconds(self.state, _CUT_DAYS)
        if self.header is not None and not self.packets:
            first_ns = first_pcap_time_ns(view_of(window, self.header.record_header), self.header)
            first_s = (first_ns or 0) // 1_000_000_000
            last_s = first_s + _CUT_DAYS * 86_400
        for part in range(1, count):
            guess = window.position + part * step
            if guess > starts[-1]:
                until = min(window.end, guess + step + REACH)
                found = int(resync(window.base, guess, until, self.state[0], first_s, last_s, False, False))
                if found > starts[-1]:
                    starts.append(found)
        return starts

    def close(self) -> None:
        """Close the file and free the memory of its windows."""
        self._storage.close()
        self._raw.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_blocks(self, window: Window) -> bool:
        """Read the pcapng blocks at the position of a window that are Python's to read; False to ask for more bytes."""
        while self.kind == "pcapng":
            data = view_of(window)
            if not self._sections.reads(data):
                return True
            result, size = self._sections.read(data, window.origin + window.position, self.packets + 1)
            if result == BAD:
                return self._repair.lose(window)
            if result != READ:
                return False
            window.position += size
        return True

    def _finish(self, window: Window) -> None:
        """Note what only the end of the capture tells."""
        rest = window.end - window.position
        next_packet = self.packets + 1
        offset = window.origin + window.position
        if rest and not window.last:
            what = f"a record is larger than {BUFFER_CAP >> 20} MiB"
            self._problems.add(offset, next_packet, what, "reading stopped there")
        elif rest:
            what = f"the capture ends in the middle of a record ({rest} bytes of it are there)"
            self._problems.add(offset, next_packet, what, "all whole packets were read")
        untimed, orphans = int(self.state["untimed"][0]), int(self.state["orphans"][0])
        if untimed:
            what = f"{untimed} packets are in simple packet blocks, which have no time"
            self._problems.add(None, None, what, "their time is taken as 0")
        if orphans:
            what = f"{orphans} packets belong to interfaces that are not described"
            self._problems.add(self._orphan_at, None, what, "they were skipped")


def _mapped(raw: RawBytes, problems: Problems) -> MappedFile | None:
    if not raw.regular or raw.follow:
        return None
    try:
        return MappedFile(raw, problems)
    except (OSError, ValueError):
        return None  # some file systems cannot map; reading does as well


def _recognise(head: bytes, name: str, compression: str | None) -> str:
    """Return the kind of a capture, or raise InputError that says what the bytes look like."""
    inside = f"a {compression} stream of " if compression else ""
    kind = formats.capture_kind(head)
    if kind is None:
        if not head:
            raise InputError(
                f"{name}: {inside}nothing: no byte could be read from it; make or copy the file again"
            )
        nested = formats.compression_of(head)
        if nested is not None:
            raise InputError(f"{name}: {inside}another {nested} stream; decompress it once: {nested} -d")
        what, remedy = formats.what_it_looks_like(head, name)
        raise InputError(f"{name}: not a capture but {inside}{what}; {remedy}")
    if kind == "pcap" and len(head) < pcap.HEADER_BYTES:
        raise InputError(
            f"{name}: the capture ends inside its file header ({len(head)} bytes); it holds no packets"
        )
    if kind == "pcapng" and byte_order(head) is None:
        cut = "ends inside its first section header" if len(head) < 28 else "has no byte order mark"
        raise InputError(f"{name}: the pcapng capture {cut}; copy or capture it again")
    return kind

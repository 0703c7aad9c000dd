"""What is in a capture file, without looking into its packets: the facts behind `lastack info`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.capture.pcapng import Interface
from lastack.capture.problem import Problem
from lastack.capture.source import Capture, open_capture
from lastack.model.batch import FRAME

_BATCH = 16_384


@dataclass(slots=True)
class InterfaceInfo:
    """One interface and its packets; classic pcap has one without a name.

    Attributes:
        about: What the file says of it: link type, snap length, time resolution, drops, names.
        packets: Packets captured.
        wire_bytes: Bytes they had on the wire.
        first_ns: Earliest time, None without packets.
        last_ns: Latest time, None without packets.
    """

    about: Interface
    packets: int = 0
    wire_bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(slots=True)
class CaptureInfo:
    """One capture file.

    Attributes:
        kind: `pcap` or `pcapng`.
        version: Format version, such as `2.4`.
        byte_order: `little`, `big` or `mixed` (sections differ).
        size_bytes: Bytes as stored, None for a pipe.
        stream_bytes: Bytes after decompression.
        captured_bytes: Bytes of packets in the file.
        wire_bytes: Bytes that they had on the wire.
        first_ns: Earliest time of a packet, None without packets.
        last_ns: Latest time of a packet.
        backwards: Packets that are earlier than the one before them.
        largest_step_back_ns: Longest such step.
        truncated: Packets of which fewer bytes were captured than were on the wire.
        untimed: Packets in blocks that have no time.
    """

    name: str
    kind: str
    compression: str | None
    version: str = ""
    byte_order: str = ""
    size_bytes: int | None = None
    stream_bytes: int = 0
    sections: int = 1
    interfaces: list[InterfaceInfo] = field(default_factory=list)
    packets: int = 0
    captured_bytes: int = 0
    wire_bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    backwards: int = 0
    largest_step_back_ns: int = 0
    truncated: int = 0
    untimed: int = 0
    hardware: str = ""
    os: str = ""
    application: str = ""
    comments: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0


class _Tally:
    """Sums over all frames, and for each interface."""

    def __init__(self) -> None:
        self.packets = np.zeros(0, np.int64)
        self.wire = np.zeros(0, np.int64)
        self.first = np.zeros(0, np.int64)
        self.last = np.zeros(0, np.int64)
        self.captured = self.truncated = self.backwards = self.step_back = 0
        self._before: int | None = None

    def add(self, frames: Any) -> None:
        times, wire, iface = frames["ts_ns"], frames["wirelen"], frames["iface"]
        self.captured += int(frames["caplen"].sum(dtype=np.int64))
        self.truncated += int(np.count_nonzero(frames["caplen"] < wire))
        steps = np.diff(times, prepend=times[0] if self._before is None else self._before)
        self.backwards += int(np.count_nonzero(steps < 0))
        self.step_back = max(self.step_back, -int(steps.min()))
        self._before = int(times[-1])
        lowest, highest = int(iface.min()), int(iface.max())
        self._grow(highest + 1)
        for number in range(lowest, highest + 1) if lowest == highest else np.unique(iface).tolist():
            mine = iface == number if lowest != highest else slice(None)
            self.packets[number] += len(times[mine])
            self.wire[number] += int(wire[mine].sum(dtype=np.int64))
            self.first[number] = min(self.first[number], times[mine].min())
            self.last[number] = max(self.last[number], times[mine].max())

    def _grow(self, size: int) -> None:
        more = size - len(self.packets)
        if more > 0:
            limits = np.iinfo(np.int64)
            self.packets = np.append(self.packets, np.zeros(more, np.int64))
            self.wire = np.append(self.wire, np.zeros(more, np.int64))
            self.first = np.append(self.first, np.full(more, limits.max, np.int64))
            self.last = np.append(self.last, np.full(more, limits.min, np.int64))


def describe(path: str | os.PathLike[str]) -> CaptureInfo:
    """Read a whole capture and return what is in it.

    Raises:
        InputError: It is not a capture, or nothing of it can be read.
        AccessError: There is no permission to read it.
    """
    tally = _Tally()
    frames = np.zeros(_BATCH, FRAME)
    with open_capture(path) as capture:
        info = CaptureInfo(capture.name, capture.kind, capture.compression, size_bytes=capture.size_bytes)
        for window in capture.windows():
            while count := capture.walk(window, frames):
                tally.add(frames[:count])
        info.stream_bytes = capture.stream_bytes
        _describe_file(info, capture)
        about = capture.interfaces if capture.header is None else [_only_interface(capture)]
        info.untimed = int(capture.state["untimed"][0])
        info.problems, info.problem_count = list(capture.problems), capture.problem_count
    tally._grow(len(about))
    for number, interface in enumerate(about):
        described = InterfaceInfo(interface, int(tally.packets[number]), int(tally.wire[number]))
        if described.packets:
            described.first_ns, described.last_ns = int(tally.first[number]), int(tally.last[number])
        info.interfaces.append(described)
    info.packets, info.wire_bytes = int(tally.packets.sum()), int(tally.wire.sum())
    info.captured_bytes, info.truncated = tally.captured, tally.truncated
    info.backwards, info.largest_step_back_ns = tally.backwards, tally.step_back
    if info.packets:
        info.first_ns, info.last_ns = int(tally.first.min()), int(tally.last.max())
    return info


def _describe_file(info: CaptureInfo, capture: Capture) -> None:
    if capture.header is not None:
        info.version = f"{capture.header.major}.{capture.header.minor}"
        info.byte_order = "big" if capture.header.big_endian else "little"
        return
    sections = capture.sections
    info.sections = len(sections)
    info.version = ", ".join(dict.fromkeys(f"{s.version[0]}.{s.version[1]}" for s in sections))
    orders = {"big" if section.big_endian else "little" for section in sections}
    info.byte_order = orders.pop() if len(orders) == 1 else "mixed"
    for name in ("hardware", "os", "application"):
        setattr(info, name, ", ".join(dict.fromkeys(text for s in sections if (text := getattr(s, name)))))
    info.comments = [comment for section in sections for comment in section.comments]


def _only_interface(capture: Capture) -> Interface:
    """Return the one interface of a classic pcap in the words of pcapng."""
    header = capture.header
    assert header is not None, "only classic pcap has a file header"
    resolution = 9 if header.nanoseconds else 6
    return Interface(0, 0, header.link, header.snaplen, resolution, fcs_bytes=header.fcs_bytes)

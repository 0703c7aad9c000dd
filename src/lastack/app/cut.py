"""Cuts packets out of captures into a pcapng file: the original frames with their times and interfaces."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from lastack.app.slice import Slice, capture_rank, packet_number
from lastack.capture.source import Capture, open_capture
from lastack.capture.writer import PcapngWriter
from lastack.model.batch import FRAME
from lastack.model.errors import InputError

_FRAMES = 4096


def cut_packets(found: Slice, path: str, comment: str = "") -> int:
    """Write exactly the packets of a session to a pcapng file and return how many; `-` is standard output.

    ICMP errors that quote the session go along, so that the file alone gives the same record again. Later fragments
    hold no TCP header, so nobody can tell whose they are; they stay out.

    Args:
        found: The session's packets.
        path: The file; it appears under its name when it is complete.
        comment: Comment on the file.

    Raises:
        InputError: A capture no longer has one of the packets.
        AccessError: There is no permission to write there.
    """
    return cut_origins(found.captures, found.segments["origin"][found.places].tolist(), path, comment)


def cut_origins(captures: Sequence[str], origins: Sequence[int], path: str, comment: str = "") -> int:
    """Write some packets of captures to a pcapng file and return how many.

    Args:
        captures: The captures.
        origins: Place of the capture and number of the packet in it; the numbers of each capture must rise.
        path: The file; it appears under its name when it is complete.
        comment: Comment on the file.

    Raises:
        InputError: A capture no longer has one of the packets.
        AccessError: There is no permission to write there.
    """
    numbers: dict[int, list[int]] = {}
    for origin in origins:
        numbers.setdefault(capture_rank(origin), []).append(packet_number(origin))
    with PcapngWriter(path, comment=comment) as writer:
        frames = {rank: _frames(captures[rank], np.array(wanted), writer) for rank, wanted in numbers.items()}
        for origin in origins:
            number, write = next(frames[capture_rank(origin)], (0, None))
            if write is None or number != packet_number(origin):
                name = captures[capture_rank(origin)]
                raise InputError(f"{name}: changed while it was read; try again when nothing writes to it")
            writer.write(**write)
    return len(origins)


def _frames(path: str, wanted: Any, writer: PcapngWriter) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, what to write) of the wanted packets of a capture, in rising order; nothing after the last."""
    frames = np.zeros(_FRAMES, FRAME)
    known: dict[tuple[int, int], int] = {}
    with open_capture(path) as capture:
        before = 0
        for window in capture.windows():
            while count := capture.walk(window, frames):
                first, last = np.searchsorted(wanted, [before + 1, before + count + 1])
                for number in wanted[first:last].tolist():
                    frame = frames[number - before - 1]
                    at = int(window.base) + int(frame["offset"])
                    place = (int(frame["link"]), int(frame["iface"]))
                    if place not in known:
                        known[place] = _interface(capture, *place, writer)
                    yield (
                        number,
                        {
                            "ts_ns": int(frame["ts_ns"]),
                            "data": ctypes.string_at(at, int(frame["caplen"])),
                            "wirelen": int(frame["wirelen"]),
                            "interface": known[place],
                        },
                    )
                before += count
                if before >= wanted[-1]:
                    return


def _interface(capture: Capture, link: int, number: int, writer: PcapngWriter) -> int:
    """Describe an interface of a capture in the new file and return its number there."""
    if capture.header is None and number < len(capture.interfaces):
        source = capture.interfaces[number]
        return writer.add_interface(link, source.snaplen, source.name, source.description)
    snaplen = capture.header.snaplen if capture.header is not None else 0
    return writer.add_interface(link, snaplen, "", f"from {PurePath(capture.name).name}")

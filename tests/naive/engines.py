"""Engines that turn a list of packets into rows: the twin, the twin through a file, and the real one.

An engine is any callable from a list of `Packet` to rows in the twin's form.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.naive.packets import Packet
from tests.naive.reader import read
from tests.naive.rows import Row, from_table
from tests.naive.tracker import track
from tests.naive.write import to_bytes, write

Engine = Callable[[Sequence[Packet]], list[Row]]


def naive(packets: Sequence[Packet]) -> list[Row]:
    """Track with the twin."""
    return track(packets)


def naive_through_file(packets: Sequence[Packet]) -> list[Row]:
    """Track with the twin what its reader makes of a file with these packets."""
    return track(read(to_bytes(packets)).packets)


def from_path(track_path: Callable[[Path], list[Row]]) -> Engine:
    """Return an engine that hands a capture file with the packets to a function of a path."""

    def engine(packets: Sequence[Packet]) -> list[Row]:
        with tempfile.TemporaryDirectory() as folder:
            return track_path(write(Path(folder) / "packets.pcap", packets))

    return engine


def fast() -> Engine:
    """Return the real engine."""
    import lastack

    return from_path(lambda path: from_table(lastack.track(path).table))

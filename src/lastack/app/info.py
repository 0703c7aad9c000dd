"""What is in a capture: the file's own facts, and where its packets go when they are decoded."""

from __future__ import annotations

from lastack.app.options import TrackOptions
from lastack.app.pipeline import track_captures
from lastack.capture.info import CaptureInfo, describe
from lastack.tracking.ledger import Ledger

_ENOUGH_SESSIONS = 100_000  # rows are not wanted, so that a small table will do


def inspect_capture(name: str) -> tuple[CaptureInfo, Ledger | None]:
    """Return the facts of a capture file and the ledger of its packets, None for a stream that is read once.

    Raises:
        InputError: It is not a capture, or nothing of it can be read.
        AccessError: There is no permission to read it.
    """
    info = describe(name)
    if name == "-" or info.packets == 0:
        return info, None
    options = TrackOptions(max_sessions=_ENOUGH_SESSIONS)
    return info, track_captures([name], options, lambda batch: None).ledger

"""Windows of streams: their buffer is memory, so it stays small however large a window is wanted."""

from __future__ import annotations

import pytest

from lastack.capture import window
from lastack.capture.window import StreamBuffer


class Zeros:
    """A stream of so many zeros."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readinto(self, view: memoryview) -> int:
        """Put zeros into a view."""
        count = min(self.left, len(view))
        view[:count] = bytes(count)
        self.left -= count
        return count

    def ready(self, timeout_s: float) -> bool:
        """Say that there are some."""
        return True


def test_buffer__takes_no_more_than_it_wants_unless_a_record_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "_BUFFER_WANTED", 1000)
    buffer = StreamBuffer(Zeros(100_000))
    first = buffer.window(0, 50_000)
    assert (first.position, first.end) == (0, 1000)
    assert buffer.window(500, 50_000, least=3000).end == 3000

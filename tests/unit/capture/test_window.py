"""Windows of streams: their buffer is memory, so it stays small however large a window is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastack.capture import window
from lastack.capture.problem import Problems
from lastack.capture.rawbytes import RawBytes
from lastack.capture.window import MappedFile, StreamBuffer, view_of


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


def resident_kib() -> int:
    """Return how much memory of this process are pages of files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


def test_mapped_file__forgets_what_is_dropped_and_finds_it_again(tmp_path: Path) -> None:
    data = bytes(range(256)) * (32 << 10)
    (tmp_path / "x").write_bytes(data)
    raw = RawBytes(tmp_path / "x")
    mapped = MappedFile(raw, Problems())
    window = mapped.window(24, len(data))
    assert view_of(window) == data[24:]
    before = resident_kib()
    mapped.drop(24, len(data) - 1)
    assert resident_kib() <= before - (7 << 10)
    assert view_of(window) == data[24:]
    mapped.close()
    raw.close()

"""Which segments of a dataset are too old, or too many: whole segments leave, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lastack.store.manifest import Segment


@dataclass(frozen=True, slots=True)
class Retention:
    """What a dataset may keep.

    Attributes:
        age_s: Segments whose last row was written longer ago leave; None keeps them.
        size: Bytes of all segments; beyond it the oldest leave; None sets no limit.
    """

    age_s: float | None = None
    size: int | None = None

    def leaving(self, segments: Sequence[Segment], written_s: Sequence[float], now_s: float) -> set[str]:
        """Return the files of the segments that must go.

        Args:
            segments: All segments.
            written_s: When each was written, Unix time.
            now_s: Unix time.
        """
        gone: set[str] = set()
        if self.age_s is not None:
            old = zip(segments, written_s, strict=True)
            gone = {segment.file for segment, time in old if now_s - time > self.age_s}
        if self.size is not None:
            left = sum(segment.size for segment in segments if segment.file not in gone)
            order = sorted(range(len(segments)), key=lambda n: written_s[n])
            for number in order:
                if left <= self.size:
                    break
                if segments[number].file not in gone:
                    gone.add(segments[number].file)
                    left -= segments[number].size
        return gone

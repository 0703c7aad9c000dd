"""Segments that wait on the disk to be sent on: each is there until it has arrived, and survives the process.

A segment is immutable, so that a hard link is a copy that costs nothing, and the dataset may merge or let go its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from lastack.store.compact import sync

FOLDER = ".spool"
_SUFFIX = ".parquet"


class Spool:
    """A folder of segments in the order in which they came.

    Args:
        folder: Where they are; made if need be, with what is in it from before.
        most_bytes: Bytes that may wait; a segment beyond that is not taken, and counted.

    Attributes:
        dropped_rows: Rows of segments that were not taken, because the spool was full or the disk refused.
        dropped: Segments that were not taken.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.dropped = self.dropped_rows = 0
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)
        found = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        self._waiting = {file: file.stat().st_size for file in found}

    def offer(self, segment: Path, rows: int) -> bool:
        """Take a segment; False, and counted, if it does not fit or the disk refuses.

        Args:
            segment: Its file, whole and synchronised.
            rows: Rows in it.
        """
        target = self.folder / segment.name
        try:
            size = segment.stat().st_size
            with self._lock:
                fits = sum(self._waiting.values()) + size <= self.most_bytes
            if fits:
                _link(segment, target)
                sync(self.folder)
        except OSError:
            fits = False
        with self._lock:
            if fits:
                self._waiting[target] = size
            else:
                self.dropped += 1
                self.dropped_rows += rows
        return fits

    def first(self) -> Path | None:
        """Return the segment that has waited longest, None if none does."""
        with self._lock:
            return next(iter(self._waiting), None)

    def done(self, segment: Path) -> None:
        """Let a segment go that has arrived."""
        with contextlib.suppress(OSError):  # it comes again after a restart, and is recognised
            segment.unlink(missing_ok=True)
        with self._lock:
            self._waiting.pop(segment, None)

    def set_aside(self, segment: Path) -> None:
        """Let a segment go that cannot be sent, under a name that people find."""
        with contextlib.suppress(OSError):
            segment.replace(segment.with_suffix(".bad"))
        with self._lock:
            self._waiting.pop(segment, None)
            self.dropped += 1

    @property
    def files(self) -> int:
        """Segments that wait."""
        with self._lock:
            return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        with self._lock:
            return sum(self._waiting.values())


def _link(segment: Path, target: Path) -> None:
    try:
        os.link(segment, target)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links, or another one
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            shutil.copyfile(segment, temporary)
            sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

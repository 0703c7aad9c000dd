"""The kept sessions that are served: folders, opened again when their manifests change, or a database."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lastack.app.grouped import Source
from lastack.app.sessions import open_inputs, run_of_parts
from lastack.model.errors import InputError, LastackError
from lastack.store.clickhouse_stored import ClickHouseSessions
from lastack.store.dataset import Dataset
from lastack.store.manifest import NAME, Run
from lastack.store.place import is_database, place_of
from lastack.store.stored import Folders, Part, Stored

_TRIES = 3
#: A database is asked no more often whether sessions have come.
_ASK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The kept sessions as they were at one moment.

    Attributes:
        stored: The sessions.
        parts: What they are in.
        inputs: What they are in, as inputs of a question.
        run: What was read to make them, all as one; its ends are those of the rows where a run is still going on.
        version: Changes whenever sessions come or go.
        threads: Threads that questions use, None for as many as there are processors.
    """

    stored: Stored
    parts: tuple[Part, ...]
    inputs: tuple[str, ...]
    run: Run
    version: str
    threads: int | None = None

    @property
    def source(self) -> Source:
        """The sessions, to be asked."""
        return Source(self.stored, self.run, list(self.notes), self.threads)

    @property
    def rows(self) -> int:
        """Sessions in all of them."""
        return sum(part.rows for part in self.parts)

    @property
    def growing(self) -> bool:
        """Whether a run is still writing one of them."""
        return any(part.state == "growing" for part in self.parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know of them."""
        return tuple(part.note for part in self.parts if part.state == "partial")


class _Shelf(Protocol):
    """Where a server's sessions are."""

    def stamp(self) -> str:
        """Return what changes whenever sessions come or go."""

    def open(self) -> tuple[Stored, Run]:
        """Return the sessions, and what was read to make them."""


class Library:
    """The kept sessions of a server.

    Args:
        paths: Folders of datasets, or one URL of a database.
        threads: Threads that questions use, None for as many as there are processors.

    Raises:
        InputError: One of them is no dataset.
        UsageError: A database is named beside something else.
    """

    def __init__(self, paths: Sequence[str], threads: int | None = None) -> None:
        shelf: _Shelf
        if any(is_database(path) for path in paths):
            self.folders: tuple[str, ...] = ()
            self.names = tuple(place_of(path).last for path in paths)
            self._inputs = tuple(paths)
            shelf = _Database(paths)
        else:
            self.folders = self._inputs = tuple(str(Path(path).resolve()) for path in paths)
            self.names = tuple(Path(path).name for path in self.folders)
            shelf = _Folders(self.folders)
        self._shelf = shelf
        self._threads = threads
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._asked = time.monotonic()
        self._snapshot = self._open(shelf.stamp())

    def snapshot(self) -> Snapshot:
        """Return the sessions as they are now, or in a database as they were some seconds ago; never waits for long.

        Raises:
            InputError: One of the places is gone or damaged.
        """
        if not self.folders:
            self._refresh_soon()
            return self._snapshot
        with self._lock:
            for left in reversed(range(_TRIES)):
                stamp = self._shelf.stamp()
                if stamp == self._snapshot.version:
                    break
                try:
                    self._snapshot = self._open(stamp)
                except InputError:
                    # A compactor may have replaced segments between the manifest and the look at its files.
                    if not left or stamp == self._shelf.stamp():
                        raise
            return self._snapshot

    def _refresh_soon(self) -> None:
        """Ask a database what is new, beside what goes on: it may take as long as the network likes."""
        due = time.monotonic() - self._asked >= _ASK_AGAIN_S
        if due and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="refresh", daemon=True).start()

    def _refresh(self) -> None:
        try:
            stamp = self._shelf.stamp()
            if stamp != self._snapshot.version:
                self._snapshot = self._open(stamp)
        except LastackError:
            pass  # who asks a question is told
        finally:
            self._asked = time.monotonic()
            self._refreshing.release()

    def _open(self, stamp: str) -> Snapshot:
        stored, run = self._shelf.open()
        parts = tuple(
            part if not part.note else _named(part, name)
            for part, name in zip(stored.parts, self.names, strict=True)
        )
        return Snapshot(stored, parts, self._inputs, run, stamp, self._threads)


def _named(part: Part, name: str) -> Part:
    """Return a part whose note does not tell its folder."""
    return Part(
        part.name, part.rows, part.state, part.segments, part.runs, part.note.replace(part.name, name, 1)
    )


class _Folders:
    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def stamp(self) -> str:
        parts = []
        for path in self._paths:
            try:
                found = (Path(path) / NAME).stat()
            except OSError as reason:
                raise InputError(f"{Path(path).name}: not a dataset (any more): {reason.strerror}") from None
            parts.append(f"{found.st_mtime_ns}-{found.st_ino}-{found.st_size}")
        return _digest(parts)

    def open(self) -> tuple[Stored, Run]:
        stored = Folders([Dataset.open(path, partial=True) for path in self._paths])
        # A run that is not over has told no times, so that the rows must.
        starts = [
            ns for one in stored.datasets for segment in one.manifest.segments for ns in segment.start_ns
        ]
        seen = Run(first_ns=min(starts, default=None), last_ns=max(starts, default=None))
        return stored, run_of_parts(stored).merged(seen)


class _Database:
    def __init__(self, paths: Sequence[str]) -> None:
        _, stored = open_inputs(paths, [])
        assert isinstance(stored, ClickHouseSessions), "what else has a URL was refused"
        self._stored = stored

    def stamp(self) -> str:
        return _digest([self._stored.stamp])

    def open(self) -> tuple[Stored, Run]:
        return self._stored, run_of_parts(self._stored)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]

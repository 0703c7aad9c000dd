"""The datasets that are served: opened once, opened again when their manifests change."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastack.app.grouped import Source
from lastack.model.errors import InputError
from lastack.store.dataset import Dataset, incomplete
from lastack.store.manifest import NAME, Manifest, Run

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The datasets as they were at one moment.

    Attributes:
        datasets: The datasets.
        run: What was read to make them, all as one; its ends are those of the rows where a run is still going on.
        version: Changes whenever a manifest does.
        growing: A run is still writing one of them.
        notes: What a person must know of them.
        threads: Threads that questions use, None for as many as there are processors.
    """

    datasets: tuple[Dataset, ...]
    run: Run
    version: str
    growing: bool
    notes: tuple[str, ...]
    threads: int | None = None

    @property
    def source(self) -> Source:
        """The sessions, to be asked."""
        return Source(list(self.datasets), self.run, list(self.notes), self.threads)

    @property
    def rows(self) -> int:
        """Sessions in all of them."""
        return sum(dataset.rows for dataset in self.datasets)


class Library:
    """The datasets of a server.

    Args:
        paths: Their folders.
        threads: Threads that questions use, None for as many as there are processors.

    Raises:
        InputError: One of them is no dataset.
    """

    def __init__(self, paths: Sequence[str], threads: int | None = None) -> None:
        self.paths = tuple(str(Path(path).resolve()) for path in paths)
        self.names = tuple(Path(path).resolve().name for path in paths)
        self._threads = threads
        self._lock = threading.Lock()
        self._snapshot = self._open(self._stamp())

    def snapshot(self) -> Snapshot:
        """Return the datasets as they are now; cheap while nothing changes.

        Raises:
            InputError: One of them is gone or damaged.
        """
        with self._lock:
            for left in reversed(range(_TRIES)):
                stamp = self._stamp()
                if stamp == self._snapshot.version:
                    break
                try:
                    self._snapshot = self._open(stamp)
                except InputError:
                    # A compactor may have replaced segments between the manifest and the look at its files.
                    if not left or stamp == self._stamp():
                        raise
            return self._snapshot

    def _stamp(self) -> str:
        parts = []
        for path in self.paths:
            try:
                found = (Path(path) / NAME).stat()
            except OSError as reason:
                raise InputError(f"{Path(path).name}: not a dataset (any more): {reason.strerror}") from None
            parts.append(f"{found.st_mtime_ns}-{found.st_ino}-{found.st_size}")
        return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]

    def _open(self, stamp: str) -> Snapshot:
        datasets = tuple(Dataset.open(path, partial=True) for path in self.paths)
        run, notes = Run(), []
        for name, dataset in zip(self.names, datasets, strict=True):
            run = run.merged(_whole(dataset.manifest))
            if dataset.manifest.state == "partial":
                notes.append(f"{name}: {incomplete(dataset.manifest)}")
        growing = any(dataset.manifest.state == "growing" for dataset in datasets)
        return Snapshot(datasets, run, stamp, growing, tuple(notes), self._threads)


def _whole(manifest: Manifest) -> Run:
    """Return the run of a manifest; a run that is not over has told no times, so that the rows must."""
    starts = [ns for segment in manifest.segments for ns in segment.start_ns]
    seen = Run(first_ns=min(starts, default=None), last_ns=max(starts, default=None))
    return manifest.run.merged(seen)

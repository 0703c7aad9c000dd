"""The sessions that stand open beside a dataset: the last snapshot of the watch that writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lastack.store.dataset import Dataset
from lastack.store.manifest import Segment
from lastack.store.roll import OPEN_FILE


def open_now(dataset: Dataset) -> tuple[Dataset, int] | None:
    """Return the open sessions as a dataset of their own, and when that was (ns since the epoch); None without.

    Their file is replaced as a whole every few seconds, so that reading it may fail once in a while.

    Args:
        dataset: What the watch writes to.
    """
    folder = dataset.path
    if dataset.manifest.state != "growing" or not isinstance(folder, Path):
        return None
    try:
        found = (folder / OPEN_FILE).stat()
    except OSError:
        return None
    alone = replace(dataset.manifest, segments=(Segment(OPEN_FILE, 0, found.st_size, ()),))
    return Dataset(folder, alone, dataset.classes), found.st_mtime_ns

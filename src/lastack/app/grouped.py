"""Answers grouped questions about any mix of captures and datasets."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.app.options import Progress, TrackOptions
from lastack.app.sessions import open_inputs, run_notes, run_of, run_of_parts, track, with_dataset
from lastack.query.ast import Node
from lastack.query.questions import Grouped, GroupedAnswer, Histogram
from lastack.store.dataset import Dataset, Order
from lastack.store.manifest import Run
from lastack.store.stored import Stored
from lastack.store.writer import DatasetWriter


@dataclass(slots=True)
class Source:
    """Sessions that can be asked, as often as needed.

    Attributes:
        stored: Where they are.
        run: What was read to make them.
        notes: What a person must know of the input.
        threads: Threads that questions use, None for as many as there are processors.
    """

    stored: Stored
    run: Run = field(default_factory=Run)
    notes: list[str] = field(default_factory=list)
    threads: int | None = None

    def grouped(self, question: Grouped) -> GroupedAnswer:
        """Return the answer to a grouped question; its notes are those of the source."""
        answer = self.stored.grouped(question, self.threads)
        answer.notes = list(self.notes)
        return answer

    def histogram(self, question: Histogram) -> list[tuple[Any, list[int]]]:
        """Return the counts of a histogram, for each value of its key."""
        return self.stored.histogram(question, self.threads)

    def scan(
        self,
        where: Node | None = None,
        columns: Sequence[str] | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Yield the rows that pass a filter as RecordBatches."""
        return self.stored.scan(where, columns, order, limit)

    def used_ports(self) -> NDArray[np.uint64]:
        """Return the ids, sorted, of sessions that a box may take for one with another on the same four-tuple."""
        return self.stored.used_ports(self.threads)


@contextlib.contextmanager
def open_source(
    inputs: Sequence[str], options: TrackOptions | None = None, progress: Progress | None = None
) -> Iterator[Source]:
    """Yield the sessions of captures and datasets; captures are tracked into a dataset that goes afterwards.

    Args:
        inputs: Captures and datasets in any mix; `-` is standard input.
        options: How to track captures.
        progress: Told how far the reading is.

    Raises:
        InputError: An input is neither a capture nor a dataset, or nothing of it can be read.
    """
    options = options or TrackOptions()
    notes: list[str] = []
    captures, stored = open_inputs(inputs, notes, options.dataset_classes)
    source = Source(stored, run_of_parts(stored), notes, options.threads)
    if not captures:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="lastack-ask-") as folder:
        path = Path(folder) / "sessions"
        with DatasetWriter(path) as writer:
            run = run_of(track(captures, options, writer.write, progress))
            writer.finish(run)
        source.stored = with_dataset(stored, Dataset.open(path))
        source.run = source.run.merged(run)
        source.notes += run_notes(run)
        yield source

"""Answers a question about sessions from any mix of captures and datasets, as a stream of batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastack.app.options import Progress, RunSummary, TrackOptions
from lastack.model.errors import InputError
from lastack.query.ast import Node
from lastack.query.mask import filter_rows
from lastack.query.zones import Classes
from lastack.store.dataset import Dataset, Order, incomplete, scan_datasets
from lastack.store.manifest import NAME, Run
from lastack.store.writer import DatasetWriter

Sink = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows, in which order, how many.

    Attributes:
        where: Filter, None for all rows.
        columns: Columns needed, None for all.
        order: Sort by a metric; None keeps the order in which sessions leave.
        limit: Rows at most.
    """

    where: Node | None = None
    columns: tuple[str, ...] | None = None
    order: Order | None = None
    limit: int | None = None


@dataclass(slots=True)
class Answer:
    """What came of a question.

    Attributes:
        run: What was read, captures and datasets together.
        rows: Rows handed to the sink.
        notes: What the reader of the answer must know: damaged input, datasets that are not whole.
    """

    run: Run = field(default_factory=Run)
    rows: int = 0
    notes: list[str] = field(default_factory=list)


def track(
    captures: Sequence[str], options: TrackOptions, sink: Sink, progress: Progress | None
) -> RunSummary:
    """Run the tracker; it is loaded here, as a question to a dataset must not wait for the compiler."""
    from lastack.app.pipeline import track_captures

    return track_captures(captures, options, sink, progress)


class _Enough(Exception):  # noqa: N818  (control flow, not an error: the limit is reached)
    """Ends the reading of a capture when no further row is wanted."""


def ask(
    inputs: Sequence[str],
    question: Question,
    sink: Sink,
    options: TrackOptions | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Hand the rows that answer a question to `sink`, batch by batch, in bounded memory.

    A sorted answer from captures goes through a temporary dataset, so that sorting may use the disk.

    Args:
        inputs: Captures and datasets in any mix; `-` is standard input.
        question: Which rows.
        sink: Called with each batch.
        options: How to track captures.
        progress: Told how far the reading is.

    Raises:
        InputError: An input is neither a capture nor a dataset, or nothing of it can be read.
    """
    answer = Answer()
    options = options or TrackOptions()
    captures, datasets = open_inputs(inputs, answer.notes, options.dataset_classes)
    for dataset in datasets:
        answer.run = answer.run.merged(dataset.summary)
    counted = _Counted(sink, answer)
    if not captures:
        _scan(datasets, question, counted)
        return answer
    if question.order is None:
        _scan(datasets, question, counted)
        _stream(captures, question, counted, options, progress)
    else:
        _sorted(captures, datasets, question, counted, options, progress)
    return answer


def open_inputs(
    inputs: Sequence[str], notes: list[str], classes: Classes | None = None
) -> tuple[list[str], list[Dataset]]:
    """Return the captures and the opened datasets among the inputs.

    Args:
        inputs: Captures and datasets in any mix; `-` is standard input.
        notes: Told of datasets that are not whole.
        classes: Zones and applications for the sessions of datasets, None to leave them as they were kept.
    """
    captures: list[str] = []
    datasets: list[Dataset] = []
    for name in inputs:
        path = Path(name)
        if name != "-" and path.is_dir():
            dataset = Dataset.open(path, partial=True)
            if dataset.manifest.state != "complete":
                notes.append(f"{name}: {incomplete(dataset.manifest)}")
            datasets.append(dataset.classified(classes))
        elif path.name == NAME and path.is_file():
            raise InputError(f"{name}: name the dataset's folder, {path.parent}")
        else:
            captures.append(name)
    return captures, datasets


class _Counted:
    """Passes batches on, counts rows, and stops when the limit is reached."""

    def __init__(self, sink: Sink, answer: Answer) -> None:
        self._sink = sink
        self.answer = answer

    def pass_on(self, batch: Any, limit: int | None) -> None:
        room = batch.num_rows if limit is None else limit - self.answer.rows
        if batch.num_rows > room:
            batch = batch.slice(0, room)
        if batch.num_rows:
            self._sink(batch)
            self.answer.rows += batch.num_rows
        if limit is not None and self.answer.rows >= limit:
            raise _Enough


def _scan(datasets: list[Dataset], question: Question, counted: _Counted) -> None:
    rows = scan_datasets(datasets, question.where, question.columns, question.order, question.limit)
    for batch in rows:
        counted.pass_on(batch, None)


def _stream(
    captures: list[str],
    question: Question,
    counted: _Counted,
    options: TrackOptions,
    progress: Progress | None,
) -> None:
    def take(batch: Any) -> None:
        batch = filter_rows(question.where, batch)
        if question.columns is not None:
            batch = batch.select(list(question.columns))
        counted.pass_on(batch, question.limit)

    if question.limit is not None and counted.answer.rows >= question.limit:
        return
    try:
        _note(track(captures, options, take, progress), counted.answer)
    except _Enough:
        counted.answer.notes.append(
            f"stopped at {question.limit} rows: the rest of the input was not read (sort to read all of it)"
        )


def _sorted(
    captures: list[str],
    datasets: list[Dataset],
    question: Question,
    counted: _Counted,
    options: TrackOptions,
    progress: Progress | None,
) -> None:
    with tempfile.TemporaryDirectory(prefix="lastack-sort-") as folder:
        path = Path(folder) / "rows"
        with DatasetWriter(path) as writer:

            def spool(batch: Any) -> None:
                writer.write(filter_rows(question.where, batch))

            summary = track(captures, options, spool, progress)
            writer.finish(Run())
        _note(summary, counted.answer)
        _scan([*datasets, Dataset.open(path)], question, counted)


def _note(summary: RunSummary, answer: Answer) -> None:
    run = run_of(summary)
    answer.run = answer.run.merged(run)
    answer.notes += run_notes(run)


def run_of(summary: RunSummary) -> Run:
    """Return what a dataset's manifest keeps of a run over captures."""
    ledger = summary.ledger
    return Run(
        captures=tuple(summary.captures),
        first_ns=summary.first_ns,
        last_ns=summary.last_ns,
        sessions=summary.sessions,
        evicted=summary.evicted,
        packets=ledger.packets,
        segments=ledger.segments,
        stray=ledger.stray,
        drops={drop.name: count for drop, count in sorted(ledger.drops.items()) if count},
        encaps={encap.name: count for encap, count in sorted(ledger.encaps.items()) if count},
        links={str(link): count for link, count in sorted(ledger.links.items()) if count},
        backwards=ledger.backwards,
        lost=dict(summary.lost),
        problems=tuple(str(problem) for problem in summary.problems),
    )


def run_notes(run: Run) -> list[str]:
    """Return what a person must know about a run beside its rows."""
    notes = list(run.problems)
    if run.evicted:
        notes.append(
            f"the session table was full: {run.evicted:,} sessions left early (observed = evicted); "
            "a larger --max-sessions keeps them"
        )
    if run.residual:
        notes.append(f"the ledger does not balance: {run.residual:,} packets are nowhere; please report this")
    return notes

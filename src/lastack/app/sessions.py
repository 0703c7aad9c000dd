"""Answers a question about sessions from any mix of captures and datasets, as a stream of batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastack.app.clock_notes import clock_notes
from lastack.app.options import Progress, RunSummary, TrackOptions
from lastack.model.errors import InputError, UsageError
from lastack.query.ast import Node
from lastack.query.mask import filter_rows
from lastack.query.zones import Classes
from lastack.store.dataset import Dataset, Order
from lastack.store.manifest import NAME, Run, is_dataset
from lastack.store.place import is_database, is_url, place_of
from lastack.store.s3 import root_of
from lastack.store.stored import Folders, Stored

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

    if far := [name for name in captures if is_url(name)]:
        raise UsageError(
            f"{far[0]}: a capture in an S3 store is read by analyze: lastack analyze {far[0]!r} -o DATASET"
        )
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
    captures, stored = open_inputs(inputs, answer.notes, options.dataset_classes)
    answer.run = run_of_parts(stored)
    counted = _Counted(sink, answer)
    if not captures:
        _scan(stored, question, counted)
        return answer
    if question.order is None:
        _scan(stored, question, counted)
        _stream(captures, question, counted, options, progress)
    else:
        _sorted(captures, stored, question, counted, options, progress)
    return answer


def open_inputs(
    inputs: Sequence[str], notes: list[str], classes: Classes | None = None
) -> tuple[list[str], Stored]:
    """Return the captures among the inputs, and the kept sessions of the others.

    Args:
        inputs: Captures and datasets in any mix, or a database alone; `-` is standard input.
        notes: Told of datasets that are not whole.
        classes: Zones and applications for kept sessions, None to leave them as they were kept.

    Raises:
        UsageError: A database is named beside something else.
    """
    captures: list[str] = []
    datasets: list[Dataset] = []
    for name in inputs:
        path = Path(name)
        if is_database(name):
            return [], _database(name, inputs, classes)
        if is_dataset(root_of(name)) if is_url(name) else name != "-" and path.is_dir():
            datasets.append(Dataset.open(name, partial=True).classified(classes))
        elif path.name == NAME and path.is_file():
            raise InputError(f"{name}: name the dataset's folder, {path.parent}")
        else:
            captures.append(name)
    stored = Folders(datasets)
    notes += [part.note for part in stored.parts if part.note]
    return captures, stored


def _database(name: str, inputs: Sequence[str], classes: Classes | None) -> Stored:
    from lastack.store.clickhouse_server import Server
    from lastack.store.clickhouse_stored import ClickHouseSessions

    place = place_of(name)
    if len(inputs) > 1:
        raise UsageError(
            f"{place.shown}: a database is asked alone, and there are other inputs; bring them there with "
            "`lastack dataset push`"
        )
    return ClickHouseSessions(Server(place), classes)


def run_of_parts(stored: Stored) -> Run:
    """Return what was read to make kept sessions, all of it as one."""
    whole = Run()
    for part in stored.parts:
        for run in part.runs:
            whole = whole.merged(run)
    return whole


def with_dataset(stored: Stored, dataset: Dataset) -> Stored:
    """Return kept sessions with those of one more dataset."""
    assert isinstance(stored, Folders), "captures are read beside folders only"
    return Folders([*stored.datasets, dataset])


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


def _scan(stored: Stored, question: Question, counted: _Counted) -> None:
    rows = stored.scan(question.where, question.columns, question.order, question.limit)
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
    stored: Stored,
    question: Question,
    counted: _Counted,
    options: TrackOptions,
    progress: Progress | None,
) -> None:
    from lastack.store.writer import DatasetWriter  # loads what reads and writes Parquet

    with tempfile.TemporaryDirectory(prefix="lastack-sort-") as folder:
        path = Path(folder) / "rows"
        with DatasetWriter(path) as writer:

            def spool(batch: Any) -> None:
                writer.write(filter_rows(question.where, batch))

            summary = track(captures, options, spool, progress)
            writer.finish(Run())
        _note(summary, counted.answer)
        _scan(with_dataset(stored, Dataset.open(path)), question, counted)


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
        duplicates=summary.duplicates,
        clocks=tuple(summary.clocks),
        clock_offsets=dict(summary.clock_offsets),
    )


def run_notes(run: Run) -> list[str]:
    """Return what a person must know about a run beside its rows."""
    notes = list(run.problems)
    if run.evicted:
        notes.append(
            f"the session table was full: {run.evicted:,} sessions left early (observed = evicted); "
            "a larger --max-sessions keeps them"
        )
    for clock in run.clocks:
        notes += clock_notes(clock, dropped=run.duplicates > 0)
    if run.duplicates:
        notes.append(f"{run.duplicates:,} packets were in captures of two sensors, and are counted once")
    if run.residual:
        notes.append(f"the ledger does not balance: {run.residual:,} packets are nowhere; please report this")
    return notes

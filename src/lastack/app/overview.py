"""Makes the overview of captures and datasets, and keeps the sessions of captures in a dataset if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lastack import __version__
from lastack.app.options import Progress, RunSummary, TrackOptions
from lastack.app.sessions import Sink, open_inputs, run_notes, run_of, run_of_parts, track
from lastack.model.errors import UsageError
from lastack.query.ast import Node
from lastack.query.mask import filter_rows
from lastack.query.overview import Overview
from lastack.query.survey import COLUMNS, TOP, Survey
from lastack.store.manifest import Run
from lastack.store.s3 import S3Folder

#: Tracks captures: `app.sessions.track` here, or a run on other processes and machines.
TrackFunction = Callable[[Sequence[str], TrackOptions, Sink, Progress | None], RunSummary]


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the sessions go.

    Attributes:
        path: Folder of the dataset, or an S3 URL.
        mode: What may happen to one that is there.
    """

    path: Path | S3Folder
    mode: Literal["new", "overwrite", "append"] = "new"


@dataclass(slots=True)
class Report:
    """An overview and what it was made from.

    Attributes:
        overview: The numbers.
        run: What was read.
        notes: What the reader must know: damage, limits.
    """

    overview: Overview
    run: Run
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        run = {**asdict(self.run), "residual": self.run.residual}
        return {"lastack": __version__, "run": run, "notes": self.notes, **self.overview.to_json()}


def survey_inputs(
    inputs: Sequence[str],
    where: Node | None = None,
    keep: Keep | None = None,
    options: TrackOptions | None = None,
    progress: Progress | None = None,
    top: int = TOP,
    tracker: TrackFunction = track,
) -> Report:
    """Return the overview of captures and datasets in any mix, in one pass and bounded memory.

    Args:
        inputs: Captures and datasets; `-` is standard input.
        where: Sessions that the overview is about; what is kept is never filtered.
        keep: Dataset that gets the sessions of the captures.
        options: How to track captures.
        progress: Told how far the reading is.
        top: Servers and clients to list.
        tracker: What tracks captures.

    Raises:
        InputError: An input is neither a capture nor a dataset, or nothing of it can be read.
        UsageError: The dataset to keep is in the way of something, or there is no capture to keep.
    """
    notes: list[str] = []
    options = options or TrackOptions()
    captures, stored = open_inputs(inputs, notes, options.dataset_classes)
    if keep is not None and not captures:
        raise UsageError("-o keeps the sessions of captures, and every input is a dataset already")
    survey = Survey()
    run = run_of_parts(stored)
    for batch in stored.scan(where, COLUMNS):
        survey.add(batch)
    if captures:
        tracked = _track(captures, survey, where, keep, options, progress, tracker)
        run = run.merged(tracked)
        notes += run_notes(tracked)
    return Report(survey.overview(run.last_ns, top), run, notes)


def _track(
    captures: list[str],
    survey: Survey,
    where: Node | None,
    keep: Keep | None,
    options: TrackOptions,
    progress: Progress | None,
    tracker: TrackFunction,
) -> Run:
    def look(batch: Any) -> None:
        survey.add(filter_rows(where, batch))

    if keep is None:
        return run_of(tracker(captures, options, look, progress))
    from lastack.store.writer import DatasetWriter  # loads what reads and writes Parquet

    with DatasetWriter(keep.path, keep.mode) as writer:

        def look_and_keep(batch: Any) -> None:
            writer.write(batch)
            look(batch)

        run = run_of(tracker(captures, options, look_and_keep, progress))
        writer.finish(run)
    return run

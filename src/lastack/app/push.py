"""Brings the sessions of a dataset into a ClickHouse database: each once, and again only what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastack.model.errors import InputError, UsageError
from lastack.store.clickhouse_push import Loader, Told, prepare, push_all
from lastack.store.clickhouse_segments import file_source
from lastack.store.dataset import Dataset, incomplete
from lastack.store.place import Place, Where, is_database, place_of

DAY_NS = 86_400 * 10**9
#: Times that a dataset is looked at anew when a watch merges its segments while they are brought.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class PushReport:
    """What was brought.

    Attributes:
        target: The database.
        segments: Segments of the dataset.
        there: Of them, segments that were there already.
        rows: Sessions of the dataset.
        inserted: Sessions that were inserted now.
        seconds: How long it took.
        notes: What a person must know of the dataset.
    """

    target: str
    segments: int
    there: int
    rows: int
    inserted: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def known(self) -> int:
        """Sessions that were there already."""
        return self.rows - self.inserted

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "known": self.known}


def database_of(name: str) -> Place:
    """Return the database that a URL names.

    Raises:
        UsageError: It names none.
    """
    place = place_of(name)
    if place.where is not Where.clickhouse:
        raise UsageError(f"{name}: is no database; write clickhouse://HOST/DATABASE")
    return place


def days_of(keep_ns: int | None) -> int | None:
    """Return a retention in days.

    Raises:
        UsageError: It is shorter than a day.
    """
    if keep_ns is None:
        return None
    if keep_ns < DAY_NS:
        raise UsageError("--keep: a database keeps sessions by days; give 1d or more")
    return keep_ns // DAY_NS


def push_dataset(name: str, target: str, keep_ns: int | None = None, told: Told | None = None) -> PushReport:
    """Bring a dataset into a database; what is there already is not brought again.

    Args:
        name: The dataset: a folder or an S3 URL.
        target: URL of the database.
        keep_ns: How long the database keeps a session after its start; None leaves that as it is.
        told: Called after each insert.

    Raises:
        UsageError: The target is no database, or the dataset is one.
        InputError: The dataset cannot be read, nobody answers, or the tables are of another version.
        AccessError: The server does not let this user in, or not do that.
    """
    place, days = database_of(target), days_of(keep_ns)
    if is_database(name):
        raise UsageError(f"{place_of(name).shown}: is a database already; name the folder of a dataset")
    dataset = Dataset.open(name, partial=True)
    with prepare(place, days) as server:
        loader = Loader(server)
        for left in reversed(range(_TRIES)):
            manifest = dataset.manifest
            sources = [(file_source(dataset.path / one.file), one.rows) for one in manifest.segments]
            try:
                done = push_all(loader, sources, told)
                break
            except FileNotFoundError as gone:  # a watch has merged segments meanwhile
                if not left:
                    raise InputError(f"{name}: {Path(str(gone.filename)).name} is gone; push again") from None
                dataset = Dataset.open(name, partial=True)
        for run in manifest.runs:
            loader.put_run(run)
    notes = [] if manifest.state == "complete" else [f"{name}: {incomplete(manifest)}"]
    return PushReport(place.shown, done.segments, done.there, done.rows, loader.inserted, done.seconds, notes)

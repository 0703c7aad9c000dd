"""Reads a dataset: checks it, and answers filters over its segments through DuckDB, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from lastack.model.arrow import session_schema
from lastack.model.errors import InputError, UsageError
from lastack.model.fields import BY_NAME
from lastack.query.ast import Node
from lastack.query.classify_sql import classified_source
from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.metrics import METRICS, nearest
from lastack.query.sql import filter_sql, metric_sql
from lastack.query.zones import Classes
from lastack.store.conform import conform
from lastack.store.guard import admit
from lastack.store.manifest import Manifest, Run, read_manifest
from lastack.store.s3 import S3Folder, root_of
from lastack.store.s3_duckdb import file_name, register

if TYPE_CHECKING:  # loading DuckDB takes longer than a small capture does
    import duckdb

_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by one metric, smallest first unless `descending`; nulls come last either way."""

    metric: str
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the order that a text names: `duration`, or `-duration` for largest first.

        Raises:
            UsageError: No metric has that name.
        """
        name = text.removeprefix("-").removeprefix("+")
        if name not in METRICS:
            near = nearest(name, list(METRICS))
            hint = f"did you mean {near}?" if near else "`lastack fields` lists the names"
            raise UsageError(f"sort: no field is called {name!r}: {hint}")
        return cls(name, text.startswith("-"))

    def sql(self, dialect: Dialect = DUCKDB) -> str:
        """Return the ORDER BY term."""
        return (
            f"{metric_sql(METRICS[self.metric], dialect)} {'DESC' if self.descending else 'ASC'} NULLS LAST"
        )


class Dataset:
    """A dataset that was checked when it was opened; later writers do not change what it reads."""

    def __init__(self, path: Path | S3Folder, manifest: Manifest, classes: Classes | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.classes = classes
        files = [path / segment.file for segment in manifest.segments]
        #: Its segments, as DuckDB reads them.
        self.files = [file_name(file) if isinstance(file, S3Folder) else str(file) for file in files]

    def classified(self, classes: Classes | None) -> Dataset:
        """Return the dataset as it looks with other zones and applications; with None as it was kept."""
        return Dataset(self.path, self.manifest, classes)

    @classmethod
    def open(cls, path: str | Path | S3Folder, *, partial: bool = False) -> Dataset:
        """Return the dataset in a folder.

        Args:
            path: The folder, or an S3 URL.
            partial: Accept one whose run did not finish; it holds what was written so far.

        Raises:
            InputError: It is no dataset, newer than this LastACK, lacks a segment, or is not complete.
        """
        folder = root_of(path)
        manifest = read_manifest(folder)
        if manifest.state != "complete" and not partial:
            raise InputError(f"{folder}: {incomplete(manifest)}")
        sizes = _sizes(folder, manifest)
        for segment in manifest.segments:
            size = sizes.get(segment.file)
            if size is None:
                raise InputError(f"{folder}: segment {segment.file} is missing; restore it or analyze again")
            if size != segment.size:
                raise InputError(
                    f"{folder / segment.file}: {size} bytes instead of {segment.size}; it is damaged"
                )
        return cls(folder, manifest)

    @property
    def summary(self) -> Run:
        """What was read to make it, all runs as one."""
        return self.manifest.run

    @property
    def rows(self) -> int:
        """Sessions in it."""
        return self.manifest.rows

    def scan(
        self,
        where: Node | None = None,
        columns: Sequence[str] | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Yield the rows that pass a filter as RecordBatches in the record's own types."""
        return scan_datasets([self], where, columns, order, limit)


def _sizes(folder: Path | S3Folder, manifest: Manifest) -> dict[str, int]:
    """Return the bytes of the segments that are there."""
    if isinstance(folder, S3Folder):
        return folder.sizes()
    files = [folder / segment.file for segment in manifest.segments]
    return {file.name: file.stat().st_size for file in files if file.is_file()}


def incomplete(manifest: Manifest) -> str:
    """Return a sentence about a dataset that is not whole."""
    if manifest.state == "growing":
        how = "a run is still writing it, or was killed"
    else:
        how = "the run that wrote it stopped early"
    return f"not complete: {how}; it has {manifest.rows:,} sessions so far"


def connect(threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that keeps everything in memory, loads nothing and reads files only."""
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    if threads is not None:
        connection.execute(f"SET threads = {int(threads)}")
    register(connection)
    admit(connection)
    return connection


def source_of(datasets: Sequence[Dataset]) -> Fragment:
    """Return what stands after FROM to read several datasets as one table, and its values.

    Zones and applications of the first dataset that has some of its own are those of all.
    """
    files = [file for dataset in datasets for file in dataset.files]
    classes = next((d.classes for d in datasets if d.classes is not None), None)
    source = DUCKDB.source(files)
    return source if classes is None else classified_source(classes, source)


def scan_datasets(
    datasets: Sequence[Dataset],
    where: Node | None = None,
    columns: Sequence[str] | None = None,
    order: Order | None = None,
    limit: int | None = None,
) -> Iterator[Any]:
    """Yield the rows of several datasets that pass a filter, one after the other or sorted together."""
    names = list(columns) if columns is not None else list(session_schema().names)
    if not any(dataset.manifest.segments for dataset in datasets) or limit == 0:
        return
    import duckdb

    condition, params = filter_sql(where)
    wanted = ", ".join(f'"{BY_NAME[name].name}"' for name in names)
    source, files = source_of(datasets)
    text = f"SELECT {wanted} FROM {source} WHERE {condition}"
    if order is not None:
        text += f" ORDER BY {order.sql()}"
    if limit is not None:
        text += f" LIMIT {int(limit)}"
    with connect() as connection:
        try:
            reader = _reader(connection, text, [*files, *params])
            for batch in reader:
                if batch.num_rows:
                    yield conform(batch)
        except duckdb.IOException as reason:
            raise InputError(f"{datasets[0].path}: cannot be read: {reason}") from None
        except duckdb.BinderException as reason:
            raise missing_column(reason, datasets) from None


def missing_column(reason: Exception, datasets: Sequence[Dataset]) -> Exception:
    """Return what a person can do about a column that a dataset lacks, or the reason itself if it is another."""
    if "not found in FROM clause" not in str(reason):
        return reason  # a bug of ours, which must be seen
    missing = str(reason).split('"')[1]
    return InputError(
        f"{datasets[0].path}: its sessions have no {missing}: another version of LastACK made it; "
        "analyze the captures again"
    )


def _reader(connection: duckdb.DuckDBPyConnection, text: str, params: list[Any]) -> Any:
    """Return a reader of Arrow batches; DuckDB 1 and 2 name the method differently."""
    relation: Any = connection.sql(text, params=params)
    if hasattr(relation, "to_arrow_reader"):
        return relation.to_arrow_reader(_BATCH_ROWS)
    return relation.fetch_record_batch(_BATCH_ROWS)


def empty_batch(columns: Sequence[str]) -> Any:
    """Return a batch of the record's types with no rows."""
    whole = session_schema()
    fields = [whole.field(name) for name in columns]
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in fields], schema=pa.schema(fields))

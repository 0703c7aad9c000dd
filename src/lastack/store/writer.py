"""Writes a dataset: rows in, immutable Parquet segments out, the manifest last.

A segment is written under a dotted temporary name and renamed when it is whole; in an S3 store it appears when it is
whole. Replacing a dataset writes the new segments beside the old ones; only the last rewrite of the manifest changes
what readers see.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lastack.model.arrow import session_schema
from lastack.model.errors import AccessError, LastackError, UsageError
from lastack.store.manifest import NAME, Manifest, Run, Segment, is_dataset, read_manifest, write_manifest
from lastack.store.s3 import S3Folder, root_of, told

ROW_GROUP = 125_000
SEGMENT_ROWS = 2_000_000


class DatasetWriter:
    """Writes the rows of one run; `finish` makes the dataset whole, `abandon` marks it partial.

    Args:
        path: Folder of the dataset, made if it does not exist, or an S3 URL.
        mode: `new` refuses a folder that holds anything, `overwrite` replaces a dataset, `append` adds to it.
        segment_rows: Rows after which a segment is closed.
    """

    def __init__(
        self,
        path: str | Path | S3Folder,
        mode: Literal["new", "overwrite", "append"] = "new",
        segment_rows: int = SEGMENT_ROWS,
    ) -> None:
        self.path = root_of(path)
        self._before = _prepare(self.path, mode)
        self._visible = mode != "overwrite" or self._before is None
        self._kept = self._before if mode == "append" and self._before is not None else Manifest("growing")
        self._segment_rows = segment_rows
        self._run_id = secrets.token_hex(4)  # two runs into one folder must not share names
        self._segments: list[Segment] = []
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._writer: Any = None
        self._rows = 0
        self._range: tuple[int, int] | None = None
        self._done = False
        if self._visible:
            self._publish("growing")

    def write(self, batch: Any) -> None:
        """Append the rows of a RecordBatch; row groups and segments are closed as they fill."""
        if batch.num_rows == 0:
            return
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._write_group()
        if self._rows >= self._segment_rows:
            self._close_segment()

    def finish(self, run: Run) -> None:
        """Write the rest and make the dataset whole, with what the run read."""
        self._close_segment()
        self._publish("complete", run)
        self._done = True
        if self._before is not None and self._kept.state == "growing":
            _remove(self.path, [segment.file for segment in self._before.segments])

    def abandon(self, run: Run | None = None) -> None:
        """Stop early: what is written stays as a partial dataset, or goes if it was to replace another."""
        if self._done:
            return
        self._done = True
        if not self._visible:
            self._drop_open_segment()
            _remove(self.path, [segment.file for segment in self._segments])
            return
        with contextlib.suppress(
            OSError, LastackError
        ):  # a full disk, or a store that is away, is a reason to be here
            self._close_segment()
        self._drop_open_segment()
        if self._before is None and not self._segments:
            self._vanish()
        else:
            self._publish("partial", run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def _write_group(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting).cast(session_schema())
        self._waiting, self._waiting_rows = [], 0
        with self._told():
            if self._writer is None:
                self._writer = self._open()
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._rows += table.num_rows
        low, high = (pc.min_max(table.column("start_ns"))[end].as_py() for end in ("min", "max"))
        self._range = (
            (low, high) if self._range is None else (min(low, self._range[0]), max(high, self._range[1]))
        )

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return told(self.path) if isinstance(self.path, S3Folder) else contextlib.nullcontext()

    def _open(self) -> Any:
        if isinstance(self.path, S3Folder):
            key, filesystem = (self.path / self._name()).key, self.path.filesystem
            return pq.ParquetWriter(key, session_schema(), compression="zstd", filesystem=filesystem)
        return pq.ParquetWriter(self.path / self._temporary(), session_schema(), compression="zstd")

    def _close_segment(self) -> None:
        self._write_group()
        if self._writer is None:
            return
        with self._told():
            self._writer.close()
        name = self._name()
        if isinstance(self.path, S3Folder):
            size = (self.path / name).size
        else:
            size = (self.path / self._temporary()).replace(self.path / name).stat().st_size
        assert self._range is not None, "a segment is opened by its first rows"
        self._segments.append(Segment(name, self._rows, size, self._range))
        self._writer, self._rows, self._range = None, 0, None
        if self._visible:
            self._publish("growing")

    def _name(self) -> str:
        return f"sessions-{self._run_id}-{len(self._segments):06}.parquet"

    def _temporary(self) -> str:
        return f".{self._name()}.tmp"

    def _drop_open_segment(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError, LastackError, pa.ArrowException):
                self._writer.close()
            self._writer = None
        with contextlib.suppress(LastackError):  # a store that is away keeps what nothing names
            _remove(self.path, [self._name() if isinstance(self.path, S3Folder) else self._temporary()])

    def _vanish(self) -> None:
        """Take back a dataset that never got a row, so that the next run finds the place free."""
        _remove(self.path, [NAME])
        if isinstance(self.path, Path):
            with contextlib.suppress(OSError):  # somebody put something there meanwhile
                self.path.rmdir()

    def _publish(self, state: str, run: Run | None = None) -> None:
        runs = self._kept.runs if run is None else (*self._kept.runs, run)
        segments = (*self._kept.segments, *self._segments)
        write_manifest(self.path, replace(self._kept, state=state, segments=segments, runs=runs))


def _prepare(path: Path | S3Folder, mode: str) -> Manifest | None:
    """Make the folder, or refuse what is there; return the manifest of the dataset that is there."""
    try:
        if isinstance(path, Path) and path.exists() and not path.is_dir():
            raise UsageError(f"{path}: is a file; a dataset is a folder, name another place")
        if is_dataset(path):
            if mode == "new":
                raise UsageError(f"{path}: is a dataset; --overwrite replaces it, --append adds to it")
            return read_manifest(path)
        if any(path.sizes()) if isinstance(path, S3Folder) else path.is_dir() and any(path.iterdir()):
            raise UsageError(f"{path}: is a folder with other things in it; name a new one for the dataset")
        if isinstance(path, Path):
            path.mkdir(parents=True, exist_ok=True)
    except PermissionError as reason:
        raise AccessError(f"{path}: cannot be written ({reason.strerror}); choose another place") from None
    return None


def _remove(folder: Path | S3Folder, names: list[str]) -> None:
    for name in names:
        file = folder / name
        if isinstance(file, S3Folder):
            file.remove()
        else:
            file.unlink(missing_ok=True)

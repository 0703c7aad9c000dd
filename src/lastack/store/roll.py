"""The dataset of a run that does not end: rows are held until the next roll, then become a segment at once.

A roll writes a Parquet file under a temporary name, renames it and then rewrites the manifest; a process that is
killed loses what came after its last roll and nothing before, and what was open is kept as its last snapshot has it.
Where the disk refuses, rows stay in memory up to a limit and the next roll tries again. Old files that were merged or
let go stay a while, for readers that began before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lastack.model.arrow import session_schema
from lastack.model.errors import AccessError, UsageError
from lastack.store.compact import choose, merge, sync
from lastack.store.manifest import NAME, Manifest, Run, Segment, is_dataset, read_manifest, write_manifest
from lastack.store.recover import OPEN_KEY, recover
from lastack.store.retention import Retention
from lastack.store.spool import FOLDER as SPOOL
from lastack.store.writer import ROW_GROUP

#: Sessions that are open now, beside the segments: replaced as a whole at each snapshot, no part of the manifest.
OPEN_FILE = "open.parquet"
_PREFIX = "live-"
_LOCK = ".watch.lock"
_GRACE_S = 120.0
_MOST_RUNS = 50
_MOST_PROBLEMS = 100
_DAY_S = 86_400.0


class RollingStore:
    """A dataset that grows until `finish`.

    Args:
        path: Folder of the dataset; one that is there is continued.
        most_held: Rows that wait at most while the disk refuses them; older ones are then lost, and counted.
        retention: What to keep.
        made: Called with the file of each segment that is made, before the manifest names it, and its rows.

    Raises:
        UsageError: The folder holds other things, or another watch writes to it.
        InputError: The dataset there is damaged, or of a newer LastACK.
        AccessError: The folder may not be written.

    Attributes:
        held: Rows that wait for the next roll.
        rows: Rows of this run that are in segments.
        lost: Rows that were lost because the disk refused them for too long.
        trouble: Why the last attempt to write failed, empty when all is well.
        resumed: The run before did not end properly.
        recovered: Sessions of that run that were open and are kept.
    """

    def __init__(
        self,
        path: str | Path,
        most_held: int = 500_000,
        retention: Retention | None = None,
        made: Callable[[Path, int], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.retention = retention or Retention()
        self.held = self.rows = self.lost = 0
        self.trouble = ""
        self._most_held = most_held
        self._made = made
        self._lock = _locked(self.path)
        before = read_manifest(self.path) if is_dataset(self.path) else Manifest("complete")
        self.resumed = before.state == "growing"
        self.recovered = 0
        self._manifest = replace(before, state="growing", runs=_few(before.runs))
        self._run: Run | None = None
        self._id = secrets.token_hex(4)
        self._number = 0
        self._waiting: list[Any] = []
        self._leaving: list[tuple[float, str]] = []
        if self.resumed:
            self._recover()
        write_manifest(self.path, self._manifest)
        self._clear_up()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Segments of the dataset."""
        return self._manifest.segments

    @property
    def run(self) -> Run | None:
        """What this run has read, as it was told at the last roll."""
        return self._run

    @property
    def row_count(self) -> int:
        """Rows of all segments."""
        return self._manifest.rows

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._manifest.segments)

    def write(self, batch: Any) -> None:
        """Hold the rows of a record batch until the next roll."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self.held += batch.num_rows
        while self.held > self._most_held and len(self._waiting) > 1:
            gone = self._waiting.pop(0).num_rows
            self.held -= gone
            self.lost += gone

    def roll(self, run: Run) -> bool:
        """Make a segment of the rows held and publish it; False, and `trouble`, if the disk refuses.

        Args:
            run: What this run has read so far.
        """
        self._run = run
        try:
            if self._waiting:
                self._write_segment()
            self._publish("growing")
        except (OSError, pa.ArrowException) as error:
            self.trouble = _reason(error)
            self._clear_temporary()
            self._let_go(time.monotonic() + _GRACE_S + 1)
            return False
        self.trouble = ""
        return True

    def snapshot(self, batch: Any, total: int) -> bool:
        """Replace the file of the sessions that are open now; False if the disk refuses.

        Args:
            batch: The sessions, as many as are to be kept.
            total: How many are open.
        """
        temporary = self.path / f".{OPEN_FILE}.tmp"
        try:
            table = pa.Table.from_batches([batch]).cast(session_schema())
            table = table.replace_schema_metadata({OPEN_KEY: str(total)})
            pq.write_table(table, temporary, compression="zstd")
            temporary.replace(self.path / OPEN_FILE)
        except (OSError, pa.ArrowException) as error:
            self.trouble = _reason(error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            return False
        return True

    def tidy(self) -> None:
        """Merge small segments and let old ones go; a disk that refuses only puts it off."""
        self._let_go(time.monotonic())
        try:
            self._retain()
            self._compact()
            pa.default_memory_pool().release_unused()
        except (OSError, pa.ArrowException) as error:
            self.trouble = _reason(error)
            self._clear_temporary()

    def finish(self, run: Run) -> bool:
        """Write the rest and make the dataset whole; False, and `trouble`, if the disk refuses."""
        done = self.roll(run)
        if done:
            try:
                self._publish("complete")
            except OSError as error:
                self.trouble, done = _reason(error), False
        with contextlib.suppress(OSError):
            (self.path / OPEN_FILE).unlink(missing_ok=True)
        self._let_go(time.monotonic() + _GRACE_S + 1)
        self.close()
        return done

    def close(self) -> None:
        """Let another run have the dataset."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _recover(self) -> None:
        """Keep what was open when the run before was killed; a disk that refuses gets it with the first roll."""
        found = recover(self.path, self._manifest.segments, OPEN_FILE)
        runs = self._manifest.runs
        last = runs[-1].merged(found.run) if runs else found.run
        self._manifest = replace(self._manifest, runs=(*runs[:-1], last))
        if found.batch is None:
            return
        self.recovered = found.batch.num_rows
        self.write(found.batch)
        try:
            self._write_segment()
        except (OSError, pa.ArrowException) as error:
            self.trouble = _reason(error)
            self._clear_temporary()
        self.rows = 0

    def _write_segment(self) -> None:
        table = pa.Table.from_batches(self._waiting).cast(session_schema())
        name = f"{_PREFIX}{self._id}-{self._number:07}.parquet"
        temporary = self.path / f".{name}.tmp"
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP)
        sync(temporary)
        final = temporary.replace(self.path / name)
        if self._made is not None:
            self._made(final, table.num_rows)
        ends = pc.min_max(table.column("start_ns"))
        segment = Segment(
            name, table.num_rows, final.stat().st_size, (ends["min"].as_py(), ends["max"].as_py())
        )
        self._manifest = replace(self._manifest, segments=(*self._manifest.segments, segment))
        self._number += 1
        self._waiting, self.held = [], 0
        self.rows += table.num_rows

    def _publish(self, state: str) -> None:
        runs = self._manifest.runs if self._run is None else (*self._manifest.runs, self._run)
        write_manifest(self.path, replace(self._manifest, state=state, runs=runs))

    def _written(self) -> list[float]:
        times = []
        for segment in self._manifest.segments:
            try:
                times.append((self.path / segment.file).stat().st_mtime)
            except FileNotFoundError:
                times.append(0.0)
        return times

    def _retain(self) -> None:
        gone = self.retention.leaving(self._manifest.segments, self._written(), time.time())
        if gone:
            self._replace_segments(tuple(s for s in self._manifest.segments if s.file not in gone), gone)

    def _compact(self) -> None:
        age_s = self.retention.age_s
        segments = self._manifest.segments
        some = choose(segments, self._written(), _DAY_S if age_s is None else min(_DAY_S, age_s / 10))
        if some is None:
            return
        name = f"{_PREFIX}{self._id}-{self._number:07}-merged.parquet"
        self._number += 1
        merged = merge(self.path, segments[some], name)
        if merged is not None:
            kept = (*segments[: some.start], merged, *segments[some.stop :])
            self._replace_segments(kept, {segment.file for segment in segments[some]})

    def _replace_segments(self, segments: tuple[Segment, ...], gone: set[str]) -> None:
        before = self._manifest
        self._manifest = replace(before, segments=segments)
        try:
            self._publish("growing")
        except OSError:
            self._manifest = before
            raise
        until = time.monotonic() + _GRACE_S
        self._leaving.extend((until, name) for name in sorted(gone))

    def _let_go(self, now: float) -> None:
        due = [name for until, name in self._leaving if until <= now]
        self._leaving = [(until, name) for until, name in self._leaving if until > now]
        for name in due:
            with contextlib.suppress(OSError):
                (self.path / name).unlink(missing_ok=True)

    def _clear_up(self) -> None:
        """Remove what a run that was killed left behind: files that no manifest names."""
        named = {segment.file for segment in self._manifest.segments}
        for file in self.path.glob(f"{_PREFIX}*.parquet"):
            if file.name not in named:
                file.unlink(missing_ok=True)
        self._clear_temporary()
        if not self.trouble:  # else it is all that is left of them on the disk, until the next snapshot
            (self.path / OPEN_FILE).unlink(missing_ok=True)

    def _clear_temporary(self) -> None:
        for pattern in (f".{_PREFIX}*.tmp", f".{NAME}.*.tmp", f".{OPEN_FILE}.tmp"):
            for file in self.path.glob(pattern):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """Make the folder if need be and keep other writers of this kind out; return the lock's descriptor."""
    try:
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: is a file; a dataset is a folder, name another place")
        if path.is_dir() and not is_dataset(path):
            strange = [file.name for file in path.iterdir() if file.name not in (_LOCK, SPOOL, "lost+found")]
            if strange:
                raise UsageError(
                    f"{path}: is a folder with other things in it; name a new one for the dataset"
                )
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except PermissionError as reason:
        raise AccessError(f"{path}: cannot be written ({reason.strerror}); choose another place") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise UsageError(f"{path}: another `lastack watch` writes to it; name another dataset") from None
    return handle


def _few(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Return the runs with the oldest made one, so that a thousand restarts do not swell the manifest."""
    if len(runs) <= _MOST_RUNS:
        return runs
    whole = Run()
    for run in runs[: -_MOST_RUNS + 1]:
        whole = whole.merged(run)
    names = tuple(dict.fromkeys(whole.captures))
    whole = replace(whole, captures=names, problems=whole.problems[-_MOST_PROBLEMS:])
    return (whole, *runs[-_MOST_RUNS + 1 :])


def _reason(error: Exception) -> str:
    return (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)) or repr(
        error
    )

"""Tracking on many machines: plans the tasks, lets an engine run them, and hands on what one process would have.

A capture becomes segments (`cluster_map`), a shard's segments become rows, and these get verdicts (`cluster_reduce`);
all in files of a work folder that every worker sees. Nothing is told twice and nothing is kept in memory: a second run
with the same work folder makes only what is missing.
"""

from __future__ import annotations

import hashlib
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastack.app import prepare
from lastack.app.clocks import clock_differences, offsets_of
from lastack.app.cluster_captures import digest, map_captures
from lastack.app.cluster_fetch import opened_head
from lastack.app.cluster_order import Mapped
from lastack.app.cluster_pieces import PIECE_BYTES
from lastack.app.cluster_reduce import judge_shard, track_shard
from lastack.app.cluster_rows import rows_in_order
from lastack.app.jobs import Engine, Outcome, Result, Task
from lastack.app.options import Progress, ProgressState, RunSummary, TrackOptions, default_max_sessions
from lastack.capture.series import CaptureFile, order_captures
from lastack.kernels.sharding import SHARDS
from lastack.model.errors import AccessError, InputError, LastackError, UsageError
from lastack.store.s3 import S3Folder
from lastack.tracking.rows import stray_packets

_FOLDERS = ("map", "track", "judge")


@dataclass(slots=True)
class Stage:
    """What one stage of a run did.

    Attributes:
        name: `map`, `track` or `judge`.
        tasks: How many there were.
        skipped: Of them, those whose result was there.
        failed: Of them, those without a result.
        cpu_s: Processor time of all workers.
        written: Bytes of all results.
        seconds: From the first task to the last.
    """

    name: str
    tasks: int = 0
    skipped: int = 0
    failed: int = 0
    cpu_s: float = 0.0
    written: int = 0
    seconds: float = 0.0


class ClusterRun:
    """One run.

    Args:
        engine: What runs tasks.
        work: Folder for results in between, seen by all workers under this name; made if it is not there.
        piece_bytes: Bytes of an uncompressed capture that are one task.

    Attributes:
        stages: What was done, stage by stage.
        missing: Captures that are not in the result, each with the reason.
    """

    def __init__(self, engine: Engine, work: Path | S3Folder, piece_bytes: int = PIECE_BYTES) -> None:
        self._engine = engine
        self._work = work if isinstance(work, S3Folder) else work.absolute()
        self._piece_bytes = piece_bytes
        self.stages: list[Stage] = []
        self.missing: dict[str, str] = {}

    def track(
        self,
        paths: Sequence[str],
        options: TrackOptions,
        sink: Callable[[Any], None],
        progress: Progress | None = None,
    ) -> RunSummary:
        """Track every TCP session of some captures; the same rows, in the same batches, as `track_captures`.

        Args:
            paths: Capture files, all regular.
            options: How to track; threads do not matter.
            sink: Called with record batches of the session schema.
            progress: Called as tasks end.

        Raises:
            UsageError: A capture is a pipe, or is to be followed.
            InputError: Nothing could be read from any capture.
            LastackError: Rows of a shard could not be made, or the engine failed; what was made stays.
        """
        started = time.monotonic()
        if options.follow:
            raise UsageError(
                "--follow reads one growing capture here; it goes with neither --workers nor --cluster"
            )
        for path in paths:
            if path == "-" or (Path(path).exists() and not Path(path).is_file()):
                what = "standard input" if path == "-" else path
                raise UsageError(f"{what}: a pipe cannot be read by other processes; keep it in a file first")
        if isinstance(self._work, Path):
            try:
                self._work.mkdir(parents=True, exist_ok=True)
            except OSError as reason:
                raise AccessError(
                    f"{self._work}: cannot be written ({reason.strerror}); name another --work"
                ) from None
        prepare.ensure()
        offsets = offsets_of(paths, options.clock_offsets)
        order = order_captures(paths, opened_head, offsets)
        summary = RunSummary(problems=[str(error) for error in order.rejected], clock_offsets=offsets)
        told = _Told(progress, started)
        captures, names = self._map(order.files, summary, told)
        summary.captures = names
        judged = self._reduce(captures, names, options, summary, told)
        for batch in rows_in_order(judged):
            stray = stray_packets(batch)
            placed = sum(int(batch.column(f"packets_{end}").to_numpy().sum()) for end in ("clt", "srv"))
            summary.ledger.stray += stray
            summary.ledger.segments += placed - stray
            summary.sessions += batch.num_rows
            sink(batch)
            told.rows = summary.sessions
            told.tell()
        summary.ledger.duplicates = summary.duplicates
        summary.seconds = time.monotonic() - started
        return summary

    def clean(self) -> None:
        """Remove what lies in the work folder between the stages, and the folder if nothing else is in it."""
        if isinstance(self._work, S3Folder):
            for name in _FOLDERS:
                (self._work / name).remove()
            return
        for name in _FOLDERS:
            shutil.rmtree(self._work / name, ignore_errors=True)
        with suppress(OSError):
            self._work.rmdir()

    def _map(
        self, files: Sequence[CaptureFile], summary: RunSummary, told: _Told
    ) -> tuple[list[Mapped], list[str]]:
        def run(tasks: Sequence[Task]) -> dict[str, Outcome]:
            told.sizes |= {task.name: task.arguments[0].bytes for task in tasks}
            return self._run("map", tasks, told)

        captures: list[Mapped] = []
        names: list[str] = []
        mapped = map_captures(files, self._work, run, self._piece_bytes, summary.clock_offsets)
        if len(mapped) > 1:
            seen = [capture.seen for capture in mapped if capture.seen is not None]
            summary.clocks = clock_differences(seen)
        for capture in mapped:
            if capture.failed is not None:
                self.missing[capture.path] = capture.failed
                summary.problems.append(f"{capture.path}: not in the result: {capture.failed}")
                continue
            summary.ledger.add_tally(capture.tally)
            summary.tell_flaws(capture.path, capture.problems, capture.problem_count, capture.orphans)
            last_ns = int(capture.tally["last_ns"]) if capture.tally["packets"] else None
            captures.append(Mapped(tuple(capture.parts), len(captures), capture.first_ns, last_ns))
            names.append(capture.path)
        if not captures and self.missing:
            raise InputError(next(iter(self.missing.values())))
        summary.refuse_unreadable()
        return captures, names

    def _reduce(
        self,
        captures: list[Mapped],
        names: list[str],
        options: TrackOptions,
        summary: RunSummary,
        told: _Told,
    ) -> list[str]:
        """Return the folders of the judged rows, by shard."""
        most = options.max_sessions or default_max_sessions()
        run = digest(
            [capture.parts for capture in captures],
            names,
            most,
            options.idle_timeout_ns,
            options.duplicates_ns,
        )
        tracked = [str(self._work / "track" / f"{run}-{shard}") for shard in range(SHARDS)]
        arguments = (captures, names, most, options.idle_timeout_ns, options.duplicates_ns)
        tasks = [
            Task(f"track shard {shard}", output, track_shard, (shard, *arguments))
            for shard, output in enumerate(tracked)
        ]
        results = self._all(self._run("track", tasks, told), tasks)
        for said in [result.counters for result in results]:
            told.sessions += said["sessions"]
            summary.evicted += said["evicted"]
            summary.duplicates += said["duplicates"]
            for name, count in said["lost"].items():
                summary.lost[name] = summary.lost.get(name, 0) + count
        both_ways = any(result.counters["both_ways"] for result in results)
        classes = hashlib.sha256(pickle.dumps(options.classes)).hexdigest()
        output = self._work / "judge"
        given = ([result.folder for result in results], both_ways, options.classes)
        tasks = [
            Task(
                f"judge shard {shard}",
                str(output / f"{digest(run, classes)}-{shard}"),
                judge_shard,
                (shard, *given),
            )
            for shard in range(SHARDS)
        ]
        return [result.folder for result in self._all(self._run("judge", tasks, told), tasks)]

    def _run(self, name: str, tasks: Sequence[Task], told: _Told) -> dict[str, Outcome]:
        """Run tasks of a stage; return what became of them, by name."""
        if not self.stages or self.stages[-1].name != name:
            self.stages.append(Stage(name))
        stage = self.stages[-1]
        stage.tasks += len(tasks)
        done: dict[str, Outcome] = {}
        started = time.monotonic()

        def note(outcome: Outcome) -> None:
            done[outcome.name] = outcome
            stage.skipped += outcome.skipped
            stage.cpu_s += outcome.cpu_s
            if outcome.result is None:
                stage.failed += 1
                return
            stage.written += outcome.result.bytes
            if name == "map":
                told.bytes += told.sizes[outcome.name]
                told.packets += outcome.result.counters["packets"]
            told.tell()

        self._engine.run(tasks, note)
        stage.seconds += time.monotonic() - started
        return done

    def _all(self, done: dict[str, Outcome], tasks: Sequence[Task]) -> list[Result]:
        """Return the results of all tasks, in order.

        Raises:
            LastackError: One has none.
        """
        failed = [done[task.name] for task in tasks if done[task.name].result is None]
        if failed:
            raise LastackError(
                f"{failed[0].name}: {failed[0].problem}; {len(failed)} of {SHARDS} shards have no rows. What was made "
                f"is kept in {self._work}: run the same command again and only these are made"
            )
        return [result for task in tasks if (result := done[task.name].result) is not None]


class _Told:
    """How far a run is, for whoever wants to know."""

    def __init__(self, progress: Progress | None, started: float) -> None:
        self._progress = progress
        self._started = started
        self.sizes: dict[str, int] = {}
        self.bytes = self.packets = self.sessions = self.rows = 0

    def tell(self) -> None:
        if self._progress is not None:
            seconds = time.monotonic() - self._started
            total, left = sum(self.sizes.values()), max(self.sessions - self.rows, 0)
            self._progress(ProgressState(self.bytes, total, self.packets, left, self.rows, seconds))

"""Captures in, session rows out: decoding, tracking and writing rows, on as many threads as asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, Self

from lastack.app import prepare
from lastack.app.clocks import Seen, clock_differences
from lastack.app.decoding import Decoder
from lastack.app.merging import Stream, Stretch
from lastack.app.options import (
    Progress,
    ProgressState,
    RunSummary,
    TrackOptions,
    default_max_sessions,
    default_threads,
    default_window_bytes,
)
from lastack.app.parts import tallies_of
from lastack.app.running import Begun, Crew, crew_of
from lastack.app.sightings import Sightings
from lastack.capture.series import CaptureOrder, order_captures
from lastack.capture.source import Capture, open_capture
from lastack.diagnosis.around import Around, around_rows
from lastack.diagnosis.crowd import Crowd
from lastack.diagnosis.engine import diagnose
from lastack.diagnosis.links import Links
from lastack.kernels.sharding import SHARDS
from lastack.query.classify import Classifier
from lastack.tracking.jobs import in_turn
from lastack.tracking.rows import stray_packets
from lastack.tracking.tracker import Tracker

Sink = Callable[[Any], None]
_PROGRESS_EVERY_S = 0.1
_FOLLOW_EVERY_S = 0.2
_FEW_SESSIONS = 1 << 18  # crowds among them are looked for by one thread, while others make rows


def track_captures(
    paths: Sequence[str], options: TrackOptions, sink: Sink, progress: Progress | None = None
) -> RunSummary:
    """Track every TCP session of some captures and hand the rows to a sink, batch by batch.

    Args:
        paths: Capture files; `-` is standard input. Files whose times overlap are merged in time order.
        options: How to track.
        sink: Called with record batches of the session schema. While the table has room, rows come sorted by
            (start time, first packet) over all batches.
        progress: Called now and then.

    Raises:
        InputError: Nothing could be read from any of the captures.
        AccessError: There is no permission to read one.
    """
    order = order_captures(paths)
    prepare.ensure()
    with ExitStack() as stack:
        threads = options.threads or default_threads()
        run = _Run(options, sink, progress, stack.enter_context(crew_of(threads)), threads)
        run.read(order, stack)
        return run.finish()


class _Run:
    def __init__(
        self,
        options: TrackOptions,
        sink: Sink,
        progress: Progress | None,
        crew: Crew,
        threads: int,
    ) -> None:
        self._options = options
        self._sink = sink
        self._progress = progress
        self._threads = threads
        self._crew = crew
        self._fed: deque[tuple[Begun, Stretch]] = deque()  # the stretches that shards are at work on
        self._leaving = False  # sessions had to leave during the last stretch
        self._links = Links()
        self._classify = Classifier(options.classes) if options.classes is not None else None
        self._tracker = Tracker(options.max_sessions or default_max_sessions(), options.idle_timeout_ns)
        self._summary = RunSummary()
        self._open: list[Capture] = []
        self._decoder: Decoder | None = None  # of the latest capture
        self._total: int | None = 0
        self._started = time.monotonic()
        self._told = 0.0
        self._ending: int | None = None  # rows there will be, once no more packets come

    def read(self, order: CaptureOrder, stack: ExitStack) -> None:
        """Read captures, the one with the earliest packet first."""
        files = order.files
        self._summary.problems.extend(str(error) for error in order.rejected)
        self._tracker.sensors = ["stdin" if file.path == "-" else file.path for file in files]
        self._summary.captures = list(self._tracker.sensors)
        sizes = [_size(file.path) for file in files]
        known = [size for size in sizes if size is not None]
        self._total = sum(known) if len(known) == len(sizes) and not self._options.follow else None

        def opener(rank: int) -> Decoder:
            wait = _until_interrupted if self._options.follow else None
            capture = stack.enter_context(
                open_capture(files[rank].path, follow=self._options.follow, wait=wait)
            )
            self._open.append(capture)
            if len(files) > 1 and not self._options.follow:
                sightings[rank] = Sightings()
            self._decoder = Decoder(
                capture,
                rank,
                self._threads,
                self._crew.run,
                self._options.window_bytes or default_window_bytes(),
                sightings=sightings.get(rank),
                ahead=not self._crew.alone,
            )
            return self._decoder

        sightings: dict[int, Sightings] = {}
        try:
            for stretch in Stream([file.first_ns for file in files], opener):
                self._summary.ledger.add_tally(tallies_of(stretch.parts))
                self._track(stretch)
            self._settle()
        finally:
            for begun, _ in self._fed:
                begun.end()
        if self._decoder is not None:
            self._tracker.use(self._decoder.leave_memory())
        self._summary.clocks = clock_differences(
            Seen.of(self._tracker.sensors[rank], sightings[rank]) for rank in sorted(sightings)
        )
        for capture in self._open:
            orphans = int(capture.state["orphans"][0])
            self._summary.tell_flaws(capture.name, capture.problems, capture.problem_count, orphans)
        if not self._options.follow:
            self._summary.refuse_unreadable()

    def _track(self, stretch: Stretch) -> None:
        """Let every shard account for its segments as soon as it is done with those before.

        The next stretch may be decoded at the same time, into the memory of the one before this.
        """
        if self._leaving:
            self._settle()  # the rows of one stretch take hundreds of megabytes, those of two are too many
        jobs = [_Feed(self._tracker, shard, stretch.pieces(shard)) for shard in range(SHARDS)]
        after = self._fed[-1][0] if self._fed else None
        self._fed.append((self._crew.begin(jobs, [job.size for job in jobs], after), stretch))
        self._settle(0 if self._options.follow or not stretch.lasts else 1)

    def _settle(self, at_work: int = 0) -> None:
        """Wait until shards are at work on no more than so many stretches, and hand on the rows that left."""
        while len(self._fed) > at_work:
            left = [some for batches in self._fed[0][0].results() for some in batches]
            self._leaving = len(left) > 0
            for batch, sizes in left:
                self._emit(batch, sizes)
            self._fed.popleft()
            if self._options.follow:
                for batch in self._tracker.drain():
                    self._emit(diagnose(batch, around_rows(batch)))
            self._tell()

    def _emit(self, batch: Any, sizes: Sequence[int] = ()) -> None:
        batch = self._links.resolve(batch, sizes)
        ledger = self._summary.ledger
        stray = stray_packets(batch)
        placed = int(
            batch.column("packets_clt").to_numpy().sum() + batch.column("packets_srv").to_numpy().sum()
        )
        ledger.stray += stray
        ledger.segments += placed - stray
        self._summary.sessions += batch.num_rows
        self._sink(batch if self._classify is None else self._classify(batch))

    def finish(self) -> RunSummary:
        """End all sessions, write their rows and say what was done."""
        self._ending = self._tracker.live + self._summary.sessions
        # What left before was judged by itself; it still shows that both directions were seen.
        seen = self._tracker.both_ways() or self._summary.sessions > 0
        few = self._ending < _FEW_SESSIONS
        with _Judge() as judge:
            jobs = (_Judged(job, judge) for job in self._tracker.flush(self._crew.run))
            # Rows wait for their judge: who finds out what it must know may not make rows meanwhile, as a crew might.
            if not few:
                judge.learn(Around(Crowd.of_tables(self._tracker.tables(), self._crew.run), seen))
            batches = self._crew.in_order(jobs)
            if few:
                judge.learn(Around(Crowd.of_tables(self._tracker.tables(), in_turn), seen))
            for batch in batches:
                self._emit(batch)
                self._tell()
        self._summary.evicted = self._tracker.evicted
        self._summary.lost = self._tracker.lost()
        self._summary.seconds = time.monotonic() - self._started
        self._tell(last=True)
        return self._summary

    def _tell(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._told < _PROGRESS_EVERY_S and not last):
            return
        self._told = now
        self._progress(
            ProgressState(
                bytes_read=sum(capture.consumed_bytes for capture in self._open),
                bytes_total=self._total,
                packets=self._summary.ledger.packets,
                sessions_live=self._tracker.live
                if self._ending is None
                else self._ending - self._summary.sessions,
                rows=self._summary.sessions,
                seconds=now - self._started,
            )
        )


def _until_interrupted() -> bool:
    """Wait for a growing capture; an interrupt while waiting is its end, so that everything read is still told."""
    try:
        time.sleep(_FOLLOW_EVERY_S)
    except KeyboardInterrupt:
        return False
    return True


def _size(path: str) -> int | None:
    """Return the bytes of a regular file, None for pipes."""
    return Path(path).stat().st_size if path != "-" and Path(path).is_file() else None


class _Feed:
    """The segments of one shard, in order."""

    def __init__(self, tracker: Tracker, shard: int, pieces: Any) -> None:
        self._tracker = tracker
        self._shard = shard
        self._pieces = pieces
        self.size = int(pieces["n"].sum())  #: segments

    def __call__(self) -> list[tuple[Any, Sequence[int]]]:
        batches: list[tuple[Any, Sequence[int]]] = []
        for left in self._tracker.feed(self._shard, self._pieces):
            batch = diagnose(left.batch, around_rows(left.batch, left.sizes))
            batches.append((batch, left.sizes))
        return batches


class _Judge:
    """Gives verdicts as soon as the run around the rows is known, to one batch at a time.

    Who leaves it lets those who still wait fail.

    NumPy hands the interpreter on in each of many short steps: two threads that judged at the same time both took
    longer than one after the other.
    """

    def __init__(self) -> None:
        self._around: Future[Around] = Future()
        self._alone = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._around.cancel()  # nothing happens if it is known

    def learn(self, around: Around) -> None:
        """Take what the run around the rows is, which threads may wait for."""
        self._around.set_result(around)

    def __call__(self, batch: Any) -> Any:
        around = self._around.result()
        with self._alone:
            return diagnose(batch, around)


class _Judged:
    """The rows of a job with their verdicts: a function without arguments."""

    def __init__(self, job: Callable[[], Any], judge: _Judge) -> None:
        self._job = job
        self._judge = judge

    def __call__(self) -> Any:
        return self._judge(self._job())

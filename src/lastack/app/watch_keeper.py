"""What happens to sessions after they left the table: judged, classified, counted, kept; in a thread of its own.

The thread that captures hands rows over and goes on. When the disk or the judging cannot keep up, it has to wait, and
what the kernel then drops is counted there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.app.alerts import Alerts
from lastack.app.alerts_ask import ask_alert
from lastack.app.alerts_send import Sender
from lastack.app.watch_metrics import WatchMetrics
from lastack.app.watch_options import WatchOptions
from lastack.app.watch_top import TopServers
from lastack.diagnosis.around import Around, around_rows
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.engine import diagnose
from lastack.diagnosis.links import Links
from lastack.model.enums import Ending, Observed, Opening
from lastack.model.errors import LastackError
from lastack.query.classify import Classifier
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run, read_manifest
from lastack.store.roll import RollingStore
from lastack.tracking.rows import stray_packets

_MOST_ROWS = 300_000  # that wait to be judged
_AT_ONCE = 16_384
_NAP_S = 0.2
_TIDY_EVERY_S = 10.0
_FAREWELL_S = 5.0  # for alerts that are under way when the watch ends
_UNFINISHED = [int(ending) for ending in (Ending.open, Ending.half_closed, Ending.vanished)]
#: What such an attempt waits for may be among the packets that were dropped.
_UNDECIDED = [int(opening) for opening in (Opening.unanswered, Opening.half_open)]


@dataclass(frozen=True, slots=True)
class Left:
    """Rows that left the table together.

    Attributes:
        batch: The rows.
        around: The run around them, None for what is known of the rows alone.
        now_ns: When they left, on the clock of the packets.
    """

    batch: Any
    around: Around | None
    now_ns: int


class Keeper:
    """The thread that keeps rows.

    Args:
        store: Where they go.
        options: How to watch.
        metrics: Counts them.
        run_of: Returns what the run has read so far, given packets of sessions and of strays that are in rows.
        warn: Gets a line for people.
    """

    def __init__(
        self,
        store: RollingStore,
        options: WatchOptions,
        metrics: WatchMetrics,
        run_of: Callable[[int, int, int], Run],
        warn: Callable[[str], None],
    ) -> None:
        self.store = store
        self.segments = self.stray = self.rows = 0
        self.losses: deque[tuple[int, int]] = deque(maxlen=1000)
        self.failure: BaseException | None = None
        self.alerts = Alerts(options.alerts)
        self.top = TopServers()
        self._options = options
        self._metrics = metrics
        self._run_of = run_of
        self._warn = warn
        self._links = Links()
        self._sender = Sender(warn)
        self._classify = Classifier(options.classes) if options.classes is not None else None
        self._changed = threading.Condition()
        self._queue: deque[Left] = deque()
        self._queued_rows = 0
        self._snapshot: Left | None = None
        self._open = 0
        self._ending = False
        self._now_ns = 0
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)

    def warm(self, nothing: Any) -> None:
        """Judge no rows once: what that loads would otherwise be loaded while packets come.

        Args:
            nothing: A batch of no rows.
        """
        self._judged(Left(nothing, None, 0))

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, left: Left) -> None:
        """Hand rows over; waits while too many wait already."""
        with self._changed:
            while self._queued_rows >= _MOST_ROWS and self._thread.is_alive():
                self._changed.wait(_NAP_S)
            self._queue.append(left)
            self._queued_rows += left.batch.num_rows
            self._now_ns = left.now_ns
            self._changed.notify_all()

    def put_snapshot(self, left: Left, total: int) -> None:
        """Hand the open sessions over, and how many there are in all; the last ones win."""
        with self._changed:
            self._snapshot, self._open = left, total
            self._now_ns = left.now_ns
            self._changed.notify_all()

    def reload(self, options: WatchOptions) -> None:
        """Work with other options from now on."""
        with self._changed:
            self._options = options
            self._classify = Classifier(options.classes) if options.classes is not None else None
            self.alerts.reload(options.alerts)
            self.store.retention = options.retention

    def finish(self) -> None:
        """Work off what waits, write it, and stop."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self.failure = error
        finally:
            with self._changed:
                self._changed.notify_all()

    def _loop(self) -> None:
        rolled = tidied = asked = time.monotonic()
        troubled = ""
        while True:
            with self._changed:
                if not self._queue and self._snapshot is None and not self._ending:
                    self._changed.wait(_NAP_S)
                some, self._queue = list(self._queue), deque()
                snapshot, self._snapshot = self._snapshot, None
                total = self._open
                ending, options = self._ending, self._options
            for left in together(some):
                self._keep(left)
                with self._changed:
                    self._queued_rows -= left.batch.num_rows
                    self._changed.notify_all()
            now = time.monotonic()
            if ending:
                self._sender.finish(_FAREWELL_S)
                if not self.store.finish(self._run()):
                    self._warn(f"{self.store.path}: the last rows could not be written: {self.store.trouble}")
                return
            if self.store.held >= options.roll_rows or (now - rolled) * 1e9 >= options.roll_ns:
                rolled = now
                self.store.roll(self._run())
            if snapshot is not None:
                self.store.snapshot(self._judged(snapshot), total)
            if now - tidied >= _TIDY_EVERY_S and not self.store.trouble:
                tidied = now
                self.store.tidy()
            troubled = self._tell_trouble(troubled)
            if options.alerts and (now - asked) * 1e9 >= options.alert_every_ns:
                asked = now
                self._ask()

    def _keep(self, left: Left) -> None:
        batch = self._links.resolve(self._judged(left))
        stray = stray_packets(batch)
        placed = sum(int(batch.column(name).to_numpy().sum()) for name in ("packets_clt", "packets_srv"))
        self.stray += stray
        self.segments += placed - stray
        self.rows += batch.num_rows
        self._metrics.count(batch)
        self.top.add(batch)
        self.store.write(batch)

    def _judged(self, left: Left) -> Any:
        batch = lowered(left.batch, list(self.losses), left.now_ns)
        batch = diagnose(batch, left.around or around_rows(batch))
        return batch if self._classify is None else self._classify(batch)

    def _run(self) -> Run:
        return self._run_of(self.segments, self.stray, self.rows)

    def _tell_trouble(self, before: str) -> str:
        now = self.store.trouble
        if now and now != before:
            self._warn(
                f"{self.store.path}: cannot be written: {now}; rows wait in memory ({self.store.held:,})"
            )
        elif before and not now:
            self._warn(f"{self.store.path}: can be written again; {self.store.lost:,} rows were lost")
        return now

    def _ask(self) -> None:
        try:
            dataset = Dataset(self.store.path, read_manifest(self.store.path))
            for rule in self.alerts.rules:
                value, sessions = ask_alert(dataset, rule, self._now_ns or time.time_ns())
                state = self.alerts.judge(rule, value, sessions, time.time_ns())
                self._metrics.alert(rule.name, self.alerts.states[rule.name].firing)
                if state is not None:
                    self._sender.send(rule, state)
        except (LastackError, OSError) as error:
            self._warn(f"alerts: {error}")


def together(some: list[Left]) -> Iterator[Left]:
    """Yield what left, with small batches that nothing else is known of made one: in a flood there are thousands."""
    waiting: list[Left] = []

    def joined() -> Left:
        last = waiting[-1]
        if len(waiting) == 1:
            return last
        table = pa.Table.from_batches([left.batch for left in waiting]).unify_dictionaries().combine_chunks()
        return Left(table.to_batches()[0], None, last.now_ns)

    for left in some:
        if waiting and (left.around is not None or sum(one.batch.num_rows for one in waiting) >= _AT_ONCE):
            yield joined()
            waiting = []
        if left.around is not None:
            yield left
        else:
            waiting.append(left)
    if waiting:
        yield joined()


def lowered(batch: Any, losses: list[tuple[int, int]], now_ns: int) -> Any:
    """Return rows with `observed = lossy` where packets were dropped while the session was live.

    Args:
        batch: Rows as they left the table.
        losses: First and last time of each stretch in which the kernel dropped packets.
        now_ns: When the rows left: a session that has not ended, or still waits for an answer, was live until then.
    """
    if not losses or not batch.num_rows:
        return batch
    cols = Columns(batch)
    seen = cols.code("observed")
    starts, ends = cols.number("start_ns"), cols.number("end_ns").copy()
    waiting = np.isin(cols.code("ending"), _UNFINISHED) | np.isin(cols.code("opening"), _UNDECIDED)
    ends[waiting] = now_ns
    hit = np.zeros(len(seen), bool)
    for first, last in losses:
        hit |= (starts <= last) & (ends >= first)
    codes = np.where(hit & (seen > int(Observed.lossy)), np.uint8(Observed.lossy), seen).astype(np.uint8)
    place = batch.schema.get_field_index("observed")
    dictionary = pa.array([member.name for member in Observed], pa.string())
    column = pa.DictionaryArray.from_arrays(pa.array(codes), dictionary)
    return batch.set_column(place, batch.schema.field(place), column)

"""Sends the segments of a watch to a ClickHouse database as they are made; while it is away, they wait on the disk.

A segment leaves the spool when the database has all of it. One that was cut off is sent again, and what had arrived of
it is recognised: nothing is lost and nothing is there twice, also when this process is killed and started again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lastack.app.push import database_of
from lastack.model.errors import AccessError, LastackError
from lastack.store.clickhouse_errors import AwayError
from lastack.store.clickhouse_push import Loader, prepare
from lastack.store.clickhouse_segments import SegmentError, file_source
from lastack.store.clickhouse_server import Server
from lastack.store.manifest import Run
from lastack.store.place import Place
from lastack.store.spool import FOLDER, Spool

#: Bytes of segments that wait at most, unless told otherwise.
MOST_BYTES = 4 << 30
#: How long a dataset keeps sessions that are sent on, unless told otherwise.
KEEP_NS = 3600 * 10**9
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_RUN_EVERY_S = 30.0


class Shipper(Collector):
    """The thread that sends segments on.

    Args:
        place: The database.
        spool: Where they wait.
        warn: Gets a line for people.

    Attributes:
        sent_rows: Rows that arrived.
        trouble: Why the last attempt failed, empty when all is well.
    """

    def __init__(self, place: Place, spool: Spool, warn: Callable[[str], None]) -> None:
        self.spool = spool
        self.sent_rows = 0
        self.trouble = ""
        self._place = place
        self._warn = warn
        self._old = spool.files  # what was left by a run before may be there under another segment
        self._server: Server | None = None
        self._loader: Loader | None = None
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._run_of: Callable[[], Run | None] = lambda: None
        self._told_run: Run | None = None
        self._told_at = 0.0
        self._full = False
        self._thread = threading.Thread(target=self._work, name="shipper", daemon=True)

    def check(self) -> None:
        """Connect and make the tables if need be; a database that is away is no error.

        Raises:
            LastackError: The database answers, but its tables or this user will not do.
        """
        try:
            self._connect()
        except AwayError as error:
            self._tell(str(error))

    def start(self, run_of: Callable[[], Run | None]) -> None:
        """Begin to send.

        Args:
            run_of: Returns what the run has read so far.
        """
        self._run_of = run_of
        self._thread.start()

    def offer(self, segment: Path, rows: int) -> None:
        """Take a segment that was just made."""
        taken = self.spool.offer(segment, rows)
        if not taken and not self._full:
            self._warn(
                f"{self.spool.folder}: does not take more (at most {self.spool.most_bytes >> 20} MiB wait): sessions "
                "are kept in the dataset only; `lastack dataset push` brings them later"
            )
        self._full = not taken
        self._changed.set()

    def finish(self, seconds: float) -> int:
        """Send what waits, for so long at most; return the segments that still wait."""
        self._ending.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return self.spool.files

    def collect(self) -> Iterator[Any]:
        """Yield the metrics, in Prometheus' form."""
        spool = self.spool
        for name, text, value in (
            ("lastack_spool_segments", "Segments that wait to be sent to the database.", spool.files),
            ("lastack_spool_bytes", "Their bytes.", spool.size),
            ("lastack_database_up", "1 unless the last attempt to send failed.", int(not self.trouble)),
        ):
            yield GaugeMetricFamily(name, text, value)
        for name, text, value in (
            ("lastack_sent_rows", "Sessions that arrived in the database.", self.sent_rows),
            ("lastack_spool_dropped_rows", "Sessions that the spool did not take.", spool.dropped_rows),
        ):
            yield CounterMetricFamily(name, text, value)

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            self._changed.clear()
            last = self._ending.is_set()  # then what waits is tried once more
            try:
                self._send_all()
                if self.trouble:
                    self._warn(f"{self._place.shown}: answers again")
                self.trouble, pause = "", _FIRST_PAUSE_S
            except Exception as error:  # whatever it is, the next segments are tried again
                self._tell(str(error) if isinstance(error, LastackError) else repr(error))
                self._drop_connection()
                if last:
                    return
                self._ending.wait(pause)
                pause = min(_LONGEST_PAUSE_S, 2 * pause)
                continue
            if last and not self.spool.files:
                return
            self._changed.wait(_RUN_EVERY_S)

    def _send_all(self) -> None:
        if self.trouble:
            self._connect()  # whether it is back is asked even if nothing waits
        while (segment := self.spool.first()) is not None:
            loader = self._connect()
            try:
                self.sent_rows += max(0, loader.push(file_source(segment), look=self._old > 0))
            except FileNotFoundError:
                pass  # somebody took it away
            except SegmentError as error:
                self._warn(f"{self.spool.folder}: {error}; set aside")
                self.spool.set_aside(segment)
            self._old = max(0, self._old - 1)
            self.spool.done(segment)
        run, now = self._run_of(), time.monotonic()
        due = self._ending.is_set() or now - self._told_at >= _RUN_EVERY_S
        if run is not None and run is not self._told_run and due:
            self._connect().put_run(run)
            self._told_run, self._told_at = run, now

    def _connect(self) -> Loader:
        if self._loader is None:
            self._server = prepare(self._place)
            self._loader = Loader(self._server)
        return self._loader

    def _drop_connection(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = self._loader = None

    def _tell(self, trouble: str) -> None:
        if not self.trouble:
            self._warn(f"{trouble}; sessions wait in {self.spool.folder}")
        self.trouble = trouble


def shipper_to(name: str, dataset: str, most_bytes: int | None, warn: Callable[[str], None]) -> Shipper:
    """Return what sends the segments of a dataset to a database.

    Args:
        name: URL of the database.
        dataset: Folder of the dataset, which has the spool too.
        most_bytes: Bytes of segments that wait at most; `MOST_BYTES` when None.
        warn: Gets a line for people.

    Raises:
        UsageError: The URL is none of a database.
        AccessError: The folder may not be written, or the database does not let this user in.
        InputError: The tables of the database are those of another version.
    """
    place = database_of(name)
    folder = Path(dataset) / FOLDER
    try:
        spool = Spool(folder, most_bytes or MOST_BYTES)
    except OSError as reason:
        raise AccessError(f"{folder}: cannot be written ({reason.strerror}); choose another place") from None
    shipper = Shipper(place, spool, warn)
    shipper.check()
    return shipper


def usual_folder(interface: str) -> str:
    """Return where a watch keeps sessions that are only sent on: below $STATE_DIRECTORY or $XDG_STATE_HOME."""
    state = (
        os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        or os.environ.get("XDG_STATE_HOME")
        or "~/.local/state"
    )
    name = "stdin" if interface == "-" else interface
    return str(Path(state).expanduser() / "lastack" / f"watch-{name}")

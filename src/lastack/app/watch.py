"""Watches TCP sessions as they happen: packets in, finished sessions into a dataset, for days.

One thread takes packets and tracks them; another judges and writes (`watch_keeper`); a third may serve metrics. The
time of a session is the time of its packets; what the process does on its own follows the monotonic clock.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lastack.app.alerts import AlertState
from lastack.app.options import RunSummary, default_max_sessions
from lastack.app.sessions import run_of
from lastack.app.watch_keeper import Keeper, Left
from lastack.app.watch_metrics import WatchMetrics
from lastack.app.watch_options import WatchOptions
from lastack.app.watch_source import PipeSource, Source
from lastack.diagnosis.around import Around
from lastack.diagnosis.crowd import Crowd
from lastack.kernels.sharding import SHARDS
from lastack.model.errors import LastackError
from lastack.model.units import NS_PER_S
from lastack.store.manifest import Run
from lastack.store.roll import RollingStore
from lastack.tracking.jobs import in_turn
from lastack.tracking.ledger import Ledger
from lastack.tracking.standing import Standing, Step, open_sessions, sweep
from lastack.tracking.tracker import Tracker

_WAIT_S = 0.05
#: The thread that captures comes back to Python a dozen times a round, and waits so long each time that another runs.
_SWITCH_S = 0.0005
_NAP_S = 0.005  # lets packets gather: a wake-up for each would cost more than they do
_FEW = 512
_LAST_S = 5.0  # for what is in the ring when the watch is stopped
_SWEEP_S = 1.0
_SHARE = 20  # what is done now and then takes at most one part in so many of the time
_STEP_NS = NS_PER_S
_MOST_PROBLEMS = 100
_TOP = 8

Told = Callable[[str], None]


@dataclass(slots=True)
class WatchState:
    """How a watch stands, for a screen or a status page.

    Attributes:
        name: What is watched.
        seconds: Since the start.
        packets: Read.
        drops: Dropped by the kernel.
        opened: Sessions that began.
        evicted: Sessions that left a full table.
        rows: Sessions that left.
        held: Rows that wait for a roll.
        lost: Rows that the disk refused for too long.
        trouble: Why the disk refuses, empty if it does not.
        up: Whether the interface is.
        standing: Sessions in the table.
        endings: Sessions that left, by ending.
        causes: The same by cause.
        segments: Files of the dataset.
        size: Their bytes.
        oldest_s: Seconds since the first FIN of the session that is half-closed longest.
        firing: Names of alert rules that fire.
        servers: Servers with most sessions in the last minutes: name, sessions, how many took harm.
    """

    name: str
    seconds: float = 0.0
    packets: int = 0
    drops: int = 0
    opened: int = 0
    evicted: int = 0
    rows: int = 0
    held: int = 0
    lost: int = 0
    trouble: str = ""
    up: bool = True
    standing: Standing = field(default_factory=Standing)
    endings: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    segments: int = 0
    size: int = 0
    oldest_s: float = 0.0
    firing: list[str] = field(default_factory=list)
    servers: list[tuple[str, int, int]] = field(default_factory=list)


class Watch:
    """A watch at work.

    Args:
        source: Packets.
        store: Where sessions go.
        options: How to watch.
        warn: Gets a line for people.
        reload: Reads the options again on SIGHUP; raises a LastackError if they are wrong.
        show: Told how it stands, about once a second.
    """

    def __init__(
        self,
        source: Source,
        store: RollingStore,
        options: WatchOptions,
        warn: Told,
        reload: Callable[[], WatchOptions] | None = None,
        show: Callable[[WatchState], None] | None = None,
    ) -> None:
        self.metrics = WatchMetrics()
        self.state = WatchState(source.name)
        self._source = source
        self._store = store
        self._options = options
        self._warn = warn
        self._reload = reload
        self.show = show
        self._tracker = Tracker(options.max_sessions or default_max_sessions())
        self._tracker.sensors = [source.name]
        self._ledger = Ledger()
        self._problems: list[str] = []
        self._keeper = Keeper(store, options, self.metrics, self._run_so_far, warn)
        self._stopping = threading.Event()
        self._reloading = False
        self._started = time.monotonic()
        self._latest_ns = 0
        self._latest_at = self._started
        self._wall = time.time_ns() - time.monotonic_ns()
        self._steps: list[Step] = []
        self._both_ways = False
        self._standing = Standing()
        self._checked_ns = 0

    def run(self) -> None:
        """Watch until the end of the input or a signal, if signals were taken; then write every session and stop.

        Raises:
            LastackError: The input cannot be read at all.
        """
        self._keeper.warm(self._tracker.rows(*open_sessions(self._tracker.shards, 0)))
        sys.setswitchinterval(_SWITCH_S)
        self._keeper.start()
        sweep_at = snapshot_at = time.monotonic()
        try:
            while not self._stopping.is_set() and not self._source.ended:
                if self._take() < _FEW:
                    time.sleep(_NAP_S)
                now = time.monotonic()
                if now >= sweep_at:
                    self._look_after()
                    took = time.monotonic() - now
                    sweep_at = now + max(_SWEEP_S, _SHARE * took)
                if self._options.snapshot_ns and now >= snapshot_at:
                    begun = time.monotonic()
                    self._snapshot()
                    took = time.monotonic() - begun
                    snapshot_at = now + max(self._options.snapshot_ns / NS_PER_S, _SHARE * took)
                if self._reloading:
                    self._reload_now()
                if self._keeper.failure is not None:
                    raise self._keeper.failure
        finally:
            self._finish()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()

    def alert_rows(self) -> list[dict[str, object]]:
        """Return how each alert rule stands, as JSON values."""
        rows: list[dict[str, object]] = []
        for rule in self._keeper.alerts.rules:
            state = self._keeper.alerts.states.get(rule.name, AlertState())
            row = {"alert": rule.name, "metric": rule.metric, "firing": state.firing, "value": state.value}
            rows.append({**row, "sessions": state.sessions, "since_ns": state.since_ns})
        return rows

    def take_signals(self) -> None:
        """Let SIGTERM and Ctrl-C end it from now on, and SIGHUP read its settings again; in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGHUP, self._hung_up)

    def _interrupted(self, *_: object) -> None:
        if self._stopping.is_set():
            raise KeyboardInterrupt
        self.stop()

    def _hung_up(self, *_: object) -> None:
        self._reloading = True

    def _take(self, wait_s: float = _WAIT_S) -> int:
        """Take what waits, or comes soon; return the number of packets."""
        tallies = self._source.take(wait_s)
        if isinstance(self._source, PipeSource):
            self._ledger.add_orphans(self._source.orphans())
        packets = 0
        for tally in tallies:
            self._ledger.add_tally(tally)
            packets += int(tally["packets"])
            if tally["packets"]:
                self._latest_ns, self._latest_at = int(tally["last_ns"]), time.monotonic()
        if packets:
            for shard in range(SHARDS):
                for left in self._tracker.feed(shard, self._source.pieces(shard)):
                    for batch in left.parts():
                        self._keeper.put(Left(batch, None, self._now()))
        return packets

    def _now(self) -> int:
        """Return the time now on the clock of the packets."""
        return self._latest_ns + round((time.monotonic() - self._latest_at) * NS_PER_S)

    def _look_after(self) -> None:
        """End sessions whose time is up, look at the clock, the counters and the interface, and show it all."""
        self._check_clock()
        now = self._now()
        if lost := self._source.refresh():
            self._keeper.losses.append((self._checked_ns, now))
            self._problem(f"{self._source.name}: the kernel dropped {lost:,} packets", keep=False)
        self._checked_ns = now
        if self._source.up != self.state.up:
            self.state.up = self._source.up
            self._problem(
                f"{self._source.name}: the interface is {'up again' if self._source.up else 'down'}"
            )
        standing = Standing()
        if self._latest_ns:
            due = sum(
                sweep(shard, now, self._options.timeouts, standing, self._steps)
                for shard in self._tracker.shards
            )
            if due or any(len(shard.finished()) for shard in self._tracker.shards):
                around = self._around()
                for batch in self._tracker.drain():
                    self._keeper.put(Left(batch, around, now))
        self._standing = standing
        self._tell()

    def _around(self) -> Around:
        self._both_ways = self._both_ways or self._tracker.both_ways()
        return Around(Crowd.of_tables(self._tracker.tables()), self._both_ways)

    def _check_clock(self) -> None:
        wall = time.time_ns() - time.monotonic_ns()
        by = wall - self._wall
        self._wall = wall
        if abs(by) < _STEP_NS or isinstance(self._source, PipeSource):
            return
        before = self._now()
        self._steps = [step for step in self._steps if before - step.before_ns < 2 * 86_400 * NS_PER_S][-20:]
        self._steps.append(Step(before, by))
        self._latest_ns += by  # until the next packet says so itself
        self._problem(f"the clock was set by {by / NS_PER_S:+.1f} s: durations across that are wrong")

    def _snapshot(self) -> None:
        if not self._latest_ns:
            return
        owners, indices = open_sessions(self._tracker.shards, self._options.snapshot_rows)
        batch = self._tracker.rows(owners, indices)
        total = max(self._standing.live, batch.num_rows)
        self._keeper.put_snapshot(Left(batch, Around(None, self._both_ways), self._now()), total)

    def _reload_now(self) -> None:
        self._reloading = False
        if self._reload is None:
            self._warn("SIGHUP: there is nothing to read again")
            return
        try:
            options = self._reload()
        except LastackError as error:
            self._warn(f"SIGHUP: {error}; the old settings hold")
            return
        self._options = options
        self._keeper.reload(options)
        self._warn("SIGHUP: settings were read again")

    def _problem(self, text: str, *, keep: bool = True) -> None:
        self._warn(text)
        if keep:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._problems = [*self._problems, f"{stamp} {text}"][-_MOST_PROBLEMS:]

    def _tell(self) -> None:
        state, store = self.state, self._store
        state.seconds = time.monotonic() - self._started
        state.packets, state.drops = self._ledger.packets, self._source.drops
        state.opened = sum(int(shard.control["created"][0]) for shard in self._tracker.shards)
        state.evicted, state.rows = self._tracker.evicted, self._keeper.rows
        state.held, state.lost, state.trouble = store.held, store.lost, store.trouble
        state.standing = self._standing
        state.endings, state.causes = dict(self.metrics.endings), dict(self.metrics.causes)
        state.segments, state.size = len(store.segments), store.size
        totals = {name: getattr(state, name) for name in ("opened", "packets", "drops", "evicted", "lost")}
        self.metrics.stand(self._standing, totals, up=state.up, writable=not store.trouble)
        if self.show is not None:
            ages = self._standing.half_closed_ages_s
            state.oldest_s = max((float(some.max()) for some in ages if len(some)), default=0.0)
            state.firing = [name for name, one in self._keeper.alerts.states.items() if one.firing]
            state.servers = self._keeper.top.first(_TOP)
            self.show(state)

    def _run_so_far(self, segments: int, stray: int, rows: int) -> Run:
        """Return what the manifest says of this run; packets of sessions that are still open come when they leave."""
        return self._as_run(segments, stray, rows, segments + stray + sum(self._ledger.drops.values()))

    def _as_run(self, segments: int, stray: int, rows: int, packets: int) -> Run:
        ledger = self._ledger
        whole = Ledger(
            packets, segments, stray, dict(ledger.drops), dict(ledger.encaps), dict(ledger.links),
            ledger.backwards, ledger.first_ns, ledger.last_ns,
        )  # fmt: skip
        lost = {name: count for name, count in self._tracker.lost().items() if count}
        if self._source.drops:
            lost["kernel_packets"] = self._source.drops
        if self._store.lost:
            lost["rows"] = self._store.lost
        problems = [*self._problems]
        if isinstance(self._source, PipeSource):
            problems += self._source.problems
        if self._source.drops:
            problems.append(
                f"{self._source.name}: the kernel dropped {self._source.drops:,} packets in all; "
                "sessions that were live then are lossy"
            )
        if self._store.lost:
            problems.append(f"{self._store.lost:,} finished sessions were lost: the disk refused them")
        summary = RunSummary(
            whole, list(problems), rows, self._tracker.evicted, [self._source.name], 0.0, lost
        )
        return run_of(summary)

    def _finish(self) -> None:
        """Take what the kernel holds already, write what is in the table and close the dataset."""
        with contextlib.suppress(LastackError, OSError):
            until = time.monotonic() + _LAST_S
            while time.monotonic() < until and self._take(0.0):
                pass
            self._look_after()
        now = self._now()
        if self._keeper.failure is None:
            around = self._around()
            for job in self._tracker.flush(in_turn):
                self._keeper.put(Left(job(), around, now))
            self._standing = Standing()
        self._keeper.finish()
        self._source.close()
        self._store.close()
        if self._keeper.failure is None:
            self._tell()
        elif not isinstance(self._keeper.failure, KeyboardInterrupt):
            raise self._keeper.failure


def serve_metrics(listen: str, watch: Watch, warn: Told) -> Callable[[], None]:
    """Serve /metrics and /status of a watch; return what ends it.

    Args:
        listen: Address and port, `127.0.0.1:9116` or `[::1]:9116`.
        watch: Whose.
        warn: Told the URL.
    """
    import uvicorn

    from lastack.app.watch_http import make_app
    from lastack.prober.address import split_target
    from lastack.prober.listening import listen as open_listener

    host, port = split_target(listen)
    listener = open_listener(host, port)
    server = uvicorn.Server(
        uvicorn.Config(make_app(watch), log_level="error", access_log=False, lifespan="off")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    warn(f"metrics on http://{host}:{listener.getsockname()[1]}/metrics")

    def stop() -> None:
        server.should_exit = True
        thread.join(5.0)
        listener.close()

    return stop

"""What happens to a watch within days, in seconds: a day of sessions, clocks that are set, interfaces that come and go.

The packets come from a ring of this test; everything behind it is the real thing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.blast import frames_of_session

from lastack.app import watch as watching
from lastack.app.sessions import Question, ask
from lastack.app.watch import Watch
from lastack.app.watch_options import WatchOptions
from lastack.app.watch_source import RingSource
from lastack.lab.waiting import wait_until
from lastack.model.batch import FRAME
from lastack.model.units import NS_PER_S
from lastack.store.manifest import read_manifest
from lastack.store.retention import Retention
from lastack.store.roll import RollingStore
from lastack.tracking.standing import Timeouts

MINUTE, HOUR = 60 * NS_PER_S, 3600 * NS_PER_S


class Ring:
    """Stands for an interface's ring: frames that the test puts there."""

    def __init__(self) -> None:
        self.name, self.link, self.drops, self.up = "test0", 1, 0, True
        self.address = 0
        self._waiting: list[tuple[bytes, int]] = []
        self._lock = threading.Lock()
        self._bytes: Any = np.zeros(1, np.uint8)
        self._lost = 0

    def put(self, frames: list[bytes], at_ns: int, step_ns: int = 1000) -> None:
        with self._lock:
            self._waiting += [(frame, at_ns + number * step_ns) for number, frame in enumerate(frames)]

    def lose(self, packets: int) -> None:
        self._lost = packets

    @property
    def empty(self) -> bool:
        return not self._waiting

    def frames(self, most: int) -> Any:
        with self._lock:
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
        made = np.zeros(len(taken), FRAME)
        lengths = [len(frame) for frame, _ in taken]
        self._bytes = np.frombuffer(b"".join(frame for frame, _ in taken) or b"\0", np.uint8).copy()
        self.address = int(self._bytes.ctypes.data)
        made["ts_ns"] = [at for _, at in taken]
        made["offset"] = np.cumsum([0, *lengths])[: len(taken)]
        made["caplen"] = made["wirelen"] = lengths
        made["link"] = self.link
        return made

    def release(self) -> None:
        pass

    def fileno(self) -> int:
        return 0

    def wait(self, timeout_s: float) -> bool:
        threading.Event().wait(min(timeout_s, 0.002))
        return bool(self._waiting)

    def refresh(self) -> int:
        lost, self._lost = self._lost, 0
        self.drops += lost
        return lost

    def close(self) -> None:
        pass


class Clock:
    """Stands for the module `time`: its wall clock can be set."""

    def __init__(self) -> None:
        self.set_by_ns = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.set_by_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@dataclass
class Running:
    ring: Ring
    watch: Watch
    clock: Clock
    store: RollingStore
    said: list[str]
    thread: threading.Thread

    def until(self, what: Callable[[], object], text: str) -> None:
        wait_until(lambda: what() or not self.thread.is_alive(), text, 60, 0.005)
        assert self.thread.is_alive(), self.said

    def looked(self) -> None:
        """Wait until the watch has looked after its table twice more."""
        rounds: list[int] = []
        self.watch.show = lambda state: rounds.append(state.packets)
        self.until(lambda: len(rounds) >= 2, "the watch looks after its table")

    def finish(self) -> list[dict[str, Any]]:
        self.watch.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()
        rows: list[dict[str, Any]] = []
        ask([str(self.store.path)], Question(), lambda batch: rows.extend(batch.to_pylist()))
        return rows


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[WatchOptions], Running]]:
    made: list[Running] = []

    def begin(options: WatchOptions) -> Running:
        monkeypatch.setattr(watching, "_SWEEP_S", 0.01)
        monkeypatch.setattr(watching, "_SHARE", 0)
        clock, ring = Clock(), Ring()
        monkeypatch.setattr(watching, "time", clock)
        store = RollingStore(tmp_path / "ds", retention=options.retention)
        said: list[str] = []
        watch = Watch(RingSource(ring), store, options, said.append)  # type: ignore[arg-type]
        thread = threading.Thread(target=watch.run)
        made.append(Running(ring, watch, clock, store, said, thread))
        thread.start()
        return made[-1]

    yield begin
    for one in made:
        one.watch.stop()
        one.thread.join(60)


OPTIONS = WatchOptions(max_sessions=100_000, roll_ns=NS_PER_S // 5, snapshot_ns=0)


def test_day__of_sessions_leaves_every_row_and_a_small_table(
    start: Callable[[WatchOptions], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastack.app.watch_keeper._TIDY_EVERY_S", 0.2)
    running = start(replace(OPTIONS, roll_ns=NS_PER_S // 50))
    begun, count, rounds = time.time_ns(), 60, 72
    largest = 0
    for number in range(rounds):
        # Twenty minutes later other clients come; every tenth session is never answered.
        for session in range(count):
            frames = frames_of_session(session, 100 + number % 100)
            at = begun + number * 20 * MINUTE + session * NS_PER_S
            running.ring.put(frames[:1] if session % 10 == 9 else frames, at)
        running.until(lambda: running.ring.empty, "the ring is empty")
        running.looked()
        tables = running.watch._tracker.shards
        largest = max(largest, sum(int(table.control["records"][0]) for table in tables))
    assert largest <= 3 * count, "records of sessions that left are not used again"
    before = len(running.store.segments)
    rows = running.finish()
    manifest = read_manifest(running.store.path)
    assert before < rounds / 2, "segments are not merged"
    assert len(rows) == count * rounds
    assert sum(row["opening"] == "unanswered" for row in rows) == count * rounds // 10
    assert (manifest.state, manifest.run.residual, manifest.run.lost) == ("complete", 0, {})
    assert manifest.run.problems == ()


def test_clock__set_forward_ends_no_session(start: Callable[[WatchOptions], Running]) -> None:
    options = replace(OPTIONS, timeouts=Timeouts(half_open_ns=MINUTE, established_ns=10 * MINUTE))
    running = start(options)
    now = time.time_ns()
    running.ring.put(frames_of_session(1, 100)[:1], now)
    running.ring.put(frames_of_session(2, 100)[:5], now)
    running.until(lambda: running.watch.state.standing.live == 2, "both sessions stand")
    running.clock.set_by_ns = HOUR
    running.until(lambda: any("the clock was set" in line for line in running.said), "it notices")
    running.ring.put(frames_of_session(3, 100)[:5], now + HOUR)
    running.until(lambda: running.watch.state.standing.live == 3, "the third stands beside them")
    running.looked()
    assert running.watch.state.standing.live == 3, "the hour that never was has ended sessions"
    # The time that really passes goes on to count.
    running.ring.put(frames_of_session(4, 100)[:5], now + HOUR + 2 * MINUTE)
    running.until(lambda: running.watch.state.standing.half_open == 0, "the SYN leaves after its minute")
    rows = running.finish()
    assert sorted(row["ending"] for row in rows) == ["never_opened", "open", "open", "open"]
    (problem,) = read_manifest(running.store.path).run.problems
    assert "the clock was set by +3600.0 s" in problem


def test_clock__set_back_keeps_sessions_no_longer_than_they_may(
    start: Callable[[WatchOptions], Running],
) -> None:
    running = start(replace(OPTIONS, timeouts=Timeouts(half_open_ns=MINUTE)))
    now = time.time_ns()
    running.ring.put(frames_of_session(1, 100)[:1], now)
    running.until(lambda: running.watch.state.standing.half_open == 1, "it stands")
    running.clock.set_by_ns = -HOUR
    running.until(lambda: any("the clock was set" in line for line in running.said), "it notices")
    running.ring.put(frames_of_session(2, 100)[:5], now - HOUR + NS_PER_S)
    running.until(lambda: running.watch.state.standing.live == 2, "another stands")
    running.ring.put(frames_of_session(3, 100)[:5], now - HOUR + 2 * MINUTE)
    running.until(
        lambda: running.watch.state.standing.half_open == 0, "it leaves a minute later all the same"
    )
    assert len(running.finish()) == 3


def test_loss__lowers_what_was_seen_of_sessions_that_stood(start: Callable[[WatchOptions], Running]) -> None:
    running = start(replace(OPTIONS, timeouts=Timeouts(closed_ns=NS_PER_S)))
    now = time.time_ns()
    running.ring.put(frames_of_session(1, 100), now)
    running.ring.put(frames_of_session(5, 100)[:1], now + 2 * NS_PER_S)
    running.until(lambda: running.watch.state.rows == 1, "one has left before")
    running.ring.put(frames_of_session(2, 100)[:5], now + 3 * NS_PER_S)
    running.until(lambda: running.watch.state.standing.live == 2, "one stands")
    running.ring.lose(7)
    running.until(lambda: running.watch.state.drops == 7, "the loss is seen")
    rows = {row["client_port"]: row["observed"] for row in running.finish()}
    assert rows == {1025: "complete", 1026: "lossy", 1029: "lossy"}
    run = read_manifest(running.store.path).run
    assert run.lost == {"kernel_packets": 7}
    assert "dropped 7 packets" in run.problems[-1]


def test_interface__that_goes_and_comes_is_told_once_each(start: Callable[[WatchOptions], Running]) -> None:
    running = start(OPTIONS)
    running.ring.up = False
    running.until(lambda: not running.watch.state.up, "it is down")
    running.looked()
    running.ring.up = True
    running.until(lambda: running.watch.state.up, "it is up")
    running.finish()
    assert [line for line in running.said if "interface" in line] == [
        "test0: the interface is down",
        "test0: the interface is up again",
    ]


def test_retention__by_size_holds_while_a_watch_runs(
    start: Callable[[WatchOptions], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastack.app.watch_keeper._TIDY_EVERY_S", 0.05)
    size = 120_000
    options = replace(
        OPTIONS, roll_ns=NS_PER_S // 50, timeouts=Timeouts(closed_ns=1), retention=Retention(size=size)
    )
    running = start(options)
    begun = time.time_ns()
    for number in range(30):
        for session in range(20):
            running.ring.put(frames_of_session(session, 100 + number), begun + number * MINUTE)
        running.until(lambda: running.ring.empty, "the ring is empty")
        running.looked()
    running.until(lambda: running.store.size <= size, "what is too much has gone")
    assert running.watch.state.rows > running.store.row_count > 0
    running.finish()

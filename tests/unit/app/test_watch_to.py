"""Segments of a watch on their way to a database that comes and goes: each session arrives once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.doubles.clickhouse import Double, why_not
from tests.unit.query.rows import random_rows

from lastack.app import watch_to
from lastack.app.watch_to import Shipper, shipper_to, usual_folder
from lastack.model.errors import AccessError, UsageError
from lastack.store.clickhouse_server import Server
from lastack.store.clickhouse_stored import ClickHouseSessions
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run
from lastack.store.place import place_of
from lastack.store.roll import RollingStore
from lastack.store.spool import FOLDER, Spool

needs_engine = pytest.mark.skipif(bool(why_not()), reason=why_not())
SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"
LONG_S = 60.0


def segment(folder: Path, name: str, size: int = 1000) -> Path:
    path = folder / f"{name}.parquet"
    path.write_bytes(b"x" * size)
    return path


def test_spool__keeps_segments_in_order_and_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FOLDER, 10_000)
    made = [segment(tmp_path, name) for name in ("b", "a", "c")]
    assert all(spool.offer(file, 5) for file in made)
    for file in made:
        file.unlink()  # the dataset may let its own go
    assert (spool.files, spool.size) == (3, 3000)
    first = spool.first()
    assert first is not None
    assert first.name == "b.parquet"
    assert len(first.read_bytes()) == 1000
    spool.done(first)
    again = Spool(tmp_path / FOLDER, 10_000)
    assert (again.files, again.size, again.dropped) == (2, 2000, 0)


def test_spool__that_is_full_counts_what_it_does_not_take(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FOLDER, 2500)
    taken = [spool.offer(segment(tmp_path, str(number)), 7) for number in range(4)]
    assert taken == [True, True, False, False]
    assert (spool.files, spool.size, spool.dropped, spool.dropped_rows) == (2, 2000, 2, 14)
    first = spool.first()
    assert first is not None
    spool.done(first)
    assert spool.offer(segment(tmp_path, "later"), 1), "there is room again"


def test_spool__a_disk_that_refuses_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FOLDER, 2500)
    assert not spool.offer(tmp_path / "nowhere.parquet", 3)
    assert (spool.dropped, spool.dropped_rows, spool.files) == (1, 3, 0)


def test_folder__of_a_watch_without_one_is_among_the_states_of_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/var/states")
    assert usual_folder("eth0") == "/var/states/lastack/watch-eth0"
    assert usual_folder("-") == "/var/states/lastack/watch-stdin"


def test_shipper__refuses_what_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no database"):
        shipper_to("flows", str(tmp_path), None, print)


@pytest.fixture(scope="module")
def rows() -> Any:
    batch = random_rows(600, 9)
    fresh = {"session_id": pa.array(range(1, 601), pa.uint64())}
    arrays = [fresh.get(name, batch.column(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_to, "_FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(watch_to, "_LONGEST_PAUSE_S", 0.1)


class Sensor:
    """A watch as far as the store: rows go in, segments come out and are sent."""

    def __init__(self, path: Path, url: str, most_bytes: int | None = None) -> None:
        self.said: list[str] = []
        self.shipper: Shipper = shipper_to(url, str(path), most_bytes, self.said.append)
        self.store = RollingStore(path, made=self.shipper.offer)
        self.written = 0

    def roll(self, rows: Any, packets: int = 0) -> None:
        self.store.write(rows)
        self.written += rows.num_rows
        self.store.roll(Run(("eth0",), first_ns=5, last_ns=9, sessions=self.written, packets=packets))


def counted(url: str) -> tuple[int, int]:
    with Server(place_of(url)) as server:
        ((every, different),) = server.shared.rows(
            ("SELECT count(), uniqExact(session_id) FROM sessions", [])
        )
    return every, different


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    found = Double(tmp_path / "engine")
    yield found
    found.kill()


@needs_engine
def test_shipper__sends_what_waited_while_the_database_was_away(
    double: Double, tmp_path: Path, rows: Any
) -> None:
    url = double.url("away")
    sensor = Sensor(tmp_path / "dataset", url)
    sensor.shipper.start(lambda: sensor.store.run)
    for start in range(0, 400, 100):
        sensor.roll(rows.slice(start, 100))
    assert sensor.shipper.spool.files == 4
    assert "no ClickHouse answers" in sensor.said[0]
    double.start()
    sensor.roll(rows.slice(400, 200), packets=77)
    assert sensor.store.finish(sensor.store.run or Run())
    assert sensor.shipper.finish(LONG_S) == 0
    assert counted(url) == (600, 600)
    assert sensor.shipper.sent_rows == 600
    with Server(place_of(url)) as server:
        (part,) = ClickHouseSessions(server).parts
    assert part.runs[0].packets == 77
    assert len(sensor.said) == 2, "that it is away and that it is back are told once each"
    assert "answers again" in sensor.said[1]


@needs_engine
def test_shipper__killed_with_the_server_in_the_middle_of_an_insert_sends_each_session_once(
    double: Double, tmp_path: Path, rows: Any
) -> None:
    double.start()
    url = double.url("killed")
    sensor = Sensor(tmp_path / "dataset", url)
    double.fault("after")  # the insert is done, and nobody ever hears of it
    sensor.roll(rows.slice(0, 300))
    sensor.roll(rows.slice(300, 200))
    sensor.shipper.start(lambda: sensor.store.run)
    double.wait_dead()
    sensor.shipper.finish(LONG_S)  # gives up, as a process that is ended does
    assert sensor.shipper.spool.files == 2
    sensor.store.close()
    double.start()
    assert counted(url) == (300, 300)
    again = Sensor(tmp_path / "dataset", url)
    again.shipper.start(lambda: again.store.run)
    again.roll(rows.slice(500, 100))
    assert again.shipper.finish(LONG_S) == 0
    assert counted(url) == (600, 600)
    assert Dataset.open(tmp_path / "dataset", partial=True).rows == 600


@needs_engine
def test_shipper__a_segment_that_cannot_be_read_holds_nothing_up_and_a_wrong_password_is_told_first(
    double: Double, tmp_path: Path, rows: Any
) -> None:
    double.password = "right"
    double.start()
    with pytest.raises(AccessError, match="refuses user"):
        shipper_to(double.url("bad", "default:no@"), str(tmp_path / "other"), None, print)
    url = double.url("bad", "default:right@")
    (tmp_path / "dataset" / FOLDER).mkdir(parents=True)
    segment(tmp_path / "dataset" / FOLDER, "live-0")
    segment(tmp_path / "dataset" / FOLDER, "live-1", 0)  # as a disk leaves it that lost its power
    sensor = Sensor(tmp_path / "dataset", url)
    registry = CollectorRegistry()
    registry.register(sensor.shipper)
    sensor.shipper.start(lambda: sensor.store.run)
    sensor.roll(rows)
    assert sensor.shipper.finish(LONG_S) == 0
    assert counted(url) == (600, 600)
    assert {file.name for file in (tmp_path / "dataset" / FOLDER).iterdir()} == {"live-0.bad", "live-1.bad"}
    assert "set aside" in " ".join(sensor.said)
    text = generate_latest(registry).decode()
    assert "lastack_sent_rows_total 600.0" in text
    assert "lastack_spool_segments 0.0" in text
    assert "lastack_database_up 1.0" in text


@needs_engine
def test_watch__to_a_database_has_the_same_sessions_there_as_in_the_dataset_that_it_makes_for_itself(
    double: Double, tmp_path: Path
) -> None:
    double.start()
    url = double.url("flows")
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    environment.pop("STATE_DIRECTORY", None)
    with SAMPLE.open("rb") as capture:
        done = subprocess.run(
            [sys.executable, "-m", "lastack.cli.main", "watch", "-", "--to", url],
            stdin=capture,
            capture_output=True,
            env=environment,
            timeout=150,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    dataset = Dataset.open(tmp_path / "state" / "lastack" / "watch-stdin")
    ours = [row for b in dataset.scan() for row in b.to_pylist()]
    with Server(place_of(url)) as server:
        sessions = ClickHouseSessions(server)
        theirs = [row for b in sessions.scan() for row in b.to_pylist()]
        (run, *_) = sessions.parts[0].runs
    assert sorted(theirs, key=_id) == sorted(ours, key=_id)
    assert len(ours) > 100
    assert run == dataset.summary, "what was read is known there as here"
    assert not list((dataset.path / FOLDER).iterdir())


def _id(row: dict[str, Any]) -> int:
    return int(row["session_id"])

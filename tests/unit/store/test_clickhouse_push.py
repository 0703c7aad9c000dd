"""Bringing segments into ClickHouse's engine: each session once, whatever breaks in between."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.doubles.clickhouse import Double, why_not
from tests.unit.query.rows import random_rows

from lastack.app.push import push_dataset
from lastack.model.errors import AccessError, InputError, UsageError
from lastack.model.fields import FIELDS
from lastack.query.question_text import parse_question
from lastack.store import clickhouse_segments
from lastack.store.clickhouse_errors import AwayError
from lastack.store.clickhouse_push import Loader, prepare
from lastack.store.clickhouse_schema import MINUTES, PUSHED, SESSIONS, missing_columns, schema
from lastack.store.clickhouse_segments import file_source
from lastack.store.clickhouse_server import Server
from lastack.store.clickhouse_stored import ClickHouseSessions
from lastack.store.compact import merge
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run, read_manifest, write_manifest
from lastack.store.place import place_of
from lastack.store.writer import DatasetWriter

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
ROWS = 900
PASSWORD = "right"


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    found = Double(tmp_path_factory.mktemp("push") / "engine", PASSWORD)
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def rows() -> Any:
    """Return sessions with ids of their own, on several days: one insert is several parts."""
    batch = random_rows(ROWS, 5)
    day = 86_400 * 10**9
    fresh = {
        "session_id": pa.array(range(1, ROWS + 1), pa.uint64()),
        "start_ns": pa.array([1_700_000_000 * 10**9 + i % 3 * day for i in range(ROWS)], pa.int64()),
    }
    arrays = [fresh.get(name, batch.column(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


@pytest.fixture
def dataset(tmp_path: Path, rows: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a dataset of three segments, each of which goes in four inserts."""
    monkeypatch.setattr(clickhouse_segments, "BLOCK_ROWS", 80)
    path = tmp_path / "dataset"
    for start in range(0, ROWS, 300):
        with DatasetWriter(path, "append") as writer:
            writer.write(rows.slice(start, 300))
            writer.finish(Run(captures=(f"{start}.pcap",), first_ns=start, last_ns=start + 5, packets=7))
    return path


@pytest.fixture
def url(double: Double, request: pytest.FixtureRequest) -> str:
    """Return the URL of a database that no other test has."""
    return double.url(request.node.name.rpartition("__")[2][:40], f"default:{PASSWORD}@")


def counted(url: str) -> tuple[int, int, int]:
    """Return rows, different sessions, and sessions that the table of minutes has."""
    with Server(place_of(url)) as server:
        ((every, different),) = server.shared.rows(
            (f"SELECT count(), uniqExact(session_id) FROM {SESSIONS}", [])
        )
        ((minutes,),) = server.shared.rows((f"SELECT sum(sessions) FROM {MINUTES}", []))
    return every, different, minutes


def test_push__twice_adds_nothing_twice(dataset: Path, url: str, rows: Any) -> None:
    first = push_dataset(str(dataset), url)
    assert (first.inserted, first.known, first.segments, first.there) == (ROWS, 0, 3, 0)
    again = push_dataset(str(dataset), url)
    assert (again.inserted, again.known, again.segments, again.there) == (0, ROWS, 3, 3)
    assert counted(url) == (ROWS, ROWS, ROWS)
    with Server(place_of(url)) as server:
        kept = pa.Table.from_batches(list(ClickHouseSessions(server).scan()))
        assert sorted(kept.to_pylist(), key=_id) == rows.to_pylist()
        (part,) = ClickHouseSessions(server).parts
    assert sum(run.packets for run in part.runs) == 21, "each run once"


def _id(row: dict[str, Any]) -> int:
    return int(row["session_id"])


def test_push__of_a_copy_and_of_merged_segments_adds_nothing(dataset: Path, url: str, tmp_path: Path) -> None:
    push_dataset(str(dataset), url)
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    assert push_dataset(str(copy), url).inserted == 0
    manifest = read_manifest(copy)
    merged = merge(copy, manifest.segments, "live-merged.parquet")
    assert merged is not None
    write_manifest(copy, type(manifest)("complete", (merged,), manifest.runs))
    again = push_dataset(str(copy), url)
    assert (again.inserted, again.known, again.there) == (0, ROWS, 0)
    assert counted(url) == (ROWS, ROWS, ROWS)


def test_push__goes_on_when_a_watch_merges_segments_meanwhile(
    dataset: Path, url: str, tmp_path: Path, rows: Any
) -> None:
    manifest = read_manifest(dataset)
    merged_once = False

    def told(state: Any) -> None:
        nonlocal merged_once
        if state.inserted >= 300 and not merged_once:
            merged_once = True
            merged = merge(dataset, manifest.segments, "live-merged.parquet")
            assert merged is not None
            write_manifest(dataset, type(manifest)("growing", (merged,), manifest.runs))
            for segment in manifest.segments:
                (dataset / segment.file).unlink()

    report = push_dataset(str(dataset), url, told=told)
    assert merged_once
    assert (report.inserted, report.rows) == (ROWS, ROWS)
    assert counted(url) == (ROWS, ROWS, ROWS)


def test_push__of_a_dataset_that_has_grown_brings_what_is_new(dataset: Path, url: str, rows: Any) -> None:
    manifest = read_manifest(dataset)
    write_manifest(dataset, type(manifest)("complete", manifest.segments[:1], manifest.runs[:1]))
    assert push_dataset(str(dataset), url).inserted == 300
    write_manifest(dataset, manifest)
    assert push_dataset(str(dataset), url).inserted == 600
    assert counted(url) == (ROWS, ROWS, ROWS)


@pytest.mark.parametrize(("when", "inserts"), [("before", 2), ("after", 0)])
def test_push__cut_off_in_an_insert_goes_on_where_it_was(
    dataset: Path, rows: Any, tmp_path: Path, when: str, inserts: int
) -> None:
    double = Double(tmp_path / "engine")
    double.start()
    url = double.url("cut")
    try:
        with prepare(place_of(url)) as server:
            loader, done = Loader(server), 0

            def told(_: int, __: int) -> None:
                nonlocal done
                done += 1
                if done == inserts:
                    double.fault(when)

            if not inserts:
                double.fault(when)
            first = Dataset.open(dataset).manifest.segments[0]
            with pytest.raises(InputError, match="no ClickHouse answers"):
                loader.push(file_source(dataset / first.file), told)
        double.wait_dead()
        double.start()
        assert counted(url)[0] == min(300, 80 * (inserts + (when == "after")))
        report = push_dataset(str(dataset), url)
        assert report.rows == ROWS
        assert counted(url) == (ROWS, ROWS, ROWS)
    finally:
        double.kill()


def test_push__an_insert_of_which_only_some_parts_arrived_is_completed(
    dataset: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickhouse_segments, "BLOCK_ROWS", 1000)
    segment = Dataset.open(dataset).manifest.segments[0]
    with prepare(place_of(url)) as server:
        loader = Loader(server)
        assert loader.push(file_source(dataset / segment.file)) == 300
        # As a server leaves it that dies in the second of three parts of an insert.
        server.shared.rows((f"TRUNCATE TABLE {PUSHED}", []))
        server.shared.rows((f"ALTER TABLE {SESSIONS} DROP PARTITION 20231115", []))
        assert counted(url)[0] == 200
        loader.push(file_source(dataset / segment.file))
    assert counted(url) == (300, 300, 300)


def test_push__a_wrong_password_is_told_without_saying_it(double: Double, dataset: Path) -> None:
    with pytest.raises(AccessError, match="refuses user 'default'") as caught:
        push_dataset(str(dataset), double.url("any", "default:wrong@"))
    assert "wrong" not in str(caught.value)


def test_push__nobody_there_is_told_with_the_port(dataset: Path) -> None:
    with pytest.raises(InputError, match=r"no ClickHouse answers at 127\.0\.0\.1"):
        push_dataset(str(dataset), "clickhouse://127.0.0.1:1/flows")


def test_answer__that_breaks_off_is_an_error_and_never_fewer_rows(
    dataset: Path, url: str, double: Double
) -> None:
    push_dataset(str(dataset), url)
    with Server(place_of(url)) as server:
        sessions = ClickHouseSessions(server)
        double.fault("half")
        try:
            with pytest.raises(AwayError, match=r"broke off|no ClickHouse answers"):
                list(sessions.scan())
            with pytest.raises(AwayError, match=r"broke off|no ClickHouse answers"):
                sessions.grouped(parse_question("distinct(client.ip),sessions", "session_id"))
        finally:
            double.fault("none")
        assert sum(batch.num_rows for batch in sessions.scan()) == ROWS


def test_push__tables_of_another_version_are_refused_with_the_remedy(dataset: Path, url: str) -> None:
    push_dataset(str(dataset), url)
    with Server(place_of(url)) as server:
        server.shared.rows((f"ALTER TABLE {SESSIONS} DROP COLUMN completeness", []))
        with pytest.raises(InputError, match="ALTER TABLE sessions ADD COLUMN completeness UInt8"):
            ClickHouseSessions(server)
        server.shared.rows((f"ALTER TABLE {SESSIONS} ADD COLUMN completeness UInt8", []))
        assert ClickHouseSessions(server).parts[0].rows == ROWS
        server.shared.rows(("INSERT INTO lastack_meta (name, value) VALUES ('schema_version', '99')", []))
        with pytest.raises(InputError, match="schema version 99"):
            ClickHouseSessions(server)


def test_push__keep_sets_the_retention_of_tables_that_are_there(dataset: Path, url: str) -> None:
    push_dataset(str(dataset), url)
    push_dataset(str(dataset), url, keep_ns=40 * 86_400 * 10**9)
    with Server(place_of(url)) as server:
        for table in (SESSIONS, MINUTES):
            ((text,),) = server.shared.rows((f"SHOW CREATE TABLE {table}", []))
            assert "toIntervalDay(40)" in text
    with pytest.raises(UsageError, match="by days"):
        push_dataset(str(dataset), url, keep_ns=10**9)


def test_push__what_is_no_database_is_refused(dataset: Path, url: str) -> None:
    with pytest.raises(UsageError, match="is no database"):
        push_dataset(str(dataset), "flows")
    with pytest.raises(UsageError, match="is a database already"):
        push_dataset(url, url)


def test_minutes__add_up_to_the_sessions(dataset: Path, url: str) -> None:
    push_dataset(str(dataset), url)
    with Server(place_of(url)) as server:
        sums = "sum(packets_clt), sum(rst_srv), sum(bytes_srv)"
        whole = server.shared.rows((f"SELECT {sums}, uniqExact(client_ip) FROM {SESSIONS}", []))
        minutes = server.shared.rows((f"SELECT {sums}, uniqCombinedMerge(12)(clients) FROM {MINUTES}", []))
    assert whole == minutes


def test_schema__has_every_field_and_no_table_twice() -> None:
    statements = schema(30)
    assert len({statement.split("(")[0].split("\n")[0] for statement in statements}) == len(statements)
    assert len(missing_columns({})) == len(FIELDS)
    for statement in missing_columns({}):
        name = statement.split()[5]
        assert f"    {name} " in statements[3], name

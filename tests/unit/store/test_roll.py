"""A dataset that grows: rolls, merges, lets go; readers see whole states only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lastack.app.sessions import Question, ask
from lastack.model.errors import UsageError
from lastack.store import roll as rolling
from lastack.store.compact import FAN, choose
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run, Segment, read_manifest
from lastack.store.retention import Retention
from lastack.store.roll import RollingStore

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"


@pytest.fixture(scope="module")
def batch() -> Any:
    batches: list[Any] = []
    ask([str(SAMPLE)], Question(), batches.append)
    return batches[0]


def ids(path: Path) -> list[int]:
    return sorted(
        value
        for batch in Dataset.open(path, partial=True).scan(columns=["session_id"])
        for value in batch.column(0).to_pylist()
    )


def test_roll__small_segments_become_one_and_no_row_changes(tmp_path: Path, batch: Any) -> None:
    store = RollingStore(tmp_path / "ds")
    for number in range(FAN):
        store.write(batch.slice(number, 1))
        assert store.roll(Run(sessions=number + 1))
    before = ids(store.path)
    files = {segment.file for segment in store.segments}
    store.tidy()
    assert len(store.segments) == 1
    assert ids(store.path) == before == sorted(batch.column("session_id").to_pylist()[:FAN])
    assert all((store.path / file).is_file() for file in files)  # for readers that began before
    assert store.finish(Run(sessions=FAN))
    assert read_manifest(store.path).state == "complete"
    assert {file.name for file in store.path.glob("*.parquet")} == {store.segments[0].file}


def test_roll__rows_wait_while_the_disk_refuses_and_the_oldest_go_first(
    tmp_path: Path, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RollingStore(tmp_path / "ds", most_held=4)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rolling.pq, "write_table", full)
        for number in range(6):
            store.write(batch.slice(number, 1))
            assert not store.roll(Run())
        assert store.trouble == "No space left on device"
        assert (store.held, store.lost) == (4, 2)
    assert store.roll(Run())
    assert (store.held, store.trouble, store.rows) == (0, "", 4)
    assert ids(store.path) == sorted(batch.column("session_id").to_pylist()[2:6])
    assert not list(store.path.glob(".*.tmp"))
    store.close()


def test_roll__one_writer_at_a_time_and_what_was_cut_off_is_cleared_up(tmp_path: Path, batch: Any) -> None:
    store = RollingStore(tmp_path / "ds")
    store.write(batch)
    store.roll(Run())
    with pytest.raises(UsageError, match="another `lastack watch`"):
        RollingStore(tmp_path / "ds")
    store.close()
    (store.path / ".live-0-0.parquet.tmp").touch()
    (store.path / "live-0-0.parquet").touch()
    again = RollingStore(tmp_path / "ds")
    assert again.resumed
    assert {file.name for file in store.path.glob("*.parquet")} == {again.segments[0].file}
    assert not (store.path / ".live-0-0.parquet.tmp").exists()
    again.close()


def test_roll__what_was_open_at_a_kill_is_kept_once_and_told(tmp_path: Path, batch: Any) -> None:
    store = RollingStore(tmp_path / "ds")
    store.write(batch.slice(0, 2))
    assert store.roll(Run(sessions=2))
    assert store.snapshot(batch.slice(1, 4), total=7)  # the second row has ended and was written since
    store.close()  # as a kill does

    again = RollingStore(store.path)
    assert (again.resumed, again.recovered) == (True, 3)
    assert ids(store.path) == sorted(batch.column("session_id").to_pylist()[:5])
    (run,) = read_manifest(store.path).runs
    assert (run.sessions, run.residual) == (5, 0)
    assert "open sessions kept as they stood at 20" in run.problems[0]
    assert run.problems[0].endswith(": 3, lost: 3")
    assert not (store.path / rolling.OPEN_FILE).exists()
    assert again.finish(Run())

    whole = RollingStore(store.path)
    assert (whole.resumed, whole.recovered) == (False, 0)
    whole.close()


def test_roll__open_sessions_wait_for_the_disk_after_a_kill(
    tmp_path: Path, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RollingStore(tmp_path / "ds")
    assert store.snapshot(batch.slice(0, 3), total=3)
    store.close()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rolling.pq, "write_table", full)
        again = RollingStore(store.path)
    assert (again.recovered, again.held, again.trouble) == (3, 3, "No space left on device")
    assert (store.path / rolling.OPEN_FILE).exists()
    assert again.roll(Run())
    assert ids(store.path) == sorted(batch.column("session_id").to_pylist()[:3])
    again.close()


@pytest.mark.parametrize("content", [b"", b"PAR1 nonsense PAR1"])
def test_roll__a_damaged_snapshot_is_told_and_no_reason_to_stop(tmp_path: Path, content: bytes) -> None:
    store = RollingStore(tmp_path / "ds")
    store.close()
    (store.path / rolling.OPEN_FILE).write_bytes(content)
    again = RollingStore(store.path)
    assert again.recovered == 0
    assert "its open sessions cannot be read" in read_manifest(store.path).run.problems[0]
    again.close()


def test_roll__refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UsageError, match="other things"):
        RollingStore(tmp_path)


def segments(*rows: int) -> list[Segment]:
    return [Segment(str(number), count, 100 * count, (0, 0)) for number, count in enumerate(rows)]


def test_choose__merges_neighbours_of_a_size_only() -> None:
    assert choose(segments(*[5] * FAN), [0.0] * FAN, 60) == slice(0, FAN)
    assert choose(segments(*[5] * (FAN - 1)), [0.0] * (FAN - 1), 60) is None
    assert choose(segments(1000, *[1] * (FAN - 1)), [0.0] * FAN, 60) is None
    assert choose(segments(*[5] * FAN), [100.0 * number for number in range(FAN)], 60) is None
    assert choose(segments(*[5] * FAN), [0.0] * FAN, 60, most_rows=10) is None


def test_retention__the_oldest_leave_by_age_and_by_size() -> None:
    some, times = segments(1, 2, 3), [10.0, 20.0, 30.0]
    assert Retention(age_s=15).leaving(some, times, 40) == {"0", "1"}
    assert Retention(size=500).leaving(some, times, 40) == {"0"}
    assert Retention(size=0).leaving(some, times, 40) == {"0", "1", "2"}
    assert Retention().leaving(some, times, 40) == set()


def test_retention__takes_segments_out_of_the_dataset_while_it_grows(tmp_path: Path, batch: Any) -> None:
    store = RollingStore(tmp_path / "ds")
    for number in range(3):
        store.write(batch.slice(number, 1))
        store.roll(Run())
    store.retention = Retention(size=store.size - 1)
    store.tidy()
    assert ids(store.path) == sorted(batch.column("session_id").to_pylist()[1:3])
    store.close()

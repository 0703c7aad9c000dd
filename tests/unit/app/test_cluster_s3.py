"""Captures, what lies between tasks, and the dataset in an S3 store: the rows of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.test_cluster import CAPTURES, OPTIONS, SAMPLE, alone, fill, rows, stages
from tests.unit.store.s3_server import Store, needs_s3, store

from lastack.app.cluster import ClusterRun
from lastack.app.jobs import InProcess, Task, result_of, run_task
from lastack.model.errors import InputError
from lastack.store.s3 import S3Folder, root_of

__all__ = ["store"]
pytestmark = needs_s3


def put(store: Store, bucket: str, path: str, key: str = "") -> str:
    name = key or Path(path).name
    folder = S3Folder(store.url(f"{bucket}/day/{name}"))
    folder.write_bytes(Path(path).read_bytes())
    return str(folder)


def run(
    store: Store, paths: list[str], work: str, piece_bytes: int = 1 << 20
) -> tuple[list[Any], Any, ClusterRun]:
    batches: list[Any] = []
    job = ClusterRun(InProcess(), root_of(store.url(work)), piece_bytes)
    summary = job.track(paths, OPTIONS, batches.append)
    return batches, summary, job


def nameless(found: list[Any]) -> list[Any]:
    return [
        {name: value for name, value in row.items() if name not in ("sensor", "session_id", "previous_id")}
        for row in found
    ]


def test_s3__captures_in_pieces_and_tasks_in_a_store_give_the_rows_of_one_process(store: Store) -> None:
    bucket = store.bucket()
    local = [SAMPLE, *CAPTURES[:2]]
    paths = [put(store, bucket, path) for path in local]
    size = Path(SAMPLE).stat().st_size
    batches, summary, job = run(store, paths, f"{bucket}/work", size // 3)
    one, said = alone(local)
    assert nameless(rows(batches)) == nameless(rows(one))
    assert summary.ledger == said.ledger
    assert stages(job)["map"][0] > len(local)
    again, _, job = run(store, paths, f"{bucket}/work", size // 3)
    assert rows(again) == rows(batches)
    assert all(tasks == skipped for tasks, skipped, _ in stages(job).values())
    job.clean()
    assert not S3Folder(store.url(f"{bucket}/work")).sizes()


def test_s3__local_captures_and_a_work_folder_in_a_store_keep_all_ids(store: Store) -> None:
    bucket = store.bucket()
    batches, _, _ = run(store, CAPTURES[:3], f"{bucket}/work")
    assert rows(batches) == rows(alone(CAPTURES[:3])[0])


def test_s3__what_a_dead_worker_left_counts_for_nothing(store: Store, tmp_path: Path) -> None:
    output = S3Folder(store.url(f"{store.bucket()}/out"))
    (output / "0badc0de/text").write_bytes(b"half of")  # uploaded, but its last object never was
    assert result_of(str(output)) is None
    task = Task("t", str(output), fill, ("hello",))
    assert run_task(task).problem is None
    result = result_of(str(output))
    assert result is not None
    assert result.counters == {"length": 5}
    files = S3Folder(result.folder)
    assert (files / "text").read_bytes() == b"hello"
    assert run_task(task).skipped
    (files / "text").write_bytes(b"other")  # same size: it is there
    (files / "text").remove()
    assert result_of(str(output)) is None


def test_s3__a_capture_that_changes_is_refused(store: Store) -> None:
    bucket = store.bucket()
    path = put(store, bucket, CAPTURES[0])
    S3Folder(path).write_bytes(b"x" + Path(CAPTURES[0]).read_bytes())
    with pytest.raises(InputError, match=r"s3://.*: not a capture"):
        run(store, [path], f"{bucket}/work")


def test_s3__what_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(InputError, match="there is no bucket nobucket; make it first"):
        S3Folder(store.url("nobucket/x")).write_bytes(b"x")
    with pytest.raises(InputError, match="not found; check the name"):
        run(store, [store.url(f"{store.bucket()}/x.pcap")], "nobucket/work")
    with pytest.raises(InputError, match="no S3 store answers there"):
        S3Folder("s3://bucket/x?endpoint_override=http://127.0.0.1:9").info()

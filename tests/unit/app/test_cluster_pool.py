"""Processes that are killed cost what they had under way, never a result."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.app.test_cluster import CAPTURES, OPTIONS, SAMPLE, alone, rows

from lastack.app.cluster import ClusterRun
from lastack.app.jobs import Outcome, Task, run_task
from lastack.app.jobs_pool import TRIES, ProcessPool
from lastack.model.errors import AccessError


def note(folder: Path, text: str) -> dict[str, Any]:
    (folder / "text").write_text(text)
    return {"pid": os.getpid()}


def die_at_first(folder: Path, marker: str) -> dict[str, Any]:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return note(folder, "survived")


def always_die(folder: Path) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    pool = ProcessPool(2)
    yield pool
    pool.close()


def test_pool__a_killed_process_costs_no_result(pool: ProcessPool, tmp_path: Path) -> None:
    tasks = [Task(f"n{n}", str(tmp_path / f"n{n}"), note, (str(n),)) for n in range(8)]
    tasks.insert(3, Task("dying", str(tmp_path / "dying"), die_at_first, (str(tmp_path / "marker"),)))
    told: list[Outcome] = []
    pool.run(tasks, told.append)
    assert sorted(outcome.name for outcome in told) == sorted(task.name for task in tasks)
    assert not [outcome for outcome in told if outcome.problem]
    assert pool.rebuilt == 1
    assert (tmp_path / "dying" / "text").read_text() == "survived"


def test_pool__a_task_that_kills_every_process_is_told_and_the_others_are_done(
    pool: ProcessPool, tmp_path: Path
) -> None:
    tasks = [Task(f"n{n}", str(tmp_path / f"n{n}"), note, (str(n),)) for n in range(4)]
    tasks.insert(1, Task("deadly", str(tmp_path / "deadly"), always_die, ()))
    told: list[Outcome] = []
    pool.run(tasks, told.append)
    failed = {outcome.name: outcome.problem for outcome in told if outcome.problem}
    assert list(failed) == ["deadly"]
    assert f"died {TRIES} times" in str(failed["deadly"])
    assert len(told) == len(tasks)


class KillsOnce(ProcessPool):
    """Kills one of its processes as soon as the first result of a stage is there."""

    def run(self, tasks: Any, told: Any) -> None:
        killed: list[int] = []

        def tell(outcome: Outcome) -> None:
            told(outcome)
            if not killed:
                killed.append(int(outcome.where.rsplit(":", 1)[1]))
                os.kill(killed[0], signal.SIGKILL)

        super().run(tasks, tell)


def test_pool__rows_are_those_of_one_process_though_workers_are_killed_in_every_stage(tmp_path: Path) -> None:
    paths = [*CAPTURES[:8], SAMPLE]
    batches: list[Any] = []
    pool = KillsOnce(2)
    try:
        run = ClusterRun(pool, tmp_path / "work")
        run.track(paths, OPTIONS, batches.append)
    finally:
        pool.close()
    assert pool.rebuilt >= 2
    assert not run.missing
    assert rows(batches) == rows(alone(paths)[0])


def test_run_task__what_another_worker_made_meanwhile_counts(tmp_path: Path) -> None:
    def slower(folder: Path) -> dict[str, Any]:
        assert not run_task(Task("other", str(tmp_path / "out"), note, ("first",))).problem
        return note(folder, "second")

    outcome = run_task(Task("mine", str(tmp_path / "out"), slower, ()))
    assert outcome.problem is None
    assert (tmp_path / "out" / "text").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_pool__a_system_without_shared_locks_is_told_with_the_remedy(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lastack.app.jobs_pool.ProcessPoolExecutor", refuse)
    with pytest.raises(AccessError, match="/dev/shm must be a tmpfs that this user may write to"):
        pool.run([Task("one", "out", note, ("text",))], lambda _: None)

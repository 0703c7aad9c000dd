"""What a run on other processes refuses, and what it leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.app.test_cluster import CAPTURES, OPTIONS

from lastack.app.cluster import ClusterRun, Stage
from lastack.app.cluster_choice import cluster_run
from lastack.app.jobs_dask import DaskCluster
from lastack.cli.analyze import command
from lastack.model.errors import AccessError, UsageError


def test_dask__a_missing_package_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'lastack\[cluster\]'"):
        DaskCluster("tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("workers", "cluster", "said"),
    [
        (2, "tcp://127.0.0.1:1", "exclude each other"),
        (None, "tcp://127.0.0.1:1", "a folder that all workers see"),
    ],
)
def test_choice__what_does_not_go_together_is_refused(workers: int | None, cluster: str, said: str) -> None:
    with pytest.raises(UsageError, match=said), cluster_run(workers, cluster, None, None, print):
        pass


def test_choice__a_whole_run_leaves_no_work_folder_and_an_incomplete_one_does(tmp_path: Path) -> None:
    for missing in (False, True):
        said: list[str] = []
        with cluster_run(1, None, None, f"{tmp_path}/dataset", said.append) as run:
            work = tmp_path / "dataset.work"
            (work / "map").mkdir(parents=True)
            run.stages.append(Stage("map", 3, skipped=2, failed=int(missing), written=10**6))
            if missing:
                run.missing["a.pcap"] = "no space"
        assert work.exists() == missing
        assert "3 tasks, 2 of them done before" in said[0]
        assert any("1 captures are not in the result" in line for line in said) == missing


def test_cluster__other_things_in_the_work_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    (tmp_path / "map").mkdir()
    with cluster_run(1, None, str(tmp_path), None, print) as run:
        assert isinstance(run, ClusterRun)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_cluster__a_work_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        cluster_run(1, None, f"{tmp_path}/file/work", None, print) as run,
        pytest.raises(AccessError, match="name another --work"),
    ):
        run.track(CAPTURES[:1], OPTIONS, lambda batch: None)


def test_analyze__a_work_folder_alone_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [CAPTURES[0], "--work", str(tmp_path)])
    assert done.exit_code == 2
    assert "--work goes with --workers or --cluster" in done.output

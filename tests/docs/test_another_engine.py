"""The adapter that a page shows is run as it stands there: two workers, the rows of one process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from tests.unit.app.test_cluster import CAPTURES, SAMPLE

import lastack
from lastack.store.manifest import read_manifest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "another-engine.md"


def test_page__its_adapter_gives_the_rows_of_one_process(tmp_path: Path) -> None:
    adapter, driver = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(adapter.splitlines()) < 80
    (tmp_path / "spool.py").write_text(adapter)
    (tmp_path / "run.py").write_text(driver)
    paths = [*CAPTURES[:4], SAMPLE]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "shared"), *paths]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    spool = tmp_path / "shared" / "spool"
    for name in ("todo", "doing", "done"):
        (spool / name).mkdir(parents=True, exist_ok=True)
    workers = [
        subprocess.Popen([sys.executable, str(tmp_path / "spool.py"), str(spool)], env=environment)
        for _ in range(2)
    ]
    try:
        said, _ = run.communicate(timeout=90)
        assert run.returncode == 0
        assert said.splitlines() == [
            "map: 5 tasks, 0 done before, 0 failed",
            "track: 8 tasks, 0 done before, 0 failed",
            "judge: 8 tasks, 0 done before, 0 failed",
        ]
        assert [worker.wait(30) for worker in workers] == [0, 0]
    finally:
        for process in (run, *workers):
            process.kill()
            process.wait()
    dataset = tmp_path / "shared" / "dataset"
    files = [dataset / segment.file for segment in read_manifest(dataset).segments]
    kept = [number for file in files for number in pq.read_table(file)["session_id"].to_pylist()]
    assert kept == lastack.track(*paths).table["session_id"].to_pylist()
    assert not (tmp_path / "shared" / "work").exists()

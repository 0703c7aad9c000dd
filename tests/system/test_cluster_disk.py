"""A disk that fills up: the run says so, leaves no half dataset, and goes on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.unit.app.test_cluster import CAPTURES, SAMPLE

import lastack
from lastack.store.manifest import read_manifest

LASTACK = f"{sys.executable} -m lastack.cli.main"


def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.system,
    pytest.mark.untimed,
    pytest.mark.skipif(not _can_mount(), reason="needs root and mount namespaces"),
]


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_cluster__a_full_disk_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    paths = [*CAPTURES[:6], SAMPLE]
    dataset = tmp_path / "dataset"
    # Room for the segments of the small captures, not for those of the sample; then more room, same content.
    script = f"""
        mkdir "$1/disk"; mount -t tmpfs -o size=300k none "$1/disk"
        work="$1/disk/work"; dataset="$1/dataset"; shift
        {LASTACK} analyze "$@" -o "$dataset" --workers 2 --work "$work" || echo "first ended with $?"
        {LASTACK} analyze "$@" -o "$dataset" --overwrite --workers 2 --work "$work" >/dev/null || true
        mount -o remount,size=50m "$(dirname "$work")"
        {LASTACK} analyze "$@" -o "$dataset" --overwrite --workers 2 --work "$work"
        echo "left: $(ls "$(dirname "$work")")"
    """
    done = run(script, str(tmp_path), *paths)
    assert done.returncode == 0, done.stderr
    assert "first ended with 1" in done.stdout
    assert "No space left on device" in done.stderr
    assert "of them done before" in done.stderr
    assert "left: \n" in done.stdout
    files = [dataset / segment.file for segment in read_manifest(dataset).segments]
    kept = [number for file in files for number in pq.read_table(file)["session_id"].to_pylist()]
    assert kept == lastack.track(*paths).table["session_id"].to_pylist()

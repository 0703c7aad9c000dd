"""A real Dask scheduler with two workers on loopback: the same rows, whoever is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.unit.app.test_cluster import CAPTURES, SAMPLE, alone, rows

import lastack
from lastack.app.cluster_reduce import read_batches
from lastack.lab.waiting import wait_until
from lastack.store.manifest import read_manifest

pytestmark = [
    pytest.mark.system,
    pytest.mark.untimed,
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="distributed is not installed"
    ),
]
DEADLINE_S = 60.0
DRIVER = Path(__file__).with_name("cluster_driver.py")
QUICK = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "20s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "-m" not in words else subprocess.DEVNULL,
        stderr=subprocess.PIPE if "-m" not in words else subprocess.DEVNULL,
        text=True,
        env={**os.environ, **QUICK},
    )


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, tls: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._tls = tls
        self._file = folder / "scheduler.json"
        self._all: list[subprocess.Popen[str]] = []
        self.start_scheduler(0)

    def start_scheduler(self, port: int) -> None:
        self._file.unlink(missing_ok=True)
        words = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard", *self._tls)
        self.scheduler = started("-m", "dask", "scheduler", *words, "--scheduler-file", str(self._file))
        self._all.append(self.scheduler)

        def address() -> str:
            assert self.scheduler.poll() is None, "the scheduler ended"
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads(self._file.read_text())["address"])
            return ""

        wait_until(lambda: bool(address()), "a scheduler", DEADLINE_S)
        self.address = address()

    def start_workers(self, count: int) -> list[subprocess.Popen[str]]:
        """Start workers and wait until they are connected."""
        words = (
            "--no-nanny",
            "--nthreads",
            "1",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            "--death-timeout",
            "60",
        )
        workers = []
        for _ in range(count):
            space = ("--local-directory", str(self._folder / f"space{len(self._all)}"))
            workers.append(started("-m", "dask", "worker", self.address, *words, *self._tls, *space))
            self._all.append(workers[-1])
        return workers

    def drive(self, deed: str, captures: Sequence[str]) -> subprocess.Popen[str]:
        work, out = self._folder / "work", self._folder / "rows.arrows"
        return started(str(DRIVER), self.address, str(work), str(out), deed, *captures)

    def rows(self) -> list[object]:
        return rows(list(read_batches(self._folder / "rows.arrows")))

    def close(self) -> None:
        for process in self._all:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        cluster.close()


def end_of(driver: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = driver.communicate(timeout=DEADLINE_S)
    finally:
        driver.kill()
    return driver.returncode, out, err


def wait_for_workers(cluster: Cluster, count: int) -> None:
    script = "import sys; from distributed import Client; Client(sys.argv[1]).wait_for_workers(int(sys.argv[2]), 60)"
    subprocess.run([sys.executable, "-c", script, cluster.address, str(count)], timeout=90, check=True)


def test_dask__rows_are_those_of_one_process_though_a_worker_is_killed(cluster: Cluster) -> None:
    captures = [*CAPTURES, SAMPLE]
    workers = cluster.start_workers(2)
    wait_for_workers(cluster, 2)
    code, out, err = end_of(cluster.drive("kill-worker", captures))
    assert (code, out.split()) == (0, ["2", "1", "0"]), err
    assert [worker.poll() for worker in workers].count(None) == 1
    assert cluster.rows() == rows(alone(captures)[0])


def test_dask__a_scheduler_that_is_started_anew_gets_what_is_left(cluster: Cluster) -> None:
    captures = CAPTURES[:12]
    cluster.start_workers(2)
    wait_for_workers(cluster, 2)
    driver = cluster.drive(f"kill:{cluster.scheduler.pid}", captures)
    try:
        cluster.scheduler.wait(DEADLINE_S)
        cluster.start_scheduler(int(cluster.address.rsplit(":", 1)[1]))
        cluster.start_workers(2)
        code, _, err = end_of(driver)
    finally:
        driver.kill()
    assert code == 0, err
    assert cluster.rows() == rows(alone(captures)[0])


def test_dask__no_worker_and_other_versions_are_told(cluster: Cluster) -> None:
    code, _, err = end_of(cluster.drive("none", CAPTURES[:1]))
    assert (code, "has no workers; start some: dask worker tcp://127" in err) == (2, True), err
    cluster.start_workers(1)
    wait_for_workers(cluster, 1)
    code, _, err = end_of(cluster.drive("version", CAPTURES[:1]))
    assert (code, "here is lastack 9.9/9; install the same everywhere" in err) == (1, True), err


def made(folder: Path, name: str, signer: str | None = None) -> None:
    """Make a key and a certificate, signed by itself or by another."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += [
        "-subj",
        f"/CN={name}",
        "-days",
        "2",
        "-keyout",
        f"{folder}/{name}.key",
        "-out",
        f"{folder}/{name}.pem",
    ]
    if signer is not None:
        words += ["-CA", f"{folder}/{signer}.pem", "-CAkey", f"{folder}/{signer}.key"]
    subprocess.run(words, check=True, capture_output=True, timeout=30)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_dask__a_cluster_that_speaks_tls_takes_those_of_its_authority_only(tmp_path: Path) -> None:
    made(tmp_path, "ca")
    made(tmp_path, "node", "ca")
    made(tmp_path, "stranger")
    files = [f"{tmp_path}/{name}" for name in ("ca.pem", "node.pem", "node.key")]
    words = ("--tls-ca-file", files[0], "--tls-cert", files[1], "--tls-key", files[2], "--protocol", "tls")
    cluster = Cluster(tmp_path, words)
    try:
        assert cluster.address.startswith("tls://127.0.0.1:")
        cluster.start_workers(1)
        analyze = ("-m", "lastack.cli.main", "analyze", *CAPTURES[:3], "--cluster", cluster.address, "-o")
        mine = ("--tls-ca", files[0], "--tls-cert", files[1], "--tls-key", files[2])

        def run(output: str, *tls: str) -> subprocess.CompletedProcess[str]:
            words = [sys.executable, *analyze, str(tmp_path / output), *tls]
            return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

        wait_until(lambda: run("kept", *mine).returncode == 0, "a run over TLS", DEADLINE_S)
        assert lastack.track(*CAPTURES[:3]).table["session_id"].to_pylist() == [
            number
            for segment in read_manifest(tmp_path / "kept").segments
            for number in pq.read_table(tmp_path / "kept" / segment.file)["session_id"].to_pylist()
        ]
        other = run(
            "other",
            "--tls-ca",
            files[0],
            "--tls-cert",
            f"{tmp_path}/stranger.pem",
            "--tls-key",
            f"{tmp_path}/stranger.key",
        )
        assert other.returncode == 2
        assert "is it of the same authority? See --tls-ca" in other.stderr
        assert (
            run(
                "torn", "--tls-ca", files[0], "--tls-cert", files[1], "--tls-key", f"{tmp_path}/ca.key"
            ).returncode
            == 3
        )
    finally:
        cluster.close()


def test_dask__an_address_where_nobody_answers_is_told(tmp_path: Path) -> None:
    for address in ("tcp://127.0.0.1:9", "carrier-pigeon://127.0.0.1"):
        code, _, err = end_of(
            started(str(DRIVER), address, str(tmp_path), str(tmp_path / "r"), "nobody", SAMPLE)
        )
        assert (code, "no Dask scheduler answers there" in err) == (2, True), err

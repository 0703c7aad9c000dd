"""A host whose link is cut silently, in the middle of a run: scheduler and workers in three network namespaces."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.lab_tools import needs_lab
from tests.unit.app.test_cluster import CAPTURES, SAMPLE, alone, rows

from lastack.app.cluster_reduce import read_batches

pytestmark = [
    pytest.mark.system,
    pytest.mark.untimed,
    needs_lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces with names"),
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="distributed is not installed"
    ),
]
DRIVER = Path(__file__).with_name("cluster_driver.py")
PREFIX = f"lastack{os.getpid()}"
HUB, NEAR, FAR = (f"{PREFIX}{end}" for end in "hnf")
TTL_S = 4
SCHEDULER = "tcp://10.99.0.1:8786"


def sh(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


@pytest.fixture
def hosts() -> Iterator[list[subprocess.Popen[str]]]:
    """Three hosts on one bridge, with a list for what runs on them; all gone afterwards."""
    running: list[subprocess.Popen[str]] = []
    try:
        for name in (HUB, NEAR, FAR):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", HUB, "link", "add", "br0", "type", "bridge")
        sh("ip", "-n", HUB, "addr", "add", "10.99.0.1/24", "dev", "br0")
        sh("ip", "-n", HUB, "link", "set", "br0", "up")
        for number, name in enumerate((NEAR, FAR), 2):
            port = f"p{number}"
            sh("ip", "-n", HUB, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            sh("ip", "-n", HUB, "link", "set", port, "master", "br0", "up")
            sh("ip", "-n", name, "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
            sh("ip", "-n", name, "link", "set", "eth0", "up")
        yield running
    finally:
        for process in running:
            process.kill()
            process.wait()
        for name in (HUB, NEAR, FAR):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def on(host: str, *words: str, quiet: bool = True) -> subprocess.Popen[str]:
    where = subprocess.DEVNULL if quiet else subprocess.PIPE
    return subprocess.Popen(
        ["ip", "netns", "exec", host, sys.executable, *words],
        stdin=subprocess.DEVNULL,
        stdout=where,
        stderr=where,
        text=True,
        env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_S}s"},
    )


def test_cluster__a_link_that_is_cut_silently_costs_no_row(
    hosts: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    captures = [*CAPTURES[:20], SAMPLE]
    hosts.append(on(HUB, "-m", "dask", "scheduler", "--host", "10.99.0.1", "--no-dashboard"))
    for number, name in enumerate((NEAR, FAR), 2):
        words = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", f"10.99.0.{number}")
        space = str(tmp_path / name)
        hosts.append(on(name, "-m", "dask", "worker", SCHEDULER, *words, "--local-directory", space))
    script = "import sys; from distributed import Client; Client(sys.argv[1]).wait_for_workers(2, 60)"
    assert on(HUB, "-c", script, SCHEDULER).wait(70) == 0
    cut = f"run:ip -n {HUB} link set p3 nomaster"  # the carrier stays: nobody is told
    out = tmp_path / "rows.arrows"
    hosts.append(
        on(HUB, str(DRIVER), SCHEDULER, str(tmp_path / "work"), str(out), cut, *captures, quiet=False)
    )
    said, err = hosts[-1].communicate(timeout=60)
    assert (hosts[-1].returncode, said.split()) == (0, ["2", "1", "0"]), err
    assert rows(list(read_batches(out))) == rows(alone(captures)[0])

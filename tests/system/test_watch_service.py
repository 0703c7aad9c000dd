"""`lastack watch` as a service: its unit, its one capability, SIGTERM, interfaces that are made anew."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from benchmarks.blast import frames_of_session
from tests.system.lab_tools import LASTACK, needs_lab
from tests.system.test_watch import _QUICK, Watching, lab, play, rows_of, until

from lastack.kernels import cache as kernel_cache
from lastack.lab.topology import Lab
from lastack.store.manifest import read_manifest

__all__ = ["lab"]
pytestmark = [pytest.mark.system, pytest.mark.untimed, needs_lab]


def test_watch__goes_on_with_an_interface_that_is_removed_and_made_anew(lab: Lab, tmp_path: Path) -> None:
    def make() -> None:
        lab.server.ip("link add mirror0 type veth peer name mirror1")
        lab.server.ip("link set mirror0 up")
        lab.server.ip("link set mirror1 up")

    def put(numbers: range) -> None:
        with lab.server.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        with sender:
            sender.bind(("mirror1", 0))
            for number in numbers:
                for frame in frames_of_session(number):
                    sender.send(frame)

    make()
    watching = Watching(lab.server, tmp_path / "live", interface="mirror0")
    put(range(5))
    watching.has_rows(5)
    lab.server.ip("link del mirror0")
    watching.saw("mirror0: the interface is down")
    make()
    watching.saw("mirror0: the interface is up again")
    put(range(5, 10))
    watching.has_rows(10)
    put(range(10, 11))  # over, and not yet left when it is stopped
    assert watching.stop() == 0
    assert sorted(row["client_port"] for row in rows_of(watching.dataset)) == list(range(1024, 1035))
    assert read_manifest(watching.dataset).state == "complete"


def test_watch__sigterm_writes_what_is_open(lab: Lab, tmp_path: Path) -> None:
    watching = Watching(lab.server, tmp_path / "live", "--snapshot", "0s")
    with lab.server.socket() as listener, lab.client.socket() as client:
        listener.bind(("", 80))
        listener.listen(1)
        client.connect((lab.server.address(), 80))
        assert watching.stop() == 0
    (row,) = rows_of(watching.dataset)
    assert (row["opening"], row["ending"], row["observed"]) == ("established", "open", "end_missing")
    assert not (watching.dataset / "open.parquet").exists()


def test_watch__as_the_docs_unit_runs_with_one_capability(lab: Lab) -> None:
    """As a user of its own with an ambient CAP_NET_RAW, which is what the systemd unit and setpriv give."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    # not below pytest's own folder: other workers and runs close that to other users
    with tempfile.TemporaryDirectory(prefix="lastack-unit-") as folder:
        Path(folder).chmod(0o777)
        _runs_with_one_capability(lab, Path(folder))


def _runs_with_one_capability(lab: Lab, folder: Path) -> None:
    cache = folder / "cache"  # what CacheDirectory= of the unit gives
    there = kernel_cache.folder()
    cache.mkdir()
    if there.exists():  # not where all kernels are shipped
        shutil.copytree(there, cache / there.name, ignore=shutil.ignore_patterns("*.tmp*", ".*"))
    for path in (cache, *cache.rglob("*")):
        os.chown(path, 65534, 65534)
    words = [
        "env",
        f"LASTACK_CACHE={cache}",
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
    ]
    words += ["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw", "--bounding-set", "-all,+net_raw"]
    words += [*LASTACK, "watch", "eth0", "-o", str(folder / "live"), *_QUICK]
    log = folder / "log"
    with log.open("w") as stream:
        process = lab.server.popen(words, stderr=stream, stdin=subprocess.DEVNULL)
    until(lambda: "sessions leave after" in log.read_text() or process.poll() is not None, 150)
    assert process.poll() is None, log.read_text()
    status = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if ":" in line
    )
    assert status["Uid"].split() == ["65534"] * 4
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == 1 << 13, name
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, "programs of alerts get nothing"
    assert status["NoNewPrivs"].strip() == "1"
    count = play(lab, 1)
    until(lambda: read_manifest(folder / "live").rows >= count)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_docs__the_systemd_unit_is_one(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (Path(__file__).parents[2] / "docs/howto/watch.md").read_text(encoding="utf-8")
    match = re.search(r"```ini\n(\[Unit\].*?)```", text, re.DOTALL)
    assert match is not None
    unit = tmp_path / "lastack-watch.service"
    # The user and the program are those of another machine.
    unit.write_text(
        match[1].replace("User=lastack", "User=daemon").replace("/opt/lastack/bin/lastack", "/bin/true")
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    about_it = [line for line in done.stderr.splitlines() if unit.name in line]
    assert about_it == [], done.stderr
    unit.write_text(match[1].replace("CapabilityBoundingSet", "CapabilityBoundingSets"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "CapabilityBoundingSets" in done.stderr, "it finds nothing at all here"

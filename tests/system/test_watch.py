"""`lastack watch` on real interfaces: tcpdump is the judge of what it sees; it is killed, starved, cut off, flooded."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.system.lab_tools import LASTACK, needs_lab
from tests.unit.web.asgi import Client

from lastack.app.sessions import Question, ask
from lastack.lab.host import Host
from lastack.lab.topology import Lab
from lastack.lab.waiting import wait_until
from lastack.store.manifest import read_manifest
from lastack.web.server import make_app

pytestmark = [pytest.mark.system, pytest.mark.untimed, needs_lab]

_QUICK = ("--roll", "300ms", "--snapshot", "300ms", "--closed-linger", "500ms", "--ring", "8MiB")
#: Columns that differ for good reasons: names and numbers of the capture, and clocks of two sockets.
_OTHER = {"sensor", "session_id", "previous_id", "first_packet", "evidence", "gaps", "marks", "retries"}


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what a function returns once that is true."""
    found: list[Any] = []

    def ask() -> bool:
        found.append(what())
        return bool(found[-1])

    wait_until(ask, str(what), seconds, 0.02)
    return found[-1]


class Watching:
    """A watch on the server's interface, or another."""

    def __init__(self, host: Host, dataset: Path, *more: str, interface: str = "eth0") -> None:
        self.dataset = dataset
        self._log = dataset.parent / f"{dataset.name}-{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            words = [*LASTACK, "watch", interface, "-o", str(dataset), *_QUICK, *more]
            self.process = host.popen(words, stderr=log, stdin=subprocess.DEVNULL)
        self.saw("sessions leave after", 150)  # kernels may have to be compiled first

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def saw(self, text: str, seconds: float = 20.0) -> None:
        until(lambda: text in self.log or self.process.poll() is not None, seconds)
        assert text in self.log, self.log

    def has_rows(self, count: int) -> None:
        until(lambda: read_manifest(self.dataset).rows >= count)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(20))


def play(lab: Lab, count: int = 1, first_port: int = 20_000) -> int:
    """Close sessions in five ways, and leave one open for a moment; return how many there were."""
    address = lab.server.address()
    with lab.server.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", 80))
        listener.listen(64)
        ends: list[socket.socket] = []
        for number in range(count * 5):
            client = lab.client.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("", first_port + number))
            way = number % 5
            if way == 4:
                with contextlib.suppress(ConnectionRefusedError):
                    client.connect((address, 81))
                client.close()
                continue
            client.connect((address, 80))
            server, _ = listener.accept()
            client.sendall(b"question")
            server.recv(16)
            server.sendall(b"answer")
            client.recv(16)
            if way == 0:
                client.close()
                server.recv(1)
                server.close()
            elif way == 1:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                server.close()
                client.close()
            elif way == 2:
                client.shutdown(socket.SHUT_WR)
                server.recv(1)
                server.sendall(b"more")
                client.recv(16)
                server.close()
                client.close()
            else:
                ends += [client, server]
        for end in ends:
            end.close()
    return count * 5


def rows_of(name: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    ask([str(name)], Question(), lambda batch: rows.extend(batch.to_pylist()))
    return sorted(rows, key=lambda row: (row["client_port"], row["server_port"]))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("direct") as made:
        yield made


def test_watch__its_dataset_is_what_analyze_makes_of_a_capture_by_tcpdump(lab: Lab, tmp_path: Path) -> None:
    capture = tmp_path / "same.pcap"
    watching = Watching(lab.server, tmp_path / "live")
    tcpdump = lab.server.popen(
        ["tcpdump", "-i", "eth0", "--nano", "-U", "-Z", "root", "-w", str(capture)], stderr=subprocess.PIPE
    )
    assert tcpdump.stderr is not None
    assert "listening" in tcpdump.stderr.readline()
    count = play(lab, 8)
    watching.has_rows(count)
    assert watching.stop() == 0
    tcpdump.send_signal(signal.SIGINT)
    tcpdump.communicate(timeout=10)

    live, offline = rows_of(watching.dataset), rows_of(capture)
    assert len(live) == len(offline) == count
    for mine, theirs in zip(live, offline, strict=True):
        for name, value in theirs.items():
            if name.endswith("_ns"):
                near = mine[name] is value is None or abs(mine[name] - value) < 5_000_000
                assert near, (name, mine[name], value)
            elif name not in _OTHER:
                assert mine[name] == value, name
    manifest = read_manifest(watching.dataset)
    assert (manifest.state, manifest.run.residual, manifest.run.lost) == ("complete", 0, {})
    assert {row["ending"] for row in live} == {"closed", "rst", "never_opened"}


def test_watch__shows_what_is_half_closed_and_open_now(lab: Lab, tmp_path: Path) -> None:
    watching = Watching(lab.server, tmp_path / "live", "--listen", "127.0.0.1:9116")
    with lab.server.socket() as listener, lab.client.socket() as client:
        listener.bind(("", 80))
        listener.listen(1)
        client.connect((lab.server.address(), 80))
        server, _ = listener.accept()
        client.shutdown(socket.SHUT_WR)
        with server:
            shown = watching.dataset / "open.parquet"
            until(
                lambda: (
                    shown.exists()
                    and [row["ending"] for row in pq.read_table(shown).to_pylist()] == ["half_closed"]
                )
            )
            until(lambda: 'lastack_sessions_standing{state="half_closed"} 1.0' in metrics(lab.server))
            text = metrics(lab.server)
            assert read_manifest(watching.dataset).rows == 0
            # The web's view of who waits now has it too, though it is no part of the dataset yet.
            asked = Client(make_app([str(watching.dataset)])).get("/api/v1/half-closed").json()
            assert (asked["open_now"], asked["table"]["total"]["sessions"]) == (1, 0)
            assert [row["server_port"] for row in asked["waiting"]] == [80]
            assert 0 <= asked["waiting"][0]["age_ns"] < 60e9
    assert 'lastack_sessions_standing{state="established"} 0.0' in text
    assert "lastack_sessions_opened_total 1.0" in text
    assert "lastack_sessions_established_total 1.0" in text
    watching.has_rows(1)
    assert watching.stop() == 0
    assert not (watching.dataset / "open.parquet").exists()


def metrics(host: Host) -> str:
    """Return what /metrics says."""
    with host.entered():
        connection = http.client.HTTPConnection("127.0.0.1", 9116, timeout=5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()


def test_watch__a_kill_loses_nothing_that_was_rolled_and_a_restart_goes_on(lab: Lab, tmp_path: Path) -> None:
    first = Watching(lab.server, tmp_path / "live")
    count = play(lab, 4)
    first.has_rows(count)
    talking = lab.server.socket()
    talking.bind(("", 85))
    talking.listen(1)
    client = lab.client.socket()
    client.connect((lab.server.address(), 85))
    shown = first.dataset / "open.parquet"
    until(lambda: shown.exists() and pq.read_table(shown).column("server_port").to_pylist() == [85])
    first.process.kill()
    first.process.wait(10)
    (first.dataset / "live-0badcafe-0000000.parquet").write_bytes(b"half a segment")
    second = Watching(lab.server, tmp_path / "live")
    # The session that was open is a row, as if the watch had been stopped when it last looked.
    assert f"its {count + 1} sessions are kept, 1 of them as they stood open" in second.log
    count += 1
    client.close()
    talking.close()
    count += play(lab, 2, 30_000) + 1  # the rest of it is another row
    second.has_rows(count)
    # One writer at a time.
    other = lab.server.run([*LASTACK, "watch", "eth0", "-o", str(second.dataset)], check=False, timeout_s=20)
    assert other.returncode == 2
    assert "another `lastack watch` writes to it" in other.stderr
    assert second.stop() == 0
    rows = rows_of(second.dataset)
    assert len(rows) == count
    cut = [(row["opening"], row["ending"], row["observed"]) for row in rows if row["server_port"] == 85]
    assert sorted(cut)[0] == ("established", "open", "end_missing")
    manifest = read_manifest(second.dataset)
    assert [run.sessions for run in manifest.runs] == [21, 11]
    assert manifest.run.residual == 0
    assert manifest.runs[0].problems[0].endswith("Z: 1")
    named = {segment.file for segment in manifest.segments}
    assert {file.name for file in second.dataset.glob("*.parquet")} == named


def test_watch__a_full_disk_is_told_and_survived(lab: Lab, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        watching = Watching(lab.server, disk)
        with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        count = play(lab, 4)
        watching.saw("cannot be written: No space left on device")
        count += play(lab, 2, 30_000)
        (disk / "filler").unlink()
        watching.saw("can be written again; 0 rows were lost")
        watching.has_rows(count)
        assert watching.stop() == 0
        assert len(rows_of(watching.dataset)) == count
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_watch__reads_settings_again_and_an_interface_may_go_down_and_come_back(
    lab: Lab, tmp_path: Path
) -> None:
    settings = tmp_path / "watch.toml"
    settings.write_text('[watch]\nhalf_open_idle = "1h"\n', encoding="utf-8")
    watching = Watching(lab.server, tmp_path / "live", "--settings", str(settings))
    assert "half-open 1 h" in watching.log
    count = play(lab, 1)
    watching.has_rows(count)
    settings.write_text('[watch]\nhalf_open_idle = "soon"\n', encoding="utf-8")
    watching.process.send_signal(signal.SIGHUP)
    watching.saw("the old settings hold")
    settings.write_text('[watch]\nhalf_open_idle = "2h"\n', encoding="utf-8")
    watching.process.send_signal(signal.SIGHUP)
    watching.saw("settings were read again")
    lab.server.ip("link set eth0 down")
    watching.saw("the interface is down")
    lab.server.ip("link set eth0 up")
    watching.saw("the interface is up again")
    lab.server.run(["ip", "route", "replace", "default", "dev", "eth0"], check=False)
    count += play(lab, 1, 30_000)
    watching.has_rows(count)
    assert watching.stop() == 0
    problems = read_manifest(watching.dataset).run.problems
    assert [text.split(": ", 1)[1] for text in problems] == [
        "the interface is down",
        "the interface is up again",
    ]


def test_watch__a_flood_is_bounded_and_counted(lab: Lab, tmp_path: Path) -> None:
    watching = Watching(
        lab.server,
        tmp_path / "live",
        "--max-sessions",
        "8000",
        "--ring",
        "64MiB",
        "--listen",
        "127.0.0.1:9116",
    )
    floods = 30_000
    with lab.client.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("eth0", 0))
    with sender:
        for number in range(floods):
            sender.send(_syn(number))
        # The kernel takes VLAN tags off; they must be put back.
        sender.send(_tagged(_syn(floods), 0x8100, 0x2005))
        sender.send(_tagged(_syn(floods + 1), 0x88A8, 0x0007))
    watching.has_rows(floods - 8100)
    text = metrics(lab.server)
    status = Path(f"/proc/{watching.process.pid}/status").read_text(encoding="ascii")
    assert watching.stop() == 0
    rows = rows_of(watching.dataset)
    run = read_manifest(watching.dataset).run
    lost = run.lost.get("kernel_packets", 0)
    assert len({(row["client_ip"], row["client_port"]) for row in rows}) >= floods - lost
    assert run.evicted > floods - 9000
    if not lost:
        assert {row["vlan"] for row in rows} == {0, 5, 7}
        assert (run.encaps["vlan"], run.residual) == (2, 0)
    assert "lastack_sessions_evicted_total" in text
    assert "10." not in "".join(
        line.split("}")[0] for line in text.splitlines() if "{" in line and "le=" not in line
    )
    # Nothing but CAP_NET_RAW is left.
    assert f"CapPrm:\t{1 << 13:016x}" in status
    assert f"CapBnd:\t{1 << 13:016x}" in status
    assert "NoNewPrivs:\t1" in status


def _tagged(frame: bytes, kind: int, control: int) -> bytes:
    return frame[:12] + struct.pack("!HH", kind, control) + frame[12:]


def _syn(number: int) -> bytes:
    ethernet = bytes.fromhex("0200000000020200000000010800")
    source = bytes([10, 200, number >> 8 & 255, number & 255])
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40, number & 0xFFFF, 0, 64, 6, 0, source, bytes([10, 250, 0, 1])
    )
    return (
        ethernet + ip + struct.pack("!HHIIBBHHH", 1024 + number % 60_000, 80, number, 0, 0x50, 2, 1024, 0, 0)
    )


def test_watch__reads_a_capture_from_a_pipe(tmp_path: Path) -> None:
    sample = sorted(Path("samples").rglob("*.pcap*"))[0]
    with sample.open("rb") as stream:
        done = subprocess.run(
            [*LASTACK, "watch", "-", "-o", str(tmp_path / "live"), *_QUICK],
            stdin=stream, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    live, offline = rows_of(tmp_path / "live"), rows_of(sample)
    assert len(live) >= len(offline) > 0

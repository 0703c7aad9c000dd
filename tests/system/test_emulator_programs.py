"""Programs that people use, through boxes that forget: OpenSSH, netcat, nginx and curl of Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.system.emulator_lab import Emulated, profile
from tests.system.lab_tools import needs_lab

from lastack.lab import Host, Lab, wait_until

pytestmark = [pytest.mark.system, needs_lab]
#: The 600 ms of the box are 30 s of a real one, and this is 50 s of sorting.
SORT_S = 1.0


def needs(program: str, package: str) -> pytest.MarkDecorator:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    return pytest.mark.skipif(found is None, reason=f"needs {program} (apt-get install {package})")


def listens(host: Host, port: int) -> bool:
    lines = [line for table in ("tcp", "tcp6") for line in host.read(f"/proc/net/{table}").splitlines()[1:]]
    rows = [line.split() for line in lines]
    return any(row[3] == "0A" and int(row[1].split(":")[1], 16) == port for row in rows)


@needs("sshd", "openssh-server")
@needs("ssh", "openssh-client")
@pytest.mark.skipif(os.geteuid() != 0, reason="sshd lets in only whom it can become")
def test_ssh_sort__dies_of_an_idle_timer_and_lives_by_an_override(tmp_path: Path) -> None:
    """`ssh host sort < data`. OpenSSH ends its channel and not its connection: TCP Wait does not see it."""
    lines = "".join(f"{number * 7919 % 1000:03}\n" for number in range(1000))
    wanted = "".join(sorted(lines.splitlines(keepends=True)))
    keys = make_keys(tmp_path)

    def play(sets: Sequence[str], apps: Sequence[str], works: bool) -> None:
        with Lab("emulator") as lab, Emulated(lab, profile("panos_legacy", *sets, apps=apps)) as box:
            start_sshd(lab, keys)
            done = ssh(lab, keys, f"sleep {SORT_S}; sort", lines, SORT_S + (10 if works else 1.5))
            assert (done.stdout == wanted, done.returncode == 0) == (works, works), done.stderr
            assert any(event["why"] == "expired" for event in box.of("gone")) is not works

    side_by_side(
        play,
        (["tcp_wait=600ms"], [], True),
        (["tcp=600ms"], [], False),
        (["tcp=600ms"], ["ssh.tcp=1h"], True),
    )


def side_by_side(play: Callable[..., None], *cases: tuple[Any, ...]) -> None:
    """Play cases in labs of their own at the same time: most of each is waiting."""
    with ThreadPoolExecutor(len(cases)) as pool:
        for playing in [pool.submit(play, *case) for case in cases]:
            playing.result()


SORTER = f"""
import socket, subprocess
listener = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    end, _ = listener.accept()
    subprocess.Popen(["sh", "-c", "sleep {SORT_S}; sort"], stdin=end, stdout=end)
    end.close()
"""


@needs("nc", "netcat-openbsd")
@pytest.mark.parametrize("version", [4, 6])
def test_nc__half_closes_and_gets_its_sorted_lines_only_by_an_override(version: int) -> None:
    """`nc -N host port < data` with sort behind the port, as inetd would run it: TCP half-close as of old."""

    def play(apps: Sequence[str], works: bool) -> None:
        words = profile("panos_legacy", "tcp_wait=600ms", apps=apps)
        with Lab("emulator") as lab, Emulated(lab, words) as box:
            lab.server.popen([sys.executable, "-c", SORTER])
            wait_until(lambda: listens(lab.server, 80), "the sorter")
            command = [
                "timeout",
                str(SORT_S + (10 if works else 1.5)),
                "nc",
                "-N",
                lab.server.address(version),
                "80",
            ]
            done = lab.client.run(command, stdin="c\nb\na\n", check=False)
            assert done.stdout == ("a\nb\nc\n" if works else "")
            # 124: `timeout` had to end it, for it heard nothing
            assert done.returncode == (0 if works else 124)
            assert box.await_event("phase", phase="fin1_acked")

    side_by_side(play, ([], False), (["80.tcp_wait=1h"], True))


@needs("nginx", "nginx-light")
@needs("curl", "curl")
def test_keep_alive__a_silent_end_hangs_the_next_request_and_a_reset_does_not(tmp_path: Path) -> None:
    """Two requests a second apart on one connection of curl; the idle timer ends between them."""

    def play(name: str, sets: Sequence[str], apps: Sequence[str], code: int, connections: int) -> None:
        folder = tmp_path / f"{name}{len(apps)}"
        folder.mkdir()
        with Lab("emulator") as lab, Emulated(lab, profile(name, *sets, apps=apps)) as box:
            start_nginx(lab, folder)
            url = f"http://{lab.server.address()}/"
            done = lab.client.run(
                [
                    "curl",
                    "-sS",
                    "-m",
                    "10" if code == 0 else "2.5",
                    "--rate",
                    "1/s",
                    "-w",
                    "%{http_code} ",
                    url,
                    url,
                ],
                check=False,
            )
            assert done.returncode == code, done
            assert done.stdout.count("hello") == (1 if code else 2)
            assert len(box.of("made")) == connections

    side_by_side(
        play,
        ("panos_legacy", ["tcp=500ms"], [], 28, 1),  # 28: curl's own time limit
        ("panos_legacy", ["tcp=500ms"], ["http.tcp=1h"], 0, 1),
        ("f5_fastl4", ["idle=500ms"], [], 0, 2),  # told by a RST, it connects again
    )


def make_keys(folder: Path) -> Path:
    """Make keys for sshd and its user in a folder."""
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=20)
    (folder / "keys").write_text((folder / "user.pub").read_text())
    (folder / "config").write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nListenAddress 0.0.0.0:22\nPermitRootLogin prohibit-password\n"
    )
    return folder


def start_sshd(lab: Lab, keys: Path) -> None:
    """Start an sshd with keys and settings of its own on the server."""
    Path("/run/sshd").mkdir(exist_ok=True)  # what Debian's service makes; sshd insists on it
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin") or "sshd"
    daemon = lab.server.popen([program, "-D", "-e", "-f", str(keys / "config")], stderr=subprocess.PIPE)
    wait_until(lambda: listens(lab.server, 22) or daemon.poll() is not None, "sshd")
    assert daemon.poll() is None, daemon.stderr.read()


def ssh(lab: Lab, keys: Path, command: str, data: str, deadline_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command on the server by ssh; it is given up after a deadline."""
    words = ["timeout", str(deadline_s), "ssh", "-F", "none", "-i", str(keys / "user"),
             "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={keys}/known", "-o", "LogLevel=ERROR",
             f"root@{lab.server.address()}", command]  # fmt: skip
    return lab.client.run(words, stdin=data, check=False)


def start_nginx(lab: Lab, folder: Path) -> None:
    """Start an nginx that says hello, and keeps connections for a minute."""
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{\n"
        "access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;\n"
        "uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
        'server { listen 80; keepalive_timeout 60; location / { return 200 "hello\\n"; } }\n}\n'
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
    lab.server.popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: listens(lab.server, 80), "nginx")
